// Scaled dot-product attention (Vaswani et al. 2017), composed of batched products and softmax, or
// in one kernel on a GPU.
#include <cmath>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cuda/attention.h"
#include "random.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

Tensor number(double v) { return weak_scalar(Scalar(v)); }

// -inf where `keep` is false, 0 elsewhere, in the dtype of `like`.
Tensor as_bias(const Tensor& keep, const Tensor& like) {
  return where(keep, zeros({}, like.dtype()), full({}, -INFINITY, like.dtype()));
}

// 0 heads: there is no such dimension.
Tensor repeat_heads(const Tensor& t, int64_t heads) {
  if (heads == 0 || t.size(-3) == heads) return t;
  int64_t own = t.size(-3);
  FB_CHECK(heads % own == 0,
           "scaled_dot_product_attention: enable_gqa needs the number of query heads (", heads,
           ") to be a multiple of the number of key and value heads (", own, ")");
  Dims wide = t.shape(), flat = t.shape();
  wide.insert(t.dim() - 2, heads / own);
  flat[t.dim() - 3] = heads;
  return reshape(expand(unsqueeze(t, -3), wide), flat);
}

// The rows of softmax(q k^T scale + mask); those that may attend to nothing are 0, not NaN.
Tensor weights(const Tensor& q, const Tensor& k, const Tensor& mask, bool causal, double scale) {
  // Half of the scale on each side keeps the products in range.
  double root = std::sqrt(std::fabs(scale));
  Tensor scores = matmul(q * root, transpose(k, -2, -1) * (scale < 0 ? -root : root));
  Tensor dead;
  if (causal) {
    Tensor keep = tril(full({q.size(-2), k.size(-2)}, true, DType::Bool, q.device()), 0);
    scores = scores + as_bias(keep, scores);
  } else if (mask.defined()) {
    bool boolean = mask.dtype() == DType::Bool;
    Tensor bias = boolean ? as_bias(mask, scores) : to_dtype(mask, scores.dtype());
    scores = scores + bias;
    NoGrad off;
    dead = eq(amax(scores, {-1}, true), number(-INFINITY));
  }
  // A look at the values would wait for a GPU.
  bool any_dead = dead.defined() && !dead.is_meta() && (dead.is_cuda() || item(any(dead)).i);
  if (!any_dead) return softmax(scores, -1);
  Tensor zero = zeros({}, scores.dtype()); // before too: a gradient through NaN would be one
  return where(dead, zero, softmax(where(dead, zero, scores), -1));
}

// The whole in one kernel, where cuda::attention_takes the inputs; the derivative computes the
// weights anew. Inputs: query, key, value, mask, which may be undefined.
struct Attention final : OpOf<Attention> {
  bool causal;
  double scale;
  const char* name() const override { return "scaled_dot_product_attention"; }
  Specs infer(const Inputs& in) override {
    Dims shape = in[0].shape();
    shape.back() = in[2].size(-1);
    return {{shape, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor k = repeat_heads(in[1], heads(in)), v = repeat_heads(in[2], heads(in));
    copy_values(out[0], matmul(weights(in[0], k, in[3], causal, scale), v));
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::attention(in[0], in[1], in[2], in[3], causal, scale, out[0]);
  }
  Saves saves(const Inputs& in) const override { return {in[3].defined() ? 15u : 7u, 0}; }
  Grads vjp(const Saved& s, const Grads& grads) override {
    Tensor q = s.input(0), g = grads[0];
    Tensor mask = s.node.saved_inputs & 8 ? s.input(3) : Tensor();
    Tensor own_k = s.input(1), own_v = s.input(2);
    Tensor k = repeat_heads(own_k, heads({q})), v = repeat_heads(own_v, heads({q}));
    Tensor w = weights(q, k, mask, causal, scale);
    Grads r(4, Tensor());
    if (s.needs(2)) r[2] = sum_heads(matmul(transpose(w, -2, -1), g), own_v);
    if (!s.needs(0) && !s.needs(1)) return r;
    Tensor dw = matmul(g, transpose(v, -2, -1)), t = w * dw;
    Tensor ds = t - w * sum(t, {-1}, true);
    if (s.needs(0)) r[0] = matmul(ds, k) * scale;
    if (s.needs(1)) r[1] = sum_heads(matmul(transpose(ds, -2, -1), q) * scale, own_k);
    return r;
  }
  static int64_t heads(const Inputs& in) { return in[0].dim() > 2 ? in[0].size(-3) : 0; }
  // The gradient of keys or values from those of the heads that share them.
  static Tensor sum_heads(const Tensor& g, const Tensor& own) {
    if (g.shape() == own.shape()) return g;
    Dims wide = own.shape();
    wide.insert(own.dim() - 2, g.size(-3) / own.size(-3));
    return sum(view(g, wide), {-3});
  }
};

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
  FB_CHECK(!mask.defined() || mask.dtype() == DType::Bool || is_float(mask.dtype()),
           "Expected attn_mask dtype to be bool "
           "or float or to match query dtype, but got attn_mask.dtype: ",
           mask.dtype());
  double s = has_scale ? scale : 1 / std::sqrt(double(q.size(-1)));
  const bool learned = mask.defined() && mask.requires_grad();
  if (p == 0 && !learned && cuda::attention_takes(q, k0, v0, mask, gqa)) {
    Attention op;
    op.causal = causal;
    op.scale = s;
    return apply(std::move(op), {q, k0, v0, mask});
  }
  Tensor k = gqa ? repeat_heads(k0, q.size(-3)) : k0, v = gqa ? repeat_heads(v0, q.size(-3)) : v0;
  Tensor w = weights(q, k, mask, causal, s);
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
