// Batch, group and instance normalisation: statistics of channels, then one affine pass.
#include <algorithm>
#include <memory>

#include "../core/registry.h"
#include "../cpu/loops.h"
#include "../cuda/norm.h"
#include "../cuda/reduce.h"
#include "norm.h"

namespace flambeau {
namespace {

// A contiguous tensor seen as (n, c, l). groups == 0: one mean for a channel, over n and l;
// else one for each of n * groups groups of channels.
struct Planes {
  int64_t n, c, l, groups;
  Planes(const Dims& s, int64_t groups) : n(s[0]), c(s[1]), l(1), groups(groups) {
    for (int d = 2; d < s.size(); ++d) l *= s[d];
  }
  int64_t stats() const { return groups ? n * groups : c; }
  int64_t stat_of(int64_t plane) const { // plane: i * c + j
    return groups ? plane / (c / groups) : plane % c;
  }
  int64_t count() const { return groups ? c / groups * l : n * l; }
  int64_t grain() const { return even_grain(n * c, 32768 / std::max<int64_t>(1, l) + 1); }
};

// y = a * x + s with coefficients for each plane (or channel, when per_channel).
template<class T>
void scale_planes(const Planes& p, const T* x, T* y, const T* a, const T* s, bool per_channel) {
  const RowKernels<T>& k = row_kernels<T>();
  if (p.l == 1) {
    parallel_for(p.n, std::max<int64_t>(1, 32768 / p.c), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i) {
        int64_t at = per_channel ? 0 : i * p.c;
        k.scale_shift_cols(x + i * p.c, y + i * p.c, p.c, a + at, s + at);
      }
    });
    return;
  }
  parallel_for(p.n * p.c, p.grain(), [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i) {
      int64_t at = per_channel ? i % p.c : i;
      k.scale_shift(x + i * p.l, y + i * p.l, p.l, a[at], s[at]);
    }
  });
}

Dims channel_shape(const Tensor& x) {
  Dims s(x.dim(), int64_t(1));
  s[1] = x.shape()[1];
  return s;
}
Dims all_but_channels(int ndim) {
  Dims r{0};
  for (int d = 2; d < ndim; ++d) r.push_back(d);
  return r;
}

