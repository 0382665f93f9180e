"""A process of first_token.py: imports, weights, the patch, a prefill, its token. The last line that it prints is
{"token_at": seconds of CLOCK_MONOTONIC, "patched_ms": from the patch to the token, "imported_ms": of imports}."""

import argparse
import json
import time
from types import SimpleNamespace

START = time.perf_counter()


def spin(us):
    """A hook that holds up the host."""
    def hold(module, args, kwargs):
        end = time.perf_counter() + us / 1e6
        while time.perf_counter() < end:
            pass

    return hold


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--way", choices=("unpatched", "ours"), required=True)
    parser.add_argument("--delay-us", type=float, default=0.0)
    parser.add_argument("--layers", type=int)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()

    import torch

    import models

    options = SimpleNamespace(device="cpu" if given.smoke else "cuda", layers=given.layers, smoke=given.smoke)
    model = models.build(given.model, options)
    ids = torch.ones(1, given.tokens, dtype=torch.int64, device=options.device)
    if options.device != "cpu":
        torch.cuda.synchronize()
    imported_ms = 1000 * (time.perf_counter() - START)
    if given.delay_us:
        for each in models.attentions(model):
            each.register_forward_pre_hook(spin(given.delay_us), with_kwargs=True)
    start = time.perf_counter()
    if given.way == "ours":
        from ropejit.dropin import hf

        hf.patch(model, policy="always")
    with torch.no_grad():
        model(input_ids=ids, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1).item()
    token_at = time.clock_gettime(time.CLOCK_MONOTONIC)
    patched_ms = 1000 * (time.perf_counter() - start)
    print(json.dumps({"token_at": token_at, "patched_ms": patched_ms, "imported_ms": imported_ms}))


if __name__ == "__main__":
    main()
