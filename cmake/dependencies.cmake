# What ropejit is built from. All of it is private: a user of the library needs none of it to compile.

find_package(Threads REQUIRED)
find_package(fmt 9 REQUIRED)

if(POLICY CMP0167)
  cmake_policy(SET CMP0167 NEW)
endif()
find_package(Boost 1.74 REQUIRED)

include(llvm_support)
include(sodium)
include(cuda_headers)

# fmt is compiled into what uses it, never linked. Header-only every source compiles all of it, which takes five times as
# long as once in a source of its own; but what that source must hold is known for the versions that were tried alone.
add_library(ropejit_fmt INTERFACE)
if(ROPEJIT_FMT_HEADER_ONLY)
  target_link_libraries(ropejit_fmt INTERFACE fmt::fmt-header-only)
else()
  target_include_directories(ropejit_fmt SYSTEM INTERFACE
    $<TARGET_PROPERTY:fmt::fmt-header-only,INTERFACE_INCLUDE_DIRECTORIES>)
endif()

# Found dependencies as one interface target of the library's own sources.
add_library(ropejit_dependencies INTERFACE)
target_link_libraries(ropejit_dependencies INTERFACE
  ropejit_fmt Boost::headers ropejit_llvm_support ropejit_sodium ropejit_cuda_headers Threads::Threads ${CMAKE_DL_LIBS})

# The static ones of them, by file, for the library: see library.cmake. It needs nothing of zlib and zstd in the end.
set(ropejit_archives
  "${LLVM_LIBRARY_DIR}/libLLVMSupport.a" "${LLVM_LIBRARY_DIR}/libLLVMDemangle.a"
  ${llvm_compression} "${ROPEJIT_SODIUM_LIBRARY}")
list(FILTER ropejit_archives INCLUDE REGEX "\\.a$")
