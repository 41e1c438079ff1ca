"""The composites of `flambeau.functional` against NumPy, their derived forms and their errors."""

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import gradcheck

R = np.random.RandomState(0)
M = R.randn(4, 5)
V = R.randn(6)
B = R.rand(6) > 0.4


def t(a, grad=False):
    x = fb.from_numpy(np.array(a))
    return x.requires_grad_() if grad else x


def flat(r):
    if isinstance(r, (tuple, list)):
        return [a for x in r for a in flat(x)]
    return [r.numpy() if isinstance(r, fb.Tensor) else np.asarray(r)]


# (name, flambeau's call, NumPy's), arguments are arrays made into tensors
CASES = [
    ("kron", lambda f, a, b: f.kron(a, b), (M[:2, :3], M)),
    ("tile", lambda f, a: f.tile(a, (2, 3)), (M,)),
    ("fliplr", lambda f, a: f.fliplr(a), (M,)),
    ("flipud", lambda f, a: f.flipud(a), (M,)),
    ("rot90", lambda f, a: [f.rot90(a, k) for k in range(-1, 5)], (M,)),
    ("hstack", lambda f, a, b: f.hstack((a, b)), (M, M[:, :2])),
    ("hstack_1d", lambda f, a, b: f.hstack((a, b)), (V, V[:2])),
    ("vstack", lambda f, a: f.vstack((a, a)), (V,)),
    ("dstack", lambda f, a: f.dstack((a, a)), (M,)),
    ("column_stack", lambda f, a: f.column_stack((a, a)), (V,)),
    ("meshgrid_ij", lambda f, a, b: f.meshgrid(a, b, indexing="ij"), (V, V[:2])),
    ("meshgrid_xy", lambda f, a, b: f.meshgrid(a, b, indexing="xy"), (V, V[:2])),
    ("diag_vector", lambda f, a: [f.diag(a, k) for k in (-2, 0, 1)], (V,)),
    ("diag_matrix", lambda f, a: [f.diag(a, k) for k in (-2, 0, 1)], (M,)),
    ("diagflat", lambda f, a: f.diagflat(a, 1), (M[:2, :2],)),
    ("trace", lambda f, a: f.trace(a), (M,)),
    ("inner", lambda f, a, b: f.inner(a, b), (M, M[:2])),
    ("vdot", lambda f, a, b: f.vdot(a, b), (V + 1j, V * 1j)),
    ("tensordot", lambda f, a, b: f.tensordot(a, b, 1), (M, M.T.copy())),
    ("cross", lambda f, a, b: f.cross(a, b), (M[:, :3], M[:, 1:4])),
    ("diff", lambda f, a: [f.diff(a, n) for n in (0, 1, 2, 9)], (M,)),
    ("trapezoid", lambda f, a, b: f.trapezoid(a, b), (V, np.sort(V))),
    ("gradient", lambda f, a: f.gradient(a), (M,)),
    ("corrcoef", lambda f, a: f.corrcoef(a), (M,)),
    ("nanmean", lambda f, a: f.nanmean(a), (np.where(M > 1, np.nan, M),)),
    ("quantile", lambda f, a: f.quantile(a, 0.3), (M,)),
    ("nanquantile", lambda f, a: f.nanquantile(a, 0.3), (np.where(M > 1, np.nan, M),)),
    ("isin", lambda f, a, b: f.isin(a, b), (np.arange(6), np.array([1, 4, 9]))),
    ("isclose", lambda f, a, b: f.isclose(a, b), (V, V + 1e-9)),
    ("isposinf", lambda f, a: f.isposinf(a), (V / 0.0 * B,)),
    ("float_power", lambda f, a: f.float_power(a, 3), (np.arange(4),)),
    ("deg2rad", lambda f, a: f.deg2rad(a), (M,)),
    ("frexp", lambda f, a: f.frexp(a), (np.array([0.0, 1.0, -3.5, 1e-310, 1e308]),)),
    ("ldexp", lambda f, a, b: f.ldexp(a, b), (V, np.arange(6))),
    ("vander", lambda f, a: f.vander(a), (V,)),
    ("argwhere", lambda f, a: f.argwhere(a), (M > 0,)),
    ("unravel_index", lambda f, a: f.unravel_index(a, (4, 5)), (np.arange(20)[::3].copy(),)),
    ("hsplit", lambda f, a: f.hsplit(a, 5), (M,)),
    ("vsplit", lambda f, a: f.vsplit(a, [1, 3]), (M,)),
    ("broadcast_to", lambda f, a: f.broadcast_to(a, (3, 6)), (V,)),
    ("moveaxis", lambda f, a: f.moveaxis(a, 0, 1), (M,)),
    ("ravel", lambda f, a: f.ravel(a), (M,)),
    ("histogram", lambda f, a: f.histogram(a, 4), (V,)),
]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name,call,args", CASES, ids=[c[0] for c in CASES])
def test_matches_numpy(name, call, args):
    got, want = flat(call(fb, *map(t, args))), flat(call(np, *args))
    assert len(got) == len(want)
    for g, w in zip(got, want):
        assert g.shape == w.shape
        np.testing.assert_allclose(g, w, rtol=1e-9, atol=1e-9)


