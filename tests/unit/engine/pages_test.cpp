// Page accounting by hand-sized numbers.
#include "engine/pages.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>

#include "base/error.hpp"

using namespace tenon;

namespace {

/// Sizes of states, without any.
class Sizes final : public StatePool {
 public:
  explicit Sizes(std::vector<Group> groups, int32_t slots = 0) : groups_(std::move(groups)), slots_(slots) {}
  std::span<const Group> groups() const override { return groups_; }
  int32_t n_slots() const override { return slots_; }
  uint64_t bytes_per_slot() const override { return slots_ > 0 ? 4 : 0; }
  void copy_slot(int32_t, int32_t) override {}

 private:
  std::vector<Group> groups_;
  int32_t slots_;
};

int64_t held(const SeqCache& seq, size_t group) {
  return std::ranges::count_if(seq.tables()[group], [](int32_t page) { return page >= 0; });
}

}  // namespace

TEST_CASE("pages for a count of tokens") {
  CHECK(pages_for(0) == 0);
  CHECK(pages_for(1) == 1);
  CHECK(pages_for(32) == 1);
  CHECK(pages_for(33) == 2);
  CHECK(pages_for(std::numeric_limits<int64_t>::max()) == std::numeric_limits<int64_t>::max() / 32 + 1);
}

TEST_CASE("a sequence takes pages as it grows and returns all") {
  SeqPool pool(Sizes({{0, 4, 1}}), 8, 512);
  {
    auto a = SeqCache::admit(pool, 70);
    REQUIRE(a);
    CHECK(pool.reserved() == 3);
    CHECK(pool.used() == 0);
    CHECK_FALSE(SeqCache::admit(pool, 33));
    CHECK(pool.reserved() == 3);
    auto b = SeqCache::admit(pool, 32);
    REQUIRE(b);
    a->cover(33);
    CHECK(a->tables()[0].size() == 2);
    CHECK(pool.used() == 2);
    CHECK(pool.reserved() == 2);
    a->cover(20);
    CHECK(a->tables()[0].size() == 2);
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
  SeqPool pool(Sizes({{0, 100, 1}}), 8, 512);
  int32_t first = -1;
  {
    auto a = SeqCache::admit(pool, 64);
    a->cover(64);
    first = a->tables()[0][0];
  }
  auto b = SeqCache::admit(pool, 32);
  b->cover(1);
  CHECK(b->tables()[0][0] == first);
}

TEST_CASE("pages that a window has passed go back") {
  constexpr int64_t kWindow = 50, kStep = 40;
  SeqPool pool(Sizes({{0, 40, 1}, {kWindow, 8, 1}}), 8, kStep);
  CHECK(pool.need(0, 1000) == 32);
  CHECK(pool.need(1, 1000) == window_pages(kWindow, kStep));
  CHECK(pool.need(1, 64) == 2);
  {
    auto seq = SeqCache::admit(pool, 1000);
    REQUIRE(seq);
    const int64_t promised = pool.pages(1).reserved();
    for (int64_t n : {40, 1, 1, 40, 7, 33, 40, 40, 40, 40}) {
      seq->cover(seq->length() + n);
      CHECK(held(*seq, 1) <= promised);
      seq->advance(n);
      const auto& table = seq->tables()[1];
      for (int64_t p = 0; p < std::ssize(table); ++p)
        CHECK((table[static_cast<size_t>(p)] >= 0) == ((p + 1) * kPageTokens > seq->length() - kWindow + 1));
      CHECK(held(*seq, 0) == pages_for(seq->length()));
      CHECK(pool.pages(1).used() + pool.pages(1).reserved() <= promised);
    }
    while (seq->length() < 1000) seq->cover(seq->length() + 1), seq->advance(1);
    CHECK(held(*seq, 1) == 3);
    CHECK(pool.pages(1).reserved() == 0);  // nothing is to come
    CHECK(pool.pages(1).used() == 3);
    CHECK_THROWS_AS(seq->rewind(900), Error);
    seq->rewind(995);
    CHECK(seq->length() == 995);
  }
  CHECK(pool.used() == 0);
  CHECK(pool.reserved() == 0);
}

TEST_CASE("the longest sequence that pages and slots allow") {
  CHECK(SeqPool(Sizes({{0, 4, 1}}), 8, 64).longest(1000) == 128);
  CHECK(SeqPool(Sizes({{50, 5, 1}}), 8, 64).longest(1000) == 1000);
  CHECK(SeqPool(Sizes({{50, 4, 1}}), 8, 64).longest(1000) == 128);
  CHECK(SeqPool(Sizes({}, 3), 8, 64).longest(int64_t{1} << 30) == int64_t{1} << 30);
}

TEST_CASE("slots are the sequences' and the snapshots'") {
  SeqPool pool(Sizes({}, 5), 3, 64);
  CHECK(pool.seq_slots().total() == 3);
  CHECK(pool.snapshot_slots().total() == 2);
  std::vector<SeqCache> seqs;
  for (int32_t i = 0; i < 3; ++i) {
    auto seq = SeqCache::admit(pool, 1'000'000);
    REQUIRE(seq);
    CHECK(seq->slot() == i);
    seqs.push_back(std::move(*seq));
  }
  CHECK_FALSE(SeqCache::admit(pool, 1));
  seqs.erase(seqs.begin() + 1);
  auto again = SeqCache::admit(pool, 1);
  REQUIRE(again);
  CHECK(again->slot() == 1);
  CHECK(pool.snapshot_slot(0) == 3);
}
