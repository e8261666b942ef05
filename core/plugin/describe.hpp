// From a checkpoint to a validated graph and its weights: picks the plugin, runs its describe through the builder,
// checks that every stored tensor and every config key was consumed or ignored by name, and applies the weight steps.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "graph/ir.hpp"
#include "tensor/host_tensor.hpp"

namespace tenon {

class PluginRegistry;

struct DescribeOptions {
  std::string arch;           // plugin id pinned by the user, or empty
  bool allow_unread = false;  // unread config keys are warnings instead of an error
};

struct Description {
  Graph graph;
  std::string plugin_id, plugin_file;
  std::string why;  // how the plugin was selected
  std::vector<std::string> warnings;
};

/// Error{not_found} when no plugin knows the model (names the missing architecture and the installed ones),
/// Error{bad_plugin | bad_model} naming plugin file and line for everything that does not fit.
Description describe(const Checkpoint& checkpoint, PluginRegistry& plugins, const DescribeOptions& options);

/// The id of the plugin that would serve the checkpoint, without describing it; same errors.
std::string serving_plugin(const Checkpoint& checkpoint, PluginRegistry& plugins, const std::string& pinned);

/// The bytes of every weight of `graph`, in order: views into the mapped files where the steps allow it, copies where
/// they do not. `done(bytes, total)` is called now and then. Call after keep_stored_rope_rows.
std::vector<HostTensor> load_weights(const Graph& graph, const Checkpoint& checkpoint,
                                     const std::function<void(uint64_t, uint64_t)>& done = {});

}  // namespace tenon
