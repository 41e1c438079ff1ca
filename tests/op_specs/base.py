"""The vocabulary of the op specs: arguments (T), calls (S), bad calls (Bad), rows (OpSpec)."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from under_test import MODULE, fb

DEVICES = os.environ.get("FLAMBEAU_TEST_DEVICES", "cpu").split(",")

HALF = ("float16", "bfloat16")
REAL = ("float32", "float64")
FLOAT = REAL + HALF
CPLX = ("complex64", "complex128")
INT = ("int64", "int32", "int16", "int8", "uint8")
ALL = FLOAT + INT + ("bool",)

SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -1e-40, 1e30, -3e38, 2.5]
SPECIAL_HALF = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.5]


def is_float(d: str) -> bool:
    return d in FLOAT


def is_complex(d: str) -> bool:
    return d in CPLX


__all__ = ["MODULE", "fb"]


class T:
    """A tensor argument: its shape and how its values are drawn."""

    def __init__(
        self,
        *shape,
        lo=None,
        hi=None,
        dtype=None,
        grad=True,
        distinct=False,
        away=0.0,
        values=None,
        psd=False,
    ):
        self.shape, self.lo, self.hi, self.dtype = tuple(shape), lo, hi, dtype
        self.grad = grad and (dtype is None or is_float(dtype) or is_complex(dtype))
        self.distinct, self.away, self.values, self.psd = distinct, away, values, psd
        if values is not None:
            self.shape = np.shape(values)

    @property
    def numel(self):
        return int(np.prod(self.shape))

    def draw(self, rng: np.random.Generator, dtype: str, domain) -> np.ndarray:
        """A NumPy array of the argument; bfloat16 is held as rounded float32."""
        dtype = self.dtype or dtype
        if self.values is not None:
            return cast(np.array(self.values), dtype)
        lo, hi = (self.lo, self.hi) if self.lo is not None else domain
        n = self.shape
        if dtype == "bool":
            return rng.random(n) < 0.5
        if dtype in INT:
            lo = 0 if dtype == "uint8" and lo < 0 else lo
            a = rng.integers(int(np.ceil(lo)), max(int(hi), int(lo) + 1) + 1, n)
            if self.distinct:
                a = rng.permutation(self.numel).reshape(n) + int(lo)
            if self.away:
                a = np.where(a == 0, 1, a)
            return np.asarray(a).astype(dtype)
        if self.distinct:
            a = (rng.permutation(self.numel).reshape(n) + 0.5) / max(self.numel, 1)
            a = lo + a * (hi - lo)
        else:
            a = rng.uniform(lo, hi, n)
        if is_complex(dtype):
            a = a + 1j * rng.uniform(lo, hi, n)
        if self.away:
            a = np.where(np.abs(a) < self.away, self.away + np.abs(a), a)
        if self.psd:
            a = a @ np.swapaxes(a.conj(), -1, -2) + np.eye(n[-1])
        return cast(np.asarray(a), dtype)


def cast(a: np.ndarray, dtype: str) -> np.ndarray:
    """The array in the dtype; bfloat16 is rounded to nearest-even and kept in float32."""
    with np.errstate(all="ignore"):
        if dtype != "bfloat16":
            return np.asarray(a).astype(dtype)
        f = np.ascontiguousarray(np.asarray(a).astype(np.float32)).reshape(-1)
        bits = f.view(np.uint32)
        rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).astype(np.uint32)
        out = np.where(np.isfinite(f), rounded.view(np.float32), f)
        return out.reshape(np.shape(a))


class S:
    """One call of an op: positional and keyword arguments, tensors given as T."""

    def __init__(self, *args, dtypes=None, **kwargs):
        self.args, self.kwargs, self.dtypes = args, kwargs, dtypes

    def tensors(self):
        return [t for t in _walk([self.args, self.kwargs]) if isinstance(t, T)]

    @property
    def numel(self):
        return sum(t.numel for t in self.tensors())

    def __repr__(self):
        show = lambda v: f"T{v.shape}" if isinstance(v, T) else repr(v)
        parts = [
            show(a) if not isinstance(a, (list, tuple)) else str([show(x) for x in a])
            for a in self.args
        ]
        return "(" + ", ".join(parts + [f"{k}={show(v)}" for k, v in self.kwargs.items()]) + ")"


def _walk(x):
    if isinstance(x, dict):
        x = list(x.values())
    if isinstance(x, (list, tuple)):
        for v in x:
            yield from _walk(v)
    else:
        yield x


def replace(x, f):
    """A copy of nested lists, tuples and dicts with f applied to each T."""
    if isinstance(x, T):
        return f(x)
    if isinstance(x, (list, tuple)):
        return type(x)(replace(v, f) for v in x)
    if isinstance(x, dict):
        return {k: replace(v, f) for k, v in x.items()}
    return x


@dataclass
class Bad:
    """A call that must fail: its exception type and a word of its text."""

    call: S
    exc: type | tuple = RuntimeError
    word: str = ""
    dtype: str = "float32"


@dataclass
class OpSpec:
    """One row: everything the sweep must know about an op."""

    name: str
    oracle: Callable
    samples: list[S]
    dtypes: tuple = FLOAT
    domain: tuple = (-2.0, 2.0)
    result: Any = "same"
    grad: bool = True
    grad2: bool = True
    cgrad: bool = False  # also check the gradient of complex inputs
    tol: float = 1.0  # multiplies the tolerance of each dtype
    gtol: float = 1.0
    method: bool = False
    inplace: bool = False
    out: bool = False
    meta: bool = True
    layouts: bool = True
    special: bool = False
    big: S | None = None
    error: Any = None
    exact: bool = False  # compare bit for bit, NaN equal to NaN
    fn: Callable | None = None  # how to call it, when not fb.<name>(*args)
    post: Callable | None = None  # output -> what the oracle gives (e.g. |Q| of a qr)
    key: str = ""
    family: str = ""

    def seed(self) -> int:
        return zlib.crc32(self.key.encode())

    def function(self):
        return self.fn or lookup(self.name)


REGISTRY: dict[str, OpSpec] = {}


def lookup(name: str):
    """The object behind a dotted name of the module under test."""
    x = fb
    for part in name.split("."):
        x = getattr(x, part)
    return x


def op(name: str, oracle: Callable, samples, **kw) -> OpSpec:
    """Registers a row; `key` tells rows of one op apart."""
    key = kw.pop("key", "") or name
    if key in REGISTRY:
        raise ValueError(f"two spec rows named {key!r}: give one of them a key")
    samples = list(samples) if isinstance(samples, (list, tuple)) else [samples]
    REGISTRY[key] = row = OpSpec(name, oracle, samples, key=key, **kw)
    return row


def result_dtype(rule, dtype: str) -> str | None:
    """The name of the dtype that the rule promises for inputs of the dtype."""
    if callable(rule):
        return rule(dtype)
    table = {
        "same": dtype,
        "float": dtype if is_float(dtype) or is_complex(dtype) else "float32",
        "sum": dtype if is_float(dtype) or is_complex(dtype) else "int64",
        "real": {"complex64": "float32", "complex128": "float64"}.get(dtype, dtype),
        "complex": {"float32": "complex64", "float64": "complex128"}.get(dtype, dtype),
    }
    return table.get(rule, rule)


def upcast(a):
    """The array as the oracle sees it: floats in double precision."""
    if isinstance(a, np.ndarray) and a.dtype in (np.float16, np.float32):
        return a.astype(np.float64)
    if isinstance(a, np.ndarray) and a.dtype == np.complex64:
        return a.astype(np.complex128)
    return a


@dataclass
class Report:
    """Collects what went wrong, so that one test can check many small things."""

    lines: list[str] = field(default_factory=list)

    def add(self, where, what):
        self.lines.append(f"{where}: {what}")

    def check(self):
        assert not self.lines, f"{len(self.lines)} failures\n  " + "\n  ".join(self.lines[:12])


def U(*extra, **kw) -> list[S]:
    """The usual samples of a unary op: 2-d, 1-d with a vector tail, 0-d, zero-size, 3-d."""
    return [
        S(T(3, 4, **kw), *extra),
        S(T(19, **kw), *extra),
        S(T(**kw), *extra),
        S(T(0, 3, **kw), *extra),
        S(T(2, 3, 4, **kw), *extra),
    ]


def B(**kw) -> list[S]:
    """The usual samples of a binary op: equal shapes, broadcast both ways, 0-d, zero-size."""
    b = dict(kw)
    return [
        S(T(3, 4), T(3, 4, **b)),
        S(T(3, 1), T(4, **b)),
        S(T(19), T(**b)),
        S(T(), T(2, 3, **b)),
        S(T(), T(**b)),
        S(T(2, 0), T(1, **b)),
        S(T(2, 1, 4), T(3, 1, **b)),
    ]
