// Lays codes and scales side by side: see quant_blocks.hpp.
#include "checkpoint/quant_blocks.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.hpp"

namespace tenon {
namespace {

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

std::string shape_words(const std::vector<int64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

template <typename... Args>
[[noreturn]] void bad(const StoredTensor& t, fmt::format_string<Args...> format, Args&&... args) {
  fail(ErrorCode::bad_model, "[{}] tensor {}: {}", t.file, in_quotes(t.name),
       fmt::format(format, std::forward<Args>(args)...));
}

/// Scales as float32, by row and column of a stack of matrices.
class Scales {
 public:
  explicit Scales(const QuantParts& p)
      : f32_(p.scales->tensor.to_f32(p.scales->name)),
        data_(reinterpret_cast<const float*>(f32_.data)),
        out_(p.shape[p.shape.size() - 2]),
        grid_(p.grid),
        rows_(ceil_div(out_, grid_.rows)),
        columns_(ceil_div(p.shape.back(), grid_.columns)),
        // one value for a whole stack, or one matrix of scales each
        per_matrix_(f32_.elements() == 1 ? 0 : rows_ * columns_) {
    for (int64_t i = 0; i < f32_.elements(); ++i)
      if (!std::isfinite(data_[i])) bad(*p.scales, "element {} is no finite number", i);
  }
  /// Of row `row` of the stack's rows together: one a group of columns.
  const float* row(int64_t row) const { return data_ + row / out_ * per_matrix_ + row % out_ / grid_.rows * columns_; }
  bool exact_in_f16() const {
    return std::all_of(data_, data_ + f32_.elements(), [](float s) { return half_to_float(float_to_half(s)) == s; });
  }

 private:
  HostTensor f32_;
  const float* data_;
  int64_t out_;
  QuantScheme::Grid grid_;
  int64_t rows_, columns_, per_matrix_;
};

/// True when a code of 16 or fewer is the NaN of E4M3, 0x7f or 0xff.
bool has_nan(const std::byte* codes, int64_t n) {
  bool found = false;
  for (int64_t i = 0; i < n; ++i) found |= (static_cast<uint8_t>(codes[i]) | 0x80) == 0xff;
  return found;
}

/// Columns [0, in) of a row of nibbles as a block's: low nibbles are its first half. Those past `count` are zero.
void copy_nibbles(const std::byte* from, int64_t count, std::byte* to) {
  uint8_t q[32];
  for (int64_t i = 0; i < 32; ++i) {
    const uint8_t pair = i < count ? static_cast<uint8_t>(from[i / 2]) : 0x88;
    q[i] = i % 2 ? pair >> 4 : pair & 15;
  }
  for (int64_t i = 0; i < 16; ++i) to[i] = static_cast<std::byte>(q[i] | q[i + 16] << 4);
}

/// Values as float32, for grids that no block fits. code(row, column) is the code as a number.
template <typename Code>
HostTensor expand(const QuantParts& p, Code code) {
  HostTensor out = HostTensor::allocate(DType::f32, p.shape, p.codes->name);
  const Scales scales(p);
  auto* to = reinterpret_cast<float*>(out.mutable_data());
  const int64_t in = p.shape.back();
  for (int64_t r = 0; r < out.rows(); ++r)
    for (int64_t c = 0; c < in; ++c) *to++ = code(r, c) * scales.row(r)[c / p.grid.columns];
  return out;
}

bool spans_blocks(const QuantParts& p, int64_t block) {
  return p.grid.columns % block == 0 || p.grid.columns >= p.shape.back();
}

}  // namespace

void fit_grid(QuantParts& p) {
  const std::vector<int64_t>&shape = p.shape, &stored = p.scales->tensor.shape;
  const DType type = p.scales->tensor.dtype;
  if (type != DType::f32 && type != DType::f16 && type != DType::bf16)
    bad(*p.scales, "scales are {}", dtype_info(type).name);
  if (shape.size() < 2 || checked_elements(shape, p.codes->name) == 0)
    bad(*p.codes, "a quantised weight of shape {}", shape_words(shape));
  const int64_t out = shape[shape.size() - 2], in = shape.back();
  const int64_t matrices = checked_elements(shape, p.codes->name) / out / in;
  const int64_t n_scales = checked_elements(stored, p.scales->name);
  const bool one_each = p.grid.rows == 0 && p.grid.columns == 0;  // of a tensor: some files have one a row all the same
  QuantScheme::Grid grid{p.grid.rows > 0 ? p.grid.rows : out, p.grid.columns > 0 ? p.grid.columns : in};
  if (one_each && n_scales == matrices * out) grid.rows = 1;
  const int64_t rows = ceil_div(out, grid.rows), columns = ceil_div(in, grid.columns);
  std::vector<int64_t> want(shape.begin(), shape.end() - 2);
  want.push_back(rows), want.push_back(columns);
  const bool flat = columns == 1 && n_scales == matrices * rows;  // [out] for [out, 1], [E] for [E, 1, 1]
  if (stored != want && !flat && !(one_each && n_scales == 1))
    bad(*p.scales, "shape {} for a weight {} with a scale per {} x {}", shape_words(stored), shape_words(shape),
        grid.rows, grid.columns);
  p.grid = grid;
}

std::vector<int64_t> read_packed_shape(const StoredTensor& shape, const StoredTensor& codes) {
  const HostTensor& t = shape.tensor;
  if ((t.dtype != DType::i64 && t.dtype != DType::i32) || t.shape != std::vector<int64_t>{2})
    bad(shape, "{} {}, expected I64 [2]", dtype_info(t.dtype).name, shape_words(t.shape));
  std::vector<int64_t> dims(2);
  for (size_t i = 0; i < 2; ++i) {
    int32_t narrow = 0;
    std::memcpy(t.dtype == DType::i64 ? static_cast<void*>(&dims[i]) : &narrow,
                t.data + i * (t.dtype == DType::i64 ? 8 : 4), t.dtype == DType::i64 ? 8 : 4);
    if (t.dtype == DType::i32) dims[i] = narrow;
    if (dims[i] < 1 || dims[i] > INT32_MAX) bad(shape, "dimension {} is {}", i, dims[i]);
  }
  const std::vector<int64_t> want = {dims[0], ceil_div(dims[1], 8)};
  if (codes.tensor.dtype != DType::i32 || codes.tensor.shape != want)
    bad(codes, "{} {} for a weight {}, expected I32 {}", dtype_info(codes.tensor.dtype).name,
        shape_words(codes.tensor.shape), shape_words(dims), shape_words(want));
  return dims;
}

DType fp8_block(const QuantParts& p) {
  return spans_blocks(p, 128) ? DType::f8_b128 : spans_blocks(p, 32) ? DType::f8_b32 : DType::f32;
}

HostTensor pack_fp8(const QuantParts& p) {
  const HostTensor& codes = p.codes->tensor;
  const int64_t in = p.shape.back();
  for (int64_t r = 0; r < codes.rows(); ++r)
    if (has_nan(codes.row(r), in)) bad(*p.codes, "row {} holds a NaN", r);
  const DType type = fp8_block(p);
  if (type == DType::f32)
    return expand(p, [&](int64_t r, int64_t c) {
      float value = 0;
      dequantize_row(codes.dtype, codes.row(r) + c, &value, 1);
      return value;
    });
  HostTensor out = HostTensor::allocate(type, p.shape, p.codes->name);
  const Scales scales(p);
  const int64_t elems = dtype_info(type).block_elems;
  std::byte* to = out.mutable_data();
  for (int64_t r = 0; r < codes.rows(); ++r) {
    const std::byte* from = codes.row(r);
    for (int64_t c = 0; c < in; c += elems, to += elems + 4) {
      std::memcpy(to, scales.row(r) + c / p.grid.columns, 4);
      std::memcpy(to + 4, from + c, static_cast<size_t>(std::min(elems, in - c)));
    }
  }
  return out;
}

HostTensor pack_int4(const QuantParts& p) {
  const HostTensor& codes = p.codes->tensor;
  const int64_t in = p.shape.back();
  if (!spans_blocks(p, 32))
    return expand(p, [&](int64_t r, int64_t c) {
      const int pair = static_cast<int>(codes.row(r)[c / 2]);
      return static_cast<float>((c % 2 ? pair >> 4 : pair & 15) - 8);
    });
  const Scales scales(p);
  const bool half = in % 32 == 0 && scales.exact_in_f16();
  HostTensor out = HostTensor::allocate(half ? DType::q4_0 : DType::i4_b32, p.shape, p.codes->name);
  std::byte* to = out.mutable_data();
  for (int64_t r = 0; r < codes.rows(); ++r)
    for (int64_t c = 0; c < in; c += 32) {
      const float scale = scales.row(r)[c / p.grid.columns];
      const uint16_t narrow = float_to_half(scale);
      std::memcpy(to, half ? static_cast<const void*>(&narrow) : &scale, half ? 2 : 4);
      to += half ? 2 : 4;
      copy_nibbles(codes.row(r) + c / 2, in - c, to);
      to += 16;
    }
  return out;
}

HostTensor with_f32_scales(const HostTensor& q4_0) {
  HostTensor out = HostTensor::allocate(DType::i4_b32, q4_0.shape, "weight");
  const std::byte* from = q4_0.data;
  for (std::byte* to = out.mutable_data(); to < out.data + out.bytes; to += 20, from += 18) {
    uint16_t half = 0;
    std::memcpy(&half, from, 2);
    const float scale = half_to_float(half);
    std::memcpy(to, &scale, 4);
    std::memcpy(to + 4, from + 2, 16);
  }
  return out;
}

}  // namespace tenon
