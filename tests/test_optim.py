"""Optimizers against NumPy formulas of their papers, their state dicts, hooks and errors."""

import copy
import pickle
import warnings

import numpy as np
import pytest

import flambeau as fb
from flambeau import optim

STEPS = 12


def start():
    """Two parameters of a small quadratic problem, and the gradient of its loss in NumPy."""
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    targets = [rng.normal(size=(3, 4)), rng.normal(size=4)]
    scales = [rng.uniform(0.5, 2, size=(3, 4)), rng.uniform(0.5, 2, size=4)]
    return values, lambda xs: [s * (x - t) for x, t, s in zip(xs, targets, scales)]


def parameters(values, dtype=None):
    ps = [fb.tensor(v, dtype=dtype or fb.float64) for v in values]
    return [p.requires_grad_(True) for p in ps]


def set_grads(params, gradient):
    for p, g in zip(params, gradient([p.detach().numpy().astype(np.float64) for p in params])):
        p.grad = fb.tensor(g, dtype=p.dtype)


def run(name, options, steps=STEPS, dtype=None):
    values, gradient = start()
    params = parameters(values, dtype)
    opt = getattr(optim, name)(params, **options)
    for _ in range(steps):
        set_grads(params, gradient)
        opt.step()
    return [p.detach().numpy() for p in params]


# ---- the formulas: one step of one parameter, with a dict for the state; t counts from 1


def np_sgd(x, g, s, t, lr=1e-3, momentum=0, dampening=0, nesterov=False):
    if momentum:
        s["v"] = g.copy() if t == 1 else momentum * s["v"] + (1 - dampening) * g
        g = g + momentum * s["v"] if nesterov else s["v"]
    return x - lr * g


def np_adam(x, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, amsgrad=False):
    b1, b2 = betas
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    v = s["v"]
    if amsgrad:
        v = s["max"] = np.maximum(s.get("max", 0), v)
    return x - lr * (s["m"] / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)


def np_rmsprop(x, g, s, t, lr=1e-2, alpha=0.99, eps=1e-8, momentum=0, centered=False):
    s["v"] = alpha * s.get("v", 0) + (1 - alpha) * g * g
    v = s["v"]
    if centered:
        s["g"] = alpha * s.get("g", 0) + (1 - alpha) * g
        v = v - s["g"] ** 2
    step = g / (np.sqrt(v) + eps)
    if momentum:
        step = s["b"] = momentum * s.get("b", 0) + step
    return x - lr * step


def np_adagrad(x, g, s, t, lr=1e-2, lr_decay=0, initial_accumulator_value=0, eps=1e-10):
    s["sum"] = s.get("sum", initial_accumulator_value) + g * g
    return x - lr / (1 + (t - 1) * lr_decay) * g / (np.sqrt(s["sum"]) + eps)


def np_adadelta(x, g, s, t, lr=1.0, rho=0.9, eps=1e-6):
    s["v"] = rho * s.get("v", 0) + (1 - rho) * g * g
    d = np.sqrt(s.get("d", 0) + eps) / np.sqrt(s["v"] + eps) * g
    s["d"] = rho * s.get("d", 0) + (1 - rho) * d * d
    return x - lr * d


def np_adamax(x, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8):
    s["m"] = betas[0] * s.get("m", 0) + (1 - betas[0]) * g
    s["u"] = np.maximum(betas[1] * s.get("u", 0), np.abs(g) + eps)
    return x - lr / (1 - betas[0] ** t) * s["m"] / s["u"]


def np_nadam(x, g, s, t, lr=2e-3, betas=(0.9, 0.999), eps=1e-8, momentum_decay=4e-3):
    b1, b2 = betas
    mu = b1 * (1 - 0.5 * 0.96 ** (t * momentum_decay))
    mu_next = b1 * (1 - 0.5 * 0.96 ** ((t + 1) * momentum_decay))
    s["mu"] = s.get("mu", 1) * mu
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    m = mu_next * s["m"] / (1 - s["mu"] * mu_next) + (1 - mu) * g / (1 - s["mu"])
    return x - lr * m / (np.sqrt(s["v"] / (1 - b2**t)) + eps)


