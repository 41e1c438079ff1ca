// Reductions by a table of rows: sum, mean, prod, amax, amin, any, all.
#include <cmath>

#include "../core/registry.h"
#include "../cuda/reduce.h"
#include "reduce_ops.h"

namespace flambeau {

uint64_t dim_mask(const Dims& dims, int ndim, const char* op) {
  FB_CHECK(ndim <= 64, op, ": tensors of more than 64 dimensions are not supported, got ", ndim);
  if (dims.empty()) return ~uint64_t(0);
  uint64_t mask = 0;
  for (int64_t d : dims) {
    uint64_t bit = uint64_t(1) << wrap_dim(d, ndim, op);
    FB_CHECK(!(mask & bit), "dim ", wrap_dim(d, ndim, op),
             " appears multiple times in the list of dims");
    mask |= bit;
  }
  return mask;
}

Dims reduced_shape(const Dims& shape, uint64_t mask, bool keepdim) {
  Dims r;
  for (int d = 0; d < shape.size(); ++d) {
    if (!(mask >> d & 1))
      r.push_back(shape[d]);
    else if (keepdim)
      r.push_back(1);
  }
  return r;
}

Tensor unsqueeze_mask(const Tensor& t, uint64_t mask, int ndim) {
  if (t.dim() == 0 && ndim > 0) return view(t, Dims(ndim, int64_t(1)));
  Tensor r = t;
  for (int d = 0; d < ndim; ++d)
    if (mask >> d & 1) r = unsqueeze(r, d);
  return r;
}

Specs ReduceOp::infer(const Inputs& x) {
  shape = x[0].shape();
  from = x[0].dtype();
  return {{reduced_shape(shape, mask, keepdim), out}};
}
void ReduceOp::cpu(const Inputs& x, Outputs& y) {
  run_reduce(reduce_kernel(row->kind, in), x[0], mask, y[0], p);
}
void ReduceOp::cuda(const Inputs& x, Outputs& y) {
  cuda::reduce(row->kind, in, x[0], mask, y[0], p);
}
Tensor ReduceOp::restore(const Tensor& g) const {
  return keepdim ? g : unsqueeze_mask(g, mask, shape.size());
}
Dims ReduceOp::dims() const {
  Dims r;
  for (int d = 0; d < shape.size(); ++d)
    if (mask >> d & 1) r.push_back(d);
  return r;
}
int64_t ReduceOp::count() const {
  int64_t n = 1;
  for (int d = 0; d < shape.size(); ++d)
    if (mask >> d & 1) n *= shape[d];
  return n;
}
Grads ReduceOp::vjp(const Saved& s, const Grads& g) {
  if (!row->vjp) return {Tensor()};
  Tensor r = row->vjp(*this, s, g[0]);
  return {r.dtype() == from
              ? r
              : to_dtype(is_complex(r.dtype()) && !is_complex(from) ? real(r) : r, from)};
}

Tensor run_row(const ReduceRow& row, const Tensor& t, uint64_t mask, bool keepdim, DType in,
               DType out, double p) {
  FB_CHECK_AS(NotImplemented, reduce_kernel(row.kind, in).state, "\"", row.name,
              "\" not implemented for '", t.dtype(), "'");
  ReduceOp op;
  op.row = &row;
  op.mask = mask;
  op.keepdim = keepdim;
  op.in = in;
  op.out = out;
  op.p = p;
  return apply(std::move(op), {t});
}

namespace {

Tensor sum_vjp(const ReduceOp& op, const Saved&, const Tensor& g) { return op.spread(g); }
Tensor mean_vjp(const ReduceOp& op, const Saved&, const Tensor& g) {
  return op.spread(g / double(op.count()));
}
Tensor nansum_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  Tensor x = s.input(0);
  return op.restore(g) * to_dtype(logical_not(isnan(x)), g.dtype());
}
// Equal elements share the gradient.
Tensor extreme_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  Tensor x = s.input(0), hit = eq(x, op.restore(s.output(0)));
  Tensor count = sum(hit, op.dims(), true);
  return op.restore(g) / to_dtype(count, g.dtype()) * to_dtype(hit, g.dtype());
}

