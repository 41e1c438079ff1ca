// Element types of the kernels: integers, halves, complex numbers, and conversions among them.
//
// First of every kernel's texts; needs nothing. Behind it come vecmath_core.h, math.cuh and others,
// as formula_files.h says. NVRTC has no standard headers: namespace std holds here what the texts
// shared with the CPU use of them.
#pragma once

#define FB_HAVE_FMA 1
#define INFINITY __builtin_bit_cast(float, 0x7f800000u)
#define NAN __builtin_bit_cast(float, 0x7fc00000u)

namespace flambeau {
using int8_t = signed char;
using int16_t = short;
using int32_t = int;
using int64_t = long long;
using uint8_t = unsigned char;
using uint16_t = unsigned short;
using uint32_t = unsigned int;
using uint64_t = unsigned long long;
using i64 = int64_t;
} // namespace flambeau

namespace std {
template<class A, class B>
constexpr bool is_same_v = false;
template<class A>
constexpr bool is_same_v<A, A> = true;
template<bool yes, class A, class B>
struct conditional {
  using type = A;
};
template<class A, class B>
struct conditional<false, A, B> {
  using type = B;
};
template<bool yes, class A, class B>
using conditional_t = typename conditional<yes, A, B>::type;
template<bool yes, class T = void>
struct enable_if {};
template<class T>
struct enable_if<true, T> {
  using type = T;
};
template<bool yes, class T = void>
using enable_if_t = typename enable_if<yes, T>::type;

template<class T>
struct make_unsigned;
template<class T>
constexpr bool is_integral_v = false;
#define FB_INTEGER(S, U)                           \
  template<>                                       \
  constexpr bool is_integral_v<S> = true;          \
  template<>                                       \
  constexpr bool is_integral_v<unsigned U> = true; \
  template<>                                       \
  struct make_unsigned<S> {                        \
    using type = unsigned U;                       \
  };                                               \
  template<>                                       \
  struct make_unsigned<unsigned U> {               \
    using type = unsigned U;                       \
  };
FB_INTEGER(signed char, char)
FB_INTEGER(short, short)
FB_INTEGER(int, int)
FB_INTEGER(long, long)
FB_INTEGER(long long, long long)
#undef FB_INTEGER
template<>
constexpr bool is_integral_v<bool> = true;
template<class T>
using make_unsigned_t = typename make_unsigned<T>::type;
template<class T>
constexpr bool is_floating_point_v = is_same_v<T, float> || is_same_v<T, double>;
template<class T>
constexpr bool is_arithmetic_v = is_integral_v<T> || is_floating_point_v<T>;
template<class T>
constexpr bool is_signed_v = is_arithmetic_v<T> && T(-1) < T(0);
template<>
constexpr bool is_signed_v<bool> = false;
template<class T>
constexpr bool is_unsigned_v = is_integral_v<T> && !is_signed_v<T>;

template<class To, class From>
inline constexpr To bit_cast(const From& x) {
  return __builtin_bit_cast(To, x);
}

template<class T>
struct numeric_limits { // of integers
  static constexpr int digits = 8 * sizeof(T) - is_signed_v<T>;
  static constexpr T max() { return T(~0ull >> (64 - digits)); }
  static constexpr T min() { return T(~max()); }
  static constexpr T lowest() { return min(); }
};
template<>
struct numeric_limits<bool> {
  static constexpr bool max() { return true; }
  static constexpr bool min() { return false; }
  static constexpr bool lowest() { return false; }
};
template<>
struct numeric_limits<float> {
  static constexpr float infinity() { return INFINITY; }
  static constexpr float quiet_NaN() { return NAN; }
  static constexpr float max() { return 0x1.fffffep+127f; }
  static constexpr float min() { return 0x1p-126f; }
  static constexpr float lowest() { return -max(); }
  static constexpr float epsilon() { return 0x1p-23f; }
};
template<>
struct numeric_limits<double> {
  static constexpr double infinity() { return INFINITY; }
  static constexpr double quiet_NaN() { return NAN; }
  static constexpr double max() { return 0x1.fffffffffffffp+1023; }
  static constexpr double min() { return 0x1p-1022; }
  static constexpr double lowest() { return -max(); }
  static constexpr double epsilon() { return 0x1p-52; }
};

// CUDA's own, for float and double.
using ::acos;
using ::acosh;
using ::asin;
using ::asinh;
using ::atan;
using ::atan2;
using ::atanh;
using ::ceil;
using ::copysign;
using ::cos;
using ::cosh;
using ::erf;
using ::erfc;
using ::exp;
using ::exp2;
using ::expm1;
using ::fabs;
using ::floor;
using ::fma;
using ::fmax;
using ::fmin;
using ::fmod;
using ::hypot;
using ::ldexp;
using ::lgamma;
using ::log;
using ::log10;
using ::log1p;
using ::log2;
using ::nextafter;
using ::pow;
using ::rint;
using ::round;
using ::sin;
using ::sinh;
using ::sqrt;
using ::tan;
using ::tanh;
using ::trunc;
} // namespace std

