// Arithmetic of f16 and bf16, single and packed.
#include <algorithm>

#include "half.h"

namespace cudasim {

namespace {

// x * y + z with one rounding: the double sum is made odd when it is not exact.
double fused(double x, double y, double z) {
  double p = x * y, s = p + z;
  if (!std::isfinite(s)) return s;
  double t = s - p, rest = (p - (s - t)) + (z - t);
  if (rest == 0) return s;
  uint64_t bits = as_bits(s);
  if (bits & 1) return s;
  bool outward = (rest > 0) == (s > 0);
  return as_double(outward ? bits + 1 : bits - 1);
}

constexpr auto h_add = [](double x, double y, double) { return x + y; };
constexpr auto h_sub = [](double x, double y, double) { return x - y; };
constexpr auto h_mul = [](double x, double y, double) { return x * y; };
constexpr auto h_fma = [](double x, double y, double z) { return fused(x, y, z); };
constexpr auto h_ex2 = [](double x, double, double) { return std::exp2(x); };
constexpr auto h_tanh = [](double x, double, double) { return std::tanh(x); };
constexpr auto h_min = [](double x, double y, double) {
  return x != x ? y : y != y ? x : x == y ? (std::signbit(x) ? x : y) : std::min(x, y);
};
constexpr auto h_max = [](double x, double y, double) {
  return x != x ? y : y != y ? x : x == y ? (std::signbit(x) ? y : x) : std::max(x, y);
};

enum HalfFlags : uint32_t { kSat = 1, kRelu = 2, kNan = 4 };

template<class H, int N, int Parts, auto F>
void half_op(Warp& w, const Insn& in, Mask m) {
  using T = std::conditional_t<Parts == 2, uint32_t, uint16_t>;
  T* d = w.at<T>(in.o[0]);
  const T* a = w.at<T>(in.o[1]);
  const T* b = N > 1 ? w.at<T>(in.o[2]) : a;
  const T* c = N > 2 ? w.at<T>(in.o[3]) : a;
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    T r = 0;
    for (int k = 0; k < Parts; ++k) {
      double x = H::widen(uint16_t(a[l] >> 16 * k)), y = H::widen(uint16_t(b[l] >> 16 * k));
      double v = F(x, y, H::widen(uint16_t(c[l] >> 16 * k)));
      if ((in.flags & kNan) && (x != x || y != y)) v = NAN;
      if (in.flags & kSat) v = v > 0 ? std::min(v, 1.0) : 0.0;
      if ((in.flags & kRelu) && v < 0) v = 0;
      r |= T(T(H::narrow(v)) << 16 * k);
    }
    d[l] = r;
  }
}

uint32_t half_flags(Raw& raw) {
  for (auto m : {"rn", "ftz", "approx"}) raw.take(m);
  uint32_t flags = 0;
  if (raw.take("sat")) flags |= kSat;
  if (raw.take("relu")) flags |= kRelu;
  if (raw.take("NaN")) flags |= kNan;
  return flags;
}

template<int N, auto F>
void arithmetic(Builder& b, Raw& raw) {
  uint32_t flags = half_flags(raw);
  Type t = raw.type();
  Handler h = t == Type::F16      ? half_op<F16, N, 1, F>
              : t == Type::BF16   ? half_op<BF16, N, 1, F>
              : t == Type::F16x2  ? half_op<F16, N, 2, F>
              : t == Type::BF16x2 ? half_op<BF16, N, 2, F>
                                  : nullptr;
  if (!h) raw.reject("this type does not go with it");
  Type u = size_of(t) == 2 ? Type::B16 : Type::B32;
  Insn& in = N == 1   ? emit_typed(b, raw, h, {u, u})
             : N == 2 ? emit_typed(b, raw, h, {u, u, u})
                      : emit_typed(b, raw, h, {u, u, u, u});
  in.flags = flags;
}

// The sign bit alone changes, also of a NaN.
template<bool Negate>
void sign(Builder& b, Raw& raw) {
  raw.take("ftz");
  Type t = raw.type();
  Handler h =
      size_of(t) == 2
          ? Handler(op1<uint16_t, uint16_t,
                        [](uint16_t x) { return uint16_t(Negate ? x ^ 0x8000 : x & 0x7fff); }>)
          : Handler(op1<uint32_t, uint32_t,
                        [](uint32_t x) { return Negate ? x ^ 0x80008000u : x & 0x7fff7fffu; }>);
  Type u = size_of(t) == 2 ? Type::B16 : Type::B32;
  emit_typed(b, raw, h, {u, u});
}

} // namespace

void register_half(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {
      {"add.h", arithmetic<2, h_add>}, {"sub.h", arithmetic<2, h_sub>},
      {"mul.h", arithmetic<2, h_mul>}, {"fma.h", arithmetic<3, h_fma>},
      {"min.h", arithmetic<2, h_min>}, {"max.h", arithmetic<2, h_max>},
      {"ex2.h", arithmetic<1, h_ex2>}, {"tanh.h", arithmetic<1, h_tanh>},
      {"neg.h", sign<true>},           {"abs.h", sign<false>}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
