"""The notebook view of a tensor: facts, statistics and a picture that suits its shape."""

from __future__ import annotations

from math import ceil, isfinite, isqrt

_MAX_SIDE = 192  # a picture shows at most this many cells a side; longer axes are sampled
_MAX_TILES = 32
_MAX_PIXELS = 65536  # in a grid of pictures
# Nine points of a perceptually even dark-violet to yellow scale; readable on white and black.
_SCALE = (
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142),
    (31, 158, 137), (53, 183, 121), (110, 206, 88), (253, 231, 37),
)  # fmt: skip
_NAN_COLOUR = (214, 64, 69)
_BOX = (
    "display:inline-block;font:13px/1.5 system-ui,sans-serif;color:inherit;"
    "border:1px solid rgba(128,128,128,.35);border-radius:6px;padding:6px 10px;max-width:100%"
)


def _colour(fraction):
    """Map 0..1 to an RGB triple of the scale."""
    place = min(max(fraction, 0.0), 1.0) * (len(_SCALE) - 1)
    low = min(int(place), len(_SCALE) - 2)
    part = place - low
    return tuple(round(a + (b - a) * part) for a, b in zip(_SCALE[low], _SCALE[low + 1]))


def _palette():
    return [bytes(_colour(i / 255)) for i in range(256)]


def _sampled(t, dim, limit=_MAX_SIDE):
    """Return t with every k-th element along dim, so that at most `limit` stay."""
    step = max(1, ceil(t.shape[dim] / limit))
    index = [slice(None)] * t.dim()
    index[dim] = slice(None, None, step)
    return t[tuple(index)]


def _real(t):
    """Return a float64 (or float32) copy without gradient; complex numbers as magnitudes."""
    t = t.detach().cpu()
    return (t.abs() if t.dtype.is_complex else t).double()


def _statistics(t):
    """Return {name: text} for the header; min, mean, max and std skip NaN and infinities."""
    values = _real(t).reshape(-1)
    good = values[values.isfinite()]
    stats = {}
    if good.numel():
        stats["min"], stats["mean"] = good.min().item(), good.mean().item()
        stats["max"] = good.max().item()
        if good.numel() > 1:
            stats["std"] = good.std().item()
    shown = {name: f"{value:.4g}" for name, value in stats.items()}
    for name, count in (("NaN", values.isnan().sum()), ("inf", values.isinf().sum())):
        if count.item():
            shown[name] = f"{int(count.item()):,}"
    return shown


def _limits(rows):
    flat = [v for row in rows for v in row if isfinite(v)]
    low, high = (min(flat), max(flat)) if flat else (0.0, 1.0)
    return low, (high if high > low else low + 1.0)


def _image(pixels, width, height, channels, scale):
    from base64 import b64encode

    from ._png import encode_png

    data = b64encode(encode_png(pixels, width, height, channels)).decode()
    return (
        f'<img src="data:image/png;base64,{data}" width="{width * scale}" '
        f'height="{height * scale}" style="image-rendering:pixelated;display:block;'
        f'margin-top:6px" alt="picture of the values">'
    )


def _heat_pixels(rows, low, high):
    palette, nan = _palette(), bytes(_NAN_COLOUR)
    scale = 255.999 / (high - low)
    pixels = bytearray()
    for row in rows:
        for v in row:
            place = min(max((v - low) * scale, 0), 255) if v == v else -1
            pixels += palette[int(place)] if v == v else nan
    return pixels


