"""The autograd engine: graphs, accumulation, hooks, views and in-place changes, memory."""

import gc
import sys
import weakref

import numpy as np
import pytest

from under_test import fb


def leaf(*values):
    return fb.tensor(list(values), dtype=fb.float64, requires_grad=True)


def close(t, want):
    np.testing.assert_allclose(t.detach().numpy(), want, rtol=1e-12, atol=1e-12)


def test_leaves_and_graph_attributes():
    x = leaf(1.0, 2.0)
    y = x * 2
    assert x.is_leaf and x.grad_fn is None and x.requires_grad
    assert not y.is_leaf and y.requires_grad and "Mul" in type(y.grad_fn).__name__
    assert y.grad_fn.next_functions[0][0] is not None
    assert not y.detach().requires_grad and y.detach().is_leaf
    assert fb.ones(2).is_leaf and not fb.ones(2).requires_grad
    with pytest.raises(RuntimeError, match="(?i)float"):
        fb.ones(2, dtype=fb.int64).requires_grad_()


def test_gradients_accumulate_and_reset():
    x = leaf(1.0, 2.0)
    (x * 3).sum().backward()
    first = x.grad
    (x * 3).sum().backward()
    close(x.grad, [6, 6])
    assert x.grad is first, "the gradient is accumulated in place"
    x.grad = None
    (x * x).sum().backward()
    close(x.grad, [2, 4])
    assert x.grad is x.grad


def test_one_tensor_used_many_times():
    x = leaf(2.0)
    y = x * x + x / x - x * x * x
    y.sum().backward()
    close(x.grad, [2 * 2 - 3 * 4])


def test_diamond_runs_each_node_once():
    x = leaf(1.5)
    a = x.exp()
    calls = []
    a.register_hook(lambda g: calls.append(1))
    (a * a + a).sum().backward()
    assert calls == [1]


def test_backward_of_a_vector_needs_a_gradient():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="(?i)scalar"):
        (x * 2).backward()
    (x * 2).backward(fb.tensor([1.0, 10.0], dtype=fb.float64))
    close(x.grad, [2, 20])
    with pytest.raises(RuntimeError, match="(?i)shape"):
        (x * 2).backward(fb.ones(3, dtype=fb.float64))
    with pytest.raises(RuntimeError, match="(?i)grad"):
        fb.ones(1).sum().backward()


def test_second_backward_needs_retain_graph():
    x = leaf(1.0)
    y = x.exp().sum()
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(RuntimeError, match="(?i)second time|retain_graph"):
        y.backward()


def test_retain_grad():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.sum().backward()
    close(y.grad, [1, 1])
    assert y.retains_grad


def test_grad_function():
    x, y = leaf(2.0), leaf(3.0)
    z = x * x * y
    gx, gy = fb.autograd.grad(z.sum(), (x, y))
    close(gx, [12])
    close(gy, [4])
    assert x.grad is None and y.grad is None
    with pytest.raises(RuntimeError, match="(?i)unused|not have been used"):
        fb.autograd.grad((x * 2).sum(), (x, y))
    assert fb.autograd.grad((x * 2).sum(), (x, y), allow_unused=True)[1] is None
    z = fb.autograd.grad((x * 2).sum(), (x, y), materialize_grads=True)
    close(z[1], [0])
    mid = x * 3
    close(fb.autograd.grad((mid * mid).sum(), mid)[0], [12])


def test_higher_derivatives():
    x = leaf(0.7)
    y = x.sin()
    for want in (np.cos(0.7), -np.sin(0.7), -np.cos(0.7), np.sin(0.7), np.cos(0.7)):
        (y,) = fb.autograd.grad(y.sum(), x, create_graph=True)
        close(y, [want])


def test_gradient_penalty():
    w, x = leaf(0.5, -1.0), leaf(2.0, 3.0)
    out = (w * x).tanh().sum()
    (g,) = fb.autograd.grad(out, x, create_graph=True)
    (g * g).sum().backward()
    wv, xv = np.array([0.5, -1.0]), np.array([2.0, 3.0])
    t = np.tanh(wv * xv)
    s = 1 - t * t
    close(w.grad, 2 * wv * s * (s + wv * -2 * t * s * xv))


def test_tensor_hooks():
    x = leaf(1.0, 2.0)
    seen = []
    h = x.register_hook(lambda g: seen.append(g.clone()))
    double = x.register_hook(lambda g: g * 2)
    x.sum().backward()
    close(x.grad, [2, 2])
    assert len(seen) == 1
    h.remove()
    double.remove()
    x.grad = None
    x.sum().backward()
    close(x.grad, [1, 1])
    assert len(seen) == 1
    y = x * 1
    y.register_hook(lambda g: g * 5)
    x.grad = None
    y.sum().backward()
    close(x.grad, [5, 5])


def test_post_accumulate_hook():
    x = leaf(1.0)
    seen = []
    x.register_post_accumulate_grad_hook(lambda p: seen.append(p.grad.clone()))
    (x * 4).sum().backward()
    close(seen[0], [4])


