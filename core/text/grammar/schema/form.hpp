// Sets of JSON values by type. null, booleans, numbers and strings are exact; arrays and objects are alternatives of
// conjunctions, whose members are expressions still to be looked into. All operations are closed, or say what is not.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "text/grammar/dfa.hpp"
#include "text/grammar/grammar.hpp"
#include "text/grammar/schema/expr.hpp"

namespace tenon::grammar::schema {

/// Texts of a language and of some lengths in code points.
struct Strings {
  DfaPtr content = nullptr;  // null: any text
  uint32_t min = 0, max = kUnbounded;
  bool any() const { return !content && min == 0 && max == kUnbounded; }
  bool empty() const { return (content && content->empty()) || min > max; }
  /// Content and lengths in one. Error{capacity} when that is too large.
  Dfa language() const;
};

struct ArrayPart {
  std::vector<ExprId> prefix;
  ExprId rest = kTrue;
  ExprId item(size_t index) const { return index < prefix.size() ? prefix[index] : rest; }
};
struct Contains {
  ExprId expr = kTrue;
  size_t from = 0;  // items before this one do not count
  uint32_t min = 1, max = kUnbounded;
};
struct ArrayShape {
  std::vector<ArrayPart> parts = {};
  std::vector<Contains> contains = {};
  uint32_t min = 0, max = kUnbounded;
  bool unique = false;
};

struct ObjectPart {
  std::map<std::string, ExprId> properties = {};
  std::vector<std::pair<DfaPtr, ExprId>> patterns = {};
  ExprId additional = kTrue;  // for keys that are in neither
};
struct ObjectShape {
  std::vector<ObjectPart> parts = {};
  std::set<std::string> required = {};
  std::map<std::string, std::set<std::string>> needs = {};
  std::vector<DfaPtr> names = {};  // every key is in each of these
  std::vector<DfaPtr> some = {};   // and in each of these there is a key
  uint32_t min = 0, max = kUnbounded;
};

struct Form {
  bool null = false, no = false, yes = false;
  DfaPtr numbers;  // null: any
  Strings strings;
  std::vector<ArrayShape> arrays;
  std::vector<ObjectShape> objects;

  static Form all();
  static Form none();
  bool empty() const;
};

/// Operations on forms. Those on members go through `exprs`.
class Forms {
 public:
  explicit Forms(Exprs& exprs) : exprs_(exprs) {}
  Form both(const Form& a, const Form& b) const;
  Form either(const Form& a, const Form& b) const;
  /// Error{unsupported} for what no grammar can say, naming it.
  Form negation(const Form& form) const;

  /// What the members of an object must fulfil where its key is this.
  ExprId member(const ObjectShape& shape, const std::string& key) const;
  ExprId item(const ArrayShape& shape, size_t index) const;

 private:
  std::vector<ArrayShape> without(const ArrayShape& shape) const;
  std::vector<ObjectShape> without(const ObjectShape& shape) const;
  void without_part(const ObjectPart& part, std::vector<ObjectShape>& out) const;
  Exprs& exprs_;
};

}  // namespace tenon::grammar::schema
