// JSON in and out: what is read, what is refused, what comes back.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "base/error.hpp"
#include "base/value.hpp"

using namespace tenon;

namespace {

std::string refusal(std::string_view text, const JsonLimits& limits = {}) {
  try {
    parse_json(text, "place", limits);
  } catch (const Error& e) {
    CHECK(e.code() == ErrorCode::bad_model);
    return e.what();
  }
  return "accepted";
}

}  // namespace

TEST_CASE("values read exactly") {
  const Value v =
      parse_json(R"({"i":-9223372036854775808,"d":1e-5,"s":"a\u00e9\n","b":[true,false,null],"o":{}})", "t");
  CHECK(v.find("i")->as_int() == std::numeric_limits<int64_t>::min());
  CHECK(v.find("d")->as_double() == 1e-5);
  CHECK(v.find("s")->as_string() == "a\xc3\xa9\n");
  CHECK(v.find("b")->as_array().size() == 3);
  CHECK(v.find("o")->as_object().empty());
  CHECK(v.find("d")->kind() == Value::Kind::real);
  CHECK(parse_json("18446744073709551615", "t").as_double() == 0x1p64);
}

TEST_CASE("the numbers that Python's json writes beyond the standard") {
  const Value v = parse_json(R"({"a": Infinity, "b": -Infinity, "c": NaN, "d": [0.0, {"__float__": "Infinity"}],
    "e": 1000000000000000019884624838656, "f": "Infinity NaN \" 1000000000000000019884624838656", "g": -12345678901234567890123})",
                             "t");
  CHECK(v.find("a")->as_double() == std::numeric_limits<double>::infinity());
  CHECK(v.find("b")->as_double() == -std::numeric_limits<double>::infinity());
  CHECK(std::isnan(v.find("c")->as_double()));
  CHECK(std::isinf(v.find("d")->as_array()[1].as_double()));
  CHECK(v.find("e")->as_double() == 1e30);
  CHECK(v.find("f")->as_string() == "Infinity NaN \" 1000000000000000019884624838656");
  CHECK(v.find("g")->as_double() == -12345678901234567890123.0);
  CHECK(parse_json(R"({"__float__": "0.5"})", "t").as_double() == 0.5);
  CHECK(parse_json(R"({"__float__": "x"})", "t").is_object());
  CHECK(std::isinf(parse_json("Infinity", "t").as_double()));
}

TEST_CASE("what is refused, and by which words") {
  CHECK(refusal(R"({"a":1,"b":2,"a":3})") == "[place] JSON: duplicate key \"a\"");
  CHECK(refusal(R"({"x":{"a":1,"\u0061":3}})") == "[place] JSON: duplicate key \"a\"");
  for (const char* text : {"",
                           " ",
                           "{",
                           "[1,]",
                           "{} {}",
                           "{\"a\":1e400}",
                           "\"\xff\"",
                           "\"\\ud800\"",
                           "01",
                           "+1",
                           "nul",
                           "-",
                           "Infinit",
                           "[Infinity",
                           "-Infinityy",
                           "\"abc",
                           "\"\\",
                           "99999999999999999999x",
                           "\xef\xbb\xbf{}",
                           "{'a':1}",
                           "[1e]"}) {
    INFO(text);
    CHECK(refusal(text).starts_with("[place] JSON: "));
  }
}

TEST_CASE("limits on bytes, depth and values") {
  const JsonLimits limits{.max_bytes = 100, .max_depth = 3, .max_values = 5};
  CHECK(refusal(std::string(101, ' '), limits) == "[place] JSON: 101 bytes, the limit is 100");
  CHECK(refusal("[[[1]]]", limits) == "accepted");
  CHECK(refusal("[[[Infinity]]]", limits) == "accepted");
  CHECK(refusal("[[[[1]]]]", limits) == "[place] JSON: nested deeper than 3 levels");
  CHECK(refusal("[[[{\"a\":1}]]]", limits) == "[place] JSON: nested deeper than 3 levels");
  CHECK(refusal("[1,2,3,4]", limits) == "accepted");
  CHECK(refusal("[1,2,3,4,5]", limits) == "[place] JSON: more than 5 values");
  CHECK(refusal(std::string(100000, '[')).starts_with("[place] JSON: "));
  CHECK(refusal(std::string(100000, '[') + std::string(100000, ']')) == "[place] JSON: nested deeper than 64 levels");
}

TEST_CASE("many keys, and a duplicate among them") {
  std::string text = "{";
  for (int i = 0; i < 20000; ++i) text += "\"key" + std::to_string(i) + "\":" + std::to_string(i) + ",";
  CHECK(parse_json(text + "\"last\":0}", "t").as_object().size() == 20001);
  CHECK(refusal(text + "\"key777\":0}") == "[place] JSON: duplicate key \"key777\"");
}

TEST_CASE("writing: compact, pretty, ascii, and only valid JSON") {
  const char* text = R"({"a":[1,2.5,"x\"\\\n\u0001"],"b":{"c":null,"d":true},"e":[],"f":{},"g":1.0,"h":1e-05})";
  const Value v = parse_json(text, "t");
  CHECK(to_json(v) == text);
  CHECK(to_json(parse_json(to_json_pretty(v), "t")) == text);
  CHECK(to_json_pretty(parse_json(R"({"a":[1,2],"b":{}})", "t")) == "{\n  \"a\": [1, 2],\n  \"b\": {}\n}");
  CHECK(to_json(Value("\xc3\xa9\xf0\x9f\x98\x80\x7f"), true) == "\"\\u00e9\\ud83d\\ude00\\u007f\"");
  CHECK(to_json(Value("\xc3\xa9")) == "\"\xc3\xa9\"");
  CHECK(to_json(Value("a\xff\xc3")) == "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
  CHECK(to_json(Value("\xed\xa0\x80")) == "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
  CHECK(to_json(Value(std::numeric_limits<double>::infinity())) == "null");
  CHECK(to_json(Value(0.1)) == "0.1");
  CHECK(to_json(Value(std::string_view("\0", 1))) == "\"\\u0000\"");
}
