"""Pruning: masks over parameters, kept as buffers and applied before each forward."""

from __future__ import annotations

from abc import ABC, abstractmethod

import flambeau as fb

from ..functional._common import vector_norm

__all__ = [
    "BasePruningMethod",
    "PruningContainer",
    "Identity",
    "RandomUnstructured",
    "L1Unstructured",
    "RandomStructured",
    "LnStructured",
    "CustomFromMask",
    "identity",
    "random_unstructured",
    "l1_unstructured",
    "random_structured",
    "ln_structured",
    "global_unstructured",
    "custom_from_mask",
    "remove",
    "is_pruned",
]


class BasePruningMethod(ABC):
    """A pruning: ``compute_mask`` says what stays; it is also the forward pre-hook.

    ``name_orig`` is the trained parameter, ``name_mask`` the buffer, ``name`` their product.
    """

    PRUNING_TYPE = "unstructured"
    _tensor_name = ""

    def __call__(self, module, inputs):
        setattr(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t, default_mask):
        """Return the new mask (ones stay) of tensor ``t``, within ``default_mask``."""

    def apply_mask(self, module):
        """Return the original tensor times its mask."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned")
        original = getattr(module, name + "_orig")
        return getattr(module, name + "_mask").to(original.dtype) * original

    @classmethod
    def apply(cls, module, name, *args, importance_scores=None, **kwargs):
        """Prune ``module.name``, after any pruning that is there; returns the hook."""
        old = None
        for key, hook in list(module._forward_pre_hooks.items()):
            if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
                old = hook
                del module._forward_pre_hooks[key]
        method = cls(*args, **kwargs)
        method._tensor_name = name
        original = getattr(module, name)
        scores = original if importance_scores is None else importance_scores
        if scores.shape != original.shape:
            raise AssertionError(
                f"importance_scores should have the same shape as parameter {name} of {module}"
            )
        if old is not None:
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            method, default = container, getattr(module, name + "_mask").to(scores.dtype)
        else:
            default = fb.ones_like(original.detach())
            module.register_parameter(name + "_orig", module._parameters.pop(name))
        try:
            mask = method.compute_mask(scores.detach(), default)
            module.register_buffer(name + "_mask", mask)
            setattr(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if old is None:
                module.register_parameter(name, module._parameters.pop(name + "_orig"))
            raise
        return method

    def prune(self, t, default_mask=None, importance_scores=None):
        """Return ``t`` times the mask of this method."""
        scores = t if importance_scores is None else importance_scores
        default = fb.ones_like(t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, default)

    def remove(self, module):
        """Make the pruned value the parameter for good."""
        name = self._tensor_name
        weight = self.apply_mask(module)
        if hasattr(module, name):
            delattr(module, name)
        original = module._parameters.pop(name + "_orig")
        original.data = weight.detach()
        del module._buffers[name + "_mask"]
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Several prunings of one tensor, one after the other on what is left."""

    def __init__(self, *args):
        self._pruning_methods = ()
        for method in args:
            self.add_pruning_method(method)
            self._tensor_name = method._tensor_name

    def add_pruning_method(self, method):
        """Add a method; TypeError, ValueError unless it prunes the same tensor."""
        if not isinstance(method, BasePruningMethod):
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if self._pruning_methods and method._tensor_name != self._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self):
        return len(self._pruning_methods)

    def __iter__(self):
        return iter(self._pruning_methods)

    def __getitem__(self, i):
        return self._pruning_methods[i]

    def compute_mask(self, t, default_mask):
        """The mask of the last method, on the part that ``default_mask`` leaves."""
        method = self._pruning_methods[-1]
        mask = default_mask.to(t.dtype).clone()
        if method.PRUNING_TYPE == "unstructured":
            keep = (mask == 1).nonzero()
            index = tuple(keep.unbind(1))
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim % t.dim()
            rest = [d for d in range(t.dim()) if d != dim]
            alive = mask.sum(rest) != 0
            index = [slice(None)] * t.dim()
            index[dim] = alive.nonzero().squeeze(1)
            index = tuple(index)
        elif method.PRUNING_TYPE == "global":
            index = (slice(None),) * t.dim()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        part = mask[index]
        mask[index] = method.compute_mask(t[index], fb.ones_like(part)) * part
        return mask


