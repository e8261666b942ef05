// Meta: the hyper-parameters of one model, read by their names in both formats.
//   Key{"num_hidden_layers", "block_count"}: the path in config.json, and the GGUF key under "{architecture}.".
// A value that is needed and absent, or of another type, ends the description with an error that names the key.
#pragma once

#include <tenon/abi.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace tenon {
inline namespace v0 {

/// Ends a description with a message; the layer's thunks turn it into a status, it never crosses the ABI.
struct Refusal : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Key {
  const char* hf = nullptr;    // nullptr: config.json has no such key
  const char* gguf = nullptr;  // nullptr: GGUF has no such key; a leading '/' means a full key
};

class Meta {
 public:
  Meta(const tn_meta_v0* table, const tn_meta* meta, std::string hf_prefix = "")
      : t_(table), m_(meta), hf_prefix_(std::move(hf_prefix)) {}
  /// The same file with config.json's keys read inside this object; GGUF keys stay.
  Meta under(const std::string& hf_object) const { return {t_, m_, hf_prefix_ + hf_object + "."}; }

  bool is_gguf() const { return t_->format(m_) == TN_FORMAT_GGUF; }
  bool has(Key key) const { return type(key) != TN_TYPE_ABSENT; }
  uint32_t type(Key key) const { return t_->type_of(m_, c(key)); }

  std::optional<int64_t> find_int(Key key) const { return find<int64_t>(t_->get_i64, key); }
  std::optional<double> find_real(Key key) const { return find<double>(t_->get_f64, key); }
  std::optional<std::string> find_text(Key key) const {
    const char* s = nullptr;
    if (t_->get_str(m_, c(key), &s) && s) return std::string(s);
    return std::nullopt;
  }
  bool get_bool(Key key, bool fallback) const {
    uint32_t b = 0;
    return t_->get_bool(m_, c(key), &b) ? b != 0 : fallback;
  }

  /// Within 32 bits, so that a product of two widths cannot overflow.
  int64_t get_int(Key key, int64_t fallback) const {
    const int64_t v = find_int(key).value_or(fallback);
    if (v < -INT32_MAX || v > INT32_MAX) refuse_range(key, std::to_string(v));
    return v;
  }
  double get_real(Key key, double fallback) const { return find_real(key).value_or(fallback); }
  std::string get_text(Key key, const std::string& fallback) const { return find_text(key).value_or(fallback); }

  /// At least 1 and at most 2^31 - 1: a count or a width.
  int64_t get_count(Key key, int64_t fallback) const { return has(key) ? need_int(key) : fallback; }
  int64_t need_int(Key key) const {
    int64_t v = find_int(key).value_or(0);
    if (v < 1 || v > INT32_MAX)
      throw Refusal("[config] " + name(key) +
                    (has(key) ? " is " + std::to_string(v) + ", outside 1..2^31-1" : " is missing"));
    return v;
  }
  double need_real(Key key) const {
    auto v = find_real(key);
    if (!v) throw Refusal("[config] " + name(key) + " is missing");
    return *v;
  }

  /// Above 0 and finite: a base or a factor.
  double get_positive(Key key, double fallback) const { return in_range(key, get_real(key, fallback), 0, HUGE_VAL); }
  /// The eps of a norm.
  double get_eps(Key key, double fallback) const {
    const double eps = get_real(key, fallback);
    return eps == 0 ? 0 : in_range(key, eps, 0, 1);
  }
  double need_eps(Key key) const { return need_real(key), get_eps(key, 0); }
  /// How many last positions a query sees; 0, which null and an absent key mean too: all of them.
  int64_t get_window(Key key) const {
    const int64_t window = get_int(key, 0);
    return window < 0 ? refuse_range(key, std::to_string(window)) : window;
  }

  std::vector<double> reals(Key key) const {
    std::vector<double> out(t_->array_len(m_, c(key)));
    for (size_t i = 0; i < out.size(); ++i) t_->elem_f64(m_, c(key), i, &out[i]);
    return out;
  }
  /// Integers, or bools as 0 and 1.
  std::vector<int64_t> ints(Key key) const {
    std::vector<int64_t> out(t_->array_len(m_, c(key)));
    for (size_t i = 0; i < out.size(); ++i)
      if (!t_->elem_i64(m_, c(key), i, &out[i])) refuse_range(key, "no integer at " + std::to_string(i));
    return out;
  }
  std::vector<std::string> texts(Key key) const {
    std::vector<std::string> out;
    for (size_t i = 0, n = t_->array_len(m_, c(key)); i < n; ++i) {
      const char* s = nullptr;
      if (!t_->elem_str(m_, c(key), i, &s) || !s) refuse_range(key, "no string at " + std::to_string(i));
      out.emplace_back(s);
    }
    return out;
  }

  /// The row-major shape of a stored tensor; empty when it is not stored.
  std::vector<int64_t> tensor_shape(const std::string& tensor) const {
    int64_t dims[8];
    uint32_t rank = t_->tensor_shape(m_, tensor.c_str(), dims);
    return {dims, dims + rank};
  }

  /// Keys that change nothing for this architecture; '*' matches any run of characters.
  void ignore(Key glob, const char* why) const { t_->ignore_key(m_, c(glob)->hf, glob.gguf, why); }

  [[noreturn]] int64_t refuse_range(Key key, const std::string& value) const {
    throw Refusal("[config] " + name(key) + " is " + value + ", out of range");
  }
  /// `value` of `key` when it is inside (above, below).
  double in_range(Key key, double value, double above, double below) const {
    if (!(value > above && value < below)) refuse_range(key, std::to_string(value));
    return value;
  }

  /// The key as this model's format spells it, for messages.
  std::string name(Key key) const {
    const char* n = is_gguf() ? key.gguf : key.hf;
    return n ? (is_gguf() ? "" : hf_prefix_) + n : "(no such key in this format)";
  }

 private:
  template <typename T>
  std::optional<T> find(int32_t (*getter)(const tn_meta*, const tn_key*, T*), Key key) const {
    T v{};
    if (getter(m_, c(key), &v)) return v;
    return std::nullopt;
  }
  /// Good until the next call.
  const tn_key* c(const Key& key) const {
    scratch_ = {key.hf, key.gguf};
    if (key.hf && !hf_prefix_.empty()) scratch_.hf = (scratch_hf_ = hf_prefix_ + key.hf).c_str();
    return &scratch_;
  }

  const tn_meta_v0* t_;
  const tn_meta* m_;
  std::string hf_prefix_;
  mutable std::string scratch_hf_;
  mutable tn_key scratch_{};
};

}  // namespace v0
}  // namespace tenon
