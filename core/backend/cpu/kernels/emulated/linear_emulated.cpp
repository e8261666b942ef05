// The AVX-512 VNNI policy (kernels/avx512/isa.hpp) on AVX2: vpdpbusd written out, a 512-bit register as two of 256.
// For tests only: it runs the same templates with the same constants where the processor lacks the instructions.
#include "backend/cpu/kernels/shared/linear_table.hpp"

namespace tenon::cpu {
namespace {

/// vpdpbusd: adds four products of unsigned bytes w and signed bytes x to each dword.
TENON_INLINE Int dpbusd(Int acc, Int w, Int x) {
  const Int even_w = _mm256_and_si256(w, _mm256_set1_epi16(0xff)), odd_w = _mm256_srli_epi16(w, 8);
  const Int even_x = _mm256_srai_epi16(_mm256_slli_epi16(x, 8), 8), odd_x = _mm256_srai_epi16(x, 8);
  return _mm256_add_epi32(acc, _mm256_add_epi32(_mm256_madd_epi16(even_w, even_x), _mm256_madd_epi16(odd_w, odd_x)));
}

struct WideInt512 {
  Int low, high;
};
struct WideFloat512 {
  Float low, high;
};

struct EmulatedVnni {
  static constexpr const char* kInt8RowsName = "emulated-vnni-int8-rows";
  static constexpr const char* kInt8PanelName = "emulated-vnni-int8-panel";
  static constexpr const char* kInt16PanelName = "emulated-vnni-int16-panel";
  static constexpr const char* kF32RowsName = "emulated-avx512-f32-rows";
  static constexpr const char* kF32PanelName = "emulated-avx512-f32-panel";
  static constexpr int kStreams = 1;
  static constexpr int kInt8Rows = 8, kF32Rows = 16;
  static constexpr int kF32Block = 4;  // weight rows side by side against 3 activation rows and more

  template <int kBytes>
  static TENON_INLINE void prefetch(const std::byte* p) {
    TENON_UNROLL for (int i = 0; i < kBytes; i += 64)
        _mm_prefetch(reinterpret_cast<const char*>(p) + i + 2048, _MM_HINT_T0);
  }

  static TENON_INLINE Int dot_u8(Int w0, Int x0, Int w1, Int x1) {
    return dpbusd(dpbusd(_mm256_setzero_si256(), w0, x0), w1, x1);
  }
  static TENON_INLINE Int dot_s8(Int w0, Int x0, Int w1, Int x1) {
    const Int first = dpbusd(_mm256_setzero_si256(), _mm256_abs_epi8(w0), _mm256_sign_epi8(x0, w0));
    return dpbusd(first, _mm256_abs_epi8(w1), _mm256_sign_epi8(x1, w1));
  }

  using Wide = WideInt512;
  using WideFloat = WideFloat512;
  static constexpr int kWide = 16;
  static TENON_INLINE Wide broadcast(int32_t v) { return {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}; }
  static TENON_INLINE Wide add(Wide a, Wide b) {
    return {_mm256_add_epi32(a.low, b.low), _mm256_add_epi32(a.high, b.high)};
  }
  static TENON_INLINE WideFloat to_float(Wide v) { return {_mm256_cvtepi32_ps(v.low), _mm256_cvtepi32_ps(v.high)}; }
  static TENON_INLINE WideFloat float_set(float v) { return {_mm256_set1_ps(v), _mm256_set1_ps(v)}; }
  static TENON_INLINE WideFloat float_load(const float* p) { return {_mm256_load_ps(p), _mm256_load_ps(p + 8)}; }
  static TENON_INLINE void float_store(float* p, WideFloat v) {
    _mm256_store_ps(p, v.low);
    _mm256_store_ps(p + 8, v.high);
  }
  static TENON_INLINE WideFloat float_add(WideFloat a, WideFloat b) {
    return {_mm256_add_ps(a.low, b.low), _mm256_add_ps(a.high, b.high)};
  }
  static TENON_INLINE WideFloat float_mul(WideFloat a, WideFloat b) {
    return {_mm256_mul_ps(a.low, b.low), _mm256_mul_ps(a.high, b.high)};
  }
  static TENON_INLINE WideFloat float_fma(WideFloat a, WideFloat b, WideFloat c) {
    return {_mm256_fmadd_ps(a.low, b.low, c.low), _mm256_fmadd_ps(a.high, b.high, c.high)};
  }
  template <typename V>
  static TENON_INLINE void hold(V&) {}

  static TENON_INLINE WideFloat float_loadu(const float* p) { return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)}; }
  static TENON_INLINE float float_sum(WideFloat v) { return sum(_mm256_add_ps(v.low, v.high)); }
  template <DType T>
  static TENON_INLINE void load32(const std::byte* p, WideFloat w[2]) {
    Float v[4];
    Weight<T>::load32(p, v);
    TENON_UNROLL for (int i = 0; i < 2; ++i) w[i] = {v[2 * i], v[2 * i + 1]};
  }
  static TENON_INLINE Wide load(const int32_t* p) { return {load_int(p), load_int(p + 8)}; }
  /// Adds the two products of int16 to each dword.
  static TENON_INLINE Wide dot_s16(Wide acc, Wide w, Wide x) {
    return add(acc, {_mm256_madd_epi16(w.low, x.low), _mm256_madd_epi16(w.high, x.high)});
  }

  static int32_t start_word(int32_t sum01, int32_t sum23) { return sum01 + sum23; }

  static TENON_INLINE Int scale_words(Int v) { return v; }

  template <int kFlip>
  struct Code {
    static constexpr int kPlanes = 1;
    static constexpr int kOffset = kFlip;
    using Operand = Wide;
    static TENON_INLINE void put(std::byte* p, Int v) {
      store_int(p, _mm256_xor_si256(v, _mm256_set1_epi8(static_cast<char>(kFlip))));
    }
    static TENON_INLINE Operand load(const std::byte* step, int v) {
      return {load_int(step + 64 * v), load_int(step + 64 * v + 32)};
    }
    static TENON_INLINE Wide add_products(Wide acc, Operand w, Wide x) {
      return {dpbusd(acc.low, w.low, x.low), dpbusd(acc.high, w.high, x.high)};
    }
    static TENON_INLINE Wide total(Wide acc) { return acc; }
    static TENON_INLINE Wide scaled(Wide acc, const int32_t* words) {
      return {_mm256_mullo_epi32(acc.low, load_int(words)), _mm256_mullo_epi32(acc.high, load_int(words + 8))};
    }
    template <int kTimes>
    static TENON_INLINE Wide start(Wide words) {
      return {_mm256_slli_epi32(words.low, __builtin_ctz(kTimes)),
              _mm256_slli_epi32(words.high, __builtin_ctz(kTimes))};
    }
  };
  using U6 = Code<0>;
  using S8 = Code<0x80>;
};

}  // namespace

ImplTable emulated_vnni_impls() { return impl_table<EmulatedVnni>(); }

}  // namespace tenon::cpu
