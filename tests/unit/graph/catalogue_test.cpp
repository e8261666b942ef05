// Shape inference and refusals of every op.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "base/error.hpp"
#include "graph_builder.hpp"

using namespace tenon;
using std::string;
using tenon::test::GraphBuilder;

namespace {

constexpr int64_t T = kDimTokens;

/// The message of the Error{bad_plugin} that `fn` throws; "" when it does not.
template <typename Fn>
string refusal(Fn&& fn) {
  try {
    fn();
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::bad_plugin);
    return e.what();
  }
  return "";
}

bool has(const string& text, std::initializer_list<const char*> parts) {
  for (const char* part : parts)
    if (text.find(part) == string::npos) {
      MESSAGE("\"", text, "\" lacks \"", part, "\"");
      return false;
    }
  return true;
}

}  // namespace

TEST_CASE("every op has an id, a contract and sane counts") {
  CHECK(all_ops().size() == 37);
  for (const OpDef& op : all_ops()) {
    CAPTURE(op.id);
    CHECK(find_op(op.id) == &op);
    CHECK(op.contract.find("->") != std::string_view::npos);
    CHECK(op.min_inputs <= op.max_inputs);
  }
  CHECK(find_op("tenon.nothing/1") == nullptr);
}

TEST_CASE("dense ops infer their shapes") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  CHECK(b.shape(x) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.linear/1", {x, b.weight("w", {24, 16}), b.weight("b", {24})})) == Shape{T, 24});
  CHECK(b.shape(b.op("tenon.linear/1", {x, b.weight("w2", {24, 16})})) == Shape{T, 24});
  CHECK(b.shape(b.op("tenon.rms_norm/1", {x, b.weight("n", {16})}, {{"eps", 1e-5}})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.layer_norm/1", {x, 0, b.weight("lb", {16})}, {{"eps", 1e-5}})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.add/1", {x, b.weight("row", {16})})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.mul/1", {x, x})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.scale_shift/1", {x}, {{"scale", 2.0}})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.unary/1", {x}, {{"act", string("relu2")}})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.glu/1", {x, x}, {{"act", string("silu")}})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.softcap/1", {x}, {{"cap", 30.0}})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.clamp/1", {x}, {{"lo", -1.0}})) == Shape{T, 16});
  const ValueId heads = b.op("tenon.reshape/1", {x}, {{"shape", Shape{T, 4, 4}}});
  CHECK(b.shape(heads) == Shape{T, 4, 4});
  CHECK(b.shape(b.op("tenon.slice/1", {x}, {{"start", int64_t{4}}, {"length", int64_t{12}}})) == Shape{T, 12});
  CHECK(b.shape(b.op("tenon.take_rows/1", {heads, b.input("rows")})) == Shape{kDimRows, 4, 4});
}

