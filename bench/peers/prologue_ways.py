"""The attention prologue of a case: its tensors, what is right, and who does it.

A contestant has ways, of which the fastest counts. A way is made for a case and prepares a call on one set of tensors;
a call takes nothing, stores k and v in the set's pages, and returns the q that it made.
"""

import dataclasses
import functools

import torch

import cells
import ropejit_c
from tensors import CHECKED

BLOCK = 16  # tokens of a page
THETA, EPS = 1e6, 1e-6
POSITIONS = 40960  # of Qwen3: rows of the tables
DECODE = 256  # up to so many tokens each is another sequence's; larger launches are chunks of sequences
CHUNK = 512


@dataclasses.dataclass(frozen=True)
class Case:
    """`tokens` in one list, without gaps."""

    q_heads: int
    k_heads: int
    v_heads: int
    head_dim: int
    tokens: int
    in_place: bool = False  # of q; rivals that return new tensors do so all the same
    dtype = torch.bfloat16

    q_lanes = property(lambda self: self.q_heads * self.head_dim)
    k_lanes = property(lambda self: self.k_heads * self.head_dim)
    v_lanes = property(lambda self: self.v_heads * self.head_dim)

    @property
    def lanes(self):
        return self.q_lanes + self.k_lanes + self.v_lanes

    @property
    def bytes(self):
        """Read and written; each token's position and slot, 16 bytes, come on top."""
        return 2 * self.tokens * self.lanes * self.dtype.itemsize

    @property
    def footprint(self):
        """Bytes of the rows that a launch touches."""
        return self.bytes - (self.tokens * self.q_lanes * self.dtype.itemsize if self.in_place else 0)

    @property
    def buffers(self):
        return 1 if self.footprint <= cells.L2_SAFE else max(2, -(-cells.BEYOND_L2 // self.footprint))


class Shared:
    """What all sets of a case have in common: weights, and what rivals keep beside their inputs."""

    def __init__(self, case, device):
        self.case, self.device = case, torch.device(device)
        weights = torch.empty(2, case.head_dim, device=device).uniform_(0.5, 1.5)
        if case.in_place:  # q is normed again and again: other weights would take all lanes but one to 0
            weights = weights.sub(1).sign()
        self.q_weight, self.k_weight = weights.to(case.dtype)

    def angles(self, positions):
        """[tokens, 1, head_dim / 2] in fp64."""
        half = self.case.head_dim // 2
        exponents = torch.arange(half, dtype=torch.float64, device=self.device) / half
        return positions.double()[:, None, None] * THETA**-exponents

    @functools.cached_property
    def table(self):
        """vLLM's: rows of cosines and then sines in the dtype, one a position."""
        angles = self.angles(torch.arange(POSITIONS, device=self.device))[:, 0]
        return torch.cat((angles.cos(), angles.sin()), -1).to(self.case.dtype)

    @functools.cached_property
    def scratch(self):
        """Between steps: normed q, normed k, rotated k."""
        case = self.case
        sizes = [(case.tokens, heads, case.head_dim) for heads in (case.q_heads, case.k_heads, case.k_heads)]
        return [torch.zeros(size, dtype=case.dtype, device=self.device) for size in sizes]


class Tensors:
    """One set: packed rows of q, k and v, pages that k and v go to by slots in no order, and where q may go."""

    def __init__(self, shared):
        case, device = shared.case, shared.device
        self.shared, self.case = shared, case
        self.qkv = torch.empty(case.tokens, case.lanes, dtype=case.dtype, device=device)
        split = self.qkv.split((case.q_lanes, case.k_lanes, case.v_lanes), -1)
        self.q, self.k, self.v = (part.unflatten(-1, (-1, case.head_dim)) for part in split)
        self.q_out = torch.empty(case.tokens, case.q_heads, case.head_dim, dtype=case.dtype, device=device)
        pages = 2 * -(-case.tokens // BLOCK)
        sizes = [(pages, BLOCK, heads, case.head_dim) for heads in (case.k_heads, case.v_heads)]
        self.k_pages, self.v_pages = (torch.empty(size, dtype=case.dtype, device=device) for size in sizes)
        self.slots = torch.randperm(pages * BLOCK, device=device)[: case.tokens].contiguous()
        run = 1 if case.tokens <= DECODE else CHUNK
        starts = torch.randint(0, POSITIONS - run, (-(-case.tokens // run), 1), device=device)
        self.positions = (starts + torch.arange(run, device=device)).flatten()[: case.tokens].contiguous()
        self.fill()

    def fill(self):
        """New inputs, and other numbers in what is to be written."""
        self.qkv.normal_(std=3)
        self.k_pages.normal_()
        self.v_pages.normal_()
        self.q_out.fill_(float("nan"))

    def flat(self, pages):
        return pages.view(-1, pages.shape[2] * pages.shape[3])


class Check:
    """Compares one call with fp64. Made before it, for it may overwrite its input. moves: q and k are only moved."""

    def __init__(self, tensors, moves=False):
        self.tensors, self.moves, case = tensors, moves, tensors.case
        self.rows = torch.linspace(0, case.tokens - 1, min(case.tokens, CHECKED), device=tensors.qkv.device).long()
        self.q, self.k, self.v = (x[self.rows].double() for x in (tensors.q, tensors.k, tensors.v))
        self.pages = [pages.clone() for pages in (tensors.k_pages, tensors.v_pages)]

    def error(self, q):
        """The largest error over the norm of its pair; infinity where v, or a place without a slot, is not right."""
        tensors = self.tensors
        slots = tensors.slots[self.rows]
        others = torch.ones(self.pages[0].shape[0] * BLOCK, dtype=torch.bool, device=slots.device)
        others[tensors.slots] = False
        for pages, before in zip((tensors.k_pages, tensors.v_pages), self.pages):
            if not torch.equal(tensors.flat(pages)[others], tensors.flat(before)[others]):
                return float("inf")
        k, v = (pages.flatten(0, 1)[slots].double() for pages in (tensors.k_pages, tensors.v_pages))
        if not torch.equal(v, self.v):
            return float("inf")
        shared = tensors.shared
        return max(self._error(q[self.rows], self.q, shared.q_weight), self._error(k, self.k, shared.k_weight))

    def _error(self, found, x, weight):
        if self.moves:
            return 0.0 if torch.equal(found.double(), x) else float("inf")
        x = x * torch.rsqrt(x.square().mean(-1, keepdim=True) + EPS) * weight.double()
        angles = self.tensors.shared.angles(self.tensors.positions[self.rows])
        cos, sin = angles.cos(), angles.sin()
        (a, b), (c, d) = x.chunk(2, -1), found.double().chunk(2, -1)
        error = torch.maximum((c - (a * cos - b * sin)).abs(), (d - (b * cos + a * sin)).abs())
        error = error / torch.hypot(a, b).clamp_min(1e-3)
        return float("inf") if error.isnan().any() else float(error.max())


# --- formulas -------------------------------------------------------------------------------------------------------


def norm(x, weight):
    wide = x.float()
    return wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + EPS) * weight.float()


def turned(x, table, positions):
    """Halves change places by an index: where they are put together by cat, as models do, Inductor makes three kernels
    of a norm and a rotation, with an fp32 tensor between them."""
    cos, sin = table[positions][:, None, None].float().chunk(2, -1)
    halves = x.float().unflatten(-1, (2, -1))
    signs = 2 * torch.arange(2, device=x.device)[:, None] - 1
    return (halves * cos + halves.flip(-2) * (sin * signs)).flatten(-2)


def norm_into(out, x, weight):
    out.copy_(norm(x, weight))


def rotate_into(q_out, k_out, q, k, table, positions):
    q_out.copy_(turned(q, table, positions))
    k_out.copy_(turned(k, table, positions))


def norm_and_rotate_into(q_out, k_out, qkv, q_weight, k_weight, table, positions):
    heads = (q_out.shape[1], k_out.shape[1])
    packed = qkv.unflatten(-1, (-1, q_out.shape[2]))
    q, k = packed[:, : heads[0]], packed[:, heads[0] : sum(heads)]
    q_out.copy_(turned(norm(q, q_weight), table, positions))
    k_out.copy_(turned(norm(k, k_weight), table, positions))


def append(k_places, v_places, k, v, slots):
    """k and v of [tokens, heads, head_dim]; places of [places, heads * head_dim]."""
    k_places.index_copy_(0, slots, k.flatten(1))
    v_places.index_copy_(0, slots, v.flatten(1))


def prologue(q_out, k_places, v_places, qkv, q_weight, k_weight, table, positions, slots):
    head_dim, q_heads = q_out.shape[2], q_out.shape[1]
    k_heads, packed = k_places.shape[1] // head_dim, qkv.unflatten(-1, (-1, head_dim))
    q, k, v = packed.split((q_heads, k_heads, packed.shape[1] - q_heads - k_heads), 1)
    q_out.copy_(turned(norm(q, q_weight), table, positions))
    k_places.index_copy_(0, slots, turned(norm(k, k_weight), table, positions).to(qkv.dtype).flatten(1))
    v_places.index_copy_(0, slots, v.flatten(1))


AUTOTUNED = {"max_autotune": True, "coordinate_descent_tuning": True}  # what max-autotune-no-cudagraphs stands for
COMBINED = {"combo_kernels": True}  # kernels that do not need each other go into one launch


def compiled(function, options=None):
    return torch.compile(function, fullgraph=True, dynamic=False, options=options)


# --- contestants ----------------------------------------------------------------------------------------------------


class Contestant:
    name, does = "", ""
    moves = False  # q and k are only moved

    def ways(self, shared):
        """{name of a way: function of Tensors that gives a call}"""
        raise NotImplementedError


class Floor(Contestant):
    name, moves = "floor", True

    def __init__(self, kernels):
        self.kernels = kernels
        self.does = "the fastest of 48 kernels of one launch that read and write the same and compute nothing"

    def ways(self, shared):
        def prepare(variant, tensors):
            q_out = tensors.q if shared.case.in_place else tensors.q_out
            parts = (tensors.q, tensors.k, tensors.v, q_out, tensors.k_pages, tensors.v_pages)
            call = self.kernels.call(variant, shared.case.tokens, *parts, tensors.slots, tensors.positions)
            return lambda: (call(), q_out)[1]

        variants = self.kernels.variants("prologue")
        return {name: functools.partial(prepare, variant) for name, variant in variants}


def spec_of(case, whole):
    """whole: with norms, and v; else the rotation alone."""
    spec = {"schema": 1, "dtype": "bf16", "layout": "split_half", "rope_theta": THETA, "rotary_dim": case.head_dim}
    for name, heads in (("q", case.q_heads), ("k", case.k_heads)):
        spec[name] = {"heads": heads, "head_dim": case.head_dim}
        if whole:
            spec[name]["norm"] = {"eps": EPS}
    if whole:
        spec["v"] = {"heads": case.v_heads, "head_dim": case.head_dim}
    return spec


def launcher(rope, kernel, args, like):
    def call():
        rope.launch(kernel, args, ropejit_c.current_stream(like))

    return call


class Ours(Contestant):
    """rope: a service (or a function that makes one when it is first needed, as tuning does)."""

    def __init__(self, rope, name="ropejit", does="one launch of the C ABI, as it is without tuning; exact angles"):
        self.rope, self.name, self.does = rope, name, does

    def ways(self, shared):
        rope, case = self.rope, shared.case
        form = {"placement": "in_place" if case.in_place else "out_of_place", "strides": "free", "positions": "ids64"}
        form |= {"k_rows": "slots64", "v_rows": "slots64"}
        kernel = rope.kernel(spec_of(case, whole=True), form)

        def prepare(tensors):
            q_out = None if case.in_place else tensors.q_out
            operands = [
                ropejit_c.operand(ropejit_c.Q, tensors.q, q_out, shared.q_weight),
                ropejit_c.operand(
                    ropejit_c.K, tensors.k, None, shared.k_weight, pages=tensors.k_pages, slots=tensors.slots
                ),
                ropejit_c.operand(ropejit_c.V, tensors.v, pages=tensors.v_pages, slots=tensors.slots),
            ]
            args = ropejit_c.args_of_operands(case.tokens, operands, tensors.positions)
            call, q = launcher(rope, kernel, args, tensors.q), tensors.q if case.in_place else tensors.q_out
            return lambda: (call(), q)[1]

        return {"one launch": prepare}


class Compiled(Contestant):
    name = "torch_compile"
    does = (
        "the whole chain as one function of torch.compile: the fastest of its default, of max-autotune, and of both with "
        "combo kernels"
    )

    def ways(self, shared):
        def way(options):
            function = compiled(prologue, options)

            def prepare(tensors):
                places = [tensors.flat(pages) for pages in (tensors.k_pages, tensors.v_pages)]
                given = (tensors.qkv, shared.q_weight, shared.k_weight, shared.table, tensors.positions, tensors.slots)
                return lambda: (function(tensors.q_out, *places, *given), tensors.q_out)[1]

            return prepare

        settings = {"default": {}, "max-autotune": AUTOTUNED}
        settings |= {"combo": COMBINED, "combo, max-autotune": COMBINED | AUTOTUNED}
        return {name: way(options) for name, options in settings.items()}


class TwoSteps(Contestant):
    name = "inductor_2_steps"
    does = (
        "two functions of torch.compile, cut where FlashInfer and vLLM cut: norms and rotation, then the append; its "
        "default, or with combo kernels"
    )

    def ways(self, shared):
        k_out = shared.scratch[1]

        def way(options):
            first, second = compiled(norm_and_rotate_into, options), compiled(append, options)

            def prepare(tensors):
                places = [tensors.flat(pages) for pages in (tensors.k_pages, tensors.v_pages)]

                def call():
                    weights = (shared.q_weight, shared.k_weight)
                    first(tensors.q_out, k_out, tensors.qkv, *weights, shared.table, tensors.positions)
                    second(*places, k_out, tensors.v, tensors.slots)
                    return tensors.q_out

                return call

            return prepare

        return {"default": way({}), "combo": way(COMBINED)}


class Steps(Contestant):
    name = "inductor_steps"
    does = (
        "torch.compile for each step by itself: norm of q, norm of k, rotation of both, append of k and v; its default, "
        "or with combo kernels"
    )

    def ways(self, shared):
        q_normed, k_normed, k_out = shared.scratch

        def way(options):
            steps = (norm_into, norm_into, rotate_into, append)
            norm_q, norm_k, turn, store = (compiled(step, options) for step in steps)

            def prepare(tensors):
                places = [tensors.flat(pages) for pages in (tensors.k_pages, tensors.v_pages)]

                def call():
                    norm_q(q_normed, tensors.q, shared.q_weight)
                    norm_k(k_normed, tensors.k, shared.k_weight)
                    turn(tensors.q_out, k_out, q_normed, k_normed, shared.table, tensors.positions)
                    store(*places, k_out, tensors.v, tensors.slots)
                    return tensors.q_out

                return call

            return prepare

        return {"default": way({}), "combo": way(COMBINED)}


class SingleLaunches(Contestant):
    name = "single_launches"
    does = (
        "four launches: norm of q and of k by torch.compile, ropejit's rotation of both in place, and the append "
        "by torch.compile or by the fastest kernel that only copies"
    )

    def __init__(self, rope, kernels):
        self.rope, self.kernels = rope, kernels

    def ways(self, shared):
        case, rope = shared.case, self.rope
        norm_q, norm_k, store = compiled(norm_into), compiled(norm_into), compiled(append, COMBINED)
        form = {"placement": "in_place", "positions": "ids64"}
        kernel, k_out = rope.kernel(spec_of(case, whole=False), form), shared.scratch[1]

        def prepare(appending, tensors):
            operands = [ropejit_c.operand(ropejit_c.Q, tensors.q_out), ropejit_c.operand(ropejit_c.K, k_out)]
            args = ropejit_c.args_of_operands(case.tokens, operands, tensors.positions)
            turn, last = launcher(rope, kernel, args, k_out), appending(tensors)

            def call():
                norm_q(tensors.q_out, tensors.q, shared.q_weight)
                norm_k(k_out, tensors.k, shared.k_weight)
                turn()
                last()
                return tensors.q_out

            return call

        def by_inductor(tensors):
            places = [tensors.flat(pages) for pages in (tensors.k_pages, tensors.v_pages)]
            return lambda: store(*places, k_out, tensors.v, tensors.slots)

        def by_copies(variant, tensors):
            parts = (None, k_out, tensors.v, None, tensors.k_pages, tensors.v_pages, tensors.slots, None)
            return self.kernels.call(variant, case.tokens, *parts)

        found = {"append by torch.compile": functools.partial(prepare, by_inductor)}
        if self.kernels is not None:
            for name, variant in self.kernels.variants("append"):
                found[f"append {name}"] = functools.partial(prepare, functools.partial(by_copies, variant))
        return found
