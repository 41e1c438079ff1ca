"""Datasets: MNIST from disk, damaged IDX files, restricted CIFAR pickles, folders, batches."""

import gzip
import os
import pickle
import struct

import numpy as np
import pytest

from under_test import IS_TORCH, fb, submodule

if IS_TORCH:
    pytest.skip("torchvision is another package", allow_module_level=True)
vision = submodule("vision")
datasets, T = vision.datasets, vision.transforms
DATA = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "data")


def idx(array, code=8):
    head = bytes([0, 0, code, array.ndim]) + b"".join(struct.pack(">I", n) for n in array.shape)
    return head + array.tobytes()


def write_mnist(root, name="MNIST", count=6, compress=False):
    folder = root / name / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for part in ("train", "t10k"):
        pictures = rng.integers(0, 256, (count, 28, 28), np.uint8)
        files = {"images-idx3": idx(pictures), "labels-idx1": idx(np.arange(count, dtype=np.uint8))}
        for kind, data in files.items():
            path = folder / f"{part}-{kind}-ubyte"
            path = path.with_name(path.name + ".gz") if compress else path
            path.write_bytes(gzip.compress(data) if compress else data)


@pytest.fixture(scope="module")
def mnist():
    prepare = T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])
    return datasets.MNIST(DATA, train=False, transform=prepare)


def test_mnist_of_the_repository(mnist):
    assert len(mnist) == 10_000 and mnist.data.shape == (10_000, 28, 28)
    assert mnist.data.dtype == fb.uint8 and mnist.targets.dtype == fb.int64
    assert mnist.targets[:5].tolist() == [7, 2, 1, 0, 4] and mnist.classes[7] == "7 - seven"
    assert mnist.class_to_idx["0 - zero"] == 0 and not mnist.train
    assert repr(mnist).splitlines()[:4] == [
        "Dataset MNIST", "    Number of datapoints: 10000", f"    Root location: {DATA}",
        "    Split: Test",
    ]  # fmt: skip


def test_first_training_digit_is_a_five():
    image = pytest.importorskip("PIL.Image")
    train = datasets.MNIST(DATA)
    picture, label = train[0]
    assert label == 5 and isinstance(picture, image.Image) and picture.size == (28, 28)
    assert len(train) == 60_000 and picture.mode == "L"


@pytest.mark.parametrize("indices", [[5, 3, -1, 5], range(10, 20), fb.tensor([7, 2])])
def test_whole_batches_are_the_same_bits(mnist, indices):
    pytest.importorskip("PIL")
    pictures, labels = mnist.__getitems__(indices).tensors
    single = [mnist[int(i)] for i in indices]
    assert fb.equal(pictures, fb.stack([x for x, _ in single]))
    assert labels.tolist() == [y for _, y in single]


def test_loader_takes_whole_batches_without_pillow(mnist, monkeypatch):
    monkeypatch.setattr(type(mnist), "__getitem__", type(mnist).__getitem__)
    loader = fb.utils.data.DataLoader(mnist, batch_size=64, shuffle=True)
    pictures, labels = next(iter(loader))
    assert pictures.shape == (64, 1, 28, 28) and labels.shape == (64,)
    assert pictures.dtype == fb.float32 and labels.dtype == fb.int64


def test_other_transforms_take_the_slow_path(tmp_path):
    pytest.importorskip("PIL")
    write_mnist(tmp_path)
    for transform in (None, T.Compose([T.CenterCrop(20), T.ToTensor()]), T.Compose([])):
        made = datasets.MNIST(tmp_path, transform=transform).__getitems__([0, 1])
        assert isinstance(made, list) and len(made) == 2 and made[1][1] == 1
    doubled = datasets.MNIST(tmp_path, transform=T.ToTensor(), target_transform=lambda y: 2 * y)
    assert doubled.__getitems__([3])[0][1] == 6


def test_without_pillow_only_pictures_are_missing(tmp_path, monkeypatch):
    import sys

    write_mnist(tmp_path, compress=True)
    monkeypatch.setitem(sys.modules, "PIL", None)
    data = datasets.MNIST(tmp_path, transform=T.ToTensor())
    assert data.__getitems__([0]).tensors[0].shape == (1, 1, 28, 28)
    with pytest.raises(ImportError, match="pip install pillow"):
        data[0]


@pytest.mark.parametrize("name", ["FashionMNIST", "KMNIST"])
def test_relatives(tmp_path, name):
    write_mnist(tmp_path, name)
    assert len(getattr(datasets, name)(tmp_path)) == 6
    with pytest.raises(RuntimeError, match="train-images-idx3-ubyte.gz.*MD5"):
        getattr(datasets, name)(tmp_path / "elsewhere")


