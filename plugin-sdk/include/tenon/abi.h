/* The plugin ABI of Tenon, C11. This header is the specification.
 *
 * A plugin is one shared library that exports one symbol, `tenon_plugin`, and carries one ELF note (section
 * .note.tenon.plugin, owner "Tenon", type 1) whose payload is a JSON object: what it is, readable without loading it.
 * A plugin never touches a tensor's bytes, a device, a thread, a batch or a cache layout. It recognises a model, reads
 * its hyper-parameters, declares weights and per-sequence state, and builds one graph over a fixed vocabulary of ops.
 *
 * Rules that hold for every entry below
 *  - Fixed-width integers only. Function tables are frozen per interface id; additions come as a new id. Data structs
 *    start with `size` and grow only at their end; the reader copies min(size, own size) and zero-fills the rest.
 *    tn_key, tn_attr and tn_xform are frozen, so they may stand in arrays.
 *  - Everything passed in is borrowed for the call; the host copies what it keeps. Strings returned by the host live as
 *    long as the tn_meta they came from. Nobody frees the other side's memory.
 *  - Nothing is thrown across. A function that can fail returns a status or an id; id 0 is invalid. The first failure
 *    poisons the builder: later calls return 0 and have no effect, so callers need not check each one.
 *  - Threads: one tn_build or tn_meta is used by one thread at a time; different ones concurrently. match, open and
 *    describe use no globals, threads, I/O, environment or clock.
 *  - Ids end in /0 while the vocabulary settles: they promise nothing until they freeze as /1.
 */
#ifndef TENON_ABI_H
#define TENON_ABI_H

#include <stddef.h>
#include <stdint.h>

#define TENON_ABI_MAJOR 0
#define TENON_ABI_MINOR 1
#define TENON_IFACE_META "tenon.meta/0"
#define TENON_IFACE_BUILD "tenon.build/0"
#define TENON_IFACE_ARCH "tenon.arch/0"
/* The revision of the op vocabulary below; carried in the note. */
#define TENON_OPSET 1

