"""Composites of statistics and numerical calculus."""

from __future__ import annotations

import flambeau as fb

from .._autocast import in_float32
from ._register import composite
from ._util import as_inexact, named, real_dtype, wrap_dim


def _check_q(name, input, q, interpolation):
    if not isinstance(q, fb.Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q values must be in the range [0, 1], got {q}")
        q = fb.tensor(q, dtype=input.dtype, device=input.device)
    if q.dim() > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor, got {q.dim()}D")
    if input.dtype not in (fb.float32, fb.float64):
        raise RuntimeError(
            f"{name}() input tensor must be either float or double dtype, got {input.dtype}"
        )
    if q.dtype != input.dtype:
        raise RuntimeError(
            f"{name}() q tensor must be same dtype as the input tensor, got "
            f"{q.dtype} and {input.dtype}"
        )
    if q.device.type != "meta" and not bool(((q >= 0) & (q <= 1)).all()):
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    if input.numel() == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if interpolation not in ("linear", "lower", "higher", "midpoint", "nearest"):
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, "
            "midpoint or "
            f"nearest, but got {interpolation}"
        )
    return q


def _quantile(name, input, q, dim, keepdim, interpolation, ignore_nan):
    q = _check_q(name, input, q, interpolation)
    shape = [1] * input.dim()
    if dim is None:
        x = input.reshape(-1)
    else:
        dim = wrap_dim(dim, input.dim())
        x = input.movedim(dim, -1) if input.dim() else input.reshape(1)
        shape = [1 if i == dim else n for i, n in enumerate(input.shape)]
    x = fb.sort(x, -1)[0]
    last = x.shape[-1] - 1
    nans = fb.isnan(x)
    qs = q.reshape(-1)
    if ignore_nan:
        valid = (~nans).to(x.dtype).sum(-1, keepdim=True)
        rank = (qs * (valid - 1)).clamp(min=0)
    else:
        rank = (qs * last).expand(*x.shape[:-1], qs.numel())
        # a NaN anywhere makes the row NaN; it sorts last
        rank = fb.where(nans.any(-1, keepdim=True), fb.full_like(rank, last), rank)
    if interpolation == "lower":
        rank = rank.floor()
    elif interpolation == "higher":
        rank = rank.ceil()
    elif interpolation == "nearest":
        rank = rank.round()
    lo = rank.floor()
    below = x.gather(-1, lo.to(fb.int64))
    if interpolation in ("linear", "midpoint"):
        w = fb.full_like(rank, 0.5) if interpolation == "midpoint" else rank - lo
        if interpolation == "midpoint":
            w = fb.where(rank == lo, fb.zeros_like(w), w)
        above = x.gather(-1, rank.ceil().to(fb.int64))
        below = fb.lerp(below, above, w)
    out = below.movedim(-1, 0) if below.dim() > 1 else below
    if q.dim() == 0:
        out = out.squeeze(0)
    if keepdim:
        return out.reshape(shape if q.dim() == 0 else [q.numel(), *shape])
    return out


@composite(method=True, out=True)
@in_float32("cpu")
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The q-th quantiles (0..1) over all elements or along `dim`; q's dim comes first.

    >>> import flambeau as fb
    >>> fb.quantile(fb.tensor([0., 1., 3.]), 0.75).item()
    2.0
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@composite(method=True, out=True)
@in_float32("cpu")
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """`quantile` over the elements that are not NaN."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


@composite(method=True, out=True)
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """Mean of the elements that are not NaN."""
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype "
            "but got "
            f"{input.dtype}"
        )
    dims = list(range(input.dim())) if dim is None or dim == () or dim == [] else dim
    n = (~fb.isnan(input)).sum(dims, keepdim=keepdim)
    return fb.nansum(input, dims, keepdim=keepdim, dtype=dtype) / n


def _weights(name, w, n):
    if w.dim() > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {w.dim()} dims"
        )
    if w.numel() != n:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are "
            "observations in "
            f"the input but got {w.numel()} != {n}"
        )


@composite(method=True)
def cov(input, *, correction=1, fweights=None, aweights=None):
    """Covariance matrix of variables (rows) over observations (columns).

    >>> import flambeau as fb
    >>> fb.cov(fb.tensor([[0., 1., 2.], [2., 1., 0.]])).tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    if input.dim() > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input "
            f"with {input.dim()} dimensions"
        )
    if input.dtype == fb.bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = as_inexact(input.reshape(1, -1) if input.dim() < 2 else input)
    n, w = x.shape[1], None
    if fweights is not None:
        _weights("fweights", fweights, n)
        if fweights.is_floating_point() or fweights.is_complex() or fweights.dtype == fb.bool:
            raise RuntimeError(
                "cov(): expected fweights to have integral dtype but got fweights "
                "with "
                f"{fweights.dtype} dtype"
            )
        if n and int(fweights.min()) < 0:
            raise RuntimeError("cov(): fweights cannot be negative")
        w = fweights
    if aweights is not None:
        _weights("aweights", aweights, n)
        if not aweights.is_floating_point():
            raise RuntimeError(
                "cov(): expected aweights to have floating point dtype but got "
                "aweights "
                f"with {aweights.dtype} dtype"
            )
        if n and float(aweights.min()) < 0:
            raise RuntimeError("cov(): aweights cannot be negative")
        w = aweights if w is None else w * aweights
    total = n if w is None else w.sum()
    if w is not None and n and float(total) == 0:
        raise RuntimeError("cov(): weights sum to zero, can't be normalized")
    mean = x.sum(1, keepdim=True) / total if w is None else (x * w).sum(1, keepdim=True) / total
    d = x - mean
    if correction == 0 or w is None or aweights is None:
        norm = total - correction
    else:
        norm = total - correction * (w * aweights).sum() / total
    norm = norm.clamp(min=0) if isinstance(norm, fb.Tensor) else max(norm, 0)
    c = fb.matmul(d, (d if w is None else d * w).conj().t())
    c = c / (norm if isinstance(norm, fb.Tensor) else fb.full((), norm, dtype=real_dtype(c.dtype)))
    return c.squeeze()


