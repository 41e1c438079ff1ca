"""nn.utils: clipping, vectors, reparametrisations, pruning, fusion, functional_call."""

import math

import numpy as np
import pytest

from under_test import fb, submodule

nn = submodule("nn")
utils = submodule("nn.utils")
prune = submodule("nn.utils.prune")
P = submodule("nn.utils.parametrize")
parametrizations = submodule("nn.utils.parametrizations")


def array(t):
    return t.detach().numpy()


def close(t, want, tol=1e-5):
    np.testing.assert_allclose(array(t), want, rtol=tol, atol=tol)


def with_grads(*grads):
    ps = [nn.Parameter(fb.zeros(len(g))) for g in grads]
    for p, g in zip(ps, grads):
        p.grad = fb.tensor(g)
    return ps


@pytest.mark.parametrize("kind, norm", [(2.0, 13.0), (1.0, 19.0), (math.inf, 12.0)])
def test_clip_by_norm(kind, norm):
    ps = with_grads([3.0, -4.0], [12.0]) + [nn.Parameter(fb.zeros(1))]
    assert float(utils.clip_grad_norm_(ps, 1.3, norm_type=kind)) == pytest.approx(norm)
    close(ps[0].grad, np.array([3, -4]) * 1.3 / norm)
    assert float(utils.get_total_norm([p.grad for p in ps[:2]], kind)) == pytest.approx(1.3)
    before = ps[0].grad.tolist()
    utils.clip_grad_norm_(ps, 5.0, norm_type=kind)
    assert ps[0].grad.tolist() == before
    bad = with_grads([math.nan])
    with pytest.raises(RuntimeError, match="non-finite"):
        utils.clip_grad_norm_(bad, 1.0, error_if_nonfinite=True)


def test_clip_by_value_and_vectors():
    ps = with_grads([3.0, -4.0], [0.5])
    utils.clip_grad_value_(ps, 1.0)
    assert [p.grad.tolist() for p in ps] == [[1, -1], [0.5]]
    utils.vector_to_parameters(fb.arange(3.0), ps)
    assert [p.tolist() for p in ps] == [[0, 1], [2]]
    assert utils.parameters_to_vector(ps).tolist() == [0, 1, 2]
    with pytest.raises(TypeError):
        utils.vector_to_parameters([1.0], ps)


@pytest.mark.parametrize("dim, axes", [(0, (1,)), (1, (0,)), (None, (0, 1))])
def test_weight_norm(dim, axes):
    m = nn.Linear(3, 2)
    w = array(m.weight).copy()
    utils.weight_norm(m, dim=dim)
    assert sorted(m.state_dict()) == ["bias", "weight_g", "weight_v"]
    close(m.weight_g.squeeze(), np.sqrt((w**2).sum(axes)))
    with fb.no_grad():
        m.weight_g *= 2
    x = fb.ones(1, 3)
    close(m(x), 2 * w.sum(1)[None] + array(m.bias))
    m(x).sum().backward()
    assert m.weight_g.grad is not None
    utils.remove_weight_norm(m)
    close(m.weight, 2 * w)
    with pytest.raises(ValueError):
        utils.remove_weight_norm(m)


@pytest.mark.parametrize("apply", [utils.spectral_norm, parametrizations.spectral_norm])
def test_spectral_norm_divides_by_the_largest_singular_value(apply):
    m = nn.Linear(5, 4)
    w = array(m.weight).copy()
    m = apply(m)
    for _ in range(60):
        m(fb.ones(1, 5))
    close(m.weight, w / np.linalg.svd(w)[1][0], 1e-3)


def test_parametrization_computes_and_assigns():
    class Square(nn.Module):
        def forward(self, v):
            return v * v

        def right_inverse(self, v):
            return v.abs().sqrt()

    m = nn.Linear(2, 2)
    want = np.abs(array(m.weight))
    P.register_parametrization(m, "weight", Square())
    assert P.is_parametrized(m, "weight") and type(m).__name__ == "ParametrizedLinear"
    close(m.weight, want)
    m.weight = fb.full((2, 2), 9.0)
    close(m.parametrizations.weight.original, np.full((2, 2), 3.0))
    m(fb.ones(1, 2)).sum().backward()
    close(m.parametrizations.weight.original.grad, np.full((2, 2), 6.0))
    with P.cached():
        assert m.weight is m.weight
    P.remove_parametrizations(m, "weight")
    assert type(m) is nn.Linear and isinstance(m.weight, nn.Parameter)
    close(m.weight, np.full((2, 2), 9.0))
    with pytest.raises(ValueError):
        P.register_parametrization(m, "nothing", Square())


@pytest.mark.parametrize("how", ["matrix_exp", "cayley", "householder"])
@pytest.mark.parametrize("shape", [(4, 4), (5, 3), (3, 5)])
def test_orthogonal_stays_orthogonal(how, shape):
    m = parametrizations.orthogonal(nn.Linear(*shape), orthogonal_map=how)
    with fb.no_grad():
        noise = 0.1 * fb.randn(*shape[::-1]) * (1 - fb.eye(*shape[::-1]))
        m.parametrizations.weight.original.add_(noise)
    w = array(m.weight)
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-5)


