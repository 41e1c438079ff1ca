// Rows of the two-operand ops. To add one: a row here and a row in tests/op_specs/binary.py.
//
// X(name, rule, types, keep, formula, derivative by a, derivative by b, doc)
//   formula: over a and b of each compute type T; derivatives: over g, the kept A(), B(), Y().
#pragma once

// clang-format off
#define FB_BINARY(X)                                                                              \
  X(add, Same, kAll, None, T(a + b), g, g, "Sum.")                                                \
  X(sub, Same, kNum, None, T(a - b), g, -g, "Difference.")                                        \
  X(mul, Same, kAll, Cross, T(a * b), g * conj(B()), g * conj(A()), "Product.")                   \
  X(true_divide, Float, kFltCpx, In, a / b, g / conj(B()), -g * conj(A() / B() / B()),            \
    "Quotient; integers give floats.")                                                            \
  X(floor_divide, Same, kReal, None, math::floor_divide(a, b), Tensor(), Tensor(),                \
    "Quotient rounded towards minus infinity.")                                                   \
  X(trunc_divide, Same, kReal, None, math::trunc_divide(a, b), zeros_like(g), zeros_like(g),      \
    "Quotient rounded towards zero.")                                                             \
  X(remainder, Same, kReal, In, math::remainder(a, b), g, -g * floor_divide(A(), B()),            \
    "Remainder with the sign of the divisor, as Python's %.")                                     \
  X(fmod, Same, kReal, In, math::fmod(a, b), g, -g * trunc_divide(A(), B()),                      \
    "Remainder with the sign of the dividend, as C's fmod.")                                      \
  X(pow, Same, kNum, Both, math::pow(a, b), pow_vjp_base(g, A(), B()),                            \
    pow_vjp_exponent(g, A(), B(), Y()), "a to the power b.")                                      \
  X(maximum, Same, kRealBool, In, math::maximum(a, b), g * larger(A(), B()),                      \
    g * larger(B(), A()), "Larger of the two; NaN if one is.")                                    \
  X(minimum, Same, kRealBool, In, math::minimum(a, b), g * larger(B(), A()),                      \
    g * larger(A(), B()), "Smaller of the two; NaN if one is.")                                   \
  X(fmax, Same, kRealBool, In, b != b || a >= b ? a : b, g * prefers(A(), B(), 1),                \
    g * (1. - prefers(A(), B(), 1)), "Larger of the two; the number if one is NaN.")              \
  X(fmin, Same, kRealBool, In, b != b || a <= b ? a : b, g * prefers(A(), B(), -1),               \
    g * (1. - prefers(A(), B(), -1)), "Smaller of the two; the number if one is NaN.")            \
  X(larger, Same, kRealBool, None, a == b ? T(0.5) : T(a > b), Tensor(), Tensor(),                \
    "1 where a > b, 1/2 where equal, else 0.")                                                    \
  X(atan2, Float, kFlt, In, math::atan2(a, b), g * B() / (square(A()) + square(B())),             \
    -g * A() / (square(A()) + square(B())), "Angle of the point (b, a), in radians.")             \
  X(hypot, Same, kFlt, Both, math::hypot(a, b), g * (A() / Y()), g * (B() / Y()),                 \
    "sqrt(a^2 + b^2) without overflow.")                                                          \
  X(copysign, Float, kFlt, In, math::copysign(a, b), copysign_vjp(g, A(), B()), zeros_like(g),    \
    "|a| with the sign of b.")                                                                    \
  X(nextafter, Same, kFlt, None, math::nextafter(a, b), zeros_like(g), zeros_like(g),             \
    "Next representable number from a towards b.")                                                \
  X(logaddexp, Same, kFlt, Both, math::logaddexp(a, b), g * exp(A() - Y()), g * exp(B() - Y()),   \
    "log(exp(a) + exp(b)).")                                                                      \
  X(logaddexp2, Same, kFlt, Both, math::logaddexp2(a, b), g * exp2(A() - Y()),                    \
    g * exp2(B() - Y()), "log2(2^a + 2^b).")                                                      \
  X(xlogy, Float, kFlt, In, math::xlogy(a, b), g * xlogy_vjp(A(), B()), g * (A() / B()),          \
    "a log(b), and 0 where a is 0.")                                                              \
  X(heaviside, Same, kRealBool, None,                                                             \
    a == T(0) ? b : a != a ? a : T(a > T(0)), zeros_like(g), heaviside_vjp(g), "Step function: "  \
    "0 below 0, 1 above, b at 0.")                                                                \
  X(gcd, Same, kInt, None, math::gcd(a, b), Tensor(), Tensor(), "Greatest common divisor.")       \
  X(lcm, Same, kInt, None, math::lcm(a, b), Tensor(), Tensor(), "Least common multiple.")         \
  X(eq, Bool, kAll, None, a == b, Tensor(), Tensor(), "Whether a equals b.")                      \
  X(ne, Bool, kAll, None, a != b, Tensor(), Tensor(), "Whether a differs from b.")                \
  X(lt, Bool, kRealBool, None, a < b, Tensor(), Tensor(), "Whether a < b.")                       \
  X(le, Bool, kRealBool, None, a <= b, Tensor(), Tensor(), "Whether a <= b.")                     \
  X(gt, Bool, kRealBool, None, a > b, Tensor(), Tensor(), "Whether a > b.")                       \
  X(ge, Bool, kRealBool, None, a >= b, Tensor(), Tensor(), "Whether a >= b.")                     \
  X(logical_and, Bool, kAll, None, a != T(0) && b != T(0), Tensor(), Tensor(),                    \
    "Whether both are nonzero.")                                                                  \
  X(logical_or, Bool, kAll, None, a != T(0) || b != T(0), Tensor(), Tensor(),                     \
    "Whether one is nonzero.")                                                                    \
  X(logical_xor, Bool, kAll, None, (a != T(0)) != (b != T(0)), Tensor(), Tensor(),                \
    "Whether exactly one is nonzero.")                                                            \
  X(bitwise_and, Same, kIntBool, None, T(a & b), Tensor(), Tensor(), "Bitwise and.")              \
  X(bitwise_or, Same, kIntBool, None, T(a | b), Tensor(), Tensor(), "Bitwise or.")                \
  X(bitwise_xor, Same, kIntBool, None, T(a ^ b), Tensor(), Tensor(), "Bitwise exclusive or.")     \
  X(bitwise_left_shift, Same, kInt, None, math::shift_left(a, b), Tensor(), Tensor(),             \
    "a * 2^b.")                                                                                   \
  X(bitwise_right_shift, Same, kInt, None, math::shift_right(a, b), Tensor(), Tensor(),           \
    "floor(a / 2^b).")                                                                            \
  X(threshold_backward, Same, kReal, In, b > T(0) ? a : T(0), g * greater_mask(B(), 0.),          \
    Tensor(), "Gradient a where b > 0.")                                                          \
  X(sigmoid_backward, Same, kFltCpx, In, a * math::conj(b * (T(1) - b)),                          \
    g * B() * (1. - B()), conj(g) * A() * conj(1. - B() * 2.),                                    \
    "Gradient of sigmoid at its output b.")                                                       \
  X(tanh_backward, Same, kFltCpx, In, a * math::conj(T(1) - b * b), g * (1. - B() * B()),         \
    conj(g) * A() * conj(B()) * -2., "Gradient of tanh at its output b.")                         \
  X(silu_backward, Same, kFltCpx, In, math::silu_grad(a, b), g * silu_slope(B()),                 \
    g * A() * silu_curve(B()), "Gradient of silu at its input b.")                                \
  X(gelu_erf_backward, Same, kFlt, In, a * math::gelu_grad(b), g * gelu_slope(B()),               \
    g * A() * gelu_curve(B()), "Gradient of gelu at its input b.")                                \
  X(gelu_tanh_backward, Same, kFlt, In, a * math::gelu_tanh_grad(b), g * gelu_tanh_slope(B()),    \
    g * A() * gelu_tanh_curve(B()), "Gradient of gelu (tanh form) at its input b.")

// X(name, args, rule, types, keep, formula, derivatives by a, b, c, doc)
#define FB_TERNARY(X)                                                                             \
  X(lerp, "", Same, kFltCpx, In, a + c * (b - a), g * (1. - conj(C())), g * conj(C()),            \
    g * conj(B() - A()), "a + weight * (b - a).")                                                 \
  X(addcmul, "*, Scalar value=1", Same, kNum, In, T(a + P(0) * b * c), g, g * conj(C()) * p[0],   \
    g * conj(B()) * p[0], "a + value * tensor1 * tensor2.")                                       \
  X(addcdiv, "*, Scalar value=1", Same, kFltCpx, In, a + P(0) * (b / c), g,                       \
    g / conj(C()) * p[0], -g * conj(B() / square(C())) * p[0], "a + value * tensor1 / tensor2.")
// clang-format on
