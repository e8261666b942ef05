// The host side of the ABI: metadata reading and coverage, weight sources and steps, poisoning.
#include "plugin/builder.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numeric>

#include "base/error.hpp"
#include "memory_checkpoint.hpp"
#include "plugin/describe.hpp"
#include "plugin/glob.hpp"

using namespace tenon;
using tenon::test::MemoryCheckpoint;

namespace {

tn_wsrc source(uint32_t format, const char* const* names, uint32_t n, const tn_xform* steps = nullptr,
               uint32_t n_steps = 0) {
  return {sizeof(tn_wsrc), format, n, n_steps, names, steps};
}

tn_wt declare(tn_build& b, const char* name, std::vector<int64_t> shape, std::vector<tn_wsrc> sources,
              uint32_t flags = 0, const char* tie = nullptr) {
  std::vector<const tn_wsrc*> pointers;
  for (const tn_wsrc& s : sources) pointers.push_back(&s);
  tn_weight w{};
  w.size = sizeof w, w.flags = flags, w.name = name, w.shape = shape.data(),
  w.rank = static_cast<uint32_t>(shape.size());
  w.tie_to = tie, w.src = pointers.data(), w.n_src = static_cast<uint32_t>(pointers.size());
  return tn_build::table()->weight(&b, &w);
}

/// Loads one weight made of `names` by `steps`.
HostTensor loaded_tensor(const MemoryCheckpoint& c, std::vector<const char*> names, std::vector<tn_xform> steps,
                         std::vector<int64_t> shape) {
  const tn_meta meta(c);
  tn_build b(meta, "test");
  declare(b, "w", std::move(shape),
          {source(TN_FORMAT_SAFETENSORS, names.data(), static_cast<uint32_t>(names.size()), steps.data(),
                  static_cast<uint32_t>(steps.size()))});
  b.throw_error();
  return load_weights(b.graph, c)[0];
}

std::vector<float> loaded(const MemoryCheckpoint& c, std::vector<const char*> names, std::vector<tn_xform> steps,
                          std::vector<int64_t> shape) {
  const HostTensor t = loaded_tensor(c, std::move(names), std::move(steps), std::move(shape)).to_f32("w");
  const auto* x = reinterpret_cast<const float*>(t.data);
  return {x, x + t.elements()};
}

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("glob") {
  CHECK(glob_match("a.*.b", "a.12.b"));
  CHECK(glob_match("*", ""));
  CHECK(glob_match("*dropout*", "attention_dropout"));
  CHECK_FALSE(glob_match("a.*.b", "a.12.c"));
  CHECK_FALSE(glob_match("a", "ab"));
}

TEST_CASE("metadata is read by the name of its format") {
  const MemoryCheckpoint hf(
      Format::safetensors,
      parse_json(R"({"n": 3, "x": {"f": 2.5}, "none": null, "s": "t", "list": [1, 2.5], "flags": [true, false]})",
                 "test"));
  const tn_meta meta(hf);
  const tn_meta_v0& t = *tn_meta::table();
  int64_t i = 0;
  double d = 0;
  const char* s = nullptr;
  const tn_key n{"n", "count"}, f{"x.f", nullptr}, none{"none", nullptr}, text{"s", nullptr}, list{"list", nullptr},
      gone{nullptr, "count"};
  CHECK(t.get_i64(&meta, &n, &i) == 1);
  CHECK(i == 3);
  CHECK(t.get_f64(&meta, &f, &d) == 1);
  CHECK(d == 2.5);
  CHECK(t.get_i64(&meta, &none, &i) == 0);
  CHECK(t.get_i64(&meta, &gone, &i) == 0);
  CHECK(t.get_str(&meta, &text, &s) == 1);
  CHECK(std::string(s) == "t");
  CHECK(t.array_len(&meta, &list) == 2);
  CHECK(t.elem_f64(&meta, &list, 1, &d) == 1);
  CHECK(t.elem_f64(&meta, &list, 2, &d) == 0);
  const tn_key flags{"flags", nullptr};
  CHECK(t.elem_i64(&meta, &flags, 0, &i) == 1);
  CHECK(i == 1);
  CHECK(t.elem_i64(&meta, &flags, 1, &i) == 1);
  CHECK(i == 0);
  CHECK(meta.errors.empty());

  const MemoryCheckpoint gguf(Format::gguf, Value(Value::Object{{"general.architecture", "a"}, {"a.count", 7}}));
  const tn_meta g(gguf);
  CHECK(t.get_i64(&g, &n, &i) == 1);
  CHECK(i == 7);
}

TEST_CASE("a value of another type is an error that names both") {
  const MemoryCheckpoint hf(Format::safetensors, parse_json(R"({"n": "three", "r": 1.5})", "test"));
  const tn_meta meta(hf);
  int64_t i = 0;
  const tn_key n{"n", nullptr}, r{"r", nullptr};
  CHECK(tn_meta::table()->get_i64(&meta, &n, &i) == 0);
  CHECK(tn_meta::table()->get_i64(&meta, &r, &i) == 0);
  REQUIRE(meta.errors.size() == 2);
  CHECK(contains(meta.errors[0], "n is \"three\""));
  CHECK(contains(meta.errors[0], "an integer was expected"));
  CHECK_THROWS_AS(meta.throw_errors(), Error);
}

TEST_CASE("keys that nobody read are listed; neutral and empty ones are not") {
  const MemoryCheckpoint hf(
      Format::safetensors,
      parse_json(R"({"model_type": "x", "a": 1, "b": {"c": 2, "d": 3}, "zero": 0, "no": false, "nil": null,
                                           "attention_dropout": 0.1, "odd": 5,
                                           "text_config": {"model_type": "y", "use_cache": true, "left": 6}})",
                 "test"));
  const tn_meta meta(hf);
  int64_t i = 0;
  const tn_key a{"a", nullptr}, c{"b.c", nullptr};
  tn_meta::table()->get_i64(&meta, &a, &i);
  tn_meta::table()->get_i64(&meta, &c, &i);
  CHECK(meta.unread() == std::vector<std::string>{"b.d = 3", "odd = 5", "text_config.left = 6"});
  tn_meta::table()->ignore_key(&meta, "b.*", nullptr, "test");
  CHECK(meta.unread() == std::vector<std::string>{"odd = 5", "text_config.left = 6"});
}

