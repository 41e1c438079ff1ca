"""autograd.functional and func: Jacobians, Hessians and products, nested and not."""

import pytest

from under_test import IS_TORCH, fb, submodule

A, func = submodule("autograd.functional"), submodule("func")
close = submodule("testing").assert_close
X = fb.tensor([1.0, 2.0], dtype=fb.float64)
Y = fb.tensor([3.0, -1.0, 0.5], dtype=fb.float64)


def outer(a, b):
    return a.unsqueeze(1) * b


def test_jacobian_of_several_inputs_and_outputs():
    (ja, jb), (ka, kb) = A.jacobian(lambda a, b: (outer(a, b), a.sum()), (X, Y))
    assert ja.shape == (2, 3, 2) and jb.shape == (2, 3, 3)
    close(ja[0, :, 0], Y)
    close(jb[1], 2 * fb.eye(3, dtype=fb.float64))
    close(ka, fb.ones(2, dtype=fb.float64))
    close(kb, fb.zeros(3, dtype=fb.float64))


def test_products_agree_with_the_matrices():
    def f(a, b):
        return (outer(a, b) ** 2).sum() + a.exp().prod()

    h = A.hessian(f, (X, Y))
    v = (fb.ones_like(X), fb.arange(3, dtype=fb.float64))
    want = tuple(h[i][0] @ v[0] + h[i][1] @ v[1] for i in range(2))
    for product in (A.hvp, A.vhp):
        value, got = product(f, (X, Y), v)
        close(value, f(X, Y))
        close(got, want)
    j = A.jacobian(outer, (X, Y))
    _, t = A.jvp(outer, (X, Y), v)
    close(t, j[0] @ v[0] + j[1] @ v[1])
    _, g = A.vjp(outer, (X, Y), fb.ones(2, 3, dtype=fb.float64))
    close(g, (j[0].sum((0, 1)), j[1].sum((0, 1))))


def test_results_can_be_differentiated():
    x = X.clone().requires_grad_()
    A.jacobian(lambda v: v**3, x, create_graph=True).sum().backward()
    close(x.grad, 6 * X)
    assert not A.jacobian(lambda v: v**3, x).requires_grad


def test_strict_and_bad_calls():
    close(A.jacobian(lambda v: fb.ones(1), X), fb.zeros(1, 2, dtype=fb.float64), check_dtype=False)
    for call in (A.jacobian, A.hessian):
        with pytest.raises(RuntimeError):
            call(lambda v: fb.ones(()), X, strict=True)
    with pytest.raises(RuntimeError, match="single"):
        A.vjp(lambda v: v * 2, X)
    with pytest.raises(RuntimeError, match="invalid size"):
        A.vjp(lambda v: v * 2, X, fb.ones(3))
    with pytest.raises(RuntimeError, match="single element"):
        A.hvp(lambda v: v * 2, X, X)
    with pytest.raises(TypeError):
        A.jacobian(lambda v: v, 3.0)


def test_transforms_nest():
    x = fb.tensor(2.0, dtype=fb.float64)
    third = func.grad(func.grad(func.grad(lambda v: v**5)))(x)
    close(third, 60 * x**2)
    assert not third.requires_grad
    close(func.hessian(lambda v: (v**3).sum())(X), fb.diag(6 * X))
    close(func.jacrev(outer, argnums=1)(X, Y), A.jacobian(outer, (X, Y))[1])
    # the gradient with respect to one variable inside a function of another
    inner = func.grad(lambda a: func.grad(lambda b: a * b**2)(a))(x)
    close(inner, 4 * x)


def test_gradients_of_nests_and_aux():
    params = {"w": X, "b": fb.tensor(1.0, dtype=fb.float64)}
    g, (value, aux) = func.grad_and_value(
        lambda p, y: ((p["w"].sum() * y + p["b"]) ** 2, p["b"]), has_aux=True
    )(params, 2.0)
    close(value.item(), 49.0)
    close(g, {"w": 28 * fb.ones_like(X), "b": fb.tensor(14.0, dtype=fb.float64)})
    close(aux, params["b"])
    with pytest.raises(RuntimeError, match="scalar"):
        func.grad(lambda v: v * 2)(X)


def test_vjp_and_jvp_of_func():
    value, pull = func.vjp(outer, X, Y)
    close(value, outer(X, Y))
    close(pull(fb.ones(2, 3, dtype=fb.float64)), (Y.sum().expand(2), X.sum().expand(3)))
    value, t = func.jvp(lambda a: a.sin(), (X,), (Y[:2],))
    close(t, X.cos() * Y[:2])
    with pytest.raises(RuntimeError):
        func.jvp(lambda a: fb.ones(2), (X,), (X,), strict=True)


def test_func_of_a_module():
    layer = submodule("nn").Linear(2, 1).double()
    params = dict(layer.named_parameters())
    detached = {k: v.detach() for k, v in params.items()}
    g = func.grad(lambda p: func.functional_call(layer, p, (X,)).sum())(detached)
    close(g["weight"], X.unsqueeze(0))
    assert params["weight"].grad is None


@pytest.mark.skipif(IS_TORCH, reason="PyTorch has it")
def test_vmap_says_what_to_do():
    with pytest.raises(NotImplementedError, match="batch"):
        func.vmap(fb.sin)
