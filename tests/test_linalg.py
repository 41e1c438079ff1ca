"""`flambeau.linalg`: reconstruction, agreement with NumPy, first and second derivatives, errors."""

import numpy as np
import pytest

import flambeau as fb
from flambeau.autograd import gradcheck, gradgradcheck

R = np.random.RandomState(1)


def rand(*shape, complex=False):
    a = R.randn(*shape)
    return a + 1j * R.randn(*shape) if complex else a


def t(a, grad=False):
    x = fb.from_numpy(np.array(a))
    return x.requires_grad_() if grad else x


def herm(x):
    return x.transpose(-2, -1).conj()


def spd(x):
    return x @ herm(x) + 0.5 * fb.eye(x.shape[-2], dtype=x.dtype)


def close(a, b, tol=1e-9):
    np.testing.assert_allclose(
        a.detach().numpy() if isinstance(a, fb.Tensor) else a,
        b.detach().numpy() if isinstance(b, fb.Tensor) else b,
        rtol=tol,
        atol=tol,
    )


KINDS = pytest.mark.parametrize("cpx", [False, True], ids=["real", "complex"])
SHAPES = pytest.mark.parametrize(
    "shape", [(3, 3), (2, 5, 3), (2, 3, 5), (0, 2, 2), (70, 60)], ids=str
)


@KINDS
@SHAPES
def test_factorisations_rebuild_the_matrix(shape, cpx):
    a = t(rand(*shape, complex=cpx))
    q, r = fb.linalg.qr(a)
    close(q @ r, a)
    u, s, vh = fb.linalg.svd(a, full_matrices=False)
    close(u * s.to(u.dtype).unsqueeze(-2) @ vh, a)
    p, low, up = fb.linalg.lu(a)
    close(p @ low @ up, a)
    close(fb.linalg.pinv(a), np.linalg.pinv(a.numpy()), 1e-7)
    close(a @ fb.linalg.pinv(a) @ a, a)
    m = spd(a)
    low = fb.linalg.cholesky(m)
    close(low @ herm(low), m)
    up = fb.linalg.cholesky(m, upper=True)
    close(herm(up) @ up, m)
    w, v = fb.linalg.eigh(m)
    close(v * w.to(v.dtype).unsqueeze(-2) @ herm(v), m)


@KINDS
@pytest.mark.parametrize("n", [1, 4, 100])
def test_solvers(n, cpx):
    a, b = t(rand(2, n, n, complex=cpx) + 3 * np.eye(n)), t(rand(2, n, 3, complex=cpx))
    x = fb.linalg.solve(a, b)
    close(a @ x, b)
    lu, piv = fb.linalg.lu_factor(a)
    close(fb.linalg.lu_solve(lu, piv, b), x, 1e-7)
    close(herm(a) @ fb.linalg.lu_solve(lu, piv, b, adjoint=True), b, 1e-7)
    close(fb.linalg.solve(a, b.transpose(-2, -1), left=False) @ a, b.transpose(-2, -1), 1e-8)
    low = a.tril()
    close(low @ fb.linalg.solve_triangular(low, b, upper=False), b, 1e-7)
    close(fb.cholesky_solve(b, fb.linalg.cholesky(spd(a))), fb.linalg.solve(spd(a), b), 1e-6)
    for hermitian in (False, True) if cpx else (False,):
        m = a + (herm(a) if hermitian else a.transpose(-2, -1))
        ld, piv = fb.linalg.ldl_factor(m, hermitian=hermitian)
        y = fb.linalg.ldl_solve(ld, piv, b, hermitian=hermitian)
        close(m @ y, b, 1e-6)


