#!/usr/bin/env bash
# Builds what the wheel links in, with Zig's Clang for a chosen glibc, from Debian's source packages: LLVM's Support
# library, fmt and libsodium, into .deps/wheel/x86_64. Run by ./dev wheel.
#
#   dependencies.sh TOOLS GLIBC     TOOLS: a virtual environment with tools.txt; GLIBC: 2.28
#
# Nothing is done where what is there was made by these same files.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=$1 glibc=$2
prefix=$root/.deps/wheel/x86_64
work=$root/.deps/wheel/work
sources=$root/.deps/wheel/sources
jobs=$(nproc)

say() { printf 'wheel: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

made_by=$(cat "$here/dependencies.sh" "$here/tools.txt" "$here/sources.txt" - <<<"$glibc" | sha256sum | cut -c 1-64)
[ "$(cat "$prefix/made-by" 2>/dev/null || true)" != "$made_by" ] || exit 0
rm -rf "$prefix" "$work" && mkdir -p "$prefix"/{bin,include,lib,notices,python} "$work" "$sources"

# --- the compiler --------------------------------------------------------------------------------------------------

zig=$("$tools/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__) + "/zig")')
export ZIG_GLOBAL_CACHE_DIR=$root/.deps/wheel/zig ZIG_LOCAL_CACHE_DIR=$root/.deps/wheel/zig
for language in cc c++; do
  # Without an optimisation level Zig checks for undefined behaviour, with a runtime of its own. No path of this
  # machine goes into the binaries.
  cat >"$prefix/bin/$language" <<TEXT
#!/bin/sh
export ZIG_GLOBAL_CACHE_DIR='$ZIG_GLOBAL_CACHE_DIR' ZIG_LOCAL_CACHE_DIR='$ZIG_LOCAL_CACHE_DIR'
exec '$zig' $language -target x86_64-linux-gnu.$glibc -fno-sanitize=undefined -g0 '-ffile-prefix-map=$root=.' "\$@"
TEXT
  chmod +x "$prefix/bin/$language"
done

# --- the sources ---------------------------------------------------------------------------------------------------

# The lines of sources.txt.
packages() { grep -v '^#' "$here/sources.txt"; }

have_all() {
  local package file hash licence
  while read -r package file hash licence; do
    sha256sum --status --check <<<"$hash  $sources/$file" 2>/dev/null || return 1
    compgen -G "$sources/${package}_*.dsc" >/dev/null || return 1
  done < <(packages)
}

if ! have_all; then
  mapfile -t names < <(packages | cut -d ' ' -f 1)
  say "getting the sources of ${names[*]}"
  rm -rf "$sources" && mkdir -p "$sources"
  "$here/get_sources.sh" "$sources" "${names[@]}"
fi
have_all || fail "the sources found ($(cd "$sources" && echo *.dsc)) are not those of sources.txt, which are Debian 12's"

# --- the libraries -------------------------------------------------------------------------------------------------

# cmake_build SOURCE BUILD [option ...] -- target ...
cmake_build() {
  local source=$1 build=$2 options=()
  shift 2
  while [ "$1" != -- ]; do options+=("$1"); shift; done
  shift
  cmake -G Ninja -S "$source" -B "$build" -D CMAKE_BUILD_TYPE=Release \
    -D "CMAKE_C_COMPILER=$prefix/bin/cc" -D "CMAKE_CXX_COMPILER=$prefix/bin/c++" -D CMAKE_AR=/usr/bin/ar \
    -D CMAKE_RANLIB=/usr/bin/ranlib -D CMAKE_POSITION_INDEPENDENT_CODE=ON -D "CMAKE_INSTALL_PREFIX=$prefix" \
    -D "CMAKE_CXX_FLAGS=-fstack-protector-strong -ffunction-sections -fdata-sections" \
    "${options[@]}" >"$build.log" 2>&1 &&
    cmake --build "$build" --target "$@" >>"$build.log" 2>&1 || { tail -n 20 "$build.log" >&2; fail "see $build.log"; }
}

say "building LLVM's Support library (some minutes)"
mkdir -p "$work/llvm-source"
# Without Debian's patches, which are about its tools.
llvm=$(packages | sed -n 's/^llvm-[^ ]* \([^ ]*\) .*/\1/p')
top=${llvm%.orig.tar.xz}
tar xJf "$sources/$llvm" -C "$work/llvm-source" --strip-components=1 \
  --exclude="$top/llvm/test" --exclude="$top/llvm/unittests" --exclude="$top/llvm/docs" \
  "$top/llvm" "$top/cmake" "$top/third-party"
mkdir -p "$prefix/llvm"
off=()
for option in ENABLE_ZLIB ENABLE_ZSTD ENABLE_LIBXML2 ENABLE_LIBEDIT INCLUDE_TESTS INCLUDE_EXAMPLES INCLUDE_BENCHMARKS \
    INCLUDE_UTILS INCLUDE_DOCS INCLUDE_TOOLS BUILD_TOOLS; do
  off+=(-D "LLVM_$option=OFF")
done
cmake_build "$work/llvm-source/llvm" "$prefix/llvm" "${off[@]}" -D LLVM_TARGETS_TO_BUILD= -- LLVMSupport LLVMDemangle

say "building fmt and libsodium"
(cd "$work" && dpkg-source --no-check -x "$sources"/fmtlib_*.dsc fmt && dpkg-source --no-check -x "$sources"/libsodium_*.dsc sodium) \
  >"$work/unpack.log" 2>&1 || fail "cannot unpack; see $work/unpack.log"
cmake_build "$work/fmt" "$work/fmt-build" -D FMT_DOC=OFF -D FMT_TEST=OFF -- install
(
  cd "$work/sodium" && autoreconf -fi &&
    ./configure --host=x86_64-linux-gnu "CC=$prefix/bin/cc" AR=ar RANLIB=ranlib --disable-shared --enable-static --disable-pie \
      "CFLAGS=-O2 -fPIC -fstack-protector-strong -ffunction-sections -fdata-sections" "--prefix=$prefix" &&
    make -j "$jobs" -C src/libsodium install
) >"$work/sodium.log" 2>&1 || { tail -n 20 "$work/sodium.log" >&2; fail "see $work/sodium.log"; }
ln -s /usr/include/boost "$prefix/include/boost"

# --- what they are -------------------------------------------------------------------------------------------------

cp "$work/llvm-source/llvm/LICENSE.TXT" "$prefix/notices/llvm.txt"
cp "$work/llvm-source/llvm/lib/Support/BLAKE3/LICENSE" "$prefix/notices/blake3.txt"
cp "$work/fmt/debian/copyright" "$prefix/notices/libfmt.txt"
cp "$work/sodium/debian/copyright" "$prefix/notices/libsodium.txt"
boost=$(dpkg-query --search /usr/include/boost/version.hpp | cut -d : -f 1)
cp "/usr/share/doc/$boost/copyright" "$prefix/notices/libboost.txt"
for part in libcxx libcxxabi libunwind; do cp "${zig%/zig}/lib/$part/LICENSE.TXT" "$prefix/notices/$part.txt"; done
cp "${zig%/zig}/LICENSE" "$prefix/notices/zig.txt"
cp "${zig%/zig}/lib/libc/glibc/LICENSES" "$prefix/notices/glibc.txt"
# The headers of LLVM stay where they were unpacked.
printf '%s' "$made_by" >"$prefix/made-by"
