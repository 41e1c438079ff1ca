"""Normalisation layers: batch, instance, layer, group, RMS and local response."""

from __future__ import annotations

import numbers

import flambeau as fb

from . import functional as F
from . import init
from ._lazy import LazyModuleMixin
from .module import Module
from .parameter import Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "SyncBatchNorm", "LazyBatchNorm1d",
    "LazyBatchNorm2d", "LazyBatchNorm3d", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d",
    "LazyInstanceNorm1d", "LazyInstanceNorm2d", "LazyInstanceNorm3d", "LayerNorm", "GroupNorm",
    "RMSNorm", "LocalResponseNorm", "CrossMapLRN2d",
]  # fmt: skip


class _NormBase(Module):
    """Affine parameters and running statistics of batch and instance norm."""

    _version = 2
    __constants__ = ["track_running_stats", "momentum", "eps", "num_features", "affine"]

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True,
        device=None, dtype=None, *, bias=True,
    ):  # fmt: skip
        super().__init__()
        self.num_features, self.eps, self.momentum = num_features, eps, momentum
        self.affine, self.track_running_stats = affine, track_running_stats
        make = dict(device=device, dtype=dtype)
        if affine:
            self.weight = Parameter(fb.empty(num_features, **make))
        else:
            self.register_parameter("weight", None)
        if affine and bias:
            self.bias = Parameter(fb.empty(num_features, **make))
        else:
            self.register_parameter("bias", None)
        if track_running_stats:
            self.register_buffer("running_mean", fb.zeros(num_features, **make))
            self.register_buffer("running_var", fb.ones(num_features, **make))
            count = fb.tensor(0, dtype=fb.int64, device=device)
            self.register_buffer("num_batches_tracked", count)
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self.reset_parameters()

    def reset_running_stats(self):
        """Set the running mean to 0, the variance to 1, the count to 0."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self):
        """Reset the running statistics, and the affine parameters to 1 and 0."""
        self.reset_running_stats()
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def _check_input_dim(self, input):
        raise NotImplementedError

    def extra_repr(self):
        """The sizes and flags."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, bias={self.bias is not None}, "
            f"track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, *rest):
        version = local_metadata.get("version", None)
        if (version is None or version < 2) and self.track_running_stats:
            key = prefix + "num_batches_tracked"  # checkpoints from before the counter
            if key not in state_dict:
                old = self.num_batches_tracked
                keep = old is not None and old.device.type != "meta"
                state_dict[key] = old if keep else fb.tensor(0, dtype=fb.int64)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


def _rank_check(layer, ranks):
    """A method that raises ValueError unless the input has one of ``ranks`` dimensions."""

    def check(self, input):
        if input.dim() not in ranks:
            want = " or ".join(f"{r}D" for r in ranks)
            raise ValueError(
                f"expected {want} input (got {input.dim()}D input): {layer} takes {want} tensors, "
                f"but the input's shape is {list(input.shape)}"
            )

    return check


