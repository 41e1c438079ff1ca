"""Which GPU a call means, what it is, and which one is current."""

from __future__ import annotations

from .. import _C


def require():
    """Raise RuntimeError, with the cause and the cure, unless there is a usable GPU."""
    problem = _C._cuda_problem()
    if problem:
        raise RuntimeError(f"CUDA is not available: {problem}")
    if not _C._cuda_device_count():
        raise RuntimeError(
            "CUDA is not available: the driver sees no GPU; look at nvidia-smi and at "
            "CUDA_VISIBLE_DEVICES"
        )


def index_of(device):
    """The number of the GPU that `device` names: None and plain 'cuda' are the current one."""
    if device is None:
        return _C._cuda_current_device()
    if isinstance(device, int) and not isinstance(device, bool):
        return device if device >= 0 else _C._cuda_current_device()
    d = _C.device(device) if isinstance(device, str) else device
    if not isinstance(d, _C.device):
        raise TypeError(f"expected a device, its name or its number, got {type(device).__name__}")
    if d.type != "cuda":
        raise ValueError(f"Expected a cuda device, but got: {d}")
    return _C._cuda_current_device() if d.index is None else d.index


def is_available():
    """Whether tensors can live on a GPU; never raises, and loads nothing but the driver.

    >>> import flambeau as fb
    >>> fb.cuda.is_available() in (True, False)
    True
    """
    return _C._cuda_device_count() > 0


def device_count():
    """The number of GPUs.

    >>> import flambeau as fb
    >>> fb.cuda.device_count() >= 0
    True
    """
    return _C._cuda_device_count()


def is_initialized():
    """Whether this process holds a context on a GPU.

    >>> import flambeau as fb
    >>> fb.cuda.is_initialized() in (True, False)
    True
    """
    return _C._cuda_initialized()


def init():
    """Make the context of the current GPU now rather than on first use."""
    require()
    _C._cuda_default_stream(-1)


def current_device():
    """The number of the GPU on which this thread makes tensors for plain 'cuda'."""
    require()
    return _C._cuda_current_device()


def set_device(device):
    """Make a GPU the current one of this thread; a negative number changes nothing."""
    index = -1 if isinstance(device, int) and device < 0 else index_of(device)
    if index >= 0:
        _C._cuda_set_device(index)


class device:
    """Context in which a GPU is the current one; None and negative numbers change nothing."""

    def __init__(self, device):
        none = device is None or (isinstance(device, int) and device < 0)
        self.idx = -1 if none else index_of(device)
        self.prev_idx = -1

    def __enter__(self):
        if self.idx >= 0:
            self.prev_idx = _C._cuda_current_device()
            _C._cuda_set_device(self.idx)

    def __exit__(self, *exc):
        if self.prev_idx >= 0:
            _C._cuda_set_device(self.prev_idx)


class device_of(device):
    """Context in which the GPU of a tensor is the current one; a CPU tensor changes nothing.

    >>> import flambeau as fb
    >>> with fb.cuda.device_of(fb.ones(2)):
    ...     pass
    """

    def __init__(self, obj):
        super().__init__(obj.get_device() if obj.is_cuda else -1)


class DeviceProperties:
    """What the driver tells of a GPU: name, total_memory, major, minor, uuid and more."""

    warp_size = 32
    is_multi_gpu_board = 0

    def __init__(self, values):
        self.__dict__.update(values)
        import uuid  # on demand: it takes half as long to import as all of Flambeau

        self.uuid = uuid.UUID(bytes=values["uuid"])

    def __repr__(self):
        return (
            f"DeviceProperties(name='{self.name}', major={self.major}, minor={self.minor}, "
            f"total_memory={self.total_memory >> 20}MB, "
            f"multi_processor_count={self.multi_processor_count}, uuid={self.uuid}, "
            f"L2_cache_size={self.L2_cache_size >> 20}MB)"
        )


def get_device_properties(device=None):
    """Name, memory, compute capability and sizes of a GPU as attributes of one object."""
    require()
    return DeviceProperties(_C._cuda_properties(index_of(device)))


def get_device_name(device=None):
    """The name of a GPU, such as 'NVIDIA H100 80GB HBM3'."""
    return get_device_properties(device).name


def get_device_capability(device=None):
    """The compute capability of a GPU as (major, minor)."""
    p = get_device_properties(device)
    return p.major, p.minor


def can_device_access_peer(device, peer_device):
    """Whether one GPU can read the memory of another directly."""
    require()
    return _C._cuda_can_access_peer(index_of(device), index_of(peer_device))


def get_arch_list():
    """The GPU architectures that kernels can be compiled for; empty without a GPU.

    >>> import flambeau as fb
    >>> isinstance(fb.cuda.get_arch_list(), list)
    True
    """
    return [f"sm_{a}" for a in _C._cuda_archs()] if is_available() else []


def is_bf16_supported(including_emulation=True):
    """Whether the current GPU computes in bfloat16, by itself (from Ampere on) or emulated.

    >>> import flambeau as fb
    >>> fb.cuda.is_bf16_supported() in (True, False)
    True
    """
    if not is_available():
        return False
    return including_emulation or get_device_capability()[0] >= 8


def is_tf32_supported():
    """Whether the current GPU multiplies matrices in TF32 (from Ampere on).

    >>> import flambeau as fb
    >>> fb.cuda.is_tf32_supported() in (True, False)
    True
    """
    return is_available() and get_device_capability()[0] >= 8


def synchronize(device=None):
    """Wait until all work queued on a GPU, on every stream, is done."""
    require()
    _C._cuda_synchronize(index_of(device))
