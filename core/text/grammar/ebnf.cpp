// From rules to nodes. What needs no recursion becomes one automaton where that stays small; direct left recursion is
// turned around: A ::= A x | b is b x*.
#include <algorithm>

#include "base/error.hpp"
#include "text/grammar/ebnf_parse.hpp"
#include "text/grammar/grammar.hpp"
#include "text/grammar/regex.hpp"
#include "text/grammar/regex_parse.hpp"

namespace tenon::grammar {
namespace {

using Kind = EbnfTree::Kind;

constexpr size_t kMaxInlined = 4000, kMaxNodes = 100000;
constexpr uint32_t kMaxStates = 4096;

bool begins_with(const EbnfTree& tree, uint32_t rule) {
  if (tree.kind == Kind::rule) return tree.rule == rule;
  return tree.kind == Kind::concat && !tree.parts.empty() && begins_with(tree.parts[0], rule);
}

EbnfTree without_first(EbnfTree tree) {
  if (tree.kind == Kind::concat) {
    if (tree.parts[0].kind == Kind::rule)
      tree.parts.erase(tree.parts.begin());
    else
      tree.parts[0] = without_first(std::move(tree.parts[0]));
    return tree;
  }
  return {};
}

void turn_around(EbnfTree& tree, uint32_t rule) {
  EbnfTree bases{Kind::either}, tails{Kind::either};
  std::vector<EbnfTree> options;
  if (tree.kind == Kind::either)
    options = std::move(tree.parts);
  else
    options.push_back(std::move(tree));
  for (EbnfTree& option : options) {
    if (option.kind == Kind::rule && option.rule == rule) continue;  // A ::= A says nothing
    if (begins_with(option, rule))
      tails.parts.push_back(without_first(std::move(option)));
    else
      bases.parts.push_back(std::move(option));
  }
  if (tails.parts.empty()) {
    tree = std::move(bases);
    return;
  }
  EbnfTree more{Kind::repeat};
  more.parts.push_back(std::move(tails));
  more.max = EbnfTree::kNoEnd;
  tree = {Kind::concat};
  tree.parts.push_back(std::move(bases));
  tree.parts.push_back(std::move(more));
}

class Builder {
 public:
  explicit Builder(EbnfRules rules) : rules_(std::move(rules)), recursive_(rules_.names.size(), 0) {}

  Grammar build() {
    const auto n = static_cast<uint32_t>(rules_.names.size());
    for (uint32_t rule = 0; rule < n; ++rule) turn_around(rules_.trees[rule], rule);
    find_recursive();
    for (uint32_t rule = 0; rule < n; ++rule) {
      const NodeId id = grammar_.add(Choice{});
      grammar_.names[id] = rules_.names[rule];
    }
    // Only what the root needs.
    std::vector<uint8_t> wanted(n, 0);
    open_.push_back(rules_.root);
    while (!open_.empty()) {
      const uint32_t rule = open_.back();
      open_.pop_back();
      if (std::exchange(wanted[rule], 1)) continue;
      const NodeId body = node(rules_.trees[rule]);
      std::get<Choice>(grammar_.nodes[rule]).options = {body};
    }
    grammar_.root = rules_.root;
    return std::move(grammar_);
  }

 private:
  void for_each_rule(const EbnfTree& tree, const auto& visit) const {
    if (tree.kind == Kind::rule) visit(tree.rule);
    for (const EbnfTree& part : tree.parts) for_each_rule(part, visit);
  }

  // A rule that leads to itself, or to one that does: all that is left when those that need nothing open are taken
  // away.
  void find_recursive() {
    const size_t n = rules_.names.size();
    std::vector<std::vector<uint32_t>> users(n);
    std::vector<size_t> needs(n, 0);
    std::vector<uint32_t> ready;
    for (uint32_t rule = 0; rule < n; ++rule)
      for_each_rule(rules_.trees[rule], [&](uint32_t used) { users[used].push_back(rule), ++needs[rule]; });
    for (uint32_t rule = 0; rule < n; ++rule)
      if (needs[rule] == 0) ready.push_back(rule);
    std::fill(recursive_.begin(), recursive_.end(), uint8_t{1});
    sizes_.assign(n, kMaxInlined);
    while (!ready.empty()) {
      const uint32_t rule = ready.back();
      ready.pop_back();
      recursive_[rule] = 0;
      sizes_[rule] = size(rules_.trees[rule]);
      for (uint32_t user : users[rule])
        if (--needs[user] == 0) ready.push_back(user);
    }
  }

