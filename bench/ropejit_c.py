"""ropejit by its C ABI (include/ropejit/ropejit.h) for the scripts of this folder: ctypes, and tensors of PyTorch."""

import ctypes
import json
import pathlib
import sys

import torch

CONTIGUOUS = -(2**63)
POSITIONS_START, POSITIONS_IDS64 = 0, 2
Q, K, V = 0, 1, 2


class Tensor(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p)] + [
        (name, ctypes.c_int64) for name in ("batch_stride", "token_stride", "head_stride", "lane_stride")
    ]


class Args(ctypes.Structure):
    """ropejit_args as far as these scripts set it: it says where it ends, and the rest has its defaults."""

    _fields_ = (
        [("size", ctypes.c_size_t)]
        + [(name, Tensor) for name in ("q", "k", "q_out", "k_out")]
        + [("position_source", ctypes.c_int32), ("reserved", ctypes.c_int32), ("position_ids", ctypes.c_void_p)]
        + [(name, ctypes.c_int64) for name in ("first_position", "position_batch_stride", "position_token_stride")]
        + [("batch", ctypes.c_int64), ("tokens", ctypes.c_int64)]
        + [("table_cos", ctypes.c_void_p), ("table_sin", ctypes.c_void_p)]
        + [(name, ctypes.c_int64) for name in ("table_rows", "table_row_stride", "table_batch_stride")]
        + [("cu_seqlens", ctypes.c_void_p), ("sequences", ctypes.c_int64)]
    )


class Statistic(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p)] + [(name, ctypes.c_int64) for name in ("token_stride", "head_stride")]


class Operand(ctypes.Structure):
    """ropejit_operand; members that are not set are 0, as ropejit_operand_of has them."""

    _fields_ = (
        [("size", ctypes.c_size_t), ("name", ctypes.c_int32), ("reserved", ctypes.c_int32)]
        + [("input", Tensor), ("output", Tensor)]
        + [("rows", ctypes.c_void_p), ("cache_rows", ctypes.c_int64), ("norm_weight", ctypes.c_void_p)]
        + [(name, ctypes.c_int64) for name in ("block_size", "slot_count", "slot_stride")]
        + [("beside", Tensor), ("norm_statistic", Statistic), ("norm_statistic_out", Statistic)]
        + [(name, ctypes.c_void_p) for name in ("norm_bias", "bias", "head_scales")]
    )


class OperandArgs(Args):
    """ropejit_args with its list of operands."""

    _fields_ = (
        [(name, ctypes.c_int64) for name in ("position_axis_stride", "ranks", "rank")]
        + [("k_rows", ctypes.c_void_p), ("k_cache_rows", ctypes.c_int64)]
        + [("token_count", ctypes.c_void_p), ("flags", ctypes.c_void_p)]
        + [("operands", ctypes.POINTER(Operand)), ("operand_count", ctypes.c_int64)]
    )


def contiguous(tensor=None):
    data = None if tensor is None else tensor.data_ptr()
    return Tensor(data, CONTIGUOUS, CONTIGUOUS, CONTIGUOUS, CONTIGUOUS)


def args_of(batch, tokens, q, k=None, q_out=None, k_out=None, positions=None, table=None):
    """Arguments of one launch on gapless tensors of [batch, tokens, heads, head_dim].

    positions: int64 ids of [batch, tokens]; None: 0, 1, 2, ... in every sequence. table: (cos, sin), or (one tensor,
    None), with a row for each position. The caller keeps all tensors alive.
    """
    args = Args(ctypes.sizeof(Args), contiguous(q), contiguous(k), contiguous(q_out), contiguous(k_out))
    args.position_source = POSITIONS_START if positions is None else POSITIONS_IDS64
    args.position_ids = None if positions is None else positions.data_ptr()
    args.position_batch_stride = args.position_token_stride = args.table_row_stride = CONTIGUOUS
    args.batch, args.tokens = batch, tokens
    if table is not None:
        cos, sin = table
        args.table_cos, args.table_rows = cos.data_ptr(), cos.shape[0]
        args.table_sin = None if sin is None else sin.data_ptr()
    return args


def rows_of(tensor):
    """A tensor [tokens, heads, head_dim] whose tokens may lie apart, as parts of packed rows do."""
    return Tensor(tensor.data_ptr(), CONTIGUOUS, *tensor.stride())


def batches_of(tensor):
    """A tensor [batch, tokens, heads, head_dim] with its own strides."""
    return Tensor(tensor.data_ptr(), *tensor.stride())


