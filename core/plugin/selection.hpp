// Which plugin serves a model: an explicit pin > trust > score > version. A tie is an error that names both files.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "plugin/registry.hpp"

namespace tenon {

/// What a model calls itself: config.json's architectures[] and model_type, or GGUF's general.architecture.
struct ModelNames {
  Format format = Format::safetensors;
  std::vector<std::string> hf;
  std::string model_type, gguf;
};

/// Reads the names; members of another type than expected count as absent.
ModelNames model_names(const Checkpoint& checkpoint);
/// As messages print them: `architectures ["X"], model_type "x"` or `general.architecture "x"`.
std::string names_text(const ModelNames& names);

/// How well one architecture of a plugin fits, 0 (not at all) to 100, with the plugin's own words in `why`. May throw
/// Error: the candidate is then out, its text part of the explanation.
using ScoreFn = std::function<int(const PluginRow& row, uint32_t arch, std::string* why)>;

struct Selection {
  size_t row = 0;     // index into the rows given
  uint32_t arch = 0;  // index into the note's archs
  int score = 0;
  std::string why;
  std::vector<std::string> passed_over;  // one line per candidate that lost, with the reason
};

/// Chooses among rows with status ok; `pin` is a plugin's id or empty. Only candidates of the best trust tier that has
/// a match are scored. Throws Error{not_found} when nothing fits, Error{bad_plugin} on a tie.
Selection select_plugin(const ModelNames& names, std::span<const PluginRow> rows, const ScoreFn& score,
                        std::string_view pin = {});

/// Orders versions by their dotted numbers ("0.10" after "0.9"), then as text; negative, 0 or positive.
int compare_versions(std::string_view a, std::string_view b);

}  // namespace tenon
