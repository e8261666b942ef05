// GBNF and EBNF: what grammars accept, and what is wrong with broken ones.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/grammar/matcher.hpp"

namespace tenon::grammar {
namespace {

int64_t rejected(std::string_view grammar, std::string_view text) {
  return first_rejected(*Compiled::compile(from_ebnf(grammar)), text);
}
bool accepted(std::string_view grammar, std::string_view text) { return rejected(grammar, text) == -1; }

void refused(std::string_view grammar, const char* why) {
  CAPTURE(grammar);
  CHECK_THROWS_WITH_AS(Compiled::compile(from_ebnf(grammar)), doctest::Contains(why), Error);
}

TEST_CASE("literals, classes, groups, repetitions") {
  CHECK(accepted("root ::= \"a\\n\\x41\\u00e9\\U0001F600\\\"\" 'it'", "a\nA\xc3\xa9\xf0\x9f\x98\x80\"it"));
  CHECK(accepted("root ::= [a-c]+ [^0-9\\]] . (\"x\" | \"yy\")? [x]{2} [y]{1,} [z]{0,2} \"\"", "abc!?yyxxyyyz"));
  CHECK(rejected("root ::= [a-c]{2,3}", "abcc") == 3);
  CHECK(rejected("root ::= \"ab\" | \"ac\"", "ad") == 1);
  CHECK(accepted("# a comment\nroot ::= item (\",\" item)* # more\nitem ::=\n  [0-9]+\n  | \"x\"\n", "1,x,23"));
}

TEST_CASE("recursion in the middle") {
  const char* arithmetic =
      "root ::= expr \"\\n\"\n"
      "expr ::= term ([-+*/] term)*\n"
      "term ::= num | \"(\" expr \")\"\n"
      "num ::= [0-9]+";
  CHECK(accepted(arithmetic, "1+(2*3-(4))\n"));
  CHECK(rejected(arithmetic, "1+(2*3\n") == 6);
  CHECK(rejected(arithmetic, "1+)") == 2);
  CHECK(accepted(arithmetic, std::string(400, '(') + "1" + std::string(400, ')') + "\n"));
}

TEST_CASE("a grammar of JSON") {
  const char* json =
      "root ::= object\n"
      "value ::= object | array | string | number | (\"true\" | \"false\" | \"null\") ws\n"
      "object ::= \"{\" ws (string \":\" ws value (\",\" ws string \":\" ws value)*)? \"}\" ws\n"
      "array ::= \"[\" ws (value (\",\" ws value)*)? \"]\" ws\n"
      "string ::= \"\\\"\" ([^\"\\\\\\x7F\\x00-\\x1F] | \"\\\\\" ([\"\\\\bfnrt] | \"u\" [0-9a-fA-F]{4}))* \"\\\"\" ws\n"
      "number ::= (\"-\"? ([0-9] | [1-9] [0-9]{0,15})) (\".\" [0-9]+)? ([eE] [-+]? [0-9] [1-9]{0,15})? ws\n"
      "ws ::= | \" \" | \"\\n\" [ \\t]{0,20}\n";
  CHECK(accepted(json, "{\"a\": [1, 2.5, {\"b\\u00e9\": null}], \"c\": \"\xc3\xa9\"}"));
  CHECK(rejected(json, "[1]") == 0);
  CHECK(rejected(json, "{\"a\": tru}") == 9);
}

TEST_CASE("direct left recursion is turned around, indirect one named") {
  const char* sum = "root ::= sum\nsum ::= sum \"+\" num | sum \"-\" num | num\nnum ::= [0-9]+";
  CHECK(accepted(sum, "1+2-33"));
  CHECK(rejected(sum, "+1") == 0);
  refused("root ::= a \"x\"\na ::= b \"y\" | \"1\"\nb ::= a \"z\" | \"2\"", "left recursion: rule '");
  refused("root ::= empty root \"x\" | \"y\"\nempty ::= \"e\"?", "left recursion: rule 'root'");
}

TEST_CASE("errors name line, column and what was expected") {
  refused("root ::= item", "line 1, column 10: rule 'item' is not defined");
  refused("root ::= \"a\"\nroot ::= \"b\"", "line 2, column 1: rule 'root' is defined twice");
  refused("start ::= \"a\"", "no rule 'root'");
  refused("", "no rule");
  refused("root ::= \"abc", "line 1, column 14: a literal without its closing quote");
  refused("root ::= [a-", "a class without");
  refused("root ::= [b-a]", "range");
  refused("root ::= (\"a\"", "expected ')'");
  refused("root ::= \"a\" )", "expected a rule");
  refused("root ::= \"\\q\"", "escape");
  refused("root ::= \"a\"{3,2}", "least number");
  refused("root ::= <think>", "tokens by name");
  refused("root = \"a\"", "expected a rule");
}

TEST_CASE("hostile grammars end soon") {
  refused("root ::= " + std::string(30000, '('), "nested deeper");
  refused("root ::= \"a\"{100000}", "repetitions");
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 5000; ++i)
    chain += "r" + std::to_string(i) + " ::= r" + std::to_string(i + 1) + " | root \"x\"\n";
  refused(chain + "r5000 ::= \"e\"", "left recursion");
  std::string doubling = "root ::= a0\n";
  for (int i = 0; i < 60; ++i) {
    const std::string next = "a" + std::to_string(i + 1);
    doubling += "a" + std::to_string(i) + " ::= " + next + " " + next + "\n";
  }
  CHECK(rejected("root ::= \"x\"" + std::string(60, '+'), "xxy") == 2);
  CHECK(rejected(doubling + "a60 ::= \"x\"", "xxy") == 2);
  const std::string ambiguous = "root ::= a* a* a* a* a* a* a* a* \"b\"\na ::= \"x\" | \"x\" a | \"(\" a \")\"";
  CHECK(accepted(ambiguous, std::string(200, 'x') + "b"));
}

TEST_CASE("choices and patterns") {
  const std::vector<std::string> words{"yes", "no", "yes, but"};
  const auto choice = Compiled::compile(from_choice(words));
  CHECK(first_rejected(*choice, "yes") == -1);
  CHECK(first_rejected(*choice, "yes, but") == -1);
  CHECK(first_rejected(*choice, "maybe") == 0);
  CHECK_THROWS_AS(from_choice({}), Error);
  CHECK(first_rejected(*Compiled::compile(from_regex("[0-9]{3}")), "12a") == 2);
}

}  // namespace
}  // namespace tenon::grammar
