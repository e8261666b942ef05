/* The ABI's layout on x86-64, slot by slot: a change here is a change of what compiled plugins rely on. Compiled as C11
 * and as C++20 with -Wpadded -Wpedantic -Werror, by every compiler at hand. */
#include <tenon/abi.h>

#ifdef __cplusplus
#define CHECK_LAYOUT(fact) static_assert(fact, #fact)
#else
#define CHECK_LAYOUT(fact) _Static_assert(fact, #fact)
#endif
#define AT(type, member, offset) CHECK_LAYOUT(offsetof(type, member) == (offset))
#define SLOT(type, member, index) CHECK_LAYOUT(offsetof(type, member) == (index) * sizeof(void*))
#define BYTES(type, size) CHECK_LAYOUT(sizeof(type) == (size))

BYTES(tn_status, 4);
BYTES(tn_val, 4);
BYTES(tn_wt, 4);
BYTES(tn_st, 4);
BYTES(tn_dim, 8);

BYTES(tn_key, 16);
AT(tn_key, gguf, 8);
BYTES(tn_attr, 24);
AT(tn_attr, kind, 8);
AT(tn_attr, count, 12);
AT(tn_attr, u, 16);
BYTES(tn_xform, 48);
AT(tn_xform, axis, 4);
AT(tn_xform, a, 8);
AT(tn_xform, f, 40);
AT(tn_wsrc, names, 16);
AT(tn_wsrc, steps, 24);
AT(tn_weight, name, 8);
AT(tn_weight, shape, 16);
AT(tn_weight, rank, 24);
AT(tn_weight, tie_to, 32);
AT(tn_weight, src, 40);
AT(tn_weight, n_src, 48);
AT(tn_state, name, 8);
AT(tn_state, layer, 16);
AT(tn_state, n_heads, 24);
AT(tn_state, window, 48);
AT(tn_state, shape, 56);
AT(tn_state, rank, 64);

SLOT(tn_meta_v0, format, 0);
SLOT(tn_meta_v0, type_of, 1);
SLOT(tn_meta_v0, get_i64, 2);
SLOT(tn_meta_v0, get_f64, 3);
SLOT(tn_meta_v0, get_bool, 4);
SLOT(tn_meta_v0, get_str, 5);
SLOT(tn_meta_v0, array_len, 6);
SLOT(tn_meta_v0, elem_i64, 7);
SLOT(tn_meta_v0, elem_f64, 8);
SLOT(tn_meta_v0, elem_str, 9);
SLOT(tn_meta_v0, tensor_shape, 10);
SLOT(tn_meta_v0, ignore_key, 11);
BYTES(tn_meta_v0, 12 * sizeof(void*));

SLOT(tn_build_v0, param, 0);
SLOT(tn_build_v0, dim, 1);
SLOT(tn_build_v0, weight, 2);
SLOT(tn_build_v0, ignore_tensor, 3);
SLOT(tn_build_v0, state, 4);
SLOT(tn_build_v0, input, 5);
SLOT(tn_build_v0, use, 6);
SLOT(tn_build_v0, op, 7);
SLOT(tn_build_v0, has_op, 8);
SLOT(tn_build_v0, rank, 9);
SLOT(tn_build_v0, extent, 10);
SLOT(tn_build_v0, scope, 11);
SLOT(tn_build_v0, location, 12);
SLOT(tn_build_v0, output, 13);
SLOT(tn_build_v0, fail, 14);
BYTES(tn_build_v0, 15 * sizeof(void*));

AT(tn_host_v0, ctx, 16);
AT(tn_host_v0, query, 24);
AT(tn_match, score, 8);
AT(tn_match, why, 16);
SLOT(tn_arch_v0, match, 0);
SLOT(tn_arch_v0, open, 1);
SLOT(tn_arch_v0, describe, 2);
SLOT(tn_arch_v0, close, 3);
BYTES(tn_arch_v0, 4 * sizeof(void*));
AT(tn_plugin, abi_major, 4);
AT(tn_plugin, abi_minor, 8);
AT(tn_plugin, query, 16);
BYTES(tn_plugin, 24);

/* Some object of the unit, so that it is no empty translation unit. */
extern const uint32_t tenon_layout_checked;
const uint32_t tenon_layout_checked = 1;
