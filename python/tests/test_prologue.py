"""Prologue: norms, rotation, and k and v to the pages of a cache by slots, beside the same in plain torch."""

import copy
import pickle

import pytest
import torch

import ropejit
from ropejit import _native
from shapes import assert_close, assert_same_bits
from test_ops import exact

Q_HEADS, K_HEADS, DIM, TOKENS = 4, 2, 32, 7
PAGES, BLOCK = 5, 3
SPEC = {"layout": "split_half", "rope_theta": 10000.0, "q": {"norm": {"eps": 1e-6}}, "k": {"norm": {"eps": 1e-5}}}
DTYPES = (torch.bfloat16, torch.float16, torch.float32)
UNTOUCHED = 7.0


def normed(x, weight, eps):
    """transformers' Qwen3RMSNorm, in fp64 and rounded nowhere."""
    wide = x.double()
    return weight.double() * (wide * torch.rsqrt(wide.pow(2).mean(-1, keepdim=True) + eps))


def inputs(device, dtype=torch.float32, lies="apart"):
    """q, k and v, as layers before attention leave them."""
    sizes = [heads * DIM for heads in (Q_HEADS, K_HEADS, K_HEADS)]
    packed = torch.randn(TOKENS, sum(sizes), device=device).to(dtype)
    q, k, v = packed.split(sizes, dim=-1)
    if lies.startswith("apart"):
        q, k, v = (x.clone() for x in (q, k, v))
    if not lies.endswith("flat"):
        q, k, v = (x.unflatten(-1, (-1, DIM)) for x in (q, k, v))
    return q, k, v


def caches(device, dtype=torch.float32, lies="NHD"):
    def full(*sizes):
        return torch.full(sizes, UNTOUCHED, device=device, dtype=dtype)

    if lies == "HND":
        return full(2, PAGES, K_HEADS, BLOCK, DIM).transpose(2, 3).unbind(0)
    if lies == "k beside v":
        return full(PAGES, 2, BLOCK, K_HEADS, DIM).unbind(1)
    if lies == "lanes of k and v":
        return full(PAGES, BLOCK, K_HEADS, 2 * DIM).chunk(2, dim=-1)
    return full(2, PAGES, BLOCK, K_HEADS, DIM).unbind(0)


def weights(device, dtype=torch.float32):
    return [(torch.rand(DIM, device=device) + 0.5).to(dtype) for _ in range(2)]


def expected(q, k, v, positions, q_weight, k_weight, k_cache, v_cache, slots):
    """q, and what the caches are after the call."""
    shaped = [x.reshape(TOKENS, -1, DIM) for x in (q, k, v)]
    new_q, new_k = (
        exact(normed(x, w, eps)[None], positions[None])[0]
        for x, w, eps in ((shaped[0], q_weight, 1e-6), (shaped[1], k_weight, 1e-5))
    )
    new_caches = []
    for cache, new in ((k_cache, new_k), (v_cache, shaped[2])):
        cache = cache.clone()
        flat = cache.reshape(-1, K_HEADS, DIM)
        at = slots.long()
        good = (at >= 0) & (at < flat.shape[0])
        flat.index_put_((at[good],), new[: at.shape[0]][good].to(cache.dtype))
        new_caches.append(flat.reshape(cache.shape))
    return new_q.reshape(q.shape).to(q.dtype), *new_caches


def all_slots(device):
    return torch.randperm(PAGES * BLOCK, device=device)[:TOKENS]


def every_second(slots):
    return torch.stack((slots, slots + 1), dim=-1)[:, 0]


SLOTS = {
    "all": lambda device: all_slots(device),
    "int32": lambda device: all_slots(device).int(),
    "negative": lambda device: all_slots(device).where(torch.arange(TOKENS, device=device) % 3 != 1, -1),
    "very negative": lambda device: all_slots(device).where(torch.arange(TOKENS, device=device) != 0, -(2**62)),
    "beyond the cache": lambda device: all_slots(device).where(torch.arange(TOKENS, device=device) != 2, PAGES * BLOCK),
    "far beyond": lambda device: all_slots(device).int().where(torch.arange(TOKENS, device=device) != 2, 2**31 - 1).int(),
    "fewer than tokens": lambda device: all_slots(device)[:3],
    "a single one": lambda device: all_slots(device)[:1],
    "none": lambda device: all_slots(device)[:0],
    "every second of a list": lambda device: every_second(all_slots(device)),
    "one of no place for all": lambda device: torch.tensor([-1], device=device).expand(TOKENS),
}


@pytest.fixture
def positions(device):
    return torch.tensor([0, 5, 3, 70, 1, 2, 1000], device=device)


def check(device, positions, dtype, lies="apart", cache_lies="NHD", slots="all", apart=False, cache_dtype=None, form=None):
    q, k, v = inputs(device, dtype, lies)
    k_cache, v_cache = caches(device, cache_dtype or dtype, cache_lies)
    q_weight, k_weight = weights(device, dtype)
    slots = SLOTS[slots](device)
    wanted = expected(q, k, v, positions, q_weight, k_weight, k_cache, v_cache, slots)
    before = [x.clone() for x in (q, k, v)]
    out = torch.full_like(q, UNTOUCHED) if apart else None
    result = ropejit.Prologue(SPEC, form)(
        q, k, v, positions, q_weight=q_weight, k_weight=k_weight, k_cache=k_cache, v_cache=v_cache, slots=slots, out=out
    )
    assert result is (out if apart else q)
    assert_close([result, k_cache], wanted[:2])
    assert torch.equal(v_cache, wanted[2])
    untouched = zip((q, k, v)[0 if apart else 1 :], before[0 if apart else 1 :])
    assert all(torch.equal(x, was) for x, was in untouched)


