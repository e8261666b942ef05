# unit_cpu: the CPU backend's ops and executable against the reference backend.
add_library(tenon_cpu INTERFACE)
target_link_libraries(tenon_cpu INTERFACE tenon_backend)
tenon_unit_test(cpu SOURCES ${CMAKE_CURRENT_LIST_DIR}/cpu_ops_test.cpp ${CMAKE_CURRENT_LIST_DIR}/cpu_attention_test.cpp
  ${CMAKE_CURRENT_LIST_DIR}/cpu_moe_test.cpp)
