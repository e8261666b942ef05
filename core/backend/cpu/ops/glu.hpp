// How the two halves of a gated unit are joined: what glu, the fused linear pair and the experts share.
#pragma once

#include "backend/cpu/kernels/vector/vector.hpp"
#include "graph/catalogue.hpp"

namespace tenon::cpu {

class Glu {
 public:
  Glu(const VectorKernels& kernels, const Node& node)
      : kernels_(&kernels), spec_(glu_spec(node)), act_(static_cast<VecAct>(spec_.act)) {}

  void operator()(const float* gate, const float* up, float* y, int64_t n) const {
    if (spec_.clamped)
      kernels_->swiglu_oai(spec_.alpha, spec_.limit, gate, up, y, n);
    else
      kernels_->glu(act_, gate, up, y, n);
  }

 private:
  const VectorKernels* kernels_;
  GluSpec spec_;
  VecAct act_;
};

}  // namespace tenon::cpu
