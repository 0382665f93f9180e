"""Says what is wrong with arguments. Slow and thorough: plain calls never come here."""

import torch

from ropejit import _torch
from ropejit._operands import NAMES
from ropejit._services import host_is_served

_WORDS = {"b": "batch", "s": "tokens", "h": "heads", "d": "lanes"}


def refuse(name, found, allowed):
    raise ValueError(f"{name}: found {found}, allowed: {allowed}")


def check_types(q, k, positions, cos, sin, cu_seqlens, start):
    check_tensor_types({"q": q, "k": k, "positions": positions, "cos": cos, "sin": sin, "cu_seqlens": cu_seqlens}, ("q",), start)


def check_store_types(operands, positions, cos, sin, cu_seqlens, start):
    tensors = {"positions": positions, "cos": cos, "sin": sin, "cu_seqlens": cu_seqlens}
    needed = []
    for name, operand in zip(NAMES, operands):
        if operand:
            tensors[name], tensors[f"{name}.output"], tensors[f"{name}.rows"] = operand
            needed.append(name)
    check_tensor_types(tensors, needed, start)


def check_tensor_types(tensors, needed, start):
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor) and (value is not None or name in needed):
            allowed = "a torch.Tensor" if name in needed else "a torch.Tensor or None"
            raise TypeError(f"{name}: found {type(value).__name__}, allowed: {allowed}")
        if value is not None and (value.layout is not torch.strided or value.is_nested):
            found = "a nested tensor" if value.is_nested else f"layout {value.layout}"
            refuse(name, found, "torch.strided, of one size in each dimension")
    if not isinstance(start, (int, torch.SymInt)) or isinstance(start, bool):
        raise TypeError(f"start: found {type(start).__name__}, allowed: an int")
    if isinstance(start, int) and not -(2**63) <= start < 2**63:
        refuse("start", start, "what 64 bits hold")


def check_device(name, tensor, q):
    if q is not None:
        if tensor.device != q.device:
            refuse(name, f"a tensor on {tensor.device}", f"one on {q.device}, where q is")
    elif not (tensor.is_cuda or tensor.is_meta or (tensor.device.type == "cpu" and host_is_served())):
        refuse(name, f"a tensor on {tensor.device}", "one on a CUDA device (CPU tensors after ropejit.serve_host(True))")


def check_dtype(name, tensor, allowed):
    if tensor.dtype not in allowed:
        words = ", ".join(str(dtype) for dtype in allowed)
        raise TypeError(f"{name}: found {tensor.dtype}, allowed: {words}")


def check_rank(name, tensor, allowed, words):
    if tensor.dim() not in allowed:
        refuse(name, f"shape {tuple(tensor.shape)}", words)


def check_memory(*tensors):
    """Raises for the first of q, k, positions, cos, sin and cu_seqlens that has numbers and no memory."""
    for name, tensor in zip(("q", "k", "positions", "cos", "sin", "cu_seqlens"), tensors):
        if tensor is not None and tensor.numel() > 0 and tensor.data_ptr() == 0:
            refuse(name, "a tensor whose memory was given back", "one that has it")


def check(rotation, in_place, q, k, positions, cos, sin, cu_seqlens, start):
    """Raises for the first thing that keeps these arguments from being rotated."""
    if rotation.grouped:
        refuse("form.grouped_q", "true", "false, but for store and a Prologue")
    batch, tokens = _check_inputs(rotation, {"q": q} if k is None else {"q": q, "k": k}, in_place)
    check_tables(rotation, q, cos, sin, batch, tokens, start)
    check_positions(rotation, q, positions, cu_seqlens, batch, tokens)


