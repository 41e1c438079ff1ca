"""Transforms by chance; all draws come from Flambeau's generator, so manual_seed repeats them."""

from __future__ import annotations

import math

from . import functional as F
from ._fixed import Compose, Transform, _two
from .functional import InterpolationMode


def _chance():
    from flambeau import rand

    return rand(1).item()


def _uniform(low, high):
    from flambeau import empty

    return empty(1).uniform_(float(low), float(high)).item()


def _whole(low, end):
    """Draw an integer from low .. end - 1."""
    from flambeau import randint

    return int(randint(low, end, (1,)).item())


class RandomHorizontalFlip(Transform):
    """Mirror left and right with probability p."""

    def __init__(self, p=0.5):
        self.p = p

    def forward(self, img):
        """Perhaps flip one picture."""
        return F.hflip(img) if _chance() < self.p else img

    def __repr__(self):
        return f"{type(self).__name__}(p={self.p})"


class RandomVerticalFlip(RandomHorizontalFlip):
    """Mirror top and bottom with probability p."""

    def forward(self, img):
        """Perhaps flip one picture."""
        return F.vflip(img) if _chance() < self.p else img


class RandomGrayscale(RandomHorizontalFlip):
    """Turn grey, keeping the number of channels, with probability p."""

    def __init__(self, p=0.1):
        super().__init__(p)

    def forward(self, img):
        """Perhaps turn one picture grey."""
        channels = F.get_image_num_channels(img)
        return F.rgb_to_grayscale(img, channels) if _chance() < self.p else img


class RandomCrop(Transform):
    """Cut out a rectangle at a random place.

    size: (height, width) or one number; padding: border added first (see F.pad);
    pad_if_needed: grow smaller pictures; fill, padding_mode: of the border.
    """

    def __init__(self, size, padding=None, pad_if_needed=False, fill=0, padding_mode="constant"):
        self.size = tuple(_two(size, "Please provide only two dimensions (h, w) for size."))
        self.padding, self.pad_if_needed = padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    @staticmethod
    def get_params(img, output_size):
        """Draw (top, left, height, width); ValueError when the picture is too small."""
        _, height, width = F.get_dimensions(img)
        want_height, want_width = output_size
        if height < want_height or width < want_width:
            raise ValueError(
                f"Required crop size {(want_height, want_width)} is larger than input image size "
                f"{(height, width)}"
            )
        if (height, width) == (want_height, want_width):
            return 0, 0, height, width
        top, left = _whole(0, height - want_height + 1), _whole(0, width - want_width + 1)
        return top, left, want_height, want_width

    def forward(self, img):
        """Crop one picture."""
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = F.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self):
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class RandomResizedCrop(Transform):
    """Cut out a rectangle of random area and shape and resize it.

    size: of the result; scale: range of the area as a part of the picture; ratio: range of
    width / height. Source: Szegedy et al., "Going deeper with convolutions" (2015).
    """

    def __init__(self, size, scale=(0.08, 1.0), ratio=(3.0 / 4.0, 4.0 / 3.0),
                 interpolation=InterpolationMode.BILINEAR, antialias=True):  # fmt: skip
        self.size = _two(size, "Please provide only two dimensions (h, w) for size.")
        self.scale, self.ratio = scale, ratio
        self.interpolation, self.antialias = interpolation, antialias

    @staticmethod
    def get_params(img, scale, ratio):
        """Draw (top, left, height, width)."""
        _, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * _uniform(*scale)
            shape = math.exp(_uniform(math.log(ratio[0]), math.log(ratio[1])))
            w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < w <= width and 0 < h <= height:
                return _whole(0, height - h + 1), _whole(0, width - w + 1), h, w
        # Nothing fitted: the largest allowed shape in the middle.
        w, h = width, height
        if width / height < min(ratio):
            h = round(w / min(ratio))
        elif width / height > max(ratio):
            w = round(h * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img):
        """Crop and resize one picture."""
        place = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *place, self.size, self.interpolation, self.antialias)

    def __repr__(self):
        mode = getattr(self.interpolation, "value", self.interpolation)
        scale, ratio = (tuple(round(v, 4) for v in pair) for pair in (self.scale, self.ratio))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={mode}, antialias={self.antialias})"
        )


class RandomRotation(Transform):
    """Turn a PIL image by a random angle of -degrees .. degrees or (low, high)."""

    def __init__(self, degrees, interpolation=InterpolationMode.NEAREST, expand=False,
                 center=None, fill=0):  # fmt: skip
        if isinstance(degrees, (int, float)):
            if degrees < 0:
                raise ValueError("If degrees is a single number, it must be positive.")
            degrees = (-degrees, degrees)
        if len(degrees) != 2:
            raise ValueError("degrees should be a number or a sequence of length 2")
        self.degrees = [float(d) for d in degrees]
        self.interpolation, self.expand = interpolation, expand
        self.center, self.fill = center, fill

    @staticmethod
    def get_params(degrees):
        """Draw an angle."""
        return _uniform(*degrees)

    def forward(self, img):
        """Rotate one picture."""
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, self.fill)

    def __repr__(self):
        mode = getattr(self.interpolation, "value", self.interpolation)
        return (
            f"{type(self).__name__}(degrees={self.degrees}, interpolation={mode}, "
            f"expand={self.expand}, fill={self.fill})"
        )