def test_hook_that_raises_reaches_the_caller():
    x = leaf(1.0)

    def bad(g):
        raise ValueError("from the hook")

    x.register_hook(bad)
    with pytest.raises(ValueError, match="from the hook"):
        x.sum().backward()


def test_no_grad_and_friends():
    x = leaf(1.0)
    with fb.no_grad():
        assert not fb.is_grad_enabled()
        assert not (x * 2).requires_grad
        with fb.enable_grad():
            assert (x * 2).requires_grad
    with fb.set_grad_enabled(False):
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad

    @fb.no_grad()
    def f():
        return x * 2

    assert not f().requires_grad
    with pytest.raises(ValueError):
        with fb.no_grad():
            raise ValueError
    assert fb.is_grad_enabled()


def test_inference_mode():
    x = leaf(1.0)
    with fb.inference_mode():
        y = x * 2
        assert not y.requires_grad and fb.is_inference_mode_enabled()
    assert not fb.is_inference_mode_enabled()
    assert y.is_inference()
    close(y + 1, [3])
    with pytest.raises(RuntimeError, match="(?i)inference"):
        y.add_(1)


def test_in_place_on_a_leaf_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="(?i)leaf"):
        x.add_(1)
    with pytest.raises(RuntimeError, match="(?i)leaf"):
        x[0] = 5
    with fb.no_grad():
        x.add_(1)
    close(x, [2, 3])


def test_overwritten_value_is_an_error():
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="(?i)in.?place"):
        y.sum().backward()
    a = leaf(1.0, 2.0)
    b = fb.ones(2, dtype=fb.float64)
    z = a * b
    b.add_(1)
    with pytest.raises(RuntimeError, match="(?i)in.?place"):
        z.sum().backward()
    c = a + b
    b.add_(1)  # addition does not need its inputs
    c.sum().backward()


def test_version_counter():
    x = fb.zeros(3)
    v = x.view(3)
    before = x._version
    v.add_(1)
    assert x._version == before + 1 == v._version
    assert x.detach()._version == x._version


def test_in_place_in_the_graph():
    x = leaf(1.0, 2.0, 3.0)
    y = x * 2
    y.mul_(3).add_(x)
    y.sum().backward()
    close(x.grad, [7, 7, 7])


@pytest.mark.parametrize("write", [lambda y: y.cumprod_(0), lambda y: y.float_power_(3)])
def test_in_place_forms_keep_the_operand_that_the_derivative_reads(write):
    x, z = leaf(1.0, 2.0, 3.0), leaf(1.0, 2.0, 3.0)
    y = x.double() * 1
    write(y)
    y.sum().backward()
    (z.double().cumprod(0) if y[2] == 6 else z.double() ** 3).sum().backward()
    close(x.grad, z.grad)


def test_in_place_on_a_view_rewrites_the_base():
    x = leaf(1.0, 2.0, 3.0)
    base = x * 1
    base[1:].mul_(10)
    base.sum().backward()
    close(x.grad, [1, 10, 10])

    x = leaf(1.0, 2.0, 3.0, 4.0)
    v = leaf(5.0)
    m = (x * 2).view(2, 2)
    m[:, 0] = v
    assert m.requires_grad
    (m * m).sum().backward()
    close(v.grad, [20])
    close(x.grad, [0, 16, 0, 32])


def test_view_sees_a_change_of_its_base():
    x = leaf(1.0, 2.0)
    base = x * 1
    view = base.view(2)
    base.mul_(3)
    view.sum().backward()
    close(x.grad, [3, 3])


def test_writing_into_a_plain_buffer_joins_the_graph():
    x = leaf(1.0, 2.0)
    buf = fb.zeros(3, dtype=fb.float64)
    buf[:2] = x * 3
    assert buf.requires_grad and not buf.is_leaf
    buf.sum().backward()
    close(x.grad, [3, 3])


def test_views_of_multi_output_ops_refuse_in_place():
    x = leaf(1.0, 2.0, 3.0, 4.0)
    a, b = (x * 1).chunk(2)
    with pytest.raises(RuntimeError, match="(?i)view"):
        a.mul_(2)
        (a.sum() + b.sum()).backward()


def test_detach_shares_memory_and_data_escapes():
    x = leaf(1.0, 2.0)
    d = x.detach()
    d[0] = 9
    close(x, [9, 2])
    x.data.mul_(2)
    close(x, [18, 4])
    assert not x.data.requires_grad
    x.data = fb.zeros(2, dtype=fb.float64)
    close(x, [0, 0])


def test_gradient_is_a_plain_tensor_of_the_right_shape():
    x = fb.ones(3, 1, requires_grad=True)
    (x * fb.ones(4)).sum().backward()
    assert tuple(x.grad.shape) == (3, 1) and x.grad.dtype == x.dtype
    assert not x.grad.requires_grad
    with pytest.raises(RuntimeError, match="(?i)shape|size"):
        x.grad = fb.ones(2)
    with pytest.raises((TypeError, RuntimeError)):
        x.grad = 3


