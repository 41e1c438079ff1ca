"""Parametrisations: a parameter as a function of others, through a property of the class."""

from __future__ import annotations

import copy
from contextlib import contextmanager

import flambeau as fb
from flambeau import Tensor

from ..container import ModuleDict, ModuleList
from ..module import Module
from ..parameter import Parameter

__all__ = [
    "cached", "ParametrizationList", "register_parametrization", "is_parametrized",
    "remove_parametrizations", "type_before_parametrizations",
    "transfer_parametrizations_and_params",
]  # fmt: skip

_cache_depth = 0
_cache = {}


@contextmanager
def cached():
    """Within it each parametrised tensor is computed once and reused."""
    global _cache_depth
    _cache_depth += 1
    try:
        yield
    finally:
        _cache_depth -= 1
        if not _cache_depth:
            _cache.clear()


def _register(module, name, value):
    """Register a Parameter as one and a plain tensor as a buffer."""
    if isinstance(value, Parameter):
        module.register_parameter(name, value)
    else:
        module.register_buffer(name, value)


def _originals(modules, original):
    """What the parametrisations' ``right_inverse`` make of the tensor, last one first."""
    value = original
    for module in reversed(modules):
        if hasattr(module, "right_inverse"):
            with fb.no_grad():
                value = module.right_inverse(value)
    if value is original:
        return original
    if isinstance(value, Tensor):
        return value
    if isinstance(value, (tuple, list)):
        return list(value)
    raise ValueError(
        "'right_inverse' must return a Tensor or a Sequence of tensors (list, tuple...). Got "
        f"{type(value).__name__}"
    )


class ParametrizationList(ModuleList):
    """The parametrisations of one tensor; calling it computes the tensor.

    Its ``original`` (or ``original0``, ``original1`` ...) are the parameters trained instead.
    """

    def __init__(self, modules, original, unsafe=False):
        modules = list(modules)
        if not modules:
            raise ValueError("ParametrizationList requires one or more modules.")
        super().__init__(modules)
        self.unsafe = unsafe
        shape, dtype = original.shape, original.dtype
        new = _originals(modules, original)
        self.is_tensor = isinstance(new, Tensor)
        if self.is_tensor:
            if isinstance(original, Parameter):
                if new is not original:
                    original.data = new.detach()
                _register(self, "original", original)
            else:
                _register(self, "original", new)
        else:
            self.ntensors = len(new)
            for i, value in enumerate(new):
                if not isinstance(value, Tensor):
                    raise ValueError(
                        f"'right_inverse' must return Tensors, but element {i} is "
                        f"{type(value).__name__}"
                    )
                if isinstance(original, Parameter):
                    value = Parameter(value.detach(), original.requires_grad)
                _register(self, f"original{i}", value)
        if not unsafe:
            result = self()
            if not isinstance(result, Tensor):
                raise ValueError(
                    f"A parametrization must return a tensor. Got {type(result).__name__}."
                )
            if result.dtype != dtype or result.shape != shape:
                raise ValueError(
                    "Registering a parametrization may not change the dtype or shape of the "
                    f"tensor, unless unsafe=True: from {dtype} {list(shape)} to {result.dtype} "
                    f"{list(result.shape)}"
                )

    def right_inverse(self, value):
        """Assign ``value`` by passing it backwards through the parametrisations."""
        with fb.no_grad():
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} does not implement right_inverse"
                    )
                value = module.right_inverse(value)
            if self.is_tensor:
                if not isinstance(value, Tensor):
                    raise ValueError(f"`right_inverse` should return a tensor. Got {type(value)}")
                self.original.data.copy_(value) if value.shape == self.original.shape else setattr(
                    self.original, "data", value
                )
                return
            if len(value) != self.ntensors:
                raise ValueError(
                    f"'right_inverse' must return a sequence of {self.ntensors} tensors, got "
                    f"{len(value)}"
                )
            for i, tensor in enumerate(value):
                getattr(self, f"original{i}").data.copy_(tensor)

    def forward(self):
        """Compute the tensor."""
        if self.is_tensor:
            x = self[0](self.original)
        else:
            x = self[0](*(getattr(self, f"original{i}") for i in range(self.ntensors)))
        for i in range(1, len(self)):
            x = self[i](x)
        return x


def _new_class(module):
    """Give ``module`` a class of its own, on which properties can be set."""
    base = type(module)

    def __getstate__(self):
        raise RuntimeError(
            "Serialization of parametrized modules is only supported through state_dict()"
        )

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        replica = self.__new__(type(self))
        memo[id(self)] = replica
        replica.__dict__ = copy.deepcopy(self.__dict__, memo)
        return replica

    body = {"__getstate__": __getstate__, "__deepcopy__": __deepcopy__, "__module__": __name__}
    module.__class__ = type(f"Parametrized{base.__name__}", (base,), body)


