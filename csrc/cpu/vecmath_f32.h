// Float functions as branch-free formulas that the compiler vectorises; all within 2 ulp.
#pragma once
#include "vecmath_core.h"

namespace flambeau::math {

// ---- double-lane cores: about 2^-29 relative error, enough for a correctly rounded float ----
namespace wide {

// 2^t for |t| <= 1000.
FB_MATH double exp2(double t) {
  const double n = round_small(t), f = t - n;
  const double p = horner(f, 0x1.41d344784a45cp-13, 0x1.5f456b2e5c03ap-10, 0x1.3b2dbba51fd47p-7,
                          0x1.c6aed4b7b7311p-5, 0x1.ebfbdadcdf97dp-3, 0x1.62e430c7eac40p-1,
                          0x1.00000002613a6p+0);
  return p * pow2_of(n);
}
inline constexpr double log2e = 0x1.71547652b82fep+0;

// x = 2^e * (1 + f) with 1+f in [sqrt(1/2), sqrt(2)); x a positive normal double.
struct Split {
  double e, f;
};
FB_MATH Split split(double x) {
  constexpr uint64_t one = 0x3ff0000000000000u, half_root = 0x3fe6a09e667f3bcdu;
  const uint64_t t = uint64_t(bits(x)) + (one - half_root);
  const double e = from_bits(int64_t((t >> 52) | 0x4330000000000000u)) - (0x1p52 + 1023.0);
  const double m = from_bits(int64_t((t & 0x000fffffffffffffu) + half_root));
  return {e, m - 1.0};
}
// log of a positive normal double; relative error 2^-30.
FB_MATH double log(double x) {
  const Split s = split(x);
  const double p = horner(s.f, 0x1.137d8ba827f06p-4, -0x1.dffe189d35f4ep-4, 0x1.e87e0fb405c40p-4,
                          -0x1.fbf20669c9396p-4, 0x1.23129749381cdp-3, -0x1.555be28cdf396p-3,
                          0x1.99a71b3ea090cp-3, -0x1.0000121c9274ap-2, 0x1.5555400a42fb3p-2,
                          -0x1.ffffffc6ffc21p-2, 0x1.00000002b6144p+0);
  return fmadd(s.e, 0x1.62e42fefa39efp-1, s.f * p);
}
// log2 of a positive normal double; relative error 2^-35.8 (pow multiplies it by up to 150).
FB_MATH double log2(double x) {
  const Split s = split(x);
  const double p = horner(s.f, 0x1.3ce8baff48a36p-4, -0x1.248904a023d4fp-3, 0x1.2871ed8e47d49p-3,
                          -0x1.252f35f74a3bdp-3, 0x1.45291749f4446p-3, -0x1.714170c15fda1p-3,
                          0x1.a63f44804dda0p-3, -0x1.ec72b59c070f2p-3, 0x1.277651fbfd88cp-2,
                          -0x1.7154709783185p-2, 0x1.ec709ebb933c6p-2, -0x1.715476565d5ebp-1,
                          0x1.71547652a1ea0p+0);
  return s.e + s.f * p;
}
// atan on [0, 1].
FB_MATH double atan01(double q) {
  const double z = q * q;
  return q * horner(z, 0x1.1e07441cabbd5p-10, -0x1.d7d1b98ab9096p-8, 0x1.6cf17e36454cfp-6,
                    -0x1.6b6078b5a57d5p-5, 0x1.13178572322f2p-4, -0x1.6865d4767f664p-4,
                    0x1.c4cada79c0fb2p-4, -0x1.246febd32d5fap-3, 0x1.999786f8bcd63p-3,
                    -0x1.55554f06d97abp-2, 0x1.fffffffcce8a5p-1);
}

// Angle in quarter turns q plus the rest r in [-pi/4, pi/4], for any finite float.
struct Angle {
  uint64_t q;
  double r;
};
FB_MATH Angle finish_turns(double f) { // f: fraction of a turn, about [-0.75, 0.75]
  const double t = f * 4.0 + round_d, n = t - round_d;
  return {uint64_t(bits(t)), (f - n * 0.25) * 0x1.921fb54442d18p+2};
}
// |x| <= 2^30: one exact product with the leading bits of 1/(2 pi), and the rest.
FB_MATH Angle reduce_near(float x) {
  const double d = x, t = d * 0x1.45f306ep-3;
  return finish_turns(fmadd(d, -0x1.b1bbead603d8bp-34, t - round_small(t)));
}
// x / (2 pi) mod 1 from exact products with leading bits of 2^(26 j) / (2 pi) mod 1; j is chosen so
// that x 2^(-26 j) < 2^50 keeps the products exact and, for j > 0, an integer.
FB_MATH Angle reduce(float x) {
  const float a = abs(x);
  const bool b1 = a >= 0x1p50f, b2 = a >= 0x1p76f, b3 = a >= 0x1p102f;
  const double d = x * (b3 ? 0x1p-78f : b2 ? 0x1p-52f : b1 ? 0x1p-26f : 1.0f);
  const double c1 = b3   ? 0x1.d5f47d5p-2
                    : b2 ? 0x1.529fc27p-2
                    : b1 ? 0x1.b939105p-2
                         : 0x1.45f306ep-3;
  const double c2 = b3   ? -0x1.6447e48p-33
                    : b2 ? 0x1.5f47d4ep-32
                    : b1 ? 0x1.29fc276p-32
                         : -0x1.b1bbeadp-34;
  const double c3 = b3   ? -0x1.3ad4cd8778df8p-61
                    : b2 ? -0x1.911f924eb5336p-61
                    : b1 ? -0x1.05c1596447e49p-61
                         : -0x1.80f62a0b82b2dp-64;
  double t1 = d * c1, t2 = d * c2;
  t1 -= round_small(t1);
  t2 -= round_small(t2);
  const double t = t1 + t2; // in [-1, 1], exact where it cancels
  return finish_turns((t - round_small(t)) + d * c3);
}
FB_MATH double sin_poly(double r) {
  const double z = r * r;
  return r * fmadd(z,
                   horner(z, 0x1.6cd0a79fb4a1ap-19, -0x1.a00f79c1ca7c8p-13, 0x1.11110863b2a65p-7,
                          -0x1.5555554c68aaap-3),
                   1.0);
}
FB_MATH double cos_poly(double r) {
  const double z = r * r;
  return fmadd(z,
               horner(z, 0x1.9914cc90ea6e0p-16, -0x1.6c07e9a84ddf0p-10, 0x1.55553c64fd2f9p-5,
                      -0x1.ffffffcb4b983p-2),
               1.0);
}
FB_MATH double flip(double x, uint64_t sign) {
  return from_bits(int64_t(uint64_t(bits(x)) ^ sign));
}
FB_MATH double sin_of(Angle a) {
  const double v = (a.q & 1) != 0 ? cos_poly(a.r) : sin_poly(a.r);
  return flip(v, (a.q & 2) << 62);
}
FB_MATH double cos_of(Angle a) { return sin_of({a.q + 1, a.r}); }
FB_MATH double tan_of(Angle a) {
  const double s = sin_poly(a.r), c = cos_poly(a.r);
  const bool odd = (a.q & 1) != 0;
  return (odd ? -c : s) / (odd ? s : c);
}
} // namespace wide

// ---- exponentials ----
// e^r = 1 + r + r^2 * exp_tail(r) on [-ln2/2, ln2/2].
FB_MATH float exp_tail(float r) {
  return horner(r, 0x1.6afd3cp-10f, 0x1.12448ap-7f, 0x1.555826p-5f, 0x1.555482p-3f, 0x1.fffffcp-2f);
}
struct ExpParts {
  int32_t n;
  float r;
};
FB_MATH ExpParts exp_parts(float x) {
  const float t = fmadd(x, 0x1.715476p0f, round_f), n = t - round_f;
  const float r = fmadd(n, -0x1.7f7d1cp-20f, fmadd(n, -0x1.62e400p-1f, x));
  return {bits(t) - bits(round_f), r};
}
// p * 2^n for n in [-252, 254]: two factors, so that results below the normal range round once.
FB_MATH float scale(float p, int32_t n) {
  const int32_t h = n >> 1;
  return p * pow2_of(h) * pow2_of(n - h);
}
FB_MATH float exp(float x) {
  constexpr float round = round_f + 254.0f; // leaves n + 2 * 127 in the low bits
  x = x < -104.0f ? -104.0f : x;
  // The upper bound is kept by the bits, of which every compiler knows a minimum; NaN stays in r.
  const int32_t most = bits(round + 129.0f), t = bits(fmadd(x, 0x1.715476p0f, round));
  const int32_t m = t < most ? t : most, h = m >> 1; // as in scale(): two factors of 2^n
  const float n = from_bits(m) - round;
  const float r = fmadd(n, -0x1.7f7d1cp-20f, fmadd(n, -0x1.62e400p-1f, x));
  return (1.0f + fmadd(r * r, exp_tail(r), r)) * from_bits(int32_t(uint32_t(h) << 23)) *
         from_bits(int32_t(uint32_t(m - h) << 23));
}
FB_MATH float exp2(float x) {
  x = clamp_keep_nan(x, -151.0f, 129.0f);
  const float t = x + round_f, f = x - (t - round_f);
  const float p = horner(f, 0x1.4bafa4p-13f, 0x1.5fc0f2p-10f, 0x1.3b21d2p-7f, 0x1.c6adaap-5f,
                         0x1.ebfbe6p-3f, 0x1.62e432p-1f, 1.0f);
  return scale(p, bits(t) - bits(round_f));
}
FB_MATH float expm1(float x) {
  const ExpParts e = exp_parts(clamp_keep_nan(x, -20.0f, 89.0f));
  const float p = fmadd(e.r * e.r, exp_tail(e.r), e.r), h = pow2_of(e.n - 1);
  return copysign(2.0f * fmadd(h, p, h - 0.5f), x);
}
FB_MATH float sigmoid(float x) {
  const float e = exp(-abs(x)), u = 1.0f + e, lo = e - (u - 1.0f);
  const float q = (x < 0.0f ? e : 1.0f) / u;
  return q - q * lo * (x < 0.0f ? 1.0f - q : q); // lo: what 1 + e lost; the last factor is 1/u
}
FB_MATH float tanh(float x) {
  const float a = abs(x), t = expm1(2.0f * (a > 10.0f ? 10.0f : a));
  const float u = t + 2.0f, lo = t < 2.0f ? t - (u - 2.0f) : 0.0f, q = t / u;
  return copysign(q - q * lo * (0.5f - 0.5f * q), x); // lo: what t + 2 lost; 1/u = (1 - q) / 2
}
FB_MATH float sinh(float x) {
  const float a = abs(x), z = x * x;
  const float s = horner(z, 0x1.756c14p-19f, 0x1.a022bcp-13f, 0x1.1110e0p-7f, 0x1.555556p-3f);
  const double e = wide::exp2((a > 100.0f ? 100.0f : a) * wide::log2e);
  const float big = float(0.5 * e - 0.5 / e);
  return copysign(a < 1.0f ? fmadd(a * z, s, a) : big, x);
}
FB_MATH float cosh(float x) {
  const float a = abs(x);
  const double e = wide::exp2((a > 100.0f ? 100.0f : a) * wide::log2e);
  return float(0.5 * e + 0.5 / e);
}

// ---- logarithms ----
// log(1 + f) - f + f^2/2 = f^3 * log_tail(f) for 1+f in [sqrt(1/2), sqrt(2)].
FB_MATH float log_tail(float f) {
  return horner(f, 0x1.2e4d08p-4f, -0x1.dd71bap-4f, 0x1.dbcf06p-4f, -0x1.fbc758p-4f, 0x1.23e726p-3f,
                -0x1.55624cp-3f, 0x1.999ce0p-3f, -0x1.ffffe8p-3f, 0x1.555554p-2f);
}
struct LogParts {
  float e, f;
};
FB_MATH LogParts log_parts(float x) { // x positive and normal
  const int32_t t = int32_t(uint32_t(bits(x)) - 0x3f3504f3u);
  return {float(t >> 23), from_bits((t & 0x007fffff) + 0x3f3504f3) - 1.0f};
}
FB_MATH LogParts log_parts_any(float x) {
  const bool tiny = x < 0x1p-126f;
  LogParts p = log_parts(tiny ? x * 0x1p23f : x);
  p.e -= tiny ? 23.0f : 0.0f;
  return p;
}
// What every logarithm returns outside (0, inf).
FB_MATH float log_edges(float x, float y) {
  y = x == 0.0f ? -inf_f : y;
  y = x < 0.0f ? nan_f : y;
  return x < inf_f ? y : x;
}
FB_MATH float log(float x) {
  const LogParts p = log_parts_any(x);
  const float z = p.f * p.f, tail = fmadd(z * p.f, log_tail(p.f), p.e * -0x1.05c610p-29f);
  const float y = fmadd(p.e, 0x1.62e430p-1f, p.f + fmadd(-0.5f, z, tail));
  return log_edges(x, x != x ? x : y);
}
// log(x) / log(b) as (high + low parts of log(1+f)) * (1/log b) + e * log_b(2).
FB_MATH float log_scaled(float x, float ihi, float ilo, float ehi, float elo) {
  const LogParts p = log_parts_any(x);
  const float half = 0.5f * p.f * p.f, r = p.f * p.f * p.f * log_tail(p.f);
  const float hi = from_bits(bits(p.f - half) & ~0xfff), lo = ((p.f - hi) - half) + r;
  const float low = fmadd(lo + hi, ilo, fmadd(lo, ihi, p.e * elo));
  const float t = p.e * ehi, high = hi * ihi, sum = t + high;
  const float y = sum + (((t - sum) + high) + low);
  return log_edges(x, x != x ? x : y);
}
FB_MATH float log2(float x) { return log_scaled(x, 0x1.714p0f, 0x1.47652cp-12f, 1.0f, 0.0f); }
FB_MATH float log10(float x) {
  return log_scaled(x, 0x1.bccp-2f, -0x1.09d5b2p-15f, 0x1.344p-2f, 0x1.3509f8p-18f);
}
FB_MATH float log1p(float x) {
  const float u = 1.0f + x;
  const LogParts p = log_parts(u);
  const float c = (x > 1.0f ? 1.0f - (u - x) : x - (u - 1.0f)) / u;
  const float z = p.f * p.f, tail = fmadd(z * p.f, log_tail(p.f), fmadd(p.e, -0x1.05c610p-29f, c));
  float y = fmadd(p.e, 0x1.62e430p-1f, p.f + fmadd(-0.5f, z, tail));
  y = u <= 0.0f ? (u < 0.0f ? nan_f : -inf_f) : y;
  return x < inf_f ? copysign(y, x) : x;
}
FB_MATH float asinh(float x) {
  const double a = abs(x), z = a * a, s = a < 0x1p-4 ? a : 0.0, q = s * s;
  const double small = s + s * (q * horner(q, -0x1.6db6db6db6db7p-5, 0.075, -0x1.5555555555555p-3));
  const double big = wide::log(a + __builtin_sqrt(z + 1.0));
  const float y = float(a < 0x1p-4 ? small : big);
  return copysign(a < inf_d ? y : float(a), x);
}
FB_MATH float acosh(float x) {
  const double d = x, y = wide::log(d + __builtin_sqrt(d * d - 1.0));
  return x < inf_f ? (x < 1.0f ? nan_f : float(y)) : x;
}
FB_MATH float atanh(float x) {
  const double a = abs(x), s = a < 0x1p-4 ? a : 0.0, q = s * s;
  const double small = s + s * (q * horner(q, 0x1.2492492492492p-3, 0.2, 0x1.5555555555555p-2));
  const double big = 0.5 * wide::log((1.0 + a) / (1.0 - a));
  float y = float(a < 0x1p-4 ? small : big);
  y = a == 1.0 ? inf_f : y;
  return copysign(a <= 1.0 ? y : (x != x ? x : nan_f), x);
}

// ---- roots and powers ----
FB_MATH float sqrt(float x) { return __builtin_sqrtf(x); }
FB_MATH float rsqrt(float x) { return 1.0f / __builtin_sqrtf(x); }
FB_MATH float pow(float x, float y) {
  const float ax = abs(x), ay = abs(y);
  double l = wide::log2(double((ax == 0.0f) | (ax == inf_f) ? 1.0f : ax));
  l = ax == 0.0f ? -inf_d : l;
  l = ax == inf_f ? inf_d : l;
  float r = float(wide::exp2(clamp_keep_nan(l * double(y), -300.0, 300.0)));
  // w in (0, 1): y is broken; w = 0 and h = 1/2: odd. Huge y may give huge w and h: even, whole.
  const double d = ay, half = 0.5 * d;
  const float w = abs(float(round_small(d) - d)), h = abs(float(round_small(half) - half));
  // The sign is that of x for an odd y; a negative finite base needs a whole y.
  const float flip = (w == 0.0f) & (h == 0.5f) ? -1.0f : 1.0f;
  r *= bits(x) < 0 ? flip : 1.0f;
  r = (x < 0.0f) & (w > 0.0f) & (w < 1.0f) & (ax != inf_f) ? nan_f : r;
  r = (ax == 1.0f) & (ay == inf_f) ? 1.0f : r;
  r = (ax != ax) | (ay != ay) ? x + y : r;
  return (x == 1.0f) | (y == 0.0f) ? 1.0f : r;
}

// ---- trigonometry ----
// (asin(r) - r) / r^3 at z = r^2; used up to 0.5625, so that pi/2 - 2 asin(r) stays accurate.
FB_MATH float asin_tail(float z) {
  return horner(z, 0x1.55594p-5f, 0x1.895c2cp-7f, 0x1.083c0ep-5f, 0x1.6c7fcep-5f, 0x1.3337a6p-4f,
                0x1.555552p-3f);
}
FB_MATH float asin(float x) {
  const float a = abs(x), h = 0.5f * (1.0f - a);
  const bool big = a > 0.5625f;
  const float z = big ? h : a * a, r = big ? __builtin_sqrtf(h) : a;
  const float p = fmadd(r * z, asin_tail(z), r);
  return copysign(big ? (0x1.921fb6p+0f - 2.0f * p) - 0x1.777a5cp-25f : p, x);
}
FB_MATH float acos(float x) {
  const float a = abs(x), h = 0.5f * (1.0f - a);
  const bool big = a > 0.5625f;
  const float z = big ? h : a * a, r = big ? __builtin_sqrtf(h) : x;
  const float p = fmadd(r * z, asin_tail(z), r);
  const float far = x < 0.0f ? fmadd(-2.0f, p, 0x1.921fb6p+1f) : 2.0f * p;
  return big ? far : (0x1.921fb6p+0f - p) - 0x1.777a5cp-25f;
}
FB_MATH float atan(float x) {
  const float a = abs(x);
  const bool big = a > 1.0f;
  const float t = big ? -1.0f / a : a, z = t * t;
  const float p =
      horner(z, -0x1.48ce2cp-9f, 0x1.caa36cp-7f, -0x1.2c6760p-5f, 0x1.02cb76p-4f, -0x1.63e750p-4f,
             0x1.c44828p-4f, -0x1.247250p-3f, 0x1.999880p-3f, -0x1.555554p-2f);
  return copysign((big ? 0x1.921fb6p+0f : 0.0f) + fmadd(t * z, p, t), x);
}
FB_MATH float atan2(float y, float x) {
  const double ax = abs(x), ay = abs(y);
  const bool steep = ay > ax;
  const double hi = steep ? ay : ax, lo = steep ? ax : ay;
  double q = lo / (hi == 0.0 ? 1.0 : hi);
  q = lo == inf_d ? 1.0 : q;
  double r = wide::atan01(q);
  r = steep ? 0x1.921fb54442d18p+0 - r : r;
  r = bits(x) < 0 ? 0x1.921fb54442d18p+1 - r : r;
  const float out = copysign(float(r), y);
  return x != x || y != y ? x + y : out;
}

// ---- error functions ----
FB_MATH float erf(float x) {
  const float a = abs(x), z = x * x;
  const float p = horner(z, 0x1.4c339ep-14f, -0x1.a50ae8p-11f, 0x1.542e0ep-8f, -0x1.b7fe90p-6f,
                         0x1.ce2d50p-4f, -0x1.812740p-2f, 0x1.06eba8p-3f);
  const float b = a > 4.0f ? 4.0f : a;
  const float g = horner(b, 0x1.067198p-15f, -0x1.4dd00ap-11f, 0x1.8d87d0p-8f, -0x1.29ec90p-5f,
                         0x1.405662p-3f, 0x1.d3bbf4p-1f, 0x1.a12fe6p+0f, -0x1.1c724ap-12f);
  return a < 1.0f ? fmadd(x, p, x) : copysign(1.0f - exp2(-g), x);
}
// erfc(a) = exp(-a^2) P((a-2)/(a+2)) / (1+2a), with one division for both quotients.
FB_MATH float erfc(float x) {
  double a = abs(x);
  a = a > 10.2 ? 10.2 : a;
  const double u = a + 2.0, v = fmadd(2.0, a, 1.0), inv = 1.0 / (u * v), t = (a - 2.0) * v * inv;
  const double p = horner(t, 0x1.4cd3d4cc05c11p-14, 0x1.62f40bc027d4dp-13, -0x1.a42f0983435f6p-12,
                          -0x1.7469297c47777p-10, 0x1.48644e502cfc9p-10, 0x1.1d609f999f334p-7,
                          -0x1.0727dcb4079d3p-7, -0x1.bc27003b1d4b3p-5, 0x1.4ff9fdefb4efep-3,
                          -0x1.5407cf7ef36efp-3, -0x1.7bf5ea7fdf86fp-4, 0x1.46e80e275758dp+0);
  const double y = p * (u * inv) * wide::exp2(-(a * a) * wide::log2e);
  return float(x < 0.0f ? 2.0 - y : y);
}

// ---- the normal distribution's tail, for gelu ----
// e^-(x^2/2) times 2^64: the last of the products that follow takes the power back, so that what
// lies below the normal range is rounded once. |x| <= 14.3.
FB_MATH float gauss(float x) {
#ifdef FB_HAVE_FMA
  const float s = x * x, low = std::fma(x, x, -s);
#else
  const float h = from_bits(bits(x) & ~0xfff), s = h * h, low = (x - h) * (x + h);
#endif
  constexpr float round = round_f + 191.0f; // leaves n + 64 + 127 in the low bits
  const float t = fmadd(s, -0x1.715476p-1f, round), n = t - round;
  // twice the exponent's rest
  const float r = fmadd(n, -0x1.7f7d1cp-19f, fmadd(n, -0x1.62e400p0f, -s)) - low;
  const float p =
      horner(r, 0x1.6afd3cp-16f, 0x1.12448ap-12f, 0x1.555826p-9f, 0x1.555482p-6f, 0x1.fffffcp-4f);
  return fmadd(r * r, p, fmadd(r, 0.5f, 1.0f)) * from_bits(int32_t(uint32_t(bits(t)) << 23));
}
// Q(a) / e^(-a^2/2) / 2^64, Q the upper tail of the normal distribution, for a in [0, 14.3].
FB_MATH float tail_ratio(float a) {
  const float q = 1.0f / fmadd(a, 0.3f, 1.0f);
  return q * horner(q, -0x1.51d696p-70f, 0x1.cc74dcp-68f, -0x1.d348b2p-67f, 0x1.88a3a8p-67f,
                    -0x1.45154ep-68f, 0x1.89b9dcp-68f, 0x1.4121cep-68f, 0x1.c38372p-68f,
                    0x1.e9c47cp-68f, 0x1.ea3c92p-68f);
}
// min(|x|, 14.3) as whole numbers compare, which costs one operation.
FB_MATH float tail_place(float x) {
  const int32_t a = bits(abs(x)), most = 0x4164cccd;
  return from_bits(a < most ? a : most);
}
// x Phi(x) = max(x, 0) - |x| Q(|x|); NaN comes back by the first term, for -inf as inf * 0.
FB_MATH float gelu(float x) {
  const float a = tail_place(x);
  return fmadd(x, x > 0.0f ? 1.0f : 0.0f, -(a * gauss(a) * tail_ratio(a)));
}
FB_MATH float gelu_grad(float x) {
  const float a = tail_place(x);
  const float u = gauss(a) * fmadd(a, -0x1.988454p-66f, tail_ratio(a));
  return x > 0.0f ? 1.0f - u : u + 0.0f * x;
}

// ---- distance, neighbour ----
FB_MATH float hypot(float a, float b) {
  const double x = a, y = b;
  const bool inf = abs(a) == inf_f || abs(b) == inf_f;
  return inf ? inf_f : float(__builtin_sqrt(x * x + y * y));
}
FB_MATH float nextafter(float a, float b) { return __builtin_nextafterf(a, b); }

} // namespace flambeau::math
