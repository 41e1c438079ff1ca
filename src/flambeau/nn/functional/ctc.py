"""Connectionist temporal classification loss: arguments checked and put in order."""

from __future__ import annotations

import flambeau as fb
from flambeau import _C
from flambeau._autocast import in_float32

from ._common import check_reduction


def _rows(targets, lengths, batch, longest):
    """The targets as (N, longest) int64, from padded rows or one concatenated vector."""
    if targets.dim() == 2:
        return targets.long()[:, :longest]
    total = sum(lengths)
    if targets.dim() != 1 or targets.shape[0] < total:
        raise RuntimeError(
            f"ctc_loss: targets must be (N, S) or hold sum(target_lengths) = {total} values, but "
            f"their shape is {list(targets.shape)}"
        )
    parts, start = [], 0
    for n in lengths:
        part = targets[start : start + n].long()
        parts.append(fb.constant_pad_nd(part, (0, longest - n), 0))
        start += n
    return fb.stack(parts)


def _as_list(lengths, name, batch):
    values = lengths.tolist() if hasattr(lengths, "tolist") else list(lengths)
    values = values if isinstance(values, list) else [values]
    if len(values) != batch:
        raise RuntimeError(
            f"{name} must be of size batch_size: got {len(values)} for a batch of {batch}"
        )
    return [int(v) for v in values]


@in_float32("cpu", "cuda")
def ctc_loss(
    log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean",
    zero_infinity=False,
):  # fmt: skip
    """CTC loss of log-probabilities (T, N, C) or (T, C) for label sequences.

    ``targets`` is (N, S) padded, or all labels in a row; the lengths are (N,) integers. 'mean'
    divides each loss by its target length first. ``zero_infinity`` turns impossible alignments
    into 0. RuntimeError for lengths that do not fit. Graves et al. 2006.

    >>> import flambeau as fb
    >>> lp = fb.zeros(1, 1, 2).log_softmax(2)
    >>> fb.nn.functional.ctc_loss(lp, fb.tensor([[1]]), (1,), (1,)).exp().item()
    2.0
    """
    check_reduction(reduction)
    single = log_probs.dim() == 2
    lp = log_probs.unsqueeze(1) if single else log_probs
    steps, batch, classes = lp.shape
    if not 0 <= blank < classes:
        raise RuntimeError(f"blank must be in label range: got {blank} for {classes} classes")
    ins = _as_list(input_lengths, "input_lengths", batch)
    outs = _as_list(target_lengths, "target_lengths", batch)
    if max(ins) > steps or min(ins) < 0:
        raise RuntimeError(
            f"Expected input_lengths to have value at most {steps} and at least 0, but got {ins}"
        )
    rows = _rows(targets.unsqueeze(0) if single and targets.dim() == 1 else targets, outs, batch,
                 max(outs))  # fmt: skip
    loss = _C._ctc_loss(lp, rows, ins, outs, blank)
    if zero_infinity:
        loss = fb.where(fb.isinf(loss), 0.0, loss)
    if reduction == "mean":
        size = fb.tensor([max(n, 1) for n in outs], dtype=loss.dtype, device=loss.device)
        return (loss / size).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss
