"""Prologue: k and v to the places that a page table has for them, caches in vLLM's first layout, and v beside its cache."""

import pytest
import torch

import ropejit
from shapes import assert_close, assert_same_bits
from test_ops import exact

Q_HEADS, K_HEADS, DIM, TOKENS = 4, 2, 32, 7
PAGES, BLOCK = 6, 4
DTYPE = torch.bfloat16
# Of three requests with 3, 1 and 2 pages; the last page of the last has one place.
LISTS = [[4, 0, 3], [5], [2, 1]]
REQUESTS = [0, 2, -1, 1, 0, 2, 0]
PLACES = [9, 3, 5, 2, 0, 4, -1]
SPEC = {"rope_theta": 10000.0}


def inputs(device):
    packed = torch.randn(TOKENS, Q_HEADS + 2 * K_HEADS, DIM, device=device).to(DTYPE)
    return packed.split((Q_HEADS, K_HEADS, K_HEADS), dim=1)


def caches(device):
    return torch.zeros(2, PAGES, BLOCK, K_HEADS, DIM, device=device, dtype=DTYPE).unbind(0)


def numbers(values, device, dtype=torch.int32):
    return torch.tensor(values, device=device, dtype=dtype)


def table(kind, device, requests=REQUESTS, places=PLACES, places_dtype=torch.int32):
    """As FlashInfer has it, or as vLLM has it, with rows that are wider than what is theirs."""
    tokens = [None if x is None else numbers(x, device, dtype) for x, dtype in ((requests, torch.int32), (places, places_dtype))]
    if kind == "block_table":
        wide = numbers([pages + [-1] * (5 - len(pages)) for pages in LISTS], device)
        return ropejit.PageTable(wide[:, :3], None, None, *tokens)
    first = numbers([0, 3, 4, 6], device)
    last = numbers([4, 4, 1], device) if kind == "page_lists" else None
    return ropejit.PageTable(numbers(sum(LISTS, []), device), first, last, *tokens)


def slots_of(requests=REQUESTS, places=PLACES):
    """The same as slots."""
    found = []
    for request, place in zip(requests, places):
        pages = LISTS[request] if request >= 0 else []
        found.append(pages[place // BLOCK] * BLOCK + place % BLOCK if 0 <= place < len(pages) * BLOCK else -1)
    return found


@pytest.mark.parametrize("places", [torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("apart", [False, True], ids=["in place", "apart"])
@pytest.mark.parametrize("kind", ["page_lists", "page_lists, full", "block_table"])
def test_tables_say_what_slots_say(kind, apart, places, device):
    q, k, v = inputs(device)
    positions = torch.randint(0, 5000, (TOKENS,), device=device)
    ours, theirs = caches(device), caches(device)
    of = ropejit.Prologue(SPEC)
    results = []
    for (k_cache, v_cache), slots in (
        (ours, table(kind, device, places_dtype=places)), (theirs, numbers(slots_of(), device, torch.int64))
    ):
        given = q.clone()
        out = torch.empty_like(given) if apart else None
        results.append(of(given, k, v, positions, k_cache=k_cache, v_cache=v_cache, slots=slots, out=out))
    assert theirs[0].any(-1).any(-1).sum() == sum(slot >= 0 for slot in slots_of())
    assert_same_bits([results[0], *ours], [results[1], *theirs])


def test_places_are_positions_where_nobody_says_otherwise(device):
    q, k, v = inputs(device)
    positions = numbers([9, 3, 5, 2, 0, 4, 1], device)
    requests = [0, 2, 1, 1, 0, 2, -1]
    ours, theirs = caches(device), caches(device)
    of = ropejit.Prologue(SPEC)
    # Place 5 is beyond the only page of request 1.
    slots = numbers(slots_of(requests, positions.tolist()), device)
    of(q.clone(), k, v, positions, k_cache=ours[0], v_cache=ours[1], slots=table("page_lists", device, requests, None))
    of(q.clone(), k, v, positions, k_cache=theirs[0], v_cache=theirs[1], slots=slots)
    assert_same_bits(ours, theirs)


def test_requests_are_the_ragged_sequences(device):
    q, k, v = inputs(device)
    ends, starts = numbers([0, 3, 5, 7], device), numbers([6, 1, 0], device)
    places = [6, 7, 8, 1, 2, 0, 1]
    ours, theirs = caches(device), caches(device)
    of = ropejit.Prologue(SPEC, {"positions": "ragged"})
    slots = numbers(slots_of([0, 0, 0, 1, 1, 2, 2], places), device)
    for (k_cache, v_cache), where in ((ours, table("block_table", device, None, None)), (theirs, slots)):
        of(q.clone(), k, v, starts, k_cache=k_cache, v_cache=v_cache, slots=where, cu_seqlens=ends)
    assert_same_bits(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
@pytest.mark.parametrize("by", ["slots", "page_lists"])
def test_vllms_first_layout(by, dtype, device):
    q, k, v = (x.to(dtype) for x in inputs(device))
    x = 16 // k.element_size()
    key_cache = torch.zeros(PAGES, K_HEADS, DIM // x, BLOCK, x, device=device, dtype=dtype)
    value_cache = torch.zeros(PAGES, K_HEADS, DIM, BLOCK, device=device, dtype=dtype)
    plain = [x.to(dtype) for x in caches(device)]
    where = numbers(slots_of(), device) if by == "slots" else table(by, device)
    of, positions = ropejit.Prologue(SPEC), torch.arange(TOKENS, device=device)
    of(q.clone(), k, v, positions, k_cache=key_cache, v_cache=value_cache.permute(0, 3, 1, 2), slots=where)
    of(q.clone(), k, v, positions, k_cache=plain[0], v_cache=plain[1], slots=where)
    assert_same_bits([key_cache.permute(0, 3, 1, 2, 4).flatten(3), value_cache.permute(0, 3, 1, 2)], plain)


@pytest.mark.parametrize("by", ["slots", "page_lists"])
def test_v_beside_its_cache(by, device):
    q, k, v = inputs(device)
    where = numbers(slots_of(), device) if by == "slots" else table(by, device)
    of, positions = ropejit.Prologue(SPEC), torch.arange(TOKENS, device=device)
    results = [torch.empty_like(x) for x in (q, k, v)]
    (k_cache, v_cache), expected = caches(device), caches(device)
    of(q, k, v, positions, k_cache=k_cache, v_cache=v_cache, slots=where, out=results[0], k_out=results[1], v_out=results[2])
    of(q, k, v, positions, k_cache=expected[0], v_cache=expected[1], slots=where, out=torch.empty_like(q))
    assert_same_bits([results[2], k_cache, v_cache], [v, *expected])
    assert_close(results[:2], [exact(x[None], positions[None])[0].to(DTYPE) for x in (q, k)])


@pytest.mark.parametrize("kind", ["page_lists", "block_table"])
def test_compiled_in_one_graph(kind, device):
    q, k, v = inputs(device)
    of, positions, where = ropejit.Prologue(SPEC), torch.arange(TOKENS, device=device), table(kind, device)

    def step(q, k, v, k_cache, v_cache):
        out, v_out = torch.empty_like(q), torch.empty_like(v)
        of(q, k, v, positions, k_cache=k_cache, v_cache=v_cache, slots=where, out=out, v_out=v_out)
        return out, v_out

    ours, theirs = ([x.clone() for x in caches(device)] for _ in range(2))
    torch._dynamo.reset()
    results = torch.compile(step, backend="aot_eager", fullgraph=True)(q, k, v, *ours)
    assert_same_bits([*results, *ours], [*step(q, k, v, *theirs), *theirs])


def test_the_operator_passes_torchs_own_checks(device):
    q, k, v = (x.contiguous() for x in inputs(device))
    p, (k_cache, v_cache) = ropejit.Prologue(SPEC), caches(device)
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_static")
    pages = [x for x in table("page_lists", device) if x is not None]
    lists = [k, v], [q, k_cache.clone(), v_cache.clone()], None, pages, "q ks vs @pflrc"
    positions = torch.arange(TOKENS, device=device)
    torch.library.opcheck(torch.ops.ropejit.prologue.default, (*lists, p.spec, p.form, positions), test_utils=tests)
    with pytest.raises(ValueError, match="names: found 'q ks vs @flrc'"):
        torch.ops.ropejit.prologue.default(*lists[:3], pages[1:], "q ks vs @flrc", p.spec, p.form, positions)


WRONG = {
    "no pages": (TypeError, "slots.pages: found NoneType", {"pages": None}),
    "pages of int64": (TypeError, "slots.pages: found torch.int64", {"pages": torch.zeros(6, dtype=torch.int64)}),
    "no page at all": (ValueError, r"slots.pages: found shape \(0,\)", {"pages": torch.zeros(0, dtype=torch.int32)}),
    "lists of two dimensions": (ValueError, r"slots.pages: found shape \(1, 6\)", {"pages": torch.zeros(1, 6, dtype=torch.int32)}),
    "first entries of one": (ValueError, r"slots.first_entries: found shape \(1,\)", {"first_entries": torch.zeros(1, dtype=torch.int32)}),
    "last lengths of two": (
        ValueError, r"slots.last_page_lengths: found shape \(2,\), allowed: \(3,\)",
        {"last_page_lengths": torch.zeros(2, dtype=torch.int32)},
    ),
    "few requests": (ValueError, r"slots.token_requests: found shape \(3,\)", {"token_requests": torch.zeros(3, dtype=torch.int32)}),
    "places of fp32": (TypeError, "slots.token_places: found torch.float32", {"token_places": torch.zeros(7)}),
    "places are a list": (TypeError, "slots.token_places: found list", {"token_places": [1]}),
    "a table and last lengths": (
        ValueError, "slots.last_page_lengths: found a tensor, allowed: None without first_entries",
        {"pages": torch.zeros(3, 2, dtype=torch.int32), "first_entries": None},
    ),
}


@pytest.mark.parametrize("case", list(WRONG))
def test_what_is_wrong_is_named(case, device):
    kind, words, changed = WRONG[case]
    changed = {name: x.to(device) if isinstance(x, torch.Tensor) else x for name, x in changed.items()}
    q, k, v = inputs(device)
    k_cache, v_cache = caches(device)
    with pytest.raises(kind, match=words) as raised:
        ropejit.Prologue(SPEC)(
            q, k, v, torch.arange(TOKENS, device=device), k_cache=k_cache, v_cache=v_cache,
            slots=table("page_lists", device)._replace(**changed),
        )
    assert "\n" not in str(raised.value)


def test_lists_with_gaps_are_copied(device):
    q, k, v = inputs(device)
    where = table("page_lists", device)
    gaps = ropejit.PageTable(*(torch.stack((x, x), dim=1)[:, 0] for x in where))
    ours, theirs = caches(device), caches(device)
    of, positions = ropejit.Prologue(SPEC), torch.arange(TOKENS, device=device)
    of(q.clone(), k, v, positions, k_cache=ours[0], v_cache=ours[1], slots=gaps)
    of(q.clone(), k, v, positions, k_cache=theirs[0], v_cache=theirs[1], slots=where)
    assert_same_bits(ours, theirs)


def test_a_split_cache_of_another_group_is_refused(device):
    q, k, v = inputs(device)
    key_cache = torch.zeros(PAGES, K_HEADS, DIM // 4, BLOCK, 4, device=device, dtype=DTYPE)
    with pytest.raises(ValueError, match=r"k_cache: found shape \(6, 2, 8, 4, 4\), allowed: \[pages, 2, 4, block_size, 8\]"):
        ropejit.Prologue(SPEC)(
            q, k, v, torch.arange(TOKENS, device=device), k_cache=key_cache, v_cache=caches(device)[1],
            slots=numbers(slots_of(), device),
        )
