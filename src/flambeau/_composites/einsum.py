"""Einstein summation: the forms of its arguments; the core does the sums."""

from __future__ import annotations

from .. import _C
from ._register import composite

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def _subscripts(labels):
    text = ""
    for s in labels:
        if s is ...:
            text += "..."
            continue
        s = s.__index__()
        if not 0 <= s < 52:
            raise ValueError(
                f"einsum(): subscript in subscript list is not within the valid range [0, 52): {s}"
            )
        text += _LETTERS[s]
    return text


@composite()
def einsum(*args):
    """Products of the operands' elements, summed over the subscripts that the output lacks.

    `einsum(equation, *operands)`, or `einsum(op1, [0, 1], op2, [1, 2], [0, 2])` with lists of
    labels (and `...`). Operands are contracted from left to right, through matrix products.

    >>> import flambeau as fb
    >>> fb.einsum("ij,j->i", fb.tensor([[1, 2], [3, 4]]), fb.tensor([1, 10])).tolist()
    [21, 43]
    """
    if len(args) < 2:
        raise ValueError(
            "einsum(): must specify the equation string and at least one operand, or "
            "at least one operand and its subscripts list"
        )
    equation, operands = args[0], args[1:]
    if isinstance(equation, _C.Tensor):
        terms = [_subscripts(labels) for labels in args[1::2]]
        operands = args[: len(args) // 2 * 2 : 2]
        equation = ",".join(terms)
        if len(args) % 2:
            equation += "->" + _subscripts(args[-1])
    elif len(operands) == 1 and isinstance(operands[0], (list, tuple)):
        operands = operands[0]
    if not isinstance(equation, str):
        raise TypeError(
            "einsum(): the first argument must be the equation (a str) or an operand, "
            f"not {type(equation).__name__}"
        )
    for i, t in enumerate(operands):
        if not isinstance(t, _C.Tensor):
            raise TypeError(f"einsum(): operand {i} must be a Tensor, not {type(t).__name__}")
    return _C._einsum(equation, list(operands))
