// JSON text to Value, over simdjson's DOM, with what that leaves to its caller: caps on bytes, depth and values,
// duplicate keys refused, and the non-standard numbers that Python's json module writes into configurations.
#include <simdjson.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cmath>
#include <limits>

#include "base/chunks.hpp"
#include "base/error.hpp"
#include "base/value.hpp"

namespace tenon {
namespace {

using simdjson::dom::element;
using simdjson::dom::element_type;

// A double written as {"__float__": "Infinity"}: transformers' spelling, and what relax() below writes for bare tokens.
bool read_float_object(const simdjson::dom::object& object, double& out) {
  std::string_view word;
  if (object.size() != 1 || object["__float__"].get(word)) return false;
  constexpr double kInf = std::numeric_limits<double>::infinity();
  if (word == "Infinity") {
    out = kInf;
  } else if (word == "-Infinity") {
    out = -kInf;
  } else if (word == "NaN") {
    out = std::numeric_limits<double>::quiet_NaN();
  } else {
    const auto [end, status] = std::from_chars(word.data(), word.data() + word.size(), out);
    return status == std::errc{} && end == word.data() + word.size();
  }
  return true;
}

class Converter {
 public:
  Converter(std::string_view place, const JsonLimits& limits) : place_(place), limits_(limits) {}

  Value convert(const element& e, size_t depth) {
    if (++values_ > limits_.max_values)
      fail(ErrorCode::bad_model, "[{}] JSON: more than {} values", place_, limits_.max_values);
    switch (e.type()) {
      case element_type::ARRAY:
        return array(e, depth + 1);
      case element_type::OBJECT:
        return object(e, depth + 1);
      case element_type::INT64:
        return Value(e.get_int64().value_unsafe());
      case element_type::UINT64:
        return Value(static_cast<double>(e.get_uint64().value_unsafe()));
      case element_type::DOUBLE:
        return Value(e.get_double().value_unsafe());
      case element_type::STRING:
        return Value(e.get_string().value_unsafe());
      case element_type::BOOL:
        return Value(e.get_bool().value_unsafe());
      case element_type::NULL_VALUE:
        break;
    }
    return Value();
  }

 private:
  void check_depth(size_t depth) const {
    if (depth > limits_.max_depth)
      fail(ErrorCode::bad_model, "[{}] JSON: nested deeper than {} levels", place_, limits_.max_depth);
  }

  Value array(const element& e, size_t depth) {
    check_depth(depth);
    const simdjson::dom::array items = e.get_array().value_unsafe();
    constexpr size_t kLong = 20000;
    if (items.size() >= kLong) return long_array(items, depth);
    Value::Array out;
    out.reserve(items.size());
    for (const element item : items) out.push_back(convert(item, depth));
    return Value(std::move(out));
  }

  // The merges of a vocabulary: most of its file, and what loading waits for.
  Value long_array(const simdjson::dom::array& items, size_t depth) {
    constexpr size_t kLeast = 8192;
    const std::vector<element> all(items.begin(), items.end());
    Value::Array out(all.size());
    in_chunks(all.size(), kLeast, [&](size_t begin, size_t end) {
      Converter part(place_, limits_);
      for (size_t i = begin; i < end; ++i) out[i] = part.convert(all[i], depth);
      values_ += part.values_;
    });
    if (values_ > limits_.max_values)
      fail(ErrorCode::bad_model, "[{}] JSON: more than {} values", place_, limits_.max_values);
    return Value(std::move(out));
  }

  Value object(const element& e, size_t depth) {
    const simdjson::dom::object members = e.get_object().value_unsafe();
    double number = 0;
    if (read_float_object(members, number)) return Value(number);
    check_depth(depth);
    Value::Object out;
    out.reserve(members.size());
    for (const auto member : members) out.emplace_back(std::string(member.key), convert(member.value, depth));
    refuse_duplicates(out);
    return Value(std::move(out));
  }

  void refuse_duplicates(const Value::Object& object) const {
    std::vector<std::string_view> keys;
    keys.reserve(object.size());
    for (const Value::Member& member : object) keys.push_back(member.first);
    if (const auto duplicate = find_duplicate(keys))
      fail(ErrorCode::bad_model, "[{}] JSON: duplicate key {}", place_, in_quotes(*duplicate));
  }

