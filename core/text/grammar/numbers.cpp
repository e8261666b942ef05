// A number is a sign and a magnitude; a bound on the number is a bound on the magnitude for each sign.
#include "text/grammar/numbers.hpp"

#include <compare>
#include <map>
#include <tuple>

#include "base/error.hpp"
#include "text/grammar/decimal.hpp"
#include "text/grammar/dfa_build.hpp"
#include "text/grammar/regex.hpp"

namespace tenon::grammar {
namespace {

constexpr uint32_t kDigits = 20;  // on each side of the point

struct Magnitudes {
  // Doubles have no fraction beyond 15 digits in front of the point.
  Dfa plain = regex("(0|[1-9][0-9]{0,14})(\\.[0-9]{1,20})?|[1-9][0-9]{15,19}");
  Dfa zero = regex("0(\\.0{1,20})?");
  Dfa whole = regex("(0|[1-9][0-9]{0,14})(\\.0)?|[1-9][0-9]{15,19}");
  // Magnitudes that a double can hold, whatever the digits in front.
  Dfa any =
      concatenate(plain, regex("([eE](\\+?([0-9]{1,2}|1[0-9]{2}|2[0-7][0-9])|-([0-9]{1,2}|[12][0-9]{2}|30[0-7])))?"));
  Dfa any_zero = concatenate(zero, regex("([eE][+\\-]?[0-9]{1,2})?"));
};

const Magnitudes& magnitudes() {
  static const Magnitudes all;
  return all;
}

/// Plain magnitudes that compare with a bound as wanted.
class Comparison {
 public:
  Comparison(const Decimal& bound, bool less, bool equal, bool greater)
      : bound_(bound), wanted_{less, equal, greater}, builder_(digit_classes()) {}

  Dfa run() {
    number({0, false, 0});
    for (size_t i = 0; i < places_.size(); ++i) {
      const Place p = places_[i];
      for (int digit = 0; digit <= 9; ++digit)
        if (const auto next = after_digit(p, digit))
          builder_.set(static_cast<uint32_t>(i), builder_.classes().of(static_cast<uint8_t>('0' + digit)),
                       number(*next));
      if (!p.fraction && p.read > 0)
        builder_.set(static_cast<uint32_t>(i), builder_.classes().of('.'), number({0, true, whole_order(p)}));
    }
    return intersect(std::move(builder_).finish(), magnitudes().plain);
  }

 private:
  struct Place {
    uint32_t read;  // digits of this side
    bool fraction;
    int order;  // of what was read against as much of the bound: -1, 0, 1
    auto operator<=>(const Place&) const = default;
  };

  static ByteClasses digit_classes() {
    ByteClasses classes;
    for (int c = '0'; c <= '9'; ++c) classes.cut(static_cast<uint8_t>(c), static_cast<uint8_t>(c));
    classes.cut('.', '.');
    classes.close();
    return classes;
  }

  int whole_order(const Place& p) const {
    if (p.read != bound_.whole.size()) return p.read < bound_.whole.size() ? -1 : 1;
    return p.order;
  }

  int order(const Place& p) const {
    if (!p.fraction) return whole_order(p) != 0 ? whole_order(p) : bound_.fraction.empty() ? 0 : -1;
    return p.order != 0 ? p.order : p.read < bound_.fraction.size() ? -1 : 0;
  }

  std::optional<Place> after_digit(const Place& p, int digit) const {
    if (p.read == kDigits) return std::nullopt;
    const std::string& side = p.fraction ? bound_.fraction : bound_.whole;
    const int there = p.read < side.size() ? side[p.read] - '0' : 0;
    const int order = p.order != 0 || (!p.fraction && p.read >= side.size()) ? p.order
                      : digit < there                                        ? -1
                      : digit > there                                        ? 1
                                                                             : 0;
    return Place{p.read + 1, p.fraction, order};
  }

  uint32_t number(const Place& place) {
    const auto [it, added] = numbers_.try_emplace(place, builder_.size());
    if (added) {
      places_.push_back(place);
      builder_.add_state(place.read > 0 && wanted_[order(place) + 1]);
    }
    return it->second;
  }

