// Quantised safetensors as whole weights: what config.json may say, which tensors make a weight, and its exact values.
#include "checkpoint/quantised.hpp"

#include <cmath>

#include "checkpoint/quant_blocks.hpp"
#include "files.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

class Memory final : public Checkpoint {
 public:
  explicit Memory(std::string_view config) : config_(parse_json(config, "test")) {}

  template <typename T>
  Memory& add(const std::string& name, DType dtype, std::vector<int64_t> shape, const std::vector<T>& values) {
    HostTensor t = HostTensor::allocate(dtype, std::move(shape), name);
    REQUIRE(t.bytes == values.size() * sizeof(T));
    std::memcpy(t.mutable_data(), values.data(), t.bytes);
    tensors_.push_back({name, std::move(t), "memory", 0});
    return *this;
  }

  Format format() const override { return Format::safetensors; }
  const Value& metadata() const override { return config_; }
  const Value* side_json(std::string_view) const override { return nullptr; }
  std::span<const StoredTensor> tensors() const override { return tensors_; }
  const StoredTensor* find(std::string_view name) const override {
    for (const StoredTensor& t : tensors_)
      if (t.name == name) return &t;
    return nullptr;
  }
  const std::filesystem::path& path() const override { return path_; }

 private:
  Value config_;
  std::vector<StoredTensor> tensors_;
  std::filesystem::path path_ = "memory";
};

std::string fp8_config(const std::string& more) {
  return R"({"a": 1, "quantization_config": {"quant_method": "fp8")" + more + "}}";
}

std::string packed_config(const std::string& weights, const std::string& format = "pack-quantized") {
  return R"({"quantization_config": {"quant_method": "compressed-tensors", "format": ")" + format +
         R"(", "ignore": ["lm_head"], "config_groups": {"group_0": {"targets": ["Linear"], "weights": )" + weights +
         "}}}}";
}

const std::string kInt4 =
    packed_config(R"({"num_bits": 4, "type": "int", "symmetric": true, "strategy": "group", "group_size": 32})");

/// Codes 0x30 .. 0x37 and their negatives: 0.5 to 0.9375.
std::vector<uint8_t> codes(int64_t n) {
  std::vector<uint8_t> c;
  for (int64_t i = 0; i < n; ++i) c.push_back(static_cast<uint8_t>(0x30 + i % 8 + i % 3 / 2 * 0x80));
  return c;
}

std::vector<float> scales(int64_t n) {
  std::vector<float> s;
  for (int64_t i = 0; i < n; ++i) s.push_back(0.01f * static_cast<float>(i + 1));
  return s;
}

HostTensor loaded(const std::shared_ptr<const Checkpoint>& c, std::string_view name) {
  const StoredTensor* t = c->find(name);
  REQUIRE(t != nullptr);
  return c->load(*t);
}

std::vector<float> values_of(const HostTensor& t) {
  const HostTensor f = t.to_f32("w");
  const auto* x = reinterpret_cast<const float*>(f.data);
  return {x, x + f.elements()};
}

/// An fp8 weight [out, in] with a scale per br x bc, or as `scale_shape` says.
void check_fp8(int64_t out, int64_t in, int64_t br, int64_t bc, DType want, std::vector<int64_t> scale_shape = {},
               const std::string& suffix = "_scale_inv") {
  CAPTURE(in);
  CAPTURE(bc);
  const bool grid = scale_shape.empty();
  const int64_t rows = (out + br - 1) / br, columns = (in + bc - 1) / bc;
  if (grid) scale_shape = {rows, columns};
  const std::string config =
      grid ? fp8_config(fmt::format(R"(, "weight_block_size": [{}, {}], "fmt": "e4m3")", br, bc)) : fp8_config("");
  auto stored = std::make_shared<Memory>(config);
  stored->add("x.weight", DType::f8_e4m3, {out, in}, codes(out * in));
  stored->add("x.weight" + suffix, DType::f32, scale_shape, scales(rows * columns));
  stored->add("x.input_scale", DType::f32, {1}, scales(1));
  const auto view = unpacked(stored);
  CHECK(view->tensors().size() == 1);
  CHECK(view->find("x.weight")->tensor.shape == std::vector<int64_t>{out, in});
  const HostTensor w = loaded(view, "x.weight");
  CHECK(w.dtype == want);
  const auto c = values_of(stored->find("x.weight")->tensor), s = scales(rows * columns), got = values_of(w);
  int wrong = 0;
  for (int64_t r = 0; r < out; ++r)
    for (int64_t k = 0; k < in; ++k)
      wrong += got[static_cast<size_t>(r * in + k)] !=
               c[static_cast<size_t>(r * in + k)] * s[static_cast<size_t>(r / br * columns + k / bc)];
  CHECK(wrong == 0);
}

