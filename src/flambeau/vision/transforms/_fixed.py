"""Transforms without chance: conversions, normalisation, resizing, composition."""

from __future__ import annotations

from . import functional as F
from .functional import InterpolationMode


def _two(size, message):
    """Return (height, width) of one number or a sequence of one or two."""
    if isinstance(size, int):
        return size, size
    if len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


class Transform:
    """Base: a callable object; a random one is a function of one picture."""

    def forward(self, img):
        """Transform one picture."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it does")

    def __call__(self, img):
        return self.forward(img)

    def __repr__(self):
        return f"{type(self).__name__}()"


class Compose:
    """Apply transforms one after the other.

    >>> import flambeau as fb
    >>> T = fb.vision.transforms
    >>> T.Compose([T.Lambda(lambda x: x + 1), T.Lambda(lambda x: x * 2)])(fb.zeros(1))
    tensor([2.])
    """

    def __init__(self, transforms):
        self.transforms = transforms

    def __call__(self, img):
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self):
        body = "".join(f"\n    {t}" for t in self.transforms)
        return f"{type(self).__name__}({body}\n)"


class ToTensor:
    """Turn a PIL image or array [H, W, C] of uint8 into a float tensor [C, H, W] of 0 .. 1."""

    by_value = True

    def __call__(self, pic):
        return F.to_tensor(pic)

    def on_batch(self, pictures):
        """Do the same to uint8 pictures [N, C, H, W] that come from a dataset's memory."""
        from flambeau import get_default_dtype

        return pictures.contiguous().to(get_default_dtype()).div(255)

    def __repr__(self):
        return f"{type(self).__name__}()"


class PILToTensor:
    """Turn a PIL image into a tensor [C, H, W] with the same numbers."""

    def __call__(self, pic):
        return F.pil_to_tensor(pic)

    def __repr__(self):
        return f"{type(self).__name__}()"


class ToPILImage:
    """Turn a tensor [C, H, W] or array [H, W, C] into a PIL image; mode: PIL's, or None."""

    def __init__(self, mode=None):
        self.mode = mode

    def __call__(self, pic):
        return F.to_pil_image(pic, self.mode)

    def __repr__(self):
        return f"{type(self).__name__}({f'mode={self.mode}' if self.mode else ''})"


class ConvertImageDtype(Transform):
    """Convert a tensor to dtype and scale its values to the span of that dtype."""

    by_value = True

    def __init__(self, dtype):
        self.dtype = dtype

    def forward(self, image):
        """Convert one tensor."""
        return F.convert_image_dtype(image, self.dtype)

    on_batch = forward


class Normalize(Transform):
    """Return (x - mean) / std, channel by channel; x is a float tensor [..., C, H, W].

    >>> import flambeau as fb
    >>> fb.vision.transforms.Normalize((0.5,), (0.5,))(fb.zeros(1, 1, 1))
    tensor([[[-1.]]])
    """

    by_value = True

    def __init__(self, mean, std, inplace=False):
        self.mean, self.std, self.inplace = mean, std, inplace

    def forward(self, tensor):
        """Normalise one picture or a batch."""
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def on_batch(self, pictures):
        """Do the same to a batch that nobody else holds."""
        return F.normalize(pictures, self.mean, self.std, inplace=True)

    def __repr__(self):
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class Resize(Transform):
    """Resize to (height, width), or so that the shorter side is `size`; see F.resize."""

    def __init__(
        self, size, interpolation=InterpolationMode.BILINEAR, max_size=None, antialias=True
    ):
        if not isinstance(size, (int, list, tuple)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if not isinstance(size, int) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size, self.max_size = size, max_size
        self.interpolation, self.antialias = interpolation, antialias

    def forward(self, img):
        """Resize one picture."""
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self):
        mode = getattr(self.interpolation, "value", self.interpolation)
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={mode}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(Transform):
    """Cut out the middle: size is (height, width) or one number for a square."""

    def __init__(self, size):
        self.size = _two(size, "Please provide only two dimensions (h, w) for size.")

    def forward(self, img):
        """Crop one picture."""
        return F.center_crop(img, self.size)

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size})"


class Pad(Transform):
    """Add a border; see F.pad for padding, fill and padding_mode."""

    def __init__(self, padding, fill=0, padding_mode="constant"):
        self.padding, self.fill, self.padding_mode = padding, fill, padding_mode

    def forward(self, img):
        """Pad one picture."""
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self):
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


class Grayscale(Transform):
    """Turn colours into grey with 1 or 3 equal channels."""

    def __init__(self, num_output_channels=1):
        self.num_output_channels = num_output_channels

    def forward(self, img):
        """Turn one picture grey."""
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self):
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class Lambda:
    """Apply any function of one picture."""

    def __init__(self, lambd):
        if not callable(lambd):
            raise TypeError(f"Argument lambd should be callable, got {type(lambd).__name__!r}")
        self.lambd = lambd

    def __call__(self, img):
        return self.lambd(img)

    def __repr__(self):
        return f"{type(self).__name__}()"
