"""CUDA graphs: work recorded once and launched again as a whole, without Python's cost."""

from __future__ import annotations

import gc

from .. import _C
from ._device import require, synchronize
from .memory import empty_cache
from .streams import Stream, StreamContext

_MODES = {"global": 0, "thread_local": 1, "relaxed": 2}


def is_current_stream_capturing():
    """Whether a CUDA graph is being recorded from the current stream.

    >>> import flambeau as fb
    >>> fb.cuda.is_current_stream_capturing()
    False
    """
    return _C._cuda_is_capturing()


def graph_pool_handle():
    """A pool of memory that several graphs may share, for `pool=`.

    Graphs that share one must be replayed in the order of their capture, never at once.
    """
    require()
    return _C._cuda_graph_pool()


class CUDAGraph:
    """Work recorded between `capture_begin` and `capture_end`; `replay` launches it again.

    ``with flambeau.cuda.graph(g):`` is the convenient way to record. A graph reads and writes
    the very memory of the tensors it was recorded with: copy new values into them before a replay.
    """

    def __init__(self, keep_graph=False):
        self._graph = None

    def capture_begin(self, pool=None, capture_error_mode="global"):
        """Begin to record the current stream, which must not be the default one."""
        require()
        if capture_error_mode not in _MODES:
            raise RuntimeError(
                f"Unknown capture error mode. Expected `global`, `thread_local`, or `relaxed`, "
                f"got {capture_error_mode}"
            )
        self._graph = _C._cuda_graph_begin(-1, _MODES[capture_error_mode], pool)

    def _recorded(self, what):
        if self._graph is None:
            raise RuntimeError(f"CUDAGraph.{what}() without a preceding capture_begin()")
        return self._graph

    def capture_end(self):
        """End the recording and make the graph ready for `replay`."""
        _C._cuda_graph_end(self._recorded("capture_end"))

    def replay(self):
        """Queue the recorded work on the current stream."""
        _C._cuda_graph_replay(self._recorded("replay"))

    def reset(self):
        """Delete the recorded work; its memory returns once its tensors are gone."""
        self._graph = None

    def pool(self):
        """The graph's memory, for the `pool=` of another one."""
        return _C._cuda_graph_pool(self._recorded("pool"))


class graph:
    """Context that records the work inside into a CUDAGraph, on a stream of its own."""

    _streams = {}  # to record on where none is given, one a device

    def __init__(self, cuda_graph, pool=None, stream=None, capture_error_mode="global"):
        if stream is None:
            device = _C._cuda_current_device()
            if device not in graph._streams:
                graph._streams[device] = Stream()
            stream = graph._streams[device]
        self.cuda_graph, self.pool, self.mode = cuda_graph, pool, capture_error_mode
        self.capture_stream = stream
        self._context = StreamContext(stream)

    def __enter__(self):
        # Nothing may be freed or awaited while a recording runs.
        synchronize()
        gc.collect()
        empty_cache()
        self._context.__enter__()
        try:
            self.cuda_graph.capture_begin(self.pool, self.mode)
        except BaseException:
            self._context.__exit__()
            raise

    def __exit__(self, kind, *rest):
        try:
            if kind is None:
                self.cuda_graph.capture_end()
            else:
                self.cuda_graph.reset()  # the error that ended the recording is the one to show
        finally:
            self._context.__exit__()


# Graphed callables ------------------------------------------------------------------------------


