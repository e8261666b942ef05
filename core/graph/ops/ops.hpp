// The ops of the catalogue, one definition each in the files beside this one.
#pragma once

#include "graph/op_check.hpp"

namespace tenon::ops {

extern const OpDef kEmbed;
extern const OpDef kLinear;
extern const OpDef kRmsNorm, kLayerNorm;
extern const OpDef kAdd, kMul, kScaleShift, kUnary, kGlu, kSoftcap, kClamp;
extern const OpDef kReshape, kSlice, kTakeRows;
extern const OpDef kRope, kPositionScale;
extern const OpDef kAttention;
extern const OpDef kCausalConv1d, kSsmScan;
extern const OpDef kMoeRoute, kSparseMixer, kMoeFfn;
extern const OpDef kLinearGroup, kLinearGlu, kLinearAdd;

/// Shape of linear(x, weight `w`, bias `b`): operands by index; checks them all.
Shape linear_shape(const OpCheck& op, size_t x, size_t w, size_t b);
/// The attributes of a gated unit: a known act; alpha and limit only where it has them.
void check_glu(const OpCheck& op, const Node& node);

}  // namespace tenon::ops
