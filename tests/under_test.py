"""The module under test: flambeau, or what FLAMBEAU_TEST_MODULE names (torch, to try the tests)."""

import importlib
import os

MODULE = os.environ.get("FLAMBEAU_TEST_MODULE", "flambeau")
fb = importlib.import_module(MODULE)
IS_TORCH = MODULE == "torch"


def submodule(name):
    """A submodule of the module under test, such as nn.functional."""
    return importlib.import_module(f"{MODULE}.{name}")
