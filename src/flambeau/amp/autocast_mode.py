"""autocast: run matrix products and convolutions in a narrower type."""

from __future__ import annotations

import functools
import threading
import warnings

import flambeau
from flambeau import _C

_DEVICES = ("cpu", "cuda")
_state = threading.local()


def _frames() -> dict:
    """Return, for each device of this thread, ``(enabled, dtype)``."""
    if not hasattr(_state, "frames"):
        _state.frames = {"cpu": (False, flambeau.bfloat16), "cuda": (False, flambeau.float16)}
    return _state.frames


def _set(device: str, enabled: bool, dtype) -> None:
    _frames()[device] = (enabled, dtype)
    hook = getattr(_C, "_set_autocast", None)
    if hook is not None:
        hook(device, enabled, dtype)


def is_autocast_available(device_type: str) -> bool:
    """Return whether the core can cast on this device.

    >>> import flambeau as fb
    >>> fb.amp.is_autocast_available("cuda") in (True, False)
    True
    """
    if getattr(_C, "_set_autocast", None) is None:
        return False
    return device_type == "cpu" or (device_type == "cuda" and flambeau.cuda.is_available())


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Return whether an :class:`autocast` for this device is active in this thread.

    >>> import flambeau as fb
    >>> fb.amp.is_autocast_enabled("cpu")
    False
    """
    return _frames()[device_type][0]


def get_autocast_dtype(device_type: str):
    """Return the dtype that autocast uses, or would use, on this device.

    >>> import flambeau as fb
    >>> fb.amp.get_autocast_dtype("cpu") == fb.bfloat16
    True
    """
    return _frames()[device_type][1]


class autocast:
    """Context manager and decorator that runs chosen operations in ``dtype``.

    With ``enabled=False`` it does nothing (and switches off an outer one). Asked for a GPU that
    is not there, it warns and does nothing. RuntimeError for an unknown device;
    NotImplementedError on entering it for a device on which the core cannot cast.

    >>> import flambeau as fb
    >>> with fb.amp.autocast("cpu", enabled=False):
    ...     (fb.ones(2, 2) @ fb.ones(2, 2)).dtype == fb.float32
    True
    """

    def __init__(
        self, device_type: str, dtype=None, enabled: bool = True, cache_enabled: bool | None = None
    ):
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        device_type = device_type.partition(":")[0]
        if device_type not in _DEVICES:
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'; "
                f"it must be one of {', '.join(_DEVICES)}"
            )
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
        self._enabled = enabled
        self._outer: list = []

    def __enter__(self) -> autocast:
        if self._enabled and not is_autocast_available(self.device):
            raise NotImplementedError(
                f"autocast: this build cannot run operations on '{self.device}' in "
                f"{self.fast_dtype}; pass enabled=False, or convert the model with "
                "model.to(dtype)"
            )
        self._outer.append(_frames()[self.device])
        _set(self.device, self._enabled, self.fast_dtype)
        return self

    def __exit__(self, *exc_info) -> None:
        _set(self.device, *self._outer.pop())

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
