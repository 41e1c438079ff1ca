"""The GPU tests again where the simulated driver or the allocator is as unkind as it may be."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cuda_support import SIMULATED, needs_cuda

pytestmark = [
    needs_cuda,
    pytest.mark.skipif(not SIMULATED, reason="only the simulated driver has modes"),
]
TESTS = Path(__file__).parent
MODES = {
    # work runs only when somebody waits for it, its blocks and warps in an order of no meaning
    "late": ({"CUDASIM_ORDER": "random", "CUDASIM_ASYNC": "lazy", "CUDASIM_SEED": "1"}, ""),
    # a freed address is gone at once, so that whoever still uses it is found out
    "no_pool": ({"FLAMBEAU_CUDA_POOL": "0"}, ""),
    "two_devices": ({"CUDASIM_DEVICES": "2"}, "device or gpu"),
}
FILES = [
    "test_cuda_api.py",
    "test_cuda_tensors.py",
    "test_cuda_devices.py",
    "test_cuda_indexing.py",
]


@pytest.mark.parametrize("mode", MODES)
def test_mode(mode):
    variables, chosen = MODES[mode]
    command = [sys.executable, "-m", "pytest", *(str(TESTS / f) for f in FILES), "-k", chosen]
    command += ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--timeout", "120"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")} | variables
    done = subprocess.run(command, env=env, cwd=TESTS.parent, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert done.returncode == 0 and " passed" in text, text[-4000:]
    if mode == "two_devices":
        assert "needs two GPUs" not in text