class Identity(BasePruningMethod):
    """Masks nothing."""

    def compute_mask(self, t, default_mask):
        """Return the mask as it is."""
        return default_mask

    @classmethod
    def apply(cls, module, name):
        """Put a mask of ones on ``module.name``."""
        return super().apply(module, name)


def _check_amount(amount):
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if amount < 0 or (isinstance(amount, float) and amount > 1.0):
        raise ValueError(
            f"amount={amount} should either be a float in the range [0.0, 1.0] or a non-negative "
            "integer"
        )


def _count(amount, size):
    """How many of ``size`` to prune; ValueError if ``amount`` asks for more."""
    if isinstance(amount, int):
        if amount > size:
            raise ValueError(
                f"amount={amount} should be smaller than the number of parameters to prune={size}"
            )
        return amount
    return round(amount * size)


class _Amount(BasePruningMethod):
    """A pruning of ``amount``: a count, or a share from 0 to 1."""

    def __init__(self, amount):
        _check_amount(amount)
        self.amount = amount


class RandomUnstructured(_Amount):
    """Prunes single values at random."""

    def compute_mask(self, t, default_mask):
        """Return the mask."""
        n = _count(self.amount, t.numel())
        mask = default_mask.clone()
        if n:
            where = fb.rand(t.numel(), device=t.device).topk(n)[1]
            mask = mask.reshape(-1).index_fill(0, where, 0).reshape(mask.shape)
        return mask

    @classmethod
    def apply(cls, module, name, amount):
        """Prune ``module.name``."""
        return super().apply(module, name, amount=amount)


class L1Unstructured(_Amount):
    """Prunes the values nearest to 0."""

    def compute_mask(self, t, default_mask):
        """Return the mask."""
        n = _count(self.amount, t.numel())
        mask = default_mask.clone()
        if n:
            where = t.abs().reshape(-1).topk(n, largest=False)[1]
            mask = mask.reshape(-1).index_fill(0, where, 0).reshape(mask.shape)
        return mask

    @classmethod
    def apply(cls, module, name, amount, importance_scores=None):
        """Prune ``module.name``."""
        return super().apply(module, name, amount=amount, importance_scores=importance_scores)


class _Structured(_Amount):
    """Prunes whole slices along ``dim``."""

    PRUNING_TYPE = "structured"

    def __init__(self, amount, dim=-1):
        super().__init__(amount)
        self.dim = dim

    def _scores(self, t):
        raise NotImplementedError

    def compute_mask(self, t, default_mask):
        """Return the mask; ValueError for a tensor below two dimensions, IndexError for dim."""
        if t.dim() <= 1:
            raise ValueError(
                "Structured pruning can only be applied to multidimensional tensors. Found tensor "
                f"of shape {list(t.shape)} with {t.dim()} dims"
            )
        if not -t.dim() <= self.dim < t.dim():
            raise IndexError(f"Invalid index {self.dim} for tensor of size {list(t.shape)}")
        size = t.shape[self.dim]
        n = _count(self.amount, size)
        if not n:
            return default_mask
        drop = self._scores(t).topk(n, largest=False)[1]
        keep = fb.ones(size, dtype=default_mask.dtype, device=t.device).index_fill(0, drop, 0)
        shape = [1] * t.dim()
        shape[self.dim] = size
        return default_mask * keep.reshape(shape)


class RandomStructured(_Structured):
    """Prunes whole slices along ``dim`` at random."""

    def _scores(self, t):
        return fb.rand(t.shape[self.dim], device=t.device)

    @classmethod
    def apply(cls, module, name, amount, dim=-1):
        """Prune ``module.name``."""
        return super().apply(module, name, amount=amount, dim=dim)


