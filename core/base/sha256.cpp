// SHA-256 through OpenSSL's EVP interface.
#include <openssl/evp.h>

#include <array>

#include "base/error.hpp"
#include "base/mapped_file.hpp"

namespace tenon {

std::string sha256_hex(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int length = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1)
    fail(ErrorCode::internal, "[sha256] OpenSSL refused {} bytes", bytes.size());
  std::string hex;
  hex.reserve(2 * length);
  for (unsigned int i = 0; i < length; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

}  // namespace tenon
