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

// The common case, f32 to nearest even, in integer arithmetic that the compiler can vectorise.
inline uint16_t nearest_f16(float v) {
  uint32_t bits = as_bits(v), sign = bits >> 16 & 0x8000, size = bits & 0x7fffffff;
  // the subnormals of f16: adding a power of two rounds at the right bit
  uint32_t small = as_bits(as_float(size) + 0.5f) - as_bits(0.5f);
  uint32_t normal = (size + 0xfff + (size >> 13 & 1) - (112u << 23)) >> 13;
  uint32_t r = size < 113u << 23 ? small : normal;
  r = size >= 0x47800000 ? 0x7c00 : r > 0x7c00 ? 0x7c00 : r;
  return size > 0x7f800000 ? 0x7fff : uint16_t(sign | r);
}
inline uint16_t nearest_bf16(float v) {
  uint32_t bits = as_bits(v);
  uint32_t r = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return (bits & 0x7fffffff) > 0x7f800000 ? 0x7fff : uint16_t(r);
}
inline float float_of_f16(uint16_t h) {
  uint32_t size = h & 0x7fff, sign = uint32_t(h & 0x8000) << 16;
  float scaled = as_float(size << 13) * 0x1p112f; // exact, subnormals too
  uint32_t r = size >= 0x7c00 ? (size << 13 | 0x7f800000) : as_bits(scaled);
  return as_float(sign | r);
}

struct F16 {
  static double widen(uint16_t h) { return float_of_f16(h); }
  static float to_float(uint16_t h) { return float_of_f16(h); }
  static uint16_t narrow(double v, bool nearest = true) { return narrow_f16(v, nearest); }
  static uint16_t nearest(float v) { return nearest_f16(v); }
};
struct BF16 {
  static double widen(uint16_t h) { return widen_bf16(h); }
  static float to_float(uint16_t h) { return as_float(uint32_t(h) << 16); }
  static uint16_t narrow(double v, bool nearest = true) { return narrow_bf16(v, nearest); }
  static uint16_t nearest(float v) { return nearest_bf16(v); }
};

} // namespace cudasim
