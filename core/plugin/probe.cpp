// Both sides of a probe. The child answers on descriptor 3 with "ok" or a reason, has /dev/null for its streams, and
// runs under limits; the parent waits no longer than the timeout and trusts nothing but the answer and the exit status.
#include "plugin/probe.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <tenon/abi.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <vector>

#include "base/error.hpp"
#include "base/mapped_file.hpp"
#include "base/value.hpp"
#include "plugin/entry.hpp"
#include "plugin/sanitized.hpp"

namespace tenon {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::string_view kFlag = "--probe-plugin";
constexpr int kVerdictFd = 3, kMemoryFd = 4, kFirstSpareFd = 10;
constexpr size_t kMaxVerdict = 4096;
std::atomic<bool> g_main_answers_probes{false};

struct Limits {
  uint64_t cpu_seconds = 0, memory = 0;
};

// ---- the child

// In bytes; 0 when the process is gone.
struct Memory {
  uint64_t address_space = 0, resident = 0;
};

Memory memory_of(const std::string& process) {
  Memory pages;
  std::ifstream("/proc/" + process + "/statm") >> pages.address_space >> pages.resident;
  const auto page = static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
  return {pages.address_space * page, pages.resident * page};
}

uint64_t peak_address_space() {
  std::ifstream status("/proc/self/status");
  uint64_t kib = 0;
  for (std::string word; status >> word;)
    if (word == "VmPeak:") status >> kib;
  return kib * 1024;
}

void limit(__rlimit_resource resource, uint64_t value) {
  rlimit both{};
  getrlimit(resource, &both);
  both.rlim_cur = both.rlim_max = std::min<rlim_t>(value, both.rlim_max);
  setrlimit(resource, &both);
}

void confine(const Limits& limits) {
  for (int signal = 1; signal < 32; ++signal)
    if (signal != SIGKILL && signal != SIGSTOP) std::signal(signal, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, limits.cpu_seconds);
  // No RLIMIT_AS: a plugin that takes a failed allocation in its stride would pass here and get its memory in the host.
  // The parent watches instead; should the machine run short all the same, this process is the one to go.
  std::ofstream("/proc/self/oom_score_adj") << 1000;
}

[[noreturn]] void answer(const std::filesystem::path& file, std::string_view place, const Limits& limits) {
  confine(limits);
  std::string verdict = "ok";
  try {
    const uint64_t before = memory_of("self").address_space;
    open_plugin_entry(file, place).library.reset();
    const uint64_t peak = peak_address_space();
    if (peak > before && peak - before > limits.memory)
      fail(ErrorCode::bad_plugin, "[{}] probe: took {} MiB while loading; the limit is {} MiB", place,
           (peak - before) >> 20, limits.memory >> 20);
  } catch (const std::exception& e) {
    verdict = e.what();
  }
  const ssize_t written = write(kVerdictFd, verdict.data(), std::min(verdict.size(), kMaxVerdict));
  _exit(verdict == "ok" && written > 0 ? 0 : 1);
}

// ---- the parent

struct Child {
  pid_t pid = -1;
  UniqueFd verdict;
};

struct Ending {
  std::string text;  // what the child wrote
  int status = 0;    // as waitpid gives it
  bool timed_out = false;
  uint64_t grown = 0;  // resident bytes, when it was stopped for them
};

UniqueFd above_spare(int fd) {
  UniqueFd low(fd);
  return UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, kFirstSpareFd));
}

std::string child_path(const LoadableFile& file) {
  return file.memory.get() < 0 ? file.path.string() : "/proc/self/fd/" + std::to_string(kMemoryFd);
}

