"""Averages of weights along training: stochastic weight averaging (SWA) and moving averages."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import chain

import flambeau
from flambeau.nn import Module

from .lr_scheduler._base import LRScheduler, per_group

__all__ = [
    "AveragedModel",
    "SWALR",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]


def _check_decay(decay: float) -> None:
    if not 0.0 <= decay <= 1.0:
        raise ValueError(
            f"Invalid decay value {decay} provided. Please provide a value in [0,1] range."
        )


def get_ema_avg_fn(decay: float = 0.999):
    """Return ``f(averaged, current, n)``: the exponential moving average of one tensor.

    Raises ValueError for a decay outside [0, 1].

    >>> import flambeau as fb
    >>> f = fb.optim.swa_utils.get_ema_avg_fn(0.75)
    >>> f(fb.tensor([0.0]), fb.tensor([4.0]), 1).tolist()
    [1.0]
    """
    _check_decay(decay)

    def average(averaged, current, num_averaged):
        with flambeau.no_grad():
            return decay * averaged + (1 - decay) * current

    return average


def get_swa_avg_fn():
    """Return ``f(averaged, current, n)``: the mean of one tensor over n + 1 models.

    >>> import flambeau as fb
    >>> fb.optim.swa_utils.get_swa_avg_fn()(fb.tensor([0.0]), fb.tensor([4.0]), 1).tolist()
    [2.0]
    """

    def average(averaged, current, num_averaged):
        with flambeau.no_grad():
            return averaged + (current - averaged) / (num_averaged + 1)

    return average


def get_ema_multi_avg_fn(decay: float = 0.999):
    """Return ``f(averaged_list, current_list, n)``: the moving average of lists, in place.

    Raises ValueError for a decay outside [0, 1].

    >>> import flambeau as fb
    >>> mean = [fb.tensor([0.0])]
    >>> fb.optim.swa_utils.get_ema_multi_avg_fn(0.75)(mean, [fb.tensor([4.0])], 1)
    >>> mean[0].tolist()
    [1.0]
    """
    _check_decay(decay)
    return lambda averaged, current, _: _blend(averaged, current, 1 - decay)


def get_swa_multi_avg_fn():
    """Return ``f(averaged_list, current_list, n)``: the mean of lists over models, in place.

    >>> import flambeau as fb
    >>> mean = [fb.tensor([0.0])]
    >>> fb.optim.swa_utils.get_swa_multi_avg_fn()(mean, [fb.tensor([4.0])], 1)
    >>> mean[0].tolist()
    [2.0]
    """
    return lambda averaged, current, n: _blend(averaged, current, 1 / (float(n) + 1))


def _blend(averaged, current, weight: float) -> None:
    with flambeau.no_grad():
        for mean, value in zip(averaged, current):
            if mean.is_floating_point() or mean.is_complex():
                mean.lerp_(value, weight)
            else:
                mean.copy_(mean * (1 - weight) + value * weight)


class AveragedModel(Module):
    """A copy of ``model`` whose parameters hold an average over calls of ``update_parameters``.

    ``avg_fn`` or ``multi_avg_fn`` replace the plain mean; ``use_buffers`` averages the buffers
    too, which are copied otherwise. Izmailov et al., "Averaging weights leads to wider optima and
    better generalization" (2018). Raises AssertionError when both functions are given.

    >>> import flambeau as fb
    >>> net = fb.nn.Linear(2, 1)
    >>> mean = fb.optim.swa_utils.AveragedModel(net)
    >>> mean.update_parameters(net)
    >>> int(mean.n_averaged)
    1
    """

    def __init__(self, model, device=None, avg_fn=None, multi_avg_fn=None, use_buffers=False):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise AssertionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        count = flambeau.tensor(0, dtype=flambeau.int64, device=device)
        self.register_buffer("n_averaged", count)
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args, **kwargs):
        """Run the averaged model."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model) -> None:
        """Take the present parameters of ``model`` into the average; the first call copies."""
        means = [t.detach() for t in self._averaged(self.module)]
        values = [t.detach().to(mean.device) for t, mean in zip(self._averaged(model), means)]
        n = int(self.n_averaged)
        if n == 0:
            for mean, value in zip(means, values):
                mean.copy_(value)
        elif self.avg_fn is not None:
            for mean, value in zip(means, values):
                mean.copy_(self.avg_fn(mean, value, self.n_averaged.to(mean.device)))
        else:
            multi = self.multi_avg_fn or get_swa_multi_avg_fn()
            for own, theirs in _by_kind(means, values):
                multi(own, theirs, self.n_averaged.to(own[0].device))
        if not self.use_buffers:
            for own, theirs in zip(self.module.buffers(), model.buffers()):
                own.detach().copy_(theirs.detach().to(own.device))
        self.n_averaged += 1

    def _averaged(self, model):
        if self.use_buffers:
            return chain(model.parameters(), model.buffers())
        return model.parameters()


def _by_kind(means, values):
    """Split two parallel lists by device and dtype, as functions of lists expect."""
    kinds: dict = {}
    for mean, value in zip(means, values):
        own, theirs = kinds.setdefault((str(mean.device), mean.dtype), ([], []))
        own.append(mean)
        theirs.append(value)
    return kinds.values()


def update_bn(loader, model, device=None) -> None:
    """Recompute the running statistics of all batch norms of ``model`` over ``loader``.

    A batch is an input, or a list or tuple that starts with one.

    >>> import flambeau as fb
    >>> net = fb.nn.BatchNorm1d(1)
    >>> fb.optim.swa_utils.update_bn([fb.tensor([[1.0], [3.0]])], net)
    >>> net.running_mean.tolist()
    [2.0]
    """
    norms = [
        m
        for m in model.modules()
        if hasattr(m, "reset_running_stats") and "BatchNorm" in type(m).__name__
    ]
    if not norms:
        return
    momenta = [m.momentum for m in norms]
    was_training = model.training
    model.train()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with flambeau.no_grad():
        for batch in loader:
            batch = batch[0] if isinstance(batch, (list, tuple)) else batch
            model(batch if device is None else batch.to(device))
    for norm, momentum in zip(norms, momenta):
        norm.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Anneal every group's rate to the constant ``swa_lr`` in ``anneal_epochs`` epochs.

    ``anneal_strategy`` is ``"cos"`` or ``"linear"``. Raises ValueError for options out of range.

    >>> import flambeau as fb
    >>> opt = fb.optim.SGD([fb.ones(1, requires_grad=True)], lr=1.0)
    >>> s = fb.optim.swa_utils.SWALR(opt, swa_lr=0.5, anneal_epochs=2, anneal_strategy="linear")
    >>> opt.step(); s.step(); s.get_last_lr()
    [0.75]
    """

    def __init__(
        self,
        optimizer,
        swa_lr,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        for rate, group in zip(per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups):
            group["swa_lr"] = rate
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}")
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _part(self, step: int) -> float:
        """Return the share of ``swa_lr`` after ``step`` steps."""
        t = max(0, min(1, step / max(1, self.anneal_epochs)))
        return t if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * t)) / 2

    def get_lr(self) -> list:
        """Compute the rate of each group at ``self.last_epoch``."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._part(step - 1), self._part(step)
        rates = []
        for group in self.optimizer.param_groups:
            lr, goal = group["lr"], group["swa_lr"]
            # The rate at the start, worked back from the present one, so that schedules chain.
            start = goal if before == 1 else (lr - before * goal) / (1 - before)
            rates.append(goal * now + start * (1 - now))
        return rates
