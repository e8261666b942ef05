// The CPU backend's state: one reservation of address space, whose pages the system provides as they are written.
#pragma once

#include <vector>

#include "backend/backend.hpp"
#include "backend/cpu/reservation.hpp"

namespace tenon::cpu {

class CpuStatePool final : public StatePool {
 public:
  /// Error{capacity} when not even the address space can be had.
  CpuStatePool(const Graph& graph, const StateSizes& sizes, bool exact);

  std::span<const Group> groups() const override { return groups_; }
  int32_t n_slots() const override { return n_slots_; }
  uint64_t bytes_per_slot() const override { return bytes_per_slot_; }
  void copy_slot(int32_t from, int32_t to) override;

  /// Of a kv state: pages, in each the heads, in each keys [dim_k][kPageTokens] and values [kPageTokens][dv_pad].
  /// Of an mla_latent state: pages of kPageTokens rows [latent + rotary], one after the other.
  /// Of another: slots of floats; a recurrent matrix [E, N] is stored [E / 16][N][16], its last block padded, and a
  /// matrix per head [H, K, V] with its rows padded to a multiple of 16.
  struct Layout {
    uint64_t offset = 0;        // of the state's first page or slot
    uint64_t page_bytes = 0;    // of one page of this state
    uint64_t head_bytes = 0;    // of one head in it
    uint64_t value_offset = 0;  // of a head's values after its keys
    uint64_t slot_bytes = 0;    // 0 for paged state
    int64_t dim_k = 0, dim_v = 0, dv_pad = 0, n_heads = 0;
    size_t group = 0;  // page group
  };
  const Layout& layout(StateId id) const { return layouts_[id - 1]; }
  bool half() const { return half_; }
  std::byte* head(const Layout& at, int32_t page, int64_t head) const {
    return memory_.data() + at.offset + static_cast<uint64_t>(page) * at.page_bytes +
           static_cast<uint64_t>(head) * at.head_bytes;
  }
  float* slot(const Layout& at, int32_t slot) const {
    return reinterpret_cast<float*>(memory_.data() + at.offset + static_cast<uint64_t>(slot) * at.slot_bytes);
  }

 private:
  Layout kv_layout(const GraphState& state) const;
  Layout latent_layout(const GraphState& state) const;
  Layout slot_layout(const GraphState& state) const;

  std::vector<Layout> layouts_;
  std::vector<Group> groups_;
  Reservation memory_;
  int32_t n_slots_ = 0;
  uint64_t bytes_per_slot_ = 0;
  bool half_ = false;
};

/// Values' rows are padded so that kernels need no tail.
inline constexpr int64_t kValuePad = 16;
/// Elements that recurrent state holds side by side.
inline constexpr int64_t kScanBlock = 16;
inline int64_t pad_to(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace tenon::cpu
