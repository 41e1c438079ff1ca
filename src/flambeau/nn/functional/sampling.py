"""Spatial transformers: affine_grid and grid_sample (Jaderberg et al. 2015)."""

from __future__ import annotations

import itertools
import warnings

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_widest
from flambeau.autograd import Function

from .resample import _cubic_weight


def _base(size, align_corners, dtype, device):
    """Centres of ``size`` cells spread over [-1, 1]."""
    if size == 1:
        return fb.zeros(1, dtype=dtype, device=device)
    x = fb.linspace(-1, 1, size, dtype=dtype, device=device)
    return x if align_corners else x * ((size - 1) / size)


def affine_grid(theta, size, align_corners=None):
    """Sampling grid of N affine maps: theta (N, 2, 3) and size (N, C, H, W) to (N, H, W, 2).

    3D: theta (N, 3, 4), size (N, C, D, H, W) to (N, D, H, W, 3). ValueError for other shapes.

    >>> import flambeau as fb
    >>> theta = fb.tensor([[[1.0, 0, 0], [0, 1, 0]]])
    >>> fb.nn.functional.affine_grid(theta, (1, 1, 1, 2), align_corners=True).tolist()
    [[[[-1.0, 0.0], [1.0, 0.0]]]]
    """
    if align_corners is None:
        warnings.warn("affine_grid: align_corners defaults to False", stacklevel=2)
        align_corners = False
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    n = len(size) - 2
    if n not in (2, 3):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, but got "
            f"{tuple(size)}"
        )
    if theta.dim() != 3 or tuple(theta.shape[1:]) != (n, n + 1):
        raise ValueError(
            f"Expected a batch of affine matrices of shape Nx{n}x{n + 1} for size {tuple(size)}. "
            f"Got {list(theta.shape)}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {tuple(size)}")
    spatial = tuple(size[2:])
    axes = []
    for i, s in enumerate(reversed(spatial)):  # x first
        x = _base(s, align_corners, theta.dtype, theta.device)
        shape = [1] * n
        shape[n - 1 - i] = s
        axes.append(x.reshape(shape).expand(spatial))
    ones = fb.ones(spatial, dtype=theta.dtype, device=theta.device)
    base = fb.stack([*axes, ones], -1).reshape(-1, n + 1)
    grid = base.unsqueeze(0).expand(theta.shape[0], -1, -1) @ theta.transpose(1, 2)
    return grid.reshape(theta.shape[0], *spatial, n)


def _unnormalize(x, size, align_corners):
    """[-1, 1] to pixel coordinates."""
    if align_corners:
        return (x + 1) * ((size - 1) / 2)
    return ((x + 1) * size - 1) / 2


def _reflect(x, low, high):
    """Fold the coordinates back and forth between ``low`` and ``high`` (both doubled)."""
    if low == high:
        return fb.zeros_like(x)
    span = (high - low) / 2
    x = (x - low / 2).abs()
    flips = (x / span).floor()
    rest = x - flips * span
    return fb.where(flips.detach() % 2 == 0, rest + low / 2, span - rest + low / 2)


def _bounded(x, size, padding_mode, align_corners):
    """Bring coordinates inside by the padding mode ('zeros' leaves them)."""
    if padding_mode == "border":
        return x.clamp(0, size - 1)
    if padding_mode == "reflection":
        ends = (0, 2 * (size - 1)) if align_corners else (-1, 2 * size - 1)
        return _reflect(x, *ends).clamp(0, size - 1)
    return x


def _fetch(flat, index, sizes):
    """Values of flat (N, C, prod(sizes)) at integer index tensors (N, P) each; 0 outside."""
    inside, place = None, None
    for i, size in zip(index, sizes):
        ok = (i >= 0) & (i <= size - 1)
        inside = ok if inside is None else inside & ok
        i = i.clamp(0, size - 1).long()
        place = i if place is None else place * size + i
    n, c, _ = flat.shape
    values = flat.gather(2, place.unsqueeze(1).expand(n, c, -1))
    return values * inside.unsqueeze(1).to(values.dtype)


