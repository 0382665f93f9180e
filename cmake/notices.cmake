# ropejit_install_notices(DESTINATION COMPONENT): the copyright files of what is linked into the libraries, where the
# system keeps them as Debian does. Whoever hands the libraries on hands these on (libsodium's licence asks for it).
function(ropejit_install_notices destination component)
  foreach(package libsodium-dev libfmt-dev libboost-dev llvm-*-dev)
    file(GLOB found "/usr/share/doc/${package}/copyright")
    if(found)
      list(GET found -1 file)
      string(REGEX REPLACE "(-\\*)?-dev$" "" name "${package}")
      install(FILES "${file}" DESTINATION "${destination}" RENAME "${name}.txt" COMPONENT ${component})
    endif()
  endforeach()
endfunction()