  /// Of the tree with rules put in, as far as it matters.
  size_t size(const EbnfTree& tree) const {
    if (tree.kind == Kind::rule) return recursive_[tree.rule] ? kMaxInlined : sizes_[tree.rule];
    size_t n = 1;
    for (const EbnfTree& part : tree.parts) n = std::min(kMaxInlined, n + size(part));
    if (tree.kind == Kind::repeat)
      n = std::min(kMaxInlined, n * std::max<size_t>(1, tree.max == EbnfTree::kNoEnd ? tree.min : tree.max));
    return n;
  }

  bool is_regular(const EbnfTree& tree) const {
    bool out = true;
    for_each_rule(tree, [&](uint32_t rule) { out = out && !recursive_[rule]; });
    return out && size(tree) < kMaxInlined;
  }

  Regex as_regex(const EbnfTree& tree) const {
    if (tree.kind == Kind::rule) return as_regex(rules_.trees[tree.rule]);
    Regex out;
    out.kind = tree.kind == Kind::set      ? Regex::Kind::set
               : tree.kind == Kind::either ? Regex::Kind::either
               : tree.kind == Kind::repeat ? Regex::Kind::repeat
                                           : Regex::Kind::concat;
    out.set = tree.set;
    out.min = tree.min;
    out.max = tree.max;
    for (const EbnfTree& part : tree.parts) out.parts.push_back(as_regex(part));
    return out;
  }

  /// One automaton, where it is not too large.
  NodeId regular_node(const EbnfTree& tree) {
    if (!is_regular(tree)) return kNoNode;
    try {
      auto language = std::make_shared<const Dfa>(regex(as_regex(tree)));
      if (language->size() <= kMaxStates) return grammar_.add(Bytes{std::move(language)});
    } catch (const Error& e) {
      if (e.code() != ErrorCode::capacity) throw;
    }
    return kNoNode;
  }

  NodeId node(const EbnfTree& tree) {
    if (grammar_.nodes.size() > kMaxNodes) fail(ErrorCode::capacity, "[grammar] more than {} nodes", kMaxNodes);
    if (const NodeId id = regular_node(tree); id != kNoNode) return id;
    switch (tree.kind) {
      case Kind::rule:
        open_.push_back(tree.rule);
        return tree.rule;
      case Kind::set:
        return grammar_.add(Bytes{std::make_shared<const Dfa>(one_of(tree.set))});
      case Kind::repeat: {
        const NodeId item = node(tree.parts[0]);
        return grammar_.add(Repeat{item, tree.min, tree.max == EbnfTree::kNoEnd ? kUnbounded : tree.max});
      }
      case Kind::either:
        return grammar_.add(Choice{joined(tree)});
      case Kind::concat:
        break;
    }
    return grammar_.add(Sequence{joined(tree)});
  }

  /// Its parts as nodes, neighbours that are regular in one.
  std::vector<NodeId> joined(const EbnfTree& tree) {
    std::vector<NodeId> out;
    EbnfTree run{tree.kind};
    const auto close = [&] {
      if (run.parts.empty()) return;
      const NodeId id = regular_node(run);
      if (id != kNoNode)
        out.push_back(id);
      else
        for (const EbnfTree& part : run.parts) out.push_back(node(part));
      run.parts.clear();
    };
    for (const EbnfTree& part : tree.parts) {
      if (is_regular(part)) {
        run.parts.push_back(part);
        continue;
      }
      close();
      out.push_back(node(part));
    }
    // All of it: regular_node has tried that already.
    if (run.parts.size() < tree.parts.size()) {
      close();
    } else {
      for (const EbnfTree& part : run.parts) out.push_back(node(part));
    }
    return out;
  }

  EbnfRules rules_;
  std::vector<uint8_t> recursive_;
  std::vector<size_t> sizes_;
  std::vector<uint32_t> open_;
  Grammar grammar_;
};

}  // namespace

Grammar from_ebnf(std::string_view text) { return Builder(parse_ebnf(text)).build(); }

}  // namespace tenon::grammar
