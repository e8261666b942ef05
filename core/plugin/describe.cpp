// Selection, description and coverage: see describe.hpp.
#include "plugin/describe.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "graph/catalogue.hpp"
#include "plugin/builder.hpp"
#include "plugin/library.hpp"
#include "plugin/selection.hpp"

namespace tenon {
namespace {

/// The table behind which a plugin finds this host's interfaces.
const tn_host_v0& host_table() {
  static constexpr auto query = [](tn_host*, const char* iface) -> const void* {
    const std::string_view id = iface ? iface : "";
    if (id == TENON_IFACE_META) return tn_meta::table();
    if (id == TENON_IFACE_BUILD) return tn_build::table();
    return nullptr;
  };
  static constexpr tn_host_v0 host{sizeof(tn_host_v0), TENON_ABI_MAJOR, TENON_ABI_MINOR, 0, nullptr, query};
  return host;
}

struct Chosen {
  PluginRow* row;
  Selection selection;
};

Chosen choose(const Checkpoint& checkpoint, PluginRegistry& plugins, const std::string& pin) {
  const auto score = [&](const PluginRow& row, uint32_t arch, std::string* why) {
    auto& mutable_row = plugins.rows()[static_cast<size_t>(&row - plugins.rows().data())];
    const LoadedPlugin& loaded = load_plugin(mutable_row);
    const tn_meta meta(checkpoint);
    tn_match match{};
    match.size = sizeof match;
    const tn_status status = loaded.entry.arch->match(&host_table(), &meta, arch, &match);
    meta.throw_errors();
    if (status != TN_OK)
      fail(ErrorCode::bad_plugin, "[{}] match failed with status {}", row.file.filename().string(), status);
    if (match.why) *why = match.why;
    return match.score;
  };
  Selection s = select_plugin(model_names(checkpoint), plugins.rows(), score, pin);
  return {&plugins.rows()[s.row], std::move(s)};
}

/// Runs open, describe and close of one architecture; the graph is left in `build`.
void run_plugin(const tn_arch_v0& arch, uint32_t index, const tn_meta& meta, tn_build& build) {
  void* self = nullptr;
  tn_status status = arch.open(&host_table(), &meta, index, &build, &self);
  if (status == TN_OK && !build.failed() && meta.errors.empty())
    status = arch.describe(self, &host_table(), &build, "decoder");
  if (self) arch.close(self);
  meta.throw_errors();
  build.throw_error();
  if (status != TN_OK)
    fail(ErrorCode::bad_plugin, "[{}] describe failed with status {} and no message", build.plugin, status);
}

std::string join_some(const std::vector<std::string>& items) {
  std::string out;
  for (size_t i = 0; i < items.size() && i < 6; ++i) out += (i ? ", " : "") + items[i];
  return items.size() > 6 ? out + fmt::format(" and {} more", items.size() - 6) : out;
}

void check_coverage(const tn_build& build, bool allow_unread, std::vector<std::string>& warnings) {
  const std::string file = build.meta.checkpoint.path().filename().string();
  if (const auto left = build.uncovered_tensors(); !left.empty())
    fail(ErrorCode::bad_model, "[{}] {} stored tensors that plugin {} does not use: {}", file, left.size(),
         build.plugin, join_some(left));
  const auto unread = build.meta.unread();
  if (unread.empty()) return;
  const std::string text = fmt::format("[{}] {} keys that plugin {} does not read: {}", build.meta.place, unread.size(),
                                       build.plugin, join_some(unread));
  if (!allow_unread) fail(ErrorCode::bad_model, "{} (--allow-unread makes this a warning)", text);
  warnings.push_back(text);
}

}  // namespace

Description describe(const Checkpoint& checkpoint, PluginRegistry& plugins, const DescribeOptions& options) {
  Chosen chosen = choose(checkpoint, plugins, options.arch);
  const LoadedPlugin& loaded = load_plugin(*chosen.row);
  const tn_meta meta(checkpoint);
  tn_build build(meta, loaded.note.id);
  run_plugin(*loaded.entry.arch, chosen.selection.arch, meta, build);
  const Selection& s = chosen.selection;
  Description out{
      {}, loaded.note.id, loaded.file.string(), s.why.empty() ? fmt::format("score {}", s.score) : s.why, {}};
  check_coverage(build, options.allow_unread, out.warnings);
  validate(build.graph);
  out.graph = std::move(build.graph);
  return out;
}

std::string serving_plugin(const Checkpoint& checkpoint, PluginRegistry& plugins, const std::string& pinned) {
  return choose(checkpoint, plugins, pinned).row->note->id;
}

}  // namespace tenon
