"""Elementwise functions of one tensor."""

import dataclasses

import numpy as np
from scipy import special as sp

from .base import ALL, CPLX, FLOAT, INT, REAL, REGISTRY, Bad, S, T, U, op


def big(samples):
    """A call large enough for several threads, with the other arguments of the first sample."""
    return S(T(401, 301), *samples[0].args[1:], **samples[0].kwargs)


def unary(name, oracle, dtypes=ALL, result="float", domain=(-2.0, 2.0), **kw):
    """A row with the forms that every elementwise op of one tensor has."""
    kw.setdefault("method", True)
    kw.setdefault("inplace", True)
    kw.setdefault("out", True)
    kw.setdefault("special", True)
    samples = kw.pop("samples", U())
    return op(
        name,
        oracle,
        samples,
        dtypes=dtypes,
        result=result,
        domain=domain,
        big=kw.pop("big", big(samples)),
        **kw,
    )


def smooth(name, oracle, domain=(-2.0, 2.0), cplx=True, **kw):
    """Float result for every dtype, complex included."""
    return unary(name, oracle, ALL + (CPLX if cplx else ()), "float", domain, cgrad=cplx, **kw)


smooth("exp", np.exp)
smooth("exp2", np.exp2)
smooth("expm1", np.expm1)
smooth("log", np.log, (0.2, 3.0))
smooth("log2", lambda x: np.log(x) / np.log(2) if np.iscomplexobj(x) else np.log2(x), (0.2, 3.0))
smooth("log10", np.log10, (0.2, 3.0))
smooth("log1p", np.log1p, (-0.8, 3.0))
smooth("sqrt", np.sqrt, (0.1, 3.0))
smooth("rsqrt", lambda x: 1 / np.sqrt(x), (0.1, 3.0))
smooth("sin", np.sin)
smooth("cos", np.cos)
smooth("tan", np.tan, (-1.2, 1.2))
smooth("sinh", np.sinh)
smooth("cosh", np.cosh)
smooth("tanh", np.tanh)
smooth("asin", np.arcsin, (-0.9, 0.9))
smooth("acos", np.arccos, (-0.9, 0.9))
smooth("atan", np.arctan, (-0.9, 0.9))
smooth("asinh", np.arcsinh)
smooth("acosh", np.arccosh, (1.2, 3.0))
smooth("atanh", np.arctanh, (-0.9, 0.9))
smooth("sigmoid", lambda x: sp.expit(x) if not np.iscomplexobj(x) else 1 / (1 + np.exp(-x)))
smooth(
    "reciprocal", lambda x: 1 / np.asarray(x, np.result_type(x, np.float32)), samples=U(away=0.4)
)
smooth("sinc", np.sinc, cplx=False, special=False)
smooth("erf", sp.erf, cplx=False)
smooth("erfc", sp.erfc, cplx=False)
smooth("erfinv", sp.erfinv, (-0.9, 0.9), cplx=False, tol=3)
smooth(
    "lgamma",
    lambda x: np.where(np.isinf(x), np.inf, sp.gammaln(x)),
    (0.3, 4.0),
    cplx=False,
    tol=3,
    gtol=5,
)
smooth(
    "digamma",
    lambda x: np.where(
        np.asarray(x) == 0,
        np.copysign(np.inf, -np.asarray(x, float)),
        sp.digamma(np.asarray(x, float)),
    ),
    (0.3, 4.0),
    cplx=False,
    tol=5,
    gtol=5,
    special=False,
)
for _n, _f in (("i0", sp.i0), ("i1", sp.i1)):
    smooth(
        "i0" if _n == "i0" else "special.i1",
        _f,
        cplx=False,
        method=_n == "i0",
        inplace=_n == "i0",
        special=False,
        tol=3,
    )
smooth("special.i0e", sp.i0e, cplx=False, method=False, inplace=False, special=False, tol=3)
smooth("special.i1e", sp.i1e, cplx=False, method=False, inplace=False, special=False, tol=3)
unary("logit", lambda x: sp.logit(x), result="float", domain=(0.1, 0.9), special=False)
unary(
    "logit",
    lambda x, eps: sp.logit(np.clip(x, eps, 1 - eps)),
    key="logit_eps",
    samples=[S(T(3, 4), 0.2), S(T(7), 0.1)],
    domain=(0.05, 0.95),
    special=False,
)
unary("deg2rad", np.deg2rad)
unary("rad2deg", np.rad2deg)

