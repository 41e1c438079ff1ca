// DType: the element types, their sizes and names, and the promotion table.
#pragma once
#include <bit>
#include <complex>
#include <cstdint>
#include <cstring>
#include <string>

#include "error.h"

namespace flambeau {

// 16-bit floats are storage types: kernels compute on them in float32.
struct f16 {
  uint16_t bits;
  f16() = default;
  f16(float v);
  operator float() const;
};
struct bf16 {
  uint16_t bits;
  bf16() = default;
  bf16(float v) {
    uint32_t u = std::bit_cast<uint32_t>(v);
    uint32_t rounded = (u + 0x7fffu + ((u >> 16) & 1)) >> 16;
    bits = uint16_t(v != v ? 0x7fc0u | ((u >> 16) & 0x8000u) : rounded);
  }
  operator float() const { return std::bit_cast<float>(uint32_t(bits) << 16); }
};
using c64 = std::complex<float>;
using c128 = std::complex<double>;

inline f16::f16(float v) {
  uint32_t u = std::bit_cast<uint32_t>(v), sign = (u >> 16) & 0x8000u, a = u & 0x7fffffffu;
  // Adding 0.5f shifts the mantissa of a subnormal half into place, correctly rounded.
  uint32_t sub = std::bit_cast<uint32_t>(std::bit_cast<float>(a) + 0.5f) - 0x3f000000u;
  uint32_t norm = (a - 0x38000000u + 0xfffu + ((a >> 13) & 1)) >> 13;
  uint32_t r = a < 0x38800000u ? sub : norm;
  r = a >= 0x477ff000u ? 0x7c00u : r;
  r = a > 0x7f800000u ? 0x7e00u : r;
  bits = uint16_t(r | sign);
}
inline f16::operator float() const {
  uint32_t sign = uint32_t(bits & 0x8000u) << 16, a = bits & 0x7fffu;
  uint32_t norm = (a << 13) + 0x38000000u;
  uint32_t sub = std::bit_cast<uint32_t>(std::bit_cast<float>((a << 13) + 0x38800000u) -
                                         std::bit_cast<float>(0x38800000u));
  uint32_t r = a < 0x400u ? sub : norm;
  r = a >= 0x7c00u ? (a << 13) | 0x7f800000u : r;
  return std::bit_cast<float>(r | sign);
}

enum class DType : uint8_t {
  Bool,
  U8,
  I8,
  I16,
  I32,
  I64,
  U16,
  U32,
  U64,
  F16,
  BF16,
  F32,
  F64,
  C64,
  C128
};
constexpr int kDTypes = 15;

namespace detail {
struct DTypeInfo {
  const char* name;
  uint8_t size;
};
constexpr DTypeInfo kInfo[kDTypes] = {
    {"bool", 1},     {"uint8", 1},   {"int8", 1},    {"int16", 2},     {"int32", 4},
    {"int64", 8},    {"uint16", 2},  {"uint32", 4},  {"uint64", 8},    {"float16", 2},
    {"bfloat16", 2}, {"float32", 4}, {"float64", 8}, {"complex64", 8}, {"complex128", 16}};
} // namespace detail

constexpr const char* name_of(DType t) { return detail::kInfo[int(t)].name; }
constexpr int size_of(DType t) { return detail::kInfo[int(t)].size; }
constexpr bool is_complex(DType t) { return t >= DType::C64; }
constexpr bool is_float(DType t) { return t >= DType::F16 && t <= DType::F64; }
constexpr bool is_half(DType t) { return t == DType::F16 || t == DType::BF16; }
constexpr bool is_integer(DType t) { return t >= DType::U8 && t <= DType::U64; }
constexpr bool is_integral(DType t) { return t <= DType::U64; } // with bool
constexpr bool is_inexact(DType t) { return t >= DType::F16; }
constexpr bool is_signed(DType t) {
  return t != DType::Bool && t != DType::U8 && !(t >= DType::U16 && t <= DType::U64);
}
constexpr DType real_of(DType t) {
  return t == DType::C64 ? DType::F32 : t == DType::C128 ? DType::F64 : t;
}
constexpr DType complex_of(DType t) {
  return is_complex(t) ? t : t == DType::F64 ? DType::C128 : DType::C64;
}
// The type in which kernels compute values of type t.
constexpr DType compute_type(DType t) { return is_half(t) ? DType::F32 : t; }
inline std::string to_str(DType t) { return name_of(t); }

DType promote(DType a, DType b);
// Whether a result of type `from` may be written into a tensor of type `to`.
bool can_cast(DType from, DType to);
DType default_dtype();
void set_default_dtype(DType t);
inline DType default_complex() { return complex_of(default_dtype()); }

// clang-format off
template<class T>
struct dtype_of_t;
#define FB_FOR_ALL_DTYPES(X)                                                        \
  X(bool, Bool) X(uint8_t, U8) X(int8_t, I8) X(int16_t, I16) X(int32_t, I32)        \
  X(int64_t, I64) X(uint16_t, U16) X(uint32_t, U32) X(uint64_t, U64) X(f16, F16)    \
  X(bf16, BF16) X(float, F32) X(double, F64) X(c64, C64) X(c128, C128)
#define FB_ROW(T, N)                         \
  template<>                                 \
  struct dtype_of_t<T> {                     \
    static constexpr DType value = DType::N; \
  };
FB_FOR_ALL_DTYPES(FB_ROW)
#undef FB_ROW
template<class T>
constexpr DType dtype_of = dtype_of_t<T>::value;

template<class T>
struct Tag {
  using type = T;
};

// dispatch_*(t, f): calls f(Tag<T>{}) with the C++ type of t; other types are an error.
#define FB_CASE(T) case dtype_of<T>: return f(Tag<T>{});
template<class F>
auto dispatch_all(DType t, F&& f) {
  switch (t) {
#define FB_ROW(T, N) FB_CASE(T)
    FB_FOR_ALL_DTYPES(FB_ROW)
#undef FB_ROW
  }
  __builtin_unreachable();
}
template<class F>
auto dispatch_float(DType t, const char* op, F&& f) { // f32, f64
  switch (t) {
    FB_CASE(float) FB_CASE(double)
    default: fail(ErrorKind::Runtime, "\"", op, "\" not implemented for '", t, "'");
  }
}
template<class F>
auto dispatch_inexact(DType t, const char* op, F&& f) { // and complex
  switch (t) {
    FB_CASE(float) FB_CASE(double) FB_CASE(c64) FB_CASE(c128)
    default: fail(ErrorKind::Runtime, "\"", op, "\" not implemented for '", t, "'");
  }
}
template<class F>
auto dispatch_int(DType t, const char* op, F&& f) { // integers, not bool
  switch (t) {
    FB_CASE(uint8_t) FB_CASE(int8_t) FB_CASE(int16_t) FB_CASE(int32_t) FB_CASE(int64_t)
    FB_CASE(uint16_t) FB_CASE(uint32_t) FB_CASE(uint64_t)
    default: fail(ErrorKind::Runtime, "\"", op, "\" not implemented for '", t, "'");
  }
}
// All compute types: bool, integers, f32, f64, complex (halves are widened by the caller).
template<class F>
auto dispatch_compute(DType t, const char* op, F&& f) {
  switch (t) {
    FB_CASE(bool) FB_CASE(uint8_t) FB_CASE(int8_t) FB_CASE(int16_t) FB_CASE(int32_t)
    FB_CASE(int64_t) FB_CASE(uint16_t) FB_CASE(uint32_t) FB_CASE(uint64_t) FB_CASE(float)
    FB_CASE(double) FB_CASE(c64) FB_CASE(c128)
    default: fail(ErrorKind::Runtime, "\"", op, "\" not implemented for '", t, "'");
  }
}
// clang-format on
// Types of one byte width, for kernels that only move elements.
template<class F>
auto dispatch_size(int bytes, F&& f) {
  struct b16 {
    uint64_t a, b;
  };
  switch (bytes) {
  case 1: return f(Tag<uint8_t>{});
  case 2: return f(Tag<uint16_t>{});
  case 4: return f(Tag<uint32_t>{});
  case 8: return f(Tag<uint64_t>{});
  default: return f(Tag<b16>{});
  }
}

} // namespace flambeau
