#!/usr/bin/env python3
"""The command `ropejit` of the Python package, and `ropejit try`, on a package that is laid out here: the sources of
python/, the built program, and in place of the extension module one that only tells a version. No torch is needed.

    python_command_test.py PROGRAM
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = None  # the built ropejit
NATIVE = """
class NativeError(RuntimeError): pass
def version(): return "0.0"
def allow_host(served): return False
"""
TORCH = '__version__ = "2.11.0+cu{0}"\ncuda: Optional[str] = {1!r}\n'


def lay_out(site, program, nvrtc=(), cuda=None):
    """The package with this program in a folder, beside a torch of that CUDA version, where one is told, and libraries of these names."""
    shutil.copytree(ROOT / "python/ropejit", site / "ropejit", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "python/ropejit_cli.py", site)
    (site / "ropejit/_native.py").write_text(NATIVE)
    (site / "ropejit/bin").mkdir()
    (site / "ropejit/bin/ropejit").symlink_to(pathlib.Path(program).resolve())
    shutil.copytree(ROOT / "cache/manifests", site / "ropejit/manifests")
    for name in nvrtc:
        path = site / "nvidia" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    if cuda is not None:
        (site / "torch").mkdir()
        (site / "torch/version.py").write_text(TORCH.format("".join((cuda or "").split(".")), cuda or None))


class InAPackage(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.site = pathlib.Path(folder.name).resolve()
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(self.site),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self.site / "home"),
            "ROPEJIT_ON_MISS": "generic",
        }

    def python(self, *words, text=None, **environment):
        return subprocess.run([sys.executable, "-S", *words], input=text, capture_output=True, text=True, timeout=300,
                              cwd=self.site, env={**self.environment, **environment})

    def command(self, *words, **others):
        return self.python("-m", "ropejit_cli", *words, **others)


class TheCommandIsTheProgram(InAPackage):
    def test_it_prints_and_ends_as_the_program_does(self):
        lay_out(self.site, PROGRAM)
        for words in (["--version"], ["warm", "--list"], ["no-such-command"], ["run", "--model", "none.json"]):
            with self.subTest(words):
                ours = self.command(*words)
                theirs = subprocess.run([PROGRAM, *words], capture_output=True, text=True, env=self.environment, cwd=self.site)
                self.assertEqual((ours.returncode, ours.stdout, ours.stderr),
                                 (theirs.returncode, theirs.stdout, theirs.stderr))

    def test_python_dash_m_is_the_same(self):
        lay_out(self.site, PROGRAM)
        self.assertEqual(self.python("-m", "ropejit", "--version").stdout, self.command("--version").stdout)

    def test_a_package_without_its_program_is_told_in_one_line(self):
        lay_out(self.site, PROGRAM)
        (self.site / "ropejit/bin/ropejit").unlink()
        done = self.command("--version")
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr.count("\n"), 1)
        self.assertIn("bin/ropejit", done.stderr)


class NvrtcIsThatOfTorch(InAPackage):
    CASES = (
        # what lies in site-packages/nvidia, torch's CUDA, what is found
        ((), None, None),
        (("cu13/lib/libnvrtc.so.13",), "13.0", "cu13/lib/libnvrtc.so.13"),
        (("cuda_nvrtc/lib/libnvrtc.so.12",), "12.8", "cuda_nvrtc/lib/libnvrtc.so.12"),
        (("cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13"), "13.0", "cu13/lib/libnvrtc.so.13"),
        (("cuda_nvrtc/lib/libnvrtc.so.12", "cu13/lib/libnvrtc.so.13"), "12.8", "cuda_nvrtc/lib/libnvrtc.so.12"),
        (("cuda_nvrtc/lib/libnvrtc.so.9", "cu13/lib/libnvrtc.so.13"), None, "cu13/lib/libnvrtc.so.13"),
        (("cu13/lib/libnvrtc.so.13",), "", "cu13/lib/libnvrtc.so.13"),  # a torch without CUDA
        (("cu13/lib/libnvrtc-builtins.so.13.0",), "13.0", None),
        (("cu13/lib/libnvrtc.alt.so.13",), "13.0", None),
    )

    def test_of_several_that_of_torchs_version_else_the_newest(self):
        for number, (libraries, cuda, wanted) in enumerate(self.CASES):
            with self.subTest(libraries=libraries, cuda=cuda):
                site = self.site / str(number)
                site.mkdir()
                lay_out(site, PROGRAM, libraries, cuda)
                shown = "import ropejit_cli; print(ropejit_cli.nvrtc_beside_torch())"
                said = self.python("-c", shown, PYTHONPATH=str(site)).stdout.strip()
                self.assertEqual(said, str(site / "nvidia" / wanted) if wanted else "None")

    def test_a_name_in_the_environment_goes_first(self):
        lay_out(self.site, PROGRAM, ["cu13/lib/libnvrtc.so.13"], "13.0")
        shown = "import ropejit_cli; print(ropejit_cli.environment().get('ROPEJIT_NVRTC'))"
        self.assertEqual(self.python("-c", shown, ROPEJIT_NVRTC="/mine").stdout, "/mine\n")
        self.assertIn("libnvrtc.so.13", self.python("-c", shown).stdout)

    def test_the_program_is_given_it(self):
        lay_out(self.site, PROGRAM, ["cu13/lib/libnvrtc.so.13"], "13.0")  # an empty file: no library
        self.assertIn(str(self.site / "nvidia/cu13/lib/libnvrtc.so.13"), self.command("doctor").stdout)


class WithoutTorch(InAPackage):
    def test_what_needs_tensors_says_so_and_the_rest_is_there(self):
        lay_out(self.site, PROGRAM)
        done = self.python("-c", "import ropejit; print(ropejit.__version__, ropejit.model_ropes.__name__); ropejit.Rotation")
        self.assertEqual(done.stdout, "0.0 model_ropes\n")
        self.assertIn("ImportError: ropejit.Rotation: needs torch", done.stderr)
        self.assertIn("AttributeError", self.python("-c", "import ropejit; ropejit.nothing").stderr)


class TryWithoutAGpu(InAPackage):
    def setUp(self):
        super().setUp()
        lay_out(self.site, PROGRAM)

    def test_it_checks_on_the_cpu_and_shows_what_a_gpu_showed(self):
        done = self.command("try", "--device", "host")
        self.assertEqual(done.returncode, 0, done.stderr)
        for words in ("Qwen/Qwen3-0.6B", "verified", "There is no GPU here", "on an H200", "decode step at 512 tokens"):
            self.assertIn(words, done.stdout)
        self.assertRegex(done.stdout, r"with ropejit +[#\u2588]+ +24\.5 ms")
        self.assertRegex(done.stderr, r"^\[ *\d+ s\] the kernel of qwen3-0.6b, 1 tokens")

    def test_json_is_one_object(self):
        told = json.loads(self.command("try", "--device", "host", "--json").stdout)
        self.assertEqual([row["tokens"] for row in told["kernels"]], [1, 64])
        self.assertTrue(all(row["verified"] and row["copy_us"] > 0 for row in told["kernels"]))
        self.assertEqual(told["model"]["rows"], [])

    def test_models_are_named_as_everywhere(self):
        config = ROOT / "tests/data/models/llama-3.2-1b.json"
        folder = self.site / "checkpoint"
        folder.mkdir()
        shutil.copy(config, folder / "config.json")
        for model, text in ((str(config), None), (str(folder), None), ("-", config.read_text()), ("llama-3.1-8b", None)):
            with self.subTest(model):
                done = self.command("try", "--model", model, "--device", "host", text=text)
                self.assertEqual(done.returncode, 0, done.stderr)

    def test_what_is_wrong_is_one_line_and_the_programs_status(self):
        for words, status, said in ((["--model", "no-such-model"], 2, "no-such-model"), (["--device", "cuda:0"], 1, "cuda")):
            done = self.command("try", *words, CUDA_VISIBLE_DEVICES="")
            if words[0] == "--device" and done.returncode == 0:
                continue  # there is a GPU
            self.assertEqual(done.returncode, status, done.stderr)
            last = done.stderr.splitlines()[-1]
            self.assertIn(said, last)
            self.assertNotIn("Traceback", done.stderr)

    def test_an_output_that_cannot_take_blocks_gets_signs(self):
        done = self.command("try", "--device", "host", PYTHONIOENCODING="ascii")
        self.assertIn("####", done.stdout)


class TheProgramAlone(unittest.TestCase):
    def test_try_says_where_it_is(self):
        done = subprocess.run([PROGRAM, "try"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("python3 -m ropejit try", done.stderr)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
