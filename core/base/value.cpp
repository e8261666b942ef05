// Value: typed access with errors that name both kinds, and lookup by key and by dotted path.
// Reading and writing JSON are in json_read.cpp and json_write.cpp.
#include "base/value.hpp"

#include <cmath>

#include "base/error.hpp"

namespace tenon {
namespace {

[[noreturn]] void wrong_kind(const char* expected, Value::Kind found) {
  fail(ErrorCode::bad_model, "expected {}, found {}", expected, Value::kind_name(found));
}

}  // namespace

Value& Value::operator=(const Value& other) {
  if (this == &other) return *this;
  if (other.is_array()) {
    v_ = std::make_unique<Array>(other.as_array());
  } else if (other.is_object()) {
    v_ = std::make_unique<Object>(other.as_object());
  } else {
    std::visit(
        [this](const auto& held) {
          if constexpr (std::is_copy_assignable_v<std::decay_t<decltype(held)>>) v_ = held;
        },
        other.v_);
  }
  return *this;
}

bool Value::as_bool() const {
  if (const bool* b = std::get_if<bool>(&v_)) return *b;
  wrong_kind("bool", kind());
}

int64_t Value::as_int() const {
  if (const int64_t* i = std::get_if<int64_t>(&v_)) return *i;
  const double* d = std::get_if<double>(&v_);
  if (!d) wrong_kind("integer", kind());
  // 2^63 is exact as a double; the comparison also refuses NaN.
  if (!(*d >= -0x1p63 && *d < 0x1p63) || *d != std::trunc(*d))
    fail(ErrorCode::bad_model, "expected integer, found number {}", *d);
  return static_cast<int64_t>(*d);
}

double Value::as_double() const {
  if (const double* d = std::get_if<double>(&v_)) return *d;
  if (const int64_t* i = std::get_if<int64_t>(&v_)) return static_cast<double>(*i);
  wrong_kind("number", kind());
}

const std::string& Value::as_string() const {
  if (const std::string* s = std::get_if<std::string>(&v_)) return *s;
  wrong_kind("string", kind());
}

const Value::Array& Value::as_array() const {
  static const Array kEmpty;
  if (const auto* a = std::get_if<std::unique_ptr<Array>>(&v_)) return *a ? **a : kEmpty;
  wrong_kind("array", kind());
}

const Value::Object& Value::as_object() const {
  static const Object kEmpty;
  if (const auto* o = std::get_if<std::unique_ptr<Object>>(&v_)) return *o ? **o : kEmpty;
  wrong_kind("object", kind());
}

const Value* Value::find(std::string_view key) const {
  if (!is_object()) return nullptr;
  for (const Member& member : as_object())
    if (member.first == key) return &member.second;
  return nullptr;
}

const Value* Value::find_path(std::string_view dotted) const {
  const Value* at = this;
  while (at) {
    const size_t dot = dotted.find('.');
    at = at->find(dotted.substr(0, dot));
    if (dot == std::string_view::npos) break;
    dotted.remove_prefix(dot + 1);
  }
  return at && !at->is_null() ? at : nullptr;
}

const char* Value::kind_name(Kind kind) {
  static constexpr const char* kNames[] = {"null", "bool", "integer", "number", "string", "array", "object"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace tenon
