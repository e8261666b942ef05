// Address space from the system whose pages cost memory only once written.
#include "backend/cpu/reservation.hpp"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "base/error.hpp"

namespace tenon::cpu {

Reservation::Reservation(uint64_t bytes, std::string_view what) : bytes_(bytes) {
  if (bytes == 0) return;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED)
    fail(ErrorCode::capacity, "[{}] {} bytes of address space refused: {}", what, bytes, std::strerror(errno));
  data_ = static_cast<std::byte*>(p);
}

Reservation::~Reservation() {
  if (data_) munmap(data_, bytes_);
}

}  // namespace tenon::cpu