/// An int4 weight whose nibble at (r, k) is (r + 3 k) % 16.
std::shared_ptr<Memory> int4_weight(int64_t out, int64_t in, const std::vector<float>& s) {
  auto stored = std::make_shared<Memory>(kInt4);
  const int64_t words = (in + 7) / 8;
  std::vector<uint32_t> packed(static_cast<size_t>(out * words));
  for (int64_t r = 0; r < out; ++r)
    for (int64_t k = 0; k < in; ++k)
      packed[static_cast<size_t>(r * words + k / 8)] |= static_cast<uint32_t>((r + 3 * k) % 16) << (4 * (k % 8));
  stored->add("x.weight_packed", DType::i32, {out, words}, packed);
  stored->add("x.weight_scale", DType::f32, {out, (in + 31) / 32}, s);
  stored->add("x.weight_shape", DType::i64, {2}, std::vector<int64_t>{out, in});
  return stored;
}

void check_int4(int64_t out, int64_t in, const std::vector<float>& s, DType want) {
  CAPTURE(in);
  const auto view = unpacked(int4_weight(out, in, s));
  CHECK(view->tensors().size() == 1);
  const HostTensor w = loaded(view, "x.weight");
  CHECK(w.dtype == want);
  const auto got = values_of(w);
  const int64_t groups = (in + 31) / 32;
  int wrong = 0;
  for (int64_t r = 0; r < out; ++r)
    for (int64_t k = 0; k < in; ++k)
      wrong += got[static_cast<size_t>(r * in + k)] !=
               static_cast<float>((r + 3 * k) % 16 - 8) * s[static_cast<size_t>(r * groups + k / 32)];
  CHECK(wrong == 0);
}

Refusal refused(const std::shared_ptr<Memory>& stored) {
  return refusal_of([&] {
    const auto view = unpacked(stored);
    for (const StoredTensor& t : view->tensors()) view->load(t);
  });
}

}  // namespace

TEST_CASE("a checkpoint that is not quantised, and one whose plugin unpacks it, stay what they are") {
  const auto plain = std::make_shared<Memory>(R"({"a": 1})");
  CHECK(unpacked(plain) == plain);
  const auto mxfp4 = std::make_shared<Memory>(R"({"quantization_config": {"quant_method": "mxfp4"}})");
  CHECK(unpacked(mxfp4) == mxfp4);
}

TEST_CASE("fp8 with scales per block, partial edge blocks, any width") {
  check_fp8(160, 136, 128, 128, DType::f8_b128);
  check_fp8(3, 24, 128, 128, DType::f8_b128);
  check_fp8(130, 300, 64, 256, DType::f8_b128);
  check_fp8(70, 160, 64, 64, DType::f8_b32);
  check_fp8(5, 50, 2, 16, DType::f32);
}

TEST_CASE("fp8 with a scale per tensor or per row") {
  for (const char* suffix : {"_scale", "_scale_inv"}) {
    check_fp8(6, 150, 6, 150, DType::f8_b128, {1}, suffix);
    check_fp8(6, 150, 6, 150, DType::f8_b128, {}, suffix);
    check_fp8(6, 150, 1, 150, DType::f8_b128, {6, 1}, suffix);
    check_fp8(6, 150, 1, 150, DType::f8_b128, {6}, suffix);
  }
}

TEST_CASE("stacks of fp8 matrices have stacks of scales") {
  auto stored = std::make_shared<Memory>(fp8_config(R"(, "weight_block_size": [2, 128])"));
  stored->add("experts.up", DType::f8_e4m3, {2, 3, 130}, codes(2 * 3 * 130));
  stored->add("experts.up_scale_inv", DType::f32, {2, 2, 2}, scales(8));
  const auto view = unpacked(stored);
  const auto c = values_of(stored->find("experts.up")->tensor), got = values_of(loaded(view, "experts.up"));
  CHECK(got[5 * 130 + 129] == c[5 * 130 + 129] * scales(8)[7]);
  CHECK(got[3 * 130] == c[3 * 130] * scales(8)[4]);
}

TEST_CASE("packed int4: nibbles, groups, trimmed shapes; Q4_0 where float16 holds the scales") {
  check_int4(3, 64, {0.5f, 0.25f, 0.125f, 1, 2, 3}, DType::q4_0);
  check_int4(3, 64, {0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f}, DType::i4_b32);
  check_int4(2, 44, {0.5f, 0.25f, 0.125f, 1}, DType::i4_b32);
  const HostTensor w = loaded(unpacked(int4_weight(1, 32, {0.5f})), "x.weight");
  CHECK(values_of(with_f32_scales(w)) == values_of(w));
}

