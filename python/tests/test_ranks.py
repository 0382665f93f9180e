"""Ranks that share the heads of a norm over the token, each a process of its own: their sums of squares go through gloo's
all-reduce, as a tensor-parallel model's do."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

import ropejit
from shapes import assert_same_bits

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo")

RANKS, HEADS, K_HEADS, DIM, TOKENS = 2, 4, 2, 32, 5  # the heads of all ranks together
NORM = {"eps": 1e-5, "span": "token", "weight": "heads"}
ROTATION = {"layout": "split_half", "rope_theta": 10000.0}


def norms(*own):
    """A spec that norms q and k over the token, with q's and k's own keys besides, and rotates them."""
    return {**ROTATION, **{name: {"norm": {**NORM, **of}} for name, of in zip("qk", own)}}


def a_layer(device):
    """q, k, positions and the weights of all heads: the same numbers in every process."""
    torch.manual_seed(20)
    q, k = (torch.randn(TOKENS, heads, DIM).to(torch.bfloat16).to(device) for heads in (HEADS, K_HEADS))
    weights = [(torch.rand(heads, DIM) + 0.5).to(device) for heads in (HEADS, K_HEADS)]
    return q, k, torch.arange(TOKENS, device=device), weights


def one_launch(device):
    q, k, positions, (q_weight, k_weight) = a_layer(device)
    ropejit.Prologue(norms({}, {}))(q, k, positions=positions, q_weight=q_weight.flatten(), k_weight=k_weight.flatten())
    return q.cpu(), k.cpu()


def of_rank(rank, device, reduced):
    """This rank's heads, normed by the sum over all of them where `reduced`, else by that over its own alone."""
    q, k, positions, weights = a_layer(device)
    q, k = (x.chunk(RANKS, 1)[rank].clone() for x in (q, k))
    own = dict(zip(("q_weight", "k_weight"), (w.chunk(RANKS)[rank].flatten() for w in weights)))
    sums = torch.zeros(TOKENS, 2, device=device)
    form = {"norm_statistics": True, "norm_sums": True, "statistics_only": True}
    ropejit.Prologue(norms({}, {}), form)(
        q, k, positions=positions, q_statistic_out=sums[:, :1], k_statistic_out=sums[:, 1:], **own
    )
    if reduced:
        total = sums.cpu()
        dist.all_reduce(total)
        sums.copy_(total)
    given = norms(*({"statistic": "given_sum", "global_heads": heads} for heads in (HEADS, K_HEADS)))
    ropejit.Prologue(given)(q, k, positions=positions, q_statistic=sums[:, :1], k_statistic=sums[:, 1:], **own)
    return q.cpu(), k.cpu()


def work(rank, folder, device):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=RANKS)
    try:
        torch.save([of_rank(rank, device, reduced) for reduced in (True, False)], f"{folder}/{rank}")
    finally:
        dist.destroy_process_group()


def test_two_ranks_sums_added_up_give_the_bits_of_one_launch_of_all_heads(device, tmp_path):
    processes.spawn(work, (str(tmp_path), device), nprocs=RANKS)
    reduced, alone = zip(*(torch.load(tmp_path / str(rank)) for rank in range(RANKS)))
    whole = one_launch(device)
    assert_same_bits([torch.cat(halves, 1) for halves in zip(*reduced)], whole)
    # What is not added up is another norm: the sums matter.
    assert not any(torch.equal(torch.cat(halves, 1), x) for halves, x in zip(zip(*alone), whole))
