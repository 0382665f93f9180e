#!/usr/bin/env python3
"""All that is to be seen on a GPU, in some five minutes; prints a short table.

    python3 -m pip install --no-deps --no-index --target /tmp/site build/dist/ropejit-*.whl
    PYTHONPATH=/tmp/site python3 python/tests/on_gpu.py [--peers build/peers] [--only tests|host]

Needs torch, pytest, transformers; uses pytest-xdist and a folder of bench/peers/get_peers.py where they are there.
The tests run twice: all of them by the generic kernel, which compiles nothing and gives the same bits, and those of the
operators, the models and bf16 by kernels made for each case.
"""

import argparse
import importlib
import importlib.util
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import torch

HERE = pathlib.Path(__file__).resolve().parent


def run_tests(name, on_miss, arguments, cache):
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider", "-c", "/dev/null",
               "--rootdir", str(HERE), *arguments]
    if importlib.util.find_spec("xdist"):
        command += ["-n", str(min(8, os.cpu_count() or 1))]
    environment = {**os.environ, "ROPEJIT_ON_MISS": on_miss, "ROPEJIT_CACHE_DIR": cache, "ROPEJIT_TEST_DEVICE": "cuda",
                   "OMP_NUM_THREADS": "2"}
    start = time.time()
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing"]
    if done.returncode not in (0, 5):
        print("\n".join(done.stdout.splitlines()[-60:]))
    print(f"{name:34s}{lines[-1].strip('= ')}  [{time.time() - start:.0f} s]", flush=True)
    return done.returncode == 0


