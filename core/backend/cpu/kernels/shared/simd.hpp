// 256-bit helpers of the product kernels. Everything in kernels/shared is in unnamed namespaces on purpose: the same
// text is compiled with different instruction flags, and a shared inline function could be linked from the wrong file.
// For the same reason these files call no function of the standard library.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#define TENON_UNROLL _Pragma("GCC unroll 16")
#define TENON_INLINE inline __attribute__((always_inline))
#define TENON_LAMBDA_INLINE __attribute__((always_inline))
#define TENON_NOINLINE __attribute__((noinline))

namespace tenon::cpu {
namespace {

using Int = __m256i;
using Float = __m256;

template <typename T>
TENON_INLINE constexpr T smaller(T a, T b) {
  return a < b ? a : b;
}

TENON_INLINE Int load_int(const void* p) { return _mm256_loadu_si256(static_cast<const Int*>(p)); }
TENON_INLINE void store_int(void* p, Int v) { _mm256_storeu_si256(static_cast<Int*>(p), v); }
TENON_INLINE __m128i load_half(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }

/// [16 bytes at a | 16 bytes at b].
TENON_INLINE Int load_pair(const void* a, const void* b) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load_half(a)), load_half(b), 1);
}

TENON_INLINE uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

TENON_INLINE int32_t load_i32(const std::byte* p) {
  int32_t v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

/// The float16 at p.
TENON_INLINE float load_f16(const std::byte* p) { return _cvtsh_ss(load_u16(p)); }

TENON_INLINE float sum(Float v) {
  __m128 a = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  a = _mm_add_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_add_ss(a, _mm_movehdup_ps(a)));
}

TENON_INLINE float largest(Float v) {
  __m128 a = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  a = _mm_max_ps(a, _mm_movehl_ps(a, a));
  return _mm_cvtss_f32(_mm_max_ss(a, _mm_movehdup_ps(a)));
}

/// Rows 0..7 of 8 floats each become columns: v[i] holds element i of every row.
TENON_INLINE void transpose8(Float v[8]) {
  Float t[8], u[8];
  TENON_UNROLL for (int i = 0; i < 4; ++i) {
    t[2 * i] = _mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]);
    t[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]);
  }
  TENON_UNROLL for (int i = 0; i < 2; ++i) {
    u[4 * i] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0x44);
    u[4 * i + 1] = _mm256_shuffle_ps(t[4 * i], t[4 * i + 2], 0xee);
    u[4 * i + 2] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0x44);
    u[4 * i + 3] = _mm256_shuffle_ps(t[4 * i + 1], t[4 * i + 3], 0xee);
  }
  TENON_UNROLL for (int i = 0; i < 4; ++i) {
    v[i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x20);
    v[4 + i] = _mm256_permute2f128_ps(u[i], u[4 + i], 0x31);
  }
}

TENON_INLINE void transpose8(Int v[8]) {
  Float f[8];
  TENON_UNROLL for (int i = 0; i < 8; ++i) f[i] = _mm256_castsi256_ps(v[i]);
  transpose8(f);
  TENON_UNROLL for (int i = 0; i < 8; ++i) v[i] = _mm256_castps_si256(f[i]);
}

/// 16 bytes of each of 8 rows: out[t] holds dword t of rows 0..7.
TENON_INLINE void transpose_dwords(const std::byte* const rows[8], int64_t offset, Int out[4]) {
  Int a[4], b[4];
  TENON_UNROLL for (int r = 0; r < 4; ++r) a[r] = load_pair(rows[r] + offset, rows[r + 4] + offset);
  b[0] = _mm256_unpacklo_epi32(a[0], a[1]);
  b[1] = _mm256_unpackhi_epi32(a[0], a[1]);
  b[2] = _mm256_unpacklo_epi32(a[2], a[3]);
  b[3] = _mm256_unpackhi_epi32(a[2], a[3]);
  out[0] = _mm256_unpacklo_epi64(b[0], b[2]);
  out[1] = _mm256_unpackhi_epi64(b[0], b[2]);
  out[2] = _mm256_unpacklo_epi64(b[1], b[3]);
  out[3] = _mm256_unpackhi_epi64(b[1], b[3]);
}

/// How m rows of activations fall into tiles of at most 6, as even as can be.
struct Tiles {
  static constexpr int kRows = 6;
  explicit Tiles(int64_t m) : count((m + kRows - 1) / kRows), base(m / count), extra(m % count) {}
  int rows(int64_t t) const { return static_cast<int>(base + (t < extra)); }
  int64_t first(int64_t t) const { return t * base + smaller(t, extra); }
  int64_t count, base, extra;
};

TENON_INLINE int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

/// A compile-time row or column count as a value: fn(Count<3>{}).
template <int N>
struct Count {
  static constexpr int value = N;
};

/// Calls fn(Count<n>{}) for n in 1..Max.
template <int Max, typename Fn>
TENON_INLINE void with_count(int64_t n, Fn&& fn) {
  if constexpr (Max > 1) {
    if (n < Max) return with_count<Max - 1>(n, static_cast<Fn&&>(fn));
  }
  fn(Count<Max>{});
}

}  // namespace
}  // namespace tenon::cpu
