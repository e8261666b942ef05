// Which plugin takes a model, and what is said when none does or two do.
#include "plugin/selection.hpp"

#include "plugin_fixture.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

PluginRow row(const std::string& id, const std::string& version = "1.0", Trust trust = Trust::unknown) {
  PluginRow r{.file = "/p/" + id + "-" + version + ".so", .trust = trust};
  r.note.emplace();
  r.note->id = id;
  r.note->version = version;
  r.note->archs = {{"Toy", {"ToyForCausalLM"}, {"toy"}, {"toy"}}};
  return r;
}

PluginRow refused(const std::string& file, const std::string& reason) {
  return {.file = file, .status = PluginStatus::refused, .reason = reason};
}

const ModelNames kHf{.format = Format::safetensors, .hf = {"ToyForCausalLM"}, .model_type = "toy", .gguf = ""};
const ModelNames kGguf{.format = Format::gguf, .hf = {}, .model_type = "", .gguf = "toy"};

ScoreFn fixed(int score) {
  return [score](const PluginRow&, uint32_t, std::string*) { return score; };
}

}  // namespace

TEST_CASE("selection: names of either format find the plugin") {
  std::vector<PluginRow> rows = {row("other"), row("toy")};
  rows[0].note->archs = {{"Other", {"OtherForCausalLM"}, {"other"}, {"other"}}};
  CHECK(select_plugin(kHf, rows, fixed(50)).row == 1);
  CHECK(select_plugin(kGguf, rows, fixed(50)).row == 1);
  CHECK(select_plugin({Format::safetensors, {"Unheard"}, "toy", ""}, rows, fixed(50)).row == 1);
  CHECK(select_plugin({Format::gguf, {}, "", "other"}, rows, fixed(1)).row == 0);
}

TEST_CASE("selection: trust, then score, then version") {
  const std::vector<PluginRow> rows = {row("a", "9.0"), row("b", "1.9", Trust::builtin),
                                       row("c", "1.10", Trust::builtin)};
  std::vector<std::string> asked;
  const ScoreFn score = [&](const PluginRow& r, uint32_t, std::string* why) {
    asked.push_back(r.note->id);
    *why = "because";
    return r.note->id == "a" ? 100 : 50;
  };
  const Selection chosen = select_plugin(kHf, rows, score);
  CHECK(rows[chosen.row].note->id == "c");
  CHECK(chosen.why == "because");
  // A plugin of a lower tier is not even asked.
  CHECK(asked == std::vector<std::string>{"b", "c"});
  const ScoreFn by_score = [](const PluginRow& r, uint32_t, std::string*) { return r.note->id == "b" ? 60 : 50; };
  CHECK(rows[select_plugin(kHf, rows, by_score).row].note->id == "b");
  const ScoreFn only_a = [](const PluginRow& r, uint32_t, std::string*) { return r.note->id == "a" ? 1 : 0; };
  const Selection fallback = select_plugin(kHf, rows, only_a);
  CHECK(rows[fallback.row].note->id == "a");
  CHECK(fallback.passed_over.size() == 2);
}

TEST_CASE("selection: a tie names both files") {
  const std::vector<PluginRow> rows = {row("a"), row("b", "1.0.0")};
  const std::string text = error_of([&] { select_plugin(kHf, rows, fixed(50)); });
  CHECK(text == "[plugin] /p/a-1.0.so (a 1.0) and /p/b-1.0.0.so (b 1.0.0) both take the model with score 50");
  CHECK(rows[select_plugin(kHf, rows, fixed(50), "b").row].note->id == "b");
}

TEST_CASE("selection: two files on disk tie, one pinned does not") {
  TempDir dir;
  install("good", dir.path());
  install("rival", dir.path());
  const PluginRegistry registry = scan(dir.path());
  const std::string text = error_of([&] { select_plugin(kHf, registry.rows(), fixed(50)); });
  CHECK(has(text, (dir.path() / "good.so").string()));
  CHECK(has(text, (dir.path() / "rival.so").string()));
  CHECK(registry.rows()[select_plugin(kHf, registry.rows(), fixed(50), "rival").row].note->id == "rival");
}

TEST_CASE("selection: no match says what is missing and what there is") {
  const std::vector<PluginRow> rows = {row("a"), refused("/p/bad.so", "[bad.so] no note")};
  CHECK(error_of([&] { select_plugin({Format::safetensors, {"NewForCausalLM"}, "new", ""}, rows, fixed(50)); }) ==
        "[plugin] no plugin lists architectures [\"NewForCausalLM\"], model_type \"new\"; installed: a 1.0; refused: "
        "/p/bad.so ([bad.so] no note)");
  CHECK(has(error_of([&] { select_plugin({Format::gguf, {}, "", "new"}, {}, fixed(50)); }),
            "general.architecture \"new\"; no plugin is installed"));
  CHECK(has(error_of([&] { select_plugin(kHf, rows, fixed(0)); }), "a 1.0: Toy does not take it"));
  const ScoreFn broken = [](const PluginRow&, uint32_t, std::string*) -> int {
    fail(ErrorCode::bad_plugin, "[a] died");
  };
  CHECK(has(error_of([&] { select_plugin(kHf, rows, broken); }), "Toy does not take it: [a] died"));
}

TEST_CASE("selection: a pin") {
  const ModelNames renamed{Format::safetensors, {"MyToy"}, "my_toy", ""};
  std::vector<PluginRow> rows = {row("a"), row("b")};
  CHECK(select_plugin(renamed, rows, fixed(1), "b").row == 1);
  CHECK(has(error_of([&] { select_plugin(renamed, rows, fixed(1), "c"); }),
            "no plugin has the id c; installed: a 1.0, b 1.0"));
  rows[1].note->archs.push_back({"Toy2", {"Toy2"}, {}, {}});
  CHECK(has(error_of([&] { select_plugin(renamed, rows, fixed(1), "b"); }), "b holds Toy, Toy2; none lists"));
}

TEST_CASE("selection: the best of a plugin's architectures, the first of equals") {
  std::vector<PluginRow> rows = {row("a")};
  rows[0].note->archs.push_back({"ToyToo", {"ToyForCausalLM"}, {}, {}});
  CHECK(select_plugin(kHf, rows, fixed(50)).arch == 0);
  CHECK(select_plugin(kHf, rows, [](const PluginRow&, uint32_t arch, std::string*) { return arch ? 60 : 50; }).arch ==
        1);
}

TEST_CASE("selection: versions") {
  CHECK(compare_versions("0.9", "0.10") < 0);
  CHECK(compare_versions("1.0", "1") == 0);
  CHECK(compare_versions("1.0.1", "1.0") > 0);
  CHECK(compare_versions("1.0-rc1", "1.0") < 0);
  CHECK(compare_versions("1.0-rc1", "1.0-rc2") < 0);
  CHECK(compare_versions("99999999999999999999", "99999999999999999998") > 0);
}