TEST_CASE("weight sources: alternatives, ties, optional ones, coverage") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("new", {2, 3});
  c.add("other", {4});
  const tn_meta meta(c);
  tn_build b(meta, "test");
  const char *old_name[] = {"old"}, *new_name[] = {"new"};
  CHECK(declare(b, "w", {2, 3},
                {source(TN_FORMAT_SAFETENSORS, old_name, 1), source(TN_FORMAT_SAFETENSORS, new_name, 1)}) == 1);
  CHECK(b.graph.weight(1).chosen == 1);
  CHECK(declare(b, "maybe", {2}, {source(TN_FORMAT_SAFETENSORS, old_name, 1)}, TN_WEIGHT_OPTIONAL) == 0);
  CHECK_FALSE(b.failed());
  CHECK(declare(b, "head", {2, 3}, {source(TN_FORMAT_SAFETENSORS, old_name, 1)}, 0, "w") == 2);
  CHECK(b.graph.weight(2).tied_to == 1);
  CHECK(b.uncovered_tensors() == std::vector<std::string>{"other"});
  tn_build::table()->ignore_tensor(&b, TN_FORMAT_GGUF, "oth*", "wrong format");
  CHECK(b.uncovered_tensors().size() == 1);
  tn_build::table()->ignore_tensor(&b, TN_FORMAT_SAFETENSORS, "oth*", "test");
  CHECK(b.uncovered_tensors().empty());
  CHECK(load_weights(b.graph, c)[1].data == load_weights(b.graph, c)[0].data);
}

