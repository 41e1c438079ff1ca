"""The CUDA stand-in itself: opcodes against NumPy and SciPy, and planted bugs that it must find."""

import ctypes as C
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cudasim import host

if host.nvrtc_path() is None:
    pytest.skip("the wheel nvidia-cuda-nvrtc is not installed", allow_module_level=True)

ROW_SUM = """
extern "C" __global__ void row_sum(const float* x, float* out, int n) {
  __shared__ float part[8];
  const float* row = x + (size_t)blockIdx.x * n;
  float v = 0;
  for (int i = threadIdx.x; i < n; i += 256) v += row[i];
  for (int k = 16; k; k >>= 1) v += __shfl_xor_sync(~0u, v, k);
  if (threadIdx.x % 32 == 0) part[threadIdx.x / 32] = v;
  __syncthreads();
  if (threadIdx.x < 32) {
    v = threadIdx.x < 8 ? part[threadIdx.x] : 0;
    for (int k = 4; k; k >>= 1) v += __shfl_xor_sync(~0u, v, k);
    if (threadIdx.x == 0) out[blockIdx.x] = v;
  }
}
"""


@pytest.fixture(scope="module")
def loaded():
    return host.Simulator()


@pytest.fixture
def sim(loaded):
    """The simulator in its plain modes, whatever the test before did to it."""
    loaded.reset()
    loaded.set(order="fwd", fail_alloc=0, fail_launch=0, race=0)
    loaded.set(ASYNC="eager")
    yield loaded
    loaded.reset()


@pytest.mark.parametrize("order", ["fwd", "rev", "random"])
def test_row_sum_in_every_order(sim, order):
    sim.set(order=order)
    x = np.random.default_rng(0).standard_normal((40, 1000)).astype(np.float32)
    out = sim.empty(40, np.float32)
    sim.launch(sim.function(ROW_SUM, "row_sum"), 40, 256, sim.array(x), out, np.int32(1000))
    np.testing.assert_allclose(out.numpy(), x.sum(1, dtype=np.float64), rtol=1e-5, atol=1e-4)


# ---- planted bugs ----------------------------------------------------------------------------


def faulty(sim, source, name, grid, block, *args, shared=0):
    """Launches a kernel that must fail; returns the error code and its text."""
    with pytest.raises(host.CudaError) as caught:
        sim.launch(sim.function(source, name), grid, block, *args, shared=shared)
        sim.synchronize()
    with pytest.raises(host.CudaError) as again:  # the context stays dead
        sim.synchronize()
    assert again.value.code == caught.value.code
    return caught.value.code, str(caught.value)


@pytest.mark.parametrize("order", ["fwd", "rev", "random"])
@pytest.mark.parametrize("missing", [0, 1, 2])
def test_each_missing_barrier_is_found(sim, missing, order):
    sim.set(order=order)
    body = """
extern "C" __global__ void f(float* x) {
  __shared__ float s[64];
  int t = threadIdx.x;
  s[t] = x[t]; BARRIER
  float v = s[63 - t]; BARRIER
  s[t] = v + 1; BARRIER
  x[t] = s[(t + 40) % 64];
}"""
    parts = body.split("BARRIER")
    whole = "__syncthreads();".join(parts)
    x = sim.array(np.arange(64, dtype=np.float32))
    sim.launch(sim.function(whole, "f"), 1, 64, x)
    want = (63 - (np.arange(64) + 40) % 64) + 1
    np.testing.assert_array_equal(x.numpy(), want)
    broken = "".join(
        p + ("" if k == missing else "__syncthreads();" if k < 3 else "")
        for k, p in enumerate(parts)
    )
    code, text = faulty(sim, broken, "f", 1, 64, x)
    assert code == 719 and ("race" in text or "no thread of this block" in text)
    assert "kernel `f`" in text and "thread (" in text and "PTX line" in text


def test_missing_warp_barrier_is_found_and_a_present_one_is_enough(sim):
    source = """
extern "C" __global__ void f(int* x) {{
  __shared__ int s[32];
  s[threadIdx.x] = x[threadIdx.x]; {} x[threadIdx.x] = s[31 - threadIdx.x];
}}"""
    x = sim.array(np.arange(32, dtype=np.int32))
    sim.launch(sim.function(source.format("__syncwarp();"), "f"), 1, 32, x)
    np.testing.assert_array_equal(x.numpy(), np.arange(32)[::-1])
    code, text = faulty(sim, source.format("__threadfence_block();"), "f", 1, 32, x)
    assert code == 719 and "race on shared memory" in text


