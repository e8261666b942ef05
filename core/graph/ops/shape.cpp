// Ops that move or relabel elements: reshape (a view), slice, take_rows.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

/// Product of the literal dimensions; 0 when it leaves the limit.
static int64_t literal_elements(const Shape& shape) {
  int64_t n = 1;
  for (int64_t d : shape)
    if (d >= 0 && (__builtin_mul_overflow(n, d, &n) || n > kMaxElements)) return 0;
  return n;
}

static void infer_reshape(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"shape", AttrKind::integers, Need::required}});
  const Shape x = op.f32(0, "x");
  const Shape to = attr_or<std::vector<int64_t>>(node, "shape", {});
  if (to.empty() || to.size() > kMaxRank) op.bad("shape has {} dimensions, expected 1 to {}", to.size(), kMaxRank);
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] < 0 && (i > 0 || to[i] != x[0]))
      op.bad("symbolic dimension {} of shape {} is not that of x {}", i, shape_text(to), shape_text(x));
    if (to[i] == 0) op.bad("shape {} has an empty dimension", shape_text(to));
  }
  if (x[0] < 0 && to[0] != x[0]) op.bad("shape {} drops the symbolic dimension of x {}", shape_text(to), shape_text(x));
  if (literal_elements(to) == 0 || literal_elements(to) != literal_elements(x))
    op.bad("shape {} has another element count than x {}", shape_text(to), shape_text(x));
  op.result(Elem::f32, to);
}

static void infer_slice(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"start", AttrKind::integer, Need::required}, {"length", AttrKind::integer, Need::required}});
  const Shape x = op.f32(0, "x");
  const SliceSpec spec = slice_spec(node);
  const int64_t width = x.back();
  if (width < 0) op.bad("the last axis of x {} is symbolic", shape_text(x));
  if (spec.start < 0 || spec.length < 1 || spec.start > width || spec.length > width - spec.start)
    op.bad("slice [{}, {} + {}) leaves the last axis of x {}", spec.start, spec.start, spec.length, shape_text(x));
  op.result(Elem::f32, with_last(x, spec.length));
}

static void infer_take_rows(Graph& graph, Node& node) {
  OpCheck op(graph, node, {});
  Shape shape = op.f32(0, "x");
  const Shape& rows = op.i32(1, "rows");
  op.rank(rows, "rows", 1);
  shape[0] = rows[0];
  op.result(Elem::f32, shape);
}

const OpDef kReshape = {"tenon.reshape/1",
                        "x f32 [...]\n"
                        "-> f32 shape: the same elements in the same order, a view\n"
                        "shape ints: as many elements as x; a symbolic leading dimension stays",
                        1,
                        1,
                        1,
                        0,
                        infer_reshape};

const OpDef kSlice = {"tenon.slice/1",
                      "x f32 [..., D]\n"
                      "-> f32 [..., length]: elements [start, start + length) of the last axis\n"
                      "start int, length int",
                      1,
                      1,
                      1,
                      0,
                      infer_slice};

const OpDef kTakeRows = {"tenon.take_rows/1",
                         "x f32 [T, ...]\n"
                         "rows i32 [R]\n"
                         "-> f32 [R, ...]: row rows[r] of x",
                         2,
                         2,
                         1,
                         0,
                         infer_take_rows};

}  // namespace tenon::ops