def _sample_linear(flat, coords, sizes):
    """Weighted sum over the 2^n corners around each point."""
    lows = [x.detach().floor() for x in coords]
    total = None
    for corner in itertools.product((0, 1), repeat=len(sizes)):
        weight = None
        for bit, x, low in zip(corner, coords, lows):
            w = x - low if bit else low + 1 - x
            weight = w if weight is None else weight * w
        index = [low + bit for bit, low in zip(corner, lows)]
        part = _fetch(flat, index, sizes) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _sample_cubic(flat, coords, sizes, padding_mode, align_corners):
    """Weighted sum over the 4 x 4 neighbours, Keys' kernel with a = -0.75."""
    lows = [x.detach().floor() for x in coords]
    total = None
    for taps in itertools.product((-1, 0, 1, 2), repeat=2):
        weight, index = None, []
        for tap, x, low, size in zip(taps, coords, lows, sizes):
            w = _cubic_weight((x - low - tap).abs(), -0.75)
            weight = w if weight is None else weight * w
            index.append(_bounded(low + tap, size, padding_mode, align_corners))
        part = _fetch(flat, index, sizes) * weight.unsqueeze(1)
        total = part if total is None else total + part
    return total


def _composed(input, grid, mode, padding_mode, align_corners):
    """grid_sample made of ops, for other devices and second derivatives."""
    n = input.dim() - 2
    sizes = list(input.shape[2:])
    batch, channels = input.shape[:2]
    flat = input.reshape(batch, channels, -1)
    points = grid.reshape(batch, -1, n)
    coords = []
    for i, size in enumerate(sizes):
        x = _unnormalize(points[..., n - 1 - i], size, align_corners)
        coords.append(x if mode == "bicubic" else _bounded(x, size, padding_mode, align_corners))
    if mode == "nearest":
        out = _fetch(flat, [x.detach().round() for x in coords], sizes)
        out = out + (points.sum() * 0) if grid.requires_grad else out  # a gradient of zeros
    elif mode == "bilinear":
        out = _sample_linear(flat, coords, sizes)
    else:
        out = _sample_cubic(flat, coords, sizes, padding_mode, align_corners)
    return out.reshape(batch, channels, *grid.shape[1:-1])


class _Sample(Function):
    """grid_sample by the core's kernel."""

    @staticmethod
    def forward(ctx, input, grid, *options):
        ctx.save_for_backward(input, grid)
        ctx.options = options
        return _C._grid_sample(input, grid, *options)

    @staticmethod
    def backward(ctx, grad):
        input, grid = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        if not fb.is_grad_enabled():
            both = _C._grid_sample_backward(input, grid, *ctx.options, grad, *wanted)
            return (*both, None, None, None)
        own = [t.view_as(t) for t in (input, grid)]  # their gradients go no further
        out = _composed(*own, *ctx.options)
        asked = [t for t, w in zip(own, wanted) if w]
        found = iter(fb.autograd.grad(out, asked, grad, create_graph=True, allow_unused=True))
        return (*(next(found) if w else None for w in wanted), None, None, None)


@in_widest("cuda")
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Sample (N, C, H, W) at the points of grid (N, h, w, 2) in [-1, 1], x first: (N, C, h, w).

    Volumes (N, C, D, H, W) take grids (N, d, h, w, 3). Modes: 'bilinear', 'nearest', 'bicubic'
    (4D); points outside are 'zeros', 'border' or 'reflection'. ValueError, RuntimeError for
    names and shapes that do not fit.

    >>> import flambeau as fb
    >>> x = fb.tensor([[[[1.0, 3.0]]]])
    >>> fb.nn.functional.grid_sample(x, fb.zeros(1, 1, 1, 2), align_corners=True).item()
    2.0
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(f"grid_sample(): expected mode 'bilinear', 'nearest' or 'bicubic', but "
                         f"got: '{mode}'")  # fmt: skip
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but "
            f"got: '{padding_mode}'"
        )
    if align_corners is None:
        warnings.warn("grid_sample: align_corners defaults to False", stacklevel=2)
        align_corners = False
    n = input.dim() - 2
    if n not in (2, 3) or grid.dim() != input.dim() or grid.shape[-1] != n:
        raise RuntimeError(
            "grid_sample(): expected a 4D or 5D input and a grid of the same rank with last "
            f"dimension {n}, but got input {list(input.shape)} and grid {list(grid.shape)}"
        )
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sample(): expected grid and input to have same batch size, but got input "
            f"{list(input.shape)} and grid {list(grid.shape)}"
        )
    if mode == "bicubic" and n == 3:
        raise RuntimeError("grid_sample(): bicubic interpolation only supports 4D input")
    options = (mode, padding_mode, align_corners)
    if input.device.type == "cpu" and input.numel() and grid.numel():
        return _Sample.apply(input, grid, *options)
    return _composed(input, grid, *options)
