// Construction, truth, equality, order and dictionaries.
#include "text/jinja/var.hpp"

#include <algorithm>

namespace tenon::jinja {

namespace {

// Values nested without bound must not be destroyed by recursion: the outermost destructor works through a list that
// the inner ones add to.
thread_local std::vector<std::shared_ptr<Object>>* dying = nullptr;

template <typename Each>
void destroy_flat(Each&& each) {
  if (dying) {
    each([](Var& v) {
      if (v.object()) dying->push_back(v.release());
    });
    return;
  }
  std::vector<std::shared_ptr<Object>> list;
  dying = &list;
  each([&](Var& v) {
    if (v.object()) list.push_back(v.release());
  });
  while (!list.empty()) {
    const std::shared_ptr<Object> last = std::move(list.back());
    list.pop_back();
  }
  dying = nullptr;
}

}  // namespace

Sequence::~Sequence() {
  destroy_flat([this](auto&& bury) {
    for (Var& v : items) bury(v);
  });
}

Dict::~Dict() {
  index_.clear();
  destroy_flat([this](auto&& bury) {
    for (auto& [key, value] : items_) {
      bury(key);
      bury(value);
    }
  });
}

Var Var::undefined(std::string message) {
  Var v;
  auto t = std::make_shared<Text>();
  t->text = std::move(message);
  v.object_ = std::move(t);
  return v;
}
Var Var::none() {
  Var v;
  v.kind_ = Kind::none;
  return v;
}
Var Var::boolean(bool b) {
  Var v;
  v.kind_ = Kind::boolean;
  v.bool_ = b;
  return v;
}
Var Var::integer(Int i) {
  Var v;
  v.kind_ = Kind::integer;
  v.int_ = i;
  return v;
}
Var Var::real(double d) {
  Var v;
  v.kind_ = Kind::real;
  v.real_ = d;
  return v;
}
Var Var::string(std::string s, bool markup) {
  Var v;
  v.kind_ = Kind::string;
  v.markup_ = markup;
  auto t = std::make_shared<Text>();
  t->text = std::move(s);
  v.object_ = std::move(t);
  return v;
}
Var Var::string(MarkedText s, bool markup) {
  Var v = string(std::move(s.text), markup);
  static_cast<Text&>(*v.object_).trusted = std::move(s.trusted);
  return v;
}
Var Var::trusted(std::string s) {
  MarkedText marked;
  marked.append(s, true);
  return string(std::move(marked));
}
Var Var::list(List items, Flavor flavor) {
  Var v;
  v.kind_ = Kind::sequence;
  auto s = std::make_shared<Sequence>();
  s->items = std::move(items);
  s->flavor = flavor;
  v.object_ = std::move(s);
  return v;
}
Var Var::dict() {
  Var v;
  v.kind_ = Kind::dict;
  v.object_ = std::make_shared<Dict>();
  return v;
}
Var Var::space() {
  Var v = dict();
  v.kind_ = Kind::space;
  return v;
}
Var Var::callable(std::string name, Function f) {
  Var v;
  v.kind_ = Kind::callable;
  auto c = std::make_shared<Callable>();
  c->name = std::move(name);
  c->function = std::move(f);
  v.object_ = std::move(c);
  return v;
}
Var Var::loop(std::shared_ptr<LoopState> state) {
  Var v;
  v.kind_ = Kind::loop;
  v.object_ = std::move(state);
  return v;
}

Var Var::from_value(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::null:
      return none();
    case Value::Kind::boolean:
      return boolean(value.as_bool());
    case Value::Kind::integer:
      return integer(value.as_int());
    case Value::Kind::real:
      return real(value.as_double());
    case Value::Kind::string:
      return string(value.as_string());
    case Value::Kind::array: {
      List items;
      items.reserve(value.as_array().size());
      for (const Value& v : value.as_array()) items.push_back(from_value(v));
      return list(std::move(items));
    }
    case Value::Kind::object:
      break;
  }
  Var out = dict();
  for (const auto& [key, v] : value.as_object()) out.dict_ref().set(string(key), from_value(v));
  return out;
}

