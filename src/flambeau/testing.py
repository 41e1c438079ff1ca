"""Comparing tensors in tests, and making random ones: assert_close, make_tensor."""

from __future__ import annotations

import flambeau as fb

__all__ = ["assert_close", "make_tensor"]

# (rtol, atol) of each dtype, PyTorch's; every other dtype must agree exactly.
_TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5),
    "float64": (1e-7, 1e-7), "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip
_NUMBERS = (bool, int, float, complex)


class _Comparison:
    """The options of one assert_close, and the walk over containers."""

    def __init__(self, rtol, atol, equal_nan, checks):
        self.rtol, self.atol, self.equal_nan, self.checks = rtol, atol, equal_nan, checks

    def tolerances(self, *dtypes):
        """Given ones, or the widest of the dtypes."""
        if self.rtol is not None:
            return self.rtol, self.atol
        pairs = [_TOLERANCES.get(str(d).rpartition(".")[2], (0.0, 0.0)) for d in dtypes]
        return max(p[0] for p in pairs), max(p[1] for p in pairs)

    def compare(self, a, b, where):
        """Raise AssertionError, naming the place, unless the two agree."""
        if _is_sequence(a) and _is_sequence(b):
            if len(a) != len(b):
                _fail(f"The length of the sequences mismatch: {len(a)} != {len(b)}", where)
            for i, (x, y) in enumerate(zip(a, b)):
                self.compare(x, y, (*where, i))
        elif isinstance(a, dict) and isinstance(b, dict):
            missing, extra = [k for k in b if k not in a], [k for k in a if k not in b]
            if missing or extra:
                _fail(
                    "The keys of the mappings do not match:\n"
                    f"Missing keys in the actual mapping: {missing}\n"
                    f"Additional keys in the actual mapping: {extra}",
                    where,
                )
            for k in a:
                self.compare(a[k], b[k], (*where, k))
        elif a is None or b is None:
            if a is not b:
                _fail(f"None mismatch: {a} is not {b}", where)
        elif isinstance(a, _NUMBERS) and isinstance(b, _NUMBERS):
            self.numbers(a, b, where)
        elif isinstance(a, fb.Tensor) and isinstance(b, fb.Tensor):
            self.tensors(a, b, where)
        elif _is_array(a) and _is_array(b):
            self.tensors(fb.as_tensor(a), fb.as_tensor(b), where)
        else:
            raise TypeError(
                f"assert_close: No comparison pair was able to handle inputs of type {type(a)} and "
                f"{type(b)}{_place(where)}: give two tensors, arrays, numbers, or containers of "
                "them alike"
            )

    def numbers(self, a, b, where):
        if isinstance(a, bool) and isinstance(b, bool):
            if a is not b:
                _fail(f"Booleans mismatch: {a} is not {b}", where)
            return
        if self.checks["dtype"] and type(a) is not type(b):
            _fail(f"The (d)types do not match: {type(a)} != {type(b)}.", where)
        names = {int: "int64", float: "float64", complex: "complex128"}
        rtol, atol = self.tolerances(*(names.get(type(v), "bool") for v in (a, b)))
        gap = abs(a - b)
        both_nan = self.equal_nan and a != a and b != b
        if a == b or both_nan or gap <= atol + rtol * abs(b) < float("inf"):
            return
        exact = rtol == atol == 0
        relative = gap / abs(b) if b != 0 else float("inf")
        _fail(
            f"Scalars are not {'equal' if exact else 'close'}!\n\nExpected {b} but got {a}.\n"
            f"Absolute difference: {gap}{_upto(atol, exact)}\n"
            f"Relative difference: {relative}{_upto(rtol, exact)}",
            where,
        )

    def tensors(self, a, b, where):
        """Attributes first, then the values."""
        self.attributes(a, b, where)
        if a.device.type == "meta":
            raise NotImplementedError(
                "assert_close: meta tensors hold no values to compare; "
                "compare their shapes and dtypes"
            )
        rtol, atol = self.tolerances(a.dtype, b.dtype)
        a, b = _wide(a.detach(), b.detach().to(a.device))
        if a.numel() == 0:
            return
        close = fb.isclose(a, b, rtol=rtol, atol=atol, equal_nan=self.equal_nan)
        if not close.all().item():
            _fail(_difference(a, b, close, rtol, atol), where)

    def attributes(self, a, b, where):
        rows = [
            ("shape", a.shape, b.shape, True),
            ("device", a.device, b.device, self.checks["device"]),
            ("dtype", a.dtype, b.dtype, self.checks["dtype"]),
            ("layout", a.layout, b.layout, self.checks["layout"]),
            ("stride()", a.stride(), b.stride(), self.checks["stride"]),
        ]
        for name, x, y, wanted in rows:
            if wanted and x != y:
                x, y = (tuple(v) if name == "shape" else v for v in (x, y))
                _fail(f"The values for attribute '{name}' do not match: {x} != {y}.", where)


