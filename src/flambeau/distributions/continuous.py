"""Continuous distributions of one real variable."""

from __future__ import annotations

import math

import flambeau as fb

from . import constraints as c
from .distribution import Distribution, ExponentialFamily, broadcast
from .sampling import standard_gamma

LOG_2PI = math.log(2 * math.pi)


def _uniform(like, shape):
    tiny = fb.finfo(like.dtype).tiny
    return fb.rand(shape, dtype=like.dtype, device=like.device).clamp(min=tiny)


class _Univariate(Distribution):
    """Broadcasts the parameters named in `_params` and stores them."""

    _params = ()
    has_rsample = True

    def _set(self, values, validate_args):
        values = broadcast(*values)
        for k, v in zip(self._params, values):
            setattr(self, k, v)
        super().__init__(values[0].shape, (), validate_args)


class Normal(_Univariate, ExponentialFamily):
    """Normal of mean `loc` and standard deviation `scale`.

    >>> import flambeau as fb
    >>> round(fb.distributions.Normal(0.0, 1.0).log_prob(fb.tensor(0.0)).item(), 4)
    -0.9189
    """

    _params = ("loc", "scale")
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.real

    def __init__(self, loc, scale, validate_args=None):
        self._set((loc, scale), validate_args)

    mean = mode = property(lambda self: self.loc)
    stddev = property(lambda self: self.scale)
    variance = property(lambda self: self.scale.square())

    def rsample(self, sample_shape=()):
        s = self._extended_shape(sample_shape)
        return self.loc + self.scale * fb.randn(s, dtype=self.loc.dtype, device=self.loc.device)

    def log_prob(self, value):
        self._validate_sample(value)
        z = (value - self.loc) / self.scale
        return -z * z / 2 - self.scale.log() - LOG_2PI / 2

    def cdf(self, value):
        self._validate_sample(value)
        return 0.5 * (1 + fb.erf((value - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value):
        return self.loc + self.scale * fb.erfinv(2 * value - 1) * math.sqrt(2)

    def entropy(self):
        return 0.5 + LOG_2PI / 2 + self.scale.log()


class Uniform(_Univariate):
    """Uniform on [low, high)."""

    _params = ("low", "high")
    arg_constraints = {"low": c.dependent, "high": c.dependent}

    def __init__(self, low, high, validate_args=None):
        self._set((low, high), validate_args)
        if self._validate_args and not bool((self.low < self.high).all()):
            raise ValueError("Uniform is not defined when low>= high")

    support = property(lambda self: c.interval(self.low, self.high))
    mean = property(lambda self: (self.low + self.high) / 2)
    mode = property(lambda self: self.low * fb.nan)
    variance = property(lambda self: (self.high - self.low).square() / 12)

    def rsample(self, sample_shape=()):
        s = self._extended_shape(sample_shape)
        u = fb.rand(s, dtype=self.low.dtype, device=self.low.device)
        return self.low + u * (self.high - self.low)

    def log_prob(self, value):
        self._validate_sample(value)
        inside = (self.low <= value) & (self.high > value)
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def cdf(self, value):
        self._validate_sample(value)
        return ((value - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value):
        return value * (self.high - self.low) + self.low

    def entropy(self):
        return (self.high - self.low).log()


class Exponential(_Univariate, ExponentialFamily):
    """Exponential of the given rate."""

    _params = ("rate",)
    arg_constraints = {"rate": c.positive}
    support = c.nonnegative

    def __init__(self, rate, validate_args=None):
        self._set((rate,), validate_args)

    mean = stddev = property(lambda self: self.rate.reciprocal())
    mode = property(lambda self: fb.zeros_like(self.rate))
    variance = property(lambda self: self.rate**-2)

    def rsample(self, sample_shape=()):
        return -_uniform(self.rate, self._extended_shape(sample_shape)).log() / self.rate

    def log_prob(self, value):
        self._validate_sample(value)
        return self.rate.log() - self.rate * value

    def cdf(self, value):
        self._validate_sample(value)
        return -fb.expm1(-self.rate * value)

    def icdf(self, value):
        return -fb.log1p(-value) / self.rate

    def entropy(self):
        return 1 - self.rate.log()


class Laplace(_Univariate):
    """Laplace (two-sided exponential) about `loc`."""

    _params = ("loc", "scale")
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.real

    def __init__(self, loc, scale, validate_args=None):
        self._set((loc, scale), validate_args)

    mean = mode = property(lambda self: self.loc)
    variance = property(lambda self: 2 * self.scale.square())

    def rsample(self, sample_shape=()):
        u = _uniform(self.loc, self._extended_shape(sample_shape)) * 2 - 1
        return self.loc - self.scale * u.sign() * fb.log1p(-u.abs().clamp(max=1 - 1e-7))

    def log_prob(self, value):
        self._validate_sample(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value):
        self._validate_sample(value)
        d = value - self.loc
        return 0.5 - 0.5 * d.sign() * fb.expm1(-d.abs() / self.scale)

    def icdf(self, value):
        t = value - 0.5
        return self.loc - self.scale * t.sign() * fb.log1p(-2 * t.abs())

    def entropy(self):
        return 1 + (2 * self.scale).log()


class Cauchy(_Univariate):
    """Cauchy of median `loc` and half width `scale`; it has no moments."""

    _params = ("loc", "scale")
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.real

    def __init__(self, loc, scale, validate_args=None):
        self._set((loc, scale), validate_args)

    mode = property(lambda self: self.loc)
    mean = property(lambda self: self.loc * fb.nan)
    variance = property(lambda self: fb.full_like(self.loc, fb.inf))

    def rsample(self, sample_shape=()):
        return self.icdf(_uniform(self.loc, self._extended_shape(sample_shape)))

    def log_prob(self, value):
        self._validate_sample(value)
        z = (value - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - fb.log1p(z * z)

    def cdf(self, value):
        self._validate_sample(value)
        return fb.atan((value - self.loc) / self.scale) / math.pi + 0.5

    def icdf(self, value):
        return fb.tan(math.pi * (value - 0.5)) * self.scale + self.loc

    def entropy(self):
        return math.log(4 * math.pi) + self.scale.log()


class Gumbel(_Univariate):
    """Gumbel (extreme value) distribution."""

    _params = ("loc", "scale")
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.real

    def __init__(self, loc, scale, validate_args=None):
        self._set((loc, scale), validate_args)

    mode = property(lambda self: self.loc)
    mean = property(lambda self: self.loc + self.scale * 0.5772156649015329)
    variance = property(lambda self: self.stddev.square())
    stddev = property(lambda self: math.pi / math.sqrt(6) * self.scale)

    def rsample(self, sample_shape=()):
        return self.icdf(_uniform(self.loc, self._extended_shape(sample_shape)).clamp(max=1 - 6e-8))

    def log_prob(self, value):
        self._validate_sample(value)
        y = (self.loc - value) / self.scale
        return y - y.exp() - self.scale.log()

    def cdf(self, value):
        return (-((self.loc - value) / self.scale).exp()).exp()

    def icdf(self, value):
        return self.loc - self.scale * (-value.log()).log()

    def entropy(self):
        return self.scale.log() + 1 + 0.5772156649015329


class Gamma(_Univariate, ExponentialFamily):
    """Gamma of shape `concentration` and the given rate."""

    _params = ("concentration", "rate")
    arg_constraints = {"concentration": c.positive, "rate": c.positive}
    support = c.nonnegative

    def __init__(self, concentration, rate, validate_args=None):
        self._set((concentration, rate), validate_args)

    mean = property(lambda self: self.concentration / self.rate)
    mode = property(lambda self: ((self.concentration - 1) / self.rate).clamp(min=0))
    variance = property(lambda self: self.concentration / self.rate.square())

    def rsample(self, sample_shape=()):
        a = self.concentration.expand(self._extended_shape(sample_shape))
        return standard_gamma(a) / self.rate

    def log_prob(self, value):
        self._validate_sample(value)
        a, b = self.concentration, self.rate
        return fb.xlogy(a, b) + fb.xlogy(a - 1, value) - b * value - fb.lgamma(a)

    def cdf(self, value):
        self._validate_sample(value)
        return fb.special.gammainc(self.concentration, self.rate * value)

    def entropy(self):
        a = self.concentration
        return a - self.rate.log() + fb.lgamma(a) + (1 - a) * fb.digamma(a)


class Chi2(Gamma):
    """Chi-squared of `df` degrees of freedom."""

    _params = ("df",)
    arg_constraints = {"df": c.positive}

    def __init__(self, df, validate_args=None):
        (self.df,) = broadcast(df)
        self.concentration, self.rate = 0.5 * self.df, fb.full_like(self.df, 0.5)
        Distribution.__init__(self, self.df.shape, (), validate_args)


class Beta(_Univariate, ExponentialFamily):
    """Beta on (0, 1)."""

    _params = ("concentration1", "concentration0")
    arg_constraints = {"concentration1": c.positive, "concentration0": c.positive}
    support = c.unit_interval

    def __init__(self, concentration1, concentration0, validate_args=None):
        self._set((concentration1, concentration0), validate_args)

    @property
    def mean(self):
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self):
        t = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (t * t * (t + 1))

    def rsample(self, sample_shape=()):
        s = self._extended_shape(sample_shape)
        x = standard_gamma(self.concentration1.expand(s))
        y = standard_gamma(self.concentration0.expand(s))
        return x / (x + y)

    def log_prob(self, value):
        self._validate_sample(value)
        a, b = self.concentration1, self.concentration0
        return (
            fb.xlogy(a - 1, value)
            + fb.special.xlog1py(b - 1, -value)
            + fb.lgamma(a + b)
            - fb.lgamma(a)
            - fb.lgamma(b)
        )

    def entropy(self):
        a, b = self.concentration1, self.concentration0
        t = a + b
        return (
            fb.lgamma(a)
            + fb.lgamma(b)
            - fb.lgamma(t)
            - (a - 1) * fb.digamma(a)
            - (b - 1) * fb.digamma(b)
            + (t - 2) * fb.digamma(t)
        )


class StudentT(_Univariate):
    """Student's t of `df` degrees of freedom, shifted and scaled."""

    _params = ("df", "loc", "scale")
    arg_constraints = {"df": c.positive, "loc": c.real, "scale": c.positive}
    support = c.real

    def __init__(self, df, loc=0.0, scale=1.0, validate_args=None):
        self._set((df, loc, scale), validate_args)

    mode = property(lambda self: self.loc)

    @property
    def mean(self):
        return fb.where(self.df > 1, self.loc, self.loc * fb.nan)

    @property
    def variance(self):
        v = self.scale.square() * self.df / (self.df - 2)
        v = fb.where(self.df > 2, v, fb.full_like(v, fb.inf))
        return fb.where(self.df > 1, v, fb.full_like(v, fb.nan))

    def rsample(self, sample_shape=()):
        s = self._extended_shape(sample_shape)
        z = fb.randn(s, dtype=self.df.dtype, device=self.df.device)
        chi = 2 * standard_gamma((self.df / 2).expand(s))
        return self.loc + self.scale * z * (self.df / chi).sqrt()

    def log_prob(self, value):
        self._validate_sample(value)
        z, n = (value - self.loc) / self.scale, self.df
        norm = (
            self.scale.log()
            + 0.5 * n.log()
            + 0.5 * math.log(math.pi)
            + fb.lgamma(n / 2)
            - fb.lgamma((n + 1) / 2)
        )
        return -0.5 * (n + 1) * fb.log1p(z * z / n) - norm

    def entropy(self):
        n = self.df
        lbeta = fb.lgamma(n / 2) + 0.5 * math.log(math.pi) - fb.lgamma((n + 1) / 2)
        return (
            self.scale.log()
            + 0.5 * (n + 1) * (fb.digamma((n + 1) / 2) - fb.digamma(n / 2))
            + 0.5 * n.log()
            + lbeta
        )


class Weibull(_Univariate):
    """Weibull of the given scale and shape `concentration`."""

    _params = ("scale", "concentration")
    arg_constraints = {"scale": c.positive, "concentration": c.positive}
    support = c.positive

    def __init__(self, scale, concentration, validate_args=None):
        self._set((scale, concentration), validate_args)

    def _moment(self, k):
        return self.scale**k * fb.exp(fb.lgamma(1 + k / self.concentration))

    mean = property(lambda self: self._moment(1))
    variance = property(lambda self: self._moment(2) - self._moment(1).square())

    def rsample(self, sample_shape=()):
        u = _uniform(self.scale, self._extended_shape(sample_shape))
        return self.scale * (-u.log()) ** (1 / self.concentration)

    def log_prob(self, value):
        self._validate_sample(value)
        k, z = self.concentration, value / self.scale
        return k.log() - self.scale.log() + (k - 1) * z.log() - z**k

    def cdf(self, value):
        return -fb.expm1(-((value / self.scale) ** self.concentration))

    def entropy(self):
        k = self.concentration
        return 0.5772156649015329 * (1 - 1 / k) + (self.scale / k).log() + 1


class Pareto(_Univariate):
    """Pareto above `scale` with tail exponent `alpha`."""

    _params = ("scale", "alpha")
    arg_constraints = {"scale": c.positive, "alpha": c.positive}

    def __init__(self, scale, alpha, validate_args=None):
        self._set((scale, alpha), validate_args)

    support = property(lambda self: c.greater_than_eq(self.scale))
    mode = property(lambda self: self.scale)

    @property
    def mean(self):
        a = self.alpha.clamp(min=1)
        return a * self.scale / (a - 1)

    @property
    def variance(self):
        a = self.alpha.clamp(min=2)
        return self.scale.square() * a / ((a - 1).square() * (a - 2))

    def rsample(self, sample_shape=()):
        u = _uniform(self.scale, self._extended_shape(sample_shape))
        return self.scale * u ** (-1 / self.alpha)

    def log_prob(self, value):
        self._validate_sample(value)
        return self.alpha.log() + self.alpha * self.scale.log() - (self.alpha + 1) * value.log()

    def cdf(self, value):
        return 1 - (self.scale / value) ** self.alpha

    def entropy(self):
        return (self.scale / self.alpha).log() + 1 + 1 / self.alpha


class _Half(_Univariate):
    _params = ("scale",)
    arg_constraints = {"scale": c.positive}
    support = c.nonnegative
    _base = None

    def __init__(self, scale, validate_args=None):
        self._set((scale,), validate_args)
        self._full = self._base(fb.zeros_like(self.scale), self.scale, validate_args=False)

    mode = property(lambda self: fb.zeros_like(self.scale))

    def rsample(self, sample_shape=()):
        return self._full.rsample(sample_shape).abs()

    def log_prob(self, value):
        self._validate_sample(value)
        lp = self._full.log_prob(value) + math.log(2)
        return fb.where(value >= 0, lp, fb.full_like(lp, -fb.inf))

    def cdf(self, value):
        return 2 * self._full.cdf(value) - 1

    def icdf(self, value):
        return self._full.icdf((value + 1) / 2)

    def entropy(self):
        return self._full.entropy() - math.log(2)


class HalfNormal(_Half):
    """The magnitude of a centred normal."""

    _base = Normal
    mean = property(lambda self: self.scale * math.sqrt(2 / math.pi))
    variance = property(lambda self: self.scale.square() * (1 - 2 / math.pi))


class HalfCauchy(_Half):
    """The magnitude of a centred Cauchy."""

    _base = Cauchy
    mean = property(lambda self: fb.full_like(self.scale, fb.inf))
    variance = property(lambda self: fb.full_like(self.scale, fb.inf))


class LogNormal(_Univariate):
    """exp of a normal of mean `loc` and standard deviation `scale`."""

    _params = ("loc", "scale")
    arg_constraints = {"loc": c.real, "scale": c.positive}
    support = c.positive

    def __init__(self, loc, scale, validate_args=None):
        self._set((loc, scale), validate_args)
        self.base_dist = Normal(self.loc, self.scale, validate_args=False)

    mean = property(lambda self: (self.loc + self.scale.square() / 2).exp())
    mode = property(lambda self: (self.loc - self.scale.square()).exp())

    @property
    def variance(self):
        s2 = self.scale.square()
        return fb.expm1(s2) * (2 * self.loc + s2).exp()

    def rsample(self, sample_shape=()):
        return self.base_dist.rsample(sample_shape).exp()

    def log_prob(self, value):
        self._validate_sample(value)
        return self.base_dist.log_prob(value.log()) - value.log()

    def cdf(self, value):
        return self.base_dist.cdf(value.log())

    def icdf(self, value):
        return self.base_dist.icdf(value).exp()

    def entropy(self):
        return self.base_dist.entropy() + self.loc
