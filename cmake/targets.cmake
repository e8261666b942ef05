# The build's own vocabulary: rooms, unit tests, warnings and sanitizers.
add_library(tenon_flags INTERFACE)
target_compile_options(tenon_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -fvisibility=hidden)
# Reference loops must not be rewritten: no fast-math anywhere, contraction only where a kernel asks for it.
target_compile_options(tenon_flags INTERFACE -ffp-contract=off)
if(TENON_SANITIZE)
  add_compile_options(-fsanitize=${TENON_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${TENON_SANITIZE})
  # GCC warns falsely about moved variants once the sanitizers' checks stand between.
  target_compile_options(tenon_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
endif()
find_program(MOLD mold)
if(MOLD AND NOT TENON_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

# tenon_room(<room> SOURCES ... DEPENDS <targets>): the static library tenon_<room> of core/<room>.
function(tenon_room room)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_library(tenon_${room} STATIC ${arg_SOURCES})
  target_include_directories(tenon_${room} PUBLIC ${CMAKE_SOURCE_DIR}/core)
  target_link_libraries(tenon_${room} PUBLIC ${arg_DEPENDS} PRIVATE tenon_flags)
endfunction()

# tenon_unit_test(<room> SOURCES ... [DEPENDS ...]): the doctest program unit_<room>, one ctest entry.
function(tenon_unit_test room)
  cmake_parse_arguments(arg "" "" "SOURCES;DEPENDS" ${ARGN})
  add_executable(unit_${room} ${CMAKE_SOURCE_DIR}/tests/unit/main.cpp ${arg_SOURCES})
  target_link_libraries(unit_${room} PRIVATE tenon_${room} ${arg_DEPENDS} doctest::doctest tenon_flags)
  target_include_directories(unit_${room} PRIVATE ${CMAKE_SOURCE_DIR}/tests/unit)
  target_compile_definitions(unit_${room} PRIVATE TENON_SOURCE_DIR="${CMAKE_SOURCE_DIR}" TENON_SHARED="${TENON_SHARED}"
    TENON_BINARY_DIR="${CMAKE_BINARY_DIR}")
  add_test(NAME unit_${room} COMMAND unit_${room})
endfunction()
