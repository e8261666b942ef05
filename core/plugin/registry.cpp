// Scan, duplicates, and the rows' machine-readable form.
#include "plugin/registry.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace tenon {
namespace fs = std::filesystem;
namespace {

const char* status_name(PluginStatus status) {
  switch (status) {
    case PluginStatus::ok:
      return "ok";
    case PluginStatus::refused:
      return "refused";
    case PluginStatus::failed:
      break;
  }
  return "failed";
}

Value strings(const std::vector<std::string>& list) {
  Value::Array out;
  for (const std::string& text : list) out.emplace_back(text);
  return out;
}

Value text_or_null(const std::string& text) { return text.empty() ? Value() : Value(text); }

// The union over a plugin's architectures, in the note's order.
Value all_names(const PluginRow& row, std::vector<std::string> PluginArch::* names) {
  std::vector<std::string> all;
  if (row.note)
    for (const PluginArch& arch : row.note->archs)
      for (const std::string& name : arch.*names)
        if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
  return strings(all);
}

Value::Object base_members(const PluginRow& row) {
  Value::Object names;
  names.emplace_back("hf", all_names(row, &PluginArch::hf));
  names.emplace_back("model_type", all_names(row, &PluginArch::model_type));
  names.emplace_back("gguf", all_names(row, &PluginArch::gguf));
  Value::Object out;
  out.emplace_back("id", row.note ? Value(row.note->id) : Value());
  out.emplace_back("file", row.file.string());
  out.emplace_back("version", row.note ? Value(row.note->version) : Value());
  out.emplace_back("architectures", std::move(names));
  out.emplace_back("abi", row.note ? Value(fmt::format("{}.{}", row.note->abi_major, row.note->abi_minor)) : Value());
  out.emplace_back("trust", trust_name(row.trust));
  out.emplace_back("status", status_name(row.status));
  out.emplace_back("reason", text_or_null(row.reason));
  return out;
}

Value archs_to_value(const PluginNote& note) {
  Value::Array out;
  for (const PluginArch& arch : note.archs) {
    Value::Object one;
    one.emplace_back("name", arch.name);
    one.emplace_back("hf", strings(arch.hf));
    one.emplace_back("model_type", strings(arch.model_type));
    one.emplace_back("gguf", strings(arch.gguf));
    out.emplace_back(std::move(one));
  }
  return out;
}

}  // namespace

PluginNote admit_plugin(std::span<const std::byte> bytes, std::string_view place, const HostFacts& host) {
  PluginNote note = parse_plugin_note(bytes, place);
  check_host_fit(note, place, host);
  check_plugin_image(bytes, place);
  return note;
}

PluginRow read_plugin_row(const fs::path& file, Trust trust, const HostFacts& host) {
  PluginRow row{.file = file, .trust = trust};
  const std::string place = file.filename().string();
  try {
    const std::string content = read_file(file, kMaxPluginBytes);
    row.bytes = content.size();
    const auto bytes = std::as_bytes(std::span(content));
    row.note = parse_plugin_note(bytes, place);
    check_host_fit(*row.note, place, host);
    check_plugin_image(bytes, place);
  } catch (const Error& e) {
    row.status = PluginStatus::refused;
    row.reason = e.what();
  }
  return row;
}

const std::string& row_sha256(const PluginRow& row) {
  if (row.sha256.empty()) {
    const std::string content = read_file(row.file, kMaxPluginBytes);
    row.sha256 = sha256_hex(std::as_bytes(std::span(content)));
  }
  return row.sha256;
}

bool PluginRegistry::is_duplicate(PluginRow& row) {
  if (row.status != PluginStatus::ok) return false;
  for (PluginRow& other : rows_) {
    // Equal bytes have equal ids and sizes, so most files need not be hashed.
    if (other.status != PluginStatus::ok || other.bytes != row.bytes || other.note->id != row.note->id) continue;
    try {
      if (row_sha256(other) != row_sha256(row)) continue;
    } catch (const Error& e) {
      row.status = PluginStatus::refused;
      row.reason = e.what();
      return false;
    }
    other.trust = std::max(other.trust, row.trust);
    return true;
  }
  return false;
}

PluginRegistry PluginRegistry::scan(std::span<const PluginDir> dirs, const HostFacts& host) {
  PluginRegistry registry;
  for (const PluginCandidate& candidate : find_plugins(dirs)) {
    PluginRow row{.file = candidate.file, .trust = candidate.trust};
    if (candidate.refusal.empty()) {
      row = read_plugin_row(candidate.file, candidate.trust, host);
    } else {
      row.status = PluginStatus::refused;
      row.reason = fmt::format("[{}] {}", candidate.file.filename().string(), candidate.refusal);
    }
    if (!registry.is_duplicate(row)) registry.rows_.push_back(std::move(row));
  }
  return registry;
}

Value row_to_value(const PluginRow& row) { return base_members(row); }

Value row_to_full_value(const PluginRow& row) {
  Value::Object out = base_members(row);
  out.emplace_back("bytes", static_cast<int64_t>(row.bytes));
  if (row.bytes != 0) out.emplace_back("sha256", row_sha256(row));
  if (!row.note) return out;
  out.emplace_back("vendor", text_or_null(row.note->vendor));
  out.emplace_back("license", text_or_null(row.note->license));
  out.emplace_back("ifaces", strings(row.note->ifaces));
  out.emplace_back("opset", static_cast<int64_t>(row.note->opset));
  out.emplace_back("archs", archs_to_value(*row.note));
  return out;
}

}  // namespace tenon
