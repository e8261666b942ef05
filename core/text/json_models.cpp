#include "text/json_models.hpp"

#include <algorithm>

#include "base/chunks.hpp"
#include "base/error.hpp"
#include "text/affix_bpe.hpp"
#include "text/json_fields.hpp"
#include "text/rewrites.hpp"
#include "text/unigram.hpp"
#include "text/word_piece.hpp"

namespace tenon {

namespace {

constexpr const char* kPlace = "tokenizer.json";
using Kind = JsonModel::Kind;

// Files from before models had types are told apart by their members.
Kind kind_of(const Value& model) {
  const Value* type = model.find("type");
  if (type && type->is_string()) {
    static const std::pair<const char*, Kind> kKinds[] = {{"BPE", Kind::bpe},
                                                          {"Unigram", Kind::unigram},
                                                          {"WordPiece", Kind::word_piece},
                                                          {"WordLevel", Kind::word_level}};
    for (const auto& [name, kind] : kKinds)
      if (type->as_string() == name) return kind;
    fail(ErrorCode::unsupported, "[tokenizer.json] model type '{}'", type->as_string());
  }
  if (model.find("merges")) return Kind::bpe;
  if (model.find("continuing_subword_prefix")) return Kind::word_piece;
  return json_member(model, "vocab", kPlace).is_array() ? Kind::unigram : Kind::word_level;
}

// The text and score of an entry of a Unigram vocabulary.
std::pair<std::string_view, double> scored(const Value& entry, size_t id) {
  const Value::Array* pair = entry.is_array() ? &entry.as_array() : nullptr;
  if (!pair || pair->size() != 2 || !(*pair)[0].is_string() || !(*pair)[1].is_number())
    fail(ErrorCode::bad_model, "[tokenizer.json] vocabulary entry {} is no [text, score]", id);
  return {(*pair)[0].as_string(), (*pair)[1].as_double()};
}

// A merge is [left, right], or both with a space between.
std::pair<std::string_view, std::string_view> parts_of(const Value& merge, size_t i) {
  if (merge.is_array() && merge.as_array().size() == 2 && merge.as_array()[0].is_string() &&
      merge.as_array()[1].is_string())
    return {merge.as_array()[0].as_string(), merge.as_array()[1].as_string()};
  if (!merge.is_string()) fail(ErrorCode::bad_model, "[tokenizer.json] merge {} is no pair of texts", i);
  const std::string_view text = merge.as_string();
  const size_t space = text.find(' ');
  if (space == std::string_view::npos)
    fail(ErrorCode::bad_model, "[tokenizer.json] merge {} is '{}', not two parts", i, text);
  return {text.substr(0, space), text.substr(space + 1)};
}

std::array<int32_t, 256> byte_ids(const Vocabulary& vocabulary) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::array<int32_t, 256> ids{};
  for (size_t b = 0; b < 256; ++b) {
    const char name[] = {'<', '0', 'x', kDigits[b >> 4], kDigits[b & 15], '>'};
    ids[b] = vocabulary.find({name, sizeof name});
  }
  return ids;
}

// The tokens that are found by their text.
std::vector<std::pair<std::string_view, int32_t>> findable(const Vocabulary& vocabulary) {
  std::vector<std::pair<std::string_view, int32_t>> out;
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (const std::string_view text = vocabulary.piece(id); !text.empty() && vocabulary.find(text) == id)
      out.emplace_back(text, id);
  return out;
}

}  // namespace

int32_t json_id(const Value& v, const char* what) {
  if (!v.is_int() || v.as_int() < 0 || v.as_int() >= (int64_t{1} << 22))
    fail(ErrorCode::bad_model, "[tokenizer.json] {} has no usable id", what);
  return static_cast<int32_t>(v.as_int());
}

JsonModel::JsonModel(const Value& model)
    : model_(model), vocab_(json_member(model, "vocab", kPlace)), kind_(kind_of(model)) {
  if (kind_ == Kind::unigram ? !vocab_.is_array() : !vocab_.is_object())
    fail(ErrorCode::bad_model, "[tokenizer.json] model.vocab is {}", Value::kind_name(vocab_.kind()));
}

std::string JsonModel::affix(const char* key) const {
  const Value* v = model_.find(key);
  return v && v->is_string() ? v->as_string() : "";
}

bool JsonModel::spells_all_bytes() const {
  if (kind_ != Kind::bpe || !affix("continuing_subword_prefix").empty() || !affix("end_of_word_suffix").empty())
    return false;
  for (int b = 0; b < 256; ++b) {
    const char byte = static_cast<char>(b);
    if (!vocab_.find(rewrites::spell({&byte, 1}))) return false;
  }
  return true;
}