@pytest.mark.parametrize("slots", list(SLOTS))
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_slots_of_every_kind(dtype, slots, positions, device):
    check(device, positions, dtype, slots=slots)


@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
@pytest.mark.parametrize("cache_lies", ["NHD", "HND", "k beside v", "lanes of k and v"])
@pytest.mark.parametrize("lies", ["apart", "apart flat", "packed", "packed flat"])
def test_tensors_and_caches_of_all_layouts(lies, cache_lies, apart, positions, device):
    for dtype in DTYPES:
        check(device, positions, dtype, lies, cache_lies, apart=apart)


@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
@pytest.mark.parametrize("lies", ["apart", "packed flat"])
@pytest.mark.parametrize("slots", ["all", "negative", "beyond the cache", "fewer than tokens", "none"])
def test_k_is_written_beside_its_cache_whether_it_has_a_place_there_or_not(slots, lies, apart, positions, device):
    for dtype, cache_dtype in ((torch.float32, torch.float32), (torch.bfloat16, torch.float32), (torch.float16, torch.float16)):
        if dtype != cache_dtype and not apart:
            continue
        q, k, v = inputs(device, dtype, lies)
        k_cache, v_cache = caches(device, cache_dtype)
        q_weight, k_weight = weights(device, dtype)
        places = SLOTS[slots](device)
        wanted = expected(q, k, v, positions, q_weight, k_weight, k_cache, v_cache, places)
        new_k = exact(normed(k.reshape(TOKENS, -1, DIM), k_weight, 1e-5)[None], positions[None])[0].reshape(k.shape)
        out, k_out = (torch.empty_like(q), torch.empty_like(k, dtype=cache_dtype)) if apart else (None, k)
        was_k = k.clone()
        result = ropejit.Prologue(SPEC)(
            q, k, v, positions, q_weight=q_weight, k_weight=k_weight, k_cache=k_cache, v_cache=v_cache, slots=places, out=out,
            k_out=k_out
        )
        assert_close([result, k_cache, k_out], [*wanted[:2], new_k.to(cache_dtype)])
        assert torch.equal(v_cache, wanted[2])
        assert not apart or torch.equal(k, was_k)
        here = (places >= 0) & (places < PAGES * BLOCK)
        in_cache = k_cache.flatten(0, 1)[places[here].long()]
        assert_same_bits([k_out.reshape(TOKENS, K_HEADS, DIM)[: places.shape[0]][here]], [in_cache])


GIVEN = {**SPEC, "q": {"norm": {"statistic": "given"}}, "k": {"norm": {"statistic": "given", "eps": 1e-5}}}


def statistics(q, k):
    """r as no head's own: a quarter of the reciprocal root of q's mean squares, and half that of k's. k's as its transpose
    has it."""
    q_r, k_r = (
        torch.rsqrt(x.reshape(TOKENS, -1, DIM).double().pow(2).mean(-1) + eps) for x, eps in ((q, 1e-6), (k, 1e-5))
    )
    return {"q_statistic": (q_r / 4).float(), "k_statistic": (k_r / 2).float().T.contiguous().T}


@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
@pytest.mark.parametrize("lies", ["apart", "packed flat"])
def test_a_statistic_that_is_given_takes_the_place_of_the_heads_own(lies, apart, positions, device):
    q, k, v = inputs(device, lies=lies)
    k_cache, v_cache = caches(device)
    q_weight, k_weight = weights(device)
    slots = SLOTS["negative"](device)
    wanted = expected(q, k, v, positions, q_weight / 4, k_weight / 2, k_cache, v_cache, slots)
    rest = dict(q_weight=q_weight, k_weight=k_weight, k_cache=k_cache, v_cache=v_cache, slots=slots, **statistics(q, k))
    result = ropejit.Prologue(GIVEN)(q, k, v, positions, out=torch.empty_like(q) if apart else None, **rest)
    assert_close([result, k_cache], wanted[:2])
    assert torch.equal(v_cache, wanted[2])


def test_given_statistics_in_one_graph_expanded_and_by_torchs_own_checks(device):
    p, rest = ropejit.Prologue(GIVEN), vars(Arguments(device))
    rest |= statistics(rest["q"], rest["k"])
    rest["q_statistic"] = rest["q_statistic"][:, :1].expand(-1, Q_HEADS)  # one for all heads
    torch._dynamo.reset()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step(**arguments):
        return p(**arguments) + 1

    written = ("q", "k_cache", "v_cache")
    ours, theirs = ({**rest, **{name: rest[name].clone() for name in written}} for _ in range(2))
    assert_same_bits([step(**ours), *map(ours.get, written[1:])], [p(**theirs) + 1, *map(theirs.get, written[1:])])
    lists = [rest["k"], rest["v"]], [rest[name] for name in written], rest["slots"]
    norms = [rest[f"{name}_{what}"] for name in "qk" for what in ("weight", "statistic")]
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    arguments = (*lists, norms, "qwr kswr vs", p.spec, p.form, rest["positions"])
    torch.library.opcheck(torch.ops.ropejit.prologue.default, arguments, test_utils=tests)


