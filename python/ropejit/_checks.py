"""Says what is wrong with arguments. Slow and thorough: plain calls never come here."""

import torch

from ropejit import _stages, _torch
from ropejit._operands import NAMES
from ropejit._page_table import PageTable
from ropejit._services import host_is_served

_WORDS = {"b": "batch", "s": "tokens", "h": "heads", "d": "lanes"}


def _refuse(name, found, allowed):
    raise ValueError(f"{name}: found {found}, allowed: {allowed}")


def check_types(q, k, positions, cos, sin, cu_seqlens, start):
    _check_types({"q": q, "k": k, "positions": positions, "cos": cos, "sin": sin, "cu_seqlens": cu_seqlens}, ("q",), start)


def check_store_types(operands, positions, cos, sin, cu_seqlens, start):
    tensors = {"positions": positions, "cos": cos, "sin": sin, "cu_seqlens": cu_seqlens}
    needed = []
    for name, operand in zip(NAMES, operands):
        if operand:
            tensors[name], tensors[f"{name}.output"], tensors[f"{name}.rows"] = operand
            needed.append(name)
    _check_types(tensors, needed, start)


def _check_types(tensors, needed, start):
    for name, value in tensors.items():
        if not isinstance(value, torch.Tensor) and (value is not None or name in needed):
            allowed = "a torch.Tensor" if name in needed else "a torch.Tensor or None"
            raise TypeError(f"{name}: found {type(value).__name__}, allowed: {allowed}")
        if value is not None and (value.layout is not torch.strided or value.is_nested):
            found = "a nested tensor" if value.is_nested else f"layout {value.layout}"
            _refuse(name, found, "torch.strided, of one size in each dimension")
    if not isinstance(start, (int, torch.SymInt)) or isinstance(start, bool):
        raise TypeError(f"start: found {type(start).__name__}, allowed: an int")
    if isinstance(start, int) and not -(2**63) <= start < 2**63:
        _refuse("start", start, "what 64 bits hold")


def _check_device(name, tensor, q):
    if q is not None:
        if tensor.device != q.device:
            _refuse(name, f"a tensor on {tensor.device}", f"one on {q.device}, where q is")
    elif not (tensor.is_cuda or tensor.is_meta or (tensor.device.type == "cpu" and host_is_served())):
        _refuse(name, f"a tensor on {tensor.device}", "one on a CUDA device (CPU tensors after ropejit.serve_host(True))")


def _check_dtype(name, tensor, allowed):
    if tensor.dtype not in allowed:
        words = ", ".join(str(dtype) for dtype in allowed)
        raise TypeError(f"{name}: found {tensor.dtype}, allowed: {words}")


def _check_rank(name, tensor, allowed, words):
    if tensor.dim() not in allowed:
        _refuse(name, f"shape {tuple(tensor.shape)}", words)


def check_memory(*tensors):
    """Raises for the first of q, k, positions, cos, sin and cu_seqlens that has numbers and no memory."""
    for name, tensor in zip(("q", "k", "positions", "cos", "sin", "cu_seqlens"), tensors):
        if tensor is not None and tensor.numel() > 0 and tensor.data_ptr() == 0:
            _refuse(name, "a tensor whose memory was given back", "one that has it")


def check(rotation, in_place, q, k, positions, cos, sin, cu_seqlens, start):
    """Raises for the first thing that keeps these arguments from being rotated."""
    if rotation.grouped:
        _refuse("form.grouped_q", "true", "false, but for store and a Prologue")
    batch, tokens = _check_inputs(rotation, {"q": q} if k is None else {"q": q, "k": k}, in_place)
    _check_tables(rotation, q, cos, sin, batch, tokens, start)
    _check_positions(rotation, q, positions, cu_seqlens, batch, tokens)


