// The flags that say how a conversation becomes a prompt.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "api/tenon.hpp"

namespace tenon::tool {

struct TemplateOptions {
  std::string tools, documents, kwargs, name, file;
  const CLI::App* command = nullptr;

  api::RenderOptions read() const;
};
void add_template_options(CLI::App& command, TemplateOptions& options);

}  // namespace tenon::tool