BUGS = {
    "uninitialised shared": (
        "__shared__ int s[64]; if (t < 10) s[t] = t; __syncthreads(); x[t] = s[t];",
        719, "no thread of this block has written",
    ),
    "out of bounds": ("x[t + 64] = 1;", 700, "out of bounds"),
    "negative index": ("x[t - 1] = 1;", 700, "out of bounds"),
    "null pointer": ("if (t == 3) *(int*)(long long)x[0] = 1;", 700, "thread (3,0,0)"),
    "shared out of range": (
        "__shared__ int s[16]; s[t] = t; __syncthreads(); x[t] = s[t % 16];",
        700, "out of shared memory",
    ),
    "misaligned vector": (
        "*(int4*)(x + 1) = make_int4(1, 2, 3, 4);", 716, "misaligned store of 16",
    ),
    "divergent barrier": (
        "if (t < 32) { x[t] = 1; __syncthreads(); x[t] = 2; }"
        "else { __syncthreads(); x[t] += 3; }",
        719, "divergent barriers",
    ),
    "barrier after an exit": ("if (t == 5) return; __syncthreads(); x[t] = 1;", 719, "have exited"),
    "shuffle from an exited lane": (
        "if (t == 7) return; x[t] = __shfl_down_sync(~0u, x[t], 1);",
        719, "lane 7, which has exited",
    ),
    "shuffle in a branch": (
        "if (t % 32 < 9) x[t] = __shfl_sync(~0u, x[t], 0); else x[t] = 3;", 719, "lane",
    ),
    "mask without the caller": ("x[t] = __ballot_sync(1u << (t + 1) % 32, 1);", 719, "caller"),
    "trap": ("if (x[t] == 5) __trap();", 719, "trap"),
    "endless loop": ("volatile int* p = x; while (p[t] < 1000) {}", 719, "without end"),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_is_found(sim, bug):
    body, code, text = BUGS[bug]
    source = f'extern "C" __global__ void f(int* x) {{ int t = threadIdx.x; {body} }}'
    sim.set(limit=100000)
    got, message = faulty(sim, source, "f", 1, 64, sim.array(np.arange(64, dtype=np.int32)))
    sim.set(limit=1 << 32)
    assert got == code and text in message


def test_lanes_missing_from_the_block_are_found(sim):
    source = 'extern "C" __global__ void f(int* x) { x[threadIdx.x] = __any_sync(~0u, 1); }'
    code, text = faulty(sim, source, "f", 1, 48, sim.array(np.zeros(48, np.int32)))
    assert code == 719 and "does not exist" in text


@pytest.mark.parametrize("body, grid, races", [
    ("x[0] = threadIdx.x;", 1, True),
    ("if (threadIdx.x == 0) x[0] = blockIdx.x;", 2, True),
    ("x[0] = 7;", 2, False),
    ("if (threadIdx.x == 0) x[0] = 1; __syncthreads(); if (threadIdx.x == 9) x[0] = 2;", 1, False),
    ("atomicExch(x, (int)threadIdx.x);", 2, False),
])  # fmt: skip
def test_race_on_global_memory(sim, body, grid, races):
    source = f'extern "C" __global__ void f(int* x) {{ {body} }}'
    x = sim.array(np.zeros(4, np.int32))
    sim.launch(sim.function(source, "f"), grid, 64, x)  # not looked for by default
    sim.synchronize()
    sim.set(race=1)
    if races:
        assert "race on global memory" in faulty(sim, source, "f", grid, 64, x)[1]
    else:
        sim.launch(sim.function(source, "f"), grid, 64, x)
        sim.synchronize()


def test_use_after_free_is_found(sim):
    source = 'extern "C" __global__ void f(int* x) { x[threadIdx.x] = 1; }'
    x = sim.array(np.zeros(64, np.int32))
    pointer = x.pointer
    x.free()
    code, text = faulty(sim, source, "f", 1, 64, C.c_uint64(pointer))
    assert code == 700 and "out of bounds" in text


def test_divergent_code_that_is_right_passes(sim):
    """Loops of different length, early exits and warp operations among the lanes that remain."""
    source = """
extern "C" __global__ void f(int* x) {
  int t = threadIdx.x, v = 0;
  for (int i = 0; i < t % 7; ++i) { if (i == 4) continue; v += i; if (v > 8) break; }
  unsigned odd = __ballot_sync(~0u, t & 1);
  if (t & 1) v += __shfl_xor_sync(odd, t, 2); else v -= 1;
  switch (t % 5) {
    case 0: v += 10; break;
    case 1: v += 20;
    case 2: v += 30; break;
    default: v = -v;
  }
  x[t] = v;
  if (t > 40) return;
  x[t] += 1000;
}"""
    x = sim.array(np.zeros(64, np.int32))
    want = []
    for t in range(64):
        v = 0
        for i in range(t % 7):
            if i == 4:
                continue
            v += i
            if v > 8:
                break
        v += (t ^ 2) if t & 1 else -1
        v = {0: v + 10, 1: v + 50, 2: v + 30}.get(t % 5, -v)
        want.append(v + (0 if t > 40 else 1000))
    for order in ("fwd", "rev", "random"):
        sim.set(order=order)
        sim.launch(sim.function(source, "f"), 1, 64, x)
        np.testing.assert_array_equal(x.numpy(), want)


def test_a_lock_between_lanes_makes_progress(sim):
    source = """
extern "C" __global__ void f(int* lock, int* x) {
  for (bool done = false; !done;) {
    if (atomicCAS(lock, 0, 1)) continue;
    x[0] += 1; __threadfence(); atomicExch(lock, 0); done = true;
  }
}"""
    lock, x = sim.array(np.zeros(1, np.int32)), sim.array(np.zeros(1, np.int32))
    sim.launch(sim.function(source, "f"), 2, 64, lock, x)
    assert x.numpy()[0] == 128


def test_functions_structs_and_tables(sim):
    source = """
struct S { int n; float x[3]; const double* p; };
__constant__ float table[4] = {1, 2, 3, 4};
__device__ int counter = 5;
__device__ int* where = &counter;
__device__ __noinline__ float g(float x, S s) { return x * s.x[s.n] + table[s.n & 3]; }
extern "C" __global__ void f(S s, float* out) {
  extern __shared__ double dyn[];
  int t = threadIdx.x, part[20];
  for (int i = 0; i < 20; ++i) part[i] = i * s.n;
  dyn[t] = sin(1e6 * t);
  __syncthreads();
  atomicAdd(where, 1);
  out[t] = g((float)dyn[(t * 7) % 32], s) + part[t % 20] + (float)s.p[1];
  if (t == 0) out[32] = *where;
}"""

    class S(C.Structure):
        _fields_ = [("n", C.c_int), ("x", C.c_float * 3), ("p", C.c_uint64)]

    p, out = sim.array(np.array([0.5, 0.25])), sim.array(np.zeros(33, np.float32))
    s = S(2, (C.c_float * 3)(1, 2, 3), p.pointer)
    sim.launch(sim.function(source, "f"), 1, 32, s, out, shared=256)
    t = np.arange(32)
    want = np.sin(1e6 * ((t * 7) % 32)).astype(np.float32) * 3 + 3 + t % 20 * 2 + 0.25
    np.testing.assert_allclose(out.numpy()[:32], want, rtol=1e-6)
    assert out.numpy()[32] == 37


# ---- the driver ------------------------------------------------------------------------------

ADD = 'extern "C" __global__ void add(int* x, int v) { x[threadIdx.x] += v; }'
SCALE = 'extern "C" __global__ void scale(int* x, int v) { x[threadIdx.x] *= v; }'


def test_launch_limits(sim):
    x = sim.array(np.zeros(4, np.int32))
    f = sim.function(ADD, "add")
    for grid, block, shared in [(1, 2048, 0), (0, 4, 0), ((1, 70000), 4, 0), (1, 4, 50000)]:
        with pytest.raises(host.CudaError, match="error 1:"):
            sim.launch(f, grid, block, x, np.int32(1), shared=shared)
    sim.check(sim.lib.cuFuncSetAttribute(f, 8, 100000))
    sim.launch(f, 1, 4, x, np.int32(1), shared=50000)
    np.testing.assert_array_equal(x.numpy(), 1)


def test_too_much_static_shared_memory(sim):
    source = 'extern "C" __global__ void f(float* x) { __shared__ float s[20000];'
    source += "s[threadIdx.x] = x[0]; __syncthreads(); x[threadIdx.x] = s[threadIdx.x ^ 1]; }"
    with pytest.raises(host.CudaError, match="48 KiB"):
        sim.function(source, "f")


@pytest.mark.parametrize("line", ["frobnicate.b32 %r1, %r2;", "add.wrong.s32 %r1, %r1, %r1;",
                                  "add.s32 %r1, %r1, %rd1;", "bra nowhere;"])  # fmt: skip
def test_what_is_not_understood_is_an_error(sim, line):
    ptx = ".version 8.0\n.target sm_90\n.address_size 64\n.visible .entry f()\n{\n"
    ptx += ".reg .b32 %r<4>;\n.reg .b64 %rd<4>;\n" + line + "\nret;\n}\n"
    with pytest.raises(host.CudaError, match="error 218: PTX line 8"):
        sim.load(ptx)


def stream_of(sim, flags=1):
    stream = C.c_void_p()
    sim.check(sim.lib.cuStreamCreate(C.byref(stream), flags))
    return stream


def event_of(sim):
    event = C.c_void_p()
    sim.check(sim.lib.cuEventCreate(C.byref(event), 2))
    return event


def pinned(sim, n, dtype=np.int32):
    pointer = C.c_void_p()
    size = n * np.dtype(dtype).itemsize
    sim.check(sim.lib.cuMemHostAlloc(C.byref(pointer), C.c_size_t(size), 0))
    return np.frombuffer((C.c_char * size).from_address(pointer.value), dtype)


def copy_back(sim, x, to, stream):
    where, size = C.c_void_p(to.ctypes.data), C.c_size_t(x.nbytes)
    sim.check(sim.lib.cuMemcpyDtoHAsync_v2(where, C.c_uint64(x.pointer), size, stream))


def test_lazy_streams_show_a_missing_synchronisation(sim):
    x, stream, out = sim.array(np.zeros(8, np.int32)), stream_of(sim), pinned(sim, 8)
    sim.set(ASYNC="lazy")
    sim.launch(sim.function(ADD, "add"), 1, 8, x, np.int32(5), stream=stream)
    copy_back(sim, x, out, stream)
    assert (out == -1).all()  # nobody has waited
    assert sim.lib.cuStreamQuery(stream) == 600
    sim.check(sim.lib.cuStreamSynchronize(stream))
    assert (out == 5).all() and sim.lib.cuStreamQuery(stream) == 0


@pytest.mark.parametrize("with_event", [False, True])
def test_lazy_streams_show_a_missing_event(sim, with_event):
    x, first, second = sim.array(np.ones(8, np.int32)), stream_of(sim), stream_of(sim)
    sim.set(ASYNC="lazy")
    sim.launch(sim.function(ADD, "add"), 1, 8, x, np.int32(5), stream=first)
    if with_event:
        event = event_of(sim)
        sim.check(sim.lib.cuEventRecord(event, first))
        sim.check(sim.lib.cuStreamWaitEvent(second, event, 0))
    sim.launch(sim.function(SCALE, "scale"), 1, 8, x, np.int32(10), stream=second)
    sim.check(sim.lib.cuStreamSynchronize(second))
    sim.synchronize()
    assert (x.numpy() == (60 if with_event else 15)).all()


def test_lazy_pageable_source_may_change_after_the_call(sim):
    x, values = sim.empty(8, np.int32), np.arange(8, dtype=np.int32)
    sim.set(ASYNC="lazy")
    stream = stream_of(sim)
    sim.upload(x, values, stream)
    values[:] = 0
    np.testing.assert_array_equal(x.numpy(stream), np.arange(8))
    source = pinned(sim, 8)
    source[:] = 3
    sim.upload(x, source, stream)
    source[:] = 4  # a pinned source must not change: the copy has not run
    assert (x.numpy(stream) == 4).all()


def test_graph_records_and_replays(sim):
    x, stream = sim.array(np.zeros(8, np.int32)), stream_of(sim)
    before = sim.lib.cudasim_launches()
    sim.check(sim.lib.cuStreamBeginCapture_v2(stream, 0))
    status = C.c_int()
    sim.check(sim.lib.cuStreamIsCapturing(stream, C.byref(status)))
    assert status.value == 1
    value = np.int32(3)
    sim.launch(sim.function(ADD, "add"), 1, 8, x, value, stream=stream)
    sim.launch(sim.function(SCALE, "scale"), 1, 8, x, np.int32(2), stream=stream)
    graph, run = C.c_void_p(), C.c_void_p()
    sim.check(sim.lib.cuStreamEndCapture(stream, C.byref(graph)))
    sim.check(sim.lib.cuGraphInstantiateWithFlags(C.byref(run), graph, C.c_uint64(0)))
    sim.check(sim.lib.cuGraphDestroy(graph))
    assert (x.numpy() == 0).all()
    for want in (6, 18, 42):
        sim.check(sim.lib.cuGraphLaunch(run, stream))
        assert (x.numpy(stream) == want).all()
    assert sim.lib.cudasim_launches() == before + 2
    sim.check(sim.lib.cuGraphExecDestroy(run))


def test_capture_joins_a_second_stream_by_events(sim):
    x, first, second = sim.array(np.zeros(8, np.int32)), stream_of(sim), stream_of(sim)
    fork, join, graph = event_of(sim), event_of(sim), C.c_void_p()
    for joined in (False, True):
        sim.check(sim.lib.cuStreamBeginCapture_v2(first, 0))
        sim.check(sim.lib.cuEventRecord(fork, first))
        sim.check(sim.lib.cuStreamWaitEvent(second, fork, 0))
        sim.launch(sim.function(ADD, "add"), 1, 8, x, np.int32(1), stream=second)
        if joined:
            sim.check(sim.lib.cuEventRecord(join, second))
            sim.check(sim.lib.cuStreamWaitEvent(first, join, 0))
        rc = sim.lib.cuStreamEndCapture(first, C.byref(graph))
        assert rc == (0 if joined else 904)


def test_what_a_capture_forbids(sim):
    x, stream, graph = sim.array(np.zeros(8, np.int32)), stream_of(sim), C.c_void_p()
    out, pointer = np.zeros(8, np.int32), C.c_uint64()
    where, size = C.c_void_p(out.ctypes.data), C.c_size_t(32)
    calls = [
        lambda: sim.lib.cuStreamSynchronize(stream),
        lambda: sim.lib.cuCtxSynchronize(),
        lambda: sim.lib.cuMemAlloc_v2(C.byref(pointer), C.c_size_t(64)),
        lambda: sim.lib.cuMemcpyDtoHAsync_v2(where, C.c_uint64(x.pointer), size, stream),
        lambda: sim.lib.cuMemcpyHtoDAsync_v2(C.c_uint64(x.pointer), where, size, stream),
    ]
    for call in calls:
        sim.check(sim.lib.cuStreamBeginCapture_v2(stream, 0))
        assert call() == 900
        assert sim.lib.cuMemsetD8Async(C.c_uint64(x.pointer), 0, size, stream) == 901
        assert sim.lib.cuStreamEndCapture(stream, C.byref(graph)) == 901
    sim.synchronize()


def test_faults_on_demand(sim):
    sim.set(fail_alloc=2)
    x = sim.empty(4, np.int32)
    with pytest.raises(host.CudaError, match="error 2:"):
        sim.empty(4, np.int32)
    sim.empty(4, np.int32)
    sim.set(fail_alloc="1+")
    for _ in range(3):
        with pytest.raises(host.CudaError, match="error 2:"):
            sim.empty(4, np.int32)
    sim.set(fail_alloc=0, fail_launch=1)
    with pytest.raises(host.CudaError, match="error 719:"):
        sim.launch(sim.function(ADD, "add"), 1, 4, x, np.int32(1))
    with pytest.raises(host.CudaError, match="error 719:"):
        sim.synchronize()


def test_memory_is_limited_and_counted(sim):
    live = sim.lib.cudasim_live_bytes()
    x = sim.empty(1000, np.uint8)
    assert sim.lib.cudasim_live_bytes() == live + 1000
    assert x.pointer % 256 == 0 and (x.numpy() == 255).all()
    with pytest.raises(host.CudaError, match="error 2:"):
        sim.empty(3 << 30, np.uint8)
    with pytest.raises(host.CudaError, match="do not fit"):
        sim.check(sim.lib.cuMemsetD8Async(C.c_uint64(x.pointer + 1), 0, C.c_size_t(1000), None))


def test_two_devices_keep_their_memory_apart(sim):
    sim.set(devices=2)
    other = host.Simulator(1)
    y = other.array(np.full(4, 7, np.int32))
    sim.check(sim.lib.cuCtxSetCurrent(sim.context))
    x = sim.array(np.zeros(4, np.int32))
    size = C.c_size_t(16)
    sim.check(sim.lib.cuMemcpyPeerAsync(C.c_uint64(x.pointer), sim.context, C.c_uint64(y.pointer),
                                        other.context, size, None))  # fmt: skip
    assert (x.numpy() == 7).all()
    code, text = faulty(sim, ADD, "add", 1, 4, y, np.int32(1))
    assert code == 700 and "another device" in text


def test_environment_and_host_dereference():
    """In processes of their own: modes from the environment, and a host read of device memory."""
    program = """
import ctypes as C, sys
sys.path.insert(0, sys.argv[1])
from cudasim import host
import numpy as np
try:
    sim = host.Simulator()
except host.CudaError as e:
    print("init", e.code); sys.exit()
count = C.c_int(); sim.lib.cuDeviceGetCount(C.byref(count))
version = C.c_int(); sim.lib.cuDriverGetVersion(C.byref(version))
x = sim.array(np.arange(4, dtype=np.int32))
print(count.value, version.value, flush=True)
print(C.c_int.from_address(x.pointer + 4).value)
"""

    def run(**modes):
        env = {**os.environ, **{"CUDASIM_" + k: v for k, v in modes.items()}}
        command = [sys.executable, "-c", program, str(Path(__file__).parent)]
        return subprocess.run(command, env=env, capture_output=True, text=True)

    strict = run(DEVICES="3", DRIVER="12040", STRICT="1")
    assert strict.stdout == "3 12040\n" and strict.returncode == -signal.SIGSEGV
    assert run(STRICT="0").stdout == "1 13000\n1\n"
    assert run(INIT_ERROR="100").stdout == "init 100\n"


# ---- the cuBLAS stand-in ---------------------------------------------------------------------


class Blas:
    def __init__(self, sim):
        self.sim = sim
        self.lib = C.CDLL(str(sim.directory / "libcublas.so.13"), mode=C.RTLD_LOCAL)
        self.handle = C.c_void_p()
        assert self.lib.cublasCreate_v2(C.byref(self.handle)) == 0

    def gemm(
        self, ops, m, n, k, alpha, a, b, beta, c, types, lds, compute, batch=None, stream=None
    ):
        self.lib.cublasSetStream_v2(self.handle, stream)
        scalar = np.dtype(
            {0: "f4", 2: "f4", 14: "f4", 1: "f8", 4: "c8", 5: "c16", 3: "i4"}[types[0]]
        )
        if compute == 68 and types[0] == 3:
            scalar = np.dtype("f4")
        sa, sb = np.array(alpha, scalar), np.array(beta, scalar)
        args = [self.handle, *ops, m, n, k, C.c_void_p(sa.ctypes.data)]
        strides = batch[:3] if batch else (0, 0, 0)
        for place, x, t, ld, stride in zip("abc", (a, b, c), types, lds, strides):
            if place == "c":
                args.append(C.c_void_p(sb.ctypes.data))
            args += [C.c_void_p(x.pointer), t, ld] + ([C.c_longlong(stride)] if batch else [])
        if batch:
            return self.lib.cublasGemmStridedBatchedEx(*args, batch[3], compute, -1)
        return self.lib.cublasGemmEx(*args, compute, -1)


@pytest.mark.parametrize("ops", [(0, 0), (1, 0), (0, 2), (2, 1)])
@pytest.mark.parametrize("dtype, code, compute, tol", [
    ("f4", 0, 68, 1e-5), ("f4", 0, 77, 3e-3), ("f8", 1, 70, 1e-13), ("c8", 4, 68, 1e-5),
    ("c16", 5, 70, 1e-13), ("f2", 2, 68, 2e-3),
])  # fmt: skip
def test_gemm(sim, dtype, code, compute, tol, ops):
    rng, (m, n, k) = np.random.default_rng(3), (7, 5, 33)
    fill = lambda *s: (rng.standard_normal(s) + 1j * rng.standard_normal(s)).astype(
        dtype if dtype[0] == "c" else "c16"
    )
    as_type = lambda v: np.asfortranarray(v if dtype[0] == "c" else v.real.astype(dtype))
    a = as_type(fill(*((m, k) if ops[0] == 0 else (k, m))))
    b = as_type(fill(*((k, n) if ops[1] == 0 else (n, k))))
    c = as_type(fill(m, n))
    op = lambda v, o: (v, v.T, v.conj().T)[o].astype(np.complex128)
    want = 1.5 * op(a, ops[0]) @ op(b, ops[1]) + 0.5 * c.astype(np.complex128)
    A, B, D = (sim.array(v.T) for v in (a, b, c))  # the bytes of Fortran order
    blas = Blas(sim)
    lds = [v.shape[0] for v in (a, b, c)]
    assert blas.gemm(ops, m, n, k, 1.5, A, B, 0.5, D, [code] * 3, lds, compute) == 0
    got = D.numpy().T
    assert np.abs(got - want).max() <= tol * np.abs(want).max()
    if compute == 77:
        assert np.abs(got - want).max() > 1e-6  # the inputs were rounded


def test_gemm_batches_streams_and_zero_beta(sim):
    rng = np.random.default_rng(4)
    a, b = (rng.standard_normal((3, 4, 4)).astype(np.float32) for _ in range(2))
    A, B, D, stream = sim.array(a), sim.array(b), sim.empty((3, 4, 4), np.float32), stream_of(sim)
    sim.set(ASYNC="lazy")
    blas = Blas(sim)
    # one B for all
    rc = blas.gemm((0, 0), 4, 4, 4, 1, B, A, 0, D, [0] * 3, [4] * 3, 68, (0, 16, 16, 3), stream)
    assert rc == 0
    np.testing.assert_allclose(D.numpy(stream), a @ b[0], rtol=1e-5, atol=1e-5)
    table = lambda x: sim.array(x.pointer + 64 * np.arange(3, dtype=np.uint64))
    pa, pb, pd = table(B), table(A), table(D)
    sim.synchronize()  # the tables came by another stream
    one, zero = C.c_float(1), C.c_float(0)
    at = lambda x: C.c_void_p(x.pointer)
    rc = blas.lib.cublasGemmBatchedEx(
        blas.handle, 0, 0, 4, 4, 4, C.byref(one), at(pa), 0, 4, at(pb), 0, 4, C.byref(zero), at(pd),
        0, 4, 3, 68, -1,
    )  # fmt: skip
    assert rc == 0
    np.testing.assert_allclose(D.numpy(stream), a @ b, rtol=1e-5, atol=1e-5)


def test_gemm_checks_its_arguments(sim):
    x = sim.array(np.zeros((4, 4), np.float32))
    blas = Blas(sim)
    call = lambda **o: blas.gemm(
        (0, 0),
        o.get("m", 4),
        4,
        4,
        1,
        x,
        x,
        0,
        x,
        o.get("types", [0] * 3),
        o.get("lds", [4] * 3),
        68,
    )
    assert call() == 0
    assert call(lds=[3, 4, 4]) == 7 and call(m=-1) == 7
    assert call(m=5, lds=[5, 4, 5]) == 13
    assert call(types=[0, 1, 0]) == 15


# ---- matrix instructions and asynchronous copies ---------------------------------------------


@pytest.mark.parametrize("kind, k", [("f16", 16), ("bf16", 16), ("f16", 8), ("tf32", 8)])
def test_matrix_instruction(sim, kind, k):
    """One warp computes a 16 x 8 tile, its fragments laid out as the PTX manual says."""
    per, step = (1, 4) if kind == "tf32" else (2, 8)
    na, nb = 2 * k // step, k // step
    regs = lambda name, n, ty: "".join(f'"{ty}"({name}[{i}]),' for i in range(n)).rstrip(",")
    slots = lambda first, n: "{" + ",".join(f"%{first + i}" for i in range(n)) + "}"
    source = f"""
extern "C" __global__ void f(const unsigned* a, const unsigned* b, float* c) {{
  int l = threadIdx.x; unsigned x[{na}], y[{nb}]; float d[4];
  for (int i = 0; i < {na}; ++i) x[i] = a[i * 32 + l];
  for (int i = 0; i < {nb}; ++i) y[i] = b[i * 32 + l];
  for (int i = 0; i < 4; ++i) d[i] = c[i * 32 + l];
  asm volatile("mma.sync.aligned.m16n8k{k}.row.col.f32.{kind}.{kind}.f32 {slots(0, 4)},"
    "{slots(4, na)},{slots(4 + na, nb)},{slots(0, 4)};"
    : {regs("d", 4, "+f")} : {regs("x", na, "r")}, {regs("y", nb, "r")});
  for (int i = 0; i < 4; ++i) c[i * 32 + l] = d[i];
}}"""
    rng = np.random.default_rng(5)
    A, B = rng.integers(-8, 9, (16, k)) / 4, rng.integers(-8, 9, (k, 8)) / 4
    D = rng.integers(-8, 9, (16, 8)) / 2

    def code(v):
        v = np.asarray(v, np.float32)
        wide = v.view(np.uint32)
        if kind == "tf32":
            return wide[0]
        half = v.astype(np.float16).view(np.uint16) if kind == "f16" else wide >> 16
        return int(half[0]) | int(half[1]) << 16

    a, b = np.zeros((na, 32), np.uint32), np.zeros((nb, 32), np.uint32)
    c = np.zeros((4, 32), np.float32)
    for lane in range(32):
        g, q = lane // 4, lane % 4
        for i in range(na):
            at = q * per + step * (i // 2)
            a[i, lane] = code(A[g + 8 * (i % 2), at : at + per])
        for i in range(nb):
            at = q * per + step * i
            b[i, lane] = code(B[at : at + per, g])
        for i in range(4):
            c[i, lane] = D[g + 8 * (i // 2), 2 * q + i % 2]
    out = sim.array(c)
    sim.launch(sim.function(source, "f"), 1, 32, sim.array(a), sim.array(b), out)
    got, want = out.numpy(), A @ B + D
    for lane in range(32):
        for i in range(4):
            assert got[i, lane] == want[lane // 4 + 8 * (i // 2), 2 * (lane % 4) + i % 2]


def test_load_matrix(sim):
    source = """
extern "C" __global__ void f(const unsigned short* x, unsigned* out) {
  __shared__ __align__(16) unsigned short s[4 * 64];
  int l = threadIdx.x; unsigned r[8];
  for (int i = l; i < 256; i += 32) s[i] = x[i];
  __syncwarp();
  unsigned at = (unsigned)__cvta_generic_to_shared(s + 8 * l);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
    : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
    : "=r"(r[4]), "=r"(r[5]), "=r"(r[6]), "=r"(r[7]) : "r"(at));
  for (int i = 0; i < 8; ++i) out[i * 32 + l] = r[i];
}"""
    x = np.arange(256, dtype=np.uint16) * 7
    out = sim.empty((8, 32, 2), np.uint16)
    sim.launch(sim.function(source, "f"), 1, 32, sim.array(x), out)
    tiles = x.reshape(4, 8, 8)
    want = [t.reshape(32, 2) for t in tiles] + [t.T.reshape(32, 2) for t in tiles]
    np.testing.assert_array_equal(out.numpy(), want)


def test_asynchronous_copy_needs_its_wait(sim):
    source = """
extern "C" __global__ void f(const float* x, float* out) {{
  __shared__ __align__(16) float s[2][128];
  int t = threadIdx.x;
  for (int k = 0; k < 2; ++k) {{
    unsigned at = (unsigned)__cvta_generic_to_shared(&s[k][4 * t]);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(at),
      "l"(x + 128 * k + 4 * t), "r"(k && t == 31 ? 8 : 16) : "memory");
    asm volatile("cp.async.commit_group;" ::: "memory");
  }}
  asm volatile("cp.async.wait_group {};" ::: "memory");
  __syncthreads();
  for (int i = t; i < 128; i += 32) out[i] = s[0][i];
  asm volatile("cp.async.wait_all;" ::: "memory");
  __syncthreads();
  for (int i = t; i < 128; i += 32) out[128 + i] = s[1][i];
}}"""
    x = np.arange(256, dtype=np.float32)
    out = sim.empty(256, np.float32)
    sim.launch(sim.function(source.format(1), "f"), 1, 32, sim.array(x), out)
    want = np.where(np.arange(256) < 254, x, 0)
    np.testing.assert_array_equal(out.numpy(), want)
    code, text = faulty(sim, source.format(2), "f", 1, 32, sim.array(x), out)
    assert code == 719 and "no thread of this block has written" in text