WRONG_STATISTICS = {
    "none of q": (ValueError, r"q_statistic: found None, allowed: a tensor of \[tokens, heads\]", GIVEN, dict(q_statistic=None)),
    "none of k": (ValueError, "k_statistic: found None", GIVEN, dict(k_statistic=None)),
    "of a norm that computes its own": (ValueError, "q_statistic: found a tensor, allowed: None: the spec's q has no norm of a "
                                        "given statistic", SPEC, dict(k_statistic=None)),
    "of v, which has none": (ValueError, "v_statistic: found a tensor, allowed: None", GIVEN,
                             dict(v_statistic=torch.ones(TOKENS, K_HEADS))),
    "of bf16": (TypeError, "q_statistic: found torch.bfloat16, allowed: torch.float32", GIVEN,
                dict(q_statistic=torch.ones(TOKENS, Q_HEADS, dtype=torch.bfloat16))),
    "of other heads": (ValueError, r"k_statistic: found shape \(7, 4\), allowed: \(7, 2\)", GIVEN,
                       dict(k_statistic=torch.ones(TOKENS, Q_HEADS))),
    "a list": (TypeError, "q_statistic: found list", GIVEN, dict(q_statistic=[1.0])),
    "an unknown word": (ValueError, "q.norm.statistic", {**SPEC, "q": {"norm": {"statistic": "taken"}}},
                        dict(q_statistic=None, k_statistic=None)),
}


@pytest.mark.parametrize("case", list(WRONG_STATISTICS))
def test_what_is_wrong_of_a_statistic_is_refused_in_one_line(case, device):
    kind, words, spec, change = WRONG_STATISTICS[case]
    rest = vars(Arguments(device))
    rest |= statistics(rest["q"], rest["k"])
    rest |= {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in change.items()}
    with pytest.raises(kind, match=words) as raised:
        ropejit.Prologue(spec)(**rest)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("cache_dtype", DTYPES, ids=str)
def test_a_cache_of_another_dtype_is_written_in_its_own(dtype, cache_dtype, positions, device):
    if dtype == cache_dtype or torch.float32 in (dtype, cache_dtype):
        check(device, positions, dtype, cache_dtype=cache_dtype, apart=True)


@pytest.mark.parametrize("kind", ["start", "ids32", "offsets", "ragged"])
def test_positions_of_every_kind(kind, device):
    q, k, v = inputs(device)
    k_cache, v_cache = caches(device)
    q_weight, k_weight = weights(device)
    slots = all_slots(device)
    given, meant = {
        "start": ({"start": 9}, torch.arange(TOKENS) + 9),
        "ids32": ({"positions": torch.arange(TOKENS, dtype=torch.int32) * 2}, torch.arange(TOKENS) * 2),
        "offsets": ({"positions": torch.tensor([11])}, torch.arange(TOKENS) + 11),
        "ragged": ({"cu_seqlens": torch.tensor([0, 3, 7], dtype=torch.int32)}, torch.tensor([0, 1, 2, 0, 1, 2, 3])),
    }[kind]
    given = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in given.items()}
    wanted = expected(q, k, v, meant.to(device), q_weight, k_weight, k_cache, v_cache, slots)
    p = ropejit.Prologue(SPEC, {"positions": kind.removesuffix("32")})
    p(q, k, v, q_weight=q_weight, k_weight=k_weight, k_cache=k_cache, v_cache=v_cache, slots=slots, **given)
    assert_close([q, k_cache, v_cache], wanted)


def test_weights_of_another_dtype_than_the_tensors(positions, device):
    q, k, _ = inputs(device, torch.bfloat16)
    q_weight, k_weight = weights(device)
    wanted = [exact(normed(x, w, eps)[None], positions[None])[0].to(x.dtype)
              for x, w, eps in ((q, q_weight, 1e-6), (k, k_weight, 1e-5))]
    ropejit.Prologue(SPEC)(q, k, None, positions, q_weight=q_weight, k_weight=k_weight)
    assert_close([q, k], wanted)


def test_without_caches_q_and_k_are_written_over_and_v_is_left_alone(positions, device):
    q, k, v = inputs(device, lies="packed")
    q_weight, k_weight = weights(device)
    was_v = v.clone()
    wanted = [exact(normed(x, w, eps)[None], positions[None])[0].to(x.dtype)
              for x, w, eps in ((q, q_weight, 1e-6), (k, k_weight, 1e-5))]
    p = ropejit.Prologue(SPEC)
    assert p(q, k, v, positions, q_weight=q_weight, k_weight=k_weight) is q
    assert_close([q, k], wanted)
    assert torch.equal(v, was_v)
    # A layer that shares the keys of another has q alone.
    q = inputs(device)[0]
    wanted_q = exact(normed(q, q_weight, 1e-6)[None], positions[None])[0].to(q.dtype)
    out = torch.empty_like(q)
    assert p(q, positions=positions, q_weight=q_weight, out=out) is out
    assert_close([out], [wanted_q])


def test_a_spec_without_norms_rotates_and_appends(positions, device):
    q, k, v = inputs(device)
    k_cache, v_cache = caches(device)
    slots = all_slots(device)
    wanted = [exact(x[None], positions[None])[0] for x in (q, k)]
    p = ropejit.Prologue({"layout": "split_half", "rope_theta": 10000.0})
    p(q, k, v, positions, k_cache=k_cache, v_cache=v_cache, slots=slots)
    assert_close([q, k_cache.flatten(0, 1)[slots], v_cache.flatten(0, 1)[slots]], [*wanted, v])


def test_v_may_have_a_norm_and_no_tokens_are_fine(positions, device):
    q, k, v = inputs(device)
    k_cache, v_cache = caches(device)
    q_weight, k_weight = weights(device)
    slots = all_slots(device)
    p = ropejit.Prologue({**SPEC, "v": {"norm": {"eps": 1e-3}}})
    rest = {"q_weight": q_weight, "k_weight": k_weight, "v_weight": k_weight, "k_cache": k_cache, "v_cache": v_cache}
    p(q[:0], k[:0], v[:0], positions[:0], slots=slots[:0], **rest)
    assert (v_cache == UNTOUCHED).all()
    p(q, k, v, positions, slots=slots, **rest)
    assert_close([v_cache.flatten(0, 1)[slots]], [normed(v, k_weight, 1e-3).to(v.dtype)])


