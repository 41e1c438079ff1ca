"""Datasets of files in folders: one folder a class."""

from __future__ import annotations

import os

from .._pillow import pillow
from ._base import VisionDataset

IMG_EXTENSIONS = (
    *(".jpg", ".jpeg", ".png", ".ppm", ".bmp"),
    *(".pgm", ".tif", ".tiff", ".webp"),
)


def has_file_allowed_extension(filename, extensions):
    """True when the name ends in one of the extensions, in upper or lower case."""
    return filename.lower().endswith(
        extensions if isinstance(extensions, str) else tuple(extensions)
    )


def is_image_file(filename):
    """True when the name ends like a picture's.

    >>> import flambeau as fb
    >>> fb.vision.datasets.folder.is_image_file("cat.PNG")
    True
    """
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory):
    """Return (sorted names of the subfolders, {name: index}).

    Raises FileNotFoundError when there is none.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: i for i, name in enumerate(classes)}


def make_dataset(
    directory, class_to_idx=None, extensions=None, is_valid_file=None, allow_empty=False
):
    """Return the sorted list of (path, class index) of the files that count.

    Exactly one of extensions (names) and is_valid_file (function of a path) says which do.
    Raises FileNotFoundError for classes without a file unless allow_empty.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )

    def counts(path):
        if is_valid_file is not None:
            return is_valid_file(path)
        return has_file_allowed_extension(path, extensions)

    samples, empty = [], []
    for name in sorted(class_to_idx):
        found = []
        for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True)):
            paths = (os.path.join(folder, file) for file in sorted(files))
            found += [(path, class_to_idx[name]) for path in paths if counts(path)]
        samples += found
        if not found:
            empty.append(name)
    if empty and not allow_empty:
        kinds = extensions if isinstance(extensions, str) else ", ".join(extensions or ())
        hint = f" Supported extensions are: {kinds}" if extensions is not None else ""
        raise FileNotFoundError(
            f"Found no valid file for the classes {', '.join(sorted(empty))}.{hint}"
        )
    return samples


class DatasetFolder(VisionDataset):
    """Files of any kind under root/class/.../file.

    loader: function of a path; extensions or is_valid_file: which files count; the other
    arguments are those of VisionDataset. Has classes, class_to_idx, samples and targets.
    """

    def __init__(self, root, loader, extensions=None, transform=None, target_transform=None,
                 is_valid_file=None, allow_empty=False):  # fmt: skip
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.loader, self.extensions = loader, extensions
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root, self.class_to_idx, extensions, is_valid_file, allow_empty
        )
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory, class_to_idx, extensions=None, is_valid_file=None, allow_empty=False
    ):
        """Return the list of samples; see the function of this name."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory):
        """Return (class names, {name: index}); override to arrange classes differently."""
        return find_classes(directory)

    def __getitem__(self, index):
        """Return (what the loader and the transform make of a file, class index)."""
        path, target = self.samples[index]
        sample = self.loader(path)
        if self.transform is not None:
            sample = self.transform(sample)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return sample, target

    def __len__(self):
        return len(self.samples)


def pil_loader(path):
    """Return the picture in a file as an RGB PIL image."""
    with open(path, "rb") as f:
        return pillow("ImageFolder").open(f).convert("RGB")


default_loader = pil_loader


class ImageFolder(DatasetFolder):
    """Pictures under root/class/.../file.png; arguments as in DatasetFolder.

    A sample is (RGB PIL image or what the transform makes of it, class index).
    """

    def __init__(self, root, transform=None, target_transform=None, loader=default_loader,
                 is_valid_file=None, allow_empty=False):  # fmt: skip
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(
            root, loader, extensions, transform, target_transform, is_valid_file, allow_empty
        )
        self.imgs = self.samples
