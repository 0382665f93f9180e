# The library from ropejit_objects: the target ropejit of the kind that BUILD_SHARED_LIBS says and, with ROPEJIT_INSTALL,
# ropejit_static or ropejit_shared of the other kind. Aliases: ropejit::ropejit, ropejit::static, ropejit::shared.
#
# Both kinds hold one relocatable object in which all but the public names is local (fold_objects.cmake): whoever links
# them sees nothing of LLVM, fmt, Boost or libsodium, and has no use for their files.

include(CheckLinkerFlag)

# `target` of what is in the rest of the arguments.
function(ropejit_library target kind)
  add_library(${target} ${kind} ${ARGN})
  set_target_properties(${target} PROPERTIES
    OUTPUT_NAME ropejit LINKER_LANGUAGE CXX
    VERSION "${PROJECT_VERSION}" SOVERSION "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
  target_include_directories(${target} INTERFACE
    "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>" "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_compile_features(${target} INTERFACE cxx_std_17)
endfunction()

# Sanitizers have sections and symbols of their own: instrumented objects stay as they are.
if(NOT ROPEJIT_FOLDED)
  ropejit_library(ropejit "" $<TARGET_OBJECTS:ropejit_objects>)
  target_link_libraries(ropejit PRIVATE $<BUILD_INTERFACE:ropejit_dependencies>)
  if(ROPEJIT_SANITIZE)
    target_link_options(ropejit PUBLIC -fsanitize=${ROPEJIT_SANITIZE})
  endif()
  add_library(ropejit::ropejit ALIAS ropejit)
  return()
endif()

# GNU ld, which may stand beside another that is the default.
set(relocating_linker "")
foreach(linker "${CMAKE_LINKER}" "${CMAKE_LINKER}.bfd")
  execute_process(COMMAND "${linker}" --help OUTPUT_VARIABLE help ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT relocating_linker AND NOT failed AND help MATCHES "force-group-allocation")
    set(relocating_linker "${linker}")
  endif()
endforeach()
if(NOT relocating_linker)
  message(FATAL_ERROR "CMAKE_LINKER: found ${CMAKE_LINKER}, needed: GNU ld 2.29 or newer")
endif()

set(folded "${CMAKE_CURRENT_BINARY_DIR}/ropejit_folded.o")
set(object_list "${CMAKE_CURRENT_BINARY_DIR}/ropejit_objects.rsp")
# A precompiled header stands among the objects, too.
set(objects "$<FILTER:$<TARGET_OBJECTS:ropejit_objects>,EXCLUDE,[.](gch|pch)$>")
file(GENERATE OUTPUT "${object_list}" CONTENT "\"$<JOIN:${objects},\"\n\">\"\n")
set(script "${PROJECT_SOURCE_DIR}/cmake/fold_objects.cmake")
set(archives "${ropejit_archives}")
add_custom_command(
  OUTPUT "${folded}"
  COMMAND "${CMAKE_COMMAND}" -D "OUTPUT=${folded}" -D "OBJECTS=${object_list}" -D "ARCHIVES=${archives}"
    -D "LINKER=${relocating_linker}" -D "NM=${CMAKE_NM}" -D "OBJCOPY=${CMAKE_OBJCOPY}" -P "${script}"
  DEPENDS $<TARGET_OBJECTS:ropejit_objects> "${object_list}" "${script}" ${archives}
  COMMENT "Folding the library into one object"
  VERBATIM)
set_source_files_properties("${folded}" PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
add_custom_target(ropejit_fold DEPENDS "${folded}")

# text: nothing needs code to be changed as it is loaded. defs: nothing is missing. The other is for builds that link
# libstdc++ in. Linkers that do not know them do so by themselves.
set(shared_link_options "")
foreach(option -Wl,-z,text -Wl,-z,defs -Wl,--exclude-libs,ALL)
  string(MAKE_C_IDENTIFIER "ROPEJIT_LINKS_WITH${option}" known)
  check_linker_flag(CXX "${option}" ${known})
  if(${known})
    list(APPEND shared_link_options "${option}")
  endif()
endforeach()

function(ropejit_folded_library kind)
  set(target ropejit_${kind})
  if(kind STREQUAL chosen)
    set(target ropejit)
  endif()
  string(TOUPPER "${kind}" type)
  ropejit_library(${target} ${type} "${folded}")
  add_dependencies(${target} ropejit_fold)
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${kind})
  if(kind STREQUAL "shared")
    target_link_options(${target} PRIVATE -Wl,--gc-sections ${shared_link_options})
    target_link_libraries(${target} PRIVATE m Threads::Threads ${CMAKE_DL_LIBS})
  else()
    # What GCC's C++ programs get without asking. Newer C libraries hold the others, and still answer to their names.
    target_link_libraries(${target} INTERFACE "$<$<LINK_LANGUAGE:C>:stdc++>" m pthread dl)
  endif()
  add_library(ropejit::${kind} ALIAS ${target})
endfunction()

set(chosen static)
set(kinds static)
if(BUILD_SHARED_LIBS)
  set(chosen shared)
  set(kinds shared)
endif()
if(ROPEJIT_INSTALL)
  set(kinds static shared)
endif()
foreach(kind IN LISTS kinds)
  ropejit_folded_library(${kind})
endforeach()
add_library(ropejit::ropejit ALIAS ropejit)
