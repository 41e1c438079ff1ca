// The real primitives of namespace math on the device; formulas.h and the special functions build
// on them.
//
// They are CUDA's accurate functions: within 2 ulp, but for the float forms of pow, tan, erfc,
// acosh (4 ulp), sinh, asinh, atanh, atan2 and hypot (3 ulp).
//! needs: types.cuh vecmath_core.h
#pragma once

namespace flambeau::math {

using ::acos;
using ::acosh;
using ::asin;
using ::asinh;
using ::atan;
using ::atan2;
using ::atanh;
using ::cos;
using ::cosh;
using ::erf;
using ::erfc;
using ::exp;
using ::exp2;
using ::expm1;
using ::fmod;
using ::hypot;
using ::log;
using ::log10;
using ::log1p;
using ::log2;
using ::nextafter;
using ::pow;
using ::rsqrt;
using ::sin;
using ::sinh;
using ::sqrt;
using ::tan;
using ::tanh;

// e^-|x| cannot overflow, and keeps the small values' digits.
template<class T>
  requires std::is_floating_point_v<T>
FB_MATH T sigmoid(T x) {
  const T e = exp(-abs(x));
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

inline double log_gamma(double x) { return ::lgamma(x); }

// A device cannot raise: all bits set, which is also what the processor makes of it.
template<class T>
FB_MATH T division_by_zero() {
  return T(-1);
}

// gelu of a float by the upper tail Q of the normal distribution, for which erfc would magnify the
// rounding of x / sqrt(2): Q(a) = e^(-a^2/2) erfcx(a / sqrt(2)) / 2, the square in two parts.
__device__ inline float gauss(float a) {
  const float s = a * a, low = fmaf(a, a, -s);
  const float e = ::exp(-0.5f * s);
  return fmaf(e, -0.5f * low, e);
}
__device__ inline float gelu(float x) {
  const float a = fminf(fabsf(x), 14.3f);
  const float tail = a * gauss(a) * (0.5f * erfcxf(a * 0.70710678f));
  return fmaf(x, x > 0.0f ? 1.0f : 0.0f, -tail);
}
__device__ inline float gelu_grad(float x) {
  const float a = fminf(fabsf(x), 14.3f);
  const float u = gauss(a) * fmaf(a, -0.39894228f, 0.5f * erfcxf(a * 0.70710678f));
  return x > 0.0f ? 1.0f - u : u + 0.0f * x;
}

} // namespace flambeau::math
