// Running folds along a dimension: cumsum, cumprod, logcumsumexp, cummax, cummin.
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/scan.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

enum class Scan : uint8_t { Sum, Prod, LogSumExp };

template<class T>
constexpr bool kComplex = std::is_same_v<T, c64> || std::is_same_v<T, c128>;
// Running values are kept wider than the elements.
template<class T>
using Wide = std::conditional_t<std::is_same_v<T, float>, double,
                                std::conditional_t<std::is_same_v<T, c64>, c128, T>>;

template<class W>
W log_add(W a, W b) {
  if constexpr (kComplex<W>) {
    W hi = a.real() >= b.real() ? a : b, lo = a.real() >= b.real() ? b : a;
    if (std::isinf(lo.real()) && lo.real() < 0) return hi;
    return hi + std::log(W(1) + std::exp(lo - hi));
  } else {
    if (a != a || b != b) return a + b;
    W hi = std::max(a, b), lo = std::min(a, b);
    return std::isinf(hi) ? hi : hi + std::log1p(std::exp(lo - hi));
  }
}

template<Scan kind, class W>
W step(W a, W b) {
  if constexpr (kind == Scan::Sum)
    return a + b;
  else if constexpr (kind == Scan::Prod)
    return a * b;
  else
    return log_add(a, b);
}
template<Scan kind, class W>
W start() {
  if constexpr (kind == Scan::Sum)
    return W(0);
  else if constexpr (kind == Scan::Prod)
    return W(1);
  else
    return W(-INFINITY);
}

constexpr int64_t kStrip = 128;

// f(x, width, first index): columns of one strip; inner == 1 gives width 1.
template<class F>
void for_strips(const Dims& shape, int64_t dim, F&& f) {
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < shape.size(); ++d) (d < dim ? outer : d == dim ? n : inner) *= shape[d];
  if (outer * n * inner == 0) return;
  int64_t strips = (inner + kStrip - 1) / kStrip, width = std::min(inner, kStrip);
  parallel_for(outer * strips, std::max<int64_t>(1, 32768 / (n * width)),
               [&](int64_t b, int64_t e) {
                 for (int64_t i = b; i < e; ++i) {
                   int64_t j = i % strips * kStrip;
                   f(i / strips * n * inner + j, n, inner, std::min(kStrip, inner - j));
                 }
               });
}

template<Scan kind, class T>
void scan_columns(const T* x, T* y, int64_t n, int64_t stride, int64_t width) {
  using W = Wide<T>;
  if (width == 1) {
    W s = start<kind, W>();
    for (int64_t i = 0; i < n; ++i) y[i * stride] = T(s = step<kind, W>(s, W(x[i * stride])));
    return;
  }
  W acc[kStrip];
  std::fill_n(acc, width, start<kind, W>());
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j)
      y[i * stride + j] = T(acc[j] = step<kind, W>(acc[j], W(x[i * stride + j])));
}

// Rows, four at a time: their chains of dependent steps run side by side.
template<Scan kind, class T>
void scan_rows(const T* x, T* y, int64_t rows, int64_t n) {
  using W = Wide<T>;
  for (; rows >= 4; rows -= 4, x += 4 * n, y += 4 * n) {
    W a = start<kind, W>(), b = a, c = a, d = a;
    for (int64_t i = 0; i < n; ++i) {
      y[i] = T(a = step<kind, W>(a, W(x[i])));
      y[n + i] = T(b = step<kind, W>(b, W(x[n + i])));
      y[2 * n + i] = T(c = step<kind, W>(c, W(x[2 * n + i])));
      y[3 * n + i] = T(d = step<kind, W>(d, W(x[3 * n + i])));
    }
  }
  for (; rows; --rows, x += n, y += n) scan_columns<kind>(x, y, n, 1, 1);
}

// Few long rows: parts of fixed size, whose sums come first. total(p, n); scan(p, q, n, start).
template<class W, class T, class Total, class Run>
void scan_parts(const T* x, T* y, int64_t rows, int64_t n, Total&& total, Run&& scan) {
  constexpr int64_t kPart = 32768;
  int64_t parts = (n + kPart - 1) / kPart;
  std::unique_ptr<W[]> sums(new W[size_t(rows * parts)]);
  auto each_part = [&](auto&& f) {
    parallel_for(rows * parts, 1, [&](int64_t b, int64_t e) {
      for (int64_t i = b; i < e; ++i) {
        int64_t from = i % parts * kPart;
        f(i / parts * n + from, std::min(kPart, n - from), sums[size_t(i)]);
      }
    });
  };
  each_part([&](int64_t at, int64_t m, W& sum) { sum = total(x + at, m); });
  for (int64_t r = 0; r < rows; ++r) {
    W before = 0;
    for (int64_t i = r * parts; i < (r + 1) * parts; ++i)
      before += std::exchange(sums[size_t(i)], before);
  }
  each_part([&](int64_t at, int64_t m, W& sum) { scan(x + at, y + at, m, sum); });
}
constexpr int64_t kLongRow = 131072;

