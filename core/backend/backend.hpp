// The backend interface: the seam above which nothing knows where tensors live. Header-only; a backend module sees
// this, the graph and tensor rooms, and nothing else. `reference` (plain f32 loops) and `cpu` stand behind it; the same
// tests run on both. All calls on one Executable and its StatePool come from one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "graph/ir.hpp"
#include "tensor/host_tensor.hpp"

namespace tenon {

inline constexpr int kPageTokens = 32;  // tokens per KV page

/// Page ids of a sequence, covering positions [0, pos + n_rows), kPageTokens each. With a window, -1 for those that no
/// query from `pos` on can see.
using PageTable = std::vector<int32_t>;

/// One sequence's rows in a step. Rows of a sequence are consecutive and in position order. A sequence whose rows start
/// at position 0 starts from zero state, whatever its slot held.
struct SeqRows {
  int32_t first_row = 0, n_rows = 0;
  int32_t pos = 0;                        // position of the first row = tokens already in the cache
  int64_t planned_len = 0;                // tokens it was admitted for, prompt and answer together
  std::span<const PageTable> pages = {};  // by page group of the graph
  int32_t slot = -1;                      // of state that does not grow; -1: the graph has none
};

/// One step: any mix of prefill chunks and decodes.
struct Batch {
  std::span<const int32_t> tokens;     // [T]
  std::span<const int32_t> positions;  // [T]
  std::span<const SeqRows> seqs;       // cover the T rows in order
  std::span<const int32_t> rows;       // [R] rows that want logits
};

struct ExecOptions {
  bool exact = false;        // no activation rounding, f32 KV
  int64_t max_tokens = 512;  // T of the largest step
  int64_t max_rows = 512;    // R of the largest step
  int64_t max_seqs = 64;
  std::string force;  // "op=impl" pairs separated by commas: use that implementation or fail
};

/// How many pages of each page group, and how many slots for state that does not grow.
struct StateSizes {
  std::vector<int32_t> pages = {};
  int32_t slots = 0;
};

/// Per-sequence state of all layers. Memory is taken from the system as pages and slots are first written.
class StatePool {
 public:
  virtual ~StatePool() = default;
  struct Group {
    int64_t window = 0;
    int32_t n_pages = 0;
    uint64_t bytes_per_page = 0;  // over the group's states together
  };
  virtual std::span<const Group> groups() const = 0;  // as page_groups(graph)
  virtual int32_t n_slots() const = 0;
  virtual uint64_t bytes_per_slot() const = 0;  // over all states together; 0: the graph has none of that kind
  /// All slot state of `from` to `to`; not during a step.
  virtual void copy_slot(int32_t from, int32_t to) = 0;
};

class Executable {
 public:
  virtual ~Executable() = default;
  /// Runs one step. Sizes are within the options' limits (the engine sees to it). Allocates nothing.
  virtual void run(const Batch& batch, StatePool& states) = 0;
  /// A graph output of the last run, row-major f32, valid until the next run: "logits" [R, n_vocab].
  virtual std::span<const float> output(std::string_view name) const = 0;
  /// One line per op: which implementation runs it and why the earlier ones refused.
  virtual std::vector<std::string> explain() const = 0;
  virtual uint64_t arena_bytes() const = 0;
  /// Bytes of experts' weights that the runs so far have read; 0 from a backend that does not count them.
  virtual uint64_t expert_bytes_read() const { return 0; }
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu", "reference"
  virtual std::string isa() const = 0;   // "avx2", "avx512-vnni", "none"
  /// True when the backend wants the graph rewritten by `optimise` first.
  virtual bool wants_fused() const = 0;
  /// `weights[i]` belongs to graph.weights[i]; tied weights share bytes. The graph is copied; weights are shared.
  virtual std::unique_ptr<Executable> compile(const Graph& graph, std::vector<HostTensor> weights,
                                              const ExecOptions& options) = 0;
  /// `sizes.pages` has a count for each of page_groups(graph). `exact` keeps K and V in f32, else f16.
  virtual std::unique_ptr<StatePool> make_states(const Graph& graph, const StateSizes& sizes, bool exact) = 0;
};

/// "cpu", "reference" or "auto" (the best that is here); Error{usage} naming the known ones otherwise.
std::unique_ptr<Backend> make_backend(std::string_view name, int threads);

}  // namespace tenon
