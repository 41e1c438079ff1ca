"""The switches of flambeau.backends, and the precision of float32 products on a GPU."""

import pytest

from under_test import fb


def test_precision_of_products_is_one_switch():
    matmul = fb.backends.cuda.matmul
    assert matmul.allow_tf32 is False and fb.get_float32_matmul_precision() == "highest"
    try:
        for name, tf32 in (("high", True), ("highest", False), ("medium", True)):
            fb.set_float32_matmul_precision(name)
            assert matmul.allow_tf32 is tf32 and fb.get_float32_matmul_precision() == name
        matmul.allow_tf32 = False
        assert fb.get_float32_matmul_precision() == "highest" and matmul.fp32_precision == "ieee"
        matmul.fp32_precision = "tf32"
        assert matmul.allow_tf32 is True and fb.get_float32_matmul_precision() == "medium"
        with pytest.raises(RuntimeError, match="'tf32' or 'ieee'"):
            matmul.fp32_precision = "fp8"
        with pytest.raises(ValueError, match="'highest', 'high' or 'medium'"):
            fb.set_float32_matmul_precision("low")
    finally:
        fb.set_float32_matmul_precision("highest")


def test_cudnn_switches():
    cudnn = fb.backends.cudnn
    assert not cudnn.is_available() and cudnn.version() is None
    with cudnn.flags(benchmark=True, allow_tf32=False):
        assert cudnn.benchmark is True and cudnn.allow_tf32 is False
    assert cudnn.benchmark is False and cudnn.allow_tf32 is True


def test_attention_switches():
    cuda = fb.backends.cuda
    assert cuda.is_built() and cuda.flash_sdp_enabled() and cuda.math_sdp_enabled()
    cuda.enable_flash_sdp(False)
    assert not cuda.flash_sdp_enabled() and cuda.mem_efficient_sdp_enabled()
    cuda.enable_flash_sdp(True)
