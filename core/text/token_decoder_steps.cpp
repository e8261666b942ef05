// The steps that decoders are made of, as Hugging Face's tokenizers defines them; bytes that are no UTF-8 stay.
#include <algorithm>

#include "base/error.hpp"
#include "text/text_replace.hpp"
#include "text/token_decoder.hpp"
#include "text/vocabulary.hpp"

namespace tenon::decoder_steps {

namespace {

constexpr size_t kMaxToken = size_t{1} << 26;

using Part = DecoderStep::Part;
using Parts = DecoderStep::Parts;

// A step that looks at whole tokens only; it is never given a part of one.
class WholeTokens : public DecoderStep {
 public:
  void feed(Part part, Parts& out) final {
    gathered_ += part.text;
    if (!part.ends) return;
    std::string token;
    token.swap(gathered_);
    whole(std::move(token), out);
    ++index_;
  }

 protected:
  virtual void whole(std::string token, Parts& out) = 0;
  size_t index_ = 0;  // of the token

 private:
  std::string gathered_;
};

template <typename Function>
class EachToken final : public WholeTokens {
 public:
  explicit EachToken(Function function) : function_(std::move(function)) {}

 protected:
  void whole(std::string token, Parts& out) override { out.push_back({function_(std::move(token), index_)}); }

 private:
  Function function_;
};

/// `function`: from a token and its index to what becomes of it.
template <typename Function>
TokenDecoder::Maker each_token(Function function) {
  return [function = std::move(function)] { return std::make_unique<EachToken<Function>>(function); };
}

// Hands on everything as parts of one token.
class Fuse : public DecoderStep {
 public:
  void feed(Part part, Parts& out) override {
    out.push_back({std::move(part.text), first_, false});
    first_ = false;
  }
  void finish(Parts& out) override { out.push_back({"", first_, true}); }

 private:
  bool first_ = true;
};

class ByteLevel final : public WholeTokens {
 public:
  void finish(Parts& out) override { fuse_.finish(out); }

 protected:
  void whole(std::string token, Parts& out) override {
    std::string bytes;
    fuse_.feed({unspell_bytes(token, bytes) ? std::move(bytes) : std::move(token)}, out);
  }

 private:
  Fuse fuse_;
};

// A run of byte tokens is one token.
class ByteFallback final : public WholeTokens {
 public:
  void finish(Parts& out) override {
    if (inside_) out.push_back({"", false, true});
    inside_ = false;
  }

 protected:
  void whole(std::string token, Parts& out) override {
    if (const auto byte = byte_token(token)) {
      out.push_back({std::string(1, static_cast<char>(*byte)), !inside_, false});
      inside_ = true;
      return;
    }
    finish(out);
    out.push_back({std::move(token)});
  }

 private:
  bool inside_ = false;
};

class ReplaceText final : public DecoderStep {
 public:
  ReplaceText(std::string text, std::string content) : text_(std::move(text)), content_(std::move(content)) {}
  void feed(Part part, Parts& out) override {
    held_ += part.text;
    std::string done;
    size_t at = 0;
    for (size_t found; (found = held_.find(text_, at)) != std::string::npos; at = found + text_.size()) {
      done.append(held_, at, found - at) += content_;
      if (done.size() > kMaxToken)
        fail(ErrorCode::bad_model, "[decoder] a token becomes more than {} bytes", kMaxToken);
    }
    const size_t keep = part.ends ? 0 : tail(at);
    done.append(held_, at, held_.size() - at - keep);
    held_.erase(0, held_.size() - keep);
    out.push_back({std::move(done), part.begins, part.ends});
  }

 private:
  // How many of the last bytes from `at` on may be the beginning of the text.
  size_t tail(size_t at) const {
    for (size_t n = std::min(text_.size() - 1, held_.size() - at); n > 0; --n)
      if (held_.compare(held_.size() - n, n, text_, 0, n) == 0) return n;
    return 0;
  }