TEST_CASE("rows of a fused tensor that no weight takes are left over") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("fused", {5, 3});
  const tn_meta meta(c);
  tn_build b(meta, "test");
  const char* name[] = {"fused"};
  const tn_xform first{TN_X_SLICE, 0, {0, 2, 0, 0}, 0}, rest{TN_X_SLICE, 0, {2, 3, 0, 0}, 0};
  CHECK(declare(b, "a", {2, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1, &first, 1)}) == 1);
  CHECK(b.uncovered_tensors() == std::vector<std::string>{"fused (3 of its 5 rows)"});
  CHECK(declare(b, "b", {3, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1, &rest, 1)}) == 2);
  CHECK(b.uncovered_tensors().empty());
}

TEST_CASE("rows taken from each of several groups count in all of them") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("fused", {6, 3});
  const tn_meta meta(c);
  tn_build b(meta, "test");
  const char* name[] = {"fused"};
  const tn_xform first{TN_X_SLICE, 0, {0, 1, 2, 0}, 0}, rest{TN_X_SLICE, 0, {1, 2, 2, 0}, 0};
  CHECK(declare(b, "a", {2, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1, &first, 1)}) == 1);
  CHECK(b.uncovered_tensors() == std::vector<std::string>{"fused (4 of its 6 rows)"});
  CHECK(declare(b, "b", {4, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1, &rest, 1)}) == 2);
  CHECK(b.uncovered_tensors().empty());
}

TEST_CASE("the first failure poisons the builder and names its place") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("w", {2, 3});
  const tn_meta meta(c);
  const char* name[] = {"w"};
  SUBCASE("wrong shape") {
    tn_build b(meta, "test");
    tn_build::table()->location(&b, "dir/model.cpp", 42);
    CHECK(declare(b, "w", {3, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1)}) == 0);
    CHECK(contains(b.error, "[2, 3]"));
    CHECK(contains(b.error, "[3, 3]"));
    CHECK(contains(b.error, "model.cpp:42"));
    CHECK(tn_build::table()->input(&b, "tokens") == 0);
    CHECK_THROWS_AS(b.throw_error(), Error);
  }
  SUBCASE("missing tensor") {
    tn_build b(meta, "test");
    const char* gone[] = {"gone.weight"};
    CHECK(declare(b, "x", {3}, {source(TN_FORMAT_SAFETENSORS, gone, 1)}) == 0);
    CHECK(contains(b.error, "gone.weight is not stored"));
  }
  SUBCASE("taken twice") {
    tn_build b(meta, "test");
    CHECK(declare(b, "a", {2, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1)}) == 1);
    CHECK(declare(b, "b", {2, 3}, {source(TN_FORMAT_SAFETENSORS, name, 1)}) == 0);
    CHECK(contains(b.error, "taken twice"));
  }
  SUBCASE("too many layers") {
    tn_build b(meta, "test");
    tn_attr a{"n_layers", TN_ATTR_INT, 1, {}};
    a.u.i = int64_t{1} << 31;
    CHECK(tn_build::table()->param(&b, &a) != TN_OK);
    CHECK(contains(b.error, "2147483648 layers"));
  }
  SUBCASE("unknown op and ids out of range") {
    tn_build b(meta, "test");
    const tn_val in[] = {9};
    tn_val out = 0;
    CHECK(tn_build::table()->op(&b, "tenon.unary/1", in, 1, nullptr, 0, nullptr, 0, &out, 1) != TN_OK);
    CHECK(contains(b.error, "no value has id 9"));
    tn_build b2(meta, "test");
    CHECK(tn_build::table()->op(&b2, "vendor.magic/1", nullptr, 0, nullptr, 0, nullptr, 0, &out, 1) != TN_OK);
    CHECK(contains(b2.error, "vendor.magic/1"));
  }
}

