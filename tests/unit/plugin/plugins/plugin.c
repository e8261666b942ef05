/* One plugin in plain C for every way of being wrong, chosen by macros: NOTE_JSON (a string, or undefined for no note),
 * NOTE_PAD (bytes of blanks after it), ABI_MAJOR (of the entry), EXTRA_EXPORT, NO_ARCH, and a constructor's body CTOR.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tenon/abi.h>
#include <unistd.h>

#ifndef NOTE_PAD
#define NOTE_PAD 0
#endif
#ifndef ABI_MAJOR
#define ABI_MAJOR TENON_ABI_MAJOR
#endif

#ifdef NOTE_JSON
static const struct {
  uint32_t owner_size, size, type;
  char owner[8];
  char json[sizeof(NOTE_JSON) - 1 + NOTE_PAD];
} note __attribute__((section(".note.tenon.plugin"), used, aligned(4))) = {6, sizeof(NOTE_JSON) - 1 + NOTE_PAD, 1,
                                                                           "Tenon", NOTE_JSON};
#endif

#ifdef CTOR
static void hog(size_t bytes) {
  volatile char* p = malloc(bytes);
  for (size_t i = 0; p && i < bytes; i += 4096) p[i] = 1;
}
static void* volatile reserved;
static void reserve(size_t bytes) { reserved = malloc(bytes); }
static void refuse_to_answer(void) {
  for (;;) pause();
}
__attribute__((constructor)) static void constructor(void) {
  (void)hog;
  (void)reserve;
  (void)refuse_to_answer;
  CTOR;
}
#endif

#ifdef EXTRA_EXPORT
TENON_EXPORT int leaked_symbol(void);
TENON_EXPORT int leaked_symbol(void) { return 1; }
#endif

static tn_status match(const tn_host_v0* host, const tn_meta* meta, uint32_t arch, tn_match* out) {
  (void)host, (void)meta, (void)arch;
  out->score = 50;
  return TN_OK;
}
static tn_status open_model(const tn_host_v0* host, const tn_meta* meta, uint32_t arch, tn_build* errors, void** self) {
  (void)host, (void)meta, (void)arch, (void)errors;
  *self = NULL;
  return TN_OK;
}
static tn_status describe(void* self, const tn_host_v0* host, tn_build* b, const char* graph) {
  (void)self, (void)host, (void)b, (void)graph;
  return TN_UNSUPPORTED;
}
static void close_model(void* self) { (void)self; }

static const tn_arch_v0 arch_table = {match, open_model, describe, close_model};

static const void* query(const char* iface) {
#ifdef NO_ARCH
  (void)arch_table, (void)iface;
  return NULL;
#else
  return strcmp(iface, TENON_IFACE_ARCH) == 0 ? &arch_table : NULL;
#endif
}

TENON_EXPORT const tn_plugin tenon_plugin;
const tn_plugin tenon_plugin = {sizeof(tn_plugin), ABI_MAJOR, TENON_ABI_MINOR, 0, query};
