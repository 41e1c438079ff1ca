// Variance, norms and logsumexp.
#include <cmath>

#include "../core/registry.h"
#include "../cuda/reduce.h"
#include "reduce_ops.h"

namespace flambeau {
namespace {

Tensor variance_slope(const ReduceOp& op, const Tensor& x) {
  return (x - mean(x, op.dims(), true)) * (2 / (double(op.count()) - op.p));
}
Tensor var_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  return op.restore(g) * variance_slope(op, s.input(0));
}
Tensor std_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  Tensor y = s.output(0), d = g / (y * 2.);
  d = masked_fill(d, eq(y, weak_scalar(Scalar(0))), Scalar(0));
  return op.restore(d) * variance_slope(op, s.input(0));
}
// Zero norms have no gradient.
Tensor safe_quotient(const Tensor& a, const Tensor& norm) {
  return masked_fill(a / norm, eq(norm, weak_scalar(Scalar(0))), Scalar(0));
}
Tensor norm1_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  return op.restore(g) * sgn(s.input(0));
}
Tensor norm2_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  return safe_quotient(op.restore(g) * s.input(0), op.restore(s.output(0)));
}
Tensor norm_inf_vjp(const ReduceOp& op, const Saved& s, const Tensor& g) {
  Tensor x = s.input(0), y = op.restore(s.output(0)), m = abs(x);
  Tensor hit = logical_or(eq(m, y), logical_and(isnan(m), isnan(y)));
  Tensor count = sum(hit, op.dims(), true);
  return op.restore(g) / to_dtype(count, g.dtype()) * to_dtype(hit, g.dtype()) * sgn(x);
}
Tensor zero_vjp(const ReduceOp& op, const Saved&, const Tensor& g) {
  return zeros(op.shape, g.dtype(), g.device());
}

const ReduceRow kVar{"var", Reduce::Var, {1, 0}, var_vjp};
const ReduceRow kStd{"std", Reduce::Std, {1, 1}, std_vjp};
const ReduceRow kNorm0{"linalg_vector_norm", Reduce::Norm0, {}, zero_vjp};
const ReduceRow kNorm1{"linalg_vector_norm", Reduce::Norm1, {1, 0}, norm1_vjp};
const ReduceRow kNorm2{"linalg_vector_norm", Reduce::Norm2, {1, 1}, norm2_vjp};
const ReduceRow kNormMax{"linalg_vector_norm", Reduce::NormMax, {1, 1}, norm_inf_vjp};
const ReduceRow kNormMin{"linalg_vector_norm", Reduce::NormMin, {1, 1}, norm_inf_vjp};

// Of complex numbers: the variance of both parts, added.
Tensor spread_of(const ReduceRow& row, const Tensor& t, const Dims& dims, double correction,
                 bool keepdim) {
  FB_CHECK(is_inexact(t.dtype()), row.name, " only support floating point and complex dtypes");
  if (is_complex(t.dtype())) {
    Tensor v = var(real(t), dims, correction, keepdim) + var(imag(t), dims, correction, keepdim);
    return row.kind == Reduce::Std ? sqrt(v) : v;
  }
  uint64_t mask = dim_mask(dims, t.dim(), row.name);
  return run_row(row, t, mask, keepdim, compute_type(t.dtype()), t.dtype(), correction);
}

