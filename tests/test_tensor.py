"""The Tensor object: attributes, operators, views, conversion, copying, Size and dtype."""

import copy
import pickle

import numpy as np
import pytest

from under_test import IS_TORCH, fb


def test_size_is_a_tuple():
    s = fb.zeros(5, 3).size()
    assert s == (5, 3) and isinstance(s, tuple) and isinstance(s, fb.Size)
    a, b = s
    assert (a, b) == (5, 3) and s.numel() == 15 and s[-1] == 3 and s[:1] == fb.Size([5])
    assert repr(s).endswith("Size([5, 3])")
    assert fb.zeros(5, 3).size(1) == 3 and fb.zeros(5, 3).size(-2) == 5
    assert hash(s) == hash((5, 3))


def test_attributes():
    t = fb.zeros(2, 3, 4)
    assert t.ndim == t.dim() == 3 and t.numel() == t.nelement() == 24 and len(t) == 2
    assert t.stride() == (12, 4, 1) and t.stride(1) == 4 and t.storage_offset() == 0
    assert t.itemsize == t.element_size() == 4 and t.nbytes == 96
    assert t.is_contiguous() and not t.transpose(0, 1).is_contiguous()
    assert t.T.shape == (4, 3, 2) if not IS_TORCH else True
    assert t.mT.shape == (2, 4, 3)
    assert t.device == fb.device("cpu") and not t.is_cuda and t.layout == fb.strided
    assert t.is_floating_point() and not t.is_complex() and t.is_signed()
    assert t[1].storage_offset() == 12
    assert fb.is_tensor(t) and not fb.is_tensor(3)


def test_legacy_constructors():
    assert fb.Tensor(5, 3).shape == (5, 3) and fb.Tensor(5, 3).dtype == fb.float32
    assert fb.Tensor([1, 2]).tolist() == [1.0, 2.0]
    assert fb.FloatTensor([1]).dtype == fb.float32 and fb.LongTensor([1]).dtype == fb.int64
    assert fb.Tensor().shape == (0,)


def test_operators():
    a, b = fb.tensor([1.0, -2.0, 3.5]), fb.tensor([2.0, 3.0, -1.0])
    x, y = a.numpy().copy(), b.numpy().copy()
    for f in (
        "a + b",
        "a - b",
        "a * b",
        "a / b",
        "a // b",
        "a % b",
        "a ** 2",
        "2 ** a",
        "-a",
        "+a",
        "abs(a)",
        "a @ b",
        "1 - a",
        "1 / a",
        "3 // b",
        "3 % b",
        "a < b",
        "a >= 1",
        "a == b",
        "a != b",
        "2 * a",
    ):
        want = eval(f, {"a": x, "b": y})
        got = eval(f, {"a": a, "b": b})
        np.testing.assert_allclose(got.numpy(), want, rtol=1e-6, err_msg=f)
    i, j = fb.tensor([6, 5]), fb.tensor([3, 1])
    for f in ("i & j", "i | j", "i ^ j", "~i", "i << j", "i >> j", "i & 1", "1 | i"):
        assert eval(f).tolist() == eval(f, {"i": i.numpy(), "j": j.numpy()}).tolist(), f
    c = a
    for f in ("a += b", "a -= 1", "a *= b", "a /= 2", "a **= 2", "a //= 2", "a %= 2"):
        exec(f, {"a": a, "b": b})
    assert c is a
    assert a.__radd__(1).shape == (3,)
    with pytest.raises(TypeError):
        a + "x"
    with pytest.raises(TypeError):
        a + None
    assert (a == None) is False  # noqa: E711
    assert (a != None) is True  # noqa: E711


