// The CPU backend's paged state: one reservation of address space, whose pages the system provides as they are written.
#pragma once

#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/reservation.hpp"

namespace tenon::cpu {

class CpuStatePool final : public StatePool {
 public:
  /// Error{capacity} when not even the address space can be had; Error{unsupported} for a state that is no KV cache.
  CpuStatePool(const Graph& graph, int32_t n_pages, bool exact);

  int32_t n_pages() const override { return n_pages_; }
  uint64_t bytes_per_page() const override { return bytes_per_page_; }

  /// Per state: pages, in each the heads, in each keys [dim_k][kPageTokens] and values [kPageTokens][dv_pad].
  struct Layout {
    uint64_t offset = 0;        // of the state's first page
    uint64_t page_bytes = 0;    // of one page of this state
    uint64_t head_bytes = 0;    // of one head in it
    uint64_t value_offset = 0;  // of a head's values after its keys
    int64_t dim_k = 0, dim_v = 0, dv_pad = 0, n_heads = 0;
  };
  const Layout& layout(StateId id) const { return layouts_[id - 1]; }
  bool half() const { return half_; }
  std::byte* head(const Layout& at, int32_t page, int64_t head) const {
    return memory_.data() + at.offset + static_cast<uint64_t>(page) * at.page_bytes +
           static_cast<uint64_t>(head) * at.head_bytes;
  }

 private:
  std::vector<Layout> layouts_;
  Reservation memory_;
  uint64_t bytes_per_page_ = 0;
  int32_t n_pages_ = 0;
  bool half_ = false;
};

/// Values' rows are padded so that kernels need no tail.
inline constexpr int64_t kValuePad = 16;

}  // namespace tenon::cpu
