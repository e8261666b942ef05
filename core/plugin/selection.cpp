// Prefilter by the notes' names, then scores, then the order of preference.
#include "plugin/selection.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <tuple>

#include "base/error.hpp"

namespace tenon {
namespace {

constexpr size_t kMaxNames = 64, kMaxNameBytes = 256;

struct Candidate {
  size_t row;
  uint32_t arch;
  int score = 0;
  std::string why{};
};

bool contains(const std::vector<std::string>& list, std::string_view name) {
  return !name.empty() && std::find(list.begin(), list.end(), name) != list.end();
}

bool lists(const PluginArch& arch, const ModelNames& names) {
  if (names.format == Format::gguf) return contains(arch.gguf, names.gguf);
  return std::any_of(names.hf.begin(), names.hf.end(),
                     [&](const std::string& name) { return contains(arch.hf, name); }) ||
         contains(arch.model_type, names.model_type);
}

std::string text_member(const Value* value) {
  return value && value->is_string() && value->as_string().size() <= kMaxNameBytes ? value->as_string() : std::string();
}

std::string row_text(const PluginRow& row) { return fmt::format("{} {}", row.note->id, row.note->version); }

// What there is to choose from, for messages.
std::string inventory(std::span<const PluginRow> rows) {
  std::vector<std::string> installed, others;
  for (const PluginRow& row : rows) {
    if (row.status == PluginStatus::ok) {
      installed.push_back(row_text(row));
    } else {
      others.push_back(fmt::format("{} ({})", row.file.string(), row.reason));
    }
  }
  std::string text =
      installed.empty() ? "no plugin is installed" : fmt::format("installed: {}", fmt::join(installed, ", "));
  if (!others.empty()) text += fmt::format("; refused: {}", fmt::join(others, ", "));
  return text;
}

std::vector<Candidate> prefilter(const ModelNames& names, std::span<const PluginRow> rows, std::string_view pin) {
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (rows[i].status != PluginStatus::ok || (!pin.empty() && rows[i].note->id != pin)) continue;
    const std::vector<PluginArch>& archs = rows[i].note->archs;
    bool listed = false;
    for (uint32_t a = 0; a < archs.size(); ++a)
      if (lists(archs[a], names)) {
        candidates.push_back({i, a});
        listed = true;
      }
    // A pin overrules the names, where it leaves no doubt about which architecture is meant.
    if (!pin.empty() && !listed && archs.size() == 1) candidates.push_back({i, 0});
  }
  return candidates;
}

[[noreturn]] void fail_without_candidates(const ModelNames& names, std::span<const PluginRow> rows,
                                          std::string_view pin) {
  for (const PluginRow& row : rows) {
    if (pin.empty() || row.status != PluginStatus::ok || row.note->id != pin) continue;
    std::vector<std::string> archs;
    for (const PluginArch& arch : row.note->archs) archs.push_back(arch.name);
    fail(ErrorCode::not_found, "[plugin] {} holds {}; none lists {}", pin, fmt::join(archs, ", "), names_text(names));
  }
  if (!pin.empty()) fail(ErrorCode::not_found, "[plugin] no plugin has the id {}; {}", pin, inventory(rows));
  fail(ErrorCode::not_found, "[plugin] no plugin lists {}; {}", names_text(names), inventory(rows));
}

std::vector<Candidate> score_tier(std::span<const Candidate> tier, std::span<const PluginRow> rows,
                                  const ScoreFn& score, std::vector<std::string>& passed_over) {
  std::vector<Candidate> fitting;
  for (Candidate candidate : tier) {
    const PluginRow& row = rows[candidate.row];
    try {
      candidate.score = std::min(score(row, candidate.arch, &candidate.why), 100);
      if (candidate.score > 0) {
        fitting.push_back(std::move(candidate));
        continue;
      }
    } catch (const Error& e) {
      candidate.why = e.what();
    }
    const std::string& name = row.note->archs[candidate.arch].name;
    passed_over.push_back(fmt::format("{}: {} does not take it{}{}", row_text(row), name,
                                      candidate.why.empty() ? "" : ": ", candidate.why));
  }
  return fitting;
}

// Positive when a is preferred. Within one plugin the note's order decides.
int prefer(const Candidate& a, const Candidate& b, std::span<const PluginRow> rows) {
  if (a.score != b.score) return a.score - b.score;
  if (a.row == b.row) return a.arch < b.arch ? 1 : -1;
  return compare_versions(rows[a.row].note->version, rows[b.row].note->version);
}

Selection choose(const std::vector<Candidate>& fitting, std::span<const PluginRow> rows,
                 std::vector<std::string> passed_over) {
  const Candidate* best = &fitting.front();
  for (const Candidate& other : fitting)
    if (prefer(other, *best, rows) > 0) best = &other;
  for (const Candidate& other : fitting) {
    if (&other == best) continue;
    const PluginRow &first = rows[best->row], &second = rows[other.row];
    if (prefer(*best, other, rows) == 0)
      fail(ErrorCode::bad_plugin, "[plugin] {} ({}) and {} ({}) both take the model with score {}", first.file.string(),
           row_text(first), second.file.string(), row_text(second), best->score);
    passed_over.push_back(fmt::format("{}: {} scores {}, the chosen {}", row_text(second),
                                      second.note->archs[other.arch].name, other.score, best->score));
  }
  return {best->row, best->arch, best->score, best->why, std::move(passed_over)};
}

bool is_number(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string_view next_part(std::string_view& rest) {
  const size_t end = std::min(rest.find_first_of(".-+"), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

int compare_parts(std::string_view a, std::string_view b) {
  if (!is_number(a) || !is_number(b)) return a.compare(b);
  a.remove_prefix(std::min(a.find_first_not_of('0'), a.size()));
  b.remove_prefix(std::min(b.find_first_not_of('0'), b.size()));
  return a.size() != b.size() ? (a.size() < b.size() ? -1 : 1) : a.compare(b);
}

}  // namespace

int compare_versions(std::string_view a, std::string_view b) {
  while (!a.empty() || !b.empty()) {
    const std::string_view left = next_part(a), right = next_part(b);
    // "1.0" equals "1"; a word after the numbers ("1.0-rc1") comes before the release.
    const bool left_word = !left.empty() && !is_number(left), right_word = !right.empty() && !is_number(right);
    if (left_word != right_word) return left_word ? -1 : 1;
    const int order = compare_parts(left.empty() ? "0" : left, right.empty() ? "0" : right);
    if (order != 0) return order;
  }
  return 0;
}

ModelNames model_names(const Checkpoint& checkpoint) {
  ModelNames names;
  names.format = checkpoint.format();
  if (names.format == Format::gguf) {
    names.gguf = text_member(checkpoint.meta("general.architecture"));
    return names;
  }
  names.model_type = text_member(checkpoint.meta("model_type"));
  if (const Value* list = checkpoint.meta("architectures"); list && list->is_array())
    for (const Value& item : list->as_array())
      if (std::string name = text_member(&item); !name.empty() && names.hf.size() < kMaxNames)
        names.hf.push_back(std::move(name));
  return names;
}

std::string names_text(const ModelNames& names) {
  if (names.format == Format::gguf) return fmt::format("general.architecture \"{}\"", names.gguf);
  std::string text = "architectures [";
  for (size_t i = 0; i < names.hf.size(); ++i) text += fmt::format("{}\"{}\"", i ? ", " : "", names.hf[i]);
  return text + fmt::format("], model_type \"{}\"", names.model_type);
}

Selection select_plugin(const ModelNames& names, std::span<const PluginRow> rows, const ScoreFn& score,
                        std::string_view pin) {
  std::vector<Candidate> candidates = prefilter(names, rows, pin);
  if (candidates.empty()) fail_without_candidates(names, rows, pin);
  std::sort(candidates.begin(), candidates.end(), [&](const Candidate& a, const Candidate& b) {
    return std::tuple(rows[b.row].trust, a.row, a.arch) < std::tuple(rows[a.row].trust, b.row, b.arch);
  });
  std::vector<std::string> passed_over;
  for (auto begin = candidates.begin(); begin != candidates.end();) {
    const auto end = std::find_if(begin, candidates.end(),
                                  [&](const Candidate& c) { return rows[c.row].trust != rows[begin->row].trust; });
    const std::vector<Candidate> fitting = score_tier({begin, end}, rows, score, passed_over);
    if (!fitting.empty()) return choose(fitting, rows, std::move(passed_over));
    begin = end;
  }
  fail(ErrorCode::not_found, "[plugin] no plugin takes {}: {}", names_text(names), fmt::join(passed_over, "; "));
}

}  // namespace tenon
