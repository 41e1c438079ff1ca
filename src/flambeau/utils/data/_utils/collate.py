"""Turn a list of samples into one batch, structure by structure."""

from __future__ import annotations

import copy
from collections.abc import Mapping, MutableMapping, MutableSequence, Sequence

import flambeau

from ..dataset import Gathered


def default_convert(data):
    """Turn NumPy arrays inside ``data`` into tensors; leave everything else as it is.

    >>> import flambeau as fb
    >>> fb.utils.data.default_convert({"a": [1, "x"]})
    {'a': [1, 'x']}
    """
    if isinstance(data, flambeau.Tensor):
        return data
    if _is_numpy(data):
        return data if _is_text(data) else flambeau.as_tensor(data)
    if isinstance(data, Mapping):
        return _mapping_like(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(d) for d in data))
    if isinstance(data, tuple):
        return [default_convert(d) for d in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _sequence_like(data, [default_convert(d) for d in data])
    return data


def default_collate(batch):
    """Stack samples: tensors and arrays along a new first dimension, numbers into tensors.

    Mappings, named tuples, tuples and lists are gone into; text stays a list. Floats become
    float64, ints int64. Raises RuntimeError for lists of unequal length and TypeError, naming the
    type, for what cannot be collated.

    >>> import flambeau as fb
    >>> fb.utils.data.default_collate([{"x": 1, "y": "a"}, {"x": 2, "y": "b"}])
    {'x': tensor([1, 2]), 'y': ['a', 'b']}
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch, *, collate_fn_map=None):
    """Collate with functions by type: ``collate_fn_map[type](batch, collate_fn_map=...)``."""
    if type(batch) is Gathered:
        return list(batch.tensors)
    first = batch[0]
    for kind, function in (collate_fn_map or {}).items():
        if isinstance(first, kind):
            return function(batch, collate_fn_map=collate_fn_map)
    if _is_numpy(first):
        return _collate_numpy(batch, collate_fn_map)

    def again(samples):
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        return _mapping_like(first, {key: again([d[key] for d in batch]) for key in first})
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(again, zip(*batch)))
    if isinstance(first, Sequence) and not isinstance(first, (str, bytes)):
        sizes = [len(sample) for sample in batch]
        if len(set(sizes)) > 1:
            raise RuntimeError(
                "each element in list of batch should be of equal size, but sizes are "
                f"{sizes[:10]}{'...' if len(sizes) > 10 else ''}; pad the samples, or pass your "
                "own collate_fn to the DataLoader"
            )
        columns = [again(column) for column in zip(*batch)]
        return columns if isinstance(first, tuple) else _sequence_like(first, columns)
    raise TypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {type(first)}"
    )


def collate_tensor_fn(batch, *, collate_fn_map=None):
    """Stack tensors of one shape along a new first dimension."""
    try:
        return flambeau.stack(tuple(batch), 0)
    except RuntimeError as error:
        shapes = {tuple(t.shape) for t in batch}
        if len(shapes) == 1:
            raise
        raise RuntimeError(
            f"{error}\ndefault_collate: samples of one batch have different shapes "
            f"{sorted(shapes)[:5]}; resize or pad them, or pass your own collate_fn"
        ) from None


def collate_float_fn(batch, *, collate_fn_map=None):
    """Collate floats into float64."""
    return flambeau.tensor(list(batch), dtype=flambeau.float64)


def collate_int_fn(batch, *, collate_fn_map=None):
    """Collate ints into int64, bools into bool."""
    return flambeau.tensor(list(batch))


def collate_str_fn(batch, *, collate_fn_map=None):
    """Leave text as a list (a tuple inside tuples of samples)."""
    return batch


default_collate_fn_map: dict = {
    flambeau.Tensor: collate_tensor_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def _collate_numpy(batch, collate_fn_map):
    first = batch[0]
    if _is_text(first):
        raise TypeError(
            "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
            f"found {first.dtype}"
        )
    if first.shape == () and type(first).__name__ != "ndarray":
        import numpy

        return flambeau.as_tensor(numpy.array(batch))
    return collate([flambeau.as_tensor(a) for a in batch], collate_fn_map=collate_fn_map)


def _is_numpy(data) -> bool:
    kind = type(data)
    return kind.__module__ == "numpy" and kind.__name__ not in ("str_", "bytes_", "string_")


def _is_text(array) -> bool:
    return getattr(array, "dtype", None) is not None and array.dtype.kind in "SUO"


def _mapping_like(template, values: dict):
    """Return ``values`` in a mapping of the template's type, or a dict if it can't be built."""
    if type(template) is dict:
        return values
    try:
        if isinstance(template, MutableMapping):
            out = copy.copy(template)
            out.update(values)
            return out
        return type(template)(values)
    except TypeError:
        return values


def _sequence_like(template, values: list):
    """Return ``values`` in a sequence of the template's type, or a list if it can't be built."""
    if type(template) is list:
        return values
    try:
        if isinstance(template, MutableSequence):
            out = copy.copy(template)
            out[:] = values
            return out
        return type(template)(values)
    except TypeError:
        return values