namespace flambeau {

// ---- halves: storage types, computed with in float; rounded to the nearest, ties to even ----
struct f16 {
  uint16_t bits;
  f16() = default;
  __forceinline__ f16(float v) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v)); }
  __forceinline__ operator float() const {
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(bits));
    return v;
  }
};
struct bf16 {
  uint16_t bits;
  bf16() = default;
  __forceinline__ bf16(float v) { // by hand: the instruction needs compute capability 9.0
    const uint32_t u = __float_as_uint(v), even = u + 0x7fffu + ((u >> 16) & 1u);
    bits = uint16_t(v != v ? 0x7fc0u | ((u >> 16) & 0x8000u) : even >> 16);
  }
  __forceinline__ operator float() const { return __uint_as_float(uint32_t(bits) << 16); }
};

// ---- complex numbers ----
// Products that must not become part of a fused multiply-add: z * conj(z) is real exactly.
__forceinline__ float product(float a, float b) { return __fmul_rn(a, b); }
__forceinline__ double product(double a, double b) { return __dmul_rn(a, b); }

template<class T>
struct alignas(2 * sizeof(T)) cpx {
  using value_type = T;
  T re, im;

  cpx() = default;
  __forceinline__ constexpr cpx(T re, T im = T(0)) : re(re), im(im) {}
  template<class U>
  __forceinline__ explicit constexpr cpx(cpx<U> z) : re(T(z.re)), im(T(z.im)) {}
  __forceinline__ constexpr T real() const { return re; }
  __forceinline__ constexpr T imag() const { return im; }

