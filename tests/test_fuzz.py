"""Random chains of views, elementwise ops and reductions against NumPy, gradients included."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from under_test import fb

SMOOTH = {
    "sin": (lambda t: t.sin(), np.sin),
    "tanh": (lambda t: t.tanh(), np.tanh),
    "neg": (lambda t: -t, np.negative),
    "half": (lambda t: t / 2, lambda a: a / 2),
    "square": (lambda t: t * t, lambda a: a * a),
    "plus": (lambda t: t + 0.5, lambda a: a + 0.5),
    "sigmoid": (lambda t: t.sigmoid(), lambda a: 1 / (1 + np.exp(-a))),
    "exp": (lambda t: (t * 0.1).exp(), lambda a: np.exp(a * 0.1)),
}


@st.composite
def step(draw, shape):
    """(name, torch-like function, NumPy function) fit for an array of the shape."""
    n = len(shape)
    kinds = ["smooth", "flip", "unsqueeze", "clone"]
    if n:
        kinds += ["slice", "reduce", "select", "roll", "cat"]
    if n >= 2:
        kinds += ["transpose", "permute", "flatten", "broadcast"]
    kind = draw(st.sampled_from(kinds))
    d = draw(st.integers(0, n - 1)) if n else 0
    if kind == "smooth":
        name = draw(st.sampled_from(sorted(SMOOTH)))
        return name, *SMOOTH[name]
    if kind == "slice":
        a, b = sorted(draw(st.tuples(st.integers(0, shape[d]), st.integers(0, shape[d]))))
        cut = (slice(None),) * d + (slice(a, b, draw(st.integers(1, 3))),)
        return f"slice{cut}", lambda t: t[cut], lambda x: x[cut]
    if kind == "select":
        if shape[d] == 0:
            return "clone", lambda t: t.clone(), np.copy
        i = draw(st.integers(-shape[d], shape[d] - 1))
        return f"select{d, i}", lambda t: t.select(d, i), lambda x: np.take(x, i, d)
    if kind == "reduce":
        how = draw(st.sampled_from(["sum", "mean"]))
        keep = draw(st.booleans())
        if shape[d] == 0:
            how = "sum"
        return (
            f"{how}{d, keep}",
            lambda t: getattr(t, how)(d, keepdim=keep),
            lambda x: getattr(np, how)(x, axis=d, keepdims=keep),
        )
    if kind == "transpose":
        e = draw(st.integers(0, n - 1))
        return f"transpose{d, e}", lambda t: t.transpose(d, e), lambda x: np.swapaxes(x, d, e)
    if kind == "permute":
        p = draw(st.permutations(range(n)))
        return f"permute{p}", lambda t: t.permute(*p), lambda x: np.transpose(x, p)
    if kind == "flatten":
        return "flatten", lambda t: t.reshape(-1), lambda x: x.reshape(-1)
    if kind == "unsqueeze":
        return f"unsqueeze{d}", lambda t: t.unsqueeze(d), lambda x: np.expand_dims(x, d)
    if kind == "roll":
        return f"roll{d}", lambda t: t.roll(1, d), lambda x: np.roll(x, 1, d)
    if kind == "cat":
        return (f"cat{d}", lambda t: fb.cat([t, t * 2], d), lambda x: np.concatenate([x, x * 2], d))
    if kind == "broadcast":
        return (
            "broadcast",
            lambda t: t + t.mean(0) if shape[0] else t.clone(),
            lambda x: x + x.mean(0) if shape[0] else x.copy(),
        )
    if kind == "flip":
        axes = (d,) if n else ()
        return f"flip{axes}", lambda t: t.flip(axes), lambda x: np.flip(x, axes)
    return "clone", lambda t: t.clone(), np.copy


@st.composite
def chains(draw):
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=0, max_size=4)))
    seed = draw(st.integers(0, 2**16))
    a = np.random.default_rng(seed).uniform(-1, 1, shape)
    steps, x = [], a
    for _ in range(draw(st.integers(1, 7))):
        s = draw(step(x.shape))
        x = s[2](x)
        if x.size > 20_000 or x.ndim > 6:
            break
        steps.append(s)
    return a, steps


@settings(max_examples=200, deadline=None)
@given(chains())
def test_values_of_chains(chain):
    a, steps = chain
    t, x = fb.from_numpy(a.copy() if a.ndim else a.reshape(1).copy()).reshape(a.shape), a
    for name, ours, theirs in steps:
        t, x = ours(t), theirs(x)
        assert tuple(t.shape) == x.shape, name
        np.testing.assert_allclose(t.numpy(), x, rtol=1e-10, atol=1e-12, err_msg=name)


@settings(max_examples=100, deadline=None)
@given(chains())
def test_gradients_of_chains(chain):
    a, steps = chain
    leaf = fb.from_numpy(a.reshape(-1).copy()).reshape(a.shape).requires_grad_()

    def numeric(x):
        for _, _, f in steps:
            x = f(x)
        return x.sum()

    t = leaf
    for _, f, _ in steps:
        t = f(t)
    (g,) = fb.autograd.grad(t.sum(), leaf)
    assert tuple(g.shape) == a.shape
    direction = np.random.default_rng(1).uniform(-1, 1, a.shape)
    h = 1e-6
    want = (numeric(a + h * direction) - numeric(a - h * direction)) / (2 * h)
    got = float((g.numpy() * direction).sum())
    assert abs(got - want) <= 1e-6 * max(1.0, abs(want)) + 1e-6


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["add", "mul", "slice", "column", "fill", "copy", "t"]),
        min_size=1,
        max_size=8,
    ),
    st.integers(0, 2**16),
)
def test_in_place_programs(program, seed):
    a = np.random.default_rng(seed).uniform(-1, 1, (4, 4))
    t = fb.from_numpy(a.copy())
    v, w = t, a
    for what in program:
        if what == "add":
            v.add_(1.5)
            w += 1.5
        elif what == "mul":
            v *= 0.5
            w *= 0.5
        elif what == "slice" and w.shape[0] > 1:
            v, w = v[1:], w[1:]
        elif what == "column":
            v[:, 0], w[:, 0] = 3.0, 3.0
        elif what == "fill":
            v[0].fill_(-1)
            w[0] = -1
        elif what == "copy":
            v.copy_(v.clone() * 2)
            w[:] = w * 2
        elif what == "t":
            v, w = v.t(), w.T
    np.testing.assert_allclose(t.numpy(), a, rtol=1e-12)
