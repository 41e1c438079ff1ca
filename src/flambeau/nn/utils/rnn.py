"""Sequences of unequal lengths: padding, packing, and back."""

from __future__ import annotations

from collections import namedtuple

import flambeau as fb
from flambeau import Tensor

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pad_packed_sequence",
    "pad_sequence", "unpad_sequence", "pack_sequence", "unpack_sequence",
]  # fmt: skip

_Base = namedtuple("PackedSequence", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


def invert_permutation(permutation):
    """The inverse of a permutation (N,) int64; None for None.

    >>> import flambeau as fb
    >>> fb.nn.utils.rnn.invert_permutation(fb.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    if permutation is None:
        return None
    n = permutation.numel()
    positions = fb.arange(n, device=permutation.device)
    return fb.empty_like(permutation).scatter_(0, permutation, positions)


class PackedSequence(_Base):
    """Sequences side by side, time step after time step: ``data`` (sum of lengths, *).

    ``batch_sizes`` (on the CPU) says how many sequences are alive at each step.
    """

    __slots__ = ()

    def __new__(cls, data, batch_sizes=None, sorted_indices=None, unsorted_indices=None):
        if batch_sizes is None:
            if not isinstance(data, (tuple, list)) or len(data) != 2:
                raise AssertionError("batch_sizes is missing: PackedSequence(data, batch_sizes)")
            data, batch_sizes = data
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "batch_sizes should always be on CPU. Instances of PackedSequence should never be "
                "created manually: use pack_sequence or pack_padded_sequence"
            )
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args, **kwargs):
        """Move or cast ``data``; the indices follow its device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        where = {"device": data.device}
        indices = [
            None if i is None else i.to(**where)
            for i in (self.sorted_indices, self.unsorted_indices)
        ]
        return type(self)(data, self.batch_sizes, *indices)

    def cpu(self):
        """Move to the CPU."""
        return self.to(device="cpu")

    def cuda(self, device="cuda"):
        """Move to a CUDA device."""
        return self.to(device=device)

    def double(self):
        """Cast to float64."""
        return self.to(dtype=fb.float64)

    def float(self):
        """Cast to float32."""
        return self.to(dtype=fb.float32)

    def half(self):
        """Cast to float16."""
        return self.to(dtype=fb.float16)

    def long(self):
        """Cast to int64."""
        return self.to(dtype=fb.int64)

    def int(self):
        """Cast to int32."""
        return self.to(dtype=fb.int32)

    @property
    def is_cuda(self):
        """Whether the data is on a CUDA device."""
        return self.data.is_cuda

    def is_pinned(self):
        """Whether the data is in pinned memory."""
        return self.data.is_pinned()

    def pin_memory(self):
        """A copy in pinned memory."""
        return type(self)(self.data.pin_memory(), *self[1:])


def pack_padded_sequence(input, lengths, batch_first=False, enforce_sorted=True):
    """Pack padded sequences (T, N, *) of ``lengths`` (N,), which stay on the CPU.

    ``enforce_sorted`` demands falling lengths; otherwise they are sorted here. RuntimeError for
    lengths out of range or out of order.

    >>> import flambeau as fb
    >>> p = fb.nn.utils.rnn.pack_padded_sequence(fb.ones(3, 2, 1), fb.tensor([3, 1]))
    >>> p.batch_sizes.tolist()
    [2, 1, 1]
    """
    if not isinstance(lengths, Tensor):
        lengths = fb.as_tensor(lengths, dtype=fb.int64, device="cpu")
    elif lengths.device.type != "cpu":
        raise RuntimeError("'lengths' argument should be a 1D CPU int64 tensor")
    order = None
    if not enforce_sorted:
        given = lengths.tolist()
        falling = sorted(range(len(given)), key=lambda i: -given[i])
        order = fb.tensor(falling, dtype=fb.int64, device=input.device)
        lengths = fb.tensor([given[i] for i in falling], dtype=fb.int64)
        input = input.index_select(0 if batch_first else 1, order)
    if batch_first:
        input = input.transpose(0, 1)
    values = lengths.tolist()
    steps, batch = input.shape[0], input.shape[1]
    if len(values) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(values)} "
            f"(batch_size={batch})"
        )
    if values and min(values) <= 0:
        raise RuntimeError("Length of all samples has to be greater than 0")
    if any(a < b for a, b in zip(values, values[1:])):
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. "
            "You can pass `enforce_sorted=False` to pack_padded_sequence to have it sort them"
        )
    if values[0] > steps:
        raise RuntimeError(
            f"Expected lengths of at most {steps} (the padded length), but got {values[0]}"
        )
    sizes = [sum(v > t for v in values) for t in range(values[0])]
    data = fb.cat([input[t, :n] for t, n in enumerate(sizes)])
    return PackedSequence(data, fb.tensor(sizes, dtype=fb.int64), order, None)