// Sums and products of real numbers.
template<class T>
void run_real_scan(const Tensor& x, const Tensor& y, int64_t dim, bool product) {
  const RowKernels<T>& k = row_kernels<T>();
  const T* src = x.data<T>();
  T* dst = y.data<T>();
  if (x.dim() && dim < x.dim() - 1)
    return for_strips(x.shape(), dim, [&](int64_t at, int64_t n, int64_t stride, int64_t width) {
      k.scan_cols(src + at, dst + at, n, stride, width, product);
    });
  int64_t n = x.dim() ? x.shape()[int(dim)] : 1, rows = n ? x.numel() / n : 0;
  if (!product && n >= kLongRow && rows < 8)
    return scan_parts<double>(
        src, dst, rows, n, k.total,
        [&](const T* p, T* q, int64_t m, double start) { k.scan(p, q, m, start, false); });
  parallel_for(rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, n)),
               [&](int64_t b, int64_t e) {
                 for (int64_t i = b; i < e; ++i)
                   k.scan(src + i * n, dst + i * n, n, product ? 1 : 0, product);
               });
}

template<Scan kind>
void run_scan(const Tensor& x, const Tensor& y, int64_t dim) {
  auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (kind != Scan::LogSumExp && std::is_floating_point_v<T>) {
      run_real_scan<T>(x, y, dim, kind == Scan::Prod);
    } else {
      const T* src = x.data<T>();
      T* dst = y.data<T>();
      int64_t n = x.dim() ? x.shape()[int(dim)] : 1, rows = n ? x.numel() / n : 0;
      if constexpr (kind == Scan::Sum && std::is_same_v<T, int64_t>)
        if (dim == x.dim() - 1 && n >= kLongRow && rows < 8)
          return scan_parts<int64_t>(
              src, dst, rows, n,
              [](const T* p, int64_t m) { return std::accumulate(p, p + m, T(0)); },
              [](const T* p, T* q, int64_t m, T start) {
                for (int64_t i = 0; i < m; ++i) q[i] = start += p[i];
              });
      if (x.dim() && dim == x.dim() - 1 && x.numel())
        return parallel_for(rows, std::max<int64_t>(4, 32768 / n), [&](int64_t b, int64_t e) {
          scan_rows<kind>(src + b * n, dst + b * n, e - b, n);
        });
      for_strips(x.shape(), dim, [&](int64_t at, int64_t n, int64_t stride, int64_t width) {
        scan_columns<kind>(src + at, dst + at, n, stride, width);
      });
    }
  };
  if constexpr (kind != Scan::LogSumExp)
    if (x.dtype() == DType::I64) return run(Tag<int64_t>{});
  dispatch_inexact(x.dtype(), "scan", run);
}

const char* const kNames[] = {"cumsum", "cumprod", "logcumsumexp"};

Tensor log_cumsumexp(const Tensor& t, int64_t dim);
Tensor reversed(const Tensor& t, int64_t dim) { return flip(t, {dim}); }

// Position k's share, with x[k] taken out of every product: n scans, for inputs with zeros.
Tensor cumprod_vjp_zeros(const Tensor& g, const Tensor& x, int64_t dim) {
  int64_t n = x.size(dim);
  Tensors parts;
  Dims one = x.shape();
  one[int(dim)] = 1;
  Tensor ones = full(one, Scalar(1), x.dtype(), x.device());
  for (int64_t k = 0; k < n; ++k) {
    Tensor lead = k ? prod(narrow(x, dim, 0, k), {dim}, true) : ones;
    Tensor tail = cumprod(cat({lead, narrow(x, dim, k + 1, n - k - 1)}, dim), dim);
    parts.push_back(sum(narrow(g, dim, k, n - k) * conj(tail), {dim}, true));
  }
  return cat(parts, dim);
}
Tensor cumprod_vjp(const Tensor& g, const Tensor& x, const Tensor& y, int64_t dim) {
  bool zeros = !x.is_meta();
  if (zeros) {
    NoGrad off;
    zeros = item(any(eq(x, weak_scalar(Scalar(0))))).i != 0;
  }
  if (zeros) return cumprod_vjp_zeros(g, x, dim);
  return reverse_cumsum(g * conj(y), dim) / conj(x);
}

