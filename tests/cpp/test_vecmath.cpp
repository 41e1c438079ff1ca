// Measures the error of every vector math function in ulp, and checks Philox's published vectors.
#include <cstdio>
#include <cstring>
#include <vector>

#include "../../csrc/cpu/philox.h"
#include "../../csrc/cpu/philox_tables.h"
#include "../../csrc/cpu/vecmath.h"

namespace m = flambeau::math;

namespace {

int failures = 0;

// tanh needs a little more where mul and add round apart; the product that double erfc is, 2.62.
#ifdef FB_HAVE_FMA
constexpr double bound = 2.0;
#else
constexpr double bound = 2.06;
#endif

template<class T>
using Loop = void (*)(const T*, T*, int64_t);
template<class T>
using Loop2 = void (*)(const T*, const T*, T*, int64_t);

double ulp_of(float ref) {
  int e;
  std::frexp(ref, &e);
  return std::ldexp(1.0, e - 24 < -149 ? -149 : e - 24);
}
long double ulp_of(double ref) {
  int e;
  std::frexp(ref, &e);
  return std::ldexp(1.0L, e - 53 < -1074 ? -1074 : e - 53);
}

// Error in ulp of `got` against the exact `ref`; infinite when the kinds (NaN, inf, sign) differ.
template<class T, class R>
double error(T got, R ref) {
  const T r = T(ref);
  if (r != r || got != got) return (r != r) == (got != got) ? 0 : HUGE_VAL;
  if (std::signbit(got) != std::signbit(r)) return HUGE_VAL;
  if (std::isinf(got) || std::isinf(r)) return got == r ? 0 : HUGE_VAL;
  return double(std::fabs(R(got) - ref) / R(ulp_of(r)));
}

template<class T>
struct Worst {
  double ulp = 0;
  T x = 0, y = 0, got = 0;
  void add(double e, T a, T b, T g) {
    if (e > ulp) ulp = e, x = a, y = b, got = g;
  }
  void report(const char* name, double bound) const {
    const bool ok = ulp <= bound;
    failures += !ok;
    std::printf("%-8s %-6s max %8.3f ulp at (%.9g, %.9g) -> %.9g %s\n", name,
                sizeof(T) == 4 ? "float" : "double", ulp, double(x), double(y), double(got),
                ok ? "" : "TOO LARGE");
  }
};

std::vector<float> all_floats() {
  std::vector<float> v;
  for (uint64_t i = 0; i < (uint64_t(1) << 32); i += 2039) v.push_back(m::from_bits(int32_t(i)));
  // a dense sweep of the everyday range, and the edges
  for (int i = -400000; i <= 400000; ++i) v.push_back(float(i) * 3.1e-5f);
  for (int i = -150; i < 128; ++i)
    for (float s : {1.0f, -1.0f})
      for (int d = -2; d <= 2; ++d)
        v.push_back(m::from_bits(int32_t(uint32_t(m::bits(std::ldexp(s, i))) + uint32_t(d))));
  for (float e : {0.0f, -0.0f, m::inf_f, -m::inf_f, m::nan_f}) v.push_back(e);
  for (int i = 1; i < 20000; ++i) v.push_back(float(i * 1.5707963267948966));
  while (v.size() % 64) v.push_back(1);
  return v;
}
std::vector<double> all_doubles() {
  std::vector<double> v;
  uint64_t s = 1;
  for (int i = 0; i < 1000000; ++i) {
    s = s * 6364136223846793005u + 1442695040888963407u;
    v.push_back(m::from_bits(int64_t(s)));
    v.push_back((double(s >> 11) * 0x1p-53 - 0.5) * (i % 3 == 0 ? 2 : i % 3 == 1 ? 40 : 1500));
  }
  for (int i = 1; i < 20000; ++i) v.push_back(i * 1.5707963267948966);
  for (double e : {0.0, -0.0, m::inf_d, -m::inf_d, m::nan_d, 1.0, -1.0}) v.push_back(e);
  while (v.size() % 64) v.push_back(1);
  return v;
}

template<class T, class R>
void check(const char* name, const std::vector<T>& x, Loop<T> f, R (*ref)(R), double bound) {
  std::vector<T> y(x.size());
  f(x.data(), y.data(), int64_t(x.size()));
  Worst<T> w;
  for (size_t i = 0; i < x.size(); ++i) w.add(error(y[i], ref(R(x[i]))), x[i], T(0), y[i]);
  w.report(name, bound);
}
template<class T, class R>
void check2(const char* name, const std::vector<T>& x, Loop2<T> f, R (*ref)(R, R), double bound) {
  std::vector<T> a, b;
  uint64_t s = 7;
  auto next = [&] { return s = s * 6364136223846793005u + 1442695040888963407u, s >> 33; };
  for (size_t i = 0; i < x.size(); ++i) {
    a.push_back(i % 2 ? std::fabs(x[next() % x.size()]) : x[next() % x.size()]);
    b.push_back(i % 4 < 2 ? T(double(next()) * 0x1p-31 * 200 - 100) : x[next() % x.size()]);
    if (i % 8 == 0) b.back() = T(int(next() % 41) - 20);
    if (i % 16 == 1) a.back() = T(double(next()) * 0x1p-31 * 4);
  }
  const T odd[] = {T(0),         T(-0.0),     T(1),  T(-1), T(0.5),  T(-2),    T(3),    T(m::inf_f),
                   T(-m::inf_f), T(m::nan_f), T(-3), T(2),  T(-0.5), T(1e-40), T(1e30), T(-1e30)};
  for (T p : odd)
    for (T q : odd) a.push_back(p), b.push_back(q);
  // The C library answers a signalling NaN to the power 0 by NaN; conversions make it a quiet one.
  for (auto* v : {&a, &b})
    for (T& t : *v)
      if (t != t) t = T(m::nan_f);
  std::vector<T> y(a.size());
  f(a.data(), b.data(), y.data(), int64_t(a.size()));
  Worst<T> w;
  for (size_t i = 0; i < a.size(); ++i) w.add(error(y[i], ref(R(a[i]), R(b[i]))), a[i], b[i], y[i]);
  w.report(name, bound);
}

template<class T>
T ref_sigmoid(T x) {
  return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x));
}
template<class T>
T ref_rsqrt(T x) {
  return 1 / std::sqrt(x);
}

