// Page accounting by hand-sized numbers.
#include "engine/pages.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "base/error.hpp"

using namespace tenon;

TEST_CASE("pages for a count of tokens") {
  CHECK(pages_for(0) == 0);
  CHECK(pages_for(1) == 1);
  CHECK(pages_for(32) == 1);
  CHECK(pages_for(33) == 2);
  CHECK(pages_for(std::numeric_limits<int64_t>::max()) == std::numeric_limits<int64_t>::max() / 32 + 1);
}

TEST_CASE("a sequence takes pages as it grows and returns all") {
  PagePool pool(4);
  {
    auto a = SeqCache::admit(pool, 70);
    REQUIRE(a);
    CHECK(pool.reserved() == 3);
    CHECK(pool.used() == 0);
    CHECK_FALSE(SeqCache::admit(pool, 33));
    auto b = SeqCache::admit(pool, 32);
    REQUIRE(b);
    a->cover(33);
    CHECK(a->pages().size() == 2);
    CHECK(pool.used() == 2);
    CHECK(pool.reserved() == 2);
    a->cover(20);
    CHECK(a->pages().size() == 2);
    CHECK_THROWS_AS(a->cover(71), Error);

    SeqCache moved = std::move(*a);
    a.reset();
    CHECK(pool.used() == 2);
    *b = std::move(moved);
    CHECK(pool.reserved() == 1);
  }
  CHECK(pool.used() == 0);
  CHECK(pool.reserved() == 0);
}

TEST_CASE("pages once used are used again first") {
  PagePool pool(100);
  int32_t first = -1;
  {
    auto a = SeqCache::admit(pool, 64);
    a->cover(64);
    first = a->pages()[0];
  }
  auto b = SeqCache::admit(pool, 32);
  b->cover(1);
  CHECK(b->pages()[0] == first);
}
