"""Type promotion of every pair of dtypes, scalars and 0-d tensors, from a golden table."""

import pytest

import promotion_table as golden
from under_test import fb

COLUMNS = list(golden.NAMES)


def table(text, columns):
    """{(row, column): entry} of one of the tables."""
    out = {}
    for line in text.strip().splitlines():
        row, entries = line.split(":")
        pairs = zip(columns, entries.split(), strict=True)
        out.update({(row, c): e for c, e in pairs if e != "-"})
    return out


def dt(code):
    return getattr(fb, golden.NAMES[code])


def ones(code, dims=True):
    return fb.ones(2 if dims else (), dtype=dt(code))


def wrong(cases, run):
    """The cases that differ from the table, as text."""
    bad = []
    for (a, b), want in cases.items():
        got = run(a, b)
        if got != dt(want):
            bad.append(f"{golden.NAMES[a]} and {b}: {got}, expected {dt(want)}")
    return bad


@pytest.mark.parametrize("op", ["add", "mul", "where", "cat", "promote_types", "result_type"])
def test_two_tensors(op):
    run = {
        "add": lambda a, b: (ones(a) + ones(b)).dtype,
        "mul": lambda a, b: fb.mul(ones(a), ones(b)).dtype,
        "where": lambda a, b: fb.where(fb.tensor([True, False]), ones(a), ones(b)).dtype,
        "cat": lambda a, b: fb.cat([ones(a), ones(b)]).dtype,
        "promote_types": lambda a, b: fb.promote_types(dt(a), dt(b)),
        "result_type": lambda a, b: fb.result_type(ones(a), ones(b)),
    }[op]
    assert not wrong(table(golden.TENSORS, COLUMNS), run)


def test_python_scalars():
    scalars = {"True": True, "2": 2, "2.5": 2.5, "1j": 1j}
    cases = table(golden.SCALARS, scalars)
    assert not wrong(cases, lambda a, s: (ones(a) + scalars[s]).dtype)
    assert not wrong(cases, lambda a, s: (scalars[s] + ones(a)).dtype)


def test_zero_dimensional_tensors_are_weak():
    cases = table(golden.ZERO_DIM, COLUMNS)
    assert not wrong(cases, lambda a, b: (ones(a) + ones(b, dims=False)).dtype)
    assert not wrong(cases, lambda a, b: (ones(b, dims=False) + ones(a)).dtype)


def test_true_division():
    assert not wrong(table(golden.DIVISION, COLUMNS), lambda a, b: (ones(a) / ones(b)).dtype)


def test_can_cast():
    for (a, b), want in table(golden.CAN_CAST, COLUMNS).items():
        assert fb.can_cast(dt(a), dt(b)) == bool(int(want)), (a, b)


def test_comparisons_give_bool():
    for a in COLUMNS:
        for b in COLUMNS:
            assert (ones(a) == ones(b)).dtype == fb.bool


def test_in_place_keeps_the_dtype_or_refuses():
    x = fb.ones(2, dtype=fb.float32)
    x += fb.ones(2, dtype=fb.float64)
    assert x.dtype == fb.float32
    with pytest.raises(RuntimeError, match="(?i)can't be cast|cannot|float"):
        fb.ones(2, dtype=fb.int64).add_(1.5)
    with pytest.raises(RuntimeError):
        fb.ones(2, dtype=fb.bool).add_(2)


def test_default_dtype_governs_new_floats():
    try:
        fb.set_default_dtype(fb.float64)
        assert fb.get_default_dtype() == fb.float64
        assert fb.tensor([1.5]).dtype == fb.float64
        assert (fb.ones(2, dtype=fb.int64) / 2).dtype == fb.float64
        assert fb.zeros(2).dtype == fb.float64
    finally:
        fb.set_default_dtype(fb.float32)
    assert fb.tensor([1.5]).dtype == fb.float32


def test_limits():
    assert fb.finfo(fb.float32).eps == 2.0**-23
    assert fb.finfo(fb.bfloat16).max > 3e38
    assert fb.finfo(fb.float16).tiny == 2.0**-14
    assert fb.finfo(fb.float64).min == -fb.finfo(fb.float64).max
    assert (fb.iinfo(fb.int8).min, fb.iinfo(fb.int8).max) == (-128, 127)
    assert fb.iinfo(fb.int64).max == 2**63 - 1 and fb.iinfo(fb.uint8).bits == 8
