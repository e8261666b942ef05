// JSON Schemas as grammars: the shared instances, and what each keyword lets through.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "fixtures.hpp"
#include "text/grammar/matcher.hpp"

namespace tenon::grammar {
namespace {

std::shared_ptr<Compiled> compiled(std::string_view schema) {
  return Compiled::compile(from_json_schema(parse_json(schema, "schema")));
}

/// One text a line: those of `valid` are accepted, those of `invalid` are not.
void check(std::string_view schema, std::vector<std::string_view> valid, std::vector<std::string_view> invalid) {
  CAPTURE(schema);
  const auto grammar = compiled(schema);
  for (std::string_view text : valid) {
    CAPTURE(text);
    CHECK(first_rejected(*grammar, text) == -1);
  }
  for (std::string_view text : invalid) {
    CAPTURE(text);
    CHECK(first_rejected(*grammar, text) != -1);
  }
}

void refused(std::string_view schema, const char* why) {
  CAPTURE(schema);
  CHECK_THROWS_WITH_AS(compiled(schema), doctest::Contains(why), Error);
}

TEST_CASE("the shared schemas: each valid instance is accepted, each invalid one cut off") {
  const auto path = test::shared("text/schemas.jsonl");
  if (!path) return;
  const std::string lines = read_file(*path);
  int schemas = 0, texts = 0;
  for (size_t at = 0; at < lines.size(); ++schemas) {
    const size_t end = std::min(lines.find('\n', at), lines.size());
    const Value c = parse_json(std::string_view(lines).substr(at, end - at), "schemas.jsonl");
    const auto grammar = Compiled::compile(from_json_schema(*c.find("schema")));
    for (const char* kind : {"valid_text", "invalid_text"})
      for (const Value& text : c.find(kind)->as_array()) {
        CAPTURE(text.as_string());
        CAPTURE(schemas);
        CHECK((first_rejected(*grammar, text.as_string()) == -1) == (kind[0] == 'v'));
        ++texts;
      }
    at = end + 1;
  }
  MESSAGE(schemas, " schemas, ", texts, " instances");
  CHECK(schemas > 0);
}

TEST_CASE("types, constants, white space") {
  check("true", {"null", R"( {"a": [1, {"b": "c"}],
 "d": -1.5e3})"},
        {"", "nul", "[1,]", R"({"a":1,})", "01", "1 ", "tru"});
  check(R"({"type": ["integer", "null"]})", {"1", "-3", "1.0", "null"}, {"1.5", "true", "\"1\""});
  check(R"({"const": {"a": [1, "x"], "b": null}})", {R"({"b":null,"a":[1,"x"]})", R"({"a":[1.0,"\u0078"],"b":null})"},
        {R"({"a":[1,"x"]})", R"({"a":[1,"x",2],"b":null})"});
  check(R"({"enum": [1, "a", [true]]})", {"1", "1.0", "\"a\"", "[true]"}, {"2", "\"b\"", "[false]", "[]"});
  check("false", {}, {"", "null", "0", "{}"});
  check(R"({"type": "string", "nullable": true})", {"null", "\"\""}, {"0"});
}

TEST_CASE("numbers") {
  check(R"({"type":"integer","minimum":-5,"exclusiveMaximum":12})", {"-5", "0", "-0", "11"}, {"-6", "12", "1.5"});
  check(R"({"type":"number","minimum":0.5,"maximum":2.25})", {"0.5", "0.50", "2.25", "1"}, {"0.49", "2.26", "-1", "3"});
  check(R"({"type":"number","exclusiveMinimum":0})", {"1e-7", "0.1"}, {"0", "0.0", "-1", "0e5"});
  check(R"({"multipleOf":0.5})", {"1.5", "2", "-0.5", "\"x\""}, {"0.3", "1.25"});
  check(R"({"type":"integer","multipleOf":7,"minimum":10,"maximum":30})", {"14", "21", "28"}, {"7", "15", "35"});
  refused(R"({"multipleOf":0.123456789})", "multipleOf");
}

TEST_CASE("strings") {
  check(R"({"type":"string","minLength":2,"maxLength":3,"pattern":"^a"})", {"\"ab\"", "\"a\\u00e9\xc3\xa9\""},
        {"\"a\"", "\"ba\"", "\"abcd\""});
  check(R"({"type":"string","format":"uuid"})", {"\"123e4567-e89b-12d3-a456-426614174000\""}, {"\"123\""});
  check(R"({"type":"integer","format":"int32"})", {"1"}, {"\"1\""});
  refused(R"({"type":"string","format":"regex"})", "'regex'");
  refused(R"({"type":"string","pattern":"(a)\\1"})", "back-reference");
  refused(R"({"type":"string","pattern":"("})", "keyword 'pattern'");
}

TEST_CASE("arrays") {
  check(R"({"type":"array","prefixItems":[{"type":"string"},{"type":"integer"}],"items":false,"minItems":1})",
        {R"(["a"])", R"(["a",1])"}, {"[]", R"(["a",1,2])", "[1]"});
  check(R"({"type":"array","items":{"type":"integer"},"contains":{"minimum":5},"minContains":2,"maxContains":3})",
        {"[5,1,6]", "[5,6,7,1]"}, {"[5]", "[1,2]", "[5,6,7,8]", "[\"5\",5]"});
  check(R"({"type":"array","contains":{"const":1},"minContains":0})", {"[]", "[2]"}, {"1"});
  check(R"({"type":"array","uniqueItems":true,"items":{"enum":["a","b",1]}})", {"[]", R"([1,"a","b"])"},
        {R"(["a","a"])", R"([1,1.0])", R"(["c"])"});
  check(R"({"type":"array","uniqueItems":true,"items":{"type":"boolean"},"minItems":2})", {"[true,false]"},
        {"[true,true]", "[true]", "[true,false,true]"});
  refused(R"({"type":"array","uniqueItems":true})", "uniqueItems");
}

TEST_CASE("objects") {
  check(
      R"({"type":"object","properties":{"\u00e9":{"type":"integer"},"":{"type":"null"}},"additionalProperties":false})",
      {"{\"\xc3\xa9\":1}", R"({"\u00e9":1,"":null})"}, {R"({"e":1})", R"({"":1})"});
  check(R"({"type":"object","patternProperties":{"^a":{"type":"integer"},"z$":{"minimum":5}},"minProperties":1})",
        {R"({"az":5})", R"({"a":1,"q":"x"})"}, {"{}", R"({"az":4})", R"({"a":"x"})"});
  check(R"({"type":"object","propertyNames":{"maxLength":2},"maxProperties":2})", {R"({"ab":1,"c":2})"},
        {R"({"abc":1})", R"({"a":1,"b":2,"c":3})"});
  check(R"({"type":"object","dependentSchemas":{"a":{"required":["b"],"properties":{"b":{"const":1}}}}})",
        {"{}", R"({"b":2})", R"({"a":0,"b":1})"}, {R"({"a":0})", R"({"a":0,"b":2})"});
  check(R"({"allOf":[{"properties":{"a":{"type":"integer"}}}],"properties":{"b":true},"unevaluatedProperties":false})",
        {"{}", R"({"a":1,"b":2})", "3"}, {R"({"c":1})", R"({"a":"x"})"});
  check(R"({"type":"object","properties":{"a":false},"required":["b"]})", {R"({"b":1})"}, {R"({"a":1,"b":1})"});
}

TEST_CASE("combinations") {
  check(R"({"oneOf":[{"type":"integer"},{"minimum":2}]})", {"1", "2.5"}, {"3", "1.5"});
  check(R"({"not":{"type":"object","required":["a"]}})", {"{}", "1", R"({"b":1})"}, {R"({"a":1})"});
  check(R"({"not":{"enum":["a",1]}})", {"\"b\"", "2", "null"}, {"\"a\"", "1", "1.0"});
  check(R"({"allOf":[{"type":"string","minLength":2},{"pattern":"b"},{"maxLength":2}]})", {"\"ab\""},
        {"\"b\"", "\"aab\""});
  check(
      R"({"if":{"properties":{"k":{"const":"a"}},"required":["k"]},"then":{"required":["x"]},"else":{"required":["y"]}})",
      {R"({"k":"a","x":1})", R"({"y":1})", R"({"k":"b","y":1})"}, {R"({"k":"a"})", R"({"k":"a","y":1})", "{}"});
  check(R"({"oneOf":[{"type":"object","properties":{"a":{"type":"string"}},"required":["a"]},
                     {"type":"object","properties":{"b":{"type":"string"}},"required":["b"]}]})",
        {R"({"a":"","b":1})", R"({"b":""})"}, {R"({"a":"","b":""})", "{}"});
}

