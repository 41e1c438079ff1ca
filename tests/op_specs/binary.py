"""Elementwise functions of two and three tensors."""

import dataclasses

import numpy as np
from scipy import special as sp

from .base import ALL, CPLX, FLOAT, INT, REAL, REGISTRY, B, Bad, S, T, op

CLASH = S(T(2, 3), T(2, 4))


def big(extra=()):
    return S(T(401, 301), T(301), *extra)


def binary(name, oracle, dtypes=FLOAT + INT, result="same", samples=None, **kw):
    """A row with the forms that every elementwise op of two tensors has."""
    for form in ("method", "inplace", "out"):
        kw.setdefault(form, True)
    kw.setdefault("error", Bad(CLASH, RuntimeError, "3"))
    kw.setdefault("big", big())
    return op(name, oracle, samples or B(), dtypes=dtypes, result=result, **kw)


ARITH = FLOAT + INT + CPLX
binary(
    "add", np.add, ALL + CPLX, special=True, cgrad=True, samples=B() + [S(T(3, 4), 2, dtypes=ARITH)]
)
binary(
    "add",
    lambda x, y, alpha: x + alpha * y,
    ARITH,
    key="add_alpha",
    cgrad=True,
    samples=[S(T(3, 4), T(4), alpha=3), S(T(9), 2, alpha=2)],
    big=None,
)
binary(
    "sub",
    np.subtract,
    ARITH,
    special=True,
    cgrad=True,
    samples=B() + [S(T(3, 4), 2)],
    error=[Bad(CLASH, RuntimeError, "3"), Bad(S(T(3), T(3)), RuntimeError, "bool", "bool")],
)
binary(
    "sub",
    lambda x, y, alpha: x - alpha * y,
    ARITH,
    key="sub_alpha",
    big=None,
    samples=[S(T(3, 4), T(4), alpha=3)],
)
binary(
    "mul",
    np.multiply,
    ALL + CPLX,
    special=True,
    cgrad=True,
    samples=B() + [S(T(3, 4), 2, dtypes=ARITH)],
)
binary(
    "div",
    lambda x, y: np.true_divide(np.asarray(x, np.result_type(x, np.float64)), y),
    ALL + CPLX,
    "float",
    special=True,
    cgrad=True,
    samples=B(away=0.3) + [S(T(3, 4), 2)],
)
binary(
    "div",
    lambda x, y, rounding_mode: (
        np.trunc(x / y)
        if x.dtype.kind == "f"
        else (np.sign(x) * np.sign(y) * (abs(x) // abs(y))).astype(x.dtype)
    ),
    REAL + INT,
    samples=[S(T(3, 4, lo=-9, hi=9), T(4, away=0.3), rounding_mode="trunc")],
    key="div_trunc",
    grad=False,
    big=None,
)
binary(
    "div",
    lambda x, y, rounding_mode: np.floor_divide(x, y),
    REAL + INT,
    key="div_floor",
    samples=[S(T(3, 4, lo=-9, hi=9), T(4, away=0.3), rounding_mode="floor")],
    grad=False,
    big=None,
)
binary(
    "floor_divide",
    np.floor_divide,
    REAL + INT,
    samples=B(lo=1, hi=3),
    grad=False,
    big=S(T(401, 301), T(301, lo=1, hi=3)),
)
binary(
    "remainder",
    np.remainder,
    REAL + INT,
    samples=B(lo=1, hi=3),
    grad2=False,
    big=S(T(401, 301), T(301, lo=1, hi=3)),
    gtol=50,
)
binary(
    "fmod",
    np.fmod,
    REAL + INT,
    samples=B(lo=1, hi=3),
    grad2=False,
    big=S(T(401, 301), T(301, lo=1, hi=3)),
    gtol=50,
)
binary(
    "pow",
    np.power,
    FLOAT,
    samples=[
        S(T(3, 4, lo=0.2, hi=2), T(4)),
        S(T(7), 2),
        S(T(7), 3.0),
        S(T(7, lo=0.2, hi=2), 0.5),
        S(T(7, away=0.3), -1),
        S(T(7, away=0.3), -2),
        S(T(3, 1, lo=0.2, hi=2), T(4)),
        S(T(5, lo=0.2, hi=2), -0.5),
        S(T(5), 0),
        S(T(5), 1),
    ],
    big=S(T(401, 301, lo=0.2, hi=2), T(301)),
    tol=3,
)
binary(
    "pow",
    np.power,
    INT,
    key="pow_int",
    grad=False,
    big=None,
    samples=[S(T(3, 4), T(4, lo=0, hi=3)), S(T(7), 2), S(T(7), 3), S(T(7), 0)],
)
binary(
    "pow",
    np.power,
    FLOAT,
    key="pow_special",
    special=True,
    grad=False,
    big=None,
    samples=[S(T(3, 4, lo=0.2, hi=2), T(4))],
    method=False,
    inplace=False,
    out=False,
)
op(
    "pow",
    lambda b, e: np.power(b, e),
    [S(2.0, T(3, 4)), S(2, T(5, lo=0, hi=4)), S(0.5, T())],
    dtypes=REAL,
    key="pow_scalar_base",
    out=True,
)


def nan_first(f):
    return lambda x, y: (
        np.where(np.isnan(x) | np.isnan(y), np.nan, f(x, y)) if x.dtype.kind == "f" else f(x, y)
    )


binary("maximum", nan_first(np.maximum), ALL, special=True, inplace=False)
binary("minimum", nan_first(np.minimum), ALL, special=True, inplace=False)
binary("fmax", np.fmax, ALL, special=True, inplace=False)
binary("fmin", np.fmin, ALL, special=True, inplace=False)
binary("atan2", np.arctan2, ALL, "float", special=True, samples=B(away=0.2))
binary("arctan2", np.arctan2, REAL, "float", big=None, error=None)
binary("hypot", np.hypot, FLOAT, special=True, tol=2)
binary("copysign", np.copysign, ALL, "float", special=False, samples=B(away=0.2), grad2=False)
binary(
    "nextafter",
    lambda x, y: np.nextafter(x.astype(np.float64), y.astype(np.float64)),
    ("float64",),
    special=True,
    grad=False,
    exact=True,
)
binary("logaddexp", np.logaddexp, FLOAT, special=True, inplace=False)
binary("logaddexp2", np.logaddexp2, FLOAT, inplace=False)
binary(
    "xlogy",
    lambda x, y: np.where(np.isnan(y), np.nan, sp.xlogy(x, y)),
    ALL,
    "float",
    samples=[
        S(T(3, 4), T(3, 4, lo=0.2, hi=3)),
        S(T(3, 1), T(4, lo=0.2, hi=3)),
        S(T(3), 2.0),
        S(
            T(values=[0.0, 0.0, 0.0, 1.0], grad=False),
            T(values=[0.0, np.inf, 2.0, 0.0], grad=False),
            dtypes=FLOAT,
        ),
    ],
    big=None,
)
binary("heaviside", np.heaviside, REAL, grad=False, special=False)
binary("gcd", np.gcd, INT[:4], grad=False, samples=B(lo=0, hi=30))
binary(
    "lcm", np.lcm, INT[:4], grad=False, samples=[S(T(3, 4, lo=0, hi=9), T(4, lo=0, hi=9))], big=None
)
binary(
    "float_power",
    lambda x, y: np.power(np.asarray(x, float), y),
    REAL + INT,
    lambda d: "float64",
    samples=[S(T(3, 4, lo=1, hi=3), T(4)), S(T(5, lo=1, hi=3), 2)],
    inplace=False,
    big=None,
)
binary(
    "ldexp",
    lambda x, y: x * 2.0**y,
    REAL,
    samples=[S(T(3, 4), T(4, lo=0, hi=3, dtype="int64"))],
    big=None,
)
binary("true_divide", np.true_divide, REAL, samples=B(away=0.3), big=None)
binary("subtract", np.subtract, REAL, big=None, error=None)
binary("multiply", np.multiply, REAL, big=None, error=None)
binary("divide", np.true_divide, REAL, samples=B(away=0.3), big=None, error=None)
binary(
    "rsub",
    lambda x, y, alpha=1: y - alpha * x,
    REAL + INT,
    big=None,
    method=False,
    inplace=False,
    out=False,
    samples=[S(T(3, 4), T(4)), S(T(3), 2), S(T(3), T(3), alpha=2)],
)

for _n, _f in dict(
    eq=np.equal, ne=np.not_equal, lt=np.less, le=np.less_equal, gt=np.greater, ge=np.greater_equal
).items():
    _dt = ALL + CPLX if _n in ("eq", "ne") else ALL
    binary(
        _n,
        _f,
        _dt,
        "bool",
        grad=False,
        special=True,
        inplace=False,
        samples=B() + [S(T(3, 4), 1), S(T(6), 0.5)],
    )
for _n, _f in dict(
    logical_and=np.logical_and, logical_or=np.logical_or, logical_xor=np.logical_xor
).items():
    binary(_n, _f, ALL + CPLX, "bool", grad=False, special=True)
for _n, _f in dict(
    bitwise_and=np.bitwise_and, bitwise_or=np.bitwise_or, bitwise_xor=np.bitwise_xor
).items():
    binary(
        _n,
        _f,
        INT + ("bool",),
        grad=False,
        samples=B() + [S(T(3, 4), 1, dtypes=INT)],
        error=Bad(S(T(2), T(2)), (RuntimeError, TypeError, NotImplementedError), ""),
    )
for _n, _f in dict(bitwise_left_shift=np.left_shift, bitwise_right_shift=np.right_shift).items():
    binary(
        _n,
        _f,
        INT,
        grad=False,
        samples=B(lo=0, hi=3),
        big=S(T(401, 301), T(301, lo=0, hi=3)),
        domain=(0, 7),
    )

op(
    "complex",
    lambda a, b: a + 1j * b,
    [S(T(3, 4), T(3, 4)), S(T(3, 1), T(4)), S(T(0), T(0))],
    dtypes=REAL,
    result="complex",
    out=True,
    error=Bad(CLASH, RuntimeError, "3"),
)
op(
    "polar",
    lambda r, t: r * np.exp(1j * t),
    [S(T(3, 4, lo=0.2, hi=2), T(3, 4)), S(T(3, 1, lo=0.2, hi=2), T(4))],
    dtypes=REAL,
    result="complex",
    out=True,
)

# ---- three operands
_cond = lambda *s: T(*s, dtype="bool")
op(
    "where",
    np.where,
    [
        S(_cond(3, 4), T(3, 4), T(3, 4)),
        S(_cond(3, 1), T(4), T(2, 3, 4)),
        S(_cond(), T(3), T(3)),
        S(_cond(0), T(0), T(0)),
    ],
    dtypes=ALL + CPLX,
    out=True,
    cgrad=True,
    big=S(_cond(401, 301), T(401, 1), T(301)),
    error=Bad(S(_cond(2), T(3), T(3)), RuntimeError, "3"),
)
op(
    "where",
    np.where,
    [S(_cond(3, 4), T(3, 4), 1.5), S(_cond(3, 4), 2.0, T(3, 4))],
    dtypes=REAL,
    key="where_scalar",
)
op(
    "lerp",
    lambda a, b, w: a + w * (b - a),
    [
        S(T(3, 4), T(3, 4), 0.3),
        S(T(3, 4), T(4), T(3, 4, lo=0, hi=1)),
        S(T(5), T(5), 0.8),
        S(T(), T(), 0.5),
        S(T(3, 1), T(4), T(2, 3, 4)),
    ],
    dtypes=FLOAT,
    method=True,
    inplace=True,
    out=True,
    big=S(T(401, 301), T(301), 0.7),
)
op(
    "addcmul",
    lambda x, a, b, value=1: x + value * a * b,
    [S(T(3, 4), T(3, 4), T(3, 4)), S(T(3, 4), T(4), T(3, 1), value=2), S(T(5), T(5), T(1))],
    dtypes=FLOAT + INT + CPLX,
    cgrad=True,
    method=True,
    inplace=True,
    out=True,
    tol=2,
    big=S(T(401, 301), T(301), T(401, 1)),
    error=Bad(S(T(2), T(3), T(3)), RuntimeError, "3"),
)
op(
    "addcdiv",
    lambda x, a, b, value=1: x + value * a / b,
    [S(T(3, 4), T(3, 4), T(3, 4, away=0.3)), S(T(3, 4), T(4), T(3, 1, away=0.3), value=0.5)],
    dtypes=FLOAT + CPLX,
    cgrad=True,
    method=True,
    inplace=True,
    out=True,
    tol=2,
    big=S(T(401, 301), T(301), T(401, 1, away=0.3)),
)


def _clip(x, lo=None, hi=None, min=None, max=None):
    lo, hi = (lo if min is None else min), (hi if max is None else max)
    x = (
        x
        if lo is None
        else np.where(np.isnan(x), x, np.maximum(x, lo))
        if x.dtype.kind == "f"
        else np.maximum(x, lo)
    )
    return (
        x
        if hi is None
        else np.where(np.isnan(x), x, np.minimum(x, hi))
        if x.dtype.kind == "f"
        else np.minimum(x, hi)
    )


op(
    "clamp",
    _clip,
    [
        S(T(3, 4), -1, 1),
        S(T(19), min=0),
        S(T(5), max=1),
        S(T(0), -1, 1),
        S(T(), 0, 1),
        S(T(3, 4), 1, -1),
    ],
    dtypes=FLOAT + INT[:4],
    special=True,
    method=True,
    inplace=True,
    out=True,
    domain=(-3, 3),
    big=S(T(401, 301), -1, 1),
    error=Bad(S(T(3)), (RuntimeError, TypeError), "m"),
)
op(
    "clamp",
    _clip,
    [S(T(3, 4), T(4, lo=-2, hi=-1), T(3, 1, lo=1, hi=2)), S(T(3, 4), min=T(4))],
    dtypes=FLOAT,
    key="clamp_tensor",
    method=True,
    inplace=True,
    out=True,
    domain=(-3, 3),
)
op("clip", _clip, [S(T(3, 4), -1, 1)], dtypes=REAL, method=True, inplace=True, out=True)
op("clamp_min", _clip, [S(T(3, 4), 0.5)], dtypes=REAL, method=True, inplace=True, out=True)
op(
    "clamp_max",
    lambda x, m: np.minimum(x, m),
    [S(T(3, 4), 0.5)],
    dtypes=REAL,
    method=True,
    inplace=True,
    out=True,
)
op(
    "isclose",
    lambda a, b, rtol=1e-5, atol=1e-8, equal_nan=False: np.isclose(a, b, rtol, atol, equal_nan),
    [
        S(T(3, 4), T(3, 4)),
        S(
            T(values=[1.0, 2.0, np.nan, np.inf]),
            T(values=[1.0 + 1e-7, 2.1, np.nan, np.inf]),
            dtypes=REAL,
        ),
        S(T(values=[1.0, np.nan]), T(values=[1.01, np.nan]), 0.1, 0.0, True, dtypes=REAL),
    ],
    dtypes=REAL + INT,
    result="bool",
    grad=False,
    method=True,
)

# other names of the same ops
for _new, _old in {
    "greater": "gt", "greater_equal": "ge", "less": "lt", "less_equal": "le", "not_equal": "ne",
}.items():  # fmt: skip
    REGISTRY[_new] = dataclasses.replace(REGISTRY[_old], name=_new, key=_new)