TEST_CASE("attention, rope and experts infer their shapes") {
  GraphBuilder b;
  const ValueId q = b.rows({4, 8}), k = b.rows({2, 8}), v = b.rows({2, 6}), pos = b.input("positions");
  const Attrs rope = {{"layout", string("neox")}, {"n_rot", int64_t{6}}};
  CHECK(b.shape(b.op("tenon.rope/1", {q, pos, b.weight("f", {3})}, rope)) == Shape{T, 4, 8});
  const ValueId none = 0, shorts = b.weight("fs", {3}), longs = b.weight("fl", {3});
  Attrs longrope = rope;
  longrope["scaling"] = string("longrope"), longrope["original_ctx"] = int64_t{8};
  CHECK(b.shape(b.op("tenon.rope/1", {q, pos, none, shorts, longs}, longrope)) == Shape{T, 4, 8});
  CHECK(has(refusal([&] { b.op("tenon.rope/1", {q, pos, none, shorts}, longrope); }), {"one of short_factors"}));
  CHECK(has(refusal([&] { b.op("tenon.rope/1", {q, pos, none, shorts, b.weight("fx", {4})}, longrope); }), {"[4]"}));
  const Attrs growth = {{"beta", 0.1}, {"length", int64_t{16}}};
  CHECK(b.shape(b.op("tenon.position_scale/1", {q, pos}, growth)) == Shape{T, 4, 8});
  CHECK(b.shape(b.op("tenon.attention/1", {q, k, v, b.weight("s", {4})}, {{"scale", 0.5}}, {b.kv(2, 8, 6)})) ==
        Shape{T, 4, 6});
  Attrs slopes = {{"scale", 0.5}, {"alibi", std::vector<double>{0.5, 0.25, 0.1, 0.01}}};
  CHECK(b.shape(b.op("tenon.attention/1", {q, k, v}, slopes, {b.kv(2, 8, 6)})) == Shape{T, 4, 6});
  CHECK(b.shape(b.op("tenon.encoder_attention/1", {q, k, v}, {{"scale", 0.5}, {"radius", int64_t{4}}})) ==
        Shape{T, 4, 6});
  const ValueId x = b.rows({16});
  CHECK(b.shape(b.op("tenon.pool/1", {x, b.input("rows")}, {{"mode", string("mean")}})) == Shape{kDimRows, 16});
  const auto route =
      b.ops("tenon.moe_route/1", {x, b.weight("rb", {16})},
            {{"k", int64_t{2}}, {"score", string("sigmoid")}, {"renormalise", int64_t{1}}, {"scale", 2.5}});
  REQUIRE(route.size() == 2);
  CHECK(b.graph.value(route[0]).elem == Elem::i32);
  CHECK(b.shape(route[1]) == Shape{T, 2});
  const ValueId gate = b.weight("eg", {16, 12, 16}), up = b.weight("eu", {16, 12, 16}),
                down = b.weight("ed", {16, 16, 12});
  CHECK(b.shape(b.op("tenon.moe_ffn/1", {x, route[0], route[1], gate, up, down}, {{"act", string("silu")}})) ==
        Shape{T, 16});
  const auto mixed = b.ops("tenon.sparse_mixer/1", {x}, {{"k", int64_t{2}}, {"jitter", 0.01}});
  REQUIRE(mixed.size() == 2);
  CHECK(b.shape(mixed[0]) == Shape{T, 2});
  const ValueId wide = b.weight("b1", {16, 12}), narrow = b.weight("b2", {16, 16});
  CHECK(b.shape(b.op("tenon.moe_ffn/1", {x, mixed[0], mixed[1], gate, up, down, wide, wide, narrow},
                     {{"act", string("swiglu_oai")}, {"alpha", 1.5}, {"limit", 6.0}})) == Shape{T, 16});
}

TEST_CASE("recurrent ops infer their shapes and refuse what does not fit") {
  GraphBuilder b;
  const ValueId x = b.rows({16}), dt = b.rows({16}), bc = b.rows({4}), w = b.weight("w", {16, 3});
  const ValueId a = b.weight("A", {16, 4}), d = b.weight("D", {16}), bias = b.weight("bias", {16});
  const StateId conv = b.slot_state(StateKind::conv, {2, 16}), h = b.slot_state(StateKind::recurrent, {16, 4});
  const StateId wide = b.slot_state(StateKind::conv, {3, 16}), kv = b.kv(1, 4, 4);
  const Attrs silu = {{"act", string("silu")}};
  CHECK(b.shape(b.op("tenon.causal_conv1d/1", {x, w, bias}, silu, {conv})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.causal_conv1d/1", {x, w}, silu, {conv})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.ssm_scan/1", {x, dt, a, bc, bc, d}, {}, {h})) == Shape{T, 16});
  CHECK(b.shape(b.op("tenon.ssm_scan/1", {x, dt, a, bc, bc}, {}, {h})) == Shape{T, 16});

  const auto convolve = [&](std::vector<ValueId> in, StateId state) {
    return refusal([&] { b.op("tenon.causal_conv1d/1", std::move(in), silu, {state}); });
  };
  CHECK(has(convolve({x, b.weight("w1", {16, 1})}, conv), {"kernel size 1, outside 2..64"}));
  CHECK(has(convolve({x, b.weight("w2", {15, 3})}, conv), {"[15, 3]", "no row per channel"}));
  CHECK(has(convolve({x, w, d, d}, conv), {"4 operands"}));
  CHECK(has(convolve({b.rows({4, 4}), w}, conv), {"rank 3, expected 2"}));
  CHECK(has(convolve({x, w}, wide), {"conv [3, 16], expected conv [2, 16]"}));
  CHECK(has(convolve({x, w}, kv), {"kv [], expected conv [2, 16]"}));
  CHECK(has(convolve({x, w}, h), {"recurrent [16, 4], expected conv"}));
  const auto scan = [&](std::vector<ValueId> in, StateId state) {
    return refusal([&] { b.op("tenon.ssm_scan/1", std::move(in), {}, {state}); });
  };
  CHECK(has(scan({x, bc, a, bc, bc}, h), {"dt [tokens, 4] does not match x"}));
  CHECK(has(scan({x, dt, w, bc, bc}, h), {"B [tokens, 4]"}));
  CHECK(has(scan({x, dt, a, bc, x}, h), {"C [tokens, 16] does not match B"}));
  CHECK(has(scan({x, dt, a, bc, bc, b.weight("D2", {4})}, h), {"D [4]"}));
  CHECK(has(scan({x, dt, a, bc, bc}, conv), {"expected recurrent [16, 4]"}));
}

