"""Type names for annotations."""

from __future__ import annotations

from typing import Union

from . import _C

Device = Union[_C.device, str, int, None]  # noqa: UP007 - made at run time
Number = Union[int, float, bool]  # noqa: UP007
_size = Union[_C.Size, list, tuple]  # noqa: UP007
_int, _float, _bool, _dtype, _device = int, float, bool, _C.dtype, _C.device
