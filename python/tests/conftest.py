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


# What torch.compile of torch 2.4 does not take (python/README.md).
NOT_COMPILED_BY_2_4 = (
    "test_dropin_flash_attn.py::test_a_leaf_that_requires_grad_is_rotated_in_place",
    "test_dropin_serving.py::test_compiled_without_a_graph_break",
    "test_dropin_flashinfer_dit.py::test_compiled_without_a_graph_break",
    "test_dropin_flashinfer_pages.py::test_compiled_without_a_graph_break",
    "test_dropin_sglang.py::test_compiled_without_a_graph_break",
    "test_dropin_te_packed.py::test_compiled_without_a_graph_break",
    "test_dropin_vllm_cache.py::test_compiled_without_a_graph_break",
    "test_grouped_q.py::test_in_one_graph",
    "test_operands.py::test_traces_take_it_as_one_operator",
    "test_operands.py::test_the_operator_passes_torchs_own_checks",
    "test_page_tables.py::test_compiled_in_one_graph",
    "test_page_tables.py::test_the_operator_passes_torchs_own_checks",
    "test_prologue.py::test_compiled",
    "test_prologue.py::test_the_operator_passes_torchs_own_checks",
    "test_prologue_outputs.py::test_in_one_graph",
)


def pytest_collection_modifyitems(items):
    if not torch.__version__.startswith("2.4."):
        return
    for item in items:
        eager = "[" in item.name and "compiled" not in item.name
        if not eager and any(name in f"{item.path.name}::{item.name}" for name in NOT_COMPILED_BY_2_4):
            item.add_marker(pytest.mark.skip(reason="torch.compile of torch 2.4 does not take it"))


@pytest.fixture
def device():
    return DEVICE


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
