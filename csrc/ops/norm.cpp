// Layer and RMS normalisation over the last dimensions, and the derivatives all norms share.
#include "norm.h"

#include <algorithm>
#include <limits>
#include <memory>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/norm.h"

namespace flambeau {

Tensor dense_as(const Tensor& t, DType c) { return t.defined() ? contiguous(to_dtype(t, c)) : t; }

NormGrads norm_double_backward(const Tensor& g, const Tensor& x, const Tensor& w, const Tensor& v,
                               const Tensor& vw, const Tensor& vb, const Dims& dims,
                               const Dims& w_shape, double eps, bool rms) {
  auto E = [&](const Tensor& t) { return mean(t, dims, true); };
  Tensor centred = rms ? x : x - E(x), r = rsqrt(E(centred * centred) + eps), xh = centred * r;
  // The map from a change of x to that of xh; it is its own transpose.
  auto project = [&](const Tensor& t) {
    Tensor d = t - xh * E(t * xh);
    return r * (rms ? d : d - E(t));
  };
  NormGrads out;
  Tensor q;
  if (v.defined()) {
    Tensor u = w.defined() ? g * w : g, p = project(v);
    out.g = w.defined() ? p * w : p;
    if (w.defined()) out.w = sum_to(g * p, w_shape);
    Tensor eu = E(u * xh), ev = E(v * xh), a = E(v * u) - ev * eu;
    if (!rms) a = a - E(v) * E(u);
    q = -r * (v * eu + u * ev);
    out.x = -a * r * r * xh;
  }
  if (vw.defined()) {
    Tensor t = vw * xh;
    out.g = out.g.defined() ? out.g + t : t;
    q = q.defined() ? q + vw * g : vw * g;
  }
  if (vb.defined()) {
    Tensor t = expand(vb, g.shape());
    out.g = out.g.defined() ? out.g + t : t;
  }
  if (q.defined()) out.x = out.x.defined() ? out.x + project(q) : project(q);
  return out;
}

namespace {

Dims last_dims(int ndim, int count) {
  Dims r;
  for (int d = ndim - count; d < ndim; ++d) r.push_back(d);
  return r;
}

struct RowNormBackward final : OpOf<RowNormBackward> { // inputs: g, x, mean, rstd, w or none
  int64_t n;
  int normalized; // dimensions
  double eps;
  bool rms, want_x, want_w, want_b;
  const char* name() const override { return rms ? "rms_norm_backward" : "layer_norm_backward"; }
  Dims w_shape(const Tensor& x) const {
    return Dims(x.shape().end() - normalized, x.shape().end());
  }
  Specs infer(const Inputs& in) override {
    Dims none{0}, w = w_shape(in[1]);
    DType t = in[4].defined() ? in[4].dtype() : in[1].dtype();
    return {{want_x ? in[1].shape() : none, in[1].dtype()},
            {want_w ? w : none, t},
            {want_b ? w : none, t}};
  }
  template<class T>
  void run(const Inputs& in, const Tensor& dx, const Tensor& dw, const Tensor& db) {
    DType c = dtype_of<T>;
    Tensor gt = dense_as(in[0], c), xt = dense_as(in[1], c), wt = dense_as(in[4], c);
    const T *g = gt.data<T>(), *x = xt.data<T>(), *w = data_or_null<T>(wt);
    const T *mu = in[2].data<T>(), *r = in[3].data<T>();
    T* out = want_x ? dx.data<T>() : nullptr;
    const RowKernels<T>& k = row_kernels<T>();
    int64_t m = in[2].numel(), len = n;
    int64_t block = std::max<int64_t>(64, 65536 / std::max<int64_t>(1, n));
    int64_t blocks = (m + block - 1) / block;
    bool sums = want_w || want_b, no_mean = rms;
    // Sums over rows: 64 rows in T, then double; blocks of rows are joined in order.
    std::unique_ptr<double[]> total(sums ? new double[size_t(blocks * 2 * n)]() : nullptr);
    int64_t grain = sums ? 1 : std::max<int64_t>(1, 32768 / std::max<int64_t>(1, n * block));
    parallel_for(blocks, grain, [&](int64_t b, int64_t e) {
      std::unique_ptr<T[]> part(sums ? new T[size_t(2 * len)] : nullptr);
      for (int64_t i = b * block, end = std::min(m, e * block); i < end;) {
        int64_t stop = std::min({end, (i / block + 1) * block, i + 64});
        double* to = total.get() + i / block * 2 * len;
        if (sums) std::fill_n(part.get(), 2 * len, T(0));
        for (; i < stop; ++i)
          k.norm_backward(g + i * len, x + i * len, w, mu[i], r[i], no_mean, len,
                          out ? out + i * len : nullptr, part.get(),
                          sums ? part.get() + len : nullptr);
        if (sums)
          for (int64_t j = 0; j < 2 * len; ++j) to[j] += double(part[size_t(j)]);
      }
    });
    if (!sums) return;
    double* t = total.get();
    for (int64_t i = 1; i < blocks; ++i)
      for (int64_t j = 0; j < 2 * n; ++j) t[j] += t[i * 2 * n + j];
    if (blocks == 0) return;
    if (want_w)
      for (int64_t j = 0; j < n; ++j) dw.data<T>()[j] = T(t[j]);
    if (want_b)
      for (int64_t j = 0; j < n; ++j) db.data<T>()[j] = T(t[n + j]);
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = in[2].dtype();
    Tensor r[3];
    for (int i = 0; i < 3; ++i) r[i] = out[i].dtype() == c ? out[i] : empty(out[i].shape(), c);
    if (in[2].numel() == 0)
      for (Tensor& t : r) fill_(t, Scalar(0));
    dispatch_float(c, name(),
                   [&](auto tag) { run<typename decltype(tag)::type>(in, r[0], r[1], r[2]); });
    for (int i = 0; i < 3; ++i)
      if (!r[i].is(out[i])) copy_values(out[i], r[i]);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor none, x = contiguous(in[1]);
    cuda::row_norm_backward(dense_as(in[0], x.dtype()), x, in[2], in[3], in[4], n, rms,
                            want_x ? out[0] : none, want_w ? out[1] : none, want_b ? out[2] : none);
  }
  Saves saves(const Inputs& in) const override { return {in[4].defined() ? 0x13u : 3u, 0}; }
  Grads vjp(const Saved& s, const Grads& v) override {
    Tensor g = s.input(0), x = s.input(1), w;
    if (s.node.saved_inputs >> 4 & 1) w = s.input(4);
    NormGrads d =
        norm_double_backward(g, x, w, v[0], want_w ? v[1] : Tensor(), want_b ? v[2] : Tensor(),
                             last_dims(x.dim(), normalized), w_shape(x), eps, rms);
    return {d.g, d.x, Tensor(), Tensor(), d.w};
  }
};

struct RowNorm final : OpOf<RowNorm> { // inputs: x, w or none, b or none
  int64_t n;
  int normalized;
  double eps;
  bool rms;
  const char* name() const override { return rms ? "rms_norm" : "layer_norm"; }
  Specs infer(const Inputs& in) override {
    Dims s = in[0].shape();
    for (int i = 0; i < normalized; ++i) s[s.size() - 1 - i] = 1;
    DType c = compute_type(in[0].dtype());
    return {{in[0].shape(), in[0].dtype()}, {s, c}, {s, c}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = out[1].dtype();
    Tensor xt = dense_as(in[0], c), wt = dense_as(in[1], c), bt = dense_as(in[2], c);
    Tensor yt = c == in[0].dtype() ? out[0] : empty(xt.shape(), c);
    int64_t m = out[1].numel(), len = n;
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const RowKernels<T>& k = row_kernels<T>();
      const T *x = xt.data<T>(), *w = data_or_null<T>(wt), *b = data_or_null<T>(bt);
      T *y = yt.data<T>(), *mu = out[1].data<T>(), *r = out[2].data<T>();
      double e = eps;
      bool no_mean = rms;
      parallel_for(m, std::max<int64_t>(1, 16384 / std::max<int64_t>(1, len)),
                   [&](int64_t from, int64_t to) {
                     for (int64_t i = from; i < to; ++i)
                       k.norm(x + i * len, w, b, y + i * len, len, e, no_mean, mu + i, r + i);
                   });
    });
    if (!yt.is(out[0])) copy_values(out[0], yt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    cuda::row_norm(contiguous(in[0]), in[1], in[2], n, eps, rms, out[0], out[1], out[2]);
  }
  Saves saves(const Inputs& in) const override { return {in[1].defined() ? 3u : 1u, 6}; }
  uint32_t not_differentiable() const override { return 6; }
  Grads vjp(const Saved& s, const Grads& g) override {
    RowNormBackward op;
    op.n = n;
    op.normalized = normalized;
    op.eps = eps;
    op.rms = rms;
    op.want_x = s.needs(0);
    op.want_w = s.needs(1);
    op.want_b = s.needs(2);
    Tensor w;
    if (s.node.saved_inputs >> 1 & 1) w = s.input(1);
    Outputs r = apply_all(op, {g[0], s.input(0), s.output(1), s.output(2), w});
    Grads d(3, Tensor());
    for (int i = 0; i < 3; ++i)
      if (s.needs(i)) d[i] = r[i];
    return d;
  }
};

Outputs row_norm(const Tensor& x, const Dims& shape, const Tensor& w, const Tensor& b, double eps,
                 bool rms) {
  const char* name = rms ? "rms_norm" : "layer_norm";
  FB_CHECK(!shape.empty(),
           "Expected normalized_shape to be at least 1-dimensional, i.e., "
           "containing at least one element, but got normalized_shape = ",
           shape);
  FB_CHECK(!w.defined() || w.shape() == shape,
           "Expected weight to be of same shape as "
           "normalized_shape, but got weight of shape ",
           w.defined() ? w.shape() : shape, " and normalized_shape = ", shape);
  FB_CHECK(!b.defined() || b.shape() == shape,
           "Expected bias to be of same shape as "
           "normalized_shape, but got bias of shape ",
           b.defined() ? b.shape() : shape, " and normalized_shape = ", shape);
  bool fits = x.dim() >= shape.size();
  for (int i = 1; fits && i <= shape.size(); ++i)
    fits = x.shape()[x.dim() - i] == shape[shape.size() - i];
  FB_CHECK(fits, name, ": Given normalized_shape=", shape, ", expected input with shape [*, ",
           to_str(shape).substr(1), ", but got input of size", x.shape());
  FB_CHECK_AS(NotImplemented, is_float(x.dtype()), "\"", name, "\" not implemented for '",
              x.dtype(), "'");
  RowNorm op;
  op.n = numel_of(shape);
  op.normalized = shape.size();
  op.eps = eps;
  op.rms = rms;
  return apply_all(op, {x, w, b});
}

Value call_layer_norm(Args& a) {
  return row_norm(a.tensor(0), a.dims(1), a.tensor(2), a.tensor(3), a.real(4), false)[0];
}
Value call_native_layer_norm(Args& a) {
  Outputs r = row_norm(a.tensor(0), a.dims(1), a.tensor(2), a.tensor(3), a.real(4), false);
  return Tensors{r[0], r[1], r[2]};
}
Value call_rms_norm(Args& a) {
  double eps = a.given(3) ? a.real(3)
               : compute_type(a.tensor(0).dtype()) == DType::F64
                   ? std::numeric_limits<double>::epsilon()
                   : double(std::numeric_limits<float>::epsilon());
  return row_norm(a.tensor(0), a.dims(1), a.tensor(2), Tensor(), eps, true)[0];
}

Register rows({
    {"layer_norm(Tensor input, int[1] normalized_shape, Tensor? weight=None, Tensor? bias=None, "
     "float eps=1e-5, bool cudnn_enable=True) -> Tensor",
     kFunction, call_layer_norm,
     "(input - mean) / sqrt(variance + eps) * weight + bias over the last dimensions."},
    {"native_layer_norm(Tensor input, int[1] normalized_shape, Tensor? weight, Tensor? bias, "
     "float eps) -> Tensor()",
     kFunction, call_native_layer_norm, "layer_norm, its means and its reciprocal deviations."},
    {"rms_norm(Tensor input, int[1] normalized_shape, Tensor? weight=None, float? eps=None) -> "
     "Tensor",
     kFunction, call_rms_norm,
     "input / sqrt(mean(input^2) + eps) * weight over the last dimensions."},
});

} // namespace
} // namespace flambeau
