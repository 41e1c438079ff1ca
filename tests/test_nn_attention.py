"""Attention and transformers against NumPy."""

import numpy as np
import pytest

from under_test import fb, submodule

nn = submodule("nn")
F = submodule("nn.functional")


def array(t):
    return t.detach().numpy()


def close(t, want, tol=1e-9):
    assert tuple(t.shape) == np.shape(want)
    np.testing.assert_allclose(array(t), want, rtol=tol, atol=tol)


def data(rng, *shape):
    return fb.tensor(rng.normal(size=shape), dtype=fb.float64)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attention(q, k, v, heads, w, b, wo, bo, mask=0.0):
    """Multi-head attention of (N, L, E) arrays with packed weights; returns (out, weights)."""
    n, length, e = q.shape
    d = e // heads

    def split(x):
        return x.reshape(n, -1, heads, d).transpose(0, 2, 1, 3)

    q, k, v = (split(x @ p.T + c) for x, p, c in zip((q, k, v), np.split(w, 3), np.split(b, 3)))
    weights = softmax(q @ k.transpose(0, 1, 3, 2) / np.sqrt(d) + mask)
    return (weights @ v).transpose(0, 2, 1, 3).reshape(n, length, e) @ wo.T + bo, weights


def module(rng, **options):
    m = nn.MultiheadAttention(8, 2, batch_first=True, dtype=fb.float64, **options)
    for p in m.parameters():
        p.data = data(rng, *p.shape) * 0.3
    return m


def weights_of(m):
    return [
        array(p) for p in (m.in_proj_weight, m.in_proj_bias, m.out_proj.weight, m.out_proj.bias)
    ]


def test_multihead_attention(rng):
    m = module(rng)
    q, kv = data(rng, 2, 5, 8), data(rng, 2, 6, 8)
    want, weights = attention(array(q), array(kv), array(kv), 2, *weights_of(m))
    out, got = m(q, kv, kv)
    close(out, want)
    close(got, weights.mean(1))
    close(m(q, kv, kv, average_attn_weights=False)[1], weights)
    plain, none = m(q, kv, kv, need_weights=False)
    close(plain, want)
    assert none is None
    close(m(q[0], kv[0], kv[0])[0], want[0])


def test_masks_leave_pairs_out(rng):
    m = module(rng)
    x = data(rng, 2, 5, 8)
    padding = np.array([[0, 0, 0, 0, 1], [0, 0, 1, 1, 1]], bool)
    causal = np.triu(np.ones((5, 5), bool), 1)
    mask = np.where(causal[None, None] | padding[:, None, None], -np.inf, 0.0)
    want, weights = attention(*[array(x)] * 3, 2, *weights_of(m), mask=mask)
    options = dict(key_padding_mask=fb.tensor(padding), attn_mask=fb.tensor(causal))
    for need in (True, False):
        out, got = m(x, x, x, need_weights=need, **options)
        close(out, want)
        if need:
            close(got, weights.mean(1))
    bias = data(rng, 4, 5, 5)
    shaped = array(bias).reshape(2, 2, 5, 5)
    close(m(x, x, x, attn_mask=bias)[0], attention(*[array(x)] * 3, 2, *weights_of(m), shaped)[0])
    with pytest.raises(RuntimeError):
        m(x, x, x, attn_mask=fb.zeros(4, 4))
    with pytest.raises(AssertionError):
        m(x, x[:, :3], x)


def test_bias_and_zero_attention_add_two_keys(rng):
    m = module(rng, add_bias_kv=True, add_zero_attn=True)
    x = data(rng, 2, 5, 8)
    out, weights = m(x, x, x)
    assert tuple(weights.shape) == (2, 5, 7)
    close(weights.sum(-1), np.ones((2, 5)))
    masked, w = m(x, x, x, key_padding_mask=fb.ones(2, 5, dtype=fb.bool))
    assert float(w[..., :5].abs().max()) == 0


def test_other_key_sizes_have_separate_weights(rng):
    m = nn.MultiheadAttention(8, 2, kdim=3, vdim=4, dtype=fb.float64)
    assert list(m.state_dict())[:3] == ["q_proj_weight", "k_proj_weight", "v_proj_weight"]
    out, _ = m(data(rng, 5, 2, 8), data(rng, 6, 2, 3), data(rng, 6, 2, 4))
    assert tuple(out.shape) == (5, 2, 8)


def test_scaled_dot_product(rng):
    q, k, v = data(rng, 2, 3, 5, 4), data(rng, 2, 3, 6, 4), data(rng, 2, 3, 6, 7)
    scores = array(q) @ array(k).swapaxes(-1, -2) / 2
    close(F.scaled_dot_product_attention(q, k, v), softmax(scores) @ array(v))
    mask = fb.tensor(np.tril(np.ones((5, 6), bool)))
    want = softmax(np.where(np.tril(np.ones((5, 6), bool)), scores, -np.inf)) @ array(v)
    close(F.scaled_dot_product_attention(q, k, v, attn_mask=mask), want)
    close(F.scaled_dot_product_attention(q, k, v, is_causal=True), want)


def layer_norm(x):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5)


def test_a_row_that_attends_to_nothing_has_no_gradient(rng):
    q, k, v = (fb.tensor(rng.standard_normal((2, n, 4)), requires_grad=True) for n in (3, 5, 5))
    keep = fb.ones(3, 5, dtype=fb.bool)
    keep[1] = False
    y = fb.nn.functional.scaled_dot_product_attention(q, k, v, keep)
    y.sum().backward()
    assert not y[:, 1].any() and not q.grad[:, 1].any()
    assert q.grad[:, 0].all() and k.grad.isfinite().all()


@pytest.mark.parametrize("norm_first", [False, True])
def test_encoder_layer(norm_first, rng):
    m = nn.TransformerEncoderLayer(
        8, 2, 16, dropout=0.0, batch_first=True, norm_first=norm_first, dtype=fb.float64
    )
    x = data(rng, 2, 5, 8)
    a = array(x)

    def attend(v):
        return attention(v, v, v, 2, *weights_of(m.self_attn))[0]

    def feed(v):
        hidden = np.maximum(v @ array(m.linear1.weight).T + array(m.linear1.bias), 0)
        return hidden @ array(m.linear2.weight).T + array(m.linear2.bias)

    if norm_first:
        y = a + attend(layer_norm(a))
        y = y + feed(layer_norm(y))
    else:
        y = layer_norm(a + attend(a))
        y = layer_norm(y + feed(y))
    close(m(x), y, 1e-8)


def test_causal_transformer_does_not_look_ahead(rng):
    m = nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True, dtype=fb.float64)
    src, tgt = data(rng, 2, 5, 8), data(rng, 2, 4, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(4, dtype=fb.float64)
    assert mask.tolist()[1] == [0, 0, -np.inf, -np.inf]
    out = m(src, tgt, tgt_mask=mask)
    changed = tgt.clone()
    changed[:, 3] += 1
    again = m(src, changed, tgt_mask=mask)
    close(again[:, :3], array(out[:, :3]))
    assert float((again[:, 3] - out[:, 3]).abs().max()) > 1e-3
    with pytest.raises(RuntimeError):
        m(src, tgt[:1])
    with pytest.raises(RuntimeError):
        nn.TransformerEncoderLayer(8, 2, activation="sin")


def test_encoder_clones_its_layer(rng):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, dtype=fb.float64)
    m = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8, dtype=fb.float64))
    assert m.layers[0] is not layer and m.layers[0].linear1.weight is not layer.linear1.weight
    x = data(rng, 5, 2, 8)
    close(m(x), layer_norm(array(layer(layer(x)))), 1e-8)