def _is_sequence(x):
    return isinstance(x, (tuple, list))


def _is_array(x):
    return type(x).__module__ == "numpy" and hasattr(x, "__array__")


def _place(where):
    return (
        ""
        if not where
        else "\n\nThe failure occurred for item " + "".join(f"[{k!r}]" for k in where)
    )


def _fail(text, where):
    raise AssertionError(text + _place(where))


def _upto(tolerance, exact):
    return "" if exact else f" (up to {tolerance:g} allowed)"


def _wide(a, b):
    """Both in the widest dtype of their kind, where the tolerances mean what they say."""
    if a.is_complex() or b.is_complex():
        wide = fb.complex128
    elif a.is_floating_point() or b.is_floating_point():
        wide = fb.float64
    else:
        wide = fb.int64
    return a.to(wide), b.to(wide)


def _difference(a, b, close, rtol, atol):
    """How many elements differ, and where the most."""
    exact = rtol == atol == 0
    bad = int((~close).sum().item())
    gap = (a - b).abs().to(fb.float64)
    relative = gap / b.abs().to(fb.float64)
    zero = fb.zeros_like(gap)
    # elements that agree do not count, inf - inf and 0 / 0 among them
    gap, relative = fb.where(close, zero, gap), fb.where(close, zero, relative)
    lines = [
        f"Tensor-likes are not {'equal' if exact else 'close'}!",
        "",
        f"Mismatched elements: {bad} / {a.numel()} ({100 * bad / a.numel():.1f}%)",
    ]
    for name, values, limit in (("absolute", gap, atol), ("relative", relative, rtol)):
        at = int(values.reshape(-1).argmax().item())
        worst = values.reshape(-1)[at].item()
        if not a.is_floating_point() and not a.is_complex() and name == "absolute":
            worst = int(worst)
        lines.append(
            f"Greatest {name} difference: {worst} at index {_index(at, a.shape)}"
            + _upto(limit, exact)
        )
    at = int((~close).reshape(-1).to(fb.int64).argmax().item())
    lines.append(
        f"First mismatch at index {_index(at, a.shape)}: got "
        f"{a.reshape(-1)[at].item()}, expected {b.reshape(-1)[at].item()}"
    )
    return "\n".join(lines)


def _index(flat, shape):
    found = []
    for n in reversed(tuple(shape)):
        flat, r = divmod(flat, n)
        found.append(r)
    return tuple(reversed(found))


