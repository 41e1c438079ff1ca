"""An unpickler that makes tensors and plain containers and can call nothing else."""

from __future__ import annotations

import io
import pickle
from collections import Counter, OrderedDict

from . import _rebuild

_allowed_by_user = {}  # "module.qualname" -> object


def _full_name(entry):
    """Return (name in files, object) of an entry of add_safe_globals."""
    if isinstance(entry, tuple):
        found, name = entry
        return name, found
    return f"{entry.__module__}.{entry.__qualname__}", entry


def add_safe_globals(safe_globals):
    """Let files name these classes and functions; a list of them or of (object, "mod.name").

    >>> import flambeau as fb
    >>> from fractions import Fraction
    >>> fb.serialization.add_safe_globals([Fraction])
    >>> fb.serialization.clear_safe_globals()
    """
    _allowed_by_user.update(_full_name(entry) for entry in safe_globals)


def get_safe_globals():
    """Return the list of objects that files may name beside tensors and containers."""
    return list(_allowed_by_user.values())


def clear_safe_globals():
    """Forget everything that add_safe_globals was told."""
    _allowed_by_user.clear()


class safe_globals:
    """Allow these classes and functions to be loaded inside a `with` block.

    >>> import flambeau as fb
    >>> from fractions import Fraction
    >>> with fb.serialization.safe_globals([Fraction]):
    ...     len(fb.serialization.get_safe_globals())
    1
    """

    def __init__(self, safe_globals):
        self.entries = safe_globals

    def __enter__(self):
        self.before = dict(_allowed_by_user)
        add_safe_globals(self.entries)

    def __exit__(self, *error):
        _allowed_by_user.clear()
        _allowed_by_user.update(self.before)


class _Call:
    """A function that a file may call; immutable, so that a file cannot change it either."""

    __slots__ = ("run",)

    def __init__(self, run):
        self.run = run

    def __call__(self, *args):
        return self.run(*args)


class StorageClass:
    """What a file calls torch.FloatStorage and the like: only the name of a dtype."""

    __slots__ = ("dtype_name",)

    def __init__(self, dtype_name):
        self.dtype_name = dtype_name


def known_globals():
    """Return {"module.name": object} of what every file may name."""
    import flambeau
    from flambeau.nn import Parameter

    calls = {
        "torch._utils._rebuild_tensor": _rebuild.rebuild_tensor,
        "torch._utils._rebuild_tensor_v2": _rebuild.rebuild_tensor_v2,
        "torch._utils._rebuild_tensor_v3": _rebuild.rebuild_tensor_v3,
        "torch._utils._rebuild_parameter": _rebuild.rebuild_parameter,
        "torch._utils._rebuild_parameter_with_state": _rebuild.rebuild_parameter_with_state,
        "torch._utils._rebuild_meta_tensor_no_storage": _rebuild.rebuild_meta,
        "torch._tensor._rebuild_from_type_v2": _rebuild.rebuild_from_type,
        "torch.Size": flambeau.Size,
        "torch.device": flambeau.device,
        "collections.OrderedDict": _rebuild.ordered_dict,
        "collections.Counter": Counter,
        "_codecs.encode": _rebuild.make_bytes,
        "__builtin__.set": set,
        "builtins.set": set,
        "__builtin__.frozenset": frozenset,
        "builtins.frozenset": frozenset,
        "__builtin__.complex": complex,
        "builtins.complex": complex,
        "__builtin__.bytearray": _rebuild.make_bytearray,
        "builtins.bytearray": _rebuild.make_bytearray,
    }
    table = {name: _Call(run) for name, run in calls.items()}
    for name in _rebuild.DTYPE_NAMES:
        found = getattr(flambeau, name, None)
        if isinstance(found, type(flambeau.float32)):
            table[f"torch.{name}"] = found
    for name, dtype_name in _rebuild.STORAGE_DTYPES.items():
        table[f"torch.{name}"] = StorageClass(dtype_name)
    table["torch.storage.UntypedStorage"] = StorageClass("uint8")
    table["torch.Tensor"] = table["torch._tensor.Tensor"] = flambeau.Tensor
    table["torch.nn.parameter.Parameter"] = Parameter
    return table


# Opcodes of protocols 0 to 4 that make plain values; what is not here stops the load.
_PLAIN_OPCODES = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.POP, pickle.POP_MARK,
    pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.INT, pickle.BININT, pickle.BININT1,
    pickle.BININT2, pickle.LONG1, pickle.FLOAT, pickle.BINFLOAT, pickle.BINUNICODE,
    pickle.SHORT_BINUNICODE, pickle.UNICODE, pickle.BINBYTES, pickle.SHORT_BINBYTES,
    pickle.SHORT_BINSTRING, pickle.BINSTRING, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2,
    pickle.TUPLE3, pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.EMPTY_SET,
    pickle.FROZENSET, pickle.LIST, pickle.DICT, pickle.BINGET, pickle.LONG_BINGET,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.GLOBAL, pickle.STACK_GLOBAL,
    pickle.BINPERSID, pickle.DUP,
)  # fmt: skip


class DeviceError(RuntimeError):
    """The file's tensors belong on a device that this machine does not have."""


