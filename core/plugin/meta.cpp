// "tenon.meta/0" over a checkpoint's metadata.
#include "plugin/meta.hpp"

#include <algorithm>
#include <optional>

#include "base/error.hpp"
#include "plugin/glob.hpp"
#include "plugin/neutral_keys.hpp"

using tenon::Value;

namespace {

bool empty_like(const Value& v) {
  switch (v.kind()) {
    case Value::Kind::null:
      return true;
    case Value::Kind::boolean:
      return !v.as_bool();
    case Value::Kind::integer:
      return v.as_int() == 0;
    case Value::Kind::real:
      return v.as_double() == 0;
    case Value::Kind::string:
      return v.as_string().empty();
    case Value::Kind::array:
      return v.as_array().empty();
    case Value::Kind::object:
      return v.as_object().empty();
  }
  return false;
}

/// The leaves of an object as dotted paths; arrays are leaves.
void collect_leaves(const Value& v, const std::string& path, std::vector<std::pair<std::string, const Value*>>& out) {
  if (!v.is_object() || v.as_object().empty()) {
    out.emplace_back(path, &v);
    return;
  }
  for (const auto& [key, member] : v.as_object()) collect_leaves(member, path.empty() ? key : path + "." + key, out);
}

template <typename Read>
int32_t get(const tn_meta* m, const tn_key* key, std::string_view expected, bool fits_kind(const Value&), Read read) {
  const Value* v = m->read(*key);
  if (!v) return 0;
  if (!fits_kind(*v)) {
    m->type_error(*key, expected, *v);
    return 0;
  }
  try {
    read(*v);
    return 1;
  } catch (const tenon::Error&) {  // a real that is no integer, an integer out of range
    m->type_error(*key, expected, *v);
    return 0;
  }
}

bool is_number(const Value& v) { return v.is_number(); }
bool is_bool(const Value& v) { return v.is_bool(); }
bool is_string(const Value& v) { return v.is_string(); }

int32_t get_i64(const tn_meta* m, const tn_key* key, int64_t* out) {
  return get(m, key, "an integer", is_number, [&](const Value& v) { *out = v.as_int(); });
}
int32_t get_f64(const tn_meta* m, const tn_key* key, double* out) {
  return get(m, key, "a number", is_number, [&](const Value& v) { *out = v.as_double(); });
}
int32_t get_bool(const tn_meta* m, const tn_key* key, uint32_t* out) {
  return get(m, key, "a bool", is_bool, [&](const Value& v) { *out = v.as_bool(); });
}
int32_t get_str(const tn_meta* m, const tn_key* key, const char** out) {
  return get(m, key, "a string", is_string, [&](const Value& v) { *out = v.as_string().c_str(); });
}

const Value* element(const tn_meta* m, const tn_key* key, size_t index) {
  const Value* v = m->read(*key);
  return v && v->is_array() && index < v->as_array().size() ? &v->as_array()[index] : nullptr;
}

size_t array_len(const tn_meta* m, const tn_key* key) {
  const Value* v = m->read(*key);
  if (!v) return 0;
  if (v->is_array()) return v->as_array().size();
  m->type_error(*key, "an array", *v);
  return 0;
}
int32_t elem_i64(const tn_meta* m, const tn_key* key, size_t index, int64_t* out) {
  const Value* v = element(m, key, index);
  if (!v || !(v->is_int() || v->is_bool())) return 0;
  *out = v->is_bool() ? v->as_bool() : v->as_int();
  return 1;
}
int32_t elem_f64(const tn_meta* m, const tn_key* key, size_t index, double* out) {
  const Value* v = element(m, key, index);
  if (!v || !v->is_number()) return 0;
  *out = v->as_double();
  return 1;
}
int32_t elem_str(const tn_meta* m, const tn_key* key, size_t index, const char** out) {
  const Value* v = element(m, key, index);
  if (!v || !v->is_string()) return 0;
  *out = v->as_string().c_str();
  return 1;
}

uint32_t type_of(const tn_meta* m, const tn_key* key) {
  const Value* v = m->look(*key);
  if (!v) return TN_TYPE_ABSENT;
  switch (v->kind()) {
    case Value::Kind::null:
      return TN_TYPE_ABSENT;
    case Value::Kind::boolean:
      return TN_TYPE_BOOL;
    case Value::Kind::integer:
      return TN_TYPE_INT;
    case Value::Kind::real:
      return TN_TYPE_REAL;
    case Value::Kind::string:
      return TN_TYPE_STRING;
    case Value::Kind::array:
      return TN_TYPE_ARRAY;
    case Value::Kind::object:
      return TN_TYPE_OBJECT;
  }
  return TN_TYPE_ABSENT;
}

uint32_t tensor_shape(const tn_meta* m, const char* tensor, int64_t dims[8]) {
  const tenon::StoredTensor* t = m->checkpoint.find(tensor);
  if (!t || t->tensor.shape.size() > 8) return 0;
  std::copy(t->tensor.shape.begin(), t->tensor.shape.end(), dims);
  return static_cast<uint32_t>(t->tensor.shape.size());
}

void ignore_key(const tn_meta* m, const char* hf_glob, const char* gguf_glob, const char*) {
  const std::string glob = m->spell({hf_glob, gguf_glob});
  if (!glob.empty()) m->ignored_globs.push_back(glob);
}

uint32_t format(const tn_meta* m) {
  return m->checkpoint.format() == tenon::Format::gguf ? TN_FORMAT_GGUF : TN_FORMAT_SAFETENSORS;
}

}  // namespace

