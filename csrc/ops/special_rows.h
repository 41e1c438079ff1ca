// Rows of the special functions, whose formulas do not vectorise: one plain copy of their loops.
// The form of a row is described in unary_rows.h and binary_rows.h.
#pragma once

// clang-format off
#define FB_NO_GRAD no_derivative(g)

#define FB_UNARY_SPECIAL(X)                                                                       \
  X(lgamma, "", Float, kFlt, In, math::lgamma(x), g * digamma(IN()),                              \
    "Logarithm of the absolute value of the gamma function (DLMF 5.2).")                          \
  X(digamma, "", Float, kFlt, In, math::digamma(x), g * trigamma(IN()),                           \
    "Derivative of lgamma (DLMF 5.2.2).")                                                         \
  X(trigamma, "", Float, kFlt, In, math::trigamma(x), g * polygamma_n(IN(), 2),                   \
    "Derivative of digamma.")                                                                     \
  X(polygamma_n, "int n", Float, kFlt, In, math::polygamma(int64_t(p[0]), x),                     \
    g * polygamma_n(IN(), p[0] + 1), "n-th derivative of digamma (DLMF 5.15).")                   \
  X(erfinv, "", Float, kFlt, Out, math::erfinv(x), g * exp(square(Y())) * 0.8862269254527579,     \
    "Inverse of erf on (-1, 1).")                                                                 \
  X(special_erfcx, "", Float, kFlt, Both, math::erfcx(x), g * (IN() * Y() * 2. - kTwoBySqrtPi),   \
    "Scaled complementary error function, exp(x^2) erfc(x) (DLMF 7.2.3).")                        \
  X(special_ndtr, "", Float, kFlt, In, math::ndtr(x), g * normal_density(IN()),                   \
    "Distribution function of the standard normal.")                                              \
  X(special_ndtri, "", Float, kFlt, Out, math::ndtri(x),                                          \
    g * exp(square(Y()) * 0.5) * 2.5066282746310002, "Inverse of ndtr.")                          \
  X(special_log_ndtr, "", Float, kFlt, In, math::log_ndtr(x),                                     \
    g / special_erfcx(IN() * -0.7071067811865476) * 0.7978845608028654, "log(ndtr(x)).")          \
  X(special_entr, "", Float, kFlt, In, math::entr(x), g * (-log(IN()) - 1.),                      \
    "-x log(x); 0 at 0, -inf below.")                                                             \
  X(sinc, "", Float, kFlt, In, math::sinc(x), g * sinc_slope(IN()),                               \
    "sin(pi x) / (pi x), and 1 at 0.")                                                            \
  X(i0, "", Float, kFlt, In, math::i0(x), g * special_i1(IN()),                                   \
    "Modified Bessel function of order 0 (DLMF 10.25).")                                          \
  X(special_i0e, "", Float, kFlt, Both, math::i0e(x),                                             \
    g * (special_i1e(IN()) - sgn(IN()) * Y()), "exp(-|x|) i0(x).")                                \
  X(special_i1, "", Float, kFlt, Both, math::i1(x), g * i1_slope(IN(), Y()),                      \
    "Modified Bessel function of order 1 (DLMF 10.25).")                                          \
  X(special_i1e, "", Float, kFlt, Both, math::i1e(x), g * i1e_slope(IN(), Y()),                   \
    "exp(-|x|) i1(x).")                                                                           \
  X(special_bessel_j0, "", Float, kFlt, In, math::bessel_j0(x), -g *                              \
    special_bessel_j1(IN()), "Bessel function of the first kind of order 0.")                     \
  X(special_bessel_j1, "", Float, kFlt, Both, math::bessel_j1(x), g *                             \
    (special_bessel_j0(IN()) - Y() / IN()), "Bessel function of the first kind of order 1.")      \
  X(special_bessel_y0, "", Float, kFlt, In, math::bessel_y0(x), -g *                              \
    special_bessel_y1(IN()), "Bessel function of the second kind of order 0.")                    \
  X(special_bessel_y1, "", Float, kFlt, Both, math::bessel_y1(x), g *                             \
    (special_bessel_y0(IN()) - Y() / IN()), "Bessel function of the second kind of order          \
    1.")                                                                                          \
  X(special_modified_bessel_i0, "", Float, kFlt, In, math::modified_bessel_i0(x), g *             \
    special_modified_bessel_i1(IN()), "Modified Bessel function I of order 0.")                   \
  X(special_modified_bessel_i1, "", Float, kFlt, Both, math::modified_bessel_i1(x), g *           \
    i1_slope(IN(), Y()), "Modified Bessel function I of order 1.")                                \
  X(special_modified_bessel_k0, "", Float, kFlt, In, math::modified_bessel_k0(x), -g *            \
    special_modified_bessel_k1(IN()), "Modified Bessel function K of order 0.")                   \
  X(special_modified_bessel_k1, "", Float, kFlt, Both, math::modified_bessel_k1(x), -g *          \
    (special_modified_bessel_k0(IN()) + Y() / IN()), "Modified Bessel function K of order         \
    1.")                                                                                          \
  X(special_scaled_modified_bessel_k0, "", Float, kFlt, Both,                                     \
    math::scaled_modified_bessel_k0(x), g * (Y() - special_scaled_modified_bessel_k1(IN())),      \
    "exp(x) K0(x).")                                                                              \
  X(special_scaled_modified_bessel_k1, "", Float, kFlt, Both,                                     \
    math::scaled_modified_bessel_k1(x), g * (Y() - special_scaled_modified_bessel_k0(IN()) -      \
    Y() / IN()), "exp(x) K1(x).")                                                                 \
  X(special_airy_ai, "", Float, kFlt, None, math::airy_ai(x), FB_NO_GRAD, "Airy function Ai.")    \
  X(special_spherical_bessel_j0, "", Float, kFlt, In, math::spherical_bessel_j0(x), g *           \
    spherical_slope(IN()), "sin(x) / x, and 1 at 0.")                                             \
  X(angle, "", RealFloat, kFltCpx, In, math::angle(x), angle_vjp(g, IN()),                        \
    "Angle of a complex number; 0 or pi "                                                         \
    "for a real one.")

