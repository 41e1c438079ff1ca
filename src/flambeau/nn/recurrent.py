"""Recurrent layers: RNN, LSTM, GRU and their cells; the core walks over time."""

from __future__ import annotations

import math
import warnings

import flambeau as fb
from flambeau import _C

from . import functional as F
from . import init
from .module import Module
from .parameter import Parameter

__all__ = ["RNNBase", "RNN", "LSTM", "GRU", "RNNCellBase", "RNNCell", "LSTMCell", "GRUCell"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_CELLS = {"LSTM": 0, "GRU": 1, "RNN_TANH": 2, "RNN_RELU": 3}  # the core's numbers


class RNNBase(Module):
    """What RNN, LSTM and GRU share: weights by PyTorch's names, and the walk over time.

    ``mode`` is 'LSTM', 'GRU', 'RNN_TANH' or 'RNN_RELU'.
    """

    __constants__ = [
        "mode", "input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout",
        "bidirectional", "proj_size",
    ]  # fmt: skip

    def __init__(
        self, mode, input_size, hidden_size, num_layers=1, bias=True, batch_first=False,
        dropout=0.0, bidirectional=False, proj_size=0, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__()
        self._check(mode, input_size, hidden_size, num_layers, dropout, proj_size)
        self.mode, self.input_size, self.hidden_size = mode, input_size, hidden_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.proj_size = proj_size
        make = dict(device=device, dtype=dtype)
        gate, out = _GATES[mode] * hidden_size, proj_size or hidden_size
        sides = 2 if bidirectional else 1
        self._flat_weights_names, self._all_weights = [], []
        for layer in range(num_layers):
            size = input_size if layer == 0 else out * sides
            for suffix in ("", "_reverse")[:sides]:
                shapes = {"weight_ih": (gate, size), "weight_hh": (gate, out)}
                if bias:
                    shapes.update(bias_ih=(gate,), bias_hh=(gate,))
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = []
                for name, shape in shapes.items():
                    names.append(f"{name}_l{layer}{suffix}")
                    setattr(self, names[-1], Parameter(fb.empty(shape, **make)))
                self._flat_weights_names += names
                self._all_weights.append(names)
        self.reset_parameters()

    @staticmethod
    def _check(mode, input_size, hidden_size, num_layers, dropout, proj_size):
        if mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + mode)
        if (
            isinstance(dropout, bool)
            or not isinstance(dropout, (int, float))
            or not (0 <= dropout <= 1)
        ):
            raise ValueError("dropout should be a number in range [0, 1], the probability of an "
                             f"element being zeroed, but got {dropout}")  # fmt: skip
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                "dropout is applied between recurrent layers, so it does nothing with "
                f"num_layers=1 (dropout={dropout})",
                stacklevel=4,
            )
        for name, value in (("input_size", input_size), ("hidden_size", hidden_size)):
            if not isinstance(value, int):
                raise TypeError(f"{name} should be of type int, got: {type(value).__name__}")
        if hidden_size <= 0:
            raise ValueError("hidden_size must be greater than zero")
        if num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if proj_size >= hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if proj_size and mode != "LSTM":
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")

    def reset_parameters(self):
        """Draw all weights from U(-k, k), k = 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self):
        """Nothing to do: the weights need no common block here."""

    @property
    def all_weights(self):
        """The weights as one list a layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    @property
    def _flat_weights(self):
        return [getattr(self, name) for name in self._flat_weights_names]

    # -- checks ----------------------------------------------------------------------------

    def _check_hidden(self, hidden, size, what):
        if tuple(hidden.shape) != size:
            raise RuntimeError(
                f"Expected {what} size {size}, got {list(hidden.shape)}: it is (num_layers * "
                "num_directions, batch, size)"
            )

    def _check_input(self, input, packed):
        if not packed and input.dtype != self.weight_ih_l0.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype "
                f"({self.weight_ih_l0.dtype}). Convert input: input.to({self.weight_ih_l0.dtype}), "
                f"or convert model: model.to({input.dtype})"
            )
        if input.shape[-1] != self.input_size:
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. Expected "
                f"{self.input_size}, got {input.shape[-1]} (input shape {list(input.shape)})"
            )

    # -- the walk --------------------------------------------------------------------------

    def _weights(self, layer, suffix):
        """The weights of one layer and direction: ih, hh and, or None, b_ih, b_hh, hr."""
        get, tail = self.__getattr__, f"_l{layer}{suffix}"
        return (
            get("weight_ih" + tail),
            get("weight_hh" + tail),
            get("bias_ih" + tail) if self.bias else None,
            get("bias_hh" + tail) if self.bias else None,
            get("weight_hr" + tail) if self.proj_size else None,
        )

    def _layers(self, rows, state, sizes):
        """Run all layers and directions over rows: ``sizes`` of them at each step.

        ``state`` is a tuple of (L * D, N, size).
        """
        sides = ("", "_reverse") if self.bidirectional else ("",)
        cell, finals = _CELLS[self.mode], []
        for layer in range(self.num_layers):
            outputs = []
            for suffix in sides:
                k = len(finals)
                start = [s[k] for s in state] if len(state) == 2 else [state[0][k], None]
                out, *end = _C._recurrent(
                    cell, bool(suffix), sizes, rows, *start, *self._weights(layer, suffix)
                )
                outputs.append(out)
                finals.append(end)
            rows = outputs[0] if len(outputs) == 1 else fb.cat(outputs, -1)
            if self.dropout and layer < self.num_layers - 1:
                rows = F.dropout(rows, self.dropout, self.training)
        if len(finals) == 1:
            return rows, tuple(f.unsqueeze(0) for f in finals[0])
        return rows, tuple(fb.stack(parts) for parts in zip(*finals))

    def _sizes(self):
        """The feature sizes of the state tensors."""
        first = self.proj_size or self.hidden_size
        return (first, self.hidden_size) if self.mode == "LSTM" else (first,)

    def _start(self, hx, batch, like, unbatched):
        """The initial state as a tuple of (L * D, N, size), checked; zeros by default."""
        count = self.num_layers * (2 if self.bidirectional else 1)
        if hx is None:
            return tuple(
                fb.zeros((count, batch, s), dtype=like.dtype, device=like.device)
                for s in self._sizes()
            )
        state = tuple(hx) if self.mode == "LSTM" else (hx,)
        want = 2 if unbatched else 3
        if any(s.dim() != want for s in state):
            kind = "unbatched 2-D" if unbatched else "batched 3-D"
            raise RuntimeError(
                f"For {kind} input, hx should be {want}-D, but got "
                f"{' and '.join(f'{s.dim()}-D' for s in state)}"
            )
        if unbatched:
            state = tuple(s.unsqueeze(1) for s in state)
        names = ("hidden[0]", "hidden[1]") if self.mode == "LSTM" else ("hidden",)
        for s, size, name in zip(state, self._sizes(), names):
            self._check_hidden(s, (count, batch, size), name)
        return state

    def _result(self, state):
        return state if self.mode == "LSTM" else state[0]

    def forward(self, input, hx=None):
        """Run (T, N, in), (N, T, in) if ``batch_first``, (T, in), or a PackedSequence.

        Returns (output, state): the last layer's outputs at all times, and the final state
        (h, or (h, c) for an LSTM), each (num_layers * directions, N, size).
        """
        from .utils.rnn import PackedSequence

        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.dim() not in (2, 3):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 2D or 3D, got {input.dim()}D instead"
            )
        self._check_input(input, False)
        unbatched = input.dim() == 2
        if unbatched:
            input = input.unsqueeze(1)
        elif self.batch_first:
            input = input.transpose(0, 1)
        if input.shape[0] == 0:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        state = self._start(hx, input.shape[1], input, unbatched)
        steps, batch = input.shape[:2]
        output, state = self._layers(input.reshape(steps * batch, -1), state, [batch] * steps)
        output = output.reshape(steps, batch, -1)
        if unbatched:
            output, state = output.squeeze(1), tuple(s.squeeze(1) for s in state)
        elif self.batch_first:
            output = output.transpose(0, 1)
        return output, self._result(state)

    def _forward_packed(self, packed, hx):
        from .utils.rnn import PackedSequence

        data, batch_sizes, sorted_indices, unsorted_indices = packed
        self._check_input(data, True)
        sizes = batch_sizes.tolist()
        state = self._start(hx, sizes[0], data, False)
        if hx is not None and sorted_indices is not None:
            state = tuple(s.index_select(1, sorted_indices) for s in state)
        output, state = self._layers(data, state, sizes)
        if unsorted_indices is not None:
            state = tuple(s.index_select(1, unsorted_indices) for s in state)
        output = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return output, self._result(state)

    def extra_repr(self):
        """The sizes, and what is not the default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.proj_size != 0:
            text += f", proj_size={self.proj_size}"
        if self.num_layers != 1:
            text += f", num_layers={self.num_layers}"
        for name, default in (("bias", True), ("batch_first", False), ("dropout", 0)):
            value = getattr(self, name)
            if value != default:
                text += f", {name}={value}"
        if self.bidirectional is not False:
            text += f", bidirectional={self.bidirectional}"
        return text


class RNN(RNNBase):
    """Elman network with tanh or ReLU: h' = tanh(W_ih x + b_ih + W_hh h + b_hh).

    >>> import flambeau as fb
    >>> out, h = fb.nn.RNN(10, 20, 2)(fb.ones(5, 3, 10))
    >>> tuple(out.shape), tuple(h.shape)
    ((5, 3, 20), (2, 3, 20))
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, nonlinearity="tanh", bias=True,
        batch_first=False, dropout=0.0, bidirectional=False, device=None, dtype=None,
    ):  # fmt: skip
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(
            "RNN_" + nonlinearity.upper(), input_size, hidden_size, num_layers, bias,
            batch_first, dropout, bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory over (T, N, in); returns (output, (h, c)).

    ``proj_size`` projects h (Sak et al. 2014). Hochreiter and Schmidhuber 1997.

    >>> import flambeau as fb
    >>> out, (h, c) = fb.nn.LSTM(10, 20, bidirectional=True)(fb.ones(5, 3, 10))
    >>> tuple(out.shape), tuple(c.shape)
    ((5, 3, 40), (2, 3, 20))
    """

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, proj_size=0, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, proj_size, device, dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent unit over (T, N, in); returns (output, h) (Cho et al. 2014)."""

    def __init__(
        self, input_size, hidden_size, num_layers=1, bias=True, batch_first=False, dropout=0.0,
        bidirectional=False, device=None, dtype=None,
    ):  # fmt: skip
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip


class RNNCellBase(Module):
    """The weights of a single step with ``num_chunks`` gates."""

    __constants__ = ["input_size", "hidden_size", "bias"]

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        make = dict(device=device, dtype=dtype)
        gate = num_chunks * hidden_size
        self.weight_ih = Parameter(fb.empty((gate, input_size), **make))
        self.weight_hh = Parameter(fb.empty((gate, hidden_size), **make))
        if bias:
            self.bias_ih = Parameter(fb.empty(gate, **make))
            self.bias_hh = Parameter(fb.empty(gate, **make))
        else:
            self.register_parameter("bias_ih", None)
            self.register_parameter("bias_hh", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights from U(-k, k), k = 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _begin(self, input, states, count):
        """Check and batch the input and the states; zeros by default."""
        if input.dim() not in (1, 2):
            raise ValueError(
                f"{self._get_name()}: Expected input to be 1D or 2D, got {input.dim()}D instead"
            )
        single = input.dim() == 1
        x = input.unsqueeze(0) if single else input
        if x.shape[1] != self.input_size:
            raise RuntimeError(
                f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}"
            )
        if states is None:
            shape = (x.shape[0], self.hidden_size)
            states = (fb.zeros(shape, dtype=x.dtype, device=x.device),) * count
        else:
            for s in states:
                if s.dim() not in (1, 2):
                    raise ValueError(
                        f"{self._get_name()}: Expected hidden to be 1D or 2D, got {s.dim()}D"
                    )
            states = tuple(s.unsqueeze(0) if single else s for s in states)
            for s in states:
                if tuple(s.shape) != (x.shape[0], self.hidden_size):
                    raise RuntimeError(
                        f"hidden has inconsistent size: got {list(s.shape)}, expected "
                        f"{[x.shape[0], self.hidden_size]} (batch, hidden_size)"
                    )
        return x, states, single

    def _step(self, cell, x, h, c=None):
        """The next state, (h,) or (h, c)."""
        return _C._recurrent(
            cell, False, [x.shape[0]], x, h, c, self.weight_ih, self.weight_hh, self.bias_ih,
            self.bias_hh, None,
        )[1:]  # fmt: skip

    def extra_repr(self):
        """The sizes, and what is not the default."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text


class RNNCell(RNNCellBase):
    """One step of an Elman network: (N, in) and (N, hidden) to (N, hidden)."""

    __constants__ = ["input_size", "hidden_size", "bias", "nonlinearity"]

    def __init__(
        self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None
    ):
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input, hx=None):
        """Return the next hidden state."""
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        x, (h,), single = self._begin(input, None if hx is None else (hx,), 1)
        (h,) = self._step(_CELLS["RNN_" + self.nonlinearity.upper()], x, h)
        return h.squeeze(0) if single else h


class LSTMCell(RNNCellBase):
    """One LSTM step: (N, in) and (h, c) to the next (h, c).

    >>> import flambeau as fb
    >>> h, c = fb.nn.LSTMCell(4, 3)(fb.ones(2, 4))
    >>> tuple(h.shape), tuple(c.shape)
    ((2, 3), (2, 3))
    """

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input, hx=None):
        """Return the next (h, c)."""
        x, state, single = self._begin(input, hx, 2)
        h, c = self._step(_CELLS["LSTM"], x, *state)
        return (h.squeeze(0), c.squeeze(0)) if single else (h, c)


class GRUCell(RNNCellBase):
    """One GRU step: (N, in) and (N, hidden) to (N, hidden)."""

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input, hx=None):
        """Return the next hidden state."""
        x, (h,), single = self._begin(input, None if hx is None else (hx,), 1)
        (h,) = self._step(_CELLS["GRU"], x, h)
        return h.squeeze(0) if single else h
