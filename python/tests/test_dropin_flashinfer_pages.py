"""ropejit.dropin.flashinfer's appends to a paged cache beside the formulas of FlashInfer."""

import pytest
import torch

from ropejit.dropin import flashinfer
from shapes import DTYPES, assert_same_bits
from test_dropin_serving import ROWS, cache_of

SIZE, Q_HEADS, HEADS, PAGE = 32, 4, 2, 4
LISTS = [[4, 0, 3], [5], [2, 1]]
LENGTHS = [10, 4, 5]
# As many tokens as are appended, the last ones of each request.
APPENDED = [3, 1, 5]
TOKENS = sum(APPENDED)


def lists(device, dtype=torch.int32):
    """batch_indices, positions, kv_indices, kv_indptr and kv_last_page_len."""
    batch = [request for request, count in enumerate(APPENDED) for _ in range(count)]
    places = [LENGTHS[request] - count + i for request, count in enumerate(APPENDED) for i in range(count)]
    last = [(length - 1) % PAGE + 1 for length in LENGTHS]
    return [torch.tensor(x, device=device, dtype=dtype) for x in (batch, places, sum(LISTS, []), [0, 3, 4, 6], last)]


def kv_cache(layout, together, device, dtype):
    sizes = (PAGE, HEADS) if layout == "NHD" else (HEADS, PAGE)
    both = torch.randn(6, 2, *sizes, SIZE, device=device).to(dtype)
    return both if together else tuple(x.contiguous() for x in both.unbind(1))


def parts(cache, layout):
    """[pages, places, heads, lanes] of k and of v."""
    both = cache.unbind(1) if isinstance(cache, torch.Tensor) else cache
    return both if layout == "NHD" else [x.transpose(1, 2) for x in both]


