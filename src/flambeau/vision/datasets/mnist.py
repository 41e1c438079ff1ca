"""MNIST and its relatives: IDX files, looked for on disk, else fetched from mirrors."""

from __future__ import annotations

import os
import string
import warnings

from .._pillow import pillow
from ._base import BatchedPictures
from ._download import DownloadError, download_file, not_found
from .idx import read_idx

_DIGITS = "zero one two three four five six seven eight nine".split()


def _renamed(old, new):
    def getter(self):
        warnings.warn(f"{old} has been renamed {new}", stacklevel=2)
        return getattr(self, new)

    return property(getter)


class MNIST(BatchedPictures):
    """Handwritten digits: 60,000 for training, 10,000 for tests, 28 x 28, grey.

    root: folder that holds MNIST/raw/ with the four files, plain or .gz; train: which part;
    transform, target_transform: functions of the PIL picture and of the label; download:
    fetch what is missing. `data` is uint8 [N, 28, 28], `targets` is int64 [N].

    Raises RuntimeError when the files are not there, ValueError when they are damaged.
    Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits".
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [f"{i} - {name}" for i, name in enumerate(_DIGITS)]
    train_labels = _renamed("train_labels", "targets")
    test_labels = _renamed("test_labels", "targets")
    train_data = _renamed("train_data", "data")
    test_data = _renamed("test_data", "data")

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise not_found(type(self).__name__, self.raw_folder, self._wanted())
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self):
        """Folder of the IDX files."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def processed_folder(self):
        """Folder that old versions of torchvision wrote to; not used here."""
        return os.path.join(self.root, type(self).__name__, "processed")

    @property
    def class_to_idx(self):
        """Return {class name: label}."""
        return {name: i for i, name in enumerate(self.classes)}

    def _wanted(self):
        return self.resources

    def _path(self, name):
        """Return the path of a file, plain or gzip, or None when it is not there."""
        name = name.removesuffix(".gz")
        for candidate in (name, name + ".gz"):
            path = os.path.join(self.raw_folder, candidate)
            if os.path.isfile(path):
                return path
        return None

    def _check_exists(self):
        return all(self._path(name) for name, _ in self._wanted())

    def download(self):
        """Fetch the files that are missing; does nothing, and no network, when all are there."""
        for name, md5 in self._wanted():
            if self._path(name):
                continue
            path = os.path.join(self.raw_folder, name)
            try:
                download_file([mirror + name for mirror in self.mirrors], path, md5)
            except DownloadError as fault:
                wanted = self._wanted()
                raise not_found(type(self).__name__, self.raw_folder, wanted, fault) from None

    def _part(self):
        return "train" if self.train else "t10k"

    def _load_data(self):
        images = self._path(f"{self._part()}-images-idx3-ubyte")
        return self._pair(images, self._path(f"{self._part()}-labels-idx1-ubyte"))

    def _pair(self, images, labels):
        """Read and check pictures and labels."""
        from flambeau import uint8

        data, targets = read_idx(images), read_idx(labels)
        if data.dtype != uint8 or data.dim() != 3:
            raise ValueError(f"{images}: expected uint8 pictures, got {_what(data)}")
        if targets.dtype != uint8 or targets.dim() != 1:
            raise ValueError(f"{labels}: expected a list of uint8 labels, got {_what(targets)}")
        if len(data) != len(targets):
            raise ValueError(f"{images} has {len(data)} pictures, {labels} {len(targets)} labels")
        return data, targets.long()

    def _stored(self):
        return self.data, self.targets

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        """Return (PIL picture or what the transform makes of it, label as int)."""
        image = pillow(f"{type(self).__name__}[{index}]")
        picture, target = image.fromarray(self.data[index].numpy()), int(self.targets[index])
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def extra_repr(self):
        """Say which part it is."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


def _what(t):
    return f"{t.dtype} of shape {tuple(t.shape)}"


class FashionMNIST(MNIST):
    """Articles of clothing in the format of MNIST; arguments as there.

    Source: Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset" (2017).
    """

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
        *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
    ]


class KMNIST(MNIST):
    """Ten cursive Japanese characters in the format of MNIST; arguments as there.

    Source: Clanuwat et al., "Deep Learning for Classical Japanese Literature" (2018).
    """

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class EMNIST(MNIST):
    """Handwritten letters and digits in six splits, in the format of MNIST.

    split: "byclass", "bymerge", "balanced", "letters", "digits" or "mnist"; the other
    arguments are those of MNIST. Pictures are stored transposed, as in the source.
    Source: Cohen et al., "EMNIST: an extension of MNIST to handwritten letters" (2017).
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    # Letters whose upper and lower case look alike share a class in the merged splits.
    _merged = sorted(set(string.digits + string.ascii_letters) - set("cijklmopsuvwxyz"))
    classes_split_dict = {
        "byclass": sorted(string.digits + string.ascii_letters),
        "bymerge": _merged,
        "balanced": _merged,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root, split, **kwargs):
        if split not in self.splits:
            raise ValueError(f"Unknown value '{split}' for argument split; use {self.splits}")
        self.split = split
        self.classes = self.classes_split_dict[split]
        super().__init__(root, **kwargs)

    def _part(self):
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def _wanted(self):
        kinds = ("images-idx3", "labels-idx1")
        return [(f"{self._part()}-{kind}-ubyte.gz", None) for kind in kinds]

    def download(self):
        """Fetch the archive of all splits (535 MB) and unpack the files of IDX data."""
        if self._check_exists():
            return
        path = os.path.join(self.raw_folder, "gzip.zip")
        try:
            download_file([self.url], path, self.md5)
        except DownloadError as fault:
            raise not_found("EMNIST", self.raw_folder, self._wanted(), fault) from None
        self._unpack(path)

    def _unpack(self, path):
        import shutil
        import zipfile

        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                plain = os.path.basename(name)
                if not (plain.startswith("emnist-") and plain.endswith("-ubyte.gz")):
                    continue
                target = os.path.join(self.raw_folder, plain)
                with archive.open(name) as source, open(target + ".part", "wb") as out:
                    shutil.copyfileobj(source, out)
                os.replace(target + ".part", target)