pid_t spawn_helper(const std::filesystem::path& helper, const LoadableFile& file, std::string_view place,
                   const Limits& limits, int verdict, int memory) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  for (int stream : {0, 1, 2}) posix_spawn_file_actions_addopen(&actions, stream, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_adddup2(&actions, verdict, kVerdictFd);
  if (memory >= 0) posix_spawn_file_actions_adddup2(&actions, memory, kMemoryFd);
  posix_spawn_file_actions_addclosefrom_np(&actions, memory >= 0 ? kMemoryFd + 1 : kMemoryFd);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK);

  std::array<std::string, 6> arguments = {"tenon",
                                          std::string(kFlag),
                                          child_path(file),
                                          std::string(place),
                                          std::to_string(limits.cpu_seconds),
                                          std::to_string(limits.memory)};
  std::array<char*, 7> argv{};
  std::transform(arguments.begin(), arguments.end(), argv.begin(), [](std::string& text) { return text.data(); });
  pid_t pid = -1;
  const int error = posix_spawn(&pid, helper.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) fail(ErrorCode::io, "[probe] cannot start {}: {}", helper.string(), std::strerror(error));
  return pid;
}

pid_t fork_child(const LoadableFile& file, std::string_view place, const Limits& limits, int verdict, int memory) {
  const std::string path = child_path(file);
  const pid_t pid = fork();
  if (pid < 0) fail(ErrorCode::io, "[probe] cannot fork: {}", std::strerror(errno));
  if (pid > 0) return pid;
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int stream : {0, 1, 2}) dup2(null, stream);
  dup2(verdict, kVerdictFd);
  if (memory >= 0) dup2(memory, kMemoryFd);
  closefrom(memory >= 0 ? kMemoryFd + 1 : kMemoryFd);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  answer(path, place, limits);
}

Child start(const LoadableFile& file, std::string_view place, const ProbeOptions& options) {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) fail(ErrorCode::io, "[probe] no pipe: {}", std::strerror(errno));
  Child child;
  child.verdict = UniqueFd(ends[0]);
  // Moved out of the way of the fixed numbers that they get in the child.
  const UniqueFd writer = above_spare(ends[1]);
  UniqueFd memory;
  if (file.memory.get() >= 0) memory = UniqueFd(fcntl(file.memory.get(), F_DUPFD_CLOEXEC, kFirstSpareFd));
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options.timeout).count();
  const Limits limits{.cpu_seconds = static_cast<uint64_t>(std::max<int64_t>(seconds, 1)) + 1,
                      .memory = options.memory};
  std::filesystem::path helper = options.helper;
  if (helper.empty() && g_main_answers_probes) helper = "/proc/self/exe";
  child.pid = helper.empty() ? fork_child(file, place, limits, writer.get(), memory.get())
                             : spawn_helper(helper, file, place, limits, writer.get(), memory.get());
  return child;
}

// True once the child is gone. Without a status to report (SIGCHLD ignored by the program), it counts as exit 0.
bool reaped(pid_t pid, int options, int* status) {
  const pid_t got = waitpid(pid, status, options);
  if (got < 0 && errno == ECHILD) *status = 0;
  return got == pid || (got < 0 && errno == ECHILD);
}

Ending wait_for(Child& child, const ProbeOptions& options) {
  Ending ending;
  const auto deadline = Clock::now() + options.timeout;
  const std::string process = std::to_string(child.pid);
  const uint64_t before = memory_of(process).resident;
  bool open = true;
  while (!reaped(child.pid, WNOHANG, &ending.status)) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) {
      ending.timed_out = true;
      break;
    }
    if (const uint64_t now = memory_of(process).resident; now > before && now - before > options.memory) {
      ending.grown = now - before;
      break;
    }
    // After the answer only the exit is missing; a descendant may hold the pipe open, so both are watched.
    pollfd watch{.fd = open ? child.verdict.get() : -1, .events = POLLIN, .revents = 0};
    if (poll(&watch, 1, static_cast<int>(std::min<int64_t>(left, open ? 10 : 1))) <= 0) continue;
    std::array<char, 512> buffer;
    const ssize_t n = read(child.verdict.get(), buffer.data(), buffer.size());
    if (n > 0 && ending.text.size() < kMaxVerdict) ending.text.append(buffer.data(), static_cast<size_t>(n));
    if (n == 0) open = false;
  }
  kill(-child.pid, SIGKILL);
  if (ending.timed_out || ending.grown) {
    kill(child.pid, SIGKILL);
    while (!reaped(child.pid, 0, &ending.status)) continue;
  } else if (open) {
    // What it wrote just before it ended.
    fcntl(child.verdict.get(), F_SETFL, O_NONBLOCK);
    std::array<char, kMaxVerdict> buffer;
    const ssize_t n = read(child.verdict.get(), buffer.data(), buffer.size());
    if (n > 0) ending.text.append(buffer.data(), static_cast<size_t>(n));
  }
  return ending;
}