// clang-format off
#define UNARY(X)                                                                  \
  X(exp) X(exp2) X(expm1) X(log) X(log2) X(log10) X(log1p) X(sin) X(cos) X(tan)   \
  X(asin) X(acos) X(atan) X(sinh) X(cosh) X(tanh) X(asinh) X(acosh) X(atanh)      \
  X(sqrt) X(erf) X(erfc) X(sigmoid) X(rsqrt)
// clang-format on
#define DEFINE(name)                                                                             \
  template<class T>                                                                              \
  __attribute__((noinline)) void run_##name(const T* __restrict x, T* __restrict y, int64_t n) { \
    for (int64_t i = 0; i < n; ++i) y[i] = m::name(x[i]);                                        \
  }
UNARY(DEFINE)
#define DEFINE2(name)                                                                     \
  template<class T>                                                                       \
  __attribute__((noinline)) void run_##name(const T* __restrict a, const T* __restrict b, \
                                            T* __restrict y, int64_t n) {                 \
    for (int64_t i = 0; i < n; ++i) y[i] = m::name(a[i], b[i]);                           \
  }
DEFINE2(pow)
DEFINE2(atan2)
DEFINE2(hypot)
DEFINE2(fmod)

// clang-format off
template<class R>
R (*oracle(const char* name))(R) {
#define PICK(f) if (!std::strcmp(name, #f)) return [](R x) -> R { return std::f(x); };
  PICK(exp) PICK(exp2) PICK(expm1) PICK(log) PICK(log2) PICK(log10) PICK(log1p) PICK(sin)
  PICK(cos) PICK(tan) PICK(asin) PICK(acos) PICK(atan) PICK(sinh) PICK(cosh) PICK(tanh)
  PICK(asinh) PICK(acosh) PICK(atanh) PICK(sqrt) PICK(erf) PICK(erfc)
  if (!std::strcmp(name, "sigmoid")) return ref_sigmoid<R>;
  return ref_rsqrt<R>;
}
// clang-format on

