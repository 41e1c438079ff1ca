"""Bad input raises what PyTorch raises, and never crashes."""

import subprocess
import sys

import pytest

from under_test import IS_TORCH, MODULE, fb, submodule

F = submodule("nn.functional")

CASES = [
    ("shapes that do not broadcast", lambda: fb.ones(2, 3) + fb.ones(4), RuntimeError, "4"),
    ("matrix sizes", lambda: fb.ones(2, 3) @ fb.ones(4, 5), RuntimeError, "3"),
    (
        "mixed dtypes in mm",
        lambda: fb.mm(fb.ones(2, 2), fb.ones(2, 2, dtype=fb.float64)),
        RuntimeError,
        "d",
    ),
    (
        "float into integer in place",
        lambda: fb.ones(2, dtype=fb.int64).mul_(0.5),
        RuntimeError,
        "cast",
    ),
    ("bool subtraction", lambda: fb.tensor([True]) - fb.tensor([True]), RuntimeError, "bool"),
    ("view of the wrong size", lambda: fb.ones(6).view(4), RuntimeError, "4"),
    ("two inferred sizes", lambda: fb.ones(6).view(-1, -1), RuntimeError, "infer"),
    ("negative size", lambda: fb.zeros(-3), RuntimeError, ""),
    ("dimension out of range", lambda: fb.ones(2, 3).sum(2), IndexError, "2"),
    ("dimension out of range, negative", lambda: fb.ones(2, 3).sum(-3), IndexError, "-3"),
    ("repeated dimension", lambda: fb.ones(2, 3).sum((0, 0)), RuntimeError, "dim"),
    ("index out of range", lambda: fb.ones(3)[3], IndexError, "3"),
    ("too many indices", lambda: fb.ones(3)[0, 0], IndexError, "1"),
    ("maximum of nothing", lambda: fb.ones(0).max(), RuntimeError, ""),
    ("argmax of nothing", lambda: fb.ones(0).argmax(), (IndexError, RuntimeError), ""),
    ("mean of integers", lambda: fb.ones(3, dtype=fb.int64).mean(), RuntimeError, "mean"),
    ("cat of different ranks", lambda: fb.cat([fb.ones(2), fb.ones(2, 2)]), RuntimeError, "dim"),
    ("cat of nothing", lambda: fb.cat([]), (RuntimeError, ValueError), ""),
    ("cat of a tensor", lambda: fb.cat(fb.ones(2)), TypeError, ""),
    ("stack of different shapes", lambda: fb.stack([fb.ones(2), fb.ones(3)]), RuntimeError, "2"),
    ("reshape to an impossible shape", lambda: fb.ones(2, 3).reshape(4, -1), RuntimeError, "4"),
    ("transpose out of range", lambda: fb.ones(2, 3).transpose(0, 2), IndexError, "2"),
    ("t of three dimensions", lambda: fb.ones(1, 1, 1).t(), RuntimeError, "3"),
    ("expand of a long dimension", lambda: fb.ones(3).expand(4), RuntimeError, "4"),
    ("squeeze out of range", lambda: fb.ones(1).squeeze(3), IndexError, "3"),
    ("gather with float index", lambda: fb.ones(3).gather(0, fb.ones(2)), RuntimeError, "int64"),
    ("gather out of range", lambda: fb.ones(3).gather(0, fb.tensor([5])), RuntimeError, "5"),
    (
        "index_select out of range",
        lambda: fb.ones(3).index_select(0, fb.tensor([5])),
        (IndexError, RuntimeError),
        "",
    ),
    ("embedding out of range", lambda: F.embedding(fb.tensor([9]), fb.ones(4, 2)), IndexError, ""),
    (
        "cross entropy target",
        lambda: F.cross_entropy(fb.ones(2, 3), fb.tensor([0, 3])),
        IndexError,
        "3",
    ),
    (
        "cross entropy batch",
        lambda: F.cross_entropy(fb.ones(2, 3), fb.tensor([0])),
        ValueError,
        "2",
    ),
    (
        "conv channels",
        lambda: F.conv2d(fb.ones(1, 3, 8, 8), fb.ones(4, 2, 3, 3)),
        RuntimeError,
        "3",
    ),
    (
        "conv kernel larger than the image",
        lambda: F.conv2d(fb.ones(1, 1, 2, 2), fb.ones(1, 1, 5, 5)),
        RuntimeError,
        "5",
    ),
    (
        "conv stride zero",
        lambda: F.conv2d(fb.ones(1, 1, 4, 4), fb.ones(1, 1, 2, 2), stride=0),
        RuntimeError,
        "stride",
    ),
    ("pool padding", lambda: F.max_pool2d(fb.ones(1, 1, 4, 4), 2, padding=3), RuntimeError, "pad"),
    ("linear sizes", lambda: F.linear(fb.ones(2, 3), fb.ones(5, 4)), RuntimeError, ""),
    ("layer norm shape", lambda: F.layer_norm(fb.ones(2, 3), (4,)), RuntimeError, "4"),
    ("dropout probability", lambda: F.dropout(fb.ones(2), 1.5), ValueError, "1.5"),
    (
        "einsum letters",
        lambda: fb.einsum("ij,jk->iz", fb.ones(2, 2), fb.ones(2, 2)),
        RuntimeError,
        "z",
    ),
    ("einsum operands", lambda: fb.einsum("ij,jk", fb.ones(2, 2)), (RuntimeError, ValueError), ""),
    ("linspace steps", lambda: fb.linspace(0, 1, -2), RuntimeError, ""),
    ("arange step", lambda: fb.arange(0, 3, 0), RuntimeError, "zero"),
    ("arange direction", lambda: fb.arange(3, 0, 1), RuntimeError, ""),
    ("randint range", lambda: fb.randint(5, 5, (2,)), RuntimeError, ""),
    ("ragged list", lambda: fb.tensor([[1, 2], [3]]), ValueError, "length"),
    ("text", lambda: fb.tensor("abc"), (TypeError, ValueError), ""),
    ("None in a list", lambda: fb.tensor([1, None]), (TypeError, RuntimeError), ""),
    ("integer too large", lambda: fb.tensor(2**70), (RuntimeError, OverflowError, ValueError), ""),
    ("topk too large", lambda: fb.ones(3).topk(4), RuntimeError, "k"),
    ("split sizes", lambda: fb.ones(5).split([2, 2]), RuntimeError, "5"),
    ("chunk zero", lambda: fb.ones(5).chunk(0), RuntimeError, "chunk"),
    ("narrow too long", lambda: fb.ones(5).narrow(0, 3, 3), RuntimeError, ""),
    ("repeat with too few sizes", lambda: fb.ones(2, 2).repeat(2), RuntimeError, "dim"),
    ("unknown keyword", lambda: fb.ones(2).sum(foo=1), TypeError, ""),
    ("missing argument", lambda: fb.mm(fb.ones(2, 2)), TypeError, ""),
    ("wrong argument type", lambda: fb.mm(fb.ones(2, 2), 3), TypeError, ""),
    ("list for tensor", lambda: fb.exp([1.0]), TypeError, ""),
    ("unknown dtype", lambda: fb.zeros(2, dtype="float32"), TypeError, "dtype"),
    ("unknown device", lambda: fb.zeros(2, device="toaster"), RuntimeError, ""),
    ("item of many", lambda: fb.ones(2).item(), (RuntimeError, ValueError), ""),
    ("bool of many", lambda: bool(fb.ones(2)), RuntimeError, "ambiguous"),
    (
        "out of the wrong dtype",
        lambda: fb.add(fb.ones(2), fb.ones(2), out=fb.ones(2, dtype=fb.int64)),
        RuntimeError,
        "cast",
    ),
    ("meta with cpu", lambda: fb.ones(2, device="meta") + fb.ones(2), RuntimeError, "device"),
    (
        "numbers of a meta tensor",
        lambda: fb.ones(2, device="meta").tolist(),
        (RuntimeError, NotImplementedError),
        "meta",
    ),
    ("huge allocation", lambda: fb.empty(2**50), (RuntimeError, MemoryError), ""),
    ("size that overflows", lambda: fb.empty(2**32, 2**32), (RuntimeError, MemoryError), ""),
    ("repeat that overflows", lambda: fb.ones(4).repeat(2**50), (RuntimeError, MemoryError), ""),
    ("arange of everything", lambda: fb.arange(2**60), (RuntimeError, MemoryError), ""),
    (
        "as_strided outside the storage",
        lambda: fb.ones(4).as_strided((10,), (10,)),
        RuntimeError,
        "",
    ),
    ("as_strided of negative stride", lambda: fb.ones(4).as_strided((2,), (-1,)), RuntimeError, ""),
    ("unfold larger than the dimension", lambda: fb.ones(4).unfold(0, 5, 1), RuntimeError, "5"),
    (
        "requires_grad of integers",
        lambda: fb.ones(2, dtype=fb.int64, requires_grad=True),
        RuntimeError,
        "",
    ),
    (
        "complex ordering",
        lambda: fb.ones(2, dtype=fb.complex64) < 1,
        (RuntimeError, NotImplementedError),
        "",
    ),
    (
        "masked_fill shape",
        lambda: fb.ones(3).masked_fill(fb.ones(4, dtype=fb.bool), 0),
        RuntimeError,
        "4",
    ),
    (
        "scatter index shape",
        lambda: fb.ones(2, 2).scatter(0, fb.zeros(3, 3, dtype=fb.int64), fb.ones(3, 3)),
        RuntimeError,
        "",
    ),
    ("inverse of a singular matrix", lambda: fb.linalg.inv(fb.zeros(2, 2)), RuntimeError, ""),
    ("bincount of negatives", lambda: fb.bincount(fb.tensor([-1])), RuntimeError, ""),
    ("multinomial of nothing", lambda: fb.multinomial(fb.zeros(3), 1), RuntimeError, ""),
    ("multinomial of too many", lambda: fb.multinomial(fb.ones(3), 4), RuntimeError, ""),
    ("movedim", lambda: fb.ones(2, 3).movedim(0, 5), IndexError, "5"),
    ("permute", lambda: fb.ones(2, 3).permute(0), RuntimeError, ""),
]