def np_radam(x, g, s, t, lr=1e-3, betas=(0.9, 0.999), eps=1e-8):
    b1, b2 = betas
    s["m"] = b1 * s.get("m", 0) + (1 - b1) * g
    s["v"] = b2 * s.get("v", 0) + (1 - b2) * g * g
    m = s["m"] / (1 - b1**t)
    top = 2 / (1 - b2) - 1
    rho = top - 2 * t * b2**t / (1 - b2**t)
    if rho <= 5:
        return x - lr * m
    r = np.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
    return x - lr * m * r * np.sqrt(1 - b2**t) / (np.sqrt(s["v"]) + eps)


def np_asgd(x, g, s, t, lr=1e-2, lambd=1e-4, alpha=0.75):
    eta = lr if t == 1 else float(np.float32(lr / (1 + lambd * lr * (t - 1)) ** alpha))
    return x * (1 - lambd * eta) - eta * g


def np_rprop(x, g, s, t, lr=1e-2, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    sign = np.sign(g * s.get("g", np.zeros_like(g)))
    factor = np.where(sign > 0, etas[1], np.where(sign < 0, etas[0], 1))
    s["size"] = np.clip(s.get("size", lr) * factor, *step_sizes)
    g = np.where(sign < 0, 0, g)
    s["g"] = g
    return x - np.sign(g) * s["size"]


def np_adafactor(x, g, s, t, lr=1e-2, beta2_decay=-0.8, d=1.0):
    eps = np.finfo(np.float64).eps
    mix = t**beta2_decay
    alpha = max(1e-3, np.sqrt(np.mean(x * x))) * min(lr, 1 / np.sqrt(t))
    if g.ndim > 1:
        s["r"] = (1 - mix) * s.get("r", 0) + mix * (g * g).mean(-1, keepdims=True)
        s["c"] = (1 - mix) * s.get("c", 0) + mix * (g * g).mean(-2, keepdims=True)
        v = s["r"] * s["c"] / max(s["r"].mean(), eps)
    else:
        v = s["v"] = (1 - mix) * s.get("v", 0) + mix * g * g
    u = g / np.sqrt(np.maximum(v, eps * eps))
    return x - alpha * u / max(1, np.sqrt(np.mean(u * u)) / d)


# PyTorch, and so Flambeau, keeps some scalars of the state in float32.
TOLERANCE = {"ASGD": 1e-6, "NAdam": 1e-6}
FORMULAS = {
    "SGD": (np_sgd, [{}, {"lr": 0.1, "momentum": 0.9}, {"momentum": 0.5, "dampening": 0.3},
                     {"lr": 0.05, "momentum": 0.9, "nesterov": True}]),
    "Adam": (np_adam, [{}, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3},
                       {"lr": 0.1, "betas": (0.5, 0.7), "amsgrad": True}]),
    "RMSprop": (np_rmsprop, [{}, {"momentum": 0.9, "alpha": 0.9}, {"centered": True},
                             {"centered": True, "momentum": 0.5, "eps": 1e-3}]),
    "Adagrad": (np_adagrad, [{}, {"lr": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5}]),
    "Adadelta": (np_adadelta, [{}, {"lr": 0.5, "rho": 0.7, "eps": 1e-3}]),
    "Adamax": (np_adamax, [{}, {"lr": 0.1, "betas": (0.7, 0.9)}]),
    "NAdam": (np_nadam, [{}, {"lr": 0.1, "momentum_decay": 0.1}]),
    "RAdam": (np_radam, [{"lr": 0.1}, {"lr": 0.1, "betas": (0.8, 0.99)}]),
    "ASGD": (np_asgd, [{}, {"lr": 0.1, "lambd": 0.05, "alpha": 0.5}]),
    "Rprop": (np_rprop, [{}, {"lr": 0.3, "etas": (0.4, 1.5), "step_sizes": (1e-3, 0.5)}]),
    "Adafactor": (np_adafactor, [{}, {"lr": 0.3, "d": 2.0}]),
}  # fmt: skip
DECAYED = ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "NAdam", "RAdam", "ASGD")


