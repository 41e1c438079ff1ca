"""Optimizer steps on a GPU: the CPU's numbers, few launches, steps in a graph, norms."""

import numpy as np
import pytest

from cuda_support import DEVICE, needs_cuda
from under_test import fb

pytestmark = needs_cuda

SHAPES = [(3,), (5, 7), (), (0,), (130, 65), (4, 3, 2), (1,), (9001,)]
FUSED = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01, "dampening": 0.2}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1}),
    ("Adam", {"lr": 0.01, "amsgrad": True, "betas": (0.4, 0.99), "maximize": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9, "alpha": 0.3}),
    ("Adagrad", {"lr": 0.01, "lr_decay": 0.1, "weight_decay": 0.01}),
]
COMPOSITE = [
    ("Adadelta", {}),
    ("Adamax", {}),
    ("ASGD", {"t0": 1}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Rprop", {}),
]
CAPTURABLE = [
    (name, options) for name, options in FUSED + COMPOSITE if name not in ("SGD", "Adagrad")
]


def named(cases):
    return pytest.mark.parametrize(
        ("name", "options"), cases, ids=[f"{n}-{i}" for i, (n, _) in enumerate(cases)]
    )


def start(shapes, dtype, device):
    rng = np.random.default_rng(0)
    values = [rng.standard_normal(s) for s in shapes]
    return [fb.tensor(v, dtype=dtype).to(device).requires_grad_() for v in values]


def gradients(params, step):
    rng = np.random.default_rng(step + 1)
    for p in params:
        p.grad = fb.tensor(rng.standard_normal(p.shape), dtype=p.dtype).to(p.device)


def trained(name, options, device, dtype=fb.float32, shapes=SHAPES, steps=4):
    params = start(shapes, dtype, device)
    optimizer = getattr(fb.optim, name)(params, **options)
    for step in range(steps):
        gradients(params, step)
        optimizer.step()
    assert all(p.device.type == device for p in params)
    states = [t for p in params for t in optimizer.state[p].values() if hasattr(t, "cpu")]
    return [t.detach().cpu().double().numpy() for t in [*params, *states]]


def close(got, wanted, rtol, atol):
    assert len(got) == len(wanted)
    for a, b in zip(got, wanted):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)


@named(FUSED)
@pytest.mark.parametrize("dtype", [fb.float32, fb.float64], ids=str)
def test_fused_steps(name, options, dtype):
    eps = fb.finfo(dtype).eps
    close(trained(name, options, DEVICE, dtype), trained(name, options, "cpu", dtype), 4 * eps, eps)


@named(FUSED)
@pytest.mark.parametrize("dtype", [fb.float16, fb.bfloat16], ids=str)
def test_half_parameters_round_once(name, options, dtype):
    """Each step is that of float32 values, rounded at its end."""
    shapes = [(33,), (8192 + 9,)]
    params = start(shapes, dtype, DEVICE)
    wide = [p.detach().cpu().float().requires_grad_() for p in params]
    made = [
        getattr(fb.optim, name)(ps, **{**options, "eps": 1e-3} if name != "SGD" else options)
        for ps in (params, wide)
    ]
    for step in range(2):
        gradients(params, step)
        for p, w in zip(params, wide):
            w.grad = p.grad.cpu().float()
        for optimizer in made:
            optimizer.step()
    for p, w in zip(params, wide):
        np.testing.assert_allclose(
            p.detach().cpu().float().numpy(),
            w.detach().numpy(),
            rtol=4 * fb.finfo(dtype).eps,
            atol=4 * fb.finfo(dtype).eps,
        )


@named(COMPOSITE)
def test_composite_steps(name, options):
    close(trained(name, options, DEVICE), trained(name, options, "cpu"), 2e-5, 2e-6)


@named(CAPTURABLE)
def test_counters_on_the_gpu(name, options):
    got = trained(name, {**options, "capturable": True}, DEVICE, steps=7)
    close(got, trained(name, options, "cpu", steps=7), 3e-5, 3e-6)


def test_many_tensors_views_and_offsets():
    shapes = [(k % 5 + 1,) for k in range(150)]
    options = {"lr": 0.01, "weight_decay": 0.1}
    close(
        trained("AdamW", options, DEVICE, shapes=shapes),
        trained("AdamW", options, "cpu", shapes=shapes),
        1e-6,
        1e-7,
    )
    results = []
    for device in ("cpu", DEVICE):
        base = fb.arange(200.0).to(device)
        params = [base[1:50].requires_grad_(), base[60:180].reshape(10, 12).t().requires_grad_()]
        optimizer = fb.optim.SGD([p.detach().requires_grad_() for p in params], lr=0.5)
        shared = optimizer.param_groups[0]["params"]
        for p in shared:
            p.grad = fb.ones_like(p)
        optimizer.step()
        results.append(base.cpu().numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != np.arange(200)).sum() == 49 + 120


def launches(work):
    """How many kernels work() queues."""
    before = fb._C._cuda_launched()
    work()
    return fb._C._cuda_launched() - before


def test_a_step_is_a_handful_of_launches():
    params = start([(7,)] * 150, fb.float32, DEVICE)
    optimizer = fb.optim.Adam(params)
    gradients(params, 0)
    optimizer.step()
    gradients(params, 1)
    assert launches(optimizer.step) == 3
    optimizer = fb.optim.Adam(params, capturable=True)
    optimizer.step()
    assert launches(optimizer.step) == 4


