"""Connectionist temporal classification loss, as one recursion over time made of ops."""

from __future__ import annotations

import flambeau as fb
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


def _states(targets, blank):
    """Targets with blanks around each: (N, S) to (N, 2 S + 1), and where a blank may be skipped."""
    n, s = targets.shape
    blanks = fb.full((n, s), blank, dtype=fb.int64, device=targets.device)
    pairs = fb.stack([blanks, targets], 2).reshape(n, 2 * s)
    states = fb.cat([pairs, fb.full((n, 1), blank, dtype=fb.int64, device=targets.device)], 1)
    skip = fb.zeros(states.shape, dtype=fb.bool, device=targets.device)
    if s > 1:
        differs = states[:, 2:] != states[:, :-2]
        odd = (fb.arange(2, 2 * s + 1, device=targets.device) % 2 == 1).unsqueeze(0)
        skip = fb.cat([skip[:, :2], differs & odd], 1)
    return states, skip


def _negative_log_likelihood(log_probs, targets, input_lengths, target_lengths, blank):
    """Alignments' total log-probability by the forward recursion (Graves et al. 2006, 4.1)."""
    steps, batch, _ = log_probs.shape
    states, skip = _states(targets, blank)
    width = states.shape[1]
    low = -1e30 if log_probs.dtype == fb.float64 else -1e20  # finite, so that gradients are too
    emit = log_probs.gather(2, states.unsqueeze(0).expand(steps, -1, -1))
    start = fb.arange(width, device=log_probs.device) < 2
    device = log_probs.device
    state_limit = fb.tensor([2 * n + 1 for n in target_lengths], device=device).unsqueeze(1)
    valid = fb.arange(width, device=device).unsqueeze(0) < state_limit
    alpha = fb.where(start & valid, emit[0], low)
    blocked = fb.full((batch, 2), low, dtype=log_probs.dtype, device=device)
    ends = fb.tensor(input_lengths, device=device)
    for t in range(1, steps):
        one = fb.cat([blocked[:, :1], alpha[:, :-1]], 1)
        two = fb.where(skip, fb.cat([blocked, alpha[:, :-2]], 1)[:, :width], low)
        new = fb.stack([alpha, one, two]).logsumexp(0) + emit[t]
        new = fb.where(valid, new, low)
        alpha = fb.where((t < ends).unsqueeze(1), new, alpha)
    last = fb.tensor([[2 * n, max(2 * n - 1, 0)] for n in target_lengths], device=device)
    tail = alpha.gather(1, last)
    empty = fb.tensor([[False, n == 0] for n in target_lengths], device=device)
    loss = -fb.where(empty, low, tail).logsumexp(1)
    dead = fb.tensor([n == 0 for n in input_lengths], device=device)
    if any(n == 0 for n in input_lengths):
        nothing = fb.tensor([0.0 if n == 0 else float("inf") for n in target_lengths],
                            dtype=loss.dtype, device=device)  # fmt: skip
        loss = fb.where(dead, nothing, loss)
    impossible = loss.detach() > -low / 2
    return fb.where(impossible, float("inf"), loss)


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
    loss = _negative_log_likelihood(lp, rows, ins, outs, blank)
    if zero_infinity:
        loss = fb.where(fb.isinf(loss), 0.0, loss)
    if reduction == "mean":
        size = fb.tensor([max(n, 1) for n in outs], dtype=loss.dtype, device=loss.device)
        return (loss / size).mean()
    if reduction == "sum":
        return loss.sum()
    return loss.squeeze(0) if single else loss