@KINDS
def test_against_numpy(cpx):
    a = t(rand(3, 4, 4, complex=cpx))
    n = a.numpy()
    close(fb.linalg.det(a), np.linalg.det(n))
    for got, want in zip(fb.linalg.slogdet(a), np.linalg.slogdet(n)):
        close(got, want)
    for p in (None, 1, -1, 2, -2, "fro", "nuc", np.inf, -np.inf):
        close(fb.linalg.cond(a, p), np.linalg.cond(n, p), 1e-7)
        if p is not None:
            close(fb.linalg.matrix_norm(a, p), np.linalg.norm(n, p, (-2, -1)), 1e-7)
    for k in (-2, 0, 1, 5):
        close(fb.linalg.matrix_power(a, k), np.linalg.matrix_power(n, k), 1e-6)
    close(
        fb.linalg.multi_dot([a[0], a[1], a[2, :, :2]]),
        np.linalg.multi_dot([n[0], n[1], n[2, :, :2]]),
    )
    assert fb.linalg.matrix_rank(a).tolist() == np.linalg.matrix_rank(n).tolist()
    w, v = fb.linalg.eig(a)
    close(a.to(fb.complex128) @ v, v * w.unsqueeze(-2))
    close(
        fb.linalg.tensorinv(a[0].reshape(2, 2, 4), 2), np.linalg.tensorinv(n[0].reshape(2, 2, 4), 2)
    )
    close(
        fb.linalg.matrix_exp(a) @ fb.linalg.matrix_exp(-a),
        np.broadcast_to(np.eye(4), (3, 4, 4)),
        1e-7,
    )


def _gauge(v):
    # eigenvectors are defined up to a phase: look at what does not depend on it
    return v.abs() if v.is_complex() else v * v


GRADS = {
    "cholesky": lambda a: fb.linalg.cholesky(spd(a)),
    "inv": fb.linalg.inv,
    "det": fb.linalg.det,
    "slogdet": lambda a: tuple(fb.linalg.slogdet(a)),
    "solve": lambda a: fb.linalg.solve(a, a[:, :2] * 2),
    "solve_right": lambda a: fb.linalg.solve(a, a[:2] * 2, left=False),
    "triangular": lambda a: fb.linalg.solve_triangular(a, a[:, :2], upper=True),
    "triangular_unit": lambda a: fb.linalg.solve_triangular(
        a, a[:, :2], upper=False, unitriangular=True
    ),
    "eigh": lambda a: (fb.linalg.eigh(spd(a))[0], _gauge(fb.linalg.eigh(spd(a))[1])),
    "eig": lambda a: (fb.linalg.eigvals(a).abs(), fb.linalg.eig(a)[1].abs()),
    "svd": lambda a: tuple(x if i == 1 else _gauge(x) for i, x in enumerate(fb.linalg.svd(a))),
    "svd_tall": lambda a: tuple(
        x if i == 1 else _gauge(x) for i, x in enumerate(fb.linalg.svd(a[:, :2], False))
    ),
    "svd_wide": lambda a: tuple(
        x if i == 1 else _gauge(x) for i, x in enumerate(fb.linalg.svd(a[:2], False))
    ),
    "qr": lambda a: tuple(fb.linalg.qr(a)),
    "qr_tall": lambda a: tuple(fb.linalg.qr(a[:, :2])),
    "qr_wide": lambda a: tuple(fb.linalg.qr(a[:2])),
    "lu": lambda a: tuple(fb.linalg.lu(a)[1:]),
    "lu_tall": lambda a: tuple(fb.linalg.lu(a[:, :2])[1:]),
    "lu_wide": lambda a: tuple(fb.linalg.lu(a[:2])[1:]),
    "lu_solve": lambda a: fb.linalg.lu_solve(*fb.linalg.lu_factor(a), a[:, :2]),
    "pinv": lambda a: fb.linalg.pinv(a[:, :2]),
    "lstsq": lambda a: fb.linalg.lstsq(a[:, :2], a[:, 2:])[0],
    "matrix_exp": fb.linalg.matrix_exp,
    "matrix_power": lambda a: fb.linalg.matrix_power(a, -3),
    "nuclear_norm": lambda a: fb.linalg.matrix_norm(a, "nuc"),
    "cond": lambda a: fb.linalg.cond(a, 1),
    "cholesky_inverse": lambda a: fb.cholesky_inverse(fb.linalg.cholesky(spd(a))),
    "householder": lambda a: fb.linalg.householder_product(a, a[0]),
}


@KINDS
@pytest.mark.parametrize("name", GRADS)
def test_first_and_second_derivatives(name, cpx):
    a = t(
        np.random.RandomState(3).randn(3, 3)
        + 2 * np.eye(3)
        + (1j * np.random.RandomState(4).randn(3, 3) if cpx else 0),
        True,
    )
    assert gradcheck(GRADS[name], (a,))
    assert gradgradcheck(GRADS[name], (a,), atol=1e-4)


def test_det_of_a_singular_matrix_has_its_cofactors():
    a = fb.tensor([[1.0, 2.0], [2.0, 4.0]], dtype=fb.float64, requires_grad=True)
    fb.linalg.det(a).backward()
    close(a.grad, [[4.0, -2.0], [-2.0, 1.0]])


