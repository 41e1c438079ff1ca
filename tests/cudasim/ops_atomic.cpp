// Atomic operations: atom and red.
#include <algorithm>

#include "half.h"

namespace cudasim {

Space read_space(Raw& raw);
void ignore_hints(Raw& raw);

namespace {

// o: d, a, b, address (b doubles as the comparand of cas, whose new value is c)
// `F(old, x, y)` is the new value in memory.
template<class T, auto F>
void atomic(Warp& w, const Insn& in, Mask m) {
  uint8_t* p[kLanes];
  resolve(w, in, m, in.o[3], sizeof(T), Access::Atomic, p);
  T* d = in.o[0] == kNone ? nullptr : w.at<T>(in.o[0]);
  const T* x = w.at<T>(in.o[1]);
  const T* y = in.o[2] == kNone ? x : w.at<T>(in.o[2]);
  // the order of the lanes is not defined: random mode goes the other way round
  bool back = modes.order != Order::Forward;
  for (Mask rest = m; rest;) {
    int l = back ? 31 - __builtin_clz(rest) : __builtin_ctz(rest);
    rest &= ~(1u << l);
    T old;
    std::memcpy(&old, p[l], sizeof(T));
    T v = F(old, x[l], y[l]);
    std::memcpy(p[l], &v, sizeof(T));
    if (d) d[l] = old;
  }
}

// Packed halves and single halves.
template<class H, int N>
void atomic_half_add(Warp& w, const Insn& in, Mask m) {
  using T = std::conditional_t<N == 2, uint32_t, uint16_t>;
  uint8_t* p[kLanes];
  resolve(w, in, m, in.o[3], sizeof(T), Access::Atomic, p);
  T* d = in.o[0] == kNone ? nullptr : w.at<T>(in.o[0]);
  const T* x = w.at<T>(in.o[1]);
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    T old, v = 0;
    std::memcpy(&old, p[l], sizeof(T));
    for (int k = 0; k < N; ++k) {
      double s = H::widen(uint16_t(old >> 16 * k)) + H::widen(uint16_t(x[l] >> 16 * k));
      v |= T(T(H::narrow(s)) << 16 * k);
    }
    std::memcpy(p[l], &v, sizeof(T));
    if (d) d[l] = old;
  }
}

template<class T>
T increment(T old, T x, T) {
  return old >= x ? 0 : old + 1;
}
template<class T>
T decrement(T old, T x, T) {
  return old == 0 || old > x ? x : old - 1;
}

Handler pick_float_atomic(Raw& raw, std::string_view op, Type t) {
  if (op != "add") raw.reject("floats have only .add");
  switch (t) {
  case Type::F32: return atomic<float, [](float o, float x, float) { return o + x; }>;
  case Type::F64: return atomic<double, [](double o, double x, double) { return o + x; }>;
  case Type::F16: return atomic_half_add<F16, 1>;
  case Type::BF16: return atomic_half_add<BF16, 1>;
  case Type::F16x2: return atomic_half_add<F16, 2>;
  case Type::BF16x2: return atomic_half_add<BF16, 2>;
  default: raw.reject("this type does not go with it");
  }
}

Handler pick_atomic(Raw& raw, std::string_view op, Type t) {
  if (is_float(t)) return pick_float_atomic(raw, op, t);
  return pick_int(raw, t, [&]<class T>() -> Handler {
    if (op == "add") return atomic<T, [](T o, T x, T) { return T(o + x); }>;
    if (op == "min") return atomic<T, [](T o, T x, T) { return std::min(o, x); }>;
    if (op == "max") return atomic<T, [](T o, T x, T) { return std::max(o, x); }>;
    if (op == "and") return atomic<T, [](T o, T x, T) { return T(o & x); }>;
    if (op == "or") return atomic<T, [](T o, T x, T) { return T(o | x); }>;
    if (op == "xor") return atomic<T, [](T o, T x, T) { return T(o ^ x); }>;
    if (op == "exch") return atomic<T, [](T, T x, T) { return x; }>;
    if (op == "cas") return atomic<T, [](T o, T x, T y) { return o == x ? y : o; }>;
    if constexpr (std::is_same_v<T, uint32_t>) {
      if (op == "inc") return atomic<T, increment<T>>;
      if (op == "dec") return atomic<T, decrement<T>>;
    }
    raw.reject("the operation does not go with the type");
  });
}

void select_atomic(Builder& b, Raw& raw, bool returns) {
  Space space = read_space(raw);
  ignore_hints(raw);
  raw.take("noftz");
  std::string_view op;
  for (auto name : {"add", "min", "max", "and", "or", "xor", "exch", "cas", "inc", "dec"})
    if (raw.take(name)) op = name;
  if (op.empty()) raw.reject("the operation is not supported");
  Type t = raw.type();
  Type bits = size_of(t) == 2 ? Type::B16 : t == Type::F16x2 || t == Type::BF16x2 ? Type::B32 : t;
  size_t first = returns ? 1 : 0;
  expect_operands(raw, first + (op == "cas" ? 3 : 2));
  Builder::Place place = b.address(raw, raw.ops[first], space);
  b.notice_size(place.space, size_of(t));
  uint32_t d =
      returns && raw.ops[0].kind != Operand::Sink ? b.target(raw, raw.ops[0], bits) : kNone;
  uint32_t x = b.source(raw, raw.ops[first + 1], bits);
  uint32_t y = op == "cas" ? b.source(raw, raw.ops[first + 2], bits) : kNone;
  Insn& in = b.emit(raw, pick_atomic(raw, op, t), {d, x, y, place.base});
  in.imm = place.offset;
  in.space = place.space;
  in.flags = place.narrow ? kNarrowAddress : 0;
}

} // namespace

void register_atomic(std::map<std::string_view, Selector>& t) {
  t.emplace("atom", [](Builder& b, Raw& r) { select_atomic(b, r, true); });
  t.emplace("red", [](Builder& b, Raw& r) { select_atomic(b, r, false); });
}

} // namespace cudasim