// The share of exp(x[k] - y[i]) in each later output, in logarithms so that nothing overflows.
Tensor logcumsumexp_vjp(const Tensor& g, const Tensor& x, const Tensor& y, int64_t dim) {
  auto share = [&](const Tensor& log_part) {
    return exp(reversed(log_cumsumexp(reversed(log_part - y, dim), dim), dim) + x);
  };
  if (is_complex(x.dtype())) return conj(share(log(conj(g))));
  // Where nothing can overflow: exp(x_i) times the sum over k >= i of g_k exp(-y_k).
  bool narrow_range = x.is_meta() || x.numel() == 0;
  Tensor top;
  if (!narrow_range) {
    NoGrad off;
    top = amax(y);
    double range = item(top).f - item(minimum(amin(y), amin(x))).f;
    narrow_range = range < (g.dtype() == DType::F64 ? 600 : 80);
  }
  if (narrow_range) {
    Tensor shift = top.defined() ? top : zeros({}, y.dtype(), y.device());
    return exp(x - shift) * reverse_cumsum(g * exp(shift - y), dim);
  }
  // log of the positive and of the negative part of g; nothing flows through the other part.
  // (The lowest number stands for log(0), so that differences stay finite.)
  double lowest = g.dtype() == DType::F64   ? -std::numeric_limits<double>::max()
                  : g.dtype() == DType::F16 ? -65504.
                                            : -3.3e38;
  Tensor size = log(abs(g)), none = full_like(g, Scalar(lowest));
  auto part = [&](const Tensor& sign) { return share(where(sign, size, none)); };
  return part(gt(g, weak_scalar(Scalar(0)))) - part(lt(g, weak_scalar(Scalar(0))));
}

struct ScanOp final : OpOf<ScanOp> {
  Scan kind;
  int64_t dim;
  DType out;
  DType from{};
  const char* name() const override { return kNames[int(kind)]; }
  Specs infer(const Inputs& in) override {
    from = in[0].dtype();
    return {{in[0].shape(), out}};
  }
  void cpu(const Inputs& in, Outputs& y) override {
    NoGrad off;
    DType c = is_integral(out) ? DType::I64 : compute_type(out);
    Tensor x = contiguous(to_dtype(in[0], c)), r = c == out ? y[0] : empty(x.shape(), c);
    switch (kind) {
    case Scan::Sum: run_scan<Scan::Sum>(x, r, dim); break;
    case Scan::Prod: run_scan<Scan::Prod>(x, r, dim); break;
    case Scan::LogSumExp: run_scan<Scan::LogSumExp>(x, r, dim); break;
    }
    if (c != out) copy_values(y[0], r);
  }
  void cuda(const Inputs& in, Outputs& y) override {
    NoGrad off;
    static const char* const folds[] = {"ScanSum", "ScanProd", "ScanLogSumExp"};
    DType c = is_integral(out) ? DType::I64 : compute_type(out);
    cuda::scan(folds[int(kind)], c, contiguous(in[0]), dim, y[0]);
  }
  Saves saves(const Inputs&) const override { return kind == Scan::Sum ? Saves{} : Saves{1, 1}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor d;
    if (kind == Scan::Sum) {
      d = reverse_cumsum(g[0], dim);
    } else {
      Tensor x = to_dtype(s.input(0), out);
      if (x.dim() == 0)
        d = kind == Scan::Prod ? g[0] : g[0] * exp(x - s.output(0));
      else
        d = (kind == Scan::Prod ? cumprod_vjp : logcumsumexp_vjp)(g[0], x, s.output(0), dim);
    }
    return {to_dtype(d, from)};
  }
};

Tensor run(Scan kind, const Tensor& t, int64_t dim, OptDType dtype) {
  ScanOp op;
  op.kind = kind;
  op.dim = wrap_dim(dim, t.dim(), kNames[int(kind)]);
  op.out = dtype ? *dtype : is_integral(t.dtype()) ? DType::I64 : t.dtype();
  return apply(std::move(op), {t});
}
Tensor log_cumsumexp(const Tensor& t, int64_t dim) {
  FB_CHECK(is_inexact(t.dtype()), "logcumsumexp: Expected a floating point or complex tensor, got ",
           t.dtype());
  return run(Scan::LogSumExp, t, dim, {});
}

template<class T, bool largest>
void extreme_columns(const T* x, T* y, int64_t* at, int64_t n, int64_t stride, int64_t width) {
  T best[kStrip];
  int64_t where[kStrip] = {};
  std::copy_n(x, width, best);
  for (int64_t i = 0; i < n; ++i)
    for (int64_t j = 0; j < width; ++j) {
      T v = x[i * stride + j];
      bool moved = v != v || (best[j] == best[j] && (largest ? v >= best[j] : v <= best[j]));
      best[j] = moved ? v : best[j];
      where[j] = moved ? i : where[j];
      y[i * stride + j] = best[j];
      at[i * stride + j] = where[j];
    }
}

