"""CIFAR-10 and CIFAR-100: pickled arrays, read by an unpickler that can make nothing else."""

from __future__ import annotations

import os
import pickle

from flambeau._unpickle import SafeUnpickler

from .._pillow import pillow
from ._base import BatchedPictures
from ._download import DownloadError, check_integrity, download_file, not_found


class _ArrayUnpickler(SafeUnpickler):
    """Makes dicts, lists, text and NumPy arrays of plain numbers."""

    def __init__(self, data, label):
        import numpy as np

        from flambeau import _rebuild
        from flambeau._unpickle import _Call

        super().__init__(data, label, None)
        self.encoding = "latin1"  # the files were written by Python 2
        self.arrays = np.ndarray, np.dtype
        self.known = {"_codecs.encode": _Call(_rebuild.make_bytes), "numpy.ndarray": np.ndarray}
        self.known["numpy.dtype"] = _Call(self._dtype)
        for module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            self.known[f"{module}._reconstruct"] = _Call(lambda *_: np.empty(0, np.uint8))

    @staticmethod
    def _dtype(code, *_):
        import numpy as np

        made = np.dtype(code)
        if made.kind not in "biuf":
            raise ValueError(f"an array of {made} has no place here")
        return made

    def _trusted(self, thing):
        return False

    def load_build(self):
        """Give arrays their content and dtypes their byte order."""
        if not isinstance(self.stack[-2], self.arrays):
            self._refuse("change", self.stack[-2])
        pickle._Unpickler.dispatch[pickle.BUILD[0]](self)

    dispatch = {**SafeUnpickler.dispatch, pickle.BUILD[0]: load_build}


def read_pickled_arrays(path):
    """Return the dict of a CIFAR file; nothing in it is ever executed.

    Raises ValueError that names the file when it holds anything but plain arrays.
    """
    with open(path, "rb") as f:
        data = f.read()
    try:
        entry = _ArrayUnpickler(data, os.fspath(path)).load()
    except pickle.UnpicklingError as fault:
        raise ValueError(f"{path} is not a file of CIFAR data: {fault}") from None
    if not isinstance(entry, dict):
        raise ValueError(f"{path} is not a file of CIFAR data: it holds {type(entry).__name__}")
    return entry


class CIFAR10(BatchedPictures):
    """Ten kinds of colour pictures: 50,000 for training, 10,000 for tests, 32 x 32.

    root: folder that holds cifar-10-batches-py/; train: which part; transform,
    target_transform: functions of the PIL picture and of the label; download: fetch what is
    missing. `data` is a NumPy array uint8 [N, 32, 32, 3], `targets` a list of int.

    Raises RuntimeError when the files are not there or not intact.
    Source: Krizhevsky, "Learning Multiple Layers of Features from Tiny Images" (2009).
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

    def __init__(self, root, train=True, transform=None, target_transform=None, download=False):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_integrity():
            raise self._missing()
        self._load_data()
        self._load_meta()

    def _path(self, name):
        return os.path.join(self.root, self.base_folder, name)

    def _wanted(self):
        meta = [self.meta["filename"], self.meta["md5"]]
        return [tuple(entry) for entry in (*self.train_list, *self.test_list, meta)]

    def _missing(self, faults=None):
        folder = os.path.join(self.root, self.base_folder)
        return not_found(type(self).__name__, folder, self._wanted(), faults)

    def _check_integrity(self):
        return all(check_integrity(self._path(name), md5) for name, md5 in self._wanted())

    def _load_data(self):
        import numpy as np

        pieces, self.targets = [], []
        for name, _ in self.train_list if self.train else self.test_list:
            entry = read_pickled_arrays(self._path(name))
            data, labels = entry.get("data"), entry.get("labels", entry.get("fine_labels"))
            if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.ndim != 2:
                raise ValueError(f"{self._path(name)} has no uint8 array of pictures")
            if data.shape[1] != 3072 or not isinstance(labels, list) or len(labels) != len(data):
                raise ValueError(f"{self._path(name)} has pictures and labels that do not match")
            pieces.append(data)
            self.targets.extend(int(label) for label in labels)
        planes = np.concatenate(pieces).reshape(-1, 3, 32, 32)
        self.data = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))

    def _load_meta(self):
        names = read_pickled_arrays(self._path(self.meta["filename"])).get(self.meta["key"])
        if not isinstance(names, list):
            raise ValueError(f"{self._path(self.meta['filename'])} has no class names")
        self.classes = names
        self.class_to_idx = {name: i for i, name in enumerate(names)}

    def download(self):
        """Fetch and unpack the archive; does nothing when all files are there and intact."""
        if self._check_integrity():
            return
        archive = os.path.join(self.root, self.filename)
        if not check_integrity(archive, self.tgz_md5):
            try:
                download_file([self.url], archive, self.tgz_md5)
            except DownloadError as fault:
                raise self._missing(fault) from None
        self._unpack(archive)

    def _unpack(self, archive):
        """Take out the expected files only, whatever else the archive may hold."""
        import shutil
        import tarfile

        os.makedirs(os.path.join(self.root, self.base_folder), exist_ok=True)
        wanted = {f"{self.base_folder}/{name}": name for name, _ in self._wanted()}
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                name = wanted.get(member.name)
                if name is None or not member.isfile():
                    continue
                target = self._path(name)
                with tar.extractfile(member) as source, open(target + ".part", "wb") as out:
                    shutil.copyfileobj(source, out)
                os.replace(target + ".part", target)

    def _stored(self):
        from flambeau import from_numpy, tensor

        kept = self.__dict__.get("_tensors")
        # .data and .targets are the user's to replace; look again when they were.
        if kept is None or kept[0] is not self.data or kept[1] is not self.targets:
            kept = self.data, self.targets, from_numpy(self.data), tensor(self.targets)
            self._tensors = kept
        return kept[2], kept[3]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        """Return (PIL picture or what the transform makes of it, label as int)."""
        image = pillow(f"{type(self).__name__}[{index}]")
        picture, target = image.fromarray(self.data[index]), self.targets[index]
        if self.transform is not None:
            picture = self.transform(picture)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return picture, target

    def extra_repr(self):
        """Say which part it is."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """A hundred kinds of colour pictures; arguments and attributes as in CIFAR10."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
