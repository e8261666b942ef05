// The flags that say what output must look like: shared by the commands that generate and by `tenon grammar`.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "api/tenon.hpp"

namespace tenon::tool {

struct ConstraintOptions {
  std::string json_schema, regex, grammar;
  std::vector<std::string> choices;
  bool json_object = false;
  const CLI::App* command = nullptr;

  bool given() const;
  /// Nothing when no flag was given. Error{usage} for more than one, for a broken one, and for what cannot be enforced.
  std::optional<grammar::Grammar> read() const;
};
void add_constraint_options(CLI::App& command, ConstraintOptions& options);

}  // namespace tenon::tool
