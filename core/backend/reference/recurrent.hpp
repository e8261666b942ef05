// What the recurrent kernels of the reference share.
#pragma once

#include "backend/reference/run.hpp"

namespace tenon::reference {

/// The sequence's state; zero at its start.
std::span<float> state_of(Run& run, StateId state, const SeqRows& seq);
/// All of a weight [rows, width] as float32.
std::vector<float> matrix(Run& run, ValueId id);

}  // namespace tenon::reference
