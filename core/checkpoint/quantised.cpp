// The view of quantised safetensors: which stored tensors make which weight.
#include "checkpoint/quantised.hpp"

#include <array>
#include <optional>
#include <unordered_map>

#include "base/error.hpp"
#include "checkpoint/quant_blocks.hpp"

namespace tenon {
namespace {

/// Scales of activations and caches.
constexpr std::array<std::string_view, 5> kUnused = {".input_scale", ".output_scale", ".k_scale", ".v_scale",
                                                     ".activation_scale"};

class QuantisedDirectory final : public Checkpoint {
 public:
  QuantisedDirectory(std::shared_ptr<const Checkpoint> stored, QuantScheme scheme)
      : stored_(std::move(stored)), scheme_(std::move(scheme)) {
    for (const StoredTensor& t : stored_->tensors()) {
      if (part_of_another(t.name)) continue;
      tensors_.push_back(t);
      parts_.push_back(parts_of(t));
      if (parts_.back().codes) describe(tensors_.back(), parts_.back());
    }
    for (size_t i = 0; i < tensors_.size(); ++i) by_name_[tensors_[i].name] = i;
  }

  Format format() const override { return stored_->format(); }
  const Value& metadata() const override { return scheme_.config; }
  const Value* side_json(std::string_view name) const override { return stored_->side_json(name); }
  std::span<const StoredTensor> tensors() const override { return tensors_; }
  const StoredTensor* find(std::string_view name) const override {
    const auto at = by_name_.find(name);
    return at == by_name_.end() ? nullptr : &tensors_[at->second];
  }
  const std::filesystem::path& path() const override { return stored_->path(); }

  HostTensor load(const StoredTensor& tensor) const override {
    const QuantParts& p = parts_[static_cast<size_t>(&tensor - tensors_.data())];
    if (!p.codes) return tensor.tensor;
    return p.codes->tensor.dtype == DType::i32 ? pack_int4(p) : pack_fp8(p);
  }

 private:
  static std::string_view cut(std::string_view name, std::string_view suffix) {
    return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : std::string_view{};
  }

  const StoredTensor* stored(std::string_view base, std::string_view suffix) const {
    return base.empty() ? nullptr : stored_->find(std::string(base) + std::string(suffix));
  }

  bool is_fp8(std::string_view name) const {
    const StoredTensor* t = scheme_.fp8 ? stored(name, "") : nullptr;
    return t && t->tensor.dtype == DType::f8_e4m3;
  }

  bool part_of_another(std::string_view name) const {
    for (std::string_view suffix : {"_scale_inv", "_scale"})
      if (const auto base = cut(name, suffix); is_fp8(base) || (scheme_.int4 && stored(base, "_packed"))) return true;
    if (scheme_.int4 && stored(cut(name, "_shape"), "_packed")) return true;
    for (std::string_view suffix : kUnused)
      if (name.ends_with(suffix)) return true;
    return false;
  }

  /// Of a stored tensor. One that is used as it is has no codes.
  QuantParts parts_of(const StoredTensor& t) const {
    if (scheme_.fp8 && t.tensor.dtype == DType::f8_e4m3) {
      const StoredTensor* scales = stored(t.name, "_scale_inv");
      if (!scales) scales = stored(t.name, "_scale");
      if (!scales)
        fail(ErrorCode::bad_model, "[{}] tensor {} is F8_E4M3 and has neither _scale_inv nor _scale", t.file,
             in_quotes(t.name));
      return {&t, scales, t.tensor.shape, scheme_.fp8_grid};
    }
    const std::string_view base = scheme_.int4 ? cut(t.name, "_packed") : std::string_view{};
    if (base.empty()) return {};
    for (std::string_view suffix : {"_zero_point", "_g_idx"})
      if (stored(base, suffix))
        fail(ErrorCode::unsupported, "[{}] tensor {} has {}{}, which nothing here unpacks", t.file, in_quotes(t.name),
             base, suffix);
    const StoredTensor *scales = stored(base, "_scale"), *shape = stored(base, "_shape");
    if (!scales || !shape)
      fail(ErrorCode::bad_model, "[{}] tensor {} lacks {}{}", t.file, in_quotes(t.name), base,
           scales ? "_shape" : "_scale");
    return {&t, scales, read_packed_shape(*shape, t), scheme_.int4_grid};
  }

  void describe(StoredTensor& t, QuantParts& parts) {
    fit_grid(parts);
    const bool int4 = parts.codes->tensor.dtype == DType::i32;
    if (int4) t.name = std::string(cut(t.name, "_packed"));
    t.tensor = {int4 ? DType::i4_b32 : fp8_block(parts), parts.shape, nullptr,
                parts.codes->tensor.bytes + parts.scales->tensor.bytes, nullptr};
  }

  std::shared_ptr<const Checkpoint> stored_;
  QuantScheme scheme_;
  std::vector<StoredTensor> tensors_;
  std::vector<QuantParts> parts_;  // by tensor
  std::unordered_map<std::string_view, size_t> by_name_;
};

}  // namespace

std::shared_ptr<const Checkpoint> unpacked(std::shared_ptr<const Checkpoint> stored) {
  if (stored->format() != Format::safetensors) return stored;
  std::optional<QuantScheme> scheme = read_quant_scheme(stored->metadata());
  if (!scheme) return stored;
  return std::make_shared<QuantisedDirectory>(std::move(stored), std::move(*scheme));
}

}  // namespace tenon