@pytest.mark.parametrize("name,run,exc,word", CASES, ids=[c[0] for c in CASES])
def test_bad_call(name, run, exc, word):
    with pytest.raises(exc) as info:
        run()
    text = str(info.value)
    assert text, "an error without a word"
    assert word.lower() in text.lower()
    if not IS_TORCH:
        assert "TORCH_CHECK" not in text and "aten" not in text


def test_shapes_stand_in_the_message():
    if IS_TORCH:
        pytest.skip("PyTorch's messages do not carry them")
    with pytest.raises(RuntimeError) as info:
        fb.ones(2, 3) + fb.ones(4)
    for word in ("add", "[2, 3]", "[4]"):
        assert word in str(info.value)
    with pytest.raises(RuntimeError) as info:
        fb.ones(2, 3).mm(fb.ones(4, 5))
    for word in ("mm", "[2, 3]", "[4, 5]"):
        assert word in str(info.value)


def test_a_failed_in_place_call_changes_nothing():
    x = fb.ones(2, 3)
    version = x._version
    with pytest.raises(RuntimeError):
        x.add_(fb.ones(4))
    assert x.sum() == 6 and x._version == version


CRASHERS = """
import numpy as np
x = fb.ones(3)
for f in (
    lambda: fb.empty(2**62), lambda: fb.empty((2**31, 2**31, 2**31)), lambda: x.expand(2**62).sum,
    lambda: x.as_strided((2**40,), (2**40,)), lambda: x.view(2**62, 0), lambda: x[[2**62]],
    lambda: x[2**70], lambda: fb.zeros(2**31, 0).sum(), lambda: x.roll(2**62), lambda: x.repeat(0),
    lambda: x.unfold(0, 2**62, 1), lambda: x.index_add_(0, fb.tensor([-9]), fb.ones(1)),
    lambda: x.scatter_add(0, fb.tensor([7]), fb.ones(1)),
    lambda: x.put_(fb.tensor([99]), fb.ones(1)),
    lambda: fb.bincount(fb.tensor([2**45])), lambda: x.take(fb.tensor([-4])),
    lambda: fb.nn.functional.embedding(fb.tensor([-1]), fb.ones(2, 2)),
    lambda: fb.nn.functional.nll_loss(fb.ones(1, 2), fb.tensor([-2])),
    lambda: fb.nn.functional.conv2d(fb.ones(1, 1, 3, 3), fb.ones(1, 1, 2, 2), dilation=2**40),
    lambda: fb.nn.functional.max_pool2d(fb.ones(1, 1, 3, 3), 2**40),
    lambda: fb.nn.functional.pad(x, (2**40, 2**60)), lambda: fb.tril_indices(2**20, 2**40),
    lambda: fb.cat([x] * 3, dim=2**40), lambda: x.sum(dim=2**70), lambda: fb.eye(2**40),
    lambda: fb.frombuffer(b"1234", dtype=fb.float32, count=2**40),
    lambda: fb.tensor(1, dtype=fb.int64) // 0, lambda: fb.tensor(-2**63) // -1,
    lambda: fb.tensor(-2**63) % -1, lambda: fb.tensor(1) << 200, lambda: fb.tensor([1, 2]) % 0,
    lambda: fb.Tensor.__new__(fb.Tensor).shape, lambda: fb.Tensor.add(3, 4),
    lambda: fb.add(x, x, alpha=x),
    lambda: x.copy_(x.as_strided((3,), (0,))), lambda: x.set_(x) and x,
    lambda: x.backward(), lambda: fb.autograd.grad(x, x), lambda: x.register_hook(3),
):
    try:
        f()
    except Exception:
        pass
print("alive")
"""


def test_hostile_calls_never_crash():
    code = f"import {MODULE} as fb\nimport {MODULE}.nn.functional\n{CRASHERS}"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0 and done.stdout.strip().endswith("alive"), done.stderr[-2000:]
