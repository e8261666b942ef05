// The ops of the catalogue, one definition each in the files beside this one.
#pragma once

#include "graph/op_check.hpp"

namespace tenon::ops {

#define TENON_OP(name) extern const OpDef name;
#include "graph/ops/ops.def"
#undef TENON_OP

/// Shape of linear(x, weight `w`, bias `b`): operands by index; checks them all.
Shape linear_shape(const OpCheck& op, size_t x, size_t w, size_t b);
/// The attributes of a gated unit: a known act; alpha and limit only where it has them.
void check_glu(const OpCheck& op, const Node& node);

}  // namespace tenon::ops