TEST_CASE("latent attention infers its shape and refuses what does not fit") {
  GraphBuilder b;
  const ValueId nope = b.rows({4, 16}), pe = b.rows({4, 8}), c = b.rows({24}), k_pe = b.rows({1, 8});
  const ValueId k_b = b.weight("k_b", {4, 16, 24}), v_b = b.weight("v_b", {4, 12, 24});
  const ValueId turned = b.weight("k_b turned", {4, 24, 16});
  const StateId rows = b.slot_state(StateKind::mla_latent, {32}), wide = b.slot_state(StateKind::mla_latent, {33});
  const auto attend = [&](std::vector<ValueId> in, StateId state, int64_t transposed = 0) {
    return refusal([&] {
      const ValueId y =
          b.op("tenon.mla_attention/1", std::move(in), {{"scale", 0.2}, {"k_b_transposed", transposed}}, {state});
      CHECK(b.shape(y) == Shape{T, 4, 12});
    });
  };
  CHECK(attend({nope, pe, c, k_pe, k_b, v_b}, rows) == "");
  CHECK(attend({nope, pe, c, k_pe, turned, v_b}, rows, 1) == "");
  CHECK(has(attend({nope, pe, c, k_pe, turned, v_b}, rows), {"[4, 24, 16]", "[4, 16, 24]"}));
  CHECK(has(attend({nope, b.rows({3, 8}), c, k_pe, k_b, v_b}, rows), {"q_pe [tokens, 3, 8]"}));
  CHECK(has(attend({nope, pe, c, b.rows({4, 8}), k_b, v_b}, rows), {"k_pe [tokens, 4, 8]"}));
  CHECK(has(attend({nope, pe, b.rows({25}), k_pe, k_b, v_b}, wide), {"[4, 16, 24]", "[4, 16, 25]"}));
  CHECK(has(attend({nope, pe, c, k_pe, k_b, b.weight("v2", {3, 12, 24})}, rows), {"v_b [3, 12, 24]"}));
  CHECK(has(attend({nope, pe, c, k_pe, k_b, v_b}, wide), {"mla_latent [33], expected mla_latent [32]"}));
  CHECK(has(attend({nope, pe, c, k_pe, k_b, v_b}, b.kv(1, 32, 24)), {"kv [], expected mla_latent [32]"}));
  CHECK(b.shape(b.op("tenon.linear_per_head/1", {nope, turned})) == Shape{T, 4, 24});
  CHECK(has(refusal([&] { b.op("tenon.linear_per_head/1", {nope, k_b}); }), {"W [4, 16, 24]", "[tokens, 4, 16]"}));
}

