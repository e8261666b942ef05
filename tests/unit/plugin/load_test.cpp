// Probing and loading: a plugin's first code runs in a child, and whatever it does there the host goes on.
#include <signal.h>

#include <chrono>
#include <thread>

#include "plugin/sanitized.hpp"
#include "plugin_fixture.hpp"

using namespace tenon;
using namespace tenon::test;
using namespace std::chrono_literals;

namespace {

// Loads a test plugin with its own cache; a helper program probes it, or a fork when `helper` is empty.
struct Loader {
  TempDir dir, cache;
  PluginLoadOptions options;
  explicit Loader(const std::string& helper = PROBE_HELPER) {
    options.cache = cache.path();
    options.probe.helper = helper;
    options.probe.timeout = 20s;
  }
  std::string refusal(const std::string& name) {
    PluginRow row = row_of(name, dir.path());
    REQUIRE(row.status == PluginStatus::ok);
    const std::string reason = error_of([&] { load_plugin(row, options); });
    CHECK(row.status == (reason.empty() ? PluginStatus::ok : PluginStatus::failed));
    CHECK(row.reason == reason);
    return reason;
  }
};

}  // namespace

TEST_CASE("load: a good plugin answers, once per content") {
  Loader loader;
  PluginRow row = row_of("good", loader.dir.path());
  const LoadedPlugin& plugin = load_plugin(row, loader.options);
  CHECK(plugin.note.id == "good");
  CHECK(plugin.sha256 == row.sha256);
  CHECK(fs::exists(loader.cache.path() / "tenon/plugins" / (row.sha256 + ".so")));
  tn_match match{.size = sizeof(tn_match), .reserved0 = 0, .score = 0, .reserved1 = 0, .why = nullptr};
  CHECK(plugin.entry.arch->match(nullptr, nullptr, 0, &match) == TN_OK);
  CHECK(match.score == 50);

  const size_t count = loaded_plugin_count();
  PluginRow copy = read_plugin_row(install("good", loader.dir.path(), "copy"), Trust::unknown);
  CHECK(&load_plugin(copy, loader.options) == &plugin);
  CHECK(loaded_plugin_count() == count);

  // The drop-in file may go or be overwritten in place: the copy serves on.
  std::ofstream(row.file, std::ios::trunc) << "x";
  CHECK(plugin.entry.arch->match(nullptr, nullptr, 0, &match) == TN_OK);
}

TEST_CASE("load: constructors that misbehave are refused with what they did") {
  for (const std::string helper : {PROBE_HELPER, ""}) {
    CAPTURE(helper);
    Loader loader(helper);
    CHECK(loader.refusal("ctor_aborts") == "[ctor_aborts.so] probe: killed by SIGABRT while loading");
    CHECK(loader.refusal("ctor_segfaults") == "[ctor_segfaults.so] probe: killed by SIGSEGV while loading");
    CHECK(loader.refusal("ctor_exits") == "[ctor_exits.so] probe: exited with status 0 while loading");
    const std::string trap = loader.refusal("ctor_illegal");
    CHECK((has(trap, "SIGILL") || has(trap, "SIGTRAP")));
    loader.options.probe.memory = uint64_t{256} << 20;
    const std::string hog = loader.refusal("ctor_hogs");
    CHECK(has(hog, "[ctor_hogs.so] probe: took "));
    CHECK(has(hog, "the limit is 256 MiB"));
    CHECK(has(loader.refusal("ctor_reserves"), "[ctor_reserves.so] probe: took "));
  }
}

TEST_CASE("load: constructors that do not return are stopped") {
  for (const std::string helper : {PROBE_HELPER, ""}) {
    CAPTURE(helper);
    Loader loader(helper);
    loader.options.probe.timeout = 300ms;
    const auto begin = std::chrono::steady_clock::now();
    CHECK(loader.refusal("ctor_loops") == "[ctor_loops.so] probe: did not load within 300 ms");
    CHECK(loader.refusal("ctor_sleeps") == "[ctor_sleeps.so] probe: did not load within 300 ms");
    CHECK(std::chrono::steady_clock::now() - begin < 10s);
  }
}

TEST_CASE("load: a lying entry is refused") {
  Loader loader;
  CHECK(loader.refusal("entry_abi") == "[entry_abi.so] built for plugin ABI 7.1; this host has 0.1");
  CHECK(loader.refusal("no_arch") == "[no_arch.so] does not offer interface tenon.arch/0");
}

TEST_CASE("load: what was refused or changed after the scan stays out") {
  Loader loader;
  PluginRow refused = row_of("other_major", loader.dir.path());
  CHECK(has(error_of([&] { load_plugin(refused, loader.options); }), "needs plugin ABI 9.0"));
  PluginRow row = row_of("good", loader.dir.path());
  install("rival", loader.dir.path(), "good");
  CHECK(has(error_of([&] { load_plugin(row, loader.options); }), "changed after it was scanned"));
  PluginRow gone = row_of("rival", loader.dir.path());
  fs::remove(gone.file);
  CHECK_THROWS_AS(load_plugin(gone, loader.options), Error);
  CHECK(gone.status == PluginStatus::ok);
}

