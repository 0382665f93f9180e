"""What calls of a Prologue bring for the stages of an operand, beside the tensor itself."""

from ropejit import _templates

# What stands behind (tensor, where it is written, slots, beside) in an operand of a Prologue, as callers call it.
KEYS = ("weight", "statistic", "statistic_out", "norm_bias", "bias", "head_scales")
# A letter for each, by which torch.ops.ropejit.prologue knows it, and its bit of Site (site.h).
LETTERS = "wrtnah"
_BITS = {key: 1 << number for number, key in enumerate(KEYS)}
_WEIGHT_OF_HEADS, _STATISTIC_OF_TOKEN = 64, 128


def has(brings, key):
    """Whether `brings`, of brings_of, has that key."""
    return brings & _BITS[key] != 0


def is_of_heads(brings):
    """Whether each head has weights of its own."""
    return brings & _WEIGHT_OF_HEADS != 0


def is_of_token(brings):
    """Whether a token has one statistic, and not each head."""
    return brings & _STATISTIC_OF_TOKEN != 0


def _says(place, key, usual):
    value = place.get(key)
    return usual if value is None else value


def brings_of(spec, form, name):
    """What spec and form, dicts, have calls bring for that operand: a Site's bits. Wrong words are for the library to
    refuse."""
    operand, norm = _templates.operand_of(spec, name), _templates.norm_of(spec, name)
    found = _BITS["bias"] * (_says(operand, "bias", False) is True)
    found |= _BITS["head_scales"] * (_says(operand, "head_scales", False) is True)
    if norm is None:
        return found
    weight, statistic = _says(norm, "weight", "lanes"), _says(norm, "statistic", "computed")
    if weight != "none":
        found |= _BITS["weight"] | _BITS["norm_bias"] * (_says(norm, "bias", False) is True)
    if statistic in ("given", "given_sum"):
        found |= _BITS["statistic"]
    elif form.get("norm_statistics") is True:
        found |= _BITS["statistic_out"]
    return found | _WEIGHT_OF_HEADS * (weight == "heads") | _STATISTIC_OF_TOKEN * (_says(norm, "span", "head") == "token")


def first_of(spec, name):
    """The key of a stage that is not the rotation and that a spec has for that operand; None: it has none."""
    operand = _templates.operand_of(spec, name)
    for key in ("norm", "bias", "clamp", "scale", "head_scales", "temperature"):
        if operand.get(key) is not None and operand[key] is not False:
            return key
    return None