def run_formula(name, options, steps=STEPS, weight_decay=0, maximize=False, shrink=0):
    formula = FORMULAS[name][0]
    xs, gradient = start()
    states = [{}, {}]
    for t in range(1, steps + 1):
        gs = gradient(xs)
        for i, (x, g, s) in enumerate(zip(xs, gs, states)):
            g = (-g if maximize else g) + weight_decay * x
            xs[i] = formula(x * (1 - shrink), g, s, t, **options)
    return xs


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name):
    for options in FORMULAS[name][1]:
        for got, want in zip(run(name, options), run_formula(name, options)):
            np.testing.assert_allclose(got, want, rtol=TOLERANCE.get(name, 1e-10))
        single = run(name, options, dtype=fb.float32)
        for got, want in zip(single, run_formula(name, options)):
            np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize("name", FORMULAS)
def test_maximize_and_weight_decay(name):
    options = FORMULAS[name][1][-1]
    for got, want in zip(run(name, {**options, "maximize": True}),
                         run_formula(name, options, maximize=True)):  # fmt: skip
        np.testing.assert_allclose(got, want, rtol=1e-6)
    if name in DECAYED:
        for got, want in zip(run(name, {**options, "weight_decay": 0.1}),
                             run_formula(name, options, weight_decay=0.1)):  # fmt: skip
            np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize(
    "name, formula, options, decay",
    [
        ("AdamW", "Adam", {"lr": 0.1}, {"weight_decay": 0.2}),
        ("Adam", "Adam", {"lr": 0.1}, {"weight_decay": 0.2, "decoupled_weight_decay": True}),
        ("NAdam", "NAdam", {"lr": 0.1}, {"weight_decay": 0.2, "decoupled_weight_decay": True}),
        ("RAdam", "RAdam", {"lr": 0.1}, {"weight_decay": 0.2, "decoupled_weight_decay": True}),
    ],
)
def test_decoupled_weight_decay(name, formula, options, decay):
    want = run_formula(formula, options, shrink=0.1 * 0.2)
    for got, exact in zip(run(name, {**options, **decay}), want):
        np.testing.assert_allclose(got, exact, rtol=1e-7)


def test_muon_moves_along_an_orthogonal_matrix():
    p = fb.zeros(6, 4, requires_grad=True)
    p.grad = fb.tensor(np.random.default_rng(0).normal(size=(6, 4)), dtype=fb.float32)
    optim.Muon([p], lr=1.0, weight_decay=0.0).step()
    singular = np.linalg.svd(p.detach().numpy(), compute_uv=False)
    assert singular.min() > 0.5 and singular.max() < 1.6  # what 5 iterations in bfloat16 give
    with pytest.raises(ValueError, match="2D"):
        optim.Muon([fb.zeros(3, requires_grad=True)])


@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_lbfgs_solves_rosenbrock(search):
    x = fb.tensor([-1.2, 1.0], dtype=fb.float64, requires_grad=True)
    opt = optim.LBFGS([x], lr=1 if search else 1e-2, max_iter=40, line_search_fn=search)

    def closure():
        opt.zero_grad()
        loss = (1 - x[0]) ** 2 + 100 * (x[1] - x[0] ** 2) ** 2
        loss.backward()
        return loss

    first = opt.step(closure).item()
    assert first == pytest.approx(24.2)
    for _ in range(3 if search else 0):
        opt.step(closure)
    if search:
        np.testing.assert_allclose(x.detach().numpy(), 1, atol=1e-4)
    assert closure().item() < (1e-8 if search else first)


def test_lbfgs_refuses():
    x = fb.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="parameter groups"):
        optim.LBFGS([{"params": [x]}, {"params": [fb.zeros(1, requires_grad=True)]}])
    opt = optim.LBFGS([x], line_search_fn="golden")
    with pytest.raises(RuntimeError, match="strong_wolfe"):

        def closure():
            loss = ((x - 3) ** 2).sum()
            loss.backward()
            return loss

        opt.step(closure)


