"""The `*_copy` forms: what the view function returns, in storage of its own."""

from __future__ import annotations

import flambeau as fb

from ._register import composite


def _dense(r):
    if isinstance(r, fb.Tensor):
        return r.clone(memory_format=fb.contiguous_format)
    return tuple(_dense(t) for t in r)


def _copy_of(name, view, doc):
    def f(input, *args, **kw):
        return _dense(view(input, *args, **kw))

    f.__name__ = f.__qualname__ = name
    f.__doc__ = doc
    composite(out=True)(f)


for _n in (
    "as_strided",
    "diagonal",
    "expand",
    "permute",
    "select",
    "split",
    "squeeze",
    "t",
    "transpose",
    "unbind",
    "unfold",
    "unsqueeze",
    "view",
    "view_as_complex",
    "view_as_real",
    "detach",
    "narrow",
    "split_with_sizes",
):

    def _view(input, *args, _n=_n, **kw):
        m = getattr(input, _n, None)
        return m(*args, **kw) if m is not None else getattr(fb, _n)(input, *args, **kw)

    _copy_of(_n + "_copy", _view, f"`{_n}` with the result in storage of its own.")

_copy_of("alias_copy", lambda x: x, "A copy of `input` in storage of its own.")
_copy_of(
    "slice_copy",
    lambda x, dim=0, start=None, end=None, step=1: x[
        (slice(None),) * (dim % max(x.dim(), 1)) + (slice(start, end, step),)
    ],
    "`input[start:end:step]` along `dim`, in storage of its own.",
)
