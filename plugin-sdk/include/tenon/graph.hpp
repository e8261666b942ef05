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
#include <tenon/meta.hpp>
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
};

/// A module of the checkpoint by its name in both formats ("" where a format lacks it); linears append ".weight" and
/// ".bias". "{e}" in a name stands for an expert's number: the experts' tensors are stacked.
struct Names {
  std::string hf, gguf;
};

/// A prefix of module names: `Scope{"model.layers.3.", "blk.3."}("self_attn.q_proj", "attn_q")`.
struct Scope {
  std::string hf, gguf;
  Names operator()(const std::string& hf_name, const std::string& gguf_name) const {
    return {hf_name.empty() ? "" : hf + hf_name, gguf_name.empty() ? "" : gguf + gguf_name};
  }
};

/// Where a weight comes from and what the formats do to it.
class Weight {
 public:
  Weight(Names names) : names_{std::move(names)} {}  // NOLINT: a name is a weight
  Weight(const char* hf, const char* gguf) : names_{{hf, gguf}} {}

  /// Rows are rotary heads: GGUF files of this architecture store them in interleaved order.
  Weight rope_rows(int64_t n_heads) && { return rope_heads_ = n_heads, std::move(*this); }
  /// When nothing is stored under its own name it is this weight (a tied head).
  Weight tied_to(const std::string& hf_name) && { return tied_ = hf_name + ".weight", std::move(*this); }
  /// A further spelling of the same weight, tried in order.
  Weight or_named(Names names) && { return names_.push_back(std::move(names)), std::move(*this); }
  Weight experts(int64_t n) && { return n_experts_ = n, std::move(*this); }
  /// The names are the tensors' own: nothing is appended to them.
  Weight whole_name() && { return whole_name_ = true, std::move(*this); }
  /// What safetensors hold goes through this TN_X_* step (a bias does not); GGUF files already hold the result.
  Weight hf_step(uint32_t op, double f = 0) && { return hf_steps_.push_back({op, 0, {}, f}), std::move(*this); }

 private:
  friend class Graph;
  std::vector<Names> names_;
  std::vector<tn_xform> hf_steps_;
  bool whole_name_ = false;
  int64_t rope_heads_ = 0, n_experts_ = 0;
  std::string tied_;
};

/// Whether a linear has a bias: never, always, or as the file has one (GGUF has no key that says so).
enum class Bias { none, required, if_stored };
/// The flag `hf_key` of config.json; as stored in GGUF.
inline Bias bias_flag(const Meta& m, const char* hf_key) {
  if (m.is_gguf()) return Bias::if_stored;
  return m.get_bool({hf_key}, false) ? Bias::required : Bias::none;
}

struct Route {
  Tensor ids, weights;  // [T, k] i32, [T, k]
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

