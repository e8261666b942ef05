// Raw attribute access for the catalogue's own code; everybody else reads the typed specs of catalogue.hpp.
#pragma once

#include "base/error.hpp"
#include "graph/ir.hpp"

namespace tenon {

std::string_view attr_kind_name(size_t variant_index);

/// The attribute as T, or `fallback` when absent; Error{bad_plugin} when it has another kind.
template <typename T>
T attr_or(const Node& node, std::string_view key, T fallback) {
  const auto it = node.attrs.find(key);
  if (it == node.attrs.end()) return fallback;
  if (const T* value = std::get_if<T>(&it->second)) return *value;
  fail(ErrorCode::bad_plugin, "[{}] attribute \"{}\" is {}, expected {}, at {}", node.op, key,
       attr_kind_name(it->second.index()), attr_kind_name(AttrValue(fallback).index()), location_text(node.at));
}

}  // namespace tenon
