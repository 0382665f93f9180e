# The target python_package: BUILD/python on PYTHONPATH is the package as an installation has it, of what this build made.
# Python's files are links, so that a change to them needs no build. The wheel is python/CMakeLists.txt's.
if(NOT TARGET ropejit::shared OR NOT TARGET ropejit_cli)
  message(FATAL_ERROR "ROPEJIT_BUILD_PYTHON: found a build without libropejit.so or the program, needed: both "
    "(ROPEJIT_INSTALL and ROPEJIT_BUILD_CLI)")
endif()
set(python_folder "${PROJECT_BINARY_DIR}/python")
set(package_folder "${python_folder}/ropejit")

# Links to files that are no more go.
file(GLOB links "${package_folder}/*")
list(FILTER links EXCLUDE REGEX "/(_native|libropejit|bin)[^/]*$")
if(links)
  file(REMOVE_RECURSE ${links})
endif()
file(MAKE_DIRECTORY "${package_folder}/bin")
file(GLOB python_files CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/python/ropejit/*")
list(FILTER python_files EXCLUDE REGEX "/__pycache__$|[.]so([.][0-9]+)*$")
foreach(file IN LISTS python_files)
  cmake_path(GET file FILENAME name)
  file(CREATE_LINK "${file}" "${package_folder}/${name}" SYMBOLIC)
endforeach()
foreach(name records manifests)
  file(CREATE_LINK "${PROJECT_SOURCE_DIR}/cache/${name}" "${package_folder}/${name}" SYMBOLIC)
endforeach()
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/include/ropejit/ropejit.h" "${package_folder}/ropejit.h" SYMBOLIC)
file(CREATE_LINK "${PROJECT_SOURCE_DIR}/python/ropejit_cli.py" "${python_folder}/ropejit_cli.py" SYMBOLIC)

add_subdirectory("${PROJECT_SOURCE_DIR}/python/native" "${PROJECT_BINARY_DIR}/python_native")
set_target_properties(_native PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${package_folder}")
add_custom_target(python_package
  COMMAND "${CMAKE_COMMAND}" -E create_symlink "$<TARGET_FILE:ropejit::shared>"
    "${package_folder}/$<TARGET_SONAME_FILE_NAME:ropejit::shared>"
  COMMAND "${CMAKE_COMMAND}" -E create_symlink "$<TARGET_FILE:ropejit_cli>" "${package_folder}/bin/ropejit"
  DEPENDS _native ropejit::shared ropejit_cli
  VERBATIM)