tn_meta::tn_meta(const tenon::Checkpoint& c) : checkpoint(c) {
  place = c.path().filename().string();
  if (c.format() != tenon::Format::gguf) {
    place = "config.json";
    return;
  }
  const Value* arch = c.meta("general.architecture");
  if (!arch || !arch->is_string())
    tenon::fail(tenon::ErrorCode::bad_model, "[{}] general.architecture is {}", place, arch ? "no string" : "missing");
  architecture = arch->as_string();
}

const tn_meta_v0* tn_meta::table() {
  static constexpr tn_meta_v0 t{format,    type_of,  get_i64,  get_f64,  get_bool,     get_str,
                                array_len, elem_i64, elem_f64, elem_str, tensor_shape, ignore_key};
  return &t;
}

std::string tn_meta::spell(const tn_key& key) const {
  if (checkpoint.format() == tenon::Format::safetensors) return key.hf ? key.hf : "";
  if (!key.gguf) return "";
  return key.gguf[0] == '/' ? key.gguf + 1 : architecture + "." + key.gguf;
}

const Value* tn_meta::look(const tn_key& key) const {
  const std::string name = spell(key);
  return name.empty() ? nullptr : checkpoint.meta(name);
}

const Value* tn_meta::read(const tn_key& key) const {
  const std::string name = spell(key);
  if (name.empty()) return nullptr;
  read_keys.insert(name);
  return checkpoint.meta(name);
}

void tn_meta::type_error(const tn_key& key, std::string_view expected, const Value& found) const {
  std::string text = tenon::to_json(found).substr(0, 60);
  errors.push_back(fmt::format("[{}] {} is {} ({}), {} was expected", place, spell(key), text,
                               Value::kind_name(found.kind()), expected));
}

void tn_meta::throw_errors() const {
  if (!errors.empty()) throw tenon::Error(tenon::ErrorCode::bad_model, errors.front());
}

std::vector<std::string> tn_meta::unread() const {
  std::vector<std::pair<std::string, const Value*>> leaves;
  if (checkpoint.format() == tenon::Format::safetensors) {
    collect_leaves(checkpoint.metadata(), "", leaves);
  } else {  // only the architecture's own keys can change the graph
    for (const auto& [key, v] : checkpoint.metadata().as_object())
      if (key.starts_with(architecture + ".")) leaves.emplace_back(key, &v);
  }
  const auto covered = [&](const std::string& path) {
    for (size_t end = path.size(); end != std::string::npos && end > 0; end = path.rfind('.', end - 1))
      if (read_keys.contains(std::string_view(path).substr(0, end))) return true;
    const auto matches = [&](std::string_view glob) { return tenon::glob_match(glob, path); };
    if (std::ranges::any_of(ignored_globs, matches)) return true;
    std::string_view inner = path;
    for (std::string_view prefix : tenon::text_config_prefixes())
      if (path.starts_with(prefix)) inner.remove_prefix(prefix.size());
    const auto neutral = [&](std::string_view glob) { return tenon::glob_match(glob, inner); };
    return architecture.empty() && std::ranges::any_of(tenon::neutral_config_keys(), neutral);
  };
  std::vector<std::string> out;
  for (const auto& [path, v] : leaves)
    if (!empty_like(*v) && !covered(path)) out.push_back(path + " = " + tenon::to_json(*v).substr(0, 60));
  return out;
}
