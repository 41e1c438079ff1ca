// Inner kernels of the Fourier transforms, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include "fft_kernels.h"
#include "gemm_vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template<class T>
struct Complex {
  Vec<T> r, i;
  FLAMBEAU_INLINE Complex operator+(Complex o) const { return {r + o.r, i + o.i}; }
  FLAMBEAU_INLINE Complex operator-(Complex o) const { return {r - o.r, i - o.i}; }
  FLAMBEAU_INLINE Complex operator*(Complex o) const {
    return {r * o.r - i * o.i, r * o.i + i * o.r};
  }
  FLAMBEAU_INLINE Complex turned() const { return {i, -r}; } // times -i
  FLAMBEAU_INLINE Complex conj() const { return {r, -i}; }
};

template<class T>
FLAMBEAU_INLINE Complex<T> factor(const T* w) {
  return {broadcast<Vec<T>>(w[0]), broadcast<Vec<T>>(w[1])};
}

// Where a stage reads and writes, for one twist p. An inverse transform takes imaginary parts for
// real ones and the other way round.
template<class T>
struct Place {
  const T* x;
  T* y;
  int64_t imag, in, out; // steps
  FLAMBEAU_INLINE Complex<T> get(int64_t k) const {
    return {load<Vec<T>>(x + k * in), load<Vec<T>>(x + k * in + imag)};
  }
  FLAMBEAU_INLINE void put(int64_t k, Complex<T> c) const {
    store(y + k * out, c.r), store(y + k * out + imag, c.i);
  }
  FLAMBEAU_INLINE void next() { x += 2 * kLanes<T>, y += 2 * kLanes<T>; }
};

template<class T, bool Twist>
FLAMBEAU_INLINE void sum_two(Place<T> at, int64_t s, const T* w) {
  const Complex<T> w1 = Twist ? factor(w) : Complex<T>{};
  for (; s > 0; s--, at.next()) {
    const Complex<T> a = at.get(0), b = at.get(1), d = a - b;
    at.put(0, a + b);
    at.put(1, Twist ? d * w1 : d);
  }
}

template<class T, bool Twist>
FLAMBEAU_INLINE void sum_four(Place<T> at, int64_t s, const T* w) {
  const Complex<T> w1 = Twist ? factor(w) : Complex<T>{}, w2 = Twist ? factor(w + 2) : w1;
  const Complex<T> w3 = Twist ? factor(w + 4) : w1;
  for (; s > 0; s--, at.next()) {
    const Complex<T> a = at.get(0), b = at.get(1), c = at.get(2), d = at.get(3);
    const Complex<T> ac = a + c, bd = b + d, e = a - c, f = (b - d).turned();
    at.put(0, ac + bd);
    at.put(1, Twist ? (e + f) * w1 : e + f);
    at.put(2, Twist ? (ac - bd) * w2 : ac - bd);
    at.put(3, Twist ? (e - f) * w3 : e - f);
  }
}

// An odd number of points, R where it is known to the compiler.
template<class T, int R, bool Twist>
FLAMBEAU_INLINE void sum_odd(Place<T> at, int64_t s, const T* w, int64_t radix, const T* roots) {
  constexpr int kMost = (R ? R : kFftRadix) / 2;
  const int64_t r = R ? R : radix, half = r / 2;
  for (; s > 0; s--, at.next()) {
    Complex<T> sums[kMost], gaps[kMost], all = at.get(0);
    const Complex<T> first = all;
#pragma GCC unroll 2
    for (int64_t j = 1; j <= half; j++) {
      const Complex<T> a = at.get(j), b = at.get(r - j);
      sums[j - 1] = a + b, gaps[j - 1] = (a - b).turned();
      all = all + sums[j - 1];
    }
    at.put(0, all);
#pragma GCC unroll 2
    for (int64_t k = 1; k <= half; k++) {
      Complex<T> even = first, odd{};
#pragma GCC unroll 2
      for (int64_t j = 1, jk = k; j <= half; j++, jk = jk + k < r ? jk + k : jk + k - r) {
        const Vec<T> c = broadcast<Vec<T>>(roots[2 * jk]);
        const Vec<T> z = broadcast<Vec<T>>(roots[2 * jk + 1]);
        even.r += c * sums[j - 1].r, even.i += c * sums[j - 1].i;
        odd.r += z * gaps[j - 1].r, odd.i += z * gaps[j - 1].i;
      }
      const Complex<T> low = even + odd, high = even - odd;
      at.put(k, Twist ? low * factor(w + 2 * (k - 1)) : low);
      at.put(r - k, Twist ? high * factor(w + 2 * (r - k - 1)) : high);
    }
  }
}

