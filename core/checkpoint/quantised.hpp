// Quantised safetensors as whole weights.
#pragma once

#include "checkpoint/checkpoint.hpp"

namespace tenon {

/// `stored` itself unless its config.json says how its weights are quantised. Then a view in which each quantised
/// weight is one tensor under its own name: scales, shapes and zero-cost leftovers (scales of activations, which stay
/// in float32 here) are part of it, and config.json has no quantization_config any more. Its bytes are made by load().
std::shared_ptr<const Checkpoint> unpacked(std::shared_ptr<const Checkpoint> stored);

}  // namespace tenon
