"""spectral_norm by hooks: the weight divided by its largest singular value (Miyato et al. 2018)."""

from __future__ import annotations

import flambeau as fb

from ..functional import normalize
from ..parameter import Parameter


class SpectralNorm:
    """The forward pre-hook that divides the weight; u and v are buffers, improved by each step."""

    _version = 1

    def __init__(self, name="weight", n_power_iterations=1, dim=0, eps=1e-12):
        if n_power_iterations <= 0:
            raise ValueError(
                "Expected n_power_iterations to be positive, but got "
                f"n_power_iterations={n_power_iterations}"
            )
        self.name, self.dim = name, dim
        self.n_power_iterations, self.eps = n_power_iterations, eps

    def reshape_weight_to_matrix(self, weight):
        """``weight`` as a matrix with ``dim`` as rows."""
        if self.dim != 0:
            rest = [d for d in range(weight.dim()) if d != self.dim]
            weight = weight.permute(self.dim, *rest)
        return weight.reshape(weight.shape[0], -1)

    def compute_weight(self, module, do_power_iteration):
        """The weight divided by the estimate u^T W v of its largest singular value."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with fb.no_grad():
                for _ in range(self.n_power_iterations):
                    v.copy_(normalize(fb.mv(matrix.t(), u), dim=0, eps=self.eps))
                    u.copy_(normalize(fb.mv(matrix, v), dim=0, eps=self.eps))
                u, v = u.clone(), v.clone()  # a later call may improve them in place
        return weight / fb.dot(u, fb.mv(matrix, v))

    def remove(self, module):
        """Put the plain weight back."""
        with fb.no_grad():
            weight = self.compute_weight(module, False)
        delattr(module, self.name)
        for part in ("_u", "_v", "_orig"):
            delattr(module, self.name + part)
        module.register_parameter(self.name, Parameter(weight.detach()))

    def __call__(self, module, inputs):
        setattr(module, self.name, self.compute_weight(module, module.training))

    @staticmethod
    def apply(module, name, n_power_iterations, dim, eps):
        """Put the hook on ``module``; RuntimeError if it is there already."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, SpectralNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two spectral_norm hooks on the same parameter {name}"
                )
        fn = SpectralNorm(name, n_power_iterations, dim, eps)
        weight = module._parameters[name]
        with fb.no_grad():
            rows, cols = fn.reshape_weight_to_matrix(weight).shape
            make = dict(dtype=weight.dtype, device=weight.device)
            u = normalize(fb.empty(rows, **make).normal_(0, 1), dim=0, eps=eps)
            v = normalize(fb.empty(cols, **make).normal_(0, 1), dim=0, eps=eps)
        delattr(module, name)
        module.register_parameter(name + "_orig", weight)
        setattr(module, name, weight.detach())
        module.register_buffer(name + "_u", u)
        module.register_buffer(name + "_v", v)
        module.register_forward_pre_hook(fn)
        module._register_state_dict_hook(_StateHook(fn))
        return fn


class _StateHook:
    """Notes the version in the metadata, as PyTorch's checkpoints do."""

    def __init__(self, fn):
        self.fn = fn

    def __call__(self, module, state_dict, prefix, local_metadata):
        versions = local_metadata.setdefault("spectral_norm", {})
        versions[self.fn.name + ".version"] = self.fn._version


def spectral_norm(module, name="weight", n_power_iterations=1, eps=1e-12, dim=None):
    """Divide the parameter ``name`` by its largest singular value, found by power iteration.

    The parameter becomes ``name_orig``. Miyato et al. 2018, https://arxiv.org/abs/1802.05957.

    >>> import flambeau as fb
    >>> m = fb.nn.utils.spectral_norm(fb.nn.Linear(2, 3))
    >>> sorted(m.state_dict())
    ['bias', 'weight_orig', 'weight_u', 'weight_v']
    """
    if dim is None:
        transposed = type(module).__name__.startswith("ConvTranspose")
        dim = 1 if transposed else 0
    SpectralNorm.apply(module, name, n_power_iterations, dim, eps)
    return module


def remove_spectral_norm(module, name="weight"):
    """Undo ``spectral_norm``; ValueError if it is not there."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, SpectralNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            break
    else:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    for key, hook in module._state_dict_hooks.items():
        if isinstance(hook, _StateHook) and hook.fn.name == name:
            del module._state_dict_hooks[key]
            break
    return module
