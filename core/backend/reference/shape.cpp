// reshape, slice, take_rows.
#include <algorithm>

#include "backend/reference/run.hpp"
#include "base/error.hpp"

namespace tenon::reference {

Kernel make_reshape(Run&, const Node&) {
  return [](Run&) {};  // a view: the arena plan gave it its operand's bytes
}

Kernel make_slice(Run&, const Node& node) {
  return [x = node.inputs[0], out = node.outputs[0], spec = slice_spec(node)](Run& run) {
    const int64_t rows = run.rows(x), d = run.width(x);
    for (int64_t t = 0; t < rows; ++t)
      std::copy_n(run.f32(x) + t * d + spec.start, spec.length, run.f32(out) + t * spec.length);
  };
}

Kernel make_take_rows(Run&, const Node& node) {
  return [x = node.inputs[0], rows = node.inputs[1], out = node.outputs[0]](Run& run) {
    const int64_t n_in = run.extent(run.graph().value(x).shape[0]), n_out = run.extent(run.graph().value(out).shape[0]);
    const int64_t d = n_out ? run.elements(out) / n_out : 0;
    for (int64_t r = 0; r < n_out; ++r) {
      const int32_t from = run.i32(rows)[r];
      if (from < 0 || from >= n_in) fail(ErrorCode::internal, "[tenon.take_rows/1] row {} of {}", from, n_in);
      std::copy_n(run.f32(x) + from * d, d, run.f32(out) + r * d);
    }
  };
}

}  // namespace tenon::reference