TEST_CASE("ops over a matrix per head infer their shapes and refuse what does not fit") {
  GraphBuilder b;
  const ValueId q = b.rows({4, 6}), v = b.rows({4, 10}), g = b.rows({4}), one = b.rows({1, 6}),
                hk = b.weight("hk", {4, 6});
  const ValueId h = b.weight("h", {4});
  const auto state = [&] { return b.slot_state(StateKind::recurrent, {4, 6, 10}); };
  CHECK(b.shape(b.op("tenon.ssd_scan/1", {v, g, h, one, one, h}, {}, {state()})) == Shape{T, 4, 10});
  CHECK(b.shape(b.op("tenon.ssd_scan/1", {v, g, h, q, q}, {}, {state()})) == Shape{T, 4, 10});
  CHECK(b.shape(b.op("tenon.wkv6/1", {q, q, v, q, hk}, {}, {state()})) == Shape{T, 4, 10});
  CHECK(b.shape(b.op("tenon.wkv6/1", {q, q, v, hk, hk}, {}, {state()})) == Shape{T, 4, 10});
  CHECK(b.shape(b.op("tenon.wkv7/1", {q, q, q, v, q, q}, {}, {state()})) == Shape{T, 4, 10});
  for (ValueId decay : {g, q})
    CHECK(b.shape(b.op("tenon.gated_delta_rule/1", {one, one, v, decay, g}, {{"scale", 0.5}}, {state()})) ==
          Shape{T, 4, 10});
  CHECK(b.shape(b.op("tenon.token_shift/1", {g}, {}, {b.slot_state(StateKind::conv, {1, 4})})) == Shape{T, 4});

  const auto refused = [&](const char* op, std::vector<ValueId> in) {
    const StateId s = state();
    return refusal([&] { b.op(op, std::move(in), {}, {s}); });
  };
  const ValueId three = b.rows({3, 6});
  CHECK(has(refused("tenon.ssd_scan/1", {v, g, h, three, three}), {"B [tokens, 3, 6]", "4 heads"}));
  CHECK(has(refused("tenon.ssd_scan/1", {v, q, h, one, one}), {"dt [tokens, 4, 6]"}));
  CHECK(has(refused("tenon.ssd_scan/1", {v, g, hk, one, one}), {"A [4, 6]"}));
  CHECK(has(refused("tenon.ssd_scan/1", {v, g, h, v, v}), {"recurrent [4, 6, 10]", "[4, 10, 10]"}));
  CHECK(has(refused("tenon.wkv6/1", {q, q, v, g, hk}), {"w [tokens, 4]"}));
  CHECK(has(refused("tenon.wkv6/1", {q, q, three, q, hk}), {"v [tokens, 3, 6] has other heads"}));
  CHECK(has(refused("tenon.wkv6/1", {q, v, v, q, hk}), {"k [tokens, 4, 10]"}));
  CHECK(has(refused("tenon.wkv7/1", {q, q, q, v, q, v}), {"b [tokens, 4, 10]"}));
  CHECK(has(refused("tenon.gated_delta_rule/1", {three, three, v, g, g}), {"q [tokens, 3, 6]", "4 heads"}));
  CHECK(has(refused("tenon.gated_delta_rule/1", {q, q, v, v, g}), {"g [tokens, 4, 10]", "[tokens, 4, 6]"}));
  CHECK(has(refused("tenon.gated_delta_rule/1", {q, q, v, g, q}), {"beta [tokens, 4, 6]"}));
  CHECK(has(refusal([&] { b.op("tenon.token_shift/1", {g}, {}, {b.slot_state(StateKind::conv, {2, 4})}); }),
            {"conv [2, 4], expected conv [1, 4]"}));
}

