// The header-only C++20 layer over abi.h: what an architecture includes. It carries no ABI of its own.
//
//   struct Example final : tenon::Decoder {
//     explicit Example(const tenon::Meta& m);                   // hyper-parameters
//     void describe(tenon::Graph& g) const override;            // the forward pass
//     static int match(const tenon::Meta& m);                   // optional: 0 (not mine) to 100; 50 without it
//   };
//   TENON_PLUGIN("example", "1.0.0", tenon::arch<Example>({.hf = {"ExampleForCausalLM"}, .model_type = {"example"}}))
//
// The macro emits the ELF note, the one exported symbol, and thunks that let no exception cross.
#pragma once

#include <tenon/abi.h>

#include <array>
#include <exception>
#include <memory>
#include <string_view>
#include <tenon/graph.hpp>
#include <tenon/meta.hpp>
#include <tenon/note.hpp>

namespace tenon {
inline namespace v0 {

/// One model's description: constructed from its metadata, then asked once for its graph.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual void describe(Graph& g) const = 0;
};

/// Rows of the embedding table, which may exceed the tokenizer's list (padding rows).
inline int64_t vocab_rows(const Meta& m, const Names& embedding) {
  const int64_t stated = m.get_int({"vocab_size", "vocab_size"}, 0);
  const auto shape = m.tensor_shape((m.is_gguf() ? embedding.gguf : embedding.hf) + ".weight");
  return shape.size() == 2 ? shape[0] : stated;
}

/// The activation of a feed-forward block in the vocabulary's spelling, from config.json's own words.
inline std::string activation(const Meta& m, const char* hf_key, const std::string& fallback) {
  const std::string act = m.get_text({hf_key}, fallback);
  if (act == "gelu_new" || act == "gelu_pytorch_tanh" || act == "gelu_fast") return "gelu_tanh";
  if (act == "gelu") return "gelu_erf";
  if (act == "swish") return "silu";
  for (const char* same : {"silu", "gelu_tanh", "gelu_erf", "relu", "relu2", "sigmoid", "tanh"})
    if (act == same) return act;
  throw Refusal("[config] " + std::string(hf_key) + " is " + act + ", which is unknown");
}

namespace detail {

struct ArchEntry {
  ArchNames names;
  Decoder* (*make)(const Meta&);
  int (*match)(const Meta&);
};

template <typename T>
constexpr int (*match_of())(const Meta&) {
  if constexpr (requires(const Meta& m) { T::match(m); })
    return &T::match;
  else
    return [](const Meta&) { return 50; };
}

inline Meta meta_of(const tn_host_v0* host, const tn_meta* meta) {
  return {static_cast<const tn_meta_v0*>(host->query(host->ctx, TENON_IFACE_META)), meta};
}

/// Runs `body`, which may throw, and reports through the builder's `fail` (unless the builder has failed already).
template <typename Body>
tn_status guarded(const tn_host_v0* host, tn_build* errors, Body&& body) noexcept {
  const auto* table = static_cast<const tn_build_v0*>(host->query(host->ctx, TENON_IFACE_BUILD));
  try {
    body();
    return TN_OK;
  } catch (const std::exception& e) {
    if (table && errors && *e.what()) table->fail(errors, TN_ERROR, e.what(), nullptr, 0);
  } catch (...) {
    if (table && errors)
      table->fail(errors, TN_ERROR, "the plugin threw something that is no std::exception", nullptr, 0);
  }
  return TN_ERROR;
}

template <const auto& kArchs>
struct Thunks {
  static tn_status match(const tn_host_v0* host, const tn_meta* meta, uint32_t arch, tn_match* out) noexcept {
    if (arch >= kArchs.size()) return TN_ERROR;
    return guarded(host, nullptr, [&] { out->score = kArchs[arch].match(meta_of(host, meta)); });
  }
  static tn_status open(const tn_host_v0* host, const tn_meta* meta, uint32_t arch, tn_build* errors,
                        void** self) noexcept {
    if (arch >= kArchs.size()) return TN_ERROR;
    return guarded(host, errors, [&] { *self = kArchs[arch].make(meta_of(host, meta)); });
  }
  static tn_status describe(void* self, const tn_host_v0* host, tn_build* b, const char* graph) noexcept {
    return guarded(host, b, [&] {
      if (std::string_view(graph) != "decoder") throw Refusal("[describe] no graph named " + std::string(graph));
      Graph g(static_cast<const tn_build_v0*>(host->query(host->ctx, TENON_IFACE_BUILD)), b);
      static_cast<const Decoder*>(self)->describe(g);
    });
  }
  static void close(void* self) noexcept { delete static_cast<Decoder*>(self); }

  static constexpr tn_arch_v0 kTable{&match, &open, &describe, &close};
  static const void* query(const char* iface) noexcept {
    return std::string_view(iface) == TENON_IFACE_ARCH ? &kTable : nullptr;
  }
};

}  // namespace detail

template <typename T>
constexpr detail::ArchEntry arch(const ArchNames& names) {
  return {names, [](const Meta& m) -> Decoder* { return std::make_unique<T>(m).release(); }, detail::match_of<T>()};
}

}  // namespace v0
}  // namespace tenon

#ifndef TENON_PLUGIN_VENDOR
#define TENON_PLUGIN_VENDOR "unknown"
#endif
#ifndef TENON_PLUGIN_LICENSE
#define TENON_PLUGIN_LICENSE "unknown"
#endif

/// TENON_PLUGIN(id, version, arch<T>({...}), ...): registers the architectures of this shared library.
#define TENON_PLUGIN(plugin_id, plugin_version, ...)                                                          \
  namespace tenon_plugin_entry {                                                                              \
  static constexpr auto kArchs = std::to_array<tenon::detail::ArchEntry>({__VA_ARGS__});                      \
  static constexpr auto kJson =                                                                               \
      tenon::detail::note_json(plugin_id, plugin_version, TENON_PLUGIN_VENDOR, TENON_PLUGIN_LICENSE, kArchs); \
  __attribute__((section(".note.tenon.plugin"), used, retain,                                                 \
                 aligned(4))) extern const tenon::detail::Note<kJson.size>                                    \
      kNote = tenon::detail::make_note<kJson.size>(kJson);                                                    \
  }                                                                                                           \
  TENON_EXPORT const tn_plugin tenon_plugin;                                                                  \
  const tn_plugin tenon_plugin = {sizeof(tn_plugin), TENON_ABI_MAJOR, TENON_ABI_MINOR, 0,                     \
                                  &tenon::detail::Thunks<tenon_plugin_entry::kArchs>::query};                 \
  static_assert(true, "")
