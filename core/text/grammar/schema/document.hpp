// A schema document: where its parts are, and what references in it mean.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/value.hpp"

namespace tenon::grammar::schema {

class Document {
 public:
  explicit Document(const Value& root);
  const Value& root() const { return root_; }

  /// What "$ref" in the schema `at` means. Error{unsupported} for another document, Error{usage} for what is not there.
  const Value& resolve(const std::string& reference, const Value& at) const;
  /// "$dynamicRef", where only one place can be meant. Error{unsupported} where the way there would decide.
  const Value& resolve_dynamic(const std::string& reference, const Value& at) const;
  /// The JSON pointer of a part of the document, for messages.
  std::string pointer(const Value& part) const;

 private:
  void index(const Value& value, const Value* resource, int depth);
  const Value* by_pointer(const Value& from, std::string_view pointer) const;
  const Value& root_;
  std::map<std::string, const Value*> ids_;
  std::map<std::pair<const Value*, std::string>, const Value*> anchors_;  // by resource: what has an "$id" of its own
  std::map<const Value*, const Value*> resources_;                        // by schema with a reference
};

}  // namespace tenon::grammar::schema
