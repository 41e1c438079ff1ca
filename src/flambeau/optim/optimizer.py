"""The base of all optimizers: parameter groups, state, hooks and checkpoints."""

from __future__ import annotations

import functools
from collections import OrderedDict, defaultdict
from copy import deepcopy
from itertools import chain

import flambeau
from flambeau import _C
from flambeau.utils.hooks import RemovableHandle

_global_optimizer_pre_hooks: OrderedDict = OrderedDict()
_global_optimizer_post_hooks: OrderedDict = OrderedDict()

_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class _Required:
    """Marks a hyperparameter that every parameter group has to name itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()


def register_optimizer_step_pre_hook(hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` before the step of every optimizer."""
    return _register(_global_optimizer_pre_hooks, hook)


def register_optimizer_step_post_hook(hook) -> RemovableHandle:
    """Call ``hook(optimizer, args, kwargs)`` after the step of every optimizer."""
    return _register(_global_optimizer_post_hooks, hook)


def _register(hooks: OrderedDict, hook, prepend: bool = False) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _with_hooks(func):
    """Wrap a ``step`` so that hooks run around it, once, for the outermost class only."""

    @functools.wraps(func)
    def step(*args, **kwargs):
        self = args[0]
        if type(self).step is not step or not (
            self._optimizer_step_pre_hooks
            or self._optimizer_step_post_hooks
            or _global_optimizer_pre_hooks
            or _global_optimizer_post_hooks
        ):
            return func(*args, **kwargs)
        before = (_global_optimizer_pre_hooks, self._optimizer_step_pre_hooks)
        for hook in chain.from_iterable(list(hooks.values()) for hooks in before):
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        f"{func.__qualname__}: a step pre-hook must return None or a tuple "
                        f"(new_args, new_kwargs), but got {changed}"
                    )
                args, kwargs = changed
        out = func(*args, **kwargs)
        after = (self._optimizer_step_post_hooks, _global_optimizer_post_hooks)
        for hook in chain.from_iterable(list(hooks.values()) for hooks in after):
            hook(self, args, kwargs)
        return out

    step.hooked = True
    return step