TEST_CASE("references") {
  check(R"({"$defs":{"tree":{"type":"object","properties":{"kids":{"type":"array","items":{"$ref":"#/$defs/tree"}}},
            "required":["kids"],"additionalProperties":false}},"$ref":"#/$defs/tree"})",
        {R"({"kids":[{"kids":[]},{"kids":[]}]})"}, {R"({"kids":[{}]})"});
  check(R"({"$defs":{"a~b/c":{"$anchor":"here","const":1}},"anyOf":[{"$ref":"#/$defs/a~0b~1c"},{"$ref":"#here"}]})",
        {"1"}, {"2"});
  refused(R"({"$ref":"https://example.com/other"})", "another document");
  refused(R"({"$ref":"#/$defs/none"})", "not there");
  refused(R"({"$ref":"#"})", "without end");
  check(R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})", {}, {R"({"a":{"a":1}})", "{}"});
}

TEST_CASE("what cannot be enforced is refused by name and place") {
  refused(R"({"type":"object","properties":{"a":{"typ":"string"}}})", "#/properties/a: keyword 'typ'");
  refused(R"({"type":"sting"})", "'sting'");
  refused(R"({"minLength":-1})", "minLength");
  refused(R"({"required":"a"})", "required");
  refused("[]", "a schema is an object");
  refused(R"({"properties":{"a":1}})", "#/properties/a");
  CHECK_NOTHROW(compiled(R"({"title":"t","description":"d","default":1,"examples":[1],"x-order":3,"$comment":"c"})"));
}

TEST_CASE("hostile schemas end soon") {
  std::string any = R"({"allOf":[)";
  for (int i = 0; i < 40; ++i)
    any += R"({"anyOf":[{"required":["a)" + std::to_string(i) + R"("]},{"required":["b"]}]},)";
  any += "{}]}";
  refused(any, "alternatives");
  refused(R"({"type":"string","pattern":"^(.*a.{40})$"})", "automaton");
  refused(R"({"type":"string","pattern":"a","minLength":100000})", "");
  CHECK_NOTHROW(compiled(R"({"type":"string","maxLength":2000000})"));
  CHECK_NOTHROW(compiled(R"({"type":"array","items":{"type":"integer"},"minItems":100000,"maxItems":1000000})"));
}

}  // namespace
}  // namespace tenon::grammar
