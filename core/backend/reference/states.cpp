// The reference backend's paged KV. calloc of large blocks hands out untouched pages, so memory comes as it is written.
#include "backend/reference/states.hpp"

#include <cstring>

#include "base/checked.hpp"
#include "tensor/dtype.hpp"

namespace tenon::reference {

States::States(const Graph& graph, int32_t n_pages, bool exact) : n_pages_(n_pages), elem_bytes_(exact ? 4 : 2) {
  if (n_pages < 0) fail(ErrorCode::internal, "[states] {} pages", n_pages);
  for (const GraphState& state : graph.states) {
    for (int64_t dim : {state.dim_k, state.dim_v}) {
      const int64_t row = checked_elements(std::vector<int64_t>{state.n_heads, kPageTokens, dim}, state.name);
      const uint64_t page_bytes = checked_mul(static_cast<uint64_t>(row), elem_bytes_, state.name);
      const uint64_t bytes = checked_mul(page_bytes, static_cast<uint64_t>(n_pages), state.name);
      Store store{state.n_heads, dim, {}};
      store.data.reset(static_cast<std::byte*>(std::calloc(bytes ? bytes : 1, 1)));
      if (!store.data) fail(ErrorCode::capacity, "[states] {} bytes for \"{}\" were refused", bytes, state.name);
      stores_.push_back(std::move(store));
      bytes_per_page_ = checked_add(bytes_per_page_, page_bytes, state.name);
    }
  }
}

std::byte* States::at(const Store& store, int32_t page, int64_t head, int64_t slot) const {
  if (page < 0 || page >= n_pages_) fail(ErrorCode::internal, "[states] page {} of {}", page, n_pages_);
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