TEST_CASE("broadcasts, groups and reductions") {
  GraphBuilder b;
  const ValueId x = b.rows({4, 6});
  for (const ValueId other :
       {x, b.rows({4, 1}), b.weight("b1", {6}), b.weight("b2", {4, 6}), b.weight("b3", {4, 1}), b.weight("b4", {1})})
    for (const char* op : {"tenon.add/1", "tenon.sub/1", "tenon.mul/1"})
      CHECK(b.shape(b.op(op, {x, other})) == Shape{T, 4, 6});
  for (const ValueId other :
       {b.rows({6}), b.rows({1}), b.weight("c1", {4}), b.weight("c2", {1, 6}), b.weight("c3", {2, 4, 6})})
    CHECK(has(refusal([&] { b.op("tenon.sub/1", {x, other}); }), {"is no trailing part of a [tokens, 4, 6]"}));
  CHECK(b.shape(b.op("tenon.row_sum/1", {x})) == Shape{T, 4, 1});
  CHECK(b.shape(b.op("tenon.l2_norm/1", {x}, {{"eps", 1e-12}})) == Shape{T, 4, 6});
  const auto norm = [&](int64_t groups) {
    return refusal([&] { b.op("tenon.rms_norm/1", {x, b.weight("n", {6})}, {{"eps", 1e-5}, {"groups", groups}}); });
  };
  CHECK(norm(3) == "");
  CHECK(has(norm(4), {"4 groups do not divide"}));
  CHECK(has(norm(0), {"0 groups do not divide"}));
}

TEST_CASE("states of the same window page together") {
  GraphBuilder b;
  b.kv(1, 4, 4, 128), b.kv(1, 4, 4), b.slot_state(StateKind::conv, {3, 4}), b.kv(1, 4, 4, 128), b.kv(1, 4, 4, 64);
  b.slot_state(StateKind::mla_latent, {576});
  const PageGroups groups = page_groups(b.graph);
  CHECK(groups.of_state == std::vector<int32_t>{0, 1, -1, 0, 2, 1});
  CHECK(groups.windows == std::vector<int64_t>{128, 0, 64});
}

TEST_CASE("host ops infer their shapes") {
  GraphBuilder b;
  const ValueId x = b.rows({16}), w = b.weight("w", {24, 16}), bias = b.weight("b", {24}),
                narrow = b.weight("n", {8, 16});
  const auto group = b.ops("host.linear_group", {x, w, bias, narrow, 0});
  REQUIRE(group.size() == 2);
  CHECK(b.shape(group[0]) == Shape{T, 24});
  CHECK(b.shape(group[1]) == Shape{T, 8});
  CHECK(b.shape(b.op("host.linear_glu", {x, w, bias, w, 0}, {{"act", string("silu")}})) == Shape{T, 24});
  CHECK(b.shape(b.op("host.linear_add", {x, w, 0, group[0]})) == Shape{T, 24});
  CHECK_THROWS_AS(b.op("host.linear_add", {x, w, 0, x}), Error);
  CHECK_THROWS_AS(b.op("host.linear_group", {x, w, bias, narrow}), Error);
}

TEST_CASE("refusals name the op, both facts and the place") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  const string text = refusal([&] { b.op("tenon.linear/1", {x, b.weight("w", {24, 12})}); });
  CHECK(has(text, {"[tenon.linear/1]", "[24, 12]", "[tokens, 16]", "demo.cpp:42 (layer 3, attn)"}));
  CHECK(text.find("plugins/x") == string::npos);
  CHECK(has(refusal([&] { b.op("tenon.nothing/1", {x}); }), {"unknown op", "tenon.nothing/1", "demo.cpp:42"}));
  CHECK(has(refusal([&] { b.op("tenon.linear/1", {x}); }), {"1 operands", "2 to 3"}));
  CHECK(has(refusal([&] { b.op("tenon.mul/1", {x, 999}); }), {"operand id 999"}));
  CHECK(has(refusal([&] { b.op("tenon.mul/1", {x, 0}); }), {"operand 1 (b) is absent"}));
  CHECK(has(refusal([&] { b.op("tenon.add/1", {x, b.rows({8})}); }), {"[tokens, 8]", "[tokens, 16]"}));
  CHECK(has(refusal([&] { b.op("tenon.rms_norm/1", {b.input("tokens")}, {{"eps", 1e-5}}); }), {"i32", "expected f32"}));
  CHECK(has(refusal([&] { b.op("tenon.rms_norm/1", {b.weight("w9", {4})}, {{"eps", 1e-5}}); }), {"is a weight"}));
  CHECK(has(refusal([&] { b.op("tenon.linear/1", {x, x}); }), {"is computed, expected a weight"}));
}

