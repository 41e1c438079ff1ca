// Complex overloads of the vector math names; CUDA kernels read it too.
#pragma once
#include <complex>

#include "vecmath_f32.h"
#include "vecmath_f64.h"
#include "vecmath_trig.h"

namespace flambeau::math {

#define FB_COMPLEX_UNARY(name)                     \
  template<class T>                                \
  inline std::complex<T> name(std::complex<T> x) { \
    return std::name(x);                           \
  }
FB_COMPLEX_UNARY(exp)
FB_COMPLEX_UNARY(log)
FB_COMPLEX_UNARY(log10)
FB_COMPLEX_UNARY(sqrt)
FB_COMPLEX_UNARY(sin)
FB_COMPLEX_UNARY(cos)
FB_COMPLEX_UNARY(tan)
FB_COMPLEX_UNARY(asin)
FB_COMPLEX_UNARY(acos)
FB_COMPLEX_UNARY(atan)
FB_COMPLEX_UNARY(sinh)
FB_COMPLEX_UNARY(cosh)
FB_COMPLEX_UNARY(tanh)
FB_COMPLEX_UNARY(asinh)
FB_COMPLEX_UNARY(acosh)
FB_COMPLEX_UNARY(atanh)
#undef FB_COMPLEX_UNARY

template<class T>
inline std::complex<T> log2(std::complex<T> x) {
  return std::log(x) * T(0x1.71547652b82fep+0);
}
template<class T>
inline std::complex<T> exp2(std::complex<T> x) {
  return std::exp(x * T(0x1.62e42fefa39efp-1));
}
// exp(a+bi) - 1 = (expm1(a) cos b - 2 sin^2(b/2)) + i e^a sin b.
template<class T>
inline std::complex<T> expm1(std::complex<T> x) {
  const T a = x.real(), b = x.imag(), s = sin(b * T(0.5));
  return {expm1(a) * cos(b) - T(2) * s * s, exp(a) * sin(b)};
}
// log|1+z| by log1p((|1+z|^2 - 1) / 2 ...), exact for small z.
template<class T>
inline std::complex<T> log1p(std::complex<T> z) {
  const T a = z.real(), b = z.imag();
  if (abs(a) < T(0.5) && abs(b) < T(0.5))
    return {T(0.5) * log1p(a * (T(2) + a) + b * b), std::atan2(b, T(1) + a)};
  return std::log(T(1) + z);
}
template<class T>
inline std::complex<T> rsqrt(std::complex<T> x) {
  return T(1) / std::sqrt(x);
}
template<class T>
inline std::complex<T> sigmoid(std::complex<T> x) {
  return T(1) / (T(1) + std::exp(-x));
}
template<class T>
inline std::complex<T> pow(std::complex<T> x, std::complex<T> y) {
  if (y == std::complex<T>(0)) return T(1);
  return x == std::complex<T>(0) && y.imag() == T(0) && y.real() > T(0) ? T(0) : std::pow(x, y);
}
template<class T>
inline T abs(std::complex<T> x) {
  return std::abs(x);
}
template<class T>
inline T angle(std::complex<T> x) {
  return std::arg(x);
}
template<class T>
inline std::complex<T> sgn(std::complex<T> x) {
  const T m = std::abs(x);
  return m == T(0) ? std::complex<T>(0) : x / m;
}

} // namespace flambeau::math
