#include "plugin/weight_elements.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"
#include "base/error.hpp"

namespace tenon {

namespace {

constexpr int64_t kTile = 32;      // of the two innermost axes: lines of both sides stay in cache
constexpr int kMxElems = 32;       // values per exponent
constexpr uint64_t kMxBytes = 17;  // exponent, then value j beside value j + 16

/// One plane of the two innermost axes, in units of kBytes.
template <size_t kBytes>
void copy_plane(const std::byte* src, std::byte* dst, int64_t rows, int64_t columns, int64_t row_stride,
                int64_t column_stride) {
  constexpr auto kUnit = static_cast<int64_t>(kBytes);
  for (int64_t r0 = 0; r0 < rows; r0 += kTile)
    for (int64_t c0 = 0; c0 < columns; c0 += kTile)
      for (int64_t r = r0; r < std::min(r0 + kTile, rows); ++r)
        for (int64_t c = c0; c < std::min(c0 + kTile, columns); ++c)
          std::memcpy(dst + (r * columns + c) * kUnit, src + (r * row_stride + c * column_stride) * kUnit, kBytes);
}

void copy_plane(const std::byte* src, std::byte* dst, const Pick& p, uint64_t unit) {
  const size_t last = p.shape.size() - 1;
  const int64_t rows = last ? p.shape[last - 1] : 1, columns = p.shape[last];
  const int64_t row_stride = last ? p.stride[last - 1] : 0, column_stride = p.stride[last];
  switch (unit) {
    case 1:
      return copy_plane<1>(src, dst, rows, columns, row_stride, column_stride);
    case 2:
      return copy_plane<2>(src, dst, rows, columns, row_stride, column_stride);
    case 4:
      return copy_plane<4>(src, dst, rows, columns, row_stride, column_stride);
    default:
      for (int64_t r = 0; r < rows; ++r)
        for (int64_t c = 0; c < columns; ++c)
          std::memcpy(dst + static_cast<uint64_t>(r * columns + c) * unit,
                      src + (r * row_stride + c * column_stride) * static_cast<int64_t>(unit), unit);
  }
}

/// Rows that stay whole become the unit that moves.
void by_rows(Pick& p, int64_t row) {
  p.shape.pop_back();
  p.stride.pop_back();
  for (int64_t& s : p.stride) s /= row;
  p.at /= row;
}

}  // namespace

std::vector<int64_t> strides_of(const Shape& shape) {
  std::vector<int64_t> stride(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) stride[i - 1] = stride[i] * shape[i];
  return stride;
}

HostTensor pick_elements(const HostTensor& t, Pick p, std::string_view what) {
  const int64_t row = t.row_elems();
  const auto of_rows = [row](int64_t n) { return n % row == 0; };
  const bool whole_rows = p.shape.size() > 1 && p.stride.back() == 1 && p.shape.back() == row && of_rows(p.at) &&
                          std::all_of(p.stride.begin(), p.stride.end() - 1, of_rows);
  const HostTensor from = is_block(t.dtype) && !whole_rows ? t.to_f32(what) : t;
  HostTensor out = HostTensor::allocate(from.dtype, p.shape, what);
  if (whole_rows) by_rows(p, row);
  const uint64_t unit = whole_rows ? from.row_bytes() : static_cast<uint64_t>(dtype_info(from.dtype).block_bytes);

  const size_t outer = p.shape.size() > 2 ? p.shape.size() - 2 : 0;  // axes walked here, one plane at each step
  uint64_t plane = unit;
  for (size_t a = outer; a < p.shape.size(); ++a) plane *= static_cast<uint64_t>(p.shape[a]);
  std::vector<int64_t> index(outer, 0);
  std::byte* dst = out.mutable_data();
  for (const std::byte* end = dst + out.bytes; dst < end; dst += plane) {
    int64_t at = p.at;
    for (size_t a = 0; a < outer; ++a) at += index[a] * p.stride[a];
    copy_plane(from.data + static_cast<uint64_t>(at) * unit, dst, p, unit);
    for (size_t a = outer; a-- > 0;) {
      if (++index[a] < p.shape[a]) break;
      index[a] = 0;
    }
  }
  return out;
}

namespace {

std::vector<int64_t> unpermuted(int64_t heads, int64_t n) {
  const int64_t d = n / heads, half = d / 2;
  std::vector<int64_t> from;
  for (int64_t r = 0; r < n; ++r) {
    const int64_t head = r / d, j = r % d;
    from.push_back(head * d + (j < half ? 2 * j : 2 * (j - half) + 1));
  }
  return from;
}

std::vector<int64_t> regrouped(const Xform& x, int64_t n) {
  const int64_t groups = x.a[0], per_group = n / groups;
  const int64_t parts[] = {x.a[1], x.a[2], x.a[3], per_group - x.a[1] - x.a[2] - x.a[3]};
  std::vector<int64_t> from;
  int64_t before = 0;  // rows of a group that belong to earlier parts
  for (int64_t part : parts) {
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t r = 0; r < part; ++r) from.push_back(g * per_group + before + r);
    before += part;
  }
  return from;
}

std::vector<int64_t> sliced(const Xform& x, int64_t n) {
  const int64_t groups = std::max<int64_t>(x.a[2], 1), step = std::max<int64_t>(x.a[3], 1);
  std::vector<int64_t> from;
  for (int64_t g = 0; g < groups; ++g)
    for (int64_t i = 0; i < x.a[1]; ++i) from.push_back(g * (n / groups) + x.a[0] + i * step);
  return from;
}

}  // namespace

