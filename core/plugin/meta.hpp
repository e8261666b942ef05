// The host side of "tenon.meta/0": one model's metadata, behind the names that both formats give each hyper-parameter.
// Remembers which keys were read or ignored, so that a key nobody looked at cannot change a model silently.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.hpp"
#include "tenon/abi.h"

/// The ABI's opaque type. Used by one thread at a time.
struct tn_meta {
  explicit tn_meta(const tenon::Checkpoint& checkpoint);

  static const tn_meta_v0* table();

  /// The value of a key in this model's format, nullptr when absent or null. Marks the key as read.
  const tenon::Value* read(const tn_key& key) const;
  const tenon::Value* look(const tn_key& key) const;  // without marking
  std::string spell(const tn_key& key) const;         // as this format writes it; "" when it has no such key

  /// Records "key is an X, a Y was expected".
  void type_error(const tn_key& key, std::string_view expected, const tenon::Value& found) const;
  /// Throws Error{bad_model} with the first recorded error.
  void throw_errors() const;

  /// Keys that nobody read or ignored and that are neither neutral nor false, zero, null or empty: "key = value".
  std::vector<std::string> unread() const;

  const tenon::Checkpoint& checkpoint;
  std::string architecture;  // GGUF general.architecture, "" for safetensors
  std::string place;         // file name for messages

  mutable std::set<std::string, std::less<>> read_keys;
  mutable std::vector<std::string> ignored_globs;
  mutable std::vector<std::string> errors;
};
