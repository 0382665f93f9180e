#!/usr/bin/env python3
"""Writes frequencies.json: the steps, inverse frequencies and scales of some RoPEs, by mpmath.

It shares nothing with src/spec/frequencies.cpp: every frequency is a power of its own (no products of a ratio), the
arithmetic has 4,000 bits, and rounding is done on exact integers. Needs mpmath and blake3:

    pip install mpmath blake3 && python3 tests/golden/make_frequencies.py
"""

import fractions
import json
import pathlib
import struct

import blake3
import mpmath

mpmath.mp.prec = 4000


def llama3(factor, low=1.0, high=4.0, original=8192):
    return {
        "rope_type": "llama3",
        "factor": factor,
        "low_freq_factor": low,
        "high_freq_factor": high,
        "original_max_position_embeddings": original,
    }


def linear(factor):
    return {"rope_type": "linear", "factor": factor}


def rule(rope_type, **fields):
    return {"rope_type": rope_type, **fields}


def phi_3_5(**fields):
    """Factors of the magnitudes that Phi-3.5-mini has: ascending, short ones near 1, long ones up to 64."""
    short = [1.0 + round(i * i / 800, 2) for i in range(48)]
    long = [1.08 + round(63 * (i / 47) ** 0.5, 2) for i in range(48)]
    return rule("longrope", short_factor=short, long_factor=long, original_max_position_embeddings=4096, **fields)


DEEPSEEK_V3 = rule(
    "yarn", factor=40.0, original_max_position_embeddings=4096, mscale=1.0, mscale_all_dim=1.0, scale_softmax=True
)
DEEPSEEK_V2 = {**DEEPSEEK_V3, "mscale": 0.707, "mscale_all_dim": 0.707}
GPT_OSS = rule("yarn", factor=32.0, original_max_position_embeddings=4096, truncate=False)

