"""Containers: Sequential, ModuleList, ModuleDict, ParameterList, ParameterDict."""

from __future__ import annotations

import operator
from collections import OrderedDict

from flambeau import Tensor

from .module import Module, _indent
from .parameter import Parameter

__all__ = [
    "Container",
    "Sequential",
    "ModuleList",
    "ModuleDict",
    "ParameterList",
    "ParameterDict",
]


class Container(Module):
    """A Module made of its keyword arguments; kept for old code."""

    def __init__(self, **kwargs):
        super().__init__()
        for name, module in kwargs.items():
            self.add_module(name, module)


def _index(length, i, name):
    """``i`` as a non-negative index below ``length``; IndexError otherwise."""
    i = operator.index(i)
    if not -length <= i < length:
        raise IndexError(f"index {i} is out of range for a {name} of {length} modules")
    return i % length


class Sequential(Module):
    """Modules run one after the other; made from modules or one OrderedDict of them.

    Indexing, slicing, ``append``, ``insert``, ``extend``, ``pop``, ``+`` and ``*`` work as for
    a list.

    >>> import flambeau as fb
    >>> net = fb.nn.Sequential(fb.nn.Linear(4, 3), fb.nn.ReLU(), fb.nn.Linear(3, 2))
    >>> tuple(net(fb.ones(5, 4)).shape), len(net[:2])
    ((5, 2), 2)
    """

    def __init__(self, *args):
        super().__init__()
        if len(args) == 1 and isinstance(args[0], OrderedDict):
            for name, module in args[0].items():
                self.add_module(name, module)
        else:
            for i, module in enumerate(args):
                self.add_module(str(i), module)

    def forward(self, input):
        """Pass ``input`` through the modules in order."""
        for module in self._modules.values():
            input = module(input)
        return input

    def _key(self, i):
        return list(self._modules)[_index(len(self), i, "Sequential")]

    def __getitem__(self, i):
        if isinstance(i, slice):
            return type(self)(OrderedDict(list(self._modules.items())[i]))
        try:
            return [*self._modules.values()][i]
        except (IndexError, TypeError):
            return self._modules[self._key(i)]

    def __setitem__(self, i, module):
        setattr(self, self._key(i), module)

    def __delitem__(self, i):
        keys = list(self._modules)[i] if isinstance(i, slice) else [self._key(i)]
        for key in keys:
            delattr(self, key)
        self._renumber()

    def _renumber(self):
        names = [str(n) for n in range(len(self._modules))]
        self._modules = dict(zip(names, self._modules.values()))

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __add__(self, other):
        if not isinstance(other, Sequential):
            raise ValueError(f"can only add a Sequential to a Sequential, not {type(other)}")
        return Sequential(*self, *other)

    def __iadd__(self, other):
        if not isinstance(other, Sequential):
            raise ValueError(f"can only add a Sequential to a Sequential, not {type(other)}")
        for module in list(other):
            self.append(module)
        return self

    def __mul__(self, n):
        _check_times(n)
        return Sequential(*(list(self) * n))

    __rmul__ = __mul__

    def __imul__(self, n):
        _check_times(n)
        for module in list(self) * (n - 1):
            self.append(module)
        return self

    def __dir__(self):
        return [n for n in super().__dir__() if not n.isdigit()]

    def append(self, module):
        """Add ``module`` at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def insert(self, index, module):
        """Put ``module`` before position ``index``; returns self."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        n = len(self)
        if not -n <= index <= n:
            raise IndexError(f"index {index} is out of range for a Sequential of {n} modules")
        modules = list(self)
        modules.insert(index, module)
        self._modules = {str(i): m for i, m in enumerate(modules)}
        return self

    def extend(self, sequential):
        """Add the modules of ``sequential``; returns self."""
        for module in list(sequential):
            self.append(module)
        return self

    def pop(self, key):
        """Remove and return the module at position ``key``."""
        module = self[key]
        del self[key]
        return module


def _check_times(n):
    if not isinstance(n, int):
        raise TypeError(f"a Sequential can be repeated an int times, not {type(n).__name__}")
    if n <= 0:
        raise ValueError(f"a Sequential can be repeated 1 or more times, not {n}")


