# tenon_plugin(<name> [SOURCES ...]): the plugin <name>.so, from <name>.cpp by default, in TENON_PLUGIN_OUTPUT_DIRECTORY or
# else in the build directory of the calling file. `cmake --install` puts it where an installed tenon looks for plugins.
# It shows one symbol, brings its own C++ runtime and needs nothing but libc, so that plugins of different compilers and
# the host can live in one process: each option below closes one way in which they would see each other.
# TENON_PLUGIN_VENDOR and TENON_PLUGIN_LICENSE, where set, go into the note.
function(tenon_plugin name)
  cmake_parse_arguments(arg "" "" "SOURCES" ${ARGN})
  if(NOT arg_SOURCES)
    set(arg_SOURCES ${name}.cpp)
  endif()
  set(target plugin_${name})
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/tenon_plugin.map)
  add_library(${target} MODULE ${arg_SOURCES})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ${name} PREFIX "" SUFFIX .so
    CXX_VISIBILITY_PRESET hidden C_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
    SKIP_BUILD_RPATH ON LINK_DEPENDS ${map})
  if(TENON_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES LIBRARY_OUTPUT_DIRECTORY ${TENON_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  target_link_libraries(${target} PRIVATE tenon_sdk)
  target_compile_features(${target} PRIVATE cxx_std_20)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Werror -ffunction-sections -fdata-sections
    $<$<AND:$<COMPILE_LANGUAGE:CXX>,$<CXX_COMPILER_ID:GNU>>:-fno-gnu-unique>)
  target_link_options(${target} PRIVATE -Wl,--version-script=${map} -Wl,-z,now -Wl,-z,relro -Wl,--gc-sections)
  foreach(fact VENDOR LICENSE)
    if(TENON_PLUGIN_${fact})
      target_compile_definitions(${target} PRIVATE TENON_PLUGIN_${fact}="${TENON_PLUGIN_${fact}}")
    endif()
  endforeach()
  # A sanitizer's runtime is in the host and must be shared with it.
  if(NOT TENON_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs -static-libstdc++ -static-libgcc)
  endif()
  install(TARGETS ${target} LIBRARY DESTINATION lib/tenon/plugins)
endfunction()
