"""weight_norm by hooks: weight = g v / |v|, as two parameters (Salimans and Kingma 2016)."""

from __future__ import annotations

from ..functional._common import vector_norm
from ..parameter import Parameter, UninitializedParameter


def norm_except_dim(v, dim):
    """The norm of ``v`` over all dimensions but ``dim`` (all of them for -1), kept as ones."""
    if dim == -1:
        return vector_norm(v)
    flat = vector_norm(v.transpose(0, dim).reshape(v.shape[dim], -1), 2, 1)
    shape = [1] * v.dim()
    shape[dim] = v.shape[dim]
    return flat.reshape(shape)


class WeightNorm:
    """The forward pre-hook that computes the weight from its length g and direction v."""

    def __init__(self, name, dim):
        self.name, self.dim = name, -1 if dim is None else dim

    def compute_weight(self, module):
        """g v / |v|."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except_dim(v, self.dim))

    @staticmethod
    def apply(module, name, dim):
        """Put the hook on ``module``; RuntimeError if it is there already."""
        for hook in module._forward_pre_hooks.values():
            if isinstance(hook, WeightNorm) and hook.name == name:
                raise RuntimeError(
                    f"Cannot register two weight_norm hooks on the same parameter {name}"
                )
        fn = WeightNorm(name, dim)
        weight = getattr(module, name)
        if isinstance(weight, UninitializedParameter):
            raise ValueError(
                "The module passed to `WeightNorm` can't have uninitialized parameters: run it "
                "once on a batch first"
            )
        del module._parameters[name]
        module.register_parameter(
            name + "_g", Parameter(norm_except_dim(weight.detach(), fn.dim).detach())
        )
        module.register_parameter(name + "_v", Parameter(weight.detach()))
        setattr(module, name, fn.compute_weight(module))
        module.register_forward_pre_hook(fn)
        return fn

    def remove(self, module):
        """Put the plain weight back."""
        weight = self.compute_weight(module)
        delattr(module, self.name)
        del module._parameters[self.name + "_g"], module._parameters[self.name + "_v"]
        setattr(module, self.name, Parameter(weight.detach()))

    def __call__(self, module, inputs):
        setattr(module, self.name, self.compute_weight(module))


def weight_norm(module, name="weight", dim=0):
    """Replace the parameter ``name`` by its length (``name_g``) and direction (``name_v``).

    ``dim`` keeps one length an index of it, None one length in all. Salimans and Kingma 2016.

    >>> import flambeau as fb
    >>> m = fb.nn.utils.weight_norm(fb.nn.Linear(2, 3))
    >>> tuple(m.weight_g.shape), tuple(m.weight_v.shape)
    ((3, 1), (3, 2))
    """
    WeightNorm.apply(module, name, dim)
    return module


def remove_weight_norm(module, name="weight"):
    """Undo ``weight_norm``; ValueError if it is not there."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, WeightNorm) and hook.name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(f"weight_norm of '{name}' not found in {module}")
