// The host side of "tenon.build/0": turns a plugin's calls into a Graph. Copies everything, checks everything, and is
// poisoned by the first failure, whose message names the plugin's source line.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "graph/ir.hpp"
#include "plugin/meta.hpp"
#include "tenon/abi.h"

struct tn_build {
  tn_build(const tn_meta& meta, std::string plugin_name) : meta(meta), plugin(std::move(plugin_name)) {}

  static const tn_build_v0* table();

  bool failed() const { return !error.empty(); }
  void poison(const std::string& message);
  /// Throws Error{bad_plugin or bad_model} when poisoned.
  void throw_error() const;
  /// Stored tensors that no weight took and no glob ignores, and those of whose rows some are no weight's.
  std::vector<std::string> uncovered_tensors() const;

  const tn_meta& meta;
  std::string plugin;
  tenon::Graph graph;
  tenon::Location at;
  std::string error;
  tenon::ErrorCode code = tenon::ErrorCode::bad_plugin;

  std::map<std::string, tenon::ValueId, std::less<>> inputs;
  std::map<tenon::WeightId, tenon::ValueId> weight_values;
  std::map<std::string, tenon::WeightId, std::less<>> weight_names;
  std::map<std::string, int, std::less<>> taken;           // stored tensor -> how many weights take it whole
  std::map<std::string, int64_t, std::less<>> rows_taken;  // of tensors that weights take row ranges of
  std::vector<std::string> ignored_tensors;                // globs of this model's format
};

namespace tenon {

/// What the steps of a source make of its tensors' stored shapes, or Error{bad_model | bad_plugin} naming the step and
/// `what`, and of several tensors those that do not fit.
Shape apply_shape(const WeightSource& source, const std::vector<Shape>& shapes, const Shape& declared,
                  std::string_view what);

}  // namespace tenon
