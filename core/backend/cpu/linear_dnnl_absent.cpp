// Stands in for linear_dnnl.cpp in a build without oneDNN.
#include "backend/cpu/linear_parts.hpp"

namespace tenon::cpu {

ImplTable dnnl_impls() { return {nullptr, 0}; }

}  // namespace tenon::cpu
