// softmax, log_softmax and logsumexp: one walk over rows that stay in cache, forward or backward.
#include <algorithm>
#include <cmath>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/softmax.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

struct Layout { // a contiguous tensor seen as (outer, n, inner)
  int64_t outer = 1, n = 1, inner = 1;
  Layout(const Dims& shape, int64_t dim) {
    for (int d = 0; d < shape.size(); ++d) (d < dim ? outer : d == dim ? n : inner) *= shape[d];
  }
};
constexpr int64_t kGrain = 16384; // elements of a task

// rows(offset, how many) where dim is the last, else cols(offset, width) for strips of columns.
template<class Rows, class Cols>
void for_lines(const Layout& l, int64_t strip, Rows&& rows, Cols&& cols) {
  if (l.outer * l.n * l.inner == 0) return;
  if (l.inner == 1) {
    parallel_for(l.outer, std::max<int64_t>(1, kGrain / l.n),
                 [&](int64_t b, int64_t e) { rows(b * l.n, e - b); });
    return;
  }
  int64_t strips = (l.inner + strip - 1) / strip, width = std::min(l.inner, strip);
  parallel_for(l.outer * strips, std::max<int64_t>(1, kGrain / (l.n * width)),
               [&](int64_t b, int64_t e) {
                 for (int64_t i = b; i < e; ++i) {
                   int64_t j = i % strips * strip;
                   cols(i / strips * l.n * l.inner + j, std::min(strip, l.inner - j));
                 }
               });
}

template<class T>
void forward(const Tensor& x, const Tensor& y, int64_t dim, bool log) {
  const RowKernels<T>& k = row_kernels<T>();
  const T* src = x.data<T>();
  T* dst = y.data<T>();
  Layout l(x.shape(), dim);
  for_lines(
      l, RowKernels<T>::kColumns,
      [&](int64_t at, int64_t rows) { k.softmax(src + at, dst + at, rows, l.n, log); },
      [&](int64_t at, int64_t width) {
        k.softmax_cols(src + at, dst + at, l.n, l.inner, width, log);
      });
}
template<class T>
void backward(const Tensor& g, const Tensor& y, const Tensor& out, int64_t dim, bool log) {
  const RowKernels<T>& k = row_kernels<T>();
  const T *gp = g.data<T>(), *yp = y.data<T>();
  T* dst = out.data<T>();
  Layout l(g.shape(), dim);
  for_lines(
      l, RowKernels<T>::kColumns,
      [&](int64_t at, int64_t rows) {
        k.softmax_backward(gp + at, yp + at, dst + at, rows, l.n, log);
      },
      [&](int64_t at, int64_t width) {
        k.softmax_backward_cols(gp + at, yp + at, dst + at, l.n, l.inner, width, log);
      });
}

Tensor dense(const Tensor& t, DType dtype) { return contiguous(to_dtype(t, dtype)); }

struct SoftmaxBackward final : OpOf<SoftmaxBackward> { // inputs: gradient, output
  int64_t dim;
  bool log;
  const char* name() const override {
    return log ? "log_softmax_backward_data" : "softmax_backward_data";
  }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor g = dense(in[0], c), y = dense(in[1], c);
    Tensor r = c == in[0].dtype() ? out[0] : empty(g.shape(), c);
    dispatch_float(c, name(),
                   [&](auto tag) { backward<typename decltype(tag)::type>(g, y, r, dim, log); });
    if (!r.is(out[0])) copy_values(out[0], r);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType t = in[0].dtype();
    cuda::softmax_backward(contiguous(in[0]), dense(in[1], t), out[0], dim, log);
  }
  Saves saves(const Inputs&) const override { return {3, 0}; }
  Grads vjp(const Saved& s, const Grads& v) override {
    Tensor g = s.input(0), y = s.input(1), u = v[0];
    Grads r(2, Tensor());
    if (log) {
      // out = g - exp(y) sum(g)
      Tensor p = exp(y), up = u * p;
      if (s.needs(0)) r[0] = u - sum(up, {dim}, true);
      if (s.needs(1)) r[1] = -up * sum(g, {dim}, true);
    } else {
      // out = y (g - sum(g y))
      Tensor uy = sum(u * y, {dim}, true);
      if (s.needs(0)) r[0] = (u - uy) * y;
      if (s.needs(1)) r[1] = u * (g - sum(g * y, {dim}, true)) - uy * g;
    }
    return r;
  }
};

