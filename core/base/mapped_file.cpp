// Files from the operating system: whole-file mappings and small reads. Only regular files: a pipe or a device that
// a model directory points at must not block or feed the host without end.
#include "base/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace tenon {
namespace {

class OpenFile {
 public:
  explicit OpenFile(const std::filesystem::path& path) : path_(path) {
    // Without O_NONBLOCK the open itself would wait at a pipe.
    fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd_ < 0) refuse(errno);
    struct stat status{};
    if (::fstat(fd_, &status) != 0) refuse(errno);
    if (!S_ISREG(status.st_mode)) {
      ::close(fd_);
      fail(ErrorCode::io, "[{}] is no regular file", path.string());
    }
    size_ = static_cast<size_t>(status.st_size);
  }
  ~OpenFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  [[noreturn]] void refuse(int error) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
    const bool missing = error == ENOENT || error == ENOTDIR;
    fail(missing ? ErrorCode::not_found : ErrorCode::io, "[{}] {}", path_.string(), std::strerror(error));
  }

  int fd() const { return fd_; }
  size_t size() const { return size_; }

 private:
  const std::filesystem::path& path_;
  int fd_ = -1;
  size_t size_ = 0;
};

}  // namespace

std::shared_ptr<const MappedFile> MappedFile::open(const std::filesystem::path& path) {
  OpenFile file(path);
  std::shared_ptr<MappedFile> mapped(new MappedFile);
  mapped->path_ = path;
  if (file.size() > 0) {
    void* address = ::mmap(nullptr, file.size(), PROT_READ, MAP_PRIVATE, file.fd(), 0);
    if (address == MAP_FAILED) file.refuse(errno);
    mapped->data_ = static_cast<const std::byte*>(address);
    mapped->size_ = file.size();
  }
  return mapped;
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(const_cast<std::byte*>(data_), size_);
}

std::string read_file(const std::filesystem::path& path, size_t max_bytes) {
  OpenFile file(path);
  if (file.size() > max_bytes)
    fail(ErrorCode::capacity, "[{}] {} bytes, the limit is {}", path.string(), file.size(), max_bytes);
  std::string text(file.size(), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = ::read(file.fd(), text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) file.refuse(errno);
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  text.resize(done);
  return text;
}

}  // namespace tenon
