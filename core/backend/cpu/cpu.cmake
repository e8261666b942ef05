# The CPU backend, except its matrix products (linear.cmake). The vector kernels are one source built once per
# instruction set; everything else is built for plain x86-64 and chooses at run time.
set(cpu_dir ${CMAKE_CURRENT_LIST_DIR})
set(cpu_sources
  cpu
  executable
  compile_ctx
  fuse
  reservation
  state_pool
  ops/attention
  ops/attention_plan
  ops/elementwise
  ops/encoder_attention
  ops/head_product
  ops/linear
  ops/matrix_state
  ops/mla
  ops/mla_expanded
  ops/mla_plan
  ops/moe_ffn
  ops/moe_route
  ops/norm
  ops/packing
  ops/pool
  ops/recurrent
  ops/rope
  ops/rows
  ops/sparse_mixer)
set(cpu_vector kernels/vector/vector_x86 kernels/vector/vector_avx2 kernels/vector/vector_avx512)
foreach(source ${cpu_sources} ${cpu_vector})
  list(APPEND TENON_BACKEND_SOURCES ${cpu_dir}/${source}.cpp)
endforeach()
list(APPEND TENON_BACKEND_DEPENDS tenon_cpu_linear)

set(cpu_vector_flags -O3 -ffp-contract=fast -fno-math-errno)
set(cpu_avx2 -mavx2 -mfma -mf16c)
set(cpu_avx512 -mavx512f -mavx512bw -mavx512vl -mavx512dq -mfma -mf16c)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  list(APPEND cpu_avx512 -Wno-maybe-uninitialized)  # GCC 12's own AVX-512 headers
endif()
set_source_files_properties(${cpu_dir}/kernels/vector/vector_x86.cpp PROPERTIES COMPILE_OPTIONS "${cpu_vector_flags}")
set_source_files_properties(${cpu_dir}/kernels/vector/vector_avx2.cpp PROPERTIES COMPILE_OPTIONS "${cpu_vector_flags};${cpu_avx2}")
set_source_files_properties(${cpu_dir}/kernels/vector/vector_avx512.cpp PROPERTIES COMPILE_OPTIONS "${cpu_vector_flags};${cpu_avx512}")
