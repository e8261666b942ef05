// Translation from the files' regex flavour to PCRE2, and matching segment by segment of valid UTF-8.
#include "text/pattern.hpp"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "base/error.hpp"
#include "text/unicode.hpp"

namespace tenon {

namespace {

constexpr size_t kMaxExpression = 16384;
// PCRE2's own \s also takes U+180E, which is no White_Space.
constexpr const char* kSpace =
    R"(\x{9}-\x{d}\x{20}\x{85}\x{a0}\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
constexpr const char* kNotSpace =
    R"(\x{0}-\x{8}\x{e}-\x{1f}\x{21}-\x{84}\x{86}-\x{9f}\x{a1}-\x{167f}\x{1681}-\x{1fff}\x{200b}-\x{2027}\x{202a}-\x{202e})"
    R"(\x{2030}-\x{205e}\x{2060}-\x{2fff}\x{3001}-\x{d7ff}\x{e000}-\x{10ffff})";

pcre2_code* compiled(const std::string& expression, int& error, PCRE2_SIZE& at) {
  return pcre2_compile(reinterpret_cast<PCRE2_SPTR>(expression.data()), expression.size(),
                       PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY, &error, &at, nullptr);
}

// PCRE2's \p{Script} also takes characters that other scripts share; files mean those of the script alone.
bool is_script(std::string_view name) {
  if (name.size() < 3 || name.find_first_of(":=^&") != std::string_view::npos) return false;
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = compiled("\\p{sc:" + std::string(name) + "}", error, at);
  pcre2_code_free(code);
  return code != nullptr;
}

std::string translate(std::string_view in) {
  std::string out;
  int depth = 0;  // of brackets: a class may hold escapes, never another class here
  for (size_t i = 0; i < in.size(); ++i) {
    const char c = in[i];
    if (c == '\\' && i + 1 < in.size()) {
      const char e = in[++i];
      const char* ranges = e == 's' ? kSpace : e == 'S' ? kNotSpace : e == 'h' ? "0-9A-Fa-f" : nullptr;
      const size_t close = (e == 'p' || e == 'P') && in.substr(i + 1, 1) == "{" ? in.find('}', i) : in.npos;
      if (close != in.npos && is_script(in.substr(i + 2, close - i - 2))) {
        ((out += c) += e) += "{sc:";
        ++i;
      } else if (!ranges) {
        (out += c) += e;
      } else if (depth > 0) {
        out += ranges;
      } else {
        ((out += '[') += ranges) += ']';
      }
      continue;
    }
    if (c == '[' && depth == 0) {
      depth = 1;
      out += c;
      if (i + 1 < in.size() && in[i + 1] == '^') out += in[++i];
      if (i + 1 < in.size() && in[i + 1] == ']') (out += '\\') += in[++i];
      continue;
    }
    if (c == '[') out += '\\';
    if (c == ']') depth = 0;
    out += c;
  }
  return out;
}

struct MatchState {
  pcre2_match_data* data = pcre2_match_data_create(8, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(32 << 10, 16 << 20, nullptr);
  MatchState() {
    if (!data || !context || !stack) fail(ErrorCode::capacity, "[pattern] no memory for a match");
    pcre2_set_match_limit(context, 20'000'000);
    pcre2_set_heap_limit(context, 64 << 10);  // KiB
    pcre2_jit_stack_assign(context, nullptr, stack);
  }
  ~MatchState() {
    pcre2_match_data_free(data);
    pcre2_match_context_free(context);
    pcre2_jit_stack_free(stack);
  }
  MatchState(const MatchState&) = delete;
  MatchState& operator=(const MatchState&) = delete;
};

MatchState& match_state() {
  thread_local MatchState state;
  return state;
}

std::string pcre_message(int code) {
  PCRE2_UCHAR buffer[160];
  pcre2_get_error_message(code, buffer, sizeof buffer);
  return reinterpret_cast<const char*>(buffer);
}

}  // namespace

Pattern::Pattern(std::string_view expression) : source_(expression) {
  if (expression.size() > kMaxExpression)
    fail(ErrorCode::bad_model, "[pattern] {} bytes are more than {}", expression.size(), kMaxExpression);
  if (expression.find("&&") != std::string_view::npos)
    fail(ErrorCode::unsupported, "[pattern] class intersection in '{}'", expression);
  const std::string translated = translate(expression);
  int error = 0;
  PCRE2_SIZE at = 0;
  pcre2_code* code = compiled(translated, error, at);
  if (!code) fail(ErrorCode::bad_model, "[pattern] '{}': {} at {}", expression, pcre_message(error), at);
  code_ = std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);  // without it the interpreter does the same, slower
}

Pattern Pattern::literal(std::string_view text) {
  Pattern p;
  p.source_ = p.literal_ = text;
  return p;
}

void Pattern::find_all(std::string_view text, std::vector<Span>& out) const {
  if (!code_) {
    if (literal_.empty()) return;
    for (size_t at = text.find(literal_); at != std::string_view::npos; at = text.find(literal_, at + literal_.size()))
      out.emplace_back(at, at + literal_.size());
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const size_t end = unicode::valid_end(text, at);
    if (end == at) {
      ++at;
      continue;
    }
    find_in_valid(text.substr(at, end - at), at, out);
    at = end;
  }
}

void Pattern::find_in_valid(std::string_view text, size_t base, std::vector<Span>& out) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  MatchState& state = match_state();
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  size_t last_end = text.size() + 1;
  for (size_t at = 0; at <= text.size();) {
    int rc = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK, state.data, state.context);
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
      rc = pcre2_match(code, subject, text.size(), at, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, state.data, state.context);
    if (rc == PCRE2_ERROR_NOMATCH) return;
    if (rc < 0) fail(ErrorCode::capacity, "[pattern] '{}' on {} bytes: {}", source_, text.size(), pcre_message(rc));
    const PCRE2_SIZE* span = pcre2_get_ovector_pointer(state.data);
    const bool empty = span[1] <= span[0];
    if (span[0] < at || (empty && span[0] == last_end)) {
      at += at < text.size() ? unicode::decode(text, at).length : 1;
      continue;
    }
    at = last_end = empty ? span[0] : span[1];
    out.emplace_back(base + span[0], base + at);
  }
}

}  // namespace tenon