size_t JsonModel::size() const {
  if (kind_ == Kind::unigram) return vocab_.as_array().size();
  size_t top = 0;
  for (const auto& [text, id] : vocab_.as_object())
    top = std::max<size_t>(top, static_cast<size_t>(json_id(id, "a vocabulary entry")) + 1);
  return top;
}

const Value* JsonModel::unknown_token() const {
  const Value* unknown = model_.find("unk_token");
  return unknown && unknown->is_string() && !unknown->as_string().empty() ? unknown : nullptr;
}

int32_t JsonModel::unknown_id() const {
  const Value* unknown = unknown_token();
  if (!unknown) return -1;
  const Value* id = vocab_.find(unknown->as_string());
  return id ? json_id(*id, "the unknown token") : -1;
}

void JsonModel::set_tokens(TokenizerBuilder& builder, Alphabet alphabet) const {
  Vocabulary& vocabulary = builder.vocabulary();
  if (kind_ == Kind::unigram) {
    const Value::Array& entries = vocab_.as_array();
    for (size_t i = 0; i < entries.size(); ++i)
      vocabulary.set(static_cast<int32_t>(i), scored(entries[i], i).first, TokenKind::normal);
    for (size_t i = entries.size(); i-- > 0;) vocabulary.index(static_cast<int32_t>(i));  // the last of equals counts
    return;
  }
  std::string bytes;
  for (const auto& [text, value] : vocab_.as_object()) {
    const bool spelled = alphabet == Alphabet::bytes && unspell_bytes(text, bytes);
    vocabulary.set(static_cast<int32_t>(value.as_int()), spelled ? bytes : text, TokenKind::normal);
  }
  for (int32_t id = 0; id < vocabulary.size(); ++id)
    if (vocabulary.kind(id) == TokenKind::normal) vocabulary.index(id);
}

void JsonModel::fill(TokenizerBuilder& builder, Alphabet alphabet) const {
  set_tokens(builder, alphabet);
  switch (kind_) {
    case Kind::bpe:
      if (const Value* dropout = model_.find("dropout"); dropout && dropout->is_number() && dropout->as_double() != 0)
        fail(ErrorCode::unsupported, "[tokenizer.json] model.dropout {}", dropout->as_double());
      return alphabet == Alphabet::text && needs_affixes(builder) ? fill_affix_bpe(builder)
                                                                  : fill_bpe(builder, alphabet);
    case Kind::unigram:
      return fill_unigram(builder);
    case Kind::word_piece:
      return fill_word_piece(builder);
    case Kind::word_level:
      return builder.set_model(std::make_unique<WordLevel>(unknown_id()));
  }
}

// Bpe keeps a place for what it drops, where the format lets its neighbours meet.
bool JsonModel::needs_affixes(const TokenizerBuilder& builder) const {
  if (!affix("continuing_subword_prefix").empty() || !affix("end_of_word_suffix").empty()) return true;
  if (unknown_id() >= 0) return false;
  const std::array<int32_t, 256> bytes = byte_ids(builder.vocabulary());
  return !json_bool(model_, "byte_fallback", false) || std::ranges::find(bytes, -1) != bytes.end();
}

// Merges for one thread at least, and those whose parts are looked up side by side.
constexpr size_t kLeastMerges = 8192, kTogether = 32;

template <typename Merge>
void JsonModel::each_merge(const TokenizerBuilder& builder, Alphabet alphabet, Merge merge) const {
  const Vocabulary& vocabulary = builder.vocabulary();
  const size_t prefix = affix("continuing_subword_prefix").size();
  const Value::Array& merges = json_array(model_, "merges", kPlace);
  struct Ids {
    int32_t left, right, merged;
  };
  std::vector<Ids> ids(merges.size());
  const auto spell = [&](std::string_view text, std::string& bytes) {
    if (alphabet == Alphabet::text || !unspell_bytes(text, bytes)) bytes = text;
  };
  const auto look_up = [&](size_t begin, size_t end, int32_t& merged) {
    std::vector<std::string> parts(2 * kTogether);
    std::vector<int32_t> found(2 * kTogether);
    const size_t n = end - begin;
    for (size_t i = 0; i < n; ++i) {
      const auto [l, r] = parts_of(merges[begin + i], begin + i);
      spell(l, parts[2 * i]);
      spell(r, parts[2 * i + 1]);
    }
    vocabulary.find_all(std::span(parts).first(2 * n), found);
    for (size_t i = 0; i < n; ++i) {
      std::string &left = parts[2 * i], &right = parts[2 * i + 1];
      for (size_t side : {2 * i, 2 * i + 1})
        if (found[side] < 0)
          fail(ErrorCode::bad_model, "[tokenizer.json] merge {} names '{}', which is no token", begin + i, parts[side]);
      if (prefix > right.size())
        fail(ErrorCode::bad_model, "[tokenizer.json] merge {} lacks the prefix in '{}'", begin + i, right);
      merged = vocabulary.find(left.append(right, prefix), merged + 1);
      if (merged < 0)
        fail(ErrorCode::bad_model, "[tokenizer.json] merge {} makes '{}', which is no token", begin + i, left);
      ids[begin + i] = {found[2 * i], found[2 * i + 1], merged};
    }
  };
  in_chunks(merges.size(), kLeastMerges, [&](size_t begin, size_t end) {
    int32_t merged = -1;  // vocabularies mostly list tokens in the order of their merges
    for (; begin < end; begin += kTogether) look_up(begin, std::min(begin + kTogether, end), merged);
  });
  for (const Ids& m : ids) merge(m.left, m.right, m.merged);
}

