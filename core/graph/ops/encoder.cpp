// tenon.encoder_attention/1 and tenon.pool/1: ops whose rows look at all rows of their sequence, later ones included.
#include "graph/ops/ops.hpp"

namespace tenon::ops {

static void infer_attention(Graph& graph, Node& node) {
  OpCheck op(graph, node,
             {{"scale", AttrKind::real, Need::required}, {"softcap", AttrKind::real}, {"radius", AttrKind::integer}});
  const Shape q = op.f32(0, "q");
  const Shape k = op.f32(1, "k");
  const Shape v = op.f32(2, "v");
  op.rank(q, "q", 3);
  op.rank(k, "k", 3);
  op.rank(v, "v", 3);
  if (q[0] != kDimTokens || k[0] != q[0] || v[0] != q[0])
    op.bad("q {}, k {} and v {} must all have the leading dimension tokens", shape_text(q), shape_text(k),
           shape_text(v));
  if (k[2] != q[2]) op.bad("k {} and q {} differ in head dimension", shape_text(k), shape_text(q));
  if (v[1] != k[1]) op.bad("v {} and k {} differ in heads", shape_text(v), shape_text(k));
  if (q[1] % k[1]) op.bad("{} query heads are no multiple of {} key heads", q[1], k[1]);
  const EncoderAttentionSpec spec = encoder_attention_spec(node);
  if (spec.softcap < 0) op.bad("softcap {} is below 0", spec.softcap);
  if (spec.radius < -1) op.bad("radius {} is below -1", spec.radius);
  op.result(Elem::f32, {q[0], q[1], v[2]});
}

static void infer_pool(Graph& graph, Node& node) {
  OpCheck op(graph, node, {{"mode", AttrKind::string, Need::required}});
  const Shape x = op.f32(0, "x");
  op.rank(x, "x", 2);
  if (x[0] != kDimTokens) op.bad("x {} has not the leading dimension tokens", shape_text(x));
  const Shape& rows = op.i32(1, "rows");
  op.rank(rows, "rows", 1);
  pool_mode(node);
  op.result(Elem::f32, {rows[0], x[1]});
}

const OpDef kEncoderAttention = {
    "tenon.encoder_attention/1",
    "q f32 [T, H, Dk]\n"
    "k f32 [T, G, Dk], G divides H\n"
    "v f32 [T, G, Dv]\n"
    "-> f32 [T, H, Dv]: each row attends to the rows of its sequence, later ones too; nothing is kept: all of a\n"
    "sequence's rows are in the step\n"
    "scale real; softcap real = 0: none, else cap * tanh(score / cap)\n"
    "radius int = -1: all, else keys with |p - key| <= radius",
    3,
    3,
    1,
    0,
    infer_attention};

const OpDef kPool = {
    "tenon.pool/1",
    "x f32 [T, d]\n"
    "rows i32 [R]\n"
    "-> f32 [R, d]: of the sequence that row rows[r] belongs to, all of whose rows are in the step: their\n"
    "mean, the first or the last of them\n"
    "mode string: mean first last",
    2,
    2,
    1,
    0,
    infer_pool};

}  // namespace tenon::ops
