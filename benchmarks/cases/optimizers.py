"""Steps of the optimizers, and what surrounds them."""

from __future__ import annotations

from .base import case

G = "optimizers"
PERCEPTRON = [(256, 784), (256,), (128, 256), (128,), (10, 128), (10,)]
MANY = [(64, 64)] * 200
LARGE = [(4000, 2500)]


def step(name, shapes, **kw):
    def make(m):
        ps = [m.nn.Parameter(m.rand(*s)) for s in shapes]
        for p in ps:
            p.grad = m.rand(*p.shape)
        return getattr(m.optim, name)(ps, **kw).step

    return make


for _name, _label, _kw in (
    ("SGD", "SGD", dict(lr=0.01)),
    ("SGD", "SGD with momentum", dict(lr=0.01, momentum=0.9)),
    ("Adam", "Adam", dict(lr=0.001)),
    ("AdamW", "AdamW", dict(lr=0.001)),
    ("RMSprop", "RMSprop", dict(lr=0.001)),
    ("Adagrad", "Adagrad", dict(lr=0.001)),
    ("Adadelta", "Adadelta", dict()),
    ("Adamax", "Adamax", dict(lr=0.001)),
    ("NAdam", "NAdam", dict(lr=0.001)),
    ("RAdam", "RAdam", dict(lr=0.001)),
    ("Rprop", "Rprop", dict(lr=0.001)),
    ("ASGD", "ASGD", dict(lr=0.001)),
):
    case(G, f"{_label}, 234,634 parameters", step(_name, PERCEPTRON, **_kw))
case(G, "Adam, 200 tensors of 64x64", step("Adam", MANY, lr=0.001))
case(G, "SGD, 200 tensors of 64x64", step("SGD", MANY, lr=0.001, momentum=0.9))
case(G, "Adam, one of 10,000,000", step("Adam", LARGE, lr=0.001))


def clip(m):
    ps = [m.nn.Parameter(m.rand(*s)) for s in PERCEPTRON]
    for p in ps:
        p.grad = m.rand(*p.shape)
    return lambda: m.nn.utils.clip_grad_norm_(ps, 1.0)


def zero(m):
    ps = [m.nn.Parameter(m.rand(4)) for _ in range(20)]
    opt = m.optim.SGD(ps, lr=0.1)
    return opt.zero_grad


def schedule(m):
    opt = m.optim.SGD([m.nn.Parameter(m.rand(4))], lr=0.1)
    plan = m.optim.lr_scheduler.StepLR(opt, 1000)
    opt.step()
    return plan.step


case(G, "clip_grad_norm_", clip)
case(G, "zero_grad of 20", zero)
case(G, "StepLR.step", schedule)