class SafeUnpickler(pickle._Unpickler):
    """The standard library's Python unpickler with a short list of opcodes and globals."""

    dispatch = {op[0]: pickle._Unpickler.dispatch[op[0]] for op in _PLAIN_OPCODES}

    def __init__(self, data, label, persistent_load):
        super().__init__(io.BytesIO(data), encoding="utf-8")
        self.label, self.persistent_load, self.known = label, persistent_load, known_globals()

    def load(self):
        """Return the object; raise UnpicklingError with the file's name on any fault."""
        try:
            return super().load()
        except pickle.UnpicklingError as fault:
            message = str(fault)
        except (NotImplementedError, DeviceError):
            raise
        except KeyError as fault:
            message = f"opcode {fault} is not one that saved tensors use"
        except Exception as fault:  # a damaged stream can raise anything
            message = f"damaged or unexpected content ({type(fault).__name__}: {fault})"
        if self.label not in message:
            message = f"Weights only load failed: {self.label}: {message}"
        raise pickle.UnpicklingError(message) from None

    def find_class(self, module, name):
        """Return what the file may have under this name, or refuse."""
        full = f"{module}.{name}"
        for table in (_allowed_by_user, self.known):
            if full in table:
                return table[full]
        raise pickle.UnpicklingError(
            f"Weights only load failed: {self.label} asks for {full}, which is not on the list "
            f"of safe names, so it was refused and nothing ran. If you trust the file, allow "
            f"the name with flambeau.serialization.add_safe_globals([{name}]) or `with "
            f"flambeau.serialization.safe_globals([{name}])`, or load it with "
            f"weights_only=False, which lets the file run any code it likes on your machine."
        )

    def _trusted(self, thing):
        # Identity, not equality: a file must not choose which __eq__ decides.
        return any(thing is known for known in _allowed_by_user.values())

    def _refuse(self, action, thing):
        raise pickle.UnpicklingError(
            f"Weights only load failed: {self.label} wants to {action} {type(thing).__name__} "
            f"{thing!r:.80}, which only weights_only=False allows (it can run any code)"
        )

    def load_reduce(self):
        """Call a function: only ours, or one that the user allowed."""
        args = self.stack.pop()
        call = self.stack[-1]
        if not (type(call) is _Call or self._trusted(call)) or not isinstance(args, tuple):
            self._refuse("call", call)
        if type(call) is _Call and call.run is _rebuild.rebuild_from_type:
            if len(args) != 4 or type(args[0]) is not _Call:
                self._refuse("call", args)
        self.stack[-1] = call(*args)

    def load_newobj(self):
        """Make an object of a class by cls.__new__."""
        args = self.stack.pop()
        kind = self.stack[-1]
        if type(kind) is _Call and kind.run in (_rebuild.ordered_dict, Counter, set):
            self.stack[-1] = kind(*args)
            return
        if not self._trusted(kind):
            self._refuse("make", kind)
        self.stack[-1] = kind.__new__(kind, *args)

    def load_build(self):
        """Give an object its state: only containers, tensors and classes the user allowed."""
        from flambeau import Tensor

        state = self.stack.pop()
        thing = self.stack[-1]
        if type(thing) is OrderedDict:
            if not isinstance(state, dict) or any(n in dir(thing) for n in state):
                self._refuse("change", thing)
            vars(thing).update(state)
        elif type(thing) is Tensor or (isinstance(thing, Tensor) and self._trusted(type(thing))):
            _rebuild.set_state(thing, state)
        elif self._trusted(type(thing)):
            self.stack.append(state)
            pickle._Unpickler.dispatch[pickle.BUILD[0]](self)
        else:
            self._refuse("change", thing)

    def _target(self, kind, index):
        target = self.stack[index]
        if type(target) not in kind and not self._trusted(type(target)):
            self._refuse("fill", target)

    def load_append(self):
        """Append to a list."""
        self._target((list,), -2)
        pickle._Unpickler.dispatch[pickle.APPEND[0]](self)

    def load_appends(self):
        """Append several items to a list."""
        self._check_marked((list,))
        pickle._Unpickler.dispatch[pickle.APPENDS[0]](self)

    def load_setitem(self):
        """Set one item of a dict."""
        self._target((dict, OrderedDict, Counter), -3)
        pickle._Unpickler.dispatch[pickle.SETITEM[0]](self)

    def load_setitems(self):
        """Set several items of a dict."""
        self._check_marked((dict, OrderedDict, Counter))
        pickle._Unpickler.dispatch[pickle.SETITEMS[0]](self)

    def load_additems(self):
        """Add several items to a set."""
        self._check_marked((set,))
        pickle._Unpickler.dispatch[pickle.ADDITEMS[0]](self)

    def _check_marked(self, kinds):
        # The items lie above a mark; the container is the last thing below it.
        target = self.metastack[-1][-1]
        if type(target) not in kinds and not self._trusted(type(target)):
            self._refuse("fill", target)

    dispatch[pickle.REDUCE[0]] = load_reduce
    dispatch[pickle.NEWOBJ[0]] = load_newobj
    dispatch[pickle.BUILD[0]] = load_build
    dispatch[pickle.APPEND[0]] = load_append
    dispatch[pickle.APPENDS[0]] = load_appends
    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.ADDITEMS[0]] = load_additems


class TrustingUnpickler(pickle.Unpickler):
    """weights_only=False: everything Python can import, PyTorch's names mapped to ours."""

    def __init__(self, data, persistent_load, **options):
        super().__init__(io.BytesIO(data), **options)
        self.persistent_load, self.known = persistent_load, known_globals()
        self.known["collections.OrderedDict"] = OrderedDict

    def find_class(self, module, name):
        """Return our counterpart of a PyTorch name, or import."""
        found = self.known.get(f"{module}.{name}")
        if found is not None:
            # Containers and functions go out bare: pickle may ask cls.__new__ of them.
            return found.run if type(found) is _Call else found
        if module.startswith("torch.nn.modules."):
            from flambeau import nn

            found = getattr(nn, name, None)
            if found is not None:
                return found
        return super().find_class(module, name)
