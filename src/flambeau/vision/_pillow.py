"""The one place that imports Pillow, which is needed only for pictures as PIL images."""

from __future__ import annotations


def pillow(who):
    """Return the module PIL.Image; `who` asks for it and stands in the error without it."""
    try:
        from PIL import Image
    except ImportError:
        raise ImportError(
            f"{who} makes or reads PIL images, and Pillow is not installed. Install it with "
            f"`pip install pillow`, or stay with tensors: give the dataset transform=ToTensor(), "
            f"or read its .data directly."
        ) from None
    return Image


def is_pil(picture):
    """True for a PIL image; does not import Pillow."""
    import sys

    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(picture, module.Image)
