"""Kernels that the ops ask for become machine code for each GPU generation, and fit its limits."""

import collections
import os
import re
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from cuda_rows import CSRC, compile_text, find_nvrtc
from cuda_support import DEVICE, needs_cuda
from op_specs import REGISTRY, check
from under_test import fb

pytestmark = needs_cuda

ARCHS = (75, 80, 86, 89, 90, 100, 120)
OLDEST = {"attention": 80}  # tensor cores on bfloat16: csrc/cuda/attention.cpp asks for 8.0
SHARED = 48 << 10  # static bytes that every GPU grants a block
EVERYTHING = bool(os.environ.get("FLAMBEAU_TEST_ALL_DTYPES"))
# program: (bytes that a function of it stored and loaded when measured, on which generation). All
# were measured at 64 registers or fewer: the compiler's choice, not a shortage.
SPILLS = {
    "norm_rows.row_norm": (8, "8.0, at 40 registers"),
    "pooling.max_pool": (100, "12.0, avg_pool of the same text"),
    "pooling.avg_pool_backward": (48, "10.0"),
    "special_modified_bessel_k0": (16, "12.0"),
    "special_ndtri": (136, "9.0, at 48 registers"),
    "special_airy_ai": (40, "10.0, at 48 registers"),
    "igammac": (84, "8.0 to 9.0, at 48 registers"),
}
FILES = sorted((CSRC / "cuda/kernels").glob("*.cuh"))
ENTRY = r'extern "C" __global__ void\s+(?:__launch_bounds__\((?:[^()]|\([^()]*\))*\)\s+)?(\w+)\('


def call_row(row, dtype):
    """The row's first sample in this dtype, and its derivative."""
    sample = next((s for s in row.samples if not s.dtypes or dtype in s.dtypes), None)
    if dtype not in row.dtypes or sample is None:
        return
    arrays, made = check.draw(row, sample, dtype), {}
    for t in sample.tensors() if row.grad else ():
        if t.grad and dtype not in ("int64", "bool"):
            kind = t.dtype or dtype
            made[id(t)] = check.tensor(arrays[id(t)], kind, device=DEVICE, grad=True)
    leaves = list(made.values())
    result = check.call(row, sample, arrays, dtype, device=DEVICE, made=made)
    outs = [o for o in check.outputs(row, result) if getattr(o, "requires_grad", False)]
    if leaves and outs:
        ones = [fb.ones_like(o) for o in outs]
        fb.autograd.grad(outs, leaves, ones, allow_unused=True)


def call_others():
    """What the first samples do not reach: large, random and 16-bit work, optimisers, graphs."""
    x = fb.rand(64, 64, device=DEVICE, requires_grad=True)
    fb.nn.functional.dropout(x, 0.5).sum().backward()
    x.detach().t().contiguous()
    x.detach().cumsum(0), x.detach().cumsum(1)
    fb.topk(fb.rand(4000, device=DEVICE), 3)
    fb.sort(fb.rand(20000, device=DEVICE))
    fb.multinomial(x.detach(), 2)
    products = fb.rand(8, 4096, device=DEVICE), fb.rand(4096, 8, device=DEVICE)
    products[0].long() @ products[1].long()
    classes = fb.zeros(20000, device=DEVICE, dtype=fb.int64)
    fb.nn.functional.cross_entropy(fb.rand(20000, 2, device=DEVICE), classes)
    image = fb.rand(1, 4, 6, 6, device=DEVICE, requires_grad=True)
    weight = fb.rand(4, 1, 3, 3, device=DEVICE, requires_grad=True)
    fb.nn.functional.conv2d(image, weight, groups=4).sum().backward()
    q = fb.rand(1, 2, 9, 16, device=DEVICE).half()
    fb.nn.functional.scaled_dot_product_attention(q, q, q)
    fb.nn.utils.clip_grad_norm_([x], 1.0)
    optimizer = fb.optim.Adam([x], capturable=True, foreach=True)
    optimizer.step()
    scaler = fb.amp.GradScaler(DEVICE)
    scaler.scale(x.sum()).backward()
    scaler.step(optimizer)
    graph = fb.cuda.CUDAGraph()
    with fb.cuda.graph(graph):
        fb.rand(8, device=DEVICE)
    graph.replay()


def file_of(label, entry):
    """The text of an own kernel; a scan has its fold as label, an elementwise one its formula."""
    return label.split(".")[0] if "." in label else entry


def shape_of(file, source):
    """What an own kernel's `#if` lines see: kernels that differ in it are different programs."""
    text = (CSRC / "cuda/kernels" / (file + ".cuh")).read_text()
    asked = set(re.findall(r"\w+", " ".join(re.findall(r"^#(?:el)?if\w* (.*)", text, re.M))))
    return tuple((n, v) for n, v in re.findall(r"^#define (\w+) ?(.*)", source, re.M) if n in asked)


