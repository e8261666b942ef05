// A tokenizer from a SentencePiece model (tokenizer.model, message ModelProto of sentencepiece_model.proto), with
// tokenizer_config.json beside it. Segmentation is SentencePiece's own (Kudo and Richardson 2018).
#include <algorithm>

#include "base/error.hpp"
#include "text/protobuf.hpp"
#include "text/sentencepiece_models.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxPieces = size_t{1} << 22;

class SentencePieceReader {
 public:
  SentencePieceReader(std::string_view bytes, std::string_view place, const Value* config, const BareOptions& options)
      : place_(place), config_(config), options_(options) {
    how_.byte_fallback = false, how_.text.remove_extra_whitespaces = true;  // the format's defaults, as below
    ProtobufReader message(bytes, place);
    ProtobufReader::Field field;
    while (message.next(field)) {
      if (field.number == 1) read_piece(text_of(field, "pieces"));
      if (field.number == 2) read_trainer(text_of(field, "trainer_spec"));
      if (field.number == 3) read_normalizer(text_of(field, "normalizer_spec"));
    }
    if (pieces_.empty()) fail(ErrorCode::bad_model, "[{}] the file has no pieces", place);
  }

  std::shared_ptr<const Tokenizer> read() {
    read_kind();
    const std::vector<AddedToken> added = config_ ? added_tokens_decoder(*config_) : std::vector<AddedToken>();
    size_t top = pieces_.size();
    for (const AddedToken& token : added) top = std::max(top, static_cast<size_t>(token.id) + 1);
    b_.vocabulary().resize(top);
    b_.vocabulary().reserve_index(top);
    for (size_t i = 0; i < pieces_.size(); ++i) set_piece(static_cast<int32_t>(i), pieces_[i]);
    for (const AddedToken& token : added) add(token);
    index_tokens(b_);
    for (const Piece& piece : pieces_) how_.scores.push_back(piece.score);
    how_.unknown_id = stored(unknown_);
    how_.fuse_unknown = true;
    use_sentencepiece(b_, std::move(how_));
    name_tokens();
    apply_bare_options(b_, options_);
    if (stored(unknown_) >= 0) b_.change_piece(stored(unknown_), unknown_surface_);
    return b_.finish();
  }

 private:
  struct Piece {
    std::string_view text;
    float score = 0;
    TokenKind kind = TokenKind::normal;
  };

  std::string_view text_of(const ProtobufReader::Field& field, const char* name) const {
    if (field.wire != 2)
      fail(ErrorCode::bad_model, "[{}] field {} has the wire type {}, not 2", place_, name, field.wire);
    return field.bytes;
  }

  void read_piece(std::string_view message) {
    if (pieces_.size() == kMaxPieces) fail(ErrorCode::bad_model, "[{}] more than {} pieces", place_, kMaxPieces);
    ProtobufReader fields(message, place_);
    ProtobufReader::Field field;
    Piece piece;
    while (fields.next(field)) {
      if (field.number == 1) piece.text = text_of(field, "piece");
      if (field.number == 2) piece.score = field.as_float();
      if (field.number != 3) continue;
      if (field.value < 1 || field.value > 6)
        fail(ErrorCode::bad_model, "[{}] piece {} has type {}, outside 1..6", place_, pieces_.size(), field.value);
      piece.kind = static_cast<TokenKind>(field.value);
    }
    pieces_.push_back(piece);
  }

  void read_trainer(std::string_view message) {
    ProtobufReader fields(message, place_);
    ProtobufReader::Field field;
    while (fields.next(field)) {
      if (field.number == 3) model_type_ = field.value;
      if (field.number == 24 && field.value != 0) behind_ = true;
      if (field.number == 35) how_.byte_fallback = field.value != 0;
      if (field.number == 40) unknown_ = field.as_int();
      if (field.number == 41) ids_.bos = field.as_int();
      if (field.number == 42) ids_.eos = field.as_int();
      if (field.number == 43) pad_ = field.as_int();
      if (field.number == 44) unknown_surface_ = text_of(field, "unk_surface");
    }
  }

