"""Says what is wrong with the operands of a Prologue. As slow and thorough as _checks."""

import torch

from ropejit import _stages, _torch
from ropejit._checks import (
    check_device,
    check_dtype,
    check_positions,
    check_rank,
    check_tables,
    check_tensor_types,
    check_writable,
    refuse,
    without_groups,
)
from ropejit._operands import NAMES
from ropejit._page_table import PageTable


def check_prologue_types(operands, positions, cos, sin, cu_seqlens, start):
    tensors = {"positions": positions, "cos": cos, "sin": sin, "cu_seqlens": cu_seqlens}
    needed = []
    for name, operand in zip(NAMES, operands):
        if operand:
            read, written, slots, beside, *own = operand
            tensors |= {name: read, f"{name}_out": beside, written_name(name, slots is not None): written}
            tensors |= {f"{name}_{key}": tensor for key, tensor in zip(_stages.KEYS, own)}
            if isinstance(slots, PageTable):
                tensors |= {f"slots.{field}": tensor for field, tensor in zip(PageTable._fields, slots)}
                needed.append("slots.pages")
            elif slots is not None:
                tensors["slots"] = slots
            needed.append(name)
    check_tensor_types(tensors, needed, start)


def written_name(name, is_paged):
    """What a Prologue's callers call the tensor that an operand is written to; is_paged: a cache, by slots."""
    return "out" if name == "q" else f"{name}_cache" if is_paged else f"{name}_out"


