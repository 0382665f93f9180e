"""ropejit.dropin.vllm: the norm with the rotation, and the writes to a paged cache, beside the formulas of vLLM."""

import pytest
import torch

from ropejit.dropin import vllm
from shapes import DTYPES, assert_close, assert_same_bits
from test_dropin_serving import ROWS, cache_of, rotated

PAGES, BLOCK, SIZE, Q_HEADS, K_HEADS, TOKENS = 6, 4, 32, 4, 2, 9


def rms(x, weight, eps):
    """fused_qk_norm_rope's, in fp32 and rounded nowhere."""
    wide = x.float()
    return wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps) * weight.float()


@pytest.mark.parametrize("rotary_dim", [SIZE, SIZE // 2, SIZE // 4])
@pytest.mark.parametrize("eps", [1e-5, 1e-6])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_fused_qk_norm_rope(dtype, is_neox, eps, rotary_dim, device):
    qkv = torch.randn(TOKENS, (Q_HEADS + 2 * K_HEADS) * SIZE, device=device).to(dtype)
    positions = torch.randint(0, ROWS, (TOKENS,), device=device)
    table = cache_of(rotary_dim, device, dtype if is_neox else torch.float32)
    weights = [(1 + 0.1 * torch.randn(SIZE, device=device)).to(dtype) for _ in range(2)]
    q, k, v = qkv.clone().split([n * SIZE for n in (Q_HEADS, K_HEADS, K_HEADS)], dim=-1)
    cos, sin = table[positions].chunk(2, dim=-1)
    expected = []
    for x, weight in zip((q, k), weights):
        normed = rms(x.unflatten(-1, (-1, SIZE)), weight, eps)
        expected.append(rotated(normed, cos, sin, is_neox).to(dtype).flatten(1))
    given = Q_HEADS, K_HEADS, K_HEADS, SIZE, eps, *weights, table, is_neox, positions
    assert vllm.fused_qk_norm_rope(qkv, *given) is None
    parts = qkv.split([n * SIZE for n in (Q_HEADS, K_HEADS, K_HEADS)], dim=-1)
    assert_close(parts[:2], expected)
    assert_same_bits(parts[2:], [v])


def key_and_value(device, dtype):
    """As a projection leaves them: parts of one tensor."""
    qkv = torch.randn(TOKENS, 3, K_HEADS, SIZE, device=device).to(dtype)
    return qkv.unbind(1)[1:]


def caches(layout, device, dtype):
    if layout == "HND":
        return torch.randn(2, PAGES, K_HEADS, BLOCK, SIZE, device=device).to(dtype).transpose(2, 3).unbind(0)
    if layout == "blocks first":
        return torch.randn(PAGES, 2, BLOCK, K_HEADS, SIZE, device=device).to(dtype).unbind(1)
    return torch.randn(2, PAGES, BLOCK, K_HEADS, SIZE, device=device).to(dtype).unbind(0)


def with_written(cache, slots, rows):
    """What a cache is once rows are written to their slots."""
    result = cache.clone()
    for slot, row in zip(slots.tolist(), rows):
        if slot >= 0:
            result[slot // BLOCK, slot % BLOCK] = row
    return result


def slots_of(device, kind):
    slots = torch.randperm(PAGES * BLOCK, device=device)[:TOKENS]
    if kind == "some are none":
        slots[1::3] = -1
    return slots[:5] if kind == "fewer than tokens" else slots


SLOTS = ("all", "some are none", "fewer than tokens")


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("layout", ["NHD", "HND", "blocks first"])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reshape_and_cache_flash(dtype, layout, slots, device):
    key, value = key_and_value(device, dtype)
    slots = slots_of(device, slots)
    written = caches(layout, device, dtype)
    expected = [with_written(cache, slots, x) for cache, x in zip(written, (key, value))]
    before = key.clone(), value.clone()
    scale = (key.amax() / 64).float()
    assert vllm.reshape_and_cache_flash(key, value, *written, slots, "auto", scale, scale) is None
    assert_same_bits(written, expected)
    assert_same_bits((key, value), before)


@pytest.mark.parametrize("write_key", [True, False], ids=["key too", "key to the cache alone"])
@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
@pytest.mark.parametrize("lies", ["flat", "deep", "batched"])
def test_the_rotation_and_the_cache_in_one(lies, is_neox, slots, write_key, device):
    dtype = torch.bfloat16
    key, value = key_and_value(device, dtype)
    query = torch.randn(TOKENS, Q_HEADS, SIZE, device=device).to(dtype)
    positions = torch.randint(0, ROWS, (TOKENS,), device=device)
    table, slots = cache_of(SIZE // 2, device, dtype), slots_of(device, slots)
    written = caches("NHD", device, dtype)
    q, k, before = query.clone(), key.clone(), key.clone()
    vllm.rotary_embedding(positions, q, k, SIZE, table, is_neox)  # and then reshape_and_cache_flash
    expected = [with_written(cache, slots, x) for cache, x in zip(written, (k, value))]
    if lies == "batched":
        key = key.clone()
    views = query, key, value
    if lies != "deep":
        key, value = key.contiguous(), value.contiguous()
        views = [x.flatten(1) for x in (query, key, value)]
    if lies == "batched":
        positions, views = positions.view(3, 3), [x.view(3, 3, -1) for x in views]
    rest = () if write_key else ("auto", None, None, False)
    assert vllm.rotary_embedding_and_cache_flash(
        positions, *views[:2], views[2], SIZE, table, is_neox, *written, slots, *rest
    ) is None
    assert_same_bits((query, *written), (q, *expected))
    assert_same_bits([key], [k if write_key else before])


def split_caches(device, dtype):
    x = 16 // torch.empty((), dtype=dtype).element_size()
    key_cache = torch.randn(PAGES, K_HEADS, SIZE // x, BLOCK, x, device=device).to(dtype)
    return key_cache, torch.randn(PAGES, K_HEADS, SIZE, BLOCK, device=device).to(dtype)


def as_flash(key_cache, value_cache):
    return key_cache.permute(0, 3, 1, 2, 4).flatten(3), value_cache.permute(0, 3, 1, 2)


@pytest.mark.parametrize("slots", SLOTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_reshape_and_cache(dtype, slots, device):
    key, value = key_and_value(device, dtype)
    slots, written = slots_of(device, slots), split_caches(device, dtype)
    expected = [with_written(cache, slots, x) for cache, x in zip(as_flash(*written), (key, value))]
    scale = torch.ones((), device=device)
    assert vllm.reshape_and_cache(key, value, *written, slots, "auto", scale, scale) is None
    assert_same_bits(as_flash(*written), expected)


@pytest.mark.parametrize("batched", [False, True], ids=["tokens", "batches"])
@pytest.mark.parametrize("is_neox", [True, False], ids=["neox", "gptj"])
def test_the_rotation_and_the_split_cache_in_one(is_neox, batched, device):
    dtype = torch.bfloat16
    key, value = (x.flatten(1) for x in key_and_value(device, dtype))
    query = torch.randn(TOKENS, Q_HEADS * SIZE, device=device).to(dtype)
    positions = torch.randint(0, ROWS, (TOKENS,), device=device)
    table, slots = cache_of(SIZE, device, dtype), slots_of(device, "some are none")
    ours, theirs = split_caches(device, dtype), None
    theirs = [x.clone() for x in ours]
    q, k = query.clone(), key.clone()
    vllm.rotary_embedding(positions, q, k, SIZE, table, is_neox)
    vllm.reshape_and_cache(k.view(TOKENS, K_HEADS, SIZE), value.view(TOKENS, K_HEADS, SIZE), *theirs, slots, "auto", None, None)
    if batched:
        positions, views = positions.view(3, 3), [x.view(3, 3, -1) for x in (query, key, value)]
    else:
        views = query, key, value
    vllm.fused_rotary_embedding_and_reshape_cache(positions, *views, *ours, "auto", table, slots, SIZE, 1.0, 1.0, is_neox)
    assert_same_bits((query, key, *ours), (q, k, *theirs))


def bad_cases(device):
    query, (key, value) = torch.zeros(TOKENS, Q_HEADS, SIZE, device=device), key_and_value(device, torch.float32)
    key_cache, value_cache = caches("NHD", device, torch.float32)
    slots, positions = slots_of(device, "all"), torch.arange(TOKENS, device=device)
    table = cache_of(SIZE, device)
    flash, both, fused = vllm.reshape_and_cache_flash, vllm.rotary_embedding_and_cache_flash, vllm.fused_qk_norm_rope
    qkv, weight = torch.zeros(TOKENS, (Q_HEADS + 2 * K_HEADS) * SIZE, device=device), torch.ones(SIZE, device=device)
    one = torch.ones((), device=device)

    def of_both(**changed):
        names = "positions query key value head_size cos_sin_cache is_neox key_cache value_cache slot_mapping"
        given = positions, query, key, value, SIZE, table, True, key_cache, value_cache, slots
        return both, tuple({**dict(zip(names.split(), given)), **changed}.values())

    def of_fused(**changed):
        names = "qkv num_heads_q num_heads_k num_heads_v head_dim eps q_weight k_weight cos_sin_cache is_neox position_ids"
        given = qkv, Q_HEADS, K_HEADS, K_HEADS, SIZE, 1e-6, weight, weight, table, True, positions
        return fused, tuple({**dict(zip(names.split(), given)), **changed}.values())

    def of_flash(**changed):
        names = "key value key_cache value_cache slot_mapping kv_cache_dtype k_scale v_scale"
        given = key, value, key_cache, value_cache, slots, "auto", one, one
        return flash, tuple({**dict(zip(names.split(), given)), **changed}.values())

    split, (split_key, split_value) = vllm.reshape_and_cache, split_caches(device, torch.float32)

    def of_split(**changed):
        names = "key value key_cache value_cache slot_mapping kv_cache_dtype k_scale v_scale"
        given = key, value, split_key, split_value, slots, "auto", one, one
        return split, tuple({**dict(zip(names.split(), given)), **changed}.values())

    return {
        "split: fp8": (ValueError, "kv_cache_dtype: found 'fp8'", *of_split(kv_cache_dtype="fp8")),
        "split: a flash cache": (ValueError, "key_cache: found shape", *of_split(key_cache=key_cache)),
        "split: groups of 2": (
            ValueError, "key_cache: found shape", *of_split(key_cache=split_key.reshape(PAGES, K_HEADS, 16, BLOCK, 2))
        ),
        "split: values of 5": (ValueError, "value_cache: found shape", *of_split(value_cache=split_value[None])),
        "split: no slots": (TypeError, "slot_mapping: found NoneType", *of_split(slot_mapping=None)),
        "flash: fp8": (ValueError, "kv_cache_dtype: found 'fp8', allowed: 'auto'", *of_flash(kv_cache_dtype="fp8")),
        "flash: no cache dtype": (ValueError, "kv_cache_dtype: found NoneType", *of_flash(kv_cache_dtype=None)),
        "flash: key is None": (TypeError, "key: found NoneType", *of_flash(key=None)),
        "flash: value is a list": (TypeError, "value: found list", *of_flash(value=[1])),
        "flash: a cache of bytes": (ValueError, "key_cache: found torch.uint8", *of_flash(key_cache=key_cache.byte())),
        "flash: caches of 3": (ValueError, "value_cache: found shape", *of_flash(value_cache=value_cache[0])),
        "flash: other heads": (ValueError, "key: found 2 heads, allowed: 1", *of_flash(key_cache=key_cache[:, :, :1])),
        "flash: slots of fp32": (TypeError, "slot_mapping: found torch.float32", *of_flash(slot_mapping=slots.float())),
        "flash: too many slots": (ValueError, "slot_mapping: found shape", *of_flash(slot_mapping=slots.repeat(2))),
        "flash: fewer values": (ValueError, "value: found 3 tokens", *of_flash(value=value[:3])),
        "both: fp8": (ValueError, "kv_cache_dtype: found 'fp8_e4m3'", both, (*of_both()[1], "fp8_e4m3")),
        "both: query is None": (TypeError, "query: found NoneType", *of_both(query=None)),
        "both: no value": (TypeError, "value: found NoneType", *of_both(value=None)),
        "both: head_size": (ValueError, "query: found shape", *of_both(head_size=7)),
        "both: positions": (ValueError, "positions: found shape", *of_both(positions=positions[:3])),
        "both: a wide table": (ValueError, "cos_sin_cache: found 64", *of_both(cos_sin_cache=cache_of(64, device))),
        "fused: no qkv": (TypeError, "qkv: found NoneType", *of_fused(qkv=None)),
        "fused: other heads": (ValueError, "qkv: found shape", *of_fused(num_heads_q=3)),
        "fused: heads of fp32": (TypeError, "num_heads_q: found float", *of_fused(num_heads_q=4.0)),
        "fused: a wide weight": (ValueError, "q_weight: found shape", *of_fused(q_weight=torch.ones(5, device=device))),
        "fused: eps of 7": (ValueError, "eps: found 7", *of_fused(eps=7.0)),
        "fused: eps is text": (TypeError, "eps: found str", *of_fused(eps="1")),
        "fused: positions of fp32": (TypeError, "position_ids: found torch.float32", *of_fused(position_ids=positions.float())),
        "fused: a wide table": (ValueError, "cos_sin_cache: found 64", *of_fused(cos_sin_cache=cache_of(64, device))),
        "fused: no k": (ValueError, "num_heads_k: found 0", *of_fused(qkv=qkv[:, : 6 * SIZE], num_heads_k=0)),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=message) as raised:
        function(*arguments)
    assert "\n" not in str(raised.value)


def test_compiled_without_a_graph_break(device):
    key, value = (x.contiguous() for x in key_and_value(device, torch.float32))
    query, positions = torch.randn(TOKENS, Q_HEADS, SIZE, device=device), torch.arange(TOKENS, device=device)
    table, slots = cache_of(SIZE, device), slots_of(device, "all")
    weight = torch.rand(SIZE, device=device)

    def step(query, key, value, key_cache, value_cache):
        vllm.rotary_embedding_and_cache_flash(
            positions, query, key, value, SIZE, table, True, key_cache, value_cache, slots
        )
        vllm.reshape_and_cache_flash(key, value, key_cache, value_cache, slots.flip(0), "auto", None, None)
        qkv = torch.cat((query, key, value), dim=1).flatten(1)
        vllm.fused_qk_norm_rope(qkv, Q_HEADS, K_HEADS, K_HEADS, SIZE, 1e-6, weight, weight, table, False, positions)
        return qkv

    given = query, key, value, *(cache.contiguous() for cache in caches("NHD", device, torch.float32))
    again = [x.clone() for x in given]
    torch._dynamo.reset()
    result = torch.compile(step, backend="aot_eager", fullgraph=True)(*again)
    assert_same_bits([step(*given), *given], [result, *again])
