"""Each installed header by itself, without a warning: C++17 and C++20 with -Wall -Wextra -pedantic, ropejit.h also as C.

Usage: headers_test.py PREFIX. CC and CXX name the compilers.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys

FLAGS = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only"]


def complaint(job):
    """What the compiler says of one header, empty if nothing."""
    compiler, language, standard, prefix, header, more = job
    text = f'#include "ropejit/{header}"\n{more}\n'
    command = [compiler, f"-std={standard}", *FLAGS, f"-I{prefix}/include", "-x", language, "-"]
    result = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    said = result.stderr.strip() or ("" if result.returncode == 0 else f"status {result.returncode}")
    return f"{header} as {standard}: {said}" if said else ""


def main():
    prefix = pathlib.Path(sys.argv[1])
    headers = sorted(path.name for path in (prefix / "include/ropejit").iterdir())
    if len(headers) < 10 or "ropejit.h" not in headers or "ropejit.hpp" not in headers:
        sys.exit(f"{prefix}/include/ropejit: found {headers}")
    cc, cxx = os.environ.get("CC", "cc"), os.environ.get("CXX", "c++")
    jobs = [(cxx, "c++", standard, prefix, header, "") for header in headers for standard in ("c++17", "c++20")]
    jobs += [(cc, "c", standard, prefix, "ropejit.h", "") for standard in ("c99", "c11", "c17")]

    # To show that this test can fail.
    broken = (cxx, "c++", "c++17", prefix, headers[0], "struct Broken { int zero[0]; };")
    if not complaint(broken):
        sys.exit("self-test: a warning of -pedantic was not seen")

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        found = [text for text in pool.map(complaint, jobs) if text]
    for text in found:
        print(text)
    print(f"{len(headers)} headers, {len(jobs)} times compiled, {len(found)} with complaints")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
