"""RoPE kernels for torch tensors, made at run time for exactly the case at hand.

    import ropejit
    rope = ropejit.Rotation({"layout": "split_half", "rope_theta": 500000.0}, {"positions": "ids"})
    q, k = rope(q, k, positions=position_ids)    # [batch, tokens, heads, head_dim], on a GPU

What spec and form may say: docs/spec-json.md. What tensors say themselves
(dtype, heads, head_dim, strides) is left out of both. Drop-ins for other libraries' functions: ropejit.dropin.

Without torch there is what needs no tensors: model_ropes, library_path, and the program (python -m ropejit).

Errors: TypeError and ValueError name the argument, what was found and what is allowed; NotImplementedError is for what
is valid and not built; ropejit.Error for what went wrong with device, driver or compiler.
"""

import importlib.util

from ropejit._models import model_ropes
from ropejit._native import version as _version
from ropejit._services import Error, forget_unused, library_path, serve_host

__all__ = ["Error", "forget_unused", "library_path", "model_ropes", "serve_host"]
__version__ = _version()
_OF_TORCH = ("Operand", "PageTable", "Prologue", "Rotation", "rope", "rope_")

if importlib.util.find_spec("torch") is not None:
    from ropejit._operands import Operand
    from ropejit._ops import rope, rope_
    from ropejit._page_table import PageTable
    from ropejit._prologue import Prologue
    from ropejit._rotation import Rotation

    __all__ += _OF_TORCH
else:

    def __getattr__(name):
        if name in _OF_TORCH:
            # Not an AttributeError, of which `from ropejit import` would tell the name alone.
            raise ImportError(f"ropejit.{name}: needs torch 2.4 or newer, which is not installed")
        raise AttributeError(f"module 'ropejit' has no attribute {name!r}")
