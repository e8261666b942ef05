// The reference backend's states. calloc of large blocks hands out untouched pages, so memory comes as it is written.
#include "backend/reference/states.hpp"

#include <algorithm>
#include <cstring>

#include "base/checked.hpp"
#include "tensor/dtype.hpp"

namespace tenon::reference {

namespace {

std::byte* allocate(uint64_t bytes, const std::string& name) {
  auto* data = static_cast<std::byte*>(std::calloc(bytes ? bytes : 1, 1));
  if (!data) fail(ErrorCode::capacity, "[states] {} bytes for \"{}\" were refused", bytes, name);
  return data;
}

}  // namespace

States::States(const Graph& graph, const StateSizes& sizes, bool exact)
    : n_slots_(sizes.slots), elem_bytes_(exact ? 4 : 2) {
  const PageGroups groups = page_groups(graph);
  if (sizes.pages.size() != groups.windows.size() || sizes.slots < 0)
    fail(ErrorCode::internal, "[states] sizes for {} page groups of {}, {} slots", sizes.pages.size(),
         groups.windows.size(), sizes.slots);
  for (size_t g = 0; g < groups.windows.size(); ++g) {
    if (sizes.pages[g] < 0) fail(ErrorCode::internal, "[states] {} pages", sizes.pages[g]);
    groups_.push_back({groups.windows[g], sizes.pages[g], 0});
  }
  group_of_ = groups.of_state;
  for (size_t i = 0; i < graph.states.size(); ++i) {
    const GraphState& state = graph.states[i];
    if (!state.paged())
      add_slots(state);
    else if (state.kind == StateKind::mla_latent)
      add_latent(state, groups_[static_cast<size_t>(group_of_[i])]);
    else
      add_kv(state, groups_[static_cast<size_t>(group_of_[i])]);
  }
}

void States::add_pages(const GraphState& state, int64_t n_heads, int64_t dim, Group& group) {
  const int64_t row = checked_elements(std::vector<int64_t>{n_heads, kPageTokens, dim}, state.name);
  const uint64_t page_bytes = checked_mul(static_cast<uint64_t>(row), elem_bytes_, state.name);
  const uint64_t bytes = checked_mul(page_bytes, static_cast<uint64_t>(group.n_pages), state.name);
  stores_.push_back({n_heads, dim, group.n_pages});
  stores_.back().data.reset(allocate(bytes, state.name));
  group.bytes_per_page = checked_add(group.bytes_per_page, page_bytes, state.name);
}

void States::add_kv(const GraphState& state, Group& group) {
  for (int64_t dim : {state.dim_k, state.dim_v}) add_pages(state, state.n_heads, dim, group);
}

void States::add_latent(const GraphState& state, Group& group) {
  add_pages(state, 1, state.shape[0], group);
  stores_.emplace_back();
}

void States::add_slots(const GraphState& state) {
  const int64_t elements = checked_elements(state.shape, state.name);
  const uint64_t slot_bytes = checked_mul(static_cast<uint64_t>(elements), 4, state.name);
  stores_.push_back({1, elements, n_slots_});
  stores_.back().data.reset(allocate(checked_mul(slot_bytes, static_cast<uint64_t>(n_slots_), state.name), state.name));
  stores_.emplace_back();
  bytes_per_slot_ = checked_add(bytes_per_slot_, slot_bytes, state.name);
}

std::span<float> States::slot(StateId state, int32_t slot) {
  const Store& s = store(state, Part::keys);
  if (group_of_[state - 1] >= 0 || slot < 0 || slot >= s.count)
    fail(ErrorCode::internal, "[states] slot {} of {} of state {}", slot, s.count, state);
  return {reinterpret_cast<float*>(s.data.get()) + static_cast<int64_t>(slot) * s.dim, static_cast<size_t>(s.dim)};
}

void States::copy_slot(int32_t from, int32_t to) {
  for (StateId state = 1; state <= group_of_.size(); ++state)
    if (group_of_[state - 1] < 0) std::ranges::copy(slot(state, from), slot(state, to).begin());
}

std::byte* States::at(const Store& store, int32_t page, int64_t head, int64_t slot) const {
  if (page < 0 || page >= store.count) fail(ErrorCode::internal, "[states] page {} of {}", page, store.count);
  const int64_t row = (static_cast<int64_t>(page) * store.n_heads + head) * kPageTokens + slot;
  return store.data.get() + static_cast<uint64_t>(row * store.dim) * elem_bytes_;
}

void States::write(StateId state, Part part, int32_t page, int64_t head, int64_t slot, const float* row) {
  const Store& s = store(state, part);
  std::byte* to = at(s, page, head, slot);
  if (elem_bytes_ == 4) {
    std::memcpy(to, row, static_cast<size_t>(s.dim) * 4);
    return;
  }
  auto* half = reinterpret_cast<uint16_t*>(to);
  for (int64_t i = 0; i < s.dim; ++i) half[i] = float_to_half(row[i]);
}

void States::read(StateId state, Part part, int32_t page, int64_t head, int64_t slot, float* row) const {
  const Store& s = store(state, part);
  const std::byte* from = at(s, page, head, slot);
  if (elem_bytes_ == 4) {
    std::memcpy(row, from, static_cast<size_t>(s.dim) * 4);
    return;
  }
  const auto* half = reinterpret_cast<const uint16_t*>(from);
  for (int64_t i = 0; i < s.dim; ++i) row[i] = half_to_float(half[i]);
}

}  // namespace tenon::reference
