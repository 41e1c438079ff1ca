"""Lookups: embedding, embedding_bag, one_hot."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C

from ._common import vector_norm


def _renorm_rows(weight, index, max_norm, norm_type):
    """Scale, in place, the rows of ``weight`` named by ``index`` that are longer than max_norm."""
    with fb.no_grad():
        rows = index.reshape(-1)
        part = weight.detach().index_select(0, rows)
        norm = vector_norm(part, norm_type, 1, True)
        scale = fb.where(norm > max_norm, max_norm / (norm + 1e-7), fb.ones_like(norm))
        weight.detach().index_copy_(0, rows, part * scale)


def embedding(
    input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False,
    sparse=False,
):  # fmt: skip
    """Rows of ``weight`` (num, dim) for the integers of ``input`` (*): (*, dim).

    The row ``padding_idx`` takes no gradient; rows longer than ``max_norm`` are scaled in
    place; ``sparse`` is accepted and gives a dense gradient. IndexError for a bad index.

    >>> import flambeau as fb
    >>> fb.nn.functional.embedding(fb.tensor([1, 0]), fb.tensor([[1.0], [2.0]])).tolist()
    [[2.0], [1.0]]
    """
    if padding_idx is not None:
        if not -weight.shape[0] <= padding_idx < weight.shape[0]:
            raise AssertionError(
                f"Padding_idx must be within num_embeddings: {padding_idx} for {weight.shape[0]}"
            )
        padding_idx %= weight.shape[0]
    if max_norm is not None:
        _renorm_rows(weight, input, max_norm, norm_type)
    rows = _C.embedding(weight, input)
    if not (rows.requires_grad and (scale_grad_by_freq or padding_idx is not None)):
        return rows
    still = rows.detach()
    if scale_grad_by_freq:
        index = input.long().reshape(-1)
        count = fb.zeros(weight.shape[0], dtype=rows.dtype, device=rows.device)
        count = count.index_add(0, index, fb.ones_like(index, dtype=rows.dtype))
        share = count.reciprocal().index_select(0, index).reshape(*input.shape, 1)
        rows = still + (rows - still) * share
    if padding_idx is not None:
        rows = fb.where((input == padding_idx).unsqueeze(-1), still, rows)
    return rows


def one_hot(tensor, num_classes=-1):
    """Integers (*) to int64 rows with a single 1: (*, num_classes); -1 counts the classes.

    RuntimeError for a value below 0 or not below ``num_classes``.

    >>> import flambeau as fb
    >>> fb.nn.functional.one_hot(fb.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    if tensor.dtype != fb.int64:
        raise RuntimeError(
            f"one_hot is only applicable to index tensors of type LongTensor, got {tensor.dtype}:"
            " call .long() first"
        )
    if tensor.numel() == 0:
        if num_classes <= 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
    else:
        if int(tensor.min()) < 0:
            raise RuntimeError("Class values must be non-negative.")
        top = int(tensor.max())
        if num_classes == -1:
            num_classes = top + 1
        elif num_classes < 1:
            raise RuntimeError("num_classes should be positive")
        elif top >= num_classes:
            raise RuntimeError(
                f"Class values must be smaller than num_classes: got {top} for {num_classes}"
            )
    out = fb.zeros((*tensor.shape, num_classes), dtype=fb.int64, device=tensor.device)
    return out.scatter_(-1, tensor.unsqueeze(-1), 1)


def _bag_args(input, weight, offsets, per_sample_weights, include_last_offset):
    """Check and flatten the two forms of input; returns (indices, offsets, weights)."""
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as each row is a bag; got offsets "
                f"of shape {list(offsets.shape)}"
            )
        if per_sample_weights is not None and per_sample_weights.shape != input.shape:
            raise ValueError(
                f"embedding_bag: per_sample_weights {list(per_sample_weights.shape)} must have "
                f"the shape of the input {list(input.shape)}"
            )
        step = input.shape[1]
        offsets = fb.arange(0, input.numel(), step, device=input.device) if step else fb.zeros(
            input.shape[0], dtype=fb.int64, device=input.device
        )  # fmt: skip
        flat = None if per_sample_weights is None else per_sample_weights.reshape(-1)
        return input.reshape(-1), offsets, flat
    if input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    if offsets.numel() and int(offsets[0]) != 0:
        raise RuntimeError(f"offsets[0] has to be 0, but got {int(offsets[0])}")
    if include_last_offset:
        offsets = offsets[:-1]
    return input, offsets, per_sample_weights


