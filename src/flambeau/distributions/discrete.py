"""Discrete distributions."""

from __future__ import annotations

import flambeau as fb

from . import constraints as c
from .continuous import _Univariate
from .distribution import Distribution, broadcast
from .sampling import binomial, poisson, standard_gamma


def probs_to_logits(p, binary=False):
    """Log odds (binary) or log probabilities, kept finite."""
    eps = fb.finfo(p.dtype).eps
    p = p.clamp(min=eps, max=1 - eps)
    return p.log() - fb.log1p(-p) if binary else p.log()


def logits_to_probs(logits, binary=False):
    """The inverse of `probs_to_logits`."""
    return fb.sigmoid(logits) if binary else fb.softmax(logits, -1)


def _softplus(x):
    return fb.logaddexp(x, fb.zeros_like(x))


def _one_of(name, probs, logits):
    if (probs is None) == (logits is None):
        raise ValueError(f"{name}: Either `probs` or `logits` must be specified, but not both.")


class _Binary(_Univariate):
    """Families of one probability, given as `probs` or `logits`."""

    arg_constraints = {"probs": c.unit_interval, "logits": c.real}
    has_rsample = False

    def _init(self, probs, logits, validate_args, *others):
        _one_of(type(self).__name__, probs, logits)
        key = "probs" if probs is not None else "logits"
        value, *others = broadcast(probs if probs is not None else logits, *others)
        self.__dict__[key] = value
        self._params = (key,)
        Distribution.__init__(self, value.shape, (), validate_args)
        return others

    def __getattr__(self, name):
        if name == "probs" and "logits" in self.__dict__:
            return logits_to_probs(self.logits, True)
        if name == "logits" and "probs" in self.__dict__:
            return probs_to_logits(self.probs, True)
        raise AttributeError(name)