# theta, rotary_dim, scaling, whether every value is written out (else only the hash of the steps); max_length.
CASES = [
    (10000.0, 64, None, True),
    (10000.0, 128, None, True),
    (500000.0, 128, None, True),
    (500000.0, 128, llama3(8.0), True),
    (500000.0, 64, llama3(32.0), True),
    (500000.0, 128, llama3(8.0, 1.0, 1.0), True),
    (500000.0, 96, llama3(0.37, 0.5, 7.25, 5000), True),
    (10000.0, 128, linear(8.0), True),
    (1e6, 80, linear(2.5), True),
    (10000.0, 20, None, True),
    (10000.0, 2, None, True),
    (1.0, 16, None, True),
    (0.1, 32, None, True),
    (0.1, 32, linear(1e-9), True),
    (1e-200, 64, None, True),
    (5e-300, 24, linear(3e-5), True),
    (1.7e308, 48, linear(1e300), True),
    (8000000.0, 128, None, False),
    (1e9, 128, None, False),
    (10000.0, 4096, None, False),
    (500000.0, 4096, llama3(8.0), False),
    (1e-300, 4096, linear(0.5), False),
    (10000.0, 128, rule("dynamic", factor=2.0, max_position_embeddings=2048), True, 2048),
    (10000.0, 128, rule("dynamic", factor=2.0, max_position_embeddings=2048), True, 2049),
    (10000.0, 128, rule("dynamic", factor=2.0, max_position_embeddings=2048), True, 8192),
    (1000000.0, 4, rule("dynamic", factor=0.3, max_position_embeddings=1), True, 2**53),
    (10000.0, 128, rule("ntk", alpha=1000.0), True),
    (10000.0, 4, rule("ntk", alpha=1e-40), True),
    (10000.0, 64, DEEPSEEK_V3, True),
    (10000.0, 64, DEEPSEEK_V2, True),
    (150000.0, 64, GPT_OSS, True),
    (
        1000000.0,
        128,
        rule("yarn", factor=16.0, original_max_position_embeddings=16384, mscale=1.0, mscale_all_dim=1.0),
        True,
    ),
    (1000000.0, 128, rule("yarn", factor=4.0, original_max_position_embeddings=32768), True),
    (10000.0, 64, rule("yarn", factor=0.5, original_max_position_embeddings=2048, beta_fast=2.0, beta_slow=2.0), True),
    (10000.0, 64, rule("yarn", factor=8.0, original_max_position_embeddings=3), True),
    (1.5, 32, rule("yarn", factor=8.0, original_max_position_embeddings=2**53, truncate=False), True),
    (1.0000001, 8, rule("yarn", factor=3.0, original_max_position_embeddings=4096), True),
    (
        10000.0,
        96,
        rule(
            "yarn",
            factor=10.0,
            original_max_position_embeddings=4096,
            extrapolation_factor=0.625,
            attn_factor=1.25,
            beta_fast=24.5,
            beta_slow=0.75,
            truncate=False,
            mscale=0.5,
            mscale_all_dim=2.5,
        ),
        True,
    ),
    (10000.0, 64, {**DEEPSEEK_V3, "attention_factor": 0.875}, False),
    (10000.0, 64, {**DEEPSEEK_V3, "mscale_all_dim": 0.0}, False),
    (10000.0, 4096, GPT_OSS, False),
    (
        10000.0,
        64,
        rule("deepseek_yarn", factor=40.0, original_max_position_embeddings=4096, mscale=1.0, mscale_all_dim=1.0),
        True,
    ),
    (
        10000.0,
        64,
        rule("deepseek_yarn", factor=16.0, original_max_position_embeddings=8192, mscale=0.707, attn_factor=0.5),
        True,
    ),
    (
        160000.0,
        64,
        rule("deepseek_yarn", factor=16.0, original_max_position_embeddings=65536, mscale=0.0, mscale_all_dim=1.5),
        True,
    ),
    (10000.0, 96, phi_3_5(factor=32.0), True, 4096),
    (10000.0, 96, phi_3_5(factor=32.0), True, 4097),
    (10000.0, 96, phi_3_5(factor=1.0), False, 1),
    (10000.0, 96, phi_3_5(attention_factor=1.5), False, 131072),
    (10000.0, 96, phi_3_5(factor=32.0, attention_factor=1.5, short_mscale=1.25, long_mscale=1.75), False, 4096),
    (10000.0, 96, phi_3_5(factor=32.0, attention_factor=1.5, short_mscale=1.25, long_mscale=1.75), False, 4097),
    (1000000.0, 512, rule("proportional", partial_rotary_factor=0.25), True),
    (1000000.0, 48, rule("proportional", partial_rotary_factor=0.334, factor=8.0), True),
    (1000000.0, 48, rule("proportional", partial_rotary_factor=0.01), True),
    (10000.0, 8, rule("inv_freq", inv_freq=[1.0, 0.1, 0.0, 1e-300]), True),
    (10000.0, 8, rule("inv_freq", inv_freq=[1e300, 6.283185307179586, 3.3, 1e9], attention_factor=1.1), True),
]


def axes(*sections, order="chunked", frequencies="shared"):
    return {"sections": list(sections), "order": order, "frequencies": frequencies}


