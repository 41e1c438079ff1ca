// Scalar formulas of the elementwise rows that are not vector math; CUDA kernels read it too.
#pragma once
#include <cmath>
#include <limits>
#include <type_traits>

#include "../core/dtype.h"
#include "special_math.h"
#include "vecmath.h"

namespace flambeau::math {

template<class T>
constexpr bool is_cpx = std::is_same_v<T, c64> || std::is_same_v<T, c128>;
template<class T>
constexpr bool is_flt = std::is_floating_point_v<T>;

template<class T>
FB_INLINE T conj(T x) {
  if constexpr (is_cpx<T>)
    return std::conj(x);
  else
    return x;
}
template<class T>
FB_INLINE T floor(T x) {
  if constexpr (is_flt<T>)
    return std::floor(x);
  else
    return x;
}
template<class T>
FB_INLINE T ceil(T x) {
  if constexpr (is_flt<T>)
    return std::ceil(x);
  else
    return x;
}
template<class T>
FB_INLINE T trunc(T x) {
  if constexpr (is_flt<T>)
    return std::trunc(x);
  else
    return x;
}
template<class T>
FB_INLINE T rint(T x) {
  if constexpr (is_flt<T>)
    return std::rint(x);
  else
    return x;
}
template<class T>
FB_INLINE T round_to(T x, double decimals) {
  if constexpr (!is_flt<T>)
    return x;
  else {
    T ten = 1, places = T(decimals < 0 ? -decimals : decimals);
    for (; places > T(0); places -= T(1)) ten *= T(10);
    return decimals < 0 ? T(rint(x / ten) * ten) : T(rint(x * ten) / ten);
  }
}
template<class T>
FB_INLINE bool isinf(T x) {
  if constexpr (is_cpx<T>)
    return isinf(x.real()) || isinf(x.imag());
  else if constexpr (is_flt<T>)
    return x == std::numeric_limits<T>::infinity() || x == -std::numeric_limits<T>::infinity();
  else
    return false;
}
template<class T>
FB_INLINE bool isfinite(T x) {
  if constexpr (is_cpx<T>)
    return isfinite(x.real()) && isfinite(x.imag());
  else if constexpr (is_flt<T>)
    return x - x == T(0);
  else
    return true;
}
template<class T>
FB_INLINE bool signbit(T x) {
  if constexpr (std::is_same_v<T, float>)
    return std::bit_cast<int32_t>(x) < 0;
  else if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<int64_t>(x) < 0;
  else if constexpr (std::is_signed_v<T>)
    return x < 0;
  else
    return false;
}
template<class T>
FB_INLINE bool is_zero(T x) {
  if constexpr (std::is_same_v<T, bool>)
    return bool(std::bit_cast<uint8_t>(x) ^ 1); // vectorises, as !x does not
  else
    return x == T(0);
}
template<class T>
FB_INLINE T bit_not(T x) {
  if constexpr (std::is_same_v<T, bool>)
    return is_zero(x);
  else
    return T(~x);
}
template<class T>
FB_INLINE T clamp(T x, T lo, T hi) {
  T y = x < lo ? lo : x; // NaN stays NaN
  return y > hi ? hi : y;
}
template<class T>
FB_INLINE T maximum(T a, T b) {
  return a != a ? a : (a > b ? a : b);
}
template<class T>
FB_INLINE T minimum(T a, T b) {
  return a != a ? a : (a < b ? a : b);
}

template<class T>
FB_INLINE T softplus(T x) {
  return maximum(x, T(0)) + log1p(exp(x > T(0) ? -x : x));
}
template<class T>
FB_INLINE T silu_grad(T g, T x) {
  T s = sigmoid(x);
  return g * s * (T(1) + x * (T(1) - s));
}
// x * Phi(x), by erfc so that the negative tail keeps its relative precision.
template<class T>
FB_INLINE T gelu(T x) {
  return T(0.5) * x * erfc(-x * T(0.7071067811865476));
}
template<class T>
FB_INLINE T gelu_grad(T x) {
  T phi = exp(T(-0.5) * x * x) * T(0.3989422804014327);
  return T(0.5) * erfc(-x * T(0.7071067811865476)) + x * phi;
}
template<class T>
FB_INLINE T gelu_tanh(T x) {
  T u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x);
  return T(0.5) * x * (T(1) + tanh(u));
}
template<class T>
FB_INLINE T gelu_tanh_grad(T x) {
  T u = T(0.7978845608028654) * (x + T(0.044715) * x * x * x);
  T t = tanh(u), du = T(0.7978845608028654) * (T(1) + T(3 * 0.044715) * x * x);
  return T(0.5) * (T(1) + t) + T(0.5) * x * (T(1) - t * t) * du;
}

template<class T>
FB_INLINE T trunc_divide(T a, T b) {
  if constexpr (is_flt<T>)
    return trunc(a / b);
  else {
    if (b == T(0)) return division_by_zero<T>();
    if constexpr (std::is_signed_v<T>)
      if (b == T(-1)) return T(std::make_unsigned_t<T>(0) - std::make_unsigned_t<T>(a));
    return T(a / b);
  }
}
template<class T>
FB_INLINE T shift_left(T a, T b) {
  using U = std::make_unsigned_t<T>;
  return b < T(0) || b >= T(sizeof(T) * 8) ? T(0) : T(U(a) << b);
}
template<class T>
FB_INLINE T shift_right(T a, T b) {
  using U = std::make_unsigned_t<T>;
  constexpr T last = T(sizeof(T) * 8 - 1);
  const T by = b < T(0) || b > last ? last : b;
  if constexpr (sizeof(T) < 8) return T(a >> by);
  const U sign = a < T(0) ? ~U(0) : U(0); // 64-bit vectors shift only without the sign
  return T(U(U(a) ^ sign) >> by ^ sign);
}

// log(x / (1 - x)), x first limited to [eps, 1 - eps] unless eps is negative.
template<class T>
FB_INLINE T log_odds(T x, T eps) {
  const T low = eps >= T(0) ? eps : T(-inf_d), high = eps >= T(0) ? T(1) - eps : T(inf_d);
  x = clamp(x, low, high);
  return log(x / (T(1) - x));
}
template<class T>
FB_INLINE T finite_number(T x, T nan, T high, T low) {
  if constexpr (!is_flt<T>)
    return x;
  else
    return x != x ? nan : !isinf(x) ? x : x > T(0) ? high : low;
}

} // namespace flambeau::math