def check_store(rotation, operands, positions, cos, sin, cu_seqlens, start):
    """The same of a store's operands."""
    given = without_groups(rotation, {name: operand for name, operand in zip(NAMES, operands) if operand})
    q = given["q"][0]
    batch, tokens = _check_inputs(rotation, {name: operand[0] for name, operand in given.items()}, False)
    in_place = given["q"][1] is None
    for name, (read, written, rows) in given.items():
        if rows is not None and name == "q":
            refuse("q.rows", "a tensor", "None: q goes to no cache")
        if rows is not None:
            _check_rows(name, rows, q, batch * tokens)
        if written is None:
            if name == "v" or rows is not None or not in_place:
                refuse(f"{name}.output", "None", "a tensor (in place are q and a k without rows, both or neither)")
            check_writable(name, read)
            continue
        if in_place and name == "k" and rows is None:
            refuse("k.output", "a tensor", "None, as q has, or rows of a cache")
        check_device(f"{name}.output", written, q)
        check_dtype(f"{name}.output", written, tuple(_torch.FLOATS.values()))
        heads = read.shape[rotation.dims.index("h")] if "h" in rotation.dims else 1
        lanes = read.shape[rotation.dims.index("d")]
        shape = tuple(written.shape)
        if rows is None and shape != tuple(read.shape):
            refuse(f"{name}.output", f"shape {shape}", f"{tuple(read.shape)}, as {name} has")
        if rows is not None and (len(shape) != 3 or shape[0] < 1 or shape[1:] != (heads, lanes)):
            refuse(f"{name}.output", f"shape {shape}", f"a cache of [rows, {heads}, {lanes}]")
        if written.is_neg():
            refuse(f"{name}.output", "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
        check_writable(f"{name}.output", written)
    check_tables(rotation, q, cos, sin, batch, tokens, start)
    check_positions(rotation, q, positions, cu_seqlens, batch, tokens)


def without_groups(of, given):
    """The operands with the first of q's groups of heads for all of them, once it is known that those fit."""
    if not of.grouped:
        return given
    q, written, *rest = given["q"]
    place = of.dims.index("h")
    words = ", ".join("groups, heads" if letter == "h" else _WORDS[letter] for letter in of.dims)
    for name, tensor in (("q", q), ("out" if len(rest) > 1 else "q.output", written)):
        if tensor is not None:
            check_rank(name, tensor, (len(of.dims) + 1,), f"{len(of.dims) + 1} dimensions ({words})")
    if written is not None and written.shape != q.shape:
        name = "out" if len(rest) > 1 else "q.output"
        refuse(name, f"shape {tuple(written.shape)}", f"{tuple(q.shape)}, as q has")
    if "k" not in given:
        refuse("k", "none", "one beside a q in groups")
    k = given["k"][0]
    if k.dim() == len(of.dims) and k.shape[place] != q.shape[place]:
        refuse("q", f"{q.shape[place]} groups of heads", f"{k.shape[place]}, as many as k has heads")
    if q.shape[place] == 0:
        refuse("q", "no groups", "1 or more")
    first = (x if x is None else x.select(place, 0) for x in (q, written))
    return {**given, "q": (*first, *rest)}


def _check_rows(name, rows, q, tokens):
    name = f"{name}.rows"
    check_device(name, rows, q)
    check_dtype(name, rows, (torch.int32, torch.int64))
    if rows.numel() != tokens:
        refuse(name, f"{rows.numel()} numbers", f"{tokens}: one for each token")


def _check_inputs(rotation, tensors, in_place):
    """Batch and tokens, the same for all of these."""
    dims = rotation.dims
    order = f"{len(dims)} dimensions ({', '.join(_WORDS[letter] for letter in dims)})"
    sizes = {}
    q = tensors["q"]
    for name, tensor in tensors.items():
        check_device(name, tensor, None if name == "q" else q)
        check_dtype(name, tensor, tuple(_torch.FLOATS.values()) if name == "q" else (q.dtype,))
        check_rank(name, tensor, (len(dims),), order)
        for letter, size in zip(dims, tensor.shape):
            if letter in "bs" and sizes.setdefault(letter, size) != size:
                refuse(name, f"{size} {_WORDS[letter]}", f"{sizes[letter]}, as q has")
            if letter in "hd" and size == 0:
                refuse(name, f"no {_WORDS[letter]}", "1 or more")
        if in_place:
            check_writable(name, tensor)
    return sizes.get("b", 1), sizes["s"]


def check_writable(name, tensor):
    if tensor._is_zerotensor():
        refuse(name, "a lazy tensor of zeros, which cannot be written to", "another, such as a clone of it")
    for size, stride in zip(tensor.shape, tensor.stride()):
        if size > 1 and stride == 0:
            refuse(name, "an expanded tensor", "one whose elements have memory of their own, since it is written to")
    if tensor.is_leaf and tensor.requires_grad and torch.is_grad_enabled():
        refuse(name, "a leaf that requires grad", "another tensor, since it is written to")


def check_tables(rotation, q, cos, sin, batch, tokens, start):
    for name, table, wanted in (("cos", cos, rotation.tables >= 1), ("sin", sin, rotation.tables == 2)):
        if (table is not None) != wanted:
            word = "a tensor" if table is not None else "None"
            refuse(name, word, f"{'a tensor' if wanted else 'None'} with angles {rotation.angles!r}")
        if not wanted:
            continue
        check_device(name, table, q)
        floats = tuple(_torch.FLOATS.values())
        check_dtype(name, table, (*floats, torch.complex64) if rotation.angles == "complex" else floats)
        check_rank(name, table, (2, 3), "[rows, numbers] or [batch, rows, numbers]")
        if table.requires_grad and torch.is_grad_enabled():
            refuse(name, "a tensor that requires grad", "one that does not: its gradient is not computed")
        if table.dim() == 3 and table.shape[0] not in (1, batch):
            refuse(name, f"a batch of {table.shape[0]}", f"1 or {batch}, as q has")
        rows = table.shape[-2]
        if rotation.gathered and rows != tokens:
            refuse(name, f"{rows} rows", f"{tokens}: one for each token")
        needed = tokens * rotation.ranks
        if rotation.kind == "start" and not rotation.gathered and not 0 <= start <= rows - needed:
            refuse("start", start, f"0 to {rows - needed}: the table has {rows} rows, and there are {needed} tokens")
        if name == "sin":
            check_dtype(name, table, (cos.dtype,))
            if table.shape != cos.shape:
                refuse(name, f"shape {tuple(table.shape)}", f"{tuple(cos.shape)}, as cos has")


def check_positions(rotation, q, positions, cu_seqlens, batch, tokens):
    kind = rotation.kind
    if (cu_seqlens is not None) != (kind == "ragged"):
        refuse("cu_seqlens", "None" if cu_seqlens is None else "a tensor", f"the other with positions {kind!r}")
    if (positions is None and kind in ("ids", "offsets")) or (positions is not None and kind == "start"):
        refuse("positions", "None" if positions is None else "a tensor", f"the other with positions {kind!r}")
    if cu_seqlens is not None:
        check_device("cu_seqlens", cu_seqlens, q)
        check_dtype("cu_seqlens", cu_seqlens, (torch.int32,))
        check_rank("cu_seqlens", cu_seqlens, (1,), "[sequences + 1]")
        if cu_seqlens.shape[0] < 2:
            refuse("cu_seqlens", f"shape {tuple(cu_seqlens.shape)}", "[sequences + 1]")
        if batch != 1:
            refuse("q", f"a batch of {batch}", "1: ragged sequences lie one after another")
    if positions is None:
        return
    check_device("positions", positions, q)
    check_dtype("positions", positions, (torch.int32,) if kind == "ragged" else (torch.int32, torch.int64))
    shape = tuple(positions.shape)
    if kind == "ragged":
        wanted, good = "[sequences]", shape == (cu_seqlens.shape[0] - 1,)
    elif kind == "offsets":
        wanted, good = f"({batch},): one for each sequence", shape == (batch,)
    else:
        front = 1 if rotation.axes else 0
        wanted = f"{'(axes,) + ' if front else ''}({tokens},), or with a batch of 1 or {batch} before it"
        good = len(shape) in (front + 1, front + 2) and shape[-1] == tokens
        good = good and (len(shape) == front + 1 or shape[front] in (1, batch))
        good = good and (not front or shape[0] == rotation.axes)
    if not good:
        refuse("positions", f"shape {shape}", wanted)