def check_prologue(prologue, operands, positions, cos, sin, cu_seqlens, start):
    """Raises for the first thing that keeps these operands of a Prologue from being served."""
    given = without_groups(prologue, {name: operand for name, operand in zip(NAMES, operands) if operand})
    q = given["q"][0]
    tokens = q.shape[0] if q.dim() > 0 else 0
    groups = operands[0][0].shape[1] if prologue.grouped else 1
    for name, (read, written, slots, beside, *own) in given.items():
        heads, lanes = _check_heads(prologue, name, read, q, given, groups if name == "q" else 1)
        if read.shape[0] != tokens:
            refuse(name, f"{read.shape[0]} tokens", f"{tokens}, as q has")
        _check_stages(prologue, name, dict(zip(_stages.KEYS, own)), q, tokens, heads, lanes)
        if written is None:
            if name == "v" or given["q"][1] is not None:
                allowed = "a cache, or without one k_out (q and k are written over where out is None)"
                refuse(f"{name}_cache", "None", allowed)
            brings = prologue.brings[NAMES.index(name)]
            if read.is_neg() and (_stages.has(brings, "bias") or _stages.has(brings, "norm_bias")):
                found = "a lazily negated tensor, which cannot be written over with biases"
                refuse(name, found, "another, such as a clone of it")
            check_writable(name, read)
            continue
        where = written_name(name, slots is not None)
        check_device(where, written, q)
        check_dtype(where, written, tuple(_torch.FLOATS.values()))
        if slots is None and written.shape != read.shape:
            refuse(where, f"shape {tuple(written.shape)}", f"{tuple(read.shape)}, as {name} has")
        if slots is not None:
            _check_pages(where, written, name, heads, lanes)
            (_check_table if isinstance(slots, PageTable) else _check_slots)(slots, q, tokens)
        if written.is_neg():
            refuse(where, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
        check_writable(where, written)
        if beside is not None:
            _check_beside(name, read, written, beside, given["q"][1] is None)
    check_tables(prologue, q, cos, sin, 1, tokens, start)
    check_positions(prologue, q, positions, cu_seqlens, 1, tokens)


def _check_beside(name, read, cache, beside, in_place):
    """What an operand is written to beside its cache: itself, where q is written over."""
    where = f"{name}_out"
    if (beside is read) != in_place:
        word = f"another tensor than {name}" if in_place else f"{name} itself"
        refuse(where, word, f"{name} itself where q is written over, and with out another tensor")
    if in_place:
        if read.is_neg():
            found = "a lazily negated tensor, which cannot be written over and to a cache"
            refuse(name, found, "another, such as a clone of it")
        check_writable(name, read)
        check_dtype(written_name(name, True), cache, (read.dtype,))
        return
    check_device(where, beside, cache)
    check_dtype(where, beside, (cache.dtype,))
    if beside.shape != read.shape:
        refuse(where, f"shape {tuple(beside.shape)}", f"{tuple(read.shape)}, as {name} has")
    if beside.is_neg():
        refuse(where, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
    check_writable(where, beside)


def _check_heads(prologue, name, read, q, given, groups):
    """Heads and lanes of an operand, as it has them or its last dimension is split; groups: as many times as many heads."""
    check_device(name, read, None if name == "q" else q)
    check_dtype(name, read, tuple(_torch.FLOATS.values()) if name == "q" else (q.dtype,))
    check_rank(name, read, (2, 3), "[tokens, heads, head_dim] or [tokens, heads * head_dim]")
    heads, lanes = read.shape[-2:]
    if read.dim() == 2:
        cache = given["k" if name == "q" else name][1] if name != "q" or "k" in given else None
        lanes = prologue.lanes[NAMES.index(name)] or (cache.shape[-1] if cache is not None and cache.dim() == 4 else 0)
        if lanes == 0:
            refuse(name, "2 dimensions", "3, since neither the spec nor a cache has its head_dim")
        if read.shape[1] % lanes != 0:
            refuse(name, f"{read.shape[1]} lanes", f"a multiple of {lanes}, which is its head_dim")
        heads = read.shape[1] // lanes
    heads *= groups
    for size, wanted, word in ((heads, prologue.heads, "heads"), (lanes, prologue.lanes, "lanes")):
        if size == 0:
            refuse(name, f"no {word}", "1 or more")
        wanted = wanted[NAMES.index(name)]
        if wanted not in (0, size):
            refuse(name, f"{size} {word}", f"{wanted}, as the spec has")
    return heads, lanes


def _check_stages(prologue, name, own, q, tokens, heads, lanes):
    """What an operand's stages bring: each where the spec, or for statistics that are written the form, has it."""
    brings, norm = (of[NAMES.index(name)] for of in (prologue.brings, prologue.norms))
    floats = tuple(_torch.FLOATS.values())
    of_weight = _torch.FLOATS.get((norm or {}).get("weight_dtype"))
    weight = ((heads, lanes), (heads * lanes,)) if _stages.is_of_heads(brings) else ((lanes,),)
    statistic = ((tokens, 1 if _stages.is_of_token(brings) else heads),)
    a_norm = "a norm" if norm is None else "a norm with weights"
    # The shapes that are allowed, the dtypes, and what of the spec or the form has calls bring it.
    wanted = {
        "weight": (weight, floats if of_weight is None else (of_weight,), a_norm),
        "statistic": (statistic, (torch.float32,), "a norm of a given statistic"),
        "statistic_out": (statistic, (torch.float32,), "a norm whose statistic is written"),
        "norm_bias": (weight, floats, "a norm with biases"),
        "bias": (((heads, lanes), (heads * lanes,)), (q.dtype,), "a bias"),
        "head_scales": (((heads,),), (torch.float32,), "head_scales"),
    }
    for key, (shapes, dtypes, what) in wanted.items():
        where, tensor, is_wanted = f"{name}_{key}", own[key], _stages.has(brings, key)
        if (tensor is not None) != is_wanted:
            found, allowed = ("None", _words_of(key, shapes)) if is_wanted else ("a tensor", "None")
            has = what if is_wanted else f"no {what.removeprefix('a ')}"
            refuse(where, found, f"{allowed}: the spec's {name} has {has}")
        if tensor is None:
            continue
        check_device(where, tensor, q)
        if key == "norm_bias":
            dtypes = (own["weight"].dtype,)
        check_dtype(where, tensor, dtypes)
        if tuple(tensor.shape) not in shapes:
            refuse(where, f"shape {tuple(tensor.shape)}", f"{' or '.join(map(str, shapes))}: {_meaning_of(key, brings)}")
        if key == "statistic_out":
            if tensor.is_neg():
                refuse(where, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
            check_writable(where, tensor)


def _words_of(key, shapes):
    if key.startswith("statistic"):
        return "a tensor of [tokens, 1]" if shapes[0][1] == 1 else "a tensor of [tokens, heads]"
    count = 1
    for size in shapes[0]:
        count *= size
    return f"{count} {'weights' if key == 'weight' else 'numbers'}"


def _meaning_of(key, brings):
    if key.startswith("statistic"):
        return "one for each token" if _stages.is_of_token(brings) else "one for each token and head"
    if key == "head_scales":
        return "one for each head"
    return "one for each lane of each head" if key == "bias" or _stages.is_of_heads(brings) else "one for each lane of a head"


def _check_pages(name, cache, operand, heads, lanes):
    shape = tuple(cache.shape)
    if operand == "k" and len(shape) == 5:
        group = 16 // cache.element_size()
        if 0 in shape or shape[1] != heads or shape[4] != group or shape[2] * group != lanes or cache.stride(4) != 1:
            allowed = f"[pages, {heads}, {lanes / group:g}, block_size, {group}], the last side by side"
            refuse(name, f"shape {shape}", allowed)
        return
    if len(shape) != 4 or 0 in shape[:2]:
        refuse(name, f"shape {shape}", f"[pages, block_size, {heads}, {lanes}]")
    if shape[2] != heads:
        refuse(operand, f"{heads} heads", f"{shape[2]}, as {name} has")
    if shape[3] != lanes:
        refuse(operand, f"{lanes} lanes", f"{shape[3]}, as {name} has")


def _check_table(table, q, tokens):
    wide = table.first_entries is None
    words = {"pages": "[requests, entries]" if wide else "[entries]", "first_entries": "[requests + 1]"}
    for field, tensor in zip(table._fields, table):
        if tensor is None:
            continue
        name = f"slots.{field}"
        check_device(name, tensor, q)
        allowed = (torch.int32, torch.int64) if field == "token_places" else (torch.int32,)
        check_dtype(name, tensor, allowed)
        dims = 2 if field == "pages" and wide else 1
        if tensor.dim() != dims or (field == "pages" and tensor.numel() == 0):
            refuse(name, f"shape {tuple(tensor.shape)}", f"{words.get(field, f'{dims} dimension')}, of one or more")
        if field.startswith("token_") and tensor.shape[0] != tokens:
            refuse(name, f"shape {tuple(tensor.shape)}", f"({tokens},): one for each token")
    if wide and table.last_page_lengths is not None:
        refuse("slots.last_page_lengths", "a tensor", "None without first_entries")
    if not wide and table.first_entries.shape[0] < 2:
        refuse("slots.first_entries", f"shape {tuple(table.first_entries.shape)}", "[requests + 1]")
    if not wide and table.last_page_lengths is not None:
        wanted = (table.first_entries.shape[0] - 1,)
        shape = tuple(table.last_page_lengths.shape)
        if shape != wanted:
            refuse("slots.last_page_lengths", f"shape {shape}", f"{wanted}: one for each request")


def _check_slots(slots, q, tokens):
    check_device("slots", slots, q)
    check_dtype("slots", slots, (torch.int32, torch.int64))
    if slots.dim() != 1 or slots.shape[0] > tokens:
        refuse("slots", f"shape {tuple(slots.shape)}", f"[up to {tokens}]: one for each of the first tokens")