DIFFERENTIABLE = {
    "kron": lambda a: fb.kron(a, a[:2]),
    "cov": lambda a: fb.cov(a),
    "corrcoef": lambda a: fb.corrcoef(a),
    "quantile": lambda a: fb.quantile(a, 0.4, dim=1),
    "cdist": lambda a: fb.cdist(a, a[:2] + 3),
    "cdist_1": lambda a: fb.cdist(a, a[:2] + 3, p=1.0),
    "pdist": lambda a: fb.pdist(a),
    "renorm": lambda a: fb.renorm(a, 2, 0, 0.5),
    "tensordot": lambda a: fb.tensordot(a, a, dims=([0, 1], [0, 1])),
    "gradient": lambda a: fb.gradient(a, edge_order=2),
    "cumulative_trapezoid": lambda a: fb.cumulative_trapezoid(a),
    "diag_embed": lambda a: fb.diag_embed(a, 1),
    "block_diag": lambda a: fb.block_diag(a, a[0]),
    "repeat_interleave": lambda a: fb.repeat_interleave(a, fb.tensor([2, 0, 1, 1]), 0),
    "slice_scatter": lambda a: fb.slice_scatter(a, a[:2] * 2, 0, 1, 3),
    "diagonal_scatter": lambda a: fb.diagonal_scatter(a, a[:, 0] * 3),
    "nanmean": lambda a: fb.nanmean(a, 1),
    "nanmedian": lambda a: fb.nanmedian(a, 1)[0],
    "frexp": lambda a: fb.frexp(a)[0],
    "mvlgamma": lambda a: fb.mvlgamma(a.abs() + 3, 2),
    "dist": lambda a: fb.dist(a, a.flip(0) * 2, 3),
    "addbmm": lambda a: fb.addbmm(a[:, :4], a.reshape(1, 4, 5), a.t().reshape(1, 5, 4)),
    "stft": lambda a: fb.view_as_real(
        fb.stft(
            a.reshape(-1), 8, 4, return_complex=True, window=fb.hann_window(8, dtype=fb.float64)
        )
    ),
}


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name):
    assert gradcheck(DIFFERENTIABLE[name], (t(M, True),))


def test_quantile_interpolations():
    for how in ("linear", "lower", "higher", "midpoint", "nearest"):
        got = fb.quantile(t(M), t(np.array([0.1, 0.5, 0.8])), 1, interpolation=how)
        np.testing.assert_allclose(got.numpy(), np.quantile(M, [0.1, 0.5, 0.8], 1, method=how))


def test_cov_weights():
    f, a = np.array([1, 2, 3, 1, 2]), R.rand(5)
    got = fb.cov(t(M), correction=0, fweights=t(f), aweights=t(a))
    np.testing.assert_allclose(got.numpy(), np.cov(M, ddof=0, fweights=f, aweights=a))