@composite(method=True)
def corrcoef(input):
    """Pearson correlation matrix of variables (rows) over observations (columns)."""
    if input.dim() > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an "
            "input "
            f"with {input.dim()} dimensions"
        )
    c = cov(input)
    if c.dim() == 0:
        return c / c
    s = c.diagonal().sqrt()
    s = s.real if s.is_complex() else s
    c = c / s.unsqueeze(1) / s.unsqueeze(0)
    if c.is_complex():
        return fb.view_as_complex(fb.view_as_real(c).clamp(-1, 1))
    return c.clamp(-1, 1)


@composite(method=True, out=True)
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """n-th difference of neighbours along `dim`.

    >>> import flambeau as fb
    >>> fb.diff(fb.tensor([1, 4, 9])).tolist()
    [3, 5]
    """
    if input.dim() < 1:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = wrap_dim(dim, input.dim())
    for t in (prepend, append):
        if t is not None and t.dim() != input.dim():
            raise RuntimeError("diff expects prepend or append to be the same dimension as input")
    parts = [t for t in (prepend, input, append) if t is not None]
    x = fb.cat(parts, dim) if len(parts) > 1 else input
    if n == 0:
        return x.clone() if x is input else x
    n = min(n, x.shape[dim])
    for _ in range(n):
        m = x.shape[dim]
        a, b = x.narrow(dim, 1, max(m - 1, 0)) if m else x, x.narrow(dim, 0, max(m - 1, 0))
        x = a ^ b if x.dtype == fb.bool else a - b
    return x


def _grid(name, y, x, dx, dim):
    if y.dtype == fb.bool:
        raise RuntimeError(f"{name}: received a bool input for y, but bool is not supported")
    d = wrap_dim(dim, y.dim())
    if x is None:
        return y, d, dx
    if isinstance(x, fb.Tensor):
        if x.dtype == fb.bool:
            raise RuntimeError(f"{name}: received a bool input for x, but bool is not supported")
        if x.dim() == 1:
            if x.shape[0] != y.shape[d]:
                raise RuntimeError(
                    f"{name}: There must be one x value for each sample point, got "
                    f"{x.shape[0]} for {y.shape[d]}"
                )
            x = x.reshape([-1 if i == d else 1 for i in range(y.dim())])
        elif x.dim() == 0:
            raise IndexError(f"{name}: x must have at least one dimension")
        else:
            x = x.reshape((1,) * (y.dim() - x.dim()) + tuple(x.shape))
        k = d if x.dim() == y.dim() else wrap_dim(dim, x.dim())
        m = x.shape[k]
        return y, d, x.narrow(k, 1, m - 1) - x.narrow(k, 0, m - 1) if m else x
    return y, d, x


def _trapezoids(y, d, step):
    m = y.shape[d]
    return (y.narrow(d, 1, m - 1) + y.narrow(d, 0, m - 1)) * step / 2


