"""Kernels that move what the prologue moves and compute nothing: its floor. Written here, compiled by NVRTC."""

import ctypes
import os
import pathlib

import torch

import ropejit_c

WIDTHS, WORDS, THREADS = (4, 8, 16), (1, 2, 4, 8), (64, 128, 256, 512)  # bytes a word, words a thread, threads a block

# All sizes but the number of words are the compiler's to know. Pages lie without gaps, so place s % block_size of page
# s / block_size is row s.
SOURCE = r"""
typedef long long int64;
constexpr int64 kNever = 0x8000000000000000;  // no token stands there: positions are read, and change nothing

template <typename W, int WORDS, bool PROLOGUE>
__device__ void move(const W* q, const W* k, const W* v, W* q_out, W* k_pages, W* v_pages, const int64* slots,
                     const int64* positions, unsigned words, unsigned q_row, unsigned q_out_row, unsigned k_row,
                     unsigned v_row) {
  constexpr unsigned Q = PROLOGUE ? Q_BYTES / sizeof(W) : 0, K = K_BYTES / sizeof(W), V = V_BYTES / sizeof(W);
  const unsigned first = blockIdx.x * blockDim.x * WORDS + threadIdx.x;
  W word[WORDS];
  unsigned slot[WORDS];
  bool wanted[WORDS];
#pragma unroll
  for (int j = 0; j < WORDS; ++j) {
    const unsigned i = first + j * blockDim.x, token = i / (Q + K + V), at = i % (Q + K + V);
    wanted[j] = i < words;
    if (wanted[j]) {
      const W* from = at < Q       ? q + token * q_row + at
                      : at < Q + K ? k + token * k_row + (at - Q)
                                   : v + token * v_row + (at - Q - K);
      word[j] = *from;
      slot[j] = at < Q ? 0 : unsigned(slots[token]);
      if (PROLOGUE && at % 32 == 0 && at < Q + K) wanted[j] = positions[token] != kNever;
    }
  }
#pragma unroll
  for (int j = 0; j < WORDS; ++j) {
    const unsigned i = first + j * blockDim.x, token = i / (Q + K + V), at = i % (Q + K + V);
    W* to = at < Q       ? q_out + token * q_out_row + at
            : at < Q + K ? k_pages + slot[j] * K + (at - Q)
                         : v_pages + slot[j] * V + (at - Q - K);
    if (wanted[j]) *to = word[j];
  }
}

#define KERNEL(NAME, W, BYTES, WORDS, PROLOGUE)                                                                       \
  extern "C" __global__ void NAME##_##BYTES##_##WORDS(                                                                \
      const W* q, const W* k, const W* v, W* q_out, W* k_pages, W* v_pages, const int64* slots,                       \
      const int64* positions, unsigned words, unsigned q_row, unsigned q_out_row, unsigned k_row, unsigned v_row) {   \
    move<W, WORDS, PROLOGUE>(q, k, v, q_out, k_pages, v_pages, slots, positions, words, q_row, q_out_row, k_row,      \
                             v_row);                                                                                  \
  }
#define WIDTH(W, BYTES, WORDS) KERNEL(prologue, W, BYTES, WORDS, true) KERNEL(append, W, BYTES, WORDS, false)
#define WORDS(N) WIDTH(unsigned, 4, N) WIDTH(uint2, 8, N) WIDTH(uint4, 16, N)
WORDS(1) WORDS(2) WORDS(4) WORDS(8)
"""


class CannotCompile(RuntimeError):
    pass


def nvrtc():
    """The library, as ropejit looks for it, and before that the one that torch came with."""
    major = (torch.version.cuda or "13").split(".")[0]
    named = pathlib.Path(os.environ.get("ROPEJIT_NVRTC", "/nonexistent"))
    beside = pathlib.Path(torch.__file__).parent.parent / "nvidia"
    folders = [named, beside / f"cu{major}/lib", beside / "cuda_nvrtc/lib"]
    folders += [pathlib.Path(os.environ.get("CUDA_HOME", "/usr/local/cuda")) / "lib64"]
    names = [named] if named.is_file() else []
    names += [path for folder in folders for path in sorted(folder.glob("libnvrtc.so*"))]
    for name in [*names, f"libnvrtc.so.{major}", "libnvrtc.so"]:
        try:
            return ctypes.CDLL(str(name))
        except OSError:
            continue
    raise CannotCompile("no libnvrtc; ROPEJIT_NVRTC names one")


