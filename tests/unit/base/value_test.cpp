// Value: kinds, copies, lookup; checked arithmetic.
#include "base/value.hpp"

#include <doctest/doctest.h>

#include "base/checked.hpp"

using namespace tenon;

TEST_CASE("typed access names both kinds") {
  const Value v(Value::Array{Value(1)});
  CHECK_THROWS_WITH_AS(v.as_int(), "expected integer, found array", Error);
  CHECK_THROWS_WITH_AS(Value("x").as_double(), "expected number, found string", Error);
  CHECK_THROWS_WITH_AS(Value().as_object(), "expected object, found null", Error);
  CHECK_THROWS_WITH_AS(Value(1).as_bool(), "expected bool, found integer", Error);
  CHECK_THROWS_WITH_AS(Value(true).as_string(), "expected string, found bool", Error);
  CHECK_THROWS_WITH_AS(Value(0.5).as_array(), "expected array, found number", Error);
}

TEST_CASE("numbers cross between integer and real only where nothing is lost") {
  CHECK(Value(4.0).as_int() == 4);
  CHECK(Value(7).as_double() == 7.0);
  CHECK(Value(-0x1p63).as_int() == std::numeric_limits<int64_t>::min());
  CHECK_THROWS_AS(Value(4.5).as_int(), Error);
  CHECK_THROWS_AS(Value(0x1p63).as_int(), Error);
  CHECK_THROWS_AS(Value(std::numeric_limits<double>::infinity()).as_int(), Error);
  CHECK_THROWS_AS(Value(std::numeric_limits<double>::quiet_NaN()).as_int(), Error);
}

TEST_CASE("copies are deep, also onto a part of oneself") {
  Value a(Value::Object{{"k", Value(Value::Array{Value("s"), Value(2)})}});
  const Value b = a;
  a = Value(3);
  CHECK(b.find("k")->as_array()[0].as_string() == "s");
  Value c = b;
  c = Value(*c.find("k"));
  CHECK(c.as_array().size() == 2);
  c = Value("text");
  CHECK(c.as_string() == "text");
}

TEST_CASE("dotted paths; null counts as absent") {
  const Value v(Value::Object{{"a", Value(Value::Object{{"b", Value(5)}, {"n", Value()}})}, {"x.y", Value(1)}});
  CHECK(v.find_path("a.b")->as_int() == 5);
  CHECK(v.find_path("a.n") == nullptr);
  CHECK(v.find("a")->find("n")->is_null());
  CHECK(v.find_path("a.b.c") == nullptr);
  CHECK(v.find_path("") == nullptr);
  CHECK(v.find("x.y")->as_int() == 1);
  CHECK(Value(1).find("a") == nullptr);
}

TEST_CASE("checked arithmetic names the operands") {
  CHECK(checked_mul(3, 4, "w") == 12);
  CHECK_THROWS_WITH_AS(checked_mul(1ull << 40, 1ull << 30, "w"), "[w] 1099511627776 * 1073741824 overflows 64 bits",
                       Error);
  CHECK_THROWS_AS(checked_add(~0ull, 1, "w"), Error);
  CHECK_THROWS_AS(checked_elements(std::vector<int64_t>{2, -1}, "w"), Error);
  CHECK_THROWS_AS(checked_elements(std::vector<int64_t>{int64_t{1} << 62, 2}, "w"), Error);
  CHECK(checked_elements(std::vector<int64_t>{}, "w") == 1);
}
