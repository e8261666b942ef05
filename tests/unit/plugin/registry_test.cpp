// Discovery and the registry: where plugins come from, who may write there, duplicates, and the listing.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "plugin_fixture.hpp"

using namespace tenon;
using namespace tenon::test;

namespace {

// Sets an environment variable for one scope.
class Env {
 public:
  Env(const char* name, const std::string& value) : name_(name) {
    if (const char* old = getenv(name)) old_ = old;
    setenv(name, value.c_str(), 1);
  }
  ~Env() { old_ ? setenv(name_, old_->c_str(), 1) : unsetenv(name_); }

 private:
  const char* name_;
  std::optional<std::string> old_;
};

const PluginRow* find(const PluginRegistry& registry, const std::string& file) {
  for (const PluginRow& row : registry.rows())
    if (row.file.filename() == file) return &row;
  return nullptr;
}

}  // namespace

TEST_CASE("registry: a scan lists good and refused plugins in order and runs none") {
  TempDir dir;
  for (const char* name : {"good", "ctor_aborts", "other_major", "no_note"}) install(name, dir.path());
  std::ofstream(dir.path() / "readme.txt") << "no plugin";
  std::ofstream(dir.path() / ".hidden.so") << "a copy in progress";
  const PluginRegistry registry = scan(dir.path());
  REQUIRE(registry.rows().size() == 4);
  CHECK(find(registry, "good.so")->status == PluginStatus::ok);
  CHECK(find(registry, "ctor_aborts.so")->status == PluginStatus::ok);
  CHECK(find(registry, "no_note.so")->status == PluginStatus::refused);
  const PluginRow* refused = find(registry, "other_major.so");
  CHECK(refused->status == PluginStatus::refused);
  CHECK(refused->note->id == "other_major");
  CHECK(std::is_sorted(registry.rows().begin(), registry.rows().end(),
                       [](const PluginRow& a, const PluginRow& b) { return a.file < b.file; }));
}

TEST_CASE("registry: the same bytes count once, other bytes of the same id do not") {
  TempDir one, two;
  install("good", one.path());
  install("good", two.path(), "again");
  install("entry_abi", two.path());  // the id "good" as well
  const std::vector<fs::path> both = {one.path(), two.path(), one.path()};
  const PluginRegistry registry = PluginRegistry::scan(plugin_dirs(both));
  REQUIRE(registry.rows().size() == 2);
  CHECK(registry.rows()[0].file == one.path() / "good.so");
  CHECK(registry.rows()[1].file == two.path() / "entry_abi.so");
}

TEST_CASE("registry: what others may write to is refused") {
  TempDir dir;
  const fs::path file = install("good", dir.path());
  fs::permissions(file, fs::perms(0666));
  CHECK(has(scan(dir.path()).rows().at(0).reason, "file is world-writable (mode 0666)"));
  fs::permissions(file, fs::perms(0644));
  CHECK(scan(dir.path()).rows().at(0).status == PluginStatus::ok);
  fs::permissions(dir.path(), fs::perms(0777));
  const PluginRegistry open = scan(dir.path());
  REQUIRE(open.rows().size() == 1);
  CHECK(open.rows()[0].file == dir.path());
  CHECK(has(open.rows()[0].reason, "directory is world-writable (mode 0777)"));

  TempDir links;
  fs::create_symlink(file, links.path() / "link.so");
  CHECK(has(scan(links.path()).rows().at(0).reason, "is world-writable"));
  fs::permissions(dir.path(), fs::perms(0755));
  CHECK(scan(links.path()).rows().at(0).status == PluginStatus::ok);
}

TEST_CASE("registry: group-writable and foreign files" * doctest::skip(geteuid() != 0)) {
  TempDir dir;
  const fs::path file = install("good", dir.path());
  REQUIRE(chown(file.c_str(), 0, 4321) == 0);
  fs::permissions(file, fs::perms(0664));
  CHECK(has(scan(dir.path()).rows().at(0).reason, "group-writable (mode 0664) by group 4321"));
  REQUIRE(chown(file.c_str(), 4321, 0) == 0);
  fs::permissions(file, fs::perms(0644));
  CHECK(has(scan(dir.path()).rows().at(0).reason, "owned by user 4321"));
}

TEST_CASE("registry: directories named by the user, by the environment, and neither") {
  TempDir dir, home;
  install("good", dir.path());
  const fs::path own = home.path() / ".local/share/tenon/plugins";
  fs::create_directories(own);
  const Env env("TENON_PLUGIN_PATH", ":relative/dir:" + dir.path().string() + ":/does/not/exist:");
  const Env home_env("HOME", home.path().string());
  const auto dirs = plugin_dirs();
  REQUIRE(dirs.size() == 6);
  CHECK(dirs[0].trust == Trust::builtin);
  CHECK(dirs[0].path.filename() == "plugins");
  CHECK(dirs[1].path == "relative/dir");
  CHECK(dirs[2].path == dir.path());
  CHECK(dirs[4].path == own);
  CHECK(dirs[5].path == "/usr/lib/tenon/plugins");
  const auto found = find_plugins(std::span(dirs).subspan(1));
  REQUIRE(found.size() >= 3);
  CHECK(has(found[0].refusal, "relative path"));
  CHECK(found[1].file == dir.path() / "good.so");
  CHECK(found[1].refusal.empty());
  CHECK(found[2].file == "/does/not/exist");
  CHECK(has(found[2].refusal, "No such file"));
  CHECK(plugin_dirs({dir.path()}).size() == 1);
}

TEST_CASE("registry: the listing's JSON") {
  TempDir dir;
  const PluginRow good = row_of("good", dir.path());
  CHECK(to_json(row_to_value(good)) ==
        "{\"id\":\"good\",\"file\":\"" + good.file.string() +
            "\",\"version\":\"0.1.0\",\"architectures\":{\"hf\":[\"ToyForCausalLM\"],\"model_type\":[\"toy\"],"
            "\"gguf\":[\"toy\"]},\"abi\":\"0.1\",\"trust\":\"unknown\",\"status\":\"ok\",\"reason\":null}");
  const Value refused = row_to_value(row_of("no_note", dir.path()));
  CHECK(refused.find("id")->is_null());
  CHECK(refused.find("status")->as_string() == "refused");
  CHECK(has(refused.find("reason")->as_string(), "no note"));
  const Value full = row_to_full_value(good);
  CHECK(full.find("sha256")->as_string().size() == 64);
  CHECK(full.find("vendor")->as_string() == "Tests");
  CHECK(full.find("archs")->as_array().size() == 1);
}
