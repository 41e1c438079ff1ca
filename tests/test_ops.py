"""The generated sweep: every op's spec row against its oracle (see op_specs/)."""

import pytest

from op_specs import REGISTRY, check, gradients
from op_specs.base import DEVICES, MODULE

ROWS = list(REGISTRY.values())

# what PyTorch itself lacks or does otherwise, for running the rows against it
TORCH_LACKS = {
    "gradient": {"asinh", "acosh", "atanh", "nn.functional.hardsigmoid"},
    "threads": {r.key for r in ROWS},
    "value": {"nn.functional.avg_pool3d"},
}


def torch_lacks(aspect, row):
    if MODULE == "torch" and row.key in TORCH_LACKS.get(aspect, ()):
        pytest.skip("PyTorch has no such promise")


def rows(keep=lambda r: True):
    kept = [r for r in ROWS if keep(r)]
    return pytest.mark.parametrize("row", kept, ids=[r.key for r in kept])


@pytest.mark.parametrize("device", DEVICES)
@rows()
def test_value(row, device):
    torch_lacks("value", row)
    check.check_value(row, device)


@rows(lambda r: r.method or r.inplace or r.out)
def test_forms(row):
    check.check_forms(row)


@rows(lambda r: r.grad)
def test_gradient(row):
    torch_lacks("gradient", row)
    gradients.check_grad(row)


@rows(lambda r: r.meta)
def test_meta(row):
    check.check_meta(row)


@rows(lambda r: r.big is not None)
def test_threads(row):
    torch_lacks("threads", row)
    check.check_threads(row)


@rows(lambda r: r.error is not None)
def test_error(row):
    check.check_error(row)