# theta, rotary_dim, scaling, axes (None: one), angle: always in full.
CASES_WITH_AXES_OR_ROUNDING = [
    (1000000.0, 128, None, axes(16, 24, 24), "exact"),
    (1000000.0, 128, llama3(8.0), axes(24, 20, 20, order="interleaved"), "exact"),
    (500000.0, 128, None, axes(20, 22, 22, order="alternating"), "exact"),
    (10000.0, 80, None, axes(20, 20, frequencies="restarted"), "exact"),
    (10000.0, 96, linear(2.5), axes(3, 40, 0, 5, frequencies="restarted"), "exact"),
    (10000.0, 128, None, axes(24, 20, 20, order="interleaved", frequencies="restarted"), "exact"),
    (10000.0, 48, None, axes(4, 10, 10, order="alternating", frequencies="restarted"), "exact"),
    (10000.0, 64, None, axes(16, 16, frequencies="strided"), "exact"),
    (10000.0, 64, linear(0.3), axes(10, 22, frequencies="strided"), "exact"),
    (1e-20, 24, None, axes(1, 2, 9, frequencies="strided"), "exact"),
    (1e-20, 24, None, axes(1, 2, 9, frequencies="restarted"), "exact"),
    (100.0, 32, None, axes(6, 5, 5, order="interleaved", frequencies="strided"), "exact"),
    (500000.0, 128, llama3(8.0), None, "fp32_inv_freq"),
    (10000.0, 128, None, None, "fp32"),
    (10000.0, 64, None, axes(16, 16, frequencies="strided"), "fp32_inv_freq"),
    (150000.0, 64, GPT_OSS, None, "fp32_inv_freq"),
    # Halfway between two floats, to the even one: and just beyond, where rounding twice would go wrong. Subnormal ones.
    (
        10000.0,
        12,
        rule("inv_freq", inv_freq=[1 + 2**-24, 1 + 3 * 2**-24, 3 * 2**-150, 2**-150, 2**-151 + 2**-160, 2.0**126.5]),
        None,
        "fp32_inv_freq",
    ),
    # w_i is near 1 + 2^-24 + 2^-71: above the middle of two floats, but on it as a double.
    (10000.0, 2, linear(1 - 2**-24 + 2**-48 - 2**-53), None, "fp32_inv_freq"),
    (1.7e308, 48, linear(1e30), None, "fp32"),
]