TEST_CASE("a config.json that ties nothing has no tied weight") {
  const auto head = [](const char* config) {
    MemoryCheckpoint c(Format::safetensors, parse_json(config, "test"));
    c.add("w", {2, 3});
    const tn_meta meta(c);
    tn_build b(meta, "test");
    const char *w[] = {"w"}, *gone[] = {"head.weight"};
    declare(b, "w", {2, 3}, {source(TN_FORMAT_SAFETENSORS, w, 1)});
    const tn_wt id = declare(b, "head", {2, 3}, {source(TN_FORMAT_SAFETENSORS, gone, 1)}, 0, "w");
    return id ? std::string("tied") : b.error;
  };
  CHECK(head("{}") == "tied");
  CHECK(head(R"({"tie_word_embeddings": true})") == "tied");
  CHECK(contains(head(R"({"tie_word_embeddings": false})"), "head.weight is not stored"));
  CHECK(
      contains(head(R"({"tie_word_embeddings": true, "text_config": {"tie_word_embeddings": false}})"), "not stored"));
  CHECK(head(R"({"tie_word_embeddings": false, "text_config": {"n": 1}})") == "tied");
}

TEST_CASE("errors of joined and grouped tensors name the stored ones") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("a", {4, 2});
  c.add("b", {4, 2});
  c.add("narrow", {4, 1});
  const tn_meta meta(c);
  const auto error = [&](std::vector<const char*> names, tn_xform step, std::vector<int64_t> shape) {
    tn_build b(meta, "test");
    declare(b, "w", std::move(shape),
            {source(TN_FORMAT_SAFETENSORS, names.data(), static_cast<uint32_t>(names.size()), &step, 1)});
    return b.error;
  };
  CHECK(contains(error({"a", "b", "narrow"}, {TN_X_STACK, 0, {}, 0}, {3, 4, 2}), "a [4, 2] and narrow [4, 1]"));
  CHECK(contains(error({"a", "narrow"}, {TN_X_CONCAT, 0, {}, 0}, {8, 2}), "a [4, 2] and narrow [4, 1]"));
  CHECK(contains(error({"a", "b"}, {TN_X_CONCAT, 0, {}, 0}, {9, 2}), "a + b makes"));
  CHECK(contains(error({"narrow"}, {TN_X_RESHAPE, 0, {}, 0}, {3, 2}), "from narrow]"));

  tn_build b(meta, "test");
  const char* a[] = {"a"};
  const tn_xform first = {TN_X_SLICE, 0, {0, 1, 2, 0}, 0}, second = {TN_X_SLICE, 0, {1, 1, 2, 0}, 0};
  b.ignored_tensors = {"b", "narrow"};
  declare(b, "first of each", {2, 2}, {source(TN_FORMAT_SAFETENSORS, a, 1, &first, 1)});
  CHECK(b.uncovered_tensors() == std::vector<std::string>{"a (2 of its 4 rows)"});
  declare(b, "second of each", {2, 2}, {source(TN_FORMAT_SAFETENSORS, a, 1, &second, 1)});
  CHECK(b.uncovered_tensors().empty());
}

