"""Neural-network oracles in plain NumPy: loops over the kernel's offsets, no cleverness."""

import itertools

import numpy as np


def tup(v, n):
    return tuple(v) if isinstance(v, (list, tuple)) else (v,) * n


def padded(x, pad, value=0.0):
    return np.pad(x, [(0, 0)] * 2 + [(p, p) for p in pad], constant_values=value)


def windows(x, size, stride, dilation, outs):
    """(offset, the input each output sees at that offset) for every offset of the kernel."""
    for off in itertools.product(*map(range, size)):
        cut = tuple(
            slice(o * d, o * d + s * (m - 1) + 1, s)
            for o, d, s, m in zip(off, dilation, stride, outs)
        )
        yield off, x[(slice(None),) * 2 + cut]


def conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation of (N, C, ...) with (O, C/groups, ...); unbatched input allowed."""
    n = w.ndim - 2
    if x.ndim == n + 1:
        return conv(x[None], w, b, stride, padding, dilation, groups)[0]
    size, stride, dilation = w.shape[2:], tup(stride, n), tup(dilation, n)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, size)]
        x = np.pad(x, [(0, 0)] * 2 + [(t // 2, t - t // 2) for t in total])
    else:
        x = padded(x, (0,) * n if padding == "valid" else tup(padding, n))
    outs = [
        (s - d * (k - 1) - 1) // t + 1 for s, d, k, t in zip(x.shape[2:], dilation, size, stride)
    ]
    y = np.zeros((x.shape[0], w.shape[0], *outs), np.result_type(x, w))
    co, ci = w.shape[0] // groups, w.shape[1]
    for off, part in windows(x, size, stride, dilation, outs):
        for g in range(groups):
            wg = w[(slice(g * co, (g + 1) * co), slice(None)) + off]
            y[:, g * co : (g + 1) * co] += np.einsum(
                "nc...,oc->no...", part[:, g * ci : (g + 1) * ci], wg
            )
    return y if b is None else y + b.reshape((1, -1) + (1,) * n)


def conv_transpose(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """The adjoint of conv: scatters each input through the kernel (C, O/groups, ...)."""
    n = w.ndim - 2
    if x.ndim == n + 1:
        return conv_transpose(x[None], w, b, stride, padding, output_padding, groups, dilation)[0]
    size, stride, dilation = w.shape[2:], tup(stride, n), tup(dilation, n)
    pad, extra = tup(padding, n), tup(output_padding, n)
    full = [
        (m - 1) * s + d * (k - 1) + 1 + e
        for m, s, d, k, e in zip(x.shape[2:], stride, dilation, size, extra)
    ]
    y = np.zeros((x.shape[0], w.shape[1] * groups, *full), np.result_type(x, w))
    ci, co = w.shape[0] // groups, w.shape[1]
    for off, part in windows(y, size, stride, dilation, x.shape[2:]):
        for g in range(groups):
            wg = w[(slice(g * ci, (g + 1) * ci), slice(None)) + off]
            part[:, g * co : (g + 1) * co] += np.einsum(
                "nc...,co->no...", x[:, g * ci : (g + 1) * ci], wg
            )
    cut = tuple(slice(p, s - p) for p, s in zip(pad, full))
    y = y[(slice(None),) * 2 + cut]
    return y if b is None else y + b.reshape((1, -1) + (1,) * n)


def pool_out(size, k, s, p, d, ceil):
    span = size + 2 * p - d * (k - 1) - 1
    m = (-(-span // s) if ceil else span // s) + 1
    return m - 1 if ceil and (m - 1) * s >= size + p else m


def max_pool(n):
    """Maximum over windows of the last n dimensions."""

    def run(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        if x.ndim == n + 1:
            return run(x[None], kernel_size, stride, padding, dilation, ceil_mode)[0]
        k = tup(kernel_size, n)
        s, p, d = tup(stride or k, n), tup(padding, n), tup(dilation, n)
        outs = [pool_out(z, *a, ceil_mode) for z, *a in zip(x.shape[2:], k, s, p, d)]
        big = np.pad(
            padded(x, p, -np.inf), [(0, 0)] * 2 + [(0, a) for a in s], constant_values=-np.inf
        )
        return np.max([part for _, part in windows(big, k, s, d, outs)], axis=0)

    return run


def avg_pool(n):
    """Mean over windows of the last n dimensions."""

    def run(
        x,
        kernel_size,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    ):
        if x.ndim == n + 1:
            return run(
                x[None],
                kernel_size,
                stride,
                padding,
                ceil_mode,
                count_include_pad,
                divisor_override,
            )[0]
        k = tup(kernel_size, n)
        s, p = tup(stride or k, n), tup(padding, n)
        outs = [pool_out(z, *a, 1, ceil_mode) for z, *a in zip(x.shape[2:], k, s, p)]
        grow = [(0, 0)] * 2 + [(0, a) for a in s]
        ones = np.ones_like(x)
        count = padded(ones, p, 1.0 if count_include_pad else 0.0)
        one = (1,) * n
        total = sum(part for _, part in windows(np.pad(padded(x, p), grow), k, s, one, outs))
        cells = sum(part for _, part in windows(np.pad(count, grow), k, s, one, outs))
        return total / (divisor_override or cells)

    return run


def adaptive_pool(n, f):
    """f over the bins that split each of the last n dimensions into the asked number."""

    def run(x, output_size):
        want = tup(output_size, n)
        sizes = x.shape[-n:]
        want = tuple(s if w is None else w for w, s in zip(want, sizes))
        y = np.zeros(x.shape[:-n] + want, x.dtype)
        for at in itertools.product(*map(range, want)):
            cut = tuple(slice(i * s // w, -(-(i + 1) * s // w)) for i, s, w in zip(at, sizes, want))
            y[(...,) + at] = f(x[(...,) + cut], axis=tuple(range(-n, 0)))
        return y

    return run


def normalise(x, axes, eps, weight=None, bias=None):
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    y = (x - mean) / np.sqrt(var + eps)
    y = y if weight is None else y * weight
    return y if bias is None else y + bias


def per_channel(v, x):
    return None if v is None else v.reshape((1, -1) + (1,) * (x.ndim - 2))


def batch_norm(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    axes = (0,) + tuple(range(2, x.ndim))
    w, b = per_channel(weight, x), per_channel(bias, x)
    if training or mean is None:
        return normalise(x, axes, eps, w, b)
    y = (x - per_channel(mean, x)) / np.sqrt(per_channel(var, x) + eps)
    return (y if w is None else y * w) + (0 if b is None else b)


def group_norm(x, groups, weight=None, bias=None, eps=1e-5):
    y = x.reshape(x.shape[0], groups, -1)
    y = normalise(y, -1, eps).reshape(x.shape)
    y = y if weight is None else y * per_channel(weight, x)
    return y if bias is None else y + per_channel(bias, x)


def layer_norm(x, shape, weight=None, bias=None, eps=1e-5):
    return normalise(x, tuple(range(x.ndim - len(shape), x.ndim)), eps, weight, bias)


def softmax(x, axis):
    if x.ndim == 0:
        return np.ones_like(x)
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    s = q @ np.swapaxes(k, -1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if is_causal:
        s = np.where(np.tril(np.ones(s.shape[-2:], bool)), s, -np.inf)
    if attn_mask is not None:
        s = np.where(attn_mask, s, -np.inf) if attn_mask.dtype == bool else s + attn_mask
    return softmax(s, -1) @ v


def reduced(loss, reduction="mean"):
    return {"none": lambda: loss, "sum": loss.sum, "mean": loss.mean}[reduction]()


def nll(logp, target, weight=None, ignore_index=-100, reduction="mean"):
    """Negative log-likelihood of (N, C, ...) at int targets (N, ...)."""
    if logp.ndim == 1:
        logp, target = logp[None], np.asarray(target)[None]
        out = nll(logp, target, weight, ignore_index, reduction)
        return out[0] if reduction == "none" else out
    w = np.ones(logp.shape[1]) if weight is None else weight
    keep = target != ignore_index
    t = np.where(keep, target, 0)
    wt = np.where(keep, w[t], 0)
    loss = -np.take_along_axis(logp, np.expand_dims(t, 1), 1).squeeze(1) * wt
    return {"none": lambda: loss, "sum": loss.sum, "mean": lambda: loss.sum() / wt.sum()}[
        reduction
    ]()


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Cross entropy of logits (N, C, ...) with class indices or class probabilities."""
    axis = 1 if x.ndim > 1 else 0
    logp = x - x.max(axis, keepdims=True)
    logp = logp - np.log(np.exp(logp).sum(axis, keepdims=True))
    c, e = x.shape[axis], label_smoothing
    if target.dtype.kind == "f":
        t = target * (1 - e) + e / c
        w = 1 if weight is None else weight.reshape((1, -1) + (1,) * (x.ndim - 2))
        loss = -(logp * t * w).sum(axis)
        return loss.sum() / (loss.size) if reduction == "mean" else reduced(loss, reduction)
    hard = nll(logp, target, weight, ignore_index, reduction)
    if not e:
        return hard
    w = np.ones(c) if weight is None else weight
    keep = target != ignore_index
    smooth = -np.where(keep, np.tensordot(w, np.moveaxis(logp, axis, 0), 1), 0)
    if reduction == "mean":
        smooth = smooth.sum() / np.where(keep, w[np.where(keep, target, 0)], 0).sum()
    elif reduction == "sum":
        smooth = smooth.sum()
    return (1 - e) * hard + e / c * smooth
