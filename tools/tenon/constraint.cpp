#include "constraint.hpp"

#include "options.hpp"

namespace tenon::tool {

namespace {

constexpr const char* kFlags[] = {"--json-schema", "--regex", "--grammar", "--choice", "--json-object"};

}  // namespace

bool ConstraintOptions::given() const {
  for (const char* flag : kFlags)
    if (command->count(flag) > 0) return true;
  return false;
}

std::optional<grammar::Grammar> ConstraintOptions::read() const {
  int n = 0;
  for (const char* flag : kFlags) n += command->count(flag) > 0;
  if (n == 0) return std::nullopt;
  if (n > 1)
    fail(ErrorCode::usage, "[constraint] more than one of --json-schema, --regex, --grammar, --choice, --json-object");
  try {
    if (command->count("--json-schema")) return grammar::from_json_schema(read_json(json_schema));
    if (command->count("--regex")) return grammar::from_regex(regex);
    if (command->count("--grammar")) return grammar::from_ebnf(read_input(grammar));
    if (command->count("--choice")) return grammar::from_choice(choices);
    return grammar::any_json(true);
  } catch (const Error& e) {
    if (e.code() == ErrorCode::io || e.code() == ErrorCode::not_found) throw;
    fail(ErrorCode::usage, "{}", e.what());  // the caller's text is at fault
  }
}

void add_constraint_options(CLI::App& command, ConstraintOptions& o) {
  o.command = &command;
  command.add_option("--json-schema", o.json_schema, "The output is JSON that fulfils this schema")->type_name("FILE");
  command.add_option("--regex", o.regex, "The whole output matches this pattern")->type_name("R");
  command.add_option("--grammar", o.grammar, "The output is of this grammar, GBNF or EBNF")->type_name("FILE");
  command.add_option("--choice", o.choices, "The output is this text; once for each that it may be")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command.add_flag("--json-object", o.json_object, "The output is a JSON object");
}

}  // namespace tenon::tool
