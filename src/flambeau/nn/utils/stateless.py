"""functional_call: run a module with other parameters, leaving its own alone."""

from __future__ import annotations

import contextlib

__all__ = ["functional_call"]


def _tied(module):
    """Groups of names that share one tensor."""
    groups = {}
    for named in (
        module.named_parameters(remove_duplicate=False),
        module.named_buffers(remove_duplicate=False),
    ):
        for name, value in named:
            groups.setdefault(id(value), []).append(name)
    return {name: names for names in groups.values() for name in names}


def _slot(module, name):
    """The (table, key) that holds the tensor ``name``, or the instance's dict."""
    path, _, key = name.rpartition(".")
    owner = module.get_submodule(path)
    for table in (owner._parameters, owner._buffers):
        if key in table:
            return table, key
    raise KeyError(
        f"functional_call: the module has no parameter or buffer '{name}'; names are those of "
        "named_parameters() and named_buffers()"
    )


@contextlib.contextmanager
def _swapped(module, values, tie_weights, strict):
    """Put ``values`` in place for a while."""
    tied = _tied(module)
    if strict:
        unknown = [n for n in values if n not in tied]
        missing = [n for n in tied if n not in values and not any(t in values for t in tied[n])]
        if unknown or missing:
            raise RuntimeError(
                "Error(s) in functional_call with strict=True: unexpected keys "
                f"{unknown}, missing keys {missing}"
            )
    full = {}
    for name, value in values.items():
        if name not in tied:
            continue
        for other in tied[name] if tie_weights else (name,):
            full.setdefault(other, value)
    full.update({n: v for n, v in values.items() if n in tied})
    saved = []
    try:
        for name, value in full.items():
            table, key = _slot(module, name)
            saved.append((table, key, table[key]))
            table[key] = value
        yield
    finally:
        for table, key, value in reversed(saved):
            table[key] = value


def functional_call(
    module, parameters_and_buffers, args=None, kwargs=None, *, tie_weights=True, strict=False
):
    """Return ``module(*args, **kwargs)`` with the given tensors in place of its own, by name.

    ``parameters_and_buffers`` is a dict, or a tuple of dicts. Tied weights follow unless
    ``tie_weights`` is off. TypeError for other arguments, RuntimeError for keys if ``strict``.

    >>> import flambeau as fb
    >>> from flambeau.nn.utils.stateless import functional_call
    >>> m = fb.nn.Linear(1, 1, bias=False)
    >>> functional_call(m, {"weight": fb.ones(1, 1) * 3}, fb.ones(1, 1)).item()
    3.0
    """
    if isinstance(parameters_and_buffers, (tuple, list)):
        merged = {}
        for part in parameters_and_buffers:
            clash = merged.keys() & part.keys()
            if clash:
                raise ValueError(f"{sorted(clash)} appeared in multiple dictionaries")
            merged.update(part)
        parameters_and_buffers = merged
    if not isinstance(parameters_and_buffers, dict):
        raise TypeError(
            "Expected parameters_and_buffers to be a dict, or a list/tuple of dicts, but got "
            f"{type(parameters_and_buffers)}"
        )
    if args is None:
        args = ()
    elif not isinstance(args, tuple):
        args = (args,)
    with _swapped(module, parameters_and_buffers, tie_weights, strict):
        return module(*args, **(kwargs or {}))
