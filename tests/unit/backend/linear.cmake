# unit_cpu_linear: every matrix product of the CPU backend against the plain loop.
tenon_unit_test(cpu_linear SOURCES ${CMAKE_CURRENT_LIST_DIR}/linear_test.cpp DEPENDS tenon_cpu_linear_emulated)
