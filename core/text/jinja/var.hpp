// Values of a template: Python's, as far as templates see them. Copies are cheap; lists and dicts are shared, as in
// Python.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/value.hpp"
#include "text/jinja/budget.hpp"
#include "text/marked_text.hpp"

namespace tenon::jinja {

__extension__ typedef __int128 Int;

class Var;
class Interp;
class Dict;
using List = std::vector<Var>;

struct Args {
  List positional;
  std::vector<std::pair<std::string, Var>> named;
};
using Function = std::function<Var(Interp&, Args&)>;

enum class Kind : uint8_t { undefined, none, boolean, integer, real, string, sequence, dict, space, loop, callable };
// What a sequence is in Python: how it prints, whether it is consumed by iterating, whether it is hashable.
enum class Flavor : uint8_t { list, tuple, generator, items, keys, values, range };

struct Object {
  virtual ~Object() = default;
};
struct Text final : Object {
  std::string text;
  TextSpans trusted;  // none of it, unless it is known to be the template's own
};
struct Sequence final : Object {
  ~Sequence() override;
  List items;
  Flavor flavor = Flavor::list;
  std::string label;  // of a range: how it prints
};
struct Callable final : Object {
  std::string name;
  Function function;
};
struct LoopState;

class Var {
 public:
  Var() = default;
  /// An undefined value; `message` is the error that using it gives.
  static Var undefined(std::string message);
  static Var none();
  static Var boolean(bool b);
  static Var integer(Int i);
  static Var real(double d);
  static Var string(std::string s, bool markup = false);
  static Var string(MarkedText s, bool markup = false);
  /// The template's own text.
  static Var trusted(std::string s);
  static Var list(List items, Flavor flavor = Flavor::list);
  static Var dict();
  static Var space();
  static Var callable(std::string name, Function f);
  static Var loop(std::shared_ptr<LoopState> state);
  /// JSON values become Python's.
  static Var from_value(const Value& value);

  Kind kind() const { return kind_; }
  bool is(Kind k) const { return kind_ == k; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_none() const { return kind_ == Kind::none; }
  bool is_string() const { return kind_ == Kind::string; }
  bool is_list(Flavor f) const { return kind_ == Kind::sequence && sequence().flavor == f; }
  /// An integer or a bool, which Python counts as one.
  bool is_integral() const { return kind_ == Kind::integer || kind_ == Kind::boolean; }
  bool is_number() const { return is_integral() || kind_ == Kind::real; }
  bool markup() const { return markup_; }

  bool as_bool() const { return bool_; }
  Int as_int() const { return kind_ == Kind::boolean ? Int{bool_} : int_; }
  double as_real() const { return kind_ == Kind::real ? real_ : static_cast<double>(as_int()); }
  const std::string& text() const { return static_cast<const Text&>(*object_).text; }
  const TextSpans& trusted_spans() const { return static_cast<const Text&>(*object_).trusted; }
  Sequence& sequence() const { return static_cast<Sequence&>(*object_); }
  Dict& dict_ref() const;
  const Callable& callable_ref() const { return static_cast<const Callable&>(*object_); }
  LoopState& loop_ref() const;
  const std::string& undefined_message() const;
  const std::shared_ptr<Object>& object() const { return object_; }
  /// Gives up what it points to; the value is unusable afterwards.
  std::shared_ptr<Object> release() { return std::move(object_); }

 private:
  Kind kind_ = Kind::undefined;
  bool markup_ = false;  // of a string: it came from `safe` or `escape`
  bool bool_ = false;
  double real_ = 0;
  Int int_ = 0;
  std::shared_ptr<Object> object_;
};

/// Insertion-ordered mapping with hashable keys. Also the members of a namespace.
class Dict final : public Object {
 public:
  Dict() = default;
  ~Dict() override;
  Dict(const Dict&) = delete;
  Dict& operator=(const Dict&) = delete;

  using Item = std::pair<Var, Var>;
  const std::vector<Item>& items() const { return items_; }
  Var* find(const Var& key);
  Var* find(std::string_view key);
  void set(const Var& key, Var value);
  std::optional<Var> take(const Var& key);
  void clear();
  size_t size() const { return items_.size(); }

 private:
  struct Less {
    bool operator()(const Var& a, const Var& b) const;
  };
  void reindex();
  std::vector<Item> items_;
  std::map<Var, size_t, Less> index_;  // kept for dicts of more than a few items
};

struct LoopState final : Object {
  const List* items = nullptr;  // valid while the loop runs
  size_t index = 0;
  size_t depth = 1;
  std::optional<List> last_changed;
  std::function<Var(const Var&)> recurse;
};

/// Adds what printing the value gives.
void append_text(MarkedText& out, const Var& v, Budget& budget);
/// True for a value no text of which can be a user's.
bool wholly_trusted(const Var& v);
/// "str", "int", "list", ... as Python names the type.
std::string type_name(const Var& v);
bool truthy(const Var& v);
std::string to_text(const Var& v, Budget& budget);  // str(v)
std::string to_repr(const Var& v, Budget& budget);  // repr(v)
std::string real_text(double d);
std::string int_text(Int i);
bool equal(const Var& a, const Var& b, Budget& budget);
/// -1, 0, 1; a fault when Python could not order the two.
int compare(const Var& a, const Var& b, Budget& budget);
void require_hashable(const Var& v);

struct JsonStyle {
  bool ensure_ascii = false;
  std::optional<std::string> indent;
  std::string item_separator, key_separator = ": ";
  bool sort_keys = false;
};
std::string to_json_text(const Var& v, const JsonStyle& style, Budget& budget);

}  // namespace tenon::jinja
