"""Operators write over operands that nobody else can see, and over no others."""

import functools
import itertools
import operator
import sys
import weakref

import numpy as np
import pytest

import flambeau as fb

N = 100_000  # more than 256 KB

EXPRESSIONS = [
    "a * 2 + b",
    "2 * (a + b)",
    "b - a * 2",
    "1 - (a + b)",
    "1 / (a + 1)",
    "(a + 1) / (b + 1)",
    "(a - b) ** 2",
    "(a + 1) ** -1",
    "2 ** (a + b)",
    "(a + b) ** (a + 1)",
    "(a + row) * row",
    "row * (a + row)",
    "(row + 1) * a",
    "(a + number) - number",
]


def operands(dtype):
    rng = np.random.default_rng(0)
    return {
        "a": rng.random((100, N // 100)).astype(dtype),
        "b": rng.random((100, N // 100)).astype(dtype),
        "row": rng.random(N // 100).astype(dtype),
        "number": rng.random(()).astype(dtype),
    }


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_values_and_operands(expression, dtype):
    arrays = operands(dtype)
    tensors = {k: fb.tensor(v) for k, v in arrays.items()}
    got, want = eval(expression, {}, tensors), eval(expression, {}, arrays)
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-5 if dtype == "float32" else 1e-12)
    for k, v in arrays.items():
        np.testing.assert_array_equal(tensors[k].numpy(), v)


def peak(f):
    """Bytes that f() had at most beyond what was there before."""
    f()
    before = fb._C._memory_stats()["allocated"]
    fb._C._reset_peak_memory()
    f()
    return fb._C._memory_stats()["peak"] - before


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the caller is told on Linux")
def test_an_expression_needs_one_array():
    a, b = fb.rand(N), fb.rand(N)
    assert peak(lambda: a * 2 + b) < 1.5 * 4 * N
    assert peak(lambda: ((a - b) * 3 + 1) / b) < 1.5 * 4 * N
    assert peak(lambda: 1 - (a + b)) < 1.5 * 4 * N
    assert peak(lambda: a.add(b).add(1)) > 1.5 * 4 * N  # methods cannot tell


def test_what_others_hold_is_kept():
    a = fb.ones(N)
    assert (a.detach() + 1)[0] == 2 and (a.view(-1) * 2)[0] == 2 and (a[:] - 1)[0] == 0
    array = (a * 2).numpy()
    assert (fb.from_numpy(array) + 1)[0] == 3 and array[0] == 2
    refs = []

    def seen(t):
        refs.append(weakref.ref(t))
        return t

    assert (seen(a * 2) + 1)[0] == 3
    holder = [a * 2]
    assert (holder[0] + 1)[0] == 3 and holder[0][0] == 2
    cell = a * 2
    assert (lambda: cell + 1)()[0] == 3 and cell[0] == 2
    assert a[0] == 1


def test_other_callers_keep_their_operands():
    tensors = [fb.full((N,), float(i)) for i in range(4)]
    objects = np.empty(4, object)
    for i in range(4):
        objects[i] = fb.full((N,), float(i))
    for result in (objects + 1, objects * objects, -(objects - 1), np.add(objects, 2.0)):
        assert [float(t[0]) for t in objects] == [0, 1, 2, 3] and len(result) == 4
    assert [float(t[0]) for t in itertools.accumulate(tensors)] == [0, 1, 3, 6]
    running = list(itertools.accumulate(t * 1 for t in tensors))
    assert [float(t[0]) for t in running] == [0, 1, 3, 6]
    assert functools.reduce(operator.add, (t * 1 for t in tensors))[0] == 6
    assert sum(t * 1 for t in tensors)[0] == 6 and sum(tensors)[0] == 6
    assert [float((t + 1)[0]) for t in tensors] == [1, 2, 3, 4]
    assert [float(t[0]) for t in map(operator.mul, tensors, tensors)] == [0, 1, 4, 9]
    assert [float(t[0]) for t in tensors] == [0, 1, 2, 3]


class Tagged(fb.Tensor):
    pass


def test_subclasses_and_attributes():
    t = fb.ones(N).as_subclass(Tagged)
    assert type((t * 2) + 1) is Tagged and t[0] == 1

    def labelled():
        x = fb.ones(N)
        x.label = "x"
        return x

    assert not hasattr(labelled() + 1, "label")


def test_gradients():
    c = fb.rand(N)
    w = fb.rand(N, requires_grad=True)
    ((c * 2) * w + (c * 3)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), c.numpy() * 2, rtol=1e-6)
    w.grad = None
    ((w * 2) * (w + 1)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 4 * w.detach().numpy() + 2, rtol=1e-6)
    with fb.no_grad():
        assert not ((w * 2) + 1).requires_grad
    saved = c * 2
    y = (w * saved) + saved
    saved = None
    y.sum().backward()
    np.testing.assert_allclose(
        w.grad.numpy(), 6 * c.numpy() + 4 * w.detach().numpy() + 2 - 4 * c.numpy(), rtol=1e-5
    )


def test_modes_and_types():
    a = fb.rand(N)
    with fb.inference_mode():
        t = a * 2 + 1
    assert t.is_inference() and not (t * 2 + 1).is_inference()
    assert ((a > 0.5) * 1 + 1).dtype == fb.int64
    assert ((a * 2) + fb.rand(N, dtype=fb.float64)).dtype == fb.float64
    assert ((a * 2) + 1j).dtype == fb.complex64
    assert ((a * 2) + fb.rand(3, N)).shape == (3, N)
    assert ((a[:, None] * 2)[:0] + 1).shape == (0, 1)
    with pytest.raises(TypeError):
        (a * 2) + "text"
    with pytest.raises(RuntimeError, match="must match"):
        (a * 2) + fb.rand(7)
    nan = (a * float("nan")) + 1
    assert bool(nan.isnan().all())


@pytest.mark.parametrize("power", [2, 3, 0.5, -0.5, -1, 2.5, 0, 1])
def test_powers_in_place_and_into_out(power):
    x = np.random.default_rng(0).random(1000).astype("f") + 0.5
    want = x.astype("d") ** power
    t = fb.tensor(x)
    out = fb.empty(1000)
    assert fb.pow(t, power, out=out) is out
    np.testing.assert_allclose(out.numpy(), want, rtol=1e-6)
    np.testing.assert_allclose(fb.tensor(x).pow_(power).numpy(), want, rtol=1e-6)
    leaf = fb.tensor(x, requires_grad=True)
    y = leaf * 1
    y **= power
    y.sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), power * x.astype("d") ** (power - 1), rtol=1e-5)
