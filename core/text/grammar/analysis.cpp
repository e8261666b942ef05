// Both properties are least fixpoints, found by following from each node to those that are made of it.
#include "text/grammar/analysis.hpp"

#include <algorithm>

#include "base/error.hpp"
#include "text/grammar/array_plan.hpp"
#include "text/grammar/object_plan.hpp"

namespace tenon::grammar {
namespace {

template <class... F>
struct Overload : F... {
  using F::operator()...;
};
template <class... F>
Overload(F...) -> Overload<F...>;

std::vector<NodeId> children(const Node& node) {
  std::vector<NodeId> out;
  const auto item = [&](const Array::Item& i) { out.insert(out.end(), {i.other, i.matching}); };
  std::visit(Overload{[](const Bytes&) {}, [](const JsonString&) {}, [&](const Sequence& s) { out = s.items; },
                      [&](const Choice& c) { out = c.options; }, [&](const Repeat& r) { out.push_back(r.item); },
                      [&](const Array& a) {
                        for (const Array::Item& i : a.prefix) item(i);
                        item(a.rest);
                        out.insert(out.end(), a.distinct.begin(), a.distinct.end());
                      },
                      [&](const Object& o) {
                        for (const Object::Property& p : o.properties) out.push_back(p.value);
                        for (const Object::Rest& r : o.rest) out.push_back(r.value);
                      }},
             node);
  std::erase(out, kNoNode);
  return out;
}

class Fixpoint {
 public:
  explicit Fixpoint(const Grammar& grammar) : grammar_(grammar), users_(grammar.nodes.size()) {
    for (NodeId id = 0; id < grammar.nodes.size(); ++id)
      for (NodeId child : children(grammar.nodes[id])) {
        if (child >= grammar.nodes.size()) fail(ErrorCode::internal, "[grammar] node {} of {}", child, users_.size());
        users_[child].push_back(id);
      }
  }

  /// The least set that holds every node of which `holds(node, set)` is true.
  template <class F>
  std::vector<uint8_t> least(F holds) const {
    std::vector<uint8_t> set(grammar_.nodes.size());
    std::vector<NodeId> work(grammar_.nodes.size());
    for (NodeId id = 0; id < work.size(); ++id) work[id] = id;
    while (!work.empty()) {
      const NodeId id = work.back();
      work.pop_back();
      if (set[id] || !holds(grammar_.nodes[id], set)) continue;
      set[id] = 1;
      for (NodeId user : users_[id])
        if (!set[user]) work.push_back(user);
    }
    return set;
  }

 private:
  const Grammar& grammar_;
  std::vector<std::vector<NodeId>> users_;
};

bool is_nullable(const Node& node, const std::vector<uint8_t>& set) {
  return std::visit(
      Overload{[](const Bytes& b) { return !b.language->empty() && b.language->accepts(b.language->start()); },
               [&](const Sequence& s) {
                 return std::all_of(s.items.begin(), s.items.end(), [&](NodeId i) { return i != kNoNode && set[i]; });
               },
               [&](const Choice& c) {
                 return std::any_of(c.options.begin(), c.options.end(),
                                    [&](NodeId i) { return i != kNoNode && set[i]; });
               },
               [&](const Repeat& r) { return r.min == 0 || (r.item != kNoNode && set[r.item]); },
               [](const auto&) { return false; }},
      node);
}

bool is_productive(const Node& node, const std::vector<uint8_t>& set) {
  const auto ok = [&](NodeId i) { return i != kNoNode && set[i] != 0; };
  return std::visit(Overload{[](const Bytes& b) { return !b.language->empty(); },
                             [](const JsonString& s) { return !s.content->empty() && s.min_length <= s.max_length; },
                             [&](const Sequence& s) { return std::all_of(s.items.begin(), s.items.end(), ok); },
                             [&](const Choice& c) { return std::any_of(c.options.begin(), c.options.end(), ok); },
                             [&](const Repeat& r) { return r.min <= r.max && (r.min == 0 || ok(r.item)); },
                             [&](const Array& a) { return ArrayPlan(a, set).completable(0, 0); },
                             [&](const Object& o) {
                               const ObjectPlan plan(o, set);
                               return plan.completable(plan.none());
                             }},
                    node);
}

/// The nodes that may begin where this one begins.
std::vector<NodeId> beginnings(const Node& node, const std::vector<uint8_t>& nullable) {
  std::vector<NodeId> out;
  if (const auto* s = std::get_if<Sequence>(&node)) {
    for (NodeId item : s->items) {
      if (item == kNoNode) break;
      out.push_back(item);
      if (!nullable[item]) break;
    }
  } else if (std::holds_alternative<Choice>(node) || std::holds_alternative<Repeat>(node)) {
    out = children(node);
  }
  return out;
}

void refuse_left_recursion(const Grammar& grammar, const std::vector<uint8_t>& nullable) {
  enum : uint8_t { fresh, open, done };
  std::vector<uint8_t> mark(grammar.nodes.size(), fresh);
  struct Visit {
    NodeId node;
    std::vector<NodeId> next;
  };
  for (NodeId root = 0; root < grammar.nodes.size(); ++root) {
    if (mark[root] != fresh) continue;
    std::vector<Visit> path{{root, beginnings(grammar.nodes[root], nullable)}};
    mark[root] = open;
    while (!path.empty()) {
      Visit& top = path.back();
      if (top.next.empty()) {
        mark[top.node] = done;
        path.pop_back();
        continue;
      }
      const NodeId child = top.next.back();
      top.next.pop_back();
      if (mark[child] == open) {
        auto at = std::find_if(path.begin(), path.end(), [&](const Visit& v) { return v.node == child; });
        while (at + 1 != path.end() && !grammar.names.contains(at->node)) ++at;
        const auto name = grammar.names.find(at->node);
        fail(ErrorCode::unsupported, "[grammar] left recursion: rule '{}' begins with itself",
             name != grammar.names.end() ? name->second : std::to_string(child));
      }
      if (mark[child] != fresh) continue;
      mark[child] = open;
      path.push_back({child, beginnings(grammar.nodes[child], nullable)});
    }
  }
}

}  // namespace

Analysis analyse(const Grammar& grammar) {
  const Fixpoint fixpoint(grammar);
  Analysis out{fixpoint.least(is_nullable), fixpoint.least(is_productive)};
  refuse_left_recursion(grammar, out.nullable);
  return out;
}

}  // namespace tenon::grammar
