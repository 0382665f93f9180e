"""Hugging Face transformers: apply_rotary_pos_emb of its models, and patch(model), which has one model use ropejit.

Results of the functions have the bits of transformers' own where q and cos are of one dtype (fp32 products and sums are not
fused there, nor here), and so have gradients. cos and sin get no gradient; their right halves must repeat the left, as
transformers' do.
"""

from ropejit.dropin.hf._patch import Patch, Row, patch
from ropejit.dropin.hf._rotations import apply_rotary_pos_emb, apply_rotary_pos_emb_interleave

__all__ = ["Patch", "Row", "apply_rotary_pos_emb", "apply_rotary_pos_emb_interleave", "patch"]
