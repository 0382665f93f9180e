"""TransformerEngine's apply_fused_qkv_rotary_pos_emb, whose heads of q lie in groups beside their head of k and of v."""

import torch

from ropejit._operands import Operand
from ropejit._rotation import Rotation, made_once
from ropejit.dropin._arguments import ERRORS, no_flag, no_number, no_tensor, not_shaped, renamed
from ropejit.dropin._te_tables import FREQS, freqs_table, not_covered, wrong_ranks

_DIMS = ("sbhd", "bshd")


def _text(dims, rotary_dim, interleaved, direction, cp_size, cp_rank, offsets):
    spec = {
        "layout": "interleaved" if interleaved else "split_half", "rotary_dim": rotary_dim,
        "direction": "adjoint" if direction else "forward",
    }
    form = {"positions": "offsets" if offsets else "start", "angles": "radians"}
    if cp_size != 1:
        form.update(context_parallel="zigzag", ranks=cp_size, rank=cp_rank)
    return spec, form, dims


@made_once
def _grouped(with_k, *values):
    """q in groups, k and v. with_k: k turns, too; else it is copied."""
    spec, form, dims = _text(*values)
    if not with_k:
        spec["k"] = {"rotates": False}
    return spec, {**form, "grouped_q": True}, dims


@made_once
def _alone(*values):
    return _text(*values)


def apply_fused_qkv_rotary_pos_emb(
    qkv, q_freqs, k_freqs, qkv_split_arg_list, tensor_format="sbhd", start_positions=None, interleaved=False, cu_seqlens=None,
    cp_size=1, cp_rank=0,
):
    """qkv: [s, b, h, lanes] or [b, s, h, lanes], as tensor_format says, whose lanes are the heads of q that share a head of
    k, that head of k, and its head of v, as many lanes each as qkv_split_arg_list says. Returns (q, k, v), new tensors
    without gaps: q and k rotated, [.., h * heads of q, d] and [.., h, d], and v copied. The gradient of qkv is one new tensor.

    q_freqs, k_freqs: fp32 [s2, 1, 1, d2], as freqs of apply_rotary_pos_emb, with which this shares start_positions, cp_size
    and cp_rank. One tensor for both costs one launch, two tensors cost two; each is rounded once. qkv may have gaps, of
    strides whose lanes lie side by side; cu_seqlens is not used, there or here."""
    try:
        split = _checked_split(qkv, qkv_split_arg_list)
        if tensor_format not in _DIMS:
            raise ValueError(f"tensor_format: found {tensor_format!r}, allowed: sbhd or bshd")
        if q_freqs.size(3) != k_freqs.size(3):
            raise ValueError(f"k_freqs: found {k_freqs.size(3)} angles a row, allowed: {q_freqs.size(3)}, as q_freqs has")
        # sbhd has its tokens first, bshd behind the batch.
        rows = qkv.size(_DIMS.index(tensor_format)) * cp_size if start_positions is None else None
        tables = [freqs_table(q_freqs, interleaved, rows)]
        if not _is_one(q_freqs, k_freqs):
            tables.append(freqs_table(k_freqs, interleaved, rows))
        values = (tensor_format, q_freqs.size(3), bool(interleaved))
        ranks = (cp_size, cp_rank, start_positions is not None)
        if torch.is_grad_enabled() and qkv.requires_grad:
            return _Packed.apply(qkv, start_positions, values, ranks, split, *tables)
        return _rotated(qkv, start_positions, values, ranks, split, tables)
    except ERRORS as error:
        flags = {"interleaved": interleaved}
        raise _explained(
            error, qkv, q_freqs, k_freqs, tensor_format, start_positions, cp_size, cp_rank, flags
        ) from None


def _is_one(a, b):
    """Whether it is the same table, so that one launch does for q and k."""
    if a is b or torch.compiler.is_compiling():
        return a is b
    return a.data_ptr() == b.data_ptr() and a.shape == b.shape and a.stride() == b.stride() and a.dtype == b.dtype


