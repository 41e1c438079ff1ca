// Orthogonal polynomials by their three-term recurrences (DLMF table 18.9.1), computed in double.
#pragma once
#include "special_gamma.h"

namespace flambeau::math {

namespace detail {
// p_0 = 1, p_1 = first, p_{k+1} = next(k, p_k, p_{k-1}); 0 below degree 0.
template<class Next>
inline double recurrence(double first, double degree, Next next) {
  if (!(degree >= 0.0)) return degree != degree ? degree : 0.0;
  const int64_t n = degree < 0x1p63 ? int64_t(degree) : -1; // a loop to infinity would not end
  double p = 1.0, q = first;
  if (n == 0) return p;
  for (int64_t k = 1; k < n && !(q != q); ++k) {
    const double r = next(double(k), q, p);
    p = q;
    q = r;
  }
  return q;
}
inline double chebyshev(double first, double x, double n) {
  return recurrence(first, n, [=](double, double q, double p) { return 2.0 * x * q - p; });
}
// Inside (-1, 1) and from degree 7 on the trigonometric forms (DLMF 18.5.1) do not build up error.
inline bool trigonometric(double x, double n) { return n > 6.0 && abs(x) < 1.0; }
inline double chebyshev_polynomial_t(double x, double n) {
  if (trigonometric(x, n)) return std::cos(std::floor(n) * std::acos(x));
  return chebyshev(x, x, n);
}
inline double chebyshev_polynomial_u(double x, double n) {
  if (trigonometric(x, n) && std::sin(std::acos(x)) != 0.0)
    return std::sin((std::floor(n) + 1.0) * std::acos(x)) / std::sin(std::acos(x));
  return chebyshev(2.0 * x, x, n);
}
inline double chebyshev_polynomial_v(double x, double n) {
  if (trigonometric(x, n))
    return std::cos((std::floor(n) + 0.5) * std::acos(x)) / std::cos(0.5 * std::acos(x));
  return chebyshev(2.0 * x - 1.0, x, n);
}
inline double chebyshev_polynomial_w(double x, double n) {
  if (trigonometric(x, n))
    return std::sin((std::floor(n) + 0.5) * std::acos(x)) / std::sin(0.5 * std::acos(x));
  return chebyshev(2.0 * x + 1.0, x, n);
}
inline double shifted_chebyshev_polynomial_t(double x, double n) {
  return chebyshev_polynomial_t(2.0 * x - 1.0, n);
}
inline double shifted_chebyshev_polynomial_u(double x, double n) {
  return chebyshev_polynomial_u(2.0 * x - 1.0, n);
}
inline double shifted_chebyshev_polynomial_v(double x, double n) {
  return chebyshev_polynomial_v(2.0 * x - 1.0, n);
}
inline double shifted_chebyshev_polynomial_w(double x, double n) {
  return chebyshev_polynomial_w(2.0 * x - 1.0, n);
}
inline double hermite_polynomial_h(double x, double n) {
  return recurrence(2.0 * x, n,
                    [=](double k, double q, double p) { return 2.0 * (x * q - k * p); });
}
inline double hermite_polynomial_he(double x, double n) {
  return recurrence(x, n, [=](double k, double q, double p) { return x * q - k * p; });
}
inline double laguerre_polynomial_l(double x, double n) {
  return recurrence(1.0 - x, n, [=](double k, double q, double p) {
    return ((2.0 * k + 1.0 - x) * q - k * p) / (k + 1.0);
  });
}
inline double legendre_polynomial_p(double x, double n) {
  return recurrence(x, n, [=](double k, double q, double p) {
    return ((2.0 * k + 1.0) * x * q - k * p) / (k + 1.0);
  });
}
} // namespace detail

#define FB_POLYNOMIAL(name)                       \
  template<class T>                               \
  inline T name(T x, T n) {                       \
    return T(detail::name(double(x), double(n))); \
  }
FB_POLYNOMIAL(chebyshev_polynomial_t)
FB_POLYNOMIAL(chebyshev_polynomial_u)
FB_POLYNOMIAL(chebyshev_polynomial_v)
FB_POLYNOMIAL(chebyshev_polynomial_w)
FB_POLYNOMIAL(shifted_chebyshev_polynomial_t)
FB_POLYNOMIAL(shifted_chebyshev_polynomial_u)
FB_POLYNOMIAL(shifted_chebyshev_polynomial_v)
FB_POLYNOMIAL(shifted_chebyshev_polynomial_w)
FB_POLYNOMIAL(hermite_polynomial_h)
FB_POLYNOMIAL(hermite_polynomial_he)
FB_POLYNOMIAL(laguerre_polynomial_l)
FB_POLYNOMIAL(legendre_polynomial_p)
#undef FB_POLYNOMIAL

} // namespace flambeau::math