void expect(bool ok, const char* what) {
  std::printf("%-40s %s\n", what, ok ? "ok" : "WRONG");
  failures += !ok;
}

// The known answers that come with Random123 (Salmon et al. 2011).
void check_philox() {
  const uint32_t known[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0xa4093822, 0x299f31d0, 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (auto& k : known) {
    uint32_t out[4];
    flambeau::philox_block(k, k + 2, out);
    expect(!std::memcmp(out, k + 6, 16), "philox known answer");
  }
  // Every filler: the same bits from each instruction set, and from the middle of the stream.
  const flambeau::PhiloxFill flambeau::PhiloxTable::* fills[] = {
      &flambeau::PhiloxTable::bits32,        &flambeau::PhiloxTable::bits64,
      &flambeau::PhiloxTable::uniform32,     &flambeau::PhiloxTable::uniform64,
      &flambeau::PhiloxTable::normal32,      &flambeau::PhiloxTable::normal64,
      &flambeau::PhiloxTable::exponential32, &flambeau::PhiloxTable::exponential64,
      &flambeau::PhiloxTable::bernoulli,     &flambeau::PhiloxTable::randint32,
      &flambeau::PhiloxTable::randint64};
  const flambeau::Stream s = {uint64_t(987654321) << 20, 0xfffffff0u, 0.3, 1.7, -5, 1000};
  const int64_t n = 10007;
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const bool avx512 = __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  for (auto f : fills) {
    std::vector<double> a(n), b(n), c(n), d(n);
    (flambeau::philox_base::table.*f)(s, a.data(), 0, n);
    (flambeau::philox_base::table.*f)(s, d.data(), 0, 2048);
    (flambeau::philox_base::table.*f)(s, d.data(), 2048, n);
    if (avx2) (flambeau::philox_avx2::table.*f)(s, b.data(), 0, n);
    if (avx512) (flambeau::philox_avx512::table.*f)(s, c.data(), 0, n);
    expect(!std::memcmp(a.data(), d.data(), size_t(n) * 8), "filler: independent of the cut");
    expect(!avx2 || !std::memcmp(a.data(), b.data(), size_t(n) * 8), "filler: AVX2 the same");
    expect(!avx512 || !std::memcmp(a.data(), c.data(), size_t(n) * 8), "filler: AVX-512 the same");
  }
  std::vector<uint32_t> words(n);
  flambeau::random::fill_random_bits(words.data(), n, s.seed, s.offset);
  bool same = true;
  for (int64_t i = 0; i < n; ++i) {
    uint32_t out[4];
    flambeau::philox_block(s.seed, s.offset + uint64_t(i) / 4, out);
    same &= words[size_t(i)] == out[i % 4];
  }
  expect(same, "filler: word i is word i % 4 of block i / 4");
}

} // namespace

int main() {
  check_philox();
  const std::vector<float> f = all_floats();
  const std::vector<double> d = all_doubles();
  std::printf("%zu floats, %zu doubles each\n", f.size(), d.size());
#define RUN(name) check<float, double>(#name, f, run_##name<float>, oracle<double>(#name), bound);
  UNARY(RUN)
  check2<float, double>(
      "pow", f, run_pow<float>, [](double a, double b) { return std::pow(a, b); }, 2.0);
  check2<float, double>(
      "fmod", f, run_fmod<float>, [](double a, double b) { return std::fmod(a, b); }, 0.0);
  check2<float, double>(
      "atan2", f, run_atan2<float>, [](double a, double b) { return std::atan2(a, b); }, 2.0);
#undef RUN
#define RUN(name)                                                                      \
  check<double, long double>(#name, d, run_##name<double>, oracle<long double>(#name), \
                             std::strcmp(#name, "erfc") ? bound : 3.0);
  UNARY(RUN)
#undef RUN
#define RUN(name)                   \
  check2<double, long double>(      \
      #name, d, run_##name<double>, \
      [](long double a, long double b) -> long double { return std::name(a, b); }, 2.0);
  RUN(pow)
  RUN(hypot)
  RUN(fmod) std::printf(failures ? "%d bounds broken\n" : "all within bounds\n", failures);
  return failures != 0;
}