unary("neg", np.negative, FLOAT + INT + CPLX, "same", cgrad=True)
unary("square", np.square, FLOAT + INT + CPLX, "same", cgrad=True)
unary("positive", lambda x: x, FLOAT + INT + CPLX, "same", inplace=False, out=False)
unary("abs", np.abs, FLOAT + INT, "same", samples=U(away=0.1))
unary(
    "abs",
    np.abs,
    CPLX,
    "real",
    samples=U(away=0.1),
    key="abs_complex",
    inplace=False,
    special=False,
    cgrad=True,
    big=None,
)
for _n, _f in (("floor", np.floor), ("ceil", np.ceil), ("trunc", np.trunc)):
    unary(_n, _f, FLOAT + INT, "same")
unary("round", np.round, FLOAT + INT, "same")
unary(
    "round",
    lambda x, decimals: np.round(x, decimals),
    REAL,
    "same",
    key="round_decimals",
    samples=[S(T(3, 4), decimals=2), S(T(9, lo=-200, hi=200), decimals=-1)],
    special=False,
    big=None,
    tol=20,
)
unary("frac", lambda x: x - np.trunc(x), FLOAT, "same", special=False)
unary("sign", lambda x: x if x.dtype == bool else np.sign(x), ALL, "same", special=False)
unary(
    "sgn",
    lambda x: (
        np.where(x == 0, 0, x / np.where(x == 0, 1, np.abs(x)))
        if np.iscomplexobj(x)
        else np.sign(x)
    ),
    FLOAT + INT + CPLX,
    "same",
    special=False,
    cgrad=True,
)
unary("nan_to_num", lambda x: x, FLOAT + INT, "same", special=False)
unary(
    "nan_to_num",
    lambda x, nan, posinf, neginf: np.nan_to_num(x, True, nan, posinf, neginf),
    REAL,
    "same",
    special=True,
    key="nan_to_num_values",
    samples=[S(T(3, 4), 1.5, 9.0, -9.0)],
)

_predicate = dict(result="bool", grad=False, inplace=False, out=False)
unary("isnan", np.isnan, ALL + CPLX, **_predicate)
unary("isinf", np.isinf, ALL + CPLX, **_predicate)
unary("isfinite", np.isfinite, ALL + CPLX, **_predicate)
unary("isposinf", lambda x: np.isinf(x) & (x > 0), ALL, result="bool", grad=False, inplace=False)
unary("isneginf", lambda x: np.isinf(x) & (x < 0), ALL, result="bool", grad=False, inplace=False)
unary("isreal", np.isreal, ALL + CPLX, **_predicate)
unary(
    "signbit",
    lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0,
    REAL + INT,
    result="bool",
    grad=False,
    inplace=False,
)
unary("logical_not", np.logical_not, ALL + CPLX, result="bool", grad=False)
unary(
    "bitwise_not",
    np.bitwise_not,
    INT + ("bool",),
    "same",
    grad=False,
    error=Bad(S(T(2, 3)), (RuntimeError, TypeError), "not"),
)

unary("conj", np.conj, FLOAT + CPLX, "same", inplace=False, out=False, cgrad=True)
unary("real", np.real, CPLX, "real", inplace=False, out=False, method=False, cgrad=True)
unary(
    "imag",
    np.imag,
    CPLX,
    "real",
    inplace=False,
    out=False,
    method=False,
    cgrad=True,
    grad=True,
    error=Bad(S(T(2)), RuntimeError, "complex"),
    special=False,
)
unary(
    "angle",
    lambda x: np.where(np.isnan(x), x, np.where(x < 0, np.pi, 0)),
    REAL + INT,
    "float",
    inplace=False,
    grad=False,
)
unary("angle", np.angle, CPLX, "real", inplace=False, key="angle_complex", cgrad=True, big=None)

F = "nn.functional."


def act(name, oracle, samples=None, dtypes=FLOAT, **kw):
    """An activation of nn.functional."""
    kw.setdefault("special", False)
    samples = samples or U(away=0.05)
    return op(
        F + name,
        oracle,
        samples,
        dtypes=dtypes,
        result="same",
        big=kw.pop("big", big(samples)),
        domain=kw.pop("domain", (-4.0, 4.0)),
        **kw,
    )