CONFIG = {
    "model_type": "qwen3", "hidden_size": 64, "num_attention_heads": Q_HEADS, "num_key_value_heads": K_HEADS,
    "head_dim": DIM, "num_hidden_layers": 1, "rms_norm_eps": 1e-6, "rope_theta": 1000000.0, "dtype": "bfloat16",
    "max_position_embeddings": 4096, "vocab_size": 32, "intermediate_size": 64,
}


@pytest.mark.parametrize("angles", ["of the model", "computed"])
def test_a_models_spec_gives_the_bits_of_its_own_attention(angles, device):
    """Qwen3 of transformers in bf16. Its norm may differ in the last bit of r, and so, seldom, a normed lane in that of
    bf16; computed, its frequencies may, and so a cosine."""
    transformers = pytest.importorskip("transformers")
    from transformers.models.qwen3 import modeling_qwen3

    caught = {}

    def catch(module, query, key, value, *rest, **more):
        caught["q"], caught["k"], caught["v"] = (x[0].transpose(0, 1) for x in (query, key, value))
        return query.transpose(1, 2), None

    transformers.AttentionInterface.register("catch", catch)
    config = transformers.Qwen3Config(**{name: value for name, value in CONFIG.items() if name != "model_type"})
    config._attn_implementation = "catch"
    tokens, pages, block = 200, 16, 16
    with torch.no_grad():
        layer = modeling_qwen3.Qwen3Attention(config, 0).to(device, torch.bfloat16)
        for norm in (layer.q_norm, layer.k_norm):
            norm.weight.copy_(torch.rand(DIM) + 0.5)
        hidden = torch.randn(1, tokens, 64, device=device).to(torch.bfloat16)
        positions = torch.randint(0, 4096, (tokens,), device=device)
        cos, sin = modeling_qwen3.Qwen3RotaryEmbedding(config).to(device)(hidden, positions[None])
        layer(hidden, (cos, sin), None)
        q, k, v = (linear(hidden)[0] for linear in (layer.q_proj, layer.k_proj, layer.v_proj))
        spec = ropejit.model_ropes(CONFIG, prologue=True, parity=True)["layers"][0]["spec"]
        assert (spec["rounding"], spec["round_after"]) == ("p1", ["norm", "weight"])
        k_cache, v_cache = torch.empty(2, pages, block, K_HEADS, DIM, device=device, dtype=torch.bfloat16)
        slots = torch.randperm(pages * block, device=device)[:tokens]
        form, where = None, {"positions": positions}
        if angles == "of the model":
            form, where = {"positions": "start", "angles": "full"}, {"cos": cos[0], "sin": sin[0]}
        ropejit.Prologue(spec, form)(
            q, k, v, q_weight=layer.q_norm.weight, k_weight=layer.k_norm.weight, k_cache=k_cache, v_cache=v_cache,
            slots=slots, **where
        )
    assert_same_bits([v_cache.flatten(0, 1)[slots]], [caught["v"]])
    for ours, theirs in ((q.view(tokens, -1, DIM), caught["q"]), (k_cache.flatten(0, 1)[slots], caught["k"])):
        differ = ours != theirs
        assert differ.float().mean() <= 1e-3, f"{differ.sum()} of {differ.numel()} differ"
        # In the last bit of the larger lane of their pair: where a pair's products cancel, that is more of the result's.
        of_pair = theirs.float().unflatten(-1, (2, -1)).abs().amax(-2).repeat(1, 1, 2)
        steps = ((ours.float() - theirs.float()).abs() / (of_pair * torch.finfo(torch.bfloat16).eps)).max()
        assert steps <= (1 if angles == "of the model" else 2), f"{steps} steps of bf16 apart"


class Arguments:
    """Those of a call that is well, as keywords."""

    def __init__(self, device, dtype=torch.float32, cache_lies="NHD"):
        self.q, self.k, self.v = inputs(device, dtype)
        self.k_cache, self.v_cache = caches(device, dtype, cache_lies)
        self.q_weight, self.k_weight = weights(device, dtype)
        self.slots = all_slots(device)
        self.positions = torch.arange(TOKENS, device=device)

    def copies(self):
        """The same numbers, in memory of their own that lies as theirs does."""
        copied = copy.copy(self)
        copied.__dict__ = {name: x.clone() for name, x in vars(self).items()}
        return copied


@pytest.mark.parametrize("cache_lies", ["NHD", "HND", "k beside v"])
@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
@pytest.mark.parametrize("lies", ["apart", "packed flat"])
def test_compiled_as_one_graph(lies, apart, cache_lies, device):
    p = ropejit.Prologue(SPEC)
    torch._dynamo.reset()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step(**arguments):
        return p(**arguments) + 1

    rest = vars(Arguments(device))
    rest["q"], rest["k"], rest["v"] = inputs(device, lies=lies)
    pairs = []
    for _ in range(2):
        k_cache, v_cache = caches(device, lies=cache_lies)
        pairs.append({**rest, "k_cache": k_cache, "v_cache": v_cache})
    ours, theirs = pairs
    theirs["q"] = theirs["q"].clone()
    out = torch.empty_like(ours["q"]) if apart else None
    result = step(**ours, out=out)
    wanted = p(**theirs, out=torch.empty_like(theirs["q"]) if apart else None) + 1
    assert_same_bits([result, ours["k_cache"], ours["v_cache"]], [wanted, theirs["k_cache"], theirs["v_cache"]])
    if apart:
        assert_same_bits([out + 1], [result])