struct ChannelNormBackward final : OpOf<ChannelNormBackward> { // g, x, mean, rstd, w or none
  int64_t groups;
  double eps;
  bool want_x, want_w, want_b;
  const char* name() const override {
    return groups ? "group_norm_backward" : "batch_norm_backward";
  }
  Specs infer(const Inputs& in) override {
    Dims none{0}, w{in[1].shape()[1]};
    DType t = in[4].defined() ? in[4].dtype() : in[1].dtype();
    return {{want_x ? in[1].shape() : none, in[1].dtype()},
            {want_w ? w : none, t},
            {want_b ? w : none, t}};
  }
  // Pairs: the sum of g, and of g * (x - mean). For each plane:
  template<class T>
  static void plane_sums(const Planes& p, const T* g, const T* x, const T* mu, double* sums) {
    const RowKernels<T>& k = row_kernels<T>();
    parallel_for(p.n * p.c, p.grain(), [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i)
        k.dot(g + i * p.l, x + i * p.l, p.l, mu[p.stat_of(i)], sums + 2 * i);
    });
  }
  // For each channel of a matrix, by parts of rows:
  template<class T>
  static void column_sums(const Planes& p, const T* g, const T* x, const T* mu, double* sums) {
    const RowKernels<T>& k = row_kernels<T>();
    int64_t c = p.c, rows = std::max<int64_t>(64, 32768 / c), parts = (p.n + rows - 1) / rows;
    std::unique_ptr<double[]> part(new double[size_t(parts * 2 * c)]());
    parallel_for(p.n, rows, [&](int64_t b, int64_t e) {
      double* to = part.get() + b / rows * 2 * c;
      k.dot_cols(g + b * c, x + b * c, c, e - b, c, mu, to, to + c);
    });
    for (int64_t i = 0; i < parts; ++i)
      for (int64_t j = 0; j < c; ++j) {
        sums[2 * j] += part[size_t(i * 2 * c + j)];
        sums[2 * j + 1] += part[size_t((i * 2 + 1) * c + j)];
      }
  }
  template<class T>
  void run(const Inputs& in, const Tensor& dx, const Tensor& dw, const Tensor& db) {
    DType c = dtype_of<T>;
    Tensor gt = dense_as(in[0], c), xt = dense_as(in[1], c), wt = dense_as(in[4], c);
    const T *g = gt.data<T>(), *x = xt.data<T>(), *w = data_or_null<T>(wt);
    const T *mu = in[2].data<T>(), *r = in[3].data<T>();
    Planes p(in[1].shape(), groups);
    bool matrix = !groups && p.l == 1;
    int64_t n = matrix ? 1 : p.n, wide = p.c / std::max<int64_t>(1, groups);
    std::unique_ptr<double[]> sums(new double[size_t(2 * n * p.c)]()),
        stat(new double[size_t(2 * p.stats())]()), chan(new double[size_t(2 * p.c)]());
    (matrix ? column_sums<T> : plane_sums<T>)(p, g, x, mu, sums.get());
    const double* s = sums.get();
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0, q = groups ? i * groups : 0, left = wide; j < p.c; ++j, s += 2) {
        double wj = w ? double(w[j]) : 1;
        stat[size_t(2 * q)] += wj * s[0];
        stat[size_t(2 * q + 1)] += wj * s[1];
        chan[size_t(2 * j)] += s[0];
        chan[size_t(2 * j + 1)] += s[1] * double(r[q]);
        if (!groups)
          ++q;
        else if (--left == 0)
          ++q, left = wide;
      }
    for (int64_t j = 0; j < p.c; ++j) {
      if (want_b) db.data<T>()[j] = T(chan[size_t(2 * j)]);
      if (want_w) dw.data<T>()[j] = T(chan[size_t(2 * j + 1)]);
    }
    if (want_x) apply_dx(p, g, x, w, mu, r, stat.get(), dx.data<T>());
  }
  template<class T>
  static void apply_dx(const Planes& p, const T* g, const T* x, const T* w, const T* mu, const T* r,
                       const double* stat, T* out) {
    const RowKernels<T>& k = row_kernels<T>();
    double count = double(p.count());
    // dx = a g + b x + c, with coefficients for each plane.
    auto coefficients = [&](int64_t plane, T& a, T& b, T& c) {
      int64_t q = p.stat_of(plane);
      double rq = double(r[q]), s1 = stat[2 * q] / count, s2 = stat[2 * q + 1] / count;
      double bb = -rq * rq * rq * s2;
      a = T(rq * (w ? double(w[plane % p.c]) : 1));
      b = T(bb);
      c = T(-rq * s1 - bb * double(mu[q]));
    };
    if (p.l == 1) {
      int64_t tables = p.groups ? p.n : 1;
      std::unique_ptr<T[]> co(new T[size_t(3 * tables * p.c)]);
      T *a = co.get(), *b = a + tables * p.c, *c = b + tables * p.c;
      for (int64_t i = 0; i < tables * p.c; ++i) coefficients(i, a[i], b[i], c[i]);
      parallel_for(p.n, std::max<int64_t>(1, 32768 / p.c), [&](int64_t from, int64_t to) {
        for (int64_t i = from; i < to; ++i) {
          int64_t at = p.groups ? i * p.c : 0;
          k.affine_cols(g + i * p.c, x + i * p.c, out + i * p.c, p.c, a + at, b + at, c + at);
        }
      });
      return;
    }
    parallel_for(p.n * p.c, p.grain(), [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) {
        T a, b, c;
        coefficients(i, a, b, c);
        k.affine(g + i * p.l, x + i * p.l, out + i * p.l, p.l, a, b, c);
      }
    });
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = in[2].dtype();
    Tensor r[3];
    for (int i = 0; i < 3; ++i) r[i] = out[i].dtype() == c ? out[i] : empty(out[i].shape(), c);
    dispatch_float(c, name(),
                   [&](auto tag) { run<typename decltype(tag)::type>(in, r[0], r[1], r[2]); });
    for (int i = 0; i < 3; ++i)
      if (!r[i].is(out[i])) copy_values(out[i], r[i]);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor none, x = contiguous(in[1]);
    cuda::channel_norm_backward(dense_as(in[0], x.dtype()), x, in[2], in[3], in[4], groups,
                                want_x ? out[0] : none, want_w ? out[1] : none,
                                want_b ? out[2] : none);
  }
  Saves saves(const Inputs& in) const override { return {in[4].defined() ? 0x13u : 3u, 0}; }
  Grads vjp(const Saved& s, const Grads& v) override {
    Tensor g = s.input(0), x = s.input(1), w, none;
    if (s.node.saved_inputs >> 4 & 1) w = s.input(4);
    Tensor vw = want_w ? v[1] : none, vb = want_b ? v[2] : none;
    int64_t n = x.shape()[0], c = x.shape()[1];
    auto as = [](const Tensor& t, const Dims& s) { return t.defined() ? reshape(t, s) : t; };
    NormGrads d;
    if (groups) {
      Dims flat{n, groups, c / groups, -1}, ws{1, groups, c / groups, 1};
      d = norm_double_backward(reshape(g, flat), reshape(x, flat), as(w, ws), as(v[0], flat),
                               as(vw, ws), as(vb, ws), {2, 3}, ws, eps, false);
    } else {
      Dims ws = channel_shape(x);
      d = norm_double_backward(g, x, as(w, ws), v[0], as(vw, ws), as(vb, ws),
                               all_but_channels(x.dim()), ws, eps, false);
    }
    return {as(d.g, x.shape()), as(d.x, x.shape()), none, none, as(d.w, {c})};
  }
};

