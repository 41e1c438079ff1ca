"""PyTorch's operator database (op_db) run through the other module, check by check."""

from __future__ import annotations

import itertools
import random
import re
import types

import numpy as np
import torch
from torch.testing._internal.common_methods_invocations import op_db

from compare import Mismatch, same, tensors, weighted_sum
from convert import Converter, Missing, Unmappable, dotted

INTERNAL = re.compile(
    r"^(_(?!_r|_getitem)|torch\.ops|jiterator|native_|sparse\.|to_sparse$|masked\.|cudnn|aten"
    r"|max_pool2d_with_indices_backward|triton|(?!index_copy$).*_copy$|.*batch_norm_legit"
    r"|grid_sampler_[23]d$|ops\.)"
)
UNFILLED = re.compile(r"(^|\.|_)empty|^resize|^new_empty")
LOOSE = re.compile(
    r"^(linalg\.|svd|qr|inverse|pinverse|cholesky|logdet|det|lu|cdist|matrix_exp|triangular_solve"
    r"|logaddexp2|cov|corrcoef|polygamma|mvlgamma)"
)
TIED = {
    "sort",
    "topk",
    "kthvalue",
    "median",
    "nanmedian",
    "mode",
    "max",
    "min",
    "cummax",
    "cummin",
    "msort",
}
SIGNS = {"linalg.qr", "qr"}  # each column is free up to its sign
VALUES_ONLY = {"linalg.svd": 1, "svd": 1, "linalg.eigh": 0}  # the singular or eigen values
DTYPES = (torch.float32, torch.int64, torch.bool, torch.complex64)


def key(op):
    return op.name + ("/" + op.variant_test_name if op.variant_test_name else "")


def database(pattern=""):
    """{key: entry} of the public operators."""
    return {key(o): o for o in op_db if not INTERNAL.match(o.name) and re.search(pattern, key(o))}


def pick(samples, most):
    """At most so many of the samples, spread over all of them."""
    xs = list(itertools.islice(samples, 160))
    if len(xs) <= most:
        return xs
    return [xs[round(i * (len(xs) - 1) / (most - 1))] for i in range(most)]


def seed(n=0):
    torch.manual_seed(n)
    np.random.seed(n)
    random.seed(n)


