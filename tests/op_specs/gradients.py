"""First and second derivatives of an op against central finite differences in float64."""

from __future__ import annotations

import numpy as np

from .base import OpSpec, Report, S, fb, is_complex
from .check import as_list, call, draw, outputs, tensor, to_numpy

STEP = 1e-6
MOST = 80  # larger samples are left to the value checks


def _real(t):
    """A tensor as real numbers: complex ones get a last axis of two."""
    return (
        fb.view_as_real(t.resolve_conj() if hasattr(t, "resolve_conj") else t)
        if t.dtype.is_complex
        else t
    )


class Problem:
    """An op as a map from a list of real arrays to a list of real tensors."""

    def __init__(self, spec: OpSpec, sample: S, dtype: str, device="cpu"):
        self.spec, self.sample, self.dtype, self.device = spec, sample, dtype, device
        self.arrays = draw(spec, sample, dtype, salt=1)
        self.ts = [t for t in sample.tensors() if t.grad]

    def start(self):
        """The differentiable inputs as real arrays."""
        out = []
        for t in self.ts:
            a = self.arrays[id(t)]
            if np.iscomplexobj(a):
                a = np.stack([a.real, a.imag], -1)
            out.append(np.array(a, np.float64))
        return out

    def leaves(self, xs, grad=True):
        return [tensor(x, "float64", device=self.device, grad=grad) for x in xs]

    def run(self, leaves):
        """Float outputs of the op, as real tensors."""
        made = {}
        for t, leaf in zip(self.ts, leaves):
            made[id(t)] = fb.view_as_complex(leaf) if is_complex(t.dtype or self.dtype) else leaf
        res = call(self.spec, self.sample, self.arrays, self.dtype, device=self.device, made=made)
        outs = [o for o in outputs(self.spec, res) if hasattr(o, "dtype")]
        return [_real(o) for o in outs if o.dtype.is_floating_point or o.dtype.is_complex]

    def scalar(self, leaves, weights):
        """A weighted sum of all outputs."""
        total = None
        for o, w in zip(self.run(leaves), weights, strict=True):
            s = (o * tensor(w, "float64", device=self.device)).sum()
            total = s if total is None else total + s
        return total


def _weights(rng, tensors):
    return [
        np.asarray(rng.uniform(0.5, 1.5, tuple(t.shape)) * rng.choice([-1, 1], tuple(t.shape)))
        for t in tensors
    ]


def _grads(total, leaves, create=False):
    """Gradients with zeros where there is no path."""
    if not total.requires_grad:
        return [fb.zeros_like(x) for x in leaves]
    g = fb.autograd.grad(total, leaves, create_graph=create, allow_unused=True)
    return [fb.zeros_like(x) if v is None else v for v, x in zip(g, leaves)]


def _numeric(f, xs):
    """Central differences of a scalar function of arrays."""
    grads = []
    for i, x in enumerate(xs):
        g = np.zeros_like(x)
        flat, gf = x.reshape(-1), g.reshape(-1)
        for j in range(flat.size):
            keep = flat[j]
            flat[j] = keep + STEP
            up = f(xs)
            flat[j] = keep - STEP
            down = f(xs)
            flat[j] = keep
            gf[j] = (up - down) / (2 * STEP)
        grads.append(g)
        assert xs[i] is x
    return grads


def _compare(report, where, analytic, numeric, tol):
    for i, (a, n) in enumerate(zip(analytic, numeric)):
        a = to_numpy(a) if hasattr(a, "detach") else np.asarray(a)
        if a.shape != n.shape:
            report.add(where, f"gradient {i} has shape {a.shape}, input {n.shape}")
            continue
        scale = max(1.0, float(np.max(np.abs(n), initial=0.0)))
        err = float(np.max(np.abs(a - n), initial=0.0))
        if not err <= 2e-6 * tol * scale:
            report.add(where, f"gradient {i} is off by {err:.2e} (largest {scale:.2e})")