std::vector<int64_t> step_indices(const Xform& x, int64_t n) {
  if (x.op == XformOp::rope_unpermute) return unpermuted(x.a[0], n);
  return x.op == XformOp::regroup ? regrouped(x, n) : sliced(x, n);
}

Shape mxfp4_shape(const std::vector<Shape>& shapes, std::string_view what) {
  Shape out = shapes.size() == 2 ? shapes[1] : Shape{};
  Shape blocks = out;
  blocks.push_back(kMxElems / 2);
  if (out.empty() || shapes[0] != blocks)
    fail(ErrorCode::bad_model, "[weight {}] {} tensors, of 4-bit pairs {} and of exponents {}", what, shapes.size(),
         shape_text(shapes[0]), shape_text(out));
  out.back() *= kMxElems;
  return out;
}

HostTensor mxfp4_of_parts(const HostTensor& blocks, const HostTensor& scales, Shape shape, std::string_view what) {
  if (blocks.dtype != DType::u8 || scales.dtype != DType::u8)
    fail(ErrorCode::bad_model, "[weight {}] 4-bit pairs in {} and exponents in {}, expected U8", what,
         dtype_info(blocks.dtype).name, dtype_info(scales.dtype).name);
  HostTensor out = HostTensor::allocate(DType::mxfp4, std::move(shape), what);
  const auto nibble = [](const std::byte* pairs, int i) {
    return static_cast<unsigned>(pairs[i / 2]) >> (i % 2 * 4) & 15u;
  };
  for (uint64_t b = 0; b < scales.bytes; ++b) {
    const std::byte* pairs = blocks.data + b * (kMxElems / 2);
    std::byte* to = out.mutable_data() + b * kMxBytes;
    to[0] = scales.data[b];
    for (int j = 0; j < kMxElems / 2; ++j)
      to[1 + j] = static_cast<std::byte>(nibble(pairs, j) | nibble(pairs, j + kMxElems / 2) << 4);
  }
  return out;
}

std::vector<HostTensor> parts_of_mxfp4(const HostTensor& t, const std::vector<Shape>& shapes, std::string_view what) {
  HostTensor blocks = HostTensor::allocate(DType::u8, shapes[0], what);
  HostTensor scales = HostTensor::allocate(DType::u8, shapes[1], what);
  const auto value = [](const std::byte* block, int i) {
    return static_cast<unsigned>(block[1 + i % (kMxElems / 2)]) >> (i < kMxElems / 2 ? 0 : 4) & 15u;
  };
  for (uint64_t b = 0; b < scales.bytes; ++b) {
    const std::byte* block = t.data + b * kMxBytes;
    std::byte* pairs = blocks.mutable_data() + b * (kMxElems / 2);
    scales.mutable_data()[b] = block[0];
    for (int j = 0; j < kMxElems / 2; ++j)
      pairs[j] = static_cast<std::byte>(value(block, 2 * j) | value(block, 2 * j + 1) << 4);
  }
  return {std::move(blocks), std::move(scales)};
}

}  // namespace tenon
