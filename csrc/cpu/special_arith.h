// Division with remainders, logaddexp, xlogy, gcd and their like; CUDA kernels read it too.
#pragma once
#include <type_traits>

#include "division.h"
#include "vecmath.h"

namespace flambeau::math {

template<class T>
  requires std::is_integral_v<T>
FB_MATH T fmod(T a, T b) {
  if (b == T(0)) return division_by_zero<T>();
  if constexpr (std::is_signed_v<T>)
    if (b == T(-1)) return T(0); // the machine's division would overflow
  return T(a % b);
}

// Python's %: the sign of the divisor.
template<class T>
FB_MATH T remainder(T a, T b) {
  const T r = fmod(a, b);
  return (r != T(0)) & ((b < T(0)) != (r < T(0))) ? T(r + b) : r;
}

// Python's //. Floats go through fmod, so that floor_divide(a, b) b + remainder(a, b) is a.
template<class T>
FB_MATH T floor_divide(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    if (b == T(0)) return division_by_zero<T>();
    if constexpr (std::is_signed_v<T>) {
      using U = std::make_unsigned_t<T>;
      if (b == T(-1)) return T(U(0) - U(a));
    }
    const T q = T(a / b), r = T(a % b);
    return r != T(0) && ((b < T(0)) != (r < T(0))) ? T(q - 1) : q;
  } else {
    const T r = fmod(a, b), whole = (a - r) / b;
    const T q = whole - ((r != T(0)) & ((b < T(0)) != (r < T(0))) ? T(1) : T(0));
    const T f = std::floor(q), near = q - f > T(0.5) ? f + T(1) : f;
    const T y = q == T(0) ? copysign(T(0), a / b) : near;
    return b == T(0) ? a / b : y;
  }
}

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
  return abs(a); // the lowest number has no opposite, and its remainders are negative
}
template<class T>
  requires std::is_integral_v<T>
inline T lcm(T a, T b) {
  const T g = gcd(a, b);
  return g == T(0) ? T(0) : abs(T(T(a / g) * b));
}

} // namespace flambeau::math
