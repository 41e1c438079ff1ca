"""`flambeau.distributions`: probability distributions with `sample`, `log_prob`, moments and KL."""

from __future__ import annotations

from . import constraints
from .continuous import (
    Beta,
    Cauchy,
    Chi2,
    Exponential,
    Gamma,
    Gumbel,
    HalfCauchy,
    HalfNormal,
    Laplace,
    LogNormal,
    Normal,
    Pareto,
    StudentT,
    Uniform,
    Weibull,
)
from .discrete import (
    Bernoulli,
    Binomial,
    Categorical,
    Geometric,
    Multinomial,
    NegativeBinomial,
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
    Poisson,
)
from .distribution import Distribution, ExponentialFamily
from .kl import kl_divergence, register_kl
from .multivariate import Dirichlet, Independent, MixtureSameFamily, MultivariateNormal

__all__ = [
    *"""Bernoulli Beta Binomial Categorical Cauchy Chi2 Dirichlet Distribution Exponential
ExponentialFamily Gamma Geometric Gumbel HalfCauchy HalfNormal Independent Laplace LogNormal
MixtureSameFamily Multinomial MultivariateNormal NegativeBinomial Normal OneHotCategorical
OneHotCategoricalStraightThrough Pareto Poisson StudentT Uniform Weibull constraints kl_divergence
register_kl""".split()
]
