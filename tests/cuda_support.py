"""The device of the GPU tests: a real GPU, or the simulated one when NVRTC is installed."""

import os

import pytest

from under_test import fb

# set by `make test-cuda`; without it the GPU tests say why they do not run
SIMULATED = bool(os.environ.get("FLAMBEAU_CUDA_LIBS"))
DEVICE = "cuda"

needs_cuda = pytest.mark.skipif(
    not fb.cuda.is_available(), reason="no GPU; `make test-cuda` runs these on the simulated one"
)
