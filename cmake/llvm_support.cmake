# ropejit_llvm_support: LLVM's Support library, the static one, version 16 or newer.
#
# LLVM's own package accepts only the exact major.minor it is asked for, so the newest installed one is looked for
# by its folder (Debian and Ubuntu: /usr/lib/llvm-NN) unless LLVM_DIR or LLVM_ROOT says where it is. Its target
# LLVMSupport drags in what LLVM as a whole was built with (z3, the shared zstd); the few objects used here need
# zlib and zstd at most.

if(NOT LLVM_DIR AND NOT LLVM_ROOT AND NOT DEFINED ENV{LLVM_ROOT})
  file(GLOB llvm_dirs "/usr/lib/llvm-*/lib/cmake/llvm")
  list(SORT llvm_dirs COMPARE NATURAL ORDER DESCENDING)
  list(FILTER llvm_dirs EXCLUDE REGEX "llvm-([0-9]|1[0-5])/")
endif()
find_package(LLVM CONFIG QUIET HINTS ${llvm_dirs})
if(NOT LLVM_FOUND OR LLVM_VERSION_MAJOR LESS 16)
  message(FATAL_ERROR "LLVM: found ${LLVM_DIR} ${LLVM_VERSION}, needed: 16 or newer (llvm-NN-dev; set LLVM_DIR)")
endif()
message(STATUS "LLVM ${LLVM_PACKAGE_VERSION}: ${LLVM_DIR}")

foreach(name Support Demangle)
  set(file "${LLVM_LIBRARY_DIR}/libLLVM${name}.a")
  if(NOT EXISTS "${file}")
    message(FATAL_ERROR "LLVM: ${file} is missing; the static libraries are needed")
  endif()
  add_library(ropejit_llvm_${name} STATIC IMPORTED)
  set_target_properties(ropejit_llvm_${name} PROPERTIES IMPORTED_LOCATION "${file}")
endforeach()

# Static ones where they are installed: a program then runs where they are not. An LLVM that was built without them needs
# neither.
set(llvm_compression "")
if(LLVM_ENABLE_ZSTD)
  find_library(ROPEJIT_ZSTD_LIBRARY NAMES libzstd.a zstd REQUIRED)
  list(APPEND llvm_compression "${ROPEJIT_ZSTD_LIBRARY}")
endif()
if(LLVM_ENABLE_ZLIB)
  find_library(ROPEJIT_ZLIB_LIBRARY NAMES libz.a z REQUIRED)
  list(APPEND llvm_compression "${ROPEJIT_ZLIB_LIBRARY}")
endif()
mark_as_advanced(ROPEJIT_ZSTD_LIBRARY ROPEJIT_ZLIB_LIBRARY)

add_library(ropejit_llvm_support INTERFACE)
target_include_directories(ropejit_llvm_support SYSTEM INTERFACE ${LLVM_INCLUDE_DIRS})
target_link_libraries(ropejit_llvm_support INTERFACE
  ropejit_llvm_Support ropejit_llvm_Demangle ${llvm_compression}
  Threads::Threads ${CMAKE_DL_LIBS} rt m)
