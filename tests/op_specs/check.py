"""The checks that the sweep makes of a spec row."""

from __future__ import annotations

import itertools
import re

import numpy as np

from .base import (
    CPLX,
    DEVICES,
    HALF,
    MODULE,
    REAL,
    SPECIAL,
    SPECIAL_HALF,
    OpSpec,
    Report,
    S,
    T,
    cast,
    fb,
    is_complex,
    is_float,
    replace,
    result_dtype,
    upcast,
)

# relative and absolute tolerance of one rounding or a few, by dtype of the result
TOL = {
    "float64": (1e-11, 1e-12),
    "float32": (3e-6, 1e-6),
    "float16": (2e-3, 1e-3),
    "bfloat16": (1.6e-2, 8e-3),
    "complex128": (1e-11, 1e-12),
    "complex64": (5e-6, 2e-6),
}
LAYOUTS = ("contiguous", "transposed", "sliced")


def dtype_name(t) -> str:
    return str(t.dtype).rsplit(".", 1)[-1]


def _placed(a, dtype, device):
    """The array's values on the device, where the views of `tensor` are then made."""
    t = fb.from_numpy(a.copy(order="C"))
    t = t.to(fb.bfloat16) if dtype == "bfloat16" else t
    return t.to(device) if device != "cpu" else t


def tensor(a: np.ndarray, dtype: str, layout="contiguous", device="cpu", grad=False):
    """A tensor of the module under test with the array's values in the wanted memory layout."""
    a = np.asarray(a)
    if layout == "transposed" and a.ndim >= 2:
        order = tuple(range(a.ndim))[::-1]
        t = _placed(np.ascontiguousarray(a.transpose(order)), dtype, device).permute(*order)
    elif layout == "sliced" and a.ndim >= 1:
        wide = np.zeros(a.shape[:-1] + (2 * a.shape[-1] + 1,), a.dtype)
        wide[..., 1::2] = a
        t = _placed(wide, dtype, device)[..., 1::2]
    elif a.ndim == 0:
        t = _placed(a.reshape(1), dtype, device).reshape(())
    else:
        t = _placed(a, dtype, device)
    return t.requires_grad_(True) if grad else t


def to_numpy(t) -> np.ndarray:
    """The values of a tensor; bfloat16 as float32."""
    t = t.detach()
    if hasattr(t, "resolve_conj"):
        t = t.resolve_conj()
    if hasattr(t, "resolve_neg"):
        t = t.resolve_neg()
    t = t.cpu() if str(t.device) != "cpu" else t
    t = t.to(fb.float32) if dtype_name(t) == "bfloat16" else t
    return t.numpy(force=True) if MODULE == "torch" else t.numpy()  # its lazy zeros need force


def draw(spec: OpSpec, sample: S, dtype: str, salt=0):
    """{T: array} for a sample, the same each time."""
    rng = np.random.default_rng(spec.seed() + salt)
    return {id(t): t.draw(rng, dtype, spec.domain) for t in sample.tensors()}


def call(
    spec: OpSpec, sample: S, arrays, dtype, layout="contiguous", device="cpu", made=None, fn=None
):
    """Calls the op on tensors made from the arrays; `made` receives them by id of T."""
    made = {} if made is None else made

    def build(t: T):
        if id(t) not in made:
            made[id(t)] = tensor(arrays[id(t)], t.dtype or dtype, layout, device)
        return made[id(t)]

    args, kwargs = replace(sample.args, build), replace(sample.kwargs, build)
    return (fn or spec.function())(*args, **kwargs)


def expected(spec: OpSpec, sample: S, arrays):
    """What the oracle says, as a list of arrays."""

    def value(t):
        a = upcast(arrays[id(t)])
        exact = a.dtype.kind in "fc" or spec.result != "float" or t.dtype is not None
        return a if exact else a.astype(np.float64)  # NumPy would compute sin(int8) in float16

    args, kwargs = replace(sample.args, value), replace(sample.kwargs, value)
    with np.errstate(all="ignore"):
        return as_list(spec.oracle(*args, **kwargs))


def as_list(x):
    return list(x) if isinstance(x, (tuple, list)) else [x]


def differ(actual, want, dtype: str | None, tol=1.0, exact=False) -> str:
    """How a tensor differs from the oracle's array; empty if it does not."""
    if not hasattr(actual, "dtype"):
        return "" if actual == want else f"{actual!r}, expected {want!r}"
    want = np.asarray(want)
    got_dtype = dtype_name(actual)
    if dtype is not None and got_dtype != dtype:
        return f"dtype {got_dtype}, expected {dtype}"
    if tuple(actual.shape) != want.shape:
        return f"shape {tuple(actual.shape)}, expected {want.shape}"
    got = to_numpy(actual)
    with np.errstate(all="ignore"):
        want = cast(want, got_dtype)
        if not (is_float(got_dtype) or is_complex(got_dtype)) or exact:
            ok = (got == want) | ((got != got) & (want != want))
        else:
            rtol, atol = TOL[got_dtype]
            ok = np.isclose(got, want, rtol=rtol * tol, atol=atol * tol, equal_nan=True)
    if np.all(ok):
        return ""
    bad = np.argwhere(~np.atleast_1d(ok))[0]
    at = tuple(int(i) for i in bad)
    return (
        f"{int((~ok).sum())} of {want.size} values, first at {at}: "
        f"{np.atleast_1d(got)[at]!r}, expected {np.atleast_1d(want)[at]!r}"
    )


