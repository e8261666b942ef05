// "tenon.build/0": every callback checks its arguments, appends to the graph, and turns any exception into the poisoned
// state, because nothing may be thrown across the ABI.
#include "plugin/builder.hpp"

#include <algorithm>
#include <cstring>
#include <functional>

#include "base/error.hpp"
#include "graph/catalogue.hpp"
#include "graph/limits.hpp"
#include "plugin/glob.hpp"
#include "plugin/neutral_keys.hpp"

namespace tenon {
namespace {

constexpr uint32_t kMaxWeightRank = 8;

/// Runs `body` unless the builder is poisoned; a throw poisons it. Returns `bad` then.
template <typename R, typename Body>
R guarded(tn_build* b, R bad, Body&& body) noexcept {
  if (!b || b->failed()) return bad;
  try {
    return body();
  } catch (const Error& e) {
    b->code = e.code();
    b->poison(e.what());
  } catch (const std::exception& e) {
    b->poison(e.what());
  }
  return bad;
}

std::string checked_name(const char* name, const char* what) {
  if (!name) fail(ErrorCode::bad_plugin, "[{}] name is null", what);
  const size_t n = strnlen(name, kMaxName + 1);
  if (n == 0 || n > kMaxName)
    fail(ErrorCode::bad_plugin, "[{}] name has {} bytes, the limit is {}", what, n ? "more than 256" : "0", kMaxName);
  return {name, n};
}

AttrValue attr_value(const tn_attr& a) {
  if (a.count > 65536) fail(ErrorCode::bad_plugin, "[attribute {}] {} elements, the limit is 65536", a.key, a.count);
  switch (a.kind) {
    case TN_ATTR_INT:
      return a.u.i;
    case TN_ATTR_REAL:
      return a.u.f;
    case TN_ATTR_STRING:
      return checked_name(a.u.s, a.key);
    case TN_ATTR_INTS:
      return std::vector<int64_t>(a.u.iv, a.u.iv + a.count);
    case TN_ATTR_REALS:
      return std::vector<double>(a.u.fv, a.u.fv + a.count);
    default:
      fail(ErrorCode::bad_plugin, "[attribute {}] kind {} is unknown", a.key, a.kind);
  }
}

tn_status param(tn_build* b, const tn_attr* attr) {
  return guarded(b, tn_status{TN_ERROR}, [&] {
    const std::string key = checked_name(attr->key, "param");
    AttrValue v = attr_value(*attr);
    if (key == "n_layers") {
      const int64_t* n = std::get_if<int64_t>(&v);
      if (!n || *n < 1 || *n > kMaxLayers)
        fail(ErrorCode::bad_model, "[{}] {} layers, the limit is {}", b->meta.place, n ? *n : 0, kMaxLayers);
    }
    b->graph.params[key] = std::move(v);
    return tn_status{TN_OK};
  });
}

tn_dim dim(tn_build* b, const char* symbol) {
  return guarded(b, tn_dim{0}, [&]() -> tn_dim {
    const std::string_view s = symbol ? symbol : "";
    if (s == "tokens") return kDimTokens;
    if (s == "rows") return kDimRows;
    fail(ErrorCode::bad_plugin, "[dim] '{}' is none of tokens, rows", s);
  });
}

std::vector<Xform> copy_steps(const tn_wsrc& src) {
  if (src.n_steps > 16) fail(ErrorCode::bad_plugin, "[weight] {} steps, the limit is 16", src.n_steps);
  std::vector<Xform> steps;
  for (uint32_t i = 0; i < src.n_steps; ++i) {
    const tn_xform& x = src.steps[i];
    if (x.op < TN_X_TRANSPOSE || x.op > TN_X_MXFP4)
      fail(ErrorCode::bad_plugin, "[weight] step {} has unknown kind {}", i, x.op);
    Xform s{static_cast<XformOp>(x.op), x.axis, {}, x.f};
    std::copy(x.a, x.a + 4, s.a);
    steps.push_back(s);
  }
  return steps;
}

std::vector<WeightSource> copy_sources(const tn_weight& w) {
  if (w.n_src > 32) fail(ErrorCode::bad_plugin, "[weight {}] {} sources, the limit is 32", w.name, w.n_src);
  std::vector<WeightSource> out;
  for (uint32_t i = 0; i < w.n_src; ++i) {
    tn_wsrc src{};
    std::memcpy(&src, w.src[i], std::min<size_t>(w.src[i]->size, sizeof src));
    if (src.format != TN_FORMAT_SAFETENSORS && src.format != TN_FORMAT_GGUF)
      fail(ErrorCode::bad_plugin, "[weight {}] source {} has unknown format {}", w.name, i, src.format);
    if (src.n_names < 1 || src.n_names > 65536)
      fail(ErrorCode::bad_plugin, "[weight {}] source {} has {} names, outside 1..65536", w.name, i, src.n_names);
    WeightSource s{static_cast<WeightFormat>(src.format), {}, copy_steps(src)};
    for (uint32_t n = 0; n < src.n_names; ++n) s.names.push_back(checked_name(src.names[n], "weight source"));
    out.push_back(std::move(s));
  }
  return out;
}

/// The first source of this model's format whose names are all stored, or -1.
int choose_source(const tn_build& b, const std::vector<WeightSource>& sources) {
  const auto format = static_cast<WeightFormat>(tn_meta::table()->format(&b.meta));
  for (size_t i = 0; i < sources.size(); ++i) {
    const auto stored = [&](const std::string& n) { return b.meta.checkpoint.find(n) != nullptr; };
    if (sources[i].format == format && std::ranges::all_of(sources[i].names, stored)) return static_cast<int>(i);
  }
  return -1;
}

/// Names the tensors that a required weight would have come from.
[[noreturn]] void fail_missing(const tn_build& b, const GraphWeight& w) {
  const auto format = static_cast<WeightFormat>(tn_meta::table()->format(&b.meta));
  std::string wanted;
  for (const WeightSource& s : w.sources) {
    if (s.format != format) continue;
    for (const std::string& n : s.names)
      if (!b.meta.checkpoint.find(n)) {
        wanted += (wanted.empty() ? "" : " or ") + n;
        break;
      }
  }
  fail(ErrorCode::bad_model, "[{}] tensor {} is not stored (weight {} {}, declared at {})",
       b.meta.checkpoint.path().filename().string(), wanted.empty() ? w.name : wanted, w.name, shape_text(w.shape),
       location_text(w.at));
}

/// All names of a fused weight; of a stack, whose parts agree in shape, the first.
std::string some_names(const std::vector<std::string>& names) {
  return names.size() > 4 ? names.front() : fmt::format("{}", fmt::join(names, " + "));
}

/// A config.json may say that no weight stands in for another.
bool ties_weights(const tn_meta& meta) {
  if (meta.checkpoint.format() == Format::gguf) return true;
  const Value* config = &meta.checkpoint.metadata();
  for (std::string_view prefix : text_config_prefixes())
    if (const Value* text = config->find(prefix.substr(0, prefix.size() - 1)); text && text->is_object()) config = text;
  const Value* said = config->find("tie_word_embeddings");
  return !said || !said->is_bool() || said->as_bool();
}

void take_source(tn_build& b, GraphWeight& w) {
  const WeightSource& src = w.sources[static_cast<size_t>(w.chosen)];
  std::vector<Shape> shapes;
  const bool sliced = std::ranges::any_of(src.steps, [](const Xform& x) { return x.op == XformOp::slice; });
  for (const std::string& n : src.names) {
    shapes.push_back(b.meta.checkpoint.find(n)->tensor.shape);
    int& count = b.taken[n];
    count += sliced ? (count == 0 ? 1 : 0) : 1;
    if (count > 1)
      fail(ErrorCode::bad_plugin, "[weight {}] tensor {} is taken twice at {}", w.name, n, location_text(w.at));
  }
  const Shape got = apply_shape(src, shapes, w.shape, w.name + " from " + src.names.front());
  if (got != w.shape)
    fail(ErrorCode::bad_model, "[{}] tensor {} makes a weight of shape {}, {} was expected at {}",
         b.meta.checkpoint.path().filename().string(), some_names(src.names), shape_text(got), shape_text(w.shape),
         location_text(w.at));
  if (sliced && src.names.size() == 1 && src.steps[0].op == XformOp::slice && src.steps[0].axis == 0)
    b.rows_taken[src.names[0]] += src.steps[0].a[1] * std::max<int64_t>(src.steps[0].a[2], 1);
}

void take_tie(const tn_build& b, GraphWeight& w, std::string_view name) {
  const auto tie = b.weight_names.find(name);
  if (tie == b.weight_names.end())
    fail(ErrorCode::bad_plugin, "[weight {}] is tied to {}, which is not declared", w.name, name);
  w.tied_to = tie->second;
  const Shape& shape = b.graph.weight(w.tied_to).shape;
  if (shape != w.shape)
    fail(ErrorCode::bad_model, "[weight {}] {} is tied to {} {}", w.name, shape_text(w.shape), name, shape_text(shape));
}

tn_wt weight(tn_build* b, const tn_weight* given) {
  return guarded(b, tn_wt{0}, [&]() -> tn_wt {
    tn_weight d{};
    std::memcpy(&d, given, std::min<size_t>(given->size, sizeof d));
    GraphWeight w;
    w.name = checked_name(d.name, "weight");
    if (d.rank < 1 || d.rank > kMaxWeightRank)
      fail(ErrorCode::bad_plugin, "[weight {}] rank {}, outside 1..{}", w.name, d.rank, kMaxWeightRank);
    w.shape.assign(d.shape, d.shape + d.rank);
    w.shard = d.shard, w.at = b->at, w.sources = copy_sources(d);
    if (b->weight_names.contains(w.name))
      fail(ErrorCode::bad_plugin, "[weight {}] is declared twice at {}", w.name, location_text(b->at));
    if (b->graph.weights.size() >= kMaxWeights)
      fail(ErrorCode::bad_plugin, "[weight {}] more than {} weights", w.name, kMaxWeights);
    w.chosen = choose_source(*b, w.sources);
    const bool tied = w.chosen < 0 && d.tie_to && ties_weights(b->meta);
    if (w.chosen < 0 && !tied) {
      if (d.flags & TN_WEIGHT_OPTIONAL) return 0;
      fail_missing(*b, w);
    }
    for (int64_t n : w.shape)
      if (n < 1)
        fail(ErrorCode::bad_model, "[weight {}] shape {} has an empty dimension at {}", w.name, shape_text(w.shape),
             location_text(b->at));
    if (tied)
      take_tie(*b, w, d.tie_to);
    else
      take_source(*b, w);
    b->graph.weights.push_back(std::move(w));
    const auto id = static_cast<WeightId>(b->graph.weights.size());
    b->weight_names[b->graph.weights.back().name] = id;
    return id;
  });
}

void ignore_tensor(tn_build* b, uint32_t format, const char* glob, const char*) {
  guarded(b, 0, [&] {
    if (format == tn_meta::table()->format(&b->meta)) b->ignored_tensors.push_back(checked_name(glob, "ignore_tensor"));
    return 0;
  });
}

std::string state_kind_text(uint32_t kind) {
  if (kind == TN_STATE_INDEX_KEYS) return "index_keys";
  return std::to_string(kind);
}

void set_kv(GraphState& s, const tn_state& d) {
  s.n_heads = d.n_heads, s.dim_k = d.dim_k, s.dim_v = d.dim_v, s.window = d.window;
  if (s.n_heads < 1 || s.dim_k < 1 || s.dim_v < 1 || s.window < 0 || s.n_heads > 65536 || s.dim_k > 65536 ||
      s.dim_v > 65536)
    fail(ErrorCode::bad_model, "[state {}] {} heads of {} and {} with window {} at {}", s.name, s.n_heads, s.dim_k,
         s.dim_v, s.window, location_text(s.at));
}

void set_shape(GraphState& s, const tn_state& d) {
  s.kind = static_cast<StateKind>(d.kind);
  if (d.rank < 1 || d.rank > 4 || !d.shape)
    fail(ErrorCode::bad_plugin, "[state {}] a {} state of rank {}, outside 1..4, at {}", s.name,
         state_kind_name(s.kind), d.rank, location_text(s.at));
  s.shape.assign(d.shape, d.shape + d.rank);
  int64_t elements = 1;
  for (int64_t n : s.shape)
    if (n < 1 || __builtin_mul_overflow(elements, n, &elements) || elements > kMaxStateElements)
      fail(ErrorCode::bad_model, "[state {}] shape {}, allowed are 1 to {} elements, at {}", s.name,
           shape_text(s.shape), kMaxStateElements, location_text(s.at));
  if (s.kind == StateKind::mla_latent && (s.shape.size() != 1 || s.shape[0] > 65536))
    fail(ErrorCode::bad_model, "[state {}] an mla_latent state has shape {}, expected [1..65536], at {}", s.name,
         shape_text(s.shape), location_text(s.at));
  if (s.kind == StateKind::conv && s.shape.size() != 2)
    fail(ErrorCode::bad_plugin, "[state {}] a conv state has shape {}, expected [K-1, C], at {}", s.name,
         shape_text(s.shape), location_text(s.at));
}

tn_st state(tn_build* b, const tn_state* given) {
  return guarded(b, tn_st{0}, [&]() -> tn_st {
    tn_state d{};
    std::memcpy(&d, given, std::min<size_t>(given->size, sizeof d));
    GraphState s;
    s.name = checked_name(d.name, "state");
    s.layer = static_cast<int32_t>(d.layer), s.at = b->at;
    if (d.kind == TN_STATE_KV)
      set_kv(s, d);
    else if (d.kind == TN_STATE_CONV || d.kind == TN_STATE_RECURRENT || d.kind == TN_STATE_MLA_LATENT)
      set_shape(s, d);
    else
      fail(ErrorCode::unsupported, "[state {}] kind {} is unknown to this host", s.name, state_kind_text(d.kind));
    if (b->graph.states.size() >= static_cast<size_t>(4 * kMaxLayers))
      fail(ErrorCode::bad_plugin, "[state {}] too many states", s.name);
    b->graph.states.push_back(std::move(s));
    return static_cast<tn_st>(b->graph.states.size());
  });
}

tn_val input(tn_build* b, const char* given) {
  return guarded(b, tn_val{0}, [&]() -> tn_val {
    const std::string name = checked_name(given, "input");
    if (auto known = b->inputs.find(name); known != b->inputs.end()) return known->second;
    if (name != "tokens" && name != "positions" && name != "rows")
      fail(ErrorCode::bad_plugin, "[input] '{}' is none of tokens, positions, rows", name);
    GraphValue v{ValueKind::input, Elem::i32, {name == "rows" ? kDimRows : kDimTokens}, 0, name};
    return b->inputs[name] = b->graph.add_value(std::move(v));
  });
}

tn_val use(tn_build* b, tn_wt id) {
  return guarded(b, tn_val{0}, [&]() -> tn_val {
    if (id < 1 || id > b->graph.weights.size())
      fail(ErrorCode::bad_plugin, "[use] no weight has id {} at {}", id, location_text(b->at));
    if (auto known = b->weight_values.find(id); known != b->weight_values.end()) return known->second;
    GraphValue v{ValueKind::weight, Elem::f32, b->graph.weight(id).shape, id, {}};
    return b->weight_values[id] = b->graph.add_value(std::move(v));
  });
}

tn_status op(tn_build* b, const char* op_id, const tn_val* in, uint32_t n_in, const tn_st* states, uint32_t n_states,
             const tn_attr* attrs, uint32_t n_attrs, tn_val* out, uint32_t n_out) {
  return guarded(b, tn_status{TN_ERROR}, [&] {
    Node node;
    node.op = checked_name(op_id, "op");
    node.at = b->at;
    if (node.op.starts_with("host."))
      fail(ErrorCode::bad_plugin, "[{}] is the host's own, at {}", node.op, location_text(b->at));
    if (n_in > 64 || n_states > 16 || n_attrs > 64)
      fail(ErrorCode::bad_plugin, "[{}] {} operands, {} states, {} attributes at {}", node.op, n_in, n_states, n_attrs,
           location_text(b->at));
    node.inputs.assign(in, in + n_in);
    node.states.assign(states, states + n_states);
    for (ValueId v : node.inputs)
      if (v > b->graph.values.size())
        fail(ErrorCode::bad_plugin, "[{}] no value has id {} at {}", node.op, v, location_text(b->at));
    for (StateId s : node.states)
      if (s < 1 || s > b->graph.states.size())
        fail(ErrorCode::bad_plugin, "[{}] no state has id {} at {}", node.op, s, location_text(b->at));
    for (uint32_t i = 0; i < n_attrs; ++i) node.attrs[checked_name(attrs[i].key, "attribute")] = attr_value(attrs[i]);
    const size_t index = append_node(b->graph, std::move(node));
    const std::vector<ValueId>& made = b->graph.nodes[index].outputs;
    if (made.size() != n_out)
      fail(ErrorCode::bad_plugin, "[{}] has {} results, {} were asked for at {}", op_id, made.size(), n_out,
           location_text(b->at));
    std::ranges::copy(made, out);
    return tn_status{TN_OK};
  });
}

uint32_t has_op(tn_build*, const char* op_id) { return op_id && find_op(op_id) != nullptr; }

uint32_t rank(tn_build* b, tn_val v) {
  return guarded(b, 0u, [&] {
    return v < 1 || v > b->graph.values.size() ? 0u : static_cast<uint32_t>(b->graph.value(v).shape.size());
  });
}
tn_dim extent(tn_build* b, tn_val v, uint32_t axis) {
  return guarded(b, tn_dim{0}, [&]() -> tn_dim {
    if (v < 1 || v > b->graph.values.size() || axis >= b->graph.value(v).shape.size())
      fail(ErrorCode::bad_plugin, "[extent] value {} has no axis {} at {}", v, axis, location_text(b->at));
    return b->graph.value(v).shape[axis];
  });
}

void scope(tn_build* b, const char* name, int32_t layer) {
  guarded(b, 0, [&] {
    b->at.scope = name ? std::string(name, strnlen(name, kMaxName)) : "";
    b->at.layer = layer;
    return 0;
  });
}
void location(tn_build* b, const char* file, int32_t line) {
  guarded(b, 0, [&] {
    const std::string_view path = file ? std::string_view(file, strnlen(file, 4096)) : "";
    b->at.file = path.substr(path.rfind('/') + 1);
    b->at.line = line;
    return 0;
  });
}

tn_status output(tn_build* b, const char* name, tn_val v) {
  return guarded(b, tn_status{TN_ERROR}, [&] {
    if (v < 1 || v > b->graph.values.size())
      fail(ErrorCode::bad_plugin, "[output] no value has id {} at {}", v, location_text(b->at));
    b->graph.outputs[checked_name(name, "output")] = v;
    return tn_status{TN_OK};
  });
}

tn_status fail_by_plugin(tn_build* b, tn_status status, const char* message, const char* file, int32_t line) {
  return guarded(b, tn_status{TN_ERROR}, [&]() -> tn_status {
    const std::string text = message ? std::string(message, strnlen(message, 4096)) : "no message";
    b->code = text.starts_with("[config]") ? ErrorCode::bad_model : ErrorCode::bad_plugin;
    if (status == TN_UNSUPPORTED) b->code = ErrorCode::unsupported;
    b->poison(file ? text + " at " + file + ":" + std::to_string(line) : text);
    return tn_status{TN_ERROR};
  });
}

}  // namespace
}  // namespace tenon

const tn_build_v0* tn_build::table() {
  using namespace tenon;
  static constexpr tn_build_v0 t{param,  dim,  weight, ignore_tensor, state,    input,  use,           op,
                                 has_op, rank, extent, scope,         location, output, fail_by_plugin};
  return &t;
}

void tn_build::poison(const std::string& message) {
  if (error.empty()) error = message.empty() ? "unnamed failure" : message;
}

void tn_build::throw_error() const {
  if (failed()) throw tenon::Error(code, error + " (plugin " + plugin + ")");
}

std::vector<std::string> tn_build::uncovered_tensors() const {
  std::vector<std::string> out;
  for (const tenon::StoredTensor& t : meta.checkpoint.tensors()) {
    const auto matches = [&](const std::string& glob) { return tenon::glob_match(glob, t.name); };
    if (std::ranges::any_of(ignored_tensors, matches)) continue;
    if (!taken.contains(t.name)) out.push_back(t.name);
    if (const auto rows = rows_taken.find(t.name); rows != rows_taken.end() && rows->second < t.tensor.shape[0])
      out.push_back(fmt::format("{} ({} of its {} rows)", t.name, t.tensor.shape[0] - rows->second, t.tensor.shape[0]));
  }
  return out;
}
