// A fixture model end to end through the public face: both formats, both backends.
#include <unistd.h>

#include <set>

#include "api/tenon.hpp"
#include "fixture_rows.hpp"
#include "text/unicode.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

struct Fixture {
  std::filesystem::path row, plugins;
};

std::optional<Fixture> fixture() {
  const auto row = shared("models/llama");
  if (!row) return std::nullopt;
  const auto plugins = plugins_of_build("llama");
  if (!plugins) return std::nullopt;
  return Fixture{*row, *plugins};
}

api::LoadOptions exact_options(const Fixture& f, const std::string& backend) {
  return {.backend = backend, .threads = 2, .exact = true, .plugin_dirs = {f.plugins}};
}

api::Array logits_of(const Fixture& f, const char* file, const std::string& backend,
                     const api::LogitsOptions& options) {
  return api::Model::load(f.row / file, api::logits_load_options(exact_options(f, backend), options)).logits(options);
}

/// True when a border lies inside a well-formed character.
bool splits_a_character(std::string_view text, const std::set<size_t>& borders) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = at + unicode::decode(text, at).length;
    const auto next = borders.upper_bound(at);
    if (next != borders.end() && *next < end) return true;
    at = end;
  }
  return false;
}

}  // namespace

TEST_CASE("logits hold to the reference, however they are fed") {
  const auto f = fixture();
  if (!f) return;
  const auto golden = read_npy(f->row / "logits.npy");
  const auto tokens = read_ids(f->row / "tokens.json", "tokens");
  const auto n = static_cast<int64_t>(tokens.size());
  for (const char* backend : {"reference", "cpu"})
    for (const char* file : {"hf", "model.gguf"}) {
      CAPTURE(backend);
      CAPTURE(file);
      const auto plain = logits_of(*f, file, backend, {.tokens = tokens});
      CHECK(relative_error(plain, golden) <= 2e-4);
      const std::vector<int64_t> thirds{n / 3, n / 2 - n / 3, n - n / 2};
      CHECK(relative_error(logits_of(*f, file, backend, {.tokens = tokens, .chunks = thirds}), plain) <= 1e-4);
      CHECK(relative_error(logits_of(*f, file, backend, {.tokens = tokens, .decode_from = 5}), plain) <= 1e-4);
      CHECK(relative_error(logits_of(*f, file, backend, {.tokens = tokens, .batch = 3}), plain) <= 1e-4);
    }
}

TEST_CASE("greedy ids equal the reference's") {
  const auto f = fixture();
  if (!f) return;
  const auto prompt = read_ids(f->row / "greedy.json", "prompt");
  const auto golden = read_ids(f->row / "greedy.json", "tokens");
  for (const char* file : {"hf", "model.gguf"}) {
    auto model = api::Model::load(f->row / file, exact_options(*f, "auto"));
    api::GenerateOptions options{.max_new_tokens = static_cast<int64_t>(golden.size()), .ignore_eos = true};
    options.want_text = false;
    const auto first = model.generate(prompt, options);
    CHECK(first.ids == golden);
    CHECK(first.finish_reason == "length");
    CHECK(model.generate(prompt, options).ids == golden);  // the second request as the first
    auto& runner = model.core().runner();
    CHECK(runner.pages().used() == runner.prefixes()->idle());
  }
}

TEST_CASE("streamed text is the whole text, the same seed gives the same text") {
  const auto f = fixture();
  if (!f) return;
  auto model = api::Model::load(f->row / "hf", exact_options(*f, "auto"));
  for (uint64_t seed = 0; seed < 8; ++seed) {
    api::GenerateOptions options{.max_new_tokens = 30, .sampling = {.temperature = 1.5f, .seed = seed}};
    options.ignore_eos = options.show_special = true;
    std::string streamed;
    std::vector<int32_t> ids;
    std::set<size_t> borders;
    options.on_token = [&](std::string_view text, int32_t id) {
      borders.insert(streamed.size());
      streamed += text;
      if (id >= 0) ids.push_back(id);
      return true;
    };
    const auto g = model.generate({1, 2, 3}, options);
    CHECK(streamed == g.text);
    CHECK_FALSE(splits_a_character(g.text, borders));
    CHECK(ids == g.ids);
    CHECK(g.text == model.text().decode(g.ids));
    CHECK(model.generate({1, 2, 3}, options).ids == g.ids);
  }
}

TEST_CASE("a listener or a flag cancels") {
  const auto f = fixture();
  if (!f) return;
  auto model = api::Model::load(f->row / "hf", exact_options(*f, "auto"));
  api::GenerateOptions options{.max_new_tokens = 50, .ignore_eos = true, .want_text = false};
  int heard = 0;
  options.on_token = [&](std::string_view, int32_t) { return ++heard < 4; };
  const auto g = model.generate({1, 2, 3}, options);
  CHECK(g.finish_reason == "cancelled");
  CHECK(g.ids.size() == 4);
  const std::atomic<bool> cancelled = true;
  options.cancel = &cancelled;
  CHECK(model.generate({1, 2, 3}, options).ids.empty());
}