def outputs(spec, result):
    return as_list(spec.post(result) if spec.post else result)


def compare(report, where, spec, result, wants, dtype, tol=1.0):
    results = outputs(spec, result)
    rules = spec.result if isinstance(spec.result, tuple) else (spec.result,) * len(wants)
    if len(results) != len(wants):
        report.add(where, f"{len(results)} results, expected {len(wants)}")
        return
    for got, want, rule in zip(results, wants, rules):
        d = differ(got, want, result_dtype(rule, dtype), spec.tol * tol, spec.exact)
        if d:
            report.add(where, d)


def special_samples(spec: OpSpec, dtype: str):
    """Calls on NaN, infinities, signed zeros, denormals and large numbers."""
    if not spec.special or not is_float(dtype):
        return []
    v = SPECIAL_HALF if dtype in HALF else SPECIAL
    first = spec.samples[0]
    if len(first.tensors()) == 1:
        return [S(T(values=v), *first.args[1:], **first.kwargs)]
    grid = list(itertools.product(v, repeat=2))
    return [
        S(
            T(values=[p[0] for p in grid]),
            T(values=[p[1] for p in grid]),
            *first.args[2:],
            **first.kwargs,
        )
    ]


def check_value(spec: OpSpec, device="cpu", dtypes=None):
    """Value, dtype and shape against the oracle, for each dtype, sample and memory layout.

    `dtypes`: those to check of the spec's, all when None.
    """
    report = Report()
    for dtype in [d for d in spec.dtypes if dtypes is None or d in dtypes]:
        samples = [s for s in spec.samples if s.dtypes is None or dtype in s.dtypes]
        plain = samples + special_samples(spec, dtype)
        if spec.big and dtype in REAL + ("int64",):
            plain.append(spec.big)
        for sample in plain:
            arrays = draw(spec, sample, dtype)
            wants = expected(spec, sample, arrays)
            for layout in LAYOUTS if spec.layouts else LAYOUTS[:1]:
                where = f"{dtype} {layout} {sample}"
                made = {}
                try:
                    got = call(spec, sample, arrays, dtype, layout, device, made)
                except Exception as e:
                    report.add(where, f"raised {type(e).__name__}: {e}"[:300])
                    continue
                compare(report, where, spec, got, wants, dtype)
                for key, t in made.items():
                    if not np.array_equal(
                        to_numpy(t),
                        arrays[key],
                        equal_nan=t.dtype.is_floating_point or t.dtype.is_complex,
                    ):
                        report.add(where, "changed its input")
    report.check()


def check_forms(spec: OpSpec, device="cpu"):
    """The method, in-place and out= forms give what the function gives."""
    report = Report()
    short = spec.name.rsplit(".", 1)[-1]
    for dtype in (d for d in spec.dtypes if d in ("float32", "int64", "bool", "complex64")):
        for sample in spec.samples:
            if sample.dtypes is not None and dtype not in sample.dtypes:
                continue
            arrays = draw(spec, sample, dtype)
            try:
                want = as_list(call(spec, sample, arrays, dtype, device=device))
            except Exception as e:
                report.add(f"{dtype} {sample}", f"raised {type(e).__name__}: {e}"[:300])
                continue
            if spec.method:
                f = lambda x, *a, **k: getattr(x, short)(*a, **k)
                _same(
                    report,
                    f"method {dtype} {sample}",
                    want,
                    lambda: call(spec, sample, arrays, dtype, device=device, fn=f),
                )
            if spec.out:
                _check_out(report, spec, sample, arrays, dtype, want, device)
            if spec.inplace:
                _check_inplace(report, spec, sample, arrays, dtype, want, short, device)
    report.check()


def _same(report, where, want, run):
    try:
        got = as_list(run())
    except Exception as e:
        report.add(where, f"raised {type(e).__name__}: {e}"[:300])
        return
    for g, w in zip(got, want, strict=True):
        d = differ(g, to_numpy(w), dtype_name(w))
        if d:
            report.add(where, d)


