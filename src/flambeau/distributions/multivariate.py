"""Distributions over vectors, and wrappers of other distributions."""

from __future__ import annotations

import math

import flambeau as fb

from . import constraints as c
from .discrete import Categorical
from .distribution import Distribution, ExponentialFamily, sum_right
from .sampling import standard_gamma


class Dirichlet(ExponentialFamily):
    """Points of the simplex, with the concentrations in the last dim."""

    arg_constraints = {"concentration": c.independent(c.positive, 1)}
    support = c.simplex
    has_rsample = True
    _params = ("concentration",)

    def __init__(self, concentration, validate_args=None):
        if concentration.dim() < 1:
            raise ValueError("`concentration` parameter must be at least one-dimensional.")
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    mean = property(lambda self: self.concentration / self.concentration.sum(-1, keepdim=True))

    @property
    def variance(self):
        t = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (t - self.concentration) / (t * t * (t + 1))

    def rsample(self, sample_shape=()):
        x = standard_gamma(self.concentration.expand(self._extended_shape(sample_shape)))
        return x / x.sum(-1, keepdim=True)

    def log_prob(self, value):
        self._validate_sample(value)
        a = self.concentration
        return fb.xlogy(a - 1, value).sum(-1) + fb.lgamma(a.sum(-1)) - fb.lgamma(a).sum(-1)

    def entropy(self):
        a = self.concentration
        k, t = a.shape[-1], a.sum(-1)
        return (
            fb.lgamma(a).sum(-1)
            - fb.lgamma(t)
            - (k - t) * fb.digamma(t)
            - ((a - 1) * fb.digamma(a)).sum(-1)
        )


class MultivariateNormal(Distribution):
    """Normal vector, by covariance, precision or lower Cholesky factor `scale_tril`.

    >>> import flambeau as fb
    >>> d = fb.distributions.MultivariateNormal(fb.zeros(2), fb.eye(2))
    >>> round(d.log_prob(fb.zeros(2)).item(), 4)
    -1.8379
    """

    arg_constraints = {
        "loc": c.real_vector,
        "covariance_matrix": c.positive_definite,
        "precision_matrix": c.positive_definite,
        "scale_tril": c.lower_cholesky,
    }
    support = c.real_vector
    has_rsample = True

    def __init__(
        self,
        loc,
        covariance_matrix=None,
        precision_matrix=None,
        scale_tril=None,
        validate_args=None,
    ):
        given = [m for m in (covariance_matrix, precision_matrix, scale_tril) if m is not None]
        if len(given) != 1:
            raise ValueError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril "
                "may be "
                "specified."
            )
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        if given[0].dim() < 2:
            raise ValueError(
                "the matrix must be at least two-dimensional, with optional leading "
                "batch "
                "dimensions"
            )
        batch = fb.broadcast_shapes(given[0].shape[:-2], loc.shape[:-1])
        n = loc.shape[-1]
        self.loc = loc.expand(*batch, n)
        m = given[0].expand(*batch, n, n)
        key = (
            "covariance_matrix"
            if covariance_matrix is not None
            else "precision_matrix"
            if precision_matrix is not None
            else "scale_tril"
        )
        self.__dict__[key] = m
        super().__init__(batch, (n,), validate_args)
        if key == "precision_matrix":
            self._low = fb.linalg.cholesky(fb.linalg.inv(m))
        else:
            self._low = m if key == "scale_tril" else fb.linalg.cholesky(m)

    def __getattr__(self, name):
        forms = ("scale_tril", "covariance_matrix", "precision_matrix")
        if name in forms and "_low" in self.__dict__:
            low = self._low
            if name == "scale_tril":
                return low
            return low @ low.mT if name == "covariance_matrix" else fb.cholesky_inverse(low)
        raise AttributeError(name)

    mean = mode = property(lambda self: self.loc)
    variance = property(lambda self: self._low.square().sum(-1))

    def expand(self, batch_shape, _instance=None):
        n = self._event_shape[0]
        return type(self)(
            self.loc.expand(*batch_shape, n),
            scale_tril=self._low.expand(*batch_shape, n, n),
            validate_args=False,
        )

    def rsample(self, sample_shape=()):
        z = fb.randn(
            self._extended_shape(sample_shape), dtype=self.loc.dtype, device=self.loc.device
        )
        return self.loc + (self._low @ z.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value):
        self._validate_sample(value)
        d = (value - self.loc).unsqueeze(-1)
        low = self._low.expand(*d.shape[:-2], *self._low.shape[-2:])
        z = fb.linalg.solve_triangular(low, d, upper=False).squeeze(-1)
        half = self._low.diagonal(0, -2, -1).log().sum(-1)
        return -0.5 * (self._event_shape[0] * math.log(2 * math.pi) + z.square().sum(-1)) - half

    def entropy(self):
        half = self._low.diagonal(0, -2, -1).log().sum(-1)
        return 0.5 * self._event_shape[0] * (1 + math.log(2 * math.pi)) + half