Dict& Var::dict_ref() const { return static_cast<Dict&>(*object_); }
LoopState& Var::loop_ref() const { return static_cast<LoopState&>(*object_); }
const std::string& Var::undefined_message() const {
  static const std::string kPlain = "value is undefined";
  return object_ ? text() : kPlain;
}

std::string type_name(const Var& v) {
  switch (v.kind()) {
    case Kind::undefined:
      return "Undefined";
    case Kind::none:
      return "NoneType";
    case Kind::boolean:
      return "bool";
    case Kind::integer:
      return "int";
    case Kind::real:
      return "float";
    case Kind::string:
      return "str";
    case Kind::dict:
      return "dict";
    case Kind::space:
      return "Namespace";
    case Kind::loop:
      return "LoopContext";
    case Kind::callable:
      return "function";
    case Kind::sequence:
      break;
  }
  static constexpr const char* kNames[] = {"list",      "tuple",       "generator", "dict_items",
                                           "dict_keys", "dict_values", "range"};
  return kNames[static_cast<size_t>(v.sequence().flavor)];
}

void append_text(MarkedText& out, const Var& v, Budget& budget) {
  if (v.is_string())
    out.append(v.text(), v.trusted_spans());
  else
    out.append(to_text(v, budget), wholly_trusted(v));
}

namespace {

bool wholly_trusted(const Var& v, int depth) {
  constexpr int kMaxDepth = 8;
  switch (v.kind()) {
    case Kind::string: {
      const TextSpans& spans = v.trusted_spans();
      return v.text().empty() || (spans.size() == 1 && spans[0].begin == 0 && spans[0].end == v.text().size());
    }
    case Kind::sequence: {
      const List& items = v.sequence().items;
      return depth < kMaxDepth &&
             std::all_of(items.begin(), items.end(), [&](const Var& item) { return wholly_trusted(item, depth + 1); });
    }
    case Kind::dict:
    case Kind::space: {
      const auto& items = v.dict_ref().items();
      return depth < kMaxDepth && std::all_of(
                                      items.begin(), items.end(),
                                      [&](const Dict::Item& item) {
                                        return wholly_trusted(item.first, depth + 1) &&
                                               wholly_trusted(item.second, depth + 1);
                                      });
    }
    default:
      return true;  // numbers and the like spell nothing by themselves
  }
}

}  // namespace

bool wholly_trusted(const Var& v) { return wholly_trusted(v, 0); }

bool truthy(const Var& v) {
  switch (v.kind()) {
    case Kind::undefined:
    case Kind::none:
      return false;
    case Kind::boolean:
      return v.as_bool();
    case Kind::integer:
      return v.as_int() != 0;
    case Kind::real:
      return v.as_real() != 0;
    case Kind::string:
      return !v.text().empty();
    case Kind::sequence:
      return v.is_list(Flavor::generator) || !v.sequence().items.empty();
    case Kind::dict:
      return v.dict_ref().size() > 0;
    default:
      return true;
  }
}

namespace {

bool comparable_sequences(const Var& a, const Var& b) {
  const Flavor x = a.sequence().flavor, y = b.sequence().flavor;
  return (x == Flavor::list) == (y == Flavor::list) && (x == Flavor::tuple) == (y == Flavor::tuple);
}

bool equal_at(const Var& a, const Var& b, Budget& budget, int depth) {
  Budget::depth(depth);
  budget.step();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return a.as_int() == b.as_int();
    return a.as_real() == b.as_real();
  }
  if (a.kind() != b.kind()) return false;
  switch (a.kind()) {
    case Kind::undefined:
    case Kind::none:
      return true;
    case Kind::string:
      return a.text() == b.text();
    case Kind::sequence: {
      if (a.object() == b.object()) return true;
      if (!comparable_sequences(a, b) || a.sequence().items.size() != b.sequence().items.size()) return false;
      for (size_t i = 0; i < a.sequence().items.size(); ++i)
        if (!equal_at(a.sequence().items[i], b.sequence().items[i], budget, depth + 1)) return false;
      return true;
    }
    case Kind::dict: {
      if (a.object() == b.object()) return true;
      if (a.dict_ref().size() != b.dict_ref().size()) return false;
      for (const auto& [key, value] : a.dict_ref().items()) {
        const Var* other = b.dict_ref().find(key);
        if (!other || !equal_at(value, *other, budget, depth + 1)) return false;
      }
      return true;
    }
    default:
      return a.object() == b.object();
  }
}