TEST_CASE("attributes are checked by name, kind and value") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  CHECK(has(refusal([&] { b.op("tenon.rms_norm/1", {x}); }), {"\"eps\" is missing"}));
  CHECK(has(refusal([&] { b.op("tenon.rms_norm/1", {x}, {{"eps", int64_t{1}}}); }),
            {"\"eps\" is an integer, expected a real"}));
  CHECK(has(refusal([&] { b.op("tenon.rms_norm/1", {x}, {{"eps", 1e-5}, {"group", int64_t{1}}}); }),
            {"\"group\" is not one"}));
  CHECK(has(refusal([&] { b.op("tenon.softcap/1", {x}, {{"cap", 0.0}}); }), {"cap 0"}));
  CHECK(has(refusal([&] { b.op("tenon.softcap/1", {x}, {{"cap", std::nan("")}}); }), {"\"cap\" is not finite"}));
  CHECK(
      has(refusal([&] { b.op("tenon.unary/1", {x}, {{"act", string("swish")}}); }), {"unknown act \"swish\"", "silu"}));
  CHECK(has(refusal([&] { b.op("tenon.slice/1", {x}, {{"start", int64_t{8}}, {"length", int64_t{9}}}); }),
            {"[8, 8 + 9)"}));
  const int64_t huge = std::numeric_limits<int64_t>::max();
  CHECK(
      has(refusal([&] { b.op("tenon.slice/1", {x}, {{"start", huge}, {"length", huge}}); }), {"leaves the last axis"}));
  CHECK(has(refusal([&] { b.op("tenon.reshape/1", {x}, {{"shape", Shape{16, T}}}); }), {"symbolic dimension 1"}));
  CHECK(has(refusal([&] { b.op("tenon.reshape/1", {x}, {{"shape", Shape{T, 17}}}); }), {"another element count"}));
  CHECK(has(refusal([&] { b.op("tenon.reshape/1", {x}, {{"shape", Shape{T, huge, 2}}}); }), {"another element count"}));
  CHECK(has(refusal([&] { b.op("tenon.reshape/1", {x}, {{"shape", Shape{16}}}); }), {"drops the symbolic dimension"}));
  CHECK(has(refusal([&] { b.op("tenon.reshape/1", {x}, {{"shape", Shape(9, 1)}}); }), {"9 dimensions"}));
}

TEST_CASE("rope and attention refuse what does not fit") {
  GraphBuilder b;
  const ValueId q = b.rows({4, 8}), k = b.rows({2, 8}), v = b.rows({2, 6}), pos = b.input("positions");
  const auto rope = [&](Attrs more) {
    Attrs attrs = {{"layout", string("neox")}, {"n_rot", int64_t{8}}};
    for (auto& [key, value] : more) attrs[key] = value;
    return refusal([&] { b.op("tenon.rope/1", {q, pos}, attrs); });
  };
  CHECK(rope({}) == "");
  CHECK(
      has(rope({{"scaling", string("ntk")}}), {"unknown scaling \"ntk\"", "none linear dynamic smooth yarn longrope"}));
  CHECK(has(rope({{"layout", string("pairs")}}), {"unknown layout \"pairs\""}));
  CHECK(has(rope({{"n_rot", int64_t{10}}}), {"n_rot 10", "8"}));
  CHECK(has(rope({{"n_rot", int64_t{3}}}), {"n_rot 3"}));
  CHECK(has(rope({{"scaling", string("yarn")}, {"factor", 4.0}}), {"original_ctx 0"}));
  CHECK(has(rope({{"scaling", string("longrope")},
                  {"original_ctx", int64_t{64}},
                  {"short_factors", std::vector<double>{1, 2}}}),
            {"short_factors has 2 values", "4"}));
  CHECK(has(rope({{"scaling", string("linear")}, {"factor", 0.0}}), {"factor 0"}));
  CHECK(has(
      refusal([&] { b.op("tenon.rope/1", {q, b.input("rows")}, {{"layout", string("neox")}, {"n_rot", int64_t{8}}}); }),
      {"positions [rows]"}));
  const auto attend = [&](ValueId q_, ValueId k_, ValueId v_, StateId state) {
    return refusal([&] { b.op("tenon.attention/1", {q_, k_, v_}, {{"scale", 1.0}}, {state}); });
  };
  CHECK(has(attend(q, k, v, b.kv(2, 8, 8)), {"dim_v 8", "[tokens, 2, 6]"}));
  CHECK(has(attend(b.rows({3, 8}), k, v, b.kv(2, 8, 6)), {"3 query heads", "2 key heads"}));
  CHECK(has(attend(q, k, v, 0), {"state id 0"}));
  CHECK(has(refusal([&] { b.op("tenon.attention/1", {q, k, v}, {{"scale", 1.0}}); }), {"0 states, expected 1"}));
  const Attrs few = {{"scale", 1.0}, {"alibi", std::vector<double>{0.5, 0.25}}};
  CHECK(has(refusal([&] { b.op("tenon.attention/1", {q, k, v}, few, {b.kv(2, 8, 6)}); }),
            {"2 alibi slopes for 4 query heads"}));
}

