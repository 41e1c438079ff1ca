// Double functions: the frequent ones as branch-free polynomials, the others by the C library.
#pragma once
#include <math.h>

#include "vecmath_core.h"

namespace flambeau::math {

namespace detail {
inline constexpr double log2e = 0x1.71547652b82fep+0;
inline constexpr double ln2_hi = 0x1.62e42fee00000p-1, ln2_lo = 0x1.a39ef35793c76p-33;

struct ExpParts {
  double n, r;
};
FB_MATH ExpParts exp_parts(double x) {
  const double n = round_small(x * log2e);
  return {n, fmadd(n, -ln2_lo, fmadd(n, -ln2_hi, x))};
}
// e^r - 1 on [-ln2/2, ln2/2].
FB_MATH double expm1_poly(double r) {
  const double p = horner(r, 0x1.af682ee0060fap-26, 0x1.2894f5d1c7582p-22, 0x1.71ddf405442ccp-19,
                          0x1.a019b6215a2ebp-16, 0x1.a01a01b100c6fp-13, 0x1.6c16c1794e4a9p-10,
                          0x1.111111110f5ffp-7, 0x1.5555555553b6cp-5, 0x1.5555555555558p-3, 0.5);
  return fmadd(r * r, p, r);
}
// p * 2^n in two factors, so that results below the normal range round once.
FB_MATH double scale(double p, double n) {
  const double h = round_small(0.5 * n);
  return p * pow2_of(h) * pow2_of(n - h);
}
// e^x 2^k; k lets sinh and cosh pass the point where e^x alone overflows.
FB_MATH double exp_times_pow2(double x, double k) {
  const ExpParts e = exp_parts(clamp_keep_nan(x, -746.0, 711.0));
  return scale(1.0 + expm1_poly(e.r), e.n + k);
}

struct LogParts {
  double e, f, z, s, r; // x = 2^e (1+f); s = f/(2+f), z = f^2/2, log(1+f) = f - (z - s (z + r))
};
FB_MATH LogParts log_parts(double x) { // x positive and normal
  constexpr uint64_t one = 0x3ff0000000000000u, half_root = 0x3fe6a09e667f3bcdu;
  const uint64_t t = uint64_t(bits(x)) + (one - half_root);
  const double e = from_bits(int64_t((t >> 52) | 0x4330000000000000u)) - (0x1p52 + 1023.0);
  const double f = from_bits(int64_t((t & 0x000fffffffffffffu) + half_root)) - 1.0;
  const double s = f / (2.0 + f), q = s * s;
  const double r = q * horner(q, 0x1.2b662b3899227p-3, 0x1.39fd33fe5b1bfp-3, 0x1.7462be2cc5a31p-3,
                              0x1.c71c62c21600fp-3, 0x1.2492492e0f067p-2, 0x1.99999999951bfp-2,
                              0x1.5555555555558p-1);
  return {e, f, 0.5 * f * f, s, r};
}
FB_MATH LogParts log_parts_any(double x) {
  const bool tiny = x < 0x1p-1022;
  LogParts p = log_parts(tiny ? x * 0x1p52 : x);
  p.e -= tiny ? 52.0 : 0.0;
  return p;
}
FB_MATH double log_edges(double x, double y) {
  y = x == 0.0 ? -inf_d : y;
  y = x < 0.0 ? nan_d : y;
  return x < inf_d ? y : x;
}
FB_MATH double log_scaled(double x, double ihi, double ilo, double ehi, double elo) {
  const LogParts p = log_parts_any(x);
  const double hi = from_bits(bits(p.f - p.z) & ~int64_t(0xffffffff));
  const double lo = ((p.f - hi) - p.z) + p.s * (p.z + p.r);
  const double low = fmadd(lo + hi, ilo, fmadd(lo, ihi, p.e * elo));
  const double t = p.e * ehi, high = hi * ihi, sum = t + high;
  return log_edges(x, sum + (((t - sum) + high) + low));
}

// Angle in quarter turns q and the rest r + lo in [-pi/4, pi/4] (Cody and Waite), |x| < 1e5.
struct Angle {
  uint64_t q;
  double r, lo;
};
inline constexpr double trig_limit = 1e5;
FB_MATH Angle reduce(double x) {
  const double t = fmadd(x, 0x1.45f306dc9c883p-1, round_d), n = t - round_d;
  const double a = fmadd(n, -0x1.921fb54400000p+0, x);   // exact: 33 bits times 17
  const double w = n * 0x1.0b4611a600000p-34, b = a - w; // w exact
  const double tail = fmadd(n, -0x1.3198a2e037073p-69, (a - b) - w), r = b + tail;
  return {uint64_t(bits(t)), r, (b - r) + tail};
}
FB_MATH double sin_tail(double r, double lo) { // sin(r + lo) - r
  const double z = r * r;
  const double p = horner(z, 0x1.5e0a62d6f2c44p-33, -0x1.ae60090c372b7p-26, 0x1.71de3794af0efp-19,
                          -0x1.a01a019e8243fp-13, 0x1.1111111110badp-7, -0x1.5555555555555p-3);
  return fmadd(r * z, p, lo * fmadd(-0.5, z, 1.0));
}
FB_MATH double cos_tail(double r, double lo) { // cos(r + lo) - (1 - r^2/2)
  const double z = r * r;
  const double p = horner(z, -0x1.907ce9f9332edp-37, 0x1.1eeb67ea77358p-29, -0x1.27e4fa16e8c48p-22,
                          0x1.a01a019f4df94p-16, -0x1.6c16c16c16964p-10, 0x1.5555555555555p-5);
  return fmadd(z * z, p, -r * lo);
}
FB_MATH double sin_of(Angle a) {
  const double h = 0.5 * a.r * a.r, w = 1.0 - h;
  const double s = a.r + sin_tail(a.r, a.lo);
  const double c = w + (((1.0 - w) - h) + cos_tail(a.r, a.lo));
  const double v = (a.q & 1) != 0 ? c : s;
  return from_bits(int64_t(uint64_t(bits(v)) ^ ((a.q & 2) << 62)));
}
FB_MATH double sin_near(double x) {
  const double y = sin_of(reduce(x));
  return x == 0.0 ? x : y;
}
FB_MATH double cos_near(double x) {
  Angle a = reduce(x);
  a.q += 1;
  return sin_of(a);
}
FB_MATH double tan_near(double x) {
  const Angle a = reduce(x);
  // sin(r)/cos(r) with what each lost in its last sum, s_lo and c_lo, as a relative correction.
  const double z = a.r * a.r, h = 0.5 * z;
  const double st = sin_tail(a.r, a.lo), s = a.r + st, s_lo = (a.r - s) + st;
  const double w = 1.0 - h, ct = ((1.0 - w) - h) + cos_tail(a.r, a.lo), c = w + ct;
  const double c_lo = (w - c) + ct;
  const bool odd = (a.q & 1) != 0;
  const double q = (odd ? -c : s) / (odd ? s : c), rel = (s_lo * c - c_lo * s) / (s * c);
  const double y = q + q * (odd ? -rel : rel);
  return x == 0.0 ? x : y;
}
} // namespace detail

FB_MATH double exp(double x) { return detail::exp_times_pow2(x, 0.0); }
FB_MATH double exp2(double x) {
  x = clamp_keep_nan(x, -1080.0, 1030.0);
  const double n = round_small(x);
  return detail::scale(1.0 + detail::expm1_poly((x - n) * 0x1.62e42fefa39efp-1), n);
}
FB_MATH double expm1(double x) {
  const detail::ExpParts e = detail::exp_parts(clamp_keep_nan(x, -50.0, 709.9));
  const double p = detail::expm1_poly(e.r), h = pow2_of(e.n - 1.0);
  return copysign(2.0 * fmadd(h, p, h - 0.5), x);
}
FB_MATH double sigmoid(double x) {
  const double e = exp(-abs(x)), u = 1.0 + e, lo = e - (u - 1.0);
  const double q = (x < 0.0 ? e : 1.0) / u;
  return q - q * lo * (x < 0.0 ? 1.0 - q : q);
}
FB_MATH double tanh(double x) {
  const double a = abs(x), t = expm1(2.0 * (a > 20.0 ? 20.0 : a));
  const double u = t + 2.0, lo = t < 2.0 ? t - (u - 2.0) : 0.0, q = t / u;
  return copysign(q - q * lo * (0.5 - 0.5 * q), x);
}
FB_MATH double sinh(double x) {
  const double a = abs(x), z = x * x;
  const double s = horner(z, 0x1.99f09801a913ep-49, 0x1.ae777be49e223p-41, 0x1.612467cd23151p-33,
                          0x1.ae64567929debp-26, 0x1.71de3a556f972p-19, 0x1.a01a01a01a001p-13,
                          0x1.1111111111111p-7, 0x1.5555555555555p-3);
  const double h = detail::exp_times_pow2(a, -1.0);
  return copysign(a < 1.0 ? fmadd(a * z, s, a) : h - 0.25 / h, x);
}
FB_MATH double cosh(double x) {
  const double h = detail::exp_times_pow2(abs(x), -1.0);
  return h + 0.25 / h;
}

FB_MATH double log(double x) {
  const detail::LogParts p = detail::log_parts_any(x);
  const double low = fmadd(p.s, p.z + p.r, p.e * 0x1.a39ef35793c76p-33);
  return detail::log_edges(x, fmadd(p.e, detail::ln2_hi, p.f - (p.z - low)));
}
FB_MATH double log2(double x) {
  return detail::log_scaled(x, 0x1.7154765200000p+0, 0x1.705fc2eefa200p-33, 1.0, 0.0);
}
FB_MATH double log10(double x) {
  return detail::log_scaled(x, 0x1.bcb7b15200000p-2, 0x1.b9438ca9aadd5p-36, 0x1.34413509f6000p-2,
                            0x1.9fef311f12b36p-42);
}
FB_MATH double log1p(double x) {
  const double u = 1.0 + x;
  const detail::LogParts p = detail::log_parts(u);
  const double c = (x > 1.0 ? 1.0 - (u - x) : x - (u - 1.0)) / u;
  const double low = fmadd(p.s, p.z + p.r, fmadd(p.e, detail::ln2_lo, c));
  double y = fmadd(p.e, detail::ln2_hi, p.f - (p.z - low));
  y = u <= 0.0 ? (u < 0.0 ? nan_d : -inf_d) : y;
  return x < inf_d ? copysign(y, x) : x;
}

namespace detail {
// (asin(r) - r) / r^3 at z = r^2, |r| <= 0.5625.
FB_MATH double asin_tail(double z) {
  return horner(z, 0x1.a367de547044bp-5, -0x1.daec0bcbf4576p-5, 0x1.9cd04e60af241p-5,
                -0x1.720556492c46ap-7, 0x1.be9f37de884c9p-7, 0x1.1e90230d0365fp-7,
                0x1.7f070b14a7052p-7, 0x1.c92e13000bad7p-7, 0x1.1c52287faf114p-6,
                0x1.6e8b7f9d90408p-6, 0x1.f1c71d4d5db5cp-6, 0x1.6db6db6c53053p-5,
                0x1.3333333334161p-4, 0x1.5555555555554p-3);
}
inline constexpr double pi_2 = 0x1.921fb54442d18p+0, pi_2_lo = 0x1.1a62633145c07p-54;
// atan(n/d) for 0 <= n, 0 < d; above tan(pi/8) it turns the angle by pi/4 or pi/2.
FB_MATH double atan_ratio(double n, double d) {
  const bool high = n > d * 0x1.3504f333f9de6p+1, mid = n > d * 0x1.a827999fcef32p-2;
  const double num_mid = mid ? n - d : n, den_mid = mid ? n + d : d;
  const double num = high ? -d : num_mid, den = high ? n : den_mid;
  const double q = num / den, z = q * q;
  const double p = horner(z, 0x1.0b8c5e12afd8bp-6, -0x1.1b8b0ff7ca45dp-5, 0x1.750173914a237p-5,
                          -0x1.ac82c9bb11318p-5, 0x1.e19b40a7f5c4dp-5, -0x1.110e95e10e6b7p-4,
                          0x1.3b1393ab2d03ep-4, -0x1.745d1665a95a2p-4, 0x1.c71c71c32f212p-4,
                          -0x1.249249248dbacp-3, 0x1.9999999999957p-3, -0x1.5555555555555p-2);
  const double base_mid = mid ? 0.5 * pi_2 : 0.0, low_mid = mid ? 0.5 * pi_2_lo : 0.0;
  const double base = high ? pi_2 : base_mid, low = high ? pi_2_lo : low_mid;
  return base + (fmadd(q * z, p, low) + q);
}
} // namespace detail

FB_MATH double asin(double x) {
  const double a = abs(x), h = 0.5 * (1.0 - a);
  const bool big = a > 0.5625;
  const double z = big ? h : a * a, r = big ? __builtin_sqrt(h) : a;
  const double p = fmadd(r * z, detail::asin_tail(z), r);
  return copysign(big ? (detail::pi_2 - 2.0 * p) + detail::pi_2_lo : p, x);
}
FB_MATH double acos(double x) {
  const double a = abs(x), h = 0.5 * (1.0 - a);
  const bool big = a > 0.5625;
  const double z = big ? h : a * a, r = big ? __builtin_sqrt(h) : x;
  const double p = fmadd(r * z, detail::asin_tail(z), r);
  const double far = x < 0.0 ? 2.0 * detail::pi_2 - 2.0 * (p - detail::pi_2_lo) : 2.0 * p;
  return big ? far : detail::pi_2 - (p - detail::pi_2_lo);
}
FB_MATH double atan(double x) {
  const double a = abs(x), y = detail::atan_ratio(a < inf_d ? a : 1.0, 1.0);
  const double edge = a == inf_d ? detail::pi_2 : a;
  return copysign(a < inf_d ? y : edge, x);
}

FB_MATH double atan2(double y, double x) {
  const double ax = abs(x), ay = abs(y), hi = ax > ay ? ax : ay;
  const double down = hi > 0x1p500 ? 0x1p-600 : 1.0, s = hi < 0x1p-500 ? 0x1p520 : down;
  const bool both = (ax == inf_d) & (ay == inf_d), none = hi == 0.0;
  const double n = ay == inf_d ? 1.0 : ay * s, m = ax == inf_d ? 1.0 : ax * s;
  const double num = (ax == inf_d) & !both ? 0.0 : n, low = (ay == inf_d) & !both ? 0.0 : m;
  double r = detail::atan_ratio(num, none ? 1.0 : low);
  r = bits(x) < 0 ? 2.0 * detail::pi_2 - (r - 2.0 * detail::pi_2_lo) : r;
  return (x != x) | (y != y) ? x + y : copysign(r, y);
}
FB_MATH double asinh(double x) {
  const double a = abs(x), z = a * a;
  const bool far = a > 0x1p500; // where a^2 would overflow
  const double u = a + z / (1.0 + __builtin_sqrt(z + 1.0));
  return copysign(log1p(far ? a : u) + (far ? 0x1.62e42fefa39efp-1 : 0.0), x);
}
FB_MATH double acosh(double x) {
  const double t = x - 1.0, u = t + __builtin_sqrt(2.0 * t + t * t);
  const bool far = x > 0x1p500;
  const double y = log1p(far ? t : u) + (far ? 0x1.62e42fefa39efp-1 : 0.0);
  return x < 1.0 ? nan_d : y;
}
FB_MATH double atanh(double x) {
  const double a = abs(x);
  return copysign(0.5 * log1p(2.0 * a / (1.0 - a)), x);
}
namespace detail {
// (1 + 2a) e^(a^2) erfc(a) by t = (a - 4) / (a + 4), for a in [0, 27.4].
FB_MATH double erfc_poly(double t) {
  return horner(
      t, -0x1.eb839cbbf951fp-30, -0x1.d3ad0fbaf9f73p-27, -0x1.0d18f15e73c96p-27,
      0x1.ee3c5d60fb66bp-24, 0x1.0dc84c07b9af7p-24, -0x1.c01f132e656e1p-21, 0x1.43990b5550f53p-22,
      0x1.7fb166028df64p-18, -0x1.78a50f8f827f3p-17, -0x1.9969e2899b3bbp-16, 0x1.3be0bd8948799p-13,
      -0x1.a1de85ed3b01dp-13, -0x1.8d4a9ea7b9e59p-11, 0x1.49c671983d28fp-8, -0x1.09623881f33d9p-6,
      0x1.3079edf9d7239p-5, -0x1.0fb06dfe50df3p-4, 0x1.7fee004df8090p-4, -0x1.9ddb23c3e8fb6p-4,
      0x1.16ecefcfa5f87p-4, 0x1.f7f5df66fd7d8p-7, -0x1.1df1ad154a29bp-3, 0x1.3ba5916e9fd7fp+0);
}
FB_MATH double erfc_ratio(double a) {
  const double p = erfc_poly((a - 4.0) / (a + 4.0));
  const double v = fmadd(2.0, a, 1.0), v_lo = fmadd(2.0, a, 1.0 - v), inv = 1.0 / v, q = p * inv;
  return q + (fmadd(-q, v, p) - q * v_lo) * inv;
}
// x^2 in two parts.
struct Square {
  double hi, lo;
};
FB_MATH Square square_of(double x) {
#ifdef FB_HAVE_FMA
  const double s = x * x;
  return {s, std::fma(x, x, -s)};
#else
  const double h = from_bits(bits(x) & ~int64_t(0x7ffffff));
  return {h * h, (x - h) * (x + h)};
#endif
}
FB_MATH double erfc_positive(double a) { // a in [0, 27.4]
  const Square s = square_of(a);
  const ExpParts e = exp_parts(-s.hi);
  const double q = erfc_ratio(a);
  return scale(fmadd(q, expm1_poly(e.r - s.lo), q), e.n);
}
FB_MATH double erf_near(double x) { // |x| < 1
  const double z = x * x;
  const double p = horner(z, -0x1.a92ec6bee4b5ap-31, 0x1.d63b210eebaaap-27, -0x1.5be487d75ca8cp-23,
                          0x1.b979a0646610ap-20, -0x1.f4c9983d8bb9dp-17, 0x1.f9a2ad06734efp-14,
                          -0x1.c02daf90eb4bcp-11, 0x1.565bccf3b45abp-8, -0x1.b82ce311c5ec3p-6,
                          0x1.ce2f21a03fc83p-4, -0x1.812746b03799cp-2, 0x1.06eba8214db68p-3);
  return fmadd(x, p, x);
}
} // namespace detail

FB_MATH double erfc(double x) {
  const double a = abs(x), y = detail::erfc_positive(a > 27.4 ? 27.4 : a);
  const double far = x < 0.0 ? 2.0 - y : y;
  return a < 0.5 ? 1.0 - detail::erf_near(x) : far;
}
FB_MATH double erf(double x) {
  const double a = abs(x), b = a > 6.0 ? 6.0 : a; // where 1 - erf needs few digits
  const double u = b + 4.0, v = fmadd(2.0, b, 1.0), inv = 1.0 / (u * v);
  const detail::ExpParts e = detail::exp_parts(-b * b);
  const double p = detail::erfc_poly((b - 4.0) * (v * inv)) * (u * inv) * pow2_of(e.n);
  const double far = 1.0 - fmadd(p, detail::expm1_poly(e.r), p);
  return a < 1.0 ? detail::erf_near(x) : copysign(far, x);
}

#ifdef FB_HAVE_FMA
namespace detail {
struct Pair {
  double hi, lo;
};
// log(x) of a positive normal x in two parts, relative error 2^-66: log m = 2 atanh(s),
// s = (m - 1) / (m + 1), where s, s^2 / 3 and their product keep two parts.
FB_MATH Pair log_pair(double x, double down) {
  constexpr uint64_t one = 0x3ff0000000000000u, half_root = 0x3fe6a09e667f3bcdu;
  const uint64_t t = uint64_t(bits(x)) + (one - half_root);
  const double e = from_bits(int64_t((t >> 52) | 0x4330000000000000u)) - (0x1p52 + 1023.0) - down;
  const double m = from_bits(int64_t((t & 0x000fffffffffffffu) + half_root));
  const double f = m - 1.0, d = m + 1.0, d_lo = m - (d - 1.0), inv = 1.0 / d;
  const double s = f * inv, s_lo = (std::fma(-s, d, f) - s * d_lo) * inv;
  const double z = s * s, z_lo = std::fma(s, s, -z) + 2.0 * s * s_lo;
  const double u = z * horner(z, 0x1.087c332233f11p-4, 0x1.10185f1569eb0p-4, 0x1.3b18bb72058d5p-4,
                              0x1.745d09e6f9292p-4, 0x1.c71c71d7f8362p-4, 0x1.249249248e4dep-3,
                              0x1.999999999999fp-3);
  constexpr double third = 0x1.5555555555555p-2, third_lo = 0x1.5555555555555p-56;
  const double c = third + u, c_lo = (third - c) + u + third_lo;
  const double w = z * c, w_lo = std::fma(z, c, -w) + std::fma(z, c_lo, z_lo * c);
  // s + s w
  const double v = s * w, v_lo = std::fma(s, w, -v) + std::fma(s, w_lo, s_lo * w);
  const double h = s + v, h_lo = (s - h) + v + (v_lo + s_lo);
  // + e ln 2
  constexpr double ln2 = 0x1.62e42fefa3800p-1, ln2_rest = 0x1.ef35793c76730p-45;
  const double el = e * ln2, hi = std::fma(2.0, h, el);
  const double lo = (el - hi) + 2.0 * h + (2.0 * h_lo + e * ln2_rest);
  const double r = hi + lo;
  return {r, (hi - r) + lo};
}
} // namespace detail

FB_MATH double pow(double x, double y) {
  const double ax = abs(x), ay = abs(y);
  const bool tiny = ax < 0x1p-1022;
  const double safe = (ax == 0.0) | (ax == inf_d) ? 1.0 : ax;
  const detail::Pair l =
      detail::log_pair(tiny & (ax != 0.0) ? safe * 0x1p54 : safe, tiny & (ax != 0.0) ? 54.0 : 0.0);
  const double yc = ay > 0x1p64 ? copysign(0x1p64, y) : y; // the product stays finite
  const double high = yc * l.hi, low = std::fma(yc, l.hi, -high) + yc * l.lo;
  const double h = clamp_keep_nan(high, -800.0, 800.0);
  const double n = round_small(h * detail::log2e);
  const double r =
      std::fma(n, -detail::ln2_lo, std::fma(n, -detail::ln2_hi, h)) + (h == high ? low : 0.0);
  double v = detail::scale(1.0 + detail::expm1_poly(r), n);
  // Beyond 2^53 all numbers are even.
  const double c = ay < 0x1p60 ? ay : 0x1p60, half = 0.5 * c;
  const double broken = c - std::floor(c), odd = half - std::floor(half);
  const double undefined = x < 0.0 ? broken : 0.0;
  v = undefined > 0.0 ? nan_d : v;
  const bool up = y > 0.0;
  v = ax == 0.0 ? (up ? 0.0 : inf_d) : v;
  v = ax == inf_d ? (up ? inf_d : 0.0) : v;
  v = odd == 0.5 ? copysign(v, x) : v;
  v = (ax == 1.0) & (ay == inf_d) ? 1.0 : v;
  v = (ax != ax) | (ay != ay) ? x + y : v;
  return (x == 1.0) | (y == 0.0) ? 1.0 : v;
}
#else
FB_MATH double pow(double x, double y) { return __builtin_pow(x, y); }
#endif

FB_MATH double sqrt(double x) { return __builtin_sqrt(x); }
FB_MATH double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
FB_MATH double hypot(double a, double b) {
  const double x = abs(a), y = abs(b), high = x > y ? x : y;
  const double up = high < 0x1p-500 ? 0x1p600 : 1.0, s = high > 0x1p500 ? 0x1p-600 : up;
  const double down = high < 0x1p-500 ? 0x1p-600 : 1.0, back = high > 0x1p500 ? 0x1p600 : down;
  const double u = x * s, v = y * s, r = __builtin_sqrt(fmadd(u, u, v * v)) * back;
  return (x == inf_d) | (y == inf_d) ? inf_d : r;
}
FB_MATH double nextafter(double a, double b) { return __builtin_nextafter(a, b); }
inline double log_gamma(double x) { // std::lgamma writes the sign to a global
  int sign;
  return ::lgamma_r(x, &sign);
}

} // namespace flambeau::math
