// Codes and scales of quantised safetensors, which are tensors of their own in files, side by side in blocks.
// Values stay exactly code * scale. Where a scale spans a number of columns that no block fits, values are float32.
#pragma once

#include "checkpoint/checkpoint.hpp"
#include "checkpoint/quant_scheme.hpp"

namespace tenon {

/// One quantised weight as files hold it.
struct QuantParts {
  const StoredTensor* codes = nullptr;   // E4M3 [..., out, in], or int32 [out, in / 8]
  const StoredTensor* scales = nullptr;  // f32, f16 or bf16
  std::vector<int64_t> shape;            // of the weight
  QuantScheme::Grid grid;                // as declared; fit_grid makes it whole
};

/// Checks the scales' shape against the weight's; the grid then has no zeros. Error{bad_model} names both shapes.
void fit_grid(QuantParts& parts);
/// What `shape` says of a packed weight: int64 or int32 [2].
std::vector<int64_t> read_packed_shape(const StoredTensor& shape, const StoredTensor& codes);

DType fp8_block(const QuantParts& parts);
/// Error{bad_model} for codes or scales that are no finite numbers.
HostTensor pack_fp8(const QuantParts& parts);
/// Q4_0 blocks where every scale is exact in float16, else blocks with float32 scales.
HostTensor pack_int4(const QuantParts& parts);
/// Q4_0 blocks with float32 scales.
HostTensor with_f32_scales(const HostTensor& q4_0);

}  // namespace tenon