def test_compiled_with_slices_of_one_tensor_each_and_any_number_of_tokens(device):
    p, a = ropejit.Prologue(SPEC), Arguments(device)
    torch._dynamo.reset()

    @torch.compile(backend="aot_eager", fullgraph=True, dynamic=True)
    def step(packed, both, slots, positions, q_weight, k_weight):
        q, k, v = packed.split((Q_HEADS * DIM, K_HEADS * DIM, K_HEADS * DIM), dim=-1)
        k_cache, v_cache = both.unbind(1)
        return p(q, k, v, positions, q_weight=q_weight, k_weight=k_weight, k_cache=k_cache, v_cache=v_cache, slots=slots)

    for tokens in (TOKENS, 5, 2):
        packed = torch.randn(tokens, (Q_HEADS + 2 * K_HEADS) * DIM, device=device)
        both = torch.full((PAGES, 2, BLOCK, K_HEADS, DIM), UNTOUCHED, device=device)
        rest = a.slots[: tokens - 1].clone(), torch.arange(tokens, device=device), a.q_weight, a.k_weight
        again = packed.clone(), both.clone()
        result = step(packed, both, *rest)
        wanted = step._torchdynamo_orig_callable(*again, *rest)
        assert_same_bits([result, packed, both], [wanted, *again])


def test_the_operator_passes_torchs_own_checks(device):
    a, p = Arguments(device), ropejit.Prologue(SPEC)
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    lists = [a.k, a.v], [a.q, a.k_cache, a.v_cache], a.slots, [a.q_weight, a.k_weight], "qw ksw vs"
    torch.library.opcheck(torch.ops.ropejit.prologue.default, (*lists, p.spec, p.form, a.positions), test_utils=tests)


@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
def test_k_beside_its_cache_in_one_graph_and_by_torchs_own_checks(apart, device):
    p, a = ropejit.Prologue(SPEC), Arguments(device)
    torch._dynamo.reset()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step(**arguments):
        return p(**arguments, k_out=arguments["k"]) + 1

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step_apart(**arguments):
        out, k_out = torch.empty_like(arguments["q"]), torch.empty_like(arguments["k"])
        return p(**arguments, out=out, k_out=k_out) + 1, k_out

    wanted = a.copies()
    result = (step_apart if apart else step)(**vars(a))
    k_out = torch.empty_like(wanted.k) if apart else wanted.k
    q = p(**vars(wanted), out=torch.empty_like(wanted.q) if apart else None, k_out=k_out)
    if apart:
        assert_same_bits([*result, a.k_cache], [q + 1, k_out, wanted.k_cache])
    else:
        assert_same_bits([result, a.q, a.k, a.k_cache], [q + 1, wanted.q, wanted.k, wanted.k_cache])
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    if apart:
        lists = [a.q, a.k, a.v], [a.q.clone(), a.k_cache, a.k.clone(), a.v_cache], a.slots, [a.q_weight, a.k_weight]
    else:
        lists = [a.v], [a.q, a.k, a.k_cache, a.v_cache], a.slots, [a.q_weight, a.k_weight]
    rest = "qow kswb vs" if apart else "qw kswi vs", p.spec, p.form, a.positions
    torch.library.opcheck(torch.ops.ropejit.prologue.default, (*lists, *rest), test_utils=tests)


def test_fake_and_meta_tensors_pass(device):
    from torch._subclasses.fake_tensor import FakeTensorMode

    p, a = ropejit.Prologue(SPEC), vars(Arguments(device))
    with FakeTensorMode() as mode:
        fakes = {name: mode.from_tensor(x) for name, x in a.items()}
        assert p(**fakes) is fakes["q"]
        out = torch.empty(TOKENS, Q_HEADS, DIM, device=device, dtype=torch.float16)
        assert p(**fakes, out=out) is out
        k_out = torch.empty(TOKENS, K_HEADS, DIM, device=device)
        assert p(**fakes, out=out, k_out=k_out) is out
        assert p(**fakes, k_out=fakes["k"]) is fakes["q"]
    metas = {name: x.to("meta") for name, x in a.items()}
    assert p(**metas) is metas["q"]


def test_gradients_are_refused_by_name_and_no_grad_is_fine(device):
    p = ropejit.Prologue(SPEC)
    for name in ("q", "k", "v", "q_weight", "k_weight", "k_cache"):
        a = Arguments(device)
        getattr(a, name).requires_grad_()
        with pytest.raises(ValueError, match=f"{name}: found a tensor that requires grad, allowed: "):
            p(**vars(a))
        with torch.no_grad():
            assert p(**vars(a)) is a.q
    with pytest.raises(NotImplementedError, match="q: found a transform of torch.func"):
        torch.func.vmap(lambda q: p(q, positions=a.positions, q_weight=a.k_weight.detach()))(inputs(device)[0][None])


def test_versions_of_what_is_written_go_up(device):
    a = Arguments(device)
    before = {name: x._version for name, x in vars(a).items()}
    ropejit.Prologue(SPEC)(**vars(a))
    rose = {name for name, x in vars(a).items() if x._version > before[name]}
    assert rose == {"q", "k_cache", "v_cache"}
    before = a.k._version
    ropejit.Prologue(SPEC)(**vars(a), k_out=a.k)
    assert a.k._version > before


