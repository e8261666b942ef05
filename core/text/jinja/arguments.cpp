// Reading arguments, and the global functions.
#include <algorithm>
#include <limits>

#include "text/jinja/builtins.hpp"

namespace tenon::jinja {

Bound::Bound(std::string_view function, const Args& args, std::initializer_list<const char*> names)
    : function_(function), values_(names.size(), nullptr), names_(names) {
  if (args.positional.size() > names.size())
    fault("{}() takes at most {} arguments, {} given", function, names.size(), args.positional.size());
  for (size_t i = 0; i < args.positional.size(); ++i) values_[i] = &args.positional[i];
  for (const auto& [name, value] : args.named) {
    const auto it = std::find_if(names_.begin(), names_.end(), [&](const char* n) { return name == n; });
    if (it == names_.end()) fault("{}() got an unexpected keyword argument '{}'", function, name);
    values_[static_cast<size_t>(it - names_.begin())] = &value;
  }
}

const Var& Bound::need(size_t i) const {
  if (!values_[i]) fault("{}() misses argument '{}'", function_, names_[i]);
  return *values_[i];
}

int64_t Bound::integer(size_t i, int64_t otherwise) const {
  return has(i) ? integer_of(*values_[i], fmt::format("{}() argument '{}'", function_, names_[i])) : otherwise;
}

std::string Bound::string(size_t i, std::string otherwise) const {
  return has(i) ? text_of(*values_[i], fmt::format("{}() argument '{}'", function_, names_[i])) : std::move(otherwise);
}

int64_t integer_of(const Var& v, std::string_view what) {
  if (!v.is_integral()) fault("{} must be an integer, not {}", what, type_name(v));
  const Int low = std::numeric_limits<int64_t>::min() / 4, high = std::numeric_limits<int64_t>::max() / 4;
  return static_cast<int64_t>(std::clamp(v.as_int(), low, high));
}

Var truncated(double d) {
  if (!(d > -1e38 && d < 1e38)) fault("cannot convert float {} to integer", real_text(d));
  return Var::integer(static_cast<Int>(d));
}

const std::string& text_of(const Var& v, std::string_view what) {
  if (v.is_undefined()) fault("{}", v.undefined_message());
  if (!v.is_string()) fault("{} must be str, not {}", what, type_name(v));
  return v.text();
}

namespace {

constexpr int64_t kMaxRange = 100'000;

Var range(Interp& interp, Args& args) {
  const Bound b("range", args, {"start", "stop", "step"});
  const bool one = !b.get(1);
  const int64_t start = one ? 0 : integer_of(b.need(0), "range() argument");
  const int64_t stop = integer_of(b.need(one ? 0 : 1), "range() argument");
  const int64_t step = b.integer(2, 1);
  if (step == 0) fault("range() arg 3 must not be zero");
  const Int count = step > 0 ? (Int{stop} - start + step - 1) / step : (Int{start} - stop - step - 1) / -Int{step};
  if (count > kMaxRange) fault("range too big, at most {} items", kMaxRange);
  List items;
  interp.budget().step(static_cast<size_t>(std::max<Int>(count, 0)));
  for (Int i = 0; i < count; ++i) items.push_back(Var::integer(start + i * step));
  Var out = Var::list(std::move(items), Flavor::range);
  out.sequence().label =
      step == 1 ? fmt::format("range({}, {})", start, stop) : fmt::format("range({}, {}, {})", start, stop, step);
  return out;
}

Var dict(Interp& interp, Args& args) {
  Var out = Var::dict();
  if (args.positional.size() > 1) fault("dict() takes at most 1 positional argument");
  if (!args.positional.empty()) {
    const Var& from = args.positional[0];
    interp.budget().step(from.is(Kind::dict) ? from.dict_ref().size() : 1);
    if (from.is(Kind::dict)) {
      for (const auto& [key, value] : from.dict_ref().items()) out.dict_ref().set(key, value);
    } else {
      for (const Var& pair : interp.iterate(from)) {
        const List two = interp.iterate(pair);
        if (two.size() != 2) fault("dict() wants pairs, one has {} items", two.size());
        out.dict_ref().set(two[0], two[1]);
      }
    }
  }
  for (auto& [name, value] : args.named) out.dict_ref().set(Var::string(name), value);
  return out;
}

Var make_namespace(Interp& interp, Args& args) {
  const Var members = dict(interp, args);
  Var out = Var::space();
  for (const auto& [key, value] : members.dict_ref().items()) out.dict_ref().set(key, value);
  return out;
}

Var joiner(Interp&, Args& args) {
  const Bound b("joiner", args, {"sep"});
  const auto used = std::make_shared<bool>(false);
  return Var::callable("joiner", [separator = b.string(0, ", "), used](Interp&, Args&) {
    return Var::string(std::exchange(*used, true) ? separator : "");
  });
}

Var cycler(Interp&, Args& args) {
  if (args.positional.empty()) fault("at least one item has to be provided");
  Var out = Var::space();
  const auto at = std::make_shared<size_t>(0);
  const List items = args.positional;
  out.dict_ref().set(Var::string("next"), Var::callable("next", [items, at](Interp&, Args&) {
                       const size_t i = *at;
                       *at = (i + 1) % items.size();
                       return items[i];
                     }));
  out.dict_ref().set(Var::string("reset"), Var::callable("reset", [at](Interp&, Args&) {
                       *at = 0;
                       return Var::none();
                     }));
  return out;
}

Var raise_exception(Interp& interp, Args& args) {
  const Bound b("raise_exception", args, {"message"});
  throw Fault{b.get(0) ? interp.text(*b.get(0)) : "raise_exception()"};
}

Var strftime_now(Interp& interp, Args& args) {
  const Bound b("strftime_now", args, {"format"});
  return Var::string(format_time(interp.now(), text_of(b.need(0), "strftime_now() format")));
}

}  // namespace

std::string format_time(const std::tm& time, const std::string& format) {
  if (format.size() > 1024) fault("a time format of {} bytes", format.size());
  char buffer[16384];
  const std::string guarded = format + "x";  // never an empty result, which strftime cannot tell from an error
  const size_t n = std::strftime(buffer, sizeof buffer, guarded.c_str(), &time);
  return n > 0 ? std::string(buffer, n - 1) : std::string();
}

void define_globals(Interp& interp) {
  const auto add = [&](const char* name, Function f) { interp.define(name, Var::callable(name, std::move(f))); };
  add("range", range);
  add("dict", dict);
  add("namespace", make_namespace);
  add("joiner", joiner);
  add("cycler", cycler);
  add("raise_exception", raise_exception);
  add("strftime_now", strftime_now);
  add("lipsum", [](Interp&, Args&) -> Var { fault("lipsum() is not available"); });
}

}  // namespace tenon::jinja
