// Graph: records a model's forward pass as ops over the fixed vocabulary. Tensor is the id of a value, Weight names a
// stored tensor in both formats. Letters in shapes: T tokens of a step, R rows that want logits, E width, H query
// heads, G key/value heads, D head dim, F feed-forward width, X experts, V vocabulary. All values are f32. Every call
// notes the plugin's source line, which the host's errors carry. A failure throws and ends the description.
#pragma once

#include <tenon/abi.h>

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <source_location>
#include <string>
#include <string_view>
#include <tenon/weight.hpp>
#include <utility>
#include <variant>
#include <vector>

namespace tenon {
inline namespace v0 {

using Here = std::source_location;

class Graph;

/// A value of the graph. Copyable; belongs to the Graph that made it.
struct Tensor {
  Graph* graph = nullptr;
  tn_val id = 0;

  int64_t dim(uint32_t axis) const;  // negative: symbolic
  uint32_t rank() const;
  Tensor operator+(Tensor other) const;
  Tensor operator*(Tensor other) const;
};

/// An attribute of an op; owns its value.
struct Attr {
  const char* key;
  std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>> value;

  /// As the ABI passes it: borrowed from this.
  tn_attr view() const {
    tn_attr a{key, TN_ATTR_INT, 1, {}};
    if (auto i = std::get_if<int64_t>(&value)) a.u.i = *i;
    if (auto f = std::get_if<double>(&value)) a.kind = TN_ATTR_REAL, a.u.f = *f;
    if (auto s = std::get_if<std::string>(&value)) a.kind = TN_ATTR_STRING, a.u.s = s->c_str();
    if (auto iv = std::get_if<std::vector<int64_t>>(&value))
      a.kind = TN_ATTR_INTS, a.count = static_cast<uint32_t>(iv->size()), a.u.iv = iv->data();
    if (auto fv = std::get_if<std::vector<double>>(&value))
      a.kind = TN_ATTR_REALS, a.count = static_cast<uint32_t>(fv->size()), a.u.fv = fv->data();
    return a;
  }
};

class Graph {
 public:
  Graph(const tn_build_v0* table, tn_build* build) : t_(table), b_(build) {}
  Graph(const Graph&) = delete;

  /// Facts that the host needs of a decoder.
  struct Model {
    int64_t n_layers, n_vocab, d_model, n_ctx;
  };
  void model(const Model& m, Here at = Here::current()) {
    locate(at);
    param("n_layers", m.n_layers), param("n_vocab", m.n_vocab), param("d_model", m.d_model), param("n_ctx", m.n_ctx);
  }
  void param(const char* key, int64_t value) {
    const tn_attr a = Attr{key, value}.view();
    check(t_->param(b_, &a));
  }
  /// Names what the following ops belong to.
  void layer(int64_t index) { t_->scope(b_, "", static_cast<int32_t>(index)); }
  /// Stored tensors that this architecture does not use.
  void ignore_tensors(Names glob, const char* why) {
    if (!glob.hf.empty()) t_->ignore_tensor(b_, TN_FORMAT_SAFETENSORS, glob.hf.c_str(), why);
    if (!glob.gguf.empty()) t_->ignore_tensor(b_, TN_FORMAT_GGUF, glob.gguf.c_str(), why);
  }

  // ---- dense parts --------------------------------------------------------------------------------------------

  /// Rows of the table W [V, E] by token id: [T, E].
  Tensor embed(const Weight& w, int64_t n_vocab, int64_t d_model, Here at = Here::current()) {
    locate(at);
    return op("tenon.embed/1", {input("tokens"), use(declare(w, ".weight", {n_vocab, d_model}))}, {});
  }

  /// y = x W^T + b; x [..., K], W [n_out, K]: [..., n_out].
  Tensor linear(Tensor x, const Weight& w, int64_t n_out, Bias bias = Bias::none, Here at = Here::current()) {
    locate(at);
    int64_t n_in = x.dim(x.rank() - 1);
    tn_wt weight = declare(w, ".weight", {n_out, n_in});
    tn_wt b = bias == Bias::none ? 0 : declare(w, ".bias", {n_out}, bias == Bias::if_stored);
    return op("tenon.linear/1", {x.id, use(weight), b ? use(b) : 0}, {});
  }

  /// x * rsqrt(mean(x^2) + eps) * w over the last axis (Zhang and Sennrich 2019).
  Tensor rms_norm(Tensor x, const Weight& w, double eps, Here at = Here::current()) {
    locate(at);
    return op("tenon.rms_norm/1", {x.id, use(declare(w, ".weight", {x.dim(x.rank() - 1)}))}, {{"eps", eps}});
  }

  /// The same without a weight.
  Tensor rms_norm(Tensor x, double eps, Here at = Here::current()) {
    locate(at);
    return op("tenon.rms_norm/1", {x.id}, {{"eps", eps}});
  }

  /// (x - mean) * rsqrt(var + eps) * w + b over the last axis (Ba et al. 2016).
  Tensor layer_norm(Tensor x, const Weight& w, double eps, Bias bias = Bias::required, Here at = Here::current()) {
    locate(at);
    const std::vector<int64_t> row = {x.dim(x.rank() - 1)};
    const tn_wt weight = declare(w, ".weight", row);
    const tn_wt b = bias == Bias::none ? 0 : declare(w, ".bias", row, bias == Bias::if_stored);
    return op("tenon.layer_norm/1", {x.id, use(weight), b ? use(b) : 0}, {{"eps", eps}});
  }

  /// The same without weights.
  Tensor layer_norm(Tensor x, double eps, Here at = Here::current()) {
    locate(at);
    return op("tenon.layer_norm/1", {x.id}, {{"eps", eps}});
  }

  /// act(x), elementwise.
  Tensor unary(Tensor x, const std::string& act, Here at = Here::current()) {
    locate(at);
    return op("tenon.unary/1", {x.id}, {{"act", act}});
  }

  /// act(gate) * up, elementwise (Shazeer 2020). act: "silu", "gelu_tanh", "gelu_erf", "relu", ...
  Tensor glu(Tensor gate, Tensor up, const std::string& act, Here at = Here::current()) {
    locate(at);
    return op("tenon.glu/1", {gate.id, up.id}, {{"act", act}});
  }

  /// Sum and product, elementwise; b may be one row [D], also a weight's (see operand).
  Tensor add(Tensor a, Tensor b) { return op("tenon.add/1", {a.id, b.id}, {}); }
  Tensor mul(Tensor a, Tensor b) { return op("tenon.mul/1", {a.id, b.id}, {}); }

  /// factor * x.
  Tensor scale(Tensor x, double factor, Here at = Here::current()) {
    locate(at);
    return op("tenon.scale_shift/1", {x.id}, {{"scale", factor}});
  }
  /// x within [lo, hi], elementwise; either may be infinite.
  Tensor clamp(Tensor x, double lo, double hi, Here at = Here::current()) {
    locate(at);
    if (lo == -HUGE_VAL) return op("tenon.clamp/1", {x.id}, {{"hi", hi}});
    if (hi == HUGE_VAL) return op("tenon.clamp/1", {x.id}, {{"lo", lo}});
    return op("tenon.clamp/1", {x.id}, {{"lo", lo}, {"hi", hi}});
  }
  /// cap * tanh(x / cap), elementwise.
  Tensor softcap(Tensor x, double cap, Here at = Here::current()) {
    locate(at);
    return op("tenon.softcap/1", {x.id}, {{"cap", cap}});
  }

  /// Elements [start, start + length) of the last axis.
  Tensor slice(Tensor x, int64_t start, int64_t length, Here at = Here::current()) {
    locate(at);
    return op("tenon.slice/1", {x.id}, {{"start", start}, {"length", length}});
  }

  /// The same elements in another shape; symbolic dims pass through.
  Tensor reshape(Tensor x, std::vector<int64_t> shape) {
    return op("tenon.reshape/1", {x.id}, {{"shape", std::move(shape)}});
  }
  Tensor split_heads(Tensor x, int64_t n_heads) { return reshape(x, {x.dim(0), n_heads, x.dim(1) / n_heads}); }
  Tensor merge_heads(Tensor x) { return reshape(x, {x.dim(0), x.dim(1) * x.dim(2)}); }

  // ---- attention ----------------------------------------------------------------------------------------------

  /// Keys and values of one layer, kept per sequence by the host. window 0: all positions; W: the last W.
  struct Kv {
    int64_t n_heads, d_key, d_value, window = 0;
  };
  tn_st kv(int64_t layer, const Kv& kv, Here at = Here::current()) {
    locate(at);
    const std::string name = "kv." + std::to_string(layer);
    tn_state s{};
    s.size = sizeof s, s.kind = TN_STATE_KV, s.name = name.c_str(), s.layer = static_cast<uint32_t>(layer);
    s.n_heads = kv.n_heads, s.dim_k = kv.d_key, s.dim_v = kv.d_value, s.window = kv.window;
    return checked(t_->state(b_, &s));
  }

  /// softmax(scale q k^T + causal and window mask) v over the cached and the new keys; query head h reads key head
  /// h / (H/G). q [T, H, D], k [T, G, D], v [T, G, Dv]: [T, H, Dv].
  Tensor attention(tn_st state, Tensor q, Tensor k, Tensor v, double scale, Here at = Here::current()) {
    return attention(state, q, k, v, Scores{scale}, at);
  }
  /// The same with scores capped (0: not), or with a weight [H] of sinks: one more logit per head in the softmax's sum.
  struct Scores {
    double scale, softcap = 0;
    Tensor sinks = {};
  };
  Tensor attention(tn_st state, Tensor q, Tensor k, Tensor v, const Scores& s, Here at = Here::current()) {
    locate(at);
    return op("tenon.attention/1", {q.id, k.id, v.id, s.sinks.id}, {{"scale", s.scale}, {"softcap", s.softcap}},
              {state});
  }

  // ---- ends ---------------------------------------------------------------------------------------------------

  /// The rows of x [T, ...] that want logits: [R, ...].
  Tensor wanted_rows(Tensor x) { return op("tenon.take_rows/1", {x.id, input("rows")}, {}); }
  void logits(Tensor x) { check(t_->output(b_, "logits", x.id)); }
  /// The final state of every token, [T, E]: what an encoder gives.
  void hidden(Tensor x) { output("hidden", x); }
  /// Any result by name: "embedding" [R, N], one vector for the text of each row; "scores" [R, N] of a classifier.
  void output(const char* name, Tensor x) { check(t_->output(b_, name, x.id)); }

  // ---- for blocks ---------------------------------------------------------------------------------------------

  Tensor input_tensor(const char* name) { return {this, input(name)}; }
  /// Appends any op of the vocabulary with one result.
  Tensor op(const char* id, const std::vector<tn_val>& in, const std::vector<Attr>& attrs,
            const std::vector<tn_st>& states = {}) {
    tn_val out = 0;
    apply(id, in, attrs, states, &out, 1);
    return {this, out};
  }
  /// Appends an op with n_out results, whose ids go to `out`.
  void apply(const char* id, const std::vector<tn_val>& in, const std::vector<Attr>& attrs,
             const std::vector<tn_st>& states, tn_val* out, uint32_t n_out) {
    std::vector<tn_attr> views;
    for (const Attr& a : attrs) views.push_back(a.view());
    check(t_->op(b_, id, in.data(), static_cast<uint32_t>(in.size()), states.data(),
                 static_cast<uint32_t>(states.size()), views.data(), static_cast<uint32_t>(views.size()), out, n_out));
  }
  /// A weight as an operand: `suffix` is appended to its names. Id 0 when it is optional and not stored.
  Tensor operand(const Weight& w, const char* suffix, std::vector<int64_t> shape, bool optional = false,
                 Here at = Here::current()) {
    locate(at);
    const tn_wt id = declare(w, suffix, std::move(shape), optional);
    return {this, id ? use(id) : 0};
  }
  /// What a layer keeps per sequence in one size for any length: TN_STATE_CONV or TN_STATE_RECURRENT.
  tn_st state(uint32_t kind, const std::string& name, int64_t layer, const std::vector<int64_t>& shape) {
    tn_state s{};
    s.size = sizeof s, s.kind = kind, s.name = name.c_str(), s.layer = static_cast<uint32_t>(layer);
    s.shape = shape.data(), s.rank = static_cast<uint32_t>(shape.size());
    return checked(t_->state(b_, &s));
  }
  void locate(const Here& at) { t_->location(b_, at.file_name(), static_cast<int32_t>(at.line())); }

 private:
  friend struct Tensor;

  tn_val input(const char* name) { return checked(t_->input(b_, name)); }
  tn_val use(tn_wt weight) { return checked(t_->use(b_, weight)); }

  /// One declaration per name: a second use of the same weight is the same weight.
  tn_wt declare(const Weight& w, const char* suffix, std::vector<int64_t> shape, bool optional = false);

  void check(tn_status status) {
    if (status != TN_OK) throw Refusal("");  // the builder holds the message
  }
  template <typename Id>
  Id checked(Id id) {
    if (!id) throw Refusal("");
    return id;
  }

  const tn_build_v0* t_;
  tn_build* b_;
  std::map<std::string, tn_wt> declared_;
};

inline int64_t Tensor::dim(uint32_t axis) const { return graph->t_->extent(graph->b_, id, axis); }
inline uint32_t Tensor::rank() const { return graph->t_->rank(graph->b_, id); }
inline Tensor Tensor::operator+(Tensor other) const { return graph->add(*this, other); }
inline Tensor Tensor::operator*(Tensor other) const { return graph->mul(*this, other); }

inline tn_wt Graph::declare(const Weight& w, const char* suffix, std::vector<int64_t> shape, bool optional) {
  if (w.whole_name_) suffix = "";
  const std::string name = w.logical_name(suffix);
  if (auto known = declared_.find(name); known != declared_.end()) return known->second;
  const bool values = std::string_view(suffix) != ".bias";
  std::vector<detail::Source> sources;
  for (const Weight::Spelling& s : w.spellings_) {
    std::vector<tn_xform> hf = s.hf_rows, gguf = s.rows;
    hf.insert(hf.end(), s.rows.begin(), s.rows.end());
    if (w.rope_heads_) gguf.push_back({TN_X_ROPE_UNPERMUTE, 0, {w.rope_heads_}, 0});
    if (values) hf.insert(hf.end(), s.hf_steps.begin(), s.hf_steps.end());
    if (values) gguf.insert(gguf.end(), s.gguf_steps.begin(), s.gguf_steps.end());
    if (!s.names.hf.empty())
      sources.emplace_back(TN_FORMAT_SAFETENSORS, s.names.hf + suffix, s.hf_exponents, w.n_experts_, hf);
    if (!s.names.gguf.empty()) sources.emplace_back(TN_FORMAT_GGUF, s.names.gguf + suffix, "", w.n_experts_, gguf);
  }
  std::vector<const tn_wsrc*> pointers;
  for (const detail::Source& s : sources) pointers.push_back(&s.src);
  tn_weight d{};
  d.size = sizeof d, d.flags = optional ? TN_WEIGHT_OPTIONAL : 0, d.name = name.c_str();
  d.shape = shape.data(), d.rank = static_cast<uint32_t>(shape.size());
  d.tie_to = w.tied_.empty() || !values ? nullptr : w.tied_.c_str();
  d.src = pointers.data(), d.n_src = static_cast<uint32_t>(pointers.size());
  const tn_wt id = t_->weight(b_, &d);
  if (!id && !optional) throw Refusal("");
  return declared_[name] = id;
}

}  // namespace v0
}  // namespace tenon
