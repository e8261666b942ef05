// Layout and sizes of the paged state.
#include "backend/cpu/state_pool.hpp"

#include "base/checked.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

CpuStatePool::CpuStatePool(const Graph& graph, int32_t n_pages, bool exact) : n_pages_(n_pages), half_(!exact) {
  if (n_pages < 1) fail(ErrorCode::capacity, "[state pool] {} pages", n_pages);
  const uint64_t elem = exact ? 4 : 2;
  uint64_t offset = 0;
  for (const GraphState& s : graph.states) {
    if (s.kind != 1)
      fail(ErrorCode::unsupported, "[state pool] state \"{}\" is of kind {}, known: kv (1)", s.name, s.kind);
    if (s.n_heads < 1 || s.dim_k < 1 || s.dim_v < 1)
      fail(ErrorCode::bad_plugin, "[state pool] state \"{}\" has {} heads of {} and {}", s.name, s.n_heads, s.dim_k,
           s.dim_v);
    Layout at;
    at.n_heads = s.n_heads;
    at.dim_k = s.dim_k;
    at.dim_v = s.dim_v;
    at.dv_pad = (s.dim_v + kValuePad - 1) / kValuePad * kValuePad;
    at.offset = offset;
    at.value_offset = checked_mul(static_cast<uint64_t>(s.dim_k) * kPageTokens, elem, "state pool");
    const uint64_t values = checked_mul(static_cast<uint64_t>(at.dv_pad) * kPageTokens, elem, "state pool");
    at.head_bytes = checked_add(at.value_offset, values, "state pool");
    at.page_bytes = checked_mul(at.head_bytes, static_cast<uint64_t>(s.n_heads), "state pool");
    bytes_per_page_ = checked_add(bytes_per_page_, at.page_bytes, "state pool");
    offset =
        checked_add(offset, checked_mul(at.page_bytes, static_cast<uint64_t>(n_pages), "state pool"), "state pool");
    layouts_.push_back(at);
  }
  memory_ = Reservation(offset, "state pool");
}

}  // namespace tenon::cpu
