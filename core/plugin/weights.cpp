// Weight steps: what they make of shapes (at description) and of bytes (at load). Steps that move whole rows keep a
// block-quantised tensor quantised; value-changing steps and steps inside a row go through float32.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/checked.hpp"
#include "base/error.hpp"
#include "checkpoint/quant_blocks.hpp"
#include "plugin/builder.hpp"
#include "plugin/describe.hpp"
#include "plugin/weight_elements.hpp"

namespace tenon {
namespace {

int64_t product(const Shape& s) { return checked_elements(s, "shape"); }

void need_axis(const Shape& s, int64_t axis, std::string_view what, const char* step) {
  if (axis < 0 || axis >= static_cast<int64_t>(s.size()))
    fail(ErrorCode::bad_plugin, "[weight {}] {} along axis {} of {}", what, step, axis, shape_text(s));
}

int64_t slice_step(const Xform& x) { return std::max<int64_t>(x.a[3], 1); }

/// Shapes of one weight's stored tensors, with the tensors' names.
struct Parts {
  const std::vector<std::string>& names;
  const std::vector<Shape>& shapes;
  std::string text(size_t i) const { return fmt::format("{} {}", names[i], shape_text(shapes[i])); }
};

Shape stack_shape(const Parts& parts, std::string_view what) {
  Shape out = parts.shapes.front();
  for (size_t i = 1; i < parts.shapes.size(); ++i)
    if (parts.shapes[i] != out)
      fail(ErrorCode::bad_model, "[weight {}] stacks tensors {} and {}", what, parts.text(0), parts.text(i));
  out.insert(out.begin(), static_cast<int64_t>(parts.shapes.size()));
  return out;
}

Shape join_shape(const Xform& x, const Parts& parts, std::string_view what) {
  if (x.op == XformOp::mxfp4) return mxfp4_shape(parts.shapes, what);
  if (x.op == XformOp::stack) return stack_shape(parts, what);
  Shape out = parts.shapes.front();
  need_axis(out, x.axis, what, "concat");
  const auto axis = static_cast<size_t>(x.axis);
  for (size_t i = 1; i < parts.shapes.size(); ++i) {
    Shape a = out, b = parts.shapes[i];
    if (a.size() == b.size()) out[axis] += b[axis], a[axis] = b[axis] = 0;
    if (a != b) fail(ErrorCode::bad_model, "[weight {}] joins tensors {} and {}", what, parts.text(0), parts.text(i));
  }
  return out;
}

/// Rows of one of the groups that a slice takes its rows from.
int64_t group_rows(const Xform& x, const Shape& s) {
  return s[static_cast<size_t>(x.axis)] / std::max<int64_t>(x.a[2], 1);
}

Shape step_shape(const Xform& x, Shape s, const Shape& declared, std::string_view what) {
  switch (x.op) {
    case XformOp::transpose:
      need_axis(s, x.a[0], what, "transpose"), need_axis(s, x.a[1], what, "transpose");
      std::swap(s[static_cast<size_t>(x.a[0])], s[static_cast<size_t>(x.a[1])]);
      return s;
    case XformOp::reshape:
      if (product(s) != product(declared))
        fail(ErrorCode::bad_model, "[weight {}] {} cannot be reshaped to {}", what, shape_text(s),
             shape_text(declared));
      return declared;
    case XformOp::slice: {
      need_axis(s, x.axis, what, "slice");
      const int64_t groups = std::max<int64_t>(x.a[2], 1), n = group_rows(x, s);
      int64_t& all = s[static_cast<size_t>(x.axis)];
      if (x.a[2] < 0 || all % groups != 0 || (groups > 1 && slice_step(x) > 1))
        fail(ErrorCode::bad_model, "[weight {}] axis {} of {} has no {} equal groups to slice by {}", what, x.axis,
             shape_text(s), x.a[2], slice_step(x));
      if (x.a[0] < 0 || x.a[1] < 1 || x.a[3] < 0 || x.a[0] >= n || x.a[1] - 1 > (n - 1 - x.a[0]) / slice_step(x))
        fail(ErrorCode::bad_model, "[weight {}] slice of {} from {} by {} leaves axis {} of {}", what, x.a[1], x.a[0],
             slice_step(x), x.axis, n);
      all = x.a[1] * groups;
      return s;
    }
    case XformOp::rope_unpermute:
      if (x.a[0] < 1 || s.empty() || s[0] % (2 * x.a[0]) != 0)
        fail(ErrorCode::bad_model, "[weight {}] {} has no {} heads of an even width", what, shape_text(s), x.a[0]);
      return s;
    case XformOp::regroup: {
      const int64_t rows = s.empty() ? 0 : s[0], groups = x.a[0];
      const bool sane = groups > 0 && rows % groups == 0 && x.a[1] >= 0 && x.a[2] >= 0 && x.a[3] >= 0 &&
                        std::max({x.a[1], x.a[2], x.a[3]}) <= rows && x.a[1] + x.a[2] + x.a[3] <= rows / groups;
      if (!sane)
        fail(ErrorCode::bad_model, "[weight {}] {} has no {} groups of {} + {} + {} rows", what, shape_text(s), groups,
             x.a[1], x.a[2], x.a[3]);
      return s;
    }
    default:
      return s;
  }
}

// ---- bytes --------------------------------------------------------------------------------------------------------

/// Bytes of one step along `axis`: whole rows, or one element of the last axis.
uint64_t unit_bytes(const HostTensor& t, size_t axis, std::string_view what) {
  if (axis + 1 >= t.shape.size()) return dtype_bytes(t.dtype, 1, what);
  int64_t rows = 1;
  for (size_t i = axis + 1; i + 1 < t.shape.size(); ++i) rows *= t.shape[i];
  return static_cast<uint64_t>(rows) * t.row_bytes();
}

uint64_t shape_bytes(DType dtype, const Shape& shape, std::string_view what) {
  return static_cast<uint64_t>(product(shape) / shape.back()) *
         dtype_row_bytes(dtype, static_cast<uint64_t>(shape.back()), what);
}

HostTensor copy_of_shape(const HostTensor& t, Shape shape, std::string_view what) {
  return HostTensor::allocate(t.dtype, std::move(shape), what);
}

/// Parts of one type where they can be: one expert's scales may fit float16, another's not.
void agree(std::vector<HostTensor>& parts) {
  const auto is_wide = [](const HostTensor& p) { return p.dtype == DType::i4_b32; };
  if (!std::ranges::any_of(parts, is_wide)) return;
  for (HostTensor& p : parts)
    if (p.dtype == DType::q4_0) p = with_f32_scales(p);
}

/// Experts in tensors of their own stay where they are.
HostTensor stack_apart(const std::vector<HostTensor>& parts, Shape shape) {
  HostTensor out = parts[0];
  out.shape = std::move(shape);
  std::vector<const std::byte*> begins;
  for (const HostTensor& p : parts) begins.push_back(p.data);
  out.bytes *= parts.size();
  out.parts = std::make_shared<const std::vector<const std::byte*>>(std::move(begins));
  out.owner = std::make_shared<const std::vector<HostTensor>>(parts);
  return out;
}

HostTensor join(const Xform& x, std::vector<HostTensor>& parts, Shape shape, std::string_view what) {
  if (x.op == XformOp::mxfp4) return mxfp4_of_parts(parts[0], parts[1], std::move(shape), what);
  agree(parts);
  if (x.op == XformOp::concat && x.axis != 0)
    fail(ErrorCode::unsupported, "[weight {}] concat along axis {}", what, x.axis);
  for (const HostTensor& p : parts)
    if (p.dtype != parts[0].dtype)
      fail(ErrorCode::bad_model, "[weight {}] joins {} and {}", what, dtype_info(parts[0].dtype).name,
           dtype_info(p.dtype).name);
  if (x.op == XformOp::stack && shape.size() == 3) return stack_apart(parts, std::move(shape));
  HostTensor out = copy_of_shape(parts[0], std::move(shape), what);
  std::byte* dst = out.mutable_data();
  for (const HostTensor& p : parts) dst = std::copy(p.data, p.data + p.bytes, dst);
  return out;
}

/// A step that moves whole rows.
HostTensor pick_rows(const HostTensor& t, const Xform& x, std::string_view what) {
  HostTensor out = copy_of_shape(t, t.shape, what);
  const uint64_t unit = unit_bytes(t, 0, what);
  std::byte* to = out.mutable_data();
  for (int64_t from : step_indices(x, t.shape[0])) {
    std::memcpy(to, t.data + static_cast<uint64_t>(from) * unit, unit);
    to += unit;
  }
  return out;
}

/// `run` bytes of each expert, one of which begins each `stride` bytes, stay where they are.
HostTensor apart(const HostTensor& t, const std::byte* from, uint64_t run, uint64_t stride, Shape shape) {
  std::vector<const std::byte*> begins;
  for (int64_t e = 0; e < shape[0]; ++e) begins.push_back(from + static_cast<uint64_t>(e) * stride);
  HostTensor out = t;
  out.shape = std::move(shape), out.data = from, out.bytes = run * begins.size();
  out.parts = std::make_shared<const std::vector<const std::byte*>>(std::move(begins));
  return out;
}

HostTensor slice(const HostTensor& stored, const Xform& x, Shape shape, std::string_view what) {
  const auto axis = static_cast<size_t>(x.axis);
  std::vector<int64_t> stride = strides_of(stored.shape);
  if (slice_step(x) > 1) {
    const int64_t at = x.a[0] * stride[axis];
    stride[axis] *= slice_step(x);
    return pick_elements(stored, {std::move(shape), std::move(stride), at}, what);
  }
  // Cuts inside a row of blocks go through float32.
  const HostTensor t =
      axis + 1 == shape.size() && shape.size() > 1 && is_block(stored.dtype) ? stored.to_f32(what) : stored;
  const uint64_t unit = unit_bytes(t, axis, what), run = static_cast<uint64_t>(x.a[1]) * unit;
  const uint64_t group = static_cast<uint64_t>(group_rows(x, t.shape)) * unit;
  const std::byte* from = t.data + static_cast<uint64_t>(x.a[0]) * unit;
  if (run == shape_bytes(t.dtype, shape, what)) {  // one piece: a view
    HostTensor out = t;
    out.shape = std::move(shape), out.data = from, out.bytes = run;
    return out;
  }
  if (axis == 1 && shape.size() == 3 && x.a[2] <= 1) return apart(t, from, run, group, std::move(shape));
  HostTensor out = copy_of_shape(t, std::move(shape), what);
  for (std::byte* to = out.mutable_data(); to < out.data + out.bytes; to += run, from += group)
    std::memcpy(to, from, run);
  return out;
}

HostTensor transpose(const HostTensor& t, const Xform& x, Shape shape, std::string_view what) {
  std::vector<int64_t> stride = strides_of(t.shape);
  std::swap(stride[static_cast<size_t>(x.a[0])], stride[static_cast<size_t>(x.a[1])]);
  return pick_elements(t, {std::move(shape), std::move(stride), 0}, what);
}

template <typename Fn>
HostTensor map_values(const HostTensor& t, std::string_view what, Fn fn) {
  HostTensor out = HostTensor::allocate(DType::f32, t.shape, what);
  const HostTensor f = t.to_f32(what);
  const auto* src = reinterpret_cast<const float*>(f.data);
  std::transform(src, src + f.elements(), reinterpret_cast<float*>(out.mutable_data()), fn);
  return out;
}

HostTensor apply_step(const Xform& x, const HostTensor& t, Shape shape, std::string_view what) {
  const auto f = static_cast<float>(x.f);
  switch (x.op) {
    case XformOp::transpose:
      return transpose(t, x, std::move(shape), what);
    case XformOp::reshape: {
      const bool same_rows = shape.back() == t.row_elems();
      if (dtype_info(t.dtype).padded_rows && !same_rows) return apply_step(x, t.to_f32(what), std::move(shape), what);
      if (is_block(t.dtype) && !same_rows && shape.back() % dtype_info(t.dtype).block_elems != 0)
        fail(ErrorCode::unsupported, "[weight {}] {} rows of {} cannot become rows of {}", what,
             dtype_info(t.dtype).name, t.row_elems(), shape.back());
      HostTensor out = t;
      out.shape = std::move(shape);
      return out;
    }
    case XformOp::slice:
      return slice(t, x, std::move(shape), what);
    case XformOp::rope_unpermute:
    case XformOp::regroup:
      return pick_rows(t, x, what);
    case XformOp::add:
      return map_values(t, what, [f](float v) { return v + f; });
    case XformOp::scale:
      return map_values(t, what, [f](float v) { return v * f; });
    case XformOp::neg_exp:
      return map_values(t, what, [](float v) { return -std::exp(v); });
    default:
      fail(ErrorCode::internal, "[weight {}] step {} is no single-tensor step", what, static_cast<int>(x.op));
  }
}

bool is_join(const Xform& x) { return x.op == XformOp::concat || x.op == XformOp::stack || x.op == XformOp::mxfp4; }

HostTensor load_one(const GraphWeight& w, const Checkpoint& checkpoint) {
  const WeightSource& src = w.sources[static_cast<size_t>(w.chosen)];
  std::vector<HostTensor> parts;
  for (const std::string& n : src.names) {
    const HostTensor t = checkpoint.load(*checkpoint.find(n));
    if (!dtype_info(t.dtype).has_reference)
      fail(ErrorCode::unsupported, "[{}] tensor {} has type {}, which this build cannot read",
           checkpoint.path().filename().string(), n, dtype_info(t.dtype).name);
    parts.push_back(t);
  }
  HostTensor t = parts[0];
  for (const Xform& x : src.steps) {
    if (is_join(x)) {
      std::vector<Shape> shapes;
      for (const HostTensor& p : parts) shapes.push_back(p.shape);
      t = join(x, parts, join_shape(x, {src.names, shapes}, w.name), w.name);
    } else {
      t = apply_step(x, t.joined(w.name), step_shape(x, t.shape, w.shape, w.name), w.name);
    }
  }
  return t;
}

}  // namespace

Shape apply_shape(const WeightSource& source, const std::vector<Shape>& shapes, const Shape& declared,
                  std::string_view what) {
  const std::vector<Xform>& steps = source.steps;
  const bool joins = !steps.empty() && is_join(steps[0]);
  if (shapes.size() != 1 && !joins)
    fail(ErrorCode::bad_plugin, "[weight {}] {} tensors and no step that joins them", what, shapes.size());
  for (size_t i = 1; i < steps.size(); ++i)
    if (is_join(steps[i])) fail(ErrorCode::bad_plugin, "[weight {}] step {} joins, only the first may", what, i);
  Shape s = joins ? join_shape(steps[0], {source.names, shapes}, what) : shapes[0];
  for (const Xform& x : steps)
    if (!is_join(x)) s = step_shape(x, std::move(s), declared, what);
  return s;
}

std::vector<HostTensor> load_weights(const Graph& graph, const Checkpoint& checkpoint,
                                     const std::function<void(uint64_t, uint64_t)>& done) {
  uint64_t total = 0, so_far = 0;
  for (const GraphWeight& w : graph.weights)
    if (w.chosen >= 0)
      for (const std::string& n : w.sources[static_cast<size_t>(w.chosen)].names)
        total += checkpoint.find(n)->tensor.bytes;
  std::vector<HostTensor> out;
  for (const GraphWeight& w : graph.weights) {
    out.push_back(w.tied_to ? out[w.tied_to - 1] : load_one(w, checkpoint));
    if (!w.tied_to) so_far += out.back().bytes;
    if (done) done(so_far, total);
  }
  return out;
}

}  // namespace tenon
