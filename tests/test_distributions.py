"""`flambeau.distributions` against scipy.stats: densities, moments, entropies, draws, KL."""

import numpy as np
import pytest
import scipy.stats as st

import flambeau as fb
import flambeau.distributions as D

F = fb.float64


def t(*v):
    return fb.tensor(list(v) if len(v) > 1 else v[0], dtype=F)


CASES = [
    (D.Normal(t(1.0), t(2.0)), st.norm(1, 2)),
    (D.Uniform(t(-1.0), t(3.0)), st.uniform(-1, 4)),
    (D.Exponential(t(0.5)), st.expon(0, 2)),
    (D.Laplace(t(1.0), t(2.0)), st.laplace(1, 2)),
    (D.Gumbel(t(1.0), t(2.0)), st.gumbel_r(1, 2)),
    (D.Gamma(t(2.5), t(0.5)), st.gamma(2.5, 0, 2)),
    (D.Chi2(t(5.0)), st.chi2(5)),
    (D.Beta(t(2.0), t(3.0)), st.beta(2, 3)),
    (D.StudentT(t(6.0), t(1.0), t(2.0)), st.t(6, 1, 2)),
    (D.HalfNormal(t(2.0)), st.halfnorm(0, 2)),
    (D.Weibull(t(2.0), t(1.5)), st.weibull_min(1.5, 0, 2)),
    (D.Pareto(t(2.0), t(5.0)), st.pareto(5, 0, 2)),
    (D.LogNormal(t(0.5), t(0.4)), st.lognorm(0.4, 0, np.exp(0.5))),
    (D.Bernoulli(t(0.3)), st.bernoulli(0.3)),
    (D.Poisson(t(3.5)), st.poisson(3.5)),
    (D.Poisson(t(300.0)), st.poisson(300)),
    (D.Binomial(t(100.0), t(0.3)), st.binom(100, 0.3)),
    (D.NegativeBinomial(t(4.0), t(0.4)), st.nbinom(4, 0.6)),
    (D.Geometric(t(0.3)), st.geom(0.3, -1)),
]
IDS = [f"{type(d).__name__}-{i}" for i, (d, _) in enumerate(CASES)]


@pytest.mark.parametrize("d,ref", CASES, ids=IDS)
def test_density_and_moments(d, ref):
    x = np.array(ref.rvs(50, random_state=0), dtype=np.float64)
    want = ref.logpmf(x) if hasattr(ref.dist, "logpmf") else ref.logpdf(x)
    np.testing.assert_allclose(d.log_prob(fb.from_numpy(x)).numpy(), want, rtol=1e-8)
    np.testing.assert_allclose(float(d.mean), ref.mean(), rtol=1e-8)
    np.testing.assert_allclose(float(d.variance), ref.var(), rtol=1e-8)


@pytest.mark.parametrize("d,ref", CASES, ids=IDS)
def test_draws_have_the_moments(d, ref):
    fb.manual_seed(0)
    x = d.sample((20000,)).numpy()
    assert x.shape == (20000,)
    np.testing.assert_allclose(x.mean(), ref.mean(), atol=6 * ref.std() / 141)
    np.testing.assert_allclose(x.std(), ref.std(), rtol=0.12)


def test_categorical_family():
    p = t(0.2, 0.3, 0.5)
    c = D.Categorical(p)
    assert c.log_prob(fb.tensor(2)).item() == pytest.approx(np.log(0.5))
    assert c.entropy().item() == pytest.approx(st.entropy(p.numpy()))
    fb.manual_seed(0)
    np.testing.assert_allclose(np.bincount(c.sample((9000,)).numpy()) / 9000, p.numpy(), atol=0.03)
    m = D.Multinomial(5, p)
    assert m.log_prob(t(1.0, 1.0, 3.0)).item() == pytest.approx(
        st.multinomial(5, p.numpy()).logpmf([1, 1, 3])
    )


def test_multivariate():
    cov = t([2.0, 0.5], [0.5, 1.0])
    d = D.MultivariateNormal(t(0.0, 1.0), cov)
    ref = st.multivariate_normal([0, 1], cov.numpy())
    assert d.log_prob(t(0.3, 0.2)).item() == pytest.approx(ref.logpdf([0.3, 0.2]))
    assert d.entropy().item() == pytest.approx(ref.entropy())
    a = t(0.5, 2.0, 3.0)
    assert D.Dirichlet(a).log_prob(t(0.2, 0.3, 0.5)).item() == pytest.approx(
        st.dirichlet(a.numpy()).logpdf([0.2, 0.3, 0.5])
    )


@pytest.mark.parametrize(
    "p,q",
    [
        (D.Normal(t(0.0), t(1.0)), D.Normal(t(1.0), t(2.0))),
        (D.Gamma(t(2.0), t(1.0)), D.Gamma(t(3.0), t(2.0))),
        (D.Beta(t(2.0), t(3.0)), D.Beta(t(1.0), t(2.0))),
        (D.Laplace(t(0.0), t(1.0)), D.Laplace(t(1.0), t(2.0))),
        (D.Normal(t(0.0), t(1.0)), D.Laplace(t(1.0), t(2.0))),
    ],
)
def test_kl_is_the_mean_log_ratio(p, q):
    fb.manual_seed(0)
    x = p.sample((40000,))
    gap = (p.log_prob(x) - q.log_prob(x)).mean().item()
    assert D.kl_divergence(p, q).item() == pytest.approx(gap, abs=0.03)


def test_gamma_draws_carry_gradients():
    fb.manual_seed(0)
    a = t(0.5, 2.0, 20.0).requires_grad_()
    D.Gamma(a, fb.ones(3, dtype=F)).rsample((20000,)).mean(0).sum().backward()
    np.testing.assert_allclose(a.grad.numpy(), 1, atol=0.05)  # the mean of Gamma(a, 1) is a


def test_checks():
    with pytest.raises(ValueError, match="scale"):
        D.Normal(0.0, -1.0)
    with pytest.raises(ValueError, match="support"):
        D.Bernoulli(0.5).log_prob(fb.tensor(2.0))
    with pytest.raises(NotImplementedError, match="KL"):
        D.kl_divergence(D.Cauchy(0.0, 1.0), D.Normal(0.0, 1.0))