  Tensor add(Tensor a, Tensor b) { return op("tenon.add/1", {a.id, b.id}, {}); }

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
    locate(at);
    return op("tenon.attention/1", {q.id, k.id, v.id, 0}, {{"scale", scale}}, {state});
  }

  // ---- recurrent state ----------------------------------------------------------------------------------------

  /// y_t = act(bias + sum_j w_j x_{t-K+1+j}), each channel by itself; the last K-1 inputs are kept per sequence.
  /// x [T, C], W [C, K]: [T, C].
  struct Conv {
    int64_t layer, kernel;
    std::string act = "identity";
    Bias bias = Bias::none;
  };
  Tensor causal_conv1d(Tensor x, const Weight& w, const Conv& c, Here at = Here::current()) {
    locate(at);
    const int64_t n = x.dim(1);
    const tn_wt weight = declare(w, ".weight", {n, c.kernel});
    const tn_wt b = c.bias == Bias::none ? 0 : declare(w, ".bias", {n}, c.bias == Bias::if_stored);
    const tn_st state = slot_state(TN_STATE_CONV, "conv.", c.layer, {c.kernel - 1, n});
    return op("tenon.causal_conv1d/1", {x.id, use(weight), b ? use(b) : 0}, {{"act", c.act}}, {state});
  }

  /// h = exp(dt A) h + dt B x, y = C h + D x, token by token (Gu and Dao 2023); h [E, N] is kept per sequence.
  /// x and dt [T, E], A [E, N], B and C [T, N], D [E]: [T, E].
  struct Scan {
    Tensor x, dt, b, c;
  };
  Tensor ssm_scan(int64_t layer, const Scan& s, const Weight& a, const Weight& d, Here at = Here::current()) {
    locate(at);
    const int64_t e = s.x.dim(1), n = s.b.dim(1);
    const tn_val a_id = use(declare(a, "", {e, n})), d_id = use(declare(d, "", {e}));
    const tn_st state = slot_state(TN_STATE_RECURRENT, "ssm.", layer, {e, n});
    return op("tenon.ssm_scan/1", {s.x.id, s.dt.id, a_id, s.b.id, s.c.id, d_id}, {}, {state});
  }

  // ---- experts ------------------------------------------------------------------------------------------------

  /// Chooses k of X experts per token from logits [T, X]. score "softmax" (over all), "sigmoid", or "softmax_selected".
  struct Routing {
    int64_t k;
    std::string score = "softmax";
    bool renormalise = false;
    double scale = 1;
  };
  Route moe_route(Tensor logits, const Routing& r, Here at = Here::current()) {
    locate(at);
    tn_val out[2]{};
    apply("tenon.moe_route/1", {logits.id, 0},
          {{"k", r.k}, {"score", r.score}, {"renormalise", int64_t{r.renormalise}}, {"scale", r.scale}}, {}, out, 2);
    return {{this, out[0]}, {this, out[1]}};
  }

  /// sum over the chosen experts of weight * W_down(act(W_gate x) * W_up x). Stacks: gate, up [X, F, E]; down [X, E,
  /// F].
  struct ExpertWeights {
    Weight gate, up, down;
  };
  Tensor moe_ffn(Tensor x, Route route, const ExpertWeights& w, int64_t n_experts, int64_t d_ff, const std::string& act,
                 Here at = Here::current()) {
    locate(at);
    int64_t d = x.dim(1);
    return op(
        "tenon.moe_ffn/1",
        {x.id, route.ids.id, route.weights.id, use(declare(w.gate, ".weight", {n_experts, d_ff, d})),
         use(declare(w.up, ".weight", {n_experts, d_ff, d})), use(declare(w.down, ".weight", {n_experts, d, d_ff}))},
        {{"act", act}});
  }

  // ---- ends ---------------------------------------------------------------------------------------------------

  /// The rows of x [T, ...] that want logits: [R, ...].
  Tensor wanted_rows(Tensor x) { return op("tenon.take_rows/1", {x.id, input("rows")}, {}); }
  void logits(Tensor x) { check(t_->output(b_, "logits", x.id)); }
  /// The final state of every token, [T, E]: what an encoder gives.
  void hidden(Tensor x) { check(t_->output(b_, "hidden", x.id)); }

  // ---- for blocks ---------------------------------------------------------------------------------------------

  Tensor input_tensor(const char* name) { return {this, input(name)}; }
  /// Appends any op of the vocabulary with one result.
  Tensor op(const char* id, const std::vector<tn_val>& in, const std::vector<Attr>& attrs,
            const std::vector<tn_st>& states = {}) {
    tn_val out = 0;
    apply(id, in, attrs, states, &out, 1);
    return {this, out};
  }
  /// A stored vector as an operand, or an absent one (id 0) when the file has none.
  Tensor stored_vector(const Names& names, const char* suffix, int64_t n, Here at = Here::current()) {
    locate(at);
    tn_wt w = declare(Weight(names), suffix, {n}, true);
    return {this, w ? use(w) : 0};
  }
  void locate(const Here& at) { t_->location(b_, at.file_name(), static_cast<int32_t>(at.line())); }

 private:
  friend struct Tensor;

  void apply(const char* id, const std::vector<tn_val>& in, const std::vector<Attr>& attrs,
             const std::vector<tn_st>& states, tn_val* out, uint32_t n_out) {
    std::vector<tn_attr> views;
    for (const Attr& a : attrs) views.push_back(a.view());
    check(t_->op(b_, id, in.data(), static_cast<uint32_t>(in.size()), states.data(),
                 static_cast<uint32_t>(states.size()), views.data(), static_cast<uint32_t>(views.size()), out, n_out));
  }
  tn_val input(const char* name) { return checked(t_->input(b_, name)); }
  tn_val use(tn_wt weight) { return checked(t_->use(b_, weight)); }

  /// A state of one size for any length.
  tn_st slot_state(uint32_t kind, const char* prefix, int64_t layer, const std::vector<int64_t>& shape) {
    const std::string name = prefix + std::to_string(layer);
    tn_state s{};
    s.size = sizeof s, s.kind = kind, s.name = name.c_str(), s.layer = static_cast<uint32_t>(layer);
    s.shape = shape.data(), s.rank = static_cast<uint32_t>(shape.size());
    return checked(t_->state(b_, &s));
  }

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

