"""Bad arguments of ropejit.dropin.vllm and ropejit.dropin.flashinfer: errors that name them."""

import pytest
import torch

import ropejit
from ropejit.dropin import flashinfer, vllm


def bad_cases(device):
    ids = torch.arange(5, device=device)
    query, key = torch.zeros(5, 128, device=device), torch.zeros(5, 64, device=device)
    cache = torch.zeros(9, 32, device=device)
    by_cache, plain = flashinfer.apply_rope_with_cos_sin_cache, flashinfer.apply_rope
    q, k, ends = query.view(5, 4, 32), key.view(5, 2, 32), torch.tensor([0, 2, 5], device=device, dtype=torch.int32)
    both = {  # positions, query, key, head_size, cache
        "positions are None": (TypeError, "positions: found NoneType", (None, query, key, 32, cache)),
        "positions are a list": (TypeError, "positions: found list", ([1], query, key, 32, cache)),
        "positions of fp32": (TypeError, "positions: found torch.float32", (ids.float(), query, key, 32, cache)),
        "too few positions": (ValueError, r"positions: found shape \(4,\)", (ids[:4], query, key, 32, cache)),
        "positions on another device": (
            ValueError,
            "positions: found a tensor on meta, allowed: one on .*, where query is",
            (ids.to("meta"), query, key, 32, cache),
        ),
        "query is None": (TypeError, "query: found NoneType", (ids, None, key, 32, cache)),
        "query of fp64": (TypeError, "query: found torch.float64", (ids, query.double(), key, 32, cache)),
        "query of four dimensions": (ValueError, "query: found shape", (ids, query.view(5, 1, 4, 32), key, 32, cache)),
        "query of one dimension": (ValueError, "query: found shape", (ids, query[0], key, 32, cache)),
        "query of other heads": (ValueError, "query: found shape", (ids, q, key, 16, cache)),
        "query not of whole heads": (ValueError, "query: found shape", (ids, query[:, :100], key, 32, cache)),
        "query is expanded": (
            ValueError,
            "query: found an expanded tensor|query: found .* overlap|.*overlap",
            (ids, query[:1].expand(5, 128), key, 32, cache),
        ),
        "key is a string": (TypeError, "key: found str", (ids, query, "key", 32, cache)),
        "key of another dtype": (TypeError, "key: found torch.bfloat16", (ids, query, key.bfloat16(), 32, cache)),
        "key of other tokens": (
            ValueError,
            "key: found 4 tokens, allowed: 5, as query has",
            (ids, query, key[:4], 32, cache),
        ),
        "key not of whole heads": (ValueError, "key: found shape", (ids, query, key[:, :40], 32, cache)),
        "head_size is 0": (ValueError, "head_size: found 0", (ids, query, key, 0, cache)),
        "head_size is a float": (TypeError, "head_size: found 32.0", (ids, query, key, 32.0, cache)),
        "head_size is None": (TypeError, "head_size: found None", (ids, query, key, None, cache)),
        "no cache": (TypeError, "cos_sin_cache: found NoneType", (ids, query, key, 32, None)),
        "a cache of one dimension": (ValueError, "cos_sin_cache: found shape", (ids, query, key, 32, cache[0])),
        "a cache wider than the heads": (ValueError, "cos_sin_cache: found 32", (ids, query, key, 16, cache)),
        "a cache on another device": (
            ValueError,
            "cos_sin_cache: found a tensor on meta",
            (ids, query, key, 32, cache.to("meta")),
        ),
    }
    result = {}
    for name, (kind, message, arguments) in both.items():
        result["vllm: " + name] = kind, message, vllm.rotary_embedding, (*arguments, True)
        result["flashinfer, in place: " + name] = (
            kind,
            message,
            flashinfer.apply_rope_with_cos_sin_cache_inplace,
            arguments,
        )
        if name != "query is expanded":
            result["flashinfer: " + name] = kind, message, by_cache, arguments
    return {
        **result,
        "vllm: a batch for tokens": (
            ValueError,
            "query: found shape",
            vllm.rotary_embedding,
            (ids.expand(2, 5), query, key, 32, cache, True),
        ),
        "vllm: a cache of int64": (
            TypeError,
            "cos_sin_cache: found torch.int64",
            vllm.rotary_embedding,
            (ids, query, key, 32, cache.long(), True),
        ),
        "vllm: rope_dim_offset is negative": (
            ValueError,
            "rope_dim_offset: found -2",
            vllm.rotary_embedding,
            (ids, query, key, 32, cache, True, -2),
        ),
        "vllm: rope_dim_offset is a tensor": (
            TypeError,
            "rope_dim_offset: found Tensor",
            vllm.rotary_embedding,
            (ids, query, key, 32, cache, True, ids),
        ),
        "vllm: rope_dim_offset is too far": (
            ValueError,
            "cos_sin_cache: found 32, allowed: .*less q.first_lane 2",
            vllm.rotary_embedding,
            (ids, query, key, 32, cache, True, 2),
        ),
        "flashinfer: no key": (TypeError, "key: found NoneType", by_cache, (ids, query, None, 32, cache)),
        "flashinfer: a cache of bf16": (
            ValueError,
            "cos_sin_cache: found torch.bfloat16",
            by_cache,
            (ids, query, key, 32, cache.bfloat16()),
        ),
        "apply_rope: q is None": (TypeError, "q: found NoneType", plain, (None, k, ends, ends[:2])),
        "apply_rope: k is a number": (TypeError, "k: found int", plain, (q, 1, ends, ends[:2])),
        "apply_rope: q of two dimensions": (ValueError, "q: found shape", plain, (query, key, ends, ends[:2])),
        "apply_rope: indptr is a list": (TypeError, "indptr: found list", plain, (q, k, [0, 5], ends[:1])),
        "apply_rope: indptr of fp32": (TypeError, "indptr: found torch.float32", plain, (q, k, ends.float(), ends[:2])),
        "apply_rope: offsets are None": (TypeError, "offsets: found NoneType", plain, (q, k, ends, None)),
        "apply_rope: too many offsets": (ValueError, "offsets: found shape", plain, (q, k, ends, ends)),
        "apply_rope: rotary_dim is odd": (ValueError, "rotary_dim: found 5", plain, (q, k, ends, ends[:2], 5)),
        "apply_rope: rope_scale is 0": (
            ValueError,
            "rope_scale: found 0",
            plain,
            (q, k, ends, ends[:2], None, False, 0),
        ),
        "apply_rope: rope_theta is negative": (
            ValueError,
            "rope_theta: found -1",
            plain,
            (q, k, ends, ends[:2], None, False, 1, -1.0),
        ),
        "apply_llama31_rope: low_freq_factor is beyond high_freq_factor": (
            ValueError,
            "low_freq_factor: found 32",
            flashinfer.apply_llama31_rope,
            (q, k, ends, ends[:2], None, False, 8, 5e5, 32),
        ),
        "apply_rope: rope_theta is a list": (
            TypeError,
            "rope_theta: found list",
            plain,
            (q, k, ends, ends[:2], None, False, 1, []),
        ),
        "apply_rope: interleave is a tensor": (
            TypeError,
            "interleave: found Tensor",
            plain,
            (q, k, ends, ends[:2], None, ends),
        ),
        "vllm: is_neox is a tensor": (
            TypeError,
            "is_neox: found Tensor",
            vllm.rotary_embedding,
            (ids, query, key, 32, cache, ids),
        ),
        "apply_rope_pos_ids: too few": (
            ValueError,
            "pos_ids: found shape",
            flashinfer.apply_rope_pos_ids,
            (q, k, ids[:3]),
        ),
        "apply_rope_pos_ids: none": (TypeError, "pos_ids: found NoneType", flashinfer.apply_rope_pos_ids, (q, k, None)),
    }


@pytest.mark.parametrize("name", bad_cases("cpu"))
def test_bad_arguments_are_named(name, device):
    kind, message, function, arguments = bad_cases(device)[name]
    with pytest.raises(kind, match=f"^(?:{message})"):
        function(*arguments)


def test_cpu_tensors_are_refused_unless_asked_for(device):
    ids, query, cache = torch.arange(5), torch.zeros(5, 64), torch.zeros(9, 32)
    before = ropejit.serve_host(False)
    try:
        for function in (vllm.rotary_embedding, flashinfer.apply_rope_with_cos_sin_cache_inplace):
            with pytest.raises(ValueError, match="^query: found a tensor on cpu"):
                function(ids, query, query.clone(), 32, cache, True)
    finally:
        ropejit.serve_host(before)
