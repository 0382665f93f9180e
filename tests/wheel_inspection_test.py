#!/usr/bin/env python3
"""What python/wheel/inspect_wheel.py makes of wheels that are put together here of small libraries: each fault is named,
and a wheel without one passes.

    wheel_inspection_test.py CC
"""
import base64
import hashlib
import pathlib
import subprocess
import sys
import tempfile
import unittest
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "python/wheel"))
sys.dont_write_bytecode = True

import inspect_wheel

CC = None
NAME = "ropejit-0.1.0-cp310-abi3-manylinux_2_28_x86_64.whl"
INFO = "ropejit-0.1.0.dist-info"
LIBRARY = "ropejit/libropejit.so.0.1"
TEXTS = {
    "ropejit/ropejit.h": "",
    "ropejit/py.typed": "",
    "ropejit/records/h200.jsonl": "{}",
    "ropejit/manifests/all.json": "{}",
    "ropejit_cli.py": "",
    f"{INFO}/METADATA": 'Name: ropejit\nRequires-Dist: torch>=2.4; extra == "torch"\n',
    f"{INFO}/entry_points.txt": "",
    f"{INFO}/licenses/LICENSE": "",
    f"{INFO}/sboms/ropejit.cdx.json": "{}",
    **{f"{INFO}/licenses/linked-in/{name}.txt": "" for name in inspect_wheel.NOTICES},
}
GOOD = "int ropejit_version(void) { return 1; }"
# A symbol of a version that no wheel for 2.28 may need, without needing a C library that has it.
NEWER = """
__asm__(".symver later, later@GLIBC_2.99");
extern int later(void);
int ropejit_version(void) { return later(); }
"""


def compile_library(folder, text, *options):
    source, library = folder / "source.c", folder / "library.so"
    source.write_text(text)
    subprocess.run([CC, "-shared", "-fPIC", "-nostdlib", "-o", library, source, *options], check=True)
    return library.read_bytes()


def later_stub(folder, version="GLIBC_2.99"):
    """A libc.so.6 that defines `later` in that version."""
    (folder / "map").write_text(f"{version} {{ global: later; }};\n")
    (folder / "stub.c").write_text("int later(void) { return 0; }")
    stub = folder / "libstub.so"
    subprocess.run([CC, "-shared", "-fPIC", "-nostdlib", "-o", stub, folder / "stub.c", "-Wl,-soname,libc.so.6",
                    f"-Wl,--version-script={folder / 'map'}"], check=True)
    return str(stub)


def compile_at(folder):
    """A library's path, for a program that is to be linked dynamically."""
    compile_library(folder, GOOD, "-Wl,-soname,libc.so.6")
    return folder / "library.so"


