#!/usr/bin/env bash
# Makes the wheel and the source distribution that are handed on, in build/dist, with their hashes. Run by ./dev wheel,
# which sees to what the system must have.
#
#   build.sh CUDA_INCLUDE      ROPEJIT_NVRTC: the folder of NVRTC; PYTHON: the interpreter, 3.11 or newer
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cuda_include=$1
glibc=2.28
base=$root/.deps/wheel
prefix=$base/x86_64

say() { printf 'wheel: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# environment NAME FILE [option ...]: a virtual environment with what a file asks for.
environment() {
  local folder=$base/$1 file=$2
  shift 2
  if [ "$(cat "$folder/made-by" 2>/dev/null || true)" != "$(sha256sum <"$file")" ]; then
    rm -rf "$folder"
    "${PYTHON:-python3}" -m venv "$folder" || fail "cannot make $folder; is python3-venv there?"
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check "$@" -r "$file" || fail "cannot install $file"
    sha256sum <"$file" >"$folder/made-by"
  fi
}

"${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "PYTHON: 3.11 or newer is needed"
mkdir -p "$base"
exec 9>"$base/lock"
flock -n 9 || { say "another ./dev wheel is at work here; waiting for it"; flock 9; }
environment tools "$here/tools.txt" --require-hashes
environment audit "$here/audit.txt"
"$here/dependencies.sh" "$base/tools" "$glibc"

python=$base/tools/bin/python
multiarch=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("MULTIARCH") or "")')
if [ -n "$multiarch" ] && [ -d "/usr/include/$multiarch" ]; then
  ln -sfn "/usr/include/$multiarch" "$prefix/python/$multiarch"
fi
nvrtc=$("$python" - "$ROPEJIT_NVRTC" <<'TEXT'
import ctypes, glob, sys
major, minor = ctypes.c_int(), ctypes.c_int()
library = ctypes.CDLL(max(glob.glob(sys.argv[1] + "/libnvrtc.so.[0-9]*"), key=len))
library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor))
print(f"{major.value}.{minor.value}")
TEXT
)
zig=$("$python" -m ziglang version)
"$python" "$here/sbom.py" "$base/sources" "$zig" "$nvrtc" "$prefix/ropejit.cdx.json"

cd "$root"
rm -rf build/wheel-x86_64 && mkdir -p build/dist && rm -f build/dist/ropejit-*
export ROPEJIT_HOST_CXX=$prefix/bin/c++
say "building the library (some minutes)"
"$python" -m pip wheel --quiet --no-deps --no-build-isolation --disable-pip-version-check --wheel-dir build/dist \
  --config-settings "wheel.tags=cp310-abi3-manylinux_${glibc/./_}_x86_64" \
  --config-settings "build-dir=build/wheel-x86_64" \
  --config-settings "cmake.toolchain-file=$here/zig.cmake" \
  --config-settings "cmake.define.ROPEJIT_CUDA_INCLUDE_DIR=$cuda_include" . || fail "pip wheel failed"
"$python" -c 'from scikit_build_core.build import build_sdist; build_sdist("build/dist")' >/dev/null || fail "no sdist"

(cd build/dist && sha256sum ropejit-* >SHA256SUMS)
"$base/audit/bin/python" "$here/inspect_wheel.py" build/dist/ropejit-*.whl
cat build/dist/SHA256SUMS