@composite(aliases=("trapz",))
def trapezoid(y, x=None, *, dx=None, dim=-1):
    """Trapezoidal rule for the integral of `y` along `dim`, at points `x` or spacing `dx`.

    >>> import flambeau as fb
    >>> fb.trapezoid(fb.tensor([1., 5., 10.])).item()
    10.5
    """
    y, d, step = _grid("trapezoid", y, x, 1 if dx is None else dx, dim)
    if y.shape[d] == 0:
        return y.sum(d) if y.dtype.is_floating_point else y.to(fb.get_default_dtype()).sum(d)
    m = y.shape[d]
    if m < 2 or isinstance(step, fb.Tensor):
        return _trapezoids(y, d, step).sum(d)
    ends = (y.select(d, 0) + y.select(d, m - 1)) / 2
    return (y.narrow(d, 1, m - 2).sum(d) + ends) * step


@composite()
def cumulative_trapezoid(y, x=None, *, dx=None, dim=-1):
    """Running integral of `y` along `dim` by the trapezoidal rule, one element shorter."""
    y, d, step = _grid("cumulative_trapezoid", y, x, 1 if dx is None else dx, dim)
    return _trapezoids(y, d, step).cumsum(d)


def _spacings(input, spacing, dims):
    if isinstance(spacing, (int, float, complex)):
        return [spacing] * len(dims)
    if isinstance(spacing, fb.Tensor):
        spacing = [spacing]
    if len(spacing) != len(dims):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a "
            "list of "
            f"length equal to dims ({len(dims)}), but got a list of {len(spacing)}"
        )
    return list(spacing)


@composite()
def gradient(input, *, spacing=1, dim=None, edge_order=1):
    """Derivative estimates along each of `dim` (default all), a tuple: second-order central
    differences inside, one-sided of `edge_order` (1 or 2) at the ends.

    >>> import flambeau as fb
    >>> fb.gradient(fb.tensor([1., 4., 9.]))[0].tolist()
    [3.0, 4.0, 5.0]
    """
    if edge_order not in (1, 2):
        raise RuntimeError(
            f"torch.gradient only supports edge_order=1 and edge_order=2, got {edge_order}"
        )
    if dim is None:
        dims = list(range(input.dim()))
    else:
        dims = [wrap_dim(d, input.dim()) for d in ([dim] if isinstance(dim, int) else dim)]
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"dim {dim} appears multiple times in the list of dims")
    steps = _spacings(input, 1 if spacing is None else spacing, dims)
    x = as_inexact(input)
    out = []
    for d, h in zip(dims, steps):
        n = x.shape[d]
        if n < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
        if isinstance(h, fb.Tensor) and h.numel() > 1 and h.shape[0] != n:
            raise RuntimeError(
                "torch.gradient expected each element of `spacing` to have a "
                "length equal "
                f"to the input's size {n} in dim {d}, got {h.shape[0]}"
            )
        out.append(_gradient_along(x, d, h, edge_order, n))
    return tuple(out)


def _gradient_along(x, d, h, edge_order, n):
    def at(i, k=1):
        return x.narrow(d, i, k)

    if isinstance(h, fb.Tensor) and h.dim():
        gap = (h[1:] - h[:-1]).reshape([-1 if i == d else 1 for i in range(x.dim())])
    else:
        gap = (
            fb.full(
                [n - 1 if i == d else 1 for i in range(x.dim())],
                1.0,
                dtype=x.dtype,
                device=x.device,
            )
            * h
        )

    def g(i, k=1):
        return gap.narrow(d, i, k)

    parts = []
    a, b = g(0, n - 2), g(1, n - 2)
    inner = (
        (at(2, n - 2) * a * a - at(0, n - 2) * b * b + at(1, n - 2) * (b * b - a * a))
        / (a * b * (a + b))
        if n > 2
        else None
    )
    if edge_order == 1:
        first, last = (at(1) - at(0)) / g(0), (at(n - 1) - at(n - 2)) / g(n - 2)
    else:
        p, q = g(0), g(1)
        first = (
            -at(0) * (2 * p + q) / (p * (p + q))
            + at(1) * (p + q) / (p * q)
            - at(2) * p / (q * (p + q))
        )
        p, q = g(n - 3), g(n - 2)
        last = (
            at(n - 3) * q / (p * (p + q))
            - at(n - 2) * (p + q) / (p * q)
            + at(n - 1) * (p + 2 * q) / (q * (p + q))
        )
    parts = [first, last] if inner is None else [first, inner, last]
    return fb.cat(parts, d)