#define FB_BINARY_SPECIAL(X)                                                                      \
  X(igamma, Float, kFlt, In, math::igamma(a, b), FB_NO_GRAD, g * gamma_density(A(), B()),         \
    "Regularised lower incomplete gamma function (DLMF 8.2.4).")                                  \
  X(igammac, Float, kFlt, In, math::igammac(a, b), FB_NO_GRAD, -g * gamma_density(A(), B()),      \
    "Regularised upper incomplete gamma function (DLMF 8.2.4).")                                  \
  X(special_xlog1py, Float, kFlt, In, math::xlog1py(a, b), g * xlog1py_vjp(A(), B()),             \
    g * A() / (B() + 1.), "a log(1 + b), and 0 where a is 0.")                                    \
  X(special_zeta, Float, kFlt, In, math::zeta(a, b), FB_NO_GRAD,                                  \
    g * -A() * special_zeta(A() + 1., B()), "Hurwitz zeta function (DLMF 25.11.1).")              \
  X(special_chebyshev_polynomial_t, Float, kFlt, In, math::chebyshev_polynomial_t(a, b), g *      \
    B() * special_chebyshev_polynomial_u(A(), B() - 1.), FB_NO_GRAD, "Chebyshev polynomial        \
    of the first kind.")                                                                          \
  X(special_chebyshev_polynomial_u, Float, kFlt, Both, math::chebyshev_polynomial_u(a, b), g      \
    * chebyshev_u_slope(A(), B(), Y()), FB_NO_GRAD, "Chebyshev polynomial of the second           \
    kind.")                                                                                       \
  X(special_chebyshev_polynomial_v, Float, kFlt, None, math::chebyshev_polynomial_v(a, b),        \
    FB_NO_GRAD, FB_NO_GRAD, "Chebyshev polynomial of the third kind.")                            \
  X(special_chebyshev_polynomial_w, Float, kFlt, None, math::chebyshev_polynomial_w(a, b),        \
    FB_NO_GRAD, FB_NO_GRAD, "Chebyshev polynomial of the fourth kind.")                           \
  X(special_shifted_chebyshev_polynomial_t, Float, kFlt, In,                                      \
    math::shifted_chebyshev_polynomial_t(a, b), g * B() *                                         \
    special_shifted_chebyshev_polynomial_u(A(), B() - 1.) * 2., FB_NO_GRAD, "Shifted, first       \
    kind.")                                                                                       \
  X(special_shifted_chebyshev_polynomial_u, Float, kFlt, Both,                                    \
    math::shifted_chebyshev_polynomial_u(a, b), g * chebyshev_u_slope(A() * 2. - 1., B(),         \
    Y()) * 2., FB_NO_GRAD, "Shifted, second kind.")                                               \
  X(special_shifted_chebyshev_polynomial_v, Float, kFlt, None,                                    \
    math::shifted_chebyshev_polynomial_v(a, b), FB_NO_GRAD, FB_NO_GRAD, "Shifted, third kind.")   \
  X(special_shifted_chebyshev_polynomial_w, Float, kFlt, None,                                    \
    math::shifted_chebyshev_polynomial_w(a, b), FB_NO_GRAD, FB_NO_GRAD, "Shifted, fourth kind.")  \
  X(special_hermite_polynomial_h, Float, kFlt, In, math::hermite_polynomial_h(a, b), g * B()      \
    * special_hermite_polynomial_h(A(), B() - 1.) * 2., FB_NO_GRAD, "Physicist's Hermite          \
    polynomial.")                                                                                 \
  X(special_hermite_polynomial_he, Float, kFlt, In, math::hermite_polynomial_he(a, b), g *        \
    B() * special_hermite_polynomial_he(A(), B() - 1.), FB_NO_GRAD, "Probabilist's Hermite        \
    polynomial.")                                                                                 \
  X(special_laguerre_polynomial_l, Float, kFlt, Both, math::laguerre_polynomial_l(a, b), g *      \
    B() * (Y() - special_laguerre_polynomial_l(A(), B() - 1.)) / A(), FB_NO_GRAD, "Laguerre       \
    polynomial.")                                                                                 \
  X(special_legendre_polynomial_p, Float, kFlt, Both, math::legendre_polynomial_p(a, b), g *      \
    B() * (A() * Y() - special_legendre_polynomial_p(A(), B() - 1.)) / (square(A()) - 1.),        \
    FB_NO_GRAD, "Legendre polynomial.")
// clang-format on
