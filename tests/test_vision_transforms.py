"""Transforms and picture utilities, against numbers worked out by hand, NumPy and Pillow."""

import io

import numpy as np
import pytest

from under_test import IS_TORCH, fb, submodule

if IS_TORCH:
    pytest.skip("torchvision is another package", allow_module_level=True)
Image = pytest.importorskip("PIL.Image")
vision = submodule("vision")
T, utils = vision.transforms, vision.utils
F = T.functional


@pytest.fixture
def array(rng):
    return rng.integers(0, 256, (9, 12, 3), np.uint8)


@pytest.fixture
def pil(array):
    return Image.fromarray(array)


@pytest.fixture
def tensor(array):
    return fb.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def close(x, y, tolerance=0):
    """A PIL image and a tensor, or two tensors, hold the same numbers."""
    x, y = (F.pil_to_tensor(v) if isinstance(v, Image.Image) else v for v in (x, y))
    assert x.shape == y.shape
    assert (x.double() - y.double()).abs().max().item() <= tolerance


def test_to_tensor(pil, tensor, array):
    made = T.ToTensor()(pil)
    assert made.dtype == fb.float32 and fb.equal(made, tensor.to(fb.float32) / 255)
    assert fb.equal(F.to_tensor(array), made) and fb.equal(T.PILToTensor()(pil), tensor)
    assert F.to_tensor(array.astype(np.float64)).dtype == fb.float64
    assert F.to_tensor(Image.fromarray(array[:, :, 0])).shape == (1, 9, 12)
    with pytest.raises(TypeError, match="PIL Image or ndarray"):
        F.to_tensor(tensor)


def test_to_pil_image(pil, tensor):
    close(T.ToPILImage()(tensor), pil)
    close(T.ToPILImage()(F.to_tensor(pil)), pil)
    assert F.to_pil_image(tensor[:1]).mode == "L" and F.to_pil_image(tensor[0]).mode == "L"
    assert F.to_pil_image(fb.zeros(1, 2, 2), mode="F").mode == "F"
    with pytest.raises(ValueError, match="2/3 dimensional"):
        F.to_pil_image(fb.zeros(2))


def test_convert_image_dtype():
    x = fb.tensor([0.0, 0.5, 1.0])
    assert F.convert_image_dtype(x, fb.uint8).tolist() == [0, 127, 255]
    assert F.convert_image_dtype(fb.tensor([0, 255], dtype=fb.uint8)).tolist() == [0, 1]
    assert F.convert_image_dtype(fb.tensor([255], dtype=fb.uint8), fb.int16).tolist() == [32640]
    with pytest.raises(RuntimeError, match="safely"):
        F.convert_image_dtype(x, fb.int64)


def test_normalize():
    x = fb.rand(3, 4, 5)
    want = (x.numpy() - np.float32(0.5)) / np.array([0.1, 0.2, 0.3], np.float32)[:, None, None]
    made = T.Normalize([0.5] * 3, [0.1, 0.2, 0.3])(x)
    np.testing.assert_array_equal(made.numpy(), want)
    with pytest.raises(TypeError, match="float tensor"):
        F.normalize(fb.zeros(3, 4, 5, dtype=fb.uint8), [0], [1])
    with pytest.raises(ValueError, match="zero"):
        F.normalize(x, [0] * 3, [1, 0, 1])


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.hflip(x),
        lambda x: F.vflip(x),
        lambda x: F.crop(x, 2, 3, 5, 4),
        lambda x: F.crop(x, -2, -3, 8, 9),
        lambda x: F.crop(x, 5, 6, 9, 9),
        lambda x: F.center_crop(x, 5),
        lambda x: F.center_crop(x, (4, 20)),
        lambda x: F.pad(x, 2),
        lambda x: F.pad(x, (1, 2), fill=9),
        lambda x: F.pad(x, (1, 2, 3, 0), padding_mode="edge"),
        lambda x: F.pad(x, 2, padding_mode="reflect"),
        lambda x: F.pad(x, 2, padding_mode="symmetric"),
        lambda x: F.resize(x, 6, T.InterpolationMode.NEAREST_EXACT),
    ],
)
def test_pixels_move_alike_in_pil_images_and_tensors(pil, tensor, call):
    close(call(pil), call(tensor))


@pytest.mark.parametrize(
    "call,tolerance",
    [
        (lambda x: F.resize(x, 5), 1),
        (lambda x: F.resize(x, (20, 7)), 1),
        (lambda x: F.resize(x, 6, T.InterpolationMode.BICUBIC), 1),
        (lambda x: F.resized_crop(x, 1, 2, 5, 6, 4), 1),
        (lambda x: F.rgb_to_grayscale(x), 1),
        (lambda x: F.rgb_to_grayscale(x, 3), 1),
        (lambda x: F.adjust_brightness(x, 1.4), 1),
        (lambda x: F.adjust_contrast(x, 0.4), 1),
        (lambda x: F.adjust_saturation(x, 1.7), 2),
        (lambda x: F.adjust_hue(x, 0.2), 9),
    ],
)
def test_values_change_alike_in_pil_images_and_tensors(pil, tensor, call, tolerance):
    close(call(pil), call(tensor), tolerance)


