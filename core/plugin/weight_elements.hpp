// Rearrangements of a stored tensor's elements that keep their type: what slices and transpositions come to, and block
// formats that files keep in pieces.
#pragma once

#include <string_view>
#include <vector>

#include "graph/ir.hpp"
#include "tensor/host_tensor.hpp"

namespace tenon {

/// Elements between neighbours along each axis of a row-major tensor.
std::vector<int64_t> strides_of(const Shape& shape);

/// A tensor whose element (i, j, ...) is the source's element at + i stride[0] + j stride[1] + ...
struct Pick {
  Shape shape;
  std::vector<int64_t> stride;
  int64_t at = 0;
};
/// Rows that stay whole keep any type; block types whose rows are cut become float32.
HostTensor pick_elements(const HostTensor& t, Pick pick, std::string_view what);

/// Of a step that moves whole indices of one axis: which of the `n` stored ones each index of the result was.
std::vector<int64_t> step_indices(const Xform& x, int64_t n);

/// TN_X_MXFP4: the shape of two stored tensors together, and the tensor in the block format of one.
Shape mxfp4_shape(const std::vector<Shape>& shapes, std::string_view what);
HostTensor mxfp4_of_parts(const HostTensor& blocks, const HostTensor& scales, Shape shape, std::string_view what);
/// The two tensors, of these shapes, that mxfp4_of_parts makes `t` of.
std::vector<HostTensor> parts_of_mxfp4(const HostTensor& t, const std::vector<Shape>& shapes, std::string_view what);

}  // namespace tenon
