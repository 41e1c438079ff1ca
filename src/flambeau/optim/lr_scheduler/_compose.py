"""Schedules made of schedules: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right

from ._base import LRScheduler, group_values, set_value
from ._plateau import ReduceLROnPlateau


class _Composed(LRScheduler):
    """What composed schedules share: checks of the parts, and a state that holds theirs."""

    def _check_parts(self, schedulers, optimizer) -> None:
        name = type(self).__name__
        for i, part in enumerate(schedulers):
            if not hasattr(part, "optimizer"):
                raise TypeError(f"{name} at index {i} should have `optimizer` as its attribute.")
            if isinstance(part, ReduceLROnPlateau):
                raise ValueError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires "
                    "additional kwargs to be specified when calling `step`, but got one at index "
                    f"{i} in the given schedulers sequence."
                )
            if part.optimizer is not optimizer:
                raise ValueError(
                    f"{name} expects all schedulers to belong to the same optimizer, but got "
                    f"scheduler {type(part).__name__} at index {i} of another one"
                )

    def state_dict(self) -> dict:
        """Return the state, with the states of the parts under ``_schedulers``."""
        state = super().state_dict()
        state["_schedulers"] = [part.state_dict() for part in self._schedulers]
        return state

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over the state, and hand each part its own."""
        parts = self._schedulers
        self.__dict__.update(state_dict)
        self._schedulers = parts
        for part, saved in zip(parts, state_dict["_schedulers"]):
            part.load_state_dict(saved)


class SequentialLR(_Composed):
    """One schedule after another: the next takes over at each epoch in ``milestones``.

    Raises ValueError unless there is one milestone fewer than schedulers, all for ``optimizer``.

    >>> import flambeau as fb
    >>> S = fb.optim.lr_scheduler
    >>> opt = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> warm = S.ConstantLR(opt, factor=0.25, total_iters=2)
    >>> s = S.SequentialLR(opt, [warm, S.ExponentialLR(opt, gamma=0.5)], milestones=[1])
    >>> rates = s.get_last_lr()
    >>> opt.step(); s.step(); rates + s.get_last_lr()
    [0.25, 1.0]
    """

    def __init__(self, optimizer, schedulers: list, milestones: list, last_epoch: int = -1):
        if len(schedulers) < 1:
            raise ValueError("SequentialLR expects at least one scheduler, but got no scheduler.")
        self._check_parts(schedulers, optimizer)
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                "Sequential Schedulers expects number of schedulers provided to be one more than "
                f"the number of milestone points, but got number of schedulers {len(schedulers)} "
                f"and the number of milestones to be equal to {len(milestones)}"
            )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # Building the parts stepped each of them once: undo that, then start the first alone.
        for group in optimizer.param_groups:
            set_value(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched=None) -> None:
        """Take back the step that every part made when it was built."""
        sched = self if sched is None else sched
        if hasattr(sched, "_schedulers"):
            for part in sched._schedulers:
                self.recursive_undo(part)
        elif hasattr(sched, "last_epoch"):
            sched.last_epoch -= 1

    def step(self) -> None:
        """Step the schedule whose turn it is, from its own epoch 0 on."""
        self.last_epoch += 1
        turn = bisect_right(self._milestones, self.last_epoch)
        part = self._schedulers[turn]
        if turn > 0 and self._milestones[turn - 1] == self.last_epoch:
            part._update_lr(0)
        else:
            part.step()
        self._last_lr = part.get_last_lr()


class ChainedScheduler(_Composed):
    """All schedules at each step, one on top of the other's result.

    Raises ValueError for no schedulers and for different optimizers.

    >>> import flambeau as fb
    >>> S = fb.optim.lr_scheduler
    >>> opt = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> s = S.ChainedScheduler([S.ExponentialLR(opt, 0.5), S.ExponentialLR(opt, 0.5)])
    >>> opt.step(); s.step(); s.get_last_lr()
    [0.25]
    """

    def __init__(self, schedulers, optimizer=None):
        if len(schedulers) < 1:
            raise ValueError(
                "ChainedScheduler expects at least one scheduler to be chained, "
                "but got no scheduler."
            )
        optimizer = optimizer or schedulers[0].optimizer
        self._check_parts(schedulers, optimizer)
        self._schedulers = schedulers
        self.optimizer = optimizer
        self._last_lr = group_values(optimizer, "lr")

    def step(self) -> None:
        """Step every schedule."""
        for part in self._schedulers:
            part.step()
        self._last_lr = self._current()
