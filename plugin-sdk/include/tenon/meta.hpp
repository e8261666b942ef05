// Meta: the hyper-parameters of one model, read by their names in both formats.
//   Key{"num_hidden_layers", "block_count"}: the path in config.json, and the GGUF key under "{architecture}.".
// A value that is needed and absent, or of another type, ends the description with an error that names the key.
#pragma once

#include <tenon/abi.h>

#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
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
  Meta(const tn_meta_v0* table, const tn_meta* meta) : t_(table), m_(meta) {}

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

  std::vector<double> reals(Key key) const {
    std::vector<double> out(t_->array_len(m_, c(key)));
    for (size_t i = 0; i < out.size(); ++i) t_->elem_f64(m_, c(key), i, &out[i]);
    return out;
  }

  /// The row-major shape of a stored tensor; empty when it is not stored.
  std::vector<int64_t> tensor_shape(const std::string& tensor) const {
    int64_t dims[8];
    uint32_t rank = t_->tensor_shape(m_, tensor.c_str(), dims);
    return {dims, dims + rank};
  }

  /// Keys that change nothing for this architecture; '*' matches any run of characters.
  void ignore(Key glob, const char* why) const { t_->ignore_key(m_, glob.hf, glob.gguf, why); }

  [[noreturn]] void refuse_range(Key key, const std::string& value) const {
    throw Refusal("[config] " + name(key) + " is " + value + ", out of range");
  }

  /// The key as this model's format spells it, for messages.
  std::string name(Key key) const {
    const char* n = is_gguf() ? key.gguf : key.hf;
    return n ? n : "(no such key in this format)";
  }

 private:
  template <typename T>
  std::optional<T> find(int32_t (*getter)(const tn_meta*, const tn_key*, T*), Key key) const {
    T v{};
    if (getter(m_, c(key), &v)) return v;
    return std::nullopt;
  }
  const tn_key* c(const Key& key) const {
    scratch_ = {key.hf, key.gguf};
    return &scratch_;
  }

  const tn_meta_v0* t_;
  const tn_meta* m_;
  mutable tn_key scratch_{};
};

}  // namespace v0
}  // namespace tenon
