"""Fixtures shared by all tests: a seed before each, and tidy global state after."""

import random

import numpy as np
import pytest

from cuda_support import skip_without_device
from under_test import fb


def pytest_collection_modifyitems(items):
    skip_without_device(items)


@pytest.fixture(autouse=True)
def _seed():
    random.seed(0)
    np.random.seed(0)
    fb.manual_seed(0)
    yield
    assert fb.is_grad_enabled(), "the test left gradients switched off"


@pytest.fixture
def rng():
    return np.random.default_rng(0)