class ModuleList(Module):
    """A list of modules whose parameters belong to the module that holds it.

    >>> import flambeau as fb
    >>> blocks = fb.nn.ModuleList([fb.nn.Linear(2, 2) for _ in range(3)])
    >>> len(blocks), len(list(blocks.parameters()))
    (3, 6)
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self += modules

    def _set(self, modules):
        self._modules = {}
        for i, module in enumerate(modules):
            self.add_module(str(i), module)

    def __getitem__(self, i):
        if isinstance(i, slice):
            return type(self)(list(self._modules.values())[i])
        return self._modules[str(_index(len(self), i, "ModuleList"))]

    def __setitem__(self, i, module):
        setattr(self, str(_index(len(self), i, "ModuleList")), module)

    def __delitem__(self, i):
        modules = list(self)
        del modules[i]
        self._set(modules)

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules.values())

    def __iadd__(self, modules):
        return self.extend(modules)

    def __add__(self, other):
        return type(self)([*self, *other])

    def __dir__(self):
        return [n for n in super().__dir__() if not n.isdigit()]

    def insert(self, index, module):
        """Put ``module`` before position ``index``."""
        modules = list(self)
        modules.insert(index, module)
        self._set(modules)

    def append(self, module):
        """Add ``module`` at the end; returns self."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key):
        """Remove and return the module at position ``key``."""
        module = self[key]
        del self[key]
        return module

    def extend(self, modules):
        """Add every module of an iterable; returns self. TypeError if it is none."""
        if not hasattr(modules, "__iter__"):
            raise TypeError(
                f"ModuleList.extend should be called with an iterable, not {type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def __repr__(self):
        texts = [repr(module) for module in self]
        if not texts:
            return self._get_name() + "()"
        runs = []  # [first, last, text]: equal neighbours print once
        for i, text in enumerate(texts):
            if runs and runs[-1][2] == text:
                runs[-1][1] = i
            else:
                runs.append([i, i, text])
        lines = []
        for first, last, text in runs:
            if first == last:
                line = f"({first}): {text}"
            else:
                line = f"({first}-{last}): {last - first + 1} x {text}"
            lines.append(_indent(line, 2))
        return self._get_name() + "(\n  " + "\n  ".join(lines) + "\n)"


class ModuleDict(Module):
    """A dict of modules by name, in order of insertion.

    >>> import flambeau as fb
    >>> acts = fb.nn.ModuleDict({"relu": fb.nn.ReLU(), "tanh": fb.nn.Tanh()})
    >>> list(acts), "relu" in acts
    (['relu', 'tanh'], True)
    """

    def __init__(self, modules=None):
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key):
        return self._modules[key]

    def __setitem__(self, key, module):
        self.add_module(key, module)

    def __delitem__(self, key):
        del self._modules[key]

    def __len__(self):
        return len(self._modules)

    def __iter__(self):
        return iter(self._modules)

    def __contains__(self, key):
        return key in self._modules

    def clear(self):
        """Remove all modules."""
        self._modules.clear()

    def pop(self, key):
        """Remove and return the module named ``key``."""
        return self._modules.pop(key)

    def keys(self):
        """The names."""
        return self._modules.keys()

    def items(self):
        """The (name, module) pairs."""
        return self._modules.items()

    def values(self):
        """The modules."""
        return self._modules.values()

    def update(self, modules):
        """Add modules from a mapping or an iterable of (name, module) pairs."""
        for key, module in _pairs(modules, "ModuleDict"):
            self[key] = module


def _pairs(entries, name):
    """The (key, value) pairs of a mapping or of an iterable of pairs."""
    if hasattr(entries, "keys"):
        return [(k, entries[k]) for k in entries.keys()]
    if not hasattr(entries, "__iter__"):
        raise TypeError(f"{name}.update needs a mapping or pairs, not {type(entries).__name__}")
    pairs = []
    for i, pair in enumerate(entries):
        if not hasattr(pair, "__len__"):
            raise TypeError(f"{name} update element #{i} should be a pair, not {type(pair)}")
        if len(pair) != 2:
            raise ValueError(f"{name} update element #{i} has length {len(pair)}; 2 is required")
        pairs.append(tuple(pair))
    return pairs


def _as_parameter(value):
    """A plain tensor becomes a Parameter; anything else stays."""
    if isinstance(value, Tensor) and not isinstance(value, Parameter):
        return Parameter(value)
    return value


def _describe(value, type_name=None):
    """The text of one entry in the repr of a parameter container."""
    if isinstance(value, Tensor):
        kind = "Parameter" if isinstance(value, Parameter) else "Tensor"
        size = "x".join(str(n) for n in value.shape)
        where = "" if value.device.type == "cpu" else f" ({value.device})"
        return f"{kind} containing: [{type_name or value.dtype} of size {size}{where}]"
    return f"Object of type: {type(value).__name__}"