TEST_CASE("contexts: the model's own, another one, too long prompts") {
  const auto f = fixture();
  if (!f) return;
  auto options = exact_options(*f, "auto");
  auto model = api::Model::load(f->row / "hf", options);
  CHECK(model.n_ctx() == model.info().n_ctx_trained);
  options.ctx = model.n_ctx() * 2 + 10;
  CHECK(api::Model::load(f->row / "hf", options).n_ctx() == options.ctx);
  options.ctx = 8;
  auto small = api::Model::load(f->row / "hf", options);
  CHECK_THROWS_WITH_AS(small.generate({1, 2, 3, 4, 5, 6, 7, 8}, {.want_text = false}),
                       "[request] a prompt of 8 tokens leaves no room in the context of 8", Error);
  CHECK(small.generate({1, 2, 3, 4, 5, 6}, {.ignore_eos = true, .want_text = false}).ids.size() == 2);
  options.ctx = 0;
  options.state_bytes = 1;
  auto cut = api::Model::load(f->row / "hf", options);
  CHECK(cut.n_ctx() <= 32);
  CHECK(cut.info().warnings.size() == 1);
}

TEST_CASE("bad pieces are usage errors") {
  const auto f = fixture();
  if (!f) return;
  api::LogitsOptions good{.tokens = {1, 2, 3, 4}};
  auto model = api::Model::load(f->row / "hf", api::logits_load_options(exact_options(*f, "auto"), good));
  CHECK(model.logits(good).shape == std::vector<int64_t>{4, model.n_vocab()});
  CHECK_THROWS_AS(model.logits({}), Error);
  CHECK_THROWS_AS(model.logits({.tokens = {1, 2}, .chunks = {3}}), Error);
  CHECK_THROWS_AS(model.logits({.tokens = {1, 2}, .chunks = {0}}), Error);
  CHECK_THROWS_AS(model.logits({.tokens = {1, 2}, .decode_from = 3}), Error);
  CHECK_THROWS_AS(model.logits({.tokens = {1, 2}, .batch = 100000}), Error);
  CHECK_THROWS_AS(model.logits({.tokens = {1, -2}}), Error);
}

TEST_CASE("measurement") {
  const auto f = fixture();
  if (!f) return;
  const api::BenchOptions options{.n_prompt = 20, .n_gen = 6, .batch = 3, .repeats = 2};
  auto model = api::Model::load(f->row / "model.gguf", api::bench_load_options(exact_options(*f, "auto"), options));
  const auto result = model.bench(options);
  REQUIRE(result.tests.size() == 2);
  CHECK(result.tests[0].n_prompt == 20);
  CHECK(result.tests[1].n_gen == 6);
  for (const auto& t : result.tests) {
    CHECK(t.samples.size() == 2);
    CHECK(t.min > 0);
    CHECK(t.min <= t.median);
    CHECK(t.median <= t.max);
  }
  CHECK(result.ttft_s > 0);
  CHECK(result.peak_rss_bytes > (1u << 20));
  CHECK_THROWS_AS(model.bench({.n_prompt = 1 << 29}), Error);
  CHECK_THROWS_AS(model.bench({.n_prompt = 1, .batch = 50}), Error);
}

TEST_CASE("inspection names what is stored and who serves it") {
  const auto f = fixture();
  if (!f) return;
  const auto found = api::inspect(f->row / "model.gguf", {f->plugins}, "");
  CHECK(found.format == "gguf");
  CHECK(found.plugin == "llama");
  CHECK(found.plugin_error.empty());
  REQUIRE(!found.tensors.empty());
  const auto& t = found.tensors.front();
  const auto values = api::read_tensor(f->row / "model.gguf", t.name);
  CHECK(values.shape == t.shape);
  CHECK(values.data.size() * 4 == t.bytes);
  CHECK_THROWS_AS(api::read_tensor(f->row / "model.gguf", "no such"), Error);
  CHECK(!api::inspect(f->row / "hf", {f->row}, "").plugin_error.empty());
}

TEST_CASE("plugins as rows") {
  const auto dir = plugins_of_build("llama");
  if (!dir) return;
  const Value rows = api::list_plugins({*dir});
  CHECK(rows.as_array().size() >= 1);
  CHECK(api::plugin_info("llama", {*dir}).find("id")->as_string() == "llama");
  CHECK(api::plugin_info((*dir / "llama.so").string(), {}).find("id")->as_string() == "llama");
  CHECK_THROWS_AS(api::plugin_info("none", {*dir}), Error);
}

TEST_CASE("arrays are written as NumPy reads them") {
  const auto path = std::filesystem::temp_directory_path() / fmt::format("tenon-npy-{}.npy", getpid());
  for (const std::vector<int64_t>& shape : {std::vector<int64_t>{2, 3}, {6}, {1, 2, 3}}) {
    api::write_npy(path, {shape, {1, 2, 3, 4.5f, -5, 6}});
    const auto back = read_npy(path);
    CHECK(back.shape == shape);
    CHECK(back.data == std::vector<float>{1, 2, 3, 4.5f, -5, 6});
  }
  std::filesystem::remove(path);
  CHECK_THROWS_AS(api::write_npy("no such dir/x.npy", {{1}, {1}}), Error);
}