ALL = [*FORMULAS, "AdamW"]


@pytest.mark.parametrize("name", ALL)
def test_state_dict_continues_the_trajectory(name):
    options = {"lr": 0.1}
    if name in ("SGD", "RMSprop"):
        options["momentum"] = 0.9
    want = run(name, options, 10)
    values, gradient = start()
    params = parameters(values)
    opt = getattr(optim, name)(params, **options)
    for i in range(10):
        if i == 5:
            saved = pickle.loads(pickle.dumps(copy.deepcopy(opt.state_dict())))
            opt = getattr(optim, name)(params, lr=7.0)
            opt.load_state_dict(saved)
            assert opt.param_groups[0]["lr"] == 0.1
        set_grads(params, gradient)
        opt.step()
    for got, exact in zip(params, want):
        np.testing.assert_allclose(got.detach().numpy(), exact, rtol=1e-6)


def test_state_dict_has_pytorchs_structure():
    values, gradient = start()
    params = parameters(values)
    opt = optim.Adam([{"params": params[:1]}, {"params": params[1:], "lr": 0.5}], amsgrad=True)
    assert opt.state_dict()["state"] == {}
    set_grads(params, gradient)
    opt.step()
    state = opt.state_dict()
    assert list(state) == ["state", "param_groups"]
    assert list(state["state"]) == [0, 1]
    assert set(state["state"][0]) == {"step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"}
    assert state["state"][0]["step"].dtype == fb.float32 and state["state"][0]["step"].shape == ()
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]]
    assert [g["lr"] for g in state["param_groups"]] == [1e-3, 0.5]
    assert set(state["param_groups"][0]) == {
        "params", "lr", "betas", "eps", "weight_decay", "amsgrad", "maximize", "foreach",
        "capturable", "differentiable", "fused", "decoupled_weight_decay",
    }  # fmt: skip


def test_load_state_dict_casts_and_checks():
    p = fb.ones(2, dtype=fb.float64, requires_grad=True)
    opt = optim.Adam([p])
    state = {"step": fb.tensor(3.0), "exp_avg": fb.ones(2), "exp_avg_sq": fb.ones(2)}
    saved = {"state": {0: state}, "param_groups": opt.state_dict()["param_groups"]}
    opt.load_state_dict(saved)
    assert opt.state[p]["exp_avg"].dtype == fb.float64
    assert opt.state[p]["step"].dtype == fb.float32 and opt.state[p]["step"].item() == 3
    with pytest.raises(ValueError, match="number of parameter groups"):
        opt.load_state_dict({"state": {}, "param_groups": []})
    bad = [dict(saved["param_groups"][0], params=[0, 1])]
    with pytest.raises(ValueError, match="size of optimizer's group"):
        opt.load_state_dict({"state": {}, "param_groups": bad})


def test_construction_errors():
    p, q = fb.zeros(2, requires_grad=True), fb.zeros(2, requires_grad=True)
    with pytest.raises(TypeError, match="iterable of Tensors"):
        optim.SGD(p)
    with pytest.raises(ValueError, match="empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="only optimize Tensors"):
        optim.SGD([1.0])
    with pytest.raises(ValueError, match="non-leaf"):
        optim.SGD([p * 2])
    with pytest.raises(TypeError, match="sets"):
        optim.SGD([{"params": {p}}])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [q, p]}])
    with pytest.warns(UserWarning, match="duplicate"):
        optim.SGD([p, p])
    with pytest.raises(ValueError, match="names"):
        optim.SGD([("w", p), q])
    opt = optim.SGD([("w", p)])
    assert opt.param_groups[0]["param_names"] == ["w"]
    with pytest.raises(ValueError, match="names"):
        opt.add_param_group({"params": [q]})
    with pytest.raises(TypeError, match="must be a dict"):
        opt.add_param_group([q])