def assert_close(
    actual,
    expected,
    *,
    allow_subclasses=True,
    rtol=None,
    atol=None,
    equal_nan=False,
    check_device=True,
    check_dtype=True,
    check_layout=True,
    check_stride=False,
    msg=None,
):
    """AssertionError, with what differs and where, unless |a - e| <= atol + rtol |e|.

    Args:
        actual, expected: tensors, NumPy arrays, numbers, None, or nests of lists, tuples and
            dicts of them; both alike (TypeError otherwise).
        rtol, atol: both or neither (ValueError); by default those of the dtype, 0 for integers.
        equal_nan: whether NaN equals NaN.
        check_device, check_dtype, check_layout, check_stride: what else must agree.
        msg: the error's text, or a function from the made text to it.

    >>> import flambeau as fb
    >>> from flambeau.testing import assert_close
    >>> assert_close(fb.tensor([1.0, 2.0]), fb.tensor([1.0, 2.000001]))
    >>> assert_close({"a": 1}, {"a": 2})
    Traceback (most recent call last):
    AssertionError: Scalars are not equal!
    ...
    """
    if (rtol is None) != (atol is None):
        raise ValueError(
            "assert_close: Both 'rtol' and 'atol' must be either specified or "
            f"omitted, but got no {'rtol' if rtol is None else 'atol'}."
        )
    if not allow_subclasses and type(actual) is not type(expected):
        raise TypeError(
            f"assert_close: No comparison pair was able to handle inputs of type "
            f"{type(actual)} and {type(expected)}: allow_subclasses is False"
        )
    checks = dict(device=check_device, dtype=check_dtype, layout=check_layout, stride=check_stride)
    try:
        _Comparison(rtol, atol, equal_nan, checks).compare(actual, expected, ())
    except AssertionError as fault:
        if msg is None:
            raise
        raise AssertionError(msg(str(fault)) if callable(msg) else msg) from None


def _bounds(dtype, low, high):
    """The half-open range to draw from: the given one, or PyTorch's default."""
    if dtype == fb.bool:
        default = (0, 2)
    elif dtype.is_floating_point or dtype.is_complex:
        default = (-9, 9)
    else:
        default = (0 if str(dtype).rpartition(".")[2].startswith("u") else -9, 10)
    low = default[0] if low is None else low
    high = default[1] if high is None else high
    if low != low or high != high:
        raise ValueError(f"make_tensor: `low` and `high` cannot be NaN, but got {low} and {high}")
    if low >= high:
        raise ValueError(
            f"make_tensor: low must be weakly less than high, but got {low} and "
            f"{high}: give a range that holds a value"
        )
    return low, high


def make_tensor(
    *shape,
    dtype,
    device=None,
    low=None,
    high=None,
    requires_grad=False,
    noncontiguous=False,
    exclude_zero=False,
    memory_format=None,
):
    """A tensor of random values, uniform in [low, high).

    Args:
        shape: sizes, or one list of them.
        dtype, device: of the result; the device is the CPU by default.
        low, high: by default [-9, 9) for floats, [-9, 10) for integers, [0, 10) for unsigned.
        requires_grad: for floating and complex dtypes only (ValueError).
        noncontiguous: every second element of a larger storage.
        exclude_zero: replace zeros by the smallest positive value of the dtype (1 for integers).
        memory_format: of the result; not together with noncontiguous (ValueError).

    >>> import flambeau as fb
    >>> from flambeau.testing import make_tensor
    >>> x = make_tensor(2, 3, dtype=fb.int64, low=1, high=4)
    >>> x.shape, bool((x >= 1).all()), bool((x < 4).all())
    (flambeau.Size([2, 3]), True, True)
    """
    if len(shape) == 1 and isinstance(shape[0], (tuple, list)):
        shape = tuple(shape[0])
    inexact = dtype.is_floating_point or dtype.is_complex
    if requires_grad and not inexact:
        raise ValueError(
            f"make_tensor: requires_grad must be False for {dtype}: only floating "
            "and complex tensors have gradients"
        )
    if noncontiguous and memory_format is not None:
        raise ValueError("make_tensor: noncontiguous and memory_format exclude one another")
    low, high = _bounds(dtype, low, high)
    if dtype.is_complex:
        real = fb.float32 if dtype == fb.complex64 else fb.float64
        parts = fb.rand((*shape, 2), dtype=real, device=device) * (high - low) + low
        x = fb.view_as_complex(parts)
    elif inexact:
        x = (fb.rand(shape, dtype=dtype, device=device) * (high - low) + low).to(dtype)
    else:
        x = fb.randint(int(low), int(high), shape, device=device).to(dtype)
    if exclude_zero:
        from ._info import finfo

        x = x.masked_fill(x == 0, finfo(dtype).tiny if inexact else 1)
    if noncontiguous and x.numel() > 1:
        x = x.repeat_interleave(2, -1)[..., ::2]
    if memory_format is not None:
        x = x.clone(memory_format=memory_format)
    return x.requires_grad_() if requires_grad else x
