"""Module: the base of every layer, with parameters, buffers and submodules as attributes."""

from __future__ import annotations

from collections import OrderedDict

import flambeau as fb
from flambeau import Tensor

from . import _hooks
from ._hooks import _HookMixin, _registered
from ._state import _StateMixin
from ._traverse import _TraverseMixin
from .parameter import Buffer, Parameter

__all__ = ["Module"]

# The dicts themselves, so that the fast path of __call__ looks them up once a call.
_G_FORWARD, _G_PRE = _hooks._global_forward_hooks, _hooks._global_forward_pre_hooks
_G_BACK, _G_BACK_PRE = _hooks._global_backward_hooks, _hooks._global_backward_pre_hooks

_OWNED = (Parameter, Buffer, _TraverseMixin)  # what __setattr__ puts into the tables

_TABLES = (
    "_backward_pre_hooks",
    "_backward_hooks",
    "_forward_hooks",
    "_forward_hooks_with_kwargs",
    "_forward_hooks_always_called",
    "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
    "_state_dict_hooks",
    "_state_dict_pre_hooks",
    "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)


class Module(_HookMixin, _StateMixin, _TraverseMixin):
    """Base class of all layers and models: assign layers and Parameters in ``__init__``.

    A subclass calls ``super().__init__()`` first and defines ``forward``; ``net(x)`` runs it.

    >>> import flambeau as fb
    >>> class Net(fb.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.fc = fb.nn.Linear(4, 2)
    ...     def forward(self, x):
    ...         return self.fc(x).relu()
    >>> tuple(Net()(fb.ones(3, 4)).shape)
    (3, 2)
    """

    dump_patches = False
    _version = 1
    call_super_init = False
    _is_full_backward_hook = None
    _compiled_call_impl = None

    def __init__(self, *args, **kwargs):
        if not self.call_super_init and (args or kwargs):
            got = f"'{next(iter(kwargs))}'" if kwargs else f"{len(args) + 1} arguments"
            raise TypeError(
                f"{type(self).__name__}.__init__() takes 1 positional argument and no keywords "
                f"here, but got {got}: Module.__init__ takes no arguments"
            )
        d = self.__dict__
        d["training"] = True
        d["_parameters"] = {}
        d["_buffers"] = {}
        d["_non_persistent_buffers_set"] = set()
        for table in _TABLES:
            d[table] = OrderedDict()
        d["_modules"] = {}
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input):
        """Compute the output; every subclass defines it (NotImplementedError)."""
        raise NotImplementedError(
            f'Module [{type(self).__name__}] is missing the required "forward" function'
        )

    def __call__(self, *args, **kwargs):
        if (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or _G_FORWARD
            or _G_PRE
            or _G_BACK
            or _G_BACK_PRE
        ):
            return self._call_with_hooks(args, kwargs)
        try:
            return self.forward(*args, **kwargs)
        except Exception as error:
            _note(error, self)
            raise

    def __getattr__(self, name):
        d = self.__dict__
        try:
            return d["_parameters"][name]  # asked for most, so looked up first
        except KeyError:
            pass
        for table in ("_modules", "_buffers"):
            try:
                return d[table][name]
            except KeyError:
                pass
        raise _Missing(self, name)

    def _weight_and_bias(self):
        """``self.weight, self.bias``, faster: two plain look-ups in place of two failed ones."""
        p = self._parameters
        try:
            return p["weight"], p["bias"]
        except KeyError:  # a reparametrisation computes one of them
            return self.weight, self.bias

    def __setattr__(self, name, value):
        if name in self.__dict__ and not isinstance(value, _OWNED):
            object.__setattr__(self, name, value)  # plain before, plain again
        elif isinstance(value, Parameter):
            if "_parameters" not in self.__dict__:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in self.__dict__:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            self._modules[name] = _registered("module", self, name, value)
        elif isinstance(value, Buffer) or name in self.__dict__.get("_buffers", ()):
            self._set_buffer(name, value)
        elif name in self.__dict__.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_kind(value)}' as parameter '{name}' "
                    "(nn.Parameter or None expected): wrap the tensor in nn.Parameter, or write "
                    f"into it with self.{name}.data.copy_(...)"
                )
            self.register_parameter(name, None)
        elif name in self.__dict__.get("_modules", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_kind(value)}' as child module '{name}' "
                    "(nn.Module or None expected)"
                )
            self._modules[name] = None
        else:
            super().__setattr__(name, value)

    def _set_buffer(self, name, value):
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        if value is not None and not isinstance(value, Tensor):
            raise TypeError(
                f"cannot assign '{_kind(value)}' as buffer '{name}' "
                "(nn.Buffer, Tensor or None expected)"
            )
        if name in self._buffers:
            persistent = name not in self._non_persistent_buffers_set
        else:
            persistent = True
        if isinstance(value, Buffer):
            persistent = getattr(value, "persistent", True)
        self._forget(name, "_buffers")
        self.register_buffer(name, value, persistent)

    def _forget(self, name, keep):
        """Remove ``name`` from every table but ``keep``, so that one name means one thing."""
        d = self.__dict__
        d.pop(name, None)
        for table in ("_parameters", "_buffers", "_modules"):
            if table != keep and table in d:
                d[table].pop(name, None)
        if keep != "_buffers":
            d["_non_persistent_buffers_set"].discard(name)

    def __delattr__(self, name):
        if name in self._parameters:
            del self._parameters[name]
        elif name in self._buffers:
            del self._buffers[name]
            self._non_persistent_buffers_set.discard(name)
        elif name in self._modules:
            del self._modules[name]
        else:
            super().__delattr__(name)

    def __dir__(self):
        names = {*dir(type(self)), *self.__dict__}
        names.update(self._parameters, self._modules, self._buffers)
        return sorted(n for n in names if not n[:1].isdigit())

    def __setstate__(self, state):
        self.__dict__.update(state)
        for table in _TABLES:
            self.__dict__.setdefault(table, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())

    def __getstate__(self):
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        return state

    def _replicate_for_data_parallel(self):
        copy = self.__new__(type(self))
        copy.__dict__ = self.__dict__.copy()
        for table in ("_parameters", "_buffers", "_modules"):
            copy.__dict__[table] = copy.__dict__[table].copy()
        return copy

    # -- modes, moves and grads ------------------------------------------------------------

    def train(self, mode=True):
        """Set training mode (dropout, batch norm ...) here and below; ValueError if no bool."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        """Set evaluation mode here and below: ``train(False)``."""
        return self.train(False)

    def apply(self, fn):
        """Call ``fn(module)`` on every submodule, children first, then on this one."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def requires_grad_(self, requires_grad=True):
        """Set ``requires_grad`` of all parameters, to freeze or thaw them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        """Drop the gradients of all parameters, or fill them with 0."""
        for parameter in self.parameters():
            if set_to_none:
                parameter.grad = None
            elif parameter.grad is not None:
                parameter.grad = fb.zeros_like(parameter.grad)

    def _apply(self, fn, recurse=True):
        """Replace every parameter, gradient and buffer by ``fn(tensor)``, keeping identities."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        for name, param in self._parameters.items():
            if param is None:
                continue
            with fb.no_grad():
                new = fn(param)
                grad = None if param.grad is None else fn(param.grad)
            if grad is not None:
                param.grad = None
            if new is not param:
                _put(self, name, param, new)
            if grad is not None:
                self._parameters[name].grad = grad.detach().requires_grad_(grad.requires_grad)
        for name, buffer in self._buffers.items():
            if buffer is not None:
                self._buffers[name] = fn(buffer)
        return self

    def to(self, *args, **kwargs):
        """Move and/or cast parameters and buffers: ``to(device)``, ``to(dtype)``, ``to(tensor)``,
        ``to(memory_format=...)``.

        Only floating and complex tensors are cast, and only to such a dtype (TypeError).

        >>> import flambeau as fb
        >>> fb.nn.Linear(2, 1).to(fb.float64).weight.dtype == fb.float64
        True
        """
        device, dtype, non_blocking, layout = _parse_to(*args, **kwargs)
        if dtype is not None and not (dtype.is_floating_point or dtype.is_complex):
            raise TypeError(
                "nn.Module.to only accepts floating point or complex dtypes, but got desired "
                f"dtype={dtype}"
            )

        def move(t):
            cast = dtype if t.is_floating_point() or t.is_complex() else None
            extra = {}
            if layout is not None and t.dim() in (4, 5):
                extra["memory_format"] = layout
            if device is not None:
                extra["device"] = device
            if cast is not None:
                extra["dtype"] = cast
            return t.to(non_blocking=non_blocking, **extra) if extra else t

        return self._apply(move)

    def type(self, dst_type):
        """Cast all parameters and buffers to ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self):
        """Cast floating parameters and buffers to float32."""
        return self._cast(fb.float32)

    def double(self):
        """Cast floating parameters and buffers to float64."""
        return self._cast(fb.float64)

    def half(self):
        """Cast floating parameters and buffers to float16."""
        return self._cast(fb.float16)

    def bfloat16(self):
        """Cast floating parameters and buffers to bfloat16."""
        return self._cast(fb.bfloat16)

    def _cast(self, dtype):
        return self._apply(lambda t: t.to(dtype) if t.is_floating_point() else t)

    def cpu(self):
        """Move parameters and buffers to the CPU."""
        return self._apply(lambda t: t.cpu())

    def cuda(self, device=None):
        """Move parameters and buffers to a CUDA device."""
        return self._apply(lambda t: t.cuda(device))

    def xpu(self, device=None):
        """Raises RuntimeError: there is no XPU backend."""
        raise RuntimeError("this build has no XPU backend: use .cpu() or .cuda()")

    ipu = mtia = xpu

    def to_empty(self, *, device, recurse=True):
        """Give parameters and buffers fresh, unset memory on ``device``."""
        return self._apply(lambda t: fb.empty_like(t, device=device), recurse=recurse)

    def share_memory(self):
        """Put parameters and buffers in memory that processes share."""
        return self._apply(lambda t: t.share_memory_())

    def compile(self, *args, **kwargs):
        """Keep the module as it is: calls run eagerly."""

    # -- printing --------------------------------------------------------------------------

    def _get_name(self):
        return type(self).__name__

    def extra_repr(self):
        """Return what stands between the parentheses of this module's line."""
        return ""

    def __repr__(self):
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [
            f"({name}): " + _indent(repr(module), 2) for name, module in self._modules.items()
        ]
        head = self._get_name() + "("
        if len(lines) == 1 and not children:
            return head + lines[0] + ")"
        if lines or children:
            return head + "\n  " + "\n  ".join(lines + children) + "\n)"
        return head + ")"


