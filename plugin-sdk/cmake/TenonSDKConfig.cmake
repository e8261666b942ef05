# find_package(TenonSDK): the target tenon_sdk (headers alone, nothing to link) and the function tenon_plugin().
if(NOT TARGET tenon_sdk)
  add_library(tenon_sdk INTERFACE IMPORTED)
  get_filename_component(tenon_prefix ${CMAKE_CURRENT_LIST_DIR}/../../.. ABSOLUTE)
  set_target_properties(tenon_sdk PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${tenon_prefix}/include)
  unset(tenon_prefix)
endif()
include(${CMAKE_CURRENT_LIST_DIR}/TenonPlugin.cmake)
