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

# Without fmt's headers as its implementation a file compiles in a fifth of the time, but programs need its library.
if(ROPEJIT_FMT_HEADER_ONLY)
  set(fmt_target fmt::fmt-header-only)
else()
  set(fmt_target fmt::fmt)
endif()

# Found dependencies as one interface target of the library's own sources.
add_library(ropejit_dependencies INTERFACE)
target_link_libraries(ropejit_dependencies INTERFACE
  ${fmt_target} Boost::headers ropejit_llvm_support ropejit_sodium ropejit_cuda_headers Threads::Threads ${CMAKE_DL_LIBS})
