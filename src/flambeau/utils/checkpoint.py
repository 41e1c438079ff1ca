"""Trade time for memory: forget the values inside a part of a network, recompute them backwards."""

from __future__ import annotations

from contextlib import nullcontext

import flambeau

__all__ = ["CheckpointError", "checkpoint", "checkpoint_sequential", "noop_context_fn"]


class CheckpointError(RuntimeError):
    """The second run of a checkpointed function gave other shapes or dtypes than the first."""


def noop_context_fn():
    """Return the two contexts, of the first run and of the second, that do nothing."""
    return nullcontext(), nullcontext()


class _Recompute(flambeau.autograd.Function):
    """Runs a function without recording it; runs it again, recording, to differentiate it."""

    @staticmethod
    def forward(ctx, run, anchor, *tensors):
        ctx.run = run
        ctx.inputs = tensors
        # Saved as well, so that a change of an input in between is noticed.
        ctx.save_for_backward(*tensors)
        with flambeau.no_grad():
            outputs = run.first(tensors)
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *grads):
        saved = ctx.saved_tensors
        fresh = [t.detach().requires_grad_(t.requires_grad) for t in saved]
        with flambeau.enable_grad():
            outputs = ctx.run.again(fresh)
        pairs = [(out, g) for out, g in zip(outputs, grads) if out.requires_grad and g is not None]
        if pairs:
            # Not autograd.grad: parameters inside the function get their gradients here too.
            flambeau.autograd.backward([out for out, _ in pairs], [g for _, g in pairs])
        return (None, None, *(t.grad for t in fresh))


class _Run:
    """One checkpointed call: how to repeat it exactly, and the structure of its result."""

    def __init__(self, function, template, contexts, keep_rng: bool, check: bool):
        self.function, self.template = function, template
        self.contexts, self.check = contexts, check
        self.rng = flambeau.get_rng_state() if keep_rng else None
        self.autocast = {d: flambeau._C._get_autocast(d) for d in ("cpu", "cuda")}
        self.structure = self.kinds = None

    def _call(self, tensors, context):
        args, kwargs = _fill(self.template, iter(tensors))
        with context:
            outputs: list = []
            structure = _strip(self.function(*args, **kwargs), outputs)
        return outputs, structure

    def first(self, tensors):
        outputs, self.structure = self._call(tensors, self.contexts[0])
        self.kinds = [(tuple(t.shape), t.dtype) for t in outputs]
        return outputs

    def again(self, tensors):
        now = None if self.rng is None else flambeau.get_rng_state()
        outside = {d: flambeau._C._get_autocast(d) for d in self.autocast}
        try:
            if self.rng is not None:
                flambeau.set_rng_state(self.rng)
            for device, state in self.autocast.items():
                flambeau._C._set_autocast(device, *state)
            outputs, _ = self._call(tensors, self.contexts[1])
        finally:
            for device, state in outside.items():
                flambeau._C._set_autocast(device, *state)
            if now is not None:
                flambeau.set_rng_state(now)
        kinds = [(tuple(t.shape), t.dtype) for t in outputs]
        if self.check and kinds != self.kinds:
            raise CheckpointError(
                "checkpoint: the recomputed results differ from the first run's: shapes and "
                f"dtypes were {self.kinds}, now {kinds}; the function must depend on its "
                "arguments alone"
            )
        return outputs


def checkpoint(
    function,
    *args,
    use_reentrant=None,
    context_fn=noop_context_fn,
    preserve_rng_state: bool = True,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs,
):
    """Call ``function(*args, **kwargs)`` keeping only its inputs; backward runs it again.

    Tensors may be nested in lists, tuples and dicts. The random state of the first run is used
    again unless ``preserve_rng_state=False``. Gradients of parameters inside ``function`` arrive
    with ``.backward()``; ``autograd.grad`` reaches the tensors among the arguments only, and there
    are no second derivatives. ``use_reentrant``, ``debug`` and ``early_stop`` change nothing here.
    Chen et al., "Training deep nets with sublinear memory cost" (2016).

    >>> import flambeau as fb
    >>> x = fb.tensor([2.0], requires_grad=True)
    >>> fb.utils.checkpoint.checkpoint(lambda t: t**3, x).backward()
    >>> x.grad.tolist()
    [12.0]
    """
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ('default', 'none') but got {determinism_check!r}"
        )
    if not flambeau.is_grad_enabled():
        return function(*args, **kwargs)
    tensors: list = []
    template = _strip((args, kwargs), tensors)
    run = _Run(function, template, context_fn(), preserve_rng_state, determinism_check != "none")
    # Parameters inside the function are unseen, so the result must require grad in any case.
    anchor = flambeau.zeros((), requires_grad=True)
    outputs = _Recompute.apply(run, anchor, *tensors)
    return _fill(run.structure, iter(outputs))


def checkpoint_sequential(functions, segments: int, input, use_reentrant=None, **kwargs):
    """Run a Sequential (or a list of modules) in ``segments`` parts, all but the last checkpointed.

    >>> import flambeau as fb
    >>> x = fb.tensor([2.0], requires_grad=True)
    >>> square = lambda t: t * t
    >>> fb.utils.checkpoint.checkpoint_sequential([square] * 4, 2, x).backward()
    >>> x.grad.tolist()
    [524288.0]
    """
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ", ".join(kwargs))
    functions = list(functions.children() if hasattr(functions, "children") else functions)
    size = len(functions) // segments
    if size < 1:
        raise ValueError(
            f"checkpoint_sequential: {segments} segments of {len(functions)} functions; there "
            "must be at least one function in each"
        )

    def part(start, end):
        def run(x):
            for function in functions[start:end]:
                x = function(x)
            return x

        return run

    for i in range(segments - 1):
        segment = part(i * size, (i + 1) * size)
        input = checkpoint(segment, input, use_reentrant=use_reentrant, preserve_rng_state=preserve)
    return part((segments - 1) * size, len(functions))(input)


class _Slot:
    """Marks the place of a tensor in a structure."""


_SLOT = _Slot()


def _strip(data, tensors: list):
    """Return ``data`` with every tensor replaced by a mark and appended to ``tensors``."""
    if isinstance(data, flambeau.Tensor):
        tensors.append(data)
        return _SLOT
    return _mapped(data, lambda item: _strip(item, tensors))


def _fill(data, tensors):
    """Undo :func:`_strip` with tensors from an iterator."""
    return next(tensors) if data is _SLOT else _mapped(data, lambda item: _fill(item, tensors))


def _mapped(data, f):
    if type(data) in (list, tuple):
        return type(data)(f(item) for item in data)
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(f(item) for item in data))
    if type(data) is dict:
        return {key: f(value) for key, value in data.items()}
    return data