def operand(name, x, out=None, norm_weight=None, norm_bias=None, pages=None, slots=None):
    """One operand of a launch, x of [tokens, heads, head_dim] or [batch, tokens, heads, head_dim]. It goes to `out`, or
    to `pages` of [pages, block_size, heads, head_dim] by int64 slots, else over itself."""
    read = rows_of(x) if x.dim() == 3 else batches_of(x)
    made = Operand(ctypes.sizeof(Operand), name, 0, read, contiguous(out if pages is None else pages))
    made.norm_weight = None if norm_weight is None else norm_weight.data_ptr()
    made.norm_bias = None if norm_bias is None else norm_bias.data_ptr()
    if pages is not None:
        made.rows, made.cache_rows, made.block_size = slots.data_ptr(), pages.shape[0] * pages.shape[1], pages.shape[1]
    return made


def args_of_operands(tokens, operands, positions, batch=1):
    """Arguments of one launch on operands, with int64 positions of [batch, tokens] without gaps. The caller keeps all
    tensors alive."""
    empty = [contiguous() for _ in range(4)]
    args = OperandArgs(ctypes.sizeof(OperandArgs), *empty, POSITIONS_IDS64, 0, positions.data_ptr())
    args.position_batch_stride = args.position_token_stride = args.table_row_stride = CONTIGUOUS
    args.position_axis_stride = CONTIGUOUS
    args.batch, args.tokens = batch, tokens
    args.operands, args.operand_count = (Operand * len(operands))(*operands), len(operands)
    return args


def current_stream(tensor):
    """The stream that PyTorch would queue work on `tensor` on; None on the host."""
    return torch._C._cuda_getCurrentRawStream(tensor.device.index) if tensor.is_cuda else None


class RopejitError(RuntimeError):
    pass


class Ropejit:
    """A service, and the kernels that it made. device: "cuda" or "host"; cache_dir "": binaries in memory only, None:
    as the environment says; tuning likewise."""

    def __init__(self, library, device, cache_dir="", tuning=None):
        self.library = ctypes.CDLL(str(library))
        self.library.ropejit_version.restype = ctypes.c_char_p
        self.library.ropejit_last_error.restype = ctypes.c_char_p
        self.library.ropejit_launch.argtypes = [ctypes.c_void_p, ctypes.POINTER(Args), ctypes.c_void_p]
        self.library.ropejit_get.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
        self.service = ctypes.c_void_p()
        options = {"device": device}
        if cache_dir is not None:
            options["cache_dir"] = str(cache_dir)
        if tuning is not None:
            options["tuning"] = tuning
        self.check(self.library.ropejit_service_create(json.dumps(options).encode(), ctypes.byref(self.service)))

    def check(self, status):
        if status != 0:
            raise RopejitError(f"ropejit: {self.library.ropejit_last_error().decode()}")

    def version(self):
        return self.library.ropejit_version().decode()

    def model_ropes(self, config, **options):
        """What ropejit_model_ropes says of a config.json, given as a dictionary."""
        texts = [json.dumps(part).encode() for part in (config, options)]
        length = ctypes.c_size_t()
        self.check(self.library.ropejit_model_ropes(*texts, None, ctypes.c_size_t(0), ctypes.byref(length)))
        text = ctypes.create_string_buffer(length.value + 1)
        self.check(
            self.library.ropejit_model_ropes(*texts, text, ctypes.c_size_t(len(text)), ctypes.byref(length)))
        return json.loads(text.value)

    def kernel(self, spec, form):
        """The kernel for a spec and a form of launch, both as dictionaries."""
        kernel = ctypes.c_void_p()
        texts = (json.dumps(part).encode() for part in (spec, form))
        self.check(self.library.ropejit_get(self.service, *texts, ctypes.byref(kernel)))
        return kernel

    def launch(self, kernel, args, stream):
        self.check(self.library.ropejit_launch(kernel, ctypes.byref(args), stream))


def find_library():
    """libropejit.so beside this folder (in a bundle), of ./dev bundle, or else by the dynamic linker."""
    here = pathlib.Path(__file__).resolve().parent
    for folder in (here.parent / "lib", here.parent / "build/bundle/lib"):
        if (folder / "libropejit.so").exists():
            return folder / "libropejit.so"
    return "libropejit.so"


def exit_with_error(kind, error, trace):
    """For sys.excepthook: a RopejitError is one line, not a traceback."""
    if issubclass(kind, RopejitError):
        print(error, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)