#ifdef __cplusplus
#define TENON_EXPORT extern "C" __attribute__((visibility("default")))
extern "C" {
#else
#define TENON_EXPORT __attribute__((visibility("default")))
#endif

typedef int32_t tn_status; /* 0 worked; anything else is a failure, its text given through `fail` */
enum { TN_OK = 0, TN_ERROR = 1, TN_UNSUPPORTED = 2 };

typedef uint32_t tn_val; /* a value of the graph */
typedef uint32_t tn_wt;  /* a weight */
typedef uint32_t tn_st;  /* a per-sequence state */
typedef int64_t tn_dim;  /* a dimension: >= 0 literal, < 0 symbolic (from `dim`) */

typedef struct tn_meta tn_meta;   /* host-owned: the metadata of one model */
typedef struct tn_build tn_build; /* host-owned: the description under construction */
typedef struct tn_host tn_host;   /* host-owned */

/* File formats. */
enum { TN_FORMAT_SAFETENSORS = 1, TN_FORMAT_GGUF = 2 };

/* A hyper-parameter's name in both formats. `hf`: dotted path in config.json. `gguf`: key under the file's own
 * "{general.architecture}." prefix, or a full key when it starts with '/' (e.g. "/tokenizer.ggml.bos_token_id").
 * NULL: the format does not carry it. Reading marks the key as read, whatever its value; JSON null reads as absent. */
typedef struct tn_key {
  const char* hf;
  const char* gguf;
} tn_key;

enum {
  TN_TYPE_ABSENT = 0,
  TN_TYPE_BOOL = 1,
  TN_TYPE_INT = 2,
  TN_TYPE_REAL = 3,
  TN_TYPE_STRING = 4,
  TN_TYPE_ARRAY = 5,
  TN_TYPE_OBJECT = 6
};

/* "tenon.meta/0": the model's metadata, whichever format it is in. The getters return 1 when found (an integer reads as
 * a real, an integral real as an integer), 0 when absent; another type is recorded as an error of the description that
 * names key and both types, and returns 0. */
typedef struct tn_meta_v0 {
  uint32_t (*format)(const tn_meta* meta); /* TN_FORMAT_* */
  uint32_t (*type_of)(const tn_meta* meta, const tn_key* key);
  int32_t (*get_i64)(const tn_meta* meta, const tn_key* key, int64_t* out);
  int32_t (*get_f64)(const tn_meta* meta, const tn_key* key, double* out);
  int32_t (*get_bool)(const tn_meta* meta, const tn_key* key, uint32_t* out);
  int32_t (*get_str)(const tn_meta* meta, const tn_key* key, const char** out);
  /* Length of an array; 0 when absent. Elements are read by index with the same conversions; as an integer, a bool
   * reads as 0 or 1. */
  size_t (*array_len)(const tn_meta* meta, const tn_key* key);
  int32_t (*elem_i64)(const tn_meta* meta, const tn_key* key, size_t index, int64_t* out);
  int32_t (*elem_f64)(const tn_meta* meta, const tn_key* key, size_t index, double* out);
  int32_t (*elem_str)(const tn_meta* meta, const tn_key* key, size_t index, const char** out);
  /* The shape of a stored tensor, row-major; returns its rank (1..8), 0 when there is none. */
  uint32_t (*tensor_shape)(const tn_meta* meta, const char* tensor, int64_t dims[8]);
  /* Declares keys that change nothing for this architecture. `hf_glob` and `gguf_glob` as in tn_key, with '*'. */
  void (*ignore_key)(const tn_meta* meta, const char* hf_glob, const char* gguf_glob, const char* why);
} tn_meta_v0;

/* Attributes of an op. */
enum { TN_ATTR_INT = 1, TN_ATTR_REAL = 2, TN_ATTR_STRING = 3, TN_ATTR_INTS = 4, TN_ATTR_REALS = 5 };
typedef struct tn_attr { /* frozen */
  const char* key;
  uint32_t kind, count; /* TN_ATTR_*; count for the arrays, else 1 */
  union {
    int64_t i;
    double f;
    const char* s;
    const int64_t* iv;
    const double* fv;
  } u;
} tn_attr;

/* One step from stored tensors to a declared weight. Steps run in order; each names an invertible operation, which the
 * host applies when it loads and inverts when it writes a checkpoint. Axes count from 0 in the row-major shape. */
enum {
  TN_X_TRANSPOSE = 1, /* swap axes a[0] and a[1] */
  TN_X_RESHAPE = 2,   /* to the declared weight's shape (same element count) */
  TN_X_CONCAT = 3,    /* join all names along `axis` */
  TN_X_STACK = 4,     /* join all names along a new leading axis (experts) */
  /* a[1] indices of `axis` from a[0] on, every a[3]th (0: each), or that many from each of the axis' a[2] equal groups;
   * the others belong to other weights */
  TN_X_SLICE = 5,
  TN_X_ROPE_UNPERMUTE =
      6,            /* per head of a[0] heads, `axis` 0: rows from interleaved pairs (2j, 2j+1) to halves (j, j+n/2) */
  TN_X_ADD = 7,     /* x + f */
  TN_X_SCALE = 8,   /* x * f, f != 0 */
  TN_X_NEG_EXP = 9, /* -exp(x) */
  /* axis 0, a[0] groups of rows, each of a[1] + a[2] + a[3] rows and the rest: all groups' first parts, then all second
   * parts, ... (a fused projection stored head by head) */
  TN_X_REGROUP = 10,
  TN_X_MXFP4 = 11 /* join two names, u8 [..., n, 16] and u8 [..., n], into 4-bit floats [..., 32 n]: 16 bytes hold 32
                     values, two neighbours each, the first one low; with an exponent of two, less 127, for each 16 */
};
typedef struct tn_xform { /* frozen */
  uint32_t op;
  int32_t axis;
  int64_t a[4];
  double f;
} tn_xform;

/* Where a weight comes from in one format. Several sources of the same format are alternatives: the first whose names
 * are all stored is taken. */
typedef struct tn_wsrc {
  uint32_t size, format;
  uint32_t n_names, n_steps;
  const char* const* names;
  const tn_xform* steps;
} tn_wsrc;

enum {
  TN_WEIGHT_OPTIONAL = 1u /* when no source is stored and there is no tie: `weight` returns 0 without failing */
};
/* How tensor parallelism may cut a weight: by output rows, input columns, whole experts, or vocabulary rows. */
enum { TN_SHARD_NONE = 0, TN_SHARD_ROW = 1, TN_SHARD_COL = 2, TN_SHARD_EXPERT = 3, TN_SHARD_VOCAB = 4 };

typedef struct tn_weight {
  uint32_t size, flags;
  const char* name;     /* logical name, unique within the description; by convention the HF name */
  const int64_t* shape; /* row-major; linear weights are [out, in], expert stacks [experts, out, in] */
  uint32_t rank, shard;
  /* logical name of an earlier weight used when no source is stored, or NULL; a config.json whose tie_word_embeddings
   * is false allows no tie */
  const char* tie_to;
  const tn_wsrc* const* src;
  uint32_t n_src, reserved0;
} tn_weight;

/* Per-sequence state: what a sequence keeps from step to step. The host stores, zeroes, pages, copies and restores it.
 *  - KV grows with the sequence, in pages. With a window W the host frees pages that no later query can see.
 *  - CONV and RECURRENT have one size for any length and start as zeros; going back to an earlier length needs a copy
 *    taken there, which the host does by itself.
 *  - MLA_LATENT grows like KV: rows that keys and values of all heads are made of.
 *  - INDEX_KEYS is named here for later; a host refuses, by name, kinds that it does not know.
 * A token shift (the previous token's row) is CONV with shape [1, C]. Matrices that a rule updates (selective scan
 * [C, N] or [H, D, N], wkv and delta rule [H, dim_k, dim_v]) are RECURRENT. */
enum {
  TN_STATE_KV = 1,         /* keys [ctx, n_heads, dim_k] and values [ctx, n_heads, dim_v], f32 or narrower */
  TN_STATE_CONV = 2,       /* shape [K-1, C]: the last K-1 inputs of a causal convolution, oldest first, f32 */
  TN_STATE_RECURRENT = 3,  /* shape as given, f32 */
  TN_STATE_MLA_LATENT = 4, /* shape [latent + rotary]: one row per position, shared by all heads */
  TN_STATE_INDEX_KEYS = 5  /* shape [D]: one row per position, for choosing keys */
};
typedef struct tn_state {
  uint32_t size, kind;
  const char* name;
  uint32_t layer, reserved0;
  int64_t n_heads, dim_k, dim_v;
  int64_t window; /* 0: all positions; W: a query at p sees keys k with p - k < W */
  /* Kinds with a shape: row-major, rank 1..4; n_heads, dim_k, dim_v and window are then 0. KV: NULL and 0. */
  const int64_t* shape;
  uint32_t rank, reserved1;
} tn_state;

/* Model-wide facts that the host needs, declared through `param`:
 *   "n_layers" "n_vocab" "d_model" "n_ctx" (trained context length)   integers, required of a decoder
 *   anything else is kept for `inspect`. */

/* "tenon.build/0": the description under construction. Ops are named by strings with a revision; the vocabulary, with
 * shapes and attributes of each, is listed in the SDK's ops.md; tenon/graph.hpp wraps it. */
typedef struct tn_build_v0 {
  tn_status (*param)(tn_build* b, const tn_attr* attr);
  tn_dim (*dim)(tn_build* b, const char* symbol); /* "tokens": rows of this step; "rows": rows that want logits */
  tn_wt (*weight)(tn_build* b, const tn_weight* weight);
  /* Stored tensors that this architecture does not use, by glob; the other format's are given by the other call. */
  void (*ignore_tensor)(tn_build* b, uint32_t format, const char* glob, const char* why);
  tn_st (*state)(tn_build* b, const tn_state* state);
  tn_val (*input)(tn_build* b,
                  const char* name);        /* "tokens" i32 [tokens], "positions" i32 [tokens], "rows" i32 [rows] */
  tn_val (*use)(tn_build* b, tn_wt weight); /* a weight as a value, for ops that take one as an operand */
  /* Appends an op. n_out results are written to `out`. Operand 0 in `in` means "absent" where the op allows it. */
  tn_status (*op)(tn_build* b, const char* op_id, const tn_val* in, uint32_t n_in, const tn_st* states,
                  uint32_t n_states, const tn_attr* attrs, uint32_t n_attrs, tn_val* out, uint32_t n_out);
  uint32_t (*has_op)(tn_build* b, const char* op_id);
  uint32_t (*rank)(tn_build* b, tn_val value);                   /* of a value built so far; 0 for an invalid one */
  tn_dim (*extent)(tn_build* b, tn_val value, uint32_t axis);    /* a dimension of a value */
  void (*scope)(tn_build* b, const char* name, int32_t layer);   /* what the following ops belong to; layer -1: none */
  void (*location)(tn_build* b, const char* file, int32_t line); /* source of the following calls, for messages */
  /* "logits" [rows, n_vocab]; of an encoder "hidden" [tokens, d] and "embedding" [rows, n], one of a row's sequence */
  tn_status (*output)(tn_build* b, const char* name, tn_val value);
  tn_status (*fail)(tn_build* b, tn_status status, const char* message, const char* file, int32_t line);
} tn_build_v0;

typedef struct tn_host_v0 {
  uint32_t size, abi_major, abi_minor, reserved0;
  tn_host* ctx;
  const void* (*query)(tn_host* ctx, const char* iface); /* NULL for an id this host lacks */
} tn_host_v0;

typedef struct tn_match {
  uint32_t size, reserved0;
  int32_t score; /* 0: not this model; 1..100 */
  uint32_t reserved1;
  const char* why; /* static text, for the explanation of a selection */
} tn_match;

/* "tenon.arch/0", plugin side: what `tenon_plugin.query` answers. `arch` indexes the note's "archs" array. */
typedef struct tn_arch_v0 {
  /* How well the model fits. Called only for models whose names the note lists. */
  tn_status (*match)(const tn_host_v0* host, const tn_meta* meta, uint32_t arch, tn_match* out);
  /* Reads the hyper-parameters; `*self` is the plugin's own, handed back to describe and close. */
  tn_status (*open)(const tn_host_v0* host, const tn_meta* meta, uint32_t arch, tn_build* errors, void** self);
  /* Builds the graph named `graph` ("decoder"). */
  tn_status (*describe)(void* self, const tn_host_v0* host, tn_build* b, const char* graph);
  void (*close)(void* self);
} tn_arch_v0;

typedef struct tn_plugin {
  uint32_t size, abi_major, abi_minor, reserved0;
  const void* (*query)(const char* iface); /* plugin-side interfaces; NULL for others */
} tn_plugin;

#ifdef __cplusplus
}
#endif
#endif