TEST_CASE("states: kinds, shapes, and what a host refuses") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  const tn_meta meta(c);
  const auto declare_state = [&](uint32_t kind, std::vector<int64_t> shape, int64_t heads = 0) {
    tn_build b(meta, "test");
    tn_state s{};
    s.size = sizeof s, s.kind = kind, s.name = "s", s.n_heads = heads, s.dim_k = heads, s.dim_v = heads;
    s.shape = shape.data(), s.rank = static_cast<uint32_t>(shape.size());
    const tn_st id = tn_build::table()->state(&b, &s);
    CHECK((id == 0) == b.failed());
    return id ? shape_text(b.graph.state(id).shape) : b.error;
  };
  CHECK(declare_state(TN_STATE_KV, {}, 2) == "[]");
  CHECK(declare_state(TN_STATE_CONV, {3, 8}) == "[3, 8]");
  CHECK(declare_state(TN_STATE_RECURRENT, {2, 4, 8}) == "[2, 4, 8]");
  CHECK(declare_state(TN_STATE_MLA_LATENT, {576}) == "[576]");
  CHECK(contains(declare_state(TN_STATE_MLA_LATENT, {8, 2}), "[8, 2], expected [1..65536]"));
  CHECK(contains(declare_state(TN_STATE_MLA_LATENT, {65537}), "[65537], expected [1..65536]"));
  CHECK(contains(declare_state(TN_STATE_INDEX_KEYS, {8}), "kind index_keys is unknown to this host"));
  CHECK(contains(declare_state(77, {8}), "kind 77 is unknown"));
  CHECK(contains(declare_state(TN_STATE_CONV, {8}), "expected [K-1, C]"));
  CHECK(contains(declare_state(TN_STATE_RECURRENT, {}), "rank 0, outside 1..4"));
  CHECK(contains(declare_state(TN_STATE_RECURRENT, {1, 1, 1, 1, 1}), "rank 5"));
  CHECK(contains(declare_state(TN_STATE_RECURRENT, {4, 0}), "[4, 0]"));
  CHECK(contains(declare_state(TN_STATE_RECURRENT, {int64_t{1} << 40, int64_t{1} << 40}), "elements"));
  CHECK(contains(declare_state(TN_STATE_RECURRENT, {-4, -4}), "elements"));

  // A plugin built when the struct ended at `window`.
  tn_build b(meta, "test");
  tn_state s{};
  s.size = offsetof(tn_state, shape), s.kind = TN_STATE_KV, s.name = "s", s.n_heads = 1, s.dim_k = 4, s.dim_v = 4;
  s.rank = 99;
  CHECK(tn_build::table()->state(&b, &s) == 1);
}

TEST_CASE("weight steps") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("m", {4, 2});       // 0..7
  c.add("n", {4, 2}, 100);  // 100..107
  c.add("v", {4});
  using V = std::vector<float>;
  CHECK(loaded(c, {"m"}, {}, {4, 2}) == V{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 0, {1, 2, 0, 0}, 0}}, {2, 2}) == V{2, 3, 4, 5});
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 1, {1, 1, 0, 0}, 0}}, {4, 1}) == V{1, 3, 5, 7});
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 0, {1, 1, 2, 0}, 0}}, {2, 2}) == V{2, 3, 6, 7});
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 0, {0, 1, 2, 0}, 0}, {TN_X_RESHAPE, 0, {}, 0}}, {2, 1, 2}) == V{0, 1, 4, 5});
  CHECK(loaded(c, {"m", "n"}, {{TN_X_STACK, 0, {}, 0}, {TN_X_SLICE, 1, {1, 1, 2, 0}, 0}}, {2, 2, 2}) ==
        V{2, 3, 6, 7, 102, 103, 106, 107});
  CHECK(loaded(c, {"m"}, {{TN_X_TRANSPOSE, 0, {0, 1, 0, 0}, 0}}, {2, 4}) == V{0, 2, 4, 6, 1, 3, 5, 7});
  CHECK(loaded(c, {"m"}, {{TN_X_RESHAPE, 0, {}, 0}}, {2, 4}) == V{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(loaded(c, {"m", "n"}, {{TN_X_CONCAT, 0, {}, 0}, {TN_X_SLICE, 0, {3, 2, 0, 0}, 0}}, {2, 2}) ==
        V{6, 7, 100, 101});
  CHECK(loaded(c, {"m", "n"}, {{TN_X_STACK, 0, {}, 0}, {TN_X_SLICE, 0, {1, 1, 0, 0}, 0}}, {1, 4, 2}) ==
        V{100, 101, 102, 103, 104, 105, 106, 107});
  // two groups of one row and the rest; one group, whose parts stay where they are
  CHECK(loaded(c, {"m"}, {{TN_X_REGROUP, 0, {2, 1, 0, 0}, 0}}, {4, 2}) == V{0, 1, 4, 5, 2, 3, 6, 7});
  CHECK(loaded(c, {"m"}, {{TN_X_REGROUP, 0, {1, 1, 2, 1}, 0}}, {4, 2}) == V{0, 1, 2, 3, 4, 5, 6, 7});
  CHECK(loaded(c, {"v"}, {{TN_X_REGROUP, 0, {2, 0, 1, 1}, 0}}, {4}) == V{0, 2, 1, 3});
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_REGROUP, 0, {3, 1, 0, 0}, 0}}, {4, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_REGROUP, 0, {2, 1, 2, 0}, 0}}, {4, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_REGROUP, 0, {2, -1, 2, 0}, 0}}, {4, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_REGROUP, 0, {0, 1, 0, 0}, 0}}, {4, 2}), Error);
  // one head of four rows: stored order (0,0'),(1,1') becomes halves
  CHECK(loaded(c, {"m"}, {{TN_X_ROPE_UNPERMUTE, 0, {1, 0, 0, 0}, 0}}, {4, 2}) == V{0, 1, 4, 5, 2, 3, 6, 7});
  CHECK(loaded(c, {"v"}, {{TN_X_ROPE_UNPERMUTE, 0, {1, 0, 0, 0}, 0}}, {4}) == V{0, 2, 1, 3});
  CHECK(loaded(c, {"v"}, {{TN_X_ADD, 0, {}, 1}, {TN_X_SCALE, 0, {}, 2}}, {4}) == V{2, 4, 6, 8});
  CHECK(loaded(c, {"v"}, {{TN_X_SCALE, 0, {}, 0.0}, {TN_X_NEG_EXP, 0, {}, 0}}, {4}) == V{-1, -1, -1, -1});
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 0, {3, 2, 0, 0}, 0}}, {2, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 0, {0, 1, 3, 0}, 0}}, {3, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 0, {1, 2, 2, 0}, 0}}, {4, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 0, {0, 1, -2, 0}, 0}}, {2, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_ROPE_UNPERMUTE, 0, {3, 0, 0, 0}, 0}}, {4, 2}), Error);
  CHECK_THROWS_AS(loaded(c, {"m", "v"}, {{TN_X_STACK, 0, {}, 0}}, {2, 4, 2}), Error);
}

