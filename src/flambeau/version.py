"""The version under PyTorch's attribute names."""

from . import __version__

cuda = None
hip = None
debug = False
git_version = __version__
