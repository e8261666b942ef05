// Rows of the shared fixtures, and the numbers the reference gave for them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "api/tenon.hpp"
#include "base/mapped_file.hpp"
#include "fixtures.hpp"

namespace tenon::test {

/// Where this build puts its plugins; nothing, with a printed reason, when this one is not built.
inline std::optional<std::filesystem::path> plugins_of_build(const std::string& id) {
  const std::filesystem::path dir = std::filesystem::path(TENON_BINARY_DIR) / "lib/tenon/plugins";
  if (std::filesystem::exists(dir / (id + ".so"))) return dir;
  MESSAGE("skipped: plugin ", id, " is not built in ", dir.string());
  return std::nullopt;
}

/// float32 and C order only.
inline api::Array read_npy(const std::filesystem::path& path) {
  const std::string bytes = read_file(path);
  REQUIRE(bytes.size() > 10);
  const size_t head = 10 + static_cast<unsigned char>(bytes[8]) + 256u * static_cast<unsigned char>(bytes[9]);
  const std::string dict = bytes.substr(10, head - 10);
  REQUIRE(dict.find("'<f4'") != std::string::npos);
  REQUIRE(dict.find("'fortran_order': False") != std::string::npos);
  api::Array out;
  for (size_t at = dict.find('(') + 1; dict[at] != ')'; ++at)
    if (std::isdigit(static_cast<unsigned char>(dict[at]))) {
      out.shape.push_back(std::stoll(dict.substr(at)));
      while (std::isdigit(static_cast<unsigned char>(dict[at + 1]))) ++at;
    }
  out.data.resize((bytes.size() - head) / sizeof(float));
  std::memcpy(out.data.data(), bytes.data() + head, out.data.size() * sizeof(float));
  return out;
}

inline std::vector<int32_t> read_ids(const std::filesystem::path& path, const char* key) {
  const Value json = parse_json(read_file(path), path.string());
  const Value* list = json.find(key);
  REQUIRE(list);
  std::vector<int32_t> ids;
  for (const Value& v : list->as_array()) ids.push_back(static_cast<int32_t>(v.as_int()));
  return ids;
}

/// max |a - b| / max |b|; infinity when shapes differ or a value is not finite.
inline double relative_error(const api::Array& a, const api::Array& b) {
  if (a.shape != b.shape || a.data.size() != b.data.size()) return INFINITY;
  double worst = 0, scale = 0;
  for (size_t i = 0; i < a.data.size(); ++i) {
    if (!std::isfinite(a.data[i])) return INFINITY;
    worst = std::max(worst, std::abs(static_cast<double>(a.data[i]) - b.data[i]));
    scale = std::max(scale, std::abs(static_cast<double>(b.data[i])));
  }
  return worst / scale;
}

}  // namespace tenon::test
