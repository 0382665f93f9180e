#!/usr/bin/env python3
"""Reads every #include under include/, src/ and templates/ and fails on one that breaks a rule of the architecture,
on a source that no CMakeLists.txt names, and on an inline variable that two headers of the tests define.

Usage: layering_test.py [REPOSITORY]. Before it judges the repository it judges small made-up ones, to show that each
rule can fail.
"""

import pathlib
import re
import sys
import tempfile

# A folder of src/ may include itself, the folders listed here, include/ and templates/. Folders in it are parts of it.
BELOW = {
    "support": [],
    "spec": ["support"],
    "hf": ["spec", "support"],
    "codegen": ["spec", "support"],
    "target": ["codegen", "spec", "support"],
}
for peer in ("cuda", "host"):
    BELOW[peer] = ["target", *BELOW["target"]]
BELOW["store"] = ["support"]  # bytes under keys: it knows no plan and no device
BELOW["launch"] = ["target", *BELOW["target"]]
BELOW["tune"] = ["launch", "store", *BELOW["launch"]]
BELOW["service"] = ["tune", "cuda", "host", "hf", *BELOW["tune"]]
BELOW["deploy"] = ["service", *BELOW["service"]]
BELOW["builder"] = ["cuda", "host", *BELOW["target"]]  # programs that the build runs
BELOW["verify"] = []  # the oracle: shares nothing with what it checks
BELOW["cli"] = ["deploy", "verify", *BELOW["deploy"]]

CUDA_HEADERS = re.compile(r"(^|/)(cuda|nvrtc|nvJitLink|nvml|cupti|cuda_runtime|cuda_runtime_api|driver_types)\.h$")
# They install signal handlers, delete live locks, or hold global options.
BANNED_LLVM = {"LockFileManager", "Caching", "CommandLine", "Signals", "PrettyStackTrace", "InitLLVM",
               "CrashRecoveryContext"}
ALLOWED_IN_CLI = {"CommandLine"}
C_HEADERS = {"stddef.h", "stdint.h", "stdbool.h"}  # of the C ABI

INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
TEMP_FILE = re.compile(r"\bfs::TempFile\b")


