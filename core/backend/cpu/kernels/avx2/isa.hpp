// What the product kernels need of a processor with AVX2, FMA and F16C and no dot-product instructions.
// Measured on Zen 3 (spec/performance.md, machine B): no prefetch, two row streams.
#pragma once

#include "backend/cpu/kernels/shared/int8_panel.hpp"
#include "backend/cpu/kernels/shared/simd.hpp"
#include "backend/cpu/kernels/shared/weights.hpp"

namespace tenon::cpu {
namespace {

struct Avx2 {
  static constexpr const char* kInt8RowsName = "avx2-int8-rows";
  static constexpr const char* kInt8PanelName = "avx2-int8-panel";
  static constexpr const char* kInt16PanelName = "avx2-int16-panel";
  static constexpr const char* kF32RowsName = "avx2-f32-rows";
  static constexpr const char* kF32PanelName = "avx2-f32-panel";
  static constexpr int kStreams = 2;
  static constexpr int kInt8Rows = 8, kF32Rows = 8;  // most rows before a panel is quicker
  static constexpr int kF32Block = 2;                // weight rows side by side against 3 activation rows and more

  template <int kBytes>
  static TENON_INLINE void prefetch(const std::byte*) {}

  /// Sums of 4 products per dword, w0 with x0 and w1 with x1; bytes of w below 64.
  static TENON_INLINE Int dot_u8(Int w0, Int x0, Int w1, Int x1) {
    const Int pairs =
        _mm256_add_epi16(_mm256_maddubs_epi16(w0, x0), _mm256_maddubs_epi16(w1, x1));  // at most 4 * 63 * 127
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }
  /// The same for signed bytes w.
  static TENON_INLINE Int dot_s8(Int w0, Int x0, Int w1, Int x1) {
    return _mm256_add_epi32(dot_s8(w0, x0), dot_s8(w1, x1));
  }
  static TENON_INLINE Int dot_s8(Int w, Int x) {
    const Int pairs = _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w));
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
  }

  using Wide = Int;
  using WideFloat = Float;
  static constexpr int kWide = 8;
  static TENON_INLINE Wide broadcast(int32_t v) { return _mm256_set1_epi32(v); }
  static TENON_INLINE Wide add(Wide a, Wide b) { return _mm256_add_epi32(a, b); }
  static TENON_INLINE WideFloat to_float(Wide v) { return _mm256_cvtepi32_ps(v); }
  static TENON_INLINE WideFloat float_set(float v) { return _mm256_set1_ps(v); }
  static TENON_INLINE WideFloat float_load(const float* p) { return _mm256_load_ps(p); }
  static TENON_INLINE void float_store(float* p, WideFloat v) { _mm256_store_ps(p, v); }
  static TENON_INLINE WideFloat float_add(WideFloat a, WideFloat b) { return _mm256_add_ps(a, b); }
  static TENON_INLINE WideFloat float_mul(WideFloat a, WideFloat b) { return _mm256_mul_ps(a, b); }
  static TENON_INLINE WideFloat float_fma(WideFloat a, WideFloat b, WideFloat c) { return _mm256_fmadd_ps(a, b, c); }
  /// Keeps a value in its register: GCC 12 (tree-ter) otherwise folds loads into every use and delays additions.
  template <typename V>
  static TENON_INLINE void hold(V& v) {
    asm("" : "+x"(v));
  }

  static TENON_INLINE WideFloat float_loadu(const float* p) { return _mm256_loadu_ps(p); }
  static TENON_INLINE float float_sum(WideFloat v) { return sum(v); }
  /// 32 stored weights.
  template <DType T>
  static TENON_INLINE void load32(const std::byte* p, WideFloat w[4]) {
    Weight<T>::load32(p, w);
  }
  static TENON_INLINE Wide load(const int32_t* p) {
    Wide v = _mm256_load_si256(reinterpret_cast<const Int*>(p));
    hold(v);
    return v;
  }
  /// Adds the two products of int16 to each dword.
  static TENON_INLINE Wide dot_s16(Wide acc, Wide w, Wide x) {
    acc = _mm256_add_epi32(acc, _mm256_madd_epi16(w, x));
    hold(acc);
    return acc;
  }

  /// What 16-bit sums start from.
  static int32_t start_word(int32_t sum01, int32_t sum23) {
    return (sum01 & 0xffff) | static_cast<int32_t>(static_cast<uint32_t>(sum23) << 16);
  }

  /// 8 scales of halves of blocks as U6::scaled wants them: the int16 twice.
  static TENON_INLINE Int scale_words(Int v) {
    return _mm256_or_si256(_mm256_and_si256(v, _mm256_set1_epi32(0xffff)), _mm256_slli_epi32(v, 16));
  }

  /// Codes below 64, summed in 16 bits modulo 2^16: right when the true sum fits, as it does for 4 bits without offset
  /// (15 * 127 * 16 = 30480), 5 bits around 16 (16 * 127 * 16 = 32512) and halves of blocks of 6 bits around 32 (the
  /// same).
  struct U6 {
    static constexpr int kPlanes = 1;
    using Operand = Wide;
    static TENON_INLINE void put(std::byte* p, Int v) { store_int(p, v); }
    static TENON_INLINE Operand load(const std::byte* step, int v) {
      Operand w = _mm256_load_si256(reinterpret_cast<const Int*>(step + 32 * v));
      hold(w);
      return w;
    }
    static TENON_INLINE Wide add_products(Wide acc, Operand w, Wide x) {
      acc = _mm256_add_epi16(acc, _mm256_maddubs_epi16(w, x));
      hold(acc);
      return acc;
    }
    static TENON_INLINE Wide total(Wide acc) { return _mm256_madd_epi16(acc, _mm256_set1_epi16(1)); }
    static TENON_INLINE Wide scaled(Wide acc, const int32_t* words) { return _mm256_madd_epi16(acc, load_int(words)); }
    template <int kTimes>
    static TENON_INLINE Wide start(Wide words) {
      return kTimes == 1 ? words : _mm256_slli_epi16(words, __builtin_ctz(kTimes));
    }
  };

  /// 8-bit codes with their sign moved to the activations: a plane of codes and a plane of magnitudes.
  struct S8 {
    static constexpr int kPlanes = 2;
    static constexpr int kOffset = 0;
    struct Operand {
      Wide code, magnitude;
    };
    static TENON_INLINE void put(std::byte* p, Int v) {
      store_int(p, v);
      store_int(p + 64, _mm256_abs_epi8(v));
    }
    static TENON_INLINE Operand load(const std::byte* step, int v) {
      Wide code = _mm256_load_si256(reinterpret_cast<const Int*>(step + 32 * v));
      Wide magnitude = _mm256_load_si256(reinterpret_cast<const Int*>(step + 64 + 32 * v));
      hold(code);
      hold(magnitude);
      return {code, magnitude};
    }
    static TENON_INLINE Wide add_products(Wide acc, Operand w, Wide x) {
      const Int pairs = _mm256_maddubs_epi16(w.magnitude, _mm256_sign_epi8(x, w.code));
      acc = _mm256_add_epi32(acc, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
      hold(acc);
      return acc;
    }
    static TENON_INLINE Wide total(Wide acc) { return acc; }
  };
};

}  // namespace
}  // namespace tenon::cpu