TEST_CASE("ops that look ahead refuse what does not fit, and are found") {
  GraphBuilder b;
  const ValueId q = b.rows({4, 8}), k = b.rows({2, 8}), v = b.rows({2, 6}), x = b.rows({16}), rows = b.input("rows");
  const auto attend = [&](std::vector<ValueId> in, Attrs more) {
    Attrs attrs = {{"scale", 1.0}};
    for (auto& [key, value] : more) attrs[key] = value;
    return refusal([&] { b.op("tenon.encoder_attention/1", std::move(in), attrs); });
  };
  CHECK(!needs_whole_sequences(b.graph));
  CHECK(has(attend({b.rows({3, 8}), k, v}, {}), {"3 query heads", "2 key heads"}));
  CHECK(has(attend({q, b.rows({2, 9}), v}, {}), {"differ in head dimension"}));
  CHECK(has(attend({q, k, b.rows({4, 6})}, {}), {"differ in heads"}));
  CHECK(has(attend({q, k, v}, {{"radius", int64_t{-2}}}), {"radius -2 is below -1"}));
  CHECK(has(attend({q, k, v}, {{"softcap", -1.0}}), {"softcap -1 is below 0"}));
  CHECK(has(attend({q, k, x}, {}), {"rank 2, expected 3"}));
  const auto pool = [&](ValueId from, ValueId at, const char* mode) {
    return refusal([&] { b.op("tenon.pool/1", {from, at}, {{"mode", string(mode)}}); });
  };
  CHECK(has(pool(q, rows, "mean"), {"rank 3, expected 2"}));
  CHECK(has(pool(x, rows, "cls"), {"unknown mode \"cls\"", "mean first last"}));
  CHECK(has(pool(x, x, "mean"), {"expected i32"}));
  CHECK(attend({q, k, v}, {}) == "");
  CHECK(needs_whole_sequences(b.graph));
}

TEST_CASE("alibi is a product of bfloat16") {
  CHECK(alibi_bias(0.5f, 7) == 3.5f);
  CHECK(alibi_bias(0.3f, 0) == 0);
  CHECK(alibi_bias(0.3f, 1) == 0.30078125f);
  CHECK(alibi_bias(0.3f, 100) == 30.125f);  // 30.078125 before it is rounded
  CHECK(alibi_bias(0.3f, 257) == 77);       // as at 256: a position too has 8 bits
}