def includes_of(text):
    """Pairs of delimiter and path. Comments are dropped, but not what a string or a comment's end might hide."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL)
    return INCLUDE.findall(text)


def problem_of(area, layer, delimiter, path, exists):
    """Why a file of `area` (include, src or templates) and `layer` may not include `path`; empty if it may."""
    if CUDA_HEADERS.search(path):
        return "" if layer == "cuda" else "CUDA's headers belong to src/cuda"
    if area == "templates":
        if delimiter == "<":
            return "templates include no system header"
        return "" if exists("templates", path) else "not a file of templates/"
    if delimiter == "<":
        if area == "include":
            standard = re.fullmatch(r"[a-z_]+", path) or path in C_HEADERS
            return "" if standard else "public headers include the standard library and ropejit/ alone"
        llvm = re.fullmatch(r"llvm/(\w+)/(?:.*/)?(\w+)\.h", path)
        if path.startswith(("llvm/", "llvm-c/")):
            if not llvm or llvm.group(1) not in ("ADT", "Support"):
                return "of LLVM, only ADT and Support are used"
            if llvm.group(2) in BANNED_LLVM and not (layer == "cli" and llvm.group(2) in ALLOWED_IN_CLI):
                return "this header of LLVM is banned"
        if exists("include", path) or exists("src", path):
            return "the project's own headers are included with quotes"
        return ""
    if path.startswith("ropejit/"):
        return "" if exists("include", path) else "not a file of include/"
    if area == "include":
        return "public headers include the standard library and ropejit/ alone"
    if exists("templates", path):
        return "the oracle includes include/ropejit alone" if layer == "verify" else ""
    if not exists("src", path):
        return "not found from the include roots include/, src/ and templates/"
    other = path.split("/")[0]
    if other == layer or other in BELOW[layer]:
        return ""
    return f"{layer} may include only: {', '.join([layer, *BELOW[layer]])}"


def problems_in(root):
    """All problems of the tree at `root`, one line each, and the number of includes that were judged."""
    problems = []
    judged = 0

    def exists(area, path):
        return ".." not in path.split("/") and (root / area / path).is_file()

    for area in ("include", "src", "templates"):
        for file in sorted((root / area).rglob("*")):
            if file.suffix not in (".hpp", ".cpp", ".h", ".c", ".cuh", ".inc"):
                continue
            name = file.relative_to(root)
            layer = name.parts[1] if area == "src" and len(name.parts) > 2 else ""
            if area == "src" and layer not in BELOW:
                problems.append(f"{name}: src/{layer} is no layer that this test knows")
                continue
            text = file.read_text(encoding="utf-8")
            for delimiter, path in includes_of(text):
                judged += 1
                if problem := problem_of(area, layer, delimiter, path, exists):
                    problems.append(f"{name}: #include of {path}: {problem}")
            if area == "src" and TEMP_FILE.search(text):
                problems.append(f"{name}: llvm::sys::fs::TempFile installs signal handlers")
    return problems, judged


def unbuilt_in(root):
    """Sources that no CMakeLists.txt names: tests that never run, above all."""
    unbuilt = []
    for area, pattern in (("src", "*.cpp"), ("tests", "*_test.cpp"), ("templates", "*.cuh")):
        lists = root / ("src" if area == "templates" else area) / "CMakeLists.txt"
        named = set(re.split(r"[\s()]+", lists.read_text(encoding="utf-8"))) if lists.is_file() else set()
        for file in sorted((root / area).rglob(pattern)):
            if file.relative_to(root / area).as_posix() not in named:
                unbuilt.append(f"{file.relative_to(root)}: not named in {lists.relative_to(root)}")
    return unbuilt


INLINE_VARIABLE = re.compile(r"^inline (?:const|constexpr)\b[^;={(]*?(\w+)(?:\[\w*\])?\s*(?:=|\{|;)", re.MULTILINE)


def defined_twice_in(root):
    """Inline variables that two headers of the tests define: in one program the linker keeps either, silently."""
    owners = {}
    twice = []
    for file in sorted((root / "tests").rglob("*.hpp")):
        for name in INLINE_VARIABLE.findall(file.read_text(encoding="utf-8")):
            owner = owners.setdefault(name, file)
            if owner != file:
                twice.append(f"{file.relative_to(root)}: {name} is also defined in {owner.relative_to(root)}")
    return twice


def write_tree(root, files):
    """Made-up files: their texts by path."""
    for path, content in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(content, encoding="utf-8")


def self_test_defined_twice():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        files = {"tests/a.hpp": 'inline const std::string kOne =\n    "";\ninline constexpr int kTwo = 2;\n',
                 "tests/b/b.hpp": 'inline int kTwo(int x = 2);\ninline const std::string kOne = "";\n'}
        write_tree(root, files)
        found = [problem.split(" is")[0] for problem in defined_twice_in(root)]
        if found != ["tests/b/b.hpp: kOne"]:
            sys.exit(f"self-test: variables defined twice: found {found}")


def self_test_unbuilt():
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        files = {"src/CMakeLists.txt": "set(a spec/a.cpp\n  b.cuh)", "tests/CMakeLists.txt": "set(b a/x_test.cpp)",
                 "src/spec/a.cpp": "", "src/spec/b.cpp": "", "templates/b.cuh": "", "templates/c.cuh": "",
                 "tests/a/x_test.cpp": "", "tests/b/x_test.cpp": ""}
        write_tree(root, files)
        found = [problem.split(":")[0] for problem in unbuilt_in(root)]
        if found != ["src/spec/b.cpp", "tests/b/x_test.cpp", "templates/c.cuh"]:
            sys.exit(f"self-test: unbuilt sources: found {found}")


def self_test():
    """Each row: a file, its text, and whether the rules allow it, in a tree that has the files of `always`."""
    always = {
        "include/ropejit/spec.hpp": "#include <string>\n",
        "templates/flat.cuh": "#pragma once\n",
        "src/support/hash.hpp": "#include <cstddef>\n",
        "src/spec/plan.hpp": '#include "support/hash.hpp"\n#include "ropejit/spec.hpp"\n',
        "src/hf/model.hpp": '#include "spec/plan.hpp"\n',
        "src/service/service.hpp": '#include "spec/plan.hpp"\n',
        "src/verify/oracle.hpp": '#include "ropejit/spec.hpp"\n',
    }
    rows = [
        ("src/cli/a.cpp", '#include "verify/oracle.hpp"\n#include "service/service.hpp"\n', True),
        ("src/cli/a.cpp", "#include <llvm/Support/CommandLine.h>\n", True),
        ("src/cuda/a.cpp", "#include <cuda.h>\n#include <nvrtc.h>\n", True),
        ("src/host/a.cpp", '#include "flat.cuh"\n#include <fmt/format.h>\n#include <llvm/ADT/StringMap.h>\n', True),
        ("templates/b.cuh", '#include "flat.cuh"\n', True),
        ("src/service/a.cpp", '#include "hf/model.hpp"\n', True),
        ("include/ropejit/a.h", "#include <stdint.h>\n", True),
        ("src/spec/a.cpp", '// #include "service/service.hpp"\n/*\n#include "service/service.hpp"\n*/\n', True),
        ("src/store/file/a.cpp", '#include "support/hash.hpp"\n', True),
        ("src/store/file/a.cpp", '#include "spec/plan.hpp"\n', False),
        ("src/store/a.cpp", '#include "spec/plan.hpp"\n', False),
        ("src/support/a.cpp", '#include "spec/plan.hpp"\n', False),
        ("src/spec/a.cpp", '#include "hf/model.hpp"\n', False),
        ("src/codegen/a.cpp", '#include "hf/model.hpp"\n', False),
        ("src/spec/a.cpp", '#include "service/service.hpp"\n', False),
        ("src/spec/a.cpp", '  #  include "service/service.hpp"  // spaced\n', False),
        ("src/service/a.cpp", '#include "verify/oracle.hpp"\n', False),
        ("src/verify/a.cpp", '#include "spec/plan.hpp"\n', False),
        ("src/verify/a.cpp", '#include "flat.cuh"\n', False),
        ("src/spec/a.cpp", '#include "../service/service.hpp"\n', False),
        ("src/spec/a.cpp", '#include "plan.hpp"\n', False),
        ("src/spec/a.cpp", "#include <service/service.hpp>\n", False),
        ("src/host/a.cpp", "#include <cuda.h>\n", False),
        ("src/service/a.cpp", '#include "nvrtc.h"\n', False),
        ("include/ropejit/a.hpp", "#include <fmt/format.h>\n", False),
        ("include/ropejit/a.hpp", "#include <llvm/ADT/StringMap.h>\n", False),
        ("include/ropejit/a.hpp", "#include <cuda.h>\n", False),
        ("include/ropejit/a.hpp", '#include "spec/plan.hpp"\n', False),
        ("include/ropejit/a.hpp", '#include "ropejit/absent.hpp"\n', False),
        ("templates/b.cuh", "#include <cuda_bf16.h>\n", False),
        ("templates/b.cuh", '#include "spec/plan.hpp"\n', False),
        ("src/store/a.cpp", "#include <llvm/Support/LockFileManager.h>\n", False),
        ("src/store/a.cpp", "#include <llvm/Support/Caching.h>\n", False),
        ("src/store/a.cpp", "#include <llvm/Support/CommandLine.h>\n", False),
        ("src/store/a.cpp", "#include <llvm/IR/Module.h>\n", False),
        ("src/store/a.cpp", "auto file = llvm::sys::fs::TempFile::create(name);\n", False),
        ("src/odd/a.cpp", "#include <string>\n", False),
    ]
    for name, text, allowed in rows:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            write_tree(root, {**always, name: text})
            problems, _ = problems_in(root)
            if allowed != (not problems):
                sys.exit(f"self-test: {name} with {text!r}: expected {'no ' if allowed else ''}problem, got {problems}")
    return len(rows)


def main():
    rows = self_test()
    self_test_unbuilt()
    self_test_defined_twice()
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent)
    problems, judged = problems_in(root)
    if judged < 20:
        sys.exit(f"{root}: found {judged} includes, which cannot be all")
    problems += unbuilt_in(root) + defined_twice_in(root)
    for problem in problems:
        print(problem)
    print(f"layering: {rows} made-up files judged rightly; {judged} includes of the repository, {len(problems)} wrong")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
