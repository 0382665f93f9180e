# ropejit_install_notices(DESTINATION COMPONENT): the copyright files of what is linked into the libraries: those of
# ROPEJIT_NOTICES_DIR, where it is set, else where the system keeps them as Debian does. Whoever hands the libraries on
# hands these on (libsodium's licence asks for it).
set(ROPEJIT_NOTICES_DIR "" CACHE PATH "Folder of copyright files, NAME.txt; empty: what Debian's packages have")

function(ropejit_install_notices destination component)
  if(ROPEJIT_NOTICES_DIR)
    install(DIRECTORY "${ROPEJIT_NOTICES_DIR}/" DESTINATION "${destination}" COMPONENT ${component})
    return()
  endif()
  foreach(package libsodium-dev libfmt-dev libboost1*-dev llvm-*-dev)
    file(GLOB found "/usr/share/doc/${package}/copyright")
    if(found)
      list(GET found -1 file)
      string(REGEX REPLACE "(-|1)?\\*-dev$|-dev$" "" name "${package}")
      install(FILES "${file}" DESTINATION "${destination}" RENAME "${name}.txt" COMPONENT ${component})
    endif()
  endforeach()
endfunction()