TEST_CASE("weight steps keep the stored type") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("m", {2, 4, 3});  // 0..23
  c.add_counting("half", DType::bf16, {2, 3, 4});
  c.add_counting("q", DType::q8_0, {2, 4, 32});
  using V = std::vector<float>;
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 1, {1, 2, 0, 2}, 0}}, {2, 2, 3}) ==
        V{3, 4, 5, 9, 10, 11, 15, 16, 17, 21, 22, 23});
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 2, {0, 2, 0, 2}, 0}}, {2, 4, 2}) ==
        V{0, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 23});
  CHECK(loaded(c, {"m"}, {{TN_X_SLICE, 2, {2, 1, 0, 2}, 0}, {TN_X_TRANSPOSE, 0, {1, 2}, 0}}, {2, 1, 4}) ==
        V{2, 5, 8, 11, 14, 17, 20, 23});
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 1, {1, 3, 0, 2}, 0}}, {2, 3, 3}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 1, {0, 2, 0, -1}, 0}}, {2, 2, 3}), Error);
  CHECK_THROWS_AS(loaded(c, {"m"}, {{TN_X_SLICE, 1, {0, INT64_MAX, 0, INT64_MAX}, 0}}, {2, 3, 3}), Error);

  const HostTensor half = loaded_tensor(c, {"half"}, {{TN_X_TRANSPOSE, 0, {1, 2}, 0}}, {2, 4, 3});
  CHECK(half.dtype == DType::bf16);
  CHECK(half.data[2] == std::byte{8});  // (0, 0, 1) was (0, 1, 0), the fifth of two bytes each
  const HostTensor q = loaded_tensor(c, {"q"}, {{TN_X_SLICE, 1, {1, 2, 0, 2}, 0}}, {2, 2, 32});
  CHECK(q.dtype == DType::q8_0);
  CHECK(q.data[0] == std::byte{34});
  CHECK(q.data[34] == std::byte{3 * 34});
}