def compiled(case, arch):
    """SOURCE for the sizes of a case, as a cubin."""
    library, program = nvrtc(), ctypes.c_void_p()
    element = case.dtype.itemsize
    sizes = {"Q_BYTES": case.q_lanes * element, "K_BYTES": case.k_lanes * element, "V_BYTES": case.v_lanes * element}
    options = [f"-arch={arch}", "-std=c++17", *(f"-D{name}={size}" for name, size in sizes.items())]
    texts = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    if library.nvrtcCreateProgram(ctypes.byref(program), SOURCE.encode(), b"copies.cu", 0, None, None) != 0:
        raise CannotCompile("nvrtcCreateProgram failed")
    status = library.nvrtcCompileProgram(program, len(options), texts)
    get = ("ProgramLog", library.nvrtcGetProgramLogSize, library.nvrtcGetProgramLog)
    if status == 0:
        get = ("CUBIN", library.nvrtcGetCUBINSize, library.nvrtcGetCUBIN)
    size = ctypes.c_size_t()
    get[1](program, ctypes.byref(size))
    found = ctypes.create_string_buffer(size.value)
    get[2](program, found)
    library.nvrtcDestroyProgram(ctypes.byref(program))
    if status != 0 or size.value == 0:
        raise CannotCompile(f"NVRTC: {found.value.decode(errors='replace').strip() or status}")
    return found.raw


class Copies:
    """The kernels of a case on torch's device, loaded."""

    def __init__(self, case):
        self.case = case
        self.driver = ctypes.CDLL("libcuda.so.1")
        torch.zeros(1, device="cuda")  # the context of this thread
        major, minor = torch.cuda.get_device_capability()
        self.module = ctypes.c_void_p()
        image = compiled(case, f"sm_{major}{minor}")
        self.check("cuModuleLoadData", self.driver.cuModuleLoadData(ctypes.byref(self.module), image))

    def check(self, what, status):
        if status != 0:
            raise RuntimeError(f"{what}: CUDA error {status}")

    def variants(self, what):
        """Names of kernels with what a call of each takes. what: "prologue" or "append"."""
        for width in WIDTHS:
            for words in WORDS:
                for threads in THREADS:
                    yield f"{width} B x {words} x {threads}", (what, width, words, threads)

    def call(self, variant, tokens, q, k, v, q_out, k_pages, v_pages, slots, positions):
        """One launch on torch's current stream. q, k, v, q_out: [tokens, heads, head_dim] whose tokens may lie apart;
        q, q_out and positions are None for "append"."""
        what, width, words, threads = variant
        case, function = self.case, ctypes.c_void_p()
        name = f"{what}_{width}_{words}".encode()
        self.check("cuModuleGetFunction", self.driver.cuModuleGetFunction(ctypes.byref(function), self.module, name))
        in_words = width // case.dtype.itemsize
        lanes = case.k_lanes + case.v_lanes + (case.q_lanes if what == "prologue" else 0)
        count = tokens * lanes // in_words
        tensors = (q, k, v, q_out, k_pages, v_pages, slots, positions)
        values = [ctypes.c_void_p(None if x is None else x.data_ptr()) for x in tensors]
        rows = [0 if x is None else x.stride(0) // in_words for x in (q, q_out, k, v)]
        values += [ctypes.c_uint(number) for number in (count, *rows)]
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        blocks = -(-count // (threads * words))
        launch, none = self.driver.cuLaunchKernel, ctypes.c_void_p()

        def run(kept=values):
            stream = ctypes.c_void_p(ropejit_c.current_stream(k))
            status = launch(function, blocks, 1, 1, threads, 1, 1, 0, stream, pointers, none)
            self.check("cuLaunchKernel", status)

        return run