def _indent(text, spaces):
    return ("\n" + " " * spaces).join(text.split("\n"))


def _kind(value):
    """The full type name of ``value``, such as "builtins.int"."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _put(module, name, param, new):
    """Let ``param`` hold ``new``'s data; a tensor that cannot take it is replaced."""
    try:
        param.data = new
    except (RuntimeError, TypeError):  # e.g. another device type
        fresh = Parameter(new, param.requires_grad)
        module._parameters[name] = fresh


class _Missing(AttributeError):
    """An AttributeError that finds its words when they are read: most are never shown."""

    def __init__(self, module, name):
        super().__init__(name=name, obj=module)

    def __str__(self):
        return _missing_text(self.obj, self.name)

    def __reduce__(self):
        return AttributeError, (str(self),)


_Missing.__name__ = _Missing.__qualname__ = "AttributeError"  # for tracebacks
_Missing.__module__ = "builtins"


def _missing_text(module, name):
    """The AttributeError text: what is missing, and the names that come close."""
    text = f"'{type(module).__name__}' object has no attribute '{name}'"
    if "_modules" not in module.__dict__:
        return text + ": call super().__init__() first in __init__"
    if name.startswith("__"):
        return text
    names = [*module._parameters, *module._buffers, *module._modules, *module.__dict__]
    import difflib

    close = difflib.get_close_matches(name, [n for n in names if n[0] != "_"], 3, 0.6)
    return text + (f": did you mean {' or '.join(map(repr, close))}?" if close else "")


