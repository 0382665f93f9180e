"""What ranks of one job agree on, in two processes by gloo."""

import os
import time

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as processes

from ropejit import adapt
from ropejit.adapt import _ranks

pytestmark = pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="torch without gloo")


def _slowly(x):
    time.sleep(0.002)
    return x * 2


def _fast(x):
    return x * 2


def _run(rank, test, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    try:
        test(rank)
    finally:
        dist.destroy_process_group()


def on_two_ranks(test, folder):
    """Runs test(rank) in two processes; what one raises is raised here."""
    os.makedirs(folder, exist_ok=True)
    processes.spawn(_run, args=(test, str(folder)), nprocs=2)


def _each_finds_the_other_way_faster(rank):
    # On rank 0 ropejit is the slower one, on rank 1 the original.
    original, ours = (_fast, _slowly) if rank == 0 else (_slowly, _fast)
    seam = adapt.Seam("other.double", policy="auto")
    call = adapt.stand_in(seam, original, ours, lambda x: x.numel())
    for size in (4, 8, 4):
        call(torch.ones(size))
    assert seam.choices == {4: False, 8: False}, (rank, seam.choices)


def test_all_ranks_choose_as_rank_0_does(tmp_path):
    on_two_ranks(_each_finds_the_other_way_faster, tmp_path)


def _rank_0_never_asks(rank):
    _ranks.PATIENCE = 0.5
    seam = adapt.Seam("other.double", policy="auto")
    call = adapt.stand_in(seam, _slowly, _fast, lambda x: x.numel())
    if rank == 1:
        start = time.monotonic()
        call(torch.ones(4))
        assert seam.choices == {4: False} and time.monotonic() - start < 10
    dist.barrier()
    if rank == 0:  # late, it does as was agreed without it
        call(torch.ones(4))
        assert seam.choices == {4: False}


def test_where_rank_0_does_not_answer_the_original_is_agreed_on(tmp_path):
    on_two_ranks(_rank_0_never_asks, tmp_path)


def _only_rank_0_asks(rank):
    if rank == 0:
        assert _ranks.agreed("alone", lambda: True)
    dist.barrier()


@pytest.mark.slow
def test_rank_0_waits_for_nobody(tmp_path):
    on_two_ranks(_only_rank_0_asks, tmp_path)


def test_without_ranks_the_answer_is_ones_own():
    assert _ranks.agreed("here", lambda: True) and not _ranks.agreed("here", lambda: False)
