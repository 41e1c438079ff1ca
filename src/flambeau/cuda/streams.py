"""Streams: queues of GPU work that may run beside each other; events: marks in them."""

from __future__ import annotations

from .. import _C
from ._device import index_of, require

# Streams are made on demand and then handed out in turn: each keeps a share of the memory cache,
# so a program that asks for one in every step must not get ever new ones.
_POOL_SIZE = 32
_pools: dict = {}


def _pooled(device, priority):
    made, turn = _pools.setdefault((device, priority), ([], [0]))
    at = turn[0] % _POOL_SIZE
    turn[0] += 1
    if at == len(made):
        made.append(_C._cuda_stream_create(device, priority))
    return made[at]


class Stream:
    """A queue of GPU work, on `device` (the current one); lower `priority` numbers go first.

    ``with stream:`` (or ``flambeau.cuda.stream(s)``) queues the work inside on it. Memory is
    reused by stream order: a tensor made on one stream and used on another needs
    ``tensor.record_stream(other)`` and an event or ``wait_stream`` between the two.
    """

    def __init__(self, device=None, priority=0, *, stream_ptr=None):
        require()
        self.device_index = index_of(device)
        self.device = _C.device("cuda", self.device_index)
        self.priority = min(priority, 0)
        if stream_ptr is None:
            stream_ptr = _pooled(self.device_index, self.priority)
        self.cuda_stream = stream_ptr
        self._outer = []

    @property
    def stream_id(self):
        """The driver's handle of the stream."""
        return self.cuda_stream

    def wait_event(self, event):
        """Let work queued here from now on wait for an event."""
        event.wait(self)

    def wait_stream(self, stream):
        """Let work queued here from now on wait for all work queued on `stream` so far."""
        self.wait_event(stream.record_event())

    def record_event(self, event=None):
        """Record an event (a new one by default) after the work queued so far; return it."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def query(self):
        """Whether all work queued here is done."""
        return _C._cuda_stream_query(self.device_index, self.cuda_stream)

    def synchronize(self):
        """Wait for all work queued here."""
        _C._cuda_stream_synchronize(self.device_index, self.cuda_stream)

    def is_capturing(self):
        """Whether a CUDA graph is being recorded from this stream."""
        return _C._cuda_stream_is_capturing(self.device_index, self.cuda_stream)

    def __enter__(self):
        self._outer.append(StreamContext(self))
        self._outer[-1].__enter__()
        return self

    def __exit__(self, *exc):
        self._outer.pop().__exit__(*exc)

    def __eq__(self, other):
        if not isinstance(other, Stream):
            return NotImplemented
        return (self.device_index, self.cuda_stream) == (other.device_index, other.cuda_stream)

    def __hash__(self):
        return hash((self.device_index, self.cuda_stream))

    def __repr__(self):
        return f"<flambeau.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """A stream that another library made, by its handle; it must outlive this object."""

    # The driver's name for its legacy default stream, whose handle is 0 elsewhere; 0 here
    # means Flambeau's own default stream.
    _LEGACY = 1

    def __init__(self, stream_ptr, device=None):
        super().__init__(device, stream_ptr=int(stream_ptr) or self._LEGACY)


def get_stream_from_external(data_ptr, device=None):
    """The stream of another library, by its handle."""
    return ExternalStream(data_ptr, device)


class Event:
    """A mark in a stream, to wait for or, with `enable_timing`, to measure time with.

    blocking: `synchronize` lets the processor sleep instead of polling.
    """

    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        if interprocess:
            raise NotImplementedError(
                "Event(interprocess=True): events are not shared between processes; "
                "synchronize the stream before handing data over"
            )
        self._timing, self._blocking = bool(enable_timing), bool(blocking)
        self.cuda_event = 0  # made when first recorded: only then is the device known
        self._device = None

    @property
    def device(self):
        """The device on which the event was recorded; None before."""
        return None if self._device is None else _C.device("cuda", self._device)

    def record(self, stream=None):
        """Put the mark after the work queued so far on `stream` (the current one)."""
        stream = current_stream() if stream is None else stream
        if self._device is None:
            self.cuda_event = _C._cuda_event_create(
                stream.device_index, self._timing, self._blocking
            )
            self._device = stream.device_index
        if self._device != stream.device_index:
            raise RuntimeError(
                f"Event device cuda:{self._device} does not match the recording stream's device "
                f"cuda:{stream.device_index}: use one event for each GPU"
            )
        _C._cuda_event_record(self._device, self.cuda_event, stream.cuda_stream)

    def wait(self, stream=None):
        """Let work queued from now on `stream` (the current one) wait for the mark."""
        if self._device is not None:
            stream = current_stream() if stream is None else stream
            _C._cuda_stream_wait_event(stream.device_index, stream.cuda_stream, self.cuda_event)

    def query(self):
        """Whether all work before the mark is done; True if it was never recorded."""
        return self._device is None or _C._cuda_event_query(self.cuda_event)

    def synchronize(self):
        """Wait for all work before the mark."""
        if self._device is not None:
            _C._cuda_event_synchronize(self.cuda_event)

    def elapsed_time(self, end_event):
        """Milliseconds from this mark to another, both made with enable_timing=True."""
        if not (self._timing and end_event._timing):
            raise ValueError(
                "Both events must be created with argument 'enable_timing=True' to measure time"
            )
        if self._device is None or end_event._device is None:
            raise ValueError("Both events must be recorded before calculating elapsed time.")
        if not (self.query() and end_event.query()):
            raise RuntimeError(
                "Both events must be completed before calculating elapsed time: call "
                "end_event.synchronize() first"
            )
        return _C._cuda_event_elapsed(self.cuda_event, end_event.cuda_event)

    def __del__(self):
        if getattr(self, "cuda_event", 0) and _C is not None:
            _C._cuda_event_destroy(self.cuda_event)

    def __repr__(self):
        state = f"{self.cuda_event:#x}" if self.cuda_event else "not recorded"
        return f"<flambeau.cuda.Event {state}>"


class StreamContext:
    """Context in which a stream, and its GPU, are the current ones; None changes nothing."""

    def __init__(self, stream):
        self.stream = stream

    def __enter__(self):
        s = self.stream
        if s is None:
            return
        self._device = _C._cuda_current_device()
        self._before = _C._cuda_current_stream(s.device_index)
        _C._cuda_set_device(s.device_index)
        _C._cuda_set_stream(s.device_index, s.cuda_stream)

    def __exit__(self, *exc):
        if self.stream is not None:
            _C._cuda_set_stream(self.stream.device_index, self._before)
            _C._cuda_set_device(self._device)


def stream(stream):
    """Context in which work is queued on `stream`; None changes nothing.

    >>> import flambeau as fb
    >>> with fb.cuda.stream(None):
    ...     pass
    """
    return StreamContext(stream)


def set_stream(stream):
    """Queue this thread's work on `stream` from now on; None changes nothing."""
    if stream is not None:
        _C._cuda_set_device(stream.device_index)
        _C._cuda_set_stream(stream.device_index, stream.cuda_stream)


def current_stream(device=None):
    """The stream on which this thread's work for a GPU goes."""
    require()
    index = index_of(device)
    return Stream(index, stream_ptr=_C._cuda_current_stream(index))


def default_stream(device=None):
    """The stream on which work goes when no other is chosen.

    Unlike PyTorch's it is not the driver's legacy stream and waits for no other.
    """
    require()
    index = index_of(device)
    return Stream(index, stream_ptr=_C._cuda_default_stream(index))


__all__ = [
    "Event",
    "ExternalStream",
    "Stream",
    "StreamContext",
    "current_stream",
    "default_stream",
    "get_stream_from_external",
    "set_stream",
    "stream",
]
