// GGUF versions 2 and 3 as a function of bytes. Written from the format document (ggml's docs/gguf.md) as summed up in
// Tenon's own notes; split sets are put together in gguf_checkpoint.cpp.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>

#include "base/checked.hpp"
#include "checkpoint/parse.hpp"

namespace tenon {
namespace {

constexpr uint64_t kMaxString = uint64_t{64} << 20;
constexpr uint64_t kMaxName = 65'535;
constexpr uint64_t kMaxArrayElements = uint64_t{1}
                                       << 23;  // over all arrays of a file: a Value is larger than its bytes
constexpr uint64_t kMaxAlignment = uint64_t{1} << 30;
// The least that one entry takes: lengths, one byte of name, type and a one-byte value; or one dimension.
constexpr uint64_t kLeastKeyValue = 8 + 1 + 4 + 1;
constexpr uint64_t kLeastTensorInfo = 8 + 1 + 4 + 8 + 4 + 8;

enum ValueType : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64, kEnd };

// Bytes of one value; a string takes at least its length field.
uint64_t least_bytes(uint32_t type) {
  static constexpr uint64_t kBytes[kEnd] = {1, 1, 2, 2, 4, 4, 4, 1, 8, 12, 8, 8, 8};
  return kBytes[type];
}

std::string_view unreadable_type_name(uint32_t id) {
  switch (id) {
    case 4:
      return "Q4_2, removed from the format";
    case 5:
      return "Q4_3, removed from the format";
    case 9:
      return "Q8_1, for activations only";
    case 15:
      return "Q8_K, for activations only";
    case 31:
      return "Q4_0_4_4, removed from the format";
    case 32:
      return "Q4_0_4_8, removed from the format";
    case 33:
      return "Q4_0_8_8, removed from the format";
    case 36:
      return "IQ4_NL_4_4, removed from the format";
    case 37:
      return "IQ4_NL_4_8, removed from the format";
    case 38:
      return "IQ4_NL_8_8, removed from the format";
    case 41:
      return "Q1_0, without a reference";
    case 42:
      return "Q2_0, without a reference";
    default:
      return "unknown";
  }
}

// Reads forward; every read is checked against the bytes left and its error says which entry was being read.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  /// What is being read, for messages: "key" and its name, "tensor" and its name, or "header".
  void enter(std::string_view kind, std::string_view name = {}) { kind_ = kind, name_ = name; }

  template <typename... Args>
  [[noreturn]] void refuse(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) const {
    const std::string what = fmt::format(format, std::forward<Args>(args)...);
    const std::string name = name_.empty() ? "" : " " + in_quotes(name_);
    fail(code, "[{}] {}{}: {}", file_, kind_, name, what);
  }

  template <typename... Args>
  [[noreturn]] void bad(fmt::format_string<Args...> format, Args&&... args) const {
    refuse(ErrorCode::bad_model, format, std::forward<Args>(args)...);
  }

  void need(uint64_t n, std::string_view field) const {
    if (n > left()) bad("{} needs {} bytes, {} are left at byte {}", field, n, left(), at_);
  }

