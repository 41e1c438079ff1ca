"""skip_init, and memory formats of convolution weights."""

from __future__ import annotations


def skip_init(module_cls, *args, **kwargs):
    """Make a module without running its initialisation, its parameters unset.

    RuntimeError if the class is no Module or takes no ``device``.
    """
    from ..module import Module

    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    import inspect

    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    final = kwargs.pop("device", "cpu")
    return module_cls(*args, **kwargs, device="meta").to_empty(device=final)


def _convert(module, memory_format, rank, kinds):
    for m in module.modules():
        if type(m).__name__ in kinds and m.weight.dim() == rank:
            m.weight.data = m.weight.detach().clone().contiguous(memory_format=memory_format)
    return module


def convert_conv2d_weight_memory_format(module, memory_format):
    """Put the weights of all 2D convolutions in ``module`` into ``memory_format``."""
    return _convert(module, memory_format, 4, ("Conv2d", "ConvTranspose2d"))


def convert_conv3d_weight_memory_format(module, memory_format):
    """Put the weights of all 3D convolutions in ``module`` into ``memory_format``."""
    return _convert(module, memory_format, 5, ("Conv3d", "ConvTranspose3d"))
