"""Hooks of modules: handles, the tables for all modules, and the call that runs them."""

from __future__ import annotations

import weakref
from collections import OrderedDict

from flambeau import Tensor

_global_forward_hooks = OrderedDict()
_global_forward_pre_hooks = OrderedDict()
_global_backward_hooks = OrderedDict()
_global_backward_pre_hooks = OrderedDict()
_global_registration = {
    "parameter": OrderedDict(),
    "buffer": OrderedDict(),
    "module": OrderedDict(),
}


class RemovableHandle:
    """What a ``register_*_hook`` returns: ``remove()`` takes the hook away; a context manager too.

    >>> import flambeau as fb
    >>> m = fb.nn.Identity()
    >>> with m.register_forward_hook(lambda mod, args, out: out + 1):
    ...     y = m(fb.zeros(1))
    >>> y.item(), m(fb.zeros(1)).item()
    (1.0, 0.0)
    """

    _next_id = 0

    def __init__(self, hooks, *, extra_dict=None):
        self.hooks_dict_ref = weakref.ref(hooks)
        self.id = RemovableHandle._next_id
        RemovableHandle._next_id += 1
        extras = extra_dict if isinstance(extra_dict, list) else [extra_dict]
        self.extra_dict_ref = tuple(weakref.ref(d) for d in extras if d is not None)

    def remove(self):
        """Take the hook away; doing it twice is harmless."""
        for ref in (self.hooks_dict_ref, *self.extra_dict_ref):
            table = ref()
            if table is not None:
                table.pop(self.id, None)

    def __getstate__(self):
        refs = (self.hooks_dict_ref, *self.extra_dict_ref)
        return [ref() for ref in refs], self.id

    def __setstate__(self, state):
        tables, self.id = state
        refs = [weakref.ref(OrderedDict() if t is None else t) for t in tables]
        self.hooks_dict_ref, self.extra_dict_ref = refs[0], tuple(refs[1:])
        RemovableHandle._next_id = max(RemovableHandle._next_id, self.id + 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.remove()


def _add(table, hook, prepend=False, flags=()):
    """Put ``hook`` in ``table``; mark its id in the tables of ``flags``."""
    handle = RemovableHandle(table, extra_dict=list(flags))
    table[handle.id] = hook
    for flag in flags:
        flag[handle.id] = True
    if prepend:
        table.move_to_end(handle.id, last=False)
    return handle


_TAP = None


def _tap_function():
    """The autograd Function that passes values on and shows gradients to a callback."""
    global _TAP
    if _TAP is None:
        from flambeau.autograd import Function

        class Tap(Function):
            """Identity on tensors; ``callback(grads)`` may replace the gradients going back."""

            @staticmethod
            def forward(ctx, callback, *tensors):
                """Return the tensors, each as a view of itself."""
                ctx.callback = callback
                return tuple(t.view_as(t) for t in tensors)

            @staticmethod
            def backward(ctx, *grads):
                """Return the gradients as the callback leaves them."""
                return (None, *ctx.callback(grads))

        _TAP = Tap
    return _TAP


def _tap(callback, values):
    """Route the tensors of ``values`` that need gradients through a tap; others pass unchanged.

    ``callback`` gets one gradient a value (None where a value takes none).
    """
    where = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not where:
        return tuple(values), False
    size = len(values)

    def run(grads):
        full = [None] * size
        for i, g in zip(where, grads):
            full[i] = g
        full = callback(tuple(full))
        return tuple(full[i] for i in where)

    out = list(values)
    for i, t in zip(where, _tap_function().apply(run, *[values[i] for i in where])):
        out[i] = t
    return tuple(out), True


def _as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


class _BackwardRun:
    """One call's backward hooks: taps on the inputs and the outputs of a module."""

    def __init__(self, module, pre_hooks, hooks):
        self.module, self.pre_hooks, self.hooks = module, pre_hooks, hooks
        self.grad_output = None
        self.inputs_tapped = False
        self.n_inputs = 0

    def tap_inputs(self, args):
        """Return ``args`` with gradients to be reported when they arrive."""
        self.n_inputs = len(args)
        args, self.inputs_tapped = _tap(self._inputs_arrived, args)
        return args

    def tap_outputs(self, result):
        """Return ``result`` (a tensor or tuple of tensors) with its gradients watched."""
        single = not isinstance(result, tuple)
        if single and not isinstance(result, Tensor):
            return result
        tapped, _ = _tap(self._outputs_arrived, _as_tuple(result))
        return tapped[0] if single else tapped

    def _outputs_arrived(self, grads):
        for hook in self.pre_hooks:
            new = hook(self.module, grads)
            if new is not None:
                new = _as_tuple(new)
                if len(new) != len(grads):
                    raise RuntimeError(
                        f"a backward pre-hook returned {len(new)} gradients, but the module has "
                        f"{len(grads)} outputs: return one for each (None where there is none)"
                    )
                grads = new
        self.grad_output = grads
        if not self.inputs_tapped:
            self._inputs_arrived((None,) * self.n_inputs)
        return grads

    def _inputs_arrived(self, grads):
        for hook in self.hooks:
            new = hook(self.module, grads, self.grad_output)
            if new is None:
                continue
            if not self.inputs_tapped:
                raise RuntimeError(
                    "a backward hook may not return new gradients here: no input of the module "
                    "requires grad"
                )
            new = _as_tuple(new)
            if len(new) != len(grads):
                raise RuntimeError(
                    f"a backward hook returned {len(new)} gradients, but the module has "
                    f"{len(grads)} inputs: return one for each (None where there is none)"
                )
            grads = new
        return grads


class _HookMixin:
    """The hook methods of Module."""

    def register_forward_pre_hook(self, hook, *, prepend=False, with_kwargs=False):
        """Call ``hook(module, args)`` before each forward; what it returns replaces the args."""
        flags = (self._forward_pre_hooks_with_kwargs,) if with_kwargs else ()
        return _add(self._forward_pre_hooks, hook, prepend, flags)

    def register_forward_hook(self, hook, *, prepend=False, with_kwargs=False, always_call=False):
        """Call ``hook(module, args, output)`` after each forward; a result replaces the output.

        ``with_kwargs`` passes ``(module, args, kwargs, output)``; ``always_call`` runs the hook
        even when the forward raises. ``prepend`` puts it before the present hooks.

        >>> import flambeau as fb
        >>> m = fb.nn.Linear(2, 1)
        >>> h = m.register_forward_hook(lambda mod, args, out: out * 0)
        >>> m(fb.ones(1, 2)).item(); h.remove()
        0.0
        """
        flags = (self._forward_hooks_with_kwargs,) if with_kwargs else ()
        if always_call:
            flags += (self._forward_hooks_always_called,)
        return _add(self._forward_hooks, hook, prepend, flags)

    def register_full_backward_pre_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_output)`` before the gradients pass through the module."""
        return _add(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook, prepend=False):
        """Call ``hook(module, grad_input, grad_output)`` when the input gradients are known."""
        return _add(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook):
        """The older name of ``register_full_backward_hook``."""
        return _add(self._backward_hooks, hook)

    def register_state_dict_post_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after ``state_dict()``."""
        hook._from_public_api = True
        return _add(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook):
        return _add(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook):
        """Call ``hook(module, prefix, keep_vars)`` before ``state_dict()`` collects."""
        return _add(self._state_dict_pre_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook):
        """Call ``hook(module, state_dict, prefix, local_metadata, strict, missing, unexpected,
        errors)`` before a module loads its part."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook, with_module=False):
        if with_module:
            bare, ref = hook, weakref.ref(self)

            def hook(*args):
                return bare(ref(), *args)

        return _add(self._load_state_dict_pre_hooks, hook)

    def register_load_state_dict_post_hook(self, hook):
        """Call ``hook(module, incompatible_keys)`` after loading; it may edit the two lists."""
        return _add(self._load_state_dict_post_hooks, hook)

    def _run_pre_hooks(self, args, kwargs):
        with_kwargs = self._forward_pre_hooks_with_kwargs
        for key, hook in (*_global_forward_pre_hooks.items(), *self._forward_pre_hooks.items()):
            if key in with_kwargs:
                new = hook(self, args, kwargs)
                if new is not None:
                    if not (isinstance(new, tuple) and len(new) == 2):
                        raise RuntimeError(
                            "a forward pre-hook with kwargs must return None or "
                            f"(new_args, new_kwargs), but returned {type(new).__name__}"
                        )
                    args, kwargs = new
            else:
                new = hook(self, args)
                if new is not None:
                    args = _as_tuple(new)
        return args, kwargs

    def _run_forward_hooks(self, args, kwargs, result, done):
        with_kwargs = {**_global_with_kwargs, **self._forward_hooks_with_kwargs}
        for key, hook in (*_global_forward_hooks.items(), *self._forward_hooks.items()):
            done.append(key)
            if key in with_kwargs:
                new = hook(self, args, kwargs, result)
            else:
                new = hook(self, args, result)
            if new is not None:
                result = new
        return result

    def _run_always_called(self, args, kwargs, result, done):
        """After a failure: run the hooks that asked for it and have not run; warn if one fails."""
        with_kwargs = {**_global_with_kwargs, **self._forward_hooks_with_kwargs}
        always = {**_global_always_called, **self._forward_hooks_always_called}
        for key, hook in (*_global_forward_hooks.items(), *self._forward_hooks.items()):
            if key not in always or key in done:
                continue
            try:
                if key in with_kwargs:
                    new = hook(self, args, kwargs, result)
                else:
                    new = hook(self, args, result)
                if new is not None:
                    result = new
            except Exception as error:  # the forward's own error is the one to report
                import warnings

                warnings.warn(
                    f"a forward hook with always_call=True raised {error!r} while another error "
                    "was on its way",
                    stacklevel=3,
                )

    def _call_with_hooks(self, args, kwargs):
        """The slow path of ``__call__``: pre-hooks, forward, hooks, taps for backward hooks."""
        done, result = [], None
        try:
            args, kwargs = self._run_pre_hooks(args, kwargs)
            pre = [*_global_backward_pre_hooks.values(), *self._backward_pre_hooks.values()]
            post = [*_global_backward_hooks.values(), *self._backward_hooks.values()]
            run = _BackwardRun(self, pre, post) if pre or post else None
            if run is not None:
                args = run.tap_inputs(args)
            result = self.forward(*args, **kwargs)
            result = self._run_forward_hooks(args, kwargs, result, done)
            return result if run is None else run.tap_outputs(result)
        except Exception:
            if self._forward_hooks_always_called or _global_always_called:
                self._run_always_called(args, kwargs, result, done)
            raise


_global_with_kwargs = OrderedDict()
_global_always_called = OrderedDict()


def register_module_forward_pre_hook(hook):
    """Call ``hook(module, args)`` before the forward of every module of the process."""
    return _add(_global_forward_pre_hooks, hook)


def register_module_forward_hook(hook, *, with_kwargs=False, always_call=False):
    """Call ``hook(module, args, output)`` after the forward of every module of the process."""
    flags = (_global_with_kwargs,) if with_kwargs else ()
    if always_call:
        flags += (_global_always_called,)
    return _add(_global_forward_hooks, hook, False, flags)


def register_module_full_backward_pre_hook(hook):
    """Call ``hook(module, grad_output)`` before the backward of every module."""
    return _add(_global_backward_pre_hooks, hook)


def register_module_full_backward_hook(hook):
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module."""
    return _add(_global_backward_hooks, hook)


register_module_backward_hook = register_module_full_backward_hook


def register_module_parameter_registration_hook(hook):
    """Call ``hook(module, name, parameter)`` when a parameter is registered anywhere."""
    return _add(_global_registration["parameter"], hook)


def register_module_buffer_registration_hook(hook):
    """Call ``hook(module, name, buffer)`` when a buffer is registered anywhere."""
    return _add(_global_registration["buffer"], hook)


def register_module_module_registration_hook(hook):
    """Call ``hook(module, name, submodule)`` when a submodule is registered anywhere."""
    return _add(_global_registration["module"], hook)


def _registered(kind, module, name, value):
    """Run the registration hooks of ``kind``; a hook's result replaces the value."""
    for hook in _global_registration[kind].values():
        new = hook(module, name, value)
        if new is not None:
            value = new
    return value
