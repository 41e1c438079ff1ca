// Rows of the unary math ops. To add one: a row here and a row in tests/op_specs/unary.py.
//
// X(name, args, rule, types, keep, formula, derivative, doc)
//   formula: over x of each compute type T, parameters P(0), P(1); derivative: over the incoming
//   gradient g, the kept input IN() or output Y(), parameters p[0], p[1]; None: no gradient.
#pragma once

// clang-format off
#define FB_UNARY_MATH(X)                                                                          \
  X(neg, "", Same, kNum, None, T(-x), -g, "Negative of each element.")                            \
  X(abs, "", Real, kNum, In, math::abs(x), g * sgn(IN()), "Absolute value; magnitude if complex.")\
  X(square, "", Same, kAll, In, T(x * x), g * conj(IN()) * 2., "Square of each element.")         \
  X(cube, "", Same, kReal, In, T(x * x * x), g * square(IN()) * 3., "Cube of each element.")      \
  X(sqrt, "", Float, kFltCpx, Out, math::sqrt(x), g / conj(Y() * 2.), "Square root.")             \
  X(rsqrt, "", Float, kFltCpx, Out, math::rsqrt(x), g * conj(pow(Y(), 3.)) * -0.5,                \
    "Reciprocal of the square root.")                                                             \
  X(reciprocal, "", Float, kFltCpx, Out, T(1) / x, -g * conj(Y() * Y()), "1 / x.")                \
  X(exp, "", Float, kFltCpx, Out, math::exp(x), g * conj(Y()), "e to the power x.")               \
  X(exp2, "", Float, kFltCpx, Out, math::exp2(x), g * conj(Y()) * 0.6931471805599453,             \
    "2 to the power x.")                                                                          \
  X(expm1, "", Float, kFltCpx, Out, math::expm1(x), g * conj(Y() + 1.),                           \
    "exp(x) - 1, exact for small x.")                                                             \
  X(log, "", Float, kFltCpx, In, math::log(x), g / conj(IN()), "Natural logarithm.")              \
  X(log2, "", Float, kFltCpx, In, math::log2(x), g / conj(IN() * 0.6931471805599453),             \
    "Logarithm to base 2.")                                                                       \
  X(log10, "", Float, kFltCpx, In, math::log10(x), g / conj(IN() * 2.302585092994046),            \
    "Logarithm to base 10.")                                                                      \
  X(log1p, "", Float, kFltCpx, In, math::log1p(x), g / conj(IN() + 1.),                           \
    "log(1 + x), exact for small x.")                                                             \
  X(sin, "", Float, kFltCpx, In, math::sin(x), g * conj(cos(IN())), "Sine; x in radians.")        \
  X(cos, "", Float, kFltCpx, In, math::cos(x), -g * conj(sin(IN())), "Cosine; x in radians.")     \
  X(tan, "", Float, kFltCpx, Out, math::tan(x), g * conj(square(Y()) + 1.),                       \
    "Tangent; x in radians.")                                                                     \
  X(asin, "", Float, kFltCpx, In, math::asin(x), g * conj(rsqrt(1. - square(IN()))),              \
    "Inverse sine, in radians.")                                                                  \
  X(acos, "", Float, kFltCpx, In, math::acos(x), -g * conj(rsqrt(1. - square(IN()))),             \
    "Inverse cosine, in radians.")                                                                \
  X(atan, "", Float, kFltCpx, In, math::atan(x), g / conj(square(IN()) + 1.),                     \
    "Inverse tangent, in radians.")                                                               \
  X(sinh, "", Float, kFltCpx, In, math::sinh(x), g * conj(cosh(IN())), "Hyperbolic sine.")        \
  X(cosh, "", Float, kFltCpx, In, math::cosh(x), g * conj(sinh(IN())), "Hyperbolic cosine.")      \
  X(tanh, "", Float, kFltCpx, Out, math::tanh(x), tanh_backward(g, Y()), "Hyperbolic tangent.")   \
  X(asinh, "", Float, kFltCpx, In, math::asinh(x), g * conj(rsqrt(square(IN()) + 1.)),            \
    "Inverse hyperbolic sine.")                                                                   \
  X(acosh, "", Float, kFltCpx, In, math::acosh(x), g * conj(rsqrt(IN() - 1.) * rsqrt(IN() + 1.)), \
    "Inverse hyperbolic cosine.")                                                                 \
  X(atanh, "", Float, kFltCpx, In, math::atanh(x), g / conj(1. - square(IN())),                   \
    "Inverse hyperbolic tangent.")                                                                \
  X(erf, "", Float, kFlt, In, math::erf(x), g * exp(-square(IN())) * 1.1283791670955126,          \
    "Error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x (DLMF 7.2.1).")       \
  X(erfc, "", Float, kFlt, In, math::erfc(x), g * exp(-square(IN())) * -1.1283791670955126,       \
    "Complementary error function, 1 - erf(x) (DLMF 7.2.2).")                                     \
  X(sigmoid, "", Float, kFltCpx, Out, math::sigmoid(x), sigmoid_backward(g, Y()),                 \
    "Logistic function, 1 / (1 + exp(-x)).")                                                      \
  X(sign, "", Same, kRealBool, None, T(T(x > T(0)) - T(x < T(0))), zeros_like(g),                 \
    "-1, 0 or 1 by the sign of x.")                                                               \
  X(sgn, "", Same, kNum | kBool, Both, math::sgn(x), sgn_backward(g, IN(), Y()),                  \
    "sign(x); x / |x| if complex.")                                                               \
  X(floor, "", Same, kReal, None, math::floor(x), zeros_like(g), "Largest integer <= x.")         \
  X(ceil, "", Same, kReal, None, math::ceil(x), zeros_like(g), "Smallest integer >= x.")          \
  X(trunc, "", Same, kReal, None, math::trunc(x), zeros_like(g), "Integer part of x.")            \
  X(round, "*, int decimals=0", Same, kReal, None, math::round_to(x, p[0]), zeros_like(g),        \
    "Nearest integer, halves to even; with `decimals`, to that many places.")                     \
  X(frac, "", Same, kFlt, None, T(x - math::trunc(x)), g, "Fractional part of x.")                \
  X(conj_physical, "", Same, kNum | kBool, None, math::conj(x), conj(g), "Complex conjugate.")    \
  X(isnan, "", Bool, kAll, None, x != x, Tensor(), "Whether each element is NaN.")                \
  X(isinf, "", Bool, kAll, None, math::isinf(x), Tensor(), "Whether each element is infinite.")   \
  X(isfinite, "", Bool, kAll, None, math::isfinite(x), Tensor(),                                  \
    "Whether each element is neither infinite nor NaN.")                                          \
  X(isposinf, "", Bool, kRealBool, None, math::isinf(x) && x > T(0), Tensor(),                    \
    "Whether each element is +inf.")                                                              \
  X(isneginf, "", Bool, kRealBool, None, math::isinf(x) && x < T(0), Tensor(),                    \
    "Whether each element is -inf.")                                                              \
  X(signbit, "", Bool, kRealBool, None, math::signbit(x), Tensor(),                               \
    "Whether the sign bit of each element is set.")                                               \
  X(logical_not, "", Bool, kAll, None, math::is_zero(x), Tensor(), "True where x is zero.")       \
  X(bitwise_not, "", Same, kIntBool, None, math::bit_not(x), Tensor(),                            \
    "Bitwise complement; logical not of bool.")
// clang-format on
