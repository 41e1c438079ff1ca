"""Functions that change values: conversions, normalisation, colours."""

from __future__ import annotations

from .._pillow import is_pil, pillow
from ._geometry import get_dimensions, require_picture


def to_tensor(pic):
    """Turn a PIL image or an array [H, W(, C)] into a tensor [C, H, W]; uint8 becomes 0 .. 1.

    >>> import flambeau as fb, numpy as np
    >>> picture = np.full((1, 1, 3), 255, np.uint8)
    >>> fb.vision.transforms.functional.to_tensor(picture).shape == (3, 1, 1)
    True
    """
    import numpy as np

    from flambeau import from_numpy, get_default_dtype, uint8

    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        planes = pic[:, :, None] if pic.ndim == 2 else pic
        made = from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))
    elif is_pil(pic):
        made = pil_to_tensor(pic)
        if pic.mode == "1":
            made = made * 255
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    return made.to(get_default_dtype()).div(255) if made.dtype == uint8 else made


def pil_to_tensor(pic):
    """Turn a PIL image into a tensor [C, H, W] with the same numbers (uint8 for most modes)."""
    import numpy as np

    from flambeau import from_numpy

    if not is_pil(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    values = np.array(pic)
    if values.dtype == np.bool_:
        values = values.astype(np.uint8)
    values = values.reshape(pic.height, pic.width, len(pic.getbands()))
    return from_numpy(np.ascontiguousarray(values.transpose(2, 0, 1)))


_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}


def to_pil_image(pic, mode=None):
    """Turn a tensor [C, H, W] or [H, W], or an array [H, W(, C)], into a PIL image.

    Floating-point tensors hold 0 .. 1 and are multiplied by 255 unless mode is "F".
    Raises TypeError for other things, ValueError for other shapes.
    """
    import numpy as np

    from flambeau import Tensor

    image = pillow("to_pil_image")
    if isinstance(pic, Tensor):
        if pic.dim() not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.dim()} dimensions.")
        if pic.dtype.is_floating_point and mode != "F":
            from flambeau import uint8

            pic = pic.mul(255).to(uint8)
        planes = pic.detach().cpu().numpy()
        values = planes[:, :, None] if pic.dim() == 2 else planes.transpose(1, 2, 0)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        values = pic[:, :, None] if pic.ndim == 2 else pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    channels = values.shape[2]
    if channels not in _MODES:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if channels > 1 and values.dtype != np.uint8:
        raise TypeError(f"Input type {values.dtype} is not supported for {channels} channels")
    made = image.fromarray(np.ascontiguousarray(values[:, :, 0] if channels == 1 else values))
    if mode is None or mode == made.mode:
        return made
    # The same bytes read as another mode with as many channels, such as YCbCr or HSV.
    if image.getmodebands(mode) != channels:
        raise ValueError(f"mode {mode!r} does not have {channels} channels")
    if channels == 1:
        return made.convert(mode)
    return image.frombytes(mode, made.size, made.tobytes())


def _max_value(dtype):
    from flambeau import iinfo

    return 1 if dtype.is_floating_point else iinfo(dtype).max