def test_truth_and_numbers():
    assert bool(fb.tensor([1])) and not bool(fb.tensor(0.0))
    with pytest.raises(RuntimeError, match="(?i)ambiguous"):
        bool(fb.tensor([1, 2]))
    assert (
        int(fb.tensor(2.7)) == 2 and float(fb.tensor([2.5])) == 2.5 and complex(fb.tensor(1.0)) == 1
    )
    assert [10, 20][fb.tensor(1)] == 20
    with pytest.raises((RuntimeError, ValueError)):
        fb.tensor([1, 2]).item()
    assert 2 in fb.tensor([1, 2]) and 5 not in fb.tensor([1, 2])
    assert f"{fb.tensor(1.5):.2f}" == "1.50"
    a = fb.tensor([1.0])
    assert hash(a) == hash(a) and len({a, fb.tensor([1.0])}) == 2


def test_views_share_and_know_it():
    x = fb.arange(12)
    for v in (
        x.view(3, 4),
        x.view(3, 4).t(),
        x[2:],
        x.view(3, 4)[:, 1],
        x.unsqueeze(0),
        x.detach(),
        x.view(3, 4).diagonal(),
        x.expand(2, 12),
        x.unfold(0, 3, 1),
        x.as_strided((2, 2), (1, 3)),
    ):
        assert v.untyped_storage().data_ptr() == x.untyped_storage().data_ptr()
    x.view(3, 4).t()[1, 2] = 100
    assert x[9] == 100
    with pytest.raises(RuntimeError, match="(?i)view"):
        x.view(3, 4).t().view(12)
    assert x.view(3, 4).t().reshape(12).tolist()[:3] == [0, 4, 8]
    assert x.view(-1, 6).shape == (2, 6)
    assert fb.zeros(4, dtype=fb.float32).view(fb.int32).dtype == fb.int32
    assert x.is_set_to(x.view(12)) or not hasattr(x, "is_set_to")


def test_overlapping_writes_are_refused():
    x = fb.zeros(1).expand(3)
    with pytest.raises(RuntimeError, match="(?i)memory|expand"):
        x.add_(1)


def test_to_and_casts():
    t = fb.tensor([1.7, -1.7])
    assert t.to(fb.int64).tolist() == [1, -1] and t.long().dtype == fb.int64
    assert t.to(t) is t and t.to(fb.float32) is t and t.to("cpu") is t and t.float() is t
    assert t.to(fb.float32, copy=True) is not t
    assert t.to(fb.tensor(1, dtype=fb.float64)).dtype == fb.float64
    assert t.type(fb.float64).dtype == fb.float64
    for name, d in dict(
        double="float64",
        half="float16",
        bfloat16="bfloat16",
        int="int32",
        short="int16",
        char="int8",
        byte="uint8",
        bool="bool",
    ).items():
        assert getattr(t.abs(), name)().dtype == getattr(fb, d), name
    assert t.type_as(fb.tensor(1)).dtype == fb.int64
    assert t.cpu() is t
    with pytest.raises(TypeError):
        t.to([])


def test_cuda_without_a_gpu_says_so():
    if fb.cuda.is_available():
        pytest.skip("there is a GPU")
    for f in (
        lambda: fb.ones(2).cuda(),
        lambda: fb.ones(2).to("cuda"),
        lambda: fb.ones(2, device="cuda"),
    ):
        with pytest.raises((AssertionError, RuntimeError), match="(?i)cuda|nvidia"):
            f()


def test_copying_and_pickling():
    t = fb.arange(6.0).reshape(2, 3).requires_grad_()
    c = copy.deepcopy(t)
    assert c.requires_grad and c.tolist() == t.tolist() and c.data_ptr() != t.data_ptr()
    p = pickle.loads(pickle.dumps(t))
    assert p.tolist() == t.tolist() and p.requires_grad and p.dtype == t.dtype
    v = pickle.loads(pickle.dumps(t.detach().t()))
    assert v.tolist() == t.t().tolist()
    with pytest.raises(RuntimeError, match="(?i)leaf|graph|explicitly"):
        copy.deepcopy(t * 2)
    assert copy.copy(t).data_ptr() == t.data_ptr()
    assert pickle.loads(pickle.dumps(fb.float32)) is fb.float32
    assert pickle.loads(pickle.dumps(fb.device("cpu"))) == fb.device("cpu")
    assert pickle.loads(pickle.dumps(fb.Size([2, 3]))) == (2, 3)