def _edges(name, input, bins, lo, hi):
    if isinstance(bins, int):
        if bins <= 0:
            raise RuntimeError(f"{name}: bins must be > 0, but got {bins}")
        if hi < lo:
            raise RuntimeError(f"{name}: max must be larger than min, got ({lo}, {hi})")
        if not (abs(lo) < fb.inf and abs(hi) < fb.inf):
            raise RuntimeError(f"{name}: dimension range must be finite, got ({lo}, {hi})")
        if lo == hi:
            lo, hi = lo - 0.5, hi + 0.5
        return fb.linspace(lo, hi, bins + 1, dtype=input.dtype, device=input.device)
    if bins.dim() != 1 or bins.numel() == 0:
        raise RuntimeError(f"{name}: bins tensor should have one dimension, got {bins.dim()}")
    if bins.dtype != input.dtype:
        raise RuntimeError(
            f"{name}: input tensor and bins tensors should have the same dtype, got "
            f"{input.dtype} and {bins.dtype}"
        )
    return bins


def _counts(points, edges, weight, density):
    """points (n, k), edges: k tensors -> the k-d histogram."""
    sizes = [e.numel() - 1 for e in edges]
    flat = fb.zeros(points.shape[0], dtype=fb.int64, device=points.device)
    ok = fb.ones(points.shape[0], dtype=fb.bool, device=points.device)
    for j, e in enumerate(edges):
        x = points[:, j].contiguous()
        i = fb.searchsorted(e.contiguous(), x, right=True) - 1
        i = fb.where(x == e[-1], fb.full_like(i, sizes[j] - 1), i)
        ok = ok & (x >= e[0]) & (x <= e[-1])
        flat = flat * sizes[j] + i.clamp(0, max(sizes[j] - 1, 0))
    total = 1
    for s in sizes:
        total *= s
    w = fb.ones_like(points[:, 0]) if weight is None else weight.reshape(-1)
    w = fb.where(ok, w, fb.zeros_like(w))
    out = fb.zeros(total, dtype=points.dtype, device=points.device)
    out = out.index_add(0, flat, w).reshape(sizes)
    if density:
        out = out / out.sum()
        for j, e in enumerate(edges):
            out = out / (e[1:] - e[:-1]).reshape([-1 if i == j else 1 for i in range(len(sizes))])
    return out


@composite(method=True, out=True)
def histogram(input, bins, *, range=None, weight=None, density=False):
    """Counts (or densities) of `input` in bins given by number or edges: (hist, bin_edges).

    >>> import flambeau as fb
    >>> fb.histogram(fb.tensor([1., 2., 1.]), bins=4, range=(0., 3.)).hist.tolist()
    [0.0, 2.0, 1.0, 0.0]
    """
    if not input.is_floating_point():
        raise RuntimeError(f"histogram: not implemented for {input.dtype}")
    if weight is not None and tuple(weight.shape) != tuple(input.shape):
        raise RuntimeError(
            "histogram: if weight tensor is provided it should have the same shape "
            "as "
            "the input tensor excluding its innermost dimension, got input with "
            "shape "
            f"{list(input.shape)} and weight with shape {list(weight.shape)}"
        )
    if weight is not None and weight.dtype != input.dtype:
        raise RuntimeError(
            "histogram: if weight tensor is provided, input tensor and weight "
            "tensor "
            f"should have the same dtype, but got {input.dtype} and {weight.dtype}"
        )
    x = input.reshape(-1, 1)
    if range is None:
        range = (
            (0.0, 1.0)
            if x.numel() == 0
            else (float(x.min()), float(x.max()))
            if isinstance(bins, int)
            else (0.0, 1.0)
        )
    edges = _edges("histogram", input, bins, *range)
    return named("histogram", "hist bin_edges", _counts(x, [edges], weight, density), edges)


@composite()
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """Histogram of points `(..., k)` in k dimensions: (hist, list of bin_edges)."""
    if input.dim() < 2:
        raise RuntimeError(
            f"histogramdd: input tensor should have at least 2 dimensions, but got {input.dim()}"
        )
    if not input.is_floating_point():
        raise RuntimeError(f"histogramdd: not implemented for {input.dtype}")
    x = input.reshape(-1, input.shape[-1])
    k = x.shape[1]
    if isinstance(bins, int):
        bins = [bins] * k
    if len(bins) != k:
        raise RuntimeError(
            f"histogramdd: expected {k} sequences of bin edges for a "
            f"{k}-dimensional "
            f"histogram but got {len(bins)}"
        )
    if range is None:
        lo = [0.0] * k if x.shape[0] == 0 else x.amin(0).tolist()
        hi = [1.0] * k if x.shape[0] == 0 else x.amax(0).tolist()
    else:
        if len(range) != 2 * k:
            raise RuntimeError(
                f"histogramdd: for a {k}-dimensional histogram range should have "
                f"{2 * k} elements, but got {len(range)}"
            )
        lo, hi = range[0::2], range[1::2]
    edges = [_edges("histogramdd", input, b, a, z) for b, a, z in zip(bins, lo, hi)]
    return named("histogramdd", "hist bin_edges", _counts(x, edges, weight, density), tuple(edges))
