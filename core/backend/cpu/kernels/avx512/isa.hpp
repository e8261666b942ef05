// What the product kernels need of a processor with AVX-512 (F, BW, DQ, VL) and VNNI: the row kernels keep 256-bit
// registers and use vpdpbusd, the panel kernels are twice as wide. Written from spec/performance.md (machine A):
// one row stream, two-level prefetch. kernels/emulated mirrors it for tests on other processors.
#pragma once

#include "backend/cpu/kernels/shared/int8_panel.hpp"
#include "backend/cpu/kernels/shared/simd.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"

namespace tenon::cpu {
namespace {

struct Avx512Vnni {
  static constexpr const char* kInt8RowsName = "avx512-vnni-int8-rows";
  static constexpr const char* kInt8PanelName = "avx512-vnni-int8-panel";
  static constexpr const char* kInt16PanelName = "avx512-vnni-int16-panel";
  static constexpr const char* kF32RowsName = "avx512-f32-rows";
  static constexpr const char* kF32PanelName = "avx512-f32-panel";
  static constexpr int kStreams = 1;
  static constexpr int kInt8Rows = 8, kF32Rows = 16;  // most rows before a panel is quicker
  static constexpr int kF32Block = 4;                 // weight rows side by side against 3 activation rows and more

  /// Into L2 8 KiB ahead, into L1 2 KiB ahead, for every line of kBytes. May point past the mapping: a hint only.
  template <int kBytes>
  static TENON_INLINE void prefetch(const std::byte* p) {
    TENON_UNROLL for (int i = 0; i < kBytes; i += 64) {
      _mm_prefetch(reinterpret_cast<const char*>(p) + i + 8192, _MM_HINT_T1);
      _mm_prefetch(reinterpret_cast<const char*>(p) + i + 2048, _MM_HINT_T0);
    }
  }

  /// Sums of 4 products per dword, w0 with x0 and w1 with x1; bytes of w below 64.
  static TENON_INLINE Int dot_u8(Int w0, Int x0, Int w1, Int x1) {
    return _mm256_dpbusd_epi32(_mm256_dpbusd_epi32(_mm256_setzero_si256(), w0, x0), w1, x1);
  }
  /// The same for signed bytes w: magnitudes times activations that took over the sign.
  static TENON_INLINE Int dot_s8(Int w0, Int x0, Int w1, Int x1) {
    const Int first = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_abs_epi8(w0), _mm256_sign_epi8(x0, w0));
    return _mm256_dpbusd_epi32(first, _mm256_abs_epi8(w1), _mm256_sign_epi8(x1, w1));
  }

  using Wide = __m512i;
  using WideFloat = __m512;
  static constexpr int kWide = 16;
  static TENON_INLINE Wide broadcast(int32_t v) { return _mm512_set1_epi32(v); }
  static TENON_INLINE Wide add(Wide a, Wide b) { return _mm512_add_epi32(a, b); }
  static TENON_INLINE WideFloat to_float(Wide v) { return _mm512_cvtepi32_ps(v); }
  static TENON_INLINE WideFloat float_set(float v) { return _mm512_set1_ps(v); }
  static TENON_INLINE WideFloat float_load(const float* p) { return _mm512_load_ps(p); }
  static TENON_INLINE void float_store(float* p, WideFloat v) { _mm512_store_ps(p, v); }
  static TENON_INLINE WideFloat float_add(WideFloat a, WideFloat b) { return _mm512_add_ps(a, b); }
  static TENON_INLINE WideFloat float_mul(WideFloat a, WideFloat b) { return _mm512_mul_ps(a, b); }
  static TENON_INLINE WideFloat float_fma(WideFloat a, WideFloat b, WideFloat c) { return _mm512_fmadd_ps(a, b, c); }
  /// Keeps a value in its register (see the AVX2 file).
  template <typename V>
  static TENON_INLINE void hold(V& v) {
    asm("" : "+v"(v));
  }

  static TENON_INLINE WideFloat float_loadu(const float* p) { return _mm512_loadu_ps(p); }
  static TENON_INLINE float float_sum(WideFloat v) {
    return sum(_mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1)));
  }
  /// 32 stored weights.
  template <DType T>
  static TENON_INLINE void load32(const std::byte* p, WideFloat w[2]) {
    TENON_UNROLL for (int i = 0; i < 2; ++i) {
      if constexpr (T == DType::f32) {
        w[i] = _mm512_castsi512_ps(_mm512_loadu_si512(p + 64 * i));
      } else if constexpr (T == DType::f16) {
        w[i] = _mm512_cvtph_ps(load_int(p + 32 * i));
      } else if constexpr (T == DType::bf16) {
        w[i] = _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(load_int(p + 32 * i)), 16));
      } else if (i == 0) {
        Float v[4];
        Weight<T>::load32(p, v);
        TENON_UNROLL for (int j = 0; j < 2; ++j) w[j] =
            _mm512_insertf32x8(_mm512_castps256_ps512(v[2 * j]), v[2 * j + 1], 1);
      }
    }
  }
  static TENON_INLINE Wide load(const int32_t* p) {
    Wide v = _mm512_load_si512(p);
    hold(v);
    return v;
  }
  /// Adds the two products of int16 to each dword.
  static TENON_INLINE Wide dot_s16(Wide acc, Wide w, Wide x) {
    acc = _mm512_dpwssd_epi32(acc, w, x);
    hold(acc);
    return acc;
  }

  /// What 32-bit sums start from.
  static int32_t start_word(int32_t sum01, int32_t sum23) { return sum01 + sum23; }

  /// 8 scales of halves of blocks as Code::scaled wants them.
  static TENON_INLINE Int scale_words(Int v) { return v; }

  /// Unsigned codes times signed activations; kFlip turns signed codes into unsigned ones that are 128 larger.
  template <int kFlip>
  struct Code {
    static constexpr int kPlanes = 1;
    static constexpr int kOffset = kFlip;
    using Operand = Wide;
    static TENON_INLINE void put(std::byte* p, Int v) {
      store_int(p, _mm256_xor_si256(v, _mm256_set1_epi8(static_cast<char>(kFlip))));
    }
    static TENON_INLINE Operand load(const std::byte* step, int v) {
      Operand w = _mm512_load_si512(step + 64 * v);
      hold(w);
      return w;
    }
    static TENON_INLINE Wide add_products(Wide acc, Operand w, Wide x) {
      acc = _mm512_dpbusd_epi32(acc, w, x);
      hold(acc);
      return acc;
    }
    static TENON_INLINE Wide total(Wide acc) { return acc; }
    static TENON_INLINE Wide scaled(Wide acc, const int32_t* words) {
      return _mm512_mullo_epi32(acc, _mm512_load_si512(words));
    }
    template <int kTimes>
    static TENON_INLINE Wide start(Wide words) {
      return kTimes == 1 ? words : _mm512_slli_epi32(words, __builtin_ctz(kTimes));
    }
  };
  using U6 = Code<0>;
  using S8 = Code<0x80>;
};

}  // namespace
}  // namespace tenon::cpu
