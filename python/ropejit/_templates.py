"""Specs and forms without what tensors say themselves: read, completed for tensors at hand, turned to their adjoints.

A template is the JSON of a spec or form (docs/spec-json.md) where dtype, heads and head_dim, and of the form placement,
strides, table_dtype and the width of positions, may be absent. What stands there all the same must be what the tensors say. A
form with context_parallel also has ranks and rank, which the library takes with each launch.
"""

import json

from ropejit import _torch
from ropejit._operands import NAMES
from ropejit._services import service_for

_ANGLES_OF_TWO = ("half", "full", "repeated")
_ANGLES_OF_ONE = ("complex", "cos_sin", "radians")
_FORM_KEYS = (
    "positions", "angles", "padding", "overlaps_previous", "ready_lists", "table_dtype", "strides", "context_parallel",
    "ranks", "rank", "norm_statistics", "norm_sums", "statistics_only", "grouped_q",
)
_KINDS = ("start", "ids", "offsets", "ragged")


def read(name, value):
    """A dict, of a dict or JSON text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise ValueError(f"{name}: found text that is not JSON ({error}), allowed: an object") from None
    if not isinstance(value, dict):
        raise TypeError(f"{name}: found {type(value).__name__}, allowed: a dict, or an object as JSON")
    return value


def as_text(template):
    """The same text for equal templates: compile caches of torch know them by it."""
    return json.dumps(template, sort_keys=True, separators=(",", ":"))


def checked_form(form):
    for key in form:
        if key not in _FORM_KEYS:
            raise ValueError(f"form.{key}: found, allowed: {', '.join(_FORM_KEYS)}")
    kind = form.get("positions", "ids")
    if isinstance(kind, str):
        kind = kind.removesuffix("32").removesuffix("64")
    if kind not in _KINDS:
        raise ValueError(f"form.positions: found {form['positions']!r}, allowed: {', '.join(_KINDS)}")
    tables_of(form)
    ranks_of(form)
    if form.get("grouped_q") not in (None, True, False):
        raise ValueError(f"form.grouped_q: found {form['grouped_q']!r}, allowed: true, false")
    return {**form, "positions": kind}


def ranks_of(form):
    """How many ranks share each sequence, and which of them this is."""
    ranks, rank = form.get("ranks", 1), form.get("rank", 0)
    most = 65536 if form.get("context_parallel", "none") != "none" else 1
    for name, found, least, last in (("ranks", ranks, 1, most), ("rank", rank, 0, ranks if type(ranks) is int else 1)):
        last -= name == "rank"
        if type(found) is not int or not least <= found <= last:
            raise ValueError(f"form.{name}: found {found!r}, allowed: {least} to {last}")
    return ranks, rank


def tables_of(form):
    """How many tensors the caller's cos and sin are: 0, 1 or 2."""
    angles = form.get("angles", "computed")
    if angles in _ANGLES_OF_TWO:
        return 2
    if angles in _ANGLES_OF_ONE:
        return 1
    if angles != "computed":
        allowed = ", ".join(("computed", *_ANGLES_OF_TWO, *_ANGLES_OF_ONE))
        raise ValueError(f"form.angles: found {angles!r}, allowed: {allowed}")
    return 0


def rotary_dim_of(form, width, is_complex):
    """What a table of rows of so many numbers says of rotary_dim; None: nothing."""
    angles = form.get("angles", "computed")
    if angles == "half" or (angles == "complex" and is_complex):
        return 2 * width
    return width if angles in ("full", "repeated", "complex", "cos_sin") else None


def _fill(target, path, key, value):
    if target.setdefault(key, value) != value:
        raise ValueError(f"{path}{key}: found {target[key]!r}, allowed: {value!r}, which is what the tensors have")


_KEY_OPERANDS, _KEY_OPERAND_LENGTH = 9, 7  # as in site.h, and so is this
_TABLES = {16: "page_lists", 17: "block_table"}


def operand_of(spec, name):
    """What a spec says of an operand, a dict: empty where it says nothing."""
    operand = spec.get(name)
    if operand is not None and not isinstance(operand, dict):
        raise ValueError(f"spec.{name}: found {operand!r}, allowed: an object")
    return operand or {}


def sizes_of(spec, key):
    """What a spec has for that key of q, k and v, 0 where it says nothing."""
    sizes = [operand_of(spec, name).get(key) or 0 for name in NAMES]
    for name, size in zip(NAMES, sizes):
        if type(size) is not int or not 0 <= size < 2**31:
            raise ValueError(f"spec.{name}.{key}: found {size!r}, allowed: a whole number above 0")
    return tuple(sizes)


