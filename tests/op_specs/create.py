"""Creation ops: values and dtypes that need no input."""

import numpy as np

from .base import ALL, CPLX, REAL, Bad, S, T, fb, op

KW = dict(grad=False, meta=False, layouts=False, dtypes=("float32",))
DTYPES = (
    "float32",
    "float64",
    "int64",
    "int32",
    "uint8",
    "bool",
    "float16",
    "bfloat16",
    "complex64",
)
_np = lambda d: {"bfloat16": "float32"}.get(d, d)


def make(name, oracle, samples, result="float32", key="", **kw):
    return op(name, oracle, samples, result=result, key=key, **{**KW, **kw})


for _n, _v in (("zeros", 0), ("ones", 1)):
    make(
        _n,
        lambda *s, _v=_v: np.full(s[0] if s and isinstance(s[0], tuple) else s, float(_v)),
        [S(2, 3), S((2, 3)), S(0), S(()), S(4)],
        error=[Bad(S(-1), RuntimeError, ""), Bad(S("a"), TypeError, "")],
    )
    op(
        _n + "_like",
        lambda x, _v=_v: np.full_like(x, _v),
        [S(T(3, 4)), S(T()), S(T(0, 2))],
        dtypes=ALL + CPLX,
        grad=False,
    )
    op(
        "new_" + _n,
        lambda x, s, _v=_v: np.full(s, _v, x.dtype),
        [S(T(2), (2, 3))],
        dtypes=ALL,
        grad=False,
        fn=lambda x, s, _n=_n: getattr(x, "new_" + _n)(s),
    )
    for _d in DTYPES:
        make(
            _n,
            lambda s, _v=_v, _d=_d: np.full(s, _v, _np(_d)),
            [S((2, 3))],
            _d,
            f"{_n}_{_d}",
            fn=lambda s, _n=_n, _d=_d: getattr(fb, _n)(s, dtype=getattr(fb, _d)),
        )
make("full", lambda s, v: np.full(s, v), [S((2, 3), 1.5), S((), -2.0), S((0,), 1.0)])
make("full", lambda s, v: np.full(s, v), [S((2, 3), 3)], "int64", "full_int")
make("full", lambda s, v: np.full(s, v), [S((2,), True)], "bool", "full_bool")
make("full", lambda s, v: np.full(s, v), [S((2,), 1 + 2j)], "complex64", "full_complex")
op("full_like", np.full_like, [S(T(3, 4), 2)], dtypes=ALL[:9], grad=False)
make(
    "arange",
    lambda *a: np.arange(*a, dtype=np.int64),
    [S(5), S(2, 7), S(1, 10, 3), S(5, 0, -2), S(0), S(3, 3)],
    "int64",
    error=[Bad(S(0, 5, -1), RuntimeError, ""), Bad(S(0, 5, 0), RuntimeError, "zero")],
)
make(
    "arange",
    lambda *a: np.arange(*a),
    [S(5.0), S(0, 1, 0.1), S(0.5, 3.0), S(1.0, 0.0, -0.25)],
    key="arange_float",
)
make(
    "linspace",
    np.linspace,
    [S(0, 1, 5), S(-2.0, 3.0, 7), S(1, 1, 3), S(2, 5, 1), S(0, 1, 0)],
    tol=2,
    error=Bad(S(0, 1, -1), RuntimeError, ""),
)
make("logspace", np.logspace, [S(0, 2, 5), S(-1.0, 1.0, 4)], tol=4)
make("eye", np.eye, [S(3), S(2, 4), S(0), S(4, 2)], error=Bad(S(-1), RuntimeError, "-1"))
make(
    "tril_indices",
    lambda r, c, o=0: np.stack(np.tril_indices(r, o, c)),
    [S(3, 4), S(3, 3, -1)],
    "int64",
)
make(
    "triu_indices",
    lambda r, c, o=0: np.stack(np.triu_indices(r, o, c)),
    [S(3, 4), S(3, 3, 1)],
    "int64",
)
for _n in ("hann", "hamming", "blackman", "bartlett"):
    make(
        _n + "_window",
        lambda n, _n=_n: {
            "hann": np.hanning,
            "hamming": np.hamming,
            "blackman": np.blackman,
            "bartlett": np.bartlett,
        }[_n](n + 1)[:-1],
        [S(8), S(7)],
    )

make(
    "tensor",
    np.array,
    [S([1.0, 2.5]), S([[1.0], [2.0]]), S(3.5), S([])],
    error=[Bad(S([[1, 2], [3]]), ValueError, "2"), Bad(S(["a"]), (TypeError, ValueError), "")],
)
make(
    "tensor",
    lambda v: np.array(v, np.int64),
    [S([1, 2]), S(7), S([[1, -1]])],
    "int64",
    "tensor_int",
)
make("tensor", np.array, [S([True, False]), S(True)], "bool", "tensor_bool")
make("tensor", np.array, [S([1j, 2]), S(1 + 1j)], "complex64", "tensor_complex")
make("tensor", np.array, [S([1, 2.5, True])], "float32", "tensor_mixed")
make("as_tensor", np.array, [S([1.0, 2.5])])
make("scalar_tensor", np.array, [S(2.5)])
op(
    "tensor",
    lambda a: a,
    [S(T(3, 4))],
    dtypes=REAL,
    grad=False,
    meta=False,
    key="tensor_numpy",
    fn=lambda t: fb.tensor(t.detach().numpy()),
)
op(
    "clone",
    lambda a: a,
    [S(T(3, 4))],
    dtypes=REAL,
    grad=False,
    meta=False,
    key="to_and_back",
    fn=lambda t: t.to(fb.float64).to(t.dtype),
)
