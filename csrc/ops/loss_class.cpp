// Losses of classes: nll_loss, and cross_entropy in one pass over the logits.
#include <algorithm>
#include <cmath>
#include <memory>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/loss.h"
#include "loss.h"
#include "norm.h"

namespace flambeau {
namespace {

struct ClassParams {
  Reduction how;
  int64_t ignore;
};

// (N, C, *) as (n, c, l), (C) as (1, c, 1); targets of n * l.
struct ClassShape {
  int64_t n = 1, c = 1, l = 1;
  explicit ClassShape(const Dims& s) {
    if (s.size() == 1) {
      c = s[0];
      return;
    }
    n = s[0];
    c = s[1];
    for (int d = 2; d < s.size(); ++d) l *= s[d];
  }
};

cuda::Classes on_gpu(const ClassParams& q, const Dims& shape) {
  ClassShape s(shape);
  return {s.n, s.c, s.l, q.ignore, q.how == Reduction::Mean};
}

template<class T>
T weight_at(const T* w, int64_t t, int64_t c, int64_t ignore) {
  if (t == ignore) return T(0);
  FB_CHECK_INDEX(t >= 0 && t < c, "Target ", t, " is out of bounds: there are ", c, " classes.");
  return w ? w[t] : T(1);
}

// Sum of f(i) over [0, n), in parts of fixed size; f also gives the weight.
template<class F>
void sum_parts(int64_t n, int64_t part, double* loss, double* weight, F&& f) {
  int64_t parts = (n + part - 1) / part;
  std::unique_ptr<double[]> s(new double[size_t(2 * parts + 1)]());
  parallel_for(n, part, [&](int64_t b, int64_t e) {
    double l = 0, w = 0;
    for (int64_t i = b; i < e; ++i) f(i, l, w);
    s[size_t(2 * (b / part))] = l;
    s[size_t(2 * (b / part) + 1)] = w;
  });
  *loss = *weight = 0;
  for (int64_t i = 0; i < parts; ++i) {
    *loss += s[size_t(2 * i)];
    *weight += s[size_t(2 * i + 1)];
  }
}

Dims target_shape(const Dims& s) {
  Dims r = s;
  r.erase(s.size() == 1 ? 0 : 1);
  return r;
}

// The scale of position i's loss: its weight, over the total when averaged.
template<class T>
T share(const ClassParams& q, T w, const T* total) {
  return q.how == Reduction::Mean ? w / *total : w;
}

Tensor nll_forward(const ClassParams& q, const Tensor& x, const Tensor& target, const Tensor& w,
                   const Tensor& total);

struct NllBackward final : OpOf<NllBackward> { // inputs: g, target, weight or none, total
  ClassParams q;
  Dims shape;
  DType dtype;
  const char* name() const override { return "nll_loss_backward"; }
  Specs infer(const Inputs&) override { return {{shape, dtype}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = in[3].dtype();
    Tensor gt = dense_as(in[0], c), wt = dense_as(in[2], c), tt = dense_as(in[1], DType::I64);
    Tensor rt = c == dtype ? out[0] : empty(shape, c);
    fill_(rt, Scalar(0));
    ClassShape s(shape);
    int64_t step = q.how == Reduction::None;
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *g = gt.data<T>(), *w = data_or_null<T>(wt), *total = in[3].data<T>();
      const int64_t* t = tt.data<int64_t>();
      T* o = rt.data<T>();
      for (int64_t i = 0; i < s.n * s.l; ++i) {
        T k = weight_at(w, t[i], s.c, q.ignore);
        if (t[i] != q.ignore)
          o[(i / s.l * s.c + t[i]) * s.l + i % s.l] = -g[i * step] * share(q, k, total);
      }
    });
    if (!rt.is(out[0])) copy_values(out[0], rt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    cuda::nll_backward(on_gpu(q, shape), dense_as(in[0], dtype), contiguous(in[1]),
                       dense_as(in[2], in[3].dtype()), in[3], out[0]);
  }
  Saves saves(const Inputs& in) const override { return {in[2].defined() ? 14u : 10u, 0}; }
  Grads vjp(const Saved& s, const Grads& v) override {
    Tensor w;
    if (s.node.saved_inputs >> 2 & 1) w = s.input(2);
    Grads r(4, Tensor());
    r[0] = nll_forward(q, v[0], s.input(1), w, s.input(3)); // the map's transpose
    return r;
  }
};

struct NllLoss final : OpOf<NllLoss> { // x, target, weight or none, total or none -> loss, total
  ClassParams q;
  Dims shape;
  DType dtype{};
  const char* name() const override { return "nll_loss"; }
  Specs infer(const Inputs& in) override {
    shape = in[0].shape();
    dtype = in[0].dtype();
    return {{q.how == Reduction::None ? target_shape(shape) : Dims{}, dtype},
            {{}, compute_type(dtype)}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = out[1].dtype();
    Tensor xt = dense_as(in[0], c), wt = dense_as(in[2], c), tt = dense_as(in[1], DType::I64);
    Tensor rt = c == dtype ? out[0] : empty(out[0].shape(), c);
    ClassShape s(shape);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *x = xt.data<T>(), *w = data_or_null<T>(wt);
      const int64_t* t = tt.data<int64_t>();
      T* each = q.how == Reduction::None ? rt.data<T>() : nullptr;
      int64_t ignore = q.ignore;
      double loss, weight;
      sum_parts(s.n * s.l, 32768, &loss, &weight, [&](int64_t i, double& sum, double& total) {
        T k = weight_at(w, t[i], s.c, ignore);
        T v = t[i] == ignore ? T(0) : -x[(i / s.l * s.c + t[i]) * s.l + i % s.l] * k;
        if (each) each[i] = v;
        sum += double(v);
        total += double(k);
      });
      if (in[3].defined()) weight = double(in[3].data<T>()[0]);
      *out[1].data<T>() = T(weight);
      if (!each) *rt.data<T>() = T(q.how == Reduction::Mean ? loss / weight : loss);
    });
    if (!rt.is(out[0])) copy_values(out[0], rt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor none;
    bool each = q.how == Reduction::None;
    cuda::nll_loss(on_gpu(q, shape), contiguous(in[0]), contiguous(in[1]),
                   dense_as(in[2], out[1].dtype()), in[3], each ? out[0] : none,
                   each ? none : out[0], out[1]);
  }
  Saves saves(const Inputs& in) const override { return {in[2].defined() ? 6u : 2u, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    NllBackward op;
    op.q = q;
    op.shape = shape;
    op.dtype = dtype;
    Tensor w;
    if (s.node.saved_inputs >> 2 & 1) w = s.input(2);
    return {apply(std::move(op), {g[0], s.input(1), w, s.output(1)}), Tensor(), Tensor(), Tensor()};
  }
};

Tensor nll_forward(const ClassParams& q, const Tensor& x, const Tensor& target, const Tensor& w,
                   const Tensor& total) {
  NllLoss op;
  op.q = q;
  return apply_all(op, {x, target, w, total})[0];
}

struct CrossEntropyBackward final : OpOf<CrossEntropyBackward> {
  // inputs: g, x (rows), logsumexp, target, weight or none, total
  ClassParams q;
  const char* name() const override { return "cross_entropy_loss_backward"; }
  Specs infer(const Inputs& in) override { return {{in[1].shape(), in[1].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = in[2].dtype();
    Tensor gt = dense_as(in[0], c), xt = dense_as(in[1], c), tt = dense_as(in[3], DType::I64);
    Tensor wt = dense_as(in[4], c), rt = c == in[1].dtype() ? out[0] : empty(xt.shape(), c);
    ClassShape s(xt.shape());
    int64_t step = q.how == Reduction::None;
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *g = gt.data<T>(), *x = xt.data<T>(), *lse = in[2].data<T>();
      const T *w = data_or_null<T>(wt), *total = in[5].data<T>();
      const int64_t* t = tt.data<int64_t>();
      T* o = rt.data<T>();
      const RowKernels<T>& k = row_kernels<T>();
      ClassParams p = q;
      parallel_for(s.n, std::max<int64_t>(1, 8192 / std::max<int64_t>(1, s.c)),
                   [&](int64_t b, int64_t e) {
                     for (int64_t i = b; i < e; ++i) {
                       T* row = o + i * s.c;
                       if (t[i] == p.ignore) {
                         std::fill_n(row, s.c, T(0));
                         continue;
                       }
                       T scale = g[i * step] * share(p, weight_at(w, t[i], s.c, p.ignore), total);
                       k.softmax_scaled(x + i * s.c, lse[i], scale, row, s.c);
                       row[t[i]] -= scale;
                     }
                   });
    });
    if (!rt.is(out[0])) copy_values(out[0], rt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(in[1]);
    cuda::cross_entropy_backward(on_gpu(q, x.shape()), dense_as(in[0], x.dtype()), x, in[2],
                                 contiguous(in[3]), dense_as(in[4], in[2].dtype()), in[5], out[0]);
  }
  Saves saves(const Inputs& in) const override { return {in[4].defined() ? 0x3bu : 0x2bu, 0}; }
  Grads vjp(const Saved& s, const Grads& v) override {
    // out = k (p - onehot(t)), k = g share, p = softmax(x)
    Tensor g = s.input(0), x = s.input(1), target = s.input(3), total = s.input(5), k;
    Tensor valid = ne(target, weak_scalar(Scalar(q.ignore)));
    Tensor at = unsqueeze(target * to_dtype(valid, DType::I64), 1);
    k = to_dtype(valid, x.dtype());
    if (s.node.saved_inputs >> 4 & 1)
      k = k * gather(to_dtype(s.input(4), x.dtype()), 0, view(at, {at.numel()}));
    if (q.how == Reduction::Mean) k = k / to_dtype(total, x.dtype());
    Tensor p = softmax(x, 1), vp = sum(v[0] * p, {1}, true);
    Grads r(6, Tensor());
    if (s.needs(0)) {
      Tensor d = k * view(vp - gather(v[0], 1, at), k.shape());
      r[0] = q.how == Reduction::None ? d : sum(d);
    }
    if (s.needs(1)) r[1] = unsqueeze(k * g, 1) * (p * (v[0] - vp));
    return r;
  }
};

struct CrossEntropy final : OpOf<CrossEntropy> { // x (N, C), target, weight or none
  ClassParams q;
  const char* name() const override { return "cross_entropy_loss"; }
  Specs infer(const Inputs& in) override {
    Dims n{in[0].shape()[0]};
    DType c = compute_type(in[0].dtype());
    return {{q.how == Reduction::None ? n : Dims{}, in[0].dtype()}, {n, c}, {{}, c}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = out[1].dtype();
    Tensor xt = dense_as(in[0], c), tt = dense_as(in[1], DType::I64), wt = dense_as(in[2], c);
    Tensor rt = c == in[0].dtype() ? out[0] : empty(out[0].shape(), c);
    ClassShape s(xt.shape());
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *x = xt.data<T>(), *w = data_or_null<T>(wt);
      const int64_t* t = tt.data<int64_t>();
      T *lse = out[1].data<T>(), *each = q.how == Reduction::None ? rt.data<T>() : nullptr;
      const RowKernels<T>& k = row_kernels<T>();
      int64_t ignore = q.ignore, n = s.n,
              part = std::max<int64_t>(1, 16384 / std::max<int64_t>(1, s.c));
      double loss, weight;
      sum_parts(n, part, &loss, &weight, [&](int64_t i, double& sum, double& total) {
        if (i % part == 0) k.logsumexp(x + i * s.c, std::min(part, n - i), s.c, lse + i);
        T wi = weight_at(w, t[i], s.c, ignore);
        T v = t[i] == ignore ? T(0) : (lse[i] - x[i * s.c + t[i]]) * wi;
        if (each) each[i] = v;
        sum += double(v);
        total += double(wi);
      });
      *out[2].data<T>() = T(weight);
      if (!each) *rt.data<T>() = T(q.how == Reduction::Mean ? loss / weight : loss);
    });
    if (!rt.is(out[0])) copy_values(out[0], rt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor none, x = contiguous(in[0]);
    bool each = q.how == Reduction::None;
    cuda::cross_entropy(on_gpu(q, x.shape()), x, contiguous(in[1]), dense_as(in[2], out[1].dtype()),
                        each ? out[0] : none, each ? none : out[0], out[1], out[2]);
  }
  Saves saves(const Inputs& in) const override { return {in[2].defined() ? 7u : 3u, 6}; }
  uint32_t not_differentiable() const override { return 6; }
  Grads vjp(const Saved& s, const Grads& g) override {
    CrossEntropyBackward op;
    op.q = q;
    Tensor w;
    if (s.node.saved_inputs >> 2 & 1) w = s.input(2);
    return {apply(std::move(op), {g[0], s.input(0), s.output(1), s.input(1), w, s.output(2)}),
            Tensor(), Tensor()};
  }
};

void check_classes(const Tensor& x, const Tensor& target, const Tensor& w, const char* op) {
  FB_CHECK_VALUE(x.dim() > 0, op, ": Expected 1 or more dimensions (got 0)");
  FB_CHECK(target.dtype() == DType::I64 || target.dtype() == DType::U8, op,
           ": expected targets of type int64 (classes), got ", target.dtype(),
           ": convert with target.long()");
  FB_CHECK_AS(NotImplemented, is_float(x.dtype()), "\"", op, "\" not implemented for '", x.dtype(),
              "'");
  Dims want = target_shape(x.shape());
  if (x.dim() <= 2 && target.dim() == want.size() && want.size() == 1)
    FB_CHECK_VALUE(target.shape() == want, "Expected input batch_size (", want[0],
                   ") to match target batch_size (", target.shape()[0], ").");
  FB_CHECK(target.shape() == want, op, ": Expected target size ", want, ", got ", target.shape());
  int64_t c = x.shape()[x.dim() == 1 ? 0 : 1];
  FB_CHECK(!w.defined() || (w.dim() == 1 && w.numel() == c), op,
           ": weight tensor should be "
           "defined either for all ",
           c, " classes or no classes but got weight tensor of shape: ",
           w.defined() ? w.shape() : Dims{});
}

Tensor nll_loss(const Tensor& x, const Tensor& target, const Tensor& w, int64_t ignore,
                Reduction how) {
  check_classes(x, target, w, "nll_loss");
  return nll_forward({how, ignore}, x, target, w, Tensor());
}

// Targets that are probabilities.
Tensor soft_cross_entropy(const Tensor& x, Tensor target, const Tensor& w, Reduction how,
                          double smoothing) {
  FB_CHECK(target.shape() == x.shape(),
           "cross_entropy: probabilities as targets need the shape of "
           "the input, ",
           x.shape(), ", got ", target.shape());
  FB_CHECK(is_inexact(target.dtype()),
           "Expected floating point type for target with class "
           "probabilities, got ",
           target.dtype());
  int64_t axis = x.dim() == 1 ? 0 : 1, c = x.shape()[int(axis)];
  if (smoothing > 0) target = target * (1 - smoothing) + smoothing / double(c);
  Tensor t = log_softmax(x, axis) * target;
  if (w.defined()) {
    Dims s(x.dim(), int64_t(1));
    s[int(axis)] = c;
    t = t * view(contiguous(w), s);
  }
  if (how == Reduction::None) return -sum(t, {axis});
  Tensor total = -sum(t);
  return how == Reduction::Sum ? total : total / (double(x.numel()) / double(c));
}

// Classes with label smoothing: nll blended with the mean over classes.
Tensor smoothed_cross_entropy(const Tensor& x, const Tensor& target, const Tensor& w,
                              int64_t ignore, Reduction how, double smoothing) {
  int64_t axis = x.dim() == 1 ? 0 : 1, c = x.shape()[int(axis)];
  Tensor lp = log_softmax(x, axis), nll = nll_loss(lp, target, w, ignore, how), t = lp;
  if (w.defined()) {
    Dims s(x.dim(), int64_t(1));
    s[int(axis)] = c;
    t = lp * view(contiguous(w), s);
  }
  Tensor smooth = -sum(t, {axis});
  Tensor hidden = eq(target, weak_scalar(Scalar(ignore)));
  smooth = masked_fill(smooth, hidden, Scalar(0.));
  if (how == Reduction::Sum) smooth = sum(smooth);
  if (how == Reduction::Mean) {
    Tensor counted = to_dtype(logical_not(hidden), x.dtype());
    if (w.defined()) {
      Tensor at = masked_fill(to_dtype(target, DType::I64), hidden, Scalar(0));
      Tensor each = gather(w, 0, reshape(at, {-1}));
      counted = counted * view(each, target.shape());
    }
    smooth = sum(smooth) / sum(counted);
  }
  return nll * (1 - smoothing) + smooth * (smoothing / double(c));
}

Tensor cross_entropy(const Tensor& x, const Tensor& target, const Tensor& w, int64_t ignore,
                     Reduction how, double smoothing) {
  FB_CHECK(smoothing >= 0 && smoothing <= 1,
           "label_smoothing must be between 0.0 and 1.0. Got: ", smoothing);
  FB_CHECK(x.dim() > 0, "cross_entropy: expected logits of 1 or more dimensions, got a 0-d tensor");
  bool soft = target.shape() == x.shape() && is_inexact(target.dtype());
  if (soft) {
    FB_CHECK(ignore < 0, "ignore_index is not supported for floating point target");
    return soft_cross_entropy(x, target, w, how, smoothing);
  }
  check_classes(x, target, w, "cross_entropy");
  if (smoothing > 0) return smoothed_cross_entropy(x, target, w, ignore, how, smoothing);
  if (x.dim() != 2) return nll_loss(log_softmax(x, x.dim() == 1 ? 0 : 1), target, w, ignore, how);
  CrossEntropy op;
  op.q = {how, ignore};
  return apply_all(op, {x, target, w})[0];
}

Value call_nll(Args& a) {
  return nll_loss(a.tensor(0), a.tensor(1), a.tensor(2), a.integer(3), reduction_named(a.text(4)));
}
Value call_cross_entropy(Args& a) {
  return cross_entropy(a.tensor(0), a.tensor(1), a.tensor(2), a.integer(3),
                       reduction_named(a.text(4)), a.real(5));
}

#define FB_CLASSES                                                             \
  "(Tensor input, Tensor target, Tensor? weight=None, int ignore_index=-100, " \
  "str reduction='mean'"
#define FB_CROSS_DOC "Cross entropy of logits (N, C, *) with classes (N, *) or probabilities."
Register rows({
    {"nll_loss" FB_CLASSES ") -> Tensor", kFunction, call_nll,
     "-input[n, target[n]], weighed and reduced."},
    {"cross_entropy" FB_CLASSES ", float label_smoothing=0.0) -> Tensor", kFunction,
     call_cross_entropy, FB_CROSS_DOC},
    {"cross_entropy_loss" FB_CLASSES ", float label_smoothing=0.0) -> Tensor", kFunction,
     call_cross_entropy, FB_CROSS_DOC},
});

} // namespace
} // namespace flambeau