class Wheels(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.good = compile_library(self.folder, GOOD)

    def problems(self, changes=None, name=NAME, record=None, executable=("ropejit/bin/ropejit",), more=""):
        """Of a wheel with these files changed; None takes one out. `record`: a hash
        that RECORD says instead; `more`: a line more of it."""
        files = {**TEXTS, LIBRARY: self.good, "ropejit/_native.abi3.so": self.good, "ropejit/bin/ropejit": self.good}
        files.update(changes or {})
        path = self.folder / name
        rows = []
        with zipfile.ZipFile(path, "w") as wheel:
            for name, data in files.items():
                if data is None:
                    continue
                data = data.encode() if isinstance(data, str) else data
                entry = zipfile.ZipInfo(name)
                entry.external_attr = (0o755 if name in executable else 0o644) << 16
                wheel.writestr(entry, data)
                digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
                rows.append(f"{name},sha256={(record or {}).get(name, digest)},{len(data)}")
            wheel.writestr(f"{INFO}/RECORD", "\n".join([*rows, f"{INFO}/RECORD,,", more]))
        return inspect_wheel.problems(path)

    def assert_only(self, found, words):
        self.assertEqual(len(found), 1, found)
        self.assertIn(words, found[0])

    def test_one_without_a_fault_passes(self):
        self.assertEqual(self.problems(), [])

    def test_a_name_that_promises_something_else_is_refused(self):
        for name in ("ropejit-0.1.0-cp310-abi3-linux_x86_64.whl", "ropejit-0.1.0-cp311-cp311-manylinux_2_28_x86_64.whl"):
            self.assert_only(self.problems(name=name), "allowed: ropejit-VERSION-cp310-abi3-manylinux_X_Y_x86_64.whl")

    def test_what_is_missing_is_named(self):
        for name in (LIBRARY, "ropejit/bin/ropejit", "ropejit/py.typed", f"{INFO}/licenses/LICENSE",
                     f"{INFO}/sboms/ropejit.cdx.json", "ropejit/records/h200.jsonl",
                     *(f"{INFO}/licenses/linked-in/{name}.txt" for name in inspect_wheel.NOTICES)):
            with self.subTest(name):
                self.assert_only(self.problems({name: None}), "not inside")

    def test_a_symbol_of_a_later_c_library_is_named(self):
        for version, words in (("GLIBC_2.99", "found GLIBC_2.99, allowed: up to 2.28"),
                               ("GLIBCXX_3.4", "found symbols of GLIBCXX, allowed: of GLIBC"),
                               ("GLIBC_PRIVATE", "found symbols of GLIBC_PRIVATE, allowed: of GLIBC")):
            stub = later_stub(self.folder, version)
            library = compile_library(self.folder, NEWER.replace("GLIBC_2.99", version), stub)
            self.assert_only(self.problems({LIBRARY: library}), words)
        self.assertEqual(self.problems({LIBRARY: compile_library(
            self.folder, NEWER.replace("GLIBC_2.99", "GLIBC_2.9"), later_stub(self.folder, "GLIBC_2.9"))}), [])

    def test_what_is_needed_beside_the_c_library_is_named(self):
        stub = self.folder / "libother.so"
        stub.write_bytes(compile_library(self.folder, "int other(void) { return 0; }", "-Wl,-soname,libstdc++.so.6"))
        library = compile_library(self.folder, "int other(void); int ropejit_x(void) { return other(); }", str(stub))
        self.assert_only(self.problems({LIBRARY: library}), "needs libstdc++.so.6")

    def test_run_paths_and_exports_are_looked_at(self):
        for options, text, words in (
            (["-Wl,-rpath,/work"], GOOD, "run path /work"),
            (["-Wl,-rpath,$ORIGIN:/tmp"], GOOD, "run path $ORIGIN:/tmp"),
            ([], GOOD + "int helper(void) { return 2; }", "1 exported names such as helper"),
        ):
            self.assert_only(self.problems({LIBRARY: compile_library(self.folder, text, *options)}), words)
        self.assertEqual(self.problems({LIBRARY: compile_library(self.folder, GOOD, "-Wl,-rpath,$ORIGIN")}), [])

    def test_a_program_must_be_one_that_can_run_anywhere_in_memory(self):
        self.assert_only(self.problems(executable=()), "found no right to execute it")
        (self.folder / "main.c").write_text("int _start(void) { return 0; }")
        program = self.folder / "program"
        subprocess.run([CC, "-no-pie", "-nostdlib", "-o", program, self.folder / "main.c", compile_at(self.folder)], check=True)
        self.assert_only(self.problems({"ropejit/bin/ropejit": program.read_bytes()}), "allowed: position-independent code")

    def test_a_requirement_that_is_no_extra_is_named(self):
        found = self.problems({f"{INFO}/METADATA": "Name: ropejit\nRequires-Dist: torch>=2.4\n"})
        self.assert_only(found, "found Requires-Dist: torch>=2.4, allowed: extras alone")

    def test_a_hash_that_is_not_the_files_is_named(self):
        self.assert_only(self.problems(record={"ropejit_cli.py": "AAAA"}), "RECORD has sha256=AAAA")
        self.assert_only(self.problems(more="ropejit/gone.py,sha256=AAAA,3"), "ropejit/gone.py: in RECORD, and not inside")


if __name__ == "__main__":
    CC = sys.argv.pop(1)
    unittest.main()
