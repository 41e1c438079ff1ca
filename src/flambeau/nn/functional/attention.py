"""Multi-head attention as one function, and the scaled dot product it is made of."""

from __future__ import annotations

import math

import flambeau as fb
from flambeau import _C

from .activation import softmax
from .dropout import dropout


def _score_mask(attn_mask, is_causal, scores):
    """The mask as what is added to the scores, or None."""
    if is_causal:
        if attn_mask is not None:
            raise RuntimeError("Explicit attn_mask should not be set when is_causal=True")
        ones = fb.ones(scores.shape[-2:], dtype=fb.bool, device=scores.device)
        return scores.masked_fill(ones.tril().logical_not(), float("-inf"))
    if attn_mask is None:
        return scores
    if attn_mask.dtype == fb.bool:
        return scores.masked_fill(attn_mask.logical_not(), float("-inf"))
    if attn_mask.dtype != scores.dtype:
        raise RuntimeError(
            f"Expected attn_mask dtype to be bool or to match query dtype, but got "
            f"attn_mask.dtype: {attn_mask.dtype} and query.dtype: {scores.dtype} instead."
        )
    return scores + attn_mask


def _dot_product_attention(
    query, key, value, attn_mask=None, dropout_p=0.0, is_causal=False, *, scale=None,
    enable_gqa=False,
):  # fmt: skip
    """softmax(query key^T scale + mask) value, over (*, L, E), (*, S, E) and (*, S, V): (*, L, V).

    A bool mask keeps where it is True, a float one is added; a query that may see no key gives
    0. ``enable_gqa`` shares each key head among several query heads (dimension -3). ``scale``
    defaults to 1 / sqrt(E). RuntimeError for shapes that clash.

    >>> import flambeau as fb
    >>> q = fb.zeros(1, 2, 4)
    >>> fb.nn.functional.scaled_dot_product_attention(q, q, fb.ones(1, 2, 3)).sum().item()
    6.0
    """
    if query.dim() < 2 or key.dim() < 2 or query.shape[-1] != key.shape[-1]:
        raise RuntimeError(
            "scaled_dot_product_attention: query (*, L, E) and key (*, S, E) must end in the "
            f"same size, but got {list(query.shape)} and {list(key.shape)}"
        )
    if enable_gqa:
        repeat = query.shape[-3] // key.shape[-3]
        key, value = (t.repeat_interleave(repeat, -3) for t in (key, value))
    root = math.sqrt(1.0 / math.sqrt(query.shape[-1]) if scale is None else abs(scale))
    sign = -1.0 if scale is not None and scale < 0 else 1.0
    scores = (query * (root * sign)) @ (key * root).transpose(-2, -1)
    masked = _score_mask(attn_mask, is_causal, scores)
    weights = softmax(masked, -1)
    if attn_mask is not None:
        blind = (masked == float("-inf")).all(-1, keepdim=True)
        weights = weights.masked_fill(blind, 0.0)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    return weights @ value


scaled_dot_product_attention = getattr(_C, "scaled_dot_product_attention", _dot_product_attention)
_dot_product_attention.__name__ = "scaled_dot_product_attention"


def _additive(mask, name, dtype):
    """A bool mask (True = leave out) as 0 and -inf of ``dtype``; a float mask as it is."""
    if mask is None:
        return None
    if mask.dtype == fb.bool:
        zeros = fb.zeros(mask.shape, dtype=dtype, device=mask.device)
        return zeros.masked_fill(mask, float("-inf"))
    if not mask.is_floating_point():
        raise AssertionError(f"only bool and floating types of {name} are supported: {mask.dtype}")
    return mask


def _project(query, key, value, w, b):
    """The packed input projection; self-attention and shared keys take fewer products."""
    e = query.shape[-1]
    if key is value and query is key:
        return fb.nn.functional.linear(query, w, b).chunk(3, -1)
    wq, wk, wv = w.split([e, e, e])
    bq, bk, bv = (None, None, None) if b is None else b.split([e, e, e])
    linear = fb.nn.functional.linear
    return linear(query, wq, bq), linear(key, wk, bk), linear(value, wv, bv)


def _check_inputs(query, key, value, embed_dim, num_heads, key_padding_mask, attn_mask):
    if query.dim() not in (2, 3):
        raise AssertionError(
            f"query should be unbatched 2D or batched 3D tensor but received {query.dim()}-D query"
        )
    if key.dim() != query.dim() or value.dim() != query.dim():
        raise AssertionError(
            f"For a {query.dim()}-D query, key and value must have as many dimensions, but got "
            f"{list(key.shape)} and {list(value.shape)}"
        )
    if query.shape[-1] != embed_dim:
        raise AssertionError(
            f"was expecting embedding dimension of {embed_dim}, but got {query.shape[-1]} "
            f"(query shape {list(query.shape)})"
        )
    if embed_dim % num_heads:
        raise AssertionError(f"embed_dim {embed_dim} not divisible by num_heads {num_heads}")
    if key.shape[:-1] != value.shape[:-1]:
        raise AssertionError(
            f"key's sequence and batch dims {list(key.shape[:-1])} do not match value's "
            f"{list(value.shape[:-1])}"
        )


