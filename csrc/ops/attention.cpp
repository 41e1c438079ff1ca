// Scaled dot-product attention (Vaswani et al. 2017), composed of batched products and softmax.
#include <cmath>

#include "../core/op.h"
#include "../core/registry.h"
#include "random.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

Tensor number(double v) { return weak_scalar(Scalar(v)); }

// -inf where `keep` is false, 0 elsewhere, in the dtype of `like`.
Tensor as_bias(const Tensor& keep, const Tensor& like) {
  return where(keep, zeros({}, like.dtype()), full({}, -INFINITY, like.dtype()));
}

Tensor repeat_heads(const Tensor& t, int64_t heads) {
  int64_t own = t.size(-3);
  if (own == heads) return t;
  FB_CHECK(heads % own == 0,
           "scaled_dot_product_attention: enable_gqa needs the number of query heads (", heads,
           ") to be a multiple of the number of key and value heads (", own, ")");
  Dims wide = t.shape(), flat = t.shape();
  wide.insert(t.dim() - 2, heads / own);
  flat[t.dim() - 3] = heads;
  return reshape(expand(unsqueeze(t, -3), wide), flat);
}

Tensor attention(const Tensor& q, const Tensor& k0, const Tensor& v0, const Tensor& mask, double p,
                 bool causal, OptInt has_scale, double scale, bool gqa) {
  FB_CHECK(q.dim() >= 2 && k0.dim() >= 2 && v0.dim() >= 2,
           "scaled_dot_product_attention: query, key and "
           "value must be at least 2-dimensional, but they are ",
           describe(q), ", ", describe(k0), ", ", describe(v0));
  FB_CHECK(q.dtype() == k0.dtype() && q.dtype() == v0.dtype(),
           "Expected query, key, and value to have the "
           "same dtype, but got query.dtype: ",
           q.dtype(), " key.dtype: ", k0.dtype(), " and value.dtype: ", v0.dtype(), " instead.");
  FB_CHECK(!(causal && mask.defined()),
           "_scaled_dot_product_attention: Explicit attn_mask should not be "
           "set when is_causal=True");
  FB_CHECK(q.size(-1) == k0.size(-1),
           "scaled_dot_product_attention: query and key must have the same "
           "last size, but they are ",
           q.shape(), " and ", k0.shape());
  Tensor k = gqa ? repeat_heads(k0, q.size(-3)) : k0, v = gqa ? repeat_heads(v0, q.size(-3)) : v0;
  double s = has_scale ? scale : 1 / std::sqrt(double(q.size(-1)));
  // Half of the scale on each side keeps the products in range.
  double root = std::sqrt(std::fabs(s));
  Tensor scores = matmul(q * root, transpose(k, -2, -1) * (s < 0 ? -root : root));
  Tensor dead; // rows that may attend to nothing give zeros, not NaN
  if (causal) {
    Tensor keep = tril(full({q.size(-2), k.size(-2)}, true, DType::Bool, q.device()), 0);
    scores = scores + as_bias(keep, scores);
  } else if (mask.defined()) {
    FB_CHECK(mask.dtype() == DType::Bool || is_float(mask.dtype()),
             "Expected attn_mask dtype to be bool "
             "or float or to match query dtype, but got attn_mask.dtype: ",
             mask.dtype());
    bool boolean = mask.dtype() == DType::Bool;
    Tensor bias = boolean ? as_bias(mask, scores) : to_dtype(mask, scores.dtype());
    scores = scores + bias;
    NoGrad off;
    dead = eq(amax(scores, {-1}, true), number(-INFINITY));
  }
  Tensor w = softmax(scores, -1);
  if (dead.defined() && !dead.is_meta() && item(any(dead)).i)
    w = where(dead, zeros({}, w.dtype()), w);
  if (p > 0) {
    FB_CHECK(p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
    Tensor keep = empty(w.shape(), DType::U8, w.device());
    fill_bernoulli(keep, 1 - p);
    w = w * (to_dtype(keep, w.dtype()) * (p < 1 ? 1 / (1 - p) : 0));
  }
  return matmul(w, v);
}

Register rows({
    {"scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, "
     "float dropout_p=0.0, bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> "
     "Tensor",
     kFunction,
     [](Args& a) -> Value {
       return attention(a.tensor(0), a.tensor(1), a.tensor(2), a.tensor(3), a.real(4), a.flag(5),
                        a.given(6) ? OptInt(1) : OptInt(), a.given(6) ? a.real(6) : 0, a.flag(7));
     },
     "softmax(query @ key^T * scale + mask) @ value; query (..., L, E), key (..., S, E), value "
     "(..., S, "
     "Ev)."},
});

} // namespace
} // namespace flambeau
