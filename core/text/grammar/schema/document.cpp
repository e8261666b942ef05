#include "text/grammar/schema/document.hpp"

#include <algorithm>
#include <charconv>

#include "base/error.hpp"

namespace tenon::grammar::schema {
namespace {

std::string unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    unsigned code = 0;
    if (text[i] == '~' && i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1')) {
      out += text[++i] == '0' ? '~' : '/';
    } else if (text[i] == '%' && i + 2 < text.size() &&
               std::from_chars(&text[i + 1], &text[i + 1] + 2, code, 16).ptr == &text[i + 1] + 2) {
      out += static_cast<char>(code);
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

const Value* step(const Value& value, const std::string& key) {
  if (value.is_object()) return value.find(key);
  size_t index = 0;
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), index);
  if (!value.is_array() || error != std::errc() || end != key.data() + key.size()) return nullptr;
  return index < value.as_array().size() ? &value.as_array()[index] : nullptr;
}

bool find_path(const Value& from, const Value& part, std::string& path) {
  if (&from == &part) return true;
  const size_t length = path.size();
  const auto below = [&](const std::string& key, const Value& value) {
    path += "/" + key;
    if (find_path(value, part, path)) return true;
    path.resize(length);
    return false;
  };
  if (from.is_object()) {
    for (const auto& [key, value] : from.as_object())
      if (below(key, value)) return true;
  } else if (from.is_array()) {
    for (size_t i = 0; i < from.as_array().size(); ++i)
      if (below(std::to_string(i), from.as_array()[i])) return true;
  }
  return false;
}

}  // namespace

Document::Document(const Value& root) : root_(root) { index(root, &root, 0); }

void Document::index(const Value& value, const Value* resource, int depth) {
  constexpr int kMaxDepth = 256;
  if (depth > kMaxDepth) fail(ErrorCode::capacity, "[schema] nested deeper than {}", kMaxDepth);
  if (value.is_array()) {
    for (const Value& v : value.as_array()) index(v, resource, depth + 1);
  } else if (value.is_object()) {
    if (const Value* id = value.find("$id"); id && id->is_string()) {
      resource = &value;
      ids_.try_emplace(id->as_string(), &value);
    }
    for (const auto& [key, v] : value.as_object()) {
      if ((key == "$anchor" || key == "$dynamicAnchor") && v.is_string())
        anchors_.try_emplace({resource, v.as_string()}, &value);
      if (key.ends_with("ef")) resources_[&value] = resource;  // $ref, $dynamicRef, $recursiveRef
      if (key != "const" && key != "enum") index(v, resource, depth + 1);
    }
  }
}

std::string Document::pointer(const Value& part) const {
  std::string path = "#";
  find_path(root_, part, path);
  return path;
}

const Value* Document::by_pointer(const Value& from, std::string_view pointer) const {
  const Value* at = &from;
  while (at && !pointer.empty()) {
    if (pointer[0] != '/') return nullptr;
    const size_t end = std::min(pointer.find('/', 1), pointer.size());
    at = step(*at, unescaped(pointer.substr(1, end - 1)));
    pointer.remove_prefix(end);
  }
  return at;
}

const Value& Document::resolve(const std::string& reference, const Value& at) const {
  const size_t hash = std::min(reference.find('#'), reference.size());
  const std::string document = reference.substr(0, hash);
  const std::string fragment = hash < reference.size() ? reference.substr(hash + 1) : "";
  const auto own = resources_.find(&at);
  const Value* base = own == resources_.end() ? &root_ : own->second;
  if (!document.empty()) {
    // Relative to the document's own name, the last part of an identifier is enough.
    const auto id = std::find_if(ids_.begin(), ids_.end(), [&](const auto& i) {
      const std::string& text = i.first;
      return text == document || (text.size() > document.size() && text.ends_with("/" + document));
    });
    if (id == ids_.end())
      fail(ErrorCode::unsupported, "[schema] at {}: keyword '$ref' points to another document, {}", pointer(at),
           reference);
    base = id->second;
  }
  const Value* found = nullptr;
  if (fragment.empty() || fragment[0] == '/')
    found = by_pointer(*base, fragment);
  else if (const auto anchor = anchors_.find({base, fragment}); anchor != anchors_.end())
    found = anchor->second;
  if (!found) fail(ErrorCode::usage, "[schema] at {}: '$ref' {} is not there", pointer(at), reference);
  return *found;
}

const Value& Document::resolve_dynamic(const std::string& reference, const Value& at) const {
  const Value& first = resolve(reference, at);
  const Value* name = first.find("$dynamicAnchor");
  if (!name || !name->is_string() || !reference.ends_with("#" + name->as_string())) return first;
  const auto others = std::count_if(anchors_.begin(), anchors_.end(), [&](const auto& anchor) {
    const Value* dynamic = anchor.second->find("$dynamicAnchor");
    return anchor.first.second == name->as_string() && dynamic && dynamic->is_string() &&
           dynamic->as_string() == name->as_string();
  });
  if (others > 1)
    fail(ErrorCode::unsupported, "[schema] at {}: keyword '$dynamicRef' may mean {} places", pointer(at), others);
  return first;
}

}  // namespace tenon::grammar::schema
