// Gamma, zeta and error function relatives, in double (A&S, DLMF inside); CUDA kernels read it too.
#pragma once
#include "vecmath.h"

namespace flambeau::math {

namespace detail {
inline constexpr double pi = 0x1.921fb54442d18p+1;

inline double sin_pi(double x) { // exact at integers and halves
  const double n = std::round(2.0 * x), r = (x - 0.5 * n) * pi;
  const int64_t q = int64_t(std::fmod(n, 4.0));
  const double v = q & 1 ? std::cos(r) : std::sin(r);
  return (q & 3) == 2 || (q & 3) == 3 ? -v : v;
}
inline double cos_pi(double x) {
  const double n = std::round(2.0 * x), r = (x - 0.5 * n) * pi;
  const int64_t q = int64_t(std::fmod(n, 4.0)) & 3;
  const double v = q & 1 ? std::sin(r) : std::cos(r);
  return q == 1 || q == 2 ? -v : v;
}

inline double lgamma(double x) { return log_gamma(x); }

// psi by the recurrence up to 10 and the Stirling series (A&S 6.3.5, 6.3.18); reflection below 0.
inline double digamma(double x) {
  if (x == 0.0) return copysign(inf_d, -x);
  double y = 0.0;
  if (x < 0.0) {
    if (x == std::floor(x)) return nan_d;
    y = -pi * cos_pi(x) / sin_pi(x);
    x = 1.0 - x;
  }
  for (; x < 10.0; x += 1.0) y -= 1.0 / x;
  const double z = 1.0 / (x * x);
  return y + std::log(x) - 0.5 / x -
         z * horner(z, 1.0 / 12, -691.0 / 32760, 1.0 / 132, -1.0 / 240, 1.0 / 252, -1.0 / 120,
                    1.0 / 12);
}
// psi' likewise (A&S 6.4.6, 6.4.12).
inline double trigamma(double x) {
  if (x <= 0.0 && x == std::floor(x)) return inf_d;
  double y = 0.0, sign = 1.0;
  if (x < 0.5) {
    const double s = sin_pi(x);
    y = -pi * pi / (s * s);
    x = 1.0 - x;
    sign = -1.0;
  }
  for (; x < 15.0; x += 1.0) y += 1.0 / (x * x);
  const double z = 1.0 / (x * x);
  y += 1.0 / x + 0.5 * z +
       z / x * horner(z, 7.0 / 6, -691.0 / 2730, 5.0 / 66, -1.0 / 30, 1.0 / 42, -1.0 / 30, 1.0 / 6);
  return sign * y;
}

// Hurwitz zeta by Euler and Maclaurin's sum (DLMF 25.11.5 with twelve Bernoulli terms).
inline double zeta(double s, double q) {
  if (s == 1.0) return inf_d;
  if (!(s > 1.0)) return nan_d;
  if (q <= 0.0) {
    if (q == std::floor(q)) return inf_d;
    if (s != std::floor(s)) return nan_d; // a negative base with a broken power
  }
  constexpr double b[] = {1.0 / 12,
                          -1.0 / 720,
                          1.0 / 30240,
                          -1.0 / 1209600,
                          1.0 / 47900160,
                          -691.0 / 1307674368000.0,
                          1.0 / 74724249600.0,
                          -3617.0 / 10670622842880000.0,
                          43867.0 / 5109094217170944000.0,
                          -174611.0 / 802857662698291200000.0};
  if (q == inf_d) return 0.0;
  double sum = 0.0, a = q;
  for (int i = 0; i < 12 || a < 10.0; ++i, a += 1.0) {
    const double t = std::pow(a, -s);
    sum += t;
    if (a > 0.0 && t < 1e-17 * abs(sum)) return sum;
  }
  double t = std::pow(a, -s), power = t / a, factor = s;
  sum += t * a / (s - 1.0) + 0.5 * t;
  for (int k = 0; k < 10; ++k) {
    const double term = b[k] * factor * power;
    sum += term;
    if (abs(term) < 1e-17 * abs(sum)) break;
    factor *= (s + 2 * k + 1) * (s + 2 * k + 2);
    power /= a * a;
  }
  return sum;
}
inline double polygamma(int64_t n, double x) {
  if (n == 0) return digamma(x);
  if (n == 1) return trigamma(x);
  return (n % 2 ? 1.0 : -1.0) * std::exp(lgamma(double(n) + 1.0)) * zeta(double(n) + 1.0, x);
}

// m - log(1 + m), by its series near 0, where the difference cancels.
inline double log1p_gap(double m) {
  if (abs(m) >= 0.1) return m - std::log1p(m);
  double term = m * m, sum = 0.0;
  for (double k = 2.0; abs(term / k) > 1e-18 * sum; k += 1.0, term *= -m) sum += term / k;
  return sum;
}
// x^a e^-x / Gamma(a); for large a as a distance from x = a, which would cancel otherwise.
inline double igamma_prefix(double a, double x) {
  if (a < 20.0) return std::exp(a * std::log(x) - x - lgamma(a));
  const double phi = log1p_gap((x - a) / a), z = 1.0 / (a * a);
  const double stirling = horner(z, 1.0 / 1188, -1.0 / 1680, 1.0 / 1260, -1.0 / 360, 1.0 / 12) / a;
  return std::sqrt(a / (2.0 * pi)) * std::exp(-a * phi - stirling);
}
inline double igamma_series(double a, double x) { // DLMF 8.7.1
  double term = 1.0 / a, sum = term;
  for (double n = a + 1.0; term > 1e-17 * sum; n += 1.0) sum += term *= x / n;
  return sum * igamma_prefix(a, x);
}
inline double igammac_fraction(double a, double x) { // DLMF 8.9.2, Lentz's evaluation
  double b = x + 1.0 - a, c = 1e300, d = 1.0 / b, h = d;
  for (int i = 1; i < 1000000; ++i) {
    const double n = -i * (i - a);
    b += 2.0;
    d = n * d + b;
    d = 1.0 / (d == 0.0 ? 1e-300 : d);
    c = b + n / c;
    c = c == 0.0 ? 1e-300 : c;
    h *= d * c;
    if (abs(d * c - 1.0) < 1e-16) break;
  }
  return h * igamma_prefix(a, x);
}
// Q(a, x) for huge a, the first term of Temme's uniform expansion (DLMF 8.12.4, 8.12.7).
inline double igammac_huge(double a, double x) {
  const double m = (x - a) / a, phi = log1p_gap(m);
  const double eta = copysign(std::sqrt(2.0 * phi), m);
  const double c0 =
      abs(m) < 1e-3 ? horner(eta, -2.0 / 135, 1.0 / 12, -1.0 / 3) : 1.0 / m - 1.0 / eta;
  const double rest = std::exp(-a * phi) * c0 / std::sqrt(2.0 * pi * a);
  return 0.5 * std::erfc(eta * std::sqrt(0.5 * a)) + rest;
}
// Regularised: lower (P) and upper (Q = 1 - P), each where the other would cancel.
inline double igamma_any(double a, double x, bool upper) {
  if (!(a >= 0.0) || !(x >= 0.0) || (a == 0.0 && x == 0.0) || (a == inf_d && x == inf_d))
    return nan_d;
  if (a == 0.0 || x == inf_d) return upper ? 0.0 : 1.0;
  if (x == 0.0 || a == inf_d) return upper ? 1.0 : 0.0;
  if (a > 1e7 && abs(x - a) < 0.5 * a) {
    const double q = igammac_huge(a, x);
    return upper ? q : 1.0 - q;
  }
  const bool series = x < a + 1.0 || x < 1.0;
  if (series && upper && x < 1.0 && a < 1.0) { // DLMF 8.7.3: 1 - x^a/Gamma(a+1) + the rest
    const double front = a * std::log(x) - lgamma(a + 1.0);
    double sum = 0.0, term = 1.0;
    for (int k = 1; k < 60; ++k) {
      term *= -x / k;
      sum += term / (a + k);
    }
    return -std::expm1(front) - std::exp(front) * a * sum;
  }
  const double v = series ? igamma_series(a, x) : igammac_fraction(a, x);
  return series == upper ? 1.0 - v : v;
}

// e^{x^2} erfc(x): a continued fraction from 4 on (DLMF 7.9.1), the product below.
inline double erfcx(double x) {
  if (x < 4.0) {
    if (x < -26.7) return inf_d;
    const double hi = double(float(x)), lo = x - hi; // x^2 = hi^2 + lo (x + hi), hi^2 exact
    return std::exp(hi * hi) * (1.0 + std::expm1(lo * (x + hi))) * std::erfc(x);
  }
  double f = x;
  const int terms = x > 40.0 ? 5 : 64;
  for (int k = terms; k > 0; --k) f = x + 0.5 * k / f;
  return 1.0 / (f * 0x1.c5bf891b4ef6bp+0); // sqrt(pi)
}
inline double log_ndtr(double x) {
  const double t = x * 0x1.6a09e667f3bcdp-1;
  if (x < -1.0) return std::log(0.5 * erfcx(-t)) - t * t;
  return std::log1p(-0.5 * std::erfc(t));
}
// The y with erfc(y) = q for 0 < q <= 1: A&S 26.2.23, then Halley's steps to full precision.
inline double erfc_inverse(double q) {
  const double t = std::sqrt(-2.0 * std::log(0.5 * q));
  double y =
      0x1.6a09e667f3bcdp-1 * (t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                                      (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (int i = 0; i < 3; ++i) {
    // erfc'(y) = -2/sqrt(pi) e^{-y^2}; erfcx keeps the quotient finite in the tail
    const double r = q < 1e-3 ? (erfcx(y) - q * std::exp(y * y)) * 0x1.c5bf891b4ef6bp-1
                              : (std::erfc(y) - q) * std::exp(y * y) * 0x1.c5bf891b4ef6bp-1;
    y += r / (1.0 + y * r);
  }
  return y;
}
inline double erfinv(double x) {
  const double a = abs(x);
  if (!(a <= 1.0)) return nan_d;
  if (a == 1.0) return copysign(inf_d, x);
  if (a > 0.5) return copysign(erfc_inverse(1.0 - a), x);
  double y = x * 0x1.c5bf891b4ef6bp-1 * (1.0 + x * x * (0.2617993877991494 + 0.1439 * x * x));
  for (int i = 0; i < 3; ++i) {
    const double r = (std::erf(y) - x) * std::exp(y * y) * 0x1.c5bf891b4ef6bp-1;
    y -= r / (1.0 + y * r);
  }
  return x == 0.0 ? x : y;
}
inline double ndtri(double p) {
  if (p == 0.0) return -inf_d;
  if (p == 1.0) return inf_d;
  if (!(p > 0.0 && p < 1.0)) return nan_d;
  const double root2 = 0x1.6a09e667f3bcdp+0;
  if (p < 0.25) return -root2 * erfc_inverse(2.0 * p);
  return p > 0.75 ? root2 * erfc_inverse(2.0 * (1.0 - p)) : root2 * erfinv(2.0 * p - 1.0);
}
inline double sinc(double x) { return x == 0.0 ? 1.0 : sin_pi(x) / (pi * x); }
} // namespace detail

// float erfinv by Giles (2010), "Approximating the erfinv function": two polynomials, no branch.
FB_MATH float erfinv(float x) {
  const float w = -log((1.0f - x) * (1.0f + x)), a = w - 2.5f, b = sqrt(w) - 3.0f;
  const float p =
      horner(a, 2.81022636e-08f, 3.43273939e-07f, -3.5233877e-06f, -4.39150654e-06f, 0.00021858087f,
             -0.00125372503f, -0.00417768164f, 0.246640727f, 1.50140941f);
  const float q = horner(b, -0.000200214257f, 0.000100950558f, 0.00134934322f, -0.00367342844f,
                         0.00573950773f, -0.0076224613f, 0.00943887047f, 1.00167406f, 2.83297682f);
  const float y = (w < 5.0f ? p : q) * x;
  return abs(x) == 1.0f ? copysign(inf_f, x) : y;
}
FB_MATH double erfinv(double x) { return detail::erfinv(x); }

#define FB_BY_DOUBLE(name)               \
  template<class T>                      \
    requires std::is_floating_point_v<T> \
  inline T name(T x) {                   \
    return T(detail::name(double(x)));   \
  }
FB_BY_DOUBLE(lgamma)
FB_BY_DOUBLE(digamma)
FB_BY_DOUBLE(trigamma)
FB_BY_DOUBLE(erfcx)
FB_BY_DOUBLE(log_ndtr)
FB_BY_DOUBLE(ndtri)
FB_BY_DOUBLE(sinc)

template<class T>
inline T polygamma(int64_t n, T x) {
  return T(detail::polygamma(n, double(x)));
}
template<class T>
inline T zeta(T s, T q) {
  return T(detail::zeta(double(s), double(q)));
}
template<class T>
inline T igamma(T a, T x) {
  return T(detail::igamma_any(double(a), double(x), false));
}
template<class T>
inline T igammac(T a, T x) {
  return T(detail::igamma_any(double(a), double(x), true));
}
// The normal distribution function; erfc keeps the lower tail's digits.
template<class T>
FB_MATH T ndtr(T x) {
  return T(0.5) * erfc(-x * T(0x1.6a09e667f3bcdp-1));
}

} // namespace flambeau::math
