"""The wheel that ROPEJIT_WHEEL names, in an empty environment of its own. torch is borrowed from this one: its wheel is
large."""

import os
import pathlib
import subprocess
import sys
import zipfile

import pytest
import torch

WHEEL = os.environ.get("ROPEJIT_WHEEL")
pytestmark = pytest.mark.skipif(not WHEEL, reason="ROPEJIT_WHEEL names no wheel")

PROGRAM = """
import torch, ropejit, os, ctypes
assert os.path.realpath(ropejit.__file__).startswith(os.path.realpath(os.environ["WHERE"])), ropejit.__file__
ropejit.serve_host(True)
q = torch.ones(1, 2, 1, 2)
result, _ = ropejit.rope(q, None, {}, {"positions": "start"})
expected = torch.tensor([[1.0, 1.0], [0.5403023 - 0.8414710, 0.5403023 + 0.8414710]])
torch.testing.assert_close(result[0, :, 0], expected)
ctypes.CDLL(ropejit.library_path()).ropejit_version
"""


def test_an_empty_environment_installs_it_and_rotates(tmp_path):
    # Without PYTHONPATH, on which pip might find the package that is being tested.
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    environment.update(WHERE=str(tmp_path), ROPEJIT_DEVICE="host", ROPEJIT_ON_MISS="generic", ROPEJIT_CACHE_DIR="")
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True, env=environment)
    python = tmp_path / "venv/bin/python"
    install = [str(python), "-m", "pip", "install", "-q", "--no-deps", "--no-index", WHEEL]
    subprocess.run(install, check=True, env=environment)
    site = next((tmp_path / "venv/lib").glob("python*/site-packages"))
    (site / "borrowed.pth").write_text(str(pathlib.Path(torch.__file__).parents[1]) + "\n")
    subprocess.run([str(python), "-c", PROGRAM], check=True, cwd=tmp_path, env=environment)


def test_it_holds_the_library_once_and_no_more_than_it_needs():
    names = zipfile.ZipFile(WHEEL).namelist()
    inside = [name for name in names if name.startswith("ropejit/")]
    assert [name for name in inside if "libropejit.so" in name] == ["ropejit/libropejit.so.0.1"]
    assert {"ropejit/_native.abi3.so", "ropejit/ropejit.h", "ropejit/bin/ropejit"} <= set(inside)
    outside = {name.split("/")[0] for name in names if not name.startswith("ropejit/")} - {"ropejit_cli.py"}
    assert all(name.startswith("ropejit-") and name.endswith(".dist-info") for name in outside), outside


def test_it_asks_for_nothing_and_its_command_is_the_program(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "LD_LIBRARY_PATH")}
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path)], check=True, env=environment)
    subprocess.run([str(tmp_path / "bin/pip"), "install", "-q", "--no-index", WHEEL], check=True, env=environment)
    said = subprocess.run([str(tmp_path / "bin/ropejit"), "--version"], check=True, capture_output=True, text=True).stdout
    version = [str(tmp_path / "bin/python"), "-c", "import ropejit; print('ropejit', ropejit.__version__)"]
    assert said == subprocess.run(version, check=True, capture_output=True, text=True, env=environment).stdout
