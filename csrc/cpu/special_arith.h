// Division with remainders, hypot, logaddexp, xlogy, gcd and their like, for every value type.
#pragma once
#include <type_traits>

#include "vecmath.h"

namespace flambeau::math {

// Defined where errors are (formulas.h); integer division by zero ends there.
[[noreturn, gnu::cold]] inline void division_by_zero();

// a - trunc(a/b) b. With |a/b| < 2^28 the double product and difference are exact for floats.
FB_MATH float fmod(float a, float b) {
  const double x = abs(a), y = abs(b), q = x / y;
  if (!(q < 0x1p28) || y == inf_d) return __builtin_fmodf(a, b);
  double r = x - double(int32_t(q)) * y;
  r = r < 0.0 ? r + y : r;
  return copysign(float(r), a);
}
FB_MATH double fmod(double a, double b) { return __builtin_fmod(a, b); }
template<class T>
  requires std::is_integral_v<T>
FB_MATH T fmod(T a, T b) {
  if (b == T(0)) division_by_zero();
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1)) return T(0); // the machine's division would overflow
  return T(a % b);
}

// Python's %: the sign of the divisor.
template<class T>
FB_MATH T remainder(T a, T b) {
  const T r = fmod(a, b);
  return r != T(0) && ((b < T(0)) != (r < T(0))) ? T(r + b) : r;
}

// Python's //. Floats go through fmod, so that floor_divide(a, b) b + remainder(a, b) is a.
template<class T>
FB_MATH T floor_divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T(0)) division_by_zero();
    if constexpr (std::is_signed_v<T>) {
      using U = std::make_unsigned_t<T>;
      if (b == T(-1)) return T(U(0) - U(a));
    }
    const T q = T(a / b), r = T(a % b);
    return r != T(0) && ((b < T(0)) != (r < T(0))) ? T(q - 1) : q;
  } else {
    if (b == T(0)) return a / b;
    const T r = fmod(a, b);
    T q = (a - r) / b;
    if (r != T(0) && ((b < T(0)) != (r < T(0)))) q -= T(1);
    if (q == T(0)) return copysign(T(0), a / b);
    const T f = std::floor(q);
    return q - f > T(0.5) ? f + T(1) : f;
  }
}

FB_MATH float hypot(float a, float b) {
  const double x = a, y = b;
  const bool inf = abs(a) == inf_f || abs(b) == inf_f;
  return inf ? inf_f : float(__builtin_sqrt(x * x + y * y));
}
FB_MATH double hypot(double a, double b) { return __builtin_hypot(a, b); }

FB_MATH float nextafter(float a, float b) { return __builtin_nextafterf(a, b); }
FB_MATH double nextafter(double a, double b) { return __builtin_nextafter(a, b); }

// log(e^a + e^b) = max + log1p(e^-|a-b|); equal infinities are their own answer.
template<class T>
FB_MATH T logaddexp(T a, T b) {
  const T m = a > b || a != a ? a : b, d = abs(a - b);
  return a == b && abs(a) == T(inf_d) ? a : m + log1p(exp(-d));
}
template<class T>
FB_MATH T logaddexp2(T a, T b) {
  const T m = a > b || a != a ? a : b, d = abs(a - b);
  const T y = m + log1p(exp2(-d)) * T(0x1.71547652b82fep+0);
  return a == b && abs(a) == T(inf_d) ? a : y;
}

// x log(y), and 0 where x is 0 unless y is NaN.
template<class T>
FB_MATH T xlogy(T x, T y) {
  const T v = x * log(y);
  return y != y ? y : x == T(0) ? T(0) : v;
}
template<class T>
FB_MATH T xlog1py(T x, T y) {
  const T v = x * log1p(y);
  return y != y ? y : x == T(0) ? T(0) : v;
}
// -x log(x), 0 at 0 and -inf below.
template<class T>
FB_MATH T entr(T x) {
  const T v = -x * log(x);
  return x != x ? x : x > T(0) ? v : x == T(0) ? T(0) : T(-inf_d);
}

template<class T>
  requires std::is_integral_v<T>
inline T gcd(T a, T b) {
  a = abs(a);
  b = abs(b);
  while (b != T(0)) {
    const T r = fmod(a, b);
    a = b;
    b = r;
  }
  return a;
}
template<class T>
  requires std::is_integral_v<T>
inline T lcm(T a, T b) {
  const T g = gcd(a, b);
  return g == T(0) ? T(0) : abs(T(T(a / g) * b));
}

} // namespace flambeau::math