  friend __forceinline__ cpx operator+(cpx a) { return a; }
  friend __forceinline__ cpx operator-(cpx a) { return {-a.re, -a.im}; }
  friend __forceinline__ cpx operator+(cpx a, cpx b) { return {a.re + b.re, a.im + b.im}; }
  friend __forceinline__ cpx operator+(cpx a, T b) { return {a.re + b, a.im}; }
  friend __forceinline__ cpx operator+(T a, cpx b) { return {a + b.re, b.im}; }
  friend __forceinline__ cpx operator-(cpx a, cpx b) { return {a.re - b.re, a.im - b.im}; }
  friend __forceinline__ cpx operator-(cpx a, T b) { return {a.re - b, a.im}; }
  friend __forceinline__ cpx operator-(T a, cpx b) { return {a - b.re, -b.im}; }
  friend __forceinline__ cpx operator*(cpx a, cpx b) { return multiply(a, b); }
  friend __forceinline__ cpx operator*(cpx a, T b) { return {a.re * b, a.im * b}; }
  friend __forceinline__ cpx operator*(T a, cpx b) { return {a * b.re, a * b.im}; }
  friend __forceinline__ cpx operator/(cpx a, cpx b) { return divide(a, b); }
  friend __forceinline__ cpx operator/(cpx a, T b) { return {a.re / b, a.im / b}; }
  friend __forceinline__ cpx operator/(T a, cpx b) { return divide(cpx(a), b); }
  friend __forceinline__ bool operator==(cpx a, cpx b) { return a.re == b.re && a.im == b.im; }
  friend __forceinline__ bool operator!=(cpx a, cpx b) { return !(a == b); }
  template<class U>
  __forceinline__ cpx& operator+=(U b) {
    return *this = *this + b;
  }
  template<class U>
  __forceinline__ cpx& operator-=(U b) {
    return *this = *this - b;
  }
  template<class U>
  __forceinline__ cpx& operator*=(U b) {
    return *this = *this * b;
  }
  template<class U>
  __forceinline__ cpx& operator/=(U b) {
    return *this = *this / b;
  }
};
using c64 = cpx<float>;
using c128 = cpx<double>;
template<class T>
constexpr bool is_complex_v = std::is_same_v<T, c64> || std::is_same_v<T, c128>;
template<class T>
constexpr bool is_half_v = std::is_same_v<T, f16> || std::is_same_v<T, bf16>;

namespace detail {
template<class T>
__forceinline__ bool infinite(T x) {
  return std::fabs(x) == T(INFINITY);
}
template<class T>
__forceinline__ bool infinite(cpx<T> z) {
  return infinite(z.re) || infinite(z.im);
}
template<class T>
__forceinline__ bool finite(cpx<T> z) {
  return z.re - z.re == T(0) && z.im - z.im == T(0);
}
// An infinite number as a direction: infinite parts become 1, others 0 (C's Annex G).
template<class T>
__forceinline__ cpx<T> direction(cpx<T> z) {
  return {std::copysign(T(infinite(z.re)), z.re), std::copysign(T(infinite(z.im)), z.im)};
}
template<class T>
__forceinline__ cpx<T> zero_nans(cpx<T> z) {
  return {z.re != z.re ? std::copysign(T(0), z.re) : z.re,
          z.im != z.im ? std::copysign(T(0), z.im) : z.im};
}
// What a * b is if both its parts came out NaN: infinity times nonzero is infinite (C G.5.1).
template<class T>
__noinline__ cpx<T> recover_product(cpx<T> a, cpx<T> b) {
  const bool big_a = infinite(a), big_b = infinite(b);
  const bool over = infinite(a.re * b.re) || infinite(a.im * b.im) || infinite(a.re * b.im) ||
                    infinite(a.im * b.re);
  if (!big_a && !big_b && !over) return {T(NAN), T(NAN)};
  a = zero_nans(big_a ? direction(a) : a);
  b = zero_nans(big_b ? direction(b) : b);
  return {T(INFINITY) * (a.re * b.re - a.im * b.im), T(INFINITY) * (a.re * b.im + a.im * b.re)};
}
template<class T>
__noinline__ cpx<T> recover_quotient(cpx<T> a, cpx<T> b) {
  if (b.re == T(0) && b.im == T(0)) {
    const T inf = std::copysign(T(INFINITY), b.re);
    return {inf * a.re, inf * a.im};
  }
  T scale = T(NAN);
  if (infinite(a) && finite(b)) {
    a = direction(a);
    scale = T(INFINITY);
  } else if (infinite(b) && finite(a)) {
    b = direction(b);
    scale = T(0);
  }
  return {scale * (a.re * b.re + a.im * b.im), scale * (a.im * b.re - a.re * b.im)};
}
} // namespace detail

