#!/usr/bin/env python3
"""The command `ropejit` of the Python package, and `ropejit try`, on a package that is laid out here: the sources of
python/, the built program, and in place of the extension module one that only tells a version. No torch is needed.

    python_command_test.py PROGRAM
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
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

    def test_the_folder_with_torch_goes_before_others(self):
        for name, libraries, cuda in (("first", ["cu12/lib/libnvrtc.so.12"], None), ("second", ["cu13/lib/libnvrtc.so.13"], "13.0")):
            (self.site / name).mkdir()
            lay_out(self.site / name, PROGRAM, libraries, cuda)
        done = self.python("-c", "import ropejit_cli; print(ropejit_cli.nvrtc_beside_torch())",
                           PYTHONPATH=f"{self.site / 'first'}:{self.site / 'second'}")
        self.assertEqual(done.stdout.strip(), str(self.site / "second/nvidia/cu13/lib/libnvrtc.so.13"))

    def test_folders_that_cannot_be_read_have_none(self):
        lay_out(self.site, PROGRAM)
        (self.site / "torch").mkdir()
        (self.site / "torch/version.py").write_bytes(b"cuda = '\xff'")
        for entry in ("x" * 300, "/proc/self/mem", "no/such", "/proc/1/root"):
            with self.subTest(entry):
                done = self.command("--version", PYTHONPATH=f"{entry}:{self.site}")
                self.assertEqual((done.returncode, done.stderr), (0, ""))

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

    def test_a_pipe_is_read_once_and_named_as_it_was(self):
        text = (ROOT / "tests/data/models/llama-3.2-1b.json").read_text()
        done = self.command("try", "--model", "-", text=text)
        self.assertTrue(done.stdout.startswith("host (host-x86_64), standard input\n"), done.stdout)
        done = self.command("try", "--model", "/dev/stdin", text=text)
        self.assertEqual(done.returncode, 0, done.stderr)
        for text, said in (("", "standard input"), ("x" * (17 << 20), "standard input"), ('{"a":"\udcff"}', "standard input")):
            done = subprocess.run([sys.executable, "-S", "-m", "ropejit_cli", "try", "--model", "-"], cwd=self.site,
                                  input=text.encode(errors="surrogateescape"), capture_output=True, env=self.environment)
            last = done.stderr.decode().splitlines()[-1]
            self.assertEqual(done.returncode, 2, last)
            self.assertIn(said, last)

    def test_one_of_several_rotations_is_chosen_as_for_run(self):
        for words, status in ((["gemma-3-4b-it"], 2), (["gemma-3-4b-it", "--rotation", "1"], 0),
                              ([str(ROOT / "tests/data/models/llama-4-scout.json"), "--layer", "0"], 0)):
            done = self.command("try", "--model", *words)
            self.assertEqual(done.returncode, status, done.stderr)

    def test_streams_that_are_closed_or_full_are_no_traceback(self):
        run = f"exec {sys.executable} -S -m ropejit_cli try --device host"
        config = ROOT / "tests/data/models/llama-3.2-1b.json"
        for shell, status in ((f"{run} >&-", 1), (f"{run} >/dev/full", 1), (f"{run} --json >/dev/full", 1),
                              (f"{run} 2>&-", 0), (f"{run} --model - <&-", 2), (f"{run} --json 2>/dev/full", 0),
                              (f"{run} --model no-such 2>&-", 2), (f"{run} --model <(cat {config})", 0)):
            with self.subTest(shell):
                done = subprocess.run(["bash", "-c", shell], cwd=self.site, env=self.environment, capture_output=True, text=True,
                                      stdin=subprocess.DEVNULL)
                self.assertEqual(done.returncode, status, done.stderr)
                self.assertNotIn("Traceback", done.stdout + done.stderr)
                if "--json 2>" in shell:
                    json.loads(done.stdout)
                if "no-such" in shell:
                    self.assertEqual(done.stdout, "")

    def test_a_program_that_fails_is_one_line(self):
        program = self.site / "ropejit/bin/ropejit"
        program.unlink()
        for text, mode, said in ((None, None, "No such file"), ("no program", 0o755, "Exec format"), ("#!/bin/sh\nkill -9 $$", 0o755,
                                 "ended by SIGKILL"), ("#!/bin/sh\necho '{}'", 0o755, "another version"),
                                 ("#!/bin/sh\necho 7", 0o755, "another version"), ("#!/bin/sh\nexit 3", 0o755, "no answer")):
            if text is not None:
                program.write_text(text)
                program.chmod(mode)
            done = self.command("try")
            self.assertIn(done.returncode, (1, 3))
            self.assertIn(said, done.stderr.splitlines()[-1])
            self.assertNotIn("Traceback", done.stderr)

    def test_an_interrupt_ends_it_as_a_shell_expects(self):
        program = self.site / "ropejit/bin/ropejit"
        program.unlink()
        program.write_text("#!/bin/sh\nsleep 60")
        program.chmod(0o755)
        process = subprocess.Popen([sys.executable, "-S", "-m", "ropejit_cli", "try"], cwd=self.site, env=self.environment,
                                   stderr=subprocess.PIPE, text=True)
        self.assertIn("made, checked", process.stderr.readline())
        time.sleep(0.2)  # the program is started after that line
        process.send_signal(signal.SIGINT)
        self.assertNotIn("Traceback", process.communicate(timeout=30)[1])
        self.assertEqual(process.returncode, 130)

    def test_an_option_that_is_not_there_is_one_line(self):
        done = self.command("try", "--foo")
        self.assertEqual((done.returncode, done.stderr.count("\n")), (2, 1))

    def test_an_output_that_cannot_take_blocks_gets_signs(self):
        done = self.command("try", "--device", "host", PYTHONIOENCODING="ascii")
        self.assertIn("####", done.stdout)


# Answers as the program does on a GPU: by --tokens, the fourth word after "run --model NAME".
ON_A_GPU = """#!/bin/sh
echo "{\\"model\\": \\"Qwen/Qwen3-8B\\", \\"device\\": \\"NVIDIA H200\\", \\"arch\\": \\"sm_90\\", \\"tokens\\": $5,
\\"launch_us\\": 2.5, \\"copy_us\\": 2.0, \\"over_copy\\": 1.25, \\"cache\\": \\"miss\\", \\"verified\\": WELL, \\"problem\\": \\"lane 3\\"}"
"""


class TryOnAGpu(InAPackage):
    def test_kernels_stand_beside_copies_and_the_rest_is_missed_by_name(self):
        lay_out(self.site, PROGRAM)
        program = self.site / "ropejit/bin/ropejit"
        program.unlink()
        for well, status in (("true", 0), ("false", 1)):
            program.write_text(ON_A_GPU.replace("WELL", well))
            program.chmod(0o755)
            done = self.command("try", "--model", "qwen3-8b")
            self.assertEqual(done.returncode, status, done.stderr)
            self.assertTrue(done.stdout.startswith("NVIDIA H200 (sm_90), Qwen/Qwen3-8B\n"))
            for tokens in ("1", "128", "4,096", "16,384"):
                self.assertRegex(done.stdout, rf"(?m)^ +{tokens} +2\.5 us +2 us +1\.25 +miss +{'verified' if status == 0 else 'lane 3'}$")
                self.assertRegex(done.stdout, rf"(?m)^{tokens} tokens +copy +[#\u2588]+ +2 us$")
            self.assertIn("needs torch and transformers, and torch and transformers cannot be imported here", done.stdout)


class TheProgramAlone(unittest.TestCase):
    def test_try_says_where_it_is(self):
        done = subprocess.run([PROGRAM, "try"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 2)
        self.assertIn("python3 -m ropejit try", done.stderr)


if __name__ == "__main__":
    PROGRAM = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()
