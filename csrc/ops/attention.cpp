// Scaled dot-product attention (Vaswani et al. 2017): one kernel that never makes the matrix of
// scores where the device has it, else batched products and softmax.
#include <cmath>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/attention.h"
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

int64_t heads_of(const Tensor& q) { return q.dim() > 2 ? q.size(-3) : 0; }

// ---- the CPU's kernel ----

// Where each of `q`'s matrices has its own in t, whose leading dimensions broadcast to q's, or
// stand for several of q's heads.
std::vector<int64_t> offsets(const Tensor& t, const Tensor& q) {
  const int lead = q.dim() - 2;
  int64_t count = 1;
  for (int d = 0; d < lead; ++d) count *= q.shape()[d];
  std::vector<int64_t> at(size_t(count), 0);
  int64_t inner = 1;
  for (int d = lead - 1; d >= 0; inner *= q.shape()[d--]) {
    const int own = d - q.dim() + t.dim();
    if (own < 0 || t.shape()[own] == 1) continue;
    const int64_t n = q.shape()[d], shared = n / t.shape()[own], stride = t.strides()[own];
    for (int64_t i = 0; i < count; ++i) at[size_t(i)] += i / inner % n / shared * stride;
  }
  return at;
}
template<class T>
HeadMatrices<T> matrices(const Tensor& t, const Tensor& q) {
  if (!t.defined()) return {};
  return {t.data<T>(), offsets(t, q), t.size(-2) == 1 ? 0 : t.stride(-2)};
}

// In the compute type, with adjacent columns.
Tensor adjacent(const Tensor& t, DType dtype) {
  Tensor r = to_dtype(t, dtype);
  return r.size(-1) == 1 || r.stride(-1) == 1 ? r : contiguous(r);
}

// The operands of a job, which they outlive.
struct Operands {
  Tensor q, k, v, mask;
  bool causal;
  double scale;

  Operands(const Tensor& query, const Tensor& key, const Tensor& value, const Tensor& bias,
           bool is_causal, double by)
      : causal(is_causal), scale(by) {
    DType c = compute_type(query.dtype());
    q = adjacent(query, c);
    k = adjacent(key, c);
    v = adjacent(value, c);
    if (!bias.defined()) return;
    Dims shape = bias.shape();
    if (shape.size() == 1) shape.insert(0, 1);
    shape.back() = k.size(-2);
    mask = adjacent(expand(bias, shape), bias.dtype() == DType::Bool ? DType::Bool : c);
  }
  template<class T>
  AttentionJob<T> job() const {
    AttentionJob<T> j;
    j.q = matrices<const T>(q, q);
    j.k = matrices<const T>(k, q);
    j.v = matrices<const T>(v, q);
    j.heads = int64_t(j.q.at.size());
    j.queries = q.size(-2), j.keys = k.size(-2), j.dim = q.size(-1), j.value_dim = v.size(-1);
    j.causal = causal;
    j.scale = T(scale);
    if (mask.defined() && mask.dtype() == DType::Bool)
      j.keep = matrices<const bool>(mask, q);
    else
      j.bias = matrices<const T>(mask, q);
    return j;
  }
};

// A result like `t`, in the compute type.
Tensor result_like(const Tensor& t, bool wanted) {
  return wanted ? empty_like(t, compute_type(t.dtype())) : Tensor();
}

// Whether the CPU's kernel takes these: all leading dimensions are the query's, but for heads that
// share keys and a mask that broadcasts.
bool cpu_takes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask, bool shared) {
  if (!q.device().is_cpu() || !is_float(q.dtype()) || !k.device().is_cpu() ||
      !v.device().is_cpu() || q.dim() != k.dim() || q.dim() != v.dim() ||
      k.size(-2) != v.size(-2) || q.numel() == 0 || k.numel() == 0 || v.numel() == 0)
    return false;
  for (int d = 0; d < q.dim() - 2; ++d) {
    const int64_t n = q.shape()[d], own = k.shape()[d];
    if (own != v.shape()[d]) return false;
    if (own != n && !(shared && d == q.dim() - 3 && n % own == 0)) return false;
  }
  if (!mask.defined()) return true;
  if (!mask.device().is_cpu() || mask.dim() > q.dim() || mask.dim() == 0) return false;
  Dims scores = q.shape();
  scores.back() = k.size(-2);
  return can_sum_to(scores, mask.shape());
}

