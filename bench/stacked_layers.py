#!/usr/bin/env python3
"""Logits of a few stacked layers against fp64, with a model's own prologue and with ropejit's in its place.

Small models of Hugging Face transformers, with random weights and heads of their real size, run three times: in fp64,
in bf16 by their own code, and in bf16 with what lies between projections and attention (norms, rotation, factors) done
by ropejit's kernels. Nothing else changes: attention is given ropejit's q and k (and v, where a model does something to
v) in place of the model's own. "alone" tells more: there all else is fp64, and only the prologue takes and gives bf16.

    python3 bench/stacked_layers.py --device cuda --library libropejit.so

Exits with 1 where ropejit's RMS error is more than 1.02 times the original's, in either way.
"""

import argparse
import contextlib
import json
import os
import sys
import warnings

import torch
import transformers

import ropejit_c
from stacked_models import FAMILIES, Fp64, pair_of

LIMIT = 1.02
FORM = {"placement": "in_place", "strides": "free", "positions": "ids64"}
NAMES = {"q": ropejit_c.Q, "k": ropejit_c.K, "v": ropejit_c.V}
NORMS = {"q": ("q_norm", "q_layernorm", "query_layernorm"), "k": ("k_norm", "k_layernorm", "key_layernorm"), "v": ()}
NO_STAGES = {"heads", "head_dim", "first_lane", "rotates"}


def attentions_of(model):
    return [each for each in model.modules() if hasattr(each, "q_proj") and hasattr(each, "layer_idx")]


class Captured(Exception):
    """q, k and v as attention would have got them."""


@contextlib.contextmanager
def prologues(model, prologue):
    """Attention gets what `prologue` makes: of a layer's number, what q_proj, k_proj and v_proj gave, by name, and the
    model's own q, k and v of [batch, heads, tokens, head_dim], by name."""
    attentions = attentions_of(model)
    namespace = sys.modules[type(attentions[0]).__module__]
    usual, projected, hooks = namespace.eager_attention_forward, {}, []

    def attend(attention, q, k, v, *args, **kwargs):
        made = prologue(attention.layer_idx, projected, {"q": q, "k": k, "v": v})
        return usual(attention, made["q"], made["k"], made["v"], *args, **kwargs)

    def keep(name):
        return lambda module, args, result: projected.__setitem__(name, result)

    for attention in attentions:
        for name in NAMES:
            hooks.append(getattr(attention, f"{name}_proj").register_forward_hook(keep(name)))
    namespace.eager_attention_forward = attend
    try:
        yield
    finally:
        namespace.eager_attention_forward = usual
        for hook in hooks:
            hook.remove()


# --- the prologue by each side ----------------------------------------------------------------------------------------


def weights_of(attention, name):
    """The weights and biases of q's or k's norm, as its module has them; of some models each head has a module."""
    norm = next(getattr(attention, each) for each in NORMS[name] if hasattr(attention, each))
    parts = norm.norms if hasattr(norm, "norms") else [norm]
    for key in ("weight", "bias"):
        found = [getattr(part, key, None) for part in parts]
        yield None if found[0] is None else torch.stack(found).contiguous()


class RopejitPrologue:
    """What a layer's spec asks for, by its kernel, over what the projections gave."""

    def __init__(self, rope, model, parity):
        told = rope.model_ropes(json.loads(model.config.to_json_string()), prologue=True, parity=parity)
        if told["warnings"]:
            raise ropejit_c.RopejitError("; ".join(told["warnings"]))
        self.rope, self.layers, self.launches = rope, [], 0
        for layer, attention in zip(told["layers"], attentions_of(model), strict=True):
            spec = dict(layer["spec"])
            for name in NAMES:  # nothing happens to it: attention gets the projection
                if set(spec[name]) <= NO_STAGES and (name == "v" or spec[name].get("rotates") is False):
                    del spec[name]
            names = [name for name in NAMES if name in spec]
            normed = [name for name in names if spec[name].get("norm", {"weight": "none"}).get("weight") != "none"]
            weights = {name: list(weights_of(attention, name)) for name in normed}
            self.layers.append((rope.kernel(spec, FORM), {name: spec[name] for name in names}, weights))

    def __call__(self, number, projected, own):
        kernel, operands, weights = self.layers[number]
        batch, tokens = projected["q"].shape[:2]
        positions = torch.arange(tokens, device=own["q"].device).expand(batch, tokens).contiguous()
        listed, made = [], dict(own)
        for name, operand in operands.items():
            x = projected[name].view(batch, tokens, operand["heads"], operand["head_dim"])
            out = torch.empty_like(x) if name == "v" else None
            listed.append(ropejit_c.operand(NAMES[name], x, out, *weights.get(name, ())))
            made[name] = (x if out is None else out).transpose(1, 2)
        args = ropejit_c.args_of_operands(tokens, listed, positions, batch)
        self.rope.launch(kernel, args, ropejit_c.current_stream(positions))
        self.launches += 1
        return made


