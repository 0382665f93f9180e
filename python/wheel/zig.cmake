# CMake's toolchain for the wheel: Zig's Clang with the headers of a chosen glibc and a libc++ of its own, which is
# linked in, and what dependencies.sh has built by it. The library's own sources find nothing of the system but the
# headers of CUDA, Boost and Python.
get_filename_component(wheel_root "${CMAKE_CURRENT_LIST_DIR}/../../.deps/wheel" ABSOLUTE)
set(wheel_prefix "${wheel_root}/x86_64")

set(CMAKE_C_COMPILER "${wheel_prefix}/bin/cc")
set(CMAKE_CXX_COMPILER "${wheel_prefix}/bin/c++")
# Boost 1.74 derives from std::unary_function, which C++17 took out.
set(CMAKE_CXX_FLAGS_INIT "-fstack-protector-strong -D_LIBCPP_ENABLE_CXX17_REMOVED_UNARY_BINARY_FUNCTION")
# Debian's pyconfig.h is a link to one by architecture.
set(CMAKE_C_FLAGS_INIT "-fstack-protector-strong -isystem ${wheel_prefix}/python")
# Zig's programs lie where they were linked to, unless asked.
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXE_LINKER_FLAGS_INIT "-pie")
# GNU's, which fold the library; Zig links by itself.
foreach(tool AR RANLIB NM OBJCOPY STRIP)
  string(TOLOWER "${tool}" name)
  set(CMAKE_${tool} "/usr/bin/${name}")
endforeach()
set(CMAKE_LINKER /usr/bin/ld.bfd)

set(LLVM_DIR "${wheel_prefix}/llvm/lib/cmake/llvm")
set(fmt_DIR "${wheel_prefix}/lib/cmake/fmt")
set(Boost_NO_BOOST_CMAKE ON)
set(Boost_NO_SYSTEM_PATHS ON)
set(BOOST_INCLUDEDIR "${wheel_prefix}/include")
set(ROPEJIT_SODIUM_INCLUDE_DIR "${wheel_prefix}/include" CACHE PATH "")
set(ROPEJIT_SODIUM_LIBRARY "${wheel_prefix}/lib/libsodium.a" CACHE FILEPATH "")
set(ROPEJIT_NOTICES_DIR "${wheel_prefix}/notices" CACHE PATH "")
set(ROPEJIT_SBOM "${wheel_prefix}/ropejit.cdx.json" CACHE FILEPATH "")
set(ROPEJIT_FMT_HEADER_ONLY OFF CACHE BOOL "")
