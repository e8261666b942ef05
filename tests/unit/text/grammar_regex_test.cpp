// Patterns as the languages that they stand for. What is expected agrees with Python's re (ASCII classes).
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/grammar/regex.hpp"

namespace tenon::grammar {
namespace {

bool matches(std::string_view pattern, std::string_view text) { return accepts(regex(pattern), text); }
bool found(std::string_view pattern, std::string_view text) { return accepts(regex_search(pattern), text); }

TEST_CASE("whole matches") {
  CHECK(matches("a|bc*", "bccc"));
  CHECK_FALSE(matches("a|bc*", "ab"));
  CHECK(matches("(?:ab){2,3}?", "abab"));
  CHECK_FALSE(matches("(ab){2,3}", "ab"));
  CHECK(matches("[^a-c]\\d\\x41\\u00e9\\u{1F600}\\ud83d\\ude00", "x7A\xc3\xa9\xf0\x9f\x98\x80\xf0\x9f\x98\x80"));
  CHECK(matches(".", "\xe6\x9d\xb1"));
  CHECK_FALSE(matches(".", "\n"));
  CHECK(matches("(?s:.)", "\n"));
  CHECK(
      matches("(?i)stra\xc3\x9f"
              "e|\xc3\xa9",
              "\xc3\x89"));
  CHECK(matches("\\p{Lu}\\P{L}+",
                "\xc3\x89"
                "1!"));
  CHECK(matches("a{,2}{x", "aa{x"));
  CHECK(matches("(?P<year>\\d{4})-(?<month>\\d\\d)", "2026-11"));
  CHECK(matches("", ""));
}

TEST_CASE("anchors and word boundaries look around") {
  CHECK(found("b", "abc"));
  CHECK_FALSE(found("^b", "abc"));
  CHECK(found("a|^b|c$", "xc"));
  CHECK_FALSE(found("a$b", "ab"));
  CHECK_FALSE(found("(^a|b)c", "xac"));
  CHECK(found("(^a|b)c", "xbc"));
  CHECK(found("\\bcat\\b", "a cat!"));
  CHECK_FALSE(found("\\bcat\\b", "concat"));
  CHECK(found("\\Bcat", "concat"));
  CHECK_FALSE(found("^$", "x"));
  CHECK(found("$", "x"));
}

TEST_CASE("look-aheads at the top of a pattern") {
  const char* password = "^(?=.*[A-Z])(?=.*\\d)(?!.*pass).{8,}$";
  CHECK(found(password, "Abcdefg1"));
  CHECK_FALSE(found(password, "abcdefg1"));
  CHECK_FALSE(found(password, "Abcdefgh"));
  CHECK_FALSE(found(password, "Apassword1"));
  CHECK(found("x(?!y)", "xyxz"));
  CHECK_FALSE(found("x(?!y)", "xy"));
}

TEST_CASE("what is broken or no regular language says so") {
  CHECK_THROWS_WITH_AS(regex("a(b"), doctest::Contains("')' at byte 3"), Error);
  CHECK_THROWS_WITH_AS(regex("a)b"), doctest::Contains("byte 1"), Error);
  CHECK_THROWS_WITH_AS(regex("*a"), doctest::Contains("anything to repeat"), Error);
  CHECK_THROWS_WITH_AS(regex("a**"), doctest::Contains("second quantifier"), Error);
  CHECK_THROWS_WITH_AS(regex("[b-a]"), doctest::Contains("range"), Error);
  CHECK_THROWS_WITH_AS(regex("a{3,2}"), doctest::Contains("repetition"), Error);
  CHECK_THROWS_WITH_AS(regex("(a)\\1"), doctest::Contains("back-reference"), Error);
  CHECK_THROWS_WITH_AS(regex("(?<=a)b"), doctest::Contains("look-behind"), Error);
  CHECK_THROWS_WITH_AS(regex("((?=a)b)*"), doctest::Contains("look-ahead"), Error);
  CHECK_THROWS_WITH_AS(regex("\\p{Script=Han}"), doctest::Contains("Script=Han"), Error);
  CHECK_THROWS_WITH_AS(regex("[[:alpha:]]"), doctest::Contains("POSIX"), Error);
  CHECK_THROWS_WITH_AS(regex("\xff"), doctest::Contains("UTF-8"), Error);
}

TEST_CASE("hostile patterns end soon") {
  CHECK_THROWS_AS(regex(std::string(30000, '(')), Error);
  CHECK_THROWS_AS(regex("(((a{1000}){1000}){1000})"), Error);
  CHECK_THROWS_AS(regex("(.*a.{40})"), Error);
  CHECK_THROWS_AS(regex("a{20000}"), Error);
  CHECK_THROWS_AS(regex(std::string(100000, 'a')), Error);
  CHECK(found("(x+x+)+y", std::string(1000, 'x') + "y"));
}

TEST_CASE("operations on languages") {
  const Dfa ab = regex("[ab]*"), a = regex("a*"), two = regex(".{2}");
  CHECK(same_language(intersect(ab, two), regex("[ab]{2}")));
  CHECK(same_language(subtract(ab, a), regex("a*b[ab]*")));
  CHECK(same_language(unite(a, two), regex("a*|..")));
  CHECK(same_language(concatenate(a, two), regex("a*..")));
  CHECK(same_language(repeat(two, 1, 2), regex("(..){1,2}")));
  CHECK(same_language(text_of_length(2, 3), regex("(?s:.{2,3})")));
  CHECK(intersect(a, regex("b+")).empty());
  CHECK(count_words(regex("[ab]{0,3}"), 100) == 15);
  CHECK(count_words(a, 100) == 100);
  CHECK(some_words(regex("b|a{1,2}"), 9) == std::vector<std::string>{"a", "b", "aa"});
  CHECK(any_text().size() == 8);
}

}  // namespace
}  // namespace tenon::grammar
