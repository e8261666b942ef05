// NumPy's .npy format, version 1.0 (NEP 1): magic, header length, a Python dict padded to 64 bytes, then the data.
#include <bit>
#include <fstream>

#include "api/model.hpp"
#include "base/error.hpp"

namespace tenon::api {

static_assert(std::endian::native == std::endian::little);

void write_npy(const std::filesystem::path& path, const Array& array) {
  std::string shape;
  for (int64_t d : array.shape) shape += fmt::format("{}, ", d);
  if (array.shape.size() > 1) shape.resize(shape.size() - 2);
  std::string dict = fmt::format("{{'descr': '<f4', 'fortran_order': False, 'shape': ({}), }}", shape);
  constexpr size_t kPreamble = 10;
  while ((kPreamble + dict.size() + 1) % 64 != 0) dict += ' ';
  dict += '\n';

  std::string head("\x93NUMPY\x01\x00", 8);
  head += static_cast<char>(dict.size() & 0xff);
  head += static_cast<char>(dict.size() >> 8);
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out << head << dict;
  out.write(reinterpret_cast<const char*>(array.data.data()),
            static_cast<std::streamsize>(array.data.size() * sizeof(float)));
  out.close();
  if (!out) fail(ErrorCode::io, "[npy] {}: writing {} values failed", path.string(), array.data.size());
}

}  // namespace tenon::api
