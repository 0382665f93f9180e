# What every target of this project is compiled with, as functions, so that a parent project is left alone.

if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  find_program(ROPEJIT_CCACHE ccache)
  mark_as_advanced(ROPEJIT_CCACHE)
  if(ROPEJIT_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_C_COMPILER_LAUNCHER "${ROPEJIT_CCACHE}")
    set(CMAKE_CXX_COMPILER_LAUNCHER "${ROPEJIT_CCACHE}")
  endif()
endif()

if(NOT ROPEJIT_SANITIZE MATCHES "^(address|undefined|thread|address,undefined)?$")
  message(FATAL_ERROR "ROPEJIT_SANITIZE: found ${ROPEJIT_SANITIZE}, "
    "allowed: address, undefined, thread, \"address,undefined\" or empty")
endif()
if(ROPEJIT_BUILD_FUZZERS AND NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  message(FATAL_ERROR "ROPEJIT_BUILD_FUZZERS: found the compiler ${CMAKE_CXX_COMPILER_ID}, needed: Clang, for libFuzzer")
endif()

# Sections and warnings for `target`; a program or shared library drops the sections that nothing uses.
function(ropejit_compile_settings target)
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES
    CXX_EXTENSIONS OFF
    CXX_VISIBILITY_PRESET hidden
    C_VISIBILITY_PRESET hidden
    VISIBILITY_INLINES_HIDDEN ON)
  target_compile_options(${target} PRIVATE -ffunction-sections -fdata-sections)
  # A unique symbol is one for the whole process, whatever its visibility.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
  if(ROPEJIT_DEVELOPMENT)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror)
    # GCC 12 warns of its own std::string (GCC bug 105651), and with precompiled headers more so.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
    if(ROPEJIT_PRECOMPILED_HEADERS)
      target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>)
    endif()
  endif()
  if(ROPEJIT_SANITIZE)
    target_compile_options(${target} PRIVATE -fsanitize=${ROPEJIT_SANITIZE} -fno-omit-frame-pointer)
    # GCC's sanitizers make it warn of the standard library's own variables.
    target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
    if(ROPEJIT_SANITIZE MATCHES "undefined")
      target_compile_options(${target} PRIVATE -fno-sanitize-recover=all)
      # LLVM's library has no type information, which Clang's check of virtual calls links to.
      target_compile_options(${target} PRIVATE $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=vptr>)
      target_link_options(${target} PUBLIC $<$<CXX_COMPILER_ID:Clang>:-fno-sanitize=vptr>)
    endif()
    target_link_options(${target} PUBLIC -fsanitize=${ROPEJIT_SANITIZE})
  endif()
  if(ROPEJIT_BUILD_FUZZERS)
    # Coverage in all objects; what is linked without the fuzzer, as the tests are, has no use for it.
    target_compile_options(${target} PRIVATE -fsanitize=fuzzer-no-link)
    target_link_options(${target} PUBLIC -fsanitize=fuzzer-no-link)
  endif()
endfunction()

# Has the target's C++ sources begin with the headers that most of them have, and those that are named, compiled once:
# half of what a source takes is the reading of them. Each still includes what it names; a build without ROPEJIT_PRECOMPILED_HEADERS is what finds one that does not.
function(ropejit_precompile target)
  if(ROPEJIT_PRECOMPILED_HEADERS)
    set(names algorithm array cstdint functional map memory optional string string_view utility vector fmt/format.h ${ARGN})
    list(TRANSFORM names REPLACE "(.+)" "$<$<COMPILE_LANGUAGE:CXX>:<\\1$<ANGLE-R>>" OUTPUT_VARIABLE headers)
    target_precompile_headers(${target} PRIVATE ${headers})
  endif()
endfunction()

# A program, on top of the above.
function(ropejit_program_settings target)
  ropejit_compile_settings(${target})
  target_link_options(${target} PRIVATE -Wl,--gc-sections)
  if(ROPEJIT_STATIC_RUNTIME)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc)
  endif()
endfunction()
