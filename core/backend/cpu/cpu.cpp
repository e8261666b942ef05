// The CPU backend: one thread pool, shared by the executables it compiles.
#include "backend/cpu/cpu.hpp"

#include "backend/cpu/executable.hpp"
#include "backend/cpu/state_pool.hpp"

namespace tenon {

namespace {

class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(int threads) : pool_(std::make_shared<ThreadPool>(threads)) {}
  std::string name() const override { return "cpu"; }
  std::string isa() const override { return cpu::cpu_isa(); }
  bool wants_fused() const override { return true; }
  std::unique_ptr<Executable> compile(const Graph& graph, std::vector<HostTensor> weights,
                                      const ExecOptions& options) override {
    return std::make_unique<cpu::CpuExecutable>(graph, std::move(weights), options, pool_);
  }
  std::unique_ptr<StatePool> make_states(const Graph& graph, const StateSizes& sizes, bool exact) override {
    return std::make_unique<cpu::CpuStatePool>(graph, sizes, exact);
  }

 private:
  std::shared_ptr<ThreadPool> pool_;
};

}  // namespace

std::unique_ptr<Backend> make_cpu_backend(int threads) { return std::make_unique<CpuBackend>(threads); }

}  // namespace tenon
