// Reads quantization_config: the method's parameters, one reader per method.
#include "checkpoint/quant_scheme.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

#include "base/error.hpp"

namespace tenon {
namespace {

constexpr std::string_view kKey = "quantization_config";

// Parameters that change nothing once weights are unpacked: activations stay in float32, and what is left unquantised
// shows in the tensors themselves.
constexpr std::array<std::string_view, 7> kFp8Keys = {
    "quant_method",           "fmt",           "scale_fmt", "weight_block_size", "activation_scheme",
    "modules_to_not_convert", "ignored_layers"};
constexpr std::array<std::string_view, 8> kPackedKeys = {"quant_method",
                                                         "format",
                                                         "config_groups",
                                                         "ignore",
                                                         "kv_cache_scheme",
                                                         "quantization_status",
                                                         "global_compression_ratio",
                                                         "version"};

std::string text_of(const Value& object, std::string_view key, const std::string& fallback) {
  const Value* v = object.find(key);
  if (!v || v->is_null()) return fallback;
  if (!v->is_string())
    fail(ErrorCode::bad_model, "[config.json] {}.{}: expected string, found {}", kKey, key,
         Value::kind_name(v->kind()));
  return v->as_string();
}

[[noreturn]] void refuse(std::string_view key, std::string_view value, std::string_view known) {
  fail(ErrorCode::unsupported, "[config.json] {}.{} is {}, which this build cannot unpack; known: {}", kKey, key,
       in_quotes(value), known);
}

int64_t size_of(const Value& v, std::string_view key) {
  if (!v.is_int() || v.as_int() < 1 || v.as_int() > INT32_MAX)
    fail(ErrorCode::bad_model, "[config.json] {}.{} is {}, expected an integer of at least 1", kKey, key,
         to_json(v).substr(0, 40));
  return v.as_int();
}

QuantScheme::Grid grid_of(const Value& pair, std::string_view key) {
  if (!pair.is_array() || pair.as_array().size() != 2)
    fail(ErrorCode::bad_model, "[config.json] {}.{} is {}, expected two integers", kKey, key,
         to_json(pair).substr(0, 40));
  return {size_of(pair.as_array()[0], key), size_of(pair.as_array()[1], key)};
}

void read_fp8(const Value& q, QuantScheme& scheme) {
  scheme.fp8 = true;
  if (const std::string fmt = text_of(q, "fmt", "e4m3"); fmt != "e4m3") refuse("fmt", fmt, "e4m3");
  if (const Value* size = q.find("weight_block_size"); size && !size->is_null())
    scheme.fp8_grid = grid_of(*size, "weight_block_size");
}

/// The grid of a group of the packed formats: strategy "tensor", "channel", "group" or "block".
QuantScheme::Grid packed_grid(const Value& weights) {
  const std::string strategy = text_of(weights, "strategy", "tensor");
  const Value* size = weights.find("group_size");
  if (strategy == "tensor") return {};
  if (strategy == "channel") return {1, 0};
  if (strategy == "group" && size) return {1, size_of(*size, "config_groups.*.weights.group_size")};
  const Value* block = weights.find("block_structure");
  if (strategy != "block" || !block)
    refuse("config_groups.*.weights.strategy", strategy, "tensor, channel, group, block");
  return grid_of(*block, "config_groups.*.weights.block_structure");
}

bool same(QuantScheme::Grid a, QuantScheme::Grid b) { return a.rows == b.rows && a.columns == b.columns; }

void read_group(const Value& weights, const std::string& format, QuantScheme& scheme) {
  const std::string type = text_of(weights, "type", "int");
  const Value *bits = weights.find("num_bits"), *symmetric = weights.find("symmetric");
  const int64_t n_bits = bits && bits->is_int() ? bits->as_int() : 0;
  const bool is_symmetric = !symmetric || !symmetric->is_bool() || symmetric->as_bool();
  const bool int4 = format == "pack-quantized" && type == "int" && n_bits == 4;
  const bool fp8 = (format == "float-quantized" || format == "naive-quantized") && type == "float" && n_bits == 8;
  if (!(int4 || fp8) || !is_symmetric)
    fail(ErrorCode::unsupported,
         "[config.json] {} has {}{} weights of {} bits in the format {}; known: pack-quantized int of 4, "
         "float-quantized "
         "float of 8, symmetric",
         kKey, is_symmetric ? "" : "asymmetric ", in_quotes(type), n_bits, in_quotes(format));
  const QuantScheme::Grid grid = packed_grid(weights);
  const bool known = int4 ? scheme.int4 : scheme.fp8;
  QuantScheme::Grid& to = int4 ? scheme.int4_grid : scheme.fp8_grid;
  if (known && !same(to, grid))
    fail(ErrorCode::unsupported, "[config.json] {}.config_groups disagree about groups: {} x {} and {} x {}", kKey,
         to.rows, to.columns, grid.rows, grid.columns);
  to = grid;
  (int4 ? scheme.int4 : scheme.fp8) = true;
}

void read_packed(const Value& q, QuantScheme& scheme) {
  const std::string format = text_of(q, "format", "");
  const Value* groups = q.find("config_groups");
  if (!groups || !groups->is_object()) fail(ErrorCode::bad_model, "[config.json] {}.config_groups is no object", kKey);
  for (const auto& [name, group] : groups->as_object()) {
    const Value* weights = group.find("weights");
    if (weights && weights->is_object()) read_group(*weights, text_of(group, "format", format), scheme);
  }
}

Value without(const Value& object, std::span<const std::string_view> keys) {
  Value::Object kept;
  for (const auto& [key, member] : object.as_object())
    if (std::ranges::find(keys, std::string_view(key)) == keys.end()) kept.emplace_back(key, member);
  return kept;
}

/// `config` with `path` (one key, or a key inside a member) replaced.
Value with_member(const Value& config, std::string_view outer, std::string_view key, Value value) {
  Value::Object copy = config.as_object();
  for (auto& [name, member] : copy) {
    if (outer.empty() && name == key) member = std::move(value);
    if (!outer.empty() && name == outer) member = with_member(member, "", key, std::move(value));
  }
  return copy;
}

}  // namespace

std::optional<QuantScheme> read_quant_scheme(const Value& config) {
  static constexpr std::string_view kPlaces[][2] = {{"", "quantization_config"},
                                                    {"", "compression_config"},
                                                    {"text_config", "quantization_config"},
                                                    {"text_config", "compression_config"},
                                                    {"language_config", "quantization_config"}};
  for (const auto& [outer, key] : kPlaces) {
    const Value* holder = outer.empty() ? &config : config.find(outer);
    const Value* q = holder ? holder->find(key) : nullptr;
    if (!q || q->is_null()) continue;
    if (!q->is_object())
      fail(ErrorCode::bad_model, "[config.json] {}: expected object, found {}", key, Value::kind_name(q->kind()));
    const std::string method = text_of(*q, "quant_method", q->find("config_groups") ? "compressed-tensors" : "");
    if (method == "mxfp4") return std::nullopt;
    QuantScheme scheme;
    if (method == "fp8")
      read_fp8(*q, scheme);
    else if (method == "compressed-tensors")
      read_packed(*q, scheme);
    else
      refuse("quant_method", method, "fp8, compressed-tensors, mxfp4");
    scheme.config = with_member(config, outer, key, method == "fp8" ? without(*q, kFp8Keys) : without(*q, kPackedKeys));
    return scheme;
  }
  return std::nullopt;
}

}  // namespace tenon
