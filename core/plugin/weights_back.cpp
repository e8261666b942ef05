#include "plugin/weights_back.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.hpp"
#include "plugin/builder.hpp"
#include "plugin/weight_elements.hpp"

namespace tenon {
namespace {

/// The same bytes in another shape.
HostTensor reshaped(HostTensor t, Shape shape) {
  t.shape = std::move(shape);
  return t;
}

/// Index i of `axis` goes to index to[i] of a tensor of that shape, whose others are zero.
HostTensor put_indices(const HostTensor& t, size_t axis, const std::vector<int64_t>& to, const Shape& shape,
                       std::string_view what) {
  HostTensor out = HostTensor::allocate(t.dtype, shape, what);
  int64_t outer = 1;
  for (size_t i = 0; i < axis; ++i) outer *= shape[i];
  const uint64_t unit = t.bytes / (static_cast<uint64_t>(outer) * to.size());
  const std::byte* from = t.data;
  for (int64_t o = 0; o < outer; ++o)
    for (int64_t i : to) {
      std::memcpy(out.mutable_data() + static_cast<uint64_t>(o * shape[axis] + i) * unit, from, unit);
      from += unit;
    }
  return out;
}

HostTensor transposed(const HostTensor& t, const Xform& x, const Shape& shape, std::string_view what) {
  std::vector<int64_t> stride = strides_of(t.shape);
  std::swap(stride[static_cast<size_t>(x.a[0])], stride[static_cast<size_t>(x.a[1])]);
  return pick_elements(t, {shape, std::move(stride), 0}, what);
}

template <typename Fn>
HostTensor map_values(const HostTensor& t, std::string_view what, Fn fn) {
  HostTensor out = t.to_f32(what);
  auto* x = reinterpret_cast<float*>(out.mutable_data());
  std::transform(x, x + out.elements(), x, [&](float v) { return static_cast<float>(fn(static_cast<double>(v))); });
  return out;
}

/// What the step was applied to, a tensor of the shape `before`.
HostTensor undo(const Xform& x, const HostTensor& t, const Shape& before, std::string_view what) {
  const double f = x.f;
  switch (x.op) {
    case XformOp::transpose:
      return transposed(t, x, before, what);
    case XformOp::reshape:
      return reshaped(t, before);
    case XformOp::slice:
      return put_indices(t, static_cast<size_t>(x.axis), step_indices(x, before[static_cast<size_t>(x.axis)]), before,
                         what);
    case XformOp::rope_unpermute:
    case XformOp::regroup:
      return put_indices(t, 0, step_indices(x, before[0]), before, what);
    case XformOp::add:
      return map_values(t, what, [f](double v) { return v - f; });
    case XformOp::scale:
      return map_values(t, what, [f](double v) { return v / f; });
    case XformOp::neg_exp:
      return map_values(t, what, [](double v) { return std::log(-v); });
    default:
      fail(ErrorCode::internal, "[weight {}] step {} is no single-tensor step", what, static_cast<int>(x.op));
  }
}

bool is_join(const Xform& x) { return x.op == XformOp::concat || x.op == XformOp::stack || x.op == XformOp::mxfp4; }

/// The tensors that the first step joined, one after the other in `t`.
std::vector<HostTensor> parts_of(const Xform& x, const HostTensor& t, const std::vector<Shape>& shapes,
                                 std::string_view what) {
  if (x.op == XformOp::mxfp4) return parts_of_mxfp4(t, shapes, what);
  const uint64_t row = t.bytes / static_cast<uint64_t>(t.shape[0]);
  std::vector<HostTensor> parts;
  const std::byte* at = t.data;
  for (const Shape& shape : shapes) {
    HostTensor part = reshaped(t, shape);
    part.data = at, part.bytes = row * (x.op == XformOp::stack ? 1 : static_cast<uint64_t>(shape[0]));
    at += part.bytes;
    parts.push_back(std::move(part));
  }
  return parts;
}

}  // namespace

bool changes_values(const Xform& x) {
  return x.op == XformOp::add || x.op == XformOp::scale || x.op == XformOp::neg_exp;
}

std::vector<HostTensor> undo_steps(const WeightSource& source, const std::vector<Shape>& stored,
                                   const HostTensor& weight, std::string_view what) {
  const bool joins = !source.steps.empty() && is_join(source.steps[0]);
  HostTensor t = weight.joined(what);
  for (size_t n = source.steps.size(); n-- > (joins ? 1 : 0);) {
    WeightSource until{source.format, source.names, {source.steps.begin(), source.steps.begin() + static_cast<int>(n)}};
    t = undo(source.steps[n], t, apply_shape(until, stored, weight.shape, what), what);
  }
  if (joins) return parts_of(source.steps[0], t, stored, what);
  return {std::move(t)};
}

}  // namespace tenon
