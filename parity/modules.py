"""nn modules and optimizers, one by one, against torch.nn and torch.optim with copied weights."""

from __future__ import annotations

import copy
import re

import numpy as np
import torch
from torch.testing._internal.common_modules import module_db

from compare import Mismatch, same, tensors, weighted_sum
from convert import Converter, Missing, Unmappable, dotted

OPTIMIZERS = {
    "SGD": [
        dict(lr=0.1),
        dict(lr=0.1, momentum=0.9),
        dict(lr=0.1, momentum=0.9, nesterov=True),
        dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1),
        dict(lr=0.1, maximize=True),
    ],
    "Adam": [
        dict(),
        dict(lr=0.05, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1),
        dict(amsgrad=True),
    ],
    "AdamW": [dict(), dict(lr=0.05, weight_decay=0.3), dict(amsgrad=True)],
    "Adamax": [dict(), dict(lr=0.1, weight_decay=0.1)],
    "NAdam": [dict(), dict(lr=0.1, weight_decay=0.1)],
    "RAdam": [dict(), dict(lr=0.1, weight_decay=0.1)],
    "Adagrad": [
        dict(),
        dict(lr=0.5, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.2),
    ],
    "Adadelta": [dict(), dict(lr=0.5, rho=0.8, weight_decay=0.1)],
    "RMSprop": [dict(), dict(lr=0.05, alpha=0.9, momentum=0.5, centered=True, weight_decay=0.1)],
    "Rprop": [dict(), dict(lr=0.1, etas=(0.4, 1.3))],
    "ASGD": [dict(), dict(lr=0.1, lambd=0.01, alpha=0.5, t0=2.0, weight_decay=0.1)],
    "LBFGS": [dict(), dict(lr=0.5, max_iter=5, line_search_fn="strong_wolfe")],
}


def training_flags(info):
    return (False,) if re.search("Dropout|FractionalMax|RReLU", info.name) else (False, True)


def check_module(info, other, start, emit):
    """Forward, gradients and state_dict of each sample of a module."""
    conv, index = Converter(other), -1
    for training in training_flags(info):
        torch.manual_seed(0)
        for m in info.module_inputs_func(
            info, device="cpu", dtype=torch.float32, requires_grad=True, training=training
        ):
            if m.forward_input is None:
                continue
            index += 1
            if index < start:
                continue
            state, text = "ok", ""
            try:
                one_module(info, m, conv, training)
            except Unmappable as e:
                state, text = "skip", str(e)
            except Missing as e:
                state, text = "missing", str(e)
            except Mismatch as e:
                state, text = "wrong", str(e)
            except Exception as e:
                state, text = "raise", f"{type(e).__name__}: {e}".split("\n")[0]
            emit(index, kind="module", dt="train" if training else "eval", st=state, msg=text[:200])


def one_module(info, m, conv, training):
    args, kwargs = m.constructor_input.args, dict(m.constructor_input.kwargs)
    if any(isinstance(a, torch.nn.Module) for a in [*args, *kwargs.values()]):
        raise Unmappable("a module as argument")
    theirs = info.module_cls(*args, **kwargs).train(training)
    fx, fk = m.forward_input.args, m.forward_input.kwargs
    try:
        copy.deepcopy(theirs)(*fx, **fk)
    except RuntimeError as e:
        raise Unmappable("PyTorch refuses") from e
    cls = dotted(conv.other, "nn." + info.module_cls.__name__)
    ours = cls(*conv(list(args)), **conv(kwargs)).train(training)
    ax, ak = conv(list(fx)), conv(dict(fk))
    if "Lazy" in info.name:  # the first call makes the parameters
        theirs(*fx, **fk)
        ours(*ax, **ak)
    if list(ours.state_dict()) != list(theirs.state_dict()):
        raise Mismatch(
            f"state_dict keys {list(ours.state_dict())[:5]}, "
            f"PyTorch {list(theirs.state_dict())[:5]}"
        )
    ours.load_state_dict({k: conv(v) for k, v in theirs.state_dict().items()})
    want, got = theirs(*fx, **fk), ours(*ax, **ak)
    same(want, got, conv, scale=5)
    tc = Converter(torch)
    lw = weighted_sum(torch, tensors(want, tc), tc)
    lg = weighted_sum(conv.other, tensors(got, conv), conv)
    if lw is None:
        return
    if lg is None:
        raise Mismatch("no output requires grad")
    lw.backward()
    lg.backward()
    named = dict(ours.named_parameters())
    for n, p in theirs.named_parameters():
        if p.grad is not None:
            same(p.grad, named[n].grad, conv, where="grad " + n, scale=20)
    same(
        dict(theirs.state_dict()),
        dict(ours.state_dict()),
        conv,
        where="state",
        scale=5,
    )


def module_jobs(pattern):
    """{key: work(other, start, emit)} of the module database."""
    return {
        i.name: (lambda other, s, e, i=i: check_module(i, other, s, e))
        for i in module_db
        if re.search(pattern, i.name)
    }


def check_optimizer(name, other, start, emit):
    """The path of the parameters over twelve steps, for each configuration."""
    conv = Converter(other)
    for index, kw in enumerate(OPTIMIZERS[name]):
        if index < start:
            continue
        state, text = "ok", ""
        try:
            want, got = (
                trajectory(m, c, name, kw) for m, c in ((torch, Converter(torch)), (other, conv))
            )
            if not np.allclose(want, got, 1e-4, 1e-6):
                worst = np.abs(want - got).max(1)
                raise Mismatch(f"step {int(np.argmax(worst > 1e-5))}: off by {worst.max():.3g}")
        except Missing as e:
            state, text = "missing", str(e)
        except Mismatch as e:
            state, text = "wrong", str(e)
        except Exception as e:
            state, text = "raise", f"{type(e).__name__}: {e}".split("\n")[0]
        emit(index, kind="optimizer", dt="", st=state, msg=f"{kw}: {text}"[:200] if text else "")


def trajectory(m, conv, name, kw):
    rng = np.random.default_rng(0)
    make = lambda *s: m.from_numpy(rng.standard_normal(s).astype("f"))
    a, w, b = make(12, 5), m.nn.Parameter(make(5, 3)), m.nn.Parameter(make(3))
    y = make(12, 3)
    opt = dotted(m, "optim." + name)([w, b], **kw)

    def closure():
        opt.zero_grad()
        loss = ((m.tanh(a @ w + b) - y) ** 2).mean()
        loss.backward()
        return loss

    path = []
    for _ in range(12):
        opt.step(closure)
        path.append(np.concatenate([conv.numpy(p)[2].reshape(-1) for p in (w, b)]).copy())
    return np.stack(path)


def optimizer_jobs(pattern):
    """{key: work(other, start, emit)} of the optimizers."""
    return {
        "optim." + n: (lambda other, s, e, n=n: check_optimizer(n, other, s, e))
        for n in OPTIMIZERS
        if re.search(pattern, "optim." + n)
    }
