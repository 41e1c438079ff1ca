"""autocast: run matrix products and convolutions in a narrower type, losses in a wide one."""

from __future__ import annotations

import functools
import threading
import warnings

import flambeau
from flambeau import _C

_DEVICES = ("cpu", "cuda")
_depth = threading.local()  # of nested contexts: leaving the outermost one drops cached weights


def _known(device: str) -> str:
    kind = device.partition(":")[0]
    if kind not in _DEVICES:
        raise RuntimeError(
            f"User specified an unsupported autocast device_type '{device}'; "
            f"it must be one of {', '.join(_DEVICES)}"
        )
    return kind


def is_autocast_available(device_type: str) -> bool:
    """Return whether autocast can run on this device.

    >>> import flambeau as fb
    >>> fb.amp.is_autocast_available("cpu")
    True
    """
    return device_type == "cpu" or (device_type == "cuda" and flambeau.cuda.is_available())


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Return whether an :class:`autocast` for this device is active in this thread.

    >>> import flambeau as fb
    >>> fb.amp.is_autocast_enabled("cpu")
    False
    """
    return _C._get_autocast(_known(device_type))[0]


def get_autocast_dtype(device_type: str):
    """Return the dtype that autocast uses, or would use, on this device.

    >>> import flambeau as fb
    >>> fb.amp.get_autocast_dtype("cpu") == fb.bfloat16
    True
    """
    return _C._get_autocast(_known(device_type))[1]


def is_autocast_cache_enabled() -> bool:
    """Return whether narrow copies of weights are kept until the outermost context ends.

    >>> import flambeau as fb
    >>> fb.is_autocast_cache_enabled()
    True
    """
    return _C._get_autocast("cpu")[2]


def set_autocast_enabled(device_type, enabled=None) -> None:
    """Switch autocast on or off for a device of this thread, without a context.

    >>> import flambeau as fb
    >>> fb.set_autocast_enabled("cpu", False)
    """
    if enabled is None:  # PyTorch's older form: set_autocast_enabled(True) is of the GPU
        device_type, enabled = "cuda", device_type
    _, dtype, cached = _C._get_autocast(_known(device_type))
    _C._set_autocast(device_type, enabled, dtype, cached)


def set_autocast_dtype(device_type: str, dtype) -> None:
    """Choose the narrow dtype of a device of this thread.

    >>> import flambeau as fb
    >>> fb.set_autocast_dtype("cpu", fb.bfloat16)
    """
    enabled, _, cached = _C._get_autocast(_known(device_type))
    _C._set_autocast(device_type, enabled, dtype, cached)


class autocast:
    """Context manager and decorator that runs chosen operations in ``dtype``.

    Matrix products, convolutions and attention take the narrow dtype, losses and (on a GPU)
    sums, powers and exponentials take float32; everything else computes in the dtype it is given.
    The lists are PyTorch's. Weights are converted once and kept until the outermost context ends
    (``cache_enabled``). Backward runs in the dtypes of the forward and belongs outside the context.
    With ``enabled=False`` an outer context is off inside. Asked for a GPU that is not there, it
    warns and does nothing. RuntimeError for an unknown device.

    >>> import flambeau as fb
    >>> a = fb.ones(2, 2)
    >>> with fb.autocast("cpu", dtype=fb.bfloat16):
    ...     (a @ a).dtype, (a + a).dtype
    (flambeau.bfloat16, flambeau.float32)
    """

    def __init__(
        self, device_type: str, dtype=None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        device_type = _known(device_type)
        if device_type == "cuda" and enabled and not flambeau.cuda.is_available():
            warnings.warn(
                "User provided device_type of 'cuda', but CUDA is not available. Disabling",
                stacklevel=2,
            )
            enabled = False
        self.device = device_type
        self.fast_dtype = get_autocast_dtype(device_type) if dtype is None else dtype
        if enabled and self.fast_dtype not in (flambeau.bfloat16, flambeau.float16):
            warnings.warn(
                f"In {device_type.upper()} autocast, but the target dtype {self.fast_dtype} is "
                "not supported. Disabling autocast.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = bool(enabled)
        self._cached = is_autocast_cache_enabled() if cache_enabled is None else cache_enabled
        self._outer: list = []

    def __enter__(self) -> autocast:
        self._outer.append(_C._get_autocast(self.device))
        _depth.value = getattr(_depth, "value", 0) + 1
        _C._set_autocast(self.device, self._enabled, self.fast_dtype, self._cached)
        return self

    def __exit__(self, *exc_info) -> None:
        _C._set_autocast(self.device, *self._outer.pop())
        _depth.value -= 1
        if _depth.value == 0:
            _C.clear_autocast_cache()

    def __call__(self, function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            with self:
                return function(*args, **kwargs)

        return wrapper


def custom_fwd(fwd=None, *, device_type: str, cast_inputs=None):
    """Decorate the ``forward`` of a Function: inputs cast to ``cast_inputs``, autocast off inside.

    Without ``cast_inputs`` the surrounding autocast stays, and :func:`custom_bwd` restores it.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def wrapper(ctx, *args, **kwargs):
        ctx._dtype = get_autocast_dtype(device_type)
        ctx._fwd_used_autocast = is_autocast_enabled(device_type) and cast_inputs is None
        if cast_inputs is None or not is_autocast_enabled(device_type):
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            cast = functools.partial(_cast, device_type=device_type, dtype=cast_inputs)
            return fwd(ctx, *map(cast, args), **{k: cast(v) for k, v in kwargs.items()})

    return wrapper


def custom_bwd(bwd=None, *, device_type: str):
    """Decorate the ``backward`` of a Function: it runs under the autocast of its forward."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def wrapper(ctx, *grads):
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *grads)

    return wrapper


def _cast(value, device_type: str, dtype):
    if isinstance(value, flambeau.Tensor):
        fits = value.is_floating_point() and value.device.type == device_type
        return value.to(dtype) if fits and value.dtype != flambeau.float64 else value
    if isinstance(value, dict):
        return {k: _cast(v, device_type, dtype) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, device_type, dtype) for v in value)
    return value
