// Loading, logits and prompts. Generation is in generate.cpp, measurement in bench.cpp.
#include "api/model.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "engine/session.hpp"

namespace tenon::api {

Model Model::load(const std::filesystem::path& path, const LoadOptions& options) {
  return Model(tenon::Model::load(path, options));
}

const Text& Model::text() {
  if (!text_) text_ = std::make_shared<Text>(Text::of(model_->checkpoint(), model_->tokenizer()));
  return *text_;
}

std::shared_ptr<grammar::TokenMasks> Model::constraint(grammar::Grammar grammar) {
  if (!vocabulary_) vocabulary_ = grammar::VocabularyTrie::of(text().tokenizer());
  return std::make_shared<grammar::TokenMasks>(grammar::Compiled::compile(std::move(grammar)), vocabulary_);
}

SamplingParams Model::default_sampling() const {
  SamplingParams p{.temperature = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f};
  const Value* side = model_->checkpoint().side_json("generation_config.json");
  if (!side) return p;
  const auto number = [&](const char* key, float otherwise) {
    const Value* v = side->find(key);
    return v && v->is_number() ? static_cast<float>(v->as_double()) : otherwise;
  };
  const Value* does_sample = side->find("do_sample");
  if (!does_sample || !does_sample->is_bool() || !does_sample->as_bool()) return p;
  SamplingParams q{.temperature = number("temperature", 1), .top_p = number("top_p", 1), .min_p = number("min_p", 0)};
  q.repetition_penalty = number("repetition_penalty", 1);
  q.top_k = static_cast<int32_t>(std::clamp(number("top_k", 50), 0.0f, 1e6f));
  try {
    q.validate();
  } catch (const Error&) {
    return p;  // a recommendation only: a file's nonsense must not stop a run
  }
  return q;
}

std::vector<int32_t> Model::prompt_ids(std::string_view text_of_user, bool raw) {
  if (raw || !text().has_chat_template()) return text().encode(text_of_user, {.parse_special = true});
  Value::Object turn;
  turn.emplace_back("role", "user");
  turn.emplace_back("content", text_of_user);
  return text().render_ids(Value(Value::Array{Value(std::move(turn))}), {});
}

namespace {

/// The sizes of the pieces that the options ask for; Error{usage} when they do not fit the tokens.
std::vector<int64_t> pieces(const LogitsOptions& options) {
  const auto n = static_cast<int64_t>(options.tokens.size());
  const int64_t decode_from = options.decode_from.value_or(n);
  if (decode_from < 0 || decode_from > n) fail(ErrorCode::usage, "[logits] decode from token {} of {}", decode_from, n);
  std::vector<int64_t> sizes;
  int64_t done = 0;
  for (int64_t chunk : options.chunks) {
    if (chunk < 1 || chunk > n - done)
      fail(ErrorCode::usage, "[logits] a chunk of {} tokens after {} of {}", chunk, done, n);
    const int64_t whole = std::clamp<int64_t>(decode_from - done, 0, chunk);
    if (whole > 0) sizes.push_back(whole);
    sizes.insert(sizes.end(), static_cast<size_t>(chunk - whole), 1);
    done += chunk;
  }
  if (done < decode_from) sizes.push_back(decode_from - done);
  sizes.insert(sizes.end(), static_cast<size_t>(n - std::max(done, decode_from)), 1);
  return sizes;
}

}  // namespace

LoadOptions logits_load_options(LoadOptions base, const LogitsOptions& options) {
  base.all_logits = true;
  base.max_seqs = std::max<int64_t>(base.max_seqs, options.batch + 1);
  base.max_tokens = std::max(base.max_tokens, base.max_seqs);
  // The copies, and the filler, which is nearly twice as long as one.
  base.whole_tokens = (options.batch + (options.batch > 1 ? 2 : 0)) * std::ssize(options.tokens) + 1;
  return base;
}

Array Model::logits(const LogitsOptions& options) {
  const auto n = static_cast<int64_t>(options.tokens.size());
  if (n == 0) fail(ErrorCode::usage, "[logits] no tokens");
  const auto sizes = pieces(options);
  Session session(model_->runner(), {.planned_len = n, .copies = options.batch, .filler = options.batch > 1});
  Array out{{n, n_vocab()}, {}};
  out.data.reserve(static_cast<size_t>(n * n_vocab()));
  auto rest = std::span(options.tokens);
  for (int64_t size : sizes) {
    session.append(rest.first(static_cast<size_t>(size)), Rows::all, out.data);
    rest = rest.subspan(static_cast<size_t>(size));
  }
  return out;
}

}  // namespace tenon::api
