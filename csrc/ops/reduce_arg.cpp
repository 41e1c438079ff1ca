// Extremes with positions: argmax, argmin, max and min along a dimension, and their overloads.
#include <algorithm>
#include <memory>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/reduce.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

struct Layout { // a tensor seen as (outer, n, inner)
  int64_t outer = 1, n = 1, inner = 1;
  Layout(const Dims& shape, int64_t dim) {
    for (int d = 0; d < shape.size(); ++d) (d < dim ? outer : d == dim ? n : inner) *= shape[d];
  }
};

constexpr int64_t kPart = 65536;

// One long row: parts of fixed size, of which the first best wins.
void arg_split(const ArgKernel& k, const char* x, int64_t n, int size, char* best, int64_t* at) {
  int64_t parts = (n + kPart - 1) / kPart;
  std::unique_ptr<char[]> v(new char[size_t(parts * size)]);
  std::unique_ptr<int64_t[]> where(new int64_t[size_t(parts)]);
  parallel_for(parts, 1, [&](int64_t b, int64_t e) {
    for (int64_t i = b; i < e; ++i)
      k.rows(x + i * kPart * size, 0, 1, std::min(kPart, n - i * kPart), v.get() + i * size,
             where.get() + i);
  });
  int64_t part = 0;
  k.rows(v.get(), 0, 1, parts, best, &part);
  *at = part * kPart + where[size_t(part)];
}

// Values (of x's type, which has a kernel) and positions along dim; x is contiguous.
void run_arg(bool largest, const Tensor& x, int64_t dim, const Tensor& values, const Tensor& at) {
  const ArgKernel& k = reduce_table().arg[largest][int(x.dtype())];
  Layout l(x.shape(), dim);
  if (l.outer * l.inner == 0) return;
  const char* src = x.bytes();
  char* v = values.bytes();
  auto* idx = at.data<int64_t>();
  int64_t size = x.itemsize(), n = l.n;
  if (l.inner == 1) {
    if (l.outer == 1 && n >= 2 * kPart) return arg_split(k, src, n, int(size), v, idx);
    parallel_for(l.outer, std::max<int64_t>(1, 32768 / n), [&](int64_t b, int64_t e) {
      k.rows(src + b * n * size, n * size, e - b, n, v + b * size, idx + b);
    });
    return;
  }
  FB_CHECK(n <= INT32_MAX,
           "max/min/argmax/argmin along a dimension that is not the last are "
           "limited to 2147483647 elements, got ",
           n);
  int64_t strips = (l.inner + kReduceColumns - 1) / kReduceColumns;
  int64_t width = std::min<int64_t>(l.inner, kReduceColumns);
  parallel_for(l.outer * strips, std::max<int64_t>(1, 32768 / (n * width)),
               [&](int64_t b, int64_t e) {
                 for (int64_t i = b; i < e; ++i) {
                   int64_t o = i / strips, j = i % strips * kReduceColumns;
                   int64_t w = std::min<int64_t>(kReduceColumns, l.inner - j);
                   k.cols(src + (o * n * l.inner + j) * size, l.inner * size, n, w,
                          v + (o * l.inner + j) * size, idx + o * l.inner + j);
                 }
               });
}

Dims kept_shape(const Tensor& t, int64_t dim, bool keepdim) {
  return reduced_shape(t.shape(), uint64_t(1) << dim, keepdim);
}

