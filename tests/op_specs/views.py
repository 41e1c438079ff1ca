"""Views, shape changes, joining and splitting."""

import numpy as np

from .base import ALL, CPLX, INT, REAL, Bad, S, T, op

ANY = ALL + CPLX


def shape_op(name, oracle, samples, **kw):
    kw.setdefault("method", True)
    kw.setdefault("dtypes", ANY)
    return op(name, oracle, samples, exact=True, **kw)


def method_call(name):
    """Calls a name that exists only as a method."""
    return lambda x, *a, **k: getattr(x, name)(*a, **k)


def method_only(name, oracle, samples, **kw):
    return shape_op(name, oracle, samples, fn=method_call(name), method=False, **kw)


shape_op(
    "reshape",
    lambda x, s: x.reshape(s),
    [
        S(T(3, 4), (2, 6)),
        S(T(3, 4), (-1,)),
        S(T(2, 3, 4), (4, -1)),
        S(T(), (1, 1)),
        S(T(0, 3), (3, 0)),
    ],
    error=Bad(S(T(3, 4), (5, 2)), RuntimeError, "5, 2"),
)
method_only(
    "view",
    lambda x, *s: x.reshape(s),
    [S(T(3, 4), 2, 6), S(T(3, 4), -1), S(T(), 1)],
    layouts=False,
    error=Bad(S(T(3, 4), 5), RuntimeError, "5"),
)
method_only("view_as", lambda x, y: x.reshape(y.shape), [S(T(3, 4), T(2, 6))], layouts=False)
method_only("reshape_as", lambda x, y: x.reshape(y.shape), [S(T(3, 4), T(2, 6))])
method_only(
    "expand",
    lambda x, *s: np.broadcast_to(
        x, [d if d >= 0 else x.shape[i - (len(s) - x.ndim)] for i, d in enumerate(s)]
    ),
    [S(T(3, 1), 3, 4), S(T(3, 1), 2, -1, 5), S(T(), 2, 3), S(T(1), 0)],
    error=Bad(S(T(3), 4), RuntimeError, "3"),
)
method_only("expand_as", lambda x, y: np.broadcast_to(x, y.shape), [S(T(3, 1), T(3, 4))])
shape_op("broadcast_to", np.broadcast_to, [S(T(3, 1), (2, 3, 4))])
method_only(
    "repeat",
    lambda x, *s: np.tile(x, s),
    [S(T(3, 4), 2, 1), S(T(3), 2, 2, 3), S(T(2, 2), 1, 0), S(T(), 3)],
)
shape_op("tile", np.tile, [S(T(3, 4), (2,)), S(T(3), (2, 3))])
shape_op(
    "transpose",
    np.swapaxes,
    [S(T(3, 4), 0, 1), S(T(2, 3, 4), -1, 0)],
    error=Bad(S(T(3, 4), 0, 4), IndexError, "4"),
)
shape_op("swapaxes", np.swapaxes, [S(T(2, 3, 4), 0, 2)])
shape_op("swapdims", np.swapaxes, [S(T(2, 3, 4), 0, 2)])
shape_op(
    "permute",
    np.transpose,
    [S(T(2, 3, 4), (2, 0, 1)), S(T(3, 4), (-1, 0)), S(T(), ())],
    error=[Bad(S(T(3, 4), (0, 0)), RuntimeError, ""), Bad(S(T(3, 4), (0,)), RuntimeError, "")],
)
shape_op("movedim", np.moveaxis, [S(T(2, 3, 4), 0, 2), S(T(2, 3, 4), (0, 1), (-1, 0))])
shape_op("moveaxis", np.moveaxis, [S(T(2, 3, 4), 0, 2)])
shape_op(
    "t", np.transpose, [S(T(3, 4)), S(T(3)), S(T())], error=Bad(S(T(2, 3, 4)), RuntimeError, "3")
)
shape_op("adjoint", lambda x: np.conj(np.swapaxes(x, -1, -2)), [S(T(2, 3, 4))])
shape_op(
    "squeeze",
    lambda x, dim=None: np.squeeze(
        x, None if dim is None else tuple(d for d in np.atleast_1d(dim) if x.shape[d] == 1)
    ),
    [S(T(1, 3, 1)), S(T(1, 3, 1), 0), S(T(1, 3, 1), dim=1), S(T(1, 3, 1), (0, 2)), S(T())],
)
shape_op(
    "unsqueeze",
    np.expand_dims,
    [S(T(3, 4), 0), S(T(3, 4), -1), S(T(), 0)],
    error=Bad(S(T(3, 4), 5), IndexError, "5"),
)
shape_op(
    "flatten",
    lambda x, a=0, b=-1: x.reshape(
        x.shape[:a] + (-1,) + (x.shape[b % x.ndim + 1 :] if x.ndim else ())
    ),
    [S(T(2, 3, 4)), S(T(2, 3, 4), 1), S(T(2, 3, 4), 0, 1), S(T(5)), S(T())],
)
shape_op("ravel", np.ravel, [S(T(2, 3)), S(T())])
shape_op(
    "unflatten",
    lambda x, d, s: x.reshape(x.shape[:d] + tuple(s) + x.shape[d + 1 :]),
    [S(T(3, 8), 1, (2, 4)), S(T(6, 2), 0, (3, 2))],
)
shape_op(
    "select",
    lambda x, d, i: np.take(x, i, d),
    [S(T(3, 4), 0, 1), S(T(3, 4), 1, -1)],
    error=Bad(S(T(3, 4), 0, 3), IndexError, "3"),
)
shape_op(
    "narrow",
    lambda x, d, s, n: np.take(x, range(s, s + n), d),
    [S(T(3, 4), 1, 1, 2), S(T(5), 0, 0, 0)],
    error=Bad(S(T(3), 0, 2, 4), RuntimeError, "4"),
)
shape_op(
    "diagonal", np.diagonal, [S(T(3, 4)), S(T(4, 4), 1), S(T(3, 4), -1), S(T(2, 3, 4), 0, 1, 2)]
)
shape_op("diag", np.diag, [S(T(3, 4)), S(T(3)), S(T(3), 1), S(T(4, 4), -1)])
shape_op("diagflat", np.diagflat, [S(T(2, 2)), S(T(3), 1)])
shape_op(
    "diag_embed",
    lambda x, offset=0, a=-2, b=-1: np.moveaxis(
        np.stack([np.diag(r, offset) for r in x]), (-2, -1), (a, b)
    ),
    [S(T(2, 3)), S(T(2, 3), 1), S(T(2, 3), -1, 0, 2), S(T(2, 3), 0, 1, 0)],
    error=[Bad(S(T(3), 0, 1, 1), RuntimeError, "identical"), Bad(S(T()), IndexError, "range")],
)
shape_op("tril", np.tril, [S(T(3, 4)), S(T(4, 3), 1), S(T(2, 3, 3), -1)], inplace=True, out=True)
shape_op("triu", np.triu, [S(T(3, 4)), S(T(4, 3), 1), S(T(2, 3, 3), -1)], inplace=True, out=True)
shape_op(
    "flip", lambda x, d: np.flip(x, d), [S(T(3, 4), (0,)), S(T(3, 4), (0, -1)), S(T(0, 3), (1,))]
)
shape_op("fliplr", np.fliplr, [S(T(3, 4))])
shape_op("flipud", np.flipud, [S(T(3, 4))])
shape_op(
    "roll",
    lambda x, s, d=None: np.roll(x, s, d),
    [S(T(3, 4), 2), S(T(3, 4), 1, 0), S(T(3, 4), (1, -1), (0, 1)), S(T(0), 1)],
)
shape_op(
    "rot90", lambda x, k=1, dims=(0, 1): np.rot90(x, k, dims), [S(T(3, 4)), S(T(3, 4), 3, (1, 0))]
)


