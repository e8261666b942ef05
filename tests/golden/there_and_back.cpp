// Every weight of a model through its steps and back: what the weights together say of each stored tensor must be the
// stored bytes, each element once. Values that a step changed (add, scale, -exp) count as equal within float32's reach.
//   there_and_back PLUGIN_DIR MODEL...
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "base/error.hpp"
#include "checkpoint/quantised.hpp"
#include "plugin/describe.hpp"
#include "plugin/registry.hpp"
#include "plugin/weights_back.hpp"

using namespace tenon;

namespace {

constexpr float kReach = 2e-6f;  // a sum of about 1 and back, relative to 1 + |x|

/// What the weights seen so far say of one stored tensor.
struct Rebuilt {
  std::vector<float> values, times;  // times: how often an element was given
  bool changed = false;              // by a step that changes values
  std::optional<HostTensor> whole;   // given by one weight in the stored type
};

std::vector<float> floats(const HostTensor& t) {
  const HostTensor f = t.dtype == DType::f32 ? t : t.to_f32("tensor");
  const auto* x = reinterpret_cast<const float*>(f.data);
  return {x, x + f.elements()};
}

/// A weight of ones: what undone steps make of it tells which elements of a tensor the weight has.
HostTensor ones_of(const GraphWeight& w) {
  HostTensor t = HostTensor::allocate(DType::f32, w.shape, w.name);
  std::fill_n(reinterpret_cast<float*>(t.mutable_data()), t.elements(), 1.0f);
  return t;
}

void add_part(Rebuilt& to, const HostTensor& part, const HostTensor& ones) {
  const std::vector<float> v = floats(part), n = floats(ones);
  to.values.resize(v.size()), to.times.resize(v.size());
  for (size_t i = 0; i < v.size(); ++i) to.values[i] += n[i] != 0 ? v[i] : 0, to.times[i] += n[i];
  if (std::ranges::all_of(n, [](float x) { return x == 1; })) to.whole = part;
}

/// The bytes of both, where elements that a weight does not have are zero.
HostTensor united(const HostTensor& a, const HostTensor& b) {
  HostTensor out = HostTensor::allocate(a.dtype, a.shape, "tensor");
  for (uint64_t i = 0; i < out.bytes; ++i) out.mutable_data()[i] = a.data[i] | b.data[i];
  return out;
}

void take_back(const Checkpoint& checkpoint, const GraphWeight& w, const HostTensor& weight,
               std::map<std::string, Rebuilt>& rebuilt) {
  const WeightSource& source = w.sources[static_cast<size_t>(w.chosen)];
  std::vector<Shape> stored;
  for (const std::string& n : source.names) stored.push_back(checkpoint.find(n)->tensor.shape);
  const auto parts = undo_steps(source, stored, weight, w.name);
  WeightSource places = source;  // of the join of two formats the bytes alone can be told
  std::erase_if(places.steps, [](const Xform& x) { return changes_values(x); });
  const bool bytes_only = !places.steps.empty() && places.steps[0].op == XformOp::mxfp4;
  const auto ones = bytes_only ? parts : undo_steps(places, stored, ones_of(w), w.name);
  for (size_t i = 0; i < parts.size(); ++i) {
    Rebuilt& to = rebuilt[source.names[i]];
    to.changed |= std::ranges::any_of(source.steps, changes_values);
    if (bytes_only)
      to.whole = to.whole ? united(*to.whole, parts[i]) : parts[i];
    else
      add_part(to, parts[i], ones[i]);
  }
}

/// Why the rebuilt tensor is not the stored one, or "".
std::string difference(const HostTensor& stored, const Rebuilt& r) {
  for (size_t i = 0; i < r.times.size(); ++i)
    if (r.times[i] != 1) return fmt::format("element {} comes back {} times", i, r.times[i]);
  if (r.whole && !r.changed && r.whole->dtype == stored.dtype) {
    const bool same = r.whole->bytes == stored.bytes && std::memcmp(r.whole->data, stored.data, stored.bytes) == 0;
    return same ? "" : "its bytes differ";
  }
  const std::vector<float> want = floats(stored);
  for (size_t i = 0; i < want.size(); ++i) {
    const float reach = r.changed ? kReach * (1 + std::fabs(want[i])) : 0;
    if (!(std::fabs(r.values[i] - want[i]) <= reach))
      return fmt::format("element {} is {}, {} came back", i, want[i], r.values[i]);
  }
  return "";
}

/// Of the tensors that weights take whole or in rows; those that a plugin ignores are no weight's.
int run(const std::string& model, PluginRegistry& plugins) {
  const auto checkpoint = unpacked(Checkpoint::open(model));
  const Graph graph = describe(*checkpoint, plugins, {}).graph;
  const auto weights = load_weights(graph, *checkpoint);
  std::map<std::string, Rebuilt> rebuilt;
  for (size_t i = 0; i < weights.size(); ++i)
    if (graph.weights[i].chosen >= 0) take_back(*checkpoint, graph.weights[i], weights[i], rebuilt);
  int wrong = 0;
  for (const auto& [name, r] : rebuilt) {
    const std::string why = difference(checkpoint->load(*checkpoint->find(name)), r);
    if (why.empty()) continue;
    fmt::print("FAIL {}: {} {}\n", model, name, why);
    ++wrong;
  }
  fmt::print("{} {}: {} tensors\n", wrong ? "FAIL" : "ok  ", model, rebuilt.size());
  return wrong;
}

}  // namespace

int main(int argc, char** argv) try {
  PluginRegistry plugins = PluginRegistry::scan(plugin_dirs({argv[1]}));
  int wrong = 0;
  for (int i = 2; i < argc; ++i) wrong += run(argv[i], plugins);
  return wrong ? 1 : 0;
} catch (const std::exception& e) {
  fmt::print("FAIL {}\n", e.what());
  return 1;
}
