"""The decorator that turns a composite into `flambeau.X`, a method, `X_` and `out=` form."""

from __future__ import annotations

from .. import _C

FUNCTIONS = {}
OVERLAPS = []


def composite(method=False, inplace=False, out=False, name=None, aliases=(), function=True):
    """Register a function written from core ops under its PyTorch name(s).

    `method` also makes `Tensor.X`; `inplace` derives the method `X_` (compute, then copy_), and
    with "function" also `flambeau.X_`; `out` accepts the keyword `out=`; `function=False` makes a
    method only. A name that the C++ core has stays the core's.
    """

    def register(f):
        names = (name or f.__name__, *aliases)
        g = _wrap(f, out)
        for n in names:
            _publish(n, g, method, function)
            if inplace:
                _publish(n + "_", _in_place(g, n), True, inplace == "function")
        return g

    return register


def _publish(n, g, method, function=True):
    if function and hasattr(_C, n):
        OVERLAPS.append(n)
    elif function:
        FUNCTIONS[n] = g
    if method and not hasattr(_C.Tensor, n):
        setattr(_C.Tensor, n, g)


def _wrap(f, out):
    code = f.__code__
    known = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    numpy_names = {
        a: b
        for a, b in (("axis", "dim"), ("keepdims", "keepdim"), ("x", "input"))
        if a not in known and b in known
    }

    def call(*args, **kw):
        dest = None
        if kw:
            for a, b in numpy_names.items():
                if a in kw:
                    kw[b] = kw.pop(a)
            if out:
                dest = kw.pop("out", None)
        try:
            r = f(*args, **kw)
        except AttributeError as e:
            _explain(f, known, args, kw, e)
            raise
        return r if dest is None else write_out(f.__name__, r, dest, out == "exact")

    call.__name__, call.__qualname__ = f.__name__, f.__qualname__
    call.__doc__, call.__wrapped__, call.__module__ = f.__doc__, f, f.__module__
    return call


def _explain(f, known, args, kw, error):
    # an int or list where a Tensor belongs shows as AttributeError inside; say what it is
    named = {**dict(zip(known, args)), **kw}
    for i, (name, v) in enumerate(named.items()):
        if v is error.obj and isinstance(v, (bool, int, float, complex, str, tuple, list)):
            raise TypeError(
                f"{f.__name__}(): argument '{name}' (position {i + 1}) must be Tensor, "
                f"not {type(v).__name__}"
            ) from None


def _in_place(g, n):
    def call(self, *args, **kw):
        # the derivative may read the operand that is about to be overwritten
        recorded = self.requires_grad and _C.is_grad_enabled()
        r = g(self.clone() if recorded else self, *args, **kw)
        if r.shape != self.shape:
            raise RuntimeError(
                f"{n}_: the result has shape {tuple(r.shape)} but the tensor "
                "written "
                f"in place has {tuple(self.shape)}; use {n}() instead"
            )
        _check_cast(n + "_", r, self)
        return self.copy_(r)

    call.__name__ = call.__qualname__ = n + "_"
    call.__doc__ = f"In-place form of `{n}`: computes it, then copies the result into `self`."
    return call


def _check_cast(name, result, dest):
    if result.dtype != dest.dtype and not _C.can_cast(result.dtype, dest.dtype):
        raise RuntimeError(
            f"{name}: result type {result.dtype} can't be cast to the desired "
            "output "
            f"type {dest.dtype}; pass a tensor of dtype {result.dtype}"
        )


def write_out(name, result, dest, exact=False):
    """Copy a result (tensor, or tuple of tensors) into `dest`, resizing as PyTorch does."""
    if isinstance(result, (tuple, list)):
        if len(dest) != len(result):
            raise TypeError(f"{name}: out= takes {len(result)} tensors, got {len(dest)}")
        for r, d in zip(result, dest):
            write_out(name, r, d, exact)
        return type(result)(*dest) if hasattr(result, "_fields") else tuple(dest)
    if not isinstance(dest, _C.Tensor):
        raise TypeError(f"{name}: out= must be a Tensor, got {type(dest).__name__}")
    if _C.is_grad_enabled() and (dest.requires_grad or result.requires_grad):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic "
            "differentiation, but one of the arguments requires grad."
        )
    if exact and dest.dtype != result.dtype:
        raise RuntimeError(
            f"{name}: Expected out tensor to have dtype {result.dtype}, but got "
            f"{dest.dtype} instead"
        )
    _check_cast(name, result, dest)
    if dest.device != result.device:
        raise RuntimeError(f"{name}: out= is on {dest.device} but the result is on {result.device}")
    if dest.shape != result.shape:
        dest.resize_(result.shape)
    dest.copy_(result)
    return dest


def collect(namespace):
    """Give every registered function to `namespace`; returns their names, sorted."""
    namespace.update(FUNCTIONS)
    return sorted(FUNCTIONS)
