"""Builds and runs programs that use the installed library: by find_package and by pkg-config, static and shared, from
C and C++, and from a shared library; then configures projects that have ropejit's source.

Usage: consumers_test.py PREFIX. CC and CXX name the compilers.
"""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
CONSUMER = HERE / "consumer"
WARNINGS = ["-Wall", "-Wextra", "-pedantic", "-Werror"]


def run(*command, **more):
    """Its stdout; what it said and did is the failure's text."""
    words = [str(word) for word in command]
    result = subprocess.run(words, capture_output=True, text=True, check=False, **more)
    if result.returncode != 0:
        sys.exit(f"{' '.join(words)}: status {result.returncode}\n{result.stdout}{result.stderr}")
    return result.stdout


def needs_ropejit(program):
    return "libropejit.so" in run("readelf", "--dynamic", program)


def check_program(program, shared, title):
    if needs_ropejit(program) != shared:
        sys.exit(f"{title}: {program} {'does not need' if shared else 'needs'} libropejit.so")


def by_find_package(prefix, folder, kind, language):
    title = f"find_package, {kind}, {language}"
    run("cmake", "-S", CONSUMER, "-B", folder, f"-DCMAKE_PREFIX_PATH={prefix}", f"-DKIND={kind}",
        f"-DLANGUAGE={language}", "-DCMAKE_BUILD_TYPE=Debug")
    run("cmake", "--build", folder, "--parallel", "2")
    check_program(folder / "consumer", kind == "shared", title)
    print(f"{title}: {run(folder / 'consumer').strip()}")
    if language == "CXX":
        check_program(folder / "libplugin.so", kind == "shared", title)
        print(f"{title}, through a library: {run(folder / 'host').strip()}")


def by_pkg_config(prefix, folder, kind):
    folder.mkdir()
    libdir = prefix / os.environ.get("ROPEJIT_LIBDIR", "lib")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(libdir / "pkgconfig"), "LD_LIBRARY_PATH": str(libdir)}
    flags = run("pkg-config", "--cflags", "ropejit", env=environment).split()
    if kind == "static":
        libraries = run("pkg-config", "--libs", "--static", "ropejit", env=environment).split()
        libraries = ["-l:libropejit.a" if word == "-lropejit" else word for word in libraries]
    else:
        libraries = run("pkg-config", "--libs", "ropejit", env=environment).split()
    program = folder / "consumer"
    run(os.environ.get("CC", "cc"), "-std=c11", *WARNINGS, *flags, CONSUMER / "main.c", CONSUMER / "consumer.c", "-o",
        program, *libraries)
    check_program(program, kind == "shared", f"pkg-config, {kind}")
    print(f"pkg-config, {kind}: {run(program, env=environment).strip()}")


def by_other_versions(prefix, folder):
    """Programs that were compiled with earlier headers, and with one that is yet to come, and the library as it is."""
    folder.mkdir()
    libdir = prefix / os.environ.get("ROPEJIT_LIBDIR", "lib")
    kept = HERE.parent / "service/abi"
    for title, headers in (("first", kept / "first"), ("second", kept / "second"), ("next", os.environ["ROPEJIT_NEXT_HEADERS"])):
        program = folder / title
        run(os.environ.get("CC", "cc"), "-std=c11", *WARNINGS, f"-I{headers}", CONSUMER / "main.c",
            CONSUMER / "consumer.c", "-o", program, f"-L{libdir}", "-lropejit")
        check_program(program, True, f"the {title} header")
        print(f"the {title} header: {run(program, env={**os.environ, 'LD_LIBRARY_PATH': str(libdir)}).strip()}")


def by_source(folder, way, shared):
    """Only configured: to build all of ropejit once more takes minutes."""
    run("cmake", "-S", CONSUMER, "-B", folder, f"-DSOURCE={HERE.parent.parent}", f"-DWAY={way}",
        f"-DBUILD_SHARED_LIBS={shared}", f"-DROPEJIT_CUDA_INCLUDE_DIR={os.environ['ROPEJIT_CUDA_INCLUDE']}")
    targets = run("cmake", "--build", folder, "--target", "help")
    for program in ("ropejit_tests", "ropejit_cli", "ropejit_bench", "example_embed"):
        if program in targets:
            sys.exit(f"{way}: builds {program}")
    rules = [path for path in folder.rglob("cmake_install.cmake") if "file(INSTALL" in path.read_text(encoding="utf-8")]
    if rules:
        sys.exit(f"{way}: installs files with its parent: {rules}")
    if "ropejit_fold" not in targets:
        sys.exit(f"{way}: does not build the library")
    print(f"{way}, BUILD_SHARED_LIBS={shared}: configured")


def main():
    if shutil.which("ninja"):  # which the build needs, and make it does not
        os.environ.setdefault("CMAKE_GENERATOR", "Ninja")
    prefix = pathlib.Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        # Where it was installed to is not written into it.
        moved = folder / "elsewhere"
        shutil.copytree(prefix, moved, symlinks=True)
        by_find_package(moved, folder / "static", "static", "CXX")
        by_find_package(moved, folder / "shared", "shared", "CXX")
        by_find_package(moved, folder / "static-c", "static", "C")
        by_find_package(moved, folder / "shared-c", "shared", "C")
        by_pkg_config(moved, folder / "pc-static", "static")
        by_pkg_config(moved, folder / "pc-shared", "shared")
        by_other_versions(moved, folder / "versions")
        by_source(folder / "subdirectory", "add_subdirectory", "OFF")
        by_source(folder / "fetched", "FetchContent", "ON")


if __name__ == "__main__":
    main()
