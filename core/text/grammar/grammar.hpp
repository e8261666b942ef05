// What output may look like: a graph of nodes, cycles allowed, that a matcher follows byte by byte. JSON Schemas,
// regular expressions, GBNF and choices all become one of these.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/value.hpp"
#include "text/grammar/dfa.hpp"

namespace tenon::grammar {

using NodeId = uint32_t;
inline constexpr NodeId kNoNode = UINT32_MAX;  // in place of a value: nothing is allowed there
inline constexpr uint32_t kUnbounded = UINT32_MAX;

/// Bytes of a regular language.
struct Bytes {
  DfaPtr language;
};

/// A JSON string in quotes. `content` is about the text it stands for; every spelling of its characters is allowed.
struct JsonString {
  DfaPtr content;                                    // any_text() where a length is given
  uint32_t min_length = 0, max_length = kUnbounded;  // in code points
};

struct Sequence {
  std::vector<NodeId> items;
};

/// One of the options; none at all when empty.
struct Choice {
  std::vector<NodeId> options;
};

struct Repeat {
  NodeId item = kNoNode;
  uint32_t min = 0, max = kUnbounded;
};

/// A JSON array. Items are counted as matching when they are read by a node of `matching`: `contains` of JSON Schema.
/// Without `contains` all nodes are in `other`.
struct Array {
  struct Item {
    NodeId other = kNoNode, matching = kNoNode;
  };
  std::vector<Item> prefix = {};
  Item rest = {};  // every further item
  uint32_t min_items = 0, max_items = kUnbounded;
  uint32_t min_matching = 0, max_matching = kUnbounded;
  /// Where not empty, items are of these alone, each at most once (`uniqueItems` of an enumeration); then there is no
  /// prefix, rest or matching. At most kMaxDistinct.
  std::vector<NodeId> distinct = {};
};
inline constexpr size_t kMaxDistinct = 24;

/// A JSON object, its members in any order, none of the named ones twice.
struct Object {
  struct Property {
    std::string name;
    NodeId value = kNoNode;  // kNoNode: must not be there
    bool required = false;
  };
  struct Rest {
    DfaPtr keys;  // texts of keys, none a property's name; disjoint from those of other rests
    NodeId value = kNoNode;
    bool required = false;  // at least one member of it
  };
  struct Dependency {
    uint32_t property;  // where this one is there
    std::vector<uint32_t> needs;
  };
  std::vector<Property> properties = {};
  std::vector<Rest> rest = {};  // keys that are in none are not allowed
  std::vector<Dependency> dependencies = {};
  uint32_t min_properties = 0, max_properties = kUnbounded;
};

using Node = std::variant<Bytes, JsonString, Sequence, Choice, Repeat, Array, Object>;

struct Grammar {
  std::vector<Node> nodes = {};
  NodeId root = kNoNode;
  DfaPtr whitespace = nullptr;               // between the parts of arrays and objects
  std::map<NodeId, std::string> names = {};  // of nodes that stand for rules, for messages

  NodeId add(Node node) {
    nodes.push_back(std::move(node));
    return static_cast<NodeId>(nodes.size() - 1);
  }
};

/// JSON Schema, draft 2020-12. Error{usage} for a broken schema, Error{unsupported, "[schema] at POINTER: KEYWORD
/// ..."} for a keyword that cannot be enforced, Error{capacity} past limits.
Grammar from_json_schema(const Value& schema);
/// GBNF and W3C-like EBNF. Error{usage, "[grammar] line L, column C: ..."}; left recursion that cannot be rewritten is
/// Error{unsupported} naming the rule.
Grammar from_ebnf(std::string_view text);
/// Whole output matches the pattern: grammar::regex.
Grammar from_regex(std::string_view pattern);
/// Exactly one of these texts. Error{usage} without any.
Grammar from_choice(std::span<const std::string> texts);
/// Any JSON value (response_format json_object: `object_only`).
Grammar any_json(bool object_only);

}  // namespace tenon::grammar
