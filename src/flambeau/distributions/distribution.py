"""The base class of probability distributions, and helpers they share."""

from __future__ import annotations

import flambeau as fb


def broadcast(*values):
    """Parameters (tensors or numbers) as tensors of one floating dtype and shape."""
    dtype, device = None, None
    for v in values:
        if isinstance(v, fb.Tensor):
            dtype = v.dtype if dtype is None else fb.promote_types(dtype, v.dtype)
            device = v.device
    dtype = dtype if dtype is not None and dtype.is_floating_point else fb.get_default_dtype()
    ts = [
        v if isinstance(v, fb.Tensor) else fb.full((), float(v), dtype=dtype, device=device)
        for v in values
    ]
    return list(fb.broadcast_tensors(*ts))


def sum_right(x, n):
    """Sum over the last n dims."""
    return x.reshape(*x.shape[: x.dim() - n], -1).sum(-1) if n else x


class Distribution:
    """A family of random variables: `sample`, `rsample` (differentiable), `log_prob`, moments.

    `batch_shape` counts independent parameters, `event_shape` the dims of one draw.
    """

    has_rsample = False
    has_enumerate_support = False
    arg_constraints = {}
    support = None
    _validate_args = True

    @staticmethod
    def set_default_validate_args(value):
        """Whether new distributions check parameters and values (ValueError)."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape=(), event_shape=(), validate_args=None):
        self._batch_shape, self._event_shape = fb.Size(batch_shape), fb.Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            for name, constraint in self.arg_constraints.items():
                if getattr(constraint, "is_dependent", False) or name not in self.__dict__:
                    continue
                value = getattr(self, name)
                if not constraint.holds(value):
                    raise ValueError(
                        f"Expected parameter {name} ({type(value).__name__} of shape "
                        f"{tuple(value.shape)}) of distribution {type(self).__name__} to satisfy "
                        "the "
                        f"constraint {constraint}, but found invalid values:\n{value}"
                    )

    @property
    def batch_shape(self):
        return self._batch_shape

    @property
    def event_shape(self):
        return self._event_shape

    def _extended_shape(self, sample_shape=()):
        return fb.Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def _validate_sample(self, value):
        if not self._validate_args:
            return
        if not isinstance(value, fb.Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        want, have = self._batch_shape + self._event_shape, tuple(value.shape)
        n = len(self._event_shape)
        if n and tuple(have[-n:]) != tuple(self._event_shape):
            raise ValueError(
                "The right-most size of value must match event_shape: "
                f"{tuple(have)} vs {tuple(self._event_shape)}."
            )
        for a, b in zip(reversed(have), reversed(tuple(want))):
            if a != 1 and b != 1 and a != b:
                raise ValueError(
                    "Value is not broadcastable with batch_shape+event_shape: "
                    f"{tuple(have)} vs {tuple(want)}."
                )
        s = self.support
        if s is None or getattr(s, "is_dependent", False):
            return
        if not s.holds(value):
            raise ValueError(
                f"Expected value argument (Tensor of shape {tuple(have)}) to be "
                "within the "
                f"support ({s}) of the distribution {self!r}, but found invalid "
                "values:\n"
                f"{value}"
            )

    def sample(self, sample_shape=()):
        """A draw of shape `sample_shape + batch_shape + event_shape`, without gradient."""
        with fb.no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape=()):
        """A draw that is differentiable with respect to the parameters, where the family has it."""
        raise NotImplementedError(f"{type(self).__name__} has no rsample")

    def log_prob(self, value):
        """Log of the density or probability at `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def cdf(self, value):
        """Probability of a draw at most `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value):
        """The inverse of `cdf`."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    def entropy(self):
        """Entropy in nats, of shape `batch_shape`."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def enumerate_support(self, expand=True):
        """All values of a finite discrete family along dim 0."""
        raise NotImplementedError(f"{type(self).__name__} has no enumerate_support")

    @property
    def mean(self):
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def mode(self):
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def variance(self):
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def stddev(self):
        return self.variance.sqrt()

    def perplexity(self):
        """`exp(entropy)`."""
        return self.entropy().exp()

    def expand(self, batch_shape, _instance=None):
        """The same distribution with parameters expanded to `batch_shape`."""
        args = {
            k: getattr(self, k).expand(
                *batch_shape, *getattr(self, k).shape[len(self._batch_shape) :]
            )
            for k in self._params
        }
        return type(self)(**args, **getattr(self, "_extra", {}), validate_args=False)

    def __repr__(self):
        names = [k for k in self.arg_constraints if k in self.__dict__]
        args = ", ".join(
            f"{k}: {v if v.numel() == 1 else tuple(v.shape)}"
            for k, v in ((k, self.__dict__[k]) for k in names)
        )
        return f"{type(self).__name__}({args})"


class ExponentialFamily(Distribution):
    """Marks the families whose densities are exponential in their statistics."""