struct ChannelNorm final : OpOf<ChannelNorm> { // x, w or none, b or none -> y, mean, rstd, var
  int64_t groups;
  double eps;
  const char* name() const override { return groups ? "group_norm" : "batch_norm"; }
  Specs infer(const Inputs& in) override {
    Planes p(in[0].shape(), groups);
    Dims s = groups ? Dims{p.n, groups} : Dims{p.c};
    DType c = compute_type(in[0].dtype());
    return {{in[0].shape(), in[0].dtype()}, {s, c}, {s, c}, {s, c}};
  }
  Dims flat(const Planes& p) const { // statistics: dimension 1, or all but 1
    return groups ? Dims{p.n * groups, p.c / groups * p.l} : Dims{p.n, p.c, p.l};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = out[1].dtype();
    Planes p(in[0].shape(), groups);
    Tensor xt = dense_as(in[0], c), wt = dense_as(in[1], c), bt = dense_as(in[2], c);
    Tensor yt = c == in[0].dtype() ? out[0] : empty(xt.shape(), c);
    Tensor both = empty(out[1].shape(), complex_of(c));
    run_reduce(reduce_kernel(Reduce::VarMean, c), view(xt, flat(p)), groups ? 2 : 5, both, 0);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *w = data_or_null<T>(wt), *b = data_or_null<T>(bt);
      auto* pair = reinterpret_cast<const T*>(both.bytes()); // variance, mean
      T *mu = out[1].data<T>(), *r = out[2].data<T>(), *var = out[3].data<T>();
      for (int64_t i = 0; i < p.stats(); ++i) {
        var[i] = pair[2 * i];
        mu[i] = pair[2 * i + 1];
        r[i] = T(1 / std::sqrt(double(var[i]) + eps));
      }
      int64_t m = groups ? p.n * p.c : p.c;
      std::unique_ptr<T[]> co(new T[size_t(2 * m)]);
      for (int64_t i = 0; i < m; ++i) {
        int64_t q = p.stat_of(i), j = i % p.c;
        T a = r[q] * (w ? w[j] : T(1));
        co[size_t(i)] = a;
        co[size_t(m + i)] = T((b ? double(b[j]) : 0) - double(mu[q]) * double(a));
      }
      scale_planes(p, xt.data<T>(), yt.data<T>(), co.get(), co.get() + m, !groups);
    });
    if (!yt.is(out[0])) copy_values(out[0], yt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(in[0]);
    cuda::reduce(Reduce::Var, out[1].dtype(), view(x, flat(Planes(x.shape(), groups))),
                 groups ? 2 : 5, out[3], 0, out[1]);
    cuda::channel_norm(x, in[1], in[2], groups, eps, out[0], out[1], out[2], out[3]);
  }
  Saves saves(const Inputs& in) const override { return {in[1].defined() ? 3u : 1u, 6}; }
  uint32_t not_differentiable() const override { return 14; }
  Grads vjp(const Saved& s, const Grads& g) override {
    ChannelNormBackward op;
    op.groups = groups;
    op.eps = eps;
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

// y = x * scale + shift, a coefficient for each channel; shift may be undefined.
struct ChannelAffine final : OpOf<ChannelAffine> {
  const char* name() const override { return "batch_norm_inference"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor xt = dense_as(in[0], c), at = dense_as(in[1], c);
    Tensor st = in[2].defined() ? dense_as(in[2], c) : zeros_like(at);
    Tensor yt = c == in[0].dtype() ? out[0] : empty(xt.shape(), c);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      scale_planes(Planes(in[0].shape(), 0), xt.data<T>(), yt.data<T>(), at.data<T>(), st.data<T>(),
                   true);
    });
    if (!yt.is(out[0])) copy_values(out[0], yt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    cuda::channel_affine(contiguous(in[0]), dense_as(in[1], c), dense_as(in[2], c), out[0]);
  }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | 2u, 0};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    Dims rest = all_but_channels(g[0].dim());
    if (s.needs(0)) r[0] = apply(ChannelAffine{}, {g[0], s.input(1), Tensor()});
    if (s.needs(1)) r[1] = sum(g[0] * s.input(0), rest);
    if (s.needs(2)) r[2] = sum(g[0], rest);
    return r;
  }
};