def test_dtype_and_device_objects():
    assert (
        fb.float is fb.float32
        and fb.long is fb.int64
        and fb.half is fb.float16
        and fb.double is fb.float64
    )
    assert (
        repr(fb.float32).endswith("float32")
        and fb.float32.is_floating_point
        and fb.complex64.is_complex
    )
    assert fb.float32.itemsize == 4 and not fb.int8.is_floating_point and not fb.uint8.is_signed
    assert fb.device("cuda:1").index == 1 and fb.device("cuda", 0).type == "cuda"
    assert str(fb.device("cpu")) == "cpu" and fb.device("cpu") == fb.device("cpu")
    with pytest.raises(RuntimeError):
        fb.device("toaster")
    assert {fb.float32: 1}[fb.float] == 1


def test_copy_fill_zero_resize():
    t = fb.zeros(2, 3)
    assert t.copy_(fb.tensor([1, 2, 3])) is t and t.tolist() == [[1, 2, 3]] * 2
    assert t.fill_(4).sum() == 24 and t.zero_().sum() == 0
    t[0].copy_(t[1].fill_(2))
    assert t.sum() == 12
    with pytest.raises(RuntimeError):
        t.copy_(fb.ones(5))
    x = fb.arange(6)
    x[1:].copy_(x[:-1].clone())
    assert x.tolist() == [0, 0, 1, 2, 3, 4]
    assert fb.empty(0).resize_(2, 2).shape == (2, 2)


def test_overlapping_copy_is_safe():
    x = fb.arange(10)
    want = np.arange(10)
    x[:9] += x[1:].clone()
    want[:9] += want[1:].copy()
    assert x.tolist() == want.tolist()


def test_memory_formats():
    x = fb.rand(2, 3, 4, 5)
    c = x.to(memory_format=fb.channels_last)
    assert c.stride() == (60, 1, 15, 3) and c.is_contiguous(memory_format=fb.channels_last)
    assert fb.equal(c, x)
    assert (c + 1).stride() == c.stride() and c.relu().stride() == c.stride()
    assert fb.empty_like(c).stride() == c.stride()
    assert c.contiguous().stride() == x.stride()
    t = fb.rand(3, 4).t()
    assert (t * 2).stride() == t.stride() and t.clone().stride() == t.stride()


def test_repr_shows_values():
    text = repr(fb.tensor([[1.0, 2.0], [3.0, 4.0]]))
    assert text == "tensor([[1., 2.],\n        [3., 4.]])"
    assert "requires_grad=True" in repr(fb.ones(1, requires_grad=True))
    assert "..." in repr(fb.zeros(2000)) and "dtype=" in repr(fb.zeros(2, dtype=fb.float64))
    assert "grad_fn" in repr(fb.ones(1, requires_grad=True) * 2)
    assert repr(fb.tensor(3)) == "tensor(3)" and "size=(0, 2)" in repr(fb.zeros(0, 2))


def test_subclass():
    class Named(fb.Tensor):
        def shout(self):
            return "!"

    n = fb.ones(2).as_subclass(Named)
    assert isinstance(n, Named) and n.shout() == "!"
    assert isinstance(n + 1, fb.Tensor)
    p = fb.nn.Parameter(fb.ones(2))
    assert isinstance(p, fb.Tensor) and p.requires_grad and isinstance(p * 2, fb.Tensor)


