// f16 and bf16 as 16-bit patterns: exact widening, rounding to nearest even or towards zero.
#pragma once

#include "ops.h"

namespace cudasim {

// Rounds a double to `mantissa` bits (the leading one not counted) with least exponent `low`;
// everything from `limit` on overflows. The value stays a double.
inline double round_to(double v, int mantissa, int low, double largest, bool nearest) {
  if (v == 0 || std::isnan(v) || std::isinf(v)) return v;
  int e = std::ilogb(v);
  if (e < low) e = low;
  double unit = std::ldexp(1.0, e - mantissa);
  double r = (nearest ? std::nearbyint(v / unit) : std::trunc(v / unit)) * unit;
  if (std::fabs(r) > largest) return std::copysign(nearest ? INFINITY : largest, v);
  return std::copysign(r, v);
}

inline double widen_f16(uint16_t h) {
  int e = h >> 10 & 31, f = h & 1023;
  double v = e == 31 ? (f ? NAN : INFINITY)
             : e     ? std::ldexp(1024.0 + f, e - 25)
                     : std::ldexp(double(f), -24);
  return h & 0x8000 ? -v : v;
}
inline uint16_t narrow_f16(double v, bool nearest = true) {
  if (v != v) return 0x7fff;
  double r = std::fabs(round_to(v, 10, -14, 65504.0, nearest));
  uint16_t sign = std::signbit(v) ? 0x8000 : 0;
  if (std::isinf(r)) return uint16_t(sign | 0x7c00);
  if (r < 0x1p-14) return uint16_t(sign | uint16_t(r * 0x1p24));
  int e = std::ilogb(r);
  return uint16_t(sign | (e + 15) << 10 | (uint16_t(std::ldexp(r, 10 - e)) & 1023));
}
inline double widen_bf16(uint16_t h) { return as_float(uint32_t(h) << 16); }
inline uint16_t narrow_bf16(double v, bool nearest = true) {
  if (v != v) return 0x7fff;
  double r = round_to(v, 7, -126, 0x1.fep127, nearest);
  return uint16_t(as_bits(float(r)) >> 16);
}

struct F16 {
  static double widen(uint16_t h) { return widen_f16(h); }
  static uint16_t narrow(double v, bool nearest = true) { return narrow_f16(v, nearest); }
};
struct BF16 {
  static double widen(uint16_t h) { return widen_bf16(h); }
  static uint16_t narrow(double v, bool nearest = true) { return narrow_bf16(v, nearest); }
};

} // namespace cudasim
