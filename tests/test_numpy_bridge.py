"""Sharing memory with NumPy, the buffer protocol and DLPack."""

import gc
import weakref

import numpy as np
import pytest

from under_test import IS_TORCH, fb

DTYPES = [
    "float64",
    "float32",
    "float16",
    "int64",
    "int32",
    "int16",
    "int8",
    "uint8",
    "bool",
    "complex64",
    "complex128",
]


@pytest.mark.parametrize("name", DTYPES)
def test_both_ways_share_memory_and_keep_the_dtype(name):
    a = np.ones((3, 4), dtype=name)
    t = fb.from_numpy(a)
    assert t.dtype == getattr(fb, name) and tuple(t.shape) == (3, 4)
    a[1, 2] = 0
    assert t[1, 2].item() == 0
    b = t.numpy()
    assert b.dtype == a.dtype and np.shares_memory(a, b)
    t.fill_(0)
    assert not b.any() and not a.any()


def test_zero_copy_whatever_the_size():
    t = fb.zeros(1000, 1000)
    assert t.numpy().ctypes.data == t.data_ptr()
    assert fb.from_numpy(t.numpy()).data_ptr() == t.data_ptr()


def test_strides_cross_the_bridge():
    a = np.arange(24.0).reshape(2, 3, 4).transpose(2, 0, 1)[::2]
    t = fb.from_numpy(a)
    assert t.stride() == tuple(s // 8 for s in a.strides)
    np.testing.assert_array_equal(t.numpy(), a)
    v = fb.arange(12).reshape(3, 4).t()[1:, ::2]
    np.testing.assert_array_equal(v.numpy(), np.arange(12).reshape(3, 4).T[1:, ::2])
    assert v.numpy().strides == tuple(8 * s for s in v.stride())
    b = np.broadcast_to(np.ones(3, np.float32), (2, 3)).copy()
    np.testing.assert_array_equal(fb.from_numpy(b).numpy(), b)


def test_negative_strides_are_refused_with_the_cure():
    with pytest.raises(ValueError, match="(?i)negative"):
        fb.from_numpy(np.arange(4)[::-1])
    assert fb.from_numpy(np.arange(4)[::-1].copy()).tolist() == [3, 2, 1, 0]


def test_lifetimes():
    a = np.arange(5.0)
    t = fb.from_numpy(a)
    gone = weakref.ref(a)
    del a
    gc.collect()
    assert t.tolist() == [0, 1, 2, 3, 4] and gone() is not None
    del t
    gc.collect()
    assert gone() is None, "the tensor was the array's last holder"
    n = fb.ones(1000).numpy()
    gc.collect()
    assert n.sum() == 1000
    view = fb.ones(4, 4)[1:, 2].numpy()
    gc.collect()
    assert view.tolist() == [1, 1, 1]


def test_read_only_arrays():
    a = np.ones(3)
    a.flags.writeable = False
    if IS_TORCH:
        with pytest.warns(UserWarning, match="writable"):
            fb.from_numpy(a)
        return
    t = fb.from_numpy(a)
    assert t.tolist() == [1, 1, 1]
    with pytest.raises(RuntimeError, match="(?i)read.?only"):
        t.add_(1)
    assert a.tolist() == [1, 1, 1]
    assert (t + 1).tolist() == [2, 2, 2]


def test_unsupported_arrays():
    for bad in (np.array(["a"]), np.array([object()]), np.zeros(2, dtype="M8[s]")):
        with pytest.raises(TypeError, match="(?i)numpy|dtype|supported"):
            fb.from_numpy(bad)
    with pytest.raises(TypeError):
        fb.from_numpy([1, 2])
    swapped = np.arange(3, dtype=">f4")
    with pytest.raises((ValueError, TypeError), match="(?i)byte"):
        fb.from_numpy(swapped)


def test_tensor_copies_and_as_tensor_shares():
    a = np.zeros(3)
    copied, shared = fb.tensor(a), fb.as_tensor(a)
    a[0] = 7
    assert copied[0] == 0 and shared[0] == 7
    assert copied.dtype == shared.dtype == fb.float64
    assert fb.as_tensor(a, dtype=fb.float32).dtype == fb.float32
    assert fb.tensor(np.float32(2.5)).dtype == fb.float32
    assert fb.tensor([np.int64(1), np.int64(2)]).dtype == fb.int64
    assert fb.tensor([a, a]).shape == (2, 3)


def test_numpy_functions_take_tensors():
    t = fb.arange(6).reshape(2, 3)
    assert np.asarray(t).tolist() == [[0, 1, 2], [3, 4, 5]]
    assert np.shares_memory(np.asarray(t), t.numpy())
    assert np.array(t, dtype=np.float32).dtype == np.float32
    assert np.mean(t.float().numpy()) == 2.5
    assert np.concatenate([t, t]).shape == (4, 3)
    x = fb.ones(3)
    assert isinstance(x * np.float64(2), fb.Tensor) and (x * np.float64(2)).dtype == fb.float32
    assert isinstance(x + np.ones(3, np.float32), fb.Tensor)
    assert (x[np.array([0, 2])]).shape == (2,)
    assert x[np.int64(1)].item() == 1
    assert np.float64(2) == fb.tensor(2.0).item()


def test_scalars_out_and_in():
    assert fb.tensor(3).item() == 3 and type(fb.tensor(3).item()) is int
    assert type(fb.tensor(True).item()) is bool and type(fb.tensor(1.5).item()) is float
    assert fb.tensor(1 + 2j).item() == 1 + 2j
    assert fb.zeros(()).numpy().shape == ()
    assert fb.zeros(0, 3).numpy().shape == (0, 3)
    assert fb.from_numpy(np.array(2.5)).shape == ()


def test_dlpack_with_numpy():
    t = fb.arange(6, dtype=fb.float32).reshape(2, 3)
    a = np.from_dlpack(t)
    assert np.shares_memory(a, t.numpy()) and a.tolist() == t.tolist()
    assert t.__dlpack_device__()[0] == 1
    b = np.arange(4.0)
    u = fb.from_dlpack(b)
    b[0] = 9
    assert u[0] == 9
    del b
    gc.collect()
    assert u.tolist() == [9, 1, 2, 3]
    strided = np.from_dlpack(t.t())
    assert strided.tolist() == t.t().tolist()
    again = fb.from_dlpack(t[:, 1:])
    assert again.tolist() == [[1, 2], [4, 5]] and again.data_ptr() == t[:, 1:].data_ptr()


def test_frombuffer():
    raw = bytearray(np.arange(4, dtype=np.int32).tobytes())
    t = fb.frombuffer(raw, dtype=fb.int32)
    assert t.tolist() == [0, 1, 2, 3]
    assert fb.frombuffer(raw, dtype=fb.int32, count=2, offset=4).tolist() == [1, 2]
    t[0] = 5
    assert np.frombuffer(raw, np.int32)[0] == 5
    with pytest.raises(ValueError):
        fb.frombuffer(raw, dtype=fb.int32, offset=100)


def test_iteration_and_lists():
    t = fb.arange(6).reshape(2, 3)
    assert t.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert [r.tolist() for r in t] == t.tolist()
    assert list(map(int, t[0])) == [0, 1, 2]
    assert fb.tensor(4).tolist() == 4


def test_bfloat16_has_no_numpy_dtype():
    with pytest.raises(TypeError, match="(?i)bfloat16"):
        fb.ones(2, dtype=fb.bfloat16).numpy()
    with pytest.raises((RuntimeError, TypeError)):
        fb.ones(2, device="meta").numpy()


def test_arrays_of_every_kind_share_their_memory():
    kinds = "?bBhHiIlLqQefdFD"
    for code in kinds:
        a = np.arange(12).astype(code).reshape(3, 4)
        for view in (a, a[1:], a[:, ::2], a.T, a[:0], a[0, 0:1], a[2:3, 3:]):
            t = fb.from_numpy(view)
            assert t.shape == view.shape
            np.testing.assert_array_equal(t.numpy(), view)
            back = t.numpy()
            assert back.dtype == view.dtype and back.shape == view.shape
            if view.size:
                assert t.data_ptr() == view.__array_interface__["data"][0]
                assert back.__array_interface__["data"] == view.__array_interface__["data"]
                assert back.flags.c_contiguous == view.flags.c_contiguous
                assert back.flags.aligned and back.flags.writeable


def test_arrays_that_memory_cannot_be_shared_with():
    a = np.arange(6.0)
    with pytest.raises(ValueError, match="negative"):
        fb.from_numpy(a[::-1])
    assert fb.tensor(a[::-1]).tolist() == a[::-1].tolist()
    with pytest.raises(TypeError):
        fb.from_numpy(a.astype(">f8"))
    with pytest.raises(TypeError):
        fb.from_numpy(np.array(["a"]))
    with pytest.raises(TypeError, match="ndarray"):
        fb.from_numpy([1.0])
    a.setflags(write=False)
    t = fb.from_numpy(a)
    assert not t.numpy().flags.writeable
    with pytest.raises(RuntimeError, match="read-only"):
        t.add_(1)

    class Own(np.ndarray):
        pass

    assert fb.from_numpy(np.ones(2).view(Own)).tolist() == [1, 1]


def test_memory_lives_as_long_as_either_side_needs_it():
    t = fb.from_numpy(np.full(1000, 7.0))
    a = fb.full((1000,), 5.0).numpy()
    junk = [np.full(1000, 1.0) for _ in range(20)]
    assert len(junk) == 20 and bool((t == 7).all()) and (a == 5).all()
