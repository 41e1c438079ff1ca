"""A small CUDA host for the simulator's tests: real NVRTC, simulated driver, NumPy arrays."""

from __future__ import annotations

import ctypes as C
import functools
import importlib.util
from pathlib import Path

import numpy as np

from .build import build


def nvrtc_path() -> Path | None:
    """The NVRTC library of the nvidia-cuda-nvrtc wheel, or None."""
    try:
        spec = importlib.util.find_spec("nvidia.cu13")
    except ImportError:
        return None
    for place in spec.submodule_search_locations if spec else []:
        path = Path(place) / "lib" / "libnvrtc.so.13"
        if path.exists():
            return path
    return None


@functools.cache
def compile_ptx(source: str, *options: str) -> str:
    """CUDA C++ text to PTX, by the real compiler."""
    lib = C.CDLL(str(nvrtc_path()))
    program = C.c_void_p()
    lib.nvrtcCreateProgram(C.byref(program), source.encode(), b"test.cu", 0, None, None)
    options = ("--gpu-architecture=compute_90", "--std=c++20", *options)
    array = (C.c_char_p * len(options))(*[o.encode() for o in options])
    rc = lib.nvrtcCompileProgram(program, len(options), array)
    size = C.c_size_t()
    if rc:
        lib.nvrtcGetProgramLogSize(program, C.byref(size))
        log = C.create_string_buffer(size.value)
        lib.nvrtcGetProgramLog(program, log)
        raise ValueError(log.value.decode())
    lib.nvrtcGetPTXSize(program, C.byref(size))
    text = C.create_string_buffer(size.value)
    lib.nvrtcGetPTX(program, text)
    lib.nvrtcDestroyProgram(C.byref(program))
    return text.value.decode()


class CudaError(RuntimeError):
    """A driver call failed; `code` is the driver's error number."""

    def __init__(self, code: int, text: str):
        super().__init__(f"CUDA error {code}: {text}")
        self.code = code


class Buffer:
    """Device memory that knows the shape and dtype of the array it came from."""

    def __init__(self, sim: Simulator, shape, dtype):
        self.pointer = 0
        self.sim, self.shape, self.dtype = sim, tuple(np.atleast_1d(shape)), np.dtype(dtype)
        self.nbytes = int(np.prod(self.shape)) * self.dtype.itemsize
        pointer = C.c_uint64()
        sim.check(sim.lib.cuMemAlloc_v2(C.byref(pointer), C.c_size_t(self.nbytes)))
        self.pointer = pointer.value

    def numpy(self, stream=None) -> np.ndarray:
        out = np.empty(self.shape, self.dtype)
        lib, size = self.sim.lib, C.c_size_t(self.nbytes)
        where = C.c_void_p(out.ctypes.data)
        self.sim.check(lib.cuMemcpyDtoHAsync_v2(where, C.c_uint64(self.pointer), size, stream))
        self.sim.check(lib.cuStreamSynchronize(stream))
        return out

    def free(self) -> None:
        if self.pointer:
            self.sim.lib.cuMemFree_v2(C.c_uint64(self.pointer))
            self.pointer = 0

    __del__ = free


class Simulator:
    """The simulated driver with a current context on one device."""

    def __init__(self, device: int = 0):
        self.directory = build()
        self.lib = C.CDLL(str(self.directory / "libcuda.so.1"), mode=C.RTLD_LOCAL)
        self.lib.cudasim_last_error.restype = C.c_char_p
        for name in ("cudasim_launches", "cudasim_allocs", "cudasim_live_bytes"):
            getattr(self.lib, name).restype = C.c_int64
        self.check(self.lib.cuInit(0))
        self.context = C.c_void_p()
        self.check(self.lib.cuDevicePrimaryCtxRetain(C.byref(self.context), device))
        self.check(self.lib.cuCtxSetCurrent(self.context))
        self.modules = {}

    def error(self) -> str:
        return self.lib.cudasim_last_error().decode()

    def check(self, code: int) -> None:
        if code:
            raise CudaError(code, self.error())

    def set(self, **modes) -> None:
        for name, value in modes.items():
            self.check(self.lib.cudasim_set(name.upper().encode(), str(value).encode()))

    def reset(self) -> None:
        self.lib.cudasim_reset_error()

    def array(self, values) -> Buffer:
        values = np.ascontiguousarray(values)
        buffer = Buffer(self, values.shape, values.dtype)
        self.upload(buffer, values)
        return buffer

    def upload(self, buffer: Buffer, values: np.ndarray, stream=None) -> None:
        where, size = C.c_void_p(values.ctypes.data), C.c_size_t(buffer.nbytes)
        self.check(self.lib.cuMemcpyHtoDAsync_v2(C.c_uint64(buffer.pointer), where, size, stream))

    def empty(self, shape, dtype) -> Buffer:
        return Buffer(self, shape, dtype)

    def load(self, ptx: str) -> C.c_void_p:
        module = C.c_void_p()
        self.check(self.lib.cuModuleLoadData(C.byref(module), ptx.encode()))
        return module

    def function(self, source: str, name: str, *options: str) -> C.c_void_p:
        key = (source, options)
        if key not in self.modules:
            self.modules[key] = self.load(compile_ptx(source, *options))
        function = C.c_void_p()
        self.check(
            self.lib.cuModuleGetFunction(C.byref(function), self.modules[key], name.encode())
        )
        return function

    def launch(self, function, grid, block, *args, shared=0, stream=None) -> None:
        grid = (*np.atleast_1d(grid), 1, 1)[:3]
        block = (*np.atleast_1d(block), 1, 1)[:3]
        values = []
        for a in args:
            if isinstance(a, Buffer):
                values.append(C.c_uint64(a.pointer))
            elif isinstance(a, int):
                values.append(C.c_int64(a))
            elif isinstance(a, np.generic):
                values.append(np.ctypeslib.as_ctypes_type(a.dtype)(a.item()))
            else:
                values.append(a)
        pointers = (C.c_void_p * max(len(values), 1))(*[C.addressof(v) for v in values])
        shape = [C.c_uint(int(v)) for v in (*grid, *block, shared)]
        self.check(self.lib.cuLaunchKernel(function, *shape, stream, pointers, None))

    def synchronize(self) -> None:
        self.check(self.lib.cuCtxSynchronize())
