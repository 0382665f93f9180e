"""What the drop-ins share that take q, k and v through more than the rotation: which Prologue a call takes, the tokens of
batches as one list, and plain appends to a cache."""

from ropejit._kind import made_once_of
from ropejit._prologue import Prologue
from ropejit.dropin import _heads


class Traced(Prologue):
    """What a trace needs of a Prologue: made within one, of a Prologue's texts, which a trace takes for constants."""

    def __init__(self, spec, form, v_stage):
        self.spec, self.form, self.v_stage = spec, form, v_stage


def made_once(make):
    """A function of plain values that gives the Prologue of make's (spec, form) for them, in traces too. The most recent
    1,024 are kept."""
    return made_once_of(make, Prologue, Traced, "v_stage")


# Nothing turns: what is appended by it takes k's tensor for q, too, which is left alone.
APPEND = Prologue({"q": {"rotates": False}, "k": {"rotates": False}}, {"positions": "start"})


@made_once
def by_cache(is_neox, q_eps=None, k_eps=None):
    """q and k by rows of [cosines, sines] at ids; with eps after a norm of each head."""
    spec, form, _ = _heads.by_cache("shd", is_neox)
    for name, eps in (("q", q_eps), ("k", k_eps)):
        if eps is not None:
            spec[name] = {"norm": {"eps": eps}}
    return spec, form


def in_one_list(positions, *tensors, head_size):
    """positions and q, k, v with their batch, if there is one, taken into the tokens: [tokens], and [tokens, heads,
    head_size] as a view each."""
    batched = positions.dim() == 2
    result = []
    for tensor in tensors:
        if tensor is not None:
            tensor = _heads.with_heads_and_batch(tensor, head_size) if batched else _heads.with_heads(tensor, head_size)
            tensor = tensor.view(-1, *tensor.shape[2:]) if batched else tensor
        result.append(tensor)
    return (positions.flatten(), *result)
