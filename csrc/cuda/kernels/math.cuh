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

} // namespace flambeau::math
