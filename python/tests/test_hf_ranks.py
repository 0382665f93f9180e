"""Patched models of which each of two processes holds a part, by gloo."""

import pytest
import torch
import torch.distributed as dist

from ropejit.dropin import hf
from test_adapt_ranks import on_two_ranks

pytest.importorskip("transformers")
from hf_models import NORMS, made, prompt  # noqa: E402

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo")


def _sharded(rank):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, ids = made("qwen3", "cpu", torch.bfloat16), prompt("cpu")
    with torch.no_grad():
        plain = model(ids, use_cache=False).logits
        mesh = init_device_mesh("cpu", (2,))
        for layer in model.model.layers:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
        with hf.patch(model) as patch:
            assert [row.does for row in patch.report] == [NORMS] * 2, str(patch)
            assert torch.equal(model(ids, use_cache=False).logits, plain)
            assert patch.seams["qwen3"].served == 2 and not patch.seams["qwen3"].fallen_through


def test_norms_that_fsdp_gathers_for_each_call_are_served(tmp_path):
    on_two_ranks(_sharded, tmp_path)


def _timed(rank):
    from ropejit._prologue import Prologue

    usual = Prologue.__call__

    def slow(*arguments, **keywords):
        for _ in range(40):
            torch.randn(100, 100) @ torch.randn(100, 100)
        return usual(*arguments, **keywords)

    if rank == 0:
        Prologue.__call__ = slow
    else:  # here the original is the slow one
        from transformers.models.qwen3 import modeling_qwen3

        forward = modeling_qwen3.Qwen3RMSNorm.forward

        def slow_norm(norm, x):
            for _ in range(400):
                torch.randn(100, 100) @ torch.randn(100, 100)
            return forward(norm, x)

    model, ids = made("qwen3", "cpu", torch.bfloat16), prompt("cpu")
    patch = hf.patch(model, policy="auto")
    if rank == 1:
        modeling_qwen3.Qwen3RMSNorm.forward = slow_norm
    with torch.no_grad():
        model(ids, use_cache=False)
    assert patch.seams["qwen3"].choices == {32: False}, (rank, patch.seams["qwen3"].choices)


@pytest.mark.slow
def test_a_layer_is_served_on_all_ranks_as_on_rank_0(tmp_path):
    on_two_ranks(_timed, tmp_path)
