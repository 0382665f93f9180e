"""What a Prologue's stages read and write beside q, k and v: biases, scales, weights of heads, statistics."""

import pytest
import torch

import ropejit
from shapes import assert_close, assert_same_bits

HEADS, K_HEADS, DIM, TOKENS = 4, 2, 32, 5
EPS = 1e-5
FORM_OF_SUMS = {"norm_statistics": True, "norm_sums": True, "statistics_only": True}


def still(q, k=None):
    """A spec whose operands do not rotate: their stages alone are seen."""
    return {name: {"rotates": False, **of} for name, of in (("q", q), ("k", k)) if of is not None}


def tensors(device, dtype=torch.float32):
    q, k = (torch.randn(TOKENS, heads, DIM, device=device).to(dtype) for heads in (HEADS, K_HEADS))
    return q, k, torch.arange(TOKENS, device=device)


def rms(x, dims):
    wide = x.double()
    return wide * torch.rsqrt(wide.pow(2).mean(dims, keepdim=True) + EPS)


def layer(x):
    return torch.nn.functional.layer_norm(x.double(), (DIM,), eps=EPS)


def l2(x):
    return x.double() / x.double().norm(dim=-1, keepdim=True).clamp(min=EPS)


NORM = {"eps": EPS}
# An operand's stages, what calls bring for q with how many numbers, and what comes of x in fp64.
STAGES = {
    "a bias": ({"bias": True}, {"bias": (HEADS, DIM)}, lambda x, own: x.double() + own["bias"].double().view(HEADS, DIM)),
    "a flat bias": ({"bias": True}, {"bias": (HEADS * DIM,)}, lambda x, own: x.double() + own["bias"].view(HEADS, DIM)),
    "scales of heads": ({"head_scales": True}, {"head_scales": (HEADS,)}, lambda x, own: x.double() * own["head_scales"][:, None]),
    "a clamp": ({"clamp": 0.5}, {}, lambda x, own: x.double().clamp(-0.5, 0.5)),
    "a scale": ({"scale": -0.25}, {}, lambda x, own: x.double() * -0.25),
    "a norm without weights": ({"norm": {**NORM, "weight": "none"}}, {}, lambda x, own: rms(x, -1)),
    "weights of heads": ({"norm": {**NORM, "weight": "heads"}}, {"weight": (HEADS, DIM)}, lambda x, own: rms(x, -1) * own["weight"]),
    "flat weights of heads": ({"norm": {**NORM, "weight": "heads"}}, {"weight": (HEADS * DIM,)},
                              lambda x, own: rms(x, -1) * own["weight"].view(HEADS, DIM)),
    "one and weights": ({"norm": {**NORM, "plus_one": True}}, {"weight": (DIM,)}, lambda x, own: rms(x, -1) * (1 + own["weight"])),
    "a norm over the token": ({"norm": {**NORM, "span": "token", "weight": "heads"}}, {"weight": (HEADS * DIM,)},
                              lambda x, own: rms(x, (-2, -1)) * own["weight"].view(HEADS, DIM)),
    "a layer norm with biases": ({"norm": {**NORM, "kind": "layer", "bias": True}}, {"weight": (DIM,), "norm_bias": (DIM,)},
                                 lambda x, own: layer(x) * own["weight"] + own["norm_bias"]),
    "an l2 norm": ({"norm": {**NORM, "kind": "l2", "weight": "none"}}, {}, lambda x, own: l2(x)),
    "all at once": (
        {"norm": {**NORM, "weight": "heads", "bias": True}, "bias": True, "scale": 2.0, "head_scales": True,
         "order": ["head_scale", "norm", "bias", "scale"]},
        {"weight": (HEADS, DIM), "norm_bias": (HEADS, DIM), "bias": (HEADS, DIM), "head_scales": (HEADS,)},
        lambda x, own: 2 * (rms(x.double() * own["head_scales"][:, None], -1) * own["weight"] + own["norm_bias"] + own["bias"]),
    ),
}