_sig = sp.expit
op(
    "relu",
    lambda x: np.where(np.isnan(x), x, np.maximum(x, 0)),
    U(away=0.05),
    dtypes=FLOAT + INT,
    method=True,
    inplace=True,
    special=True,
    big=S(T(401, 301)),
)
act("relu", lambda x: np.maximum(x, 0))
act("relu6", lambda x: np.clip(x, 0, 6))
act("gelu", lambda x: 0.5 * x * sp.erfc(-x / np.sqrt(2)), tol=2)
act(
    "gelu",
    lambda x, approximate: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    [S(T(3, 4), approximate="tanh"), S(T(33), approximate="tanh")],
    key="gelu_tanh",
)
act("silu", lambda x: x * _sig(x))
act("mish", lambda x: x * np.tanh(np.logaddexp(0, x)))
act("softplus", lambda x: np.logaddexp(0, x))
act(
    "softplus",
    lambda x, beta, threshold: np.where(x * beta > threshold, x, np.logaddexp(0, x * beta) / beta),
    [S(T(3, 4), 2.0, 3.0), S(T(17), 0.5, 1.0)],
    key="softplus_beta",
)
act(
    "elu",
    lambda x, alpha=1.0: np.where(x > 0, x, alpha * np.expm1(x)),
    U(away=0.05) + [S(T(3, 4, away=0.05), 0.5)],
)
act(
    "celu",
    lambda x, alpha=1.0: np.maximum(x, 0) + np.minimum(0, alpha * np.expm1(x / alpha)),
    U(away=0.05) + [S(T(3, 4, away=0.05), 0.5)],
)
act(
    "selu",
    lambda x: (
        1.0507009873554804934193349852946
        * np.where(x > 0, x, 1.6732632423543772848170429916717 * np.expm1(x))
    ),
)
act(
    "leaky_relu",
    lambda x, s=0.01: np.where(x > 0, x, s * x),
    U(away=0.05) + [S(T(3, 4, away=0.05), 0.2)],
)
act("hardtanh", lambda x, lo=-1.0, hi=1.0: np.clip(x, lo, hi), U() + [S(T(3, 4), -0.5, 2.0)])
act("hardsigmoid", lambda x: np.clip(x / 6 + 0.5, 0, 1))
act("hardswish", lambda x: x * np.clip(x / 6 + 0.5, 0, 1))
act("hardshrink", lambda x, l=0.5: np.where(np.abs(x) > l, x, 0))
act("softshrink", lambda x, l=0.5: np.sign(x) * np.maximum(np.abs(x) - l, 0))
act("softsign", lambda x: x / (1 + np.abs(x)))
act("tanhshrink", lambda x: x - np.tanh(x))
act("logsigmoid", lambda x: -np.logaddexp(0, -x))
act("threshold", lambda x, t, v: np.where(x > t, x, v), [S(T(3, 4), 0.1, 20.0), S(T(9), -1.0, 0.5)])
act(
    "prelu",
    lambda x, w: np.where(x > 0, x, x * w.reshape((1, -1) + (1,) * (x.ndim - 2))),
    [S(T(2, 3, 4, away=0.05), T(3)), S(T(2, 3, away=0.05), T(1)), S(T(3, 3, 2, 2), T(3))],
    big=None,
    error=Bad(S(T(2, 3), T(4)), RuntimeError, "3"),
)
op("threshold", lambda x, t, v: np.where(x > t, x, v), [S(T(3, 4), 0.1, 20.0)], dtypes=FLOAT)
op(
    "selu",
    lambda x: (
        1.0507009873554804934193349852946
        * np.where(x > 0, x, 1.6732632423543772848170429916717 * np.expm1(x))
    ),
    U(away=0.05),
    dtypes=REAL,
)
op(
    "prelu",
    lambda x, w: np.where(x > 0, x, x * w.reshape(1, -1)),
    [S(T(4, 3, away=0.05), T(3))],
    dtypes=REAL,
    method=True,
)

# other names of the same ops
for _new, _old in {
    "absolute": "abs", "negative": "neg", "fix": "trunc", "arccos": "acos", "arcsin": "asin",
    "arctan": "atan", "arccosh": "acosh", "arcsinh": "asinh", "arctanh": "atanh",
}.items():  # fmt: skip
    REGISTRY[_new] = dataclasses.replace(REGISTRY[_old], name=_new, key=_new)
