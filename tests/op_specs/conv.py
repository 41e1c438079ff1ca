"""Convolutions and their transposes, in one to three dimensions."""

from .base import FLOAT, Bad, S, T, op
from .reference import conv, conv_transpose

F = "nn.functional."
KW = dict(dtypes=FLOAT, tol=8, gtol=3)

op(
    F + "conv1d",
    conv,
    [
        S(T(2, 3, 9), T(4, 3, 3), T(4)),
        S(T(2, 2, 8), T(3, 2, 3), None, 2, 1),
        S(T(1, 4, 9), T(4, 2, 2), T(4), groups=2),
        S(T(1, 2, 10), T(2, 2, 3), dilation=2),
        S(T(3, 7), T(2, 3, 2), T(2)),
        S(T(1, 2, 7), T(2, 2, 4), padding="same"),
        S(T(1, 2, 7), T(2, 2, 3), padding="valid"),
        S(T(0, 2, 7), T(2, 2, 3), T(2)),
        S(T(1, 3, 6), T(3, 1, 3), T(3), 1, 1, 1, 3),
    ],
    big=S(T(8, 16, 300), T(32, 16, 3), T(32), padding=1),
    error=[
        Bad(S(T(1, 3, 8), T(4, 2, 3)), RuntimeError, "3"),
        Bad(S(T(1, 2, 2), T(2, 2, 5)), RuntimeError, "5"),
    ],
    **KW,
)
op(
    F + "conv2d",
    conv,
    [
        S(T(1, 2, 5, 6), T(3, 2, 3, 3), T(3)),
        S(T(2, 2, 5, 5), T(3, 2, 3, 2), None, 2, 1),
        S(T(1, 4, 4, 4), T(4, 2, 1, 1), T(4), groups=2),
        S(T(1, 2, 7, 6), T(1, 2, 2, 2), dilation=(2, 1)),
        S(T(2, 4, 4), T(2, 2, 3, 3), T(2)),
        S(T(1, 2, 4, 5), T(2, 2, 2, 3), padding="same"),
        S(T(1, 1, 6, 6), T(2, 1, 5, 5), T(2)),
        S(T(1, 3, 4, 4), T(6, 1, 3, 3), T(6), 1, 1, 1, 3),
        S(T(0, 2, 4, 4), T(2, 2, 3, 3), T(2)),
        S(T(2, 3, 6, 6), T(2, 3, 1, 1), None, (2, 3)),
        S(T(1, 1, 9, 8), T(1, 1, 4, 3), T(1), (3, 2), (2, 1)),
    ],
    big=S(T(4, 16, 28, 28), T(33, 16, 3, 3), T(33), padding=1),
    error=[
        Bad(S(T(1, 3, 8, 8), T(4, 2, 3, 3)), RuntimeError, "3"),
        Bad(S(T(1, 2, 2, 2), T(2, 2, 5, 5)), RuntimeError, "5"),
        Bad(S(T(1, 4, 5, 5), T(3, 2, 3, 3), groups=2), RuntimeError, "3"),
    ],
    **KW,
)
op(
    F + "conv2d",
    conv,
    [
        S(T(2, 8, 12, 13), T(16, 8, 3, 3), T(16), padding=1),
        S(T(1, 3, 17, 17), T(8, 3, 7, 7), T(8), 2, 3),
        S(T(2, 16, 9, 9), T(32, 16, 1, 1), T(32)),
        S(T(3, 200, 7, 5), T(40, 200, 1, 1), T(40)),
        S(T(2, 32, 14, 14), T(32, 32, 3, 3), T(32), 1, 1),
        S(T(2, 8, 9, 9), T(8, 1, 3, 3), T(8), 2, 1, 1, 8),
        S(T(3, 1, 28, 28), T(10, 1, 5, 5), T(10)),
        S(T(2, 5, 11, 11), T(7, 5, 3, 3), None, 1, 2, 2),
        S(T(2, 40, 13, 10), T(24, 40, 3, 3), T(24), 1, 2),
        S(T(1, 64, 7, 7), T(48, 64, 3, 3), None, padding="same"),
        S(T(2, 64, 6, 9), T(64, 32, 3, 3), T(64), 1, (1, 0), 1, 2),
    ],
    dtypes=("float32", "float64"),
    key="conv2d_sizes",
    tol=30,
    grad=False,
)
op(
    F + "conv3d",
    conv,
    [
        S(T(1, 2, 3, 3, 3), T(2, 2, 2, 2, 2), T(2)),
        S(T(1, 1, 3, 4, 3), T(1, 1, 2, 3, 2), None, 1, 1),
        S(T(1, 2, 3, 3, 3), T(2, 1, 2, 2, 2), groups=2),
        S(T(1, 3, 3, 3), T(1, 1, 2, 2, 2), T(1), 2),
        S(T(2, 2, 3, 2, 3), T(2, 2, 1, 1, 1), T(2)),
        S(T(2, 2, 3, 2, 3), T(2, 2, 1, 1, 2), None, (1, 1, 2), (0, 0, 1)),
        S(T(1, 2, 5, 2, 2), T(2, 1, 2, 1, 1), T(2), (2, 1, 1), (1, 0, 0), (3, 1, 1), 2),
        S(T(2, 1, 6, 3, 3), T(2, 1, 2, 2, 2), None, (3, 1, 1), (2, 1, 0)),
    ],
    big=S(T(2, 4, 9, 10, 11), T(6, 4, 3, 3, 3), T(6), padding=1),
    **KW,
)
op(
    F + "conv_transpose1d",
    conv_transpose,
    [
        S(T(2, 3, 5), T(3, 2, 3), T(2)),
        S(T(1, 2, 4), T(2, 2, 3), None, 2, 1, 1),
        S(T(1, 4, 4), T(4, 1, 3), T(2), groups=2),
        S(T(1, 2, 4), T(2, 1, 3), dilation=2),
    ],
    error=Bad(S(T(1, 3, 8), T(4, 2, 3)), RuntimeError, "3"),
    **KW,
)
op(
    F + "conv_transpose2d",
    conv_transpose,
    [
        S(T(1, 2, 3, 4), T(2, 3, 3, 3), T(3)),
        S(T(1, 2, 3, 3), T(2, 2, 3, 2), None, 2, 1, 1),
        S(T(1, 4, 3, 3), T(4, 1, 2, 2), T(2), 2, groups=2),
        S(T(1, 2, 3, 3), T(2, 1, 2, 2), dilation=(2, 1)),
        S(T(2, 3, 3), T(2, 1, 3, 3), T(1)),
    ],
    big=S(T(4, 16, 14, 14), T(16, 8, 4, 4), T(8), 2, 1),
    error=Bad(S(T(1, 3, 8, 8), T(4, 2, 3, 3)), RuntimeError, "3"),
    **KW,
)
op(
    F + "conv_transpose3d",
    conv_transpose,
    [
        S(T(1, 2, 2, 3, 2), T(2, 1, 2, 2, 2), T(1)),
        S(T(1, 1, 2, 2, 2), T(1, 2, 3, 2, 3), None, 2, 1),
    ],
    **KW,
)
