"""Linear maps and convolutions, and the sliding-block pair unfold and fold."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_widest

from ._common import ntuple

linear = _C.linear
conv1d = fb.conv1d
conv2d = fb.conv2d
conv3d = fb.conv3d
conv_transpose1d = fb.conv_transpose1d
conv_transpose2d = fb.conv_transpose2d
conv_transpose3d = fb.conv_transpose3d


def conv_tbc(input, weight, bias, pad=0):
    """Convolve a (time, batch, channels) sequence with a (kernel, in, out) weight.

    >>> import flambeau as fb
    >>> y = fb.nn.functional.conv_tbc(fb.ones(5, 2, 3), fb.ones(3, 3, 4), fb.zeros(4))
    >>> tuple(y.shape)
    (3, 2, 4)
    """
    out = fb.conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, 1, pad)
    return out.permute(2, 0, 1)


@in_widest("cuda")
def bilinear(input1, input2, weight, bias=None):
    """x1 A x2 + b for each output: (*, in1), (*, in2), (out, in1, in2) to (*, out).

    RuntimeError when the sizes do not fit.

    >>> import flambeau as fb
    >>> tuple(fb.nn.functional.bilinear(fb.ones(5, 2), fb.ones(5, 3), fb.ones(4, 2, 3)).shape)
    (5, 4)
    """
    if input1.shape[:-1] != input2.shape[:-1]:
        raise RuntimeError(
            "bilinear: the inputs must agree in all but the last dimension, but got "
            f"{list(input1.shape)} and {list(input2.shape)}"
        )
    if input1.shape[-1] != weight.shape[1] or input2.shape[-1] != weight.shape[2]:
        raise RuntimeError(
            f"bilinear: inputs {list(input1.shape)}, {list(input2.shape)} do not fit the weight "
            f"{list(weight.shape)} (out, in1, in2)"
        )
    left = fb.tensordot(input1, weight, dims=([-1], [1]))  # (*, out, in2)
    out = (left * input2.unsqueeze(-2)).sum(-1)
    return out if bias is None else out + bias


def _positions(size, kernel, dilation, padding, stride):
    """The number of places a window of one dimension can stand."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _window_index(size, kernel, dilation, padding, stride, device):
    """A (kernel, positions) table of the padded indices that each window reads."""
    n = _positions(size, kernel, dilation, padding, stride)
    taps = fb.arange(kernel, device=device).mul(dilation)
    return taps.unsqueeze(1) + fb.arange(n, device=device).mul(stride).unsqueeze(0)


def _flat_index(size, kernel, dilation, padding, stride, device):
    """Where each (kh, kw, lh, lw) reads in the flattened padded plane, and the padded size."""
    rows, cols = (
        _window_index(size[i], kernel[i], dilation[i], padding[i], stride[i], device)
        for i in (0, 1)
    )
    width = size[1] + 2 * padding[1]
    index = rows[:, None, :, None] * width + cols[None, :, None, :]
    return index.reshape(-1), size[0] + 2 * padding[0], width


def _check_windows(name, size, kernel, dilation, padding, stride):
    n = [_positions(*a) for a in zip(size, kernel, dilation, padding, stride)]
    if min(n) < 1:
        raise RuntimeError(
            f"{name}: a kernel of {kernel} with dilation {dilation} and padding {padding} does "
            f"not fit once in the plane {tuple(size)}"
        )
    return n


def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """Gather sliding blocks: (N, C, H, W) to (N, C kh kw, L), L the number of positions.

    A batch dimension may be missing. RuntimeError when the kernel does not fit.

    >>> import flambeau as fb
    >>> tuple(fb.nn.functional.unfold(fb.ones(1, 2, 4, 4), 3).shape)
    (1, 18, 4)
    """
    if input.dim() not in (3, 4):
        raise RuntimeError(
            f"unfold: expected a 3D or 4D tensor (N, C, H, W), but got shape {list(input.shape)}"
        )
    if input.dim() == 3:
        return unfold(input.unsqueeze(0), kernel_size, dilation, padding, stride).squeeze(0)
    args = [ntuple(a, 2) for a in (kernel_size, dilation, padding, stride)]
    kernel, _, pad, _ = args
    size = tuple(input.shape[2:])
    lh, lw = _check_windows("unfold", size, *args)
    index, height, width = _flat_index(size, *args, input.device)
    if any(pad):
        input = fb.constant_pad_nd(input, (pad[1], pad[1], pad[0], pad[0]), 0)
    n, c = input.shape[:2]
    blocks = input.reshape(n, c, height * width).index_select(2, index)
    return blocks.reshape(n, c * kernel[0] * kernel[1], lh * lw)


