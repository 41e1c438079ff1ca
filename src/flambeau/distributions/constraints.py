"""Sets that parameters and values must lie in; `check(x)` gives a bool tensor."""

from __future__ import annotations

import math

import flambeau as fb


class Constraint:
    """A set of values with a test; `event_dim` is how many right dims one value takes.

    `within` is, for the numbers between two others, those two, which belong to the set.
    """

    is_discrete = False
    is_dependent = False
    event_dim = 0
    _within = None

    def __init__(self, name, test, discrete=False, event_dim=0, within=None, **bounds):
        self._name, self._test = name, test
        self.is_discrete, self.event_dim = discrete, event_dim
        if within is not None and all(isinstance(v, (int, float)) for v in within):
            self._within = within
        self.__dict__.update(bounds)
        self._bounds = bounds

    def check(self, value):
        """Bool tensor: which values lie in the set."""
        return self._test(value)

    def holds(self, value):
        """Whether all of `value` lies in the set."""
        if self._within is not None and not value.is_complex():
            return fb._C._all_within(value, *self._within)
        return bool(self.check(value).all())

    def __repr__(self):
        if self._name.endswith(")"):
            return self._name
        return f"{self._name}({', '.join(f'{k}={v}' for k, v in self._bounds.items())})"


class _Dependent(Constraint):
    """A set whose bounds depend on other parameters; calling it gives itself."""

    is_dependent = True

    def __call__(self, *args, **kw):
        return self


class _Whole(Constraint):
    """Whole numbers between two others: of integers only the bounds need a test."""

    def holds(self, value):
        if self._within is not None and not value.is_floating_point():
            return fb._C._all_within(value, *self._within)
        return bool(self.check(value).all())


class _Simplex(Constraint):
    """Vectors of nonnegative numbers that add up to 1."""

    def holds(self, value):
        within = fb._C._all_within
        return within(value, 0.0, math.inf) and within(value.sum(-1), 1 - 1e-6, 1 + 1e-6)


def _next(bound, towards):
    return math.nextafter(bound, towards) if isinstance(bound, (int, float)) else bound


def _make(name, test, kind=Constraint, **kw):
    return kind(name, test, **kw)


def greater_than(bound):
    """Numbers above `bound`."""
    return _make(
        "GreaterThan",
        lambda x: x > bound,
        lower_bound=bound,
        within=(_next(bound, math.inf), math.inf),
    )


def greater_than_eq(bound):
    """Numbers from `bound` on."""
    return _make("GreaterThanEq", lambda x: x >= bound, lower_bound=bound, within=(bound, math.inf))


def less_than(bound):
    """Numbers below `bound`."""
    return _make(
        "LessThan",
        lambda x: x < bound,
        upper_bound=bound,
        within=(-math.inf, _next(bound, -math.inf)),
    )


def interval(low, high):
    """Numbers from `low` to `high`, both included.

    >>> import flambeau as fb
    >>> fb.distributions.constraints.interval(0, 1).check(fb.tensor([0.5, 2.])).tolist()
    [True, False]
    """
    return _make(
        "Interval",
        lambda x: (x >= low) & (x <= high),
        lower_bound=low,
        upper_bound=high,
        within=(low, high),
    )


def half_open_interval(low, high):
    """Numbers from `low` to `high`, `high` not included.

    >>> import flambeau as fb
    >>> fb.distributions.constraints.half_open_interval(0, 1).check(fb.tensor([0., 1.])).tolist()
    [True, False]
    """
    return _make(
        "HalfOpenInterval",
        lambda x: (x >= low) & (x < high),
        lower_bound=low,
        upper_bound=high,
    )


def integer_interval(low, high):
    """Whole numbers from `low` to `high`, both included."""
    return _make(
        "IntegerInterval",
        lambda x: (x % 1 == 0) & (x >= low) & (x <= high),
        _Whole,
        discrete=True,
        lower_bound=low,
        upper_bound=high,
        within=(low, high),
    )


def multinomial(upper):
    """Vectors of counts that add up to at most `upper`."""
    return _make(
        "Multinomial()",
        lambda x: (x >= 0).all(-1) & (x.sum(-1) <= upper),
        discrete=True,
        event_dim=1,
    )


def independent(base, n):
    """`base` over the last n dims together."""
    return _make(
        f"IndependentConstraint({base}, {n})",
        lambda x: base.check(x).reshape(*x.shape[: x.dim() - n], -1).all(-1),
        event_dim=n,
    )


def _symmetric(x):
    return fb.isclose(x, x.mT, atol=1e-6).all(-2).all(-1)


dependent = _Dependent("Dependent()", lambda x: x == x)
boolean = _make("Boolean()", lambda x: (x == 0) | (x == 1), discrete=True)
one_hot = _make(
    "OneHot()",
    lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1),
    discrete=True,
    event_dim=1,
)
nonnegative_integer = _make(
    "IntegerGreaterThan(lower_bound=0)",
    lambda x: (x % 1 == 0) & (x >= 0),
    _Whole,
    discrete=True,
    within=(0, math.inf),
)
positive_integer = _make(
    "IntegerGreaterThan(lower_bound=1)",
    lambda x: (x % 1 == 0) & (x >= 1),
    _Whole,
    discrete=True,
    within=(1, math.inf),
)
real = _make("Real()", lambda x: x == x, within=(-math.inf, math.inf))
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _make(
    "Simplex()",
    lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6),
    _Simplex,
    event_dim=1,
)
lower_triangular = _make(
    "LowerTriangular()", lambda x: (x.tril() == x).all(-2).all(-1), event_dim=2
)
lower_cholesky = _make(
    "LowerCholesky()",
    lambda x: (x.tril() == x).all(-2).all(-1) & (x.diagonal(0, -2, -1) > 0).all(-1),
    event_dim=2,
)
corr_cholesky = _make(
    "CorrCholesky()",
    lambda x: (x.tril() == x).all(-2).all(-1) & ((x.square().sum(-1) - 1).abs() < 1e-4).all(-1),
    event_dim=2,
)
square = _make(
    "Square()",
    lambda x: x.new_full(x.shape[:-2], x.shape[-1] == x.shape[-2], dtype=fb.bool),
    event_dim=2,
)
symmetric = _make("Symmetric()", _symmetric, event_dim=2)
positive_semidefinite = _make(
    "PositiveSemidefinite()",
    lambda x: _symmetric(x) & (fb.linalg.eigvalsh(x.detach()) >= 0).all(-1),
    event_dim=2,
)
positive_definite = _make(
    "PositiveDefinite()",
    lambda x: _symmetric(x) & (fb.linalg.cholesky_ex(x.detach())[1] == 0),
    event_dim=2,
)