@pytest.mark.parametrize("name", [*ALL, "LBFGS", "SparseAdam", "Muon"])
def test_option_errors(name):
    p = fb.zeros(2, 2, requires_grad=True)
    with pytest.raises(ValueError, match="(?i)learning rate"):
        getattr(optim, name)([p], lr=-1.0)
    if name in DECAYED:
        with pytest.raises(ValueError, match="weight_decay"):
            getattr(optim, name)([p], weight_decay=-1)
    if "Adam" in name or name == "NAdam":
        with pytest.raises(ValueError, match="beta parameter at index 1"):
            getattr(optim, name)([p], betas=(0.9, 1.0))


def test_other_errors():
    p = fb.zeros(2, requires_grad=True)
    with pytest.raises(ValueError, match="Nesterov"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(RuntimeError, match="fused"):
        optim.Adam([p], fused=True, foreach=True)
    p.grad = fb.ones(2)
    with pytest.raises(RuntimeError, match="does not support dense gradients"):
        optim.SparseAdam([p]).step()
    with pytest.raises(NotImplementedError):
        optim.Optimizer([p], {}).step()


def test_hooks():
    p = fb.zeros(1, requires_grad=True)
    p.grad = fb.ones(1)
    opt = optim.SGD([p], lr=1.0)
    seen = []
    before = opt.register_step_pre_hook(lambda o, args, kwargs: seen.append("pre"))
    opt.register_step_post_hook(lambda o, args, kwargs: seen.append("post"))
    opt.register_state_dict_pre_hook(lambda o: seen.append("state"))
    opt.register_state_dict_post_hook(lambda o, state: {**state, "extra": 1})
    opt.register_load_state_dict_pre_hook(lambda o, state: seen.append("load"))
    opt.register_load_state_dict_post_hook(lambda o: seen.append("loaded"))
    opt.step()
    state = opt.state_dict()
    assert state["extra"] == 1
    opt.load_state_dict(state)
    assert seen == ["pre", "post", "state", "load", "loaded"]
    before.remove()
    opt.step()
    assert seen[5:] == ["post"]
    with optim.optimizer.register_optimizer_step_pre_hook(lambda *a: seen.append("global")):
        opt.step()
    opt.step()
    assert seen[6:] == ["global", "post", "post"]


def test_own_optimizer_with_super_step_runs_hooks_once():
    class Own(optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    p = fb.zeros(1, requires_grad=True)
    opt, seen = Own([p]), []
    opt.register_step_post_hook(lambda *a: seen.append(1))
    opt.step()
    assert seen == [1]


def test_closure_zero_grad_and_repr():
    p = fb.tensor([1.0, 2.0], requires_grad=True)
    opt = optim.SGD([p], lr=0.5)

    def closure():
        assert fb.is_grad_enabled()
        opt.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    with fb.no_grad():
        assert opt.step(closure).item() == 5.0
    assert p.tolist() == [0.0, 0.0]
    opt.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0.0, 0.0]
    opt.zero_grad()
    assert p.grad is None
    opt.step()  # nothing to do without gradients
    assert repr(opt).startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    again = pickle.loads(pickle.dumps(opt))
    assert again.param_groups[0]["lr"] == 0.5 and again.param_groups[0]["params"][0].is_leaf


def test_tensor_lr_and_unusual_parameters():
    values, gradient = start()
    for name in ("SGD", "Adam", "RMSprop", "Adagrad"):
        lr = fb.tensor(0.1, dtype=fb.float64)
        for got, want in zip(run(name, {"lr": lr}), run_formula(name, {"lr": 0.1})):
            np.testing.assert_allclose(got, want, rtol=1e-10)
        # A transposed parameter takes another path and the same values.
        base = fb.tensor(values[0].T.copy(), dtype=fb.float64)
        p = base.t().requires_grad_(True)
        q = fb.tensor(values[0], dtype=fb.float64).requires_grad_(True)
        a, b = getattr(optim, name)([p], lr=0.1), getattr(optim, name)([q], lr=0.1)
        for _ in range(3):
            set_grads([p], gradient)
            set_grads([q], gradient)
            a.step()
            b.step()
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Rprop"])
def test_complex_parameters_are_pairs_of_reals(name):
    z = fb.tensor([1 + 2j, -0.5j], dtype=fb.complex128).requires_grad_(True)
    w = fb.tensor([[1.0, 2.0], [0.0, -0.5]], dtype=fb.float64).requires_grad_(True)
    options = {"lr": 0.1, **({"momentum": 0.9} if name == "SGD" else {})}
    a, b = getattr(optim, name)([z], **options), getattr(optim, name)([w], **options)
    for _ in range(3):
        z.grad = (z.detach() * 2).clone()
        w.grad = (w.detach() * 2).clone()
        a.step()
        b.step()
    np.testing.assert_allclose(fb.view_as_real(z.detach()).numpy(), w.detach().numpy(), rtol=1e-9)


def test_fused_and_composite_updates_agree():
    from flambeau.optim import adagrad, adam, rmsprop, sgd

    rng = np.random.default_rng(1)
    for dtype in (fb.float32, fb.float64):
        for n in (1, 7, 1000):

            def make():
                return [fb.tensor(rng.uniform(0.1, 1, size=n), dtype=dtype) for _ in range(5)]

            def both(fused, composite, tensors, **options):
                mine, other = [[t.clone() for t in tensors] for _ in range(2)]
                steps = [fb.tensor(2.0)], [fb.tensor(2.0)]
                fused(mine, steps[0], **options)
                composite(other, steps[1], **options)
                for a, b in zip(mine, other):
                    tol = 1e-6 if dtype == fb.float32 else 1e-13
                    np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=tol, atol=tol)

            for flags in ({}, {"amsgrad": True}, {"maximize": True, "weight_decay": 0.1},
                          {"decoupled_weight_decay": True, "weight_decay": 0.1}):  # fmt: skip
                full = {"amsgrad": False, "maximize": False, "weight_decay": 0,
                        "decoupled_weight_decay": False, "lr": 0.1, "beta1": 0.9, "beta2": 0.99,
                        "eps": 1e-8, **flags}  # fmt: skip
                both(
                    lambda ts, steps, **o: adam.adam(*[[t] for t in ts], steps, **o),
                    lambda ts, steps, **o: adam.composite_adam(*[[t] for t in ts], steps, **o),
                    make(), **full,
                )  # fmt: skip
            for momentum, nesterov in ((0, False), (0.9, False), (0.9, True)):
                full = {"lr": 0.1, "momentum": momentum, "dampening": 0, "weight_decay": 0.1,
                        "nesterov": nesterov, "maximize": True}  # fmt: skip
                both(
                    lambda ts, steps, **o: sgd.sgd([ts[0]], [ts[1]], [ts[2]], **o),
                    lambda ts, steps, **o: sgd.composite_sgd([ts[0]], [ts[1]], [ts[2]], **o),
                    make(), **full,
                )  # fmt: skip
            for momentum, centered in ((0, False), (0.9, False), (0, True), (0.9, True)):
                full = {"lr": 0.1, "alpha": 0.9, "eps": 1e-8, "weight_decay": 0.1,
                        "momentum": momentum, "centered": centered, "maximize": False}  # fmt: skip
                tensors = make()
                tensors[2] = tensors[2] + 2  # a mean square above the squared mean
                both(
                    lambda ts, steps, **o: rmsprop.rmsprop(*[[t] for t in ts], steps, **o),
                    lambda ts, steps, **o: rmsprop.composite_rmsprop(
                        *[[t] for t in ts], steps, **o
                    ),
                    tensors, **full,
                )  # fmt: skip
            full = {"lr": 0.1, "weight_decay": 0.1, "lr_decay": 0.1, "eps": 1e-8, "maximize": False}
            both(
                lambda ts, steps, **o: adagrad.adagrad(*[[t] for t in ts[:3]], steps, **o),
                lambda ts, steps, **o: adagrad.composite_adagrad(
                    *[[t] for t in ts[:3]], steps, **o
                ),
                make(), **full,
            )  # fmt: skip


