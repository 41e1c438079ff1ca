"""The device of the GPU tests: a real GPU, or the simulated one that `make test-cuda` sets up."""

import ctypes
import os

import pytest

from under_test import fb

# the folder of the simulated driver; unset on a machine with a real GPU
SIMULATED = bool(os.environ.get("FLAMBEAU_CUDA_LIBS"))
DEVICE = "cuda"

# selected by `-m cuda`; skipped, with the reason, where there is no device (see conftest.py)
needs_cuda = pytest.mark.cuda


def recover(error):
    """Whether a kernel of the simulated device refused a value; the device is then usable again."""
    if not SIMULATED or "CUDA error: unspecified launch failure" not in str(error):
        return False
    ctypes.CDLL(
        os.path.join(os.environ["FLAMBEAU_CUDA_LIBS"], "libcuda.so.1")
    ).cudasim_reset_error()
    return True


@pytest.fixture
def exact_products():
    """Convolutions in float32 proper, not in TF32 as is the default."""
    before = fb.backends.cudnn.allow_tf32
    fb.backends.cudnn.allow_tf32 = False
    yield
    fb.backends.cudnn.allow_tf32 = before


def skip_without_device(items):
    """Marks the GPU tests as skipped when no GPU, real or simulated, is there."""
    marked = [i for i in items if i.get_closest_marker("cuda")]
    if marked and not fb.cuda.is_available():
        skip = pytest.mark.skip(reason="no GPU here; `make test-cuda` simulates one")
        for item in marked:
            item.add_marker(skip)