def _heat_plot(t):
    """A 2-d tensor as coloured cells, row 0 at the top."""
    rows = _sampled(_sampled(_real(t), 0), 1).tolist()
    height, width = len(rows), len(rows[0])
    scale = max(1, min(24, 224 // max(height, width)))
    return _image(_heat_pixels(rows, *_limits(rows)), width, height, 3, scale)


def _line_plot(t):
    """A 1-d tensor as a line, drawn in the colour of the page's text."""
    values = _sampled(_real(t), 0).tolist()
    low, high = _limits([values])
    width, height = 280, 72
    step = width / max(1, len(values) - 1)
    paths, pen = [], "M"
    for i, v in enumerate(values):
        if not isfinite(v):
            pen = "M"
            continue
        y = height - 4 - (v - low) / (high - low) * (height - 8)
        paths.append(f"{pen}{i * step:.1f} {y:.1f}")
        pen = "L"
    return (
        f'<svg width="{width}" height="{height}" style="display:block;margin-top:6px" '
        f'role="img"><path d="{" ".join(paths)}" fill="none" stroke="currentColor" '
        f'stroke-width="1.5" stroke-linejoin="round"/></svg>'
    )


def _tiles(t):
    """Return a list of 2-d or colour [C, H, W] pictures from a tensor of 3 or more dims."""
    colour = t.shape[-3] in (1, 3)
    t = t.reshape(-1, *t.shape[-3:]) if colour else t.reshape(-1, 1, *t.shape[-2:])
    t = t[:_MAX_TILES]
    limit = max(8, isqrt(_MAX_PIXELS // t.shape[0]))
    return _real(_sampled(_sampled(t, 2, limit), 3, limit))


def _picture_grid(t):
    """A 3-d or higher tensor as a grid of heat plots, or of colour pictures for 3 channels."""
    tiles = _tiles(t)
    count, channels, height, width = tiles.shape
    columns = min(count, max(1, 8 if width <= 64 else 4))
    rows = ceil(count / columns)
    good = tiles[tiles.isfinite()]
    low, high = (good.min().item(), good.max().item()) if good.numel() else (0.0, 1.0)
    high = high if high > low else low + 1.0
    gap, full = 1, columns * (width + 1) - 1
    canvas = bytearray((rows * (height + gap) - gap) * full * 4)  # zero alpha: page shows through
    for k, tile in enumerate(tiles.tolist()):
        top, left = k // columns * (height + gap), k % columns * (width + gap)
        for y in range(height):
            line = _tile_row(tile, y, low, high, channels)
            start = ((top + y) * full + left) * 4
            canvas[start : start + width * 4] = line
    scale = max(1, min(8, 448 // full))
    return _image(canvas, full, rows * (height + gap) - gap, 4, scale)


def _tile_row(tile, y, low, high, channels):
    """Return one row of RGBA bytes of a [C, H, W] nested list."""
    if channels == 1:
        rgb = _heat_pixels([tile[0][y]], low, high)
    else:
        scale = 255 / (high - low)
        levels = [
            int(min(max((v - low) * scale, 0), 255)) if v == v else 0
            for triple in zip(*(plane[y] for plane in tile))
            for v in triple
        ]
        rgb = bytes(levels)
    return b"".join(bytes(rgb[i : i + 3]) + b"\xff" for i in range(0, len(rgb), 3))


def _picture(t):
    if t.numel() < 2 or t.dim() == 0:
        return ""
    if t.dim() == 1:
        return _line_plot(t)
    return _heat_plot(t) if t.dim() == 2 else _picture_grid(t)


def tensor_html(t):
    """Return HTML (str) that shows a tensor of any shape, dtype and device in a notebook.

    Shape, dtype, device; min, mean, max, std, NaN and inf counts; a line for 1-d, a heat plot
    for 2-d, a grid of pictures for 3-d and more (3 channels are colours); the printed text.

    >>> import flambeau as fb
    >>> from flambeau._display import tensor_html
    >>> "shape [2, 3]" in tensor_html(fb.zeros(2, 3))
    True
    """
    from html import escape

    facts = [f"shape {list(t.shape)}", str(t.dtype).rsplit(".", 1)[-1], str(t.device)]
    if t.grad_fn is not None or t.requires_grad:
        facts.append("in a graph" if t.grad_fn is not None else "requires grad")
    line = f"<b>{escape(type(t).__name__)}</b> " + escape(" · ".join(facts))
    body = picture = ""
    if t.device.type != "meta" and t.numel():
        stats = _statistics(t)
        body = " &nbsp; ".join(f"<span>{name} <b>{text}</b></span>" for name, text in stats.items())
        body = f'<div style="opacity:.8">{body}</div>'
        picture = _picture(t)
    text, opened = escape(repr(t)), " open" if t.numel() <= 64 else ""
    return (
        f'<div style="{_BOX}"><div>{line}</div>{body}{picture}'
        f'<details{opened} style="margin-top:4px"><summary style="cursor:pointer;opacity:.7">values'
        f'</summary><pre style="margin:4px 0 0;overflow:auto">{text}</pre></details></div>'
    )
