// The special functions as ops, and the elementwise functions that need a wrapper of their own.
#include <cmath>
#include <limits>

#include "../cpu/elementwise_tables.h"
#include "elementwise_rows.h"
#include "ops.h"

namespace flambeau {
namespace {

constexpr double kTwoBySqrtPi = 1.1283791670955126, kPi = 3.141592653589793;

Tensor number(double v) { return weak_scalar(Scalar(v)); }
Tensor no_derivative(const Tensor&) {
  FB_NOT_IMPLEMENTED("the derivative of this special function is not implemented");
}
Tensor normal_density(const Tensor& x) { return exp(square(x) * -0.5) * 0.3989422804014327; }
Tensor sinc_slope(const Tensor& x) {
  Tensor zero = eq(x, number(0)), safe = where(zero, ones_like(x), x), u = safe * kPi;
  return where(zero, zeros_like(x), (cos(u) * u - sin(u)) / (u * safe));
}
Tensor i1_slope(const Tensor& x, const Tensor& y) {
  Tensor zero = eq(x, number(0)), safe = where(zero, ones_like(x), x);
  return where(zero, full_like(x, 0.5), i0(safe) - y / safe);
}
Tensor i1e_slope(const Tensor& x, const Tensor& y) {
  Tensor zero = eq(x, number(0)), safe = where(zero, ones_like(x), x);
  return where(zero, full_like(x, 0.5), special_i0e(safe) - y * (sgn(safe) + 1. / safe));
}
Tensor spherical_slope(const Tensor& x) {
  Tensor zero = eq(x, number(0)), safe = where(zero, ones_like(x), x);
  return where(zero, zeros_like(x), (cos(safe) - sin(safe) / safe) / safe);
}
// U_n'(x) = ((n + 1) T_{n+1}(x) - x U_n(x)) / (x^2 - 1)
Tensor chebyshev_u_slope(const Tensor& x, const Tensor& n, const Tensor& y) {
  Tensor m = n + 1.;
  return (m * special_chebyshev_polynomial_t(x, m) - x * y) / (square(x) - 1.);
}
Tensor angle_vjp(const Tensor& g, const Tensor& z) {
  if (!is_complex(z.dtype())) return zeros_like(g);
  Tensor r2 = square(abs(z)), zero = eq(r2, number(0));
  Tensor turned = z * weak_scalar(Scalar(0., 1.)); // i z
  return where(zero, zeros_like(z), turned * (g / where(zero, ones_like(r2), r2)));
}
Tensor gamma_density(const Tensor& a, const Tensor& x) {
  return exp((a - 1.) * log(x) - x - lgamma(a));
}
Tensor xlog1py_vjp(const Tensor& a, const Tensor& b) {
  Tensor zero = logical_and(eq(a, number(0)), le(b, number(-1)));
  Tensor d = log1p(b);
  return where(zero, zeros_like(d), d);
}

FB_UNARY_SPECIAL(FB_VJP1)
FB_BINARY_SPECIAL(FB_VJP2)
ElemRow unary_rows[] = {FB_UNARY_SPECIAL(FB_ROW1)};
ElemRow binary_rows[] = {FB_BINARY_SPECIAL(FB_ROW2)};
#define FB_NAME(name, ...) k_##name,
enum Unary { FB_UNARY_SPECIAL(FB_NAME) };
enum Binary { FB_BINARY_SPECIAL(FB_NAME) };
#undef FB_NAME

} // namespace

#define FB_FUNCTION(name, ...) FB_UNARY_FUNCTION(name, unary_rows)
FB_UNARY_SPECIAL(FB_FUNCTION)
#undef FB_FUNCTION
#define FB_FUNCTION(name, ...) FB_BINARY_FUNCTION(name, binary_rows)
FB_BINARY_SPECIAL(FB_FUNCTION)
#undef FB_FUNCTION

namespace {

bool is_internal(const char* name) {
  for (const char* n : {"trigamma", "polygamma_n"})
    if (std::string(n) == name) return true;
  return false;
}
struct RegisterRows {
  RegisterRows() {
    register_rows(unary_rows, special_unary_kernels(), "Tensor input", is_internal);
    register_rows(binary_rows, special_binary_kernels(), "Operand input, Operand other",
                  is_internal);
  }
} rows_registered;

Value run(Unary row, const Tensor& x, const double* p, int np, Args& a) {
  if (a.out.defined()) return elementwise_into(unary_rows[row], &x, p, np, a.out, a.inplace);
  return elementwise(unary_rows[row], &x, p, np);
}
Tensor prelu(const Tensor& x, const Tensor& w) {
  FB_CHECK(w.dim() <= 1,
           "prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = ", w.dim());
  FB_CHECK(x.dtype() == w.dtype(), "prelu: Type promoting not supported. Got ", x.dtype(), " and ",
           w.dtype());
  Tensor shaped = w;
  if (w.numel() != 1) {
    int64_t channels = x.dim() > 1 ? x.shape()[1] : 1;
    FB_CHECK(x.dim() > 0, "prelu: Not allow zero-dim input tensor.");
    FB_CHECK(channels == w.numel(),
             "prelu: Mismatch of parameter numbers and input channel size. Found "
             "parameter numbers = ",
             w.numel(), " and channel size = ", channels, ".");
    Dims s(x.dim(), 1);
    if (x.dim() > 1) s[1] = w.numel();
    shaped = reshape(w, s);
  } else {
    shaped = reshape(w, {});
  }
  return where(gt(x, number(0)), x, x * shaped);
}

// re + i im, and its parts as the gradient.
struct MakeComplex final : OpOf<MakeComplex> {
  const char* name() const override { return "complex"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), complex_of(in[0].dtype())}}; }
  void cpu(const Inputs& in, Outputs& out) override { join(in, out); }
  void cuda(const Inputs& in, Outputs& out) override { join(in, out); }
  static void join(const Inputs& in, Outputs& out) {
    Tensor pair = view_as_real(out[0]);
    copy_values(select(pair, -1, 0), in[0]);
    copy_values(select(pair, -1, 1), in[1]);
  }
  Grads vjp(const Saved&, const Grads& g) override { return {real(g[0]), imag(g[0])}; }
};
Tensor make_complex(const Tensor& re, const Tensor& im) {
  FB_CHECK(is_float(re.dtype()) && re.dtype() != DType::BF16,
           "Expected both inputs to be Half, Float or "
           "Double tensors but got ",
           re.dtype(), " and ", im.dtype());
  FB_CHECK(re.dtype() == im.dtype(), "Expected object of scalar type ", re.dtype(),
           " but got scalar type ", im.dtype(), " for second argument");
  Dims s = broadcast_shapes(re.shape(), im.shape(), "complex");
  return apply(MakeComplex{}, {expand(re, s), expand(im, s)});
}

