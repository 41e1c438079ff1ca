"""The gradient scaler, which keeps small gradients of narrow types from vanishing."""

from __future__ import annotations

import warnings

import flambeau

_READY, _UNSCALED, _STEPPED = "ready", "unscaled", "stepped"


class GradScaler:
    """Multiply the loss by a factor, divide the gradients by it, skip steps that overflow.

    The factor falls by ``backoff_factor`` after an infinite or NaN gradient and grows by
    ``growth_factor`` after ``growth_interval`` steps without one. With ``enabled=False`` all
    methods pass through. Micikevicius et al., "Mixed precision training" (2018).

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
        self._scale = init_scale
        self._growth_factor = growth_factor
        self._backoff_factor = backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        self._optimizers: dict = {}

    def scale(self, outputs):
        """Return ``outputs``, a Tensor or an iterable of Tensors, times the factor."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, flambeau.Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(self.scale(o) for o in outputs)
        if hasattr(outputs, "__iter__"):
            return map(self.scale, outputs)
        raise ValueError(
            f"outputs must be a Tensor or an iterable of Tensors, got {type(outputs).__name__}"
        )

    def _note_of(self, optimizer) -> dict:
        return self._optimizers.setdefault(id(optimizer), {"stage": _READY, "overflow": None})

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
        overflow, factor = False, 1.0 / self._scale
        with flambeau.no_grad():
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if p.grad is None:
                        continue
                    if p.grad.dtype == flambeau.float16:
                        raise ValueError("Attempting to unscale FP16 gradients.")
                    p.grad.mul_(factor)
                    overflow = overflow or not bool(flambeau.isfinite(p.grad).all())
        note["overflow"] = overflow
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
        return None if note["overflow"] else optimizer.step(*args, **kwargs)

    def update(self, new_scale=None) -> None:
        """Adapt the factor after the steps of this iteration, or set it to ``new_scale``.

        Raises AssertionError when nothing was unscaled since the last update.
        """
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        else:
            seen = [n["overflow"] for n in self._optimizers.values() if n["overflow"] is not None]
            if not seen:
                raise AssertionError("No inf checks were recorded prior to update.")
            if any(seen):
                self._scale *= self._backoff_factor
                self._growth_tracker = 0
            else:
                self._growth_tracker += 1
                if self._growth_tracker == self._growth_interval:
                    self._scale *= self._growth_factor
                    self._growth_tracker = 0
        self._optimizers.clear()

    def is_enabled(self) -> bool:
        """Return whether the scaler does anything."""
        return self._enabled

    def get_scale(self) -> float:
        """Return the factor; 1.0 when disabled."""
        return float(self._scale) if self._enabled else 1.0

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

    def state_dict(self) -> dict:
        """Return the state, empty when disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": self._growth_tracker,
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
        self._scale = float(state_dict["scale"])
        self._growth_factor = state_dict["growth_factor"]
        self._backoff_factor = state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
