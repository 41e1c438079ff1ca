"""What a user reads when a GPU, its driver or its libraries are not as they should be."""

import os
import subprocess
import sys
import textwrap

import pytest

from cuda_support import DEVICE, SIMULATED, needs_cuda
from under_test import fb


def run(code, **env):
    """The output of a Python program that imports flambeau as fb; a crash fails the test."""
    merged = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    merged.update(env)
    merged = {k: v for k, v in merged.items() if v is not None}
    done = subprocess.run(
        [sys.executable, "-c", "import flambeau as fb\n" + textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=merged,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


ERROR = """
def error(call):
    try:
        call()
    except Exception as e:
        print(type(e).__name__, e)
    else:
        print("no error")
"""


def has_driver():
    # in a process of its own: here the simulated one may be loaded already
    code = "import ctypes; ctypes.CDLL('libcuda.so.1')"
    return subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


# Without a GPU -----------------------------------------------------------------------------------


def test_the_import_loads_no_cuda_library():
    out = run(
        """
        fb.nn.Linear(2, 2)(fb.ones(1, 2)).sum().backward()
        fb.cuda, fb.backends.cuda.matmul.allow_tf32, fb.amp.GradScaler("cpu")
        names = [line.split("/")[-1] for line in open("/proc/self/maps") if "/" in line]
        print(sorted({n.strip() for n in names if n.startswith(("libcuda", "libnv", "libcublas"))}))
        """
    )
    assert out.strip() == "[]"


@needs_cuda
def test_asking_for_a_gpu_loads_the_driver_alone():
    out = run(
        """
        fb.cuda.is_available(), fb.cuda.device_count()
        names = {line.split("/")[-1].strip() for line in open("/proc/self/maps") if "/" in line}
        print(any(n.startswith("libcuda.so") for n in names),
              any(n.startswith(("libnvrtc", "libcublas")) for n in names))
        print(fb.cuda.is_initialized())
        """
    )
    assert out.split() == ["True", "False", "False"]


@pytest.mark.skipif(has_driver(), reason="this machine has an NVIDIA driver")
def test_no_driver():
    out = run(
        ERROR
        + textwrap.dedent(
            """
            c = fb.cuda
            assert (c.is_available(), c.device_count(), c.is_initialized()) == (False, 0, False)
            assert c.memory_allocated() == c.max_memory_reserved() == 0
            assert not c.is_bf16_supported() and not c.is_current_stream_capturing()
            assert c.get_arch_list() == [] and c.memory_stats()["num_ooms"] == 0
            assert fb.accelerator.current_accelerator() is None
            c.manual_seed(0), c.manual_seed_all(0), c.empty_cache(), c.reset_peak_memory_stats()
            with c.device(None), c.stream(None), c.device_of(fb.ones(1)):
                pass
            for call in (lambda: fb.ones(1).cuda(), lambda: fb.ones(1, device="cuda"), c.init,
                         c.synchronize, c.current_device, c.Stream, c.current_stream,
                         lambda: c.set_device(0), c.get_device_name, c.mem_get_info,
                         c.CUDAGraph().capture_begin, c.graph_pool_handle,
                         fb.ones(1).pin_memory, lambda: c.Event().record()):
                error(call)
            fb.set_default_device("cuda")
            error(lambda: fb.ones(1))
            """
        ),
        FLAMBEAU_CUDA_LIBS=None,
    )
    lines = [line for line in out.splitlines() if not line.startswith("  ")]
    assert len(lines) == 15
    for line in lines:
        assert line.startswith("RuntimeError") and "CUDA" in line
        assert "no NVIDIA driver was found" in line and "driver package" in line
    assert "  libcuda.so.1: " in out, "it says what was tried"


simulated = pytest.mark.skipif(not SIMULATED, reason="the simulated driver plays this")


@needs_cuda
@simulated
@pytest.mark.parametrize(
    "env, words",
    [
        ({"CUDASIM_INIT_ERROR": "100"}, ["it sees no GPU", "nvidia-smi", "CUDA_VISIBLE_DEVICES"]),
        ({"CUDASIM_INIT_ERROR": "999"}, ["does not start", "(999)", "nvidia-smi"]),
        ({"CUDASIM_DRIVER": "11080"}, ["too old", "CUDA 11.8", "driver 525", "Update the driver"]),
    ],
    ids=["no device", "broken", "old"],
)
def test_a_driver_of_no_use(env, words):
    out = run(
        ERROR
        + "print(fb.cuda.is_available(), fb.cuda.device_count())\n"
        + "error(lambda: fb.ones(1).cuda())\nerror(fb.cuda.synchronize)\n",
        **env,
    )
    first, *errors = out.splitlines()
    assert first == "False 0" and len(errors) == 2
    for line in errors:
        assert line.startswith("RuntimeError") and all(w in line for w in words), line


@needs_cuda
def test_no_compiler():
    out = run(
        ERROR
        + """
import flambeau.cuda._libraries as libraries
libraries.directories = lambda: []
error(lambda: fb.zeros(3, device="cuda") + 1)
        """,
        CUDA_HOME=None,
        CUDA_PATH=None,
        LD_LIBRARY_PATH=None,
    )
    if "no error" in out:
        pytest.skip("the system itself has NVRTC")
    assert out.startswith("RuntimeError") and "NVRTC was not found" in out
    assert "pip install 'flambeau[cuda]'" in out and "libnvrtc.so.13: " in out


# With one ----------------------------------------------------------------------------------------


@needs_cuda
def test_devices_that_do_not_fit():
    n = fb.cuda.device_count()
    with pytest.raises(RuntimeError, match=rf"'cuda:{n}' does not exist: this machine has {n} "):
        fb.ones(2, device=f"cuda:{n}")
    with pytest.raises(RuntimeError, match="Invalid device string: 'cuda:x'"):
        fb.ones(2, device="cuda:x")
    x, h = fb.ones(2, 2, device=DEVICE), fb.ones(2, 2)
    for call in (
        lambda: x + h,
        lambda: h * x,
        lambda: x @ h,
        lambda: fb.cat([x, h]),
        lambda: fb.where(x > 0, h, x),
        lambda: fb.nn.functional.linear(x, h),
        lambda: x.index_select(0, fb.tensor([0])),
        lambda: fb.addmm(x, x, h),
        lambda: fb.nn.functional.layer_norm(x, (2,), fb.ones(2)),
        lambda: x.masked_fill_(h > 0, 1.0),
        lambda: fb.stack([h, x]),
    ):
        with pytest.raises(RuntimeError, match="(?s)same device.*(cuda:0.*cpu|cpu.*cuda:0)"):
            call()
    assert (x + fb.tensor(1.0)).tolist() == [[2, 2], [2, 2]], "numbers on the CPU are welcome"


@needs_cuda
@simulated
def test_memory_that_runs_out_and_comes_back():
    out = run(
        ERROR
        + """
x = fb.ones(1 << 18, device="cuda")
fb.cuda.synchronize()
total = fb.cuda.mem_get_info()[1]
error(lambda: fb.empty(total, dtype=fb.uint8, device="cuda"))
y = x + 1
print(y[-1].item(), fb.cuda.memory_stats()["num_ooms"])
        """
    )
    text, after = out.splitlines()
    assert text.startswith("OutOfMemoryError") and "CUDA out of memory. Tried to allocate" in text
    for words in (
        "on cuda:0, which has",
        "tensors hold 1.0 MiB",
        "the largest: 1.0 MiB",
        "no_grad",
    ):
        assert words in text
    assert after.split() == ["2.0", "1"]


@needs_cuda
def test_a_fork_after_the_start_is_refused():
    out = run(
        ERROR
        + """
import os, sys
x = fb.ones(2, device="cuda")
g = fb.cuda.CUDAGraph()
e = fb.cuda.current_stream().record_event()
if os.fork() == 0:
    error(lambda: x + 1)
    error(lambda: x.tolist())
    del x, g, e   # the parent's: the child must not touch the driver for them
    sys.stdout.flush()
    os._exit(0)
os.wait()
print((x + 1).tolist())
        """
    )
    child, again, parent = out.splitlines()
    for line in (child, again):
        assert line.startswith("RuntimeError") and "Cannot use CUDA in a forked process" in line
        assert "'spawn'" in line
    assert parent == "[2.0, 2.0]"


@needs_cuda
@simulated
def test_a_kernel_that_fails_names_itself():
    out = run(
        ERROR
        + """
x = fb.ones(5, device="cuda")
def use():
    y = x.exp() * 2
    fb.cuda.synchronize()
    return y
error(use)
error(use)
        """,
        CUDASIM_FAIL_LAUNCH="2",
    )
    first, second = out.splitlines()
    assert "CUDA error" in first and "719" in first
    assert "CUDA error" in second, "the context stays lost"
    assert "The kernels launched last" in second and "LAUNCH_BLOCKING=1" in second
