// A JSON-like tree: config.json, tokenizer.json and GGUF key-values all arrive as one of these.
// Immutable by convention once built; owns everything it holds.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace tenon {

class Value {
 public:
  using Array = std::vector<Value>;
  using Member = std::pair<std::string, Value>;
  using Object = std::vector<Member>;  // in file order; readers refuse duplicate keys
  enum class Kind { null, boolean, integer, real, string, array, object };

  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool b) : v_(b) {}
  Value(int i) : v_(static_cast<int64_t>(i)) {}
  Value(int64_t i) : v_(i) {}
  Value(double d) : v_(d) {}
  Value(const char* s) : v_(std::string(s)) {}
  Value(std::string s) : v_(std::move(s)) {}
  Value(std::string_view s) : v_(std::string(s)) {}
  Value(Array a) : v_(std::make_unique<Array>(std::move(a))) {}
  Value(Object o) : v_(std::make_unique<Object>(std::move(o))) {}
  Value(const Value& other) { *this = other; }
  Value(Value&&) noexcept = default;
  Value& operator=(const Value& other);
  Value& operator=(Value&&) noexcept = default;

  Kind kind() const { return static_cast<Kind>(v_.index()); }
  bool is_null() const { return kind() == Kind::null; }
  bool is_bool() const { return kind() == Kind::boolean; }
  bool is_int() const { return kind() == Kind::integer; }
  bool is_number() const { return is_int() || kind() == Kind::real; }
  bool is_string() const { return kind() == Kind::string; }
  bool is_array() const { return kind() == Kind::array; }
  bool is_object() const { return kind() == Kind::object; }

  // Each throws Error{bad_model, "expected X, found Y"} on another kind.
  bool as_bool() const;
  int64_t as_int() const;    // an integral real is accepted
  double as_double() const;  // an integer is accepted
  const std::string& as_string() const;
  const Array& as_array() const;
  const Object& as_object() const;

  /// The member `key` of an object; nullptr when absent or when this is no object.
  const Value* find(std::string_view key) const;
  /// Walks `a.b.c` through nested objects; nullptr when a step is missing. A JSON null counts as absent.
  const Value* find_path(std::string_view dotted) const;

  /// The name of a kind, as error messages use it: "null", "bool", "integer", "number", "string", "array", "object".
  static const char* kind_name(Kind kind);

 private:
  std::variant<std::monostate, bool, int64_t, double, std::string, std::unique_ptr<Array>, std::unique_ptr<Object>> v_;
};

struct JsonLimits {
  size_t max_bytes = size_t{512} << 20;
  size_t max_depth = 64;
  size_t max_values = size_t{1} << 24;  // a Value costs 40 bytes, its text may cost 2
};

/// Parses JSON text (UTF-8). Refuses duplicate keys, trailing text, bad UTF-8 and numbers out of range with
/// Error{bad_model, "[place] ..."}. Bare Infinity and {"__float__": "Infinity"} read as infinity.
Value parse_json(std::string_view text, std::string_view place, const JsonLimits& limits = {});

/// Serialises compactly; `ensure_ascii` escapes everything above 0x7e. Non-finite numbers are written as null.
std::string to_json(const Value& value, bool ensure_ascii = false);
/// As to_json with two-space indentation and a line break after each member.
std::string to_json_pretty(const Value& value);

/// Text from a file as messages show it: a JSON string in ASCII, cut after about 100 characters.
std::string in_quotes(std::string_view text);
/// A name that occurs twice, or nothing; n log n whatever the names are.
std::optional<std::string_view> find_duplicate(std::span<const std::string_view> names);
/// True for well-formed UTF-8.
bool is_utf8(std::string_view text);

}  // namespace tenon