def norm_of(spec, name):
    """What a spec says of an operand's norm, a dict, or None where there is none."""
    norm = operand_of(spec, name).get("norm")
    if norm is not None and not isinstance(norm, dict):
        raise ValueError(f"spec.{name}.norm: found {norm!r}, allowed: an object")
    return norm


def _bits(dtype):
    return "32" if dtype == _torch.INT32 else "64"


def make_kernel(spec, form, in_place, rows_word, key):
    """The kernel for a Site's key (site.h), its spec and form dicts. rows_word: what rows of a cache are, "rows" or
    "slots". Raises NativeError."""
    device_type, device, dtype, table_dtype, table_width, positions_dtype, gapless, requests, places = key[:_KEY_OPERANDS]
    spec = dict(spec)
    form = {name: value for name, value in form.items() if name not in ("ranks", "rank")}
    spec.setdefault("schema", 1)
    _fill(spec, "spec.", "dtype", _torch.NAMES[dtype])
    stores = False  # then tensors say themselves what is written
    for number, name in enumerate(NAMES):
        at = _KEY_OPERANDS + number * _KEY_OPERAND_LENGTH
        heads, dim, out_dtype, rows_dtype, weight_dtype, is_beside, is_split = key[at : at + _KEY_OPERAND_LENGTH]
        operand = dict(operand_of(spec, name))
        spec.pop(name, None)
        if heads == 0:
            continue
        stores = stores or out_dtype != 0
        _fill(operand, f"spec.{name}.", "heads", heads)
        _fill(operand, f"spec.{name}.", "head_dim", dim)
        if out_dtype != 0:
            _fill(operand, f"spec.{name}.", "dtype_out", _torch.NAMES[out_dtype])
        if rows_dtype != 0:
            form[f"{name}_rows"] = _TABLES.get(rows_dtype) or rows_word + _bits(rows_dtype)
        if is_beside:
            form[f"{name}_beside"] = True
        if is_split:
            form[f"{name}_split"] = True
        if weight_dtype != 0:
            norm = {word: value for word, value in operand["norm"].items() if value is not None}
            _fill(norm, f"spec.{name}.norm.", "weight_dtype", _torch.NAMES[weight_dtype])
            operand["norm"] = norm
        spec[name] = operand
    if table_width > 0:
        is_complex = table_dtype == _torch.COMPLEX64
        _fill(form, "form.", "table_dtype", "fp32" if is_complex else _torch.NAMES[table_dtype])
        rotary_dim = rotary_dim_of(form, table_width, is_complex)
        if rotary_dim is not None and "partial_rotary_factor" not in spec:
            _fill(spec, "spec.", "rotary_dim", rotary_dim)
    if requests:
        form["token_requests"] = "ids32"
    if places != 0:
        form["token_places"] = "ids" + _bits(places)
    form["placement"] = "in_place" if in_place else "out_of_place"
    form.setdefault("strides", "contiguous" if gapless else "free")
    if form["positions"] in ("ids", "offsets"):
        form["positions"] += _bits(positions_dtype)
    output = None if stores else output_dtype(spec)
    return service_for(device_type == 1, device).kernel(json.dumps(spec), json.dumps(form), output)


def output_dtype(spec):
    """The torch.dtype that is written, where the spec names one, else None."""
    written = {operand_of(spec, name).get("dtype_out") for name in ("q", "k") if name in spec}
    if len(written) > 1:
        raise ValueError("spec.k.dtype_out: found another one than q's, allowed: q's")
    name = written.pop() if written else None
    if name is not None and name not in _torch.FLOATS:
        raise ValueError(f"spec.q.dtype_out: found {name!r}, allowed: bf16, fp16 or fp32")
    return _torch.FLOATS.get(name)


def adjoint_of(spec, dtype):
    """The spec that turns gradients of the results of `spec` into gradients of its inputs, which are of torch's
    `dtype`."""
    turned = {"forward": "adjoint", "adjoint": "forward"}
    direction = spec.get("direction", "forward")
    if direction not in turned:
        raise NotImplementedError(f"spec.direction: found {direction}, allowed where gradients are needed: forward, adjoint")
    result = {**spec, "direction": turned[direction]}
    result.pop("dtype", None)
    if "layout_out" in spec:
        result["layout"], result["layout_out"] = spec["layout_out"], spec.get("layout", "split_half")
    if output_dtype(spec) is not None:
        name = _torch.NAMES[_torch.NUMBERS[dtype]]
        for operand in ("q", "k"):
            result[operand] = {**operand_of(spec, operand), "dtype_out": name}
    return result


def k_alone(spec):
    """The spec for k without q."""
    result = {**spec, "q": operand_of(spec, "k")}
    result.pop("k", None)
    return result