def brought(shapes, device, name="q"):
    return {f"{name}_{key}": torch.rand(shape, device=device) + 0.5 for key, shape in shapes.items()}


@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
@pytest.mark.parametrize("case", list(STAGES))
def test_each_stage_has_what_it_reads(case, apart, device):
    of_q, shapes, wanted_of = STAGES[case]
    q, _, positions = tensors(device)
    own = brought(shapes, device)
    wanted = wanted_of(q, {key.removeprefix("q_"): x for key, x in own.items()}).to(q.dtype)
    out = torch.empty_like(q) if apart else None
    result = ropejit.Prologue(still(of_q))(q, positions=positions, out=out, **own)
    assert result is (out if apart else q)
    assert_close([result], [wanted])


def test_k_has_its_own(device):
    q, k, positions = tensors(device)
    spec = still({"scale": 1.0}, {"norm": {**NORM, "bias": True}, "bias": True, "head_scales": True})
    own = brought({"weight": (DIM,), "norm_bias": (DIM,), "bias": (K_HEADS, DIM), "head_scales": (K_HEADS,)}, device, "k")
    wanted = (rms(k.double() + own["k_bias"], -1) * own["k_weight"] + own["k_norm_bias"]) * own["k_head_scales"][:, None]
    ropejit.Prologue(spec)(q, k, positions=positions, **own)
    assert_close([k], [wanted.to(k.dtype)])


def test_ranks_that_share_the_heads_of_a_token_add_up_their_sums(device):
    q, k, positions = tensors(device)
    norm = {**NORM, "span": "token", "weight": "heads"}
    weights = {"q_weight": torch.rand(HEADS * DIM, device=device), "k_weight": torch.rand(K_HEADS * DIM, device=device)}
    whole_q, whole_k = q.clone(), k.clone()
    ropejit.Prologue(still({"norm": norm}, {"norm": norm}))(whole_q, whole_k, positions=positions, **weights)
    halves = [
        (q[:, rank * 2 : rank * 2 + 2].clone(), k[:, rank : rank + 1].clone(),
         {name: x.view(2, -1)[rank].contiguous() for name, x in weights.items()})
        for rank in range(2)
    ]
    sums = torch.zeros(2, TOKENS, 2, device=device)
    first = ropejit.Prologue(still({"norm": norm}, {"norm": norm}), FORM_OF_SUMS)
    for own, (half_q, half_k, own_weights) in zip(sums, halves):
        before = half_q.clone(), half_k.clone()
        first(half_q, half_k, positions=positions, q_statistic_out=own[:, :1], k_statistic_out=own[:, 1:], **own_weights)
        assert_same_bits([half_q, half_k], before)
    assert_close([sums.sum(0)], [torch.stack([x.double().pow(2).sum((1, 2)) for x in (q, k)], -1).float()])
    both = sums.sum(0)
    second = ropejit.Prologue(
        still(*({"norm": {**norm, "statistic": "given_sum", "global_heads": heads}} for heads in (HEADS, K_HEADS)))
    )
    for half_q, half_k, own_weights in halves:
        second(half_q, half_k, positions=positions, q_statistic=both[:, :1], k_statistic=both[:, 1:], **own_weights)
    assert_same_bits([torch.cat([q for q, _, _ in halves], 1), torch.cat([k for _, k, _ in halves], 1)], [whole_q, whole_k])


def test_what_a_norm_hands_out_another_call_is_given(device):
    q, k, positions = tensors(device)
    of = {"norm": {**NORM, "weight": "none"}}
    r = torch.zeros(TOKENS, HEADS + 1, device=device)
    given, version = q.clone(), r._version
    ropejit.Prologue({"q": of}, {"norm_statistics": True})(q, positions=positions, q_statistic_out=r[:, :HEADS])
    assert r._version > version
    assert_close([r[:, :HEADS]], [torch.rsqrt(given.double().pow(2).mean(-1) + EPS).float()])
    assert (r[:, HEADS] == 0).all()
    takes = {"norm": {**of["norm"], "statistic": "given"}}
    ropejit.Prologue({"q": takes})(given, positions=positions, q_statistic=r[:, :HEADS])
    assert_same_bits([given], [q])


