// Fields of a protobuf message (wire format of protobuf.dev/programming-guides/encoding), checked: a field never
// reaches past its message.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace tenon {

class ProtobufReader {
 public:
  struct Field {
    uint32_t number = 0;
    uint32_t wire = 0;       // 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes
    uint64_t value = 0;      // of wires 0, 1 and 5
    std::string_view bytes;  // of wire 2

    int32_t as_int() const { return static_cast<int32_t>(value); }
    float as_float() const { return std::bit_cast<float>(static_cast<uint32_t>(value)); }
  };

  /// `place` names the file in errors.
  ProtobufReader(std::string_view message, std::string_view place) : rest_(message), place_(place) {}

  /// The next field; false at the message's end. Error{bad_model} for what is no message.
  bool next(Field& field) {
    if (rest_.empty()) return false;
    const uint64_t key = varint();
    field = {static_cast<uint32_t>(key >> 3), static_cast<uint32_t>(key & 7), 0, {}};
    if (field.number == 0 || key >> 32 != 0) broken("has a field without a number");
    switch (field.wire) {
      case 0:
        field.value = varint();
        break;
      case 1:
      case 5: {
        const std::string_view bytes = take(field.wire == 1 ? 8 : 4);
        std::memcpy(&field.value, bytes.data(), bytes.size());  // little endian, as this machine
        break;
      }
      case 2:
        field.bytes = take(varint());
        break;
      default:
        broken("has a field of an unknown kind");
    }
    return true;
  }

 private:
  [[noreturn]] void broken(const char* what) const {
    fail(ErrorCode::bad_model, "[{}] the file {}, {} bytes before the end of a message", place_, what, rest_.size());
  }
  std::string_view take(uint64_t n) {
    if (n > rest_.size()) broken("has a field that is longer than its message");
    const std::string_view out = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return out;
  }
  uint64_t varint() {
    uint64_t out = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const uint64_t byte = static_cast<unsigned char>(take(1)[0]);
      out |= (byte & 0x7f) << shift;
      if (byte < 0x80) return out;
    }
    broken("has a number of more than ten bytes");
  }

  std::string_view rest_, place_;
};

}  // namespace tenon
