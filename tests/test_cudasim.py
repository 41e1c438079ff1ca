"""The CUDA stand-in itself: opcodes against NumPy and SciPy, and planted bugs that it must find."""

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
    loaded.set(order="fwd", fail_alloc=0, fail_launch=0)
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
