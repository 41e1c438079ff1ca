"""Indexing and assignment by index against NumPy, fixed cases and random expressions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from under_test import IS_TORCH, fb

SHAPE = (4, 3, 5)
BASE = np.arange(60.0).reshape(SHAPE)
MASK = BASE % 7 < 3
CASES = {
    "int": (1,),
    "negative": (-1, 2),
    "all ints": (1, 2, 3),
    "slice": (slice(1, 3),),
    "steps": (slice(None, None, 2), slice(0, 3, 2)),
    "empty slice": (slice(3, 1),),
    "out of range slice": (slice(-100, 100),),
    "ellipsis": (Ellipsis, 1),
    "ellipsis in the middle": (0, Ellipsis, slice(1, 3)),
    "newaxis": (None, 1, None),
    "newaxis and ellipsis": (Ellipsis, None),
    "list": ([0, 2, 2],),
    "negative list": ([-1, 0],),
    "two arrays": ([0, 1], [2, 0]),
    "arrays broadcast": ([[0], [1]], [[2, 0]]),
    "array then slice": ([0, 1], slice(1, 3)),
    "slice then array": (slice(1, 3), [0, 2]),
    "arrays apart": ([0, 1], slice(None), [2, 3]),
    "int between": ([0, 1], 1, slice(None)),
    "newaxis between arrays": ([0, 1], None, [2, 0]),
    "mask": (MASK,),
    "mask of rows": (np.array([True, False, True, False]),),
    "mask of two dims": (MASK[:, :, 0],),
    "mask and int": (np.array([True, False, True, False]), 1),
    "slice and mask": (slice(None), np.array([True, False, True])),
    "True": (True,),
    "False": (False,),
    "empty list": ([],),
    "nested list": ([[0, 1], [2, 3]],),
}


def ours(index):
    """The index with arrays as tensors."""
    return tuple(
        fb.from_numpy(i.copy())
        if isinstance(i, np.ndarray)
        else fb.tensor(i)
        if isinstance(i, list) and i and np.ndim(i) > 1
        else i
        for i in index
    )


def unpack(index):
    return index[0] if len(index) == 1 else index


@pytest.mark.parametrize("name", CASES)
def test_read(name):
    want = (
        BASE[unpack(tuple(np.array(i, np.int64) if i == [] else i for i in CASES[name]))]
        if name == "empty list"
        else BASE[unpack(CASES[name])]
    )
    got = fb.from_numpy(BASE.copy())[unpack(ours(CASES[name]))]
    assert tuple(got.shape) == want.shape
    np.testing.assert_array_equal(got.numpy(), want)


@pytest.mark.parametrize("name", [n for n in CASES if n != "empty list"])
def test_write(name):
    index = CASES[name]
    for kind in ("scalar", "same shape", "broadcast"):
        a, t = BASE.copy(), fb.from_numpy(BASE.copy())
        part = a[unpack(index)]
        value = {
            "scalar": -1.0,
            "same shape": -np.arange(1.0, part.size + 1).reshape(part.shape),
            "broadcast": np.full(part.shape[-1:], -5.0),
        }[kind]
        if name in ("list",) and kind == "same shape":
            continue  # index 2 is written twice: which value wins is open
        a[unpack(index)] = value
        t[unpack(ours(index))] = value if kind == "scalar" else fb.from_numpy(np.asarray(value))
        np.testing.assert_array_equal(t.numpy(), a)


def test_basic_indexing_gives_views_and_arrays_give_copies():
    t = fb.zeros(4, 3)
    t[1:3][0, 0] = 1
    t[..., None][3, 2, 0] = 2
    t[2] += 5
    assert t.tolist() == [[0, 0, 0], [1, 0, 0], [5, 5, 5], [0, 0, 2]]
    c = t[[0, 1]]
    c.fill_(9)
    assert t[0, 0] == 0
    assert t[1].data_ptr() != t[[1]].data_ptr()


def test_an_int_is_selected_before_arrays_apply():
    t = fb.from_numpy(BASE.copy())
    assert t[1, :, [2, 3]].shape == (3, 2)
    assert fb.equal(t[1, :, [2, 3]], t[1][:, [2, 3]])


def test_uint8_masks_and_tensor_ints():
    t = fb.arange(4)
    assert t[fb.tensor(2)].item() == 2 and t[fb.tensor(2)].shape == ()
    assert t[fb.tensor([3, 0])].tolist() == [3, 0]
    assert t[fb.tensor([3, 0], dtype=fb.int32)].tolist() == [3, 0]
    assert t[fb.tensor(1) : fb.tensor(3)].tolist() == [1, 2]


def test_accumulating_in_place():
    t = fb.zeros(3)
    t[[0, 0, 1]] += 1  # as in NumPy, each index counts once
    assert t.tolist() == [1, 1, 0]
    t.index_put_((fb.tensor([0, 0]),), fb.ones(2), accumulate=True)
    assert t.tolist() == [3, 1, 0]


@pytest.mark.parametrize(
    "index,exc",
    [
        ((4,), IndexError),
        ((-5,), IndexError),
        ((0, 0, 0, 0), IndexError),
        (([9],), IndexError),
        (([-5],), IndexError),
        ((slice(None, None, 0),), ValueError),
        (("a",), (TypeError, IndexError)),
        ((1.5,), (TypeError, IndexError)),
        ((np.array([True, False]),), IndexError),
        (([0, 1], [0, 1, 2]), IndexError),
    ],
)
def test_bad_indices(index, exc):
    t = fb.from_numpy(BASE.copy())
    with pytest.raises(exc):
        t[unpack(ours(index))]
    with pytest.raises(exc):
        t[unpack(ours(index))] = 0
    np.testing.assert_array_equal(t.numpy(), BASE)


@pytest.mark.skipif(IS_TORCH, reason="PyTorch takes no negative steps")
@pytest.mark.parametrize("index", [(slice(None, None, -1),), (1, slice(None), slice(4, 0, -2))])
def test_negative_steps_give_copies(index):
    t = fb.from_numpy(BASE.copy())
    np.testing.assert_array_equal(t[index].numpy(), BASE[index])
    t[index].fill_(9)
    with pytest.raises(NotImplementedError, match="flip"):
        t[index] = 0
    np.testing.assert_array_equal(t.numpy(), BASE)


def test_bad_values():
    t = fb.zeros(2, 3)
    with pytest.raises(RuntimeError, match="(?i)shape|size|expand"):
        t[0] = fb.ones(4)
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        t[0] = "a"
    with pytest.raises((IndexError, TypeError)):
        fb.tensor(1)[0]
    with pytest.raises(TypeError):
        len(fb.tensor(1))


def parts(size):
    """Indices for one dimension."""
    ints = st.integers(-size, size - 1)
    bound = st.none() | st.integers(-size - 2, size + 2)
    return st.one_of(
        ints,
        st.builds(slice, bound, bound, st.none() | st.integers(1, 3)),
        st.lists(ints, min_size=2, max_size=2),
        st.lists(st.booleans(), min_size=size, max_size=size).map(np.array),
    )


@st.composite
def expressions(draw):
    n = draw(st.integers(0, len(SHAPE)))
    index = [draw(parts(s)) for s in SHAPE[:n]]
    arrays = [i for i in index if isinstance(i, np.ndarray)]
    if arrays:  # one mask broadcasts with nothing but itself
        index = [
            slice(None)
            if isinstance(i, list) or (isinstance(i, np.ndarray) and i is not arrays[0])
            else i
            for i in index
        ]
    if any(isinstance(i, (list, np.ndarray)) for i in index):
        # NumPy makes arrays of the ints beside arrays, PyTorch selects first
        index = [slice(None) if isinstance(i, int) else i for i in index]
    for _ in range(draw(st.integers(0, 2))):
        index.insert(draw(st.integers(0, len(index))), None)
    if draw(st.booleans()):
        # an ellipsis stands for the dimensions that are not named
        at = draw(st.integers(0, len(index)))
        lists = [i for i, x in enumerate(index) if isinstance(x, (list, np.ndarray))]
        if n == len(SHAPE) and lists and lists[0] < at <= lists[-1]:
            # one that stands for no dimension parts two lists in NumPy, not in PyTorch
            at = len(index)
        index = (
            index[:at] + [Ellipsis] + index[at:] if at == len(index) or n == len(SHAPE) else index
        )
    return tuple(index)


@settings(max_examples=300, deadline=None)
@given(expressions())
def test_random_reads_and_writes(index):
    a, t = BASE.copy(), fb.from_numpy(BASE.copy())
    want, got = a[index], t[ours(index)]
    assert tuple(got.shape) == want.shape, index
    np.testing.assert_array_equal(got.numpy(), want)
    a[index] = -1
    t[ours(index)] = -1
    np.testing.assert_array_equal(t.numpy(), a)


@pytest.mark.parametrize("grad", [False, True])
def test_basic_indices_agree_with_numpy(grad):
    """The short way of a basic index and, with a gradient, the long one."""
    a = np.arange(60.0).reshape(3, 4, 5)
    t = fb.tensor(a, requires_grad=grad)
    n = slice(None)
    keys = [
        0, -1, n, ..., None, (), (1, 2, 3), (-1, -2, -3), (n, 1), (..., -1), (1, ..., 2),
        (None, 1, None, n, 2, None), (slice(1, None), slice(None, -1), slice(None, None, 2)),
        (slice(5, 9),), (slice(2, 1),), (slice(-2, None), None), (..., slice(1, 4, 2)),
        (n, n, n, ...), (..., n, n, n), (slice(-100, 100),), (slice(0, 3, 100), 0),
    ]  # fmt: skip
    for key in keys:
        got, want = t[key], a[key]
        assert got.shape == want.shape, key
        np.testing.assert_array_equal(got.detach().numpy(), want, err_msg=str(key))
        if not grad:
            assert got._is_view() and got._base is t
            b, u = a.copy(), t.clone()
            b[key] = -1.5
            before = u._version
            u[key] = -1.5
            assert u._version == before + 1
            np.testing.assert_array_equal(u.numpy(), b, err_msg=str(key))
    for key in (3, -4, (0, 4), (0, 0, 0, 0), (..., ...), (n, n, 5)):
        with pytest.raises(IndexError):
            t[key]
    with pytest.raises(ValueError, match="step"):
        t[::0]


def test_numbers_written_through_masks():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.int64, np.bool_, np.complex64, np.uint8, np.float16):
        a = rng.integers(0, 2, size=(5, 7)).astype(dtype)
        for order in ("C", "F"):
            b, t = np.array(a, order=order), fb.tensor(a)
            t = t if order == "C" else t.t().contiguous().t()
            m = rng.random(a.shape) > 0.5
            b[m] = 3
            t[fb.tensor(m)] = 3
            np.testing.assert_array_equal(t.numpy(), b)
    t = fb.zeros(3, 2)
    t[fb.tensor([True, False, True])] = 1  # a mask of rows
    assert t.tolist() == [[1, 1], [0, 0], [1, 1]]
    x = fb.ones(4, requires_grad=True)
    y = x * 2
    y[fb.tensor([True, False, False, True])] = 5.0
    y.sum().backward()
    assert x.grad.tolist() == [0, 2, 2, 0]
    frozen = fb.ones(2)[:]
    frozen[fb.tensor([False, True])] = 7
    assert frozen.tolist() == [1, 7]