def arguments(device):
    """A spec with all that calls may bring, and a call of it that is well."""
    spec = {"q": {"norm": {**NORM, "bias": True, "weight": "heads"}, "bias": True, "head_scales": True}, "k": {"norm": NORM}}
    q, k, positions = tensors(device)
    own = {
        **brought({"weight": (HEADS, DIM), "norm_bias": (HEADS, DIM), "bias": (HEADS, DIM), "head_scales": (HEADS,)}, device),
        **brought({"weight": (DIM,)}, device, "k"),
        "q_statistic_out": torch.zeros(TOKENS, HEADS, device=device),
        "k_statistic_out": torch.zeros(TOKENS, K_HEADS, device=device),
    }
    return ropejit.Prologue(spec, {"norm_statistics": True}), {"q": q, "k": k, "positions": positions, **own}


def test_compiled_as_one_operator_and_by_torchs_own_checks(device):
    p, rest = arguments(device)
    torch._dynamo.reset()

    @torch.compile(backend="aot_eager", fullgraph=True)
    def step(**arguments):
        return p(**arguments) + 1

    written = ("q", "q_statistic_out", "k", "k_statistic_out")
    ours, theirs = ({**rest, **{name: rest[name].clone() for name in written}} for _ in range(2))
    assert_same_bits([step(**ours), *map(ours.get, written[1:])], [p(**theirs) + 1, *map(theirs.get, written[1:])])
    weights = [rest[name] for name in ("q_weight", "q_norm_bias", "q_bias", "q_head_scales", "k_weight")]
    lists = [], [rest[name] for name in written], None, weights, "qwtnah kwt"
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    every = (*lists, p.spec, p.form, rest["positions"])
    torch.library.opcheck(torch.ops.ropejit.prologue.default, every, test_utils=tests)


def test_lazy_negatives_are_not_written_over_with_biases(device):
    p, rest = arguments(device)
    with pytest.raises(ValueError, match="q: found a lazily negated tensor"):
        p(**{**rest, "q": torch._neg_view(rest["q"])})
    with pytest.raises(ValueError, match="q_statistic_out: found a lazily negated tensor"):
        p(**{**rest, "q_statistic_out": torch._neg_view(rest["q_statistic_out"])})
    weights = [rest[name] for name in ("q_weight", "q_norm_bias", "q_bias", "q_head_scales", "k_weight")]
    outputs = [torch._neg_view(rest["q"]), *(rest[name] for name in ("q_statistic_out", "k", "k_statistic_out"))]
    with pytest.raises(ValueError, match="q: found a lazily negated tensor"):
        torch.ops.ropejit.prologue([], outputs, None, weights, "qwtnah kwt", p.spec, p.form, rest["positions"])
    lazy = {**rest, "q_bias": torch._neg_view(-rest["q_bias"]), "q": rest["q"].clone()}
    p(**lazy)
    p(**rest)
    assert_same_bits([lazy["q"]], [rest["q"]])


