// The reference backend's states. Paged KV: per state keys and values as [page][head][kPageTokens][dim], f32 or f16;
// latent rows are keys of one head, without values.
// State that does not grow: per state [slot][elements], f32.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "backend/backend.hpp"

namespace tenon::reference {

class States final : public StatePool {
 public:
  States(const Graph& graph, const StateSizes& sizes, bool exact);

  std::span<const Group> groups() const override { return groups_; }
  int32_t n_slots() const override { return n_slots_; }
  uint64_t bytes_per_slot() const override { return bytes_per_slot_; }
  void copy_slot(int32_t from, int32_t to) override;

  /// The page group of a paged state.
  size_t group(StateId state) const { return static_cast<size_t>(group_of_[state - 1]); }
  enum class Part : uint8_t { keys, values };
  /// Stores or reads the row of one head at slot `slot` of a page.
  void write(StateId state, Part part, int32_t page, int64_t head, int64_t slot, const float* row);
  void read(StateId state, Part part, int32_t page, int64_t head, int64_t slot, float* row) const;
  /// The elements of a conv or recurrent state in one slot.
  std::span<float> slot(StateId state, int32_t slot);

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  struct Store {
    int64_t n_heads = 0, dim = 0;  // kv; else one head and one row of `dim` elements
    int32_t count = 0;             // pages or slots
    std::unique_ptr<std::byte[], Free> data = {};
  };
  void add_pages(const GraphState& state, int64_t n_heads, int64_t dim, Group& group);
  void add_kv(const GraphState& state, Group& group);
  void add_latent(const GraphState& state, Group& group);
  void add_slots(const GraphState& state);
  const Store& store(StateId state, Part part) const {
    return stores_[(state - 1) * 2 + (part == Part::values ? 1 : 0)];
  }
  std::byte* at(const Store& store, int32_t page, int64_t head, int64_t slot) const;

  std::vector<Store> stores_;  // two a state; the second of a slot or latent state is empty
  std::vector<Group> groups_;
  std::vector<int32_t> group_of_;
  int32_t n_slots_ = 0;
  uint64_t elem_bytes_ = 4, bytes_per_slot_ = 0;
};

}  // namespace tenon::reference