TEST_CASE("load: without a cache a plugin is loaded from memory") {
  TempDir dir;
  const std::string content = read_file(install("ctor_chatty", dir.path()));
  const fs::path blocked = dir.path() / "file";
  std::ofstream(blocked) << "not a directory";
  CHECK_FALSE(private_cache_dir("plugins", blocked).has_value());
  const LoadableFile file = store_plugin(std::as_bytes(std::span(content)), "0000", blocked);
  REQUIRE(file.memory.get() >= 0);
  for (const std::string helper : {PROBE_HELPER, ""}) {
    const ProbeVerdict verdict = probe_plugin(file, "0000", "chatty.so", {.helper = helper, .cache = blocked});
    CHECK_MESSAGE(verdict.ok, verdict.reason);
  }
  CHECK(open_plugin_entry(file.path, "chatty.so").arch != nullptr);
}

TEST_CASE("cache: a directory that others may write to is not used, and damaged copies are replaced") {
  TempDir base;
  fs::create_directory(base.path() / "tenon");
  fs::permissions(base.path() / "tenon", fs::perms(0777));
  CHECK_FALSE(private_cache_dir("plugins", base.path()).has_value());
  fs::permissions(base.path() / "tenon", fs::perms(0755));
  CHECK(private_cache_dir("plugins", base.path()).has_value());
  const std::string content = "plugin bytes";
  const auto bytes = std::as_bytes(std::span(content));
  const fs::path stored = store_plugin(bytes, "abcd", base.path()).path;
  fs::permissions(stored, fs::perms(0600));
  std::ofstream(stored, std::ios::trunc) << "other bytes!";
  CHECK(read_file(store_plugin(bytes, "abcd", base.path()).path) == content);
}

TEST_CASE("probe: verdicts are remembered per content; timeouts and failures to start are not") {
  TempDir dir, cache;
  const auto probe = [&](const std::string& name, ProbeOptions options) {
    options.cache = cache.path();
    return probe_plugin({install(name, dir.path()), {}}, name, name, options);
  };
  CHECK_FALSE(probe("ctor_aborts", {.helper = PROBE_HELPER}).cached);
  const ProbeVerdict again = probe("ctor_aborts", {.helper = "/does/not/exist"});
  CHECK(again.cached);
  CHECK_FALSE(again.ok);
  CHECK(has(again.reason, "SIGABRT"));
  CHECK_FALSE(probe("ctor_aborts", {.helper = PROBE_HELPER, .use_cache = false}).cached);

  const ProbeVerdict late = probe("ctor_sleeps", {.helper = PROBE_HELPER, .timeout = 100ms});
  CHECK_FALSE(late.conclusive);
  CHECK_FALSE(probe("ctor_sleeps", {.helper = PROBE_HELPER, .timeout = 100ms}).cached);
  CHECK(has(probe("good", {.helper = "/does/not/exist"}).reason, "cannot start /does/not/exist"));
  CHECK(probe("good", {.helper = PROBE_HELPER}).ok);
  CHECK(probe("good", {.helper = "/does/not/exist"}).ok);

  std::ofstream(cache.path() / "tenon/probe/good.json") << R"({"host":"another","ok":false,"reason":"old"})";
  CHECK(probe("good", {.helper = PROBE_HELPER}).ok);
}

TEST_CASE("probe: a program that reaps children by itself still gets a verdict") {
  TempDir dir;
  signal(SIGCHLD, SIG_IGN);
  const LoadableFile file{install("good", dir.path()), {}};
  CHECK(probe_plugin(file, "x", "good.so", {.helper = PROBE_HELPER, .use_cache = false}).ok);
  const LoadableFile bad{install("ctor_aborts", dir.path()), {}};
  CHECK_FALSE(probe_plugin(bad, "x", "bad.so", {.helper = PROBE_HELPER, .use_cache = false}).ok);
  signal(SIGCHLD, SIG_DFL);
}

TEST_CASE("probe: several threads at once") {
  TempDir dir;
  const LoadableFile file{install("good", dir.path()), {}};
  std::vector<std::thread> threads;
  std::atomic<int> fine{0};
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&, i] {
      // A plain fork of several threads is left out where a sanitizer's allocator cannot be forked safely.
      const char* helper = i % 2 || kSanitized ? PROBE_HELPER : "";
      const ProbeOptions options{.helper = helper, .timeout = 30s, .use_cache = false};
      if (probe_plugin(file, "x", "good.so", options).ok) ++fine;
    });
  for (std::thread& thread : threads) thread.join();
  CHECK(fine == 4);
}
