#!/usr/bin/env bash
# Installs the wheel into an empty Debian root and runs it there, as root:
#
#   try_in_root.sh SUITE WHEEL [FOLDER]    SUITE: bookworm, bullseye; FOLDER: where the roots are kept (build/roots)
#
# The root has the C library and Python, and no compiler. Where the suite's own Python is older than 3.10, Debian 12's
# source of Python is compiled in a second root of the same suite, for its C library, and pip comes as its wheel.
# Prints each command, what it took, and fails with the first that fails.
set -euo pipefail
suite=$1
wheel=$(readlink -f "$2")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=${3:-$here/../../build/roots}
root=$folder/$suite
mkdir -p "$folder"

fail() { printf 'root: %s\n' "$*" >&2; exit 1; }

# The mirror that this machine gets its own packages from.
mirror() {
  apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | head -n 1
}

# make_root NAME PACKAGES: complete, or not there.
make_root() {
  [ ! -d "$folder/$1" ] || return 0
  rm -rf "$folder/$1.new"
  debootstrap --variant=minbase ${2:+--include="$2"} "$suite" "$folder/$1.new" "$(mirror)" >"$folder/$1.log" 2>&1 ||
    fail "debootstrap failed; see $folder/$1.log"
  mv "$folder/$1.new" "$folder/$1"
}

# Debian 12's Python 3.11, compiled for this suite's C library.
compile_python() {
  make_root "$suite-build" gcc,make,libc6-dev,zlib1g-dev,libffi-dev,xz-utils
  mkdir -p "$folder/python" "$folder/$suite-build/src"
  "$here/get_sources.sh" "$folder/python" python3.11
  tar xf "$folder"/python/python3.11_*.orig.tar.* -C "$folder/$suite-build/src" --strip-components=1
  chroot "$folder/$suite-build" sh -c \
    'cd /src && ./configure -q --prefix=/opt/python --without-ensurepip && make -s -j"$(nproc)" && make -s install' \
    >"$folder/$suite-python.log" 2>&1 || fail "cannot compile Python; see $folder/$suite-python.log"
  mkdir -p "$root/opt" && cp -a "$folder/$suite-build/opt/python" "$root/opt/"
}

timed() {
  local start
  start=$(date +%s%N)
  printf '\n$ %s\n' "$*"
  chroot "$root" /usr/bin/env -i HOME=/home/user PATH=/usr/bin:/bin "$@" || fail "status $? of: $*"
  printf '(%d ms)\n' $((($(date +%s%N) - start) / 1000000))
}

command -v debootstrap >/dev/null || fail "debootstrap is missing"
if [ "$suite" = bullseye ]; then
  make_root "$suite" zlib1g,libffi7
  [ -x "$root/opt/python/bin/python3" ] || compile_python
  python=/opt/python/bin/python3
  [ -e "$root"/pip.whl ] || {
    python3 -m pip download -q --no-deps -d "$folder/pip" pip && cp "$folder"/pip/pip-*.whl "$root/pip.whl"
  }
else
  make_root "$suite" python3-venv
  python=/usr/bin/python3
fi
rm -rf "$root/venv" "$root/home/user" "$root"/ropejit-*.whl && mkdir "$root/home/user"
cp "$wheel" "$root/"
file=/$(basename "$wheel")

for program in cc c++ gcc g++ clang clang++; do
  ! chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin sh -c "command -v $program" >/dev/null || fail "$program is in the root"
done
timed sh -c 'cat /etc/debian_version; ldd --version | head -n 1'
if [ "$suite" = bullseye ]; then
  timed "$python" -m venv --without-pip /venv
  timed /venv/bin/python /pip.whl/pip install --no-index "$file"
else
  timed "$python" -m venv /venv
  timed /venv/bin/pip install --no-index "$file"
fi
timed /venv/bin/ropejit --version
timed /venv/bin/ropejit run --model llama-3.1-8b --device host
timed /venv/bin/ropejit doctor
timed /venv/bin/ropejit try
timed /venv/bin/python -c 'import ctypes, ropejit; print(ropejit.__version__, ctypes.CDLL(ropejit.library_path()))'
timed /venv/bin/python -c 'import ropejit
try: ropejit.Rotation
except ImportError as error: print(error)'