class _BatchNorm(_NormBase):
    """Batch normalisation in any number of dimensions."""

    def forward(self, input):
        """Normalise (N, C, *); in training update the running statistics."""
        self._check_input_dim(input)
        momentum, buffers = self.momentum, self._buffers
        mean, var = buffers["running_mean"], buffers["running_var"]
        factor = 0.0 if momentum is None else momentum
        own = self.training or (mean is None and var is None)
        if self.training:
            if not self.track_running_stats:
                mean = var = None
            elif buffers["num_batches_tracked"] is not None:
                count = buffers["num_batches_tracked"]
                count.add_(1)
                if momentum is None:  # a cumulative average
                    factor = 1.0 / float(count)
        weight, bias = self._weight_and_bias()
        return F.batch_norm(input, mean, var, weight, bias, own, factor, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch norm of (N, C) or (N, C, L) over N and L, with running statistics for evaluation.

    Ioffe and Szegedy 2015, https://arxiv.org/abs/1502.03167. ValueError for another rank.

    >>> import flambeau as fb
    >>> bn = fb.nn.BatchNorm1d(3)
    >>> y = bn(fb.randn(10, 3)); int(bn.num_batches_tracked)
    1
    """

    _check_input_dim = _rank_check("BatchNorm1d", (2, 3))


class BatchNorm2d(_BatchNorm):
    """Batch norm of (N, C, H, W) over N, H and W; ValueError for another rank."""

    _check_input_dim = _rank_check("BatchNorm2d", (4,))


class BatchNorm3d(_BatchNorm):
    """Batch norm of (N, C, D, H, W) over N, D, H and W; ValueError for another rank."""

    _check_input_dim = _rank_check("BatchNorm3d", (5,))


class SyncBatchNorm(_BatchNorm):
    """Batch norm of (N, C, *) across processes; with one process it is plain batch norm."""

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True,
        process_group=None, device=None, dtype=None, *, bias=True,
    ):  # fmt: skip
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )
        self.process_group = process_group

    def _check_input_dim(self, input):
        if input.dim() < 2:
            raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module, process_group=None):
        """Return ``module`` with every batch norm in it replaced by a SyncBatchNorm."""
        result = module
        if isinstance(module, _BatchNorm):
            result = cls(
                module.num_features, module.eps, module.momentum, module.affine,
                module.track_running_stats, process_group, bias=module.bias is not None,
            )  # fmt: skip
            result._parameters = dict(module._parameters)
            result._buffers = dict(module._buffers)
            result.training = module.training
        for name, child in module.named_children():
            result.add_module(name, cls.convert_sync_batchnorm(child, process_group))
        return result


class _InstanceNorm(_NormBase):
    """Instance normalisation in any number of dimensions."""

    _n = 2

    def __init__(
        self, num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False,
        device=None, dtype=None, *, bias=True,
    ):  # fmt: skip
        super().__init__(
            num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias
        )

    def _load_from_state_dict(self, state_dict, prefix, local_metadata, strict, missing_keys,
                              unexpected_keys, error_msgs):  # fmt: skip
        if local_metadata.get("version", None) is None and not self.track_running_stats:
            keys = [prefix + n for n in ("running_mean", "running_var") if prefix + n in state_dict]
            if keys:
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {' and '.join(keys)} for "
                    f"{type(self).__name__} with track_running_stats=False: remove them from the "
                    "state_dict, or set track_running_stats=True"
                )
                for key in keys:
                    state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )

    def forward(self, input):
        """Normalise each plane of (N, C, *) or (C, *)."""
        self._check_input_dim(input)
        channel = input.dim() - self._n - 1
        if input.shape[channel] != self.num_features:
            text = (
                f"input's size at dim={channel} does not match num_features: "
                f"{input.shape[channel]} and {self.num_features}"
            )
            if self.affine:
                raise ValueError(text)
            import warnings

            warnings.warn(text + " (not used, since affine=False)", stacklevel=2)
        batch = input if channel else input.unsqueeze(0)
        out = F.instance_norm(
            batch, self.running_mean, self.running_var, self.weight, self.bias,
            self.training or not self.track_running_stats,
            0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip
        return out if channel else out.squeeze(0)


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of (N, C, L) or (C, L) over L; ValueError for another rank."""

    _n = 1
    _check_input_dim = _rank_check("InstanceNorm1d", (2, 3))


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of (N, C, H, W) or (C, H, W) over H and W (Ulyanov et al. 2016)."""

    _n = 2
    _check_input_dim = _rank_check("InstanceNorm2d", (3, 4))


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of (N, C, D, H, W) or (C, D, H, W) over D, H and W."""

    _n = 3
    _check_input_dim = _rank_check("InstanceNorm3d", (4, 5))


class _LazyNormBase(LazyModuleMixin):
    """A batch or instance norm that takes ``num_features`` from its first input."""

    def __init__(
        self, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None,
        dtype=None, *, bias=True,
    ):  # fmt: skip
        make = dict(device=device, dtype=dtype)
        super().__init__(0, eps, momentum, False, False, **make)
        self.affine, self.track_running_stats = affine, track_running_stats
        if affine:
            self.weight = UninitializedParameter(**make)
            if bias:
                self.bias = UninitializedParameter(**make)
        if track_running_stats:
            self.running_mean = UninitializedBuffer(**make)
            self.running_var = UninitializedBuffer(**make)
            self.num_batches_tracked = fb.tensor(0, dtype=fb.int64, device=device)

    def reset_parameters(self):
        """Reset, once there are shapes."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input):
        """Take the channels from ``input``."""
        self._check_input_dim(input)
        if not self.has_uninitialized_params():
            return
        channel = 1
        if isinstance(self, _InstanceNorm):
            channel = input.dim() - self._n - 1
        self.num_features = input.shape[channel]
        for table in (self._parameters, self._buffers):
            for name, value in table.items():
                if value is not None and name != "num_batches_tracked":
                    value.materialize((self.num_features,))
        self.reset_parameters()


def _lazy(base):
    doc = f"A {base.__name__} that takes ``num_features`` from its first input."
    body = {"cls_to_become": base, "__doc__": doc, "__module__": __name__}
    return type("Lazy" + base.__name__, (_LazyNormBase, base), body)


LazyBatchNorm1d = _lazy(BatchNorm1d)
LazyBatchNorm2d = _lazy(BatchNorm2d)
LazyBatchNorm3d = _lazy(BatchNorm3d)
LazyInstanceNorm1d = _lazy(InstanceNorm1d)
LazyInstanceNorm2d = _lazy(InstanceNorm2d)
LazyInstanceNorm3d = _lazy(InstanceNorm3d)


def _shape_tuple(shape):
    return (shape,) if isinstance(shape, numbers.Integral) else tuple(shape)


class LayerNorm(Module):
    """Normalise over the last dimensions, ``normalized_shape``, then scale and shift.

    Ba et al. 2016, https://arxiv.org/abs/1607.06450.

    >>> import flambeau as fb
    >>> y = fb.nn.LayerNorm(4)(fb.tensor([[1.0, 2.0, 3.0, 4.0]]))
    >>> round(abs(y.mean().item()), 6)
    0.0
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(
        self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None,
        dtype=None,
    ):  # fmt: skip
        super().__init__()
        self.normalized_shape = _shape_tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        make = dict(device=device, dtype=dtype)
        weight = Parameter(fb.empty(self.normalized_shape, **make)) if elementwise_affine else None
        self.register_parameter("weight", weight)
        has_bias = elementwise_affine and bias
        bias = Parameter(fb.empty(self.normalized_shape, **make)) if has_bias else None
        self.register_parameter("bias", bias)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        """Return the normalised input."""
        return F.layer_norm(input, self.normalized_shape, *self._weight_and_bias(), self.eps)

    def extra_repr(self):
        """The shape and flags."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """x / rms(x) * weight over the last dimensions (Zhang and Sennrich 2019)."""

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(
        self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None
    ):
        super().__init__()
        self.normalized_shape = _shape_tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        weight = None
        if elementwise_affine:
            weight = Parameter(fb.empty(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", weight)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, x):
        """Return the normalised input."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        """The shape and flags."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )


class GroupNorm(Module):
    """Normalise (N, C, *) within groups of channels (Wu and He 2018).

    ValueError when ``num_channels`` is not divisible by ``num_groups``.
    """

    __constants__ = ["num_groups", "num_channels", "eps", "affine"]

    def __init__(
        self, num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None, *,
        bias=True,
    ):  # fmt: skip
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups, self.num_channels = num_groups, num_channels
        self.eps, self.affine = eps, affine
        make = dict(device=device, dtype=dtype)
        weight = Parameter(fb.empty(num_channels, **make)) if affine else None
        self.register_parameter("weight", weight)
        shift = Parameter(fb.empty(num_channels, **make)) if affine and bias else None
        self.register_parameter("bias", shift)
        self.reset_parameters()

    def reset_parameters(self):
        """Set weight to 1 and bias to 0."""
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input):
        """Return the normalised input."""
        return F.group_norm(input, self.num_groups, *self._weight_and_bias(), self.eps)

    def extra_repr(self):
        """The sizes and flags."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """Divide by the response of ``size`` neighbouring channels (Krizhevsky et al. 2012)."""

    __constants__ = ["size", "alpha", "beta", "k"]

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input):
        """Return the normalised input, (N, C, *)."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        """The size and constants."""
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """Local response norm of (N, C, H, W) under its older name.

    The window is the paper's; PyTorch's class never lets go of the first channel's square.
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1):
        super().__init__(size, alpha, beta, k)
