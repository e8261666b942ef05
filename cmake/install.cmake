# What an installation holds beside what each folder installs itself (bin/tenon, lib/tenon/plugins, the SDK): the oneDNN
# that the build used, with the OpenMP runtime it needs, in lib/tenon, where the binary looks by $ORIGIN; and documents.
install(FILES README.md ARCHITECTURE.md LICENSE NOTICE DESTINATION share/doc/tenon)
if(dnnl_FOUND)
  get_target_property(dnnl_file DNNL::dnnl LOCATION)
  file(REAL_PATH ${dnnl_file} dnnl_file)
  install(PROGRAMS ${dnnl_file} DESTINATION lib/tenon RENAME $<TARGET_SONAME_FILE_NAME:DNNL::dnnl>)
  find_library(TENON_GOMP NAMES libgomp.so.1 PATHS /usr/lib/${CMAKE_LIBRARY_ARCHITECTURE} /usr/lib64 /usr/lib)
  if(TENON_GOMP)
    file(REAL_PATH ${TENON_GOMP} gomp_file)
    install(PROGRAMS ${gomp_file} DESTINATION lib/tenon RENAME libgomp.so.1)
  endif()
endif()
