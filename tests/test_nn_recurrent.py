"""RNN, LSTM, GRU and their cells against NumPy step loops; packed sequences."""

import numpy as np
import pytest

from under_test import fb, submodule

nn = submodule("nn")
R = submodule("nn.utils.rnn")


def array(t):
    return t.detach().numpy()


def close(t, want):
    assert tuple(t.shape) == np.shape(want)
    np.testing.assert_allclose(array(t), want, rtol=1e-9, atol=1e-9)


def data(rng, *shape):
    return fb.tensor(rng.normal(size=shape), dtype=fb.float64)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def step(kind, w, x, state):
    """One step by the textbook: w maps names to arrays; state is a tuple (h,) or (h, c)."""
    h = state[0]
    a = x @ w["weight_ih"].T + w["bias_ih"]
    b = h @ w["weight_hh"].T + w["bias_hh"]
    if kind == "RNN":
        return (np.tanh(a + b),)
    if kind == "GRU":
        (ar, az, an), (br, bz, bn) = np.split(a, 3, -1), np.split(b, 3, -1)
        r, z = sigmoid(ar + br), sigmoid(az + bz)
        return ((1 - z) * np.tanh(an + r * bn) + z * h,)
    i, f, g, o = np.split(a + b, 4, -1)
    c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return (h @ w["weight_hr"].T if "weight_hr" in w else h), c


def run(m, kind, x, state):
    """All layers and directions of m over x (T, N, in); state arrays are (L * D, N, size)."""
    sides, finals = ("", "_reverse")[: 2 if m.bidirectional else 1], []
    for layer in range(m.num_layers):
        outs = []
        for d, side in enumerate(sides):
            tail = f"_l{layer}{side}"
            w = {k[: -len(tail)]: array(p) for k, p in m.named_parameters() if k.endswith(tail)}
            now = tuple(s[layer * len(sides) + d] for s in state)
            out = np.empty((*x.shape[:2], state[0].shape[-1]))
            for i in range(len(x))[:: -1 if side else 1]:
                now = step(kind, w, x[i], now)
                out[i] = now[0]
            outs.append(out)
            finals.append(now)
        x = np.concatenate(outs, -1)
    return x, tuple(np.stack([f[i] for f in finals]) for i in range(len(state)))


CASES = [
    (kind, options)
    for kind in ("RNN", "GRU", "LSTM")
    for options in ({}, {"num_layers": 2, "bidirectional": True})
] + [("LSTM", {"proj_size": 2, "num_layers": 2, "bidirectional": True})]


@pytest.mark.parametrize("kind, options", CASES)
def test_against_a_step_loop(kind, options, rng):
    m = getattr(nn, kind)(4, 3, dtype=fb.float64, **options)
    count = m.num_layers * (2 if m.bidirectional else 1)
    x = data(rng, 5, 2, 4)
    h = data(rng, count, 2, options.get("proj_size", 3))
    hx = (h, data(rng, count, 2, 3)) if kind == "LSTM" else h
    state = tuple(array(s) for s in hx) if kind == "LSTM" else (array(h),)
    want, final = run(m, kind, array(x), state)
    out, end = m(x, hx)
    close(out, want)
    for got, expected in zip(end if kind == "LSTM" else (end,), final):
        close(got, expected)


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_layouts_agree(kind, rng):
    m = getattr(nn, kind)(4, 3, dtype=fb.float64)
    first = getattr(nn, kind)(4, 3, batch_first=True, dtype=fb.float64)
    first.load_state_dict(m.state_dict())
    x = data(rng, 5, 2, 4)
    out, _ = m(x)
    close(first(x.transpose(0, 1))[0], array(out.transpose(0, 1)))
    close(m(x[:, 0])[0], array(out[:, 0]))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("lengths", [[5, 3, 1], [2, 5, 4]])
