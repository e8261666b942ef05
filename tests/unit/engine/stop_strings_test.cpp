// Stop strings: what is shown, whatever the pieces.
#include "engine/stop_strings.hpp"

#include <doctest/doctest.h>

#include <random>

#include "base/error.hpp"

using namespace tenon;

namespace {

struct Shown {
  std::string text;
  bool stopped = false;
  bool operator==(const Shown&) const = default;
};

Shown show(const std::vector<std::string>& stops, const std::vector<std::string>& pieces) {
  StopStrings filter(stops);
  Shown shown;
  for (const std::string& piece : pieces) shown.text += filter.feed(piece);
  shown.text += filter.flush();
  shown.stopped = filter.stopped();
  return shown;
}

/// By definition: the shortest beginning of the text that ends with a stop string, without the longest such string.
Shown expected(const std::vector<std::string>& stops, const std::string& text) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& stop : stops)
      if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

}  // namespace

TEST_CASE("a stop string across pieces is never shown") {
  StopStrings filter({"</end>"});
  CHECK(filter.feed("one <") == "one ");
  CHECK(filter.feed("/e") == "");
  CHECK(filter.feed("nd < </") == "</end < ");
  CHECK(filter.feed("end") == "");
  CHECK_FALSE(filter.stopped());
  CHECK(filter.feed("> more") == "");
  CHECK(filter.stopped());
  CHECK(filter.feed("more") == "");
  CHECK(filter.flush() == "");
}

TEST_CASE("what was held back comes at the end") {
  StopStrings filter({"\n\nUser:"});
  CHECK(filter.feed("yes\n\nUse") == "yes");
  CHECK(filter.flush() == "\n\nUse");
  CHECK_FALSE(filter.stopped());
}

TEST_CASE("borders of a string inside itself") {
  CHECK(show({"aab"}, {"aaab"}) == Shown{"a", true});
  CHECK(show({"abab"}, {"aba", "cabab"}) == Shown{"abac", true});
  CHECK(show({"aaaa"}, {"aaa", "baaa"}) == Shown{"aaabaaa", false});
}

TEST_CASE("several: the first that is complete, the longest of those") {
  CHECK(show({"abc", "b"}, {"xabc"}) == Shown{"xa", true});
  CHECK(show({"c", "bc"}, {"abcd"}) == Shown{"a", true});
  CHECK(show({}, {"a", "b"}) == Shown{"ab", false});
}

TEST_CASE("random texts in random pieces equal the definition") {
  std::mt19937 rng(11);
  const auto pick = [&](size_t n) { return rng() % n; };
  const std::vector<std::string> letters{"a", "b", "\u00e9", "\u00e8"};
  const auto word = [&](size_t longest) {
    std::string w;
    for (size_t i = 1 + pick(longest); i > 0; --i) w += letters[pick(letters.size())];
    return w;
  };
  int stopped = 0;
  for (int round = 0; round < 4000; ++round) {
    std::vector<std::string> stops, pieces;
    for (size_t i = 1 + pick(3); i > 0; --i) stops.push_back(word(5));
    std::string text;
    for (size_t i = pick(12); i > 0; --i) text += pieces.emplace_back(word(6));
    const Shown shown = show(stops, pieces);
    REQUIRE(shown == expected(stops, text));
    stopped += shown.stopped;
  }
  CHECK(stopped > 1000);
  CHECK(stopped < 3900);
}

TEST_CASE("limits") {
  CHECK_THROWS_WITH_AS(StopStrings({"a", ""}), "[stop] string 1 has 0 bytes, 1 to 1024 are allowed", Error);
  CHECK_THROWS_WITH_AS(StopStrings({std::string(1025, 'x')}), "[stop] string 0 has 1025 bytes, 1 to 1024 are allowed",
                       Error);
  CHECK_THROWS_AS(StopStrings(std::vector<std::string>(17, "x")), Error);
  CHECK_THROWS_WITH_AS(StopStrings({"\xff"}), "[stop] string 0 (\"\\ufffd\") is no UTF-8", Error);
  StopStrings longest(std::vector<std::string>(16, std::string(1024, 'x')));
  std::string shown;
  for (int i = 0; i < 1023; ++i) shown += longest.feed("x");
  CHECK(shown.empty());
  CHECK(longest.feed("y").size() == 1024);
}
