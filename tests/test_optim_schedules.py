"""Learning-rate schedules against closed forms, their state dicts, warnings and errors."""

import math
import warnings

import pytest

import flambeau as fb
from flambeau.optim import SGD, Adam
from flambeau.optim import lr_scheduler as S

BASE = (1.0, 0.2)


def optimizer(cls=SGD, **options):
    groups = [{"params": [fb.zeros(1, requires_grad=True)], "lr": lr} for lr in BASE]
    return cls(groups, lr=0.5, **options)


def rates(make, steps=50, opt=None, resume_at=None):
    """Return the rates of the first group at epochs 0, 1, ...; check that all groups agree."""
    opt = opt or optimizer()
    schedule = make(opt)
    out = []
    for epoch in range(steps):
        if epoch == resume_at:
            state, opt_state = schedule.state_dict(), opt.state_dict()
            opt = optimizer(type(opt), **({"momentum": 0.9} if type(opt) is SGD else {}))
            schedule = make(opt)
            schedule.load_state_dict(state)
            opt.load_state_dict(opt_state)
        last = schedule.get_last_lr()
        assert last == [group["lr"] for group in opt.param_groups]
        out.append(last)
        opt.step()
        schedule.step()
    return out


def piecewise(t):
    if t < 5:
        return 0.1 + 0.9 * t / 5
    return 0.5 * (1 + math.cos(math.pi * (t - 5) / 20)) if t < 20 else 0.9 ** (t - 20)


