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

  /// What "$ref" or "$dynamicRef" means. Error{unsupported} for another document, Error{usage} for what is not there.
  const Value& resolve(const std::string& reference, const Value& at) const;
  /// The JSON pointer of a part of the document, for messages.
  std::string pointer(const Value& part) const;

 private:
  void index(const Value& value, int depth);
  const Value* by_pointer(const Value& from, std::string_view pointer) const;
  const Value& root_;
  std::map<std::string, const Value*> anchors_, ids_;
};

}  // namespace tenon::grammar::schema
