"""Small models of Hugging Face transformers for stacked_layers.py: families, random weights, and the same in fp64."""

import contextlib
import math

import torch
import transformers
from torch.overrides import TorchFunctionMode

LAYERS = 4


def family(heads, kv_heads, head_dim, hidden=None, **more):
    """Heads of the size that published models have, few of them; `more` is what else the config.json says."""
    return {
        "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim,
        "hidden_size": hidden or heads * head_dim, "intermediate_size": 512, "num_hidden_layers": LAYERS,
        "vocab_size": 1000, "max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
        **more,
    }


def rope(theta=1e6, **more):
    return {"rope_type": "default", "rope_theta": theta, **more}


LOCAL_LAYERS = ["sliding_attention"] * (LAYERS - 1) + ["full_attention"]
FAMILIES = {
    # RMS norms of a head
    "qwen3": family(4, 2, 128, 256, rope_parameters=rope()),
    "apertus": family(4, 2, 128, rope_parameters=rope()),
    # 1 + w; local layers turn by other angles
    "gemma3_text": family(
        4, 1, 256, 256, query_pre_attn_scalar=256, sliding_window=64, layer_types=LOCAL_LAYERS,
        rope_parameters={"sliding_attention": rope(1e4), "full_attention": rope()}),
    # over all heads of the token
    "olmo2": family(4, 4, 128, rope_parameters=rope(5e5)),
    # behind the rotation: with weights; without any, and a layer that has a factor of the position in place of both
    "hunyuan_v1_dense": family(4, 2, 128, rope_parameters=rope(1e4)),
    "llama4_text": family(
        4, 1, 128, intermediate_size_mlp=512, num_local_experts=1, num_experts_per_tok=1, moe_layers=[],
        no_rope_layers=[1, 1, 1, 0], use_qk_norm=True, attn_temperature_tuning=True, floor_scale=32, attn_scale=0.1,
        attention_chunk_size=128, rope_parameters=rope(5e5)),
    # LayerNorm: weights of each head; biases too; some lanes rotate; weights and biases of a head
    "cohere": family(4, 2, 128, use_qk_norm=True, rope_parameters=rope(1e4)),
    "chameleon": family(
        4, 2, 128, rope_parameters=rope(1e4), vocabulary_map={"<image>": 4},
        vq_config={"embed_dim": 8, "num_embeddings": 16, "base_channels": 32, "channel_multiplier": [1],
                   "num_res_blocks": 1, "latent_channels": 8}),
    "stablelm": family(4, 2, 160, qk_layernorm=True, rope_parameters=rope(1e4, partial_rotary_factor=0.25)),
    "phi": family(
        4, 2, 80, qk_layernorm=True, partial_rotary_factor=0.4,
        rope_parameters=rope(1e4, partial_rotary_factor=0.4)),
    # v's norm, too; two sizes of heads
    "gemma4_text": family(
        4, 1, 256, 256, global_head_dim=512, sliding_window=64, layer_types=LOCAL_LAYERS, num_kv_shared_layers=0,
        vocab_size_per_layer_input=1000, hidden_size_per_layer_input=32,
        rope_parameters={
            "sliding_attention": rope(1e4),
            "full_attention": {"rope_type": "proportional", "rope_theta": 1e6, "partial_rotary_factor": 0.25}}),
    # no norm: a factor of the position; a limit, of v too
    "ministral3": family(
        4, 2, 128, rope_parameters={
            "rope_type": "yarn", "rope_theta": 1e6, "factor": 64, "original_max_position_embeddings": 64,
            "beta_fast": 32, "beta_slow": 1, "mscale": 1, "mscale_all_dim": 1, "llama_4_scaling_beta": 0.1}),
    "olmo": family(4, 2, 128, clip_qkv=1.0, rope_parameters=rope(1e4)),
}


def config_of(model_type):
    config = transformers.CONFIG_MAPPING[model_type](**FAMILIES[model_type])
    config.initializer_range = 1 / math.sqrt(config.hidden_size)  # so that each layer counts in the logits
    config.dtype = torch.bfloat16
    return config


def made_of(config, dtype):
    auto = transformers.AutoModelForCausalLM
    if config.model_type == "chameleon":
        auto = transformers.AutoModelForImageTextToText
    return auto.from_config(config, dtype=dtype, attn_implementation="eager").eval()


def randomise(model, generator):
    """Weights of norms become unlike 1 (or 0 of those that add 1), and biases unlike 0."""
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            noise = torch.randn(parameter.shape, generator=generator)
            if "norm" in type(module).__name__.lower() or name == "bias":
                parameter += (0.3 * noise).to(parameter)
        if getattr(module, "scaling", None) == 1:  # weights do what attention leaves to them: the root of head_dim
            module.k_norm.weight /= math.sqrt(module.head_dim)


class Fp64(TorchFunctionMode):
    """All that is asked for in fp32, as norms and angles are, is fp64. `strict`: a result of another floating type is
    an error, so that a reference is fp64 from end to end."""

    WIDE = {torch.float32: torch.float64, torch.complex64: torch.complex128}

    def __init__(self, strict):
        super().__init__()
        self.strict = strict
        self.is_on = True

    def __enter__(self):
        torch.set_default_dtype(torch.float64)  # a quotient of integers has it
        return super().__enter__()

    def __exit__(self, *error):
        super().__exit__(*error)
        torch.set_default_dtype(torch.float32)

    @contextlib.contextmanager
    def paused(self):
        self.is_on = False
        torch.set_default_dtype(torch.float32)
        try:
            yield
        finally:
            self.is_on = True
            torch.set_default_dtype(torch.float64)

    def widened(self, value):
        return self.WIDE.get(value, value) if isinstance(value, torch.dtype) else value

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if not self.is_on:
            return function(*args, **(kwargs or {}))
        function = torch.Tensor.double if function is torch.Tensor.float else function
        kwargs = {name: self.widened(value) for name, value in (kwargs or {}).items()}
        result = function(*(self.widened(value) for value in args), **kwargs)
        for each in result if isinstance(result, (tuple, list)) else [result]:
            if self.strict and isinstance(each, torch.Tensor) and not is_wide(each):
                raise RuntimeError(f"the fp64 reference: {function} gave {each.dtype}")
        return result


def is_wide(tensor):
    return tensor.dtype in Fp64.WIDE.values() or not (tensor.is_floating_point() or tensor.is_complex())


def pair_of(model_type, seed, device):
    """A model in bf16 as its own code has it, and the same weights in fp64, whose frequencies are fp64 as well."""
    torch.manual_seed(seed)
    original = made_of(config_of(model_type), torch.bfloat16)
    randomise(original, torch.Generator().manual_seed(seed))
    with Fp64(strict=False):
        reference = made_of(config_of(model_type), torch.float64)
    reference.load_state_dict(original.state_dict())
    for name, buffer in original.named_buffers():
        if name.endswith("inv_freq") and buffer.dtype != torch.float32:
            raise RuntimeError(f"{model_type}: {name} is {buffer.dtype}; a model that is loaded has fp32 there")
    for name, each in [*reference.named_buffers(), *reference.named_parameters()]:
        if not is_wide(each):
            raise RuntimeError(f"{model_type}: {name} of the fp64 reference is {each.dtype}")
    return original.to(device), reference.to(device)