RULES = [
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {"maximize": True}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"weight_decay": 0.1, "maximize": True}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True, "betas": (0.4, 0.9)}),
    ("RAdam", {"weight_decay": 0.1}),
    ("ASGD", {"lambd": 0.1, "t0": 2, "weight_decay": 0.1}),
    ("Rprop", {"maximize": True}),
]


@pytest.mark.parametrize("dtype", [fb.float32, fb.float64])
@pytest.mark.parametrize("name, options", RULES)
def test_rules_of_one_form_agree_with_their_composites(name, options, dtype):
    rng = np.random.default_rng(2)
    shapes = [(1,), (7,), (3, 0), (33, 1000)]  # the last makes more than one chunk
    values = [rng.normal(size=s) for s in shapes]
    gradients = [[rng.normal(size=s) * (rng.random(s) > 0.1) for s in shapes] for _ in range(8)]
    results = []
    for recorded in (False, True):  # a step that is recorded is the composite's
        ps = [fb.tensor(v, dtype=dtype) for v in values]
        opt = getattr(optim, name)(ps, lr=0.01, differentiable=recorded, **options)
        for grads in gradients:
            for p, g in zip(ps, grads):
                p.grad = fb.tensor(g, dtype=dtype)
            opt.step()
        states = [{k: v.numpy().copy() for k, v in opt.state[p].items()} for p in ps]
        results.append(([p.numpy() for p in ps], states))
    tol = 2e-5 if dtype == fb.float32 else 1e-7  # some scalars of the state are float32
    for a, b in zip(results[0][0], results[1][0]):
        np.testing.assert_allclose(a, b, rtol=tol, atol=tol)
    for a, b in zip(results[0][1], results[1][1]):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_allclose(a[key], b[key], rtol=tol, atol=tol, err_msg=key)


