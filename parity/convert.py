"""Turns PyTorch's values, functions and modules into those of the module under comparison."""

from __future__ import annotations

import builtins
import functools
import importlib
import inspect
import types

import numpy as np
import torch


class Unmappable(Exception):
    """A sample that has no counterpart (sparse, nested, a generator): it is not counted."""


class Missing(Exception):
    """The other module has no such name."""


SUBMODULES = (
    "nn",
    "nn.functional",
    "linalg",
    "fft",
    "special",
    "signal",
    "signal.windows",
    "optim",
    "optim.lr_scheduler",
    "autograd",
)
SPACES = {
    "": "",
    "nn.functional": "nn.functional",
    "linalg": "linalg",
    "fft": "fft",
    "special": "special",
    "signal.windows": "signal.windows",
    "Tensor": "Tensor",
    "nn": "nn",
    "_C._nn": "nn.functional",
    "_C._linalg": "linalg",
    "_C._special": "special",
    "_C._fft": "fft",
    "_VF": "",
}
HALVES = {"float16", "bfloat16", "complex32"}


def load(name):
    """The module with its submodules, as far as it has them."""
    m = importlib.import_module(name)
    for s in SUBMODULES:
        try:
            importlib.import_module(f"{name}.{s}")
        except ModuleNotFoundError:
            continue
    return m


def dotted(root, name):
    """The object behind a dotted name; Missing if there is none."""
    x = root
    for part in name.split("."):
        if not hasattr(x, part):
            raise Missing(name)
        x = getattr(x, part)
    return x


def short(dtype):
    """The bare name of a dtype of either side."""
    return str(dtype).rsplit(".", 1)[-1]


@functools.lru_cache(None)
def public_names():
    """{id of a PyTorch callable: its public dotted name}."""
    table = {}
    for space, public in SPACES.items():
        home = dotted(torch, space) if space else torch
        for n in dir(home):
            if n.startswith("_") and not n.startswith("__r") and n != "__getitem__":
                continue
            o = getattr(home, n, None)
            if callable(o):
                table.setdefault(id(o), f"{public}.{n}" if public else n)
    return table


