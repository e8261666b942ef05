// Checks that ops with recurrent state share.
#pragma once

#include "graph/op_check.hpp"

namespace tenon::ops {

/// The state is of that kind and shape.
void check_state(const OpCheck& op, const GraphState& state, StateKind kind, const Shape& want);
/// x [tokens, ...] of that rank.
void check_rows(const OpCheck& op, const Shape& x, std::string_view name, size_t rank);

}  // namespace tenon::ops
