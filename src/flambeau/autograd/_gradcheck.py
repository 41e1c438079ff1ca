"""gradcheck and gradgradcheck: analytic gradients against central differences."""

from __future__ import annotations

from .. import _C
from .._C import Tensor


class GradcheckError(RuntimeError):
    """The analytic and the numerical gradient differ."""


def _outputs(f, inputs):
    out = f(*inputs)
    out = (out,) if isinstance(out, Tensor) else tuple(out)
    return [o for o in out if isinstance(o, Tensor) and o.requires_grad]


def _perturbed(f, inputs, x, flat, i, step, k):
    before = flat[i].item()
    values = []
    for sign in (1, -1):
        flat[i] = before + sign * step
        _C._set_grad_enabled(True)
        values.append(_outputs(f, inputs)[k].detach().clone())
        _C._set_grad_enabled(False)
    flat[i] = before
    return (values[0] - values[1]) / (2 * (step.real if not x.dtype.is_complex else abs(step)))


def _numerical(f, inputs, x, eps, k):
    # One column a real degree of freedom of x: d out / d x[i].
    cols = []
    before = _C.is_grad_enabled()
    _C._set_grad_enabled(False)
    try:
        flat = (
            x.detach().view(-1)
            if x.is_contiguous()
            else _C.as_strided(x.detach(), x.shape, x.stride())
        )
        index = range(flat.numel()) if x.is_contiguous() else _positions(x.shape)
        for i in index:
            cols.append(_perturbed(f, inputs, x, flat, i, eps, k).reshape(-1))
            if x.dtype.is_complex:
                cols.append(_perturbed(f, inputs, x, flat, i, eps * 1j, k).reshape(-1))
    finally:
        _C._set_grad_enabled(before)
    return cols


def _positions(shape):
    import itertools

    return list(itertools.product(*(range(n) for n in shape)))


def _analytic_rows(out, x):
    # Row r: the gradient of Re(out[r]) (then of Im(out[r])) with respect to x.
    rows = []
    units = (1, 1j) if out.dtype.is_complex else (1,)
    for r in range(out.numel()):
        for u in units:
            seed = _C.zeros_like(out, memory_format="contiguous_format")
            seed.view(-1)[r] = u
            (g,) = _C._run_backward((out,), (seed,), (x,), True, False, False, True)
            rows.append(_C.zeros_like(x) if g is None else g)
    return rows


def _real_parts(t):
    return _C.view_as_real(t.contiguous()).reshape(-1) if t.dtype.is_complex else t.reshape(-1)


def _check_pair(f, inputs, x, out, k, eps, atol, rtol):
    if out.numel() == 0 or x.numel() == 0:
        return None
    # the backward pass first, over a fresh graph: the differences write into the inputs
    out = _outputs(f, inputs)[k]
    analytic = _C.stack([_real_parts(g) for g in _analytic_rows(out, x)], 1)
    numerical = _C.stack([_real_parts(c) for c in _numerical(f, inputs, x, eps, k)])
    worst = (numerical - analytic).abs() - (atol + rtol * numerical.abs())
    ok = (worst <= 0) | (numerical.isnan() & analytic.isnan())
    return None if bool(ok.all()) else (numerical, analytic)


def gradcheck(
    func,
    inputs,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_batched_forward_grad=False,
    check_forward_ad=False,
    check_backward_ad=True,
    fast_mode=False,
    masked=None,
):
    """Compare the gradients of `func` at `inputs` (float64) with central differences.

    Returns True, or raises GradcheckError (RuntimeError) naming the output, the input and both
    Jacobians; with raise_exception=False returns False.

    >>> import flambeau as fb
    >>> x = fb.rand(3, dtype=fb.float64, requires_grad=True)
    >>> fb.autograd.gradcheck(fb.sin, (x,))
    True
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    wanted = [x for x in inputs if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ValueError(
            "gradcheck expects at least one input tensor to require gradient, but "
            "none of the them have requires_grad=True."
        )
    for x in wanted:
        x.retain_grad()
    outs = _outputs(func, inputs)
    for k, out in enumerate(outs):
        for x in wanted:
            bad = _check_pair(func, inputs, x, out, k, eps, atol, rtol)
            if bad is None:
                continue
            if not raise_exception:
                return False
            where = next(i for i, y in enumerate(inputs) if y is x)
            raise GradcheckError(
                f"Jacobian mismatch for output {k} with respect to input {where},"
                f"\nnumerical:{bad[0]}\nanalytical:{bad[1]}\n"
            )
    return True


def gradgradcheck(
    func,
    inputs,
    grad_outputs=None,
    *,
    eps=1e-6,
    atol=1e-5,
    rtol=1e-3,
    gen_non_contig_grad_outputs=False,
    raise_exception=True,
    nondet_tol=0.0,
    check_undefined_grad=True,
    check_grad_dtypes=False,
    check_batched_grad=False,
    check_fwd_over_rev=False,
    check_rev_over_rev=True,
    fast_mode=False,
    masked=False,
):
    """gradcheck of the gradients themselves: second derivatives against central differences.

    >>> import flambeau as fb
    >>> x = fb.rand(3, dtype=fb.float64, requires_grad=True)
    >>> fb.autograd.gradgradcheck(fb.sin, (x,))
    True
    """
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    outs = _outputs(func, inputs)
    if grad_outputs is None:
        seeds = tuple(_C.randn(o.shape, dtype=o.dtype).requires_grad_() for o in outs)
    else:
        seeds = (grad_outputs,) if isinstance(grad_outputs, Tensor) else tuple(grad_outputs)
    n = len(inputs)

    def gradient(*args):
        args, seeds = args[:n], args[n:]
        wanted = tuple(x for x in args if isinstance(x, Tensor) and x.requires_grad)
        got = _C._run_backward(tuple(_outputs(func, args)), seeds, wanted, True, True, False, True)
        return tuple(g for g in got if g is not None)

    return gradcheck(
        gradient, inputs + seeds, eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception
    )
