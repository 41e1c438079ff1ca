// abs, sgn, square, angle of every real type, and integer powers; CUDA kernels read it too.
#pragma once
#include <type_traits>

#include "vecmath_core.h"

namespace flambeau::math {

// Real angle: 0 or pi, NaN kept.
FB_MATH float angle(float x) { return x != x ? x : x < 0.0f ? 0x1.921fb6p+1f : 0.0f; }
FB_MATH double angle(double x) { return x != x ? x : x < 0.0 ? 0x1.921fb54442d18p+1 : 0.0; }

template<class T>
  requires std::is_arithmetic_v<T>
FB_MATH T sgn(T x) {
  if constexpr (std::is_same_v<T, bool>)
    return x;
  else if constexpr (std::is_floating_point_v<T>)
    return x != x ? T(0) : T(T(x > 0) - T(x < 0));
  else
    return T(T(x > T(0)) - T(x < T(0)));
}
template<class T>
  requires std::is_integral_v<T>
FB_MATH T abs(T x) {
  if constexpr (std::is_signed_v<T>)
    return x < 0 ? T(-std::make_unsigned_t<T>(x)) : x;
  else
    return x;
}
template<class T>
FB_MATH T square(T x) {
  return T(x * x);
}
template<class T>
FB_MATH T reciprocal(T x) {
  return T(1) / x;
}
// Integer power by squaring, wrapping around; a negative exponent gives 0 unless x is 1 or -1.
template<class T>
  requires(std::is_integral_v<T> && !std::is_same_v<T, bool>)
inline T pow(T x, T y) {
  using U = std::make_unsigned_t<T>;
  if constexpr (std::is_signed_v<T>)
    if (y < 0) return x == 1 ? T(1) : x == T(-1) ? T(y % 2 ? -1 : 1) : T(0);
  uint64_t r = 1, b = uint64_t(U(x));
  for (U e = U(y); e != 0; e >>= 1) {
    if (e & 1) r *= b;
    b *= b;
  }
  return T(U(r));
}

} // namespace flambeau::math
