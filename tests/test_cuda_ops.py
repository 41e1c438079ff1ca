"""The sweep of the op specs on a GPU: values, forms, derivatives and errors."""

import os

import pytest

from cuda_support import DEVICE, SIMULATED, exact_products, needs_cuda, recover  # noqa: F401
from op_specs import REGISTRY, check, gradients

pytestmark = [needs_cuda, pytest.mark.usefixtures("exact_products")]
# .numpy() is for the host alone
ROWS = [r for r in REGISTRY.values() if r.key != "tensor_numpy"]


# One dtype of each kind; every formula is compiled for all dtypes in test_cuda_formulas.py, and a
# machine with a GPU checks them all.
KINDS = ("float32", "float64", "bfloat16", "int64", "uint8", "bool", "complex64")
DTYPES = KINDS if SIMULATED and not os.environ.get("FLAMBEAU_TEST_ALL_DTYPES") else None


def rows(keep=lambda r: True):
    kept = [r for r in ROWS if keep(r)]
    return pytest.mark.parametrize("row", kept, ids=[r.key for r in kept])


@rows()
def test_value(row):
    check.check_value(row, DEVICE, DTYPES)


@rows(lambda r: r.method or r.inplace or r.out)
def test_forms(row):
    check.check_forms(row, DEVICE)


@rows(lambda r: r.grad)
def test_gradient(row):
    gradients.check_device(row, DEVICE)


@pytest.mark.skipif(not SIMULATED, reason="a failed kernel ends a real GPU's context")
@rows(lambda r: r.error is not None)
def test_error(row):
    check.check_error(row, DEVICE, recover)