struct ExtremeDim final : OpOf<ExtremeDim> {
  bool largest, keepdim;
  int64_t dim;
  const char* name() const override { return largest ? "max" : "min"; }
  Specs infer(const Inputs& in) override {
    shape = in[0].shape();
    Dims s = kept_shape(in[0], dim, keepdim);
    return {{s, in[0].dtype()}, {s, DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor x = contiguous(to_dtype(in[0], c));
    if (c == in[0].dtype()) return run_arg(largest, x, dim, out[0], out[1]);
    Tensor v = empty(out[0].shape(), c);
    run_arg(largest, x, dim, v, out[1]);
    copy_values(out[0], v);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::reduce_at(largest, in[0], dim, out[0], out[1]);
  }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor zero = zeros(shape, g[0].dtype(), g[0].device());
    if (shape.size() == 0) return {g[0]};
    Tensor at = s.output(1);
    return {scatter_add(zero, dim, keepdim ? at : unsqueeze(at, dim),
                        keepdim ? g[0] : unsqueeze(g[0], dim))};
  }
  Dims shape;
};

struct ArgExtreme final : OpOf<ArgExtreme> {
  bool largest, keepdim;
  OptInt dim;
  const char* name() const override { return largest ? "argmax" : "argmin"; }
  Specs infer(const Inputs& in) override {
    if (!dim) return {{keepdim ? Dims(in[0].dim(), int64_t(1)) : Dims{}, DType::I64}};
    return {{kept_shape(in[0], *dim, keepdim), DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(to_dtype(in[0], compute_type(in[0].dtype())));
    if (!dim) x = view(x, {x.numel()});
    Tensor v = empty(out[0].shape(), x.dtype());
    run_arg(largest, x, dim ? *dim : 0, v, out[0]);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = dim ? in[0] : view(contiguous(in[0]), {in[0].numel()});
    cuda::reduce_at(largest, x, dim ? *dim : 0, Tensor(), out[0]);
  }
  uint32_t not_differentiable() const override { return 1; }
};

void check_type(const Tensor& t, const char* name) {
  FB_CHECK_AS(NotImplemented, !is_complex(t.dtype()), "\"", name, "\" not implemented for '",
              t.dtype(), "'");
}

Pair extreme_dim(bool largest, const Tensor& t, int64_t dim, bool keepdim) {
  ExtremeDim op;
  op.largest = largest;
  op.keepdim = keepdim;
  op.dim = wrap_dim(dim, t.dim(), op.name());
  check_type(t, op.name());
  FB_CHECK_INDEX(t.dim() == 0 || t.shape()[int(op.dim)], op.name(), "(): Expected reduction dim ",
                 op.dim, " to have non-zero size.");
  Outputs r = apply_all(op, {t});
  return {r[0], r[1]};
}
Tensor arg_extreme(bool largest, const Tensor& t, OptInt dim, bool keepdim) {
  ArgExtreme op;
  op.largest = largest;
  op.keepdim = keepdim;
  check_type(t, op.name());
  FB_CHECK(t.dtype() != DType::Bool, op.name(), "(): does not support bool input");
  if (dim) {
    op.dim = wrap_dim(*dim, t.dim(), op.name());
    FB_CHECK_INDEX(t.dim() == 0 || t.shape()[int(*op.dim)], op.name(),
                   "(): Expected reduction dim ", *op.dim, " to have non-zero size.");
  } else {
    FB_CHECK_INDEX(t.numel(), op.name(),
                   "(): Expected reduction dim to be specified for "
                   "input.numel() == 0. Specify the reduction dim with the 'dim' argument.");
  }
  return apply(std::move(op), {t});
}

} // namespace

Pair max_dim(const Tensor& t, int64_t dim, bool keepdim) {
  return extreme_dim(true, t, dim, keepdim);
}
Pair min_dim(const Tensor& t, int64_t dim, bool keepdim) {
  return extreme_dim(false, t, dim, keepdim);
}
Tensor argmax(const Tensor& t, OptInt dim, bool keepdim) {
  return arg_extreme(true, t, dim, keepdim);
}
Tensor argmin(const Tensor& t, OptInt dim, bool keepdim) {
  return arg_extreme(false, t, dim, keepdim);
}

namespace {

Value pair_of(Pair p) { return Tensors{p.first, p.second}; }
Value call_aminmax(Args& a) {
  Dims dims = a.given(1) ? Dims{a.integer(1)} : Dims{};
  return Tensors{amin(a.tensor(0), dims, a.flag(2)), amax(a.tensor(0), dims, a.flag(2))};
}

#define FB_EXTREME(name, what)                                                                     \
  {#name "(Tensor input) -> Tensor", kFMO,                                                         \
   [](Args& a) -> Value { return name##_all(a.tensor(0)); },                                       \
   what " element; with `dim`, (values, indices) along it; with `other`, elementwise."},           \
      {#name "(Tensor input, int dim, bool keepdim=False) -> (Tensor values, Tensor indices)",     \
       kFMO,                                                                                       \
       [](Args& a) -> Value { return pair_of(name##_dim(a.tensor(0), a.integer(1), a.flag(2))); }, \
       what " element along `dim`, and where it is."},                                             \
      {#name "(Tensor input, Tensor other) -> Tensor", kFMO,                                       \
       [](Args& a) -> Value { return name##imum(a.tensor(0), a.tensor(1)); },                      \
       what " of the two, elementwise."}

Register rows({
    FB_EXTREME(max, "Largest"),
    FB_EXTREME(min, "Smallest"),
    {"argmax(Tensor input, int? dim=None, bool keepdim=False) -> Tensor", kFMO,
     [](Args& a) -> Value { return argmax(a.tensor(0), a.opt_int(1), a.flag(2)); },
     "Position of the largest element along `dim` (of the flattened tensor by default), the first "
     "of equal ones."},
    {"argmin(Tensor input, int? dim=None, bool keepdim=False) -> Tensor", kFMO,
     [](Args& a) -> Value { return argmin(a.tensor(0), a.opt_int(1), a.flag(2)); },
     "Position of the smallest element along `dim` (of the flattened tensor by default), the first "
     "of equal ones."},
    {"aminmax(Tensor input, *, int? dim=None, bool keepdim=False) -> (Tensor min, Tensor max)",
     kFMO, call_aminmax, "Smallest and largest element, along `dim` or of all."},
});

} // namespace
} // namespace flambeau