TEST_CASE("experts refuse what does not fit") {
  GraphBuilder b;
  const ValueId x = b.rows({16});
  const Attrs attrs = {{"k", int64_t{17}}, {"score", string("softmax")}};
  CHECK(has(refusal([&] { b.op("tenon.moe_route/1", {x}, attrs); }), {"k 17", "[1, 16]"}));
  CHECK(has(refusal([&] { b.op("tenon.moe_route/1", {x}, {{"k", int64_t{1}}, {"score", string("top")}}); }),
            {"unknown score \"top\""}));
  const auto route = b.ops("tenon.moe_route/1", {x}, {{"k", int64_t{2}}, {"score", string("softmax")}});
  const ValueId gate = b.weight("g", {16, 12, 16}), down = b.weight("d", {16, 12, 16});
  CHECK(has(
      refusal([&] { b.op("tenon.moe_ffn/1", {x, route[0], route[1], gate, gate, down}, {{"act", string("silu")}}); }),
      {"Wdown [16, 12, 16]", "Wgate [16, 12, 16]"}));
  const ValueId up = b.weight("u", {16, 12, 16}), back = b.weight("d2", {16, 16, 12}), bias = b.weight("b", {16, 12});
  const auto ffn = [&](std::vector<ValueId> biases, Attrs how) {
    std::vector<ValueId> in = {x, route[0], route[1], gate, up, back};
    in.insert(in.end(), biases.begin(), biases.end());
    return refusal([&] { b.op("tenon.moe_ffn/1", in, how); });
  };
  const Attrs silu = {{"act", string("silu")}};
  CHECK(ffn({bias, 0, 0}, silu) == "");
  CHECK(has(ffn({0, 0, bias}, silu), {"bdown [16, 12]", "[16, 16]"}));
  CHECK(has(ffn({}, {{"act", string("silu")}, {"limit", 7.0}}), {"\"limit\" belongs to act swiglu_oai"}));
  CHECK(has(ffn({}, {{"act", string("swiglu_oai")}, {"limit", 0.0}}), {"limit 0 is not above 0"}));
}

TEST_CASE("groups of experts refuse what does not fit") {
  GraphBuilder b;
  const ValueId x = b.rows({12});
  const auto route = [&](int64_t k, int64_t n, int64_t kept, const char* rank = "max") {
    return refusal([&] {
      b.op(
          "tenon.moe_route/1", {x},
          {{"k", k}, {"score", string("sigmoid")}, {"n_group", n}, {"topk_group", kept}, {"group_rank", string(rank)}});
    });
  };
  CHECK(route(6, 4, 2, "top2_sum") == "");
  CHECK(has(route(1, 5, 1), {"n_group 5", "12 experts"}));
  CHECK(has(route(1, 0, 1), {"n_group 0"}));
  CHECK(has(route(1, 4, 5), {"topk_group 5", "n_group 4"}));
  CHECK(has(route(1, 4, 0), {"topk_group 0"}));
  CHECK(has(route(7, 4, 2), {"k 7", "6 experts of 2 groups"}));
  CHECK(has(route(1, 12, 2, "top2_sum"), {"12 groups of 1 expert"}));
  CHECK(has(route(1, 4, 2, "mean"), {"unknown group_rank \"mean\""}));
  CHECK(has(refusal([&] { b.op("tenon.sparse_mixer/1", {x}, {{"k", int64_t{13}}, {"jitter", 0.1}}); }), {"k 13"}));
  CHECK(has(refusal([&] { b.op("tenon.sparse_mixer/1", {x}, {{"k", int64_t{1}}, {"jitter", -1.0}}); }), {"jitter -1"}));
}

TEST_CASE("activations at a few points") {
  CHECK(apply_activation(Activation::silu, 1) == doctest::Approx(0.7310586));
  CHECK(apply_activation(Activation::gelu_erf, 1) == doctest::Approx(0.8413447));
  CHECK(apply_activation(Activation::gelu_tanh, 1) == doctest::Approx(0.8411920));
  CHECK(apply_activation(Activation::relu2, 3) == 9);
  CHECK(apply_activation(Activation::relu2, -3) == 0);
  CHECK(apply_activation(Activation::softplus, 0) == doctest::Approx(0.6931472));
  CHECK(apply_activation(Activation::softplus, 50) == 50);
  CHECK(apply_activation(Activation::silu, -200) == doctest::Approx(0));
  CHECK(activation_from_name("gelu_tanh") == Activation::gelu_tanh);
  CHECK(!activation_from_name("gelu"));
}
