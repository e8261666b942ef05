#include "text/output/harmony.hpp"

#include <algorithm>
#include <span>

#include "text/output/json_scan.hpp"

namespace tenon::output {
namespace {

constexpr std::string_view kMessage = "<|message|>", kStart = "<|start|>", kChannel = "<|channel|>",
                           kRecipient = "to=functions.";
constexpr std::string_view kEnds[] = {"<|end|>", "<|call|>", "<|return|>", kStart, kChannel};

}  // namespace

bool HarmonyParser::mentioned(std::string_view chat_template) {
  return chat_template.find(kChannel) != std::string_view::npos &&
         chat_template.find(kMessage) != std::string_view::npos;
}

Deltas HarmonyParser::feed(std::string_view text) {
  pending_.append(text);
  while (run(false)) {
  }
  return std::exchange(out_, {});
}

Deltas HarmonyParser::finish() {
  while (run(true)) {
  }
  end_part();
  return std::exchange(out_, {});
}

bool HarmonyParser::run(bool last) {
  const std::string_view text = pending_.view();
  std::string_view found;
  if (part_ == Part::header) {
    const size_t at = find_marker(text, std::span(&kMessage, 1), found);
    if (at != std::string_view::npos) {
      read_header(text.substr(0, at));
      pending_.consume(at + kMessage.size());
      return true;
    }
    // Text that never becomes a message is content.
    constexpr size_t kMaxHeader = 1024;
    if (!last && text.size() <= kMaxHeader) return false;
    const size_t ready = text.size() - (last ? 0 : unfinished(text, std::span(&kMessage, 1)));
    part_ = Part::content;
    emit(text.substr(0, ready));
    part_ = Part::header;
    pending_.consume(ready);
    return false;
  }
  const size_t at = find_marker(text, kEnds, found);
  if (at == std::string_view::npos) {
    const size_t ready = text.size() - (last ? 0 : unfinished(text, kEnds));
    emit(text.substr(0, ready));
    pending_.consume(ready);
    return false;
  }
  emit(text.substr(0, at));
  end_part();
  pending_.consume(found == kChannel ? at : at + found.size());  // a channel begins a header of its own
  part_ = Part::header;
  return true;
}

void HarmonyParser::read_header(std::string_view header) {
  const size_t channel = header.rfind(kChannel);
  const std::string_view rest =
      channel == std::string_view::npos ? std::string_view() : header.substr(channel + kChannel.size());
  const size_t recipient = header.find(kRecipient);
  part_ = trimmed(rest).starts_with("analysis") ? Part::reasoning : Part::content;
  if (recipient == std::string_view::npos) return;
  const std::string_view name = header.substr(recipient + kRecipient.size());
  name_ = name.substr(0, std::min(name.find_first_of(" \t\n<"), name.size()));
  raw_header_ = std::string(header) + std::string(kMessage);
  call_.clear();
  if (!name_.empty()) part_ = Part::call;
}

void HarmonyParser::emit(std::string_view text) {
  if (text.empty()) return;
  if (part_ == Part::call)
    call_ += text;
  else
    out_.push_back({part_ == Part::reasoning ? Delta::Kind::reasoning : Delta::Kind::content, std::string(text)});
}

void HarmonyParser::end_part() {
  if (part_ != Part::call) return;
  part_ = Part::header;
  const std::string_view arguments = trimmed(call_);
  if (!is_object(arguments.empty() ? "{}" : arguments)) {
    out_.push_back({Delta::Kind::content, raw_header_ + call_});
    return;
  }
  const size_t index = n_calls_++;
  out_.push_back({Delta::Kind::call_begin, {}, index, "call_" + id_prefix_ + std::to_string(index), name_});
  out_.push_back({Delta::Kind::arguments, std::string(arguments.empty() ? "{}" : arguments), index});
}

}  // namespace tenon::output
