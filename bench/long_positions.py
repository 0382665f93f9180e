#!/usr/bin/env python3
"""How far rotated tensors are from the truth at long positions: ropejit's two kinds of angles, and the fp32 pipeline.

    python3 bench/long_positions.py [--device cuda|host] [--library libropejit.so] [--json FILE] [--tokens N]

Prints a table for each theta in Markdown and writes all figures and what they were taken with as JSON. Needs PyTorch
(for the host target a CPU one will do) and ropejit as a shared library: ./dev bundle makes one in build/bundle/lib, and
puts this script and ropejit_c.py beside it. On a GPU, NVRTC must be found as always (ROPEJIT_NVRTC).

An error is that of one element against the exact rotation of the very same input, over the norm of its pair. Exact
angles are worked out in decimal arithmetic of 60 digits: products in double are off by up to 1.6e-7 radians near 2^31, as
much as what is measured here.

    exact    ropejit as it is by default
    parity   ropejit with "angle": "fp32" and "rounding": "p1"
    fp32     what Hugging Face's modeling files compute, by PyTorch on the same device: inverse frequencies, positions
             and their products in fp32, cos and sin of those rounded to the dtype, products and sum in the dtype
"""

import argparse
import datetime
import decimal
import json
import math
import os
import pathlib
import platform
import random
import shlex
import sys

import torch

import ropejit_c

HEADS, HEAD_DIM = 4, 128
THETAS = (10000.0, 500000.0)
LABELS = {0: "0 to 1,023", 10**5: "1e5", 10**6: "1e6", 10**7: "1e7", 2**24 + 1: "2^24 + 1", 2**31 - 1: "2^31 - 1"}
WINDOW = 1024  # tokens are taken from the positions up to this one
DTYPES = {"bf16": torch.bfloat16, "fp32": torch.float32}


# --- ropejit -------------------------------------------------------------------------------------------------------


def rotate(rope, q, positions, theta, dtype, **more):
    """q of [tokens, heads, head_dim] rotated, as a new tensor."""
    spec = {
        "schema": 1,
        "dtype": dtype,
        "rope_theta": theta,
        "rotary_dim": q.shape[2],
        "q": {"heads": q.shape[1], "head_dim": q.shape[2], "first_lane": 0},
        **more,
    }
    out = torch.empty_like(q)
    args = ropejit_c.args_of(1, q.shape[0], q, q_out=out, positions=positions)
    rope.launch(rope.kernel(spec, {"placement": "out_of_place"}), args, ropejit_c.current_stream(q))
    return out


# --- the pipeline in fp32, and the truth ---------------------------------------------------------------------------


def rotate_in_fp32(q, positions, theta):
    half = q.shape[2] // 2
    exponents = torch.arange(0, 2 * half, 2, dtype=torch.float32, device=q.device) / (2 * half)
    angles = positions.float()[:, None] * (1.0 / theta**exponents)
    cos = angles.cos().to(q.dtype)[:, None]
    sin = angles.sin().to(q.dtype)[:, None]
    a, b = q[..., :half], q[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


def decimal_pi():
    def arctan_of_inverse(n):
        total = term = decimal.Decimal(1) / n
        k = 1
        while abs(term) > decimal.Decimal(10) ** -(decimal.getcontext().prec + 5):
            term = -term / (n * n)
            k += 2
            total += term / k
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239))


class Truth:
    """cos and sin of exact angles, as doubles."""

    def __init__(self):
        decimal.getcontext().prec = 60
        self.turn = 2 * decimal_pi()

    def __call__(self, positions, theta, pairs):
        base = decimal.Decimal(theta)
        frequencies = [base ** (decimal.Decimal(-i) / pairs) for i in range(pairs)]
        angles = [[float((position * w) % self.turn) for w in frequencies] for position in positions]
        cos = torch.tensor([[math.cos(t) for t in row] for row in angles], dtype=torch.float64)
        sin = torch.tensor([[math.sin(t) for t in row] for row in angles], dtype=torch.float64)
        return cos, sin