def test_packed_equals_each_sequence_alone(kind, lengths, rng):
    m = getattr(nn, kind)(4, 3, num_layers=2, bidirectional=True, dtype=fb.float64)
    x = data(rng, 5, 3, 4)
    sort = lengths == sorted(lengths, reverse=True)
    packed = R.pack_padded_sequence(x, fb.tensor(lengths), enforce_sorted=sort)
    out, end = m(packed)
    padded, back = R.pad_packed_sequence(out)
    assert back.tolist() == lengths
    for i, n in enumerate(lengths):
        alone, last = m(x[:n, i])
        close(padded[:n, i], array(alone))
        assert float(padded[n:, i].abs().sum()) == 0
        for a, b in zip(end, last) if kind == "LSTM" else ((end, last),):
            close(a[:, i], array(b))


@pytest.mark.parametrize("kind", ["RNN", "GRU", "LSTM"])
def test_cells(kind, rng):
    m = getattr(nn, kind + "Cell")(4, 3, dtype=fb.float64)
    w = {k: array(p) for k, p in m.named_parameters()}
    x, h, c = data(rng, 2, 4), data(rng, 2, 3), data(rng, 2, 3)
    lstm = kind == "LSTM"
    want = step(kind, w, array(x), (array(h), array(c)) if lstm else (array(h),))
    got = m(x, (h, c)) if lstm else (m(x, h),)
    for a, b in zip(got, want):
        close(a, b)
    zero = np.zeros((1, 3))
    start = step(kind, w, array(x[:1]), (zero, zero) if lstm else (zero,))[0][0]
    close(m(x[0])[0] if lstm else m(x[0]), start)


def test_state_dict_keys():
    names = list(nn.LSTM(4, 3, bidirectional=True, proj_size=2).state_dict())
    one = ["weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_hr_l0"]
    assert names == one + [n + "_reverse" for n in one]
    assert list(nn.GRU(4, 3, bias=False).state_dict()) == ["weight_ih_l0", "weight_hh_l0"]


def test_errors():
    m = nn.LSTM(4, 3)
    x = fb.zeros(5, 2, 4)
    with pytest.raises(RuntimeError, match="Expected 4, got 3"):
        m(fb.zeros(5, 2, 3))
    with pytest.raises(RuntimeError, match="Expected hidden"):
        m(x, (fb.zeros(1, 3, 3), fb.zeros(1, 2, 3)))
    with pytest.raises(ValueError):
        m(x.double())
    with pytest.raises(ValueError):
        nn.RNN(4, 3, nonlinearity="sin")
    with pytest.raises(ValueError):
        nn.GRU(4, 0)
    with pytest.raises(RuntimeError):
        R.pack_padded_sequence(x, fb.tensor([1, 5]))
    with pytest.raises(RuntimeError):
        R.pack_padded_sequence(x, fb.tensor([5, 0]))


def test_packing_and_padding_sequences():
    a, b = fb.tensor([1.0, 2.0, 3.0]), fb.tensor([4.0])
    packed = R.pack_sequence([b, a], enforce_sorted=False)
    assert packed.data.tolist() == [1, 4, 2, 3] and packed.batch_sizes.tolist() == [2, 1, 1]
    assert packed.sorted_indices.tolist() == [1, 0]
    assert [s.tolist() for s in R.unpack_sequence(packed)] == [[4.0], [1, 2, 3]]
    assert R.pad_sequence([a, b]).tolist() == [[1, 4], [2, 0], [3, 0]]
    left = R.pad_sequence([a, b], batch_first=True, padding_value=-1, padding_side="left")
    assert left.tolist() == [[1, 2, 3], [-1, -1, 4]]
    full, lengths = R.pad_packed_sequence(packed, batch_first=True, total_length=4)
    assert full.tolist() == [[4, 0, 0, 0], [1, 2, 3, 0]] and lengths.tolist() == [1, 3]
    assert packed.double().data.dtype == fb.float64
    with pytest.raises(ValueError):
        R.pad_packed_sequence(packed, total_length=2)


def test_dropout_between_layers_only_in_training():
    m = nn.GRU(4, 3, num_layers=2, dropout=0.5)
    x = fb.ones(5, 2, 4)
    assert m(x)[0].tolist() != m(x)[0].tolist()
    m.eval()
    assert m(x)[0].tolist() == m(x)[0].tolist()