class ParameterList(Module):
    """A list of parameters; plain tensors become Parameters, other values are kept as they are.

    >>> import flambeau as fb
    >>> ps = fb.nn.ParameterList([fb.zeros(2), fb.zeros(3)])
    >>> [n for n, _ in ps.named_parameters()]
    ['0', '1']
    """

    def __init__(self, values=None):
        super().__init__()
        self._size = 0
        if values is not None:
            self += values

    def __getitem__(self, i):
        if isinstance(i, slice):
            return type(self)([getattr(self, str(k)) for k in range(*i.indices(self._size))])
        return getattr(self, str(_index(self._size, i, "ParameterList")))

    def __setitem__(self, i, value):
        setattr(self, str(_index(self._size, i, "ParameterList")), _as_parameter(value))

    def __len__(self):
        return self._size

    def __iter__(self):
        return iter([self[i] for i in range(self._size)])

    def __iadd__(self, values):
        return self.extend(values)

    def __dir__(self):
        return [n for n in super().__dir__() if not n.isdigit()]

    def append(self, value):
        """Add ``value`` at the end; returns self."""
        self._size += 1
        self[self._size - 1] = value
        return self

    def extend(self, values):
        """Add every value of an iterable (TypeError for a bare tensor); returns self."""
        if not hasattr(values, "__iter__") or isinstance(values, Tensor):
            raise TypeError(
                "ParameterList.extend should be called with an iterable, but got "
                f"{type(values).__name__}"
            )
        for value in list(values):
            self.append(value)
        return self

    def extra_repr(self):
        """One line a value."""
        lines = []
        for i in range(self._size):
            lines.append(f"  ({i}): " + _describe(self[i]))
        return "\n".join(lines)

    def __call__(self, *args, **kwargs):
        raise RuntimeError("ParameterList should not be called.")


class ParameterDict(Module):
    """A dict of parameters; plain tensors become Parameters, other values are kept.

    >>> import flambeau as fb
    >>> d = fb.nn.ParameterDict({"a": fb.zeros(2)})
    >>> list(d.state_dict())
    ['a']
    """

    def __init__(self, parameters=None):
        super().__init__()
        self._keys = {}
        if parameters is not None:
            self.update(parameters)

    @staticmethod
    def _attr(key):
        if not isinstance(key, str):
            raise TypeError(
                "Index given to ParameterDict cannot be used as a key as it is not a string "
                f"(type is '{type(key).__name__}')."
            )
        return key

    def __getitem__(self, key):
        return getattr(self, self._attr(key))

    def __setitem__(self, key, value):
        self._keys[self._attr(key)] = None
        setattr(self, key, _as_parameter(value))

    def __delitem__(self, key):
        del self._keys[key]
        delattr(self, key)

    def __len__(self):
        return len(self._keys)

    def __iter__(self):
        return iter(self._keys)

    def __reversed__(self):
        return reversed(list(self._keys))

    def __contains__(self, key):
        return key in self._keys

    def copy(self):
        """A shallow copy: the same values in a new ParameterDict."""
        return ParameterDict(OrderedDict((k, self[k]) for k in self._keys))

    def setdefault(self, key, default=None):
        """Return the value of ``key``, setting it to ``default`` first if it is missing."""
        if key not in self._keys:
            self[key] = default
        return self[key]

    def clear(self):
        """Remove all entries."""
        for key in list(self._keys):
            del self[key]

    def pop(self, key):
        """Remove ``key`` and return its value."""
        value = self[key]
        del self[key]
        return value

    def popitem(self):
        """Remove and return the last (key, value)."""
        key = next(reversed(self._keys))
        return key, self.pop(key)

    def get(self, key, default=None):
        """The value of ``key``, or ``default``."""
        return self[key] if key in self._keys else default

    def fromkeys(self, keys, default=None):
        """A new ParameterDict with ``keys``, all set to ``default``."""
        return ParameterDict((k, default) for k in keys)

    def keys(self):
        """The keys, in order."""
        return self._keys.keys()

    def items(self):
        """The (key, value) pairs."""
        return ((k, self[k]) for k in self._keys)

    def values(self):
        """The values."""
        return (self[k] for k in self._keys)

    def update(self, parameters):
        """Add entries from a mapping or an iterable of pairs."""
        for key, value in _pairs(parameters, "ParameterDict"):
            self[key] = value

    def extra_repr(self):
        """One line an entry."""
        lines = []
        for key, value in self.items():
            name = value.type() if isinstance(value, Tensor) else None
            lines.append(f"  ({key}): " + _describe(value, name))
        return "\n".join(lines)

    def __call__(self, input):
        raise RuntimeError("ParameterDict should not be called.")

    def __or__(self, other):
        copy = self.copy()
        copy.update(other.items())
        return copy

    def __ror__(self, other):
        copy = ParameterDict(other)
        copy.update(self.items())
        return copy

    def __ior__(self, other):
        self.update(other.items())
        return self