namespace detail {

/// One tn_wsrc with the storage behind its pointers.
struct Source {
  std::vector<std::string> names;
  std::vector<const char*> pointers;
  std::vector<tn_xform> steps;
  tn_wsrc src{};

  Source(uint32_t format, const std::string& name, int64_t n_experts, int64_t rope_heads,
         const std::vector<tn_xform>& more_steps = {}) {
    const size_t at = name.find("{e}");
    if (at == std::string::npos)
      names = {name};
    else
      for (int64_t e = 0; e < n_experts; ++e)
        names.push_back(name.substr(0, at) + std::to_string(e) + name.substr(at + 3));
    if (names.size() != 1 || at != std::string::npos) steps.push_back({TN_X_STACK, 0, {}, 0});
    if (rope_heads && format == TN_FORMAT_GGUF) steps.push_back({TN_X_ROPE_UNPERMUTE, 0, {rope_heads}, 0});
    steps.insert(steps.end(), more_steps.begin(), more_steps.end());
    for (const std::string& n : names) pointers.push_back(n.c_str());
    src = {sizeof src,      format,      static_cast<uint32_t>(names.size()), static_cast<uint32_t>(steps.size()),
           pointers.data(), steps.data()};
  }
  Source(Source&&) = default;  // the vectors keep their heap blocks, so the pointers stay true
};

}  // namespace detail

inline tn_wt Graph::declare(const Weight& w, const char* suffix, std::vector<int64_t> shape, bool optional) {
  if (w.whole_name_) suffix = "";
  const std::string name = (w.names_[0].hf.empty() ? w.names_[0].gguf : w.names_[0].hf) + suffix;
  if (auto known = declared_.find(name); known != declared_.end()) return known->second;
  std::vector<detail::Source> sources;
  const std::vector<tn_xform> hf = std::string_view(suffix) == ".bias" ? std::vector<tn_xform>{} : w.hf_steps_;
  for (const Names& n : w.names_) {
    if (!n.hf.empty()) sources.emplace_back(TN_FORMAT_SAFETENSORS, n.hf + suffix, w.n_experts_, w.rope_heads_, hf);
    if (!n.gguf.empty()) sources.emplace_back(TN_FORMAT_GGUF, n.gguf + suffix, w.n_experts_, w.rope_heads_);
  }
  std::vector<const tn_wsrc*> pointers;
  for (const detail::Source& s : sources) pointers.push_back(&s.src);
  tn_weight d{};
  d.size = sizeof d, d.flags = optional ? TN_WEIGHT_OPTIONAL : 0, d.name = name.c_str();
  d.shape = shape.data(), d.rank = static_cast<uint32_t>(shape.size());
  d.tie_to = w.tied_.empty() ? nullptr : w.tied_.c_str();
  d.src = pointers.data(), d.n_src = static_cast<uint32_t>(pointers.size());
  const tn_wt id = t_->weight(b_, &d);
  if (!id && !optional) throw Refusal("");
  return declared_[name] = id;
}

}  // namespace v0
}  // namespace tenon
