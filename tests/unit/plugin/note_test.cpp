// The note reader: what it finds, what it refuses, and that no damage to a file makes it do more than refuse.
#include <cstring>
#include <random>

#include "plugin/elf_note.hpp"
#include "plugin/sanitized.hpp"
#include "plugin_fixture.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

std::span<const std::byte> bytes_of(const std::string& text) { return std::as_bytes(std::span(text)); }

std::string content_of(const std::string& name) { return read_file(built(name)); }

// Parses and checks as a scan does; true when the bytes were accepted.
bool survives(const std::string& content) {
  return error_of([&] { admit_plugin(bytes_of(content), "x.so"); }).empty();
}

}  // namespace

TEST_CASE("note: a good plugin's note is read in full") {
  const std::string content = content_of("good");
  const PluginNote note = parse_plugin_note(bytes_of(content), "good.so");
  CHECK(note.id == "good");
  CHECK(note.version == "0.1.0");
  CHECK(note.vendor == "Tests");
  CHECK(note.license == "Apache-2.0");
  CHECK(note.abi_major == 0);
  CHECK(note.abi_minor == 1);
  CHECK(note.opset == 1);
  CHECK(note.ifaces.size() == 3);
  REQUIRE(note.archs.size() == 1);
  CHECK(note.archs[0] == PluginArch{"Toy", {"ToyForCausalLM"}, {"toy"}, {"toy"}});
  CHECK(survives(content));
}

TEST_CASE("note: a crashing plugin's note is read all the same") {
  CHECK(parse_plugin_note(bytes_of(content_of("ctor_aborts")), "x").id == "ctor_aborts");
}

TEST_CASE("note: refusals name both facts") {
  const auto refusal = [](const std::string& name) {
    const std::string content = content_of(name);
    return error_of([&] { admit_plugin(bytes_of(content), name + ".so"); });
  };
  CHECK(refusal("no_note") == "[no_note.so] no note of owner Tenon and type 1");
  CHECK(has(refusal("huge_note"), "bytes; the limit is 65536"));
  CHECK(has(refusal("garbage_note"), "[garbage_note.so: note]"));
  CHECK(has(refusal("padded_note"), "[padded_note.so: note]"));
  CHECK(refusal("other_major") == "[other_major.so] needs plugin ABI 9.0; this host has 0.1");
  CHECK(refusal("newer_minor") == "[newer_minor.so] needs plugin ABI 0.9; this host has 0.1");
  CHECK(has(refusal("unknown_iface"), "needs interface tenon.build/9; this host has tenon.meta/0, tenon.build/0"));
  CHECK(refusal("newer_opset") == "[newer_opset.so] needs op vocabulary 9; this host has 1");
  CHECK(refusal("extra_export") == "[extra_export.so] exports leaked_symbol; only tenon_plugin is allowed");
}

TEST_CASE("note: no ELF file, the wrong machine, the wrong type") {
  CHECK(has(error_of([] { parse_plugin_note({}, "x"); }), "the file has 0"));
  CHECK(error_of([] { parse_plugin_note(bytes_of(std::string(100, 'x')), "x"); }) == "[x] not an ELF file");
  std::string other = content_of("good");
  other[18] = static_cast<char>(183);
  CHECK(error_of([&] { parse_plugin_note(bytes_of(other), "x"); }) ==
        "[x] built for ELF machine 183; this host is machine 62 (x86-64)");
  other = content_of("good");
  other[16] = 2;
  CHECK(has(error_of([&] { parse_plugin_note(bytes_of(other), "x"); }), "ELF type 2"));
  CHECK(has(error_of([] { check_plugin_image(bytes_of(read_file(PROBE_HELPER)), "x"); }), "[x] "));
}

TEST_CASE("note: every truncation is refused") {
  const std::string whole = content_of("good");
  for (size_t size = 0; size < whole.size(); size += size < 2048 ? 7 : 131) {
    CAPTURE(size);
    CHECK_FALSE(survives(whole.substr(0, size)));
  }
}

TEST_CASE("note: damaged bytes never do worse than an Error") {
  const std::string whole = content_of("good");
  std::mt19937 random(7);
  const size_t rounds = kSanitized ? 2000 : 10000;
  for (size_t i = 0; i < rounds; ++i) {
    std::string damaged = whole;
    // Half of the damage goes to the headers, where it matters.
    for (int n = 0; n < 4; ++n) damaged[random() % (i % 2 ? damaged.size() : 1024)] = static_cast<char>(random());
    survives(damaged);
  }
}

TEST_CASE("note: fields of the wrong kind are named") {
  const std::string whole = content_of("good");
  const size_t at = whole.find("{\"id\":\"good\"");
  REQUIRE(at != std::string::npos);
  const auto with = [&](const std::string& from, const std::string& to) {
    REQUIRE(from.size() == to.size());
    std::string changed = whole;
    const size_t where = changed.find(from, at);
    REQUIRE(where != std::string::npos);
    changed.replace(where, from.size(), to);
    return error_of([&] { parse_plugin_note(bytes_of(changed), "x"); });
  };
  CHECK(has(with("\"id\":\"good\"", "\"id\":\"Good\""), "\"Good\""));
  CHECK(has(with("\"id\":\"good\"", "\"ix\":\"good\""), "\"id\" is missing"));
  CHECK(has(with("\"opset\":1", "\"opset\":x"), "note]"));
  CHECK(has(with("[0,1]", "[0.1]"), "\"abi\" has 1 numbers"));
  CHECK(has(with("\"toy\"", "    7"), "holds integer, not a string"));
  CHECK(has(with("\"Tests\"", "\"Te\\tt\""), "control character 0x9"));
}
