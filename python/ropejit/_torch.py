"""What is taken of torch, and handed to the extension module."""

import torch
from torch.autograd import forward_ad

from ropejit import _native

if tuple(int(word) for word in torch.__version__.split(".")[:2]) < (2, 4):
    raise ImportError(f"ropejit: found torch {torch.__version__}, allowed: 2.4 or newer")

BF16, FP16, FP32, INT32, INT64, COMPLEX64 = range(1, 7)  # as in native.h

NUMBERS = {
    torch.bfloat16: BF16,
    torch.float16: FP16,
    torch.float32: FP32,
    torch.int32: INT32,
    torch.int64: INT64,
    torch.complex64: COMPLEX64,
}
NAMES = {BF16: "bf16", FP16: "fp16", FP32: "fp32"}
FLOATS = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}


def _none(*_):
    return None


def constant_in_traces(function):
    """torch.compiler.assume_constant_result, without its import of the compiler, which takes seconds."""
    function._dynamo_marked_constant = True


# Says whether a transform of torch.func is at work.
is_transformed = getattr(getattr(torch._C, "_functorch", None), "peek_interpreter_stack", _none)


def is_functionalized():
    """Whether the transform that is at work is functionalize, which takes operators and no autograd.Function."""
    transform = is_transformed()
    return transform is not None and transform.key() == torch._C._functorch.TransformType.Functionalize


def has_tangents():
    """Whether tensors may have forward-mode tangents: they lose them where no level of dual numbers is open."""
    return forward_ad._current_level >= 0


def _probes():
    """Functions that return something true while a mode, a transform or a trace wants to see every operator."""
    names = ("_len_torch_dispatch_stack", "_len_torch_function_stack", "_get_tracing_state")
    return (*(getattr(torch._C, name) for name in names if hasattr(torch._C, name)), is_transformed)


PROBES = _probes()


def is_watched():
    return any(probe() for probe in PROBES)


def _increment_version():
    """Takes a tuple of tensors."""
    if hasattr(torch._C, "_increment_version"):
        try:
            torch._C._increment_version((torch.empty(0),))
            return torch._C._increment_version
        except (TypeError, RuntimeError):  # before PyTorch 2.6 it took one tensor
            pass

    def one_by_one(tensors):
        for tensor in tensors:
            if not tensor.is_inference():
                torch.autograd.graph.increment_version(tensor)

    return one_by_one


def _empty_strided_cuda():
    """What torch's own generated code allocates with."""
    guards = getattr(getattr(torch._C, "_dynamo", None), "guards", None)
    return getattr(guards, "_empty_strided_cuda", None) if torch.cuda.is_available() else None


SETUP = {
    "tensor_type": torch.Tensor,
    "parameter_type": torch.nn.Parameter,
    "empty_like": torch.empty_like,
    "empty_strided_cuda": _empty_strided_cuda(),
    "is_grad_enabled": torch.is_grad_enabled,
    "increment_version": _increment_version(),
    # With one device it is the current one.
    "current_device": getattr(torch._C, "_cuda_getDevice", None) if torch.cuda.device_count() > 1 else None,
    "raw_stream": getattr(torch._C, "_cuda_getCurrentRawStream", _none),
    "probes": PROBES,
    "forward_ad": vars(forward_ad),
    "a_tensor": torch.empty(0),
    "dtypes": NUMBERS,
    "exchange": getattr(torch.Tensor, "__dlpack_c_exchange_api__", None),
}
READS_BY_EXCHANGE = _native.setup(SETUP)