def _attention_mask(attn_mask, key_padding_mask, n, heads, length, source):
    """Join the two masks into one that broadcasts to (n, heads, length, source)."""
    if attn_mask is not None:
        if attn_mask.dim() == 2:
            if tuple(attn_mask.shape) != (length, source):
                raise RuntimeError(
                    f"The shape of the 2D attn_mask is {tuple(attn_mask.shape)}, but should be "
                    f"{(length, source)}."
                )
            attn_mask = attn_mask.reshape(1, 1, length, source)
        elif attn_mask.dim() == 3:
            if tuple(attn_mask.shape) != (n * heads, length, source):
                raise RuntimeError(
                    f"The shape of the 3D attn_mask is {tuple(attn_mask.shape)}, but should be "
                    f"{(n * heads, length, source)}."
                )
            attn_mask = attn_mask.reshape(n, heads, length, source)
        else:
            raise RuntimeError(f"attn_mask's dimension {attn_mask.dim()} is not supported")
    if key_padding_mask is None:
        return attn_mask
    if tuple(key_padding_mask.shape) != (n, source):
        raise AssertionError(
            f"expecting key_padding_mask shape of {(n, source)}, but got "
            f"{tuple(key_padding_mask.shape)}"
        )
    key_padding_mask = key_padding_mask.reshape(n, 1, 1, source)
    return key_padding_mask if attn_mask is None else attn_mask + key_padding_mask


def _append(t, row):
    """Add one row to each sequence of t (n, heads, s, d)."""
    return fb.cat([t, row], 2)


def _attend(q, k, v, mask, dropout_p, need_weights, is_causal):
    """Attention of (n, heads, length, d) tensors; returns (output, weights or None)."""
    if not need_weights:
        causal = is_causal and mask is None
        return scaled_dot_product_attention(q, k, v, mask, dropout_p, causal), None
    scores = (q * math.sqrt(1.0 / q.shape[-1])) @ k.transpose(-2, -1)
    weights = softmax(scores if mask is None else scores + mask, -1)
    if dropout_p > 0.0:
        weights = dropout(weights, dropout_p)
    return weights @ v, weights


def multi_head_attention_forward(
    query, key, value, embed_dim_to_check, num_heads, in_proj_weight, in_proj_bias, bias_k,
    bias_v, add_zero_attn, dropout_p, out_proj_weight, out_proj_bias, training=True,
    key_padding_mask=None, need_weights=True, attn_mask=None, use_separate_proj_weight=False,
    q_proj_weight=None, k_proj_weight=None, v_proj_weight=None, static_k=None, static_v=None,
    average_attn_weights=True, is_causal=False,
):  # fmt: skip
    """Multi-head attention of (length, batch, embed) or (length, embed) tensors.

    Returns (output, weights): the weights (batch, length, source) are averaged over the heads,
    or (batch, heads, length, source), or None. AssertionError/RuntimeError for shapes that do
    not fit. Vaswani et al. 2017, https://arxiv.org/abs/1706.03762.
    """
    _check_inputs(query, key, value, embed_dim_to_check, num_heads, key_padding_mask, attn_mask)
    batched = query.dim() == 3
    if not batched:
        same = key is query, value is key
        query = query.unsqueeze(1)
        key = query if same[0] else key.unsqueeze(1)
        value = key if same[1] else value.unsqueeze(1)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    length, n, embed = query.shape
    head_dim = embed // num_heads
    if is_causal and attn_mask is None:
        raise RuntimeError("Need attn_mask if specifying the is_causal hint.")
    padding = _additive(key_padding_mask, "key_padding_mask", query.dtype)
    if is_causal and padding is None and not need_weights:
        attn_mask = None  # the causal kernel knows the mask
    else:
        attn_mask, is_causal = _additive(attn_mask, "attn_mask", query.dtype), False
    if use_separate_proj_weight:
        b = (None,) * 3 if in_proj_bias is None else in_proj_bias.chunk(3)
        linear = fb.nn.functional.linear
        q = linear(query, q_proj_weight, b[0])
        k = linear(key, k_proj_weight, b[1])
        v = linear(value, v_proj_weight, b[2])
    else:
        q, k, v = _project(query, key, value, in_proj_weight, in_proj_bias)

    def heads(t):
        return t.reshape(t.shape[0], n, num_heads, head_dim).permute(1, 2, 0, 3)

    q = heads(q)
    k = heads(k) if static_k is None else static_k.reshape(n, num_heads, -1, head_dim)
    v = heads(v) if static_v is None else static_v.reshape(n, num_heads, -1, head_dim)
    extra = 0
    if bias_k is not None and bias_v is not None:
        if static_k is not None or static_v is not None:
            raise AssertionError("bias_k and bias_v cannot be added to static key and value")
        k = _append(k, bias_k.reshape(1, num_heads, 1, head_dim).expand(n, -1, -1, -1))
        v = _append(v, bias_v.reshape(1, num_heads, 1, head_dim).expand(n, -1, -1, -1))
        extra += 1
    if add_zero_attn:
        zero = fb.zeros((n, num_heads, 1, head_dim), dtype=k.dtype, device=k.device)
        k, v = _append(k, zero), _append(v, zero)
        extra += 1
    if extra:
        attn_mask = None if attn_mask is None else fb.constant_pad_nd(attn_mask, (0, extra), 0)
        padding = None if padding is None else fb.constant_pad_nd(padding, (0, extra), 0)
    mask = _attention_mask(attn_mask, padding, n, num_heads, length, k.shape[2])
    drop = dropout_p if training else 0.0
    out, weights = _attend(q, k, v, mask, drop, need_weights, is_causal)
    out = out.permute(2, 0, 1, 3).reshape(length, n, embed)
    out = fb.nn.functional.linear(out, out_proj_weight, out_proj_bias)
    if weights is not None and average_attn_weights:
        weights = weights.mean(1)
    if not batched:
        out = out.squeeze(1)
        weights = None if weights is None else weights.squeeze(0)
    return out, weights
