"""Printing: texts that PyTorch printed, options, number formats, and the notebook view."""

import json
import os
import time

import pytest

from under_test import IS_TORCH, MODULE, fb

nan, inf = float("nan"), float("inf")
HERE = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(HERE, "data", "display_golden.json")) as f:
    GOLDEN = json.load(f)


@pytest.fixture(autouse=True)
def _default_options():
    yield
    fb.set_printoptions(profile="default")


@pytest.mark.parametrize("expression,options,text", GOLDEN, ids=[g[0] for g in GOLDEN])
def test_repr_is_what_pytorch_prints(expression, options, text):
    t = eval(expression, {"fb": fb})
    fb.set_printoptions(**options)
    # dtypes carry the name of their library; its length moves where a line breaks.
    want, got = text.replace("fb.", "dtype."), repr(t).replace(f"{MODULE}.", "dtype.")
    assert got.split() == want.split()
    if "dtype=" not in text:
        assert got == want


def test_parameter_and_subclass_say_what_they_are():
    assert repr(fb.nn.Parameter(fb.ones(2))) == (
        "Parameter containing:\ntensor([1., 1.], requires_grad=True)"
    )

    class Named(fb.Tensor):
        pass

    assert repr(fb.ones(2).as_subclass(Named)) == "Named([1., 1.])"


def test_printing_is_quick_whatever_the_size():
    big = fb.zeros(4000, 5000)
    start = time.perf_counter()
    assert "..." in repr(big)
    assert time.perf_counter() - start < 0.5


def test_printing_leaves_no_trace_in_the_graph():
    x = fb.ones(3, requires_grad=True)
    y = x * 2
    assert "grad_fn=<MulBackward0>" in repr(y)
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]


def test_print_options_come_back():
    before = fb.get_printoptions() if hasattr(fb, "get_printoptions") else None
    if before is None:
        pytest.skip("no get_printoptions here")
    assert before["precision"] == 4 and before["linewidth"] == 80
    with fb.printoptions(precision=1, sci_mode=True):
        assert repr(fb.tensor([1.5])) == "tensor([1.5e+00])"
    assert fb.get_printoptions() == before


@pytest.mark.skipif(IS_TORCH, reason="PyTorch ignores unknown profiles")
def test_unknown_profile_is_an_error():
    with pytest.raises(ValueError, match="short"):
        fb.set_printoptions(profile="tiny")


def test_format_of_single_numbers():
    assert f"{fb.tensor(2.5):.2f} {fb.tensor(7):03d} {fb.tensor(True)}" == "2.50 007 True"
    assert f"{fb.tensor([1, 2])}" == "tensor([1, 2])"
    with pytest.raises(TypeError, match="unsupported format string"):
        f"{fb.ones(2):.2f}"


SHAPES = [
    (),
    (0,),
    (1,),
    (7,),
    (300,),
    (5, 3),
    (400, 300),
    (3, 8, 8),
    (2, 5, 7),
    (4, 1, 6, 6),
    (40, 3, 9, 9),
]


@pytest.mark.skipif(IS_TORCH, reason="PyTorch has no notebook view")
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "int64", "bool", "complex64", "bfloat16", "uint8"])
def test_notebook_view(shape, dtype):
    dtype = getattr(fb, dtype)
    html = fb.ones(shape).to(dtype)._repr_html_()
    assert f"shape {list(shape)}" in html and html.count("<div") == html.count("</div")
    pictured = len(shape) > 0 and fb.ones(shape).numel() > 1
    assert ("<img" in html or "<svg" in html) == pictured
    assert len(html) < 400_000


@pytest.mark.skipif(IS_TORCH, reason="PyTorch has no notebook view")
def test_notebook_view_counts_what_is_not_finite():
    html = fb.tensor([1.0, nan, 3.0, inf])._repr_html_()
    assert "NaN <b>1</b>" in html and "inf <b>1</b>" in html and "mean <b>2</b>" in html
    assert "nan" not in fb.full((3, 3), nan)._repr_html_().split("<details")[0].lower().replace(
        "nan <b>9</b>", ""
    )
    assert "in a graph" in (fb.ones(2, requires_grad=True) * 2)._repr_html_()
    assert "meta" in fb.empty(2, 3, device="meta")._repr_html_()


@pytest.mark.skipif(IS_TORCH, reason="PyTorch has no PNG writer")
def test_png_writer_makes_files_that_pillow_reads():
    import io

    import numpy as np

    from flambeau._png import encode_png

    image = pytest.importorskip("PIL.Image")
    for channels, mode in ((1, "L"), (2, "LA"), (3, "RGB"), (4, "RGBA")):
        pixels = np.random.randint(0, 256, (5, 7, channels), np.uint8)
        made = image.open(io.BytesIO(encode_png(pixels, 7, 5, channels)))
        assert made.mode == mode and (np.asarray(made).reshape(pixels.shape) == pixels).all()
    with pytest.raises(ValueError, match="do not make an image"):
        encode_png(b"123", 2, 2, 1)