def _set_property(module, name):
    """Read ``name`` through its parametrisations, and write through their right inverses."""

    def get(self):
        parametrization = self.parametrizations[name]
        if not _cache_depth:
            return parametrization()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = parametrization()
        return _cache[key]

    def put(self, value):
        self.parametrizations[name].right_inverse(value)

    setattr(type(module), name, property(get, put))


def register_parametrization(module, tensor_name, parametrization, *, unsafe=False):
    """Make ``module.tensor_name`` the output of the module ``parametrization``.

    The old tensor becomes ``module.parametrizations.<name>.original``. ``unsafe`` skips the
    check that shape and dtype stay. ValueError if there is no such tensor.

    >>> import flambeau as fb
    >>> class Double(fb.nn.Module):
    ...     def forward(self, x):
    ...         return 2 * x
    >>> m = fb.nn.Linear(2, 1)
    >>> m = fb.nn.utils.parametrize.register_parametrization(m, "weight", Double())
    >>> list(m.state_dict())
    ['bias', 'parametrizations.weight.original']
    """
    parametrization.train(module.training)
    if is_parametrized(module, tensor_name):
        entry = module.parametrizations[tensor_name]
        if not unsafe:
            now = getattr(module, tensor_name)
            new = parametrization(now)
            if not isinstance(new, Tensor) or new.shape != now.shape or new.dtype != now.dtype:
                raise ValueError(
                    "Registering a parametrization may not change the dtype or shape of the "
                    "tensor, unless unsafe=True"
                )
        entry.append(parametrization)
        entry.unsafe |= unsafe
    elif tensor_name in module._buffers or tensor_name in module._parameters:
        original = getattr(module, tensor_name)
        entry = ParametrizationList([parametrization], original, unsafe=unsafe)
        delattr(module, tensor_name)
        if not is_parametrized(module):
            _new_class(module)
            module.parametrizations = ModuleDict()
        _set_property(module, tensor_name)
        module.parametrizations[tensor_name] = entry
    else:
        raise ValueError(
            f"Module '{module}' does not have a parameter, a buffer, or a parametrized element "
            f"with name '{tensor_name}'"
        )
    return module


def is_parametrized(module, tensor_name=None):
    """Whether ``module`` has parametrisations, or one of the tensor ``tensor_name``."""
    table = module._modules.get("parametrizations") if isinstance(module, Module) else None
    if not isinstance(table, ModuleDict):
        return False
    return len(table) > 0 if tensor_name is None else tensor_name in table


def remove_parametrizations(module, tensor_name, leave_parametrized=True):
    """Undo the parametrisations of a tensor, keeping its present value (or the original one).

    ValueError if there are none, or if the original cannot be left.
    """
    if not is_parametrized(module, tensor_name):
        raise ValueError(f"Module {module} does not have a parametrization on {tensor_name}")
    entry = module.parametrizations[tensor_name]
    if not entry.is_tensor and not leave_parametrized:
        raise ValueError(
            "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is "
            "parametrized in terms of a sequence of tensors."
        )
    if entry.is_tensor:
        original = entry.original
        if leave_parametrized:
            with fb.no_grad():
                original.data = getattr(module, tensor_name).detach()
    else:
        value = getattr(module, tensor_name).detach()
        needs = any(p.requires_grad for p in entry.parameters(recurse=False))
        original = Parameter(value) if needs else value
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    _register(module, tensor_name, original)
    if not is_parametrized(module):
        delattr(module, "parametrizations")
        module.__class__ = type(module).__bases__[0]
    return module


def type_before_parametrizations(module):
    """The module's class without the one that parametrisations put over it."""
    return type(module).__bases__[0] if is_parametrized(module) else type(module)


def transfer_parametrizations_and_params(from_module, to_module, tensor_name=None):
    """Move copies of the parametrisations and their originals from one module to another."""
    if not is_parametrized(from_module):
        return to_module
    names = [tensor_name] if tensor_name is not None else list(from_module.parametrizations)
    for name in names:
        entry = from_module.parametrizations[name]
        if not hasattr(to_module, name):
            value = copy.deepcopy(getattr(from_module, name).detach())
            _register(to_module, name, Parameter(value))
        for parametrization in entry:
            register_parametrization(
                to_module, name, copy.deepcopy(parametrization), unsafe=entry.unsafe
            )
        target = to_module.parametrizations[name]
        for key, value in entry._parameters.items():
            with fb.no_grad():
                getattr(target, key).copy_(value)
    return to_module