def convert_image_dtype(image, dtype=None):
    """Convert a tensor and scale its values: floats span 0 .. 1, integers 0 .. their maximum.

    dtype: default float32. Raises RuntimeError where the numbers would not survive.
    """
    from flambeau import Tensor, float32, float64, int32, int64

    dtype = float32 if dtype is None else dtype
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    if image.dtype == dtype:
        return image
    if dtype.is_floating_point:
        made = image.to(dtype)
        return made if image.dtype.is_floating_point else made / _max_value(image.dtype)
    if image.dtype.is_floating_point:
        lossy = image.dtype == float32 and dtype in (int32, int64)
        if lossy or (image.dtype == float64 and dtype == int64):
            raise RuntimeError(
                f"The cast from {image.dtype} to {dtype} cannot be performed safely."
            )
        # Just below max + 1, so that 1.0 becomes the maximum and each value gets equal width.
        return image.mul(_max_value(dtype) + 1.0 - 1e-3).to(dtype)
    old, new = _max_value(image.dtype), _max_value(dtype)
    if old > new:
        return image.div((old + 1) // (new + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((new + 1) // (old + 1))


def normalize(tensor, mean, std, inplace=False):
    """Return (tensor - mean) / std with a value of mean and std for each channel.

    tensor: float [..., C, H, W]. Raises TypeError for integers, ValueError for std 0.

    >>> import flambeau as fb
    >>> fb.vision.transforms.functional.normalize(fb.ones(1, 1, 2), (0.5,), (0.5,))
    tensor([[[1., 1.]]])
    """
    from flambeau import Tensor, as_tensor

    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.dtype.is_floating_point:
        raise TypeError(
            f"Input tensor should be a float tensor. Got {tensor.dtype}; use ToTensor or "
            f"ConvertImageDtype first"
        )
    if tensor.dim() < 3:
        raise ValueError(
            f"Expected tensor to be a tensor image of size (..., C, H, W). Got tensor.size() = "
            f"{tuple(tensor.shape)}"
        )
    tensor = tensor if inplace else tensor.clone()
    mean = as_tensor(mean, dtype=tensor.dtype, device=tensor.device)
    std = as_tensor(std, dtype=tensor.dtype, device=tensor.device)
    if (std == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, leading to division by "
            f"zero: {std.tolist()}"
        )
    mean = mean.view(-1, 1, 1) if mean.dim() == 1 else mean
    std = std.view(-1, 1, 1) if std.dim() == 1 else std
    return tensor.sub_(mean).div_(std)


def rgb_to_grayscale(img, num_output_channels=1):
    """Turn colours into grey with 1 or 3 equal channels (weights of ITU-R BT.601)."""
    require_picture(img, "rgb_to_grayscale")
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if is_pil(img):
        grey = img.convert("L")
        if num_output_channels == 1:
            return grey
        return pillow("rgb_to_grayscale").merge("RGB", (grey, grey, grey))
    if img.dim() < 3 or img.shape[-3] not in (1, 3):
        raise TypeError(f"Input image tensor permitted channel values are 1 or 3: {img.shape}")
    if img.shape[-3] == 3:
        r, g, b = img.unbind(-3)
        img = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(-3)
    else:
        img = img.clone()
    return img.expand(*img.shape[:-3], 3, *img.shape[-2:]) if num_output_channels == 3 else img


to_grayscale = rgb_to_grayscale


def _blend(first, second, ratio):
    bound = _max_value(first.dtype)
    return (ratio * first + (1.0 - ratio) * second).clamp(0, bound).to(first.dtype)


def _enhance(img, kind, factor):
    from PIL import ImageEnhance

    return getattr(ImageEnhance, kind)(img).enhance(factor)


def _check_factor(factor, name):
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def adjust_brightness(img, brightness_factor):
    """Multiply the brightness: 0 is black, 1 the picture as it is."""
    require_picture(img, "adjust_brightness")
    _check_factor(brightness_factor, "brightness_factor")
    if is_pil(img):
        return _enhance(img, "Brightness", brightness_factor)
    return _blend(img, 0.0, brightness_factor)


def adjust_contrast(img, contrast_factor):
    """Stretch values away from the mean grey: 0 is plain grey, 1 the picture as it is."""
    from flambeau import float32

    require_picture(img, "adjust_contrast")
    _check_factor(contrast_factor, "contrast_factor")
    if is_pil(img):
        return _enhance(img, "Contrast", contrast_factor)
    grey = rgb_to_grayscale(img)
    grey = grey if grey.dtype.is_floating_point else grey.to(float32)
    return _blend(img, grey.mean((-3, -2, -1), keepdim=True), contrast_factor)


def adjust_saturation(img, saturation_factor):
    """Stretch colours away from grey: 0 is grey, 1 the picture as it is."""
    require_picture(img, "adjust_saturation")
    _check_factor(saturation_factor, "saturation_factor")
    if is_pil(img):
        return _enhance(img, "Color", saturation_factor)
    if get_dimensions(img)[0] == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), saturation_factor)


def adjust_hue(img, hue_factor):
    """Turn the colour circle by hue_factor of it, -0.5 to 0.5."""
    require_picture(img, "adjust_hue")
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    if is_pil(img):
        if img.mode in ("L", "1", "I", "F"):
            return img
        hue, saturation, value = img.convert("HSV").split()
        hue = hue.point([(i + int(hue_factor * 255)) % 256 for i in range(256)])
        merged = pillow("adjust_hue").merge("HSV", (hue, saturation, value))
        return merged.convert(img.mode)
    if get_dimensions(img)[0] == 1:
        return img
    from flambeau import float32

    work = img if img.dtype.is_floating_point else convert_image_dtype(img, float32)
    return convert_image_dtype(_turn_hue(work, hue_factor), img.dtype)


def _turn_hue(rgb, turn):
    """Rotate the hue of float colours 0 .. 1 (hexcone model of Smith, 1978)."""
    from flambeau import stack, where

    r, g, b = rgb.unbind(-3)
    top, low = rgb.amax(-3), rgb.amin(-3)
    chroma = top - low
    safe = where(chroma == 0, chroma + 1, chroma)
    hue = where(top == r, (g - b) / safe, where(top == g, 2 + (b - r) / safe, 4 + (r - g) / safe))
    hue = ((hue / 6 + turn) % 1.0) * 6
    # Each channel falls off linearly from the top, at its own distance on the hexagon.
    channels = []
    for shift in (5.0, 3.0, 1.0):
        k = (hue + shift) % 6.0
        channels.append(top - chroma * k.minimum(4 - k).clamp(0, 1))
    return stack(channels, -3)
