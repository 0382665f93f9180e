"""q's heads in groups, as projections leave them that give [q .. q k v] for each head of k: Rotation.store and Prologue."""

import pytest
import torch

import ropejit
from shapes import assert_same_bits

TOKENS, BATCH, GROUPS, HEADS, DIM = 5, 2, 3, 4, 16
FORM = {"positions": "start"}
DIMS = ["sbhd", "bshd", "bhsd", "shd"]


def parts(packed):
    return packed[..., :HEADS, :], packed[..., HEADS, :], packed[..., HEADS + 1, :]


def ordered(tensor, dims, grouped):
    """[tokens, batch, (groups,) heads, lanes] in the order of dims."""
    if "b" not in dims:
        tensor = tensor[:, 0]
    letters = "sb" if "b" in dims else "s"
    letters += "ghd" if grouped else "hd"
    wanted = dims.replace("h", "gh") if grouped else dims
    return tensor.permute(*(letters.index(letter) for letter in wanted))


def packed(device, dtype=torch.float32):
    return torch.randn(TOKENS, BATCH, GROUPS, HEADS + 2, DIM, device=device).to(dtype)


def alike(x):
    """q without groups, gapless."""
    return x.reshape(*x.shape[:-3], -1, DIM)


@pytest.mark.parametrize("heads", [HEADS, 1], ids=["heads", "one head"])
@pytest.mark.parametrize("dims", DIMS)
@pytest.mark.parametrize("apart", ["apart", "packed as the input", "in place"])
def test_a_store_rotates_groups_where_they_lie(apart, dims, heads, device):
    source = packed(device, torch.bfloat16)
    grouped, k, v = parts(source)
    grouped = grouped[..., :heads, :]
    grouped, flat = ordered(grouped, dims, True), ordered(alike(grouped), dims, False)
    k, v = (ordered(x, dims, False) for x in (k, v))
    expected = [*ropejit.Rotation({}, FORM, dims)(flat, k), v]
    rope = ropejit.Rotation({}, {**FORM, "grouped_q": True}, dims)
    before = source.clone()
    if apart == "in place":
        rope.store([ropejit.Operand("q", grouped), ropejit.Operand("k", k)])
        results = grouped, k, v
    else:
        if apart == "apart":
            results = [torch.empty_like(x, memory_format=torch.contiguous_format) for x in (grouped, k, v)]
        else:
            q_out, k_out, v_out = parts(torch.zeros_like(source))
            results = ordered(q_out[..., :heads, :], dims, True), *(ordered(x, dims, False) for x in (k_out, v_out))
        rope.store([ropejit.Operand(name, x, out) for name, x, out in zip("qkv", (grouped, k, v), results)])
        assert_same_bits([source], [before])
    place = dims.index("h")
    assert_same_bits([results[0].flatten(place, place + 1), *results[1:]], expected)


def test_a_prologue_with_weights_of_each_head(device):
    source = packed(device)
    grouped, k, v = (x[:, 0] for x in parts(source))
    norm = {"norm": {"weight": "heads", "eps": 1e-6}}
    weights = torch.rand(GROUPS * HEADS, DIM, device=device), torch.rand(GROUPS, DIM, device=device)
    arguments = {"q_weight": weights[0], "k_weight": weights[1]}
    again, new_k = grouped.reshape(TOKENS, -1, DIM), k.clone()
    ropejit.Prologue({"q": norm, "k": norm}, FORM)(again, new_k, **arguments)
    of = ropejit.Prologue({"q": norm, "k": norm}, {**FORM, "grouped_q": True})
    out = torch.zeros_like(grouped, memory_format=torch.contiguous_format)
    k_out = torch.zeros_like(k, memory_format=torch.contiguous_format)
    assert of(grouped, k, out=out, k_out=k_out, **arguments) is out
    assert_same_bits([out.flatten(1, 2), k_out], [again, new_k])
    assert of(grouped, k, **arguments) is grouped
    assert_same_bits([grouped.flatten(1, 2), k], [again, new_k])


def test_in_one_graph(device):
    grouped, k, v = parts(packed(device))
    rope = ropejit.Rotation({}, {**FORM, "grouped_q": True}, "sbhd")

    def step(q, k, v):
        results = [torch.empty(x.shape, device=device) for x in (q, k, v)]
        rope.store([ropejit.Operand(name, x, out) for name, x, out in zip("qkv", (q, k, v), results)])
        return results

    torch._dynamo.reset()
    compiled = torch.compile(step, backend="aot_eager", fullgraph=True)
    assert_same_bits(compiled(grouped, k, v), step(grouped, k, v))


def test_what_does_not_fit_is_named(device):
    grouped, k, _ = parts(packed(device))
    rope = ropejit.Rotation({}, {**FORM, "grouped_q": True}, "sbhd")

    def stores(q, k, **out):
        keys = [] if k is None else [ropejit.Operand("k", k)]
        return lambda: rope.store([ropejit.Operand("q", q, **out), *keys])

    cases = {
        "form.grouped_q: found true, allowed: false, but for store": lambda: rope(grouped, k),
        "form.grouped_q: found 'yes'": lambda: ropejit.Rotation({}, {"grouped_q": "yes"}),
        "q: found 2 groups of heads, allowed: 3": stores(grouped[:, :, :2], k),
        "q: found shape .*allowed: 5 dimensions .tokens, batch, groups, heads, lanes.": stores(k, k),
        "k: found none": stores(grouped, None),
        "q.output: found shape": stores(grouped, k, output=torch.empty(TOKENS, BATCH, GROUPS, 1, DIM, device=device)),
        r"q: found shape \(5, 192\)": lambda: ropejit.Prologue({}, {**FORM, "grouped_q": True})(
            grouped[:, 0].flatten(1), k[:, 0]
        ),
        "q: found 12 heads, allowed: 7": lambda: ropejit.Prologue({"q": {"heads": 7}}, {**FORM, "grouped_q": True})(
            grouped[:, 0], k[:, 0]
        ),
    }
    for message, call in cases.items():
        with pytest.raises(ValueError, match=message) as raised:
            call()
        assert "\n" not in str(raised.value)