// Products of all other elements along dim d, by running products from both ends.
Tensor product_of_others(const Tensor& x, int64_t d) {
  int64_t n = x.size(d);
  Dims one = x.shape();
  one[int(d)] = 1;
  Tensor ones = full(one, Scalar(1), x.dtype(), x.device());
  Tensor left = cumprod(cat({ones, narrow(x, d, 0, n - 1)}, d), d);
  Tensor back = flip(cat({narrow(x, d, 1, n - 1), ones}, d), {d});
  return left * flip(cumprod(back, d), {d});
}
Tensor prod_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  Tensor x = to_dtype(s.input(0), op.out);
  if (x.numel() == 0) return op.spread(g);
  bool zeros = !x.is_meta();
  if (zeros) {
    NoGrad off;
    zeros = item(any(eq(x, weak_scalar(Scalar(0))))).i != 0;
  }
  if (!zeros) return op.restore(g) * conj(op.restore(s.output(0)) / x);
  Dims dims = op.dims();
  if (dims.size() == 1) return op.restore(g) * conj(product_of_others(x, dims[0]));
  Tensor flat = reshape(x, {-1});
  return op.restore(g) * conj(reshape(product_of_others(flat, 0), x.shape()));
}

const ReduceRow kSum{"sum", Reduce::Sum, {}, sum_vjp};
const ReduceRow kMean{"mean", Reduce::Mean, {}, mean_vjp};
const ReduceRow kNanSum{"nansum", Reduce::NanSum, {1, 0}, nansum_vjp};
const ReduceRow kProd{"prod", Reduce::Prod, {1, 1}, prod_vjp};
const ReduceRow kAmax{"amax", Reduce::Max, {1, 1}, extreme_vjp};
const ReduceRow kAmin{"amin", Reduce::Min, {1, 1}, extreme_vjp};
const ReduceRow kMax{"max", Reduce::Max, {1, 1}, extreme_vjp};
const ReduceRow kMin{"min", Reduce::Min, {1, 1}, extreme_vjp};
const ReduceRow kAny{"any", Reduce::Any, {}, nullptr};
const ReduceRow kAll{"all", Reduce::All, {}, nullptr};
const ReduceRow kCount{"count_nonzero", Reduce::Count, {}, nullptr};

// sum and prod of integers are int64.
Tensor accumulate(const ReduceRow& row, const Tensor& t, const Dims& dims, bool keepdim,
                  OptDType dtype) {
  DType out = dtype ? *dtype : is_integral(t.dtype()) ? DType::I64 : t.dtype();
  bool count = t.dtype() == DType::Bool && row.kind == Reduce::Sum && is_integral(out);
  DType in = count ? DType::Bool : is_integral(out) ? DType::I64 : compute_type(out);
  return run_row(row, t, dim_mask(dims, t.dim(), row.name), keepdim, in, out);
}

Tensor extreme(const ReduceRow& row, const Tensor& t, const Dims& dims, bool keepdim) {
  uint64_t mask = dim_mask(dims, t.dim(), row.name);
  if (t.numel() == 0) {
    FB_CHECK(!dims.empty(), row.name,
             "(): Expected reduction dim to be specified for "
             "input.numel() == 0. Specify the reduction dim with the 'dim' argument.");
    for (int d = 0; d < t.dim(); ++d)
      FB_CHECK_INDEX(!(mask >> d & 1) || t.shape()[d], row.name, "(): Expected reduction dim ", d,
                     " to have non-zero size.");
  }
  return run_row(row, t, mask, keepdim, compute_type(t.dtype()), t.dtype());
}

Tensor logical(const ReduceRow& row, const Tensor& t, const Dims& dims, bool keepdim) {
  return run_row(row, t, dim_mask(dims, t.dim(), row.name), keepdim, DType::Bool,
                 t.dtype() == DType::U8 ? DType::U8 : DType::Bool);
}

} // namespace