// One row; records are rare, so a branch is cheap.
template<class T, bool largest>
void extreme_row(const T* x, T* y, int64_t* at, int64_t n) {
  T best = x[0];
  int64_t where = 0;
  for (int64_t i = 0; i < n; ++i) {
    T v = x[i];
    if (!(largest ? v < best : v > best) && (best == best || v != v)) {
      best = v;
      where = i;
    }
    y[i] = best;
    at[i] = where;
  }
}

struct ExtremeScan final : OpOf<ExtremeScan> {
  bool largest;
  int64_t dim;
  const char* name() const override { return largest ? "cummax" : "cummin"; }
  Specs infer(const Inputs& in) override {
    return {{in[0].shape(), in[0].dtype()}, {in[0].shape(), DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor x = contiguous(to_dtype(in[0], c));
    Tensor y = c == in[0].dtype() ? out[0] : empty(x.shape(), c);
    int64_t* at = out[1].data<int64_t>();
    dispatch_compute(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (!kComplex<T>) {
        const T* src = x.data<T>();
        T* dst = y.data<T>();
        for_strips(x.shape(), dim, [&](int64_t i, int64_t n, int64_t stride, int64_t width) {
          if (stride == 1)
            return (largest ? extreme_row<T, true> : extreme_row<T, false>)(src + i, dst + i,
                                                                            at + i, n);
          auto* f = largest ? extreme_columns<T, true> : extreme_columns<T, false>;
          f(src + i, dst + i, at + i, n, stride, width);
        });
      }
    });
    if (!y.is(out[0])) copy_values(out[0], y);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    cuda::scan(largest ? "ScanMax" : "ScanMin", compute_type(in[0].dtype()), contiguous(in[0]), dim,
               out[0], out[1]);
  }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    if (g[0].dim() == 0) return {g[0]};
    return {scatter_add(zeros(g[0].shape(), g[0].dtype(), g[0].device()), dim, s.output(1), g[0])};
  }
};

Tensors extreme_scan(bool largest, const Tensor& t, int64_t dim) {
  ExtremeScan op;
  op.largest = largest;
  op.dim = wrap_dim(dim, t.dim(), op.name());
  FB_CHECK_AS(NotImplemented, !is_complex(t.dtype()), "\"", op.name(), "\" not implemented for '",
              t.dtype(), "'");
  Outputs r = apply_all(op, {t});
  return {r[0], r[1]};
}

} // namespace

Tensor cumsum(const Tensor& t, int64_t dim, OptDType dtype) {
  return run(Scan::Sum, t, dim, dtype);
}
Tensor cumprod(const Tensor& t, int64_t dim, OptDType dtype) {
  return run(Scan::Prod, t, dim, dtype);
}
Tensor reverse_cumsum(const Tensor& t, int64_t dim) {
  if (t.dim() == 0) return t;
  return reversed(cumsum(reversed(t, dim), dim), dim);
}

namespace {

template<Scan kind>
Value call_scan(Args& a) {
  OptDType d = a.dtype(2);
  if (a.inplace && !d) d = a.tensor(0).dtype();
  return run(kind, a.tensor(0), a.integer(1), d);
}

Register rows({
    {"cumsum(Tensor input, int dim, *, dtype? dtype=None) -> Tensor", kFMIO, call_scan<Scan::Sum>,
     "Running sum along `dim`; of integers in int64."},
    {"cumprod(Tensor input, int dim, *, dtype? dtype=None) -> Tensor", kFMIO, call_scan<Scan::Prod>,
     "Running product along `dim`; of integers in int64."},
    {"logcumsumexp(Tensor input, int dim) -> Tensor", kFMO,
     [](Args& a) -> Value { return log_cumsumexp(a.tensor(0), a.integer(1)); },
     "log of the running sum of exp(input) along `dim`, without overflow."},
    {"cummax(Tensor input, int dim) -> (Tensor values, Tensor indices)", kFMO,
     [](Args& a) -> Value { return extreme_scan(true, a.tensor(0), a.integer(1)); },
     "Running maximum along `dim`, and where it was last reached."},
    {"cummin(Tensor input, int dim) -> (Tensor values, Tensor indices)", kFMO,
     [](Args& a) -> Value { return extreme_scan(false, a.tensor(0), a.integer(1)); },
     "Running minimum along `dim`, and where it was last reached."},
});

} // namespace
} // namespace flambeau
