#!/bin/sh
# The host compiler of tests: the system's, counted, and where tests must be quick remembered.
#   ROPEJIT_TEST_COMPILES  a file that gets a line for every compile
#   ROPEJIT_TEST_KEPT      a folder of what was compiled, by the hash of sources and options; taken from there the next
#                          time. Of one compiler alone.
#   ROPEJIT_TEST_LEVEL     what to optimise by in place of -O2; the bits are the same (IEEE's arithmetic, in order)
#   ROPEJIT_TEST_CXX       the compiler that does the work (default: c++)
if [ -n "$ROPEJIT_TEST_LEVEL" ]; then
  for word; do
    shift
    [ "$word" != -O2 ] || word=$ROPEJIT_TEST_LEVEL
    set -- "$@" "$word"
  done
fi
cxx=${ROPEJIT_TEST_CXX:-c++}
[ "$1" = --version ] && exec "$cxx" --version
[ -z "$ROPEJIT_TEST_COMPILES" ] || echo $$ >>"$ROPEJIT_TEST_COMPILES"
[ -n "$ROPEJIT_TEST_KEPT" ] || exec "$cxx" "$@"

output= source= options= last=
for word; do
  case $word in */kernel.cpp) source=$word ;; [!-/]* | -[!o]*) options="$options $word" ;; esac
  [ "$last" != -o ] || output=$word
  last=$word
done
key=$({ cat "${source%/*}"/*.cuh "$source"; echo "$options"; } | sha256sum)
key=${key%% *}
if ! cp "$ROPEJIT_TEST_KEPT/$key" "$output" 2>/dev/null; then
  "$cxx" "$@" || exit
  # Where it cannot be kept it is compiled again.
  { cp "$output" "$ROPEJIT_TEST_KEPT/.$key.$$" && mv "$ROPEJIT_TEST_KEPT/.$key.$$" "$ROPEJIT_TEST_KEPT/$key"; } 2>/dev/null || :
fi
