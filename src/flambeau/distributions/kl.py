"""Kullback-Leibler divergences between pairs of families."""

from __future__ import annotations

import math

import flambeau as fb

from .continuous import Beta, Exponential, Gamma, Laplace, LogNormal, Normal, Uniform
from .discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    OneHotCategorical,
    Poisson,
    _softplus,
)
from .distribution import sum_right
from .multivariate import Dirichlet, Independent, MultivariateNormal

_RULES = {}


def register_kl(p, q):
    """Decorator that makes a function of (p, q) the rule of a pair of classes."""
    if not (isinstance(p, type) and isinstance(q, type)):
        raise TypeError("Expected type_p and type_q to be Distribution subclasses")

    def store(f):
        _RULES[p, q] = f
        return f

    return store


def kl_divergence(p, q):
    """KL(p || q), of the batch shape; NotImplementedError for a pair without a rule.

    >>> import flambeau as fb
    >>> N = fb.distributions.Normal
    >>> fb.distributions.kl_divergence(N(0.0, 1.0), N(1.0, 1.0)).item()
    0.5
    """
    for a in type(p).__mro__:
        for b in type(q).__mro__:
            if (a, b) in _RULES:
                return _RULES[a, b](p, q)
    raise NotImplementedError(
        f"No KL(p || q) is implemented for p type {type(p).__name__} and q type {type(q).__name__}"
    )


@register_kl(Normal, Normal)
@register_kl(LogNormal, LogNormal)
def _normal(p, q):
    r = (p.scale / q.scale).square()
    return 0.5 * (r + ((p.loc - q.loc) / q.scale).square() - 1 - r.log())


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p, q):
    return p.probs * (_softplus(-q.logits) - _softplus(-p.logits)) + (1 - p.probs) * (
        _softplus(q.logits) - _softplus(p.logits)
    )


@register_kl(Binomial, Binomial)
def _binomial(p, q):
    if bool((p.total_count > q.total_count).any()):
        return fb.full_like(p.probs, fb.inf)
    return p.total_count * (
        p.probs * (p.logits - q.logits) + fb.log1p(-p.probs) - fb.log1p(-q.probs)
    )


@register_kl(Categorical, Categorical)
def _categorical(p, q):
    t = p.probs * (p.logits - q.logits)
    t = fb.where((q.probs == 0).expand(t.shape), fb.full_like(t, fb.inf), t)
    return fb.where((p.probs == 0).expand(t.shape), fb.zeros_like(t), t).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p, q):
    return _categorical(p._categorical, q._categorical)


@register_kl(Geometric, Geometric)
def _geometric(p, q):
    return -p.entropy() - fb.log1p(-q.probs) / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p, q):
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Exponential, Exponential)
def _exponential(p, q):
    r = q.rate / p.rate
    return -r.log() + r - 1


@register_kl(Laplace, Laplace)
def _laplace(p, q):
    r, d = p.scale / q.scale, (p.loc - q.loc).abs()
    return -r.log() + d / q.scale + r * (-d / p.scale).exp() - 1


@register_kl(Uniform, Uniform)
def _uniform(p, q):
    out = ((q.high - q.low) / (p.high - p.low)).log()
    return fb.where((q.low > p.low) | (q.high < p.high), fb.full_like(out, fb.inf), out)


@register_kl(Gamma, Gamma)
def _gamma(p, q):
    a, b = p.concentration, q.concentration
    return (
        b * (p.rate / q.rate).log()
        + fb.lgamma(b)
        - fb.lgamma(a)
        + (a - b) * fb.digamma(a)
        + (q.rate - p.rate) * (a / p.rate)
    )


@register_kl(Beta, Beta)
def _beta(p, q):
    a, b, x, y = p.concentration1, p.concentration0, q.concentration1, q.concentration0
    return (
        fb.lgamma(x)
        + fb.lgamma(y)
        + fb.lgamma(a + b)
        - fb.lgamma(x + y)
        - fb.lgamma(a)
        - fb.lgamma(b)
        + (a - x) * fb.digamma(a)
        + (b - y) * fb.digamma(b)
        + (x + y - a - b) * fb.digamma(a + b)
    )


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p, q):
    a, b = p.concentration, q.concentration
    t = a.sum(-1)
    return (
        fb.lgamma(t)
        - fb.lgamma(b.sum(-1))
        - (fb.lgamma(a) - fb.lgamma(b)).sum(-1)
        + ((a - b) * (fb.digamma(a) - fb.digamma(t).unsqueeze(-1))).sum(-1)
    )


@register_kl(MultivariateNormal, MultivariateNormal)
def _mvn(p, q):
    n = p.event_shape[0]
    half = (q._low.diagonal(0, -2, -1).log() - p._low.diagonal(0, -2, -1).log()).sum(-1)
    batch = fb.broadcast_shapes(p.batch_shape, q.batch_shape)
    low = q._low.expand(*batch, n, n)
    z = fb.linalg.solve_triangular(low, p._low.expand(*batch, n, n), upper=False)
    d = fb.linalg.solve_triangular(
        low, (q.loc - p.loc).unsqueeze(-1).expand(*batch, n, 1), upper=False
    )
    return half + 0.5 * (z.square().sum(-1).sum(-1) + d.square().sum(-1).sum(-1) - n)


@register_kl(Independent, Independent)
def _independent(p, q):
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("KL of Independent distributions with different event dims")
    return sum_right(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims)


@register_kl(Normal, Laplace)
def _normal_laplace(p, q):
    z = (p.loc - q.loc) / p.scale
    t = math.sqrt(2 / math.pi) * p.scale * (-0.5 * z * z).exp()
    t = t + p.scale * z * fb.erf(z / math.sqrt(2))
    return (q.scale / p.scale).log() + t / q.scale + 0.5 * math.log(2 / math.pi) - 0.5
