// Lane-wise handlers made from a formula, and the choice of one by the type that an opcode names.
#pragma once

#include <cmath>

#include "compiler.h"
#include "machine.h"

namespace cudasim {

template<class D, class A, auto F>
void op1(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const A* a = w.at<A>(in.o[1]);
  lanes(m, [&](int l) { d[l] = F(a[l]); });
}

template<class D, class A, class B, auto F>
void op2(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const A* a = w.at<A>(in.o[1]);
  const B* b = w.at<B>(in.o[2]);
  lanes(m, [&](int l) { d[l] = F(a[l], b[l]); });
}

template<class D, class A, class B, class C, auto F>
void op3(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const A* a = w.at<A>(in.o[1]);
  const B* b = w.at<B>(in.o[2]);
  const C* c = w.at<C>(in.o[3]);
  lanes(m, [&](int l) { d[l] = F(a[l], b[l], c[l]); });
}

template<class D, class A, class B, class C, class E, auto F>
void op4(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const A* a = w.at<A>(in.o[1]);
  const B* b = w.at<B>(in.o[2]);
  const C* c = w.at<C>(in.o[3]);
  const E* e = w.at<E>(in.o[4]);
  lanes(m, [&](int l) { d[l] = F(a[l], b[l], c[l], e[l]); });
}

// `make` is a lambda with one template parameter, the C++ type; it returns the handler.
template<class M>
Handler pick_int(Raw& raw, Type t, M make) {
  switch (t) {
  case Type::U16:
  case Type::B16: return make.template operator()<uint16_t>();
  case Type::U32:
  case Type::B32: return make.template operator()<uint32_t>();
  case Type::U64:
  case Type::B64: return make.template operator()<uint64_t>();
  case Type::S16: return make.template operator()<int16_t>();
  case Type::S32: return make.template operator()<int32_t>();
  case Type::S64: return make.template operator()<int64_t>();
  default: raw.reject("this type does not go with it");
  }
}

template<class M>
Handler pick_bits(Raw& raw, Type t, M make) {
  switch (size_of(t)) {
  case 2: return make.template operator()<uint16_t>();
  case 4: return make.template operator()<uint32_t>();
  case 8: return make.template operator()<uint64_t>();
  default: raw.reject("this type does not go with it");
  }
}

template<class M>
Handler pick_float(Raw& raw, Type t, M make) {
  switch (t) {
  case Type::F32: return make.template operator()<float>();
  case Type::F64: return make.template operator()<double>();
  default: raw.reject("this type does not go with it");
  }
}

// Emits `h` with operand k of type types[k]; the first one is the destination.
Insn& emit_typed(Builder& b, Raw& raw, Handler h, std::initializer_list<Type> types);
void expect_operands(Raw& raw, size_t count);

inline float as_float(uint32_t v) {
  float f;
  std::memcpy(&f, &v, 4);
  return f;
}
inline uint32_t as_bits(float v) {
  uint32_t f;
  std::memcpy(&f, &v, 4);
  return f;
}
inline double as_double(uint64_t v) {
  double f;
  std::memcpy(&f, &v, 8);
  return f;
}
inline uint64_t as_bits(double v) {
  uint64_t f;
  std::memcpy(&f, &v, 8);
  return f;
}
// A subnormal becomes a zero of its sign.
inline float flush(float v) { return std::fabs(v) < 0x1p-126f ? std::copysign(0.0f, v) : v; }
// PTX's canonical NaN, which its arithmetic gives.
inline float plain_nan(float v) { return v != v ? as_float(0x7fffffff) : v; }
inline double plain_nan(double v) { return v; }

} // namespace cudasim
