"""Convolutions: the demonstration's, ResNet's, MobileNet's, and their gradients."""

from __future__ import annotations

from .base import case, forward_backward, functional, on

G = "convolution"


def conv(name, x, w, **kw):
    """A convolution with bias, forward and with its backward pass."""
    n = len(x) - 2
    f = lambda m, a, b, c: getattr(functional(m), f"conv{n}d")(a, b, c, **kw)
    out = 1
    for size, k in zip(x[2:], w[2:]):
        out *= (size + 2 * kw.get("padding", 0) - k) // kw.get("stride", 1) + 1
    flops = 2.0 * x[0] * out * w[0]
    for k in w[1:]:
        flops *= k
    shapes = [x, w, (w[0],)]
    case(G, name, on(shapes, f), flops=flops)
    case(G, name + ", backward", forward_backward(shapes, f), flops=3 * flops)


conv("64x1x28x28 -> 32, 3x3", (64, 1, 28, 28), (32, 1, 3, 3), padding=1)
conv("64x32x28x28 -> 64, 3x3", (64, 32, 28, 28), (64, 32, 3, 3), padding=1)
conv("8x64x56x56 -> 64, 3x3", (8, 64, 56, 56), (64, 64, 3, 3), padding=1)
conv("8x128x28x28 -> 128, 3x3", (8, 128, 28, 28), (128, 128, 3, 3), padding=1)
conv("16x256x14x14 -> 256, 3x3", (16, 256, 14, 14), (256, 256, 3, 3), padding=1)
conv("32x16x32x32 -> 16, 3x3", (32, 16, 32, 32), (16, 16, 3, 3), padding=1)
conv("32x16x32x32 -> 32, 3x3, stride 2", (32, 16, 32, 32), (32, 16, 3, 3), padding=1, stride=2)
conv("8x3x112x112 -> 64, 7x7, stride 2", (8, 3, 112, 112), (64, 3, 7, 7), padding=3, stride=2)
conv("16x256x14x14 -> 256, 1x1", (16, 256, 14, 14), (256, 256, 1, 1))
conv("8x64x56x56 -> 256, 1x1", (8, 64, 56, 56), (256, 64, 1, 1))
conv("64x1x28x28 -> 10, 5x5", (64, 1, 28, 28), (10, 1, 5, 5))
conv("64x10x12x12 -> 20, 5x5", (64, 10, 12, 12), (20, 10, 5, 5))
conv("8x64x56x56 depthwise, 3x3", (8, 64, 56, 56), (64, 1, 3, 3), padding=1, groups=64)
conv("1x64x56x56 -> 64, 3x3", (1, 64, 56, 56), (64, 64, 3, 3), padding=1)
conv("8x64x28x28 -> 64, 3x3, dilation 2", (8, 64, 28, 28), (64, 64, 3, 3), padding=2, dilation=2)
conv("16x64x512 -> 64, 1-d, 5", (16, 64, 512), (64, 64, 5), padding=2)
conv("2x16x16x16x16 -> 16, 3-d, 3", (2, 16, 16, 16, 16), (16, 16, 3, 3, 3), padding=1)
_UP = [(8, 64, 14, 14), (64, 32, 4, 4), (32,)]
_TRANSPOSED = lambda m, x, w, b: functional(m).conv_transpose2d(x, w, b, stride=2, padding=1)
case(G, "transposed 8x64x14x14 -> 32, 4x4, stride 2", on(_UP, _TRANSPOSED))
case(
    G,
    "transposed 8x64x14x14 -> 32, 4x4, stride 2, backward",
    forward_backward(_UP, _TRANSPOSED),
)


def channels_last(m):
    x = m.rand(8, 64, 56, 56).to(memory_format=m.channels_last)
    w = m.rand(64, 64, 3, 3).to(memory_format=m.channels_last)
    return lambda: functional(m).conv2d(x, w, padding=1)


case(G, "8x64x56x56 -> 64, 3x3, channels last", channels_last)
