"""What goes through the host for a GPU: results and gradients come back to the GPU, and agree."""

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda

RNG = np.random.default_rng(0)
SQUARE = RNG.standard_normal((2, 4, 4))
POSITIVE = SQUARE @ SQUARE.transpose(0, 2, 1) + 4 * np.eye(4)
TALL = RNG.standard_normal((5, 3))
SIGNAL = RNG.standard_normal((3, 8))
L = fb.linalg

CASES = {
    "cholesky": (L.cholesky, POSITIVE),
    "inv": (L.inv, POSITIVE),
    "det": (L.det, SQUARE),
    "slogdet": (lambda a: L.slogdet(a)[1], SQUARE),
    "solve": (lambda a, b: L.solve(a, b), POSITIVE, SQUARE),
    "solve_triangular": (lambda a, b: L.solve_triangular(a, b, upper=True), POSITIVE, SQUARE),
    "eigh": (lambda a: L.eigh(a)[0], POSITIVE),
    "eigvalsh": (L.eigvalsh, POSITIVE),
    "svdvals": (L.svdvals, TALL),
    "svd": (lambda a: L.svd(a, full_matrices=False)[1], TALL),
    "qr": (lambda a: L.qr(a)[1].abs(), TALL),
    "lu": (lambda a: L.lu(a)[2], SQUARE),
    "lu_factor": (lambda a: L.lu_factor(a)[0], SQUARE),
    "pinv": (L.pinv, TALL),
    "matrix_rank": (L.matrix_rank, SQUARE),
    "matrix_power": (lambda a: L.matrix_power(a, -2), POSITIVE),
    "matrix_exp": (L.matrix_exp, SQUARE),
    "lstsq": (lambda a, b: L.lstsq(a, b)[0], TALL, RNG.standard_normal((5, 2))),
    "cond": (L.cond, POSITIVE),
    "norm": (lambda a: L.matrix_norm(a, 2), SQUARE),
    "cholesky_inverse": (fb.cholesky_inverse, np.linalg.cholesky(POSITIVE)),
    "fft": (lambda x: fb.view_as_real(fb.fft.fft(x)), SIGNAL),
    "ifft": (lambda x: fb.view_as_real(fb.fft.ifft(x, n=5)), SIGNAL),
    "rfft": (lambda x: fb.view_as_real(fb.fft.rfft(x)), SIGNAL),
    "irfft": (lambda x: fb.fft.irfft(x.to(fb.complex128)), SIGNAL),
    "fft2": (lambda x: fb.view_as_real(fb.fft.fft2(x)), SIGNAL),
    "hfft": (lambda x: fb.fft.hfft(x.to(fb.complex128)), SIGNAL),
    "fftshift": (fb.fft.fftshift, SIGNAL),
    "stft": (
        lambda x: fb.view_as_real(
            fb.stft(x, 4, window=fb.ones_like(x[0, :4]), return_complex=True)
        ),
        SIGNAL,
    ),
}
NO_GRADIENT = {"matrix_rank", "cholesky_inverse"}


def computed(f, arrays, device, gradient):
    tensors = [fb.tensor(a, device=device).requires_grad_(gradient) for a in arrays]
    out = f(*tensors)
    assert out.device.type == device
    got = [out.detach()]
    if gradient:
        out.backward(fb.arange(out.numel(), device=device).reshape(out.shape).to(out.dtype) + 1)
        assert all(t.grad.device.type == device for t in tensors)
        got += [t.grad for t in tensors]
    return [t.cpu().numpy() for t in got]


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name):
    f, *arrays = CASES[name]
    gradient = name not in NO_GRADIENT
    wanted = computed(f, arrays, "cpu", gradient)
    for a, b in zip(computed(f, arrays, DEVICE, gradient), wanted):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    "make",
    [
        lambda d: fb.eye(4, 3, device=d),
        lambda d: fb.tril_indices(4, 3, device=d),
        lambda d: fb.triu_indices(4, 3, 1, device=d),
        lambda d: fb.hann_window(9, device=d),
        lambda d: fb.kaiser_window(9, device=d),
        lambda d: fb.signal.windows.gaussian(9, device=d),
        lambda d: fb.fft.fftfreq(9, device=d),
        lambda d: fb.fft.rfftfreq(9, device=d),
        lambda d: fb.linspace(0, 1, 7, device=d),
        lambda d: fb.logspace(0, 1, 7, device=d),
        lambda d: fb.diag_embed(fb.arange(4.0, device=d)),
        lambda d: fb.block_diag(fb.ones(2, 2, device=d), fb.ones(1, 3, device=d)),
    ],
)
def test_factories_are_on_the_device(make):
    here = make(DEVICE)
    assert here.device.type == "cuda"
    np.testing.assert_allclose(here.cpu().numpy(), make("cpu").numpy(), rtol=1e-6, atol=1e-7)


FAMILIES = {
    "Normal": lambda p: fb.distributions.Normal(p, p),
    "Uniform": lambda p: fb.distributions.Uniform(p, p + 1),
    "Gamma": lambda p: fb.distributions.Gamma(p, p),
    "Beta": lambda p: fb.distributions.Beta(p, p),
    "Dirichlet": lambda p: fb.distributions.Dirichlet(p),
    "Exponential": lambda p: fb.distributions.Exponential(p),
    "Laplace": lambda p: fb.distributions.Laplace(p, p),
    "StudentT": lambda p: fb.distributions.StudentT(p),
    "Bernoulli": lambda p: fb.distributions.Bernoulli(p / 10),
    "Categorical": lambda p: fb.distributions.Categorical(p),
    "Poisson": lambda p: fb.distributions.Poisson(p),
    "Binomial": lambda p: fb.distributions.Binomial(5, p / 10),
    "Geometric": lambda p: fb.distributions.Geometric(p / 10),
    "MultivariateNormal": lambda p: fb.distributions.MultivariateNormal(p, fb.diag(p)),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_distributions(name):
    results = []
    for device in ("cpu", DEVICE):
        fb.manual_seed(1)
        family = FAMILIES[name](fb.tensor([0.5, 1.0, 4.0], dtype=fb.float64, device=device))
        x = family.sample((4,))
        log = family.log_prob(x)
        assert x.device.type == log.device.type == device
        results.append([x.cpu().numpy(), log.cpu().numpy()])
    for a, b in zip(*results):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9)
