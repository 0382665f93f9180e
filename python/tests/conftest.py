"""Tests run on the GPU where there is one, else on the CPU by the library's host target with the generic kernel, which
gives the same bits and compiles nothing. ROPEJIT_TEST_DEVICE=cpu or cuda decides otherwise."""

import os

import torch

DEVICE = os.environ.get("ROPEJIT_TEST_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
if DEVICE == "cpu":
    os.environ["ROPEJIT_DEVICE"] = "host"
    os.environ.setdefault("ROPEJIT_ON_MISS", "generic")
    os.environ.setdefault("ROPEJIT_CACHE_DIR", "")

import pytest  # noqa: E402  the environment is read on import


@pytest.fixture
def device():
    return DEVICE


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
