"""Picture datasets with torchvision's names, arguments and folders."""

from ._base import VisionDataset
from ._download import check_integrity
from .cifar import CIFAR10, CIFAR100
from .fakedata import FakeData
from .folder import DatasetFolder, ImageFolder
from .idx import read_idx
from .mnist import EMNIST, KMNIST, MNIST, FashionMNIST

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "EMNIST",
    "KMNIST",
    "MNIST",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "VisionDataset",
    "check_integrity",
    "read_idx",
]
