"""Random numbers on the CPU: the words by an own Philox, the distributions by scipy.stats."""

import numpy as np
import pytest
import scipy.stats as st

from under_test import fb

MASK = np.uint64(0xFFFFFFFF)


def philox(seed, first, blocks):
    """Words of Philox 4x32-10 (Salmon et al. 2011): `blocks` counter values from `first` on."""
    at = np.arange(first, first + blocks, dtype=np.uint64)
    a, b, c, d = at & MASK, at >> np.uint64(32), np.zeros_like(at), np.zeros_like(at)
    k, j = seed & 0xFFFFFFFF, seed >> 32
    for _ in range(10):
        p, q = np.uint64(0xD2511F53) * a, np.uint64(0xCD9E8D57) * c
        a, b = (q >> np.uint64(32)) ^ b ^ np.uint64(k), q & MASK
        c, d = (p >> np.uint64(32)) ^ d ^ np.uint64(j), p & MASK
        k, j = (k + 0x9E3779B9) & 0xFFFFFFFF, (j + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack([a, b, c, d], 1).ravel()


def numbers(seed, n, first=0):
    """float32 numbers on [0, 1) from the top 24 bits of the words."""
    return ((philox(seed, first, (n + 3) // 4) >> np.uint64(8)) * 2.0**-24)[:n].astype("f")


def normals(seed, n):
    """Box and Muller's transform in double precision."""
    w = philox(seed, 0, (n + 3) // 4).reshape(-1, 2)
    radius = np.sqrt(-2 * np.log((w[:, 0] >> np.uint64(1)) * 2.0**-31 + 2.0**-32))
    angle = w[:, 1] * (2 * np.pi * 2.0**-32)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).ravel()[:n]


@pytest.mark.parametrize("n", [1, 3, 31, 64, 65, 130, 1000, 1023, 1024, 1025, 16385, 40001])
@pytest.mark.parametrize("seed", [0, 12345678901234])
def test_numbers_follow_from_seed_and_place(n, seed):
    fb.manual_seed(seed)
    np.testing.assert_array_equal(fb.rand(n).numpy(), numbers(seed, n))
    after = (n + 3) // 4
    np.testing.assert_array_equal(fb.rand(9).numpy(), numbers(seed, 9, after))
    fb.manual_seed(seed)
    np.testing.assert_allclose(fb.randn(n).numpy(), normals(seed, n), rtol=2e-6, atol=2e-6)
    fb.manual_seed(seed)
    logs = -np.log((philox(seed, 0, after) >> np.uint64(1)) * 2.0**-31 + 2.0**-32)[:n] / 3
    np.testing.assert_allclose(fb.empty(n).exponential_(3).numpy(), logs, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("fill", ["normal_", "uniform_", "exponential_", "random_"])
def test_what_no_cache_holds_gets_the_same_numbers(fill):
    dtype = fb.int64 if fill == "random_" else fb.float32
    n = 5_300_001 if dtype == fb.float32 else 2_700_001
    args = (1000,) if fill == "random_" else ()

    def make(n):
        return getattr(fb.empty(n, dtype=dtype), fill)(*args)

    fb.manual_seed(7)
    whole = make(n)
    fb.manual_seed(7)
    parts = [make(1_000_000) for _ in range(n // 1_000_000)]
    parts.append(make(n % 1_000_000))
    assert fb.equal(whole, fb.cat(parts))


DRAWS = [
    ("rand", lambda n: fb.rand(n), st.uniform()),
    ("rand64", lambda n: fb.rand(n, dtype=fb.float64), st.uniform()),
    ("randn", lambda n: fb.randn(n), st.norm()),
    ("randn64", lambda n: fb.randn(n, dtype=fb.float64), st.norm()),
    ("uniform_", lambda n: fb.empty(n).uniform_(-2, 5), st.uniform(-2, 7)),
    ("normal_", lambda n: fb.empty(n).normal_(3, 2), st.norm(3, 2)),
    ("exponential_", lambda n: fb.empty(n).exponential_(2), st.expon(0, 0.5)),
]


@pytest.mark.parametrize("draw,ref", [d[1:] for d in DRAWS], ids=[d[0] for d in DRAWS])
def test_distributions(draw, ref):
    fb.manual_seed(1)
    n = 200_000
    x = draw(n).numpy().astype(np.float64)
    assert st.kstest(x, ref.cdf).pvalue > 1e-3
    for k in (1e-4, 1 - 1e-4):  # the tails hold their share
        beyond = (x < ref.ppf(k)).mean()
        assert abs(beyond - k) < 5 * np.sqrt(1e-4 / n)
    assert abs(np.corrcoef(x[:-1], x[1:])[0, 1]) < 5 / np.sqrt(n)
    assert abs(np.corrcoef(x[::2] ** 2, x[1::2] ** 2)[0, 1]) < 7 / np.sqrt(n)


@pytest.mark.parametrize("dtype", [fb.float32, fb.float64, fb.bfloat16], ids=str)
def test_bernoulli_compares_with_a_uniform_number(dtype):
    p = fb.linspace(0, 1, 5003).to(dtype)
    wide = fb.float64 if dtype == fb.float64 else fb.float32
    fb.manual_seed(5)
    u = fb.rand(5003, dtype=wide)
    want = u < p.to(wide)
    for make in (
        lambda: fb.bernoulli(p),
        lambda: fb.zeros(5003, dtype=dtype).bernoulli_(p),
        lambda: fb.zeros(5003, dtype=fb.bool).bernoulli_(p),
        lambda: fb.zeros(5003, dtype=fb.int32).bernoulli_(p),
        lambda: p.clone().bernoulli_(p),
        lambda: fb.zeros(5003, 2, dtype=wide)[:, 1].bernoulli_(p),
    ):
        fb.manual_seed(5)
        assert fb.equal(make().to(fb.bool), want)
    fb.manual_seed(5)
    own = p.clone()
    assert fb.equal(own.bernoulli_(own).to(fb.bool), want)
    rows = fb.zeros(3, 4, dtype=dtype).bernoulli_(fb.tensor([0.0, 1, 0, 1], dtype=dtype))
    assert rows.tolist() == [[0, 1, 0, 1]] * 3
    assert fb.ones(5).bernoulli_(fb.tensor(0.0)).tolist() == [0] * 5
    assert fb.bernoulli(fb.zeros(0, 3)).shape == (0, 3)


@pytest.mark.parametrize("bad", [-0.1, 1.5, float("nan"), float("inf")])
@pytest.mark.parametrize("at", [0, 1700, 39_999])
def test_bernoulli_names_bad_probabilities(bad, at):
    p = fb.full((40_000,), 0.5)
    p[at] = bad
    for q in (p, p.double(), p[at]):
        with pytest.raises(RuntimeError, match="p_in"):
            fb.bernoulli(q)
    with pytest.raises(RuntimeError, match="expand"):
        fb.zeros(3).bernoulli_(fb.ones(4))


@pytest.mark.parametrize("count", [1, 2, 30])
def test_multinomial_draws_by_weight(count):
    weights = np.array([0.0, 1, 2, 0, 3, 4, 0.0] + [0] * 30 + [0.5] * 30)
    fb.manual_seed(2)
    rows = fb.tensor(weights).expand(20_000, -1)
    drawn = fb.multinomial(rows, count).numpy()
    assert drawn.shape == (20_000, count)
    share = np.bincount(drawn[:, 0], minlength=len(weights)) / 20_000
    np.testing.assert_allclose(share, weights / weights.sum(), atol=0.015)
    assert (np.diff(np.sort(drawn, 1), axis=1) > 0).all()  # without replacement
    if count > 1:  # the second, given that the first was 5: the rest keep their proportions
        after = drawn[drawn[:, 0] == 5, 1]
        rest = np.where(np.arange(len(weights)) == 5, 0, weights)
        share = np.bincount(after, minlength=len(weights)) / len(after)
        np.testing.assert_allclose(share, rest / rest.sum(), atol=0.04)


@pytest.mark.parametrize("n", [1, 2, 3, 7, 8, 1000, 1025])
@pytest.mark.parametrize("count", [1, 7, 8, 9, 301])
def test_multinomial_inverts_the_cumulative_sum(n, count):
    weights = np.random.default_rng(n).random(n) + 0.1
    weights[2::3] = 0
    fb.manual_seed(8)
    u = fb.rand(count, dtype=fb.float64).numpy()
    sums = np.cumsum(weights)
    fb.manual_seed(8)
    drawn = fb.multinomial(fb.tensor(weights), count, replacement=True).numpy()
    np.testing.assert_array_equal(drawn, np.searchsorted(sums, u * sums[-1], side="right"))


@pytest.mark.parametrize("rate", [1e-3, 0.7, 4.0, 9.9, 10.0, 11.0, 35.0, 300.0, 1e6])
def test_poisson_counts(rate):
    fb.manual_seed(9)
    n = 100_000
    x = fb.poisson(fb.full((n,), rate, dtype=fb.float64)).numpy()
    assert (x >= 0).all() and (x == np.floor(x)).all()
    ref = st.poisson(rate)
    edges = np.unique(ref.ppf([0.001, 0.01, 0.05, *np.linspace(0.1, 0.9, 17), 0.95, 0.99, 0.999]))
    share = np.diff(np.concatenate([[0], ref.cdf(edges), [1]]))
    seen = np.bincount(np.searchsorted(edges, x), minlength=len(share))
    assert st.chisquare(seen, share * n).pvalue > 1e-3
    assert abs(x.mean() - rate) < 5 * np.sqrt(rate / n)
    assert abs(x.var() / rate - 1) < 5 * np.sqrt((2 + 1 / rate) / n)


def test_poisson_of_no_rate_and_of_bad_ones():
    assert fb.poisson(fb.zeros(4)).tolist() == [0] * 4
    for bad in (-1.0, float("nan")):
        with pytest.raises(RuntimeError, match="rate"):
            fb.poisson(fb.tensor([1.0, bad]))


@pytest.mark.parametrize("n", [1, 2, 511, 512, 513, 1024, 5000])
def test_permutations(n):
    fb.manual_seed(4)
    p = fb.randperm(n)
    assert p.dtype == fb.int64 and sorted(p.tolist()) == list(range(n))
    fb.manual_seed(4)
    assert fb.equal(fb.randperm(n, dtype=fb.int32), p.to(fb.int32))
    words = philox(4, 0, (2 * n + 3) // 4)
    want = np.arange(n)
    for i in range(n - 1, 0, -1):  # Fisher and Yates
        j = (int(words[2 * i]) | int(words[2 * i + 1]) << 32) * (i + 1) >> 64
        want[[i, j]] = want[[j, i]]
    assert p.tolist() == want.tolist()


def test_permutations_are_fair():
    fb.manual_seed(6)
    seen = np.zeros((5, 5))
    for _ in range(4000):
        seen[np.arange(5), fb.randperm(5).numpy()] += 1
    assert st.chisquare(seen, axis=None).pvalue > 1e-4