class Converter:
    """Calling it converts a value; `numpy` goes back from either side."""

    def __init__(self, other):
        self.other = other
        self.known = {}

    def __call__(self, x):
        if isinstance(x, torch.nn.Parameter):
            return dotted(self.other, "nn.Parameter")(
                self.tensor(x.data), requires_grad=x.requires_grad
            )
        if isinstance(x, torch.Tensor):
            return self.tensor(x)
        if isinstance(x, torch.Size):
            return dotted(self.other, "Size")(tuple(x))
        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return tuple(self(v) for v in x)
        if isinstance(x, (list, tuple)):
            return type(x)(self(v) for v in x)
        if isinstance(x, dict):
            return {k: self(v) for k, v in x.items()}
        if isinstance(x, slice):
            return slice(self(x.start), self(x.stop), self(x.step))
        if isinstance(x, (torch.dtype, torch.layout, torch.memory_format)):
            return dotted(self.other, short(x))
        if isinstance(x, torch.device):
            return dotted(self.other, "device")(str(x))
        if isinstance(x, torch.nn.Module):
            return self.module(x)
        if isinstance(x, functools.partial):
            return functools.partial(self(x.func), *self(list(x.args)), **self(dict(x.keywords)))
        if (
            x is None
            or isinstance(
                x,
                (
                    bool,
                    int,
                    float,
                    complex,
                    str,
                    bytes,
                    range,
                    type(Ellipsis),
                    np.ndarray,
                    np.generic,
                ),
            )
            or x in (bool, int, float, complex)
        ):
            return x
        if callable(x):
            return self.function(x)
        raise Unmappable(type(x).__name__)

    # ---- tensors

    def tensor(self, t):
        """A tensor of the same values, dtype and strides."""
        if t.layout is not torch.strided or t.is_quantized or t.device.type != "cpu" or t.is_nested:
            raise Unmappable("layout")
        if type(t) not in (torch.Tensor, torch.nn.Parameter):
            raise Unmappable(type(t).__name__)
        d = t.detach().resolve_conj().resolve_neg()
        held = d.untyped_storage().nbytes() // max(1, d.element_size())
        if d.is_contiguous() and d.storage_offset() == 0 and held == d.numel() or held > 10**6:
            r = self.dense(d)
        else:
            whole = self.dense(torch.as_strided(d, (held,), (1,), 0))
            r = self.other.as_strided(whole, tuple(d.shape), tuple(d.stride()), d.storage_offset())
        return r.detach().requires_grad_(True) if t.requires_grad else r

    def dense(self, d):
        o, dtype = self.other, dotted(self.other, short(d.dtype))
        if short(d.dtype) in HALVES:
            wide = torch.complex64 if d.dtype.is_complex else torch.float32
            return o.from_numpy(d.contiguous().to(wide).numpy().copy()).to(dtype)
        a = np.array(d.contiguous().numpy(), copy=True, order="C").reshape(tuple(d.shape))
        return o.from_numpy(a) if a.ndim else o.tensor(a.item(), dtype=dtype)

    def is_tensor(self, x):
        return isinstance(x, (torch.Tensor, self.other.Tensor))

    def numpy(self, x):
        """(dtype name, shape, array) of a tensor of either side."""
        dtype = short(x.dtype)
        root = torch if isinstance(x, torch.Tensor) else self.other
        x = x.detach()
        for m in ("resolve_conj", "resolve_neg"):
            x = getattr(x, m)() if hasattr(x, m) else x
        if dtype in HALVES:
            x = x.to(root.complex64 if dtype == "complex32" else root.float32)
        a = x.numpy(force=True) if root is torch else x.numpy()
        return dtype, tuple(int(s) for s in x.shape), np.asarray(a)

    # ---- modules and functions

    def module(self, m):
        cls = dotted(self.other, "nn." + type(m).__name__)
        constants = set(getattr(m, "__constants__", ())) | set(vars(m))
        kw = {
            k: self(getattr(m, k))
            for k in inspect.signature(type(m).__init__).parameters
            if k in constants
        }
        n = cls(**kw)
        n.load_state_dict({k: self(v) for k, v in m.state_dict().items()})
        return n

    def function(self, f):
        if id(f) not in self.known:
            self.known[id(f)] = (self.counterpart(f), f)  # holding f keeps its id its own
        return self.known[id(f)][0]

    def counterpart(self, f):
        if self.other is torch and not isinstance(f, types.FunctionType):
            return f
        if id(f) in public_names():
            return dotted(self.other, public_names()[id(f)])
        home = (getattr(f, "__module__", None) or "").split(".")
        name = getattr(f, "__name__", repr(f))
        if getattr(builtins, name, None) is f or home[0] in (
            "operator",
            "_operator",
            "math",
            "numpy",
        ):
            return f
        local = isinstance(f, types.FunctionType) and (
            home[:2] == ["torch", "testing"] or name == "<lambda>" or "<locals>" in f.__qualname__
        )
        if local:
            return self.rebound(f)
        raise Missing(".".join([*home, name]))

    def rebound(self, f):
        """A helper of PyTorch's test suite, with `torch` in it meaning the other module."""
        scope = dict(f.__globals__)
        scope["wrapper_set_seed"] = lambda op, *a, **k: op(*a, **k)
        names = set(f.__code__.co_names)
        for c in f.__code__.co_consts:
            names |= set(c.co_names) if isinstance(c, types.CodeType) else set()
        for n in names - {"wrapper_set_seed"} if self.other is not torch else ():
            v = f.__globals__.get(n)
            if isinstance(v, types.ModuleType) and v.__name__.split(".")[0] == "torch":
                scope[n] = Deferred(self.other, v.__name__[6:])
            elif isinstance(v, types.FunctionType) and (v.__module__ or "").startswith(
                "torch.testing"
            ):
                scope[n] = functools.partial(self.call_later, v)
            elif isinstance(v, torch.dtype) or id(v) in public_names():
                scope[n] = self(v)

        def convert(v):
            plain = (callable(v) and not inspect.isclass(v)) or isinstance(
                v, (torch.Tensor, torch.dtype)
            )
            return self(v) if plain else v

        cells = tuple(types.CellType(convert(c.cell_contents)) for c in f.__closure__ or ())
        defaults = tuple(self(v) for v in f.__defaults__ or ())
        g = types.FunctionType(f.__code__, scope, f.__name__, defaults, cells)
        g.__kwdefaults__ = self(f.__kwdefaults__) if f.__kwdefaults__ else None
        return g

    def call_later(self, f, *args, **kwargs):
        return self.function(f)(*args, **kwargs)


class Deferred:
    """A module that is looked up attribute by attribute, so that what is missing fails late."""

    def __init__(self, root, name):
        self._root, self._name = root, name

    def __getattr__(self, n):
        return dotted(self._root, f"{self._name}.{n}" if self._name else n)
