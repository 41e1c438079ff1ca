"""pad in its four modes, and the channel rearrangements of super-resolution."""

from __future__ import annotations

import flambeau as fb
from flambeau._autocast import in_float32


def _reflect(size, before, after, device):
    index = fb.arange(-before, size + after, device=device).abs()
    return (size - 1) - (index - (size - 1)).abs()


def _replicate(size, before, after, device):
    return fb.arange(-before, size + after, device=device).clamp(0, size - 1)


def _circular(size, before, after, device):
    return fb.arange(-before, size + after, device=device) % size


_INDEX = {"reflect": _reflect, "replicate": _replicate, "circular": _circular}


def _check(input, pad, mode):
    """Errors for paddings that the mode cannot make."""
    count = len(pad) // 2
    if input.dim() not in (count + 1, count + 2) or count not in (1, 2, 3):
        raise NotImplementedError(
            f"mode '{mode}' pads the last 1, 2 or 3 dimensions of a tensor with one or two more: "
            f"got {len(pad)} padding values for a {input.dim()}-D input {list(input.shape)}"
        )
    for i in range(count):
        size, sides = input.shape[-1 - i], pad[2 * i : 2 * i + 2]
        limit = size - 1 if mode == "reflect" else size if mode == "circular" else None
        if limit is not None and max(sides) > limit:
            raise RuntimeError(
                f"pad: mode '{mode}' can add at most {limit} values to dimension {-1 - i} of size "
                f"{size}, but got padding {tuple(sides)} (input shape {list(input.shape)})"
            )
        if size + sum(sides) < 1:
            raise RuntimeError(
                f"pad: padding {tuple(sides)} leaves nothing of dimension {-1 - i} of size {size}"
            )


def pad(input, pad, mode="constant", value=None):
    """Pad the last dimensions of ``input``: ``pad`` is (left, right, top, bottom, ...).

    Modes: 'constant' (with ``value``, default 0), 'reflect', 'replicate', 'circular'; negative
    padding crops. RuntimeError for a padding the mode cannot make, NotImplementedError for an
    unknown mode or too many dimensions.

    >>> import flambeau as fb
    >>> fb.nn.functional.pad(fb.tensor([[1, 2, 3]]), (1, 1), mode="reflect").tolist()
    [[2, 1, 2, 3, 2]]
    """
    pad = [int(p) for p in pad]
    if len(pad) % 2:
        raise RuntimeError(f"pad: Padding length must be divisible by 2, but got {pad}")
    if len(pad) // 2 > input.dim():
        raise RuntimeError(
            f"pad: Padding length should be less than or equal to two times the input dimension "
            f"but got padding length {len(pad)} and input of dimension {input.dim()}"
        )
    if mode == "constant":
        return fb.constant_pad_nd(input, pad, 0 if value is None else value)
    if value is not None and value != 0:
        raise RuntimeError(f'pad: Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in _INDEX:
        raise NotImplementedError(
            f"pad: Unrecognised padding mode {mode}: use 'constant', 'reflect', 'replicate' or "
            "'circular'"
        )
    _check(input, pad, mode)
    return _wrap_around(input, pad) if mode == "circular" else _mirror(input, pad, mode)


def _wrap_around(input, pad):
    for dim, before, after in _sides(input, pad):
        if min(before, after) < 0:  # crop first: the rest wraps around
            low, high = max(-before, 0), max(-after, 0)
            input = input.narrow(dim, low, input.shape[dim] - low - high)
            before, after = max(before, 0), max(after, 0)
        input = _by_index(input, "circular", dim, before, after)
    return input


@in_float32("cpu")
def _mirror(input, pad, mode):
    for dim, before, after in _sides(input, pad):
        input = _by_index(input, mode, dim, before, after)
    return input


def _sides(input, pad):
    """(dimension, before, after), from the last dimension on."""
    return [(input.dim() - 1 - i, *pad[2 * i : 2 * i + 2]) for i in range(len(pad) // 2)]


def _by_index(input, mode, dim, before, after):
    if not before and not after:
        return input
    index = _INDEX[mode](input.shape[dim], before, after, input.device)
    return input.index_select(dim, index)


def pixel_shuffle(input, upscale_factor):
    """Move channels into space: (*, C r^2, H, W) to (*, C, H r, W r) (Shi et al. 2016).

    RuntimeError when the channels are not divisible by r^2.

    >>> import flambeau as fb
    >>> tuple(fb.nn.functional.pixel_shuffle(fb.ones(1, 8, 2, 3), 2).shape)
    (1, 2, 4, 6)
    """
    r = upscale_factor
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_shuffle expects input to have at least 3 dimensions, but got {input.dim()}"
        )
    if r <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {r}")
    *lead, c, h, w = input.shape
    if c % (r * r):
        raise RuntimeError(
            f"pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={c} is not divisible by {r * r}"
        )
    x = input.reshape(*lead, c // (r * r), r, r, h, w)
    n = len(lead)
    x = x.permute(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return x.reshape(*lead, c // (r * r), h * r, w * r)


def pixel_unshuffle(input, downscale_factor):
    """Move space into channels: (*, C, H r, W r) to (*, C r^2, H, W), undoing pixel_shuffle."""
    r = downscale_factor
    if input.dim() < 3:
        raise RuntimeError(
            f"pixel_unshuffle expects input to have at least 3 dimensions, but got {input.dim()}"
        )
    *lead, c, h, w = input.shape
    if r <= 0 or h % r or w % r:
        raise RuntimeError(
            f"pixel_unshuffle expects height and width to be divisible by downscale_factor, but "
            f"got {h} x {w} and {r}"
        )
    x = input.reshape(*lead, c, h // r, r, w // r, r)
    n = len(lead)
    x = x.permute(*range(n), n, n + 2, n + 4, n + 1, n + 3)
    return x.reshape(*lead, c * r * r, h // r, w // r)


def channel_shuffle(input, groups):
    """Deal the channels of (N, C, *) out over ``groups`` (Zhang et al. 2017).

    >>> import flambeau as fb
    >>> fb.nn.functional.channel_shuffle(fb.arange(4.0).reshape(1, 4, 1), 2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    if input.dim() < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    n, c = input.shape[:2]
    if groups <= 0 or c % groups:
        raise RuntimeError(
            f"channel_shuffle: the {c} channels must be divisible by groups, but got {groups}"
        )
    x = input.reshape(n, groups, c // groups, *input.shape[2:])
    return x.transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