class Independent(Distribution):
    """Turns the last n batch dims of `base_distribution` into event dims."""

    def __init__(self, base_distribution, reinterpreted_batch_ndims, validate_args=None):
        n, b = reinterpreted_batch_ndims, base_distribution
        if n > len(b.batch_shape):
            raise ValueError(
                "Expected reinterpreted_batch_ndims <= "
                "len(base_distribution.batch_shape), "
                f"actual {n} vs {len(b.batch_shape)}"
            )
        self.base_dist, self.reinterpreted_batch_ndims = b, n
        cut = len(b.batch_shape) - n
        super().__init__(b.batch_shape[:cut], (*b.batch_shape[cut:], *b.event_shape), validate_args)

    has_rsample = property(lambda self: self.base_dist.has_rsample)
    mean = property(lambda self: self.base_dist.mean)
    mode = property(lambda self: self.base_dist.mode)
    variance = property(lambda self: self.base_dist.variance)

    def expand(self, batch_shape, _instance=None):
        inner = self.base_dist.batch_shape[len(self._batch_shape) :]
        return Independent(
            self.base_dist.expand((*batch_shape, *inner)), self.reinterpreted_batch_ndims
        )

    def sample(self, sample_shape=()):
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value):
        return sum_right(self.base_dist.log_prob(value), self.reinterpreted_batch_ndims)

    def entropy(self):
        return sum_right(self.base_dist.entropy(), self.reinterpreted_batch_ndims)

    def __repr__(self):
        return f"Independent({self.base_dist}, {self.reinterpreted_batch_ndims})"


class MixtureSameFamily(Distribution):
    """A mixture: a `Categorical` picks along the last batch dim of `component_distribution`."""

    def __init__(self, mixture_distribution, component_distribution, validate_args=None):
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError("The Mixture distribution needs to be an instance of Categorical")
        self.mixture_distribution = self._mixture = mixture_distribution
        self.component_distribution = self._component = component_distribution
        comp = component_distribution
        if comp.batch_shape[-1] != mixture_distribution._num_events:
            raise ValueError(
                "`mixture_distribution component` does not equal "
                "`component_distribution.batch_shape[-1]`"
            )
        super().__init__(comp.batch_shape[:-1], comp.event_shape, validate_args)

    def _pad(self, x):
        n = len(self._event_shape)
        return x.reshape(*x.shape, *(1,) * n) if n else x

    @property
    def mean(self):
        p = self._pad(self._mixture.probs)
        return (p * self._component.mean).sum(-1 - len(self._event_shape))

    @property
    def variance(self):
        p, d = self._pad(self._mixture.probs), -1 - len(self._event_shape)
        inner = (p * self._component.variance).sum(d)
        return inner + (p * (self._component.mean - self.mean.unsqueeze(d)).square()).sum(d)

    def sample(self, sample_shape=()):
        with fb.no_grad():
            d = len(sample_shape) + len(self._batch_shape)
            pick = self._mixture.sample(sample_shape).unsqueeze(-1)
            x = self._component.sample(sample_shape)
            at = self._pad(pick).expand(*pick.shape, *self._event_shape)
            return x.gather(d, at).squeeze(d)

    def log_prob(self, value):
        x = value.unsqueeze(-1 - len(self._event_shape))
        return fb.logsumexp(
            self._component.log_prob(x) + fb.log_softmax(self._mixture.logits, -1), -1
        )

    def cdf(self, value):
        return (self._component.cdf(value.unsqueeze(-1)) * self._mixture.probs).sum(-1)
