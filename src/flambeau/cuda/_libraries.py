"""Where NVIDIA's wheels keep the libraries that the CUDA backend loads."""

from __future__ import annotations

import os

# folders under the namespace package `nvidia`: CUDA 13 shares one, CUDA 12 has one per library
_FOLDERS = (
    "cu13/lib",
    "cuda_nvrtc/lib",
    "cublas/lib",
    "cudnn/lib",
)


def directories():
    """The existing library folders of the installed ``nvidia-*`` wheels, best first."""
    try:
        import nvidia
    except ImportError:
        return []
    roots = list(getattr(nvidia, "__path__", []))
    folders = [os.path.join(root, *f.split("/")) for root in roots for f in _FOLDERS]
    return [f for f in folders if os.path.isdir(f)]
