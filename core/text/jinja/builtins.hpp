// The tables of filters, tests, methods and global functions, and how they read their arguments.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "text/jinja/interp.hpp"

namespace tenon::jinja {

using Builtin = Var (*)(Interp&, const Var& self, Args& args);
using Test = bool (*)(Interp&, const Var& self, Args& args);

/// nullptr when there is none of this name.
Builtin find_filter(std::string_view name);
Builtin find_text_filter(std::string_view name);
Builtin find_list_filter(std::string_view name);
Test find_test(std::string_view name);
/// A method of this value's type.
Builtin find_method(const Var& self, std::string_view name);
Builtin find_text_method(std::string_view name);
void define_globals(Interp& interp);

/// Python's '%' and str.format().
std::string format_percent(Interp& interp, std::string_view format, const Var& arguments);
std::string format_braces(Interp& interp, std::string_view format, Args& args);
std::string format_time(const std::tm& time, const std::string& format);

/// Arguments by position or by name, as a function with these parameters would take them.
class Bound {
 public:
  Bound(std::string_view function, const Args& args, std::initializer_list<const char*> names);
  const Var* get(size_t i) const { return values_[i]; }
  bool has(size_t i) const { return values_[i] && !values_[i]->is_none(); }
  bool flag(size_t i, bool otherwise) const { return values_[i] ? truthy(*values_[i]) : otherwise; }
  int64_t integer(size_t i, int64_t otherwise) const;
  std::string string(size_t i, std::string otherwise) const;
  const Var& need(size_t i) const;

 private:
  std::string function_;
  std::vector<const Var*> values_;
  std::vector<const char*> names_;
};

/// int(d): towards zero; a fault for what no integer holds.
Var truncated(double d);
int64_t integer_of(const Var& v, std::string_view what);
const std::string& text_of(const Var& v, std::string_view what);

}  // namespace tenon::jinja