struct Softmax final : OpOf<Softmax> {
  int64_t dim;
  bool log;
  DType out;
  DType from{};
  const char* name() const override { return log ? "log_softmax" : "softmax"; }
  Specs infer(const Inputs& in) override {
    from = in[0].dtype();
    return {{in[0].shape(), out}};
  }
  void cpu(const Inputs& in, Outputs& y) override {
    NoGrad off;
    DType c = compute_type(out);
    Tensor x = dense(in[0], c), r = c == out ? y[0] : empty(x.shape(), c);
    dispatch_float(c, name(),
                   [&](auto tag) { forward<typename decltype(tag)::type>(x, r, dim, log); });
    if (!r.is(y[0])) copy_values(y[0], r);
  }
  void cuda(const Inputs& in, Outputs& y) override {
    NoGrad off;
    cuda::softmax(contiguous(in[0]), y[0], dim, log);
  }
  Saves saves(const Inputs&) const override { return {0, 1}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    SoftmaxBackward op;
    op.dim = dim;
    op.log = log;
    return {to_dtype(apply(std::move(op), {g[0], s.output(0)}), from)};
  }
};

struct LogSumExp final : OpOf<LogSumExp> {
  int64_t dim;
  bool keepdim;
  const char* name() const override { return "logsumexp"; }
  Specs infer(const Inputs& in) override {
    return {{reduced_shape(in[0].shape(), uint64_t(1) << dim, keepdim), in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor x = dense(in[0], c), r = c == in[0].dtype() ? out[0] : empty(out[0].shape(), c);
    Layout l(x.shape(), dim);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const RowKernels<T>& k = row_kernels<T>();
      const T* src = x.data<T>();
      T* dst = r.data<T>();
      for_lines(
          l, RowKernels<T>::kColumns,
          [&](int64_t at, int64_t rows) { k.logsumexp(src + at, rows, l.n, dst + at / l.n); },
          [&](int64_t at, int64_t width) {
            int64_t slab = l.n * l.inner;
            k.logsumexp_cols(src + at, l.n, l.inner, width, dst + at / slab * l.inner + at % slab);
          });
    });
    if (!r.is(out[0])) copy_values(out[0], r);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor m = amax(in[0], {dim}, true);
    m = masked_fill(m, isinf(m), Scalar(0.));
    copy_values(out[0], view(log(sum(exp(in[0] - m), {dim}, true)) + m, out[0].shape()));
  }
  Saves saves(const Inputs&) const override { return {1, 1}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    auto wide = [&](const Tensor& t) { return keepdim ? t : unsqueeze(t, dim); };
    Tensor y = wide(s.output(0));
    y = masked_fill(y, eq(y, weak_scalar(Scalar(-INFINITY))), Scalar(0.));
    return {wide(g[0]) * exp(s.input(0) - y)};
  }
};

Tensor run(const Tensor& t, int64_t dim, OptDType dtype, bool log) {
  Softmax op;
  op.log = log;
  op.dim = wrap_dim(dim, t.dim(), op.name());
  op.out = dtype ? *dtype : t.dtype();
  FB_CHECK_AS(NotImplemented, is_inexact(op.out), "\"", op.name(),
              "_lastdim_kernel_impl\" not implemented for '", op.out,
              "': pass dtype=flambeau.float32, or convert the input");
  FB_CHECK(!is_complex(op.out), op.name(), " with complex is not supported for CPU");
  return apply(std::move(op), {t});
}

} // namespace

Tensor softmax(const Tensor& t, int64_t dim, OptDType dtype) { return run(t, dim, dtype, false); }
Tensor log_softmax(const Tensor& t, int64_t dim, OptDType dtype) {
  return run(t, dim, dtype, true);
}

Tensor logsumexp_along(const Tensor& t, int64_t dim, bool keepdim) {
  LogSumExp op;
  op.dim = wrap_dim(dim, t.dim(), op.name());
  op.keepdim = keepdim;
  return apply(std::move(op), {t});
}

namespace {

template<bool log>
Value call(Args& a) {
  return run(a.tensor(0), a.integer(1), a.dtype(2), log);
}
Value call_half(Args& a) { // _softmax(input, dim, half_to_float)
  return run(a.tensor(0), a.integer(1), a.flag(2) ? OptDType(DType::F32) : OptDType(), false);
}
template<bool log>
Value call_backward(Args& a) {
  SoftmaxBackward op;
  op.log = log;
  op.dim = wrap_dim(a.integer(2), a.tensor(0).dim(), op.name());
  return apply(std::move(op), {a.tensor(0), a.tensor(1)});
}

Register rows({
    {"softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor", kFMO, call<false>,
     "exp(input) / sum(exp(input)) along `dim`; `dtype` converts the input first."},
    {"log_softmax(Tensor input, int dim, dtype? dtype=None) -> Tensor", kFMO, call<true>,
     "log(softmax(input)) along `dim`, without overflow."},
    {"_softmax(Tensor input, int dim, bool half_to_float) -> Tensor", kFunction, call_half,
     "softmax along `dim`, in float32 from halves when `half_to_float`."},
    {"_softmax_backward_data(Tensor grad_output, Tensor output, int dim, dtype input_dtype) -> "
     "Tensor",
     kFunction, call_backward<false>, "Gradient of softmax from its output."},
    {"_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, dtype input_dtype) -> "
     "Tensor",
     kFunction, call_backward<true>, "Gradient of log_softmax from its output."},
});

} // namespace
} // namespace flambeau
