// The IR: what a plugin described, and what backends compile. Plain data; nodes stand in execution order.
// Values are f32 or i32 tensors whose leading dimension may be symbolic ("tokens" T: rows of this step; "rows" R: rows
// that want logits). Weights keep the type they are stored in.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace tenon {

using ValueId = uint32_t;   // 1-based index into Graph::values; 0 is "absent"
using WeightId = uint32_t;  // 1-based index into Graph::weights
using StateId = uint32_t;   // 1-based index into Graph::states

inline constexpr int64_t kDimTokens = -1;
inline constexpr int64_t kDimRows = -2;

using Shape = std::vector<int64_t>;
/// "[tokens, 4, 64]"
std::string shape_text(const Shape& shape);

enum class Elem : uint8_t { f32, i32 };

struct Location {
  std::string file;
  int32_t line = 0;
  std::string scope;  // "layers.3.attn" or ""
  int32_t layer = -1;
};
/// "plugin.cpp:42 (layer 3, attn)"
std::string location_text(const Location& at);

using AttrValue = std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>>;
using Attrs = std::map<std::string, AttrValue, std::less<>>;

enum class ValueKind : uint8_t { input, weight, result };
struct GraphValue {
  ValueKind kind = ValueKind::result;
  Elem elem = Elem::f32;
  Shape shape;
  WeightId weight = 0;  // kind weight
  std::string name;     // inputs: "tokens", "positions", "rows"
};

struct Node {
  std::string op;               // "tenon.linear/1"; ops that only passes make start with "host."
  std::vector<ValueId> inputs;  // 0 where an optional operand is absent
  std::vector<ValueId> outputs;
  std::vector<StateId> states;
  Attrs attrs;
  Location at;
};

enum class XformOp : uint32_t {  // values of the ABI's TN_X_*
  transpose = 1,
  reshape = 2,
  concat = 3,
  stack = 4,
  slice = 5,
  rope_unpermute = 6,
  add = 7,
  scale = 8,
  neg_exp = 9,
  regroup = 10,
  mxfp4 = 11
};
struct Xform {
  XformOp op;
  int32_t axis = 0;
  int64_t a[4] = {0, 0, 0, 0};
  double f = 0;
};

enum class WeightFormat : uint32_t { safetensors = 1, gguf = 2 };
struct WeightSource {
  WeightFormat format;
  std::vector<std::string> names;
  std::vector<Xform> steps;
};

struct GraphWeight {
  std::string name;
  Shape shape;
  uint32_t shard = 0;
  std::vector<WeightSource> sources;  // all that the plugin declared, for inspection and conversion
  int chosen = -1;                    // index into sources of the one this checkpoint has; -1: tied
  WeightId tied_to = 0;
  Location at;
};

enum class StateKind : uint32_t { kv = 1, conv = 2, recurrent = 3, mla_latent = 4 };  // values of the ABI's TN_STATE_*
/// "kv", "conv", "recurrent", "mla_latent"
std::string_view state_kind_name(StateKind kind);

struct GraphState {
  std::string name;
  StateKind kind = StateKind::kv;
  int32_t layer = -1;
  int64_t n_heads = 0, dim_k = 0, dim_v = 0;  // kv
  int64_t window = 0;                         // kv; 0: all positions
  Location at = {};
  Shape shape = {};  // conv [K-1, C], recurrent, mla_latent [L + R]

  /// Grows with the sequence, in pages; other states have one slot a sequence.
  bool paged() const { return kind == StateKind::kv || kind == StateKind::mla_latent; }
};

struct Graph {
  std::vector<GraphValue> values;
  std::vector<GraphWeight> weights;
  std::vector<GraphState> states;
  std::vector<Node> nodes;
  std::map<std::string, ValueId, std::less<>> outputs;
  Attrs params;  // "n_layers", "n_vocab", "d_model", "n_ctx", ...

  const GraphValue& value(ValueId id) const { return values[id - 1]; }
  GraphValue& value(ValueId id) { return values[id - 1]; }
  const GraphWeight& weight(WeightId id) const { return weights[id - 1]; }
  GraphWeight& weight(WeightId id) { return weights[id - 1]; }
  const GraphState& state(StateId id) const { return states[id - 1]; }
  ValueId add_value(GraphValue v) {
    values.push_back(std::move(v));
    return static_cast<ValueId>(values.size());
  }
  /// An integer parameter; Error{bad_plugin} when the plugin declared none of that name.
  int64_t param_int(std::string_view key) const;
};

/// States that page together: those of the same window, so that a page is free for all of them at the same time.
struct PageGroups {
  std::vector<int32_t> of_state;  // by StateId - 1; -1: not paged
  std::vector<int64_t> windows;   // by group, in order of first appearance; 0: all positions
};
PageGroups page_groups(const Graph& graph);

}  // namespace tenon
