// Grammars made by hand, followed byte by byte and over vocabularies.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/grammar/matcher.hpp"

namespace tenon::grammar {
namespace {

DfaPtr share(Dfa dfa) { return std::make_shared<const Dfa>(std::move(dfa)); }
DfaPtr word(std::string_view text) { return share(literal(text)); }
DfaPtr anything() { return share(any_text()); }

struct Hand : Grammar {
  NodeId text(std::string_view bytes) { return add(Bytes{word(bytes)}); }
  NodeId any_of(std::vector<std::string_view> words) { return add(Bytes{share(literals(words))}); }
};

int64_t rejected(const Grammar& grammar, std::string_view text) {
  return first_rejected(*Compiled::compile(grammar), text);
}
bool accepted(const Grammar& grammar, std::string_view text) { return rejected(grammar, text) == -1; }

TEST_CASE("sequences, choices and repeats") {
  Hand g;
  const NodeId a = g.text("ab"), b = g.text("abc");
  const NodeId either = g.add(Choice{{a, b}});
  const NodeId many = g.add(Repeat{either, 2, 3});
  g.root = g.add(Sequence{{many, g.text(".")}});
  CHECK(accepted(g, "abab."));
  CHECK(accepted(g, "ababcab."));
  CHECK(rejected(g, "ab.") == 2);
  CHECK(rejected(g, "abababab.") == 6);
  CHECK(rejected(g, "abab") == 4);
  CHECK(rejected(g, "abx") == 2);
}

TEST_CASE("recursion in the middle and at the end") {
  Hand g;
  const NodeId open = g.text("("), close = g.text(")"), x = g.text("x");
  const NodeId expression = g.add(Choice{});
  const NodeId nested = g.add(Sequence{{open, expression, close}});
  std::get<Choice>(g.nodes[expression]).options = {nested, x};
  g.root = expression;
  CHECK(accepted(g, "x"));
  CHECK(accepted(g, std::string(300, '(') + "x" + std::string(300, ')')));
  CHECK(rejected(g, "((x)") == 4);
  CHECK(rejected(g, "(x))") == 3);
}

TEST_CASE("recursion at the end keeps no stack") {
  Hand g;
  const NodeId list = g.add(Choice{});
  const NodeId more = g.add(Sequence{{g.text("a"), list}});
  std::get<Choice>(g.nodes[list]).options = {more, g.text("b")};
  g.root = list;
  const auto compiled = Compiled::compile(g);
  CHECK(first_rejected(*compiled, std::string(100000, 'a') + "b") == -1);
  CHECK(compiled->n_states() < 5);
}

TEST_CASE("what matches the empty text repeats without end") {
  Hand g;
  const NodeId maybe = g.add(Repeat{g.text("a"), 0, 1});
  const NodeId many = g.add(Repeat{maybe, 0, kUnbounded});
  g.root = g.add(Sequence{{many, g.add(Repeat{many, 3, 5}), g.text("!")}});
  CHECK(accepted(g, "!"));
  CHECK(accepted(g, "aaaaaaa!"));
}

TEST_CASE("left recursion and grammars of nothing are refused") {
  Hand left;
  const NodeId rule = left.add(Sequence{});
  std::get<Sequence>(left.nodes[rule]).items = {left.add(Repeat{left.text("a"), 0, 1}), rule, left.text("b")};
  left.root = left.add(Choice{{rule, left.text("c")}});
  CHECK_THROWS_WITH_AS(Compiled::compile(left), doctest::Contains("left recursion"), Error);

  Hand endless;
  const NodeId self = endless.add(Sequence{});
  std::get<Sequence>(endless.nodes[self]).items = {endless.text("a"), self};
  endless.root = self;
  CHECK(Compiled::compile(endless)->start() == kNoState);
  CHECK(rejected(endless, "") == 0);
}

TEST_CASE("a choice that can never be completed is not begun") {
  Hand g;
  const NodeId self = g.add(Sequence{});
  std::get<Sequence>(g.nodes[self]).items = {g.text("a"), self};
  g.root = g.add(Choice{{self, g.text("b")}});
  CHECK(rejected(g, "a") == 0);
  CHECK(accepted(g, "b"));
}

TEST_CASE("a string's characters in every spelling") {
  Hand g;
  g.root = g.add(JsonString{word("a\n\"\xc3\xa9\xf0\x9f\x98\x80/")});
  CHECK(accepted(g, "\"a\\n\\\"\xc3\xa9\xf0\x9f\x98\x80/\""));
  CHECK(accepted(g, R"("\u0061\u000a\u0022\u00E9\ud83d\uDE00\/")"));
  CHECK(rejected(g, "\"a\n") == 2);
  CHECK(rejected(g, R"("a\u000b)") == 7);
  CHECK(rejected(g, R"("a\u1)") == 4);
  CHECK(rejected(g, R"("a\n\"é\ud83e)") == 13);
  CHECK(rejected(g, R"("a\n\"é\ud83d\udd)") == 17);
  CHECK(rejected(g, R"("a\n\"é\udc00)") == 11);
  CHECK(rejected(g, R"("a\t)") == 3);
}

TEST_CASE("a string's length counts characters, not bytes") {
  Hand g;
  g.root = g.add(JsonString{anything(), 1, 3});
  CHECK(accepted(g, "\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xf0\x9f\x98\x80\""));
  CHECK(accepted(g, R"("\ud83d\ude00\u0000a")"));
  CHECK(rejected(g, "\"\"") == 1);
  CHECK(rejected(g, "\"abcd") == 4);
  CHECK(rejected(g, R"("abc\)") == 4);
  CHECK(rejected(g, "\"\xff") == 1);
}

TEST_CASE("arrays: prefix, rest, lengths") {
  Hand g;
  const NodeId a = g.text("1"), b = g.text("2");
  g.whitespace = share(literals(std::vector<std::string_view>{"", " "}));
  g.root = g.add(Array{.prefix = {{a}}, .rest = {b}, .min_items = 1, .max_items = 3});
  CHECK(accepted(g, "[1]"));
  CHECK(accepted(g, "[ 1 , 2 ,2 ]"));
  CHECK(rejected(g, "[]") == 1);
  CHECK(rejected(g, "[2") == 1);
  CHECK(rejected(g, "[1,2,2,") == 6);
  CHECK(rejected(g, "[1,]") == 3);
  CHECK(rejected(g, "[1  ") == 3);
}

TEST_CASE("arrays: items that must match, and how many may") {
  Hand g;
  const NodeId other = g.any_of({"0", "1"}), matching = g.text("1"), zero = g.text("0");
  g.root = g.add(Array{.rest = {other, matching}, .max_items = 3, .min_matching = 2});
  CHECK(accepted(g, "[1,0,1]"));
  CHECK(rejected(g, "[0,0") == 3);
  CHECK(rejected(g, "[1]") == 2);
  Hand most;
  const NodeId one = most.text("1"), none = most.text("0");
  most.root = most.add(Array{.rest = {none, one}, .max_matching = 1});
  CHECK(accepted(most, "[0,1,0]"));
  CHECK(rejected(most, "[1,0,1") == 5);
  static_cast<void>(zero);
}

Object::Property property(std::string name, NodeId value, bool required) { return {std::move(name), value, required}; }

TEST_CASE("objects: members in any order, each once") {
  Hand g;
  const NodeId v = g.text("1");
  g.whitespace = word("");
  g.root =
      g.add(Object{.properties = {property("a", v, true), property("ab", v, false), property("c", kNoNode, false)}});
  CHECK(accepted(g, R"({"a":1})"));
  CHECK(accepted(g, R"({"ab":1,"a":1})"));
  CHECK(accepted(g, R"({"\u0061":1,"a\u0062":1})"));
  CHECK(rejected(g, R"({"ab":1})") == 7);
  CHECK(rejected(g, R"({"a":1,"a")") == 9);
  CHECK(rejected(g, R"({"c)") == 2);
  CHECK(rejected(g, R"({})") == 1);
  CHECK(rejected(g, R"({"a":1,})") == 7);
  CHECK(rejected(g, R"({"a":1,"ab":1,)") == 13);
}

TEST_CASE("objects: dependencies, numbers of members, further keys") {
  Hand g;
  const NodeId v = g.text("1"), s = g.text("\"\"");
  const auto others = share(subtract(any_text(), literals(std::vector<std::string_view>{"a", "b"})));
  g.root = g.add(Object{.properties = {property("a", v, false), property("b", v, false)},
                        .rest = {{others, s}},
                        .dependencies = {{0, {1}}},
                        .max_properties = 2});
  CHECK(accepted(g, "{}"));
  CHECK(accepted(g, R"({"a":1,"b":1})"));
  CHECK(rejected(g, R"({"a":1})") == 6);
  CHECK(rejected(g, R"({"x":"","a")") == 10);
  CHECK(accepted(g, R"({"x":"","b":1})"));
  CHECK(rejected(g, R"({"x":1)") == 5);
  CHECK(rejected(g, R"({"x":"","y":"",)") == 14);
}

TEST_CASE("objects: members that are counted are different ones") {
  Hand g;
  const NodeId v = g.text("1");
  g.root = g.add(Object{.rest = {{anything(), v}}, .min_properties = 2});
  CHECK(accepted(g, R"({"a":1,"b":1})"));
  CHECK(accepted(g, R"({"a":1,"a":1,"b":1})"));
  CHECK(rejected(g, R"({"a":1,"a":1})") == 12);
  CHECK(rejected(g, R"({"a":1})") == 6);
}

TEST_CASE("an ambiguous grammar stays small") {
  Hand g;
  const NodeId a = g.text("a");
  const NodeId many = g.add(Repeat{a, 0, kUnbounded});
  g.root = g.add(Sequence{{many, many, many, many, many, many, many, many, g.text("b")}});
  const auto compiled = Compiled::compile(g);
  CHECK(first_rejected(*compiled, std::string(10000, 'a') + "b") == -1);
  CHECK(compiled->n_states() < 20);
}

}  // namespace
}  // namespace tenon::grammar
