"""LazyModuleMixin: layers that take their sizes from the first input they see."""

from __future__ import annotations

from .parameter import is_lazy


class LazyModuleMixin:
    """Mixin of the Lazy* layers; after the first call the layer is an ordinary one.

    A subclass sets ``cls_to_become`` and defines ``initialize_parameters(*inputs)``.
    """

    cls_to_become = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._load_hook = self._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = self.register_forward_pre_hook(
            type(self)._infer_parameters, with_kwargs=True
        )

    def has_uninitialized_params(self):
        """Whether a parameter or buffer has no shape yet."""
        tables = (self._parameters, self._buffers)
        return any(is_lazy(value) for table in tables for value in table.values())

    def initialize_parameters(self, *args, **kwargs):
        """Give the parameters their shapes; each lazy layer defines it."""
        raise NotImplementedError(
            f"initialize_parameters is not implemented for {type(self).__name__}"
        )

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for table in (self._parameters, self._buffers):
            for name, value in table.items():
                if value is None or name in self._non_persistent_buffers_set:
                    continue
                keep = is_lazy(value) or keep_vars
                destination[prefix + name] = value if keep else value.detach()

    def _lazy_load_hook(self, state_dict, prefix, *_):
        for table in (self._parameters, self._buffers):
            for name, value in table.items():
                new = state_dict.get(prefix + name)
                if new is not None and is_lazy(value) and not is_lazy(new):
                    value.materialize(new.shape)

    def _infer_parameters(self, args, kwargs=None):
        """The pre-hook of the first call: shapes from the input, then become the real class."""
        self.initialize_parameters(*args, **(kwargs or {}))
        if self.has_uninitialized_params():
            raise RuntimeError(
                f"module {self._get_name()} has not been fully initialised by its first input"
            )
        self._initialize_hook.remove()
        self._load_hook.remove()
        del self._initialize_hook, self._load_hook
        if self.cls_to_become is not None:
            self.__class__ = self.cls_to_become

    def __deepcopy__(self, memo):
        """Copy, binding the two lazy hooks to the copy."""
        import copy

        new = self.__new__(type(self))
        memo[id(self)] = new
        hooks = {"_load_hook", "_initialize_hook"}
        state = {k: v for k, v in self.__dict__.items() if k not in hooks}
        new.__setstate__({k: copy.deepcopy(v, memo) for k, v in state.items()})
        if "_initialize_hook" in self.__dict__:
            new._forward_pre_hooks.pop(self._initialize_hook.id, None)
            new._forward_pre_hooks_with_kwargs.pop(self._initialize_hook.id, None)
            new._load_state_dict_pre_hooks.pop(self._load_hook.id, None)
            new._load_hook = new._register_load_state_dict_pre_hook(new._lazy_load_hook)
            new._initialize_hook = new.register_forward_pre_hook(
                type(new)._infer_parameters, with_kwargs=True
            )
        return new
