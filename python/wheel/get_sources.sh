#!/usr/bin/env bash
# Gets source packages of this machine's Debian release, unpacked by nobody: get_sources.sh FOLDER PACKAGE...
#
# The system's own package lists and settings stay as they are: apt is given lists of its own, made of the system's, in
# FOLDER/apt. Needs no root.
set -euo pipefail
folder=$1
shift
apt=$folder/apt
mkdir -p "$apt"/{parts,lists/partial,cache/archives/partial}
for list in /etc/apt/sources.list.d/*.sources; do
  [ ! -e "$list" ] || sed 's/^Types:.*/Types: deb-src/' "$list" >"$apt/parts/${list##*/}"
done
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ ! -e "$list" ] || sed -n 's/^deb\(-src\)\{0,1\} /deb-src /p' "$list" | sort -u >"$apt/parts/${list##*/}.list"
done
options=(-qq -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$apt/parts" -o "Dir::State::Lists=$apt/lists"
  -o "Dir::Cache=$apt/cache")
fail() { printf 'sources: %s; see %s\n' "$*" "$apt/log" >&2; exit 1; }
get() {
  apt-get "${options[@]}" update >>"$apt/log" 2>&1 &&
    (cd "$folder" && apt-get "${options[@]}" source --download-only "$@" >>"$apt/log" 2>&1)
}
: >"$apt/log"
if ! get "$@"; then
  # A mirror's list may name what its pool does not have yet, or no more: mostly a security update.
  printf 'sources: cannot get the newest of %s; trying without security updates\n' "$*" >&2
  sed -i '/^URIs:.*-security/s/^/# /;/-security/s/^deb/# deb/' "$apt"/parts/*
  python3 - "$apt"/parts/*.sources <<'TEXT'
import pathlib, sys
for path in map(pathlib.Path, sys.argv[1:]):  # a paragraph without its address is none
    text = path.read_text()
    path.write_text("\n\n".join(part for part in text.split("\n\n") if "\nURIs:" in "\n" + part))
TEXT
  get "$@" || fail "cannot get $*"
fi