def test_subclasses_modes_and_lazy_negatives_come_to_the_same(device):
    p, a = ropejit.Prologue(SPEC), Arguments(device)
    wanted = a.copies()
    p(**vars(wanted))

    class Sub(torch.Tensor):
        pass

    subs = a.copies()
    p(**{name: x.as_subclass(Sub) for name, x in vars(subs).items()})
    assert_same_bits([subs.q, subs.k_cache], [wanted.q, wanted.k_cache])
    both = a.copies()
    sub_k = both.k.as_subclass(Sub)
    p(**{**vars(both), "k": sub_k}, k_out=sub_k)
    plain = a.copies()
    p(**vars(plain), k_out=plain.k)
    assert_same_bits([both.k, both.k_cache], [plain.k, wanted.k_cache])
    lazy_k = a.copies()
    lazy_k.k = torch._neg_view(lazy_k.k.neg())
    with pytest.raises(ValueError, match="k: found a lazily negated tensor"):
        p(**vars(lazy_k), k_out=lazy_k.k)
    lazy_k.out = torch.empty_like(lazy_k.q)
    lazy_k.k_out = torch.empty_like(wanted.k)
    p(**vars(lazy_k))
    assert_same_bits([lazy_k.k_out, lazy_k.k_cache], [plain.k, wanted.k_cache])
    lists = [a.v], [a.q, torch._neg_view(a.k.neg()), a.k_cache, a.v_cache], a.slots, [a.q_weight, a.k_weight]
    with pytest.raises(ValueError, match="k: found a lazily negated tensor"):
        torch.ops.ropejit.prologue(*lists, "qw kswi vs", p.spec, p.form, a.positions)
    lazy = a.copies()
    memory = lazy.q.neg()
    lazy.q, lazy.k = torch._neg_view(memory), torch._neg_view(lazy.k.neg())
    assert p(**vars(lazy)) is lazy.q
    assert_same_bits([lazy.q.resolve_neg(), -memory, lazy.k_cache], [wanted.q, wanted.q, wanted.k_cache])
    refused = a.copies()
    refused.k_cache = torch._neg_view(refused.k_cache)
    with pytest.raises(ValueError, match="k_cache: found a lazily negated tensor"):
        p(**vars(refused))


def test_pickles_and_copies_give_the_same(device):
    p, a = ropejit.Prologue(SPEC), Arguments(device)
    wanted = a.copies()
    p(**vars(wanted))
    for other in (pickle.loads(pickle.dumps(p)), copy.deepcopy(p)):
        assert (other.spec, other.form) == (p.spec, p.form)
        again = a.copies()
        other(**vars(again))
        assert_same_bits([again.q, again.k_cache], [wanted.q, wanted.k_cache])


def altered(**changes):
    def change(a):
        for name, new in changes.items():
            setattr(a, name, new(a))

    return change


