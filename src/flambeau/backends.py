"""Back-end switches that PyTorch scripts read and set; without a GPU most only remember."""

from __future__ import annotations

from . import _C


class _Switches:
    """Attributes with defaults; what a script sets is kept."""

    def __init__(self, **values):
        self.__dict__.update(values)

    def is_available(self):
        """Whether the back end can be used: never in this build."""
        return False

    is_built = is_available

    def version(self):
        """The back end's version: None, as it is not there."""
        return None


cudnn = _Switches(enabled=False, benchmark=False, deterministic=True, allow_tf32=False)
mps = _Switches()
mkl = _Switches()
mkldnn = _Switches(enabled=False)
openmp = _Switches()
cuda = _Switches(matmul=_Switches(allow_tf32=False), is_built=lambda: False)


class cpu:
    """The CPU back end."""

    @staticmethod
    def get_cpu_capability():
        """The widest instruction set in use: 'AVX512', 'AVX2' or 'DEFAULT'.

        >>> import flambeau as fb
        >>> fb.backends.cpu.get_cpu_capability() in ("AVX512", "AVX2", "DEFAULT")
        True
        """
        return _C._cpu_capability()