  const Decimal& bound_;
  bool wanted_[3];
  DfaBuilder builder_;
  std::map<Place, uint32_t> numbers_;
  std::vector<Place> places_;
};

/// Magnitudes whose value times 10^k is a multiple of `divisor`.
Dfa multiples(uint32_t divisor, uint32_t k) {
  Nfa nfa;
  const uint32_t end = nfa.add_state();
  const auto digit = [&](uint32_t from, int d, uint32_t to) {
    nfa.edge(from, static_cast<uint8_t>('0' + d), static_cast<uint8_t>('0' + d), to);
  };
  // layers[0]: within the whole part; layers[j + 1]: j digits of the fraction read.
  std::vector<uint32_t> layers;
  for (uint32_t j = 0; j <= k + 1; ++j) {
    layers.push_back(nfa.size());
    for (uint32_t r = 0; r < divisor; ++r) nfa.add_state();
  }
  const uint32_t zeros = nfa.add_state();
  digit(zeros, 0, zeros);
  nfa.empty_edge(zeros, end);
  for (uint32_t r = 0; r < divisor; ++r) {
    for (int d = 0; d <= 9; ++d) digit(layers[0] + r, d, layers[0] + (r * 10 + static_cast<uint32_t>(d)) % divisor);
    nfa.edge(layers[0] + r, '.', '.', layers[1] + r);
    uint64_t left = r;
    for (uint32_t j = 0; j < k; ++j) left = left * 10 % divisor;
    if (left == 0) nfa.empty_edge(layers[0] + r, end);
  }
  for (uint32_t j = 0; j <= k; ++j)
    for (uint32_t r = 0; r < divisor; ++r) {
      for (int d = 0; d <= 9 && j < k; ++d)
        digit(layers[j + 1] + r, d, layers[j + 2] + (r * 10 + static_cast<uint32_t>(d)) % divisor);
      uint64_t left = r;
      for (uint32_t i = j; i < k; ++i) left = left * 10 % divisor;
      if (left == 0) nfa.empty_edge(layers[j + 1] + r, j < k ? end : zeros);
    }
  return intersect(nfa.determinize(layers[0], end), magnitudes().plain);
}

Dfa multiples_of(const std::string& text) {
  const Decimal d = parse_decimal(text);
  std::string digits = (d.whole == "0" ? "" : d.whole) + d.fraction;
  digits.erase(0, digits.find_first_not_of('0'));
  if (d.negative || d.zero()) fail(ErrorCode::usage, "[schema] multipleOf {} is not above 0", text);
  if (digits.size() > 4 || d.fraction.size() > 12)
    fail(ErrorCode::unsupported, "[schema] multipleOf {} has too many digits to be enforced", text);
  return multiples(static_cast<uint32_t>(std::stoul(digits)), static_cast<uint32_t>(d.fraction.size()));
}

struct Signs {
  Dfa positive, negative;  // magnitudes
};

/// Keeps the numbers at or above the bound, or at or below it; one is the other with signs swapped.
void bound(Signs& signs, const std::string& text, bool exclusive, bool from_below) {
  const Decimal b = parse_decimal(text);
  Dfa& toward = from_below ? signs.positive : signs.negative;  // may grow without limit
  Dfa& against = from_below ? signs.negative : signs.positive;
  if (b.zero()) {
    if (exclusive) toward = subtract(toward, magnitudes().any_zero);
    against = exclusive ? Dfa() : intersect(against, magnitudes().any_zero);
  } else if (b.negative != from_below) {
    toward = intersect(toward, Comparison(b, false, !exclusive, true).run());
    against = Dfa();
  } else {
    against = intersect(against, Comparison(b, true, !exclusive, false).run());
  }
}

}  // namespace

Dfa numbers(const NumberRange& range) {
  const auto open = [](const std::optional<std::string>& b) { return !b || parse_decimal(*b).zero(); };
  const Magnitudes& m = magnitudes();
  const bool exponents = !range.integer && !range.multiple_of && open(range.minimum) && open(range.maximum);
  const Dfa& all = range.integer ? m.whole : exponents ? m.any : m.plain;
  Signs signs{all, all};
  if (range.minimum) bound(signs, *range.minimum, range.exclusive_minimum, true);
  if (range.maximum) bound(signs, *range.maximum, range.exclusive_maximum, false);
  if (range.multiple_of) {
    const Dfa multiples = multiples_of(*range.multiple_of);
    signs.positive = intersect(signs.positive, multiples);
    signs.negative = intersect(signs.negative, multiples);
  }
  return unite(signs.positive, concatenate(literal("-"), signs.negative));
}

Dfa number_equal_to(const std::string& value) {
  const Decimal d = parse_decimal(value);
  const std::string sign = d.zero() ? "-?" : d.negative ? "-" : "";
  const std::string fraction = d.fraction.empty() ? "(\\.0{1,4})?" : "\\." + d.fraction + "0{0,4}";
  return unite(regex(sign + d.whole + fraction), literal(value));
}

const Dfa& canonical_numbers() {
  static const Dfa all = regex("-?((0|[1-9][0-9]{0,14})(\\.(0|[0-9]{0,19}[1-9]))?|[1-9][0-9]{15,19})");
  return all;
}

}  // namespace tenon::grammar
