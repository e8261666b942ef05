// Recurrent models far beyond a step and beyond the length that their files name.
#include "api/tenon.hpp"
#include "backend/backend.hpp"
#include "fixture_rows.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

api::Model load(const std::string& id, const std::filesystem::path& plugins, int64_t ctx,
                const api::LogitsOptions& feed) {
  const api::LoadOptions options{.backend = "cpu", .threads = 2, .exact = true, .plugin_dirs = {plugins}, .ctx = ctx};
  return api::Model::load(source_dir() / "tests/golden" / id / "hf", api::logits_load_options(options, feed));
}

}  // namespace

TEST_CASE("4000 tokens through recurrent layers: the state keeps its size, the numbers stay") {
  constexpr int64_t kLong = 4000;
  api::LogitsOptions steps, pieces;
  for (int64_t i = 0; i < kLong; ++i) steps.tokens.push_back(static_cast<int32_t>((i * i + 7 * i) % 211));
  pieces.tokens = steps.tokens;
  for (int64_t left = kLong; left > 0; left -= 333) pieces.chunks.push_back(std::min<int64_t>(left, 333));
  // What a token adds in f32: two latent rows of 12 + 6 in the last of these, nothing in the others.
  for (const auto& [id, token_bytes] :
       {std::pair<const char*, uint64_t>{"mamba", 0}, {"mamba2", 0}, {"rwkv7", 0}, {"kimi_linear", 2 * 18 * 4}}) {
    CAPTURE(id);
    const auto plugins = plugins_of_build(id);
    if (!plugins) continue;
    auto brief = load(id, *plugins, 64, {.tokens = {1}}), model = load(id, *plugins, kLong, steps);
    CHECK(model.info().slot_bytes > 0);
    CHECK(model.info().slot_bytes == brief.info().slot_bytes);
    CHECK(model.info().page_bytes == kPageTokens * token_bytes);
    const auto whole = model.logits(steps);
    CHECK(whole.shape == std::vector<int64_t>{kLong, model.n_vocab()});
    CHECK(relative_error(load(id, *plugins, kLong, pieces).logits(pieces), whole) <= 1e-4);
  }
}
