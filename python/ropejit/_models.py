"""The rotations of a model, out of its config.json."""

import json
import warnings

from ropejit import _native
from ropejit._services import python_error


def model_ropes(config, as_=None, **options):
    """What a Hugging Face config.json says of the rotations of a model, layer by layer.

    config: its text, a dict, or an object with to_dict() (a configuration of transformers). as_: a known model type, such
    as "llama", that it is read as whatever its own is, with a warning. options: tp, dtype, max_model_len, parity, prologue,
    round_as ("vllm"); see ropejit_model_ropes in ropejit.h.

    Returns a dict: "layers", a list of dicts with "layer", "kind", "spec" (for Rotation, without dtype, which tensors
    say; None where the layer does not rotate) and perhaps "indexer", likewise; "vision_layers", where a vision tower
    rotates; "warnings", lines that are also given to warnings.warn: what nothing reads. A model type that is not known
    is a NotImplementedError, as is a rotation that this version does not build.
    """
    if hasattr(config, "to_dict"):
        config = config.to_dict()
    if isinstance(config, dict):
        try:
            config = json.dumps(config)
        except (TypeError, ValueError) as error:
            raise TypeError(f"config: found a dict that is no JSON ({error}), allowed: what json.dumps takes") from None
    if not isinstance(config, str):
        raise TypeError(f"config: found {type(config).__name__}, allowed: str, dict, or an object with to_dict()")
    if "\0" in config:
        raise ValueError("config: found a character of number 0, allowed: JSON")
    if as_ is not None:
        options["as"] = as_
    try:
        model = json.loads(_native.model_ropes(config, json.dumps(options)))
    except _native.NativeError as error:
        raise python_error(error) from None
    for layer in (*model["layers"], *model.get("vision_layers", ())):
        for role in ("spec", "indexer"):
            if layer.get(role) is not None:
                del layer[role]["dtype"]
    for line in model["warnings"]:
        warnings.warn(line, stacklevel=2)
    return model
