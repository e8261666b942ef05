// Written from Hugging Face's tokenizers (models/unigram) and SentencePiece (unigram_model.cc), which agree but for the
// precision of their sums.
#include "text/unigram.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxToken = 1024;  // bytes; what bounds the work at each place of a word
constexpr size_t kMaxWord = size_t{1} << 30;

}  // namespace

Unigram::Unigram(Options options) : options_(std::move(options)), trie_(std::move(options_.tokens)) {
  if (trie_.longest_token() > kMaxToken)
    fail(ErrorCode::bad_model, "[tokenizer] a token of {} bytes, more than {}", trie_.longest_token(), kMaxToken);
}

void Unigram::reach(Step& end, double score, uint32_t begin, int32_t id, bool single_precision) {
  if (single_precision) score = static_cast<float>(score);
  if (end.reached && !(score > end.score)) return;
  end = {score, begin, id, true};
}

// The best last step to each place, an index being a place in the word.
std::vector<Unigram::Step> Unigram::best_steps(std::string_view word) const {
  std::vector<Step> steps(word.size() + 1);
  for (size_t at = 0; at < word.size();) {
    const double so_far = steps[at].score;
    const size_t character = unicode::decode(word, at).length;
    const auto begin = static_cast<uint32_t>(at);
    bool single = false;
    trie_.each_prefix(word, at, [&](int32_t id, size_t length) {
      reach(steps[at + length], options_.scores[static_cast<size_t>(id)] + so_far, begin, id,
            options_.single_precision);
      single = single || length == character;
    });
    if (!single)
      reach(steps[at + character], options_.unknown_score + so_far, begin, options_.unknown_id,
            options_.single_precision);
    at += character;
  }
  return steps;
}

// Neighbouring unknown characters are one token, unless there are tokens for their bytes.
void Unigram::emit_unknown(const Vocabulary& vocabulary, std::string_view text, std::vector<int32_t>& out) const {
  if (const int32_t id = vocabulary.find(text); id >= 0) return out.push_back(id);
  const auto byte_id = [&](char c) { return options_.byte_ids[static_cast<unsigned char>(c)]; };
  if (options_.byte_fallback && std::ranges::all_of(text, [&](char c) { return byte_id(c) >= 0; })) {
    for (const char c : text) out.push_back(byte_id(c));
    return;
  }
  if (options_.unknown_id < 0)
    fail(ErrorCode::bad_model, "[tokenize] '{}' is no token, and the vocabulary has none for unknown text", text);
  out.push_back(options_.unknown_id);
}

void Unigram::encode(const Vocabulary& vocabulary, std::string_view word, std::vector<int32_t>& out) const {
  if (word.empty()) return;
  if (word.size() >= kMaxWord)
    fail(ErrorCode::capacity, "[tokenizer] a word of {} bytes exceeds {}", word.size(), kMaxWord);
  const std::vector<Step> steps = best_steps(word);
  std::vector<uint32_t> ends;
  for (size_t end = word.size(); end > 0; end = steps[end].begin) ends.push_back(static_cast<uint32_t>(end));
  size_t done = 0;  // what lies between here and a known token is unknown
  for (size_t i = ends.size(); i-- > 0;) {
    const Step& step = steps[ends[i]];
    if (step.id == options_.unknown_id) continue;
    if (step.begin > done) emit_unknown(vocabulary, word.substr(done, step.begin - done), out);
    out.push_back(step.id);
    done = ends[i];
  }
  if (done < word.size()) emit_unknown(vocabulary, word.substr(done), out);
}

}  // namespace tenon