void check_channels(const Tensor& t, int64_t c, const char* what) {
  FB_CHECK(!t.defined() || t.numel() == c, what, " should contain ", c, " elements not ",
           t.defined() ? t.numel() : 0);
}

// running = (1 - momentum) * running + momentum * value
void blend(const Tensor& running, const Tensor& value, double momentum) {
  if (!running.defined()) return;
  check_inplace(running, "batch_norm");
  copy_values(running,
              to_dtype(running * (1 - momentum) + to_dtype(value, running.dtype()) * momentum,
                       running.dtype()));
  running.bump_version();
}

struct BatchNormArgs {
  Tensor x, w, b, running_mean, running_var;
  bool training;
  double momentum, eps;
};

void check_input(const BatchNormArgs& a, const char* op) {
  FB_CHECK(a.x.dim() >= 2, op, ": expected an input of at least 2 dimensions (N, C, *), got ",
           a.x.shape());
  FB_CHECK_AS(NotImplemented, is_float(a.x.dtype()), "\"", op, "\" not implemented for '",
              a.x.dtype(), "'");
  int64_t c = a.x.shape()[1];
  check_channels(a.w, c, "weight");
  check_channels(a.b, c, "bias");
  check_channels(a.running_mean, c, "running_mean");
  check_channels(a.running_var, c, "running_var");
  FB_CHECK(a.training || (a.running_mean.defined() && a.running_var.defined()), op,
           ": Expected running_mean and running_var to be defined when training=False");
}

// out, and the mean and 1 / deviation used (empty in inference).
Tensors batch_norm(const BatchNormArgs& a) {
  check_input(a, "batch_norm");
  if (!a.training) {
    DType c = compute_type(a.x.dtype());
    Tensor scale = rsqrt(to_dtype(a.running_var, c) + a.eps);
    if (a.w.defined()) scale = scale * a.w;
    Tensor shift = -to_dtype(a.running_mean, c) * scale;
    if (a.b.defined()) shift = shift + a.b;
    Tensor none = empty({0}, c, a.x.device());
    return {apply(ChannelAffine{}, {a.x, scale, shift}), none, none};
  }
  int64_t n = a.x.shape()[1] ? a.x.numel() / a.x.shape()[1] : 0;
  FB_CHECK_VALUE(n != 1 || a.x.is_meta(),
                 "Expected more than 1 value per channel when training, "
                 "got input size ",
                 a.x.shape(), ": use a larger batch, or call eval()");
  ChannelNorm op;
  op.groups = 0;
  op.eps = a.eps;
  Outputs r = apply_all(op, {a.x, a.w, a.b});
  NoGrad off;
  if (!a.x.is_meta()) {
    blend(a.running_mean, r[1], a.momentum);
    if (a.running_var.defined())
      blend(a.running_var, r[3] * (double(n) / double(n - 1)), a.momentum);
  }
  return {r[0], r[1], r[2]};
}

