// Inverse frequencies against numbers computed apart in float64 from the formulas of the published models' code.
#include <doctest/doctest.h>

#include "graph/catalogue.hpp"

using namespace tenon;

namespace {
RopeSpec spec(RopeScaling scaling, int64_t n_rot, double base, double factor, int64_t original_ctx) {
  RopeSpec s;
  s.scaling = scaling;
  s.n_rot = n_rot;
  s.base = base;
  s.factor = factor;
  s.original_ctx = original_ctx;
  return s;
}

void check(const std::vector<float>& got, std::initializer_list<double> want) {
  REQUIRE(got.size() == want.size());
  size_t j = 0;
  for (double w : want) {
    CAPTURE(j);
    CHECK(got[j++] == doctest::Approx(w).epsilon(2e-7));
  }
}
}  // namespace

TEST_CASE("plain, linear and divided frequencies") {
  check(rope_inv_freq(spec(RopeScaling::none, 8, 10000, 1, 0), {}, 0), {1, 0.1, 0.01, 0.001});
  check(rope_inv_freq(spec(RopeScaling::linear, 8, 10000, 4, 0), {}, 0), {0.25, 0.025, 0.0025, 0.00025});
  const std::vector<float> divisors = {1, 2, 4, 8};
  check(rope_inv_freq(spec(RopeScaling::none, 8, 10000, 1, 0), divisors, 0), {1, 0.05, 0.0025, 0.000125});
}

TEST_CASE("frequency smoothing") {
  check(rope_inv_freq(spec(RopeScaling::smooth, 16, 500000, 8, 8192), {}, 0),
        {1, 0.193922745, 0.0376060309, 0.00729266474, 0.000524846161, 3.4281022e-05, 6.64786987e-06, 1.28917317e-06});
}

TEST_CASE("yarn with and without truncation of the correction dims") {
  check(rope_inv_freq(spec(RopeScaling::yarn, 16, 10000, 4, 64), {}, 0),
        {1, 0.237170825, 0.05, 0.00790569415, 0.0025, 0.000790569415, 0.00025, 7.90569415e-05});
  RopeSpec s = spec(RopeScaling::yarn, 16, 150000, 32, 4096);
  s.truncate = false;
  check(rope_inv_freq(s, {}, 0),
        {1, 0.225418, 0.0508132748, 0.00679495949, 0.000456483919, 1.81883367e-05, 4.09997848e-06, 9.2420895e-07});
}

TEST_CASE("dynamic grows with the planned length beyond the trained one") {
  const RopeSpec s = spec(RopeScaling::dynamic, 8, 10000, 2, 32);
  check(rope_inv_freq(s, {}, 10), {1, 0.1, 0.01, 0.001});
  check(rope_inv_freq(s, {}, 32), {1, 0.1, 0.01, 0.001});
  check(rope_inv_freq(s, {}, 100), {1, 0.0575369583, 0.00331050157, 0.00019047619});
  check(rope_inv_freq(spec(RopeScaling::dynamic, 2, 10000, 2, 32), {}, 100), {1});
  CHECK(rope_depends_on_length(s));
  CHECK(!rope_depends_on_length(spec(RopeScaling::yarn, 8, 10000, 2, 32)));
}

TEST_CASE("longrope chooses its factors by the planned length") {
  RopeSpec s = spec(RopeScaling::longrope, 8, 10000, 1, 32);
  s.short_factors = {1, 1, 1, 1};
  s.long_factors = {2, 3, 4, 5};
  check(rope_inv_freq(s, {}, 32), {1, 0.1, 0.01, 0.001});
  check(rope_inv_freq(s, {}, 33), {0.5, 0.0333333333, 0.0025, 0.0002});
  s.magnitude = 1.1, s.long_magnitude = 1.3;
  CHECK(rope_magnitude(s, 32) == 1.1);
  CHECK(rope_magnitude(s, 33) == 1.3);
  s.scaling = RopeScaling::yarn;
  CHECK(rope_magnitude(s, 33) == 1.1);
}
