// Checkpoint::open: a directory is a model directory, a file must be a GGUF.
#include "checkpoint/checkpoint.hpp"

#include "base/error.hpp"
#include "checkpoint/tensor_table.hpp"

namespace tenon {

std::shared_ptr<const Checkpoint> Checkpoint::open(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    fail(ErrorCode::not_found, "[{}] {}", path.string(), error ? error.message() : "no such file or directory");
  return std::filesystem::is_directory(status) ? open_model_directory(path) : open_gguf(path);
}

}  // namespace tenon