def original_liger(peers):
    spec = importlib.util.spec_from_file_location("peer_liger", peers / "liger/rope.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LigerRopeFunction.apply


def installed(module, name):
    """That function of a package, which few machines have."""
    return getattr(importlib.import_module(module), name)


def original_meta(q, k, freqs_cis):
    turned = (torch.view_as_complex(x.float().reshape(*x.shape[:-1], -1, 2)) * freqs_cis[None, :, None] for x in (q, k))
    return tuple(torch.view_as_real(x).flatten(3).type_as(q) for x in turned)


def host_us(function, calls=400, rounds=9):
    """Microseconds of host time a call: the best of some rounds, each short enough for the queue not to fill."""
    for _ in range(20):
        function()
    best = float("inf")
    for _ in range(rounds):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            function()
        best = min(best, time.perf_counter() - start)
    torch.cuda.synchronize()
    return best / calls * 1e6


def backward_us(function, inputs):
    results = function(*inputs)
    grads = [torch.ones_like(result) for result in results]
    wanted = inputs[:2]
    return host_us(lambda: torch.autograd.grad(results, wanted, grads, retain_graph=True), 200)


def host_table(peers):
    import ropejit
    from ropejit.dropin import flash_attn, flashinfer, hf, liger, meta, rope_triton, transformer_engine, vllm
    from transformers.models.llama import modeling_llama

    tokens, dtype = 1, torch.bfloat16
    q = torch.randn(1, tokens, 32, 128, device="cuda", dtype=dtype)
    k = torch.randn(1, tokens, 8, 128, device="cuda", dtype=dtype)
    angle = torch.randn(1, tokens, 64, device="cuda")
    freqs_cis = torch.polar(torch.ones_like(angle), angle)[0]
    full = torch.cat((angle, angle), dim=-1)
    cos, sin = full.cos().to(dtype), full.sin().to(dtype)
    ids = torch.arange(tokens, device="cuda")
    rope = ropejit.Rotation({"rope_theta": 500000.0})
    heads_first = (q.transpose(1, 2), k.transpose(1, 2), cos, sin)
    half = (q, cos[0, :, :64].contiguous(), sin[0, :, :64].contiguous())
    cache = torch.cat((angle.cos(), angle.sin()), dim=-1)[0]
    by_cache = (ids, q.view(tokens, -1), k.view(tokens, -1), 128, cache, True)
    ends = torch.tensor([0, tokens], device="cuda", dtype=torch.int32)
    freqs = full.view(tokens, 1, 1, 128)
    rows = [
        ("Rotation, ids", rope, None, (q, k, ids)),
        ("Rotation.in_place, ids", rope.in_place, None, (q, k, ids)),
        ("torch.ops.ropejit.rope, ids",
         lambda q, k, ids: torch.ops.ropejit.rope(q, k, rope.spec, rope.form, rope.dims, False, ids), None, (q, k, ids)),
        ("hf.apply_rotary_pos_emb", hf.apply_rotary_pos_emb, lambda: modeling_llama.apply_rotary_pos_emb, heads_first),
        ("liger_rotary_pos_emb", liger.liger_rotary_pos_emb, lambda: original_liger(peers), heads_first),
        ("meta.apply_rotary_emb", meta.apply_rotary_emb, lambda: original_meta, (q, k, freqs_cis)),
        ("flash_attn.apply_rotary_emb", flash_attn.apply_rotary_emb,
         lambda: installed("flash_attn.layers.rotary", "apply_rotary_emb"), half),
        ("vllm.rotary_embedding", vllm.rotary_embedding,
         lambda: installed("vllm._custom_ops", "rotary_embedding"), by_cache),
        ("flashinfer.apply_rope_with_cos_sin_cache_inplace", flashinfer.apply_rope_with_cos_sin_cache_inplace,
         lambda: installed("flashinfer.rope", "apply_rope_with_cos_sin_cache_inplace"), by_cache),
        ("flashinfer.apply_rope_inplace", flashinfer.apply_rope_inplace,
         lambda: installed("flashinfer.rope", "apply_rope_inplace"), (q[0], k[0], ends, ends[:1])),
        ("transformer_engine.apply_rotary_pos_emb, bshd", transformer_engine.apply_rotary_pos_emb,
         lambda: installed("transformer_engine.pytorch.attention.rope", "apply_rotary_pos_emb"),
         (q, freqs, "bshd", None, False, True)),
        ("transformer_engine.apply_rotary_pos_emb, thd", transformer_engine.apply_rotary_pos_emb,
         lambda: installed("transformer_engine.pytorch.attention.rope", "apply_rotary_pos_emb"),
         (q[0], freqs, "thd", None, False, True, ends)),
        ("rope_triton", rope_triton.rope_triton, None, (q, q.clone(), tokens)),
    ]
    with torch.no_grad():
        host_us(lambda: rope(q, k, ids), 20_000)  # until the processor's clock has settled
    print("\nhost microseconds a call (1 token, 32/8 heads of 128, bf16)   ours    theirs")
    for name, ours, theirs, arguments in rows:
        with torch.no_grad():
            print(f"{name:52s}{host_us(lambda: ours(*arguments)):14.2f}", end="", flush=True)
            try:
                print("" if theirs is None else f"{host_us(lambda f=theirs(): f(*arguments)):10.2f}")
            except Exception as error:  # whatever another's code raises: the table goes on
                print(f"   {type(error).__name__}: {str(error).splitlines()[0][:60]}")
    trained = tuple(x.detach().requires_grad_() for x in heads_first[:2]) + heads_first[2:]
    for name, ours, theirs in (("hf", hf.apply_rotary_pos_emb, lambda: modeling_llama.apply_rotary_pos_emb),
                               ("liger", liger.liger_rotary_pos_emb, lambda: original_liger(peers))):
        for what, measure in (("forward, with gradients", lambda f: host_us(lambda: f(*trained), 200)),
                              ("backward", lambda f: backward_us(f, trained))):
            print(f"{name + ', ' + what:52s}{measure(ours):14.2f}", end="", flush=True)
            try:
                # Liger writes over its inputs: leaves would be refused elsewhere, and are not here.
                print(f"{measure(theirs()):10.2f}")
            except Exception as error:
                print(f"   {type(error).__name__}: {str(error).splitlines()[0][:60]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=pathlib.Path, default=HERE.parent.parent / "build/peers")
    parser.add_argument("--only", choices=("tests", "host"))
    options = parser.parse_args()
    import transformers

    import ropejit
    from ropejit import _torch

    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, transformers {transformers.__version__}, ropejit "
          f"{ropejit.__version__} ({'exchange API' if _torch.READS_BY_EXCHANGE else 'attributes'})", flush=True)
    good = True
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ROPEJIT_CACHE_DIR"] = cache
        if options.only != "tests":
            host_table(options.peers)
            print(flush=True)
        if options.only != "host":
            good &= run_tests("kernels of each case: operators", "compile", ["test_ops.py", "test_bad_input.py"], cache)
            good &= run_tests("kernels of each case: bf16, models", "compile",
                              ["test_dropin_hf.py", "-k", "bfloat16 or patched or promoted"], cache)
            good &= run_tests("generic kernel: everything", "generic", ["."], "")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