// The whole in one kernel, where cpu_takes or cuda::attention_takes the inputs; the derivative
// computes the weights anew. Inputs: query, key, value, mask, which may be undefined. The second
// output, which only the CPU has, is each row's logarithm of the sum of exponentials.
struct Attention final : OpOf<Attention> {
  bool causal;
  double scale;
  const char* name() const override { return "scaled_dot_product_attention"; }
  Specs infer(const Inputs& in) override {
    Dims shape = in[0].shape();
    shape.back() = in[2].size(-1);
    if (in[0].is_cuda()) return {{shape, in[0].dtype()}};
    Dims rows(shape.begin(), shape.end() - 1);
    Spec out{shape, in[0].dtype()};
    if (shape == in[0].shape()) out.strides = result_strides_of(in[0]); // heads stay in the middle
    return {out, {rows, compute_type(in[0].dtype())}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Operands on(in[0], in[1], in[2], in[3], causal, scale);
    DType c = on.q.dtype();
    const bool direct = c == out[0].dtype() && out[0].stride(-1) == 1;
    Tensor y = direct ? out[0] : empty(out[0].shape(), c);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      attention_forward<T>(on.job<T>(), matrices<T>(y, on.q), out[1].data<T>());
    });
    if (!y.is(out[0])) copy_values(out[0], y);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::attention(in[0], in[1], in[2], in[3], causal, scale, out[0]);
  }
  Saves saves(const Inputs& in) const override {
    return {in[3].defined() ? 15u : 7u, in[0].is_cuda() ? 0u : 3u};
  }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& grads) override {
    Tensor q = s.input(0), g = grads[0];
    Tensor mask = s.node.saved_inputs & 8 ? s.input(3) : Tensor();
    Tensor own_k = s.input(1), own_v = s.input(2);
    if (q.device().is_cpu() && !grad_enabled()) return vjp_cpu(s, g, q, own_k, own_v, mask);
    Tensor k = repeat_heads(own_k, heads_of(q)), v = repeat_heads(own_v, heads_of(q));
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
  Grads vjp_cpu(const Saved& s, const Tensor& grad, const Tensor& q, const Tensor& k,
                const Tensor& v, const Tensor& mask) {
    Operands on(q, k, v, mask, causal, scale);
    DType c = on.q.dtype();
    Tensor g = adjacent(grad, c), y = adjacent(s.output(0), c), lse = s.output(1);
    Dims all_k = q.shape(), all_v = q.shape();
    all_k[q.dim() - 2] = all_v[q.dim() - 2] = k.size(-2);
    all_v.back() = v.size(-1);
    const bool shared = !(k.shape() == all_k);
    Tensor dq = result_like(q, s.needs(0));
    Tensor dk = shared ? empty(all_k, c) : result_like(k, s.needs(1));
    Tensor dv = shared ? empty(all_v, c) : result_like(v, s.needs(2));
    for (Tensor* t : {&dq, &dk, &dv}) // columns in a row, for the kernel
      if (t->defined() && t->size(-1) > 1 && t->stride(-1) != 1) *t = empty(t->shape(), c);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      attention_backward<T>(on.job<T>(), matrices<const T>(y, on.q), matrices<const T>(g, on.q),
                            lse.data<T>(), matrices<T>(dq, on.q), matrices<T>(dk, on.q),
                            matrices<T>(dv, on.q));
    });
    Grads r(4, Tensor());
    if (s.needs(0)) r[0] = to_dtype(dq, q.dtype());
    if (s.needs(1)) r[1] = to_dtype(shared ? sum_heads(dk, k) : dk, k.dtype());
    if (s.needs(2)) r[2] = to_dtype(shared ? sum_heads(dv, v) : dv, v.dtype());
    return r;
  }
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
  if (p == 0 && !learned &&
      (cpu_takes(q, k0, v0, mask, gqa) || cuda::attention_takes(q, k0, v0, mask, gqa))) {
    Attention op;
    op.causal = causal;
    op.scale = s;
    return apply_all(op, {q, k0, v0, mask})[0];
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
