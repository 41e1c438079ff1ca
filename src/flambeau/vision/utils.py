"""Pictures side by side in one, and pictures to files."""

from __future__ import annotations

import math
import os


def make_grid(
    tensor, nrow=8, padding=2, normalize=False, value_range=None, scale_each=False, pad_value=0.0
):
    """Arrange pictures in one: tensor [N, C, H, W] or a list of [C, H, W] -> [3 or C, H', W'].

    nrow: pictures in a row; padding: pixels between; normalize: stretch values to 0 .. 1,
    from value_range (low, high) or the smallest and largest value, each picture by itself
    with scale_each; pad_value: value of the gaps. One channel becomes three.

    Raises TypeError for what is not a tensor or a list of tensors.

    >>> import flambeau as fb
    >>> fb.vision.utils.make_grid(fb.zeros(3, 1, 4, 4), nrow=2, padding=1).shape == (3, 11, 11)
    True
    """
    from flambeau import Tensor, cat, stack

    if isinstance(tensor, (list, tuple)):
        if not all(isinstance(t, Tensor) for t in tensor):
            raise TypeError("make_grid: tensor or list of tensors expected, got other things")
        tensor = stack(list(tensor), 0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    while tensor.dim() < 3:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.shape[1] == 1:
        tensor = cat((tensor, tensor, tensor), 1)
    if normalize:
        tensor = _stretched(tensor, value_range, scale_each)
    count, channels, height, width = tensor.shape
    if count == 1:
        return tensor.squeeze(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = height + padding, width + padding
    size = channels, height * rows + padding, width * columns + padding
    grid = tensor.new_full(size, pad_value)
    for k in range(count):
        top, left = k // columns * height + padding, k % columns * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = tensor[k]
    return grid


def _stretched(tensor, value_range, scale_each):
    """Return a copy with values 0 .. 1."""
    if value_range is not None and not isinstance(value_range, tuple):
        raise TypeError(
            "value_range has to be a tuple (min, max) if specified. min and max are numbers"
        )
    tensor = tensor.clone()
    for part in tensor if scale_each else [tensor]:
        low, high = value_range or (part.min().item(), part.max().item())
        part.clamp_(low, high).sub_(low).div_(max(high - low, 1e-5))
    return tensor


def save_image(tensor, fp, format=None, **kwargs):
    """Write pictures to a file: tensor [C, H, W] or [N, C, H, W] (a grid) of values 0 .. 1.

    fp: path or binary file; format: "PNG" and the like where fp has no telling name; the
    other arguments are those of make_grid. PNG needs no other package; the rest needs Pillow.
    """
    from flambeau import uint8

    grid = make_grid(tensor, **kwargs).detach()
    pixels = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).cpu().to(uint8).contiguous()
    is_path = isinstance(fp, (str, os.PathLike))
    kind = format or (os.path.splitext(os.fspath(fp))[1][1:] if is_path else "")
    if kind.lower() == "png":
        _write_png(pixels, fp, is_path)
        return
    from ._pillow import pillow

    pillow("save_image").fromarray(pixels.numpy()).save(fp, format=format)


def _write_png(pixels, fp, is_path):
    from flambeau._png import encode_png

    height, width, channels = pixels.shape
    data = encode_png(pixels.numpy(), width, height, channels)
    if is_path:
        with open(fp, "wb") as out:
            out.write(data)
    else:
        fp.write(data)
