// What the machine's memory can deliver: the yardstick of a decode speed.
#pragma once

namespace tenon::tool {

/// The best DRAM read rate of `threads` threads together over about half a second, in bytes per second. Each thread
/// reads its own part of a buffer far larger than the caches, in four streams.
double measure_read_bandwidth(int threads);

}  // namespace tenon::tool
