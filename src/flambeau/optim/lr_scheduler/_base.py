"""The base of all schedules: initial rates, the count of steps, and warnings about their order."""

from __future__ import annotations

import functools
import warnings
import weakref

import flambeau

from ..optimizer import Optimizer


def check_optimizer(optimizer) -> None:
    """Refuse what is not an Optimizer (TypeError)."""
    if not isinstance(optimizer, Optimizer):
        raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")


def group_values(optimizer, key: str) -> list:
    """Return the option ``key`` of every parameter group; Tensors are copied."""
    return [copied(group[key]) for group in optimizer.param_groups]


def copied(value):
    """Return a copy of a Tensor, and anything else as it is."""
    return value.clone() if isinstance(value, flambeau.Tensor) else value


def set_value(group: dict, key: str, value) -> None:
    """Set an option of a group; an option held in a Tensor is filled, so that it stays one."""
    if isinstance(group[key], flambeau.Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def per_group(name: str, optimizer, value) -> list:
    """Spread ``value`` over the parameter groups; a list must have one entry for each."""
    groups = optimizer.param_groups
    if isinstance(value, (list, tuple)):
        if len(value) != len(groups):
            raise ValueError(
                f"{name} must have the same length as optimizer.param_groups. "
                f"{name} has {len(value)} values, param_groups has {len(groups)}."
            )
        return [copied(v) for v in value]
    return [copied(value) for _ in groups]


class LRScheduler:
    """Base class of schedules: subclasses write ``get_lr()`` from ``self.last_epoch``.

    ``last_epoch=-1`` starts anew and stores each group's ``initial_lr``; any other value resumes
    and needs ``initial_lr`` in every group (KeyError otherwise). TypeError if ``optimizer`` is
    not an Optimizer.

    >>> import flambeau as fb
    >>> opt = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> schedule = fb.optim.lr_scheduler.StepLR(opt, step_size=2, gamma=0.5)
    >>> rates = []
    >>> for epoch in range(4):
    ...     rates.append(schedule.get_last_lr()[0]); opt.step(); schedule.step()
    >>> rates
    [1.0, 1.0, 0.5, 0.5]
    """

    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer, last_epoch: int = -1):
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for i, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise KeyError(
                    f"param 'initial_lr' is not specified in param_groups[{i}] when resuming "
                    "scheduler with last_epoch >= 0: load the optimizer's state first, or leave "
                    "last_epoch at -1 for a fresh run"
                )
        self.base_lrs = group_values(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _note_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict:
        """Return everything but the optimizer."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over what :meth:`state_dict` returned."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list:
        """Return the learning rate of each group, as last set by this schedule."""
        return self._last_lr

    def get_lr(self) -> list:
        """Compute the learning rate of each group at ``self.last_epoch``."""
        raise NotImplementedError(f"{type(self).__name__} must define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Go one step on, or (deprecated) to ``epoch``, and set the learning rates."""
        if self._step_count == 1:
            self._warn_about_order()
        self._step_count += 1
        if epoch is not None:
            warn_about_epoch()
        self._update_lr(epoch)

    def _warn_about_order(self) -> None:
        if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
            text = (
                "Seems like `optimizer.step()` has been overridden after learning rate scheduler "
                "initialization. Please, make sure to call `optimizer.step()` before "
                "`lr_scheduler.step()`."
            )
        elif not getattr(self.optimizer, "_opt_called", False):
            text = (
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in "
                "the opposite order, or the first value of the learning rate schedule is skipped."
            )
        else:
            return
        warnings.warn(text, UserWarning, stacklevel=3)

    def _update_lr(self, epoch: int | None = None) -> None:
        self._get_lr_called_within_step = True
        try:
            if epoch is None:
                self.last_epoch += 1
                rates = self.get_lr()
            else:
                self.last_epoch = epoch
                rates = getattr(self, "_get_closed_form_lr", self.get_lr)()
        finally:
            self._get_lr_called_within_step = False
        self._set_lr(rates)

    def _set_lr(self, rates: list) -> None:
        for group, lr in zip(self.optimizer.param_groups, rates):
            set_value(group, "lr", lr)
        self._last_lr = self._current()

    def _current(self) -> list:
        return group_values(self.optimizer, "lr")

    def _scaled(self, factor: float) -> list:
        """Return the present rates times ``factor``: schedules chain by multiplying."""
        return [group["lr"] * factor for group in self.optimizer.param_groups]

    def _warn_outside_step(self) -> None:
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, "
                "please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )


class _LRScheduler(LRScheduler):
    """The older name of :class:`LRScheduler`."""


def warn_about_epoch() -> None:
    """Warn that the ``epoch`` argument of ``step`` is on its way out."""
    warnings.warn(
        "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated "
        "where possible. Please use `scheduler.step()` to step the scheduler.",
        UserWarning,
        stacklevel=3,
    )


def _note_steps(optimizer) -> None:
    """Let ``optimizer.step`` leave a note that it ran, so that a wrong order can be told."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    func, owner = optimizer.step.__func__, weakref.ref(optimizer)

    @functools.wraps(func)
    def step(*args, **kwargs):
        self = owner()
        self._opt_called = True
        return func(self, *args, **kwargs)

    step._wrapped_by_lr_sched = True
    optimizer.step = step
