# cmake --install: both libraries, the headers, the program, a CMake package and a pkg-config file. All of it may be
# moved as a whole. Components: ropejit_runtime (libropejit.so.X.Y), ropejit_development, ropejit_program,
# ropejit_documentation.

include(CMakePackageConfigHelpers)
include(notices)

set(package_folder "${CMAKE_INSTALL_LIBDIR}/cmake/ropejit")
set(other_kind shared)
set(ROPEJIT_DEFAULT_KIND static)
if(BUILD_SHARED_LIBS)
  set(other_kind static)
  set(ROPEJIT_DEFAULT_KIND shared)
endif()

# One export a kind: a package that ships only one of the files needs the other's no more.
foreach(kind static shared)
  set(target ropejit)
  if(kind STREQUAL other_kind)
    set(target ropejit_${kind})
  endif()
  install(TARGETS ${target} EXPORT ropejit_${kind}
    LIBRARY COMPONENT ropejit_runtime NAMELINK_COMPONENT ropejit_development
    ARCHIVE COMPONENT ropejit_development)
  install(EXPORT ropejit_${kind}
    FILE ropejit-${kind}.cmake NAMESPACE ropejit:: DESTINATION "${package_folder}" COMPONENT ropejit_development)
endforeach()

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ropejit" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT ropejit_development)
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT ropejit_runtime)
ropejit_install_notices("${CMAKE_INSTALL_DOCDIR}/linked-in" ropejit_runtime)
# The pages, in the folders that they have in the source, so that the links between them lead on; with the programs, tables
# and plots that they show. Links into the library's own source lead nowhere there (tests/package/docs_test.py).
install(FILES "${PROJECT_SOURCE_DIR}/README.md" "${PROJECT_SOURCE_DIR}/CHANGELOG.md"
  DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT ropejit_documentation)
foreach(folder docs cache/manifests bench/results)
  install(DIRECTORY "${PROJECT_SOURCE_DIR}/${folder}/" DESTINATION "${CMAKE_INSTALL_DOCDIR}/${folder}"
    COMPONENT ropejit_documentation
    FILES_MATCHING PATTERN "*.md" PATTERN "*.txt" PATTERN "*.svg" PATTERN "api" EXCLUDE)
endforeach()
foreach(page bench/README.md bench/peers/README.md cache/FORMAT.md python/README.md python/tests/others.md src/DESIGN.md
    tests/reliability/README.md)
  cmake_path(GET page PARENT_PATH folder)
  install(FILES "${PROJECT_SOURCE_DIR}/${page}" DESTINATION "${CMAKE_INSTALL_DOCDIR}/${folder}"
    COMPONENT ropejit_documentation)
endforeach()
install(DIRECTORY "${PROJECT_SOURCE_DIR}/examples" DESTINATION "${CMAKE_INSTALL_DOCDIR}"
  COMPONENT ropejit_documentation PATTERN "CMakeLists.txt" EXCLUDE)
if(ROPEJIT_BUILD_CLI)
  install(TARGETS ropejit_cli RUNTIME COMPONENT ropejit_program)
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/ropejitConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/ropejitConfig.cmake" INSTALL_DESTINATION "${package_folder}"
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may change the C++ API.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ropejitConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ropejitConfig.cmake" "${PROJECT_BINARY_DIR}/ropejitConfigVersion.cmake"
  DESTINATION "${package_folder}" COMPONENT ropejit_development)

# Folders of the pkg-config file from where it stands, unless a distribution gave absolute ones.
file(RELATIVE_PATH prefix_from_file "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/prefix")
string(REGEX REPLACE "/$" "" prefix_from_file "${prefix_from_file}")
foreach(name LIBDIR INCLUDEDIR)
  set(PC_${name} "${CMAKE_INSTALL_${name}}")
  if(NOT IS_ABSOLUTE "${PC_${name}}")
    set(PC_${name} "\${prefix}/${PC_${name}}")
  endif()
endforeach()
set(PC_PREFIX "\${pcfiledir}/${prefix_from_file}")
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
  set(PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
endif()
configure_file("${PROJECT_SOURCE_DIR}/cmake/ropejit.pc.in" "${PROJECT_BINARY_DIR}/ropejit.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/ropejit.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
  COMPONENT ropejit_development)
