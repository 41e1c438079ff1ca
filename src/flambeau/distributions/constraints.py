"""Sets that parameters and values must lie in; `check(x)` gives a bool tensor."""

from __future__ import annotations

import flambeau as fb


class Constraint:
    """A set of values with a test; `event_dim` is how many right dims one value takes."""

    is_discrete = False
    is_dependent = False
    event_dim = 0

    def __init__(self, name, test, discrete=False, event_dim=0, **bounds):
        self._name, self._test = name, test
        self.is_discrete, self.event_dim = discrete, event_dim
        self.__dict__.update(bounds)

    def check(self, value):
        """Bool tensor: which values lie in the set."""
        return self._test(value)

    def __repr__(self):
        return self._name


class _Dependent(Constraint):
    """A set whose bounds depend on other parameters; calling it gives itself."""

    is_dependent = True

    def __call__(self, *args, **kw):
        return self


def _make(name, test, **kw):
    return Constraint(name, test, **kw)


def greater_than(bound):
    """Numbers above `bound`."""
    return _make(f"GreaterThan(lower_bound={bound})", lambda x: x > bound, lower_bound=bound)


def greater_than_eq(bound):
    """Numbers from `bound` on."""
    return _make(f"GreaterThanEq(lower_bound={bound})", lambda x: x >= bound, lower_bound=bound)


def less_than(bound):
    """Numbers below `bound`."""
    return _make(f"LessThan(upper_bound={bound})", lambda x: x < bound, upper_bound=bound)


def interval(low, high):
    """Numbers from `low` to `high`, both included.

    >>> import flambeau as fb
    >>> fb.distributions.constraints.interval(0, 1).check(fb.tensor([0.5, 2.])).tolist()
    [True, False]
    """
    return _make(
        f"Interval(lower_bound={low}, upper_bound={high})",
        lambda x: (x >= low) & (x <= high),
        lower_bound=low,
        upper_bound=high,
    )


def half_open_interval(low, high):
    """Numbers from `low` to `high`, `high` not included.

    >>> import flambeau as fb
    >>> fb.distributions.constraints.half_open_interval(0, 1).check(fb.tensor([0., 1.])).tolist()
    [True, False]
    """
    return _make(
        f"HalfOpenInterval(lower_bound={low}, upper_bound={high})",
        lambda x: (x >= low) & (x < high),
        lower_bound=low,
        upper_bound=high,
    )


def integer_interval(low, high):
    """Whole numbers from `low` to `high`, both included."""
    return _make(
        f"IntegerInterval(lower_bound={low}, upper_bound={high})",
        lambda x: (x % 1 == 0) & (x >= low) & (x <= high),
        discrete=True,
        lower_bound=low,
        upper_bound=high,
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
    "IntegerGreaterThan(lower_bound=0)", lambda x: (x % 1 == 0) & (x >= 0), discrete=True
)
positive_integer = _make(
    "IntegerGreaterThan(lower_bound=1)", lambda x: (x % 1 == 0) & (x >= 1), discrete=True
)
real = _make("Real()", lambda x: x == x)
real_vector = independent(real, 1)
positive = greater_than(0.0)
nonnegative = greater_than_eq(0.0)
unit_interval = interval(0.0, 1.0)
simplex = _make(
    "Simplex()", lambda x: (x >= 0).all(-1) & ((x.sum(-1) - 1).abs() < 1e-6), event_dim=1
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