void JsonModel::fill_bpe(TokenizerBuilder& builder, Alphabet alphabet) const {
  Bpe::Options options;
  options.symbols = alphabet == Alphabet::text ? Bpe::Symbols::characters : Bpe::Symbols::bytes;
  options.byte_fallback = alphabet == Alphabet::text && json_bool(model_, "byte_fallback", false);
  options.ignore_merges = json_bool(model_, "ignore_merges", false);
  options.fuse_unknown = json_bool(model_, "fuse_unk", false);
  options.unknown_id = unknown_id();
  Bpe& bpe = builder.bpe();
  bpe.configure(options);
  if (alphabet == Alphabet::bytes) {
    for (int b = 0; b < 256; ++b) {
      const char byte = static_cast<char>(b);
      bpe.set_byte(static_cast<uint8_t>(b), builder.vocabulary().find({&byte, 1}));
    }
  } else if (options.byte_fallback) {
    const std::array<int32_t, 256> ids = byte_ids(builder.vocabulary());
    for (size_t b = 0; b < 256; ++b) bpe.set_byte(static_cast<uint8_t>(b), ids[b]);
  }
  bpe.reserve_merges(json_array(model_, "merges", kPlace).size());
  each_merge(builder, alphabet, [&](int32_t left, int32_t right, int32_t id) { bpe.add_merge(left, right, id); });
}

void JsonModel::fill_affix_bpe(TokenizerBuilder& builder) const {
  AffixBpe::Options options;
  options.continuing_prefix = affix("continuing_subword_prefix");
  options.end_suffix = affix("end_of_word_suffix");
  options.ignore_merges = json_bool(model_, "ignore_merges", false);
  options.fuse_unknown = json_bool(model_, "fuse_unk", false);
  options.byte_fallback = json_bool(model_, "byte_fallback", false);
  options.byte_ids = byte_ids(builder.vocabulary());
  options.unknown_id = unknown_id();
  auto bpe = std::make_unique<AffixBpe>(std::move(options));
  each_merge(builder, Alphabet::text,
             [&](int32_t left, int32_t right, int32_t id) { bpe->add_merge(left, right, id); });
  builder.set_model(std::move(bpe));
}

void JsonModel::fill_unigram(TokenizerBuilder& builder) const {
  const Value::Array& entries = vocab_.as_array();
  Unigram::Options options;
  double lowest = 0;
  for (size_t i = 0; i < entries.size(); ++i) {
    options.scores.push_back(scored(entries[i], i).second);
    lowest = i == 0 ? options.scores[i] : std::min(lowest, options.scores[i]);
  }
  options.unknown_score = lowest - Unigram::kUnknownPenalty;
  options.tokens = findable(builder.vocabulary());
  if (const Value* unknown = model_.find("unk_id"); unknown && !unknown->is_null()) {
    options.unknown_id = json_id(*unknown, "the unknown token");
    if (static_cast<size_t>(options.unknown_id) >= entries.size())
      fail(ErrorCode::bad_model, "[tokenizer.json] unk_id is {}, the vocabulary has {}", options.unknown_id,
           entries.size());
  }
  options.byte_fallback = json_bool(model_, "byte_fallback", false);
  options.byte_ids = byte_ids(builder.vocabulary());
  builder.set_model(std::make_unique<Unigram>(std::move(options)));
}

void JsonModel::fill_word_piece(TokenizerBuilder& builder) const {
  WordPiece::Options options;
  options.tokens = findable(builder.vocabulary());
  options.continuing_prefix = affix("continuing_subword_prefix");
  options.unknown_id = unknown_id();
  const Value& most = json_member(model_, "max_input_chars_per_word", kPlace);
  if (!most.is_int() || most.as_int() < 0)
    fail(ErrorCode::bad_model, "[tokenizer.json] max_input_chars_per_word is no count");
  options.max_characters = static_cast<size_t>(most.as_int());
  builder.set_model(std::make_unique<WordPiece>(std::move(options)));
}

}  // namespace tenon