  void read_normalizer(std::string_view message) {
    ProtobufReader fields(message, place_);
    ProtobufReader::Field field;
    while (fields.next(field)) {
      if (field.number == 2) charsmap_ = text_of(field, "precompiled_charsmap");
      if (field.number == 3) prefix_ = field.value != 0;
      if (field.number == 4) how_.text.remove_extra_whitespaces = field.value != 0;
      if (field.number == 5) escapes_ = field.value != 0;
    }
  }

  void read_kind() {
    using Space = SentencePieceText::Space;
    if (model_type_ < 1 || model_type_ > 4)
      fail(ErrorCode::unsupported, "[{}] model_type {}, outside 1..4", place_, model_type_);
    if (!escapes_) fail(ErrorCode::unsupported, "[{}] escape_whitespaces is false", place_);
    how_.kind = static_cast<SentencePieceModel::Kind>(model_type_);
    how_.text.space = !prefix_ ? Space::none : behind_ ? Space::behind : Space::before;
    if (!charsmap_.empty()) how_.text.charsmap = std::make_shared<const Charsmap>(charsmap_, std::string(place_));
    if (how_.kind == SentencePieceModel::Kind::words && how_.byte_fallback)
      fail(ErrorCode::unsupported, "[{}] byte_fallback of a model of words", place_);
  }

  // Control pieces are never found by segmentation; user-defined ones are found in the normalised text before it where
  // the model does not find them itself.
  void set_piece(int32_t id, const Piece& piece) {
    if (piece.kind == TokenKind::control || piece.kind == TokenKind::unknown) {
      b_.vocabulary().set(id, piece.text, piece.kind);
      if (piece.kind == TokenKind::control) b_.added().add({std::string(piece.text), id, true});
    } else {
      set_marked_token(b_, id, piece.text, piece.kind);
      if (piece.kind != TokenKind::user_defined) return;
      if (how_.kind == SentencePieceModel::Kind::bpe || how_.kind == SentencePieceModel::Kind::characters)
        b_.added_normalized().add({unmarked(piece.text), id, false});
      how_.text.untouched.emplace_back(piece.text);
    }
  }

  /// A token of tokenizer_config.json; those that the vocabulary has already stay what they are.
  void add(const AddedToken& token) {
    if (token.id < static_cast<int32_t>(pieces_.size())) {
      const TokenKind kind = pieces_[static_cast<size_t>(token.id)].kind;
      if (kind == TokenKind::control || kind == TokenKind::unknown) return;
    }
    b_.vocabulary().set(token.id, token.content, token.special ? TokenKind::control : TokenKind::user_defined);
    b_.added().add(token);
  }

  int32_t stored(int32_t id) const { return id >= 0 && id < static_cast<int32_t>(pieces_.size()) ? id : -1; }

  void name_tokens() {
    ids_ = {stored(ids_.bos), stored(ids_.eos)};
    b_.name_token("unk_token", stored(unknown_));
    b_.name_token("pad_token", stored(pad_));
    if (ids_.bos >= 0) b_.prefix().push_back(ids_.bos);  // as every model of this kind wants it
    if (config_) return apply_tokenizer_config(b_, *config_, ids_);
    b_.set_bos(ids_.bos);
    b_.set_eos(ids_.eos);
  }

  std::string_view place_, charsmap_, unknown_surface_ = " \xe2\x81\x87 ";
  const Value* config_;
  const BareOptions& options_;
  TokenizerBuilder b_;
  std::vector<Piece> pieces_;
  SentencePieceModel how_;
  NamedIds ids_{.bos = 1, .eos = 2};
  int32_t unknown_ = 0, pad_ = -1;
  uint64_t model_type_ = 1;
  bool prefix_ = true, behind_ = false, escapes_ = true;
};

}  // namespace

std::shared_ptr<const Tokenizer> tokenizer_from_sentencepiece(std::string_view bytes, std::string_view place,
                                                              const Value* config, const BareOptions& options) {
  return SentencePieceReader(bytes, place, config, options).read();
}

}  // namespace tenon
