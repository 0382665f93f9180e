"""The models that are measured, by the name that --models takes: configurations as they are published, random weights in
bf16, nothing downloaded. What a table compares are copies that share one set of weights."""

import copy

_QWEN3 = {"model_type": "qwen3", "vocab_size": 151936, "head_dim": 128, "max_position_embeddings": 40960,
          "rms_norm_eps": 1e-6, "rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}
# What --smoke makes of any of them: it runs on a CPU in seconds.
_TINY = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16,
         "num_hidden_layers": 2, "vocab_size": 128}


def _qwen3(hidden, intermediate, layers, heads, kv_heads, tied=False, **more):
    return {**_QWEN3, "hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "tie_word_embeddings": tied, **more}


CONFIGS = {
    "Qwen3-0.6B": _qwen3(1024, 3072, 28, 16, 8, tied=True),
    "Qwen3-1.7B": _qwen3(2048, 6144, 28, 16, 8, tied=True),
    "Qwen3-8B": _qwen3(4096, 12288, 36, 32, 8),
    # One of eight ranks, without what ranks tell each other: heads, MLP and vocabulary divided.
    "Qwen3-32B/8": _qwen3(5120, 25600 // 8, 64, 64 // 8, 8 // 8, vocab_size=151936 // 8),
    "Llama-3.2-1B": {
        "model_type": "llama", "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "head_dim": 64,
        "num_hidden_layers": 16, "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 131072,
        "rms_norm_eps": 1e-5, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "llama3", "rope_theta": 5e5, "factor": 32.0, "low_freq_factor": 1.0,
                            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}},
    "Gemma-3-1B": {
        "model_type": "gemma3_text", "vocab_size": 262144, "hidden_size": 1152, "intermediate_size": 6912, "head_dim": 256,
        "num_hidden_layers": 26, "num_attention_heads": 4, "num_key_value_heads": 1, "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256, "sliding_window": 512, "tie_word_embeddings": True,
        "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
                            "full_attention": {"rope_type": "default", "rope_theta": 1e6}}},
}


def values_of(name, layers=None, smoke=False):
    """What the config.json of a model would say. `layers`: how many are left, None for all of them."""
    values = copy.deepcopy(CONFIGS[name])
    if smoke:
        values.update(_TINY)
        if "sliding_window" in values:
            values["sliding_window"] = 16
    if layers is not None:
        values["num_hidden_layers"] = min(layers, values["num_hidden_layers"])
    return values


def layers_of(name, options):
    return values_of(name, options.layers, options.smoke)["num_hidden_layers"]


def title(name, options):
    """A model's name in a cell's: it says where the model is not whole."""
    if options.smoke:
        return f"{name} (tiny)"
    layers = layers_of(name, options)
    whole = CONFIGS[name]["num_hidden_layers"]
    return name if layers == whole else f"{name} ({layers} of {whole} layers)"


def config_of(name, options):
    from transformers import AutoConfig

    return AutoConfig.for_model(**values_of(name, options.layers, options.smoke))


def build(name, options):
    """The model in bf16 on the device, the same weights every time, ready to infer."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    with torch.device(options.device):
        model = AutoModelForCausalLM.from_config(config_of(name, options), dtype=torch.bfloat16, attn_implementation="sdpa")
    with torch.no_grad():  # norms unlike 1, so that a norm that is left out shows in the logits
        for module_name, parameter in model.named_parameters():
            if "norm" in module_name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def copy_of(model):
    """A model of its own over the same weights: what is done to its modules happens to no other."""
    shared = {id(x): x for x in (*model.parameters(), *model.buffers())}
    return copy.deepcopy(model, shared)


def attentions(model):
    """The attention of each layer."""
    return [x for x in model.modules() if type(x).__name__.endswith("Attention") and hasattr(x, "layer_idx")]


def close(model):
    """Gives back what generation keeps on a model."""
    destroy = getattr(model, "destroy_cached_continuous_batching_manager", None)
    if destroy is not None:
        destroy()