WRONG = {
    "no bias": (ValueError, "q_bias: found None, allowed: 128 numbers: the spec's q has a bias", dict(q_bias=None)),
    "a bias of k": (ValueError, "k_bias: found a tensor, allowed: None: the spec's k has no bias", dict(k_bias=torch.ones(2, DIM))),
    "a bias of one head": (ValueError, r"q_bias: found shape \(32,\), allowed: \(4, 32\) or \(128,\)", dict(q_bias=torch.ones(DIM))),
    "a bias of fp16": (TypeError, "q_bias: found torch.float16, allowed: torch.float32", dict(q_bias=torch.ones(HEADS, DIM).half())),
    "no biases of the norm": (ValueError, "q_norm_bias: found None", dict(q_norm_bias=None)),
    "biases of k's norm": (ValueError, "k_norm_bias: found a tensor, allowed: None: the spec's k has no norm with biases",
                           dict(k_norm_bias=torch.ones(DIM))),
    "biases of another dtype than weights": (TypeError, "q_norm_bias: found torch.bfloat16, allowed: torch.float32",
                                             dict(q_norm_bias=torch.ones(HEADS, DIM).bfloat16())),
    "weights of one head": (ValueError, r"q_weight: found shape \(32,\), allowed: \(4, 32\) or \(128,\)",
                            dict(q_weight=torch.ones(DIM))),
    "weights of heads of k": (ValueError, r"k_weight: found shape \(2, 32\), allowed: \(32,\)", dict(k_weight=torch.ones(2, DIM))),
    "no scales": (ValueError, "q_head_scales: found None, allowed: 4 numbers", dict(q_head_scales=None)),
    "scales of lanes": (ValueError, r"q_head_scales: found shape \(32,\), allowed: \(4,\): one for each head",
                        dict(q_head_scales=torch.ones(DIM))),
    "scales of bf16": (TypeError, "q_head_scales: found torch.bfloat16", dict(q_head_scales=torch.ones(HEADS).bfloat16())),
    "scales in a list": (TypeError, "q_head_scales: found list", dict(q_head_scales=[1.0])),
    "no place for a statistic": (ValueError, r"k_statistic_out: found None, allowed: a tensor of \[tokens, heads\]",
                                 dict(k_statistic_out=None)),
    "a place for another statistic": (ValueError, r"q_statistic_out: found shape \(5, 2\), allowed: \(5, 4\)",
                                      dict(q_statistic_out=torch.ones(TOKENS, K_HEADS))),
    "a place in an expanded tensor": (ValueError, "q_statistic_out: found an expanded tensor",
                                      dict(q_statistic_out=torch.ones(TOKENS, 1).expand(-1, HEADS))),
    "a given statistic as well": (ValueError, "q_statistic: found a tensor, allowed: None", dict(q_statistic=torch.ones(TOKENS, HEADS))),
    "of v, which is not there": (ValueError, "v_bias: found a tensor, allowed: None where v is not written",
                                 dict(v_bias=torch.ones(DIM))),
    "a gradient": (ValueError, "q_bias: found a tensor that requires grad", dict(q_bias=torch.ones(HEADS, DIM, requires_grad=True))),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_is_wrong_is_refused_in_one_line(case, device):
    kind, words, change = WRONG[case]
    p, rest = arguments(device)
    change = {name: x.detach().to(device).requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) and x.requires_grad
              else x.to(device) if isinstance(x, torch.Tensor) else x for name, x in change.items()}
    with pytest.raises(kind, match=words) as raised:
        p(**{**rest, **change})
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("key, value", [("bias", True), ("clamp", 1.0), ("scale", 2.0), ("head_scales", True),
                                        ("temperature", {"coefficient": 0.1, "length": 8}), ("norm", {})])
def test_a_rotation_takes_no_stages(key, value):
    with pytest.raises(ValueError, match=f"spec.k.{key}: found one, allowed: none, since ropejit.Prologue"):
        ropejit.Rotation({"k": {key: value}})
    assert ropejit.Rotation({"k": {"bias": False, "norm": None}}).spec


@pytest.mark.parametrize("spec, form, words", [
    ({"q": {"norm": {"kind": "batch", "weight": "none"}}}, None, "q.norm.kind"),
    ({"q": {"clamp": -1}}, None, "q.clamp"),
    ({"q": {"order": ["norm"]}}, None, "q.order"),
    ({"q": {"scale": 2.0}}, {"norm_statistics": True}, "norm_statistics"),
    ({"q": {"scale": 2.0}}, {"norm_sums": True}, "norm_sums"),
])
def test_what_the_library_does_not_take_is_its_own_to_say(spec, form, words, device):
    q, _, positions = tensors(device)
    with pytest.raises(ValueError, match=words):
        ropejit.Prologue(spec, form)(q, positions=positions)