def test_emnist(tmp_path):
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    files = {"images-idx3": np.zeros((2, 28, 28), np.uint8), "labels-idx1": np.ones(2, np.uint8)}
    for kind, array in files.items():
        (folder / f"emnist-letters-train-{kind}-ubyte").write_bytes(idx(array))
    data = datasets.EMNIST(tmp_path, split="letters")
    assert len(data) == 2 and data.classes[1] == "a"
    assert len(datasets.EMNIST.classes_split_dict["balanced"]) == 47
    with pytest.raises(ValueError, match="byclass"):
        datasets.EMNIST(tmp_path, split="words")


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))
DAMAGED = {
    "empty": b"", "three bytes": b"\0\0\x08", "magic": b"\1\0\x08\1" + bytes(8),
    "type": b"\0\0\x07\1" + bytes(8), "no dimensions": b"\0\0\x08\0",
    "many": b"\0\0\x08\x09" + bytes(50),
    "cut header": GOOD[:9], "cut data": GOOD[:-1], "too much": GOOD + b"x",
    "huge": b"\0\0\x08\3" + b"\xff" * 12, "cut gzip": gzip.compress(GOOD)[:-9],
    "broken gzip": gzip.compress(GOOD)[:12] + b"garbage garbage",
    "bomb": gzip.compress(b"\0\0\x08\1\0\0\0\4" + bytes(50_000_000)),
    "text": b"<html>not found</html>",
}  # fmt: skip


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED)
def test_damaged_idx_files_are_named(tmp_path, content):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="read_idx: .*train-images-idx3-ubyte"):
        datasets.read_idx(path)


def test_idx_types(tmp_path):
    for code, kind in ((8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        (tmp_path / "x").write_bytes(idx(np.arange(4).astype(kind).reshape(2, 2), code))
        assert datasets.read_idx(tmp_path / "x").tolist() == [[0, 1], [2, 3]]


def test_wrong_kinds_of_idx_files(tmp_path):
    write_mnist(tmp_path)
    path = tmp_path / "MNIST" / "raw" / "train-labels-idx1-ubyte"
    path.write_bytes(idx(np.arange(5, dtype=np.uint8)))
    with pytest.raises(ValueError, match="6 pictures.*5 labels"):
        datasets.MNIST(tmp_path)
    path.write_bytes(idx(np.zeros((6, 1), np.uint8)))
    with pytest.raises(ValueError, match="list of uint8 labels"):
        datasets.MNIST(tmp_path)


class TinyCIFAR(datasets.CIFAR10):
    train_list = [["data_batch_1", None], ["data_batch_2", None]]
    test_list = [["test_batch", None]]
    meta = {"filename": "batches.meta", "key": "label_names", "md5": None}


def write_cifar(root, batch=None):
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        data = rng.integers(0, 256, (4, 3072), np.uint8)
        entry = {"data": data, "labels": [0, 1, 1, 0]} if batch is None else batch
        (folder / name).write_bytes(pickle.dumps(entry, 2))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": ["a", "b"]}, 2))


def test_cifar(tmp_path):
    pytest.importorskip("PIL")
    write_cifar(tmp_path)
    data = TinyCIFAR(
        tmp_path, transform=T.Compose([T.ToTensor(), T.Normalize([0.5] * 3, [0.2] * 3)])
    )
    assert data.data.shape == (8, 32, 32, 3) and data.targets == [0, 1, 1, 0] * 2
    assert data.classes == ["a", "b"] and data.class_to_idx == {"a": 0, "b": 1}
    pictures, labels = data.__getitems__([6, 1]).tensors
    assert fb.equal(pictures, fb.stack([data[6][0], data[1][0]])) and labels.tolist() == [1, 1]
    assert TinyCIFAR(tmp_path, train=False)[0][0].size == (32, 32)


class Evil:
    def __reduce__(self):
        return os.system, ("echo this must never run",)


@pytest.mark.parametrize("batch", [{"data": Evil()}, Evil(), {"data": [1], "labels": [1]}, [1],
                                   {"data": np.zeros((2, 3072), np.uint8), "labels": [1]},
                                   {"data": np.array([None, 1], object), "labels": [1, 2]},
                                   ])  # fmt: skip
def test_cifar_pickles_hold_arrays_and_nothing_else(tmp_path, batch, monkeypatch):
    ran = []
    write_cifar(tmp_path, batch)
    monkeypatch.setattr(os, "system", ran.append)
    with pytest.raises(ValueError, match="data_batch_1"):
        TinyCIFAR(tmp_path)
    assert not ran


def test_cifar_that_is_not_there(tmp_path):
    with pytest.raises(RuntimeError, match="data_batch_1.*MD5 c99cafc152244af753f735de768cd75f"):
        datasets.CIFAR10(tmp_path)
    write_cifar(tmp_path)
    with pytest.raises(RuntimeError, match="not found"):
        datasets.CIFAR10(tmp_path)  # present, but not the right bytes


def test_image_folder(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for name, count in (("cat", 2), ("ant", 1)):
        (tmp_path / name).mkdir()
        for i in range(count):
            image.new("RGB", (4, 3), (i, 2, 3)).save(tmp_path / name / f"{i}.png")
        (tmp_path / name / "notes.txt").write_text("no picture")
    data = datasets.ImageFolder(tmp_path, transform=T.PILToTensor())
    assert data.classes == ["ant", "cat"] and data.targets == [0, 1, 1]
    assert data[2][0].shape == (3, 3, 4) and data[2][0][:, 0, 0].tolist() == [1, 2, 3]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty"):
        datasets.ImageFolder(tmp_path)
    assert len(datasets.ImageFolder(tmp_path, allow_empty=True)) == 3
    with pytest.raises(FileNotFoundError, match="class folder"):
        datasets.ImageFolder(tmp_path / "cat")


def test_fake_data():
    pytest.importorskip("PIL")
    data = datasets.FakeData(5, (1, 6, 6), 3, transform=T.ToTensor())
    assert fb.equal(data[2][0], data[2][0]) and not fb.equal(data[2][0], data[3][0])
    assert len(data) == 5 and 0 <= data[1][1] < 3
    with pytest.raises(IndexError):
        data[5]
