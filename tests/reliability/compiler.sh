#!/bin/sh
# The host compiler of these tests: the system's, counted, and for rounds that must be quick remembered.
#   ROPEJIT_TEST_COMPILES  a file that gets a line for every compile
#   ROPEJIT_TEST_KEPT      a folder of what was compiled, by the hash of all sources; taken from there the next time
#   ROPEJIT_TEST_CXX       the compiler that does the work (default: c++)
cxx=${ROPEJIT_TEST_CXX:-c++}
[ "$1" = --version ] && exec "$cxx" --version
[ -z "$ROPEJIT_TEST_COMPILES" ] || echo $$ >>"$ROPEJIT_TEST_COMPILES"
[ -n "$ROPEJIT_TEST_KEPT" ] || exec "$cxx" "$@"

output= source= last=
for word; do
  [ "$last" = -o ] && output=$word
  case $word in */kernel.cpp) source=$word ;; esac
  last=$word
done
key=$(cat "${source%/*}"/*.cuh "$source" | sha256sum | cut -c 1-64)
if ! cp "$ROPEJIT_TEST_KEPT/$key" "$output" 2>/dev/null; then
  "$cxx" "$@" || exit
  cp "$output" "$ROPEJIT_TEST_KEPT/.$key.$$" && mv "$ROPEJIT_TEST_KEPT/.$key.$$" "$ROPEJIT_TEST_KEPT/$key"
fi
