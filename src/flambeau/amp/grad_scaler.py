"""The gradient scaler, which keeps small gradients of narrow types from vanishing."""

from __future__ import annotations

import warnings

import flambeau
from flambeau import _C

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


def _unscale(grads, factor):
    """Multiply gradients of one device and dtype in place; return whether one was not finite."""
    bad = flambeau.zeros((), device=factor.device)
    if _C._list_scale_(grads, factor, bad):
        return bad.bool()
    finite = []
    for grad in grads:
        grad.mul_(factor)
        finite.append(flambeau.isfinite(grad).all())
    return flambeau.stack(finite).all().logical_not()


class GradScaler:
    """Multiply the loss by a factor, divide the gradients by it, skip steps that overflow.

    The factor falls by ``backoff_factor`` after an infinite or NaN gradient and grows by
    ``growth_factor`` after ``growth_interval`` steps without one. With ``enabled=False`` all
    methods pass through. Factor and overflow flags live on the device: only `step` waits for it.
    Micikevicius et al., "Mixed precision training" (2018).

    >>> import flambeau as fb
    >>> w = fb.ones(1, requires_grad=True)
    >>> opt, scaler = fb.optim.SGD([w], lr=0.5), fb.amp.GradScaler("cpu", init_scale=8.0)
    >>> scaler.scale(w.sum()).backward()
    >>> w.grad.item()
    8.0
    >>> scaler.step(opt); scaler.update()
    >>> w.item(), scaler.get_scale()
    (0.5, 8.0)
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ):
        if enabled and device == "cuda" and not flambeau.cuda.is_available():
            warnings.warn(
                "GradScaler is enabled, but CUDA is not available. Disabling.", stacklevel=2
            )
            enabled = False
        if enabled and growth_factor <= 1.0:
            raise AssertionError(f"The growth factor must be > 1.0, got {growth_factor}")
        if enabled and backoff_factor >= 1.0:
            raise AssertionError(f"The backoff factor must be < 1.0, got {backoff_factor}")
        self._device = device
        self._enabled = enabled
        self._init_scale = init_scale
        self._scale = None  # a tensor on the device, made when first needed
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._init_growth_tracker = 0
        self._growth_tracker = None  # good steps since the last change, also a tensor
        self._optimizers: dict = {}

    def _state(self):
        """The factor and the count of good steps, on the device: changed without waiting for it."""
        if self._scale is None:
            self._scale = flambeau.tensor(float(self._init_scale), device=self._device)
            self._growth_tracker = flambeau.tensor(
                self._init_growth_tracker, dtype=flambeau.int32, device=self._device
            )
        return self._scale, self._growth_tracker

    def scale(self, outputs):
        """Return ``outputs``, a Tensor or an iterable of Tensors, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, flambeau.Tensor):
            return outputs * self._state()[0].to(outputs.device)
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(o) for o in outputs)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError(
            f"outputs must be a Tensor or an iterable of Tensors, got {type(outputs).__name__}"
        )

    def _note_of(self, optimizer) -> dict:
        return self._optimizers.setdefault(id(optimizer), {"stage": _READY, "overflow": []})

    def unscale_(self, optimizer) -> None:
        """Divide the gradients of ``optimizer`` by the factor, say before clipping them.

        Raises RuntimeError when called twice, or after the step; ValueError for float16
        gradients.
        """
        if not self._enabled:
            return
        note = self._note_of(optimizer)
        if note["stage"] == _UNSCALED:
            raise RuntimeError(
                "unscale_() has already been called on this optimizer since the last update()."
            )
        if note["stage"] == _STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        # The division is done in double precision and rounded once.
        factor = self._state()[0].double().reciprocal().float()
        lists: dict = {}
        with flambeau.no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if p.grad.dtype == flambeau.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    lists.setdefault((p.grad.device, p.grad.dtype), []).append(p.grad)
            note["overflow"] = [
                _unscale(grads, factor.to(where)) for (where, _), grads in lists.items()
            ]
        note["stage"] = _UNSCALED

    def step(self, optimizer, *args, **kwargs):
        """Unscale if that is still to do, then step, unless a gradient is infinite or NaN.

        Raises RuntimeError for a closure, for a second step and without gradients.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        note = self._note_of(optimizer)
        if note["stage"] == _STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if all(p.grad is None for group in optimizer.param_groups for p in group["params"]):
            raise AssertionError("No inf checks were recorded for this optimizer.")
        if note["stage"] == _READY:
            self.unscale_(optimizer)
        note["stage"] = _STEPPED
        # The one place that waits for the device: whether to step is decided here.
        if any(bool(o) for o in note["overflow"]):
            return None
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale=None) -> None:
        """Adapt the factor after the steps of this iteration, or set it to ``new_scale``.

        Raises AssertionError when nothing was unscaled since the last update.
        """
        if not self._enabled:
            return
        scale, tracker = self._state()
        if new_scale is not None:
            scale.copy_(flambeau.as_tensor(new_scale, dtype=flambeau.float32))
        else:
            seen = [o for n in self._optimizers.values() for o in n["overflow"]]
            if not seen:
                raise AssertionError("No inf checks were recorded prior to update.")
            bad = seen[0].to(scale.device)
            for o in seen[1:]:
                bad = bad.logical_or(o.to(scale.device))
            good = tracker + 1
            grow = good == self._growth_interval
            grown = scale * self._growth_factor
            grown = flambeau.where(flambeau.isfinite(grown), grown, scale)
            kept = flambeau.where(grow, grown, scale)
            scale.copy_(flambeau.where(bad, scale * self._backoff_factor, kept))
            tracker.copy_(good.masked_fill(bad.logical_or(grow), 0))
        self._optimizers.clear()

    def is_enabled(self) -> bool:
        """Return whether the scaler does anything."""
        return self._enabled

    def get_scale(self) -> float:
        """Return the factor; 1.0 when disabled."""
        if not self._enabled:
            return 1.0
        return float(self._init_scale if self._scale is None else self._scale)

    def get_growth_factor(self) -> float:
        """Return the factor's growth."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the factor's growth."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """Return the factor's fall after an overflow."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the factor's fall after an overflow."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """Return the number of good steps before the factor grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the number of good steps before the factor grows."""
        self._growth_interval = new_interval

    def _get_growth_tracker(self) -> int:
        if self._growth_tracker is None:
            return self._init_growth_tracker
        return int(self._growth_tracker)

    def state_dict(self) -> dict:
        """Return the state, empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._get_growth_tracker(),
        }

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over the state; RuntimeError for that of a disabled scaler."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled "
                "instance of GradScaler."
            )
        self._init_scale, self._scale = float(state_dict["scale"]), None
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._init_growth_tracker = int(state_dict["_growth_tracker"])
        self._growth_tracker = None