def jobs(kernels):
    """(label, source, architectures): an own kernel for all of them, other programs for one."""
    seen, shapes, texts, out = set(), set(), set(), []
    for label, entry, source in kernels:
        file = file_of(label, entry)
        own = file != "elementwise"
        shape = (file, shape_of(file, source)) if own else (label, ())
        name = (file, entry if own else label)
        fresh = name not in seen
        if source in texts or not (fresh or EVERYTHING or (own and shape not in shapes)):
            continue
        texts.add(source)
        shapes.add(shape)
        # a file's entries that are compiled together count as seen
        seen.add(name)
        if own and not shape[1]:
            seen.update((file, e) for e in re.findall(ENTRY, source))
        archs = [a for a in ARCHS if a >= OLDEST.get(file, 0)]
        if not (own and fresh):
            # by its name, not its text: which GPU it is must not hang on another line's change
            archs = [archs[zlib.crc32(repr((name, shape)).encode()) % len(archs)]]
        out += [(label, source, a) for a in archs]
    return out


def problems(label, code, log):
    """What a compiler's log says against a kernel."""
    if code is None:
        return [f"does not compile:\n{log[:1500]}"]
    found = []
    for size in re.findall(r"(\d+) bytes smem", log):
        if int(size) > SHARED:
            found.append(f"{size} bytes of static shared memory")
    spilled = re.findall(
        r"properties for (\S+)\n.*?(\d+) bytes spill stores, (\d+) bytes spill loads", log
    )
    if not spilled:
        found.append("the log names no registers")
    for function, stored, loaded in spilled:
        if int(stored) + int(loaded) > SPILLS.get(label, (0, ""))[0]:
            found.append(f"{function} spills {stored} + {loaded} bytes")
    return found


def test_kernels_fit_each_generation():
    if find_nvrtc() is None:
        pytest.skip("the kernel compiler is not installed: pip install nvidia-cuda-nvrtc")
    # In a process of its own: which variant of a kernel comes first must not hang on other tests.
    here = str(Path(__file__).parent)
    env = os.environ | {"PYTHONPATH": os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", "import test_cuda_compile as t; t.check_kernels()"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


def check_kernels():
    """Runs every op's first sample and compiles the kernels that it asked for."""
    lib = find_nvrtc()
    for row in REGISTRY.values():
        if row.key != "tensor_numpy":  # for the host alone
            call_row(row, "float32" if "float32" in row.dtypes else row.dtypes[0])
            for dtype in ("bfloat16", "int64", "complex64") if EVERYTHING else ():
                call_row(row, dtype)
    call_others()
    kernels = fb._C._cuda_compiled_kernels()
    reached = {(file_of(label, entry), entry) for label, entry, _ in kernels}
    files = {(p.stem, e) for p in FILES for e in re.findall(ENTRY, p.read_text())}
    assert len(files) > 40 and files <= reached
    found = collections.defaultdict(list)
    for label, source, arch in jobs(kernels):
        options = [f"--gpu-architecture=sm_{arch}", "--std=c++20", "--fmad=false"]
        options += ["-default-device", "--ptxas-options=-v"]
        code, log = compile_text(lib, source, options, "CUBIN")
        for problem in problems(label, code, log):
            found[label, problem].append(arch)
    lines = [f"{label} for {archs}: {problem}" for (label, problem), archs in found.items()]
    assert not lines, "\n".join(lines)


def test_a_misfit_is_found():
    lib = find_nvrtc()
    if lib is None:
        pytest.skip("the kernel compiler is not installed: pip install nvidia-cuda-nvrtc")
    text = 'extern "C" __global__ void k(float* p) { __shared__ float s[SIZE]; '
    text += "s[threadIdx.x] = p[0]; __syncthreads(); p[threadIdx.x] = s[threadIdx.x ^ 1]; }"
    options = ["--gpu-architecture=sm_80", "--ptxas-options=-v"]
    for size, want in (1 << 10, ""), (12 << 10, ""), ((12 << 10) + 4, "does not compile"):
        code, log = compile_text(lib, text.replace("SIZE", str(size)), options, "CUBIN")
        said = problems("k", code, log)
        assert (want in said[0]) if want else not said
    spilt = "ptxas info : Function properties for k\n"
    spilt += "0 bytes stack frame, 8 bytes spill stores, 4 bytes spill loads"
    assert problems("k", "", spilt) == ["k spills 8 + 4 bytes"]
    assert (
        problems("k", "", spilt.replace("8 bytes", "0 bytes").replace("4 bytes", "0 bytes")) == []
    )