def test_learning_rate_on_the_gpu():
    results = []
    for lr in (0.25, fb.tensor(0.25, device=DEVICE), fb.tensor(0.25, device=DEVICE).double()):
        for name in ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adadelta", "NAdam"):
            params = start([(4,)], fb.float32, DEVICE)
            optimizer = getattr(fb.optim, name)(params, lr=lr)
            gradients(params, 0)
            optimizer.step()
            results.append(params[0].detach().cpu().numpy())
    for k in range(7):
        np.testing.assert_allclose(results[7 + k], results[k], rtol=1e-6)
        np.testing.assert_allclose(results[14 + k], results[k], rtol=1e-6)


def test_counters_are_on_the_cpu_unless_asked_for():
    for options, device in [({}, "cpu"), ({"capturable": True}, "cuda"), ({"fused": True}, "cuda")]:
        params = start([(4,)], fb.float32, DEVICE)
        optimizer = fb.optim.Adam(params, **options)
        gradients(params, 0)
        optimizer.step()
        assert optimizer.state[params[0]]["step"].device.type == device
        assert optimizer.state[params[0]]["step"].item() == 1


@named(CAPTURABLE)
def test_steps_in_a_graph(name, options):
    shapes = [(3,), (5, 7)]
    params = start(shapes, fb.float32, DEVICE)
    optimizer = getattr(fb.optim, name)(params, capturable=True, **options)
    stream = fb.cuda.Stream()
    for p in params:
        p.grad = fb.zeros_like(p)
    grads = [p.grad for p in params]

    def fill(step):
        rng = np.random.default_rng(step + 1)
        for g in grads:
            g.copy_(fb.tensor(rng.standard_normal(g.shape), dtype=g.dtype))

    fill(0)
    fb.cuda.synchronize()
    with fb.cuda.stream(stream):
        optimizer.step()
    stream.synchronize()
    graph = fb.cuda.CUDAGraph()
    with fb.cuda.graph(graph):
        optimizer.step()
    for step in range(1, 6):
        fill(step)
        fb.cuda.synchronize()
        graph.replay()
    fb.cuda.synchronize()
    wanted = trained(name, options, "cpu", shapes=shapes, steps=6)
    close([p.detach().cpu().numpy() for p in params], wanted[: len(params)], 3e-5, 3e-6)


def test_a_step_that_a_graph_would_freeze_is_refused():
    params = start([(4,)], fb.float32, DEVICE)
    optimizer = fb.optim.Adam(params)
    gradients(params, 0)
    optimizer.step()
    graph = fb.cuda.CUDAGraph()
    with pytest.raises(RuntimeError, match="capturable=True"):
        with fb.cuda.graph(graph):
            optimizer.step()


def test_state_dict_goes_on():
    results = []
    for device in ("cpu", DEVICE):
        params = start([(4,), (3, 2)], fb.float32, "cpu")
        optimizer = fb.optim.Adam(params)
        gradients(params, 0)
        optimizer.step()
        moved = [p.detach().to(device).requires_grad_() for p in params]
        other = fb.optim.Adam(moved)
        other.load_state_dict(optimizer.state_dict())
        gradients(moved, 1)
        other.step()
        assert other.state[moved[0]]["exp_avg"].device.type == device
        results.append([p.detach().cpu().numpy() for p in moved])
    close(results[0], results[1], 1e-6, 1e-7)


@pytest.mark.parametrize("dtype", [fb.float32, fb.float64, fb.bfloat16], ids=str)
@pytest.mark.parametrize("limit", [0.5, 1e4])
def test_clipping_by_norm(dtype, limit):
    eps = fb.finfo(dtype).eps
    shapes = [*SHAPES, *[(k % 9 + 1,) for k in range(200)]]
    results = []
    for device in ("cpu", DEVICE):
        params = start(shapes, dtype, device)
        gradients(params, 0)
        total = fb.nn.utils.clip_grad_norm_(params, limit)
        assert total.device.type == device and total.dtype == dtype and total.dim() == 0
        results.append([t.cpu().double().numpy() for t in [total, *(p.grad for p in params)]])
    close(results[1], results[0], 16 * eps, eps)


def test_clipping_is_a_handful_of_launches():
    params = start([(7,)] * 150, fb.float32, DEVICE)
    gradients(params, 0)
    fb.nn.utils.clip_grad_norm_(params, 1.0)
    assert launches(lambda: fb.nn.utils.clip_grad_norm_(params, 1.0)) <= 8


@pytest.mark.parametrize("bad", [None, float("inf"), float("nan")])
def test_unscaling_finds_what_is_not_finite(bad):
    for device in ("cpu", DEVICE):
        params = start([(5, 7), (20000,), (3,)], fb.float32, device)
        gradients(params, 0)
        before = [p.detach().clone() for p in params]
        wanted = [p.grad / 4 for p in params]
        if bad is not None:
            params[1].grad[19999] = bad
        optimizer = fb.optim.SGD(params, lr=1.0)
        scaler = fb.amp.GradScaler(device, init_scale=4.0, growth_interval=1)
        scaler.scale(fb.ones((), device=device))
        scaler.step(optimizer)
        scaler.update()
        assert scaler.get_scale() == (8.0 if bad is None else 2.0)
        for p, old, grad in zip(params, before, wanted):
            new = old - grad if bad is None else old
            np.testing.assert_array_equal(p.detach().cpu().numpy(), new.cpu().numpy())
