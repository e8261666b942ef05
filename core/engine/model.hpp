// A model ready to run: checkpoint, plugin's description, weights, executable, states.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.hpp"
#include "checkpoint/checkpoint.hpp"
#include "engine/runner.hpp"
#include "graph/catalogue.hpp"
#include "graph/ir.hpp"

namespace tenon {

class Tokenizer;

struct LoadOptions {
  std::string backend = "auto";                         // "cpu", "reference"
  int threads = 0;                                      // 0: all processors of this process
  bool exact = false;                                   // weights as stored, arithmetic and KV in f32
  std::vector<std::filesystem::path> plugin_dirs = {};  // empty: the default directories
  std::string arch = {};                                // a plugin id, pinned
  int64_t ctx = 0;                                      // 0: the model's
  bool allow_unread = false;                            // config keys that nobody read are warnings
  std::string force = {};                               // "op=impl,..." for the backend
  int64_t max_tokens = 512;                             // rows of a step: the prefill chunk
  int64_t whole_tokens = 0;  // an encoder takes texts whole: rows of its largest step, where that is more
  int64_t max_seqs = 16;
  int64_t max_snapshots = 4;  // slots for copies of state that cannot be rewound
  bool all_logits = false;    // room for logits of every row of a step, not only one a sequence
  uint64_t state_bytes = 0;   // bound on states; 0: half of the memory that is free
  double reuse = 0.5;         // share of the pages kept for prompts that begin alike; 0: none
  std::function<void(std::string_view what, uint64_t done, uint64_t total)> progress = {};
};

struct ModelInfo {
  std::string plugin_id, plugin_file, plugin_why;
  std::string backend, isa;
  std::vector<std::string> warnings;
  std::vector<std::string> passes;  // rewrite passes that changed the graph
  double load_s = 0;
  uint64_t weight_bytes = 0, arena_bytes = 0;
  uint64_t page_bytes = 0;    // of one page of every group
  uint64_t slot_bytes = 0;    // of one sequence's state that does not grow
  uint64_t decode_bytes = 0;  // of weights that one token reads: the chosen experts' only, no embedding table
  int64_t n_pages = 0;
  int64_t n_ctx_trained = 0;
};

class Model {
 public:
  static std::shared_ptr<Model> load(const std::filesystem::path& path, const LoadOptions& options);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  Runner& runner() { return *runner_; }
  const Checkpoint& checkpoint() const { return *checkpoint_; }
  const Graph& graph() const { return graph_; }
  const ModelInfo& info() const { return info_; }
  int64_t n_vocab() const { return runner_->limits().n_vocab; }
  int64_t n_ctx() const { return runner_->limits().n_ctx; }
  std::vector<std::string> explain() const { return executable_->explain(); }

  /// Loaded at the first call, as a run on ids needs none; the tokenizer's own errors.
  std::shared_ptr<const Tokenizer> tokenizer();
  /// Ids that end an answer: of config, generation_config and tokenizer together. A tokenizer that cannot be read adds
  /// none.
  const std::vector<int32_t>& stop_ids();

 private:
  Model() = default;
  void describe_graph(const LoadOptions& options);
  LoadOptions fitted(LoadOptions options) const;
  void compile(const LoadOptions& options);
  void make_states(const LoadOptions& options);
  StateSizes state_sizes(const LoadOptions& options, int64_t n_ctx, uint64_t budget) const;
  void reuse_prefixes(const LoadOptions& options);

  std::shared_ptr<const Checkpoint> checkpoint_;
  Graph graph_;
  ModelInfo info_;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Executable> executable_;
  std::unique_ptr<StatePool> states_;
  std::vector<RopeSpec> length_ropes_;  // those whose factors depend on a sequence's planned length
  std::unique_ptr<Runner> runner_;
  std::mutex lazy_mutex_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::optional<std::vector<int32_t>> stop_ids_;
};

/// The stop ids that a checkpoint's files name, without a tokenizer: eos_token_id (an id or a list) of config.json and
/// generation_config.json; tokenizer.ggml.{eos,eot,eom}_token_id of a GGUF. Sorted, each once, inside the vocabulary.
std::vector<int32_t> checkpoint_stop_ids(const Checkpoint& checkpoint, int64_t n_vocab);

/// Memory that this process may still take: free RAM, and less where a control group says so.
uint64_t available_memory();

}  // namespace tenon
