# tenon_cpu_linear: the CPU backend's matrix products. Each kernel file has the instruction flags of its own folder; the
# rest is built for plain x86-64 and chooses at run time.
set(dir ${CMAKE_CURRENT_LIST_DIR})
include(${dir}/kernels/kernels.cmake)

add_library(tenon_cpu_linear STATIC ${dir}/linear.cpp ${dir}/linear_reference.cpp ${tenon_linear_kernels}
  $<IF:$<BOOL:${dnnl_FOUND}>,${dir}/linear_dnnl.cpp,${dir}/linear_dnnl_absent.cpp>)
target_include_directories(tenon_cpu_linear PUBLIC ${CMAKE_SOURCE_DIR}/core)
target_link_libraries(tenon_cpu_linear PUBLIC tenon_tensor PRIVATE tenon_flags)
if(dnnl_FOUND)
  target_link_libraries(tenon_cpu_linear PRIVATE DNNL::dnnl -l:libgomp.so.1)
endif()

if(TENON_TESTS)
  add_library(tenon_cpu_linear_emulated STATIC ${tenon_linear_emulated})
  target_link_libraries(tenon_cpu_linear_emulated PUBLIC tenon_cpu_linear PRIVATE tenon_flags)
  # Runs the whole list on a chosen product: build by name, `ninja bench_linear`.
  add_executable(bench_linear EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/tests/bench/bench_linear.cpp)
  target_link_libraries(bench_linear PRIVATE tenon_cpu_linear tenon_base CLI11::CLI11 tenon_flags)
endif()