class Bernoulli(_Binary):
    """0 or 1, with probability `probs` of 1.

    >>> import flambeau as fb
    >>> fb.distributions.Bernoulli(0.25).mean.item()
    0.25
    """

    support = c.boolean
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._init(probs, logits, validate_args)

    mean = property(lambda self: self.probs)
    mode = property(lambda self: (self.probs >= 0.5).to(self.probs.dtype))
    variance = property(lambda self: self.probs * (1 - self.probs))

    def sample(self, sample_shape=()):
        return fb.bernoulli(self.probs.detach().expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        self._validate_sample(value)
        return value * self.logits - _softplus(self.logits)

    def entropy(self):
        return _softplus(self.logits) - self.logits * self.probs

    def enumerate_support(self, expand=True):
        v = fb.arange(2, dtype=self.probs.dtype, device=self.probs.device)
        v = v.reshape(-1, *(1,) * len(self.batch_shape))
        return v.expand(2, *self.batch_shape) if expand else v


class Geometric(_Binary):
    """Failures before the first success."""

    support = c.nonnegative_integer

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._init(probs, logits, validate_args)

    mean = property(lambda self: 1 / self.probs - 1)
    mode = property(lambda self: fb.zeros_like(self.probs))
    variance = property(lambda self: (1 / self.probs - 1) / self.probs)

    def sample(self, sample_shape=()):
        p = self.probs.detach().expand(self._extended_shape(sample_shape))
        u = fb.rand_like(p).clamp(min=fb.finfo(p.dtype).tiny)
        return fb.floor(u.log() / fb.log1p(-p))

    def log_prob(self, value):
        self._validate_sample(value)
        return fb.special.xlog1py(value, -self.probs) + self.probs.log()

    def entropy(self):
        return (_softplus(self.logits) - self.logits * self.probs) / self.probs


class Binomial(_Binary):
    """Successes in `total_count` trials."""

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        (self.total_count,) = self._init(probs, logits, validate_args, total_count)

    support = property(lambda self: c.integer_interval(0, self.total_count))
    mean = property(lambda self: self.total_count * self.probs)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    @property
    def mode(self):
        return fb.minimum(((self.total_count + 1) * self.probs).floor(), self.total_count)

    def sample(self, sample_shape=()):
        s = self._extended_shape(sample_shape)
        return binomial(self.total_count.expand(s), self.probs.expand(s)).to(self.probs.dtype)

    def log_prob(self, value):
        self._validate_sample(value)
        n = self.total_count
        choose = fb.lgamma(n + 1) - fb.lgamma(value + 1) - fb.lgamma(n - value + 1)
        return choose + value * self.logits - n * _softplus(self.logits)


class NegativeBinomial(_Binary):
    """Successes (probability `probs`) before `total_count` failures."""

    support = c.nonnegative_integer

    def __init__(self, total_count, probs=None, logits=None, validate_args=None):
        (self.total_count,) = self._init(probs, logits, validate_args, total_count)

    mean = property(lambda self: self.total_count * self.logits.exp())
    variance = property(lambda self: self.mean / fb.sigmoid(-self.logits))

    def sample(self, sample_shape=()):
        with fb.no_grad():
            n = self.total_count.expand(self._extended_shape(sample_shape))
            return poisson(standard_gamma(n) * self.logits.exp())

    def log_prob(self, value):
        self._validate_sample(value)
        n = self.total_count
        norm = fb.lgamma(n + value) - fb.lgamma(1 + value) - fb.lgamma(n)
        return norm - n * _softplus(self.logits) - value * _softplus(-self.logits)


class Poisson(_Univariate):
    """Counts of mean `rate`."""

    _params = ("rate",)
    arg_constraints = {"rate": c.nonnegative}
    support = c.nonnegative_integer
    has_rsample = False

    def __init__(self, rate, validate_args=None):
        self._set((rate,), validate_args)

    mean = variance = property(lambda self: self.rate)
    mode = property(lambda self: self.rate.floor())

    def sample(self, sample_shape=()):
        return poisson(self.rate.expand(self._extended_shape(sample_shape)))

    def log_prob(self, value):
        self._validate_sample(value)
        return fb.xlogy(value, self.rate) - self.rate - fb.lgamma(value + 1)


class Categorical(Distribution):
    """An index 0..n-1 with the probabilities in the last dim of `probs` (or `logits`).

    >>> import flambeau as fb
    >>> d = fb.distributions.Categorical(probs=fb.tensor([1.0, 3.0]))
    >>> d.probs.tolist()
    [0.25, 0.75]
    """

    arg_constraints = {"probs": c.simplex, "logits": c.real_vector}
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        _one_of("Categorical", probs, logits)
        value = probs if probs is not None else logits
        if value.dim() < 1:
            raise ValueError("`probs` or `logits` parameter must be at least one-dimensional.")
        if probs is not None:
            checks = self._validate_args and validate_args is not False
            if checks and not c.nonnegative.holds(probs):
                raise ValueError("Categorical: Expected parameter probs to be non-negative")
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        self._num_events = value.shape[-1]
        super().__init__(value.shape[:-1], (), validate_args)

    def __getattr__(self, name):
        if name == "probs" and "logits" in self.__dict__:
            return logits_to_probs(self.logits)
        if name == "logits" and "probs" in self.__dict__:
            return probs_to_logits(self.probs)
        raise AttributeError(name)

    support = property(lambda self: c.integer_interval(0, self._num_events - 1))
    param_shape = property(lambda self: self.probs.shape)
    mean = property(lambda self: self.probs.new_full(self._batch_shape, fb.nan))
    variance = property(lambda self: self.probs.new_full(self._batch_shape, fb.nan))
    mode = property(lambda self: self.probs.argmax(-1))

    def expand(self, batch_shape, _instance=None):
        return Categorical(
            logits=self.logits.expand(*batch_shape, self._num_events), validate_args=False
        )

    def sample(self, sample_shape=()):
        n = 1
        for s in sample_shape:
            n *= s
        p = self.probs.detach().reshape(-1, self._num_events)
        draws = fb.multinomial(p, n, True).t()
        return draws.reshape(self._extended_shape(sample_shape))

    def log_prob(self, value):
        self._validate_sample(value)
        value = value.to(fb.int64).unsqueeze(-1)
        value, logits = fb.broadcast_tensors(value, self.logits)
        return logits.gather(-1, value[..., :1]).squeeze(-1)

    def entropy(self):
        low = fb.finfo(self.logits.dtype).min
        return -(self.logits.clamp(min=low) * self.probs).sum(-1)

    def enumerate_support(self, expand=True):
        v = fb.arange(self._num_events, device=self.logits.device)
        v = v.reshape(-1, *(1,) * len(self._batch_shape))
        return v.expand(-1, *self._batch_shape) if expand else v


class OneHotCategorical(Distribution):
    """`Categorical` whose draws are one-hot vectors."""

    arg_constraints = {"probs": c.simplex, "logits": c.real_vector}
    support = c.one_hot
    has_enumerate_support = True

    def __init__(self, probs=None, logits=None, validate_args=None):
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, (self._categorical._num_events,), validate_args
        )

    probs = property(lambda self: self._categorical.probs)
    logits = property(lambda self: self._categorical.logits)
    mean = property(lambda self: self.probs)
    variance = property(lambda self: self.probs * (1 - self.probs))
    mode = property(lambda self: self._hot(self.probs.argmax(-1)))

    def _hot(self, i):
        n = fb.arange(self._event_shape[0], device=i.device)
        return (i.unsqueeze(-1) == n).to(self.probs.dtype)

    def expand(self, batch_shape, _instance=None):
        return type(self)(
            logits=self.logits.expand(*batch_shape, *self._event_shape), validate_args=False
        )

    def sample(self, sample_shape=()):
        return self._hot(self._categorical.sample(sample_shape))

    def log_prob(self, value):
        self._validate_sample(value)
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self):
        return self._categorical.entropy()

    def enumerate_support(self, expand=True):
        return self._hot(self._categorical.enumerate_support(expand))


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """One-hot draws whose gradient passes to `probs` (Bengio et al. 2013)."""

    has_rsample = True

    def rsample(self, sample_shape=()):
        hot, p = self.sample(sample_shape), self.probs
        return hot + (p - p.detach())


class Multinomial(Distribution):
    """Counts of `total_count` draws of a categorical."""

    arg_constraints = {"probs": c.simplex, "logits": c.real_vector}

    def __init__(self, total_count=1, probs=None, logits=None, validate_args=None):
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(
            self._categorical.batch_shape, (self._categorical._num_events,), validate_args
        )

    support = property(lambda self: c.multinomial(self.total_count))
    probs = property(lambda self: self._categorical.probs)
    logits = property(lambda self: self._categorical.logits)
    mean = property(lambda self: self.probs * self.total_count)
    variance = property(lambda self: self.total_count * self.probs * (1 - self.probs))

    def sample(self, sample_shape=()):
        i = self._categorical.sample((self.total_count, *sample_shape))
        n = fb.arange(self._event_shape[0], device=i.device)
        return (i.unsqueeze(-1) == n).to(self.probs.dtype).sum(0)

    def log_prob(self, value):
        self._validate_sample(value)
        norm = fb.lgamma(value.sum(-1) + 1) - fb.lgamma(value + 1).sum(-1)
        zero = (value == 0) & (self.logits == -fb.inf)
        logits = fb.where(zero, fb.zeros_like(self.logits + value), self.logits)
        return norm + (logits * value).sum(-1)
