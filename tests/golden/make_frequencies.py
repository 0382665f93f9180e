#!/usr/bin/env python3
"""Writes frequencies.json: the steps and inverse frequencies of some RoPEs, by mpmath.

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


# theta, rotary_dim, scaling, whether every value is written out (else only the hash of the steps).
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
]


def frequency(theta, dim, scaling, i):
    f = mpmath.power(mpmath.mpf(theta), mpmath.mpf(-2 * i) / dim)
    if scaling is None:
        return f
    factor = mpmath.mpf(scaling["factor"])
    if scaling["rope_type"] == "linear":
        return f / factor
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


def exact(x):
    """A positive mpf as a fraction."""
    sign, mantissa, exponent, _ = x._mpf_
    assert sign == 0
    return fractions.Fraction(int(mantissa)) * fractions.Fraction(2) ** exponent


def step(w):
    """round() of a fraction is to nearest, ties to even."""
    return round(exact(w / (2 * mpmath.pi)) * 2**64) % 2**64


def inverse_frequency(w):
    """Division of integers is correctly rounded in Python, subnormal results too."""
    x = exact(w)
    return x.numerator / x.denominator


def main():
    cases = []
    for theta, dim, scaling, in_full in CASES:
        frequencies = [frequency(theta, dim, scaling, i) for i in range(dim // 2)]
        steps = [step(w) for w in frequencies]
        case = {"rope_theta": theta, "rotary_dim": dim, "rope_scaling": scaling}
        case["steps_blake3"] = blake3.blake3(struct.pack(f"<{len(steps)}Q", *steps)).hexdigest()[:32]
        if in_full:
            case["steps"] = [str(s) for s in steps]
            case["inv_freq"] = [inverse_frequency(w) for w in frequencies]
        cases.append(case)
    lines = ",\n".join("  " + json.dumps(case) for case in cases)
    out = pathlib.Path(__file__).with_name("frequencies.json")
    out.write_text('{\n "cases": [\n' + lines + "\n ]\n}\n")


if __name__ == "__main__":
    main()