TEST_CASE("4-bit floats in two tensors become one in blocks") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add_counting("blocks", DType::u8, {2, 3, 2, 16});
  c.add_counting("scales", DType::u8, {2, 3, 2});
  c.add_counting("short", DType::u8, {2, 3});
  const tn_xform join = {TN_X_MXFP4, 0, {}, 0};
  const HostTensor t = loaded_tensor(c, {"blocks", "scales"}, {join}, {2, 3, 64});
  REQUIRE(t.dtype == DType::mxfp4);
  const float values[] = {0, 0.5, 1, 1.5, 2, 3, 4, 6};
  const HostTensor f = t.to_f32("t");
  for (int i = 0; i < 2 * 3 * 64; ++i) {
    const int code = (i / 2 & 255) >> (i % 2 * 4) & 15;
    const float value = values[code & 7] * std::ldexp(1.f, i / 32 - 127) * (code & 8 ? -1.f : 1.f);
    CHECK(reinterpret_cast<const float*>(f.data)[i] == value);
  }
  const HostTensor odd = loaded_tensor(c, {"blocks", "scales"}, {join, {TN_X_SLICE, 1, {1, 1, 0, 2}, 0}}, {2, 1, 64});
  CHECK(odd.dtype == DType::mxfp4);
  CHECK(odd.data[0] == std::byte{2});
  CHECK(odd.data[34] == std::byte{8});
  CHECK_THROWS_AS(loaded_tensor(c, {"blocks", "short"}, {join}, {2, 3, 64}), Error);
  CHECK_THROWS_AS(loaded_tensor(c, {"blocks"}, {join}, {2, 3, 64}), Error);
  c.add("floats", {2, 3, 2});
  CHECK_THROWS_AS(loaded_tensor(c, {"blocks", "floats"}, {join}, {2, 3, 64}), Error);
}

TEST_CASE("experts in tensors of their own are stacked where they are") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("a", {2, 3});
  c.add("b", {2, 3}, 10);
  const tn_xform stack = {TN_X_STACK, 0, {}, 0};
  const HostTensor t = loaded_tensor(c, {"a", "b"}, {stack}, {2, 2, 3});
  REQUIRE(t.parts);
  CHECK(t.part(0) == c.find("a")->tensor.data);
  CHECK(t.part(1) == c.find("b")->tensor.data);
  CHECK(t.bytes == 48);
  CHECK(*reinterpret_cast<const float*>(t.row(3)) == 13);
  CHECK(*reinterpret_cast<const float*>(t.joined("t").row(3)) == 13);
  CHECK(loaded(c, {"a", "b"}, {stack}, {2, 2, 3}) == std::vector<float>{0, 1, 2, 3, 4, 5, 10, 11, 12, 13, 14, 15});
  CHECK(loaded(c, {"a", "b"}, {stack, {TN_X_TRANSPOSE, 0, {1, 2}, 0}}, {2, 3, 2})[7] == 13);
}

TEST_CASE("rows of each expert in a stack stay where they are") {
  MemoryCheckpoint c(Format::safetensors, Value(Value::Object{}));
  c.add("both", {2, 4, 3});  // 0, 1, 2, ...
  const tn_xform second_half = {TN_X_SLICE, 1, {2, 2, 0, 0}, 0};
  const HostTensor t = loaded_tensor(c, {"both"}, {second_half}, {2, 2, 3});
  const auto* stored = reinterpret_cast<const float*>(c.find("both")->tensor.data);
  REQUIRE(t.parts);
  CHECK(t.part(0) == reinterpret_cast<const std::byte*>(stored + 6));
  CHECK(t.part(1) == reinterpret_cast<const std::byte*>(stored + 18));
  CHECK(t.bytes == 48);
  CHECK(loaded(c, {"both"}, {second_half}, {2, 2, 3}) ==
        std::vector<float>{6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23});
}