class Checker:
    """All checks of one operator."""

    def __init__(self, op, other, most, start, emit):
        self.op, self.most, self.start, self.emit = op, most, start, emit
        self.theirs, self.ours = Converter(torch), Converter(other)
        self.index = -1

    def check(self, kind, dtype, run):
        """Runs one check and reports ok, wrong, raise, missing or skip."""
        self.index += 1
        if self.index < self.start:
            return
        state, text = "ok", ""
        try:
            run()
        except Unmappable as e:
            state, text = "skip", str(e)
        except Missing as e:
            state, text = "missing", str(e)
        except Mismatch as e:
            state, text = "wrong", str(e)
        except Exception as e:
            state, text = "raise", f"{type(e).__name__}: {e}".split("\n")[0]
        self.emit(self.index, kind=kind, dt=dtype, st=state, msg=text[:200])

    def function(self):
        try:
            if dotted(torch, self.op.name) is self.op.op:
                return dotted(self.ours.other, self.op.name)
        except Missing as e:
            if not str(e).startswith(self.op.name):
                raise
        return self.ours.function(self.op.op)

    def call(self, conv, f, s, **extra):
        return f(conv(s.input), *conv(list(s.args)), **conv(dict(s.kwargs)), **extra)

    def reference(self, f, s):
        """PyTorch's result, and whether chance plays in it; None if PyTorch refuses."""
        try:
            seed(1)
            a = self.call(self.theirs, f, s)
            seed(2)
            b = self.call(self.theirs, f, s)
        except Exception:
            return None
        try:
            same(a, b, self.theirs)
        except Mismatch:
            return a, True
        return a, False

    def compare(self, want, got, dtype, chance):
        name = self.op.name
        values = not chance and not UNFILLED.search(name)
        scale = 10.0 if LOOSE.match(name) else 1.0
        conv = self.ours
        if values and name in SIGNS:
            same(want, got, conv, False)
            for w, g in zip(want, got):
                if not np.allclose(abs(conv.numpy(w)[2]), abs(conv.numpy(g)[2]), 1e-3, 1e-3):
                    raise Mismatch("absolute values differ")
        elif values and name in VALUES_ONLY and isinstance(want, tuple):
            same(want, got, conv, False)
            part = VALUES_ONLY[name]
            same(want[part], got[part], conv, scale=scale)
        elif values and name in ("linalg.eig", "linalg.eigvals"):
            same(want, got, conv, False)
            w, g = (x[0] if isinstance(x, tuple) else x for x in (want, got))
            order = lambda z: np.sort_complex(np.round(conv.numpy(z)[2], 4))
            if not np.allclose(order(w), order(g), atol=2e-3, rtol=1e-3):
                raise Mismatch("eigenvalues differ")
        elif values and (name in TIED or name == "argsort") and dtype in (torch.int64, torch.bool):
            same(want, got, conv, False)  # which of equal elements comes first is open
            if name != "argsort":
                first = lambda x: x[0] if isinstance(x, tuple) else x
                same(first(want), first(got), conv)
        else:
            same(want, got, conv, values, scale=scale)

    # ---- kinds of checks

    def forward(self):
        f = self.theirs.function(self.op.op)
        for dtype in DTYPES:
            if dtype not in self.op.supported_dtypes("cpu"):
                continue
            seed()
            most = self.most if dtype is torch.float32 else max(3, self.most // 2)
            variants = 0
            for s in pick(self.op.sample_inputs("cpu", dtype, requires_grad=False), most):
                ref = self.reference(f, s)
                if ref is None:
                    continue
                want, chance = ref

                def run(s=s, want=want, chance=chance, dtype=dtype):
                    self.compare(want, self.call(self.ours, self.function(), s), dtype, chance)

                self.check("forward", str(dtype)[6:], run)
                if dtype is torch.float32 and variants < 3 and isinstance(s.input, torch.Tensor):
                    variants += 1
                    self.variants(s, want, chance, variants == 1)

    def variants(self, s, want, chance, with_out):
        """Method, in-place and out= forms."""
        for kind, form in (
            ("method", self.op.method_variant),
            ("in-place", self.op.inplace_variant),
        ):
            if form is None:
                continue
            g = self.theirs.function(form) if isinstance(form, types.FunctionType) else form
            if self.reference(g, s) is None:
                continue
            seed(1)
            wanted = self.call(self.theirs, g, s)

            def run(form=form, wanted=wanted):
                name = getattr(form, "__name__", "")
                if name != "<lambda>" and hasattr(torch.Tensor, name):
                    x = self.ours(s.input)
                    if not hasattr(x, name):
                        raise Missing("Tensor." + name)
                    got = getattr(x, name)(*self.ours(list(s.args)), **self.ours(dict(s.kwargs)))
                else:
                    got = self.call(self.ours, self.ours.function(form), s)
                self.compare(wanted, got, torch.float32, chance)

            self.check(kind, "float32", run)
        if (
            with_out
            and self.op.supports_out
            and isinstance(want, torch.Tensor)
            and "out" not in s.kwargs
        ):
            try:
                self.call(self.theirs, self.op.op, s, out=torch.zeros_like(want))
            except Exception:
                return

            def run_out():
                out = self.ours(torch.zeros_like(want))
                self.call(self.ours, self.function(), s, out=out)
                self.compare(want, out, torch.float32, chance)

            self.check("out", "float32", run_out)

    def gradient(self):
        if not self.op.supports_autograd or torch.float32 not in self.op.supported_dtypes("cpu"):
            return
        seed()
        f = self.theirs.function(self.op.op)
        for s in pick(
            self.op.sample_inputs("cpu", torch.float32, requires_grad=True), max(3, self.most // 2)
        ):
            try:
                want = self.grads(self.theirs, f, s.output_process_fn_grad, s)
                again = self.grads(self.theirs, f, s.output_process_fn_grad, s)
                same(want, again, self.theirs)
            except Exception:
                continue  # PyTorch refuses, or chance plays in it
            if want is None:
                continue

            def run(s=s, want=want):
                got = self.grads(self.ours, self.function(), self.ours(s.output_process_fn_grad), s)
                if got is None or len(got) != len(want):
                    raise Mismatch("no output requires grad")
                for i, (w, g) in enumerate(zip(want, got)):
                    if w is None or g is None:
                        rest = g if w is None else w
                        if rest is not None and np.count_nonzero(self.ours.numpy(rest)[2]):
                            raise Mismatch(f"grad {i}: {'a gradient' if w is None else 'none'}")
                        continue
                    same(w, g, self.ours, where=f"grad {i}", scale=10)

            self.check("gradient", "float32", run)

    def grads(self, conv, f, after, s):
        x, a, k = conv(s.input), conv(list(s.args)), conv(dict(s.kwargs))
        leaves = [t for t in tensors([x, a, k], conv) if t.requires_grad]
        seed(1)
        loss = weighted_sum(conv.other, tensors(after(f(x, *a, **k)), conv), conv)
        if loss is None or not leaves:
            return None
        loss.backward()
        return [t.grad for t in leaves]

    def errors(self):
        if self.op.error_inputs_func is None:
            return
        seed()
        f = self.theirs.function(self.op.op)
        for e in pick(self.op.error_inputs("cpu"), max(4, self.most // 2)):
            try:
                self.call(self.theirs, f, e.sample_input)
                continue
            except Exception as error:
                theirs = error

            def run(e=e, theirs=theirs):
                try:
                    self.call(self.ours, self.function(), e.sample_input)
                except (Missing, Unmappable, AttributeError):
                    raise
                except Exception as ours:
                    if not (isinstance(ours, type(theirs)) or isinstance(theirs, type(ours))):
                        raise Mismatch(
                            f"{type(ours).__name__}, PyTorch {type(theirs).__name__}: "
                            f"{str(theirs)[:80]}"
                        ) from ours
                    return
                raise Mismatch(f"no error, PyTorch {type(theirs).__name__}: {str(theirs)[:90]}")

            self.check("error", "", run)


def checks(op, other, most):
    """work(start, emit) for one operator."""

    def work(start, emit):
        c = Checker(op, other, most, start, emit)
        for part in (c.forward, c.gradient, c.errors):
            try:
                part()
            except Exception as e:
                c.emit(
                    c.index, kind="sample", dt="", st="skip", msg=f"{type(e).__name__}: {e}"[:120]
                )

    return work
