// Character maps: a trie made by hand, and blobs that point outside themselves.
#include "text/charsmap.hpp"

#include <doctest/doctest.h>

#include "base/error.hpp"

using namespace tenon;

namespace {

void put(std::string& blob, size_t unit, uint32_t value) {
  for (size_t i = 0; i < 4; ++i) blob[4 + unit * 4 + i] = static_cast<char>(value >> (8 * i));
}

uint32_t node(uint32_t label, uint32_t offset) { return offset << 10 | 1u << 8 | label; }

// "a" becomes X and "ab" becomes YZ.
std::string blob() {
  constexpr size_t kUnits = 512;
  std::string out(4 + kUnits * 4, '\0');
  out[1] = static_cast<char>(kUnits * 4 >> 8);
  put(out, 0, 256u << 10);
  put(out, 256 ^ 'a', node('a', (256 ^ 'a') ^ 1));
  put(out, 1, 1u << 31);
  put(out, 1 ^ 'b', node('b', (1 ^ 'b') ^ 2));
  put(out, 2, 1u << 31 | 2);
  return out + std::string("X\0YZ\0", 5);
}

}  // namespace

TEST_CASE("character maps replace the longest, or graphemes by their beginning") {
  const Charsmap map(blob(), "test");
  CHECK(map.longest("abc").length == 2);
  CHECK(map.longest("abc").replacement == "YZ");
  CHECK(map.longest("ac").replacement == "X");
  CHECK(map.longest("ba").length == 0);
  CHECK(map.longest("").length == 0);
  CHECK(map.rewrite_graphemes("abca") == "XbcX");
  CHECK(map.rewrite_graphemes("a\xcc\x81 \xff"
                              "a") == "X \xffX");  // the accent goes with its letter
}

TEST_CASE("character maps that point outside themselves") {
  std::string far = blob();
  put(far, 2, 1u << 31 | 77);  // a replacement beyond the last
  CHECK_THROWS_AS(Charsmap(far, "test").longest("ab"), Error);
  put(far, 256 ^ 'a', node('a', 0x1fffff));  // a leaf beyond the last
  CHECK_THROWS_AS(Charsmap(far, "test").longest("a"), Error);
  std::string endless = blob();
  endless.replace(endless.size() - 5, 5, std::string(5000, 'x'));
  CHECK_THROWS_WITH_AS(Charsmap(endless, "test").longest("a"), doctest::Contains("more than 1024"), Error);
  const std::string whole = blob();
  for (size_t n = 0; n < whole.size(); ++n) {
    try {
      Charsmap(whole.substr(0, n), "test").rewrite_graphemes("abc\r\na");
    } catch (const Error& e) {
      CHECK(std::string(e.what()).starts_with("[test]"));
    }
  }
}
