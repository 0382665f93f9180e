# ropejit_cuda_headers: cuda.h and nvrtc.h, 12.4 or newer. Headers alone: the libraries are loaded at run time.

find_program(nvcc_program nvcc NO_CACHE)
if(nvcc_program)
  file(REAL_PATH "${nvcc_program}" nvcc_program)
  cmake_path(GET nvcc_program PARENT_PATH nvcc_folder)
endif()

if(ROPEJIT_CUDA_INCLUDE_DIR)
  set(cuda_include_dir "${ROPEJIT_CUDA_INCLUDE_DIR}")
else()
  find_path(cuda_include_dir nvrtc.h NO_CACHE
    HINTS "$ENV{CUDA_HOME}" "$ENV{CUDA_PATH}" /usr/local/cuda "${nvcc_folder}/.."
    PATH_SUFFIXES include targets/x86_64-linux/include targets/sbsa-linux/include)
endif()
foreach(header cuda.h nvrtc.h)
  if(NOT EXISTS "${cuda_include_dir}/${header}")
    message(FATAL_ERROR "CUDA: ${header} not found; install a toolkit of 12.4 or newer, set CUDA_HOME or "
      "ROPEJIT_CUDA_INCLUDE_DIR, or run ./dev setup")
  endif()
endforeach()

file(STRINGS "${cuda_include_dir}/cuda.h" cuda_version_line REGEX "#define CUDA_VERSION [0-9]+")
string(REGEX MATCH "[0-9]+" cuda_version "${cuda_version_line}")
if(cuda_version LESS 12040)
  message(FATAL_ERROR "CUDA: found version ${cuda_version} in ${cuda_include_dir}, needed: 12040 or newer")
endif()
message(STATUS "CUDA headers ${cuda_version}: ${cuda_include_dir}")

add_library(ropejit_cuda_headers INTERFACE)
target_include_directories(ropejit_cuda_headers SYSTEM INTERFACE "${cuda_include_dir}")