template<class T, bool Twist>
FLAMBEAU_INLINE void sum_points(const FftStage<T>& stage, Place<T> at, const T* w) {
  const T* roots = stage.roots.data();
  switch (stage.radix) {
  case 2: return sum_two<T, Twist>(at, stage.s, w);
  case 3: return sum_odd<T, 3, Twist>(at, stage.s, w, 3, roots);
  case 4: return sum_four<T, Twist>(at, stage.s, w);
  case 5: return sum_odd<T, 5, Twist>(at, stage.s, w, 5, roots);
  default: return sum_odd<T, 0, Twist>(at, stage.s, w, stage.radix, roots);
  }
}

// Stockham's passes: no bit reversal, and points that share a twist are neighbours.
template<class T>
T* transform(const std::vector<FftStage<T>>& stages, bool inverse, T* x, T* y) {
  constexpr int64_t L = kLanes<T>, kPoint = 2 * L;
  for (const FftStage<T>& stage : stages) {
    const int64_t s = stage.s, r = stage.radix;
    Place<T> at{x + (inverse ? L : 0), y + (inverse ? L : 0), inverse ? -L : L,
                stage.m * s * kPoint, s * kPoint};
    sum_points<T, false>(stage, at, nullptr);
    for (int64_t p = 1; p < stage.m; p++) {
      at.x += s * kPoint, at.y += r * s * kPoint;
      sum_points<T, true>(stage, at, stage.twist.data() + p * (r - 1) * 2);
    }
    std::swap(x, y);
  }
  return x;
}

template<class T>
void twist(int64_t n, const T* factors, bool conjugate, T* x) {
  constexpr int64_t L = kLanes<T>;
  for (const T* end = x + n * 2 * L; x < end; x += 2 * L, factors += 2 * L) {
    const Complex<T> a{load<Vec<T>>(x), load<Vec<T>>(x + L)};
    const Complex<T> w{load<Vec<T>>(factors), load<Vec<T>>(factors + L)};
    const Complex<T> z = a * (conjugate ? w.conj() : w);
    store(x, z.r), store(x + L, z.i);
  }
}

template<class T>
void scale(int64_t n, T by, T* x) {
  constexpr int64_t L = kLanes<T>;
  for (const T* end = x + n * 2 * L; x < end; x += L)
    store(x, load<Vec<T>>(x) * broadcast<Vec<T>>(by));
}

template<class T>
void unpair(int64_t m, const T* roots, T* x) {
  constexpr int64_t L = kLanes<T>;
  const Place<T> at{x, x, L, 2 * L, 2 * L};
  const Vec<T> half = broadcast<Vec<T>>(T(0.5));
  const Complex<T> z = at.get(0);
  at.put(0, {z.r + z.i, Vec<T>{}});
  at.put(m, {z.r - z.i, Vec<T>{}});
  for (int64_t k = 1; k <= m / 2; k++) {
    const Complex<T> a = at.get(k), b = at.get(m - k).conj();
    const Complex<T> even = a + b, odd = (a - b).turned() * factor(roots + 2 * k);
    const Complex<T> low = even + odd, high = (even - odd).conj();
    at.put(k, {low.r * half, low.i * half});
    at.put(m - k, {high.r * half, high.i * half});
  }
}

template<class T>
void pair(int64_t m, const T* roots, T* x) {
  constexpr int64_t L = kLanes<T>;
  const Place<T> at{x, x, L, 2 * L, 2 * L};
  const Vec<T> first = at.get(0).r, last = at.get(m).r;
  at.put(0, {first + last, first - last});
  for (int64_t k = 1; k <= m / 2; k++) {
    const Complex<T> a = at.get(k), b = at.get(m - k).conj();
    const Complex<T> even = a + b, turned = ((a - b) * factor(roots + 2 * k).conj()).turned();
    at.put(k, even - turned);
    at.put(m - k, (even + turned).conj());
  }
}