def _windows(x, d, size, step):
    w = np.lib.stride_tricks.sliding_window_view(x, size, axis=d)
    return np.take(w, range(0, w.shape[d], step), d)


method_only(
    "unfold",
    _windows,
    [S(T(7), 0, 3, 2), S(T(3, 6), 1, 2, 2), S(T(6, 2), 0, 4, 1)],
    error=Bad(S(T(3), 0, 5, 1), RuntimeError, "5"),
)
shape_op(
    "as_strided",
    lambda x, size, stride, off=0: np.lib.stride_tricks.as_strided(
        x.reshape(-1)[off:], size, [s * x.itemsize for s in stride]
    ).copy(),
    [S(T(12), (3, 2), (4, 1)), S(T(12), (2, 3), (1, 2), 3), S(T(12), (3, 3), (2, 2))],
    layouts=False,
    dtypes=REAL + INT,
    error=Bad(S(T(4), (3, 3), (3, 1)), RuntimeError, ""),
)
shape_op("clone", np.copy, [S(T(3, 4)), S(T()), S(T(0, 2))])
method_only("contiguous", np.copy, [S(T(3, 4)), S(T())])
shape_op(
    "split",
    lambda x, n, dim=0: np.split(
        x, np.cumsum(n)[:-1] if isinstance(n, list) else range(n, x.shape[dim], n), dim
    ),
    [S(T(7, 2), 3), S(T(3, 6), 2, dim=1), S(T(6), [1, 2, 3])],
    error=Bad(S(T(6), [1, 2]), RuntimeError, "6"),
)
shape_op(
    "chunk",
    lambda x, n, dim=0: np.split(
        x, range(-(-x.shape[dim] // n), x.shape[dim], -(-x.shape[dim] // n)), dim
    ),
    [S(T(7, 2), 3), S(T(3, 6), 2, 1), S(T(5), 4)],
)
shape_op(
    "tensor_split",
    lambda x, n, dim=0: np.array_split(x, n, dim),
    [S(T(7, 2), 3), S(T(3, 6), (1, 4), 1)],
)
shape_op(
    "unbind",
    lambda x, dim=0: [np.take(x, i, dim) for i in range(x.shape[dim])],
    [S(T(3, 4)), S(T(3, 4), 1)],
)
for _n, _f in (("hsplit", np.hsplit), ("vsplit", np.vsplit)):
    shape_op(_n, _f, [S(T(4, 6), 2), S(T(4, 6), (1, 3))])

op(
    "cat",
    lambda ts, dim=0: np.concatenate(ts, dim),
    [
        S([T(2, 3), T(1, 3)]),
        S([T(2, 3), T(2, 2), T(2, 1)], 1),
        S([T(2, 0), T(2, 3)], dim=-1),
        S([T(3)]),
    ],
    dtypes=ANY,
    out=True,
    cgrad=True,
    error=[
        Bad(S([T(2, 3), T(2, 4)]), RuntimeError, "4"),
        Bad(S([]), (RuntimeError, ValueError), ""),
    ],
)
for _n in ("concat", "concatenate"):
    op(_n, lambda ts, dim=0: np.concatenate(ts, dim), [S([T(2, 3), T(1, 3)])], dtypes=REAL)
op(
    "stack",
    lambda ts, dim=0: np.stack(ts, dim),
    [S([T(2, 3), T(2, 3)]), S([T(2, 3)] * 3, 1), S([T(3), T(3)], dim=-1), S([T(), T()])],
    dtypes=ANY,
    out=True,
    error=Bad(S([T(2), T(3)]), RuntimeError, "3"),
)
for _n, _f in dict(
    hstack=np.hstack,
    vstack=np.vstack,
    row_stack=np.vstack,
    dstack=np.dstack,
    column_stack=np.column_stack,
).items():
    op(
        _n,
        _f,
        [S([T(2, 3), T(2, 3)]), S([T(3), T(3)]), S([T(), T()]), S([T(2, 3, 4)] * 2)],
        dtypes=ANY,
        out=True,
        error=Bad(S([]), RuntimeError, "non-empty"),
    )
op(
    "block_diag",
    lambda *m: __import__("scipy.linalg").linalg.block_diag(*m),
    [S(T(2, 3), T(1, 2)), S(T(2, 2))],
    dtypes=REAL,
)
op(
    "meshgrid",
    lambda *x, indexing: np.meshgrid(*x, indexing=indexing),
    [S(T(3), T(4), indexing="ij"), S(T(3), T(4), indexing="xy")],
    dtypes=REAL + INT,
)
op(
    "broadcast_tensors",
    lambda *x: [np.array(a) for a in np.broadcast_arrays(*x)],
    [S(T(3, 1), T(4))],
    dtypes=REAL,
)
for _n, _f in dict(
    atleast_1d=np.atleast_1d, atleast_2d=np.atleast_2d, atleast_3d=np.atleast_3d
).items():
    op(_n, _f, [S(T()), S(T(3)), S(T(2, 3)), S(T(2, 1, 2))], dtypes=REAL)
op(
    "cartesian_prod",
    lambda a, b: np.stack(np.meshgrid(a, b, indexing="ij"), -1).reshape(-1, 2),
    [S(T(2), T(3))],
    dtypes=REAL,
)
op(
    "repeat_interleave",
    lambda x, n, dim=None: np.repeat(x, n, dim),
    [S(T(3, 4), 2), S(T(3, 4), 3, 1), S(T(3, 2), T(values=[1, 0, 2], dtype="int64"), 0)],
    dtypes=REAL + INT,
    method=True,
    meta=False,
)
op("kron", np.kron, [S(T(2, 3), T(3, 2)), S(T(2), T(3))], dtypes=REAL + INT, method=True)
op(
    "view_as_real",
    lambda z: np.stack([z.real, z.imag], -1),
    [S(T(3, 4)), S(T()), S(T(0))],
    dtypes=CPLX,
    result="real",
    cgrad=True,
    error=Bad(S(T(2)), RuntimeError, "complex"),
)
op(
    "view_as_complex",
    lambda x: x[..., 0] + 1j * x[..., 1],
    [S(T(3, 4, 2)), S(T(2))],
    dtypes=REAL,
    result="complex",
    layouts=False,
    error=Bad(S(T(3)), RuntimeError, "2"),
)
op(
    "nn.functional.pad",
    lambda x, p, mode="constant", value=0: np.pad(
        x,
        [(0, 0)] * (x.ndim - len(p) // 2) + list(zip(p[0::2], p[1::2]))[::-1],
        constant_values=value,
    ),
    [S(T(3, 4), (1, 2)), S(T(3, 4), (1, 0, 2, 1), value=1.5), S(T(2, 3, 4), (0, 1))],
    dtypes=REAL,
    error=Bad(S(T(3), (1,)), RuntimeError, ""),
)
for _mode, _np in (("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")):
    op(
        "nn.functional.pad",
        lambda x, p, mode, _np=_np: np.pad(
            x, [(0, 0)] * (x.ndim - len(p) // 2) + list(zip(p[0::2], p[1::2]))[::-1], mode=_np
        ),
        [S(T(1, 2, 5), (2, 1), mode=_mode), S(T(1, 2, 4, 5), (1, 2, 2, 1), mode=_mode)],
        dtypes=REAL,
        key="pad_" + _mode,
    )
op(
    "as_strided_scatter",
    lambda x, s, size, stride: np.concatenate([s.reshape(-1), x[s.size :]]),
    [S(T(6), T(2, 2), (2, 2), (2, 1))],
    dtypes=REAL,
    layouts=False,
    grad=False,
)
