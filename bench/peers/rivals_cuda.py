"""CUDA kernels of others, behind the C interfaces of native/: FlashInfer, vLLM, TransformerEngine."""

import ctypes

from rivals import Rival, Unavailable, peers_folder, same_layout
from rivals_triton import source_of
from ropejit_c import current_stream

DTYPE = {"fp16": 0, "bf16": 1, "fp32": 2}


def address(tensor):
    return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


class CudaRival(Rival):
    part = ""

    def version(self):
        self.entry()
        return source_of(self.part)

    def entry(self):
        if not hasattr(self, "_entry"):
            file = peers_folder() / self.part / f"{self.part}.so"
            try:
                self._entry = getattr(ctypes.CDLL(str(file)), f"peer_{self.part}")
            except OSError as error:
                raise Unavailable(str(error)) from error
        return self._entry

    def caller(self, arguments, results, tensor):
        """A call of the entry with `arguments` and PyTorch's stream."""
        entry = self.entry()

        def call():
            status = entry(*arguments, ctypes.c_void_p(current_stream(tensor)))
            if status != 0:
                raise RuntimeError(f"{self.name}: cudaError {status}")
            return results

        return call


class FlashInfer(CudaRival):
    """Angles in the kernel by fast hardware functions, or (cached) from an fp32 table of [cos, sin] rows."""

    part = "flashinfer"

    def __init__(self, cached):
        self.cached = cached
        self.name = "flashinfer_table" if cached else "flashinfer"

    def supports(self, cell):
        shape = cell.shape
        # The table's kernel reads 16 bytes at a time: 24 rotating lanes make it fault.
        width = shape.rotary % 16 == 0 if self.cached else shape.head_dim in (64, 128, 256, 512)
        return same_layout(cell) and shape.dtype != "fp32" and shape.k_heads > 0 and width

    def prepare(self, inputs, buffers):
        cell, shape = inputs.cell, inputs.shape
        q, k = buffers.q, buffers.k
        q_out, k_out = (q, k) if cell.in_place else (buffers.q_out, buffers.k_out)
        table = inputs.cos_sin(inputs.angles.float().dtype) if self.cached else None
        tensors = [address(x) for x in (q, k, q_out, k_out, table, inputs.positions)]
        sizes = [cell.batch * cell.tokens, shape.q_heads, shape.k_heads, shape.rotary, shape.head_dim]
        arguments = [DTYPE[shape.dtype], *tensors, *sizes, int(inputs.interleaved), ctypes.c_float(10000.0)]
        return self.caller(arguments, (q_out, k_out), q)


class Vllm(CudaRival):
    """In place, a table of [cos, sin] rows in the dtype, int64 positions."""

    name = part = "vllm"

    def supports(self, cell):
        return cell.in_place and same_layout(cell)

    def prepare(self, inputs, buffers):
        cell, shape = inputs.cell, inputs.shape
        tensors = [address(x) for x in (buffers.q, buffers.k, inputs.cos_sin(inputs.dtype), inputs.positions)]
        sizes = [cell.batch * cell.tokens, shape.q_heads, shape.k_heads, shape.rotary, shape.head_dim]
        arguments = [DTYPE[shape.dtype], *tensors, *sizes, int(inputs.interleaved)]
        return self.caller(arguments, (buffers.q, buffers.k), buffers.q)


class TransformerEngine(CudaRival):
    """Out of place, a tensor a call, fp32 angles whose sine and cosine each block takes anew."""

    name = part = "transformer_engine"

    def supports(self, cell):
        largest = cell.batch * cell.tokens * max(cell.shape.q_heads, cell.shape.k_heads) * cell.shape.head_dim
        return not cell.in_place and same_layout(cell) and largest < 2**31

    def prepare(self, inputs, buffers):
        cell, shape = inputs.cell, inputs.shape
        calls = []
        for x, out in ((buffers.q, buffers.q_out), (buffers.k, buffers.k_out)):
            if x is None:
                continue
            sizes = [cell.batch, cell.tokens, x.shape[2], shape.rotary, shape.head_dim, int(inputs.interleaved)]
            arguments = [DTYPE[shape.dtype], address(x), address(out), address(inputs.radians()), *sizes]
            calls.append(self.caller(arguments, out, x))
        if len(calls) == 1:
            return lambda: (calls[0](), None)
        return lambda: (calls[0](), calls[1]())


RIVALS = [FlashInfer(False), FlashInfer(True), Vllm(), TransformerEngine()]
