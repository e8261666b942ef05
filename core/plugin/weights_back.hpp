// The way back of weight steps: from a weight to the stored tensors that it was made of. What moves elements is undone
// bit for bit; what changes values (add, scale, -exp) as far as float32 goes.
#pragma once

#include <string_view>
#include <vector>

#include "graph/ir.hpp"
#include "tensor/host_tensor.hpp"

namespace tenon {

/// Whether the step changes values rather than places.
bool changes_values(const Xform& x);

/// The tensors of `source`, of the `stored` shapes, that its steps make `weight` of. Elements that slices left to other
/// weights are zero bytes.
std::vector<HostTensor> undo_steps(const WeightSource& source, const std::vector<Shape>& stored,
                                   const HostTensor& weight, std::string_view what);

}  // namespace tenon
