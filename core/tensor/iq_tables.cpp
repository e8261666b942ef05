// Unpacks the grids of iq_tables.def at compile time.
#include "tensor/iq_tables.hpp"

namespace tenon::iq {
namespace {

#define IQ_LEVELS(name, ...) constexpr int8_t name[] = {__VA_ARGS__};
#define IQ_GRID(name, levels, rows, values, ...)
#include "tensor/iq_tables.def"
#undef IQ_LEVELS
#undef IQ_GRID

template <size_t kValues, size_t kRows, size_t kLevels>
consteval Grid<kRows, kValues> unpack(const int8_t (&levels)[kLevels], const uint16_t (&codes)[kRows]) {
  constexpr size_t kBits = 16 / kValues;
  Grid<kRows, kValues> grid{};
  for (size_t row = 0; row < kRows; ++row)
    for (size_t i = 0; i < kValues; ++i) grid[row][i] = levels[codes[row] >> (kBits * i) & ((1u << kBits) - 1)];
  return grid;
}

}  // namespace

#define IQ_LEVELS(name, ...)
#define IQ_GRID(name, levels, rows, values, ...) \
  alignas(64) constinit const Grid<rows, values> name = unpack<values, rows>(levels, {__VA_ARGS__});
#include "tensor/iq_tables.def"

}  // namespace tenon::iq