def worst_error(q, rotated, cos, sin):
    """The largest error of an element over the norm of its pair."""
    half = q.shape[2] // 2
    x, y = q.cpu().double(), rotated.cpu().double()
    a, b = x[..., :half], x[..., half:]
    cos, sin = cos[:, None], sin[:, None]
    error = torch.maximum((y[..., :half] - (a * cos - b * sin)).abs(), (y[..., half:] - (b * cos + a * sin)).abs())
    assert not error.isnan().any()
    return float((error / torch.hypot(a, b)).max())


# --- all of it -----------------------------------------------------------------------------------------------------


def positions_near(position, count, seed):
    """The position itself and others at random from the window that ends with it (0: that begins with it)."""
    choose = random.Random(seed)
    first = max(0, position - WINDOW + 1)
    others = choose.sample(range(first, first + WINDOW), count)
    return [position] + [other for other in others if other != position][: count - 1]


def measure(rope, truth, device, count):
    rows = []
    for theta in THETAS:
        for seed, (position, label) in enumerate(LABELS.items()):
            listed = positions_near(position, count, seed)
            positions = torch.tensor(listed, dtype=torch.int64, device=device)
            cos, sin = truth(listed, theta, HEAD_DIM // 2)
            row = {"theta": theta, "position": position, "label": label, "errors": {}}
            for dtype, kind in DTYPES.items():
                generator = torch.Generator().manual_seed(seed)
                q = torch.randn(count, HEADS, HEAD_DIM, generator=generator).to(kind).to(device)
                made = {
                    "exact": rotate(rope, q, positions, theta, dtype),
                    "parity": rotate(rope, q, positions, theta, dtype, angle="fp32", rounding="p1"),
                    "fp32": rotate_in_fp32(q, positions, theta),
                }
                row["errors"][dtype] = {name: worst_error(q, out, cos, sin) for name, out in made.items()}
            rows.append(row)
    return rows


def print_table(rows, theta):
    kinds = [(dtype, name) for dtype in DTYPES for name in ("exact", "parity", "fp32")]
    print(f"\ntheta {theta:g}, head dim {HEAD_DIM}, split_half\n")
    print("| position | " + " | ".join(f"{dtype}, {name}" for dtype, name in kinds) + " |")
    print("|---" * (len(kinds) + 1) + "|")
    for row in rows:
        if row["theta"] == theta:
            cells = (f"{row['errors'][dtype][name]:.1e}" for dtype, name in kinds)
            print(f"| {row['label']} | " + " | ".join(cells) + " |")


def driver_version():
    try:
        text = pathlib.Path("/proc/driver/nvidia/version").read_text()
        return next(word for word in text.split() if word[0].isdigit() and word.count(".") >= 1)
    except (OSError, StopIteration):
        return None


def environment(rope, device):
    made = {
        "command": shlex.join(["python3", *sys.argv]),
        "date": datetime.date.today().isoformat(),
        "ropejit": rope.version(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "device": "host",
    }
    if device == "cuda":
        made["device"] = torch.cuda.get_device_name()
        made["driver"] = driver_version()
        made["cuda_of_torch"] = torch.version.cuda
    return made


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "host"), default="cuda" if torch.cuda.is_available() else "host")
    parser.add_argument("--library", default=os.environ.get("ROPEJIT_LIBRARY") or ropejit_c.find_library())
    parser.add_argument("--json", default="long_positions.json", help="where the figures go (long_positions.json)")
    parser.add_argument("--tokens", type=int, default=64, help="positions tried around each, 1 to 1024 (64)")
    options = parser.parse_args()
    if not 1 <= options.tokens <= WINDOW:
        parser.error(f"--tokens: found {options.tokens}, allowed: 1 to {WINDOW}")
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("--device: found cuda, but PyTorch sees no GPU, allowed: host")
    sys.excepthook = ropejit_c.exit_with_error
    rope = ropejit_c.Ropejit(options.library, options.device)
    rows = measure(rope, Truth(), "cpu" if options.device == "host" else "cuda", options.tokens)
    taken_with = environment(rope, options.device)
    print(", ".join(f"{key} {value}" for key, value in taken_with.items()))
    for theta in THETAS:
        print_table(rows, theta)
    pathlib.Path(options.json).write_text(json.dumps({**taken_with, "tokens": options.tokens, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