template<class T>
__forceinline__ cpx<T> multiply(cpx<T> a, cpx<T> b) {
  const cpx<T> z(product(a.re, b.re) - product(a.im, b.im),
                 product(a.re, b.im) + product(a.im, b.re));
  return z.re != z.re && z.im != z.im ? detail::recover_product(a, b) : z;
}
__forceinline__ c64 divide(c64 a, c64 b) { // in double nothing overflows on the way
  const double p = a.re, q = a.im, r = b.re, s = b.im, d = r * r + s * s;
  const c64 z(float((p * r + q * s) / d), float((q * r - p * s) / d));
  return z.re != z.re && z.im != z.im ? detail::recover_quotient(a, b) : z;
}
// Both operands are brought by powers of two to where squares neither overflow nor vanish.
__forceinline__ c128 divide(c128 a, c128 b) {
  const double top = std::fmax(std::fabs(a.re), std::fabs(a.im));
  const double low = std::fmax(std::fabs(b.re), std::fabs(b.im));
  const double up = top > 0x1p500 ? 0x1p-600 : top < 0x1p-400 ? 0x1p600 : 1.0;
  const double down = low > 0x1p500 ? 0x1p-600 : low < 0x1p-500 ? 0x1p600 : 1.0;
  const double p = a.re * up, q = a.im * up, r = b.re * down, s = b.im * down;
  const double d = product(r, r) + product(s, s);
  const double re = (product(p, r) + product(q, s)) / d, im = (product(q, r) - product(p, s)) / d;
  const double back = 1.0 / up;
  const c128 z = up == down ? c128(re, im) : c128(re * down * back, im * down * back);
  return z.re != z.re && z.im != z.im ? detail::recover_quotient(a, b) : z;
}

// ---- conversions ----
// The type that values of type T are computed in.
template<class T>
using compute_t = std::conditional_t<is_half_v<T>, float, T>;

namespace detail {
// x86's float to integer: what does not fit, and NaN, gives the lowest number.
template<class F>
__forceinline__ int32_t to_i32(F v) {
  return std::fabs(v) < F(0x1p31) ? int32_t(v) : std::numeric_limits<int32_t>::min();
}
template<class F>
__forceinline__ int64_t to_i64(F v) {
  return std::fabs(v) < F(0x1p63) ? int64_t(v) : std::numeric_limits<int64_t>::min();
}
template<class To, class F>
__forceinline__ To to_integer(F v) {
  if constexpr (sizeof(To) < 4 || std::is_same_v<To, int32_t>)
    return To(to_i32(v));
  else if constexpr (sizeof(To) == 4 || std::is_signed_v<To>)
    return To(to_i64(v));
  else
    return v >= F(0x1p63) ? To(to_i64(v - F(0x1p63))) ^ (To(1) << 63) : To(to_i64(v));
}
} // namespace detail

// As csrc/cpu/cast.cpp converts, values outside the target's range included.
template<class To, class From>
__forceinline__ To convert(From v) {
  if constexpr (std::is_same_v<To, From>)
    return v;
  else if constexpr (is_half_v<From>)
    return convert<To>(float(v));
  else if constexpr (is_complex_v<From> && is_complex_v<To>)
    return To(v);
  else if constexpr (is_complex_v<To>)
    return To(typename To::value_type(v));
  else if constexpr (is_complex_v<From>) {
    if constexpr (std::is_same_v<To, bool>)
      return v.re != 0 || v.im != 0;
    else
      return convert<To>(v.re);
  } else if constexpr (std::is_same_v<To, bool>)
    return v != From(0);
  else if constexpr (is_half_v<To>)
    return To(float(v));
  else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>)
    return detail::to_integer<To>(v);
  else
    return To(v);
}

} // namespace flambeau

namespace std {
template<class T>
using complex = flambeau::cpx<T>;
template<class T>
__forceinline__ flambeau::cpx<T> conj(flambeau::cpx<T> z) {
  return {z.re, -z.im};
}
template<class T>
__forceinline__ T abs(flambeau::cpx<T> z) {
  return hypot(z.re, z.im);
}
template<class T>
__forceinline__ T arg(flambeau::cpx<T> z) {
  return atan2(z.im, z.re);
}
} // namespace std

using namespace flambeau;
