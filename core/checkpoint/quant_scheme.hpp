// What config.json says about how a checkpoint's weights are quantised: "quantization_config", at the top or beside
// the language model's keys. Written from the formats' documents (spec/formats.md).
#pragma once

#include <cstdint>
#include <optional>

#include "base/value.hpp"

namespace tenon {

struct QuantScheme {
  bool fp8 = false;   // E4M3 codes in X, their scales in X_scale_inv or X_scale
  bool int4 = false;  // nibbles in X_packed, scales in X_scale, the shape in X_shape
  /// One scale for so many rows and columns of a matrix; 0: for all of them.
  struct Grid {
    int64_t rows = 0, columns = 0;
  };
  Grid fp8_grid, int4_grid;
  Value config;  // config.json without what was read here
};

/// Nothing when no quantisation is declared, or one whose tensors the plugin itself declares (mxfp4).
/// Error{unsupported} names a method, format or parameter that nothing here unpacks.
std::optional<QuantScheme> read_quant_scheme(const Value& config);

}  // namespace tenon