def test_single_precision_stays_single():
    a = fb.eye(3) * 2
    for r in (fb.linalg.inv(a), fb.linalg.svd(a)[1], fb.linalg.cholesky(a), fb.linalg.qr(a)[0]):
        assert r.dtype == fb.float32
    assert fb.linalg.eigvals(a).dtype == fb.complex64


def test_info_instead_of_errors():
    good, bad = np.eye(2), np.zeros((2, 2))
    a = t(np.stack([good, bad]))
    assert fb.linalg.inv_ex(a)[1].tolist() == [0, 1]
    assert fb.linalg.cholesky_ex(a)[1].tolist() == [0, 1]
    assert fb.linalg.solve_ex(a, a)[1].tolist() == [0, 1]
    close(fb.linalg.cholesky_ex(a)[0][0], good)


ERRORS = [
    (
        fb.linalg.LinAlgError,
        "Batch element 1",
        lambda: fb.linalg.inv(t([np.eye(2), np.zeros((2, 2))])),
    ),
    (fb.linalg.LinAlgError, "positive-definite", lambda: fb.linalg.cholesky(-fb.eye(2))),
    (RuntimeError, "square", lambda: fb.linalg.inv(fb.zeros(2, 3))),
    (RuntimeError, "floating point", lambda: fb.linalg.inv(fb.ones(2, 2, dtype=fb.int64))),
    (RuntimeError, "Incompatible", lambda: fb.linalg.solve(fb.eye(2), fb.zeros(3, 1))),
    (
        RuntimeError,
        "same dtype",
        lambda: fb.linalg.solve(fb.eye(2), fb.zeros(2, 1, dtype=fb.float64)),
    ),
    (RuntimeError, "unrecognized mode", lambda: fb.linalg.qr(fb.eye(2), "full")),
    (TypeError, "Tensor", lambda: fb.linalg.inv(3)),
]


@pytest.mark.parametrize("i", range(len(ERRORS)))
def test_errors(i):
    kind, text, f = ERRORS[i]
    with pytest.raises(kind, match=text):
        f()


def positive(n, *lead, dtype=np.float64):
    a = np.random.RandomState(n).randn(*lead, n, n)
    return (a @ np.swapaxes(a, -1, -2) + n * np.eye(n)).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 5, 16, 31, 64, 65, 130, 257])
def test_cholesky_of_any_size(n, dtype):
    tol = 1e-5 if dtype == "float32" else 1e-13
    for lead in ((), (3,)):
        a = positive(n, *lead, dtype=dtype)
        want = np.linalg.cholesky(a.astype(np.float64))
        x = fb.from_numpy(a + np.triu(np.full_like(a, np.nan), 1))  # the upper triangle is not read
        got = fb.linalg.cholesky(x)
        assert got.numpy().dtype == dtype
        np.testing.assert_allclose(got.numpy(), want, rtol=0, atol=tol * max(n, 1))
        upper = fb.linalg.cholesky(x.mT, upper=True).numpy()
        np.testing.assert_allclose(np.swapaxes(upper, -1, -2), want, rtol=0, atol=tol * max(n, 1))


def test_cholesky_names_the_minor():
    for n, k in ((4, 1), (70, 70), (150, 66)):
        a = np.stack([positive(n), positive(n)])
        a[1, k - 1, k - 1] = -1
        low, info = fb.linalg.cholesky_ex(fb.from_numpy(a))
        assert info.tolist() == [0, k]
        np.testing.assert_allclose(low[0].numpy(), np.linalg.cholesky(a[0]))
        with pytest.raises(fb.linalg.LinAlgError, match=f"element 1.*order {k} "):
            fb.linalg.cholesky(fb.from_numpy(a))
        a[1, k - 1, k - 1] = np.nan
        assert fb.linalg.cholesky_ex(fb.from_numpy(a))[1].tolist() == [0, k]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(1, 1), (7, 7), (4, 0), (65, 64), (300, 20), (2, 9, 3), (130, 129)]
)
def test_qr_of_any_size(shape, dtype):
    tol = 2e-6 if dtype == "float32" else 1e-14
    a = np.random.RandomState(1).randn(*shape).astype(dtype)
    for mode in ("reduced", "complete"):
        q, r = (v.numpy() for v in fb.linalg.qr(fb.from_numpy(a), mode))
        want = np.linalg.qr(a.astype(np.float64), mode)
        assert q.shape == want[0].shape and r.shape == want[1].shape and q.dtype == r.dtype == dtype
        m = shape[-2]
        for got, ref in ((q, want[0]), (r, want[1]), (q @ r, a)):
            np.testing.assert_allclose(
                got, ref, rtol=0, atol=tol * m * max(1, np.abs(ref).max(initial=0))
            )


