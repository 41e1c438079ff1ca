"""Handles that take a registered hook off again."""

from __future__ import annotations

import weakref
from itertools import count


class RemovableHandle:
    """Remember where a hook was stored so that :meth:`remove` can take it off; usable in ``with``.

    ``hooks`` is the dict that holds the hook under :attr:`id`; it is kept by weak reference.
    ``extra_dict`` is a second dict (or a list of dicts) from which the same id is removed.

    >>> import flambeau as fb
    >>> from collections import OrderedDict
    >>> hooks = OrderedDict()
    >>> handle = fb.utils.hooks.RemovableHandle(hooks)
    >>> hooks[handle.id] = print
    >>> handle.remove()
    >>> len(hooks)
    0
    """

    _ids = count()
    next_id: int = 0

    def __init__(self, hooks_dict, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks_dict)
        self.id = next(RemovableHandle._ids)
        RemovableHandle.next_id = self.id + 1
        extras = [] if extra_dict is None else extra_dict
        extras = [extras] if isinstance(extras, dict) else extras
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras)

    def remove(self) -> None:
        """Take the hook off; doing so twice is harmless."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            hooks = ref()
            if hooks is not None:
                hooks.pop(self.id, None)

    def __getstate__(self):
        return self.hooks_dict_ref(), self.id, tuple(ref() for ref in self.extra_dict_ref)

    def __setstate__(self, state):
        hooks, self.id, extras = state
        refs = [_ref_or_dead(d) for d in (hooks, *extras)]
        self.hooks_dict_ref, self.extra_dict_ref = refs[0], tuple(refs[1:])

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exc_info) -> None:
        self.remove()


def _ref_or_dead(hooks):
    return weakref.ref(hooks) if hooks is not None else (lambda: None)
