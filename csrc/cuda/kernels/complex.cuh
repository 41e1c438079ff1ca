// Complex exp, log, roots, trigonometry and powers, under their names in namespace std.
//
// vecmath_complex.h, which goes behind, brings them into namespace math. Branch cuts, signed zeros
// and infinities are those of C's Annex G, as on the CPU. Where parts could cancel or overflow,
// complex64 is computed in double.
//! needs: types.cuh
#pragma once

namespace flambeau::detail {

template<class T>
__forceinline__ bool nan(T x) {
  return x != x;
}
template<class T>
__forceinline__ bool finite(T x) {
  return x - x == T(0);
}
// i z and -i z: what turns hyperbolic functions into circular ones.
template<class T>
__forceinline__ cpx<T> turn(cpx<T> z) {
  return {-z.im, z.re};
}
template<class T>
__forceinline__ cpx<T> turn_back(cpx<T> z) {
  return {z.im, -z.re};
}
// e^x (c, s) factor; e^x alone overflows sooner than its product with a small cosine.
template<class T>
__forceinline__ cpx<T> exp_times(T x, T c, T s, T factor) {
  const bool far = x > (sizeof(T) == 4 ? T(88) : T(709));
  const T e = std::exp(far ? T(0.5) * x : x), rest = far ? e : T(1);
  return {e * factor * c * rest, e * factor * s * rest};
}

template<class T>
__forceinline__ cpx<T> exp(cpx<T> z) {
  if (z.im == T(0)) return {std::exp(z.re), z.im};
  if (!finite(z.im) && infinite(z.re)) {
    const bool up = z.re > T(0);
    return {up ? z.re : T(0), up ? T(NAN) : std::copysign(T(0), z.im)};
  }
  return exp_times(z.re, std::cos(z.im), std::sin(z.im), T(1));
}
template<class T>
__forceinline__ cpx<T> sinh(cpx<T> z) {
  if (z.im == T(0)) return {std::sinh(z.re), z.im};
  if (!finite(z.im)) return {z.re == T(0) || infinite(z.re) ? z.re : T(NAN), T(NAN)};
  const T c = std::cos(z.im), s = std::sin(z.im), a = std::fabs(z.re);
  if (a < (sizeof(T) == 4 ? T(80) : T(700))) return {std::sinh(z.re) * c, std::cosh(z.re) * s};
  return exp_times(a, z.re < T(0) ? -c : c, s, T(0.5));
}
template<class T>
__forceinline__ cpx<T> cosh(cpx<T> z) {
  if (z.im == T(0)) return {std::cosh(z.re), std::copysign(T(1), z.re) * z.im};
  if (!finite(z.im)) {
    if (z.re == T(0)) return {T(NAN), z.re};
    return {infinite(z.re) ? T(INFINITY) : T(NAN), T(NAN)};
  }
  const T c = std::cos(z.im), s = std::sin(z.im), a = std::fabs(z.re);
  if (z.re == T(0)) return {c, z.re * s};
  if (a < (sizeof(T) == 4 ? T(80) : T(700))) return {std::cosh(z.re) * c, std::sinh(z.re) * s};
  return exp_times(a, c, z.re < T(0) ? -s : s, T(0.5));
}
// (sinh x cosh x + i sin y cos y) / (sinh^2 x + cos^2 y).
template<class T>
__forceinline__ cpx<T> tanh(cpx<T> z) {
  const T x = z.re, y = z.im, a = std::fabs(x);
  if (y == T(0)) return {std::tanh(x), y};
  if (!finite(y)) {
    if (infinite(x)) return {std::copysign(T(1), x), std::copysign(T(0), y)};
    return {x == T(0) ? x : T(NAN), T(NAN)};
  }
  const T c = std::cos(y), s = std::sin(y);
  if (a > T(sizeof(T) == 4 ? 11 : 22))
    return {std::copysign(T(1), x), T(4) * s * c * std::exp(T(-2) * a)};
  const T h = std::sinh(x), d = h * h + c * c;
  return {h * std::cosh(x) / d, s * c / d};
}

// a + b without loss: the rounded sum and what rounding left out.
__forceinline__ void exact_sum(double a, double b, double& sum, double& rest) {
  sum = a + b;
  const double t = sum - a;
  rest = (a - (sum - t)) + (b - t);
}
// log|x + iy|; near the unit circle by log1p of x^2 + y^2 - 1, free of cancellation.
__forceinline__ double log_abs(double x, double y) {
  const double a = std::fmax(std::fabs(x), std::fabs(y)), b = std::fmin(std::fabs(x), std::fabs(y));
  const double h = std::hypot(x, y);
  if (h > 0.7 && h < 1.5) {
    const double p = a * a, q = b * b, p_low = std::fma(a, a, -p), q_low = std::fma(b, b, -q);
    double u, v, u_low, v_low;
    exact_sum(p, -1.0, u, u_low);
    exact_sum(u, q, v, v_low);
    return 0.5 * std::log1p(v + (v_low + (u_low + (p_low + q_low))));
  }
  if (a < 0x1p1000 && a > 0x1p-1000) return std::log(h);
  if (!(a < INFINITY) || a == 0.0) return std::log(h);
  const double scale = a < 1.0 ? 0x1p100 : 0x1p-100;
  return std::log(std::hypot(x * scale, y * scale)) +
         (a < 1.0 ? -100.0 : 100.0) * 0x1.62e42fefa39efp-1;
}
__forceinline__ c128 log(c128 z) { return {log_abs(z.re, z.im), std::atan2(z.im, z.re)}; }
__forceinline__ c128 sqrt(c128 z) {
  const double x = z.re, y = z.im;
  if (infinite(y)) return {INFINITY, y};
  if (infinite(x)) {
    const double rest = nan(y) ? y : 0.0;
    return x > 0.0 ? c128(x, std::copysign(rest, y))
                   : c128(std::fabs(rest), std::copysign(double(INFINITY), y));
  }
  if (y == 0.0 && !nan(x)) {
    const double r = std::sqrt(std::fabs(x));
    return x < 0.0 ? c128(0.0, std::copysign(r, y)) : c128(r, y);
  }
  const double top = std::fmax(std::fabs(x), std::fabs(y));
  const double scale = top > 0x1p1000 ? 0x1p-100 : top < 0x1p-900 ? 0x1p100 : 1.0;
  const double back = top > 0x1p1000 ? 0x1p50 : top < 0x1p-900 ? 0x1p-50 : 1.0;
  const double p = x * scale, q = y * scale;
  const double t = std::sqrt(0.5 * (std::fabs(p) + std::hypot(p, q))), s = q / (t + t);
  return x < 0.0 ? c128(std::fabs(s) * back, std::copysign(t, y) * back) : c128(t * back, s * back);
}

// For x + iy with x, y >= 0: the real parts of asin and acos, and their common imaginary part,
// after Hull, Fairgrieve and Tang (1997), "Implementing the complex arcsine and arccosine
// functions". acos takes the side of x from `side`.
struct Inverse {
  double asin, acos, im;
};
__forceinline__ Inverse inverse_parts(double x, double y, double side) {
  if (!(x < 0x1p500 && y < 0x1p500)) {
    if (!infinite(x) && !infinite(y) && (nan(x) || nan(y))) {
      const bool zero = x == 0.0;
      return {zero ? x : double(NAN), zero ? 0x1.921fb54442d18p+0 : double(NAN), NAN};
    }
    return {std::atan2(x, y), std::atan2(y, side), log_abs(x, y) + 0x1.62e42fefa39efp-1};
  }
  const double r = std::hypot(x + 1.0, y), s = std::hypot(x - 1.0, y), a = 0.5 * (r + s);
  const double far = r + x + 1.0, near = s + std::fabs(x - 1.0);
  // 2 (a - max(x, 1)) / y, scaled to keep the digits of a subnormal y; and 2 (a - min(x, 1)).
  const double v = y * 0x1p100, w = near == 0.0 ? 0.0 : v / far + v / near;
  const double rest = y * (y / far) + near;
  const double root = std::sqrt(y) * 0x1p-50;
  const bool in = x <= 1.0;
  const double q = in ? std::sqrt(rest * (0.5 * (a + x))) : root * std::sqrt(w * (0.5 * (a + x)));
  const double t = in ? 0.5 * y * (w * 0x1p-100) : 0.5 * rest;
  const double u = in ? root * std::sqrt(w * (0.5 * (a + 1.0))) : std::sqrt(t * (a + 1.0));
  return {std::atan2(x, q), std::atan2(q, side), std::log1p(t + u)};
}
__forceinline__ c128 asinh(c128 z) {
  const Inverse v = inverse_parts(std::fabs(z.im), std::fabs(z.re), std::fabs(z.im));
  return {std::copysign(v.im, z.re), std::copysign(v.asin, z.im)};
}
__forceinline__ c128 acos(c128 z) {
  const Inverse v = inverse_parts(std::fabs(z.re), std::fabs(z.im), z.re);
  return {v.acos, std::copysign(v.im, -z.im)};
}
__forceinline__ c128 acosh(c128 z) {
  const Inverse v = inverse_parts(std::fabs(z.re), std::fabs(z.im), z.re);
  return {v.im, std::copysign(v.acos, z.im)};
}
__forceinline__ c128 atanh(c128 z) {
  const double x = std::fabs(z.re), y = std::fabs(z.im);
  double re, im = 0x1.921fb54442d18p+0; // a quarter turn, as everywhere far from 0
  if (infinite(x) || infinite(y)) {
    re = 0.0;
    im = nan(z.im) ? z.im : im;
  } else if (nan(x) || nan(y)) {
    re = x == 0.0 ? x : double(NAN);
    im = NAN;
  } else if (x > 0x1p60 || y > 0x1p60) {
    const double h = std::hypot(x * 0.25, y * 0.25);
    re = 0.0625 * x / h / h;
  } else {
    re = x == 1.0 && y < 0x1p-500 ? 0.5 * (0x1.62e42fefa39efp-1 - std::log(y))
                                  : 0.25 * std::log1p(4.0 * x / ((1.0 - x) * (1.0 - x) + y * y));
    im = 0.5 * std::atan2(2.0 * y, (1.0 - x) * (1.0 + x) - y * y);
  }
  return {std::copysign(re, z.re), std::copysign(im, z.im)};
}
__forceinline__ c128 pow(c128 x, c128 y) { return exp(y * log(x)); }

__forceinline__ c64 log(c64 z) { return c64(log(c128(z))); }
__forceinline__ c64 sqrt(c64 z) { return c64(sqrt(c128(z))); }
__forceinline__ c64 asinh(c64 z) { return c64(asinh(c128(z))); }
__forceinline__ c64 acos(c64 z) { return c64(acos(c128(z))); }
__forceinline__ c64 acosh(c64 z) { return c64(acosh(c128(z))); }
__forceinline__ c64 atanh(c64 z) { return c64(atanh(c128(z))); }
__forceinline__ c64 pow(c64 x, c64 y) { return c64(pow(c128(x), c128(y))); }

} // namespace flambeau::detail

namespace std {
#define FB_COMPLEX(name, formula)                             \
  template<class T>                                           \
  __forceinline__ flambeau::cpx<T> name(flambeau::cpx<T> z) { \
    using namespace flambeau;                                 \
    return formula;                                           \
  }
FB_COMPLEX(exp, detail::exp(z))
FB_COMPLEX(log, detail::log(z))
FB_COMPLEX(sqrt, detail::sqrt(z))
FB_COMPLEX(sinh, detail::sinh(z))
FB_COMPLEX(cosh, detail::cosh(z))
FB_COMPLEX(tanh, detail::tanh(z))
FB_COMPLEX(asinh, detail::asinh(z))
FB_COMPLEX(acosh, detail::acosh(z))
FB_COMPLEX(atanh, detail::atanh(z))
FB_COMPLEX(acos, detail::acos(z))
FB_COMPLEX(sin, detail::turn_back(detail::sinh(detail::turn(z))))
FB_COMPLEX(cos, detail::cosh(detail::turn(z)))
FB_COMPLEX(tan, detail::turn_back(detail::tanh(detail::turn(z))))
FB_COMPLEX(asin, detail::turn_back(detail::asinh(detail::turn(z))))
FB_COMPLEX(atan, detail::turn_back(detail::atanh(detail::turn(z))))
FB_COMPLEX(log10, detail::log(z) * T(0x1.bcb7b1526e50ep-2))
#undef FB_COMPLEX
template<class T>
__forceinline__ flambeau::cpx<T> pow(flambeau::cpx<T> x, flambeau::cpx<T> y) {
  return flambeau::detail::pow(x, y);
}
} // namespace std