WRONG = {
    "q is no tensor": (TypeError, "q: found list", altered(q=lambda a: [1.0])),
    "q of fp64": (TypeError, "q: found torch.float64", altered(q=lambda a: a.q.double())),
    "q of one dimension": (ValueError, r"q: found shape \(896,\)", altered(q=lambda a: a.q.flatten())),
    "q of four dimensions": (ValueError, "q: found shape", altered(q=lambda a: a.q[None])),
    "q of no heads": (ValueError, "q: found no heads", altered(q=lambda a: a.q[:, :0])),
    "flat q of half a head": (ValueError, "q: found 112 lanes, allowed: a multiple of 32",
                              altered(q=lambda a: a.q.flatten(1)[:, :112])),
    "k of another dtype": (TypeError, "k: found torch.bfloat16, allowed: torch.float32", altered(k=lambda a: a.k.bfloat16())),
    "k of other tokens": (ValueError, "k: found 6 tokens, allowed: 7", altered(k=lambda a: a.k[:6])),
    "k of other heads": (ValueError, "k: found 1 heads, allowed: 2, as k_cache has", altered(k=lambda a: a.k[:, :1])),
    "v of other heads": (ValueError, "v: found 1 heads, allowed: 2, as v_cache has", altered(v=lambda a: a.v[:, :1])),
    "v of other lanes": (ValueError, "v: found 16 lanes, allowed: 32, as v_cache has", altered(v=lambda a: a.v[..., :16])),
    "no q_weight": (ValueError, "q_weight: found None, allowed: 32 weights", altered(q_weight=lambda a: None)),
    "no k_weight": (ValueError, "k_weight: found None, allowed: 32 weights", altered(k_weight=lambda a: None)),
    "a v_weight": (ValueError, "v_weight: found a tensor, allowed: None: the spec's v has no norm",
                   altered(v_weight=lambda a: a.q_weight)),
    "a weight too short": (ValueError, r"q_weight: found shape \(31,\), allowed: \(32,\)",
                           altered(q_weight=lambda a: a.q_weight[:31])),
    "a weight of two dimensions": (ValueError, r"k_weight: found shape \(1, 32\)",
                                   altered(k_weight=lambda a: a.k_weight[None])),
    "a weight of int32": (TypeError, "k_weight: found torch.int32", altered(k_weight=lambda a: a.k_weight.int())),
    "a weight on another device": (ValueError, "q_weight: found a tensor on meta",
                                   altered(q_weight=lambda a: a.q_weight.to("meta"))),
    "a weight that is a list": (TypeError, "q_weight: found list", altered(q_weight=lambda a: [1.0] * DIM)),
    "a cache of fp64": (TypeError, "k_cache: found torch.float64", altered(k_cache=lambda a: a.k_cache.double())),
    "a cache of bytes": (TypeError, "v_cache: found torch.uint8", altered(v_cache=lambda a: a.v_cache.byte())),
    "a cache of rows": (ValueError, r"k_cache: found shape \(15, 2, 32\), allowed: \[pages, block_size, 2, 32\]",
                        altered(k_cache=lambda a: a.k_cache.flatten(0, 1))),
    "a cache of no pages": (ValueError, r"v_cache: found shape \(0, 3, 2, 32\)", altered(v_cache=lambda a: a.v_cache[:0])),
    "an expanded cache": (ValueError, "k_cache: found an expanded tensor",
                          altered(k_cache=lambda a: a.k_cache[:1].expand(4, -1, -1, -1))),
    "a cache on another device": (ValueError, "k_cache: found a tensor on meta",
                                  altered(k_cache=lambda a: a.k_cache.to("meta"))),
    "no k_cache": (ValueError, "k_cache: found None beside slots", altered(k_cache=lambda a: None)),
    "no v_cache": (ValueError, "v_cache: found None beside v", altered(v_cache=lambda a: None)),
    "no k": (ValueError, "k: found None beside slots", altered(k=lambda a: None)),
    "no v": (ValueError, "v: found None beside v_cache", altered(v=lambda a: None)),
    "no slots": (ValueError, "slots: found None beside a cache", altered(slots=lambda a: None)),
    "slots of fp32": (TypeError, "slots: found torch.float32, allowed: torch.int32, torch.int64",
                      altered(slots=lambda a: a.slots.float())),
    "slots of bool": (TypeError, "slots: found torch.bool", altered(slots=lambda a: a.slots > 3)),
    "slots are a list": (TypeError, "slots: found list", altered(slots=lambda a: [1, 2])),
    "too many slots": (ValueError, r"slots: found shape \(8,\), allowed: \[up to 7\]",
                       altered(slots=lambda a: torch.arange(8))),
    "slots of two dimensions": (ValueError, r"slots: found shape \(1, 7\)", altered(slots=lambda a: a.slots[None])),
    "too few positions": (ValueError, r"positions: found shape \(6,\)", altered(positions=lambda a: a.positions[:6])),
    "no positions": (ValueError, "positions: found None", altered(positions=lambda a: None)),
    "out of another shape": (ValueError, "out: found shape", altered(out=lambda a: torch.empty(7, 4, 16))),
    "out of int32": (TypeError, "out: found torch.int32", altered(out=lambda a: a.q.int())),
    "out without a cache": (ValueError, "k_cache: found None, allowed: a cache",
                            altered(out=lambda a: torch.empty_like(a.q), k_cache=lambda a: None, v_cache=lambda a: None,
                                    slots=lambda a: None)),
    "out over k": (ValueError, "overlap", altered(k=lambda a: a.q[:, :2], out=lambda a: a.q)),
    "caches that overlap": (ValueError, "overlap", altered(v_cache=lambda a: a.k_cache)),
    "q over a cache": (ValueError, "overlap", altered(q=lambda a: a.k_cache.view(-1, 2, DIM)[:TOKENS])),
    "k_out is another tensor in place": (ValueError, "k_out: found another tensor than k, allowed: k itself",
                                         altered(k_out=lambda a: a.k.clone())),
    "k_out is k apart": (ValueError, "k_out: found k itself, allowed: ",
                         altered(out=lambda a: torch.empty_like(a.q), k_out=lambda a: a.k)),
    "k_out without a cache": (ValueError, "k_out: found a tensor without k_cache",
                              altered(k_out=lambda a: a.k, k_cache=lambda a: None, v_cache=lambda a: None,
                                      slots=lambda a: None)),
    "k_out of another shape": (ValueError, "k_out: found shape",
                               altered(out=lambda a: torch.empty_like(a.q), k_out=lambda a: torch.empty(7, 2, 16))),
    "k_out of another dtype than the cache": (TypeError, "k_out: found torch.bfloat16, allowed: torch.float32",
                                              altered(out=lambda a: torch.empty_like(a.q), k_out=lambda a: a.k.bfloat16())),
    "k_out in place and a cache of another dtype": (TypeError, "k_cache: found torch.bfloat16, allowed: torch.float32",
                                                    altered(k_out=lambda a: a.k, k_cache=lambda a: a.k_cache.bfloat16())),
    "k_out is a list": (TypeError, "k_out: found list", altered(k_out=lambda a: [1.0])),
    "k_out over the cache": (ValueError, "overlap",
                             altered(out=lambda a: torch.empty_like(a.q),
                                     k_out=lambda a: a.k_cache.view(-1, K_HEADS, DIM)[:TOKENS])),
    "start is a float": (TypeError, "start: found float", altered(start=lambda a: 1.5)),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_is_wrong_is_refused_in_one_line(case, device):
    kind, words, change = WRONG[case]
    torch.set_default_device(device)
    try:
        a = Arguments(device)
        change(a)
    finally:
        torch.set_default_device(None)
    before = [x.clone() for x in (a.k_cache, a.v_cache) if x is not None]
    with pytest.raises(kind, match=words) as raised:
        ropejit.Prologue(SPEC)(**vars(a))
    assert "\n" not in str(raised.value)
    after = [x for x in (a.k_cache, a.v_cache) if x is not None]
    assert all(x.is_meta or torch.equal(x, was) for x, was in zip(after, before))


@pytest.mark.parametrize(
    "kind, words, spec",
    [
        (ValueError, "spec.q.norm: found 3, allowed: an object", {"q": {"norm": 3}}),
        (ValueError, "spec.k: found 3, allowed: an object", {"k": 3}),
        (ValueError, "spec.v.heads: found 'two', allowed: a whole number", {"v": {"heads": "two"}}),
        (ValueError, "q: found 4 heads, allowed: 5, as the spec has", {**SPEC, "q": {"heads": 5, "norm": {}}}),
        (ValueError, "k: found 32 lanes, allowed: 64, as the spec has", {**SPEC, "k": {"head_dim": 64, "norm": {}}}),
        (TypeError, "q_weight: found torch.float32, allowed: torch.bfloat16",
         {**SPEC, "q": {"norm": {"weight_dtype": "bf16"}}}),
        (ValueError, "eps", {**SPEC, "q": {"norm": {"eps": 5}}}),
        (ValueError, "spec.dtype: found 'bf16'", {**SPEC, "dtype": "bf16"}),
        (ValueError, "norm", {**SPEC, "direction": "inverse"}),
    ],
)
def test_a_spec_that_does_not_fit_is_refused(kind, words, spec, device):
    with pytest.raises(kind, match=words):
        ropejit.Prologue(spec)(**vars(Arguments(device)))


def test_two_dimensions_need_a_head_dim_and_rotations_have_no_norms(device):
    a, p = Arguments(device), ropejit.Prologue(SPEC)
    with pytest.raises(ValueError, match="q: found 2 dimensions, allowed: 3, since neither the spec nor a cache"):
        p(a.q.flatten(1), positions=a.positions, q_weight=a.q_weight)
    known = ropejit.Prologue({**SPEC, "q": {"head_dim": DIM, "norm": {"eps": 1e-6}}})
    flat, whole = a.q.flatten(1).clone(), a.q.clone()
    known(flat, positions=a.positions, q_weight=a.q_weight)
    p(whole, positions=a.positions, q_weight=a.q_weight)
    assert_same_bits([flat.view(whole.shape)], [whole])
    with pytest.raises(ValueError, match="spec.q.norm: found one, allowed: none, since ropejit.Prologue is for"):
        ropejit.Rotation(SPEC)


@pytest.mark.parametrize(
    "words, inputs, outputs, slots, weights",
    [("k", 0, 1, 0, 0), ("q x", 0, 2, 0, 0), ("q q", 0, 2, 0, 0), ("qs", 1, 1, 1, 0), ("q v", 0, 2, 0, 0),
     ("q ks", 0, 2, 1, 0), ("q ks", 1, 2, 0, 0), ("q", 0, 1, 1, 0), ("qw", 0, 1, 0, 0), ("q", 0, 1, 0, 1), ("qo", 0, 1, 0, 0),
     ("q kb", 0, 3, 0, 0), ("q ksb", 1, 2, 1, 0), ("q ksi", 1, 2, 1, 0), ("q ksib", 0, 4, 1, 0), ("qi", 0, 2, 0, 0),
     ("qr", 0, 1, 0, 2), ("qwr", 0, 1, 0, 1), ("qrw", 0, 1, 0, 2), ("qt", 0, 1, 0, 0), ("qna", 0, 1, 0, 1),
     ("q kh", 0, 2, 0, 0), ("qoo", 1, 1, 0, 0)],
)
def test_lists_of_the_operator_that_do_not_fit_its_names_are_refused(words, inputs, outputs, slots, weights, device):
    a, p = Arguments(device), ropejit.Prologue(SPEC)
    lists = [a.q] * inputs, [a.q.clone() for _ in range(outputs)], a.slots if slots else None, [a.q_weight] * weights, words
    with pytest.raises(ValueError, match="(names|inputs|outputs|slots|weights): found .*, allowed: "):
        torch.ops.ropejit.prologue(*lists, p.spec, p.form, a.positions)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_captured_call_follows_its_tensors(device):
    p, a, b = ropejit.Prologue(SPEC), Arguments(device), Arguments(device)
    p(**vars(a.copies()))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        p(**vars(a))
    a.k_cache.fill_(UNTOUCHED)
    a.v_cache.fill_(UNTOUCHED)
    b.slots[1] = -1
    for name in ("q", "k", "v", "q_weight", "k_weight", "slots"):
        getattr(a, name).copy_(getattr(b, name))
    p(**vars(b))
    graph.replay()
    torch.cuda.synchronize()
    assert_same_bits([a.q, a.k_cache, a.v_cache], [b.q, b.k_cache, b.v_cache])


def test_without_the_exchange_api(device):
    from ropejit import _torch

    p, a = ropejit.Prologue(SPEC), Arguments(device, torch.bfloat16, "k beside v")
    wanted = a.copies()
    wanted.k_cache, wanted.v_cache = caches(device, torch.bfloat16, "HND")
    p(**vars(wanted))
    assert _native.setup({**_torch.SETUP, "exchange": None}) is False
    try:
        p(**vars(a))
    finally:
        assert _native.setup(_torch.SETUP) is _torch.READS_BY_EXCHANGE
    assert_same_bits([a.q, a.k_cache, a.v_cache], [wanted.q, wanted.k_cache, wanted.v_cache])


def test_plain_calls_go_the_short_way(device, monkeypatch):
    """Without torch's dispatcher: what engines do at every layer."""
    p, a = ropejit.Prologue(SPEC), Arguments(device)
    monkeypatch.setattr(ropejit.Prologue, "_slowly", None)
    p(**vars(a))
    assert p(a.q.flatten(1), a.k.flatten(1), a.v.flatten(1), a.positions, q_weight=a.q_weight, k_weight=a.k_weight,
             k_cache=a.k_cache, v_cache=a.v_cache, slots=a.slots[:3]).shape == (TOKENS, Q_HEADS * DIM)
    assert _native.version() == ropejit.__version__
