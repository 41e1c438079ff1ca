"""Random draws that have no kernel: gamma (with its derivative) and Poisson."""

from __future__ import annotations

import flambeau as fb


def _marsaglia(a):
    """Gamma(a, 1) draws for a >= 1, by squeezed rejection (Marsaglia & Tsang 2000)."""
    d = a - 1 / 3
    c = 1 / (9 * d).sqrt()
    out, todo = fb.zeros_like(a), fb.ones_like(a, dtype=fb.bool)
    while bool(todo.any()):
        x, u = fb.randn_like(a), fb.rand_like(a)
        v = (1 + c * x) ** 3
        safe = fb.where(v > 0, v, fb.ones_like(v))
        ok = (v > 0) & (u.log() < 0.5 * x * x + d - d * v + d * safe.log())
        out = fb.where(ok & todo, d * v, out)
        todo = todo & ~ok
    return out


class StandardGamma(fb.autograd.Function):
    """Gamma(a, 1) draws; the derivative is implicit, -dP/da / density (Figurnov et al. 2018)."""

    @staticmethod
    def forward(ctx, a):
        w = a.to(fb.float64)
        small = w < 1
        x = _marsaglia(fb.where(small, w + 1, w))
        x = fb.where(small, x * fb.rand_like(w) ** (1 / w), x)
        x = x.clamp(min=fb.finfo(a.dtype).tiny).to(a.dtype)
        ctx.save_for_backward(a, x)
        return x

    @staticmethod
    def backward(ctx, g):
        a, x = (v.to(fb.float64) for v in ctx.saved_tensors)
        h = 1e-5 * (1 + a)
        # dP/da by a central difference, error about h^2
        low = fb.minimum(h, a * 0.5)
        slope = (fb.special.gammainc(a + low, x) - fb.special.gammainc(a - low, x)) / (2 * low)
        density = ((a - 1) * x.log() - x - fb.lgamma(a)).exp()
        return g * (-slope / density).to(g.dtype)


def standard_gamma(a):
    """Differentiable Gamma(a, 1) draws of the shape of `a`."""
    return StandardGamma.apply(a)


def poisson(rate):
    """Poisson draws: a gamma order statistic halves large rates (Ahrens & Dieter 1974)."""
    lam = rate.detach().to(fb.float64).clone()
    base = fb.zeros_like(lam)
    while bool((lam > 30).any()):
        big = lam > 30
        m = fb.where(big, fb.floor(lam * 7 / 8), fb.ones_like(lam))
        x = _marsaglia(m)
        under = big & (x <= lam)
        over = big & (x > lam)
        more = fb.where(over, binomial((m - 1).clamp(min=0), fb.where(over, lam / x, lam * 0)), m)
        base = base + fb.where(big, more, fb.zeros_like(lam))
        lam = fb.where(under, lam - x, fb.where(over, fb.zeros_like(lam), lam))
    k, p = fb.zeros_like(lam), fb.rand_like(lam)
    limit = (-lam).exp()
    while bool((p > limit).any()):
        go = p > limit
        k = k + go.to(k.dtype)
        p = fb.where(go, p * fb.rand_like(p), p)
    return (base + k).to(rate.dtype)


def binomial(n, p):
    """Binomial draws: beta order statistics halve large counts (Relles 1972), then trials."""
    n, p = (v.detach().to(fb.float64) for v in fb.broadcast_tensors(n, p))
    n, p, base = n.clone(), p.clone(), fb.zeros_like(n)
    while bool((n > 40).any()):
        big = n > 40
        i = fb.where(big, fb.floor(n / 2) + 1, fb.ones_like(n))
        x, y = _marsaglia(i), _marsaglia((n + 1 - i).clamp(min=1))
        b = x / (x + y)
        low = b <= p
        base = base + fb.where(big & low, i, fb.zeros_like(n))
        p = fb.where(big, fb.where(low, (p - b) / (1 - b), p / b), p).clamp(0, 1)
        n = fb.where(big, fb.where(low, n - i, i - 1), n)
    top = int(n.max()) if n.numel() else 0
    for j in range(top):
        base = base + ((fb.rand_like(p) < p) & (n > j)).to(base.dtype)
    return base
