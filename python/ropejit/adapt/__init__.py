"""The guard of every place where ropejit stands in for another project's code: of a seam.

A seam serves only what it knows, and never makes a program slower or wrong without noticing:

- ROPEJIT_DISABLE=1 in the environment turns all seams off, ROPEJIT_DISABLE=hf,vllm those of these names and of names that
  begin with them and a dot ("hf" is also "hf.qwen3"). It is read when a seam is made.
- What is replaced is known by its fingerprint, of its signature and source. Another one turns the seam off, with one
  warning that says which.
- policy="auto" times the original and ropejit, as they are called, once for each size, and keeps the faster; where torch's
  default process group is there, all ranks do as rank 0. policy="always" keeps ropejit.
- shadow=N has the first N calls run both ways. Where they differ by more than the bound, the original serves from then on.
- What was served and what fell through, and why, is counted: counters().

Where ropejit does not serve, the original runs, as if ropejit were not there.
"""

from ropejit.adapt._fingerprint import fingerprint, unknown
from ropejit.adapt._seam import BOUNDS, Seam, counters, disabled, stand_in

__all__ = ["BOUNDS", "Seam", "counters", "disabled", "fingerprint", "stand_in", "unknown"]