constexpr unsigned kAllForms = kFMIO | kNative;
Register special({
    {"polygamma(int n, Tensor input) -> Tensor", kFunction | kOut | kNative,
     [](Args& a) -> Value {
       double p[1] = {double(a.integer(0))};
       FB_CHECK(p[0] >= 0, "polygamma(n, x) does not support negative n.");
       Tensor x = a.tensor(1);
       if (p[0] == 0 && !a.out.defined()) return digamma(x);
       return run(k_polygamma_n, x, p, 1, a);
     },
     "The n-th derivative of digamma (DLMF 5.15)."},
    {"prelu(Tensor input, Tensor weight) -> Tensor", kFM,
     [](Args& a) -> Value { return prelu(a.tensor(0), a.tensor(1)); },
     "x for x > 0, weight * x below; one weight, or one a channel (He et al. 2015)."},
    {"complex(Tensor real, Tensor imag) -> Tensor", kFO,
     [](Args& a) -> Value { return make_complex(a.tensor(0), a.tensor(1)); }, "real + i imag."},
    {"polar(Tensor abs, Tensor angle) -> Tensor", kFO,
     [](Args& a) -> Value {
       Tensor r = a.tensor(0), phi = a.tensor(1);
       FB_CHECK(is_float(r.dtype()) && r.dtype() == phi.dtype(), "Expected object of scalar type ",
                r.dtype(), " but got scalar type ", phi.dtype(), " for second argument");
       return make_complex(r * cos(phi), r * sin(phi));
     },
     "abs (cos(angle) + i sin(angle))."},
    {"rsub(Tensor input, Operand other, *, Scalar alpha=1) -> Tensor", kFunction,
     [](Args& a) -> Value {
       FB_CHECK(a.tensor(0).dtype() != DType::Bool,
                "Subtraction, the `-` operator, with a bool tensor is "
                "not supported. If you are trying to invert a mask, use the `~` or `logical_not()` "
                "operator instead.");
       return sub(a.tensor(1), a.tensor(0), a.scalar(2));
     },
     "other - alpha * input."},
    {"fill(Tensor input, Operand value) -> Tensor", kFunction,
     [](Args& a) -> Value {
       Tensor v = a.tensor(1), x = a.tensor(0);
       FB_CHECK(v.dim() == 0, "fill only supports 0-dimension value tensor but got tensor with ",
                v.dim(), " dimensions.");
       return clone(expand(to_dtype(v, x.dtype()), x.shape()));
     },
     "A tensor like input filled with value."},
});

} // namespace
} // namespace flambeau
