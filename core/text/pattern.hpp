// A Unicode regular expression for pre-tokenizers, over PCRE2 (JIT where it works, limits on work and memory always).
// Accepts what tokenizer files write (Oniguruma flavour): \s means White_Space, \h a hexadecimal digit.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tenon {

class Pattern {
 public:
  /// Error{bad_model} naming the expression and the place when it does not compile.
  explicit Pattern(std::string_view expression);
  /// A pattern that matches exactly these bytes.
  static Pattern literal(std::string_view text);

  using Span = std::pair<size_t, size_t>;  // [begin, end) in bytes
  /// All matches from left to right that do not overlap; an empty one counts where no match ends. Invalid UTF-8 never
  /// matches. Error{capacity} when a limit is hit.
  void find_all(std::string_view text, std::vector<Span>& out) const;

 private:
  Pattern() = default;
  void find_in_valid(std::string_view text, size_t base, std::vector<Span>& out) const;
  std::string source_, literal_;
  std::shared_ptr<void> code_;
};

}  // namespace tenon