def _checked_split(qkv, split):
    """Lanes of q's heads of a group, of a head, and of v's head."""
    if not isinstance(split, (list, tuple)) or len(split) != 3 or not all(type(lanes) is int for lanes in split):
        raise ValueError(f"qkv_split_arg_list: found {split!r}, allowed: three ints, the lanes of q, k and v")
    q, k, v = split
    if min(split) <= 0 or q % k != 0 or q + k + v != qkv.size(-1):
        allowed = f"lanes of q that are a multiple of k's, {qkv.size(-1)} in all, as qkv has"
        raise ValueError(f"qkv_split_arg_list: found {list(split)}, allowed: {allowed}")
    return q, k, v


def _parts(qkv, split):
    """Of qkv the views of q, [.., groups, heads of a group, lanes], k and v, [.., groups, lanes]."""
    q, k, v = qkv.split(split, dim=-1)
    return q.unflatten(-1, (-1, split[1])), k, v


def _rotated(qkv, start_positions, values, ranks, split, tables):
    q, k, v = _parts(qkv, split)
    outputs = [torch.empty(x.shape, dtype=x.dtype, device=x.device) for x in (q, k, v)]
    operands = [Operand(name, x, out) for name, x, out in zip("qkv", (q, k, v), outputs)]
    _grouped(len(tables) == 1, *values, False, *ranks).store(operands, start_positions, tables[0])
    if len(tables) == 2:
        _alone(*values, False, *ranks).in_place(outputs[1], None, start_positions, tables[1])
    return outputs[0].flatten(2, 3), outputs[1], outputs[2]


class _Packed(torch.autograd.Function):
    """With the gradient: that of q, k and v turned back, to where they lie in qkv."""

    @staticmethod
    def forward(ctx, qkv, start_positions, values, ranks, split, *tables):
        ctx.save_for_backward(start_positions, *tables)
        ctx.rest = values, ranks, split
        return _rotated(qkv, start_positions, values, ranks, split, tables)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, *gradients):
        start_positions, *tables = ctx.saved_tensors
        values, ranks, split = ctx.rest
        q, k, v = gradients
        q = q.unflatten(2, (k.size(2), -1))
        gradient = torch.empty(*k.shape[:3], sum(split), dtype=k.dtype, device=k.device)
        outputs = _parts(gradient, split)
        operands = [Operand(name, x, out) for name, x, out in zip("qkv", (q, k, v), outputs)]
        _grouped(len(tables) == 1, *values, True, *ranks).store(operands, start_positions, tables[0])
        if len(tables) == 2:
            _alone(*values, True, *ranks).in_place(outputs[1], None, start_positions, tables[1])
        return (gradient, None, None, None, None, *(None for _ in tables))


def _explained(error, qkv, q_freqs, k_freqs, tensor_format, start_positions, cp_size, cp_rank, flags):
    tensors = {"qkv": qkv, "q_freqs": q_freqs, "k_freqs": k_freqs}
    starts = {} if start_positions is None else {"start_positions": start_positions}
    wrong = no_tensor(**tensors, **starts) or no_flag(**flags) or no_number(int, cp_size=cp_size, cp_rank=cp_rank)
    wrong = wrong or wrong_ranks(cp_size, cp_rank)
    wrong = wrong or not_shaped(4, "[s, b, h, lanes] or [b, s, h, lanes]", qkv=qkv)
    wrong = wrong or not_shaped(4, FREQS, q_freqs=q_freqs, k_freqs=k_freqs)
    if wrong is None and tensor_format in _DIMS:
        tokens = qkv.size(_DIMS.index(tensor_format))
        for name, freqs in (("q_freqs", q_freqs), ("k_freqs", k_freqs)):
            wrong = wrong or not_covered("qkv", name, tokens, freqs, start_positions, cp_size)
    names = {"q": "qkv", "k": "qkv", "v": "qkv", "positions": "start_positions", "start": "q_freqs"}
    return wrong or renamed(error, **names, cos="q_freqs", rotary_dim="q_freqs")
