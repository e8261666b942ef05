// The grids of the IQ1 to IQ3 block formats, unpacked: a row holds the 8 (or 4) values that one index stands for.
// Rows are small so that a kernel reads one as a 64-bit (or 32-bit) word. Data: iq_tables.def.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace tenon::iq {

template <size_t kRows, size_t kValues>
using Grid = std::array<std::array<int8_t, kValues>, kRows>;

extern const Grid<2048, 8> kIq1Grid;    // -1, 0, 1; IQ1_S and IQ1_M
extern const Grid<256, 8> kIq2XxsGrid;  // magnitudes, as in all grids below
extern const Grid<512, 8> kIq2XsGrid;
extern const Grid<1024, 8> kIq2SGrid;
extern const Grid<256, 4> kIq3XxsGrid;
extern const Grid<512, 4> kIq3SGrid;

/// Eight sign bits from the seven that are stored: the eighth makes the number of negative values even.
constexpr uint8_t eight_signs(uint32_t seven) {
  return static_cast<uint8_t>(seven | static_cast<uint32_t>(std::popcount(seven) & 1) << 7);
}

}  // namespace tenon::iq
