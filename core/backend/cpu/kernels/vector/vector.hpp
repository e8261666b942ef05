// The CPU backend's kernels that are not matrix products: norms, activations, rotation, attention over one KV page.
// One source (vector_impl.inc) is compiled once per instruction set; each compilation yields one table below.
// Plain pointers only, so that no inline code is shared between files compiled with different flags.
#pragma once

#include <stdint.h>

namespace tenon::cpu {

/// The same order as tenon::Activation, which the kernels cannot include.
enum class VecAct : uint8_t {
  identity,
  silu,
  gelu_erf,
  gelu_tanh,
  relu,
  relu2,
  sigmoid,
  tanh,
  softplus,
  exp,
  neg,
  sqrt
};

inline constexpr int kAttnPage = 32;  // keys per page, as kPageTokens

/// The running softmax of some queries that look at the same keys. Rows of `q` are dk apart, rows of `acc` dv_pad.
struct AttnTile {
  int64_t nq, dk, dv_pad;       // dv_pad: dv rounded up to 16
  float softcap;                // 0: none
  bool half;                    // keys and values are float16, else float32
  const float* q;               // [nq][dk], already multiplied by the score's scale
  const int32_t *lo, *hi;       // [nq] first and last visible key position
  float *max, *sum, *acc;       // [nq], [nq], [nq][dv_pad]
  float* s;                     // [nq][32] scratch: scores, then weights
  float *kf, *vf;               // [dk][32] and [32][dv_pad] scratch, used for halves when nq is large
  const float* bias = nullptr;  // [n_bias][32], joins the scores of the page; query i uses row i % n_bias
  int64_t n_bias = 1;
};

/// 16 channels of a selective scan over a sequence's rows: h = exp(dt a) h + dt b x, y = sum over n of c h, + d x.
struct ScanTile {
  int64_t n_rows, n_state, lanes;  // lanes: channels that exist, 1 to 16
  int64_t row;                     // elements between rows of x, dt and y; rows of b and c are n_state wide
  const float *x, *dt, *b, *c;     // at the first row and channel
  const float *a, *d;              // [n_state][16]; [16] or null
  float *h, *y;                    // [n_state][16]
};

/// Columns of one head's state S [dk][s_row] over a sequence's rows, for one of four rules; pointers are at the first
/// row, and each kind of operand has its own distance between rows. A kernel reads what its rule's contract names.
struct MatrixTile {
  int64_t n_rows, dk, lanes;  // lanes: columns from here on that exist
  int64_t key_row, value_row, decay_row, beta_row, s_row;
  const float *q, *k, *a, *b;  // [dk] a row
  const float* v;              // [lanes] a row
  const float* decay;          // [dk] logarithms a row, or one with one_decay
  const float* beta;           // one value a row: strength or step
  const float* bonus;          // [dk]
  float rate, skip, scale;     // ssd: A and D; delta: of y
  bool one_decay;
  float *s, *y;  // rows of y lie as those of v
};

/// One instruction set's kernels. Keys of a page are stored [dk][32] (so that a score needs no horizontal sum), values
/// [32][dv_pad] with zeros in the padding.
struct VectorKernels {
  const char* name;  // "avx512", "avx2", "x86-64"
  void (*rms_norm)(const float* x, const float* w, float eps, float* y, int64_t n);
  void (*layer_norm)(const float* x, const float* w, const float* b, float eps, float* y, int64_t n);
  void (*l2_norm)(const float* x, float eps, float* y, int64_t n);
  float (*sum)(const float* x, int64_t n);
  void (*add)(const float* a, const float* b, float* y, int64_t n);
  void (*sub)(const float* a, const float* b, float* y, int64_t n);
  void (*mul)(const float* a, const float* b, float* y, int64_t n);
  void (*axpy)(float a, const float* x, float* y, int64_t n);  // y += a * x
  void (*scale_shift)(const float* x, float scale, float shift, float* y, int64_t n);
  void (*softcap)(const float* x, float cap, float* y, int64_t n);
  void (*clamp)(const float* x, float lo, float hi, float* y, int64_t n);
  void (*unary)(VecAct act, const float* x, float* y, int64_t n);
  void (*glu)(VecAct act, const float* gate, const float* up, float* y, int64_t n);
  /// y = g * sigmoid(alpha g) * (u + 1), g = min(gate, limit), u = up within [-limit, limit].
  void (*swiglu_oai)(float alpha, float limit, const float* gate, const float* up, float* y, int64_t n);
  /// y = scale * rotate(x) for one head of d elements. neox: cos and sin hold n_rot / 2 each; interleaved: n_rot each,
  /// every value twice, sin negated at even places.
  void (*rope)(const float* x, const float* cos, const float* sin, int64_t n_rot, bool interleaved, float scale,
               float* y, int64_t d);
  /// Writes one token's key or value into its slot of a page.
  void (*store_key)(const float* k, int64_t dk, int64_t slot, bool half, void* page);
  void (*store_value)(const float* v, int64_t dv, int64_t dv_pad, int64_t slot, bool half, void* page);
  void (*attn_begin)(const AttnTile& tile);
  /// Keys [key0, key0 + n_keys) of one page join the running softmax.
  void (*attn_page)(const AttnTile& tile, const void* k_page, const void* v_page, int64_t key0, int64_t n_keys);
  /// y = bias + sum over j < k of w[j * w_row ...] * rows[j], n channels; bias may be null.
  void (*conv_row)(const float* const* rows, const float* w, int64_t w_row, int64_t k, const float* bias, float* y,
                   int64_t n);
  void (*ssm_scan)(const ScanTile& tile);
  /// tenon.ssd_scan/1 (q = C, k = B), wkv6/1, wkv7/1 (q = r) and gated_delta_rule/1.
  void (*ssd_scan)(const MatrixTile& tile);
  void (*wkv6)(const MatrixTile& tile);
  void (*wkv7)(const MatrixTile& tile);
  void (*delta_rule)(const MatrixTile& tile);
  /// Latent rows: n floats as they are kept, and back, with zeros up to `padded`.
  void (*store_row)(const float* x, int64_t n, bool half, void* to);
  void (*load_row)(const void* from, int64_t n, int64_t padded, bool half, float* to);
  /// y += sum over j < n_rows of a[j] * rows[j], rows `stride` apart, n elements.
  void (*add_rows)(const float* a, const float* rows, int64_t stride, int64_t n_rows, float* y, int64_t n);
  /// As attn_page, for rows of `width` that are the keys and, in their first columns, the values. tile.dk is the width
  /// rounded up to 16, which rows of q are too, with zeros; kf [32][dk] is used, vf is not.
  void (*latent_page)(const AttnTile& tile, const void* page, int64_t width, int64_t key0, int64_t n_keys);
};

extern const VectorKernels kVectorX86, kVectorAvx2, kVectorAvx512;

}  // namespace tenon::cpu
