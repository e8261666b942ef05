// Loading: from a path to something that can run steps. See model.hpp.
#include "engine/model.hpp"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include "base/error.hpp"
#include "checkpoint/quantised.hpp"
#include "graph/passes.hpp"
#include "plugin/describe.hpp"
#include "plugin/registry.hpp"
#include "text/tokenizer.hpp"

namespace tenon {
namespace {

constexpr int64_t kMaxStep = 65536;
constexpr int64_t kMaxCtx = int64_t{1} << 30;  // positions are 32-bit

const GraphValue& logits_value(const Graph& graph) {
  const auto it = graph.outputs.find("logits");
  if (it == graph.outputs.end())
    fail(ErrorCode::unsupported, "[model] the graph has no output \"logits\", text cannot be generated from it");
  return graph.value(it->second);
}

void add_ids(const Value* value, int64_t n_vocab, std::set<int32_t>& ids) {
  if (!value) return;
  if (value->is_array()) {
    for (const Value& v : value->as_array()) add_ids(&v, n_vocab, ids);
  } else if (value->is_int() && value->as_int() >= 0 && value->as_int() < n_vocab) {
    ids.insert(static_cast<int32_t>(value->as_int()));
  }
}

/// Tied weights count once; each weight counts in the storage that `weights` has.
uint64_t bytes_per_token(const Graph& graph, const std::vector<HostTensor>& weights) {
  std::map<const std::byte*, uint64_t> read;
  for (const Node& node : graph.nodes) {
    if (node.op == "tenon.embed/1") continue;
    for (ValueId id : node.inputs) {
      if (id == 0 || graph.value(id).kind != ValueKind::weight) continue;
      const HostTensor& w = weights[graph.value(id).weight - 1];
      const bool experts = node.op == "tenon.moe_ffn/1" && !w.shape.empty() && w.shape[0] > 0;
      const auto chosen = experts ? static_cast<uint64_t>(graph.value(node.inputs[1]).shape.back()) : 1;
      read[w.data] = experts ? w.bytes / static_cast<uint64_t>(w.shape[0]) * chosen : w.bytes;
    }
  }
  uint64_t sum = 0;
  for (const auto& [data, bytes] : read) sum += bytes;
  return sum;
}

}  // namespace

std::vector<int32_t> checkpoint_stop_ids(const Checkpoint& checkpoint, int64_t n_vocab) {
  std::set<int32_t> ids;
  if (checkpoint.format() == Format::gguf) {
    for (const char* key :
         {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"})
      add_ids(checkpoint.meta(key), n_vocab, ids);
  } else {
    for (const char* key : {"eos_token_id", "text_config.eos_token_id"}) add_ids(checkpoint.meta(key), n_vocab, ids);
    if (const Value* side = checkpoint.side_json("generation_config.json"))
      add_ids(side->find("eos_token_id"), n_vocab, ids);
  }
  return {ids.begin(), ids.end()};
}

std::shared_ptr<Model> Model::load(const std::filesystem::path& path, const LoadOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  if (options.max_tokens < 1 || options.max_tokens > kMaxStep)
    fail(ErrorCode::usage, "[load] {} tokens a step, allowed are 1 ... {}", options.max_tokens, kMaxStep);
  if (options.max_seqs < 1 || options.max_seqs > 4096)
    fail(ErrorCode::usage, "[load] {} sequences, allowed are 1 ... 4096", options.max_seqs);
  if (options.max_snapshots < 0 || options.max_snapshots > 4096)
    fail(ErrorCode::usage, "[load] {} snapshots, allowed are 0 ... 4096", options.max_snapshots);
  if (options.ctx < 0 || options.ctx > kMaxCtx)
    fail(ErrorCode::usage, "[load] a context of {} tokens, allowed are 1 ... {}", options.ctx, kMaxCtx);

  std::shared_ptr<Model> model(new Model);
  model->backend_ = make_backend(options.backend, options.threads);
  model->checkpoint_ = unpacked(Checkpoint::open(path));
  model->describe_graph(options);
  const LoadOptions fitted = model->fitted(options);
  model->compile(fitted);
  model->make_states(fitted);
  model->reuse_prefixes(fitted);
  model->info_.load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return model;
}

Model::~Model() = default;

void Model::describe_graph(const LoadOptions& options) {
  PluginRegistry plugins = PluginRegistry::scan(plugin_dirs(options.plugin_dirs));
  Description d = describe(*checkpoint_, plugins, {.arch = options.arch, .allow_unread = options.allow_unread});
  graph_ = std::move(d.graph);
  info_.plugin_id = std::move(d.plugin_id);
  info_.plugin_file = std::move(d.plugin_file);
  info_.plugin_why = std::move(d.why);
  info_.warnings = std::move(d.warnings);
  info_.n_ctx_trained = graph_.param_int("n_ctx");
  for (const Node& node : graph_.nodes)
    if (node.op == "tenon.rope/1")
      if (auto spec = rope_spec(node); rope_depends_on_length(spec)) length_ropes_.push_back(std::move(spec));
  keep_stored_rope_rows(graph_);
  keep_stored_latent_keys(graph_);
}

LoadOptions Model::fitted(LoadOptions options) const {
  if (!needs_whole_sequences(graph_)) return options;
  if (options.whole_tokens > kMaxStep)
    fail(ErrorCode::capacity, "[load] a step of {} tokens, allowed are {}", options.whole_tokens, kMaxStep);
  options.max_tokens = std::max(options.max_tokens, options.whole_tokens);
  return options;
}

void Model::compile(const LoadOptions& options) {
  info_.backend = backend_->name();
  info_.isa = backend_->isa();
  auto weights = load_weights(graph_, *checkpoint_, [&](uint64_t done, uint64_t total) {
    if (options.progress) options.progress("weights", done, total);
  });
  std::set<const std::byte*> seen;
  for (const HostTensor& w : weights)
    if (seen.insert(w.data).second) info_.weight_bytes += w.bytes;
  info_.decode_bytes = bytes_per_token(graph_, weights);

  if (backend_->wants_fused()) info_.passes = optimise(graph_);
  const int64_t max_rows = options.all_logits ? options.max_tokens : std::min(options.max_seqs, options.max_tokens);
  executable_ = backend_->compile(graph_, std::move(weights),
                                  {.exact = options.exact,
                                   .max_tokens = options.max_tokens,
                                   .max_rows = max_rows,
                                   .max_seqs = options.max_seqs,
                                   .force = options.force});
  info_.arena_bytes = executable_->arena_bytes();
}

// Room for every sequence at full length, as far as memory goes. Pages cost nothing before they are written. Windows
// come first, since a sequence of any length needs all of them; the pages of full attention take what is left.
StateSizes Model::state_sizes(const LoadOptions& options, int64_t n_ctx, uint64_t budget) const {
  const PageGroups groups = page_groups(graph_);
  StateSizes sizes{std::vector<int32_t>(groups.windows.size(), 1), 1};
  const auto one = backend_->make_states(graph_, sizes, options.exact);
  const auto seqs = static_cast<uint64_t>(options.max_seqs);
  uint64_t left = budget;
  const auto spend = [&](uint64_t wanted, uint64_t least, uint64_t bytes) {
    constexpr uint64_t kMost = uint64_t{1} << 26;
    const uint64_t possible = bytes > 0 ? left / bytes : wanted;
    const uint64_t n = std::clamp<uint64_t>(std::min(wanted, possible), least, kMost);
    left -= std::min(left, n * bytes);
    return static_cast<int32_t>(n);
  };
  const auto snapshots = static_cast<uint64_t>(options.max_snapshots);
  sizes.slots = one->bytes_per_slot() > 0 ? spend(seqs + snapshots, 1, one->bytes_per_slot()) : 0;
  for (bool windowed : {true, false})
    for (size_t g = 0; g < groups.windows.size(); ++g) {
      if ((groups.windows[g] > 0) != windowed) continue;
      int64_t need = pages_for(n_ctx);
      if (windowed) need = std::min(need, window_pages(groups.windows[g], options.max_tokens));
      sizes.pages[g] = spend(static_cast<uint64_t>(need) * seqs, 1, one->groups()[g].bytes_per_page);
    }
  return sizes;
}

void Model::make_states(const LoadOptions& options) {
  const bool pages = !page_groups(graph_).windows.empty();
  // State of one size has no end of its own: neither memory nor positions limit how far it is carried.
  const bool endless = !pages && !graph_.states.empty();
  const int64_t trained = endless ? kMaxCtx : std::clamp<int64_t>(info_.n_ctx_trained, 1, kMaxCtx);
  const int64_t n_ctx = options.ctx > 0 ? options.ctx : trained;
  const uint64_t budget = options.state_bytes > 0 ? options.state_bytes : available_memory() / 2;
  states_ = backend_->make_states(graph_, state_sizes(options, n_ctx, budget), options.exact);
  for (const StatePool::Group& g : states_->groups()) {
    info_.n_pages += g.n_pages;
    info_.page_bytes += g.bytes_per_page;
  }
  info_.slot_bytes = states_->bytes_per_slot();

  const bool whole = needs_whole_sequences(graph_);
  runner_ = std::make_unique<Runner>(
      *executable_, *states_,
      RunnerLimits{.max_tokens = options.max_tokens,
                   .max_rows = options.all_logits ? options.max_tokens : std::min(options.max_seqs, options.max_tokens),
                   .max_seqs = options.max_seqs,
                   .n_ctx = n_ctx,
                   .n_vocab = whole ? graph_.param_int("n_vocab") : logits_value(graph_).shape.back(),
                   .whole = whole});
  if (runner_->limits().n_ctx < n_ctx)
    info_.warnings.push_back(fmt::format("the context is cut from {} to {} tokens: {} MiB are left for states", n_ctx,
                                         runner_->limits().n_ctx, budget >> 20));
}

// A page stands for its tokens alone where all state is keys and values of every position, and rope chose one way: by
// frequencies that do not depend on the planned length, or by the same ones.
void Model::reuse_prefixes(const LoadOptions& options) {
  if (!(options.reuse >= 0 && options.reuse <= 1))
    fail(ErrorCode::usage, "[model] reuse {} is outside 0 ... 1", options.reuse);
  const auto whole = [](const GraphState& s) { return s.paged() && s.window == 0; };
  if (options.reuse == 0 || graph_.states.empty() || !std::all_of(graph_.states.begin(), graph_.states.end(), whole))
    return;
  const auto frequencies = [this](int64_t planned_len) {
    std::string salt;
    for (const RopeSpec& spec : length_ropes_) {
      const double choice = rope_choice(spec, planned_len);
      salt.append(reinterpret_cast<const char*>(&choice), sizeof choice);
    }
    return salt;
  };
  runner_->reuse_prefixes(static_cast<int64_t>(options.reuse * info_.n_pages), frequencies);
}

std::shared_ptr<const Tokenizer> Model::tokenizer() {
  std::lock_guard lock(lazy_mutex_);
  if (!tokenizer_) tokenizer_ = Tokenizer::from_checkpoint(*checkpoint_);
  return tokenizer_;
}

const std::vector<int32_t>& Model::stop_ids() {
  {
    std::lock_guard lock(lazy_mutex_);
    if (stop_ids_) return *stop_ids_;
  }
  const auto stored = checkpoint_stop_ids(*checkpoint_, n_vocab());
  std::set<int32_t> ids(stored.begin(), stored.end());
  try {
    for (int32_t id : tokenizer()->stop_ids())
      if (id >= 0 && id < n_vocab()) ids.insert(id);
  } catch (const Error&) {
    // Ids in and out need no tokenizer; whoever wants text meets the error there.
  }
  std::lock_guard lock(lazy_mutex_);
  if (!stop_ids_) stop_ids_.emplace(ids.begin(), ids.end());
  return *stop_ids_;
}

}  // namespace tenon
