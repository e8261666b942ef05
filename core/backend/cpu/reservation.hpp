// Address space from the system whose pages cost memory only once written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace tenon::cpu {

class Reservation {
 public:
  Reservation() = default;
  /// Error{capacity} naming `what` when the system refuses.
  Reservation(uint64_t bytes, std::string_view what);
  ~Reservation();
  Reservation(Reservation&& other) noexcept { *this = std::move(other); }
  Reservation& operator=(Reservation&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }

  std::byte* data() const { return data_; }
  uint64_t bytes() const { return bytes_; }

 private:
  std::byte* data_ = nullptr;
  uint64_t bytes_ = 0;
};

}  // namespace tenon::cpu