def _check_out(report, spec, sample, arrays, dtype, want, device):
    where = f"out= {dtype} {sample}"
    for kind in ("fresh", "strided", "resized"):
        made = []
        for w in want:
            if kind == "fresh" or w.ndim == 0:
                o = fb.zeros(tuple(w.shape), dtype=w.dtype, device=device)
            elif kind == "strided":
                o = fb.zeros(tuple(w.shape) + (2,), dtype=w.dtype, device=device)[..., 1]
            else:
                o = fb.empty((0,), dtype=w.dtype, device=device)
            made.append(o)
        out = made[0] if len(made) == 1 else tuple(made)
        kw = {**sample.kwargs, "out": out}
        with_out = S(*sample.args, **kw)

        def run(with_out=with_out, made=made):
            call(spec, with_out, arrays, dtype, device=device)
            return made

        _same(report, f"{kind} {where}", want, run)


def _check_inplace(report, spec, sample, arrays, dtype, want, short, device):
    first = sample.args[0]
    w = want[0]
    if tuple(w.shape) != first.shape or dtype_name(w) != (first.dtype or dtype):
        return  # the result does not fit into the input
    method = lambda x, *a, **k: getattr(x, short + "_")(*a, **k)
    for layout in ("contiguous", "sliced"):
        made = {}
        where = f"in-place {layout} {dtype} {sample}"

        def run(made=made, layout=layout):
            got = call(spec, sample, arrays, dtype, layout, device, made=made, fn=method)
            if got is not made[id(first)]:
                report.add(where, "does not return its input")  # noqa: B023
            return made[id(first)]

        _same(report, where, want, run)


def check_meta(spec: OpSpec):
    """Shape and dtype on the meta device agree with the real run."""
    report = Report()
    for dtype in (d for d in spec.dtypes if d in ("float32", "int64", "complex64")):
        for sample in spec.samples:
            if sample.dtypes is not None and dtype not in sample.dtypes:
                continue
            arrays = draw(spec, sample, dtype)
            try:
                real = [
                    r for r in as_list(call(spec, sample, arrays, dtype)) if hasattr(r, "shape")
                ]
                meta = as_list(call(spec, sample, arrays, dtype, device="meta"))
            except Exception as e:
                report.add(f"{dtype} {sample}", f"raised {type(e).__name__}: {e}"[:300])
                continue
            for r, m in zip(real, meta):
                a, b = (tuple(r.shape), dtype_name(r)), (tuple(m.shape), dtype_name(m))
                if a != b or str(m.device) != "meta":
                    report.add(f"{dtype} {sample}", f"meta {b} on {m.device}, real {a}")
    report.check()


def check_threads(spec: OpSpec):
    """One and two threads give bit-identical results."""
    report = Report()
    before = fb.get_num_threads()
    try:
        for dtype in [d for d in spec.dtypes if d in ("float32", "int64")][:1]:
            arrays = draw(spec, spec.big, dtype)
            results = []
            for n in (1, 2):
                fb.set_num_threads(n)
                results.append([to_numpy(t) for t in as_list(call(spec, spec.big, arrays, dtype))])
            for a, b in zip(*results):
                if a.tobytes() != b.tobytes():
                    report.add(dtype, f"{int((a != b).sum())} of {a.size} values depend on threads")
    finally:
        fb.set_num_threads(before)
    report.check()


def names_an_op(spec: OpSpec, text: str) -> bool:
    """Whether a message names the op, or starts with the name of the op that it is made of."""
    if spec.name.rsplit(".", 1)[-1] in text:
        return True
    head = re.match(r"(\w+)(\(\))?:", text)
    return bool(head) and hasattr(fb, head.group(1))


def check_error(spec: OpSpec, device="cpu", recover=lambda error: False):
    """The bad calls fail with the right type and say the right word.

    A GPU's kernel may refuse an index that the CPU's code names: recover(error) tells whether it
    was that, and makes the device usable again.
    """
    report = Report()
    bads = spec.error if isinstance(spec.error, (list, tuple)) else [spec.error]
    for bad in bads:
        arrays = draw(spec, bad.call, bad.dtype)
        try:
            call(spec, bad.call, arrays, bad.dtype, device=device)
            if device != "cpu":
                fb.cuda.synchronize()  # what only a kernel sees is raised by the next wait
        except Exception as e:
            if recover(e):
                continue
            if not isinstance(e, bad.exc):
                report.add(bad.call, f"{type(e).__name__} instead of {bad.exc}: {e}"[:300])
                continue
            if bad.word and bad.word.lower() not in str(e).lower():
                report.add(bad.call, f"text lacks {bad.word!r}: {e}"[:300])
            late = "a kernel on" in str(e)  # raised at a wait, by when the op is long past
            if MODULE != "torch" and not late and not names_an_op(spec, str(e)):
                report.add(bad.call, f"text does not name the op: {e}"[:300])
        else:
            report.add(bad.call, "did not raise")
    report.check()


__all__ = [
    "CPLX",
    "DEVICES",
    "check_error",
    "check_forms",
    "check_meta",
    "check_threads",
    "check_value",
]