def with_written(cache, rows):
    result = cache.clone()
    batch, places, *_ = (x.tolist() for x in lists("cpu"))
    for request, place, row in zip(batch, places, rows):
        result[LISTS[request][place // PAGE], place % PAGE] = row
    return result


def inputs(device, dtype):
    qkv = torch.randn(TOKENS, Q_HEADS + 2 * HEADS, SIZE, device=device).to(dtype)
    return qkv.split((Q_HEADS, HEADS, HEADS), dim=1)


@pytest.mark.parametrize("numbers", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("together", [True, False], ids=["one tensor", "a tuple"])
@pytest.mark.parametrize("layout", ["NHD", "HND"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_append(dtype, layout, together, numbers, device):
    _, k, v = inputs(device, dtype)
    cache = kv_cache(layout, together, device, dtype)
    expected = [with_written(x, rows) for x, rows in zip(parts(cache, layout), (k, v))]
    batch, places, *table = lists(device, numbers)
    rest = () if layout == "NHD" else (layout,)
    assert flashinfer.append_paged_kv_cache(k, v, batch, places, cache, *table, *rest) is None
    assert_same_bits(parts(cache, layout), expected)


@pytest.mark.parametrize("rotary_dim", [SIZE, SIZE // 2])
@pytest.mark.parametrize("layout", ["NHD", "HND"])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "interleaved"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_rotation_and_the_append_in_one(dtype, is_neox, layout, rotary_dim, device):
    q, k, v = inputs(device, dtype)
    cache, again = (kv_cache(layout, True, device, dtype) for _ in range(2))
    again.copy_(cache)
    table, positions = cache_of(rotary_dim, device), torch.randint(0, ROWS, (TOKENS,), device=device)
    batch, places, indices, indptr, last = lists(device)
    before = [x.clone() for x in (q, k, v)]
    rest = {} if is_neox else {"is_neox": False}
    result = flashinfer.rope_append_paged_kv_cache(
        q, k, v, table, positions, cache, indices, indptr, batch, places, kv_layout=layout, **rest
    )
    new_q, new_k = flashinfer.apply_rope_with_cos_sin_cache(positions, q, k, SIZE, table, is_neox)
    flashinfer.append_paged_kv_cache(new_k, v, batch, places, again, indices, indptr, last, layout)
    assert result.is_contiguous()
    assert_same_bits([result, cache, q, k, v], [new_q, again, *before])


def test_q_out_and_tokens_that_are_not_appended(device):
    q, k, v = inputs(device, torch.float32)
    cache, again = (kv_cache("NHD", True, device, torch.float32) for _ in range(2))
    again.copy_(cache)
    table, positions = cache_of(SIZE, device), torch.arange(TOKENS, device=device)
    batch, places, indices, indptr, last = lists(device)
    q_out = torch.zeros(TOKENS, Q_HEADS, SIZE, device=device)
    left_out = batch.where(torch.arange(TOKENS, device=device) != 4, -1)
    result = flashinfer.rope_append_paged_kv_cache(
        q, k, v, table, positions, cache, indices, indptr, left_out, places, q_out=q_out
    )
    new_q, new_k = flashinfer.apply_rope_with_cos_sin_cache(positions, q, k, SIZE, table)
    keep = torch.arange(TOKENS, device=device) != 4
    flashinfer.append_paged_kv_cache(new_k[keep], v[keep], batch[keep], places[keep], again, indices, indptr, last)
    assert result is q_out
    assert_same_bits([q_out, cache], [new_q, again])


def test_no_tokens(device):
    q, k, v = (x[:0] for x in inputs(device, torch.float32))
    cache = kv_cache("NHD", True, device, torch.float32)
    before, (batch, places, *table) = cache.clone(), lists(device)
    flashinfer.append_paged_kv_cache(k, v, batch[:0], places[:0], cache, *table)
    assert_same_bits([cache], [before])


def test_compiled_without_a_graph_break(device):
    q, k, v = inputs(device, torch.float32)
    table, positions = cache_of(SIZE, device), torch.arange(TOKENS, device=device)
    batch, places, indices, indptr, last = lists(device)

    def step(q, k, v, cache):
        q = flashinfer.rope_append_paged_kv_cache(q, k, v, table, positions, cache, indices, indptr, batch, places)
        flashinfer.append_paged_kv_cache(k + 1, v, batch, places - 1, cache, indices, indptr, last)
        return q

    ours = kv_cache("NHD", False, device, torch.float32)
    theirs = [x.clone() for x in ours]
    torch._dynamo.reset()
    result = torch.compile(step, backend="aot_eager", fullgraph=True)(q, k, v, ours)
    assert_same_bits([result, *ours], [step(q, k, v, tuple(theirs)), *theirs])


def bad_cases(device):
    q, k, v = inputs(device, torch.float32)
    cache, (batch, places, indices, indptr, last) = kv_cache("NHD", True, device, torch.float32), lists(device)
    table, positions = cache_of(SIZE, device), torch.arange(TOKENS, device=device)

    def append(**changed):
        names = "append_key append_value batch_indices positions paged_kv_cache kv_indices kv_indptr kv_last_page_len"
        given = dict(zip(names.split(), (k, v, batch, places, cache, indices, indptr, last)))
        return flashinfer.append_paged_kv_cache, {**given, **changed}

    def rope(**changed):
        names = "q k v cos_sin_cache pos_ids paged_kv_cache kv_indices kv_indptr batch_indices positions"
        given = dict(zip(names.split(), (q, k, v, table, positions, cache, indices, indptr, batch, places)))
        return flashinfer.rope_append_paged_kv_cache, {**given, **changed}

    fp8 = cache.to(torch.float8_e4m3fn)
    return {
        "append_key is None": (TypeError, "append_key: found NoneType", *append(append_key=None)),
        "fewer values": (ValueError, "append_value: found 2 tokens", *append(append_value=v[:2])),
        "fp8": (ValueError, "paged_kv_cache: found torch.float8_e4m3fn, allowed: torch.float32", *append(paged_kv_cache=fp8)),
        "a cache of 4": (ValueError, "paged_kv_cache: found shape", *append(paged_kv_cache=cache[:, 0])),
        "three caches": (TypeError, "paged_kv_cache: found tuple", *append(paged_kv_cache=(cache, cache, cache))),
        "other heads": (ValueError, "append_key: found 2 heads, allowed: 4", *append(kv_layout="HND")),
        "a layout": (ValueError, "kv_layout: found 'NDH'", *append(kv_layout="NDH")),
        "few batch_indices": (ValueError, "batch_indices: found shape", *append(batch_indices=batch[:3])),
        "positions of fp32": (TypeError, "positions: found torch.float32", *append(positions=places.float())),
        "no pages": (ValueError, r"kv_indices: found shape \(0,\)", *append(kv_indices=indices[:0])),
        "kv_indptr of one": (ValueError, "kv_indptr: found shape", *append(kv_indptr=indptr[:1])),
        "kv_indptr is a list": (TypeError, "kv_indptr: found list", *append(kv_indptr=[0, 1])),
        "rope: q is None": (TypeError, "q: found NoneType", *rope(q=None)),
        "rope: k of one dimension": (ValueError, "k: found shape", *rope(k=k[0, 0])),
        "rope: a table of bf16": (ValueError, "cos_sin_cache: found torch.bfloat16", *rope(cos_sin_cache=table.bfloat16())),
        "rope: a wide table": (ValueError, "cos_sin_cache: found 64", *rope(cos_sin_cache=cache_of(64, device))),
        "rope: few pos_ids": (ValueError, "pos_ids: found shape", *rope(pos_ids=positions[:3])),
        "rope: few positions": (ValueError, "positions: found shape", *rope(positions=places[:3])),
        "rope: fp8": (ValueError, "paged_kv_cache: found torch.float8_e4m3fn", *rope(paged_kv_cache=fp8)),
        "rope: q_out of another shape": (ValueError, "q_out: found shape", *rope(q_out=torch.empty(3, device=device))),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=message) as raised:
        function(**arguments)
    assert "\n" not in str(raised.value)
