"""AdaptiveLogSoftmaxWithLoss: a softmax in clusters for many classes (Grave et al. 2016)."""

from __future__ import annotations

from collections import namedtuple

import flambeau as fb

from . import functional as F
from .container import ModuleList, Sequential
from .linear import Linear
from .module import Module

__all__ = ["AdaptiveLogSoftmaxWithLoss"]

_ASMoutput = namedtuple("_ASMoutput", ["output", "loss"])


class AdaptiveLogSoftmaxWithLoss(Module):
    """Softmax whose rare classes share smaller projections; https://arxiv.org/abs/1609.04309.

    ``cutoffs`` cuts the classes, sorted by falling frequency, into a head and tail clusters;
    cluster i projects to in_features / div_value^(i + 1). ValueError for bad cutoffs.

    >>> import flambeau as fb
    >>> m = fb.nn.AdaptiveLogSoftmaxWithLoss(8, 10, [4])
    >>> m.log_prob(fb.ones(2, 8)).exp().sum(1).round().tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, in_features, n_classes, cutoffs, div_value=4.0, head_bias=False, device=None,
        dtype=None,
    ):  # fmt: skip
        super().__init__()
        cutoffs = list(cutoffs)
        if not cutoffs:
            raise ValueError("cutoffs should be a sequence of length larger than 0")
        if (
            cutoffs != sorted(cutoffs)
            or min(cutoffs) <= 0
            or max(cutoffs) > n_classes - 1
            or len(set(cutoffs)) != len(cutoffs)
            or any(int(c) != c for c in cutoffs)
        ):
            raise ValueError(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing "
                f"order, where each value is between 1 and n_classes-1, but got {cutoffs}"
            )
        self.in_features, self.n_classes = in_features, n_classes
        self.cutoffs = cutoffs + [n_classes]
        self.div_value, self.head_bias = div_value, head_bias
        self.shortlist_size = self.cutoffs[0]
        self.n_clusters = len(self.cutoffs) - 1
        self.head_size = self.shortlist_size + self.n_clusters
        make = dict(device=device, dtype=dtype)
        self.head = Linear(in_features, self.head_size, bias=head_bias, **make)
        self.tail = ModuleList()
        for i in range(self.n_clusters):
            hidden = int(in_features // (div_value ** (i + 1)))
            size = self.cutoffs[i + 1] - self.cutoffs[i]
            self.tail.append(
                Sequential(
                    Linear(in_features, hidden, bias=False, **make),
                    Linear(hidden, size, bias=False, **make),
                )
            )

    def reset_parameters(self):
        """Draw all weights afresh."""
        self.head.reset_parameters()
        for first, second in self.tail:
            first.reset_parameters()
            second.reset_parameters()

    def forward(self, input_, target_):
        """Return (output, loss): the target's log-probability (N,), and minus their mean.

        RuntimeError for shapes that clash or a target out of range.
        """
        single = target_.dim() == 0
        if target_.dim() == 1:
            if input_.shape[0] != target_.shape[0]:
                raise RuntimeError(
                    "Input and target should have the same size in the batch dimension: got "
                    f"{list(input_.shape)} and {list(target_.shape)}"
                )
            if input_.dim() != 2:
                raise RuntimeError(
                    f"1D target tensor expects 2D input tensors, but found {list(input_.shape)}"
                )
        elif single:
            if input_.dim() != 1:
                raise RuntimeError(
                    f"0D target tensor expects 1D input tensors, but found {list(input_.shape)}"
                )
        else:
            raise RuntimeError(
                "0D or 1D target tensor expected, multi-target not supported: got "
                f"{list(target_.shape)}"
            )
        x = input_.unsqueeze(0) if single else input_
        target = target_.unsqueeze(0) if single else target_
        if target.numel() and not (0 <= int(target.min()) and int(target.max()) < self.n_classes):
            raise RuntimeError(
                f"Target values should be in [0, {self.n_classes - 1}], but values in range "
                f"[{int(target.min())}, {int(target.max())}] were found."
            )
        head = F.log_softmax(self.head(x), 1)
        in_head = target < self.shortlist_size
        gate = fb.where(in_head, target, 0)
        output = fb.zeros(target.shape, dtype=head.dtype, device=head.device)
        for i in range(self.n_clusters):
            low, high = self.cutoffs[i], self.cutoffs[i + 1]
            here = (target >= low) & (target < high)
            rows = here.nonzero().squeeze(1)
            if rows.numel() == 0:
                continue
            gate = fb.where(here, self.shortlist_size + i, gate)
            part = F.log_softmax(self.tail[i](x.index_select(0, rows)), 1)
            local = part.gather(1, (target.index_select(0, rows) - low).unsqueeze(1)).squeeze(1)
            output = output.index_add(0, rows, local)
        output = output + head.gather(1, gate.unsqueeze(1)).squeeze(1)
        loss = (-output).mean()
        return _ASMoutput(output.squeeze(0) if single else output, loss)

    def _full(self, input, head):
        """Log-probabilities (N, n_classes) from the head's logits."""
        head = F.log_softmax(head, 1)
        parts = [head[:, : self.shortlist_size]]
        for i in range(self.n_clusters):
            gate = head[:, self.shortlist_size + i].unsqueeze(1)
            parts.append(F.log_softmax(self.tail[i](input), 1) + gate)
        return fb.cat(parts, 1)

    def log_prob(self, input):
        """Log-probabilities of all classes: (N, in_features) to (N, n_classes)."""
        return self._full(input, self.head(input))

    def predict(self, input):
        """The most likely class of each row: (N, in_features) to (N,)."""
        return self.log_prob(input).argmax(1)
