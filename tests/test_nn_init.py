"""Initialisers: ranges, moments, structure, generators, errors."""

import math

import numpy as np
import pytest

from under_test import fb, submodule

init = submodule("nn.init")


def filled(name, *shape, **options):
    t = fb.empty(*shape)
    assert getattr(init, name)(t, **options) is t
    return t.numpy()


@pytest.mark.parametrize(
    "name, options, std",
    [
        ("xavier_uniform_", {"gain": 2}, 2 * math.sqrt(2 / 500)),
        ("xavier_normal_", {}, math.sqrt(2 / 500)),
        ("kaiming_uniform_", {"nonlinearity": "relu"}, math.sqrt(2 / 200)),
        ("kaiming_normal_", {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / 300)),
        ("kaiming_uniform_", {"a": math.sqrt(5)}, math.sqrt(1 / 3 / 200)),
        ("normal_", {"mean": 1.0, "std": 0.3}, 0.3),
        ("uniform_", {"a": -1.0, "b": 1.0}, 1 / math.sqrt(3)),
    ],
)
def test_moments(name, options, std):
    a = filled(name, 300, 200, **options)
    assert a.std() == pytest.approx(std, rel=0.03)
    assert a.mean() == pytest.approx(options.get("mean", 0), abs=std / 20)
    if "uniform" in name:
        assert np.abs(a).max() == pytest.approx(std * math.sqrt(3), rel=0.01)


def test_truncated_normal_is_the_conditional_distribution():
    from scipy.stats import truncnorm

    a = filled("trunc_normal_", 200, 200, mean=0.5, std=1.0, a=-1.0, b=1.0)
    assert -1 <= a.min() and a.max() <= 1
    want = truncnorm(-1.5, 0.5, loc=0.5)
    assert a.mean() == pytest.approx(want.mean(), abs=0.01)
    assert a.std() == pytest.approx(want.std(), abs=0.01)


def test_constants():
    assert filled("constant_", 2, 2, val=3.0).tolist() == [[3, 3], [3, 3]]
    assert filled("ones_", 2).tolist() == [1, 1] and filled("zeros_", 2).tolist() == [0, 0]
    assert np.array_equal(filled("eye_", 2, 3), np.eye(2, 3))
    d = filled("dirac_", 4, 2, 3, groups=2)
    assert d.sum() == 4 and d[3, 1, 1] == 1 and d[0, 0, 1] == 1


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (4, 2, 3)])
def test_orthogonal(shape):
    a = filled("orthogonal_", *shape, gain=2.0).reshape(shape[0], -1)
    small = a @ a.T if a.shape[0] <= a.shape[1] else a.T @ a
    np.testing.assert_allclose(small, 4 * np.eye(len(small)), atol=1e-5)


def test_sparse():
    a = filled("sparse_", 10, 6, sparsity=0.35)
    assert ((a == 0).sum(0) == 4).all()


def test_a_generator_repeats():
    def draw():
        return filled("normal_", 5, generator=fb.Generator().manual_seed(3)).tolist()

    first = draw()
    fb.rand(3)
    assert draw() == first


def test_fans_gains_and_errors():
    assert init._calculate_fan_in_and_fan_out(fb.empty(6, 4, 3, 2)) == (24, 36)
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    for bad in (
        lambda: init.calculate_gain("sine"),
        lambda: init.xavier_normal_(fb.empty(3)),
        lambda: init.kaiming_normal_(fb.empty(3, 3), mode="fan"),
        lambda: init.eye_(fb.empty(3)),
        lambda: init.dirac_(fb.empty(3, 3)),
        lambda: init.orthogonal_(fb.empty(3)),
    ):
        with pytest.raises(ValueError):
            bad()


def test_gradients_are_not_recorded():
    p = fb.empty(3, 3, requires_grad=True)
    init.normal_(p)
    assert p.is_leaf and p.grad_fn is None