  std::string_view place_;
  const JsonLimits& limits_;
  std::atomic<size_t> values_ = 0;
};

bool is_number_char(char c) {
  return (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.' || c == 'e' || c == 'E';
}

// An integer that may exceed 64 bits (model_max_length is often 10^30) gets ".0" and so reads as a double.
void copy_number(std::string_view text, size_t& i, std::string& out) {
  const size_t begin = i;
  while (i < text.size() && is_number_char(text[i])) ++i;
  const std::string_view number = text.substr(begin, i - begin);
  out += number;
  if (number.size() >= 19 && number.find_first_of(".eE") == std::string_view::npos) out += ".0";
}

void copy_string(std::string_view text, size_t& i, std::string& out) {
  const size_t begin = i++;
  while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
  i = std::min(i + 1, text.size());
  out += text.substr(begin, i - begin);
}

// Rewrites, outside strings, what strict JSON lacks. Tried only on texts that a strict parse refused.
std::string relax(std::string_view text) {
  std::string out;
  out.reserve(text.size() + 64);
  for (size_t i = 0; i < text.size();) {
    const std::string_view rest = text.substr(i);
    bool replaced = false;
    for (const std::string_view word : {"Infinity", "-Infinity", "NaN"}) {
      if (!rest.starts_with(word)) continue;
      out += fmt::format("{{\"__float__\":\"{}\"}}", word);
      i += word.size();
      replaced = true;
      break;
    }
    if (replaced) continue;
    if (text[i] == '"') {
      copy_string(text, i, out);
    } else if (is_number_char(text[i])) {
      copy_number(text, i, out);
    } else {
      out += text[i++];
    }
  }
  return out;
}

}  // namespace

std::optional<std::string_view> find_duplicate(std::span<const std::string_view> names) {
  if (names.size() < 2) return std::nullopt;
  // Sorting by hash first is fast; falling back to the text keeps crafted collisions at n log n.
  std::vector<std::pair<size_t, std::string_view>> sorted;
  sorted.reserve(names.size());
  for (const std::string_view name : names) sorted.emplace_back(std::hash<std::string_view>{}(name), name);
  std::sort(sorted.begin(), sorted.end());
  const auto twin = std::adjacent_find(sorted.begin(), sorted.end());
  if (twin == sorted.end()) return std::nullopt;
  return twin->second;
}

bool is_utf8(std::string_view text) { return simdjson::validate_utf8(text.data(), text.size()); }

Value parse_json(std::string_view text, std::string_view place, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes)
    fail(ErrorCode::bad_model, "[{}] JSON: {} bytes, the limit is {}", place, text.size(), limits.max_bytes);
  simdjson::dom::parser parser(limits.max_bytes + 64);
  // One level for the root and one for a number that relax() turned into an object; convert() checks the exact depth.
  simdjson::error_code error = parser.allocate(std::max<size_t>(text.size(), 64), limits.max_depth + 2);
  element root;
  if (!error) error = parser.parse(text.data(), text.size()).get(root);
  std::string relaxed;
  if (error == simdjson::NUMBER_ERROR || error == simdjson::TAPE_ERROR || error == simdjson::N_ATOM_ERROR) {
    relaxed = relax(text);
    if (relaxed != text) {
      // Bounded: a token of 3 bytes grows to at most 8 times its length.
      parser = simdjson::dom::parser(limits.max_bytes * 8 + 64);
      error = parser.allocate(relaxed.size(), limits.max_depth + 2);
      if (!error) error = parser.parse(relaxed).get(root);
    }
  }
  if (error == simdjson::DEPTH_ERROR)
    fail(ErrorCode::bad_model, "[{}] JSON: nested deeper than {} levels", place, limits.max_depth);
  if (error) fail(ErrorCode::bad_model, "[{}] JSON: {}", place, simdjson::error_message(error));
  return Converter(place, limits).convert(root, 0);
}

}  // namespace tenon