SCHEDULES = {
    "lambda": (lambda o: S.LambdaLR(o, lambda t: 0.9**t), lambda t: 0.9**t),
    "multiplicative": (lambda o: S.MultiplicativeLR(o, lambda t: 0.95), lambda t: 0.95**t),
    "step": (lambda o: S.StepLR(o, 7, 0.5), lambda t: 0.5 ** (t // 7)),
    "multistep": (
        lambda o: S.MultiStepLR(o, [3, 9, 9, 30], 0.5),
        lambda t: 0.5 ** sum(t >= m for m in (3, 9, 9, 30)),
    ),
    "constant": (lambda o: S.ConstantLR(o, 0.25, 6), lambda t: 0.25 if t < 6 else 1.0),
    "linear": (lambda o: S.LinearLR(o, 0.1, 0.8, 10), lambda t: 0.1 + 0.7 * min(t, 10) / 10),
    "exponential": (lambda o: S.ExponentialLR(o, 0.93), lambda t: 0.93**t),
    "polynomial": (lambda o: S.PolynomialLR(o, 30, 2.0), lambda t: (1 - min(t, 30) / 30) ** 2),
    "cosine": (
        lambda o: S.CosineAnnealingLR(o, 10),
        lambda t: 0.5 * (1 + math.cos(math.pi * t / 10)),
    ),
    "restarts": (
        lambda o: S.CosineAnnealingWarmRestarts(o, 6),
        lambda t: 0.5 * (1 + math.cos(math.pi * (t % 6) / 6)),
    ),
    "longer restarts": (
        lambda o: S.CosineAnnealingWarmRestarts(o, 10, 2),
        lambda t: 0.5 * (1 + math.cos(math.pi * (t / 10 if t < 10 else (t - 10) / 20 % 1))),
    ),
    "sequential": (
        lambda o: S.SequentialLR(
            o,
            [S.LinearLR(o, 0.1, 1.0, 5), S.CosineAnnealingLR(o, 20), S.ExponentialLR(o, 0.9)],
            [5, 20],
        ),
        piecewise,
    ),
    "chained": (
        lambda o: S.ChainedScheduler([S.ExponentialLR(o, 0.9), S.StepLR(o, 5, 0.5)]),
        lambda t: 0.9**t * 0.5 ** (t // 5),
    ),
}


@pytest.mark.parametrize("name", SCHEDULES)
def test_closed_form(name):
    make, factor = SCHEDULES[name]
    steps = 29 if name == "longer restarts" else 50
    for resume_at in (None, 11):
        got = rates(make, steps, resume_at=resume_at)
        for t, row in enumerate(got):
            assert row == pytest.approx([base * factor(t) for base in BASE], abs=1e-12), t


def test_cyclic():
    def triangle(t, scale):
        x = t % 10 / 4 if t % 10 <= 4 else (10 - t % 10) / 6
        return 0.1 + 0.9 * x * scale

    modes = {
        "triangular": lambda t: 1.0,
        "triangular2": lambda t: 0.5 ** (t // 10),
        "exp_range": lambda t: 0.97**t,
    }
    for mode, scale in modes.items():
        opt = optimizer(momentum=0.5)
        got = rates(lambda o: S.CyclicLR(o, 0.1, 1.0, 4, 6, mode, gamma=0.97), opt=opt)
        for t, row in enumerate(got):
            assert row[0] == pytest.approx(triangle(t, scale(t))), (mode, t)
    opt = optimizer(momentum=0.5)
    schedule = S.CyclicLR(opt, 0.1, 1.0, 4, scale_fn=lambda n: 1 / n)
    momenta = []
    for _ in range(9):
        momenta.append(opt.param_groups[0]["momentum"])
        opt.step()
        schedule.step()
    assert momenta[::4] == pytest.approx([0.9, 0.8, 0.9])
    with pytest.raises(ValueError, match="momentum"):
        S.CyclicLR(fb.optim.Adagrad([fb.zeros(1, requires_grad=True)]), 0.1, 1.0)
    with pytest.raises(ValueError, match="mode"):
        S.CyclicLR(opt, 0.1, 1.0, mode="square")


def test_one_cycle():
    def between(a, b, x):
        return b + (a - b) / 2 * (1 + math.cos(math.pi * x))

    opt = optimizer(Adam)
    got = rates(lambda o: S.OneCycleLR(o, 2.0, total_steps=50), opt=opt)
    for t, row in enumerate(got):
        if t <= 14:
            want = between(2 / 25, 2.0, t / 14)
        else:
            want = between(2.0, 2 / 25 / 1e4, (t - 14) / 35)
        assert row == pytest.approx([want, want]), t
    opt = optimizer(Adam)
    schedule = S.OneCycleLR(opt, 1.0, epochs=2, steps_per_epoch=5, anneal_strategy="linear",
                            three_phase=True)  # fmt: skip
    betas = []
    for _ in range(10):
        betas.append(opt.param_groups[0]["betas"][0])
        opt.step()
        schedule.step()
    assert betas[0] == pytest.approx(0.95) and min(betas) == pytest.approx(0.85)
    with pytest.raises(ValueError, match="Tried to step"):
        schedule.step()
    for bad in ({}, {"total_steps": -1}, {"total_steps": 5, "pct_start": 2.0},
                {"total_steps": 5, "anneal_strategy": "cubic"}):  # fmt: skip
        with pytest.raises(ValueError):
            S.OneCycleLR(optimizer(Adam), 1.0, **bad)


def test_reduce_on_plateau():
    opt = optimizer()
    schedule = S.ReduceLROnPlateau(opt, factor=0.5, patience=2, cooldown=1, min_lr=[0.3, 0.01])
    seen = []
    for loss in [5, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4, 4]:
        opt.step()
        schedule.step(fb.tensor(float(loss)))
        seen.append(schedule.get_last_lr()[0])
    # the fall comes at the third bad epoch, then one epoch of cooldown is not counted
    assert seen == [1.0] * 4 + [0.5] * 4 + [0.3] * 4
    assert schedule.best == 4 and not schedule.in_cooldown
    other = S.ReduceLROnPlateau(optimizer(), mode="max", threshold=1.0, threshold_mode="abs",
                                patience=0)  # fmt: skip
    for score in (1.0, 2.5, 3.0):
        other.step(score)
    assert other.get_last_lr()[0] == pytest.approx(0.1)
    again = S.ReduceLROnPlateau(optimizer(), patience=0)
    again.load_state_dict(other.state_dict())
    assert again.best == 2.5 and again.mode == "max"
    for bad in ({"factor": 1.0}, {"mode": "best"}, {"threshold_mode": "x"}, {"min_lr": [1.0]}):
        with pytest.raises(ValueError):
            S.ReduceLROnPlateau(optimizer(), **bad)


def test_lambda_state_keeps_objects_only():
    class Warm:
        def __init__(self, length):
            self.length = length

        def __call__(self, t):
            return min(1.0, t / self.length)

    first = S.LambdaLR(optimizer(), [lambda t: 1.0, Warm(5)])
    state = first.state_dict()
    assert state["lr_lambdas"] == [None, {"length": 5}]
    second = S.LambdaLR(optimizer(), [lambda t: 2.0, Warm(9)])
    second.load_state_dict(state)
    assert second.lr_lambdas[1].length == 5 and second.lr_lambdas[0](0) == 2.0


def test_warnings_about_the_order():
    opt = optimizer()
    schedule = S.ExponentialLR(opt, 0.5)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        schedule.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        schedule.get_lr()
    with pytest.warns(UserWarning, match="epoch parameter"):
        schedule.step(4)
    assert schedule.get_last_lr()[0] == 0.5**4
    opt = optimizer()
    schedule = S.ExponentialLR(opt, 0.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        opt.step()
        schedule.step()
        opt.step()
        schedule.step()


def test_errors():
    opt = optimizer()
    with pytest.raises(TypeError, match="is not an Optimizer"):
        S.StepLR(object(), 1)
    with pytest.raises(KeyError, match="initial_lr"):
        S.StepLR(opt, 1, last_epoch=3)
    with pytest.raises(ValueError, match="lr_lambdas"):
        S.LambdaLR(opt, [lambda t: 1.0])
    with pytest.raises(ValueError, match="factor"):
        S.ConstantLR(opt, factor=2.0)
    with pytest.raises(ValueError, match="factor"):
        S.LinearLR(opt, start_factor=0.0)
    with pytest.raises(ValueError, match="T_0"):
        S.CosineAnnealingWarmRestarts(opt, 0)
    with pytest.raises(ValueError, match="milestone"):
        S.SequentialLR(opt, [S.StepLR(opt, 1)], [1])
    with pytest.raises(ValueError, match="same optimizer"):
        S.ChainedScheduler([S.StepLR(opt, 1), S.StepLR(optimizer(), 1)])
    with pytest.raises(ValueError, match="ReduceLROnPlateau"):
        S.ChainedScheduler([S.ReduceLROnPlateau(opt)])


def test_tensor_lr_stays_a_tensor():
    lr = fb.tensor(1.0)
    opt = SGD([fb.zeros(1, requires_grad=True)], lr=lr)
    schedule = S.ExponentialLR(opt, 0.5)
    opt.step()
    schedule.step()
    assert opt.param_groups[0]["lr"] is lr and lr.item() == 0.5
