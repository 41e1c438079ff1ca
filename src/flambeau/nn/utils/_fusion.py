"""Fold a batch norm in evaluation mode into the layer before it."""

from __future__ import annotations

import copy

import flambeau as fb

from ..parameter import Parameter


def _scale_and_shift(bias, rm, rv, eps, weight, shift):
    """Batch norm as a factor and the new bias."""
    bias = fb.zeros_like(rm) if bias is None else bias
    weight = fb.ones_like(rm) if weight is None else weight
    shift = fb.zeros_like(rm) if shift is None else shift
    scale = weight * fb.rsqrt(rv + eps)
    return scale, (bias - rm) * scale + shift


def fuse_conv_bn_weights(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, transpose=False):
    """Weight and bias of the convolution that does both; Parameters."""
    scale, bias = _scale_and_shift(conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    shape = [1] * conv_w.dim()
    shape[1 if transpose else 0] = -1
    weight = (conv_w * scale.reshape(shape)).to(conv_w.dtype)
    grads = conv_w.requires_grad, conv_w.requires_grad if conv_b is None else conv_b.requires_grad
    return Parameter(weight, grads[0]), Parameter(bias.to(conv_w.dtype), grads[1])


def fuse_linear_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b):
    """Weight and bias of the linear map that does both; Parameters."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def _check(first, bn):
    if first.training or bn.training:
        raise AssertionError("Fusion only for eval!")


def fuse_conv_bn_eval(conv, bn, transpose=False):
    """A copy of ``conv`` that does the work of ``bn`` too; both must be in evaluation mode.

    >>> import flambeau as fb
    >>> conv, bn = fb.nn.Conv1d(1, 2, 1).eval(), fb.nn.BatchNorm1d(2).eval()
    >>> fused, x = fb.nn.utils.fuse_conv_bn_eval(conv, bn), fb.ones(1, 1, 3)
    >>> bool(fb.allclose(fused(x), bn(conv(x)), atol=1e-6))
    True
    """
    _check(conv, bn)
    fused = copy.deepcopy(conv)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("fusion needs running statistics: track_running_stats=True")
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias,
        transpose,
    )  # fmt: skip
    return fused


def fuse_linear_bn_eval(linear, bn):
    """A copy of ``linear`` that does the work of ``bn`` too; both must be in evaluation mode."""
    _check(linear, bn)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1: got "
            f"{linear.out_features} and {bn.num_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused
