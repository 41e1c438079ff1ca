// Bessel and Airy functions in double (DLMF chapters 9 and 10; J0, J1, Y0, Y1 by the C library).
#pragma once
#include "special_gamma.h"

namespace flambeau::math {

namespace detail {
// I_n(x) e^-|x| for n = 0, 1: the power series (DLMF 10.25.2) below 20, else 10.40.1.
inline double bessel_ie(int n, double x) {
  const double a = abs(x);
  double y;
  if (a < 20.0) {
    const double z = 0.25 * a * a;
    double term = n ? 0.5 * a : 1.0, sum = term;
    for (int k = 1; term > 1e-17 * sum; ++k) sum += term *= z / (double(k) * (k + n));
    y = sum * std::exp(-a);
  } else if (a == inf_d) {
    y = 0.0;
  } else {
    const double m = 4.0 * n * n;
    double term = 1.0, sum = 1.0;
    for (int k = 1; k < 40 && abs(term) > 1e-17; ++k) {
      term *= -(m - (2.0 * k - 1.0) * (2.0 * k - 1.0)) / (8.0 * k * a);
      sum += term;
    }
    y = sum / std::sqrt(2.0 * pi * a);
  }
  return n && x < 0.0 ? -y : y;
}
inline double bessel_i(int n, double x) {
  const double y = bessel_ie(n, x), half = std::exp(0.5 * abs(x)); // e^x alone overflows sooner
  return abs(x) == inf_d ? (n ? x : inf_d) : y * half * half;
}

// K_nu(x) e^x as the integral of e^{-x (cosh t - 1)} cosh(nu t) over t > 0 (DLMF 10.32.9). The
// trapezoidal rule converges geometrically on it, and its step need not depend on x > 1/2.
inline double bessel_ke_integral(double nu, double x) {
  const double h = x < 40.0 ? 0.125 : 0.7 / std::sqrt(x);
  double sum = 0.5;
  for (int k = 1; k < 200; ++k) {
    const double t = h * k, s = std::sinh(0.5 * t);
    const double term = std::exp(-2.0 * x * s * s) * std::cosh(nu * t);
    sum += term;
    if (term < 1e-18 * sum) break;
  }
  return sum * h;
}
inline double bessel_ke(int n, double x) {
  if (x == 0.0) return inf_d;
  if (!(x > 0.0)) return nan_d;
  if (x == inf_d) return 0.0;
  if (x > 1.0) return bessel_ke_integral(n, x);
  // DLMF 10.31.1, 10.31.2: log(x/2) I_n and a series whose factors are harmonic numbers.
  const double z = 0.25 * x * x, log_half = std::log(0.5 * x), euler = 0x1.2788cfc6fb619p-1;
  double term = 1.0, harmonic = 0.0, sum = 0.0;
  for (int k = 0; k < 20; ++k) {
    if (k) {
      term *= z / (double(k) * (k + n));
      harmonic += 1.0 / k;
    }
    sum += term * (n ? log_half + euler - harmonic - 0.5 / (k + 1.0) : harmonic - euler - log_half);
  }
  return std::exp(x) * (n ? 1.0 / x + 0.5 * x * sum : sum);
}

// Ai on [-8.5, 1]: Taylor's series about the nearest of 0, -1, ..., -8, its coefficients by
// y'' = x y. Maclaurin's series alone would cancel.
inline double airy_near(double x) {
  constexpr double value[] = {0x1.6b8c7962715b8p-2,  0x1.1235093d83da5p-1,  0x1.d1bafc57f31d0p-3,
                              -0x1.83e7e4ea6959ap-2, -0x1.1fcec060d9f19p-4, 0x1.672de4d9e1d32p-2,
                              -0x1.510b6eb1815d2p-2, 0x1.79683b0571a28p-3,  -0x1.afc28073abb84p-5};
  constexpr double slope[] = {-0x1.0907f42b70f8bp-2, -0x1.4cf103bcc6624p-7, 0x1.3c8c724515c8fp-1,
                              0x1.42223f628d022p-2,  -0x1.94cd44c4fb752p-1, 0x1.4f0ba25cb5a72p-2,
                              0x1.623ce99198c5bp-2,  -0x1.8ac195288a6bdp-1, 0x1.df01d7e1f41fap-1};
  const int n = x < 0.0 ? int(0.5 - x) : 0;
  const double h = x + n;
  double a = 0.0, b = value[n], c = slope[n], power = h, sum = b + c * h;
  for (int k = 2; k < 40; ++k) {
    const double next = (a - n * b) / (double(k) * (k - 1));
    a = b;
    b = c;
    c = next;
    sum += c * (power *= h);
  }
  return sum;
}
// Ai: by K_{1/3} above (DLMF 9.6.1), by 9.7.9 far below.
inline double airy_ai(double x) {
  if (x != x) return x;
  if (x == inf_d || x == -inf_d) return x > 0 ? 0.0 : nan_d;
  const double a = abs(x), zeta = 2.0 / 3.0 * a * std::sqrt(a);
  if (x > 1.0)
    return std::sqrt(x / 3.0) / pi * bessel_ke_integral(1.0 / 3.0, zeta) * std::exp(-zeta);
  if (x > -8.5) return airy_near(x);
  double term = 1.0, even = 1.0, odd = 0.0;
  for (int k = 1; k < 30; ++k) {
    const double next =
        term * (6.0 * k - 5) * (6.0 * k - 3) * (6.0 * k - 1) / (216.0 * k * (2.0 * k - 1) * zeta);
    if (next > term || next < 1e-18) break;
    term = next;
    (k & 1 ? odd : even) += k & 2 ? -term : term;
  }
  const double angle = zeta - 0.25 * pi;
  return (std::cos(angle) * even + std::sin(angle) * odd) / std::sqrt(pi * std::sqrt(a));
}
inline double spherical_bessel_j0(double x) {
  if (abs(x) == inf_d) return 0.0;
  if (abs(x) < 0.5) {
    const double z = x * x;
    return horner(z, 1.0 / 6227020800, -1.0 / 39916800, 1.0 / 362880, -1.0 / 5040, 1.0 / 120,
                  -1.0 / 6, 1.0);
  }
  return std::sin(x) / x;
}
inline double i0(double x) { return bessel_i(0, x); }
inline double i0e(double x) { return bessel_ie(0, x); }
inline double i1(double x) { return bessel_i(1, x); }
inline double i1e(double x) { return bessel_ie(1, x); }
inline double modified_bessel_i0(double x) { return bessel_i(0, x); }
inline double modified_bessel_i1(double x) { return bessel_i(1, x); }
inline double modified_bessel_k0(double x) { return bessel_ke(0, x) * std::exp(-x); }
inline double modified_bessel_k1(double x) { return bessel_ke(1, x) * std::exp(-x); }
inline double scaled_modified_bessel_k0(double x) { return bessel_ke(0, x); }
inline double scaled_modified_bessel_k1(double x) { return bessel_ke(1, x); }
inline double bessel_j0(double x) { return ::j0(x); }
inline double bessel_j1(double x) { return ::j1(x); }
inline double bessel_y0(double x) { return x < 0.0 ? nan_d : ::y0(x); }
inline double bessel_y1(double x) { return x < 0.0 ? nan_d : ::y1(x); }
} // namespace detail

FB_BY_DOUBLE(i0)
FB_BY_DOUBLE(i0e)
FB_BY_DOUBLE(i1)
FB_BY_DOUBLE(i1e)
FB_BY_DOUBLE(modified_bessel_i0)
FB_BY_DOUBLE(modified_bessel_i1)
FB_BY_DOUBLE(modified_bessel_k0)
FB_BY_DOUBLE(modified_bessel_k1)
FB_BY_DOUBLE(scaled_modified_bessel_k0)
FB_BY_DOUBLE(scaled_modified_bessel_k1)
FB_BY_DOUBLE(bessel_j0)
FB_BY_DOUBLE(bessel_j1)
FB_BY_DOUBLE(bessel_y0)
FB_BY_DOUBLE(bessel_y1)
FB_BY_DOUBLE(airy_ai)
FB_BY_DOUBLE(spherical_bessel_j0)

} // namespace flambeau::math