  std::string text_, content_, held_;
};

class Strip final : public DecoderStep {
 public:
  Strip(std::string content, size_t start, size_t stop) : content_(std::move(content)), start_(start), stop_(stop) {}
  void feed(Part part, Parts& out) override {
    if (part.begins) left_ = start_;
    held_ += part.text;
    size_t at = 0;
    for (; left_ > 0 && held_.compare(at, content_.size(), content_) == 0; --left_) at += content_.size();
    if (held_.size() - at >= content_.size()) left_ = 0;
    const size_t keep = part.ends ? tail(at) : undecided(at);
    out.push_back({held_.substr(at, held_.size() - at - keep), part.begins, part.ends});
    held_.erase(0, part.ends ? held_.size() : held_.size() - keep);
  }

 private:
  // The bytes from `at` on that are cut off at the token's end.
  size_t tail(size_t at) const {
    size_t n = 0;
    for (size_t left = stop_; left > 0 && held_.size() - at >= n + content_.size(); --left, n += content_.size())
      if (held_.compare(held_.size() - n - content_.size(), content_.size(), content_) != 0) break;
    return n;
  }
  // The bytes from `at` on that what follows may have cut off.
  size_t undecided(size_t at) const {
    const size_t rest = held_.size() - at;
    return left_ > 0 ? rest : std::min(rest, stop_ * content_.size());
  }

  std::string content_, held_;
  size_t start_, stop_, left_ = 0;
};

class WordSuffix final : public WholeTokens {
 public:
  explicit WordSuffix(std::string suffix) : suffix_(std::move(suffix)) {}
  void finish(Parts& out) override {
    if (index_ > 0) out.push_back({replace_text(last_, suffix_, ""), false, true});
  }

 protected:
  // What stands before the first suffix is certain; what the suffix becomes depends on whether a token follows.
  void whole(std::string token, Parts& out) override {
    if (index_ > 0) out.push_back({replace_text(last_, suffix_, " "), false, true});
    const size_t certain = suffix_.empty() ? 0 : std::min(token.find(suffix_), token.size());
    out.push_back({token.substr(0, certain), true, false});
    last_ = token.substr(certain);
  }

 private:
  std::string suffix_, last_;
};

std::string without_spaces_before_marks(std::string token) {
  static constexpr std::pair<const char*, const char*> kPairs[] = {
      {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
      {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
  for (const auto& [from, to] : kPairs) token = replace_text(token, from, to);
  return token;
}

}  // namespace

TokenDecoder::Maker byte_level() {
  return [] { return std::make_unique<ByteLevel>(); };
}
TokenDecoder::Maker byte_fallback() {
  return [] { return std::make_unique<ByteFallback>(); };
}
TokenDecoder::Maker fuse() {
  return [] { return std::make_unique<Fuse>(); };
}

TokenDecoder::Maker replace(std::string text, std::string content) {
  return [text, content] { return std::make_unique<ReplaceText>(text, content); };
}

TokenDecoder::Maker replace(Pattern pattern, std::string content) {
  return each_token([pattern = std::move(pattern), content](std::string token, size_t) {
    return replace_all(pattern, content, token);
  });
}

TokenDecoder::Maker strip(std::string content, size_t start, size_t stop) {
  return [content, start, stop] { return std::make_unique<Strip>(content, start, stop); };
}

TokenDecoder::Maker metaspace(std::string mark, bool drop_first) {
  return each_token([mark, drop_first](std::string token, size_t index) {
    return replace_text(token, mark, index == 0 && drop_first ? "" : " ");
  });
}

TokenDecoder::Maker word_piece(std::string prefix, bool cleanup) {
  return each_token([prefix, cleanup](std::string token, size_t index) {
    if (index > 0) token = token.starts_with(prefix) ? token.substr(prefix.size()) : " " + token;
    return cleanup ? without_spaces_before_marks(std::move(token)) : token;
  });
}

TokenDecoder::Maker word_suffix(std::string suffix) {
  return [suffix] { return std::make_unique<WordSuffix>(suffix); };
}

TokenDecoder::Maker join(std::string separator) {
  return each_token([separator](std::string token, size_t index) { return index > 0 ? separator + token : token; });
}

}  // namespace tenon::decoder_steps