def test_resize_sizes(pil):
    assert F.resize(pil, 6).size == (8, 6) and F.resize(pil, 6, max_size=7).size == (7, 5)
    assert F.resize(fb.zeros(2, 3, 12, 9), 3).shape == (2, 3, 4, 3)
    with pytest.raises(ValueError, match="max_size"):
        F.resize(pil, (3, 4), max_size=9)
    with pytest.raises(ValueError, match="LANCZOS|lanczos"):
        F.resize(fb.zeros(1, 4, 4), 2, T.InterpolationMode.LANCZOS)


def test_resize_keeps_a_plane_and_a_slope():
    assert (F.resize(fb.full((1, 7, 9), 3.0), (5, 20)) - 3).abs().max() < 1e-6
    slope = fb.arange(16.0).expand(1, 4, 16)
    want = (fb.arange(8.0) * 2 + 0.5)[1:-1]
    assert (F.resize(slope, (4, 8))[0, 0, 1:-1] - want).abs().max() < 1e-5


RANDOM = [
    T.RandomCrop(6), T.RandomCrop(6, padding=2), T.RandomCrop(14, pad_if_needed=True),
    T.RandomHorizontalFlip(),
    T.RandomVerticalFlip(), T.RandomResizedCrop(5), T.ColorJitter(0.4, 0.4, 0.4, 0.1),
    T.RandomGrayscale(0.5),
    T.RandomApply([T.CenterCrop(4)]), T.RandomChoice([T.CenterCrop(4), T.Pad(1)]),
    T.RandomOrder([T.CenterCrop(4), T.Pad(1)]),
]  # fmt: skip


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
def test_random_transforms_repeat_with_the_seed(pil, tensor, transform):
    for img in (pil, tensor):
        made = []
        for seed in (0, 0, *range(1, 9)):
            fb.manual_seed(seed)
            out = transform(img)
            made.append(np.asarray(out) if isinstance(out, Image.Image) else out.numpy())
        assert made[0].shape == made[1].shape and (made[0] == made[1]).all()
        assert any(m.shape != made[0].shape or (m != made[0]).any() for m in made)


def test_random_erasing():
    x = fb.ones(3, 20, 20)
    made = T.RandomErasing(p=1)(x)
    share = (made == 0).double().mean().item()
    assert 0.01 < share < 0.4 and (x == 1).all()
    assert T.RandomErasing(p=0)(x) is x
    colours = T.RandomErasing(p=1, value=(0.1, 0.2, 0.3))(x)
    assert (colours[1] - 1).abs().max().item() == pytest.approx(0.8)
    with pytest.raises(ValueError, match="number of input channels"):
        T.RandomErasing(p=1, value=(1, 2))(x)


def test_rotation(pil):
    close(F.rotate(pil, 90, expand=True), pil.rotate(90, expand=True))
    assert T.RandomRotation(10)(pil).size == pil.size
    with pytest.raises(NotImplementedError, match="before ToTensor"):
        F.rotate(fb.zeros(1, 4, 4), 10)


def test_crops_that_do_not_fit(pil):
    with pytest.raises(ValueError, match="larger than input"):
        T.RandomCrop(40)(pil)
    with pytest.raises(TypeError, match="PIL Image or Tensor"):
        F.hflip("picture")


def test_texts():
    t = T.Compose([T.Resize(8), T.ToTensor(), T.Normalize((0.5,), (0.2,))])
    assert repr(t) == (
        "Compose(\n    Resize(size=8, interpolation=bilinear, max_size=None, antialias=True)\n"
        "    ToTensor()\n    Normalize(mean=(0.5,), std=(0.2,))\n)"
    )


def test_make_grid():
    x = fb.arange(5.0).view(5, 1, 1, 1).expand(5, 1, 2, 3)
    grid = utils.make_grid(x, nrow=3, padding=1, pad_value=9.0)
    assert grid.shape == (3, 2 * 3 + 1, 3 * 4 + 1) and grid[0, 0, 0] == 9
    assert grid[0, 1, 1] == 0 and grid[0, 1, 5] == 1 and grid[2, 4, 1] == 3 and grid[0, 4, 9] == 9
    scaled = utils.make_grid(x, normalize=True)
    assert scaled.max() == 1 and x.max() == 4
    with pytest.raises(TypeError, match="list of tensors"):
        utils.make_grid("x")


def test_save_image(tmp_path, monkeypatch):
    x = fb.rand(3, 5, 6)
    utils.save_image(x, tmp_path / "x.png")
    want = (x * 255 + 0.5).clamp(0, 255).to(fb.uint8)
    close(Image.open(tmp_path / "x.png"), want)
    f = io.BytesIO()
    utils.save_image([x, x], f, format="jpeg")
    assert Image.open(f).format == "JPEG"
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    utils.save_image(x, tmp_path / "y.png")
    with pytest.raises(ImportError, match="pillow"):
        utils.save_image(x, tmp_path / "y.jpg")
