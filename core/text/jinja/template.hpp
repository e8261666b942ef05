// A parsed template, ready to render. Immutable and thread-safe; each rendering runs under its own limits.
#pragma once

#include <ctime>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "base/value.hpp"
#include "text/marked_text.hpp"

namespace tenon::jinja {

struct Dialect;

class Template {
 public:
  /// Throws Error{bad_model, "[template] line N: ..."}.
  Template(std::string_view source, const Dialect& dialect);
  explicit Template(std::string_view source);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// Renders with the members of the object `context` as variables; the same kind of error. `now` is what strftime_now
  /// sees.
  std::string render(const Value& context, const std::tm& now) const { return render_marked(context, now).text; }
  /// The same, with what of it the template wrote itself. Texts of the context are a user's but for the members of
  /// these names.
  MarkedText render_marked(const Value& context, const std::tm& now,
                           const std::set<std::string, std::less<>>& trusted = {}) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tenon::jinja