class OwnPrologue:
    """The model's own code over other projections than its own: an attention is called as it was in a run of its model,
    up to where q, k and v are made."""

    def __init__(self, model, ids):
        self.attentions, self.calls, self.forced = attentions_of(model), {}, {}

        def keep(attention, args, kwargs):
            self.calls[attention.layer_idx] = (args, kwargs)

        hooks = [each.register_forward_pre_hook(keep, with_kwargs=True) for each in self.attentions]
        logits_of(model, ids)
        for hook in hooks:
            hook.remove()

    def __call__(self, number, projected, own):
        attention = self.attentions[number]
        hooks = [
            getattr(attention, f"{name}_proj").register_forward_hook(lambda module, args, result, x=x: x)
            for name, x in projected.items()
        ]
        namespace = sys.modules[type(attention).__module__]
        usual, namespace.eager_attention_forward = namespace.eager_attention_forward, self.capture
        try:
            args, kwargs = self.calls[number]
            attention(*args, **kwargs)
        except Captured as captured:
            return dict(zip(NAMES, captured.args))
        finally:
            namespace.eager_attention_forward = usual
            for hook in hooks:
                hook.remove()

    @staticmethod
    def capture(attention, q, k, v, *args, **kwargs):
        raise Captured(q, k, v)


def in_bf16(prologue, mode):
    """A prologue within a model of fp64, that takes bf16 and gives it."""

    def narrowed(number, *given):
        with mode.paused():
            narrow = ({name: x.to(torch.bfloat16) for name, x in each.items()} for each in given)
            return {name: x.to(torch.float64) for name, x in prologue(number, *narrow).items()}

    return narrowed


# --- all of it --------------------------------------------------------------------------------------------------------


def logits_of(model, ids):
    return model(input_ids=ids, use_cache=False).logits.double()


class Errors:
    """Of logits against fp64, over all seeds; those of tokens that a model rules out are left out."""

    def __init__(self):
        self.most, self.squares, self.count = 0.0, 0.0, 0

    def add(self, logits, truth):
        error = (logits - truth)[truth > -1e30]
        if not error.isfinite().all():
            raise RuntimeError("logits are not finite")
        self.most = max(self.most, error.abs().max().item())
        self.squares += error.square().sum().item()
        self.count += error.numel()

    def rms(self):
        return (self.squares / self.count) ** 0.5


def measure(rope, model_type, options):
    """The errors of the whole model in bf16 by its own prologue and by ropejit's, and likewise of a prologue alone."""
    errors = [Errors() for _ in range(4)]
    for seed in range(options.seeds):
        original, reference = pair_of(model_type, seed, options.device)
        torch.manual_seed(seed)
        ids = torch.randint(5, original.config.vocab_size, (options.batch, options.tokens)).to(options.device)
        ours, mode = RopejitPrologue(rope, original, options.parity), Fp64(strict=True)
        theirs = OwnPrologue(original, ids)
        with mode:
            truth = logits_of(reference, ids)
        made = [logits_of(original, ids)]
        with prologues(original, ours):
            made.append(logits_of(original, ids))
        for each in (theirs, ours):
            with mode, prologues(reference, in_bf16(each, mode)):
                made.append(logits_of(reference, ids))
        if ours.launches != 2 * len(ours.layers):
            raise RuntimeError(f"{model_type}: {ours.launches} launches of {len(ours.layers)} layers")
        for error, logits in zip(errors, made, strict=True):
            error.add(logits, truth)
    return errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"of {', '.join(FAMILIES)} (all)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--library", default=os.environ.get("ROPEJIT_LIBRARY") or ropejit_c.find_library())
    parser.add_argument("--batch", type=int, default=2, help="sequences (2)")
    parser.add_argument("--tokens", type=int, default=192, help="of a sequence (192)")
    parser.add_argument("--seeds", type=int, default=3, help="models of each family, with other weights (3)")
    parser.add_argument("--parity", action="store_true", help="ropejit rounds where the model's own code does")
    options = parser.parse_args()
    if unknown := set(options.models) - set(FAMILIES):
        parser.error(f"MODEL: found {', '.join(sorted(unknown))}, allowed: {', '.join(FAMILIES)}")
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    torch.set_grad_enabled(False)
    sys.excepthook = ropejit_c.exit_with_error
    rope = ropejit_c.Ropejit(options.library, "host" if options.device == "cpu" else "cuda")
    device = torch.cuda.get_device_name() if options.device == "cuda" else "the host target"
    print(f"ropejit {rope.version()} on {device}, transformers {transformers.__version__}, torch {torch.__version__}")
    print("\nErrors of logits against fp64, of the model's own code and with ropejit's prologue, and their ratio\n")
    print("| model | max, own | ropejit | RMS, own | ropejit | ratio | alone: RMS, own | ropejit | ratio |")
    print("|---" * 9 + "|")
    failed = []
    for model_type in options.models or FAMILIES:
        own, ours, own_alone, ours_alone = measure(rope, model_type, options)
        ratios = [ours.rms() / own.rms(), ours_alone.rms() / own_alone.rms()]
        cells = [f"{x:.2e}" for x in (own.most, ours.most, own.rms(), ours.rms())] + [f"{ratios[0]:.3f}"]
        cells += [f"{x:.2e}" for x in (own_alone.rms(), ours_alone.rms())] + [f"{ratios[1]:.3f}"]
        print(f"| {model_type} | {' | '.join(cells)} |", flush=True)
        if max(ratios) > LIMIT:
            failed.append(model_type)
    if failed:
        print(f"\nabove {LIMIT}: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