Tensor sum(const Tensor& t, const Dims& dims, bool keepdim, OptDType dtype) {
  return accumulate(kSum, t, dims, keepdim, dtype);
}
Tensor prod(const Tensor& t, const Dims& dims, bool keepdim, OptDType dtype) {
  return accumulate(kProd, t, dims, keepdim, dtype);
}
Tensor nansum(const Tensor& t, const Dims& dims, bool keepdim, OptDType dtype) {
  FB_CHECK(!is_complex(t.dtype()), "nansum does not support complex inputs");
  if (is_integral(dtype ? *dtype : t.dtype())) return sum(t, dims, keepdim, dtype);
  return accumulate(kNanSum, t, dims, keepdim, dtype);
}
Tensor mean(const Tensor& t, const Dims& dims, bool keepdim, OptDType dtype) {
  DType out = dtype ? *dtype : t.dtype();
  FB_CHECK(is_inexact(out), "mean(): could not infer output dtype. ",
           dtype ? "Optional dtype" : "Input dtype",
           " must be either a floating point or complex dtype. Got: ", out);
  uint64_t mask = dim_mask(dims, t.dim(), "mean");
  double n = 1;
  for (int d = 0; d < t.dim(); ++d)
    if (mask >> d & 1) n *= double(t.shape()[d]);
  return run_row(kMean, t, mask, keepdim, compute_type(out), out, n);
}
Tensor amax(const Tensor& t, const Dims& dims, bool keepdim) {
  return extreme(kAmax, t, dims, keepdim);
}
Tensor amin(const Tensor& t, const Dims& dims, bool keepdim) {
  return extreme(kAmin, t, dims, keepdim);
}
Tensor any(const Tensor& t, const Dims& dims, bool keepdim) {
  return logical(kAny, t, dims, keepdim);
}
Tensor all(const Tensor& t, const Dims& dims, bool keepdim) {
  return logical(kAll, t, dims, keepdim);
}
Tensor max_all(const Tensor& t) { return extreme(kMax, t, {}, false); }
Tensor min_all(const Tensor& t) { return extreme(kMin, t, {}, false); }
Tensor count_nonzero(const Tensor& t, const Dims& dims) {
  return run_row(kCount, t, dim_mask(dims, t.dim(), "count_nonzero"), false, DType::Bool,
                 DType::I64);
}

namespace {

using ReduceFn = Tensor (*)(const Tensor&, const Dims&, bool, OptDType);
template<ReduceFn fn>
Value with_dtype(Args& a) {
  return fn(a.tensor(0), a.dims(1), a.flag(2), a.dtype(3));
}
template<Tensor (*fn)(const Tensor&, const Dims&, bool)>
Value plain(Args& a) {
  return fn(a.tensor(0), a.dims(1), a.flag(2));
}
Value call_prod(Args& a) {
  return prod(a.tensor(0), a.given(1) ? Dims{a.integer(1)} : Dims{}, a.flag(2), a.dtype(3));
}

#define FB_DIMS "(Tensor input, int[1]? dim=None, bool keepdim=False"
Register rows({
    {"sum" FB_DIMS ", *, dtype? dtype=None) -> Tensor", kFMO, with_dtype<sum>,
     "Sum over `dim` (all dimensions by default); of integers in int64."},
    {"nansum" FB_DIMS ", *, dtype? dtype=None) -> Tensor", kFMO, with_dtype<nansum>,
     "Sum over `dim`, NaN counted as zero."},
    {"mean" FB_DIMS ", *, dtype? dtype=None) -> Tensor", kFMO, with_dtype<mean>,
     "Mean over `dim` (all dimensions by default)."},
    {"prod(Tensor input, int? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor", kFMO,
     call_prod, "Product over `dim` (all elements by default); of integers in int64."},
    {"amax" FB_DIMS ") -> Tensor", kFMO, plain<amax>,
     "Largest element over `dim`; equal elements share the gradient."},
    {"amin" FB_DIMS ") -> Tensor", kFMO, plain<amin>,
     "Smallest element over `dim`; equal elements share the gradient."},
    {"any" FB_DIMS ") -> Tensor", kFMO, plain<any>, "Whether an element over `dim` is nonzero."},
    {"all" FB_DIMS ") -> Tensor", kFMO, plain<all>, "Whether all elements over `dim` are nonzero."},
    {"count_nonzero(Tensor input, int[1]? dim=None) -> Tensor", kFM,
     [](Args& a) -> Value { return count_nonzero(a.tensor(0), a.dims(1)); },
     "How many elements over `dim` are not zero."},
});

} // namespace
} // namespace flambeau
