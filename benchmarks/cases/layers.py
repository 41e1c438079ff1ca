"""Normalisation, pooling, resampling and losses, forward and with their backward passes."""

from __future__ import annotations

from .base import case, layer
from .base import functional as F

G = "normalisation and pooling"
layer(G, "max_pool2d 64x10x24x24", [(64, 10, 24, 24)], lambda m, x: F(m).max_pool2d(x, 2))
layer(
    G,
    "max_pool2d 8x64x56x56, 3, stride 2",
    [(8, 64, 56, 56)],
    lambda m, x: F(m).max_pool2d(x, 3, 2, 1),
)
layer(G, "avg_pool2d 64x10x24x24", [(64, 10, 24, 24)], lambda m, x: F(m).avg_pool2d(x, 2))
layer(
    G,
    "adaptive_avg_pool2d 64x256x7x7",
    [(64, 256, 7, 7)],
    lambda m, x: F(m).adaptive_avg_pool2d(x, 1),
)
layer(
    G,
    "batch_norm 64x32x14x14",
    [(64, 32, 14, 14), (32,), (32,)],
    lambda m, x, w, b: F(m).batch_norm(x, None, None, w, b, True),
)
layer(
    G,
    "batch_norm 128x256",
    [(128, 256), (256,), (256,)],
    lambda m, x, w, b: F(m).batch_norm(x, None, None, w, b, True),
)
layer(
    G,
    "layer_norm 512x768",
    [(512, 768), (768,), (768,)],
    lambda m, x, w, b: F(m).layer_norm(x, (768,), w, b),
)
layer(G, "group_norm 8x64x28x28", [(8, 64, 28, 28)], lambda m, x: F(m).group_norm(x, 8))
layer(G, "rms_norm 512x768", [(512, 768), (768,)], lambda m, x, w: F(m).rms_norm(x, (768,), w))
layer(G, "instance_norm 8x64x28x28", [(8, 64, 28, 28)], lambda m, x: F(m).instance_norm(x))
layer(G, "softmax 512x1000", [(512, 1000)], lambda m, x: m.softmax(x, -1))
layer(G, "log_softmax 512x1000", [(512, 1000)], lambda m, x: m.log_softmax(x, -1))
layer(
    G,
    "interpolate bilinear x2",
    [(8, 16, 32, 32)],
    lambda m, x: F(m).interpolate(x, scale_factor=2, mode="bilinear"),
)
layer(
    G,
    "interpolate nearest x2",
    [(8, 16, 32, 32)],
    lambda m, x: F(m).interpolate(x, scale_factor=2),
)


def evaluation_norm(m):
    x, w, mean = m.rand(64, 32, 14, 14), m.rand(32), m.rand(32)
    return lambda: F(m).batch_norm(x, mean, w, w, mean, False)


def sampled(m):
    x, g = m.rand(8, 16, 32, 32), m.rand(8, 32, 32, 2) * 2 - 1
    return lambda: F(m).grid_sample(x, g, align_corners=False)


case(G, "batch_norm 64x32x14x14, evaluation", evaluation_norm)
case(G, "grid_sample 8x16x32x32", sampled)

G = "losses"


def classes(rows, columns, f):
    """A loss of scores against class indices, forward and backward."""

    def make(m):
        x = m.rand(rows, columns, requires_grad=True)
        y = m.randint(0, columns, (rows,))

        def run():
            x.grad = None
            f(m, x, y).backward()

        return run

    return make


def values(shape, f):
    """A loss of values against values in 0..1, forward and backward."""

    def make(m):
        x, y = m.rand(*shape, requires_grad=True), m.rand(*shape)

        def run():
            x.grad = None
            f(m, x, y).backward()

        return run

    return make


case(G, "cross_entropy 64x10", classes(64, 10, lambda m, x, y: F(m).cross_entropy(x, y)))
case(G, "cross_entropy 768x65", classes(768, 65, lambda m, x, y: F(m).cross_entropy(x, y)))
case(G, "cross_entropy 512x10000", classes(512, 10_000, lambda m, x, y: F(m).cross_entropy(x, y)))
case(
    G,
    "cross_entropy 512x1000, label smoothing",
    classes(512, 1000, lambda m, x, y: F(m).cross_entropy(x, y, label_smoothing=0.1)),
)
case(
    G,
    "nll_loss of log_softmax 64x10",
    classes(64, 10, lambda m, x, y: F(m).nll_loss(F(m).log_softmax(x, 1), y)),
)
_S = (128, 784)
case(G, "mse_loss 128x784", values(_S, lambda m, x, y: F(m).mse_loss(x, y)))
case(G, "l1_loss 128x784", values(_S, lambda m, x, y: F(m).l1_loss(x, y)))
case(G, "smooth_l1_loss 128x784", values(_S, lambda m, x, y: F(m).smooth_l1_loss(x, y)))
case(
    G,
    "binary_cross_entropy_with_logits 128x784",
    values(_S, lambda m, x, y: F(m).binary_cross_entropy_with_logits(x, y)),
)
case(
    G,
    "binary_cross_entropy 128x784",
    values(_S, lambda m, x, y: F(m).binary_cross_entropy(x, y)),
)
case(
    G,
    "kl_div 128x784",
    values(_S, lambda m, x, y: F(m).kl_div(x, y, reduction="batchmean")),
)
case(G, "cosine_similarity 128x784", values(_S, lambda m, x, y: F(m).cosine_similarity(x, y).sum()))


def connectionist(m):
    x = m.randn(50, 16, 20).log_softmax(2).detach().requires_grad_()
    y = m.randint(1, 20, (16, 20))
    n, k = m.full((16,), 50), m.full((16,), 20)

    def run():
        x.grad = None
        F(m).ctc_loss(x, y, n, k).backward()

    return run


case(G, "ctc_loss 50x16x20", connectionist)
