// The reference backend's paged KV: per state keys and values as [page][head][kPageTokens][dim], f32 or f16.
#pragma once

#include <cstdlib>
#include <memory>
#include <vector>

#include "backend/backend.hpp"

namespace tenon::reference {

class States final : public StatePool {
 public:
  States(const Graph& graph, int32_t n_pages, bool exact);

  int32_t n_pages() const override { return n_pages_; }
  uint64_t bytes_per_page() const override { return bytes_per_page_; }

  enum class Part : uint8_t { keys, values };
  /// Stores or reads the row of one head at slot `slot` of a page.
  void write(StateId state, Part part, int32_t page, int64_t head, int64_t slot, const float* row);
  void read(StateId state, Part part, int32_t page, int64_t head, int64_t slot, float* row) const;

 private:
  struct Free {
    void operator()(std::byte* p) const { std::free(p); }
  };
  struct Store {
    int64_t n_heads = 0, dim = 0;
    std::unique_ptr<std::byte[], Free> data;
  };
  const Store& store(StateId state, Part part) const {
    return stores_[(state - 1) * 2 + (part == Part::values ? 1 : 0)];
  }
  std::byte* at(const Store& store, int32_t page, int64_t head, int64_t slot) const;

  std::vector<Store> stores_;
  int32_t n_pages_ = 0;
  uint64_t elem_bytes_ = 4, bytes_per_page_ = 0;
};

}  // namespace tenon::reference
