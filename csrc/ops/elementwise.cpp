// The elementwise rows as functions: derivatives, C++ entry points, Python registration.
#include "../core/elementwise.h"

#include <cmath>
#include <limits>

#include "../core/registry.h"
#include "../cpu/elementwise_tables.h"
#include "elementwise_rows.h"
#include "ops.h"

namespace flambeau {

const ElemTables& elem_tables() {
  static const ElemTables& t = cpu_has_avx512() ? elem_avx512::tables
                               : cpu_has_avx2() ? elem_avx2::tables
                                                : elem_base::tables;
  return t;
}

namespace {

// Helpers of the derivative column.
Tensor within(const Tensor& x, double low, double high, bool open) {
  return open ? within_open(x, low, high) : within_closed(x, low, high);
}
Tensor mask_of(const Tensor& condition, const Tensor& like) {
  return to_dtype(condition, like.dtype());
}
Tensor number(double v) { return weak_scalar(Scalar(v)); }

Tensor sgn_backward(const Tensor& g, const Tensor& x, const Tensor& y) {
  if (!is_complex(x.dtype())) return zeros_like(g);
  // d(x/|x|): the part of g across the direction y, over |x|.
  Tensor r = abs(x), safe = where(eq(r, number(0)), ones_like(r), r);
  Tensor along = real(conj(y) * g);
  return where(eq(r, number(0)), zeros_like(g), (g - y * along) / safe);
}
Tensor pow_vjp_base(const Tensor& g, const Tensor& a, const Tensor& b) {
  Tensor d = g * conj(b * pow(a, b - 1.));
  return where(eq(b, number(0)), zeros_like(d), d);
}
Tensor pow_vjp_exponent(const Tensor& g, const Tensor& a, const Tensor& b, const Tensor& y) {
  Tensor zero =
      is_complex(b.dtype()) ? eq(a, number(0)) : logical_and(eq(a, number(0)), ge(b, number(0)));
  Tensor d = g * conj(y * log(a));
  return where(zero, zeros_like(d), d);
}
Tensor copysign_vjp(const Tensor& g, const Tensor& a, const Tensor& b) {
  Tensor same = mask_of(eq(signbit(a), signbit(b)), g) * 2. - 1.;
  return where(eq(a, number(0)), zeros_like(g), g * same);
}
Tensor xlogy_vjp(const Tensor& a, const Tensor& b) {
  Tensor zero = logical_and(eq(a, number(0)), le(b, number(0)));
  Tensor d = log(b);
  return where(zero, zeros_like(d), d);
}
Tensor heaviside_vjp(const Tensor&) {
  FB_NOT_IMPLEMENTED("the derivative of heaviside with respect to values is not defined");
}
// 1 where fmax (sign 1) or fmin (sign -1) takes its first operand.
Tensor prefers(const Tensor& a, const Tensor& b, int sign) {
  Tensor first = sign > 0 ? ge(a, b) : le(a, b);
  return mask_of(logical_or(first, isnan(b)), a);
}
Tensor softplus_vjp(const Tensor& g, const Tensor& x, const double* p) {
  Tensor u = x * p[0];
  return where(gt(u, number(p[1])), g, g * sigmoid(u));
}
Tensor mish_vjp(const Tensor& g, const Tensor& x) {
  Tensor t = tanh(softplus(x, 1, 20));
  return g * (t + x * sigmoid(x) * (1. - t * t));
}
Tensor elu_vjp(const Tensor& g, const Tensor& x, const double* p) {
  Tensor below = exp(clamp_scalar(x, -INFINITY, 0) * p[2]) * (p[0] * p[1] * p[2]);
  return g * where(gt(x, number(0)), full_like(below, p[1]), below);
}
Tensor hardswish_vjp(const Tensor& g, const Tensor& x) {
  Tensor mid = x / 3. + 0.5;
  Tensor d =
      where(ge(x, number(3)), ones_like(mid), where(le(x, number(-3)), zeros_like(mid), mid));
  return g * d;
}
Tensor silu_slope(const Tensor& x) {
  Tensor s = sigmoid(x);
  return s * (1. + x * (1. - s));
}
Tensor silu_curve(const Tensor& x) {
  Tensor s = sigmoid(x), d = s * (1. - s);
  return d * (2. + x * (1. - s * 2.));
}
Tensor normal_density(const Tensor& x) { return exp(x * x * -0.5) * 0.3989422804014327; }
Tensor gelu_slope(const Tensor& x) {
  return erfc(x * -0.7071067811865476) * 0.5 + x * normal_density(x);
}
Tensor gelu_curve(const Tensor& x) { return normal_density(x) * (2. - x * x); }
constexpr double kTanhGelu = 0.7978845608028654, kCubic = 0.044715;
Tensor gelu_tanh_slope(const Tensor& x) {
  Tensor t = tanh((x + x * x * x * kCubic) * kTanhGelu);
  Tensor du = (x * x * (3 * kCubic) + 1.) * kTanhGelu;
  return (t + 1.) * 0.5 + x * (1. - t * t) * du * 0.5;
}
Tensor gelu_tanh_curve(const Tensor& x) {
  Tensor t = tanh((x + x * x * x * kCubic) * kTanhGelu), q = 1. - t * t;
  Tensor du = (x * x * (3 * kCubic) + 1.) * kTanhGelu, d2u = x * (6 * kCubic * kTanhGelu);
  return q * du + x * (q * d2u - t * q * du * du * 2.) * 0.5;
}

Tensor logit_vjp(const Tensor& g, const Tensor& x, double eps) {
  Tensor d = g / (x * (1. - x));
  if (eps < 0) return d;
  return where(logical_and(ge(x, number(eps)), le(x, number(1 - eps))), d, zeros_like(d));
}
Tensor isfinite_mask(const Tensor& x) { return to_dtype(isfinite(x), x.dtype()); }

// The derivative columns become functions of the saved values.
FB_UNARY_MATH(FB_VJP1)
FB_UNARY_ACTIVATION(FB_VJP1)
FB_BINARY(FB_VJP2)
#define FB_ROW(name, args, rule, types, keep, formula, va, vb, vc, doc) \
  FB_VJP(vjp_a_##name, va) FB_VJP(vjp_b_##name, vb) FB_VJP(vjp_c_##name, vc)
FB_TERNARY(FB_ROW)
#undef FB_ROW
// The tables of rows, in the order of the kernel tables.
ElemRow unary_math_rows[] = {FB_UNARY_MATH(FB_ROW1)};
ElemRow activation_rows[] = {FB_UNARY_ACTIVATION(FB_ROW1)};
ElemRow binary_rows[] = {FB_BINARY(FB_ROW2)};
#define FB_ROW(name, args, rule, types, keep, formula, va, vb, vc, doc)                         \
  {#name, args,    3,       Rule::rule, Keep::keep, {vjp_a_##name, vjp_b_##name, vjp_c_##name}, \
   doc,   nullptr, #formula},
ElemRow ternary_rows[] = {FB_TERNARY(FB_ROW)};
#undef FB_ROW

#define FB_ROW(name, ...) k_##name,
enum UnaryMath { FB_UNARY_MATH(FB_ROW) };
enum Activation { FB_UNARY_ACTIVATION(FB_ROW) };
enum Binary { FB_BINARY(FB_ROW) };
enum Ternary { FB_TERNARY(FB_ROW) };
#undef FB_ROW

} // namespace

#define FB_ROW(name, ...) FB_UNARY_FUNCTION(name, unary_math_rows)
FB_UNARY_MATH(FB_ROW)
#undef FB_ROW
#define FB_ROW(name, ...) FB_UNARY_FUNCTION(name, activation_rows)
FB_UNARY_ACTIVATION(FB_ROW)
#undef FB_ROW
#define FB_ROW(name, ...) FB_BINARY_FUNCTION(name, binary_rows)
FB_BINARY(FB_ROW)
#undef FB_ROW
#define FB_ROW(name, ...)                                                     \
  Tensor name(const Tensor& a, const Tensor& b, const Tensor& c, double p0) { \
    Tensor in[3] = {a, b, c};                                                 \
    return elementwise(ternary_rows[k_##name], in, &p0, 1);                   \
  }
FB_TERNARY(FB_ROW)
#undef FB_ROW

Tensor pow(const Tensor& a, double b) { return pow(a, number(b)); }
Tensor conj(const Tensor& t) { return is_complex(t.dtype()) ? conj_physical(t) : t; }
Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
Tensor operator/(const Tensor& a, const Tensor& b) { return true_divide(a, b); }
Tensor operator-(const Tensor& a) { return neg(a); }
Tensor operator+(const Tensor& a, double b) { return add(a, number(b)); }
Tensor operator-(const Tensor& a, double b) { return sub(a, number(b)); }
Tensor operator*(const Tensor& a, double b) { return mul(a, number(b)); }
Tensor operator/(const Tensor& a, double b) { return true_divide(a, number(b)); }
Tensor operator+(double a, const Tensor& b) { return add(number(a), b); }
Tensor operator-(double a, const Tensor& b) { return sub(number(a), b); }
Tensor operator*(double a, const Tensor& b) { return mul(number(a), b); }
Tensor operator/(double a, const Tensor& b) { return true_divide(number(a), b); }

Tensor add(const Tensor& a, const Tensor& b, Scalar alpha) {
  return alpha.f == 1 ? add(a, b) : add(a, mul(b, weak_scalar(alpha)));
}
Tensor sub(const Tensor& a, const Tensor& b, Scalar alpha) {
  return alpha.f == 1 ? sub(a, b) : sub(a, mul(b, weak_scalar(alpha)));
}
Tensor div(const Tensor& a, const Tensor& b, const char* rounding_mode) {
  std::string m = rounding_mode ? rounding_mode : "";
  if (m.empty()) return true_divide(a, b);
  FB_CHECK(m == "trunc" || m == "floor",
           "div expected rounding_mode to be one of None, 'trunc', "
           "or 'floor' but found '",
           m, "'");
  return m == "trunc" ? trunc_divide(a, b) : floor_divide(a, b);
}

void add_inplace(const Tensor& t, const Tensor& other) {
  Tensor in[2] = {t, other};
  elementwise_into(binary_rows[k_add], in, nullptr, 0, t, true);
}

// Where x equals a bound the gradient stays with x, as PyTorch has it; NaN wins.
Tensor clamp(const Tensor& x, const Tensor& min, const Tensor& max) {
  FB_CHECK(min.defined() || max.defined(),
           "clamp: At least one of 'min' or 'max' must not be None");
  Tensor r = x;
  if (min.defined()) r = where(logical_or(lt(r, min), isnan(min)), min, r);
  if (max.defined()) r = where(logical_or(gt(r, max), isnan(max)), max, r);
  return r;
}

namespace {

// A binary row with one operand replaced first (alpha, rounding mode).
Value call_binary(const ElemRow& row, const Tensor& x, const Tensor& y, Args& a) {
  Tensor in[2] = {x, y};
  if (a.out.defined()) return elementwise_into(row, in, nullptr, 0, a.out, a.inplace);
  return elementwise(row, in);
}
Value call_scaled(Args& a, Binary row) {
  const Scalar& alpha = a.scalar(2);
  Tensor b = a.tensor(1);
  if (alpha.f != 1 || alpha.im != 0) {
    FB_CHECK(!(is_integral(a.tensor(0).dtype()) && is_integral(b.dtype()) && !alpha.is_integral()),
             "For integral input tensors, argument alpha must not be a floating point number.");
    b = mul(b, weak_scalar(alpha));
  }
  FB_CHECK(!(row == k_sub && a.tensor(0).dtype() == DType::Bool && b.dtype() == DType::Bool),
           "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
           "`logical_xor()` operator instead.");
  return call_binary(binary_rows[row], a.tensor(0), b, a);
}
Value call_div(Args& a) {
  if (!a.given(2)) return call_binary(binary_rows[k_true_divide], a.tensor(0), a.tensor(1), a);
  const std::string& m = a.text(2);
  FB_CHECK(m == "trunc" || m == "floor",
           "div expected rounding_mode to be one of "
           "None, 'trunc', or 'floor' but found '",
           m, "'");
  return call_binary(binary_rows[m == "trunc" ? k_trunc_divide : k_floor_divide], a.tensor(0),
                     a.tensor(1), a);
}
Value call_equal(Args& a) {
  const Tensor &x = a.tensor(0), &y = a.tensor(1);
  FB_CHECK(x.dtype() == y.dtype(), "Expected object of data type ", x.dtype(),
           " but got data type ", y.dtype(), " for argument 'other' in call to equal");
  NoGrad off;
  return Scalar(x.shape() == y.shape() && item(all(eq(x, y))).i != 0);
}
// The row that gives the power n of numbers of dtype t and costs less than a power; null if none.
const ElemRow* cheap_power(DType t, double n) {
  if (t == DType::Bool) return nullptr;
  if (n == 2) return &unary_math_rows[k_square];
  if (n == 3 && !is_complex(t)) return &unary_math_rows[k_cube];
  if (!is_float(t)) return nullptr;
  return n == 0.5    ? &unary_math_rows[k_sqrt]
         : n == -0.5 ? &unary_math_rows[k_rsqrt]
         : n == -1   ? &unary_math_rows[k_reciprocal]
                     : nullptr;
}
Value call_pow(Args& a) {
  Tensor x = a.tensor(0), e = a.tensor(1);
  if (e.impl()->weak && is_integral(x.dtype()) && is_integral(e.dtype()))
    FB_CHECK(item(e).f >= 0, "Integers to negative integer powers are not allowed.");
  if (e.impl()->weak && category_keeps(x.dtype(), e.dtype()))
    if (const ElemRow* row = cheap_power(x.dtype(), item(e).f)) {
      if (a.out.defined()) return elementwise_into(*row, &x, nullptr, 0, a.out, a.inplace);
      return elementwise(*row, &x);
    }
  return call_binary(binary_rows[k_pow], x, e, a);
}
Value call_activation(Activation which, const Tensor& x, const double* p, int np, Args& a) {
  const ElemRow& row = activation_rows[which];
  if (a.out.defined()) return elementwise_into(row, &x, p, np, a.out, a.inplace);
  return elementwise(row, &x, p, np);
}
double largest(DType t) {
  return t == DType::F64    ? std::numeric_limits<double>::max()
         : t == DType::F16  ? 65504.
         : t == DType::BF16 ? 3.3895313892515355e38
                            : double(std::numeric_limits<float>::max());
}
Value call_nan_to_num(Args& a) {
  Tensor x = a.tensor(0);
  double top = largest(real_of(x.dtype()));
  double p[3] = {a.given(1) ? a.real(1) : 0, a.given(2) ? a.real(2) : top,
                 a.given(3) ? a.real(3) : -top};
  if (is_complex(x.dtype())) {
    Tensor parts = view_as_real(x);
    return view_as_complex(elementwise(activation_rows[k_nan_to_num_to], &parts, p, 3));
  }
  return call_activation(k_nan_to_num_to, x, p, 3, a);
}

Value call_clamp(Args& a) {
  Tensor x = a.tensor(0), lo = a.tensor(1), hi = a.tensor(2);
  FB_CHECK(lo.defined() || hi.defined(),
           "torch.clamp: At least one of 'min' or 'max' must not be None");
  auto plain = [&](const Tensor& t) {
    return !t.defined() || (t.impl()->weak && category_keeps(x.dtype(), t.dtype()));
  };
  if (plain(lo) && plain(hi) && !is_complex(x.dtype()) && x.dtype() != DType::Bool) {
    bool wide = is_integral(x.dtype());
    double p[2] = {lo.defined() ? item(lo).f
                   : wide       ? -9.2e18
                                : -INFINITY,
                   hi.defined() ? item(hi).f
                   : wide       ? 9.2e18
                                : INFINITY};
    if (!wide || (std::fabs(p[0]) < 4e15 && std::fabs(p[1]) < 4e15))
      return call_activation(k_clamp_scalar, x, p, 2, a);
  }
  FB_CHECK(!is_complex(x.dtype()), "clamp is not supported for complex types");
  Tensor r = clamp(x, lo, hi);
  if (!a.out.defined()) return r;
  if (a.inplace) return copy_(x, r);
  FB_CHECK(can_cast(r.dtype(), a.out.dtype()), "result type ", r.dtype(),
           " can't be cast to the desired output type ", a.out.dtype());
  resize_out(a.out, r.shape(), "clamp");
  return copy_(a.out, r);
}
Value call_elu(Args& a, double alpha, double scale, double input_scale) {
  double p[3] = {alpha, scale, input_scale};
  return call_activation(k_elu, a.tensor(0), p, 3, a);
}
Value call_gelu(Args& a) {
  const std::string& how = a.text(1);
  FB_CHECK(how == "none" || how == "tanh",
           "approximate argument must be either none or tanh, but got '", how, "'");
  return call_activation(how == "none" ? k_gelu_erf : k_gelu_tanh, a.tensor(0), nullptr, 0, a);
}

const char* const kInternal[] = {"cube",
                                 "larger",
                                 "within_open",
                                 "within_closed",
                                 "slope",
                                 "greater_mask",
                                 "clamp_scalar",
                                 "logit_eps",
                                 "nan_to_num_to",
                                 "threshold_backward",
                                 "sigmoid_backward",
                                 "tanh_backward",
                                 "silu_backward",
                                 "gelu_erf",
                                 "gelu_tanh",
                                 "gelu_erf_backward",
                                 "gelu_tanh_backward",
                                 "trunc_divide",
                                 "add",
                                 "sub",
                                 "pow"};

bool listed(const char* name, std::initializer_list<const char*> names) {
  for (const char* n : names)
    if (std::string(n) == name) return true;
  return false;
}

bool is_internal(const char* name) {
  for (const char* n : kInternal)
    if (std::string(n) == name) return true;
  return false;
}

struct RegisterRows {
  RegisterRows() {
    const ElemTables& t = elem_tables();
    register_rows(unary_math_rows, t.unary_math, "Tensor input", is_internal);
    register_rows(activation_rows, t.unary_activation, "Tensor input", is_internal);
    register_rows(binary_rows, t.binary, "Operand input, Operand other", is_internal);
    register_rows(ternary_rows, t.ternary, "Tensor input, Tensor tensor1, Operand tensor2",
                  is_internal);
  }
} rows_registered;

constexpr unsigned kAllForms = kFMIO | kNative;
Register special({
    {"add(Operand input, Operand other, *, Scalar alpha=1) -> Tensor", kAllForms,
     [](Args& a) { return call_scaled(a, k_add); }, "input + alpha * other."},
    {"equal(Tensor input, Tensor other) -> Scalar", kFM, call_equal,
     "Whether both tensors have the same shape and elements, a Python bool."},
    {"sub(Operand input, Operand other, *, Scalar alpha=1) -> Tensor", kAllForms,
     [](Args& a) { return call_scaled(a, k_sub); }, "input - alpha * other."},
    {"subtract(Operand input, Operand other, *, Scalar alpha=1) -> Tensor", kAllForms,
     [](Args& a) { return call_scaled(a, k_sub); }, "input - alpha * other."},
    {"logit(Tensor input, float? eps=None) -> Tensor", kAllForms,
     [](Args& a) -> Value {
       double p[1] = {a.given(1) ? a.real(1) : -1};
       return call_activation(k_logit_eps, a.tensor(0), p, 1, a);
     },
     "log(x / (1 - x)), x first limited to [eps, 1 - eps] when eps is given."},
    {"nan_to_num(Tensor input, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
     kAllForms, call_nan_to_num,
     "NaN becomes nan (0), infinities the largest numbers or those given."},
    {"div(Operand input, Operand other, *, str? rounding_mode=None) -> Tensor", kAllForms, call_div,
     "Quotient; rounding_mode 'trunc' or 'floor' rounds it."},
    {"divide(Operand input, Operand other, *, str? rounding_mode=None) -> Tensor", kAllForms,
     call_div, "Quotient; rounding_mode 'trunc' or 'floor' rounds it."},
    {"pow(Operand input, Operand exponent) -> Tensor", kAllForms, call_pow,
     "input to the power exponent."},
    {"clamp(Tensor input, Operand? min=None, Operand? max=None) -> Tensor", kAllForms, call_clamp,
     "input limited to [min, max]; either bound may be None."},
    {"clip(Tensor input, Operand? min=None, Operand? max=None) -> Tensor", kAllForms, call_clamp,
     "input limited to [min, max]; either bound may be None."},
    {"selu(Tensor input) -> Tensor", kAllForms,
     [](Args& a) { return call_elu(a, 1.6732632423543772, 1.0507009873554805, 1); },
     "scale * elu(x, alpha) with the two constants of Klambauer et al. 2017."},
    {"celu(Tensor input, Scalar alpha=1) -> Tensor", kAllForms,
     [](Args& a) {
       FB_CHECK(a.real(1) != 0, "ZeroDivisionError: alpha cannot be 0 for CELU");
       return call_elu(a, a.real(1), 1, 1 / a.real(1));
     },
     "max(0, x) + min(0, alpha (exp(x / alpha) - 1)) (Barron 2017)."},
    {"gelu(Tensor input, *, str approximate='none') -> Tensor",
     kFunction | kMethod | kOut | kNative, call_gelu,
     "x * Phi(x); approximate='tanh' for the tanh form (Hendrycks and Gimpel 2016)."},
});

} // namespace

const char* two_operands(const char* name) {
  if (listed(name, {"maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "gcd", "lcm", "igamma",
                    "igammac", "logical_and", "logical_or", "logical_xor", "nextafter", "logaddexp",
                    "logaddexp2"}))
    return "Tensor input, Tensor other";
  if (listed(name, {"heaviside"})) return "Tensor input, Tensor values";
  if (listed(name, {"eq", "ne", "lt", "le", "gt", "ge", "fmod", "copysign"}))
    return "Tensor input, Operand other";
  return "Operand input, Operand other";
}

// One function serves every row: inputs first, then the parameters.
Value call_row(Args& a) {
  const auto& row = *static_cast<const ElemRow*>(a.context);
  Tensor in[3];
  double p[4] = {};
  for (int i = 0; i < row.arity; ++i) in[i] = a.tensor(i);
  int np = a.list.size() - row.arity;
  for (int i = 0; i < np; ++i) p[i] = a.real(row.arity + i);
  if (a.out.defined()) return elementwise_into(row, in, p, np, a.out, a.inplace);
  return elementwise(row, in, p, np);
}

} // namespace flambeau
