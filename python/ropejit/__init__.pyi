# The public names with their types, for checkers and editors; what they mean is said where they are defined.
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional, Union

from torch import Tensor

_Json = Union[str, Mapping[str, Any]]
_Form = Optional[_Json]

__version__: str

class Error(RuntimeError):
    code: int
    log: str

class Operand(NamedTuple):
    name: str
    input: Tensor
    output: Optional[Tensor] = ...
    rows: Optional[Tensor] = ...

class Rotation:
    spec: str
    form: str
    dims: str
    def __init__(self, spec: _Json, form: _Form = ..., dims: str = ...) -> None: ...
    def __call__(
        self,
        q: Tensor,
        k: Optional[Tensor] = ...,
        positions: Optional[Tensor] = ...,
        cos: Optional[Tensor] = ...,
        sin: Optional[Tensor] = ...,
        cu_seqlens: Optional[Tensor] = ...,
        start: int = ...,
    ) -> tuple[Tensor, Optional[Tensor]]: ...
    in_place = __call__
    def store(
        self,
        operands: Sequence[Operand],
        positions: Optional[Tensor] = ...,
        cos: Optional[Tensor] = ...,
        sin: Optional[Tensor] = ...,
        cu_seqlens: Optional[Tensor] = ...,
        start: int = ...,
    ) -> None: ...

class Prologue:
    spec: str
    form: str
    def __init__(self, spec: _Json, form: _Form = ...) -> None: ...
    def __call__(
        self,
        q: Tensor,
        k: Optional[Tensor] = ...,
        v: Optional[Tensor] = ...,
        positions: Optional[Tensor] = ...,
        *,
        q_weight: Optional[Tensor] = ...,
        k_weight: Optional[Tensor] = ...,
        v_weight: Optional[Tensor] = ...,
        k_cache: Optional[Tensor] = ...,
        v_cache: Optional[Tensor] = ...,
        slots: Optional[Tensor] = ...,
        out: Optional[Tensor] = ...,
        k_out: Optional[Tensor] = ...,
        cos: Optional[Tensor] = ...,
        sin: Optional[Tensor] = ...,
        cu_seqlens: Optional[Tensor] = ...,
        start: int = ...,
        q_statistic: Optional[Tensor] = ...,
        k_statistic: Optional[Tensor] = ...,
        v_statistic: Optional[Tensor] = ...,
        q_statistic_out: Optional[Tensor] = ...,
        k_statistic_out: Optional[Tensor] = ...,
        v_statistic_out: Optional[Tensor] = ...,
        q_norm_bias: Optional[Tensor] = ...,
        k_norm_bias: Optional[Tensor] = ...,
        v_norm_bias: Optional[Tensor] = ...,
        q_bias: Optional[Tensor] = ...,
        k_bias: Optional[Tensor] = ...,
        v_bias: Optional[Tensor] = ...,
        q_head_scales: Optional[Tensor] = ...,
        k_head_scales: Optional[Tensor] = ...,
        v_head_scales: Optional[Tensor] = ...,
    ) -> Tensor: ...

def rope(
    q: Tensor,
    k: Optional[Tensor],
    spec: _Json,
    form: _Form = ...,
    dims: str = ...,
    positions: Optional[Tensor] = ...,
    cos: Optional[Tensor] = ...,
    sin: Optional[Tensor] = ...,
    cu_seqlens: Optional[Tensor] = ...,
    start: int = ...,
) -> tuple[Tensor, Optional[Tensor]]: ...

rope_ = rope

def model_ropes(config: Any, as_: Optional[str] = ..., **options: Any) -> dict[str, Any]: ...
def library_path() -> Optional[str]: ...
def serve_host(served: bool) -> bool: ...
def forget_unused() -> int: ...