class Cube(fb.autograd.Function):
    """x**3 with a hand-written derivative."""

    @staticmethod
    def forward(ctx, x, k):
        ctx.save_for_backward(x)
        ctx.k = k
        return k * x**3

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        assert ctx.needs_input_grad == (True, False)
        return 3 * ctx.k * x * x * g, None


def test_user_function():
    x = leaf(2.0)
    y = Cube.apply(x, 2)
    assert "CubeBackward" in type(y.grad_fn).__name__
    (g,) = fb.autograd.grad(y.sum(), x, create_graph=True)
    close(g, [24])
    close(fb.autograd.grad(g.sum(), x)[0], [24])


class TwoOut(fb.autograd.Function):
    @staticmethod
    def forward(ctx, a, b):
        ctx.save_for_backward(a, b)
        n = a > b
        ctx.mark_non_differentiable(n)
        return a * b, a + b, n

    @staticmethod
    def backward(ctx, gm, gs, gn):
        a, b = ctx.saved_tensors
        return gm * b + gs, gm * a + gs


def test_user_function_with_several_outputs():
    a, b = leaf(2.0), leaf(3.0)
    m, s, n = TwoOut.apply(a, b)
    assert not n.requires_grad
    m.sum().backward()
    close(a.grad, [3])
    close(b.grad, [2])


class Wrong(fb.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 1

    @staticmethod
    def backward(ctx, g):
        return g, g


def test_user_function_with_wrong_number_of_gradients():
    with pytest.raises(RuntimeError, match="(?i)gradients"):
        Wrong.apply(leaf(1.0)).sum().backward()


def test_a_million_nodes_are_freed_without_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(1_000_000 if sys.flags.dev_mode is False else 10_000):
        y = y + 1
    del y
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.sum().backward()
    close(x.grad, [1])


def test_memory_is_released_at_once():
    gc.collect()
    gc.disable()
    try:
        x = fb.ones(10, requires_grad=True)
        marks = []

        class Mark(fb.autograd.Function):
            @staticmethod
            def forward(ctx, t):
                ctx.mark = type("M", (), {})()
                marks.append(weakref.ref(ctx.mark))
                return t * 2

            @staticmethod
            def backward(ctx, g):
                return g * 2

        y = Mark.apply(x).sum()
        assert marks[0]() is not None
        del y
        assert marks[0]() is None, "dropping the result frees its graph without the collector"
    finally:
        gc.enable()


def test_attributes_and_identity_survive():
    x = leaf(1.0)
    x.note = "kept"
    holder = [x]
    del x
    gc.collect()
    assert holder[0].note == "kept"
    y = holder[0] * 2
    y.sum().backward()
    assert holder[0].grad is holder[0].grad
    holder[0].grad.tag = 1
    assert holder[0].grad.tag == 1


def test_gradcheck():
    a = fb.rand(3, dtype=fb.float64, requires_grad=True)
    b = fb.rand(3, dtype=fb.float64, requires_grad=True)
    assert fb.autograd.gradcheck(lambda x, y: (x * y).sin(), (a, b))
    assert fb.autograd.gradgradcheck(lambda x, y: (x * y).sin(), (a, b))

    class Lie(fb.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, g):
            return g * 3

    with pytest.raises(RuntimeError):
        fb.autograd.gradcheck(Lie.apply, (a,))
    assert not fb.autograd.gradcheck(Lie.apply, (a,), raise_exception=False)


def test_jacobian_and_hessian():
    F = fb.autograd.functional
    x = fb.tensor([1.0, 2.0], dtype=fb.float64)
    close(F.jacobian(lambda v: v * v, x), [[2, 0], [0, 4]])
    close(F.hessian(lambda v: (v**3).sum(), x), [[6, 0], [0, 12]])
    out, g = F.vjp(lambda v: (v * v).sum(), x)
    close(g, [2, 4])
    out, t = F.jvp(lambda v: v * v, x, fb.ones(2, dtype=fb.float64))
    close(t, [2, 4])


def test_python_control_flow():
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    x = leaf(2.0)
    power(x, 5).sum().backward()
    close(x.grad, [80])


def test_backward_from_several_roots():
    x = leaf(1.0)
    fb.autograd.backward([(x * 2).sum(), (x * 3).sum()])
    close(x.grad, [5])


def test_saved_output_of_an_op_may_be_dropped():
    x = leaf(0.5)
    z = fb.sigmoid(fb.tanh(x) * 2).sum()
    gc.collect()
    z.backward()
    t = np.tanh(0.5)
    s = 1 / (1 + np.exp(-2 * t))
    close(x.grad, [s * (1 - s) * 2 * (1 - t * t)])


def test_integer_outputs_carry_no_gradient():
    x = leaf(3.0, 1.0, 2.0)
    v, i = x.sort()
    assert v.requires_grad and not i.requires_grad
    assert not x.argmax().requires_grad
    assert not (x > 1).requires_grad


def test_numpy_refuses_tensors_in_a_graph():
    with pytest.raises(RuntimeError, match="detach"):
        leaf(1.0).numpy()
    with pytest.raises(RuntimeError, match="detach|Call"):
        (leaf(1.0) * 2).numpy()