def test_differentiable_step():
    p = fb.tensor([2.0], dtype=fb.float64, requires_grad=True)
    w = p.clone()
    w.grad = p * 3
    opt = optim.SGD([w], lr=0.1, differentiable=True)
    opt.step()
    w.sum().backward()
    np.testing.assert_allclose(p.grad.numpy(), [1 - 0.3])


def test_swa_averages():
    from flambeau.optim import swa_utils

    net = fb.nn.Sequential(fb.nn.Linear(2, 3), fb.nn.BatchNorm1d(3))
    mean = swa_utils.AveragedModel(net)
    ema = swa_utils.AveragedModel(net, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.9))
    history = []
    for i in range(4):
        with fb.no_grad():
            for p in net.parameters():
                p.add_(float(i))
        history.append(net[0].weight.detach().numpy().copy())
        mean.update_parameters(net)
        ema.update_parameters(net)
    np.testing.assert_allclose(mean.module[0].weight.detach().numpy(), np.mean(history, 0),
                               rtol=1e-5)  # fmt: skip
    want = history[0]
    for h in history[1:]:
        want = 0.9 * want + 0.1 * h
    np.testing.assert_allclose(ema.module[0].weight.detach().numpy(), want, rtol=1e-5)
    batches = [fb.randn(8, 2) for _ in range(3)]
    swa_utils.update_bn(batches, mean)
    with fb.no_grad():
        means = np.mean([mean.module[0](b).numpy().mean(0) for b in batches], 0)
    np.testing.assert_allclose(mean.module[1].running_mean.numpy(), means, rtol=1e-4, atol=1e-5)
    assert mean.module[1].momentum == 0.1 and int(mean.n_averaged) == 4
    opt = optim.SGD(net.parameters(), lr=1.0)
    schedule = swa_utils.SWALR(opt, swa_lr=0.1, anneal_epochs=4)
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(6):
            opt.step()
            schedule.step()
            rates.append(schedule.get_last_lr()[0])
    share = (1 - np.cos(np.pi * np.minimum(np.arange(1, 7), 4) / 4)) / 2
    np.testing.assert_allclose(rates, 0.1 * share + 1.0 * (1 - share))