#if defined(__AVX2__) && !defined(__AVX512F__)
// Eight floats or four doubles: two vectors of (re, im) pairs to one of re and one of im, and back.
FLAMBEAU_INLINE void unzip(Vec<float> a, Vec<float> b, float* to) {
  const __m256 low = _mm256_permute2f128_ps((__m256)a, (__m256)b, 0x20);
  const __m256 high = _mm256_permute2f128_ps((__m256)a, (__m256)b, 0x31);
  _mm256_storeu_ps(to, _mm256_shuffle_ps(low, high, 0x88));
  _mm256_storeu_ps(to + 8, _mm256_shuffle_ps(low, high, 0xdd));
}
FLAMBEAU_INLINE void zip(Vec<float> r, Vec<float> i, float* to) {
  const __m256 low = _mm256_unpacklo_ps((__m256)r, (__m256)i);
  const __m256 high = _mm256_unpackhi_ps((__m256)r, (__m256)i);
  _mm256_storeu_ps(to, _mm256_permute2f128_ps(low, high, 0x20));
  _mm256_storeu_ps(to + 8, _mm256_permute2f128_ps(low, high, 0x31));
}
FLAMBEAU_INLINE void unzip(Vec<double> a, Vec<double> b, double* to) {
  const __m256d low = _mm256_permute2f128_pd((__m256d)a, (__m256d)b, 0x20);
  const __m256d high = _mm256_permute2f128_pd((__m256d)a, (__m256d)b, 0x31);
  _mm256_storeu_pd(to, _mm256_unpacklo_pd(low, high));
  _mm256_storeu_pd(to + 4, _mm256_unpackhi_pd(low, high));
}
FLAMBEAU_INLINE void zip(Vec<double> r, Vec<double> i, double* to) {
  const __m256d low = _mm256_unpacklo_pd((__m256d)r, (__m256d)i);
  const __m256d high = _mm256_unpackhi_pd((__m256d)r, (__m256d)i);
  _mm256_storeu_pd(to, _mm256_permute2f128_pd(low, high, 0x20));
  _mm256_storeu_pd(to + 4, _mm256_permute2f128_pd(low, high, 0x31));
}
#else
template<class T, class V>
FLAMBEAU_INLINE void unzip(V a, V b, T* to) {
  constexpr int L = kLanes<T>;
  T all[2 * L];
  store(all, a), store(all + L, b);
  for (int l = 0; l < L; l++) to[l] = all[2 * l], to[L + l] = all[2 * l + 1];
}
template<class T, class V>
FLAMBEAU_INLINE void zip(V r, V i, T* to) {
  for (int l = 0; l < kLanes<T>; l++) to[2 * l] = r[l], to[2 * l + 1] = i[l];
}
#endif

template<class T>
void load_points(int64_t n, int lanes, const T* src, FftSteps steps, T* x) {
  constexpr int L = kLanes<T>;
  if (steps.point == 2 && steps.imag == 1) { // rows of complex numbers
    if (lanes < L) std::memset(static_cast<void*>(x), 0, size_t(n) * 2 * L * sizeof(T));
    return transpose(lanes, 2 * n, src, steps.lane, x, L);
  }
  for (int64_t j = 0; j < n; j++, src += steps.point, x += 2 * L) {
    if (lanes == L && steps.lane == 2 && steps.imag == 1) {
      unzip(load<Vec<T>>(src), load<Vec<T>>(src + L), x);
      continue;
    }
    if (lanes == L && steps.lane == 1) {
      store(x, load<Vec<T>>(src));
      store(x + L, steps.imag ? load<Vec<T>>(src + steps.imag) : Vec<T>{});
      continue;
    }
    for (int l = 0; l < L; l++) {
      x[l] = l < lanes ? src[l * steps.lane] : T(0);
      x[L + l] = l < lanes && steps.imag ? src[l * steps.lane + steps.imag] : T(0);
    }
  }
}

template<class T>
void store_points(int64_t n, int lanes, const T* x, FftSteps steps, T* dst) {
  constexpr int L = kLanes<T>;
  if (steps.point == 2 && steps.imag == 1) return transpose(2 * n, lanes, x, L, dst, steps.lane);
  for (int64_t j = 0; j < n; j++, dst += steps.point, x += 2 * L) {
    if (lanes == L && steps.lane == 2 && steps.imag == 1) {
      zip(load<Vec<T>>(x), load<Vec<T>>(x + L), dst);
      continue;
    }
    for (int l = 0; l < lanes; l++) {
      dst[l * steps.lane] = x[l];
      if (steps.imag) dst[l * steps.lane + steps.imag] = x[L + l];
    }
  }
}

template<class T>
const FftKernels<T>* fft_table() {
  static constexpr FftKernels<T> table = {kLanes<T>,    load_points<T>, store_points<T>, scale<T>,
                                          transform<T>, twist<T>,       unpair<T>,       pair<T>};
  return &table;
}

template const FftKernels<float>* fft_table<float>();
template const FftKernels<double>* fft_table<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
