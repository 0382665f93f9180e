# ropejit_sodium: libsodium, the static one, so that nobody who loads the library needs it.
find_path(ROPEJIT_SODIUM_INCLUDE_DIR sodium.h)
find_library(ROPEJIT_SODIUM_LIBRARY NAMES libsodium.a)
mark_as_advanced(ROPEJIT_SODIUM_INCLUDE_DIR ROPEJIT_SODIUM_LIBRARY)
if(NOT ROPEJIT_SODIUM_INCLUDE_DIR OR NOT ROPEJIT_SODIUM_LIBRARY)
  message(FATAL_ERROR "libsodium: sodium.h and libsodium.a are needed (libsodium-dev)")
endif()

add_library(ropejit_sodium STATIC IMPORTED)
set_target_properties(ropejit_sodium PROPERTIES IMPORTED_LOCATION "${ROPEJIT_SODIUM_LIBRARY}")
target_include_directories(ropejit_sodium SYSTEM INTERFACE "${ROPEJIT_SODIUM_INCLUDE_DIR}")
