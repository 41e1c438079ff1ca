"""Losses against NumPy formulas, their reductions, weights and errors."""

import itertools
import math
import warnings

import numpy as np
import pytest

from under_test import IS_TORCH, fb, submodule

nn = submodule("nn")
F = submodule("nn.functional")


def t(a):
    return fb.tensor(np.asarray(a), dtype=fb.float64)


def close(got, want):
    np.testing.assert_allclose(got.detach().numpy(), want, rtol=1e-9, atol=1e-9)


def check(loss, want, *args, **options):
    """The three reductions of the elementwise losses ``want``."""
    close(loss(*args, reduction="none", **options), want)
    close(loss(*args, reduction="sum", **options), want.sum())
    close(loss(*args, reduction="mean", **options), want.mean())
    close(loss(*args, **options), want.mean())


def softmax(x, axis):
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


@pytest.fixture
def xy(rng):
    return rng.normal(size=(4, 3)), rng.normal(size=(4, 3))


def test_regression_losses(xy):
    x, y = xy
    d = np.abs(x - y)
    check(F.mse_loss, d**2, t(x), t(y))
    check(F.l1_loss, d, t(x), t(y))
    check(F.smooth_l1_loss, np.where(d < 0.5, d**2, d - 0.25), t(x), t(y), beta=0.5)
    check(F.huber_loss, np.where(d <= 0.7, d**2 / 2, 0.7 * (d - 0.35)), t(x), t(y), delta=0.7)
    w = np.abs(y)
    close(F.mse_loss(t(x), t(y), weight=t(w)), (d**2 * w).sum() / w.sum())
    with pytest.raises(ValueError):
        F.mse_loss(t(x), t(y), reduction="average")
    with pytest.raises(RuntimeError), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        F.mse_loss(t(x), t(y[:, :2]))