class Optimizer:
    """Base class: holds ``param_groups`` (hyperparameters by group) and ``state`` (by parameter).

    ``params`` is an iterable of Tensors, of ``(name, Tensor)`` pairs or of dicts with a ``params``
    entry and the options of that group; ``defaults`` holds the options a group leaves out.
    Subclasses either write :meth:`step` themselves or give ``_init_state`` and ``_update``.

    Raises TypeError for what is not a Tensor and ValueError for an empty list, for a non-leaf
    Tensor and for a parameter that appears in two groups.

    >>> import flambeau as fb
    >>> w = fb.ones(2, requires_grad=True)
    >>> opt = fb.optim.SGD([w], lr=0.5)
    >>> w.sum().backward()
    >>> opt.step()
    >>> w.tolist()
    [0.5, 0.5]
    """

    def __init__(self, params, defaults: dict):
        self.defaults = defaults
        for name in _HOOKS:
            setattr(self, name, OrderedDict())
        if isinstance(params, flambeau.Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                "dicts, but got one Tensor; write [tensor]"
            )
        self.state: defaultdict = defaultdict(dict)
        self.param_groups: list[dict] = []
        groups = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list (was model.parameters() already consumed?)"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("step")
        if own is not None and not getattr(own, "hooked", False):
            cls.step = _with_hooks(own)

    def __getstate__(self):
        return {key: self.__dict__[key] for key in ("defaults", "state", "param_groups")}

    def __setstate__(self, state):
        self.__dict__.update(state)
        for name in _HOOKS:
            self.__dict__.setdefault(name, OrderedDict())
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # ---- hooks

    def register_step_pre_hook(self, hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` before each step; it may return new args."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook) -> RemovableHandle:
        """Call ``hook(optimizer, args, kwargs)`` after each step."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` before :meth:`state_dict` collects."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` on the result; what it returns replaces it."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer, state_dict)`` before loading; what it returns is loaded."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(optimizer)`` after :meth:`load_state_dict`."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)

    # ---- checkpoints

    def state_dict(self) -> dict:
        """Return ``{"state": {index: ...}, "param_groups": [...]}``; parameters become indices.

        Tensors inside are the live ones, not copies.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        index: dict[int, int] = {}
        groups, start = [], 0
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for i, p in enumerate(group["params"], start):
                index.setdefault(id(p), i)
            packed["params"] = [index[id(p)] for p in group["params"]]
            start += len(packed["params"])
            groups.append(packed)
        state = {
            index[id(key)] if isinstance(key, flambeau.Tensor) else key: value
            for key, value in self.state.items()
        }
        out = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, out)
            out = out if changed is None else changed
        return out

    def load_state_dict(self, state_dict: dict) -> None:
        """Take over the options and state of ``state_dict``, cast to each parameter's dtype.

        Raises ValueError when the number of groups or the size of a group differs.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved = deepcopy(state_dict["param_groups"])
        _check_groups_match(self.param_groups, saved)
        owners, policy = {}, {}
        for group, old in zip(self.param_groups, saved):
            step_moves = bool(old.get("fused") or old.get("capturable"))
            for key, p in zip(old["params"], group["params"]):
                owners[key], policy[key] = p, step_moves
        state: defaultdict = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in owners:
                state[owners[key]] = _cast(owners[key], value, policy[key], None)
            else:
                state[key] = value
        for group, old in zip(self.param_groups, saved):
            old["params"] = group["params"]
            if "param_names" in group:
                old.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": saved})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ---- training

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Drop the gradients of all parameters, or fill them with zeros."""
        for group in self.param_groups:
            for p in group["params"]:
                if set_to_none:
                    p.grad = None
                elif p.grad is not None:
                    if p.grad.grad_fn is not None:
                        p.grad.detach_()
                    else:
                        p.grad.requires_grad_(False)
                    p.grad.zero_()

    def step(self, closure=None):
        """Update all parameters that have a gradient; return the loss of ``closure`` or None.

        ``closure`` re-evaluates the model and returns the loss; it runs with gradients on.
        """
        loss = None
        if closure is not None:
            with flambeau.enable_grad():
                loss = closure()
        if _C._cuda_is_capturing():
            self._check_capturable()
        for group in self.param_groups:
            self._step_group(group)
        return loss

    def _check_capturable(self) -> None:
        """Refuse (RuntimeError) to record a step whose count, on the CPU, would stand still."""
        for group in self.param_groups:
            if group.get("capturable") is False and any(p.is_cuda for p in group["params"]):
                raise RuntimeError(
                    "Attempting CUDA graph capture of step() for an instance of "
                    f"{type(self).__name__} but param_groups' capturable is False: its steps are "
                    "counted on the CPU; construct it with capturable=True"
                )

    def _step_group(self, group: dict) -> None:
        params, grads, states = self._gather(group)
        if params:
            with flambeau.set_grad_enabled(bool(group.get("differentiable"))):
                self._update(group, params, grads, states)

    def _gather(self, group: dict):
        """Return the parameters with gradients, those gradients and their (initialised) states."""
        params, grads, states, state = [], [], [], self.state
        for p in group["params"]:
            grad = p.grad
            if grad is not None:
                own = state[p]
                if not own:
                    _refuse_sparse(self, grad)
                    self._init_state(own, p, grad, group)
                params.append(p)
                grads.append(grad)
                states.append(own)
        return params, grads, states

    def _init_state(self, state: dict, p, grad, group: dict) -> None:
        """Fill the empty ``state`` of parameter ``p`` before its first update."""

    def _update(self, group: dict, params: list, grads: list, states: list) -> None:
        raise NotImplementedError(f"{type(self).__name__} defines neither step() nor _update()")

    def add_param_group(self, param_group: dict) -> None:
        """Add a group, say of layers just unfrozen; options it leaves out take the defaults.

        Raises TypeError for what is not a dict of Tensors, ValueError for repeated or non-leaf
        parameters, missing required options and a mix of named and unnamed parameters.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        params, names = _params_and_names(param_group["params"])
        param_group["params"] = params
        if names:
            param_group["param_names"] = names
        differentiable = self.defaults.get("differentiable")
        for p in params:
            if not isinstance(p, flambeau.Tensor):
                raise TypeError(
                    "optimizer can only optimize Tensors, but one of the params is "
                    f"{type(p).__module__}.{type(p).__qualname__}"
                )
            if not differentiable and not (p.is_leaf or p.retains_grad):
                raise ValueError(
                    "can't optimize a non-leaf Tensor: it was computed from others, so a step "
                    "would be lost; pass the leaf, or detach it and call requires_grad_()"
                )
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    f"parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        self._check_not_repeated(param_group)
        self.param_groups.append(param_group)

    def _check_not_repeated(self, param_group: dict) -> None:
        ids = {id(p) for p in param_group["params"]}
        if len(ids) != len(param_group["params"]):
            import warnings

            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; "
                "in future, this will cause an error",
                stacklevel=4,
            )
        named = "param_names" in param_group
        for group in self.param_groups:
            if named != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names; cannot add param "
                    f"group {'with' if named else 'without'} names to the optimizer"
                )
            if not ids.isdisjoint(id(p) for p in group["params"]):
                raise ValueError("some parameters appear in more than one parameter group")


def _params_and_names(params):
    if isinstance(params, flambeau.Tensor):
        params = [params]
    elif isinstance(params, set):
        raise TypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering "
            "of tensors in sets will change between runs. Please use a list instead."
        )
    params = list(params)
    names = [p[0] for p in params if isinstance(p, tuple)]
    if names and len(names) != len(params):
        raise ValueError(
            "all optimizer params should be with/without names. Some param names are missing"
        )
    return ([p[1] for p in params] if names else params), names


def _check_groups_match(groups, saved) -> None:
    if len(groups) != len(saved):
        raise ValueError(
            "loaded state dict has a different number of parameter groups: "
            f"{len(saved)}, but the optimizer has {len(groups)}"
        )
    for i, (group, old) in enumerate(zip(groups, saved)):
        if len(group["params"]) != len(old["params"]):
            raise ValueError(
                "loaded state dict contains a parameter group that doesn't match the size of "
                f"optimizer's group: group {i} has {len(old['params'])} saved parameters, "
                f"the optimizer {len(group['params'])}"
            )


def _cast(param, value, step_moves: bool, key):
    """Copy saved ``value`` for ``param``: tensors follow its dtype, step counters stay float32."""
    if isinstance(value, flambeau.Tensor):
        if key == "step":
            if not step_moves:
                return value
            return value.to(dtype=flambeau.float32, device=param.device)
        if param.is_floating_point():
            return value.to(dtype=param.dtype, device=param.device)
        return value.to(device=param.device)
    if isinstance(value, dict):
        return {k: _cast(param, v, step_moves, k) for k, v in value.items()}
    if isinstance(value, (list, tuple, set)):
        return type(value)(_cast(param, v, step_moves, None) for v in value)
    return value


def _refuse_sparse(optimizer, grad) -> None:
    if getattr(grad, "is_sparse", False):
        raise RuntimeError(
            f"{type(optimizer).__name__} does not support sparse gradients, "
            "please consider SparseAdam instead"
        )


Optimizer.step = _with_hooks(Optimizer.step)