def test_weight_norm_as_a_parametrization_reads_old_checkpoints():
    old = utils.weight_norm(nn.Linear(3, 2))
    new = parametrizations.weight_norm(nn.Linear(3, 2))
    new.load_state_dict(old.state_dict())
    x = fb.randn(4, 3)
    close(new(x), array(old(x)))


def test_pruning_masks_and_adds_up():
    m = nn.Linear(4, 3)
    w = array(m.weight).copy()
    prune.l1_unstructured(m, "weight", 4)
    smallest = np.sort(np.abs(w).ravel())[:4]
    assert set(np.abs(w[array(m.weight) == 0])) == set(smallest)
    assert sorted(m.state_dict()) == ["bias", "weight_mask", "weight_orig"]
    prune.ln_structured(m, "weight", 1, n=2, dim=0)
    norms = np.linalg.norm(w * (np.abs(w) > smallest[-1]), axis=1)
    assert (array(m.weight)[norms.argmin()] == 0).all()
    m(fb.ones(1, 4)).sum().backward()
    assert (array(m.weight_orig.grad)[array(m.weight_mask) == 0] == 0).all()
    kept = array(m.weight).copy()
    assert prune.is_pruned(m)
    prune.remove(m, "weight")
    assert not prune.is_pruned(m) and np.array_equal(array(m.weight), kept)
    with pytest.raises(ValueError):
        prune.remove(m, "weight")
    with pytest.raises(ValueError):
        prune.l1_unstructured(m, "weight", 99)
    assert isinstance(m.weight, nn.Parameter)


def test_global_and_random_pruning():
    a, b = nn.Linear(4, 4), nn.Linear(4, 2)
    with fb.no_grad():
        b.weight *= 100
    prune.global_unstructured([(a, "weight"), (b, "weight")], prune.L1Unstructured, amount=10)
    assert int((a.weight == 0).sum()) == 10 and int((b.weight == 0).sum()) == 0
    c = prune.random_unstructured(nn.Linear(10, 10), "weight", 0.3)
    assert int((c.weight == 0).sum()) == 30
    d = prune.custom_from_mask(nn.Linear(2, 1), "weight", fb.tensor([[0, 1]]))
    assert float(d.weight[0, 0]) == 0 and float(d.weight[0, 1]) != 0


def test_fusion_of_batch_norm():
    conv, bn = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)
    for _ in range(3):
        bn(fb.randn(4, 3, 5, 5) * 2 + 1)
    conv, bn = conv.eval(), bn.eval()
    x = fb.randn(2, 2, 6, 6)
    close(utils.fuse_conv_bn_eval(conv, bn)(x), array(bn(conv(x))))
    lin, bn = nn.Linear(4, 3).eval(), nn.BatchNorm1d(3).eval()
    close(utils.fuse_linear_bn_eval(lin, bn)(fb.ones(2, 4)), array(bn(lin(fb.ones(2, 4)))))
    with pytest.raises(AssertionError):
        utils.fuse_conv_bn_eval(conv.train(), bn)


def test_functional_call_swaps_and_restores():
    call = submodule("nn.utils.stateless").functional_call
    m = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1)).eval()
    before = m[0].weight
    w = fb.ones(1, 2, requires_grad=True)
    out = call(m, {"0.weight": w, "1.running_mean": fb.tensor([1.0])}, (fb.ones(1, 2),))
    want = (2 + float(m[0].bias) - 1) / math.sqrt(1 + 1e-5)
    assert float(out) == pytest.approx(want, rel=1e-5)
    out.sum().backward()
    close(w.grad, np.full((1, 2), 1 / math.sqrt(1 + 1e-5)))
    assert m[0].weight is before and before.grad is None


def test_skip_init_and_data_parallel():
    m = utils.skip_init(nn.Linear, 3, 2)
    assert tuple(m.weight.shape) == (2, 3) and m.weight.device.type == "cpu"
    net = nn.DataParallel(nn.Linear(3, 2))
    assert list(net.state_dict()) == ["module.weight", "module.bias"]
    assert tuple(net(fb.ones(1, 3)).shape) == (1, 2)


@pytest.mark.parametrize("dtype", [fb.float32, fb.float64])
def test_clip_by_norm_of_many_shapes(dtype):
    rng = np.random.default_rng(3)
    values = [rng.normal(size=s) for s in [(), (0, 3), (17,), (3, 5), (40000,)]]
    ps = [nn.Parameter(fb.zeros(v.shape, dtype=dtype)) for v in values]
    for p, v in zip(ps, values):
        p.grad = fb.tensor(v, dtype=dtype)
    ps[3].grad = fb.tensor(values[3].T.copy(), dtype=dtype).t()
    norm = math.sqrt(sum((v**2).sum() for v in values))
    got = utils.clip_grad_norm_(ps, 1.0)
    assert got.dtype == dtype and float(got) == pytest.approx(norm, rel=1e-6)
    for p, v in zip(ps, values):
        close(p.grad, v / (norm + 1e-6), 1e-6)