def test_a_broadcasting_target_warns_with_the_cure():
    text = "different to the input size" if IS_TORCH else r"input.squeeze\(-1\)"
    with pytest.warns(UserWarning, match=text):
        F.mse_loss(fb.zeros(4, 1), fb.zeros(4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        F.mse_loss(fb.zeros(4, 1), fb.zeros(4, 1))


def test_cross_entropy_of_classes(xy, rng):
    x = xy[0]
    target = np.array([0, 2, 1, 2])
    logp = np.log(softmax(x, 1))
    nll = -logp[np.arange(4), target]
    check(F.cross_entropy, nll, t(x), fb.tensor(target))
    check(F.nll_loss, nll, t(logp), fb.tensor(target))
    w = rng.uniform(0.5, 2, 3)
    close(
        nn.CrossEntropyLoss(weight=t(w))(t(x), fb.tensor(target)),
        (nll * w[target]).sum() / w[target].sum(),
    )
    keep = target != 2
    close(F.cross_entropy(t(x), fb.tensor(target), ignore_index=2), nll[keep].mean())
    smooth = 0.8 * nll - 0.2 * logp.mean(1)
    check(F.cross_entropy, smooth, t(x), fb.tensor(target), label_smoothing=0.2)
    images = rng.normal(size=(2, 3, 4, 5))
    where = rng.integers(0, 3, size=(2, 4, 5))
    per_pixel = -np.take_along_axis(np.log(softmax(images, 1)), where[:, None], 1)[:, 0]
    check(F.cross_entropy, per_pixel, t(images), fb.tensor(where))


def test_cross_entropy_of_probabilities(xy):
    x, y = xy
    p, logp = softmax(y, 1), np.log(softmax(x, 1))
    check(F.cross_entropy, -(p * logp).sum(1), t(x), t(p))
    mixed = 0.9 * p + 0.1 / 3
    check(F.cross_entropy, -(mixed * logp).sum(1), t(x), t(p), label_smoothing=0.1)


def test_cross_entropy_refuses_bad_targets(xy):
    with pytest.raises((IndexError, RuntimeError)):
        F.cross_entropy(t(xy[0]), fb.tensor([0, 1, 2, 3]))
    with pytest.raises(ValueError):
        F.cross_entropy(t(xy[0]), fb.tensor([0, 1]))


def test_linear_cross_entropy(rng):
    x, w, b = rng.normal(size=(4, 5)), rng.normal(size=(3, 5)), rng.normal(size=3)
    target = fb.tensor([0, 2, 1, 2])
    want = F.cross_entropy(t(x @ w.T + b), target)
    close(F.linear_cross_entropy(t(x), t(w), target, linear_bias=t(b)), float(want))
    m = nn.LinearCrossEntropyLoss(5, 3, dtype=fb.float64)
    weight = m.linear.weight.detach().numpy()
    close(m(t(x), target), float(F.cross_entropy(t(x @ weight.T), target)))


def test_binary_cross_entropy(xy, rng):
    x, y = xy
    p, target = 1 / (1 + np.exp(-x)), rng.uniform(size=(4, 3))
    want = -(target * np.log(p) + (1 - target) * np.log(1 - p))
    check(F.binary_cross_entropy, want, t(p), t(target))
    check(F.binary_cross_entropy_with_logits, want, t(x), t(target))
    w = np.abs(y)
    check(F.binary_cross_entropy, want * w, t(p), t(target), weight=t(w))
    pos = np.array([0.5, 1.0, 3.0])
    weighted = -(pos * target * np.log(p) + (1 - target) * np.log(1 - p))
    check(F.binary_cross_entropy_with_logits, weighted, t(x), t(target), pos_weight=t(pos))
    close(F.binary_cross_entropy(t([0.0, 1.0]), t([1.0, 1.0]), reduction="none"), [100.0, 0.0])
    assert float(F.binary_cross_entropy_with_logits(t([-800.0]), t([1.0]))) == 800
    with pytest.raises(ValueError):
        F.binary_cross_entropy(t(p), t(target[:2]))
    with pytest.raises(RuntimeError):
        F.binary_cross_entropy(t([1.5]), t([1.0]))


def test_divergence_and_likelihoods(xy):
    x, y = xy
    p, logq = softmax(y, 1), np.log(softmax(x, 1))
    want = p * (np.log(p) - logq)
    close(F.kl_div(t(logq), t(p), reduction="none"), want)
    close(F.kl_div(t(logq), t(np.log(p)), reduction="batchmean", log_target=True), want.sum() / 4)
    close(F.kl_div(t([[0.0, 0.0]]), t([[1.0, 0.0]]), reduction="sum"), 0.0)
    counts = np.array([0.0, 1.0, 4.0])
    rate = np.array([0.5, 2.0, 3.0])
    check(F.poisson_nll_loss, np.exp(rate) - counts * rate, t(rate), t(counts))
    stirling = counts * np.log(np.maximum(counts, 1)) - counts
    stirling = stirling + 0.5 * np.log(2 * np.pi * np.maximum(counts, 1))
    full = rate - counts * np.log(rate + 1e-8) + np.where(counts > 1, stirling, 0)
    check(F.poisson_nll_loss, full, t(rate), t(counts), log_input=False, full=True)
    var = np.abs(x) + 0.1
    gauss = 0.5 * (np.log(var) + (x - y) ** 2 / var)
    check(F.gaussian_nll_loss, gauss, t(x), t(y), t(var))
    check(F.gaussian_nll_loss, gauss + 0.5 * math.log(2 * math.pi), t(x), t(y), t(var), full=True)
    with pytest.raises(ValueError):
        F.gaussian_nll_loss(t(x), t(y), t(-var))


def test_margin_losses(xy, rng):
    x, y = xy
    sign = np.sign(rng.normal(size=(4, 3)))
    check(
        F.margin_ranking_loss, np.maximum(0, -sign * (x - y) + 0.3), t(x), t(y), t(sign), margin=0.3
    )
    hinge = np.where(sign == 1, x, np.maximum(0, 1 - x))
    check(F.hinge_embedding_loss, hinge, t(x), t(sign))
    check(F.soft_margin_loss, np.log1p(np.exp(-sign * x)), t(x), t(sign))
    one = sign[:, 0]
    cos = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    check(
        F.cosine_embedding_loss, np.where(one == 1, 1 - cos, np.maximum(0, cos - 0.2)), t(x), t(y),
        t(one), margin=0.2,
    )  # fmt: skip
    z = rng.normal(size=(4, 3))

    def dist(a, b):
        return np.linalg.norm(a - b + 1e-6, axis=1)

    plain = np.maximum(0, dist(x, y) - dist(x, z) + 1)
    check(F.triplet_margin_loss, plain, t(x), t(y), t(z))
    swapped = np.maximum(0, dist(x, y) - np.minimum(dist(x, z), dist(y, z)) + 1)
    check(F.triplet_margin_loss, swapped, t(x), t(y), t(z), swap=True)
    with pytest.raises(ValueError):
        F.triplet_margin_loss(t(x), t(y), t(z), margin=-1.0)


def test_multi_class_margins(xy, rng):
    x = xy[0]
    target = np.array([2, 0, 1, 1])
    for p in (1, 2):
        want = np.array(
            [
                sum(max(0, 0.8 - x[n, k] + x[n, j]) ** p for j in range(3) if j != k) / 3
                for n, k in enumerate(target)
            ]
        )
        check(F.multi_margin_loss, want, t(x), fb.tensor(target), p=p, margin=0.8)
    labels = np.array([[1, -1, 0], [2, 0, -1], [-1, 1, 2], [0, 1, 2]])
    want = []
    for n, row in enumerate(labels):
        own = list(itertools.takewhile(lambda v: v >= 0, row))
        want.append(
            sum(max(0, 1 - x[n, k] + x[n, j]) for k in own for j in range(3) if j not in own) / 3
        )
    check(F.multilabel_margin_loss, np.array(want), t(x), fb.tensor(labels))
    yes = (labels > 0).astype(float)
    p = 1 / (1 + np.exp(-x))
    bce = -(yes * np.log(p) + (1 - yes) * np.log(1 - p)).mean(1)
    check(F.multilabel_soft_margin_loss, bce, t(x), t(yes))


def collapse(path, blank):
    """The labels of an alignment: repeats merged, then blanks removed."""
    return [k for k, _ in itertools.groupby(path) if k != blank]


@pytest.mark.parametrize("labels", [[1], [1, 2], [1, 1], []])
def test_ctc_is_the_sum_over_all_alignments(labels, rng):
    logp = np.log(softmax(rng.normal(size=(4, 3)), 1))
    total = sum(
        np.exp(sum(logp[i, k] for i, k in enumerate(path)))
        for path in itertools.product(range(3), repeat=4)
        if collapse(path, 0) == labels
    )
    got = F.ctc_loss(
        t(logp[:, None]), fb.tensor([labels or [0]]), fb.tensor([4]), fb.tensor([len(labels)]),
        reduction="none",
    )  # fmt: skip
    close(got, [-np.log(total)])


def test_ctc_batches_lengths_and_impossible_targets(rng):
    logp = np.log(softmax(rng.normal(size=(6, 2, 4)), 2))
    lengths = fb.tensor([6, 4]), fb.tensor([3, 2])
    both = F.ctc_loss(t(logp), fb.tensor([[1, 2, 2], [3, 1, 0]]), *lengths, reduction="none")
    joined = F.ctc_loss(t(logp), fb.tensor([1, 2, 2, 3, 1]), *lengths, reduction="none")
    close(both, joined.detach().numpy())
    alone = F.ctc_loss(
        t(logp[:4, 1:]), fb.tensor([[3, 1]]), fb.tensor([4]), fb.tensor([2]), reduction="sum"
    )
    close(both[1], float(alone))
    close(
        F.ctc_loss(t(logp), fb.tensor([1, 2, 2, 3, 1]), *lengths), (both / t([3, 2])).mean().item()
    )
    short = t(logp[:2]).requires_grad_()
    args = fb.tensor([[1, 1, 1], [1, 2, 0]]), fb.tensor([2, 2]), fb.tensor([3, 2])
    assert float(F.ctc_loss(short, *args, reduction="none")[0]) == math.inf
    loss = F.ctc_loss(short, *args, reduction="sum", zero_infinity=True)
    loss.backward()
    assert math.isfinite(float(loss)) and np.isfinite(short.grad.numpy()).all()
    assert np.abs(short.grad.numpy()[:, 0]).max() == 0


def test_adaptive_softmax_is_a_distribution(rng):
    m = nn.AdaptiveLogSoftmaxWithLoss(8, 12, [4, 8], div_value=2.0, dtype=fb.float64)
    x = t(rng.normal(size=(5, 8)))
    target = fb.tensor([0, 3, 5, 8, 11])
    logp = m.log_prob(x)
    close(logp.exp().sum(1), np.ones(5))
    out, loss = m(x, target)
    close(out, np.take_along_axis(logp.detach().numpy(), target.numpy()[:, None], 1)[:, 0])
    close(loss, -out.detach().numpy().mean())
    assert m.predict(x).tolist() == logp.argmax(1).tolist()
    with pytest.raises(RuntimeError):
        m(x, fb.tensor([0, 3, 5, 8, 12]))
    with pytest.raises(ValueError):
        nn.AdaptiveLogSoftmaxWithLoss(8, 12, [8, 4])
