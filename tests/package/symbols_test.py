"""What the installed libraries export, and what they need of a system.

Usage: symbols_test.py PREFIX [--update]

Both kinds must export exactly the names in exports.txt: --update writes them there, and the change of that file shows
what a commit does to the ABI. The shared one must need the C and C++ runtime libraries alone.
"""
import os
import pathlib
import re
import subprocess
import sys

LIST = pathlib.Path(__file__).resolve().parent / "exports.txt"
PUBLIC = re.compile(r"ropejit_[a-z0-9_]+$|((typeinfo|typeinfo name|vtable) for )?ropejit::v0::")
# ld-linux is where the C library keeps __tls_get_addr. libdl and libpthread: C libraries before 2.34.
NEEDED = re.compile(r"(libc|libm|libstdc\+\+|libgcc_s|libdl|libpthread|ld-linux[-a-z0-9]*)\.so\.\d+$")


def output_of(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def demangled(names):
    # Constructors have several symbols of one name.
    return sorted(set(subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True,
                                     check=True).stdout.split("\n")) - {""})


def exported(library):
    """Demangled names that another object could link to."""
    dynamic = ["--dynamic"] if library.suffix != ".a" else []
    lines = output_of("nm", "--extern-only", "--defined-only", "--format=posix", *dynamic, str(library)).split("\n")
    return demangled([line.split()[0] for line in lines if len(line.split()) >= 2])


def problems_of_exports(library, wanted):
    found = exported(library)
    problems = [f"{library.name}: exports {name}" for name in found if name not in wanted]
    problems += [f"{library.name}: does not export {name}" for name in wanted if name not in found]
    return problems


def problems_of_needs(library):
    dynamic = output_of("readelf", "--dynamic", "--wide", str(library))
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    problems = [f"{library.name}: needs {name}" for name in needed if not NEEDED.match(name)]
    if len(needed) < 3:
        problems.append(f"{library.name}: found {needed}, which cannot be all it needs")
    soname = re.findall(r"\(SONAME\).*\[(.*)\]", dynamic)
    if len(soname) != 1 or not re.fullmatch(r"libropejit\.so\.\d+\.\d+", soname[0]):
        problems.append(f"{library.name}: found the soname {soname}, allowed: libropejit.so.X.Y")
    elif not (library.parent / soname[0]).exists():
        problems.append(f"{soname[0]} is not beside {library.name}")
    if "(TEXTREL)" in dynamic or re.search(r"\((RPATH|RUNPATH)\)", dynamic):
        problems.append(f"{library.name}: has text relocations or a path to look for libraries")
    return problems


def newest_glibc(library):
    versions = set(re.findall(r"\bGLIBC_(\d+(?:\.\d+)+)", output_of("objdump", "-T", str(library))))
    return max(versions, key=lambda version: [int(part) for part in version.split(".")])


def main():
    libraries = pathlib.Path(sys.argv[1]) / os.environ.get("ROPEJIT_LIBDIR", "lib")
    shared, static = libraries / "libropejit.so", libraries / "libropejit.a"
    if "--update" in sys.argv:
        LIST.write_text("\n".join(exported(shared)) + "\n", encoding="utf-8")
    wanted = LIST.read_text(encoding="utf-8").split("\n")[:-1]
    problems = [f"{LIST.name}: {name} is no public name" for name in wanted if not PUBLIC.match(name)]
    problems += problems_of_exports(shared, wanted) + problems_of_exports(static, wanted) + problems_of_needs(shared)
    for problem in problems:
        print(problem)
    print(f"{len(wanted)} names, {len(problems)} problems; this build needs glibc {newest_glibc(shared)}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
