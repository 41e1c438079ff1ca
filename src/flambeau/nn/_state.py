"""state_dict and load_state_dict of Module, with errors that name every key at once."""

from __future__ import annotations

from collections import OrderedDict, namedtuple

import flambeau as fb
from flambeau import Tensor

from .parameter import Parameter, is_lazy

_EXTRA = "_extra_state"


class _IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    __slots__ = ()

    def __repr__(self):
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


class _StateMixin:
    """The saving and loading methods of Module."""

    def get_extra_state(self):
        """Return what else ``state_dict`` should carry; a subclass defines it (RuntimeError)."""
        raise RuntimeError("get_extra_state() is not defined by this module")

    def set_extra_state(self, state):
        """Take back what ``get_extra_state`` returned; a subclass defines it (RuntimeError)."""
        raise RuntimeError(
            "set_extra_state() is not defined by this module, but the state_dict has an extra "
            "state for it: define it beside get_extra_state()"
        )

    def _has_extra_state(self):
        return type(self).get_extra_state is not _StateMixin.get_extra_state

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        for name, value in self._parameters.items():
            if value is not None:
                destination[prefix + name] = value if keep_vars else value.detach()
        for name, value in self._buffers.items():
            if value is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = value if keep_vars else value.detach()
        if self._has_extra_state():
            destination[prefix + _EXTRA] = self.get_extra_state()

    def state_dict(self, *args, destination=None, prefix="", keep_vars=False):
        """Return an ordered dict of all parameters and persistent buffers by dotted name.

        The tensors share memory with the module; they are detached unless ``keep_vars``.

        >>> import flambeau as fb
        >>> list(fb.nn.Linear(2, 1).state_dict())
        ['weight', 'bias']
        """
        if args:  # the old positional form (destination, prefix, keep_vars)
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and prefix == "" else prefix
            keep_vars = args[2] if len(args) > 2 and keep_vars is False else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = dict(version=self._version)
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(
                    destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars
                )
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, metadata)
            if result is not None:
                if getattr(hook, "_from_public_api", False):
                    raise RuntimeError("a state_dict post-hook must return None")
                destination = result
        return destination

    def _load_one(self, key, name, param, value, assign, error_msgs):
        """Copy (or assign) one value, without gradients; a problem goes to ``error_msgs``."""
        if not isinstance(value, Tensor):
            error_msgs.append(
                f'While copying the parameter named "{key}", expected Tensor or Tensor-like '
                f"object from checkpoint but received {type(value)}"
            )
            return
        lazy = is_lazy(param)
        if not lazy and param.dim() == 0 and value.dim() == 1 and value.shape[0] == 1:
            value = value[0]  # checkpoints older than 0-d tensors
        if not lazy and value.shape != param.shape:
            error_msgs.append(
                f"size mismatch for {key}: copying a param with shape {_size(value)} from "
                f"checkpoint, the shape in current model is {_size(param)}."
            )
            return
        if not assign and param.is_meta and not value.is_meta:
            import warnings

            warnings.warn(
                f"for {key}: copying into a meta parameter does nothing; did you mean "
                "load_state_dict(..., assign=True), or to_empty() first?",
                stacklevel=2,
            )
        try:
            if not assign:
                param.copy_(value)
            elif name in self._parameters:
                if not isinstance(value, Parameter):
                    value = Parameter(value, requires_grad=param.requires_grad)
                else:
                    value.requires_grad_(param.requires_grad)
                self._parameters[name] = value
            else:
                self._buffers[name] = value
        except Exception as error:
            error_msgs.append(
                f'While copying the parameter named "{key}", whose dimensions in the model are '
                f"{_size(param)} and whose dimensions in the checkpoint are {_size(value)}, an "
                f"exception occurred: {error.args}."
            )

    def _load_from_state_dict(
        self, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
    ):
        """Load this module's own part; subclasses extend it to read older layouts."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(
                state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys,
                error_msgs,
            )  # fmt: skip
        assign = local_metadata.get("assign_to_params_buffers", False)
        own = {k: v for k, v in self._parameters.items() if v is not None}
        for name, value in self._buffers.items():
            if value is not None and name not in self._non_persistent_buffers_set:
                own[name] = value
        if own:
            with fb.no_grad():
                for name, param in own.items():
                    key = prefix + name
                    if key in state_dict:
                        self._load_one(key, name, param, state_dict[key], assign, error_msgs)
                    elif strict:
                        missing_keys.append(key)
        extra = prefix + _EXTRA
        if self._has_extra_state() or type(self).set_extra_state is not _StateMixin.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    head = key[len(prefix) :].split(".", 1)
                    if head[0] not in (self._modules if len(head) > 1 else own):
                        unexpected_keys.append(key)

    def _load_tree(self, state_dict, prefix, strict, assign, metadata, lists):
        missing, unexpected, errors = lists
        local = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
        if assign:
            local["assign_to_params_buffers"] = True
        self._load_from_state_dict(state_dict, prefix, local, True, missing, unexpected, errors)
        if self._modules:
            parts = {name: {} for name in self._modules}
            for key, value in state_dict.items():
                name, dot, _ = key[len(prefix) :].partition(".")
                if dot and name in parts:
                    parts[name][key] = value
            for name, child in self._modules.items():
                if child is not None:
                    path = prefix + name + "."
                    child._load_tree(parts[name], path, strict, assign, metadata, lists)
        if not self._load_state_dict_post_hooks:
            return
        incompatible = _IncompatibleKeys(missing, unexpected)
        for hook in self._load_state_dict_post_hooks.values():
            if hook(self, incompatible) is not None:
                raise RuntimeError(
                    "a load_state_dict post-hook must return None; edit the lists in place"
                )

    def load_state_dict(self, state_dict, strict=True, assign=False):
        """Copy the tensors of ``state_dict`` into this module, by dotted name.

        ``strict`` asks that the keys agree exactly; ``assign`` puts the given tensors themselves
        in place of copying. Returns ``(missing_keys, unexpected_keys)``. Raises TypeError if
        it is no mapping, RuntimeError that lists every missing key, unexpected key and size.

        >>> import flambeau as fb
        >>> a, b = fb.nn.Linear(2, 1), fb.nn.Linear(2, 1)
        >>> b.load_state_dict(a.state_dict())
        <All keys matched successfully>
        """
        from collections.abc import Mapping

        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        metadata = getattr(state_dict, "_metadata", None)
        state_dict = OrderedDict(state_dict)
        if metadata is not None:
            state_dict._metadata = metadata
        lists = missing, unexpected, errors = [], [], []
        self._load_tree(state_dict, "", strict, assign, metadata, lists)
        if strict:
            for title, keys in (("Unexpected", unexpected), ("Missing", missing)):
                if keys:
                    names = ", ".join(f'"{k}"' for k in keys)
                    errors.insert(0, f"{title} key(s) in state_dict: {names}. ")
            errors.extend(_advice(missing, unexpected))
        if errors:
            raise RuntimeError(
                f"Error(s) in loading state_dict for {type(self).__name__}:\n\t"
                + "\n\t".join(errors)
            )
        return _IncompatibleKeys(missing, unexpected)


def _size(tensor):
    return f"torch.Size({list(tensor.shape)})"


def _advice(missing, unexpected):
    """One line when all the keys differ by a prefix such as DataParallel's "module."."""
    if not missing or not unexpected:
        return []
    for long, short, what in ((unexpected, missing, "remove"), (missing, unexpected, "add")):
        for head in ("module.", "_orig_mod.", "model."):
            if [k for k in long if k.startswith(head)] == list(long) and {
                k[len(head) :] for k in long
            } == set(short):
                return [f'The keys differ by the prefix "{head}" only: {what} it and load again.']
    return []
