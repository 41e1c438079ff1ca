"""Recurrent layers and attention."""

from __future__ import annotations

from .base import case, layer, on
from .base import functional as F

G = "recurrent"


def recurrent(kind, steps, batch, size, backward, **kw):
    def make(m):
        net = getattr(m.nn, kind)(size, size, **kw)
        x = m.rand(steps, batch, size)
        if not backward:

            def forward():
                with m.no_grad():
                    return net(x)

            return forward

        def run():
            net.zero_grad()
            net(x)[0].sum().backward()

        return run

    return make


for _kind in ("LSTM", "GRU", "RNN"):
    case(G, f"{_kind} 35x32, 128", recurrent(_kind, 35, 32, 128, False))
    case(G, f"{_kind} 35x32, 128, training", recurrent(_kind, 35, 32, 128, True))
case(G, "LSTM 64x16, 256, 2 layers, training", recurrent("LSTM", 64, 16, 256, True, num_layers=2))
case(G, "LSTM 35x1, 64", recurrent("LSTM", 35, 1, 64, False))
case(
    G,
    "GRU 35x16, 64, both directions, training",
    recurrent("GRU", 35, 16, 64, True, bidirectional=True),
)


def cell(kind):
    def make(m):
        net, x = getattr(m.nn, kind)(64, 64), m.rand(8, 64)

        def run():
            with m.no_grad():
                return net(x)

        return run

    return make


case(G, "LSTMCell 8, 64", cell("LSTMCell"))
case(G, "GRUCell 8, 64", cell("GRUCell"))

G = "attention"
attend = lambda **kw: lambda m, q, k, v: F(m).scaled_dot_product_attention(q, k, v, **kw)
layer(G, "1x8x64x64", [(1, 8, 64, 64)] * 3, attend())
layer(G, "12x4x64x32, causal", [(12, 4, 64, 32)] * 3, attend(is_causal=True))
layer(G, "4x8x256x64, causal", [(4, 8, 256, 64)] * 3, attend(is_causal=True))
layer(G, "1x8x1024x64", [(1, 8, 1024, 64)] * 3, attend())
case(
    G,
    "4x8x256x64, additive mask",
    on(
        [(4, 8, 256, 64)] * 3 + [(256, 256)],
        lambda m, q, k, v, a: F(m).scaled_dot_product_attention(q, k, v, a),
    ),
)
case(G, "4x8x256x64, bfloat16", on([(4, 8, 256, 64)] * 3, attend(), dtype="bfloat16"))


def module(make_net, shape, backward):
    def make(m):
        net = make_net(m.nn)
        x = m.rand(*shape)
        if not backward:
            net.eval()

            def forward():
                with m.no_grad():
                    return net(x) if not isinstance(net, m.nn.MultiheadAttention) else net(x, x, x)

            return forward

        def run():
            net.zero_grad()
            net(x).sum().backward()

        return run

    return make


case(
    G,
    "MultiheadAttention 8x64x128",
    module(lambda nn: nn.MultiheadAttention(128, 4, batch_first=True), (8, 64, 128), False),
)
_ENCODER = lambda nn: nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True)
case(G, "TransformerEncoderLayer 8x64x128", module(_ENCODER, (8, 64, 128), False))
case(G, "TransformerEncoderLayer 8x64x128, training", module(_ENCODER, (8, 64, 128), True))