Outputs group_norm(const Tensor& x, int64_t groups, const Tensor& w, const Tensor& b, double eps) {
  FB_CHECK(x.dim() >= 2, "group_norm: Expected at least 2 dimensions for input tensor but ",
           "received ", x.dim());
  int64_t c = x.shape()[1];
  FB_CHECK(groups > 0, "Expected num groups to be greater than 0, got ", groups);
  FB_CHECK(c % groups == 0,
           "Expected number of channels in input to be divisible by num_groups, "
           "but got input of shape ",
           x.shape(), " and num_groups=", groups);
  FB_CHECK(!w.defined() || (w.dim() == 1 && w.numel() == c),
           "Expected weight to be a vector of "
           "size equal to the number of channels in input, but got weight of shape ",
           w.defined() ? w.shape() : Dims{}, " and input of shape ", x.shape());
  FB_CHECK(!b.defined() || (b.dim() == 1 && b.numel() == c),
           "Expected bias to be a vector of "
           "size equal to the number of channels in input, but got bias of shape ",
           b.defined() ? b.shape() : Dims{}, " and input of shape ", x.shape());
  FB_CHECK_AS(NotImplemented, is_float(x.dtype()), "\"group_norm\" not implemented for '",
              x.dtype(), "'");
  ChannelNorm op;
  op.groups = groups;
  op.eps = eps;
  return apply_all(op, {x, w, b});
}

BatchNormArgs read(Args& a) {
  return {a.tensor(0), a.tensor(1), a.tensor(2), a.tensor(3),
          a.tensor(4), a.flag(5),   a.real(6),   a.real(7)};
}
Value call_batch_norm(Args& a) { return batch_norm(read(a))[0]; }
Value call_native_batch_norm(Args& a) { return batch_norm(read(a)); }
Value call_instance_norm(Args& args) {
  BatchNormArgs a = read(args);
  check_input(a, "instance_norm");
  if (!a.training) return batch_norm(a)[0];
  int64_t c = a.x.shape()[1], l = c && a.x.shape()[0] ? a.x.numel() / (c * a.x.shape()[0]) : 0;
  Outputs r = group_norm(a.x, c, a.w, a.b, a.eps);
  NoGrad off;
  if (!a.x.is_meta() && a.running_mean.defined()) {
    blend(a.running_mean, mean(r[1], {0}), a.momentum);
    blend(a.running_var, mean(r[3], {0}) * (double(l) / double(l - 1)), a.momentum);
  }
  return r[0];
}

#define FB_BN                                                           \
  "(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, " \
  "Tensor? running_var, bool training, float momentum, float eps"
Register rows({
    {"batch_norm" FB_BN ", bool cudnn_enabled=True) -> Tensor", kFunction, call_batch_norm,
     "Each channel of (N, C, *) normalised over the others; in training the running statistics are "
     "updated in place (Ioffe and Szegedy 2015)."},
    {"native_batch_norm" FB_BN ") -> Tensor()", kFunction, call_native_batch_norm,
     "batch_norm, with the mean and reciprocal deviation that it used."},
    {"instance_norm" FB_BN ", bool cudnn_enabled=True) -> Tensor", kFunction, call_instance_norm,
     "Each plane of (N, C, *) normalised by itself (Ulyanov et al. 2016)."},
    {"group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, "
     "float eps=1e-5, bool cudnn_enabled=True) -> Tensor",
     kFunction,
     [](Args& a) -> Value {
       return group_norm(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), a.real(4))[0];
     },
     "(N, C, *) normalised within each of `num_groups` groups of channels (Wu and He 2018)."},
});

} // namespace
} // namespace flambeau