class _Graphed:
    """One callable, recorded: its forward graph, its backward graph and their fixed tensors."""

    def __init__(self, call, args, allow_unused_input):
        from ..nn import Module

        self.call, self.args, self.allow_unused = call, args, allow_unused_input
        self.module = call if isinstance(call, Module) else None
        self.parameters = tuple(call.parameters()) if self.module else ()
        self.surface = tuple(args) + self.parameters
        self.wanted = [i for i, t in enumerate(self.surface) if t.requires_grad]
        self.forward_graph, self.backward_graph = CUDAGraph(), CUDAGraph()

    def _flat(self, outputs):
        self.single = not isinstance(outputs, (tuple, list))
        return (outputs,) if self.single else tuple(outputs)

    def _gradients(self, outputs, grads):
        from ..autograd import grad

        live = [i for i, o in enumerate(outputs) if o.requires_grad]
        return grad(
            [outputs[i] for i in live],
            [self.surface[i] for i in self.wanted],
            [grads[i] for i in live],
            allow_unused=self.allow_unused,
        )

    def warm_up(self, times):
        for _ in range(times):
            outputs = self._flat(self.call(*self.args))
            if self.wanted and any(o.requires_grad for o in outputs):
                self._gradients(outputs, [_C.ones_like(o.detach()) for o in outputs])

    def record_forward(self, pool):
        with graph(self.forward_graph, pool=pool):
            self.outputs = self._flat(self.call(*self.args))

    def record_backward(self, pool):
        self.grad_outputs = [_C.empty_like(o.detach()) for o in self.outputs]
        self.grad_inputs = [None] * len(self.surface)
        if not self.wanted or not any(o.requires_grad for o in self.outputs):
            self.backward_graph = None
            return
        with graph(self.backward_graph, pool=pool):
            found = self._gradients(self.outputs, self.grad_outputs)
        for i, g in zip(self.wanted, found):
            self.grad_inputs[i] = g

    def function(self):
        from ..autograd import Function

        me = self

        class Graphed(Function):
            @staticmethod
            def forward(ctx, *inputs):
                for fixed, given in zip(me.args, inputs):
                    if fixed.data_ptr() != given.data_ptr():
                        fixed.detach().copy_(given.detach())
                me.forward_graph.replay()
                return tuple(o.detach() for o in me.outputs)

            @staticmethod
            def backward(ctx, *grads):
                for fixed, given in zip(me.grad_outputs, grads):
                    if given is not None and fixed.data_ptr() != given.data_ptr():
                        fixed.copy_(given)
                if me.backward_graph is not None:
                    me.backward_graph.replay()
                return tuple(None if g is None else g.detach() for g in me.grad_inputs)

        def call(*args):
            if len(args) != len(me.args):
                raise RuntimeError(
                    f"a graphed callable takes the {len(me.args)} tensors it was recorded with, "
                    f"got {len(args)} arguments"
                )
            outputs = Graphed.apply(*args, *me.parameters)
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return outputs[0] if me.single else outputs

        return call


def _install(module, graphed):
    """Let a module's forward use its graph while it is in the mode it was recorded in."""
    plain, training = module.forward, module.training

    def forward(*args, **kwargs):
        if module.training == training and not kwargs:
            return graphed(*args)
        return plain(*args, **kwargs)

    module.forward = forward
    return module


def make_graphed_callables(
    callables, sample_args, num_warmup_iters=3, allow_unused_input=False, pool=None
):
    """Record functions or modules, and their backward, as CUDA graphs; return them graphed.

    callables: one, or a tuple in the order in which they will run. sample_args: the tensors to
    record each with (a tuple for one callable, a tuple of tuples for several): later ones must
    have the same shapes, dtypes and `requires_grad`. A module is changed in place and uses its
    graph in the mode (training or not) it was recorded in. Raises RuntimeError without a GPU.
    """
    require()
    one = not isinstance(callables, tuple)
    calls, samples = ((callables,), (sample_args,)) if one else (callables, sample_args)
    parts = [_Graphed(c, tuple(a), allow_unused_input) for c, a in zip(calls, samples)]
    synchronize()
    with StreamContext(Stream()):
        for p in parts:
            p.warm_up(num_warmup_iters)
    synchronize()
    pool = graph_pool_handle() if pool is None else pool
    for p in parts:
        p.record_forward(pool)
    for p in reversed(parts):
        p.record_backward(pool)
    done = [_install(p.module, p.function()) if p.module else p.function() for p in parts]
    return done[0] if one else tuple(done)


__all__ = [
    "CUDAGraph",
    "graph",
    "graph_pool_handle",
    "is_current_stream_capturing",
    "make_graphed_callables",
]
