// Arithmetic of f32 and f64, exact and approximate.
#include <cfenv>

#include "ops.h"

namespace cudasim {

namespace {

enum FloatFlags : uint32_t { kFtz = 1, kSat = 2, kRoundShift = 2, kNan = 16, kXorSign = 32 };
enum Round : uint32_t { kNearest = 0, kZero = 1, kDown = 2, kUp = 3 };

uint32_t read_flags(Raw& raw) {
  uint32_t flags = 0;
  if (raw.take("rz"))
    flags |= kZero << kRoundShift;
  else if (raw.take("rm"))
    flags |= kDown << kRoundShift;
  else if (raw.take("rp"))
    flags |= kUp << kRoundShift;
  else
    raw.take("rn");
  if (raw.take("ftz")) flags |= kFtz;
  if (raw.take("sat")) flags |= kSat;
  if (raw.take("NaN")) flags |= kNan;
  return flags;
}

struct Rounding {
  bool changed;
  explicit Rounding(uint32_t flags) : changed((flags >> kRoundShift & 3) != kNearest) {
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    if (changed) std::fesetround(modes[flags >> kRoundShift & 3]);
  }
  ~Rounding() {
    if (changed) std::fesetround(FE_TONEAREST);
  }
};

template<class T>
T saturate(T v) {
  return v > 0 ? (v < 1 ? v : T(1)) : T(0);
}
inline double flush(double v) { return v; }
inline float flush(float v) { return cudasim::flush(v); }

// The form of every operation that takes modifiers: flush the inputs, compute in the rounding
// mode, flush and saturate the result.
template<class T, int N, auto F>
void modified(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  const T* a = w.at<T>(in.o[1]);
  const T* b = N > 1 ? w.at<T>(in.o[2]) : a;
  const T* c = N > 2 ? w.at<T>(in.o[3]) : a;
  bool ftz = in.flags & kFtz, sat = in.flags & kSat;
  T r[kLanes];
  {
    Rounding mode(in.flags);
    lanes(m, [&](int l) {
      T x = ftz ? flush(a[l]) : a[l], y = ftz ? flush(b[l]) : b[l], z = ftz ? flush(c[l]) : c[l];
      r[l] = F(x, y, z);
    });
    asm volatile("" ::: "memory");
  }
  lanes(m, [&](int l) {
    T v = ftz ? flush(r[l]) : r[l];
    d[l] = sat ? saturate(v) : v;
  });
}

template<class T, int N, auto F>
void plain(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  const T* a = w.at<T>(in.o[1]);
  const T* b = N > 1 ? w.at<T>(in.o[2]) : a;
  const T* c = N > 2 ? w.at<T>(in.o[3]) : a;
  lanes(m, [&](int l) { d[l] = F(a[l], b[l], c[l]); });
}

template<int N, auto F>
void arithmetic(Builder& b, Raw& raw) {
  uint32_t flags = read_flags(raw);
  raw.take("approx");
  raw.take("full");
  Type t = raw.type();
  Handler h = pick_float(
      raw, t, [&]<class T>() -> Handler { return flags ? modified<T, N, F> : plain<T, N, F>; });
  Insn& in = N == 1   ? emit_typed(b, raw, h, {t, t})
             : N == 2 ? emit_typed(b, raw, h, {t, t, t})
                      : emit_typed(b, raw, h, {t, t, t, t});
  in.flags = flags;
}

constexpr auto f_add = [](auto x, auto y, auto) { return x + y; };
constexpr auto f_sub = [](auto x, auto y, auto) { return x - y; };
constexpr auto f_mul = [](auto x, auto y, auto) { return x * y; };
constexpr auto f_div = [](auto x, auto y, auto) { return x / y; };
constexpr auto f_fma = [](auto x, auto y, auto z) { return std::fma(x, y, z); };
constexpr auto f_sqrt = [](auto x, auto, auto) { return std::sqrt(x); };
constexpr auto f_rcp = [](auto x, auto, auto) { return decltype(x)(1) / x; };

// A minimum takes the number of a number and a NaN, and -0 is less than +0.
template<class T>
T lesser(T x, T y) {
  if (x != x) return plain_nan(y);
  if (y != y) return x;
  if (x == y) return std::signbit(x) ? x : y;
  return x < y ? x : y;
}
template<class T>
T greater(T x, T y) {
  if (x != x) return plain_nan(y);
  if (y != y) return x;
  if (x == y) return std::signbit(x) ? y : x;
  return x > y ? x : y;
}
constexpr auto f_min = [](auto x, auto y, auto) { return lesser(x, y); };
constexpr auto f_max = [](auto x, auto y, auto) { return greater(x, y); };
constexpr auto f_min_nan = [](auto x, auto y, auto) {
  return x != x || y != y ? plain_nan(x + y) : lesser(x, y);
};
constexpr auto f_max_nan = [](auto x, auto y, auto) {
  return x != x || y != y ? plain_nan(x + y) : greater(x, y);
};

template<auto F, auto WithNan>
void extremum(Builder& b, Raw& raw) {
  uint32_t flags = read_flags(raw);
  Type t = raw.type();
  bool nan = flags & kNan;
  flags &= ~uint32_t(kNan);
  Handler h = pick_float(raw, t, [&]<class T>() -> Handler {
    if (nan) return flags ? modified<T, 2, WithNan> : plain<T, 2, WithNan>;
    return flags ? modified<T, 2, F> : plain<T, 2, F>;
  });
  emit_typed(b, raw, h, {t, t, t}).flags = flags;
}

// ---- approximations, computed to the last bit or nearly --------------------------------------

constexpr auto a_ex2 = [](auto x, auto, auto) { return std::exp2(x); };
constexpr auto a_lg2 = [](auto x, auto, auto) { return std::log2(x); };
constexpr auto a_sin = [](auto x, auto, auto) { return std::sin(x); };
constexpr auto a_cos = [](auto x, auto, auto) { return std::cos(x); };
constexpr auto a_tanh = [](auto x, auto, auto) { return std::tanh(x); };
constexpr auto a_rsqrt = [](auto x, auto, auto) { return decltype(x)(1.0 / std::sqrt(double(x))); };

// The f64 forms of rcp and rsqrt with .ftz give the upper half of the word only.
template<bool Root>
double upper_half(double x) {
  if (std::fabs(x) < 0x1p-1022) x = std::copysign(0.0, x);
  double r = Root ? 1.0 / std::sqrt(x) : 1.0 / x;
  if (r != r) return as_double(0x7fffffff00000000ull);
  if (std::fabs(r) < 0x1p-1022) return std::copysign(0.0, r);
  return as_double(as_bits(r) & 0xffffffff00000000ull);
}

template<bool Root>
void reciprocal(Builder& b, Raw& raw) {
  bool half = false, approx = false;
  for (auto m : raw.mods) half |= m == "f64", approx |= m == "approx";
  if (!(half && approx))
    return Root ? arithmetic<1, a_rsqrt>(b, raw) : arithmetic<1, f_rcp>(b, raw);
  raw.take("approx");
  bool ftz = raw.take("ftz");
  raw.type();
  Handler h = ftz || !Root
                  ? Handler(op1<double, double, upper_half<Root>>)
                  : Handler(op1<double, double, [](double x) { return 1.0 / std::sqrt(x); }>);
  emit_typed(b, raw, h, {Type::F64, Type::F64});
}

// ---- signs and classes ----------------------------------------------------------------------

void negate(Builder& b, Raw& raw) {
  uint32_t flags = read_flags(raw);
  Type t = raw.type();
  Handler h = pick_float(raw, t, [&]<class T>() -> Handler {
    constexpr auto f = [](T x, T, T) { return -x; };
    return flags ? modified<T, 1, f> : plain<T, 1, f>;
  });
  emit_typed(b, raw, h, {t, t}).flags = flags;
}

void absolute(Builder& b, Raw& raw) {
  uint32_t flags = read_flags(raw);
  Type t = raw.type();
  Handler h = pick_float(raw, t, [&]<class T>() -> Handler {
    constexpr auto f = [](T x, T, T) { return std::fabs(x); };
    return flags ? modified<T, 1, f> : plain<T, 1, f>;
  });
  emit_typed(b, raw, h, {t, t}).flags = flags;
}

// The sign comes from the first operand.
void copy_sign(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(b, raw,
             pick_float(raw, t,
                        []<class T>() -> Handler {
                          return op2<T, T, T, [](T x, T y) { return std::copysign(y, x); }>;
                        }),
             {t, t, t});
}

template<class T>
void test_property(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const T* a = w.at<T>(in.o[1]);
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    int c = std::fpclassify(a[l]);
    bool r = false;
    switch (in.flags) {
    case 0: r = c != FP_NAN && c != FP_INFINITE; break;
    case 1: r = c == FP_INFINITE; break;
    case 2: r = c != FP_NAN; break;
    case 3: r = c == FP_NAN; break;
    case 4: r = c == FP_NORMAL || c == FP_ZERO; break;
    default: r = c == FP_SUBNORMAL;
    }
    *d = r ? *d | 1u << l : *d & ~(1u << l);
  }
}

void test(Builder& b, Raw& raw) {
  static const char* const names[] = {"finite",     "infinite", "number",
                                      "notanumber", "normal",   "subnormal"};
  uint32_t which = 0;
  while (which < 6 && !raw.take(names[which])) ++which;
  Type t = raw.type();
  expect_operands(raw, 2);
  Handler h = pick_float(raw, t, []<class T>() -> Handler { return test_property<T>; });
  uint32_t d = b.predicate(raw, raw.ops[0]);
  b.emit(raw, h, {d, b.source(raw, raw.ops[1], t)}).flags = which;
}

} // namespace

void register_float(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {{"add.f", arithmetic<2, f_add>},
                                                             {"sub.f", arithmetic<2, f_sub>},
                                                             {"mul.f", arithmetic<2, f_mul>},
                                                             {"div.f", arithmetic<2, f_div>},
                                                             {"fma.f", arithmetic<3, f_fma>},
                                                             {"mad.f", arithmetic<3, f_fma>},
                                                             {"sqrt.f", arithmetic<1, f_sqrt>},
                                                             {"rcp.f", reciprocal<false>},
                                                             {"rsqrt.f", reciprocal<true>},
                                                             {"min.f", extremum<f_min, f_min_nan>},
                                                             {"max.f", extremum<f_max, f_max_nan>},
                                                             {"neg.f", negate},
                                                             {"abs.f", absolute},
                                                             {"copysign.f", copy_sign},
                                                             {"testp.f", test},
                                                             {"ex2.f", arithmetic<1, a_ex2>},
                                                             {"lg2.f", arithmetic<1, a_lg2>},
                                                             {"sin.f", arithmetic<1, a_sin>},
                                                             {"cos.f", arithmetic<1, a_cos>},
                                                             {"tanh.f", arithmetic<1, a_tanh>}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
