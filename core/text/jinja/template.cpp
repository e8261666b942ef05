// Where template faults become errors of the host.
#include "text/jinja/template.hpp"

#include "base/error.hpp"
#include "text/jinja/ast.hpp"
#include "text/jinja/interp.hpp"

namespace tenon::jinja {

struct Template::Impl {
  Body body;
};

Template::Template(std::string_view source) : Template(source, Dialect{}) {}

Template::Template(std::string_view source, const Dialect& dialect) : impl_(std::make_unique<Impl>()) {
  try {
    impl_->body = parse(source, dialect);
  } catch (const Fault& f) {
    fail(ErrorCode::bad_model, "[template] line {}: {}", f.line, f.message);
  }
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

MarkedText Template::render_marked(const Value& context, const std::tm& now,
                                   const std::set<std::string, std::less<>>& trusted) const {
  try {
    Interp interp(now);
    if (!context.is_object()) fault("the context is {}, not an object", Value::kind_name(context.kind()));
    for (const auto& [name, value] : context.as_object())
      interp.define(
          name, value.is_string() && trusted.contains(name) ? Var::trusted(value.as_string()) : Var::from_value(value));
    return interp.render(impl_->body);
  } catch (const Fault& f) {
    fail(ErrorCode::bad_model, "[template] line {}: {}", f.line, f.message);
  }
}

}  // namespace tenon::jinja