template <typename T>
int three_way(const T& a, const T& b) {
  return a < b ? -1 : b < a ? 1 : 0;
}

int compare_at(const Var& a, const Var& b, Budget& budget, int depth) {
  Budget::depth(depth);
  budget.step();
  if (a.is_number() && b.is_number()) {
    if (a.is_integral() && b.is_integral()) return three_way(a.as_int(), b.as_int());
    return three_way(a.as_real(), b.as_real());
  }
  if (a.is_string() && b.is_string()) return three_way(a.text(), b.text());
  if (a.is(Kind::sequence) && b.is(Kind::sequence) && comparable_sequences(a, b)) {
    const List &x = a.sequence().items, &y = b.sequence().items;
    for (size_t i = 0; i < x.size() && i < y.size(); ++i)
      if (const int c = compare_at(x[i], y[i], budget, depth + 1)) return c;
    return three_way(x.size(), y.size());
  }
  if (a.is_undefined()) fault("{}", a.undefined_message());
  if (b.is_undefined()) fault("{}", b.undefined_message());
  fault("'<' not supported between instances of '{}' and '{}'", type_name(a), type_name(b));
}

int key_rank(const Var& v) { return v.is_number() ? 0 : static_cast<int>(v.kind()) + 1; }

}  // namespace

bool equal(const Var& a, const Var& b, Budget& budget) { return equal_at(a, b, budget, 0); }
int compare(const Var& a, const Var& b, Budget& budget) { return compare_at(a, b, budget, 0); }

void require_hashable(const Var& v) {
  const bool hashable = !v.is(Kind::dict) && !(v.is(Kind::sequence) && !v.is_list(Flavor::tuple));
  if (!hashable) fault("unhashable type: '{}'", type_name(v));
  if (!v.is_list(Flavor::tuple)) return;
  for (const Var& item : v.sequence().items) require_hashable(item);
}

bool Dict::Less::operator()(const Var& a, const Var& b) const {
  const int x = key_rank(a), y = key_rank(b);
  if (x != y) return x < y;
  if (a.is_number() || a.is_string()) {
    Budget unused;
    return compare(a, b, unused) < 0;
  }
  if (!a.is(Kind::sequence)) return a.object().get() < b.object().get();
  const List &s = a.sequence().items, &t = b.sequence().items;
  return std::lexicographical_compare(s.begin(), s.end(), t.begin(), t.end(), *this);
}

Var* Dict::find(const Var& key) {
  require_hashable(key);
  if (!index_.empty()) {
    const auto it = index_.find(key);
    return it == index_.end() ? nullptr : &items_[it->second].second;
  }
  const Less less;
  for (auto& [k, v] : items_)
    if (!less(k, key) && !less(key, k)) return &v;
  return nullptr;
}

Var* Dict::find(std::string_view key) {
  if (!index_.empty()) return find(Var::string(std::string(key)));
  for (auto& [k, v] : items_)
    if (k.is_string() && k.text() == key) return &v;
  return nullptr;
}

void Dict::set(const Var& key, Var value) {
  if (Var* found = find(key)) {
    *found = std::move(value);
    return;
  }
  items_.emplace_back(key, std::move(value));
  if (!index_.empty())
    index_.emplace(key, items_.size() - 1);
  else if (items_.size() > 8)
    reindex();
}

void Dict::reindex() {
  index_.clear();
  if (items_.size() <= 8) return;
  for (size_t i = 0; i < items_.size(); ++i) index_.emplace(items_[i].first, i);
}

std::optional<Var> Dict::take(const Var& key) {
  Var* found = find(key);
  if (!found) return std::nullopt;
  Var value = *found;
  for (size_t i = 0; i < items_.size(); ++i)
    if (&items_[i].second == found) {
      items_.erase(items_.begin() + static_cast<ptrdiff_t>(i));
      break;
    }
  reindex();
  return value;
}

void Dict::clear() {
  items_.clear();
  index_.clear();
}

}  // namespace tenon::jinja
