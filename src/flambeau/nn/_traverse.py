"""How a Module is walked: parameters, buffers, children, modules, and lookup by dotted name."""

from __future__ import annotations

from ._hooks import _registered
from .parameter import Parameter


def _walk(module, path, memo, once, found):
    """Append ``(path, module)`` for ``module`` and all below it that are not in ``memo``."""
    if module in memo:
        return
    if once:
        memo.add(module)
    found.append((path, module))
    for name, child in module._modules.items():
        if child is not None:
            _walk(child, f"{path}.{name}" if path else name, memo, once, found)


def _tree(module, found):
    """Make ``module`` and all below it keys of ``found``, in order."""
    found[module] = None
    for child in module._modules.values():
        if child is not None and child not in found:
            _tree(child, found)
    return found


class _TraverseMixin:
    """The walking and lookup methods of Module."""

    def _named_members(self, members, prefix="", recurse=True, remove_duplicate=True):
        found, seen = [], set()
        if recurse:
            modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate)
        else:
            modules = ((prefix, self),)
        for path, module in modules:
            head = path + "." if path else ""
            for name, value in members(module):
                if value is None or value in seen:
                    continue
                if remove_duplicate:
                    seen.add(value)
                found.append((head + name, value))
        return iter(found)

    def _members(self, table, recurse):
        found = {}
        for module in _tree(self, {}) if recurse else (self,):
            for value in module.__dict__[table].values():
                if value is not None:
                    found[value] = None
        return iter(found)

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        """Yield ``(name, parameter)``, this module's first, then the submodules'.

        >>> import flambeau as fb
        >>> net = fb.nn.Sequential(fb.nn.Linear(2, 3), fb.nn.ReLU())
        >>> [(n, tuple(p.shape)) for n, p in net.named_parameters()]
        [('0.weight', (3, 2)), ('0.bias', (3,))]
        """
        return self._named_members(
            lambda m: m._parameters.items(), prefix, recurse, remove_duplicate
        )

    def parameters(self, recurse=True):
        """Yield the parameters, each once; ``recurse=False`` leaves the submodules out."""
        if type(self).named_parameters is _TraverseMixin.named_parameters:
            return self._members("_parameters", recurse)
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        """Yield ``(name, buffer)`` as ``named_parameters`` does."""
        return self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse=True):
        """Yield the buffers, each once."""
        return self._members("_buffers", recurse)

    def named_children(self):
        """Yield ``(name, module)`` for the direct submodules, each module once."""
        seen = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self):
        """Yield the direct submodules, each once."""
        return iter({module: None for module in self._modules.values() if module is not None})

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        """Yield ``(path, module)`` for this module (path ``prefix``) and all below it."""
        found = []
        _walk(self, prefix, set() if memo is None else memo, remove_duplicate, found)
        return iter(found)

    def modules(self):
        """Yield this module and all below it, each once."""
        return iter(_tree(self, {}))

    def get_submodule(self, target):
        """Return the module at the dotted path ``target`` ("" is the module itself).

        Raises AttributeError when a part of the path is missing or is not a Module.
        """
        from .module import Module

        module = self
        for part in target.split(".") if target else ():
            if not hasattr(module, part):
                raise AttributeError(
                    f"{type(module).__name__} has no attribute `{part}` (looking for '{target}'; "
                    f"its children are {[n for n, _ in module.named_children()]})"
                )
            module = getattr(module, part)
            if not isinstance(module, Module):
                raise AttributeError(f"`{part}` is not an nn.Module (looking for '{target}')")
        return module

    def set_submodule(self, target, module, strict=False):
        """Put ``module`` at the dotted path ``target``; ``strict`` asks that one is there already.

        Raises ValueError for an empty path or a value that is no Module, AttributeError where
        the path does not exist.
        """
        from .module import Module

        if not target:
            raise ValueError("cannot set the submodule without a target name")
        if not isinstance(module, Module):
            raise ValueError(f"set_submodule needs an nn.Module, but got {type(module).__name__}")
        *path, name = target.split(".")
        parent = self.get_submodule(".".join(path))
        if strict and not hasattr(parent, name):
            raise AttributeError(f"{type(parent).__name__} has no attribute `{name}`")
        if hasattr(parent, name) and not isinstance(getattr(parent, name), Module):
            raise AttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target):
        """Return the parameter at the dotted path ``target``; AttributeError if it is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        value = getattr(module, name)
        if not isinstance(value, Parameter):
            raise AttributeError(f"`{name}` is not an nn.Parameter")
        return value

    def get_buffer(self, target):
        """Return the buffer at the dotted path ``target``; AttributeError if it is none."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        if not hasattr(module, name):
            raise AttributeError(f"{type(module).__name__} has no attribute `{name}`")
        if name not in module._buffers:
            raise AttributeError(f"`{name}` is not a buffer")
        return module._buffers[name]

    def _check_name(self, kind, name, table):
        if not isinstance(name, str):
            raise TypeError(f"a {kind} name must be a string, but got {type(name).__name__}")
        if "." in name:
            raise KeyError(f'a {kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'a {kind} name can\'t be the empty string ""')
        if name not in table and (
            name in self.__dict__
            or name in self._parameters
            or name in self._modules
            or name in self._buffers
            or hasattr(type(self), name)
        ):
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name, param):
        """Add a parameter (or None) under ``name``.

        Raises TypeError if it is no Parameter, KeyError for a bad or taken name, ValueError if
        it is the result of an operation instead of a leaf.
        """
        if "_parameters" not in self.__dict__:
            raise AttributeError("cannot assign parameter before Module.__init__() call")
        self._check_name("parameter", name, self._parameters)
        if param is not None:
            if not isinstance(param, Parameter):
                raise TypeError(
                    f"cannot assign '{type(param).__name__}' object to parameter '{name}' "
                    "(nn.Parameter or None required): wrap the tensor in nn.Parameter"
                )
            if param.grad_fn is not None:
                raise ValueError(
                    f"cannot assign a non-leaf tensor to parameter '{name}': a parameter must be "
                    "created explicitly; to compute it from another tensor, do so in forward()"
                )
            param = _registered("parameter", self, name, param)
        self._parameters[name] = param

    def register_buffer(self, name, tensor, persistent=True):
        """Add a buffer (tensor or None) under ``name``; it moves with ``to()`` and takes no step.

        ``persistent=False`` keeps it out of the ``state_dict``. Raises TypeError if it is no
        tensor, KeyError for a bad or taken name.

        >>> import flambeau as fb
        >>> m = fb.nn.Module()
        >>> m.register_buffer("mean", fb.zeros(3))
        >>> m.mean.shape[0]
        3
        """
        from flambeau import Tensor

        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        self._check_name("buffer", name, self._buffers)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' "
                "(Tensor or None required)"
            )
        if tensor is not None:
            tensor = _registered("buffer", self, name, tensor)
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name, module):
        """Add a child module (or None) under ``name``; TypeError, KeyError as for parameters."""
        from .module import Module

        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._check_name("module", name, self._modules)
        if module is not None:
            module = _registered("module", self, name, module)
        self._modules[name] = module

    def register_module(self, name, module):
        """Alias of ``add_module``."""
        self.add_module(name, module)
