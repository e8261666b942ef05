// The tokens of a vocabulary as bytes, with their kinds, and an index from bytes to id.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tenon {

// The values GGUF writes in tokenizer.ggml.token_type.
enum class TokenKind : uint8_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

class Vocabulary {
 public:
  /// Room for `tokens` ids; Error{bad_model} above 2^22.
  void resize(size_t tokens);
  /// Sets a token; the last writer of an id wins.
  void set(int32_t id, std::string_view bytes, TokenKind kind);
  /// Makes bytes find this id unless another token already has them.
  void index(int32_t id);
  /// Number of slots the index is sized for; call before index().
  void reserve_index(size_t tokens);

  int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
  bool contains(int32_t id) const { return id >= 0 && id < size(); }
  std::string_view piece(int32_t id) const {
    const Piece& p = pieces_[static_cast<size_t>(id)];
    return {blob_.data() + p.offset, p.length};
  }
  TokenKind kind(int32_t id) const { return pieces_[static_cast<size_t>(id)].kind; }
  /// -1 when no indexed token has these bytes.
  int32_t find(std::string_view bytes) const;
  /// The ids of several, as find(); the places that they are looked for at are fetched side by side.
  void find_all(std::span<const std::string> bytes, std::span<int32_t> out) const;
  /// As find(), trying `guess` first; the guess may be any number.
  int32_t find(std::string_view bytes, int32_t guess) const {
    return contains(guess) && kind(guess) == TokenKind::normal && piece(guess) == bytes ? guess : find(bytes);
  }

 private:
  struct Piece {
    uint64_t offset = 0;
    uint32_t length = 0;
    TokenKind kind = TokenKind::unused;
  };
  struct Slot {
    uint32_t tag = 0;  // of the hash, so that a collision seldom has to look at the bytes
    int32_t id = -1;
  };
  size_t slot_of(std::string_view bytes, uint64_t hash) const;
  std::string blob_;
  std::vector<Piece> pieces_;
  std::vector<Slot> slots_;  // open addressing, a power of two
  size_t used_ = 0;
};

/// GPT-2's printable spelling of bytes: every byte is one code point. `unspell` returns false when a code point is none
/// of the 256.
bool unspell_bytes(std::string_view spelled, std::string& bytes);

/// The value of a "<0x41>" spelling; nothing for any other text.
std::optional<uint8_t> byte_token(std::string_view spelled);

}  // namespace tenon