def check_sample(report: Report, spec: OpSpec, sample: S, dtype: str):
    """First and second derivative of one call."""
    p = Problem(spec, sample, dtype)
    if not p.ts:
        return
    where = f"{dtype} {sample}"
    rng = np.random.default_rng(spec.seed() + 2)
    xs = p.start()
    leaves = p.leaves(xs)
    outs = p.run(leaves)
    ws = _weights(rng, outs)
    second = spec.grad2
    first = _grads(p.scalar(leaves, ws), leaves, create=second)
    with fb.no_grad():
        numeric = _numeric(lambda v: float(p.scalar(p.leaves(v, False), ws)), xs)
    _compare(report, "first " + where, first, numeric, spec.gtol)
    if not second:
        return
    vs = _weights(rng, leaves)

    def along(leaves, create):
        g = _grads(p.scalar(leaves, ws), leaves, create)
        total = None
        for a, v in zip(g, vs):
            s = (a * tensor(v, "float64", device=p.device)).sum()
            total = s if total is None else total + s
        return total

    leaves = p.leaves(xs)
    second = _grads(along(leaves, True), leaves)
    numeric = _numeric(lambda v: float(along(p.leaves(v), False).detach()), xs)
    _compare(report, "second " + where, second, numeric, 3 * spec.gtol)


def check_grad(spec: OpSpec):
    """Derivatives of every small sample, real and (where asked) complex."""
    report = Report()
    dtypes = ("float64",) if "float64" in spec.dtypes else ()
    for dtype in dtypes + (("complex128",) if spec.cgrad else ()):
        for sample in spec.samples:
            if (
                sample.numel > MOST
                or (dtype == "complex128" and any(t.numel == 0 for t in sample.tensors()))
                or (sample.dtypes and dtype not in sample.dtypes)
            ):
                continue
            try:
                check_sample(report, spec, sample, dtype)
            except Exception as e:
                report.add(f"{dtype} {sample}", f"raised {type(e).__name__}: {e}"[:300])
    if spec.inplace and dtypes:
        _inplace_gradient(report, spec)
    report.check()


def _inplace_gradient(report, spec):
    """The in-place form on a clone gives the gradient of the function."""
    sample = spec.samples[0]
    method = spec.name.rsplit(".", 1)[-1] + "_"
    p = Problem(spec, sample, "float64")
    xs = p.start()

    def run(inplace):
        leaves = p.leaves(xs)
        made = {id(t): leaf for t, leaf in zip(p.ts, leaves)}
        fn = (lambda x, *a, **k: getattr(x.clone(), method)(*a, **k)) if inplace else None
        out = as_list(call(spec, sample, p.arrays, "float64", made=made, fn=fn))[0]
        return out, _grads(out.sum(), leaves)

    try:
        out, want = run(False)
        if tuple(out.shape) != sample.args[0].shape or not out.dtype.is_floating_point:
            return
        _compare(report, f"in-place {sample}", run(True)[1], [to_numpy(w) for w in want], 1.0)
    except Exception as e:
        report.add(f"in-place {sample}", f"raised {type(e).__name__}: {e}"[:300])


def check_device(spec: OpSpec, device):
    """First and second derivatives on a device are those of the CPU."""
    report = Report()
    dtypes = ("float64",) if "float64" in spec.dtypes else ()
    for dtype in dtypes + (("complex128",) if spec.cgrad else ()):
        for sample in spec.samples:
            if sample.numel > MOST or (sample.dtypes and dtype not in sample.dtypes):
                continue
            try:
                here, there = (_derivatives(spec, sample, dtype, d) for d in ("cpu", device))
            except Exception as e:
                report.add(f"{dtype} {sample}", f"raised {type(e).__name__}: {e}"[:300])
                continue
            for order, a, b in zip(("first", "second"), there, here):
                for i, x in enumerate(a):
                    if str(x.device).split(":")[0] != device:
                        report.add(f"{order} {dtype} {sample}", f"gradient {i} is on {x.device}")
                _compare(report, f"{order} {dtype} {sample}", a, [to_numpy(t) for t in b], 1e-3)
    report.check()


def _derivatives(spec, sample, dtype, device):
    p = Problem(spec, sample, dtype, device)
    if not p.ts:
        return [], []
    rng = np.random.default_rng(spec.seed() + 2)
    leaves = p.leaves(p.start())
    ws = _weights(rng, p.run(leaves))
    first = _grads(p.scalar(leaves, ws), leaves, create=spec.grad2)
    if not spec.grad2:
        return first, []
    along = sum(
        (g * tensor(v, "float64", device=device)).sum()
        for g, v in zip(first, _weights(rng, leaves))
    )
    return first, _grads(along, leaves)


__all__ = ["as_list", "check_device", "check_grad"]
