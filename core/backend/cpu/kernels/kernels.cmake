# Kernel sources with their instruction flags.
set(k ${CMAKE_CURRENT_LIST_DIR})
set(avx2_flags $<$<CONFIG:Release,RelWithDebInfo>:-O3> -mavx2 -mfma -mf16c)
# GCC 12's own AVX-512 header starts results from themselves and warns about it.
set(avx512_flags ${avx2_flags} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni
  "$<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized;-Wno-uninitialized>")
if(TENON_SANITIZE MATCHES address AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # Everything is inlined here: checks as calls, and none of pointers and scopes, compile in half a minute instead of ten.
  foreach(flags avx2_flags avx512_flags)
    list(APPEND ${flags} -fno-sanitize-address-use-after-scope --param=asan-instrumentation-with-call-threshold=0
      -fno-sanitize=null,alignment,object-size,pointer-overflow)
  endforeach()
endif()

set(tenon_linear_kernels ${k}/avx2/linear_avx2.cpp ${k}/avx512/linear_avx512.cpp)
set(tenon_linear_emulated ${k}/emulated/linear_emulated.cpp)
set_source_files_properties(${k}/avx2/linear_avx2.cpp ${k}/emulated/linear_emulated.cpp PROPERTIES
  COMPILE_OPTIONS "${avx2_flags}")
set_source_files_properties(${k}/avx512/linear_avx512.cpp PROPERTIES COMPILE_OPTIONS "${avx512_flags}")
