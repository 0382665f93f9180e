"""transformers' continuous batching with ropejit in the model: the same tokens, written to its paged cache by one launch."""

import pytest
import torch

from ropejit.dropin import hf
from ropejit.dropin.hf import _caches

transformers = pytest.importorskip("transformers")
batching = pytest.importorskip("transformers.generation")
if not hasattr(batching, "ContinuousBatchingConfig"):
    pytest.skip("this transformers has no ContinuousBatchingConfig", allow_module_level=True)

from hf_models import made  # noqa: E402

LENGTHS = (3, 12, 40, 7, 25, 1)
NEW_TOKENS = 8


def prompts():
    generator = torch.Generator().manual_seed(5)
    return [torch.randint(1, 99, (length,), generator=generator).tolist() for length in LENGTHS]


def served(model, **options):
    """What each request got, in the order of prompts()."""
    size = "page_size" if "page_size" in batching.ContinuousBatchingConfig.__dataclass_fields__ else "block_size"
    config = batching.ContinuousBatchingConfig(**{size: 4}, num_blocks=96, max_batch_tokens=48, **options)
    wanted = transformers.GenerationConfig(max_new_tokens=NEW_TOKENS, do_sample=False, pad_token_id=0, eos_token_id=-1)
    found = model.generate_batch(
        prompts(), generation_config=wanted, continuous_batching_config=config, progress_bar=False
    )
    assert len(found) == len(LENGTHS)
    return [found[name].generated_tokens for name in sorted(found, key=lambda name: int(name.rpartition("_")[2]))]


class Appends:
    """The launches that wrote to a paged cache while it was entered: all, and those that attention read nothing back of."""

    def __enter__(self):
        self.all, self.alone, self.usual = 0, 0, _caches.append_to_paged

        def append(cache, found, *rest):
            self.all += 1
            self.alone += found[3].numel() == 0
            return self.usual(cache, found, *rest)

        _caches.append_to_paged = append
        return self

    def __exit__(self, *error):
        _caches.append_to_paged = self.usual


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ["qwen3", "llama"])
def test_requests_get_the_same_tokens(family, attention, device):
    if attention == "sdpa" and family != "qwen3":
        pytest.skip("one family is enough")
    model = made(family, device, torch.bfloat16)
    model.set_attn_implementation(f"paged|{attention}")
    plain = served(model)
    assert all(len(tokens) == NEW_TOKENS for tokens in plain)
    with hf.patch(model) as patch, Appends() as appends:
        assert served(model) == plain
    seam = patch.seams[family]
    assert seam.served > 0 and not seam.fallen_through
    if not 19 <= int(transformers.__version__.split(".")[1]) <= 23:  # those update the cache within the attention function
        assert appends.all == seam.served and 0 < appends.alone < appends.all


def test_layers_with_a_window_are_written_by_the_cache_itself(device):
    model = made("gemma3", device, torch.bfloat16)
    model.set_attn_implementation("paged|eager")
    plain = served(model)
    with hf.patch(model) as patch, Appends() as appends:
        assert served(model) == plain
    assert patch.seams["gemma3"].served > appends.all


@pytest.mark.skipif(not torch.cuda.is_available(), reason="graphs are captured on a GPU")
def test_requests_get_the_same_tokens_under_cuda_graphs(device):
    model = made("qwen3", device, torch.bfloat16)
    model.set_attn_implementation("paged|sdpa")
    plain = served(model, use_cuda_graph=True)
    with hf.patch(model), Appends() as appends:
        assert served(model, use_cuda_graph=True) == plain
        assert appends.all > 0
