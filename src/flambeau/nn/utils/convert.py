"""All parameters as one vector, and back."""

from __future__ import annotations

import flambeau as fb
from flambeau import Tensor


def parameters_to_vector(parameters):
    """Join the flattened parameters into one 1-D tensor; the graph is kept."""
    return fb.cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec, parameters):
    """Cut ``vec`` into the parameters' data, in order; TypeError unless it is a tensor.

    >>> import flambeau as fb
    >>> ps = [fb.nn.Parameter(fb.zeros(2)), fb.nn.Parameter(fb.zeros(1, 1))]
    >>> fb.nn.utils.vector_to_parameters(fb.arange(3.0), ps)
    >>> fb.nn.utils.parameters_to_vector(ps).tolist()
    [0.0, 1.0, 2.0]
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type(vec)}")
    start = 0
    for p in parameters:
        n = p.numel()
        p.data = vec[start : start + n].view_as(p).data
        start += n