def _bag_max(rows, bag, bags):
    """The greatest of each bag's rows, 0 for an empty one: rows (n, dim) and their bags (n,)."""
    n, dim = rows.shape
    if not n:
        return rows.new_zeros((bags, dim))
    count = fb.zeros(bags, dtype=fb.int64, device=bag.device)
    count = count.index_add(0, bag, fb.ones_like(bag))
    first = count.cumsum(0) - count
    longest = int(count.max())
    place = fb.arange(n, device=bag.device)
    slot = bag * longest + place - first.index_select(0, bag)
    table = fb.zeros(bags * longest, dtype=fb.int64, device=bag.device)
    table = table.index_copy(0, slot, place)
    filled = fb.arange(longest, device=bag.device) < count.unsqueeze(1)
    wide = rows.index_select(0, table).reshape(bags, longest, dim)
    best = wide.masked_fill(filled.logical_not().unsqueeze(2), float("-inf")).max(1)[0]
    return best.masked_fill((count == 0).unsqueeze(1), 0.0)


def embedding_bag(
    input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False,
    mode="mean", sparse=False, per_sample_weights=None, include_last_offset=False,
    padding_idx=None,
):  # fmt: skip
    """Sum, mean or max of the rows of ``weight`` in each bag of indices: (bags, dim).

    A 2D ``input`` has a bag a row; a 1D one is cut at ``offsets``. ``per_sample_weights``
    (sum only) scale the rows; rows of ``padding_idx`` do not count. ValueError for bad shapes.

    >>> import flambeau as fb
    >>> w = fb.tensor([[1.0], [2.0], [4.0]])
    >>> fb.nn.functional.embedding_bag(fb.tensor([[0, 1], [1, 2]]), w, mode="sum").tolist()
    [[3.0], [6.0]]
    """
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights is only supported for mode='sum' (got '{mode}')"
        )
    index, offsets, scale = _bag_args(
        input, weight, offsets, per_sample_weights, include_last_offset
    )
    if max_norm is not None and index.numel():
        _renorm_rows(weight, index, max_norm, norm_type)
    index, offsets = index.long(), offsets.long()
    plain = mode != "max" and padding_idx is None and not scale_grad_by_freq
    if plain and weight.device.type == "cpu" and weight.is_floating_point():
        return _C._embedding_bag(weight, index, offsets, scale, mode == "mean")
    starts = fb.zeros(index.shape[0] + 1, dtype=fb.int64, device=index.device)
    starts = starts.index_add(0, offsets, fb.ones_like(offsets))
    bag = starts.cumsum(0)[: index.shape[0]] - 1
    if padding_idx is not None:
        keep = (index != padding_idx % weight.shape[0]).nonzero().squeeze(1)
        index, bag = index.index_select(0, keep), bag.index_select(0, keep)
        scale = None if scale is None else scale.index_select(0, keep)
    rows = embedding(index, weight, scale_grad_by_freq=scale_grad_by_freq)
    if scale is not None:
        rows = rows * scale.unsqueeze(1)
    if mode == "max":
        return _bag_max(rows, bag, offsets.shape[0])
    out = fb.zeros((offsets.shape[0], weight.shape[1]), dtype=rows.dtype, device=rows.device)
    out = out.index_add(0, bag, rows)
    if mode == "mean":
        ones = fb.ones(bag.shape[0], dtype=rows.dtype, device=rows.device)
        count = fb.zeros(offsets.shape[0], dtype=rows.dtype, device=rows.device)
        out = out / count.index_add(0, bag, ones).clamp_min(1).unsqueeze(1)
    return out