def test_qr_of_odd_matrices():
    a = np.random.RandomState(2).randn(6, 4)
    for b in (a * [1, 0, 1, 1], np.eye(6, 4), np.triu(a), a * 1e200, a * 1e-200, np.zeros((6, 4))):
        q, r = (v.numpy() for v in fb.linalg.qr(fb.from_numpy(np.ascontiguousarray(b))))
        np.testing.assert_allclose(q @ r, b, rtol=1e-12, atol=1e-14 * np.abs(b).max())
        np.testing.assert_allclose(q.T @ q, np.eye(4), atol=1e-14)
    a[2, 1] = np.nan
    assert np.isnan(fb.linalg.qr(fb.from_numpy(a))[0].numpy()).any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m,n,k", [(1, 1, 1), (9, 9, 2), (40, 7, 1), (130, 100, 3), (7, 9, 2)])
def test_lstsq_against_numpy(m, n, k, dtype):
    rng = np.random.RandomState(3)
    a, b = rng.randn(m, n).astype(dtype), rng.randn(m, k).astype(dtype)
    tol = 1e-3 if dtype == "float32" else 1e-10
    for rank in (min(m, n), min(m, n) // 2 + 1):
        c = (a[:, :rank] @ rng.randn(rank, n)).astype(dtype) if rank < min(m, n) else a
        want = np.linalg.lstsq(c.astype(np.float64), b.astype(np.float64), rcond=1e-5)
        for driver in ("gelsy", "gelsd"):
            got = fb.linalg.lstsq(fb.from_numpy(c), fb.from_numpy(b), rcond=1e-5, driver=driver)
            np.testing.assert_allclose(got.solution.numpy(), want[0], rtol=tol, atol=tol)
            assert got.solution.numpy().dtype == dtype and int(got.rank) == want[2]
    batch = fb.linalg.lstsq(fb.from_numpy(np.stack([a, a])), fb.from_numpy(np.stack([b, 2 * b])))
    np.testing.assert_allclose(
        batch.solution[1].numpy(), 2 * batch.solution[0].numpy(), rtol=tol, atol=tol
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 17, 64, 128, 140])
def test_eigh_of_any_size(n, dtype):
    tol = n * (2e-6 if dtype == "float32" else 4e-15)
    rng = np.random.RandomState(n)
    a = rng.randn(n, n)
    a = a + a.T
    q = np.linalg.qr(a)[0] if n else a
    spread, thin = ((q * np.logspace(0, -e, n)) @ q.T for e in (12, 60))
    big = 1e30 if dtype == "float32" else 1e250
    for b in (
        a,
        np.diag(np.diag(a)),
        np.ones((n, n)),
        np.zeros((n, n)),
        spread,
        thin,
        a * big,
        a / big,
    ):
        b = b.astype(dtype)
        scale = np.abs(b).max(initial=0) or 1
        low = fb.from_numpy(np.tril(b) + np.triu(np.full_like(b, np.nan), 1))
        for x, uplo in ((low, "L"), (low.mT, "U")):
            w, v = (y.numpy() / s for y, s in zip(fb.linalg.eigh(x, uplo), (scale, 1)))
            assert w.dtype == v.dtype == dtype
            np.testing.assert_allclose((v * w) @ v.T, b / scale, rtol=0, atol=tol)
            np.testing.assert_allclose(v.T @ v, np.eye(n), rtol=0, atol=tol)
            alone = fb.linalg.eigvalsh(x, uplo).numpy() / scale
            np.testing.assert_allclose(alone, w, rtol=0, atol=tol)
            assert (np.diff(w) >= 0).all() and (np.diff(alone) >= 0).all()


def test_eigh_of_what_is_no_number():
    a = fb.ones(3, 4, 4)
    a[1, 2, 0] = fb.nan
    for f in (fb.linalg.eigh, fb.linalg.eigvalsh):
        with pytest.raises(fb.linalg.LinAlgError, match="element 1.*converge"):
            f(a)
