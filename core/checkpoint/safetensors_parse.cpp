// A safetensors file as a function of bytes. Written from the format's README: a length, a JSON header, data that the
// tensors' offsets tile without hole or overlap.
#include <algorithm>
#include <cstring>

#include "base/checked.hpp"
#include "checkpoint/parse.hpp"

namespace tenon {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr size_t kMaxRank = 8;
// The header is the first level, a tensor the second, its shape the third; one is left for an error about the kind.
constexpr JsonLimits kHeaderLimits{.max_bytes = kMaxHeader, .max_depth = 4, .max_values = size_t{1} << 24};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  std::vector<TensorEntry> parse() {
    const Value header = read_header();
    if (header.as_object().size() > kMaxTensors)
      fail(ErrorCode::bad_model, "[{}] header: {} entries, the limit is {}", file_, header.as_object().size(),
           kMaxTensors);
    for (const auto& [name, value] : header.as_object()) {
      if (name == "__metadata__") {
        check_metadata(value);
      } else {
        tensor(name, value);
      }
    }
    check_tiling();
    return std::move(tensors_);
  }

 private:
  Value read_header() {
    if (bytes_.size() < 8)
      fail(ErrorCode::bad_model, "[{}] header length needs 8 bytes, the file has {}", file_, bytes_.size());
    uint64_t length = 0;
    std::memcpy(&length, bytes_.data(), 8);
    if (length > kMaxHeader)
      fail(ErrorCode::bad_model, "[{}] header length is {} bytes, the limit is {}", file_, length, kMaxHeader);
    if (length > bytes_.size() - 8)
      fail(ErrorCode::bad_model, "[{}] header length is {} bytes, the file has {} after it", file_, length,
           bytes_.size() - 8);
    data_ = 8 + length;
    const std::string_view text(reinterpret_cast<const char*>(bytes_.data()) + 8, length);
    Value header = parse_json(text, fmt::format("{}] [header", file_), kHeaderLimits);
    if (!header.is_object())
      fail(ErrorCode::bad_model, "[{}] header: expected object, found {}", file_, Value::kind_name(header.kind()));
    return header;
  }

  void check_metadata(const Value& value) const {
    if (!value.is_object())
      fail(ErrorCode::bad_model, "[{}] __metadata__: expected object, found {}", file_, Value::kind_name(value.kind()));
    for (const auto& [key, member] : value.as_object())
      if (!member.is_string())
        fail(ErrorCode::bad_model, "[{}] __metadata__ {}: expected string, found {}", file_, in_quotes(key),
             Value::kind_name(member.kind()));
  }

  template <typename... Args>
  [[noreturn]] void bad(std::string_view name, fmt::format_string<Args...> format, Args&&... args) const {
    const std::string what = fmt::format(format, std::forward<Args>(args)...);
    fail(ErrorCode::bad_model, "[{}] tensor {}: {}", file_, in_quotes(name), what);
  }

  const Value& field(std::string_view name, const Value& entry, std::string_view key, Value::Kind kind) const {
    const Value* value = entry.find(key);
    if (!value) bad(name, "{} is missing", key);
    if (value->kind() != kind)
      bad(name, "{}: expected {}, found {}", key, Value::kind_name(kind), Value::kind_name(value->kind()));
    return *value;
  }

  // A list of integers of at least 0.
  std::vector<int64_t> sizes(std::string_view name, std::string_view key, const Value::Array& items) const {
    std::vector<int64_t> out;
    for (const Value& item : items) {
      if (!item.is_int()) bad(name, "{}: expected integer, found {}", key, Value::kind_name(item.kind()));
      if (item.as_int() < 0) bad(name, "{}: {} is below 0", key, item.as_int());
      out.push_back(item.as_int());
    }
    return out;
  }

  void tensor(const std::string& name, const Value& value) {
    if (!value.is_object()) bad(name, "expected object, found {}", Value::kind_name(value.kind()));
    TensorEntry entry;
    entry.name = name;
    entry.dtype = dtype(name, field(name, value, "dtype", Value::Kind::string).as_string());
    const Value::Array& shape = field(name, value, "shape", Value::Kind::array).as_array();
    if (shape.size() > kMaxRank) bad(name, "shape has {} dimensions, the limit is {}", shape.size(), kMaxRank);
    entry.shape = sizes(name, "shape", shape);
    const Value::Array& span = field(name, value, "data_offsets", Value::Kind::array).as_array();
    if (span.size() != 2) bad(name, "data_offsets has {} elements, not 2", span.size());
    const std::vector<int64_t> offsets = sizes(name, "data_offsets", span);
    check_size(entry, static_cast<uint64_t>(offsets[0]), static_cast<uint64_t>(offsets[1]));
    tensors_.push_back(std::move(entry));
  }

  DType dtype(std::string_view name, const std::string& text) const {
    const auto found = dtype_from_name(text);
    if (!found || is_block(*found))
      fail(ErrorCode::unsupported, "[{}] tensor {}: dtype {} is not supported", file_, in_quotes(name),
           in_quotes(text));
    return *found;
  }

  void check_size(TensorEntry& entry, uint64_t begin, uint64_t end) const {
    const uint64_t data_bytes = bytes_.size() - data_;
    if (begin > end) bad(entry.name, "data_offsets begin at {} and end at {}", begin, end);
    if (end > data_bytes) bad(entry.name, "data_offsets end at {}, the file has {} bytes of data", end, data_bytes);
    const std::string place = fmt::format("{}] [tensor {}", file_, in_quotes(entry.name));
    const auto elements = static_cast<uint64_t>(checked_elements(entry.shape, place));
    entry.bytes = dtype_bytes(entry.dtype, elements, place);
    if (entry.bytes != end - begin)
      bad(entry.name, "{} of shape [{}] takes {} bytes, data_offsets give {}", dtype_info(entry.dtype).name,
          fmt::join(entry.shape, ", "), entry.bytes, end - begin);
    entry.offset = data_ + begin;
  }

  void check_tiling() const {
    std::vector<const TensorEntry*> sorted;
    sorted.reserve(tensors_.size());
    for (const TensorEntry& entry : tensors_) sorted.push_back(&entry);
    std::sort(sorted.begin(), sorted.end(),
              [](auto* a, auto* b) { return a->offset != b->offset ? a->offset < b->offset : a->bytes < b->bytes; });
    uint64_t end = data_;
    for (const TensorEntry* entry : sorted) {
      if (entry->offset != end)
        bad(entry->name, "data begins at {}, the tensor before it ends at {}", entry->offset - data_, end - data_);
      end += entry->bytes;
    }
    if (end != bytes_.size())
      fail(ErrorCode::bad_model, "[{}] tensors cover {} bytes, the file has {} bytes of data", file_, end - data_,
           bytes_.size() - data_);
  }

  std::span<const std::byte> bytes_;
  std::string_view file_;
  uint64_t data_ = 0;  // where the data starts
  std::vector<TensorEntry> tensors_;
};

}  // namespace

std::vector<TensorEntry> parse_safetensors(std::span<const std::byte> bytes, std::string_view file) {
  return Parser(bytes, file).parse();
}

}  // namespace tenon
