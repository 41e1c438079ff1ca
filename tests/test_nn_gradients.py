"""First and second derivatives of composite layers and losses against finite differences."""

import numpy as np
import pytest

from under_test import IS_TORCH, fb, submodule

nn = submodule("nn")
F = submodule("nn.functional")
autograd = submodule("autograd")


def x(*shape, seed=0, shift=0.0, scale=1.0):
    values = np.random.default_rng(seed).normal(size=shape) * scale + shift
    return fb.tensor(values, dtype=fb.float64, requires_grad=True)


def positive(*shape, seed=0):
    return x(*shape, seed=seed).abs().add(0.2).detach().requires_grad_()


CLASSES = fb.tensor([0, 2, 1])
SIGNS = fb.tensor([1.0, -1.0, 1.0], dtype=fb.float64)
IMAGE = (1, 2, 4, 4)
GRID = fb.tensor(np.random.default_rng(3).uniform(-0.8, 0.8, size=(1, 3, 2, 2)), dtype=fb.float64)

CASES = {
    "bilinear": (F.bilinear, lambda: (x(2, 3), x(2, 4, seed=1), x(2, 3, 4, seed=2))),
    "unfold": (lambda a: F.unfold(a, 2, padding=1), lambda: (x(*IMAGE),)),
    "fold": (lambda a: F.fold(a, (3, 3), 2), lambda: (x(1, 4, 4),)),
    "pad reflect": (lambda a: F.pad(a, (1, 2), mode="reflect"), lambda: (x(1, 2, 4),)),
    "pad circular": (lambda a: F.pad(a, (1, 2), mode="circular"), lambda: (x(1, 2, 4),)),
    "pixel_shuffle": (lambda a: F.pixel_shuffle(a, 2), lambda: (x(1, 4, 2, 2),)),
    "bilinear resize": (
        lambda a: F.interpolate(a, 3, mode="bilinear"),
        lambda: (x(*IMAGE),),
    ),
    "bicubic resize": (lambda a: F.interpolate(a, 5, mode="bicubic"), lambda: (x(*IMAGE),)),
    "antialiased": (
        lambda a: F.interpolate(a, 2, mode="bilinear", antialias=True),
        lambda: (x(*IMAGE),),
    ),
    "grid_sample": (
        lambda a, g: F.grid_sample(a, g, align_corners=True),
        lambda: (x(*IMAGE), GRID.clone().requires_grad_()),
    ),
    "bicubic sample": (
        lambda a, g: F.grid_sample(a, g, mode="bicubic", align_corners=False),
        lambda: (x(*IMAGE), GRID.clone().requires_grad_()),
    ),
    "affine_grid": (
        lambda a: F.affine_grid(a, (1, 1, 2, 3), align_corners=False),
        lambda: (x(1, 2, 3),),
    ),
    "glu": (F.glu, lambda: (x(2, 4),)),
    "normalize": (F.normalize, lambda: (x(2, 3),)),
    "cosine_similarity": (F.cosine_similarity, lambda: (x(2, 3), x(2, 3, seed=1))),
    "pdist": (F.pdist, lambda: (x(3, 2),)),
    "local_response_norm": (lambda a: F.local_response_norm(a, 3, 0.5), lambda: (x(1, 4, 2),)),
    "instance_norm": (F.instance_norm, lambda: (x(1, 2, 4),)),
    "lp_pool": (lambda a: F.lp_pool2d(a, 3, 2), lambda: (positive(*IMAGE),)),
    "mse": (F.mse_loss, lambda: (x(3, 2), x(3, 2, seed=1))),
    "huber": (F.huber_loss, lambda: (x(3, 2), x(3, 2, seed=1))),
    "kl_div": (lambda a, b: F.kl_div(a.log_softmax(1), b.softmax(1), reduction="batchmean"),
               lambda: (x(3, 2), x(3, 2, seed=1))),
    "bce": (lambda a: F.binary_cross_entropy(a.sigmoid(), (SIGNS > 0).double()), lambda: (x(3),)),
    "bce logits": (
        lambda a: F.binary_cross_entropy_with_logits(a, (SIGNS > 0).double()),
        lambda: (x(3),),
    ),
    "gaussian": (F.gaussian_nll_loss, lambda: (x(3), x(3, seed=1), positive(3))),
    "poisson": (lambda a: F.poisson_nll_loss(a, fb.ones_like(a)), lambda: (x(3),)),
    "cross_entropy": (
        lambda a: F.cross_entropy(a, CLASSES, label_smoothing=0.1),
        lambda: (x(3, 4),),
    ),
    "multi_margin": (lambda a: F.multi_margin_loss(a, CLASSES, p=2), lambda: (x(3, 4),)),
    "soft_margin": (lambda a: F.soft_margin_loss(a, SIGNS), lambda: (x(3),)),
    "cosine_embedding": (
        lambda a, b: F.cosine_embedding_loss(a, b, SIGNS),
        lambda: (x(3, 2), x(3, 2, seed=1)),
    ),
    "triplet": (F.triplet_margin_loss, lambda: (x(3, 2), x(3, 2, seed=1), x(3, 2, seed=2))),
    "ctc": (
        lambda a: F.ctc_loss(
            a.log_softmax(2), fb.tensor([[1, 2], [2, 2]]), fb.tensor([4, 4]), fb.tensor([2, 2])
        ),
        lambda: (x(4, 2, 3),),
    ),
    "attention": (
        lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True),
        lambda: (x(1, 2, 3, 2), x(1, 2, 3, 2, seed=1), x(1, 2, 3, 2, seed=2)),
    ),
    "embedding_bag": (
        lambda w: F.embedding_bag(fb.tensor([[0, 1], [2, 1]]), w, mode="mean"),
        lambda: (x(3, 2),),
    ),
}  # fmt: skip
# PyTorch itself cannot differentiate these twice.
ONCE = ("ctc", "pdist", "multi_margin", "attention", "embedding_bag") if IS_TORCH else ()
TWICE = [n for n in CASES if n not in ONCE]


@pytest.mark.parametrize("name", CASES)
def test_gradient(name):
    function, inputs = CASES[name]
    assert autograd.gradcheck(function, inputs())


@pytest.mark.parametrize("name", TWICE)
def test_second_gradient(name):
    function, inputs = CASES[name]
    assert autograd.gradgradcheck(function, inputs())


@pytest.mark.parametrize(
    "make, shape",
    [
        (lambda: nn.LSTM(2, 2, num_layers=2, bidirectional=True), (3, 1, 2)),
        (lambda: nn.GRU(2, 2), (3, 1, 2)),
        (lambda: nn.RNN(2, 2), (3, 1, 2)),
        (lambda: nn.TransformerEncoderLayer(4, 2, 3, dropout=0.0), (3, 1, 4)),
        (lambda: nn.BatchNorm1d(2), (4, 2)),
        (lambda: nn.GroupNorm(2, 4), (2, 4, 2)),
    ],
)
def test_gradients_of_layers_and_their_parameters(make, shape):
    m = make().double()
    names, parameters = zip(*m.named_parameters())

    def run(inputs, *values):
        for name, value in zip(names, values):
            owner, _, leaf = name.rpartition(".")
            m.get_submodule(owner)._parameters[leaf] = value
        out = m(inputs)
        return out[0] if isinstance(out, tuple) else out

    values = [p.detach().clone().requires_grad_() for p in parameters]
    assert autograd.gradcheck(run, (x(*shape), *values))