def ramp(theta, dim, scaling):
    """r_i of every pair, as Hugging Face's yarn has it, and whether vLLM's deepseek_yarn."""
    mpf = mpmath.mpf
    original = mpf(scaling["original_max_position_embeddings"])

    def correction_dim(turns):
        return dim * mpmath.log(original / (mpf(turns) * 2 * mpmath.pi)) / (2 * mpmath.log(mpf(theta)))

    low = correction_dim(scaling.get("beta_fast", 32.0))
    high = correction_dim(scaling.get("beta_slow", 1.0))
    if scaling.get("truncate", True):
        low, high = mpmath.floor(low), mpmath.ceil(high)
    low, high = max(low, mpf(0)), min(high, mpf(dim - 1))
    if low == high:
        high += mpf(0.001)
    return [min(max((i - low) / (high - low), mpf(0)), mpf(1)) for i in range(dim // 2)]


def frequencies(theta, dim, scaling, max_length):
    mpf = mpmath.mpf
    pairs = range(dim // 2)
    if scaling is not None and scaling["rope_type"] == "inv_freq":
        return [mpf(w) for w in scaling["inv_freq"]]
    base = mpf(theta)
    if scaling is not None and scaling["rope_type"] == "dynamic":
        trained, s = scaling["max_position_embeddings"], mpf(scaling["factor"])
        base *= (s * max(max_length, trained) / trained - (s - 1)) ** (mpf(dim) / (dim - 2))
    if scaling is not None and scaling["rope_type"] == "ntk":
        base *= mpf(scaling["alpha"]) ** (mpf(dim) / (dim - 2))
    f = [mpmath.power(base, mpf(-2 * i) / dim) for i in pairs]
    if scaling is None or scaling["rope_type"] in ("dynamic", "ntk"):
        return f
    if scaling["rope_type"] == "longrope":
        is_long = max_length > scaling["original_max_position_embeddings"]
        return [f[i] / mpf(scaling["long_factor" if is_long else "short_factor"][i]) for i in pairs]
    factor = mpf(scaling.get("factor", 1.0))
    if scaling["rope_type"] == "linear":
        return [w / factor for w in f]
    if scaling["rope_type"] == "proportional":
        turning = int(scaling["partial_rotary_factor"] * dim // 2)
        return [f[i] / factor if i < turning else mpf(0) for i in pairs]
    if scaling["rope_type"] == "llama3":
        return [llama3_frequency(w, scaling) for w in f]
    assert scaling["rope_type"] in ("yarn", "deepseek_yarn")
    result = []
    for w, r in zip(f, ramp(theta, dim, scaling)):
        mask = (1 - r) * mpf(scaling.get("extrapolation_factor", 1.0))
        result.append(w / factor * (1 - mask) + w * mask)
    return result


def deal(spec_axes, pairs):
    """The axis of every pair, by filling slots: what the words of axes.hpp say, done another way than the library."""
    sections, order = spec_axes["sections"], spec_axes["order"]
    if order == "chunked":
        return [axis for axis, size in enumerate(sections) for _ in range(size)]
    axis_of = [0] * pairs
    for axis in range(1, len(sections)):
        first, stride = (axis - 1, 2) if order == "alternating" else (axis, len(sections))
        for j in range(sections[axis]):
            axis_of[first + j * stride] = axis
    return axis_of


def frequencies_of_axes(theta, dim, scaling, spec_axes):
    mpf = mpmath.mpf
    axis_of = deal(spec_axes, dim // 2)
    assert [axis_of.count(a) for a in range(len(spec_axes["sections"]))] == spec_axes["sections"]
    if spec_axes["frequencies"] == "shared":
        return axis_of, frequencies(theta, dim, scaling, None)
    result = []
    for i, axis in enumerate(axis_of):
        place = axis_of[:i].count(axis)
        if spec_axes["frequencies"] == "restarted":
            exponent = mpf(-2 * place) / (2 * spec_axes["sections"][axis])
        else:
            exponent = mpf(-2 * (len(spec_axes["sections"]) * place + axis)) / dim
        result.append(mpmath.power(mpf(theta), exponent) / (1 if scaling is None else mpf(scaling["factor"])))
    return axis_of, result


def llama3_frequency(f, scaling):
    factor = mpmath.mpf(scaling["factor"])
    low = mpmath.mpf(scaling["low_freq_factor"])
    high = mpmath.mpf(scaling["high_freq_factor"])
    original = mpmath.mpf(scaling["original_max_position_embeddings"])
    wavelength = 2 * mpmath.pi / f
    if wavelength < original / high:
        return f
    if wavelength > original / low:
        return f / factor
    m = (original / wavelength - low) / (high - low)
    return (1 - m) * f / factor + m * f


def magnitude(factor, mscale):
    if factor <= 1:
        return mpmath.mpf(1)
    return mpmath.mpf(mscale) / 10 * mpmath.log(mpmath.mpf(factor)) + 1


def attention_scale(scaling, max_length):
    if scaling is None:
        return mpmath.mpf(1)
    kind = scaling["rope_type"]
    if kind == "longrope":
        original = scaling["original_max_position_embeddings"]
        mscale = scaling.get("long_mscale" if max_length > original else "short_mscale")
        if mscale is not None:
            return mpmath.mpf(mscale)
    if "attention_factor" in scaling:
        return mpmath.mpf(scaling["attention_factor"])
    if kind == "longrope":
        s = scaling["factor"]
        return mpmath.mpf(1) if s <= 1 else mpmath.sqrt(1 + mpmath.log(s) / mpmath.log(original))
    if kind == "deepseek_yarn":
        mscale, all_dim = scaling.get("mscale", 1.0), scaling.get("mscale_all_dim", 0.0)
    elif kind == "yarn":
        mscale, all_dim = scaling.get("mscale", 0.0), scaling.get("mscale_all_dim", 0.0)
        if not (mscale and all_dim):
            mscale, all_dim = 1.0, 0.0
    else:
        return mpmath.mpf(1)
    s = scaling["factor"]
    return mpmath.mpf(scaling.get("attn_factor", 1.0)) * magnitude(s, mscale) / magnitude(s, all_dim)


def softmax_scale(scaling):
    if scaling is None or not (scaling["rope_type"] == "deepseek_yarn" or scaling.get("scale_softmax")):
        return mpmath.mpf(1)
    return magnitude(scaling["factor"], scaling.get("mscale_all_dim", 0.0)) ** 2


def exact(x):
    """An mpf, 0 or above, as a fraction."""
    sign, mantissa, exponent, _ = x._mpf_
    assert sign == 0
    return fractions.Fraction(int(mantissa)) * fractions.Fraction(2) ** exponent


def step(w):
    """round() of a fraction is to nearest, ties to even."""
    return round(exact(w / (2 * mpmath.pi)) * 2**64) % 2**64


def nearest_double(w):
    """Division of integers is correctly rounded in Python, subnormal results too."""
    x = exact(w)
    return x.numerator / x.denominator


def nearest_float(w):
    """To nearest, ties to even, subnormal results too, by integers; as a fraction. None above the range."""
    x = exact(w)
    if x == 0:
        return x
    exponent = x.numerator.bit_length() - x.denominator.bit_length()
    if fractions.Fraction(2) ** exponent > x:
        exponent -= 1
    last_place = fractions.Fraction(2) ** max(exponent - 23, -149)
    result = round(x / last_place) * last_place
    return result if result < 2**128 else None


def float_bits(x):
    return 0x7F800000 if x is None else struct.unpack("<I", struct.pack("<f", float(x)))[0]


def fraction_to_mpf(x):
    """Exact: the denominator is a power of two."""
    return mpmath.mpf(x.numerator) / x.denominator


def case_with_axes_or_rounding(theta, dim, scaling, spec_axes, angle):
    case = {"rope_theta": theta, "rotary_dim": dim, "rope_scaling": scaling}
    if spec_axes is None:
        w_of_pairs = frequencies(theta, dim, scaling, None)
    else:
        case["axes"] = spec_axes
        case["axis_of_pairs"], w_of_pairs = frequencies_of_axes(theta, dim, scaling, spec_axes)
    rounded = [nearest_float(w) for w in w_of_pairs]
    if angle != "exact":
        w_of_pairs = [fraction_to_mpf(x) for x in rounded]
    case["angle"] = angle
    case["steps"] = [str(step(w)) for w in w_of_pairs]
    case["inv_freq"] = [nearest_double(w) for w in w_of_pairs]
    case["inv_freq_fp32_bits"] = [float_bits(x) for x in rounded]
    return case


def main():
    cases = []
    for theta, dim, scaling, in_full, *length in CASES:
        max_length = length[0] if length else None
        w_of_pairs = frequencies(theta, dim, scaling, max_length)
        steps = [step(w) for w in w_of_pairs]
        case = {"rope_theta": theta, "rotary_dim": dim, "rope_scaling": scaling}
        if max_length is not None:
            case["max_length"] = max_length
        case["attention_scale"] = nearest_double(attention_scale(scaling, max_length))
        case["softmax_scale"] = nearest_double(softmax_scale(scaling))
        case["steps_blake3"] = blake3.blake3(struct.pack(f"<{len(steps)}Q", *steps)).hexdigest()[:32]
        if in_full:
            case["steps"] = [str(s) for s in steps]
            case["inv_freq"] = [nearest_double(w) for w in w_of_pairs]
        cases.append(case)
    more = [case_with_axes_or_rounding(*case) for case in CASES_WITH_AXES_OR_ROUNDING]
    lists = [
        f' "{name}": [\n' + ",\n".join("  " + json.dumps(case) for case in listed) + "\n ]"
        for name, listed in (("cases", cases), ("cases_with_axes_or_rounding", more))
    ]
    out = pathlib.Path(__file__).with_name("frequencies.json")
    out.write_text("{\n" + ",\n".join(lists) + "\n}\n")


if __name__ == "__main__":
    main()
