"""The sweep of the op specs on a GPU: values, forms, derivatives and errors."""

import pytest

from cuda_support import DEVICE, needs_cuda
from op_specs import REGISTRY, check, gradients

pytestmark = needs_cuda
ROWS = list(REGISTRY.values())


def rows(keep=lambda r: True):
    kept = [r for r in ROWS if keep(r)]
    return pytest.mark.parametrize("row", kept, ids=[r.key for r in kept])


@rows()
def test_value(row):
    check.check_value(row, DEVICE)


@rows(lambda r: r.method or r.inplace or r.out)
def test_forms(row):
    check.check_forms(row, DEVICE)


@rows(lambda r: r.grad)
def test_gradient(row):
    gradients.check_device(row, DEVICE)


@rows(lambda r: r.error is not None)
def test_error(row):
    check.check_error(row, DEVICE)
