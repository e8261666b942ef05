// Numbers within bounds and formats, as languages of their spellings.
#include <doctest/doctest.h>

#include "base/error.hpp"
#include "text/grammar/decimal.hpp"
#include "text/grammar/formats.hpp"
#include "text/grammar/numbers.hpp"

namespace tenon::grammar {
namespace {

TEST_CASE("decimals are read exactly") {
  const Decimal d = parse_decimal("-12.50e1");
  CHECK(d.negative);
  CHECK(d.whole == "125");
  CHECK(d.fraction.empty());
  CHECK(parse_decimal("1.5e-3").fraction == "0015");
  CHECK(parse_decimal("0.000").zero());
  CHECK(parse_decimal("12e2").whole == "1200");
  for (const char* text : {"", "-", "1.", ".5", "1e", "1x", "1e99999"}) CHECK_THROWS_AS(parse_decimal(text), Error);
  CHECK_THROWS_AS(parse_decimal("1e50"), Error);
}

/// Compares the language of a range with the comparison of doubles.
void check_range(double low, double high) {
  const Dfa range = numbers({.minimum = std::to_string(low), .maximum = std::to_string(high)});
  for (int i = -400; i <= 400; ++i) {
    const double x = i / 16.0;
    CAPTURE(x);
    CHECK(accepts(range, std::to_string(x)) == (x >= low && x <= high));
  }
}

TEST_CASE("ranges hold what lies between their bounds") {
  check_range(-3.25, 7.5);
  check_range(0.125, 19);
  check_range(-20, -0.5);
  check_range(10, 10);
  CHECK(numbers({.minimum = "2", .maximum = "1"}).empty());
  CHECK(numbers({.minimum = "3", .maximum = "3", .exclusive_maximum = true}).empty());
}

TEST_CASE("JSON's grammar of numbers") {
  const Dfa any = numbers({});
  for (const char* text : {"0", "-0", "10", "1.50", "1e5", "1E+05", "-1.5e-300", "1e279"}) CHECK(accepts(any, text));
  for (const char* text : {"", "-", "01", "1.", ".5", "+1", "1e", "1e999", "0x1", "1 "})
    CHECK_FALSE(accepts(any, text));
}

TEST_CASE("a number's spellings are all in or all out of a range") {
  const Dfa range = numbers({.minimum = "1.5", .maximum = "3"});
  const Dfa others = subtract(canonical_numbers(), range);
  for (const char* text : {"2", "2.0", "1.5", "3.0"}) {
    CHECK(accepts(range, text));
    CHECK_FALSE(accepts(others, text));
  }
  CHECK(accepts(others, "3.5"));
  CHECK(accepts(number_equal_to("3.5"), "3.500"));
  CHECK(accepts(number_equal_to("1e2"), "100"));
  CHECK(accepts(number_equal_to("1e2"), "1e2"));
  CHECK(accepts(number_equal_to("0"), "-0.0"));
  CHECK_FALSE(accepts(number_equal_to("3"), "30"));
}

void check_format(const char* name, std::vector<const char*> valid, std::vector<const char*> invalid) {
  CAPTURE(name);
  const auto language = format(name);
  REQUIRE(language.has_value());
  for (const char* text : valid) CHECK_MESSAGE(accepts(*language, text), text);
  for (const char* text : invalid) CHECK_MESSAGE(!accepts(*language, text), text);
}

TEST_CASE("formats") {
  check_format("date", {"2024-02-29", "2000-02-29", "1999-12-31"},
               {"2023-02-29", "1900-02-29", "2024-13-01", "0000-01-01"});
  check_format("time", {"12:00:00Z", "23:59:59.5+01:00"}, {"24:00:00Z", "12:00:00", "12:60:00Z"});
  check_format("date-time", {"2026-11-23T12:00:00Z"}, {"2026-11-23 12:00:00Z", "2026-11-23"});
  check_format("duration", {"P1D", "PT5M", "P1Y2M3DT4H5M6S", "P3W"}, {"P", "PT", "P1D2Y", "1D"});
  check_format("email", {"a@b.c", "x.y+z@example.org", "q@localhost"}, {"a", "a@", "a..b@c", "@b"});
  check_format("hostname", {"a", "a-b.example"}, {"-a", "a-", "a_b", "xn--x"});
  check_format("ipv4", {"0.0.0.0", "255.249.1.99"}, {"256.1.1.1", "1.1.1", "01.1.1.1"});
  check_format("ipv6", {"::", "1::8", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"},
               {":", "1::2::3", "1:2:3:4:5:6:7:8:9", "12345::"});
  check_format("uri", {"http://a.b:80/c?d#e", "urn:isbn:1", "mailto:a@b"}, {"/a", "a", "http://a b"});
  check_format("uri-reference", {"/a/b", "", "#x", "//h/p"}, {"a b", "\\"});
  check_format("uuid", {"123e4567-e89b-12d3-a456-426614174000"}, {"123e4567e89b12d3a456426614174000"});
  check_format("json-pointer", {"", "/a~1b/0"}, {"a", "/~2"});
  CHECK_FALSE(format("regex").has_value());
}

}  // namespace
}  // namespace tenon::grammar