def test_histogramdd_matches_numpy():
    x = R.randn(50, 2)
    hist, edges = fb.histogramdd(t(x), [3, 4], density=True)
    want, we = np.histogramdd(x, [3, 4], density=True)
    np.testing.assert_allclose(hist.numpy(), want)
    for e, w in zip(edges, we):
        np.testing.assert_allclose(e.numpy(), w)


def test_unique_consecutive():
    x = t(np.array([1, 1, 2, 2, 2, 1]))
    v, inv, n = fb.unique_consecutive(x, return_inverse=True, return_counts=True)
    assert v.tolist() == [1, 2, 1] and n.tolist() == [2, 3, 1]
    assert v[inv].tolist() == x.tolist()


def test_combinations_and_products():
    import itertools as it

    x = t(np.arange(4))
    assert fb.combinations(x, 3).tolist() == [list(c) for c in it.combinations(range(4), 3)]
    assert fb.combinations(x, 2, True).tolist() == [
        list(c) for c in it.combinations_with_replacement(range(4), 2)
    ]
    assert fb.cartesian_prod(x, x[:2]).tolist() == [list(c) for c in it.product(range(4), range(2))]


def test_istft_inverts_stft():
    x = t(R.randn(2, 64))
    w = fb.hann_window(16, dtype=fb.float64)
    s = fb.stft(x, 16, 4, window=w, return_complex=True)
    np.testing.assert_allclose(
        fb.istft(s, 16, 4, window=w, length=64).numpy(), x.numpy(), atol=1e-9
    )


@pytest.mark.parametrize("name", ["hann", "hamming", "blackman", "bartlett"])
def test_windows(name):
    w = getattr(fb, name + "_window")
    want = getattr(np, {"hann": "hanning"}.get(name, name))
    np.testing.assert_allclose(w(9, periodic=False, dtype=fb.float64).numpy(), want(9), atol=1e-12)
    np.testing.assert_allclose(w(8, dtype=fb.float64).numpy(), want(9)[:8], atol=1e-12)


def test_forms():
    x = fb.tensor([90.0, 180.0])
    out = fb.empty(0)
    assert fb.deg2rad(x, out=out) is out and out.shape == (2,)
    assert x.deg2rad_() is x and x.tolist() == pytest.approx([np.pi / 2, np.pi])
    assert fb.tensor([[1.0, 2.0]]).tile((2,)).shape == (1, 4)
    with pytest.raises(RuntimeError, match="can't be cast"):
        fb.deg2rad(x, out=fb.empty(2, dtype=fb.int64))
    with pytest.raises(RuntimeError, match="automatic differentiation"):
        fb.deg2rad(x.requires_grad_(), out=fb.empty(2))
    assert fb.diff(fb.tensor([[1, 3]]), axis=1).tolist() == [[2]]


ERRORS = [
    (RuntimeError, lambda: fb.broadcast_tensors(fb.zeros(2), fb.zeros(3))),
    (RuntimeError, lambda: fb.block_diag(fb.zeros(1, 1, 1))),
    (RuntimeError, lambda: fb.quantile(fb.zeros(3), 2.0)),
    (RuntimeError, lambda: fb.quantile(fb.zeros(3, dtype=fb.int64), 0.5)),
    (RuntimeError, lambda: fb.meshgrid(fb.zeros(2, 2))),
    (RuntimeError, lambda: fb.tensor_split(fb.zeros(3), 0)),
    (RuntimeError, lambda: fb.repeat_interleave(fb.zeros(3), fb.tensor([1, 2]), 0)),
    (RuntimeError, lambda: fb.cdist(fb.zeros(2, 3), fb.zeros(2, 4))),
    (IndexError, lambda: fb.diff(fb.zeros(3), dim=2)),
    (TypeError, lambda: fb.hstack(fb.zeros(3))),
    (TypeError, lambda: fb.isclose(1, fb.zeros(3))),
    (ValueError, lambda: fb.unravel_index(fb.tensor(1.5), (2,))),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    kind, f = ERRORS[i]
    with pytest.raises(kind):
        f()
