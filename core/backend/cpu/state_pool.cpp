// Layout and sizes of the state.
#include "backend/cpu/state_pool.hpp"

#include <cstring>

#include "backend/cpu/op.hpp"
#include "base/checked.hpp"
#include "base/error.hpp"

namespace tenon::cpu {

CpuStatePool::CpuStatePool(const Graph& graph, const StateSizes& sizes, bool exact)
    : n_slots_(sizes.slots), half_(!exact) {
  const PageGroups groups = page_groups(graph);
  if (sizes.pages.size() != groups.windows.size() || sizes.slots < 0)
    fail(ErrorCode::internal, "[state pool] sizes for {} page groups of {}, {} slots", sizes.pages.size(),
         groups.windows.size(), sizes.slots);
  for (size_t g = 0; g < groups.windows.size(); ++g) {
    if (sizes.pages[g] < 1) fail(ErrorCode::capacity, "[state pool] {} pages", sizes.pages[g]);
    groups_.push_back({groups.windows[g], sizes.pages[g], 0});
  }
  uint64_t offset = 0;
  for (size_t i = 0; i < graph.states.size(); ++i) {
    const GraphState& s = graph.states[i];
    Layout at = !s.paged() ? slot_layout(s) : s.kind == StateKind::kv ? kv_layout(s) : latent_layout(s);
    at.offset = offset;
    uint64_t bytes = 0;
    if (s.paged()) {
      at.group = static_cast<size_t>(groups.of_state[i]);
      Group& group = groups_[at.group];
      group.bytes_per_page = checked_add(group.bytes_per_page, at.page_bytes, "state pool");
      bytes = checked_mul(at.page_bytes, static_cast<uint64_t>(group.n_pages), "state pool");
    } else {
      bytes_per_slot_ = checked_add(bytes_per_slot_, at.slot_bytes, "state pool");
      bytes = checked_mul(at.slot_bytes, static_cast<uint64_t>(n_slots_), "state pool");
    }
    offset = align64(checked_add(offset, bytes, "state pool"));
    layouts_.push_back(at);
  }
  memory_ = Reservation(offset, "state pool");
}

CpuStatePool::Layout CpuStatePool::kv_layout(const GraphState& s) const {
  if (s.n_heads < 1 || s.dim_k < 1 || s.dim_v < 1)
    fail(ErrorCode::bad_plugin, "[state pool] state \"{}\" has {} heads of {} and {}", s.name, s.n_heads, s.dim_k,
         s.dim_v);
  const uint64_t elem = half_ ? 2 : 4;
  Layout at;
  at.n_heads = s.n_heads;
  at.dim_k = s.dim_k;
  at.dim_v = s.dim_v;
  at.dv_pad = pad_to(s.dim_v, kValuePad);
  at.value_offset = checked_mul(static_cast<uint64_t>(s.dim_k) * kPageTokens, elem, "state pool");
  const uint64_t values = checked_mul(static_cast<uint64_t>(at.dv_pad) * kPageTokens, elem, "state pool");
  at.head_bytes = checked_add(at.value_offset, values, "state pool");
  at.page_bytes = checked_mul(at.head_bytes, static_cast<uint64_t>(s.n_heads), "state pool");
  return at;
}

CpuStatePool::Layout CpuStatePool::latent_layout(const GraphState& s) const {
  Layout at;
  at.n_heads = 1;
  at.dim_k = s.shape[0];
  at.page_bytes = checked_mul(static_cast<uint64_t>(at.dim_k) * kPageTokens, half_ ? 2 : 4, "state pool");
  return at;
}

CpuStatePool::Layout CpuStatePool::slot_layout(const GraphState& s) const {
  Shape shape = s.shape;
  if (s.kind == StateKind::recurrent && shape.size() == 2) shape[0] = pad_to(shape[0], kScanBlock);
  if (s.kind == StateKind::recurrent && shape.size() == 3) shape[2] = pad_to(shape[2], kScanBlock);
  Layout at;
  at.slot_bytes = align64(checked_mul(static_cast<uint64_t>(checked_elements(shape, s.name)), 4, "state pool"));
  return at;
}

void CpuStatePool::copy_slot(int32_t from, int32_t to) {
  if (from < 0 || to < 0 || from >= n_slots_ || to >= n_slots_)
    fail(ErrorCode::internal, "[state pool] slot {} to {} of {}", from, to, n_slots_);
  if (from == to) return;
  for (const Layout& at : layouts_)
    if (at.slot_bytes > 0) std::memcpy(slot(at, to), slot(at, from), at.slot_bytes);
}

}  // namespace tenon::cpu
