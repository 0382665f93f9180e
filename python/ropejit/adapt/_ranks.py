"""One answer for all ranks."""

import datetime

import torch.distributed as dist

# How long other ranks wait for rank 0's answer, in seconds. Ranks that share a layer meet the same sizes at the same
# time; where rank 0 has none of the layer (pipelines), the original is agreed on after this long, once a question.
PATIENCE = 20.0


def _store():
    from torch.distributed.distributed_c10d import _get_default_store

    return _get_default_store()


def agreed(question, answer):
    """What all ranks of the default process group answer to `question`, a text that is the same on all of them: rank 0's
    answer(), True or False, or False where it gives none in time. Without such a group: answer(). It is no collective:
    a rank that never asks keeps nobody waiting longer than PATIENCE."""
    if not dist.is_available() or not dist.is_initialized() or dist.get_world_size() == 1:
        return answer()
    store, key = _store(), f"ropejit/{question}"
    if dist.get_rank() == 0:
        # Where the others have waited in vain already, their answer holds.
        return store.compare_set(key, "", "yes" if answer() else "no") == b"yes"
    try:
        store.wait([key], datetime.timedelta(seconds=PATIENCE))
    except (RuntimeError, dist.DistError):
        return store.compare_set(key, "", "no") == b"yes"
    return store.get(key) == b"yes"
