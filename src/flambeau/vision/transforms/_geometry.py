"""Functions that move pixels of PIL images and [..., H, W] tensors: crop, pad, flip, resize."""

from __future__ import annotations

from enum import Enum

from .._pillow import is_pil, pillow


class InterpolationMode(Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


_PIL_MODES = {
    "nearest": 0, "nearest-exact": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3, "box": 4,
    "hamming": 5,
}  # fmt: skip


def _pil_mode(interpolation):
    mode = getattr(interpolation, "value", interpolation)
    return mode if isinstance(mode, int) else _PIL_MODES[mode]


def require_picture(picture, who):
    """Raise TypeError unless picture is a PIL image or a tensor with at least 2 dims."""
    from flambeau import Tensor

    if is_pil(picture):
        return
    if not isinstance(picture, Tensor):
        raise TypeError(f"{who}: img should be PIL Image or Tensor. Got {type(picture)}")
    if picture.dim() < 2:
        raise TypeError(f"{who}: Tensor is not a torch image: shape {tuple(picture.shape)}")


def get_dimensions(img):
    """Return [channels, height, width] of a PIL image or a tensor [..., C, H, W]."""
    require_picture(img, "get_dimensions")
    if is_pil(img):
        return [len(img.getbands()), img.height, img.width]
    channels = 1 if img.dim() == 2 else img.shape[-3]
    return [channels, *img.shape[-2:]]


def get_image_size(img):
    """Return [width, height]."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img):
    """Return the number of channels."""
    return get_dimensions(img)[0]


def hflip(img):
    """Mirror left and right.

    >>> import flambeau as fb
    >>> fb.vision.transforms.functional.hflip(fb.tensor([[[1, 2]]]))
    tensor([[[2, 1]]])
    """
    require_picture(img, "hflip")
    return img.transpose(0) if is_pil(img) else img.flip(-1)


def vflip(img):
    """Mirror top and bottom."""
    require_picture(img, "vflip")
    return img.transpose(1) if is_pil(img) else img.flip(-2)


def _sides(padding):
    """Return (left, top, right, bottom) of 1, 2 or 4 numbers."""
    if isinstance(padding, int):
        padding = [padding]
    if not isinstance(padding, (list, tuple)):
        raise TypeError("Got inappropriate padding arg")
    sides = {1: padding * 4, 2: [*padding, *padding], 4: padding}.get(len(padding))
    if sides is None:
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element "
            f"tuple"
        )
    return tuple(int(n) for n in sides)


def _mirrored_index(size, before, after, mode):
    """Return the source index of every place of a padded axis."""
    places = range(-before, size + after)
    if mode == "edge":
        return [min(max(i, 0), size - 1) for i in places]
    if mode == "reflect":
        if max(before, after) >= size:
            raise ValueError(f"pad: reflection of {max(before, after)} needs more than {size}")
        period = 2 * (size - 1) or 1
        return [min(i % period, period - i % period) if size > 1 else 0 for i in places]
    folded = [i % (2 * size) for i in places]
    return [min(i, 2 * size - 1 - i) for i in folded]


def pad(img, padding, fill=0, padding_mode="constant"):
    """Add a border: one width, (left and right, top and bottom) or (left, top, right, bottom).

    fill: value of a constant border, or one per channel (PIL). padding_mode: "constant",
    "edge", "reflect" (border pixel once) or "symmetric" (border pixel twice).

    >>> import flambeau as fb
    >>> fb.vision.transforms.functional.pad(fb.ones(1, 1, 1), (1, 0), padding_mode="edge")
    tensor([[[1., 1., 1.]]])
    """
    require_picture(img, "pad")
    left, top, right, bottom = _sides(padding)
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError(
            "Padding mode should be either constant, edge, reflect or symmetric, got "
            f"{padding_mode!r}"
        )
    if is_pil(img):
        return _pad_pil(img, (left, top, right, bottom), fill, padding_mode)
    if padding_mode == "constant":
        from flambeau.nn.functional import pad as constant_pad

        value = fill[0] if isinstance(fill, (list, tuple)) else fill
        return constant_pad(img, (left, right, top, bottom), value=value or 0)
    from flambeau import tensor

    height, width = img.shape[-2:]
    rows = tensor(_mirrored_index(height, top, bottom, padding_mode))
    columns = tensor(_mirrored_index(width, left, right, padding_mode))
    return img.index_select(-2, rows.to(img.device)).index_select(-1, columns.to(img.device))


def _pad_pil(img, sides, fill, padding_mode):
    from PIL import ImageOps

    if padding_mode == "constant":
        if isinstance(fill, list):
            fill = tuple(fill)
        if isinstance(fill, (int, float)) and len(img.getbands()) > 1:
            fill = (int(fill),) * len(img.getbands())
        return ImageOps.expand(img, border=sides, fill=fill)
    import numpy as np

    left, top, right, bottom = sides
    border = [(top, bottom), (left, right)] + [(0, 0)] * (len(img.getbands()) > 1)
    return pillow("pad").fromarray(np.pad(np.asarray(img), border, padding_mode))


def crop(img, top, left, height, width):
    """Cut out a rectangle; what lies outside the picture is zero."""
    require_picture(img, "crop")
    if is_pil(img):
        return img.crop((left, top, left + width, top + height))
    full_height, full_width = img.shape[-2:]
    right, bottom = left + width, top + height
    cut = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left < 0 or top < 0 or right > full_width or bottom > full_height:
        border = (
            max(min(right, 0) - left, 0) if left < 0 else 0,
            max(min(bottom, 0) - top, 0) if top < 0 else 0,
            max(right - max(full_width, left), 0),
            max(bottom - max(full_height, top), 0),
        )
        cut = pad(cut, border)
    return cut


def _pair(size):
    if isinstance(size, int):
        return size, size
    return (size[0], size[0]) if len(size) == 1 else tuple(size)


def center_crop(img, output_size):
    """Cut out the middle, (height, width) or a square; a smaller picture gets zeros around."""
    require_picture(img, "center_crop")
    _, height, width = get_dimensions(img)
    want_height, want_width = _pair(output_size)
    if want_width > width or want_height > height:
        extra_width, extra_height = max(want_width - width, 0), max(want_height - height, 0)
        border = [extra_width // 2, extra_height // 2]
        border += [(extra_width + 1) // 2, (extra_height + 1) // 2]
        img = pad(img, border)
        _, height, width = get_dimensions(img)
    top, left = int(round((height - want_height) / 2.0)), int(round((width - want_width) / 2.0))
    return crop(img, top, left, want_height, want_width)


def _output_size(height, width, size, max_size):
    """Return (height, width) after a resize to `size`: one number means the shorter side."""
    if not isinstance(size, int) and len(size) == 2:
        if max_size is not None:
            raise ValueError("max_size should only be passed if size specifies the shorter edge")
        return tuple(size)
    short, long = min(height, width), max(height, width)
    new_short = size if isinstance(size, int) else size[0]
    new_long = int(new_short * long / short)
    if max_size is not None:
        if max_size <= new_short:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {size}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_short, new_long) if height <= width else (new_long, new_short)


def resize(img, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True):
    """Resize to (height, width), or so that the shorter side is `size`.

    interpolation: an InterpolationMode; tensors take NEAREST, NEAREST_EXACT, BILINEAR, BICUBIC.
    max_size: limit of the longer side; antialias: average over the area when a tensor shrinks
    (PIL always does). Filters: Keys, "Cubic convolution interpolation" (1981).
    """
    require_picture(img, "resize")
    _, height, width = get_dimensions(img)
    want = _output_size(height, width, size, max_size)
    if is_pil(img):
        return img.resize(want[::-1], _pil_mode(interpolation))
    mode = InterpolationMode(getattr(interpolation, "value", interpolation)).value
    if want == (height, width):
        return img
    if mode.startswith("nearest"):
        return _resize_nearest(img, want, mode)
    if mode not in ("bilinear", "bicubic"):
        raise ValueError(f"resize: tensors cannot use {mode}; NEAREST, BILINEAR or BICUBIC")
    if mode == "bicubic" and not antialias:
        raise NotImplementedError("resize: bicubic without antialias exists for PIL images only")
    return _resize_smooth(img, want, mode, antialias)


def _single(x):
    """Round to float32, in which PyTorch finds the nearest pixel."""
    from struct import pack, unpack

    return unpack("f", pack("f", x))[0]


def _resize_nearest(img, want, mode):
    from flambeau import tensor

    shift = 0.5 if mode == "nearest-exact" else 0.0
    for dim, new in zip((-2, -1), want):
        old = img.shape[dim]
        scale = _single(old / new)
        index = [min(int(_single((i + shift) * scale)), old - 1) for i in range(new)]
        img = img.index_select(dim, tensor(index).to(img.device))
    return img


def _cubic(x, a=-0.5):
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def _weights(old, new, mode, antialias):
    """Return the [new, old] matrix that resamples one axis, as nested lists."""
    scale = old / new
    stretch = max(scale, 1.0) if antialias else 1.0
    reach = (1.0 if mode == "bilinear" else 2.0) * stretch
    rows = []
    for i in range(new):
        center = scale * (i + 0.5)
        first, last = max(int(center - reach + 0.5), 0), min(int(center + reach + 0.5), old)
        places = [(j - center + 0.5) / stretch for j in range(first, last)]
        if mode == "bilinear":
            part = [max(0.0, 1.0 - abs(x)) for x in places]
        else:
            part = [_cubic(x) for x in places]
        total = sum(part)
        rows.append([0.0] * first + [w / total for w in part] + [0.0] * (old - last))
    return rows


def _resize_smooth(img, want, mode, antialias):
    """Resample both axes by a matrix each."""
    from flambeau import float32, tensor

    whole = not img.dtype.is_floating_point
    work = img.to(float32) if whole else img
    height, width = img.shape[-2:]
    down = tensor(_weights(height, want[0], mode, antialias), dtype=work.dtype).to(img.device)
    along = tensor(_weights(width, want[1], mode, antialias), dtype=work.dtype).to(img.device)
    work = down @ (work @ along.t())
    if whole:
        if mode == "bicubic":
            from flambeau import iinfo

            work = work.clamp(iinfo(img.dtype).min, iinfo(img.dtype).max)
        work = work.round().to(img.dtype)
    return work


def resized_crop(
    img, top, left, height, width, size, interpolation=InterpolationMode.BILINEAR, antialias=True
):
    """Cut out a rectangle and resize it."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def rotate(
    img, angle, interpolation=InterpolationMode.NEAREST, expand=False, center=None, fill=None
):
    """Turn a PIL image counter-clockwise by `angle` degrees.

    expand: grow to hold all of it; center: (x, y), default the middle; fill: colour of what
    comes in. Raises NotImplementedError for tensors.
    """
    require_picture(img, "rotate")
    if not is_pil(img):
        raise NotImplementedError(
            "rotate: tensors cannot be rotated yet; put the transform before ToTensor"
        )
    if isinstance(fill, (int, float)) and len(img.getbands()) > 1:
        fill = (int(fill),) * len(img.getbands())
    return img.rotate(angle, _pil_mode(interpolation), expand, center, fillcolor=fill)


def erase(img, i, j, h, w, v, inplace=False):
    """Write v into the rectangle at row i, column j of a tensor [..., C, H, W]."""
    require_picture(img, "erase")
    if is_pil(img):
        raise TypeError("erase: img should be a Tensor; put the transform behind ToTensor")
    img = img if inplace else img.clone()
    img[..., i : i + h, j : j + w] = v
    return img