def check_store(rotation, operands, positions, cos, sin, cu_seqlens, start):
    """The same of a store's operands."""
    given = _without_groups(rotation, {name: operand for name, operand in zip(NAMES, operands) if operand})
    q = given["q"][0]
    batch, tokens = _check_inputs(rotation, {name: operand[0] for name, operand in given.items()}, False)
    in_place = given["q"][1] is None
    for name, (read, written, rows) in given.items():
        if rows is not None and name == "q":
            _refuse("q.rows", "a tensor", "None: q goes to no cache")
        if rows is not None:
            _check_rows(name, rows, q, batch * tokens)
        if written is None:
            if name == "v" or rows is not None or not in_place:
                _refuse(f"{name}.output", "None", "a tensor (in place are q and a k without rows, both or neither)")
            _check_writable(name, read)
            continue
        if in_place and name == "k" and rows is None:
            _refuse("k.output", "a tensor", "None, as q has, or rows of a cache")
        _check_device(f"{name}.output", written, q)
        _check_dtype(f"{name}.output", written, tuple(_torch.FLOATS.values()))
        heads = read.shape[rotation.dims.index("h")] if "h" in rotation.dims else 1
        lanes = read.shape[rotation.dims.index("d")]
        shape = tuple(written.shape)
        if rows is None and shape != tuple(read.shape):
            _refuse(f"{name}.output", f"shape {shape}", f"{tuple(read.shape)}, as {name} has")
        if rows is not None and (len(shape) != 3 or shape[0] < 1 or shape[1:] != (heads, lanes)):
            _refuse(f"{name}.output", f"shape {shape}", f"a cache of [rows, {heads}, {lanes}]")
        if written.is_neg():
            _refuse(f"{name}.output", "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
        _check_writable(f"{name}.output", written)
    _check_tables(rotation, q, cos, sin, batch, tokens, start)
    _check_positions(rotation, q, positions, cu_seqlens, batch, tokens)


def _without_groups(of, given):
    """The operands with the first of q's groups of heads for all of them, once it is known that those fit."""
    if not of.grouped:
        return given
    q, written, *rest = given["q"]
    place = of.dims.index("h")
    words = ", ".join("groups, heads" if letter == "h" else _WORDS[letter] for letter in of.dims)
    for name, tensor in (("q", q), ("out" if len(rest) > 1 else "q.output", written)):
        if tensor is not None:
            _check_rank(name, tensor, (len(of.dims) + 1,), f"{len(of.dims) + 1} dimensions ({words})")
    if written is not None and written.shape != q.shape:
        name = "out" if len(rest) > 1 else "q.output"
        _refuse(name, f"shape {tuple(written.shape)}", f"{tuple(q.shape)}, as q has")
    if "k" not in given:
        _refuse("k", "none", "one beside a q in groups")
    k = given["k"][0]
    if k.dim() == len(of.dims) and k.shape[place] != q.shape[place]:
        _refuse("q", f"{q.shape[place]} groups of heads", f"{k.shape[place]}, as many as k has heads")
    if q.shape[place] == 0:
        _refuse("q", "no groups", "1 or more")
    first = (x if x is None else x.select(place, 0) for x in (q, written))
    return {**given, "q": (*first, *rest)}


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
    _check_types(tensors, needed, start)


def written_name(name, is_paged):
    """What a Prologue's callers call the tensor that an operand is written to; is_paged: a cache, by slots."""
    return "out" if name == "q" else f"{name}_cache" if is_paged else f"{name}_out"


def check_prologue(prologue, operands, positions, cos, sin, cu_seqlens, start):
    """Raises for the first thing that keeps these operands of a Prologue from being served."""
    given = _without_groups(prologue, {name: operand for name, operand in zip(NAMES, operands) if operand})
    q = given["q"][0]
    tokens = q.shape[0] if q.dim() > 0 else 0
    groups = operands[0][0].shape[1] if prologue.grouped else 1
    for name, (read, written, slots, beside, *own) in given.items():
        heads, lanes = _check_heads(prologue, name, read, q, given, groups if name == "q" else 1)
        if read.shape[0] != tokens:
            _refuse(name, f"{read.shape[0]} tokens", f"{tokens}, as q has")
        _check_stages(prologue, name, dict(zip(_stages.KEYS, own)), q, tokens, heads, lanes)
        if written is None:
            if name == "v" or given["q"][1] is not None:
                allowed = "a cache, or without one k_out (q and k are written over where out is None)"
                _refuse(f"{name}_cache", "None", allowed)
            brings = prologue.brings[NAMES.index(name)]
            if read.is_neg() and (_stages.has(brings, "bias") or _stages.has(brings, "norm_bias")):
                found = "a lazily negated tensor, which cannot be written over with biases"
                _refuse(name, found, "another, such as a clone of it")
            _check_writable(name, read)
            continue
        where = written_name(name, slots is not None)
        _check_device(where, written, q)
        _check_dtype(where, written, tuple(_torch.FLOATS.values()))
        if slots is None and written.shape != read.shape:
            _refuse(where, f"shape {tuple(written.shape)}", f"{tuple(read.shape)}, as {name} has")
        if slots is not None:
            _check_pages(where, written, name, heads, lanes)
            (_check_table if isinstance(slots, PageTable) else _check_slots)(slots, q, tokens)
        if written.is_neg():
            _refuse(where, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
        _check_writable(where, written)
        if beside is not None:
            _check_beside(name, read, written, beside, given["q"][1] is None)
    _check_tables(prologue, q, cos, sin, 1, tokens, start)
    _check_positions(prologue, q, positions, cu_seqlens, 1, tokens)


def _check_beside(name, read, cache, beside, in_place):
    """What an operand is written to beside its cache: itself, where q is written over."""
    where = f"{name}_out"
    if (beside is read) != in_place:
        word = f"another tensor than {name}" if in_place else f"{name} itself"
        _refuse(where, word, f"{name} itself where q is written over, and with out another tensor")
    if in_place:
        if read.is_neg():
            found = "a lazily negated tensor, which cannot be written over and to a cache"
            _refuse(name, found, "another, such as a clone of it")
        _check_writable(name, read)
        _check_dtype(written_name(name, True), cache, (read.dtype,))
        return
    _check_device(where, beside, cache)
    _check_dtype(where, beside, (cache.dtype,))
    if beside.shape != read.shape:
        _refuse(where, f"shape {tuple(beside.shape)}", f"{tuple(read.shape)}, as {name} has")
    if beside.is_neg():
        _refuse(where, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
    _check_writable(where, beside)


def _check_heads(prologue, name, read, q, given, groups):
    """Heads and lanes of an operand, as it has them or its last dimension is split; groups: as many times as many heads."""
    _check_device(name, read, None if name == "q" else q)
    _check_dtype(name, read, tuple(_torch.FLOATS.values()) if name == "q" else (q.dtype,))
    _check_rank(name, read, (2, 3), "[tokens, heads, head_dim] or [tokens, heads * head_dim]")
    heads, lanes = read.shape[-2:]
    if read.dim() == 2:
        cache = given["k" if name == "q" else name][1] if name != "q" or "k" in given else None
        lanes = prologue.lanes[NAMES.index(name)] or (cache.shape[-1] if cache is not None and cache.dim() == 4 else 0)
        if lanes == 0:
            _refuse(name, "2 dimensions", "3, since neither the spec nor a cache has its head_dim")
        if read.shape[1] % lanes != 0:
            _refuse(name, f"{read.shape[1]} lanes", f"a multiple of {lanes}, which is its head_dim")
        heads = read.shape[1] // lanes
    heads *= groups
    for size, wanted, word in ((heads, prologue.heads, "heads"), (lanes, prologue.lanes, "lanes")):
        if size == 0:
            _refuse(name, f"no {word}", "1 or more")
        wanted = wanted[NAMES.index(name)]
        if wanted not in (0, size):
            _refuse(name, f"{size} {word}", f"{wanted}, as the spec has")
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
            _refuse(where, found, f"{allowed}: the spec's {name} has {has}")
        if tensor is None:
            continue
        _check_device(where, tensor, q)
        if key == "norm_bias":
            dtypes = (own["weight"].dtype,)
        _check_dtype(where, tensor, dtypes)
        if tuple(tensor.shape) not in shapes:
            _refuse(where, f"shape {tuple(tensor.shape)}", f"{' or '.join(map(str, shapes))}: {_meaning_of(key, brings)}")
        if key == "statistic_out":
            if tensor.is_neg():
                _refuse(where, "a lazily negated tensor, which cannot be written to", "another, such as a clone of it")
            _check_writable(where, tensor)


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
            _refuse(name, f"shape {shape}", allowed)
        return
    if len(shape) != 4 or 0 in shape[:2]:
        _refuse(name, f"shape {shape}", f"[pages, block_size, {heads}, {lanes}]")
    if shape[2] != heads:
        _refuse(operand, f"{heads} heads", f"{shape[2]}, as {name} has")
    if shape[3] != lanes:
        _refuse(operand, f"{lanes} lanes", f"{shape[3]}, as {name} has")


def _check_table(table, q, tokens):
    wide = table.first_entries is None
    words = {"pages": "[requests, entries]" if wide else "[entries]", "first_entries": "[requests + 1]"}
    for field, tensor in zip(table._fields, table):
        if tensor is None:
            continue
        name = f"slots.{field}"
        _check_device(name, tensor, q)
        allowed = (torch.int32, torch.int64) if field == "token_places" else (torch.int32,)
        _check_dtype(name, tensor, allowed)
        dims = 2 if field == "pages" and wide else 1
        if tensor.dim() != dims or (field == "pages" and tensor.numel() == 0):
            _refuse(name, f"shape {tuple(tensor.shape)}", f"{words.get(field, f'{dims} dimension')}, of one or more")
        if field.startswith("token_") and tensor.shape[0] != tokens:
            _refuse(name, f"shape {tuple(tensor.shape)}", f"({tokens},): one for each token")
    if wide and table.last_page_lengths is not None:
        _refuse("slots.last_page_lengths", "a tensor", "None without first_entries")
    if not wide and table.first_entries.shape[0] < 2:
        _refuse("slots.first_entries", f"shape {tuple(table.first_entries.shape)}", "[requests + 1]")
    if not wide and table.last_page_lengths is not None:
        wanted = (table.first_entries.shape[0] - 1,)
        shape = tuple(table.last_page_lengths.shape)
        if shape != wanted:
            _refuse("slots.last_page_lengths", f"shape {shape}", f"{wanted}: one for each request")


def _check_slots(slots, q, tokens):
    _check_device("slots", slots, q)
    _check_dtype("slots", slots, (torch.int32, torch.int64))
    if slots.dim() != 1 or slots.shape[0] > tokens:
        _refuse("slots", f"shape {tuple(slots.shape)}", f"[up to {tokens}]: one for each of the first tokens")


def _check_rows(name, rows, q, tokens):
    name = f"{name}.rows"
    _check_device(name, rows, q)
    _check_dtype(name, rows, (torch.int32, torch.int64))
    if rows.numel() != tokens:
        _refuse(name, f"{rows.numel()} numbers", f"{tokens}: one for each token")


def _check_inputs(rotation, tensors, in_place):
    """Batch and tokens, the same for all of these."""
    dims = rotation.dims
    order = f"{len(dims)} dimensions ({', '.join(_WORDS[letter] for letter in dims)})"
    sizes = {}
    q = tensors["q"]
    for name, tensor in tensors.items():
        _check_device(name, tensor, None if name == "q" else q)
        _check_dtype(name, tensor, tuple(_torch.FLOATS.values()) if name == "q" else (q.dtype,))
        _check_rank(name, tensor, (len(dims),), order)
        for letter, size in zip(dims, tensor.shape):
            if letter in "bs" and sizes.setdefault(letter, size) != size:
                _refuse(name, f"{size} {_WORDS[letter]}", f"{sizes[letter]}, as q has")
            if letter in "hd" and size == 0:
                _refuse(name, f"no {_WORDS[letter]}", "1 or more")
        if in_place:
            _check_writable(name, tensor)
    return sizes.get("b", 1), sizes["s"]


def _check_writable(name, tensor):
    if tensor._is_zerotensor():
        _refuse(name, "a lazy tensor of zeros, which cannot be written to", "another, such as a clone of it")
    for size, stride in zip(tensor.shape, tensor.stride()):
        if size > 1 and stride == 0:
            _refuse(name, "an expanded tensor", "one whose elements have memory of their own, since it is written to")
    if tensor.is_leaf and tensor.requires_grad and torch.is_grad_enabled():
        _refuse(name, "a leaf that requires grad", "another tensor, since it is written to")


def _check_tables(rotation, q, cos, sin, batch, tokens, start):
    for name, table, wanted in (("cos", cos, rotation.tables >= 1), ("sin", sin, rotation.tables == 2)):
        if (table is not None) != wanted:
            word = "a tensor" if table is not None else "None"
            _refuse(name, word, f"{'a tensor' if wanted else 'None'} with angles {rotation.angles!r}")
        if not wanted:
            continue
        _check_device(name, table, q)
        floats = tuple(_torch.FLOATS.values())
        _check_dtype(name, table, (*floats, torch.complex64) if rotation.angles == "complex" else floats)
        _check_rank(name, table, (2, 3), "[rows, numbers] or [batch, rows, numbers]")
        if table.requires_grad and torch.is_grad_enabled():
            _refuse(name, "a tensor that requires grad", "one that does not: its gradient is not computed")
        if table.dim() == 3 and table.shape[0] not in (1, batch):
            _refuse(name, f"a batch of {table.shape[0]}", f"1 or {batch}, as q has")
        rows = table.shape[-2]
        if rotation.gathered and rows != tokens:
            _refuse(name, f"{rows} rows", f"{tokens}: one for each token")
        needed = tokens * rotation.ranks
        if rotation.kind == "start" and not rotation.gathered and not 0 <= start <= rows - needed:
            _refuse("start", start, f"0 to {rows - needed}: the table has {rows} rows, and there are {needed} tokens")
        if name == "sin":
            _check_dtype(name, table, (cos.dtype,))
            if table.shape != cos.shape:
                _refuse(name, f"shape {tuple(table.shape)}", f"{tuple(cos.shape)}, as cos has")


def _check_positions(rotation, q, positions, cu_seqlens, batch, tokens):
    kind = rotation.kind
    if (cu_seqlens is not None) != (kind == "ragged"):
        _refuse("cu_seqlens", "None" if cu_seqlens is None else "a tensor", f"the other with positions {kind!r}")
    if (positions is None and kind in ("ids", "offsets")) or (positions is not None and kind == "start"):
        _refuse("positions", "None" if positions is None else "a tensor", f"the other with positions {kind!r}")
    if cu_seqlens is not None:
        _check_device("cu_seqlens", cu_seqlens, q)
        _check_dtype("cu_seqlens", cu_seqlens, (torch.int32,))
        _check_rank("cu_seqlens", cu_seqlens, (1,), "[sequences + 1]")
        if cu_seqlens.shape[0] < 2:
            _refuse("cu_seqlens", f"shape {tuple(cu_seqlens.shape)}", "[sequences + 1]")
        if batch != 1:
            _refuse("q", f"a batch of {batch}", "1: ragged sequences lie one after another")
    if positions is None:
        return
    _check_device("positions", positions, q)
    _check_dtype("positions", positions, (torch.int32,) if kind == "ragged" else (torch.int32, torch.int64))
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
        _refuse("positions", f"shape {shape}", wanted)
