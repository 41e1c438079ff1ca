"""Back-end switches that PyTorch scripts read and set; many only remember what they are told."""

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


def _setting(name, doc):
    """A property that the CUDA backend of the core holds."""

    def write(self, on):
        _C._cuda_setting(name, int(bool(on)))

    return property(lambda self: _C._cuda_setting(name), write, doc=doc)


class _CudaMatmul:
    """How a GPU multiplies matrices."""

    allow_tf32 = _setting("matmul_tf32", "Whether float32 matrices are multiplied in TF32.")
    # halves are summed in float32 always: accepted, without effect
    allow_fp16_reduced_precision_reduction = False
    allow_bf16_reduced_precision_reduction = False
    allow_fp16_accumulation = False

    @property
    def fp32_precision(self):
        """'tf32' or 'ieee': the newer spelling of allow_tf32."""
        return "tf32" if self.allow_tf32 else "ieee"

    @fp32_precision.setter
    def fp32_precision(self, value):
        if value not in ("tf32", "ieee", "none"):
            raise RuntimeError(f"fp32_precision is 'tf32' or 'ieee', not {value!r}")
        self.allow_tf32 = value == "tf32"


class _Cuda:
    """NVIDIA GPUs: `matmul`, and the kinds of attention that PyTorch can switch off."""

    def __init__(self):
        self.matmul = _CudaMatmul()
        self._attention = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True}

    def is_built(self):
        """Whether this build has a CUDA backend: always. A GPU may still be missing.

        >>> import flambeau as fb
        >>> fb.backends.cuda.is_built()
        True
        """
        return True

    def _switch(self, kind, on=None):
        if on is None:
            return self._attention[kind]
        self._attention[kind] = bool(on)


for _kind in ("flash", "mem_efficient", "math", "cudnn"):
    setattr(_Cuda, f"{_kind}_sdp_enabled", lambda self, kind=_kind: self._switch(kind))
    setattr(_Cuda, f"enable_{_kind}_sdp", lambda self, on, kind=_kind: self._switch(kind, on))


class _Cudnn(_Switches):
    """cuDNN, which this build does not use: convolutions on a GPU are its own."""

    allow_tf32 = _setting("conv_tf32", "Whether convolutions of float32 may run in TF32.")

    def flags(self, **values):
        """Context in which the given switches are set."""
        return _flags(self, values)


class _flags:
    def __init__(self, switches, values):
        self.switches, self.values = switches, values

    def __enter__(self):
        self.before = {k: getattr(self.switches, k) for k in self.values}
        for k, v in self.values.items():
            setattr(self.switches, k, v)

    def __exit__(self, *exc):
        for k, v in self.before.items():
            setattr(self.switches, k, v)


cudnn = _Cudnn(enabled=True, benchmark=False, deterministic=True, benchmark_limit=10)
mps = _Switches()
mkl = _Switches()
mkldnn = _Switches(enabled=False)
openmp = _Switches()
cuda = _Cuda()


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
