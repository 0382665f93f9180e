# Links objects and what they need of static libraries into one relocatable object whose only global symbols are the
# public ones: those of ropejit.h and of the namespace ropejit::v0 that are not hidden. Run as a script:
#   cmake -D OUTPUT=<file.o> -D OBJECTS=<response file> -D "ARCHIVES=<a>;<b>" -D LINKER=<GNU ld> -D NM=<nm>
#     -D OBJCOPY=<objcopy> -P fold_objects.cmake

set(public_patterns "ropejit_*" "_ZN7ropejit2v0*" "_ZNK7ropejit2v0*" "_ZTIN7ropejit2v0*" "_ZTSN7ropejit2v0*"
  "_ZTVN7ropejit2v0*")

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE output)
  if(failed)
    list(GET ARGN 0 program)
    message(FATAL_ERROR "${OUTPUT}: ${program} failed")
  endif()
  set(output "${output}" PARENT_SCOPE)
endfunction()

# What users call is what the linker keeps, together with what that needs.
run("${NM}" --extern-only --defined-only "@${OBJECTS}")
string(REGEX MATCHALL "[ \t](ropejit_[a-z_0-9]+|_ZT?[A-Z]*N?K?7ropejit2v0[A-Za-z_0-9]+)" names "${output}")
list(TRANSFORM names STRIP)
list(REMOVE_DUPLICATES names)
list(LENGTH names count)
if(count LESS 20)
  message(FATAL_ERROR "${OUTPUT}: found ${count} public names, which cannot be all")
endif()
list(TRANSFORM names PREPEND "--undefined=")
list(JOIN names "\n" names)
file(WRITE "${OUTPUT}.keep" "${names}\n")

# Sections that the compiler puts into groups, one of which the linker keeps, must leave them: in the user's link they
# would give way to others of the same name, and take local symbols with them.
run("${LINKER}" -r --force-group-allocation --gc-sections -o "${OUTPUT}.new" "@${OUTPUT}.keep" "@${OBJECTS}"
  --start-group ${ARCHIVES} --end-group)

list(JOIN public_patterns "\n" patterns)
file(WRITE "${OUTPUT}.public" "${patterns}\n")
run("${OBJCOPY}" --wildcard "--keep-global-symbols=${OUTPUT}.public" --localize-hidden "${OUTPUT}.new")
file(RENAME "${OUTPUT}.new" "${OUTPUT}")