  template <typename T>
  T number(std::string_view field) {
    need(sizeof(T), field);
    T value;
    std::memcpy(&value, bytes_.data() + at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  /// A length and its bytes, which stay in the file.
  std::string_view string(std::string_view field, uint64_t max) {
    const auto length = number<uint64_t>(field);
    if (length > max) bad("{} is {} bytes long, the limit is {}", field, length, max);
    need(length, field);
    const char* data = reinterpret_cast<const char*>(bytes_.data() + at_);
    at_ += length;
    return {data, length};
  }

  std::string_view name(std::string_view field) {
    const std::string_view text = string(field, kMaxName);
    if (text.empty()) bad("{} is 0 bytes long, the least is 1", field);
    if (!is_utf8(text)) bad("{} {} is not UTF-8", field, in_quotes(text));
    return text;
  }

  uint64_t at() const { return at_; }
  uint64_t left() const { return bytes_.size() - at_; }
  uint64_t size() const { return bytes_.size(); }
  std::string place() const { return fmt::format("{}] [{} {}", file_, kind_, in_quotes(name_)); }

 private:
  std::span<const std::byte> bytes_;
  std::string_view file_, kind_ = "header", name_;
  uint64_t at_ = 0;
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view file) : in_(bytes, file) {}

  GgufContents parse() {
    header();
    key_values();
    read_alignment();
    for (uint64_t i = 0; i < n_tensors_; ++i) tensor_info(i);
    check_names();
    place_tensors();
    check_overlaps();
    return {Value(std::move(metadata_)), std::move(tensors_)};
  }

 private:
  void header() {
    in_.enter("header");
    const auto magic = in_.number<uint32_t>("magic");
    if (magic != 0x46554747) {
      const auto bytes = std::bit_cast<std::array<char, 4>>(magic);
      in_.bad("magic {} is not \"GGUF\"", in_quotes({bytes.data(), bytes.size()}));
    }
    const auto version = in_.number<uint32_t>("version");
    if ((version & 0xffff) == 0 && version != 0)
      in_.refuse(ErrorCode::unsupported, "version {} is a byte-swapped {}: the file is big-endian", version,
                 __builtin_bswap32(version));
    if (version != 2 && version != 3) in_.refuse(ErrorCode::unsupported, "version {} is neither 2 nor 3", version);
    n_tensors_ = count("tensor count", kMaxTensors);
    n_key_values_ = count("key-value count", kMaxKeyValues);
    const uint64_t least = n_tensors_ * kLeastTensorInfo + n_key_values_ * kLeastKeyValue;
    if (least > in_.left())
      in_.bad("{} tensors and {} key-values need at least {} bytes, {} are left", n_tensors_, n_key_values_, least,
              in_.left());
  }

  uint64_t count(std::string_view field, uint64_t max) {
    const auto n = in_.number<uint64_t>(field);
    if (n > max) in_.bad("{} is {}, the limit is {}", field, n, max);
    return n;
  }

  void key_values() {
    metadata_.reserve(n_key_values_);
    for (uint64_t i = 0; i < n_key_values_; ++i) {
      in_.enter("key-values");
      const std::string_view key = in_.name("key");
      in_.enter("key", key);
      const uint32_t type = value_type("type");
      metadata_.emplace_back(std::string(key), type == kArray ? array() : scalar(type));
    }
    in_.enter("key-values");
    std::vector<std::string_view> keys;
    for (const Value::Member& member : metadata_) keys.push_back(member.first);
    if (const auto twice = find_duplicate(keys)) in_.bad("key {} occurs twice", in_quotes(*twice));
  }

  uint32_t value_type(std::string_view field) {
    const auto type = in_.number<uint32_t>(field);
    if (type >= kEnd) in_.bad("{} {} is unknown, the highest is {}", field, type, kEnd - 1);
    return type;
  }

  Value scalar(uint32_t type) {
    switch (type) {
      case kU8:
        return Value(int64_t{in_.number<uint8_t>("value")});
      case kI8:
        return Value(int64_t{in_.number<int8_t>("value")});
      case kU16:
        return Value(int64_t{in_.number<uint16_t>("value")});
      case kI16:
        return Value(int64_t{in_.number<int16_t>("value")});
      case kU32:
        return Value(int64_t{in_.number<uint32_t>("value")});
      case kI32:
        return Value(int64_t{in_.number<int32_t>("value")});
      case kF32:
        return Value(double{in_.number<float>("value")});
      case kBool:
        return boolean();
      case kString:
        return Value(in_.string("string", kMaxString));
      case kU64:
        return unsigned64();
      case kI64:
        return Value(in_.number<int64_t>("value"));
      case kF64:
        return Value(in_.number<double>("value"));
      default:
        fail(ErrorCode::internal, "[gguf] value type {} is no scalar", type);
    }
  }

  Value boolean() {
    const auto byte = in_.number<uint8_t>("bool");
    if (byte > 1) in_.bad("bool is {}, neither 0 nor 1", byte);
    return Value(byte == 1);
  }

  // Above 2^63 only a double can hold the value; who then wants an integer is told.
  Value unsigned64() {
    const auto value = in_.number<uint64_t>("value");
    if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return Value(static_cast<double>(value));
    return Value(static_cast<int64_t>(value));
  }

  Value array() {
    const uint32_t type = value_type("element type");
    if (type == kArray) in_.bad("an array of arrays, element type {}", type);
    const auto n = in_.number<uint64_t>("array length");
    if (n > kMaxArrayElements - elements_)
      in_.bad("array of {} elements after {} in other arrays, the limit is {} in all", n, elements_, kMaxArrayElements);
    elements_ += n;
    in_.need(n * least_bytes(type), "array");
    Value::Array items;
    items.reserve(n);
    if (type == kString) {  // a vocabulary has hundreds of thousands
      for (uint64_t i = 0; i < n; ++i) items.emplace_back(in_.string("string", kMaxString));
    } else {
      for (uint64_t i = 0; i < n; ++i) items.push_back(scalar(type));
    }
    return Value(std::move(items));
  }

  void read_alignment() {
    const auto at = std::find_if(metadata_.begin(), metadata_.end(),
                                 [](const Value::Member& m) { return m.first == "general.alignment"; });
    if (at == metadata_.end()) return;
    in_.enter("key", "general.alignment");
    if (!at->second.is_int()) in_.bad("expected integer, found {}", Value::kind_name(at->second.kind()));
    const int64_t value = at->second.as_int();
    const auto alignment = static_cast<uint64_t>(value);
    if (value < 8 || alignment > kMaxAlignment || !std::has_single_bit(alignment))
      in_.bad("{} is no power of two from 8 to {}", value, kMaxAlignment);
    alignment_ = alignment;
  }

  void tensor_info(uint64_t index) {
    in_.enter("tensor infos");
    TensorEntry entry;
    entry.name = in_.name("name");
    in_.enter("tensor", entry.name);
    const auto rank = in_.number<uint32_t>("rank");
    if (rank < 1 || rank > 4) in_.bad("rank {} is not from 1 to 4 (tensor {} of {})", rank, index, n_tensors_);
    entry.shape.resize(rank);
    for (uint32_t d = 0; d < rank; ++d) entry.shape[rank - 1 - d] = dimension(d);  // stored fastest first
    entry.dtype = tensor_type();
    entry.offset = in_.number<uint64_t>("offset");
    if (entry.offset % alignment_ != 0)
      in_.bad("offset {} is no multiple of the alignment {}", entry.offset, alignment_);
    const DTypeInfo& info = dtype_info(entry.dtype);
    if (entry.shape.back() % info.block_elems != 0)
      in_.bad("row length {} is no multiple of the {} in a block of {}", entry.shape.back(), info.block_elems,
              info.name);
    const std::string place = in_.place();
    const auto elements = static_cast<uint64_t>(checked_elements(entry.shape, place));
    entry.bytes = dtype_bytes(entry.dtype, elements, place);
    tensors_.push_back(std::move(entry));
  }

  int64_t dimension(uint32_t index) {
    const auto n = in_.number<uint64_t>("dimension");
    if (n < 1 || n > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      in_.bad("dimension {} is {}, not from 1 to 2^63 - 1", index, n);
    return static_cast<int64_t>(n);
  }

  DType tensor_type() {
    const auto id = in_.number<uint32_t>("type");
    const auto dtype = dtype_from_gguf(id);
    if (!dtype) in_.refuse(ErrorCode::unsupported, "type {} ({})", id, unreadable_type_name(id));
    return *dtype;
  }

  void check_names() {
    in_.enter("tensor infos");
    std::vector<std::string_view> names;
    names.reserve(tensors_.size());
    for (const TensorEntry& entry : tensors_) names.push_back(entry.name);
    if (const auto twice = find_duplicate(names)) in_.bad("tensor {} occurs twice", in_quotes(*twice));
  }

  // Offsets count from the padded end of the infos; from here on they count from the start of the file.
  void place_tensors() {
    const uint64_t data = (in_.at() + alignment_ - 1) / alignment_ * alignment_;
    for (TensorEntry& entry : tensors_) {
      in_.enter("tensor", entry.name);
      const std::string place = in_.place();
      entry.offset = checked_add(data, entry.offset, place);
      const uint64_t end = checked_add(entry.offset, entry.bytes, place);
      if (end > in_.size()) in_.bad("bytes {} to {} lie beyond the file's {} bytes", entry.offset, end, in_.size());
    }
  }

  void check_overlaps() {
    std::vector<const TensorEntry*> sorted;
    sorted.reserve(tensors_.size());
    for (const TensorEntry& entry : tensors_) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(), [](auto* a, auto* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < sorted.size(); ++i) {
      const TensorEntry &before = *sorted[i - 1], &entry = *sorted[i];
      in_.enter("tensor", entry.name);
      if (before.offset + before.bytes > entry.offset)
        in_.bad("begins at byte {}, tensor {} ends at byte {}", entry.offset, in_quotes(before.name),
                before.offset + before.bytes);
    }
  }

  Cursor in_;
  uint64_t n_tensors_ = 0, n_key_values_ = 0, alignment_ = 32, elements_ = 0;
  Value::Object metadata_;
  std::vector<TensorEntry> tensors_;
};

}  // namespace

GgufContents parse_gguf(std::span<const std::byte> bytes, std::string_view file) { return Parser(bytes, file).parse(); }

}  // namespace tenon