std::string printable(std::string text) {
  std::replace_if(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return is_utf8(text) ? text : std::string("text that is no UTF-8");
}

ProbeVerdict judge(const Ending& ending, std::string_view place, const ProbeOptions& options) {
  ProbeVerdict verdict;
  verdict.conclusive = true;
  if (ending.timed_out) {
    // A busy machine times out as well.
    verdict.conclusive = false;
    verdict.reason = fmt::format("[{}] probe: did not load within {} ms", place, options.timeout.count());
  } else if (ending.grown) {
    verdict.reason = fmt::format("[{}] probe: took {} MiB while loading; the limit is {} MiB", place,
                                 ending.grown >> 20, options.memory >> 20);
  } else if (WIFSIGNALED(ending.status)) {
    const int signal = WTERMSIG(ending.status);
    const char* name = sigabbrev_np(signal);
    verdict.conclusive = signal != SIGKILL && signal != SIGTERM && signal != SIGINT;
    verdict.reason = fmt::format("[{}] probe: killed by SIG{} while loading", place, name ? name : "?");
  } else if (ending.text.empty()) {
    verdict.reason = fmt::format("[{}] probe: exited with status {} while loading", place, WEXITSTATUS(ending.status));
  } else if (ending.text != "ok") {
    verdict.reason = printable(ending.text);
  } else {
    verdict.ok = true;
  }
  return verdict;
}

// ---- the cache

std::string host_identity() {
  return fmt::format("{} abi {}.{} opset {}{}", TENON_VERSION, TENON_ABI_MAJOR, TENON_ABI_MINOR, TENON_OPSET,
                     kSanitized ? " sanitized" : "");
}

bool recall(const std::filesystem::path& path, ProbeVerdict& verdict) {
  try {
    const Value json = parse_json(read_file(path, size_t{64} << 10), path.string(), {.max_depth = 4, .max_values = 64});
    const Value* host = json.find("host");
    const Value* ok = json.find("ok");
    const Value* reason = json.find("reason");
    if (!host || !ok || !reason || host->as_string() != host_identity()) return false;
    verdict = {.ok = ok->as_bool(), .cached = true, .conclusive = true, .reason = reason->as_string()};
    return true;
  } catch (const Error&) {
    return false;
  }
}

void remember(const std::filesystem::path& path, const ProbeVerdict& verdict) {
  Value::Object json;
  json.emplace_back("host", host_identity());
  json.emplace_back("ok", verdict.ok);
  json.emplace_back("reason", verdict.reason);
  const std::string text = to_json(Value(std::move(json)));
  write_atomically(path, std::as_bytes(std::span(text)), 0600);
}

}  // namespace

ProbeVerdict probe_plugin(const LoadableFile& file, const std::string& sha256, std::string_view place,
                          const ProbeOptions& options) {
  ProbeVerdict verdict;
  std::optional<std::filesystem::path> record;
  if (options.use_cache)
    if (const auto dir = private_cache_dir("probe", options.cache)) record = *dir / (sha256 + ".json");
  if (record && recall(*record, verdict)) return verdict;
  try {
    Child child = start(file, place, options);
    verdict = judge(wait_for(child, options), place, options);
  } catch (const Error& e) {
    verdict = {.reason = e.what()};
  }
  if (record && verdict.conclusive) remember(*record, verdict);
  return verdict;
}

int probe_main(int argc, char** argv) {
  g_main_answers_probes = true;
  if (argc != 6 || argv[1] != kFlag) return -1;
  Limits limits;
  const auto number = [](std::string_view text, uint64_t& out) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
    return error == std::errc{} && end == text.data() + text.size();
  };
  if (!number(argv[4], limits.cpu_seconds) || !number(argv[5], limits.memory)) return 2;
  answer(argv[2], argv[3], limits);
}

}  // namespace tenon