// Both at once; the pair leaves the kernel as one complex number.
struct VarMean final : OpOf<VarMean> {
  uint64_t mask;
  bool keepdim, root;
  double correction;
  ReduceOp helper;
  const char* name() const override { return root ? "std_mean" : "var_mean"; }
  Specs infer(const Inputs& in) override {
    helper.row = &kVar;
    helper.mask = mask;
    helper.keepdim = keepdim;
    helper.p = correction;
    helper.infer(in);
    Dims s = reduced_shape(in[0].shape(), mask, keepdim);
    return {{s, in[0].dtype()}, {s, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor both = empty(out[0].shape(), complex_of(c));
    run_reduce(reduce_kernel(Reduce::VarMean, c), in[0], mask, both, correction);
    Tensor v = real(both);
    copy_values(out[0], root ? sqrt(v) : v);
    copy_values(out[1], imag(both));
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::reduce(root ? Reduce::Std : Reduce::Var, compute_type(in[0].dtype()), in[0], mask, out[0],
                 correction, out[1]);
  }
  Saves saves(const Inputs&) const override { return {1, root ? 1u : 0u}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor x = s.input(0), r;
    if (g[0].defined()) {
      Tensor d = root ? safe_quotient(g[0], s.output(0)) * 0.5 : g[0];
      r = helper.restore(d) * variance_slope(helper, x);
    }
    if (g[1].defined()) {
      Tensor m = helper.spread(g[1] / double(helper.count()));
      r = r.defined() ? r + m : m;
    }
    return {r};
  }
};

Pair var_mean_of(const Tensor& t, const Dims& dims, double correction, bool keepdim, bool root) {
  FB_CHECK(is_inexact(t.dtype()), root ? "std_mean" : "var_mean",
           " only support floating point and complex dtypes");
  if (is_complex(t.dtype())) {
    Tensor v = root ? std_dev(t, dims, correction, keepdim) : var(t, dims, correction, keepdim);
    return {v, mean(t, dims, keepdim)};
  }
  VarMean op;
  op.mask = dim_mask(dims, t.dim(), root ? "std_mean" : "var_mean");
  op.keepdim = keepdim;
  op.root = root;
  op.correction = correction;
  Outputs r = apply_all(op, {t});
  return {r[0], r[1]};
}

// The shift that keeps exp in range; infinities stay where they are.
Tensor finite_max(const Tensor& t, const Dims& dims) {
  NoGrad off;
  Tensor m = amax(t, dims, true);
  return masked_fill(m, isinf(m), Scalar(0.));
}

} // namespace

Tensor var(const Tensor& t, const Dims& dims, double correction, bool keepdim) {
  return spread_of(kVar, t, dims, correction, keepdim);
}
Tensor std_dev(const Tensor& t, const Dims& dims, double correction, bool keepdim) {
  return spread_of(kStd, t, dims, correction, keepdim);
}

Tensor vector_norm(const Tensor& t, double ord, const Dims& dims, bool keepdim, OptDType dtype) {
  FB_CHECK(is_inexact(t.dtype()),
           "linalg.vector_norm: Expected a floating point or complex tensor "
           "as input. Got ",
           t.dtype());
  Tensor x = t;
  if (dtype) {
    FB_CHECK(is_inexact(*dtype),
             "linalg.vector_norm: dtype should be floating point or complex. "
             "Got ",
             *dtype);
    FB_CHECK(is_complex(*dtype) == is_complex(t.dtype()), "linalg.vector_norm: dtype should be ",
             is_complex(t.dtype()) ? "complex" : "real", " for ",
             is_complex(t.dtype()) ? "complex" : "real", " inputs, but got ", *dtype);
    x = to_dtype(t, *dtype);
  }
  if (is_complex(x.dtype())) x = abs(x);
  uint64_t mask = dim_mask(dims, x.dim(), "linalg.vector_norm");
  if (x.numel() == 0 && (ord < 0 || std::isinf(ord))) {
    FB_CHECK(!dims.empty(), "linalg.vector_norm cannot compute the ", ord, " norm on an empty ",
             "tensor because the operation does not have an identity");
    for (int d = 0; d < x.dim(); ++d)
      FB_CHECK(!(mask >> d & 1) || x.shape()[d], "linalg.vector_norm cannot compute the ", ord,
               " norm on the dimension ", d,
               " because this dimension is empty and the operation "
               "does not have an identity");
  }
  const ReduceRow* row = ord == 0           ? &kNorm0
                         : ord == 1         ? &kNorm1
                         : ord == 2         ? &kNorm2
                         : ord == INFINITY  ? &kNormMax
                         : ord == -INFINITY ? &kNormMin
                                            : nullptr;
  if (row) return run_row(*row, x, mask, keepdim, compute_type(x.dtype()), x.dtype());
  auto power = [&](const Tensor& t, double e) {
    return x.dtype() == DType::F64 ? pow(t, scalar_tensor(Scalar(e), DType::F64)) : pow(t, e);
  };
  return power(sum(power(abs(x), ord), dims, keepdim), 1 / ord);
}

Tensor logsumexp(const Tensor& t, const Dims& dims, bool keepdim) {
  Tensor x = is_integral(t.dtype()) ? to_dtype(t, default_dtype()) : t;
  if (x.numel() == 0) return log(sum(exp(x), dims, keepdim));
  if (x.dim() && dims.size() == 1 && is_float(x.dtype()))
    return logsumexp_along(x, dims[0], keepdim);
  Tensor m = is_complex(x.dtype()) ? finite_max(real(x), dims) : finite_max(x, dims);
  Tensor s = log(sum(exp(x - m), dims, true)) + m;
  if (keepdim) return s;
  return view(s, reduced_shape(x.shape(), dim_mask(dims, x.dim(), "logsumexp"), false));
}

namespace {

// var(input, dim, unbiased, keepdim) and var(input, dim, *, correction, keepdim).
struct SpreadArgs {
  Dims dims;
  double correction;
  bool keepdim;
};
SpreadArgs unbiased_all(Args& a) { return {{}, a.flag(1) ? 1. : 0., false}; }
SpreadArgs unbiased_dim(Args& a) { return {a.dims(1), a.flag(2) ? 1. : 0., a.flag(3)}; }
SpreadArgs corrected(Args& a) { return {a.dims(1), a.given(2) ? a.real(2) : 1., a.flag(3)}; }

template<SpreadArgs (*read)(Args&), bool root>
Value call_spread(Args& a) {
  SpreadArgs s = read(a);
  return (root ? std_dev : var)(a.tensor(0), s.dims, s.correction, s.keepdim);
}
template<SpreadArgs (*read)(Args&), bool root>
Value call_spread_mean(Args& a) {
  SpreadArgs s = read(a);
  Pair p = var_mean_of(a.tensor(0), s.dims, s.correction, s.keepdim, root);
  return Tensors{p.first, p.second};
}

Value call_vector_norm(Args& a) {
  return vector_norm(a.tensor(0), a.real(1), a.dims(2), a.flag(3), a.dtype(4));
}

Value call_norm(Args& a) {
  double p = a.given(1) ? a.real(1) : 2;
  return vector_norm(a.tensor(0), p, a.dims(2), a.flag(3), a.dtype(4));
}
Value call_named_norm(Args& a) {
  const std::string& p = a.text(1);
  if (p == "nuc")
    FB_NOT_IMPLEMENTED("norm(p='nuc'): use flambeau.linalg.matrix_norm(input, 'nuc')");
  FB_CHECK_VALUE(p == "fro", "norm: p must be a number, 'fro' or 'nuc', got '", p, "'");
  return vector_norm(a.tensor(0), 2, a.dims(2), a.flag(3), a.dtype(4));
}

#define FB_SPREAD(name, fn, root, forms, result, doc)                                           \
  {name "(Tensor input, bool unbiased) -> " result, kFM, fn<unbiased_all, root>, doc},          \
      {name "(Tensor input, int[1]? dim, bool unbiased, bool keepdim=False) -> " result, forms, \
       fn<unbiased_dim, root>, doc},                                                            \
  {                                                                                             \
    name "(Tensor input, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) "    \
         "-> " result,                                                                          \
        forms, fn<corrected, root>, doc                                                         \
  }

Register rows({
    FB_SPREAD("var", call_spread, false, kFMO, "Tensor",
              "Variance over `dim`: squared deviations over (n - correction)."),
    FB_SPREAD("std", call_spread, true, kFMO, "Tensor",
              "Standard deviation over `dim`: the root of `var`."),
    FB_SPREAD("var_mean", call_spread_mean, false, kFunction, "Tensor()",
              "Variance and mean over `dim`."),
    FB_SPREAD("std_mean", call_spread_mean, true, kFunction, "Tensor()",
              "Standard deviation and mean over `dim`."),
    {"linalg_vector_norm(Tensor input, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, "
     "dtype? dtype=None) -> Tensor",
     kFO, call_vector_norm, "Vector norm of order `ord` over `dim`: (sum |x|^ord)^(1/ord)."},
    {"norm(Tensor input, Scalar? p, int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) "
     "-> Tensor",
     kFMO, call_norm, "Norm of order `p` over `dim`."},
    {"norm(Tensor input, str p='fro', int[1]? dim=None, bool keepdim=False, *, dtype? dtype=None) "
     "-> Tensor",
     kFMO, call_named_norm, "Norm over `dim`: the root of the sum of squares."},
    {"logsumexp(Tensor input, int[1] dim, bool keepdim=False) -> Tensor", kFMO,
     [](Args& a) -> Value { return logsumexp(a.tensor(0), a.dims(1), a.flag(2)); },
     "log(sum(exp(input))) over `dim`, without overflow."},
});

} // namespace
} // namespace flambeau