def _parse_to(*args, device=None, dtype=None, non_blocking=False, copy=False, memory_format=None,
              tensor=None, other=None):  # fmt: skip
    """Read the argument forms of ``to``: (device, dtype, ...), (dtype, ...), (tensor, ...)."""
    rest = list(args)
    if rest and isinstance(rest[0], Tensor):
        tensor = rest.pop(0)
    elif rest and isinstance(rest[0], fb.dtype):
        dtype = rest.pop(0)
    elif rest and not isinstance(rest[0], bool):
        if rest[0] is not None:
            device = rest[0]
        rest.pop(0)
        if rest and isinstance(rest[0], fb.dtype):
            dtype = rest.pop(0)
    tensor = other if tensor is None else tensor
    if tensor is not None:
        device, dtype = tensor.device, tensor.dtype
    if device is not None:
        device = fb.device(device)
    if rest:
        non_blocking = rest.pop(0)
    return device, dtype, non_blocking, memory_format


def _name_in(parent, child):
    """The dotted path of ``child`` below ``parent``, or None."""
    for path, module in parent.named_modules():
        if module is child:
            return path
    return None


def _note(error, module):
    """Note on ``error`` the path of the module it came from, seen from the outermost module.

    Each level rewrites the one note: the innermost module stays, the path grows to the left.
    """
    if not hasattr(error, "add_note"):  # before Python 3.11
        return
    try:
        trail = error.__dict__.setdefault("_module_trail", [])
        if not trail:
            trail.extend((module, "", None))  # innermost module, path, the note's text
        elif module is not trail[0]:
            inner = _name_in(module, trail[0])
            if inner:
                trail[1] = inner
        where = type(module).__name__ + ("." + trail[1] if trail[1] else "")
        text = f"in {where} ({_indent(repr(trail[0]), 2)})" if trail[1] else (
            f"in {_indent(repr(module), 2)}"
        )  # fmt: skip
        notes = error.__dict__.setdefault("__notes__", [])
        if trail[2] in notes:
            notes.remove(trail[2])
        notes.append(text)
        trail[2] = text
    except Exception:  # a module half built has no repr; the error itself matters more
        return
