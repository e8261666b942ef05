// Parts of encoders: attention in both directions, and the one vector that they make of a text.
#pragma once

#include <tenon/plugin.hpp>

namespace tenon {
inline namespace v0 {

/// softmax(scale q k^T + window mask) v over all tokens of a text, later ones too; a window of W tokens reaches W/2 to
/// either side, 0 everywhere. q [T, H, D], k [T, G, D], v [T, G, Dv]: [T, H, Dv].
inline Tensor encoder_attention(Tensor q, Tensor k, Tensor v, double scale, int64_t window = 0,
                                Here at = Here::current()) {
  q.graph->locate(at);
  return q.graph->op("tenon.encoder_attention/1", {q.id, k.id, v.id},
                     {{"scale", scale}, {"radius", window > 0 ? window / 2 : -1}});
}

/// One row for each text: the "mean", the "first" or the "last" of its rows. x [T, E]: [R, E].
inline Tensor pool(Tensor x, const std::string& mode, Here at = Here::current()) {
  x.graph->locate(at);
  return x.graph->op("tenon.pool/1", {x.id, x.graph->input_tensor("rows").id}, {{"mode", mode}});
}

/// x / |x| over the last axis.
inline Tensor unit_length(Tensor x, Here at = Here::current()) {
  const double n = static_cast<double>(x.dim(x.rank() - 1));
  return x.graph->scale(x.graph->rms_norm(x, 1e-24 / n, at), 1 / std::sqrt(n), at);
}

/// What makes one vector of a text's states (Reimers and Gurevych 2019): pooling, then dense layers where the
/// checkpoint has some, then unit length. config.json's side is the folders "1_Pooling", "2_Dense", ... beside it.
class SentenceHead {
 public:
  explicit SentenceHead(const Meta& m) : mode_(pooling(m)) {
    for (int i = 2; i < 10; ++i) {
      const std::string n = std::to_string(i);
      const Names names = {n + "_Dense.linear", "dense_" + n};
      const auto shape = m.tensor_shape((m.is_gguf() ? names.gguf : names.hf) + ".weight");
      if (shape.size() == 2) dense_.push_back({names, shape[0], activation_of(m, "modules." + n + "_Dense.")});
    }
    m.ignore({nullptr, "dense_*_feat_*"}, "the tensors have shapes");
  }

  /// hidden [T, E]: [R, N].
  Tensor operator()(Tensor hidden) const {
    Graph& g = *hidden.graph;
    Tensor x = pool(hidden, mode_);
    for (const Dense& d : dense_) {
      x = g.linear(x, d.names, d.n_out, Bias::if_stored);
      if (!d.act.empty()) x = g.unary(x, d.act);
    }
    return unit_length(x);
  }

 private:
  struct Dense {
    Names names;
    int64_t n_out;
    std::string act;
  };

  static std::string pooling(const Meta& m) {
    const std::string place = "modules.1_Pooling.";
    std::string mode = m.get_text({(place + "pooling_mode").c_str()}, "");
    for (const char* word : {"cls", "mean", "lasttoken", "max", "mean_sqrt_len", "weightedmean"}) {
      const std::string suffix = std::string_view(word) == "lasttoken" ? ""
                                 : word == std::string_view("cls")     ? "_token"
                                                                       : "_tokens";
      if (m.get_bool({(place + "pooling_mode_" + word + suffix).c_str()}, false)) mode += mode.empty() ? word : "+";
    }
    const Key type = {nullptr, "pooling_type"};
    if (m.is_gguf()) {
      const int64_t kind = m.get_int(type, 1);
      mode = kind == 2 ? "cls" : kind == 3 ? "lasttoken" : kind <= 1 ? "mean" : std::to_string(kind);
    }
    if (mode.empty() || mode == "mean") return "mean";
    if (mode == "cls") return "first";
    if (mode == "lasttoken") return "last";
    throw Refusal("[config] pooling is " + mode + ", known are cls, mean and lasttoken");
  }

  /// The class that a Dense folder's config.json names, "torch.nn.modules.linear.Identity".
  static std::string activation_of(const Meta& m, const std::string& place) {
    const std::string name = m.get_text({(place + "activation_function").c_str()}, "Identity");
    const std::string word = name.substr(name.rfind('.') + 1);
    if (word == "Identity") return "";
    if (word == "Tanh") return "tanh";
    if (word == "GELU") return "gelu_erf";
    if (word == "ReLU") return "relu";
    throw Refusal("[config] " + place + "activation_function is " + name + ", known are Identity, Tanh, GELU and ReLU");
  }

  std::string mode_;
  std::vector<Dense> dense_;
};

}  // namespace v0
}  // namespace tenon
