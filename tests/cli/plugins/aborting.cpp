// A plugin that claims a well-known architecture and whose constructor aborts: nothing may run it outside a probe.
#include <cstdlib>
#include <tenon/plugin.hpp>

namespace {

struct Nothing final : tenon::Decoder {
  explicit Nothing(const tenon::Meta&) {}
  void describe(tenon::Graph&) const override {}
};

__attribute__((constructor)) void stop() { std::abort(); }

}  // namespace

TENON_PLUGIN("aborting", "1.0.0",
             tenon::arch<Nothing>({.hf = {"LlamaForCausalLM"}, .model_type = {"llama"}, .gguf = {"llama"}}));
