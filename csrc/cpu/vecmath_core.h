// Bit tricks and helpers that the vector math is made of; CUDA kernels read it too.
#pragma once
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

// FB_NO_FMA keeps mul+add apart so that every instruction set gives the same bits.
#if defined(__FMA__) && !defined(FB_NO_FMA) && !defined(FB_HAVE_FMA)
#define FB_HAVE_FMA 1
#endif
#define FB_MATH inline __attribute__((always_inline))
#define FB_INLINE FB_MATH

namespace flambeau::math {

FB_MATH float fmadd(float a, float b, float c) {
#ifdef FB_HAVE_FMA
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}
FB_MATH double fmadd(double a, double b, double c) {
#ifdef FB_HAVE_FMA
  return std::fma(a, b, c);
#else
  return a * b + c;
#endif
}

FB_MATH int32_t bits(float x) { return std::bit_cast<int32_t>(x); }
FB_MATH int64_t bits(double x) { return std::bit_cast<int64_t>(x); }
FB_MATH float from_bits(int32_t i) { return std::bit_cast<float>(i); }
FB_MATH double from_bits(int64_t i) { return std::bit_cast<double>(i); }

FB_MATH float abs(float x) { return std::fabs(x); }
FB_MATH double abs(double x) { return std::fabs(x); }
FB_MATH float copysign(float x, float s) {
  return from_bits(int32_t((uint32_t(bits(x)) & 0x7fffffffu) | (uint32_t(bits(s)) & 0x80000000u)));
}
FB_MATH double copysign(double x, double s) {
  constexpr uint64_t top = uint64_t(1) << 63;
  return from_bits(int64_t((uint64_t(bits(x)) & ~top) | (uint64_t(bits(s)) & top)));
}

inline constexpr float inf_f = std::numeric_limits<float>::infinity();
inline constexpr double inf_d = std::numeric_limits<double>::infinity();
inline constexpr float nan_f = std::numeric_limits<float>::quiet_NaN();
inline constexpr double nan_d = std::numeric_limits<double>::quiet_NaN();

// Adding and subtracting these rounds to an integer and leaves it in the low mantissa bits.
inline constexpr float round_f = 0x1.8p23f;
inline constexpr double round_d = 0x1.8p52;

FB_MATH float round_small(float x) { return (x + round_f) - round_f; }   // |x| < 2^22
FB_MATH double round_small(double x) { return (x + round_d) - round_d; } // |x| < 2^51

// Horner's rule, coefficients from the highest power down.
template<class T>
FB_MATH T horner(T, T c) {
  return c;
}
template<class T, class... C>
FB_MATH T horner(T x, T c0, T c1, C... c) {
  return horner(x, fmadd(c0, x, c1), c...);
}

// 2^n for an integral-valued double n in [-1022, 1023]; no 64-bit integer conversion is needed.
FB_MATH double pow2_of(double n) {
  return from_bits(int64_t(uint64_t(bits(n + (round_d + 1023.0))) << 52));
}
// 2^n for n in [-126, 127].
FB_MATH float pow2_of(int32_t n) { return from_bits(int32_t(uint32_t(n + 127) << 23)); }

// NaN keeps its place: a comparison with NaN is false, and then x itself is returned.
template<class T>
FB_MATH T clamp_keep_nan(T x, T lo, T hi) {
  x = x < lo ? lo : x;
  return x > hi ? hi : x;
}

} // namespace flambeau::math