def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Add sliding blocks back: (N, C kh kw, L) to (N, C, H, W), the adjoint of ``unfold``.

    RuntimeError when L or the channels do not fit ``output_size`` and ``kernel_size``.

    >>> import flambeau as fb
    >>> fb.nn.functional.fold(fb.ones(1, 4, 4), (3, 3), 2)[0, 0, 1].tolist()
    [2.0, 4.0, 2.0]
    """
    if input.dim() not in (2, 3):
        raise RuntimeError(
            f"fold: expected a 2D or 3D tensor (N, C*kh*kw, L), but got {list(input.shape)}"
        )
    if input.dim() == 2:
        out = fold(input.unsqueeze(0), output_size, kernel_size, dilation, padding, stride)
        return out.squeeze(0)
    size = ntuple(output_size, 2)
    args = [ntuple(a, 2) for a in (kernel_size, dilation, padding, stride)]
    kernel, _, pad, _ = args
    lh, lw = _check_windows("fold", size, *args)
    n, ckk, length = input.shape
    if ckk % (kernel[0] * kernel[1]):
        raise RuntimeError(
            f"fold: {ckk} channels cannot be split into blocks of {kernel[0]} x {kernel[1]} "
            f"(input shape {list(input.shape)})"
        )
    if length != lh * lw:
        raise RuntimeError(
            f"fold: an output of {size} has {lh} x {lw} = {lh * lw} blocks, but the input "
            f"{list(input.shape)} has {length}"
        )
    index, height, width = _flat_index(size, *args, input.device)
    c = ckk // (kernel[0] * kernel[1])
    plane = fb.zeros((n, c, height * width), dtype=input.dtype, device=input.device)
    plane = plane.index_add(2, index, input.reshape(n, c, -1)).reshape(n, c, height, width)
    return plane[:, :, pad[0] : pad[0] + size[0], pad[1] : pad[1] + size[1]].contiguous()


def grouped_mm(mat_a, mat_b, *, offs=None, bias=None, out_dtype=None):
    """Multiply groups of rows with one matrix each (mixture of experts).

    ``offs`` ends each group along the jagged dimension of the 2D operands; 3D operands have one
    matrix a group. Returns the stacked products.

    >>> import flambeau as fb
    >>> offs = fb.tensor([1, 3], dtype=fb.int32)
    >>> tuple(fb.nn.functional.grouped_mm(fb.ones(3, 2), fb.ones(2, 2, 4), offs=offs).shape)
    (3, 4)
    """
    a2, b2 = mat_a.dim() == 2, mat_b.dim() == 2
    if not a2 and not b2:
        out = fb.bmm(mat_a, mat_b)
    else:
        if offs is None:
            raise RuntimeError("grouped_mm: offs must be given when an operand is 2D")
        ends = [int(e) for e in offs.tolist()]
        spans = list(zip([0] + ends[:-1], ends))
        if a2 and b2:
            out = fb.stack([mat_a[:, s:e] @ mat_b[s:e] for s, e in spans])
        elif a2:
            out = fb.cat([mat_a[s:e] @ mat_b[i] for i, (s, e) in enumerate(spans)])
        else:
            out = fb.cat([mat_a[i] @ mat_b[:, s:e] for i, (s, e) in enumerate(spans)], 1)
    out = out if bias is None else out + bias
    return out if out_dtype is None else out.to(out_dtype)


def scaled_mm(*args, **kwargs):
    """Raises NotImplementedError: matrix products of scaled 8-bit floats are not there yet."""
    raise NotImplementedError("scaled_mm needs 8-bit floating types, which are not supported yet")


def scaled_grouped_mm(*args, **kwargs):
    """Raises NotImplementedError: matrix products of scaled 8-bit floats are not there yet."""
    raise NotImplementedError(
        "scaled_grouped_mm needs 8-bit floating types, which are not supported yet"
    )
