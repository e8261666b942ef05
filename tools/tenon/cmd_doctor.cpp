// tenon doctor: what is here to run with, and what is amiss.
#include <fmt/format.h>

#include <memory>

#include "bandwidth.hpp"
#include "commands.hpp"
#include "options.hpp"
#include "units.hpp"

namespace tenon::tool {

namespace {

struct DoctorOptions {
  PluginOptions common;
  bool quick = false;
};

struct Findings {
  api::Machine machine;
  std::vector<api::PluginPlace> places;
  std::filesystem::path models;
  size_t n_models = 0;
  double bandwidth = 0;
  std::vector<std::string> problems;
};

Findings examine(const DoctorOptions& o) {
  Findings f;
  f.machine = api::machine();
  f.places = api::plugin_places(o.common.paths());
  f.models = api::models_dir();
  f.n_models = api::model_names(f.models).size();
  if (!o.quick) f.bandwidth = measure_read_bandwidth(o.common.threads ? o.common.threads : f.machine.processors);
  int usable = 0;
  for (const api::PluginPlace& p : f.places) {
    usable += p.usable;
    if (p.status != "ok" && p.status != "absent") f.problems.push_back(p.path.string() + ": " + p.status);
    if (p.refused)
      f.problems.push_back(fmt::format("{}: {} refused, `tenon plugin list` says why", p.path.string(), p.refused));
  }
  if (usable == 0) f.problems.push_back("no plugin: no model can be run");
  if (f.machine.isa == "x86-64") f.problems.push_back("no AVX2: only the plain kernels run");
  if (f.models.empty()) f.problems.push_back("neither HOME nor XDG_CACHE_HOME is set: there is no model cache");
  return f;
}

Value findings_value(const Findings& f) {
  Value::Array places;
  for (const api::PluginPlace& p : f.places)
    places.push_back(Value::Object{{"path", p.path.string()},
                                   {"trust", p.trust},
                                   {"status", p.status},
                                   {"usable", p.usable},
                                   {"refused", p.refused}});
  const api::Machine& m = f.machine;
  return Value::Object{
      {"version", TENON_VERSION},
      {"processor", m.processor},
      {"isa", m.isa},
      {"processors", m.processors},
      {"memory_bytes", static_cast<int64_t>(m.memory)},
      {"memory_available_bytes", static_cast<int64_t>(m.memory_available)},
      {"bandwidth_gbs", f.bandwidth > 0 ? Value(f.bandwidth / 1e9) : Value()},
      {"onednn", m.onednn.empty() ? Value() : Value(Value::Object{{"version", m.onednn}, {"file", m.onednn_file}})},
      {"plugin_dirs", std::move(places)},
      {"models", Value::Object{{"path", f.models.string()}, {"count", static_cast<int64_t>(f.n_models)}}},
      {"problems", Value::Array(f.problems.begin(), f.problems.end())}};
}

void print(const Findings& f) {
  const api::Machine& m = f.machine;
  fmt::print("tenon       {}\n", TENON_VERSION);
  fmt::print("processor   {}, {} in use, kernels for {}\n", m.processor, m.processors, m.isa);
  fmt::print("memory      {}, {} free", human_bytes(m.memory), human_bytes(m.memory_available));
  if (f.bandwidth > 0) fmt::print(", read at {:.1f} GB/s", f.bandwidth / 1e9);
  fmt::print("\noneDNN      {}\n", m.onednn.empty() ? "not in this build" : m.onednn + "  " + m.onednn_file);
  for (const api::PluginPlace& p : f.places) {
    fmt::print("plugins     {}: {}", p.path.string(), p.status);
    if (p.status == "ok") fmt::print(", {} usable", p.usable);
    if (p.refused) fmt::print(", {} refused", p.refused);
    fmt::print("\n");
  }
  fmt::print("models      {}: {}\n", f.models.string(), f.n_models);
  for (const std::string& problem : f.problems) fmt::print("problem     {}\n", problem);
}

int run(const DoctorOptions& o) {
  const Findings f = examine(o);
  if (o.common.json)
    write_out(to_json(findings_value(f)) + "\n");
  else
    print(f);
  return f.problems.empty() ? 0 : 1;
}

}  // namespace

void add_doctor(CLI::App& app, Commands& commands) {
  auto o = std::make_shared<DoctorOptions>();
  CLI::App* c =
      app.add_subcommand("doctor", "Say what this machine offers and what is amiss; status 1 when something is");
  c->add_flag("--quick", o->quick, "Do not measure the memory");
  add_plugin_options(*c, o->common);
  commands.emplace_back(c, [o] { return run(*o); });
}

}  // namespace tenon::tool
