"""freqs of TransformerEngine as tables of angles, and what may be wrong with them and with ranks."""

import torch

FREQS = "[s2, 1, 1, d2] or [s2, b, 1, d2]"


def freqs_table(freqs, interleaved, rows=None):
    """[s2, d2], or [b, s2, d2], of freqs [s2, 1 or b, 1, d2]; interleaved, half as many numbers a row, which are copied: of
    the first `rows` alone, where no other is read."""
    if freqs.dim() != 4 or freqs.size(2) != 1:
        raise ValueError(f"freqs: found shape {tuple(freqs.shape)}, allowed: {FREQS}")
    if interleaved and rows is not None:
        freqs = freqs[:rows]
    if freqs.size(1) == 1:
        table = freqs.view(freqs.size(0), freqs.size(3))
    else:
        table = freqs.squeeze(2).transpose(0, 1)
    if interleaved:
        table = table[..., ::2].contiguous()
    return table if table.dtype is torch.float32 else table.float()


def wrong_ranks(cp_size, cp_rank):
    if not 1 <= cp_size <= 65536:
        return ValueError(f"cp_size: found {cp_size!r}, allowed: 1 to 65536")
    if cp_size > 1 and not 0 <= cp_rank < cp_size:
        return ValueError(f"cp_rank: found {cp_rank!r}, allowed: 0 to {cp_size - 1}")
    return None


def not_covered(name, freqs_name, tokens, freqs, start_positions, cp_size):
    """A ValueError where tokens of `name` have no row of freqs."""
    if cp_size > 1 and tokens % 2 != 0:
        return ValueError(f"{name}: found {tokens} tokens, allowed: an even number, for two parts of each sequence")
    if start_positions is None and freqs.dim() == 4 and freqs.size(0) < tokens * cp_size:
        found, allowed = f"{freqs.size(0)} rows", f"{tokens * cp_size} or more, one for each token"
        return ValueError(f"{freqs_name}: found {found}, allowed: {allowed}")
    return None