class ColorJitter(Transform):
    """Change brightness, contrast, saturation and hue by chance, in random order.

    Each is a range (low, high) or a number v for 1 - v .. 1 + v (hue: -v .. v, at most 0.5).
    """

    def __init__(self, brightness=0, contrast=0, saturation=0, hue=0):
        self.brightness = self._range(brightness, "brightness")
        self.contrast = self._range(contrast, "contrast")
        self.saturation = self._range(saturation, "saturation")
        self.hue = self._range(hue, "hue", center=0, bound=(-0.5, 0.5), clip=False)

    @staticmethod
    def _range(value, name, center=1, bound=(0, float("inf")), clip=True):
        """Return (low, high), or None when nothing is to change."""
        if isinstance(value, (int, float)):
            if value < 0:
                raise ValueError(f"If {name} is a single number, it must be non negative.")
            value = [center - float(value), center + float(value)]
            if clip:
                value[0] = max(value[0], 0.0)
        elif len(value) != 2:
            raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
        if not bound[0] <= value[0] <= value[1] <= bound[1]:
            raise ValueError(f"{name} values should be between {bound}, but got {value}.")
        return None if value[0] == value[1] == center else tuple(value)

    @staticmethod
    def get_params(brightness, contrast, saturation, hue):
        """Draw (order of the four changes, their four factors or None)."""
        from flambeau import randperm

        order = randperm(4).tolist()
        ranges = brightness, contrast, saturation, hue
        return order, *(None if span is None else _uniform(*span) for span in ranges)

    def forward(self, img):
        """Change one picture."""
        ranges = self.brightness, self.contrast, self.saturation, self.hue
        order, *factors = self.get_params(*ranges)
        changes = F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue
        for i in order:
            if factors[i] is not None:
                img = changes[i](img, factors[i])
        return img

    def __repr__(self):
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


class RandomErasing(Transform):
    """Overwrite a random rectangle of a tensor [..., C, H, W] with probability p.

    scale: range of its area as a part of the picture; ratio: range of height / width; value:
    a number, one per channel, or "random". Source: Zhong et al., "Random Erasing Data
    Augmentation" (2017).
    """

    def __init__(self, p=0.5, scale=(0.02, 0.33), ratio=(0.3, 3.3), value=0, inplace=False):
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not 0 <= p <= 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p, self.scale, self.ratio = p, scale, ratio
        self.value, self.inplace = value, inplace

    @staticmethod
    def get_params(img, scale, ratio, value=None):
        """Draw (top, left, height, width, values), or the whole picture when nothing fits."""
        from flambeau import empty, tensor

        channels, height, width = F.get_dimensions(img)
        for _ in range(10):
            area = height * width * _uniform(*scale)
            shape = math.exp(_uniform(math.log(ratio[0]), math.log(ratio[1])))
            h, w = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if not (h < height and w < width):
                continue
            if value is None:
                filling = empty(channels, h, w, dtype=img.dtype, device=img.device).normal_()
            else:
                filling = tensor(value, dtype=img.dtype, device=img.device)[:, None, None]
            return _whole(0, height - h + 1), _whole(0, width - w + 1), h, w, filling
        return 0, 0, height, width, img

    def forward(self, img):
        """Perhaps erase a part of one picture."""
        if _chance() >= self.p:
            return img
        value = self.value
        if isinstance(value, str):
            value = None
        elif isinstance(value, (int, float)):
            value = [float(value)]
        if value is not None and len(value) not in (1, F.get_image_num_channels(img)):
            raise ValueError(
                f"If value is a sequence, it should have either a single value or "
                f"{F.get_image_num_channels(img)} (number of input channels), got {len(value)}"
            )
        top, left, h, w, filling = self.get_params(img, self.scale, self.ratio, value)
        return F.erase(img, top, left, h, w, filling, self.inplace)

    def __repr__(self):
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


class RandomApply(Transform):
    """Apply a list of transforms, all or none, with probability p."""

    def __init__(self, transforms, p=0.5):
        self.transforms, self.p = transforms, p

    def forward(self, img):
        """Perhaps transform one picture."""
        if self.p < _chance():
            return img
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self):
        body = "".join(f"\n    {t}" for t in self.transforms)
        return f"{type(self).__name__}(\n    p={self.p}{body}\n)"


class RandomChoice(Compose):
    """Apply one transform of a list, chosen by chance; p: their weights, or None for equal."""

    def __init__(self, transforms, p=None):
        if p is not None and len(p) != len(transforms):
            raise ValueError(f"{len(transforms)} transforms need as many weights, got {len(p)}")
        super().__init__(transforms)
        self.p = p

    def __call__(self, img):
        weights = self.p or [1.0] * len(self.transforms)
        left = _chance() * sum(weights)
        for transform, weight in zip(self.transforms, weights):
            left -= weight
            if left < 0:
                return transform(img)
        return self.transforms[-1](img)


class RandomOrder(Compose):
    """Apply all transforms of a list in random order."""

    def __call__(self, img):
        from flambeau import randperm

        for i in randperm(len(self.transforms)).tolist():
            img = self.transforms[i](img)
        return img