TEST_CASE("config.json without what was read; keys that nobody knows stay") {
  const auto stored = std::make_shared<Memory>(fp8_config(R"(, "activation_scheme": "dynamic", "odd": 3)"));
  const auto view = unpacked(stored);
  CHECK(to_json(view->metadata()) == R"({"a":1,"quantization_config":{"odd":3}})");
  const auto nested =
      std::make_shared<Memory>(R"({"text_config": {"b": 2, "quantization_config": {"quant_method": "fp8"}}})");
  CHECK(to_json(unpacked(nested)->metadata()) == R"({"text_config":{"b":2,"quantization_config":{}}})");
}

TEST_CASE("methods and parameters that nothing unpacks are refused by name") {
  const auto config = [](const std::string& text) { return refused(std::make_shared<Memory>(text)); };
  for (const char* method : {"gptq", "awq", "bitsandbytes", "modelopt", "quark"}) {
    const Refusal r = config(fmt::format(R"({{"quantization_config": {{"quant_method": "{}"}}}})", method));
    CHECK(r.code == ErrorCode::unsupported);
    CHECK(has(r.message, method));
    CHECK(has(r.message, "quantization_config.quant_method"));
  }
  CHECK(has(config(R"({"quantization_config": 7})").message, "expected object, found integer"));
  CHECK(has(config(R"({"quantization_config": {"quant_method": 7}})").message, "expected string, found integer"));
  CHECK(has(config(fp8_config(R"(, "fmt": "e5m2")")).message, "fmt is \"e5m2\""));
  CHECK(has(config(fp8_config(R"(, "weight_block_size": [128])")).message, "expected two integers"));
  CHECK(has(config(fp8_config(R"(, "weight_block_size": [0, 128])")).message, "weight_block_size is 0"));
  CHECK(has(config(packed_config(R"({"num_bits": 8, "type": "int", "group_size": 32})")).message, "8 bits"));
  CHECK(has(config(packed_config(R"({"num_bits": 4, "type": "int", "symmetric": false})")).message, "asymmetric"));
  CHECK(has(config(packed_config(R"({"num_bits": 4, "type": "int"})", "marlin-24")).message, "marlin-24"));
  CHECK(has(config(packed_config(R"({"num_bits": 4, "type": "int", "strategy": "odd"})")).message,
            "strategy is \"odd\""));
  CHECK(has(config(packed_config(R"({"num_bits": 4, "strategy": "group", "group_size": -1})")).message,
            "group_size is -1"));
  CHECK(has(config(R"({"quantization_config": {"quant_method": "compressed-tensors"}})").message, "config_groups"));
}

TEST_CASE("tensors that do not fit are named with both shapes") {
  const auto fp8 = [](std::vector<uint8_t> c, std::vector<int64_t> scale_shape, std::vector<float> s) {
    auto stored = std::make_shared<Memory>(fp8_config(R"(, "weight_block_size": [128, 128])"));
    stored->add("x.weight", DType::f8_e4m3, {2, 129}, c);
    if (!s.empty()) stored->add("x.weight_scale_inv", DType::f32, std::move(scale_shape), s);
    return refused(stored);
  };
  CHECK(fp8(codes(258), {1, 2}, {1, 2}).message == "accepted");
  CHECK(has(fp8(codes(258), {2, 1}, {1, 2}).message, "shape [2, 1] for a weight [2, 129]"));
  CHECK(has(fp8(codes(258), {}, {}).message, "neither _scale_inv nor _scale"));
  CHECK(has(fp8(codes(258), {1, 2}, {1, INFINITY}).message, "element 1 is no finite number"));
  std::vector<uint8_t> nan = codes(258);
  nan[200] = 0xff;
  CHECK(has(fp8(nan, {1, 2}, {1, 2}).message, "row 1 holds a NaN"));

  const auto packed = [](std::vector<int64_t> shape, std::vector<int64_t> scale_shape) {
    auto stored = std::make_shared<Memory>(kInt4);
    stored->add("x.weight_packed", DType::i32, {2, 8}, std::vector<int32_t>(16));
    stored->add("x.weight_scale", DType::f32, scale_shape, scales(scale_shape[0] * scale_shape[1]));
    if (!shape.empty()) stored->add("x.weight_shape", DType::i64, {2}, shape);
    return refused(stored).message;
  };
  CHECK(packed({2, 64}, {2, 2}) == "accepted");
  CHECK(packed({2, 61}, {2, 2}) == "accepted");
  CHECK(has(packed({2, 65}, {2, 2}), "expected I32 [2, 9]"));
  CHECK(has(packed({-2, 64}, {2, 2}), "dimension 0 is -2"));
  CHECK(has(packed({2, int64_t{1} << 40}, {2, 2}), "dimension 1 is 1099511627776"));
  CHECK(has(packed({2, 64}, {2, 1}), "shape [2, 1]"));
  CHECK(has(packed({}, {2, 2}), "lacks x.weight_shape"));
}