def pad_packed_sequence(sequence, batch_first=False, padding_value=0.0, total_length=None):
    """Unpack to (padded (T, N, *), lengths (N,)); ``total_length`` pads further.

    ValueError if ``total_length`` is shorter than the longest sequence.
    """
    sizes = sequence.batch_sizes.tolist()
    steps, batch = len(sizes), sizes[0]
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, "
                f"but got total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    lengths = [sum(n > i for n in sizes) for i in range(batch)]
    rows, start = [], 0
    for n in sizes:
        part = sequence.data[start : start + n]
        if n < batch:
            shape = (batch - n, *part.shape[1:])
            fill = fb.full(shape, padding_value, dtype=part.dtype, device=part.device)
            part = fb.cat([part, fill])
        rows.append(part)
        start += n
    blank = None
    for _ in range(steps - len(sizes)):
        if blank is None:
            blank = fb.full(
                rows[0].shape, padding_value, dtype=rows[0].dtype, device=rows[0].device
            )
        rows.append(blank)
    out = fb.stack(rows)
    lengths = fb.tensor(lengths, dtype=fb.int64)
    if sequence.unsorted_indices is not None:
        out = out.index_select(1, sequence.unsorted_indices)
        lengths = lengths.index_select(0, sequence.unsorted_indices.cpu())
    return (out.transpose(0, 1) if batch_first else out), lengths


def pad_sequence(sequences, batch_first=False, padding_value=0.0, padding_side="right"):
    """Stack tensors (L_i, *) of unequal lengths to (T, N, *), or (N, T, *) if ``batch_first``.

    RuntimeError if it is no sequence of tensors.

    >>> import flambeau as fb
    >>> seqs = [fb.ones(2), fb.ones(3)]
    >>> fb.nn.utils.rnn.pad_sequence(seqs, batch_first=True).tolist()
    [[1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    if not hasattr(sequences, "__iter__"):
        raise RuntimeError(
            "pad_sequence: Expected iterable for input sequences, but got arg of type: "
            f"{type(sequences)}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"Expected padding_side to be one of left or right, but got {padding_side}."
        )
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("received an empty list of sequences")
    longest = max(s.shape[0] for s in sequences)
    rows = []
    for s in sequences:
        gap = longest - s.shape[0]
        sides = (gap, 0) if padding_side == "left" else (0, gap)
        rows.append(fb.constant_pad_nd(s, (0, 0) * (s.dim() - 1) + sides, padding_value))
    return fb.stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences, lengths, batch_first=False):
    """Cut a padded batch into the list of its sequences, of ``lengths``."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [seq[:n] for seq, n in zip(padded_sequences.unbind(0), lengths.tolist())]


def pack_sequence(sequences, enforce_sorted=True):
    """Pack a list of tensors (L_i, *).

    >>> import flambeau as fb
    >>> fb.nn.utils.rnn.pack_sequence([fb.ones(2), fb.zeros(1)]).data.tolist()
    [1.0, 0.0, 1.0]
    """
    lengths = fb.as_tensor([s.shape[0] for s in sequences])
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences):
    """Unpack to the list of sequences, undoing ``pack_sequence``."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