class LnStructured(_Structured):
    """Prunes the slices along ``dim`` of least n-norm."""

    def __init__(self, amount, n, dim=-1):
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t):
        dim = self.dim % t.dim()
        return vector_norm(t.transpose(0, dim).reshape(t.shape[dim], -1), self.n, 1)

    @classmethod
    def apply(cls, module, name, amount, n, dim, importance_scores=None):
        """Prune ``module.name``."""
        return super().apply(
            module, name, amount=amount, n=n, dim=dim, importance_scores=importance_scores
        )


class CustomFromMask(BasePruningMethod):
    """Prunes by a given mask."""

    PRUNING_TYPE = "global"

    def __init__(self, mask):
        self.mask = mask

    def compute_mask(self, t, default_mask):
        """Return the given mask within the present one."""
        if default_mask.shape != self.mask.shape:
            raise AssertionError(
                f"the mask's shape {list(self.mask.shape)} must be the tensor's "
                f"{list(default_mask.shape)}"
            )
        return default_mask * self.mask.to(default_mask.dtype)

    @classmethod
    def apply(cls, module, name, mask):
        """Prune ``module.name``."""
        return super().apply(module, name, mask=mask)


def identity(module, name):
    """Put a mask of ones on ``module.name``; returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module, name, amount):
    """Prune ``amount`` values of ``module.name`` at random; returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module, name, amount, importance_scores=None):
    """Prune the ``amount`` values of ``module.name`` nearest to 0; returns the module.

    >>> import flambeau as fb
    >>> m = fb.nn.utils.prune.l1_unstructured(fb.nn.Linear(4, 1), "weight", 0.5)
    >>> int((m.weight == 0).sum())
    2
    """
    L1Unstructured.apply(module, name, amount, importance_scores)
    return module


def random_structured(module, name, amount, dim):
    """Prune ``amount`` slices of ``module.name`` along ``dim`` at random; returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module, name, amount, n, dim, importance_scores=None):
    """Prune the ``amount`` slices along ``dim`` of least n-norm; returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores)
    return module


def custom_from_mask(module, name, mask):
    """Prune ``module.name`` by ``mask`` (ones stay); returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters, pruning_method, importance_scores=None, **kwargs):
    """Prune several (module, name) pairs as if they were one vector.

    ``pruning_method`` is an unstructured class; TypeError otherwise.
    """
    parameters = list(parameters)
    scores = importance_scores or {}
    if getattr(pruning_method, "PRUNING_TYPE", None) != "unstructured":
        raise TypeError(
            'Only "unstructured" PRUNING_TYPE is supported for the `pruning_method`. Found method '
            f"{pruning_method}"
        )
    values = [scores.get(pair, getattr(*pair)).detach().reshape(-1) for pair in parameters]
    masks = []
    for module, name in parameters:
        mask = getattr(module, name + "_mask", None)
        masks.append(
            fb.ones_like(getattr(module, name).detach()).reshape(-1)
            if mask is None
            else mask.reshape(-1)
        )
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    final = container.compute_mask(fb.cat(values), fb.cat(masks))
    start = 0
    for module, name in parameters:
        shape = getattr(module, name).shape
        n = shape.numel()
        custom_from_mask(module, name, mask=final[start : start + n].reshape(shape))
        start += n


def remove(module, name):
    """Make the pruned value of ``module.name`` the parameter for good; returns the module.

    ValueError if it is not pruned.
    """
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[key]
            return module
    raise ValueError(
        f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed"
    )


def is_pruned(module):
    """Whether ``module`` or one below it has a pruning hook."""
    return any(
        isinstance(hook, BasePruningMethod)
        for m in module.modules()
        for hook in m._forward_pre_hooks.values()
    )