def test_random_numbers():
    fb.manual_seed(3)
    a = fb.rand(1000)
    fb.manual_seed(3)
    assert fb.equal(a, fb.rand(1000))
    assert 0 <= a.min() and a.max() < 1 and 0.45 < a.mean() < 0.55
    n = fb.randn(100_000)
    assert abs(n.mean()) < 0.02 and abs(n.std() - 1) < 0.02
    i = fb.randint(2, 7, (5000,))
    assert i.min() == 2 and i.max() == 6 and i.dtype == fb.int64
    assert sorted(fb.randperm(100).tolist()) == list(range(100))
    g = fb.Generator().manual_seed(1)
    x = fb.rand(3, generator=g)
    assert fb.equal(x, fb.rand(3, generator=fb.Generator().manual_seed(1)))
    state = fb.get_rng_state()
    y = fb.rand(3)
    fb.set_rng_state(state)
    assert fb.equal(y, fb.rand(3))
    b = fb.bernoulli(fb.full((10_000,), 0.3))
    assert 0.27 < b.mean() < 0.33 and set(b.unique().tolist()) == {0, 1}
    m = fb.multinomial(fb.tensor([0.0, 1.0, 3.0]), 4000, replacement=True)
    assert m.min() == 1 and 0.7 < (m == 2).float().mean() < 0.8
    assert sorted(fb.multinomial(fb.ones(4), 4).tolist()) == [0, 1, 2, 3]
    u = fb.empty(10_000).uniform_(-2, 5)
    assert -2 <= u.min() and u.max() < 5 and abs(u.mean() - 1.5) < 0.1
    assert abs(fb.empty(10_000).normal_(3, 2).mean() - 3) < 0.1
    assert abs(fb.empty(10_000).exponential_(2).mean() - 0.5) < 0.05


def test_dropout_keeps_the_mean():
    x = fb.ones(100_000, requires_grad=True)
    y = fb.nn.functional.dropout(x, 0.25)
    kept = y != 0
    assert 0.74 < kept.float().mean() < 0.76
    assert fb.allclose(y[kept], fb.tensor(1 / 0.75))
    y.sum().backward()
    assert fb.equal(x.grad != 0, kept)


def test_objects_that_are_used_again_start_anew():
    import gc
    import weakref

    for _ in range(3):
        many = [fb.ones(2) for _ in range(600)]  # more than are kept
        many[0].tag, refs = 1, [weakref.ref(t) for t in many]
        del many
        gc.collect()
        assert all(r() is None for r in refs)
    fresh = [fb.ones(2) for _ in range(600)]
    assert not any(hasattr(t, "tag") or t.__dict__ for t in fresh)
    assert all(gc.is_tracked(t) for t in fresh)
    loop = fb.ones(2)
    loop.me, ref = loop, weakref.ref(loop)
    del loop
    gc.collect()
    assert ref() is None


def test_sizes_that_are_used_again_start_anew():
    for _ in range(40):
        shapes = [fb.ones(*[2] * n).shape for n in range(8)]
        assert [tuple(s) for s in shapes] == [(2,) * n for n in range(8)]
        assert hash(shapes[3]) == hash((2, 2, 2)) and shapes[3] == (2, 2, 2)


@pytest.mark.skipif(IS_TORCH, reason="a part of the core")
def test_all_within():
    within, inf = fb._C._all_within, float("inf")
    for dtype in (fb.float32, fb.float64, fb.int64, fb.int32, fb.float16):
        t = fb.tensor([[0, 1, 2], [3, 4, 5]], dtype=dtype)
        for x in (t, t.t()):
            assert within(x, 0, 5) and not within(x, 1, 5) and not within(x, 0, 4.5)
            assert not within(x, 5e-324, inf) and within(x[:0], 9, 1)
    assert not within(fb.tensor([fb.nan]), -inf, inf) and within(fb.tensor([fb.inf]), -inf, inf)
    assert not within(fb.ones(300, 300) * fb.inf, 0, 1) and within(fb.ones(300, 300), 1, 1)


def test_equal():
    a = fb.tensor([1.0, -0.0])
    assert fb.equal(a, fb.tensor([1.0, 0.0])) is True and a.equal(a[:1]) is False
    assert not fb.equal(fb.tensor([fb.nan]), fb.tensor([fb.nan])) and fb.equal(a[:0], a[:0])
    with pytest.raises(RuntimeError, match="Expected object of data type"):
        fb.equal(a, fb.tensor([1, 0]))


def test_large_unsigned_item():
    assert fb.tensor(2**64 - 1, dtype=fb.uint64).item() == 2**64 - 1
