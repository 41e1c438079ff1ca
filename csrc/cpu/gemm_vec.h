// Vectors of the instruction set a file is compiled for; include only with FLAMBEAU_ISA defined.
// All is in the ISA's own namespace, so that no code of one set is linked in place of another.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#define FLAMBEAU_INLINE inline __attribute__((always_inline))

namespace flambeau {
namespace FLAMBEAU_ISA {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kMaxRows = 14;
constexpr bool kMasks = true;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kMaxRows = 6;
constexpr bool kMasks = false;
#else
constexpr int kVectorBytes = 16;
constexpr int kMaxRows = 4;
constexpr bool kMasks = false;
#endif

template<class T, int Bytes = kVectorBytes>
struct VecOf {
  typedef T type __attribute__((vector_size(Bytes)));
  typedef T unaligned __attribute__((vector_size(Bytes), aligned(sizeof(T)), may_alias));
};
template<class T, int Bytes = kVectorBytes>
using Vec = typename VecOf<T, Bytes>::type;

template<class T>
constexpr int kLanes = kVectorBytes / static_cast<int>(sizeof(T));

template<class V, class T>
FLAMBEAU_INLINE V load(const T* p) {
  return *reinterpret_cast<const typename VecOf<T, sizeof(V)>::unaligned*>(p);
}
template<class V, class T>
FLAMBEAU_INLINE void store(T* p, V v) {
  *reinterpret_cast<typename VecOf<T, sizeof(V)>::unaligned*>(p) = v;
}
template<class V, class T>
FLAMBEAU_INLINE V broadcast(T x) {
  return x - V{}; // x - 0 keeps the sign of zero and folds to one broadcast
}

#if defined(__AVX2__) && !defined(__AVX512F__)
template<class T>
FLAMBEAU_INLINE __m256i first_lanes(int n) {
  if constexpr (sizeof(T) == 4)
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  else
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), _mm256_setr_epi64x(0, 1, 2, 3));
}
#endif

// The first n lanes; the others read as zero and are never touched in memory.
template<class T>
FLAMBEAU_INLINE Vec<T> load_part(const T* p, int n) {
  Vec<T> v = {};
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    v = (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
  else
    v = (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    v = (Vec<T>)_mm256_maskload_ps(p, first_lanes<T>(n));
  else
    v = (Vec<T>)_mm256_maskload_pd(p, first_lanes<T>(n));
#else
  for (int i = 0; i < n; i++) v[i] = p[i];
#endif
  return v;
}
template<class T>
FLAMBEAU_INLINE void store_part(T* p, Vec<T> v, int n) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
  else
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4)
    _mm256_maskstore_ps(p, first_lanes<T>(n), (__m256)v);
  else
    _mm256_maskstore_pd(p, first_lanes<T>(n), (__m256d)v);
#else
  T all[kLanes<T>];
  __builtin_memcpy(all, &v, sizeof v);
  for (int i = 0; i < n; i++) p[i] = all[i];
#endif
}

// The lanes [lo, hi) of a vector; the others load as zero and are never touched in memory.
template<class T>
struct LaneRange {
#if defined(__AVX512F__)
  unsigned mask;
  void set(int lo, int hi) { mask = (1u << hi) - (1u << lo); }
  FLAMBEAU_INLINE Vec<T> load(const T* p) const {
    if constexpr (sizeof(T) == 4)
      return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)mask, p);
    else
      return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)mask, p);
  }
#elif defined(__AVX2__)
  __m256i mask;
  void set(int lo, int hi) {
    alignas(32) int lanes[8];
    constexpr int kInts = sizeof(T) / 4;
    for (int i = 0; i < 8; i++) lanes[i] = i / kInts >= lo && i / kInts < hi ? -1 : 0;
    mask = _mm256_load_si256(reinterpret_cast<const __m256i*>(lanes));
  }
  FLAMBEAU_INLINE Vec<T> load(const T* p) const {
    if constexpr (sizeof(T) == 4)
      return (Vec<T>)_mm256_maskload_ps(p, mask);
    else
      return (Vec<T>)_mm256_maskload_pd(p, mask);
  }
#else
  int lo, hi;
  void set(int low, int high) { lo = low, hi = high; }
  FLAMBEAU_INLINE Vec<T> load(const T* p) const {
    Vec<T> v = {};
    for (int i = lo; i < hi; i++) v[i] = p[i];
    return v;
  }
#endif
};

template<class T, class V>
FLAMBEAU_INLINE T sum_lanes(V v) {
  if constexpr (sizeof(V) == 2 * sizeof(T)) {
    return v[0] + v[1];
  } else {
    using H = typename VecOf<T, sizeof(V) / 2>::type;
    H lo, hi;
    __builtin_memcpy(&lo, &v, sizeof lo);
    __builtin_memcpy(&hi, reinterpret_cast<const char*>(&v) + sizeof lo, sizeof hi);
    return sum_lanes<T, H>(lo + hi);
  }
}

#if defined(__AVX2__)
FLAMBEAU_INLINE __m256 two_halves(const float* low, const float* high) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(low)), _mm_loadu_ps(high), 1);
}

// Rows row(0) ... row(7) of eight floats to columns; the results are `width` apart.
template<class Row>
FLAMBEAU_INLINE void transpose_square(Row row, float* d, int64_t width) {
  for (int h = 0; h < 8; h += 4) {
    const __m256 a = two_halves(row(0) + h, row(4) + h), b = two_halves(row(1) + h, row(5) + h);
    const __m256 c = two_halves(row(2) + h, row(6) + h), e = two_halves(row(3) + h, row(7) + h);
    const __m256 ab0 = _mm256_unpacklo_ps(a, b), ab1 = _mm256_unpackhi_ps(a, b);
    const __m256 ce0 = _mm256_unpacklo_ps(c, e), ce1 = _mm256_unpackhi_ps(c, e);
    float* q = d + h * width;
    _mm256_storeu_ps(q, _mm256_shuffle_ps(ab0, ce0, 0x44));
    _mm256_storeu_ps(q + width, _mm256_shuffle_ps(ab0, ce0, 0xee));
    _mm256_storeu_ps(q + 2 * width, _mm256_shuffle_ps(ab1, ce1, 0x44));
    _mm256_storeu_ps(q + 3 * width, _mm256_shuffle_ps(ab1, ce1, 0xee));
  }
}
// Four rows of four doubles.
template<class Row>
FLAMBEAU_INLINE void transpose_square(Row row, double* d, int64_t width) {
  const __m256d a = _mm256_loadu_pd(row(0)), b = _mm256_loadu_pd(row(1));
  const __m256d c = _mm256_loadu_pd(row(2)), e = _mm256_loadu_pd(row(3));
  const __m256d ab0 = _mm256_unpacklo_pd(a, b), ab1 = _mm256_unpackhi_pd(a, b);
  const __m256d ce0 = _mm256_unpacklo_pd(c, e), ce1 = _mm256_unpackhi_pd(c, e);
  _mm256_storeu_pd(d, _mm256_permute2f128_pd(ab0, ce0, 0x20));
  _mm256_storeu_pd(d + width, _mm256_permute2f128_pd(ab1, ce1, 0x20));
  _mm256_storeu_pd(d + 2 * width, _mm256_permute2f128_pd(ab0, ce0, 0x31));
  _mm256_storeu_pd(d + 3 * width, _mm256_permute2f128_pd(ab1, ce1, 0x31));
}
#endif

// dst[c * ldd + r] = src[r * ld + c].
template<class T>
void transpose(int64_t rows, int64_t cols, const T* src, int64_t ld, T* dst, int64_t ldd) {
  int64_t r = 0;
#if defined(__AVX2__)
  constexpr int S = 32 / static_cast<int>(sizeof(T));
  while (rows - r > 1 && rows >= S) {
    r = r + S <= rows ? r : rows - S; // the last squares may overlap those before
    const T* s = src + r * ld;
    T* d = dst + r;
    int64_t c = 0;
    for (; c + S <= cols; c += S)
      transpose_square([&](int i) { return s + i * ld + c; }, d + c * ldd, ldd);
    if (c < cols && cols >= S) // the last square overlaps the one before it
      transpose_square([&](int i) { return s + i * ld + cols - S; }, d + (cols - S) * ldd, ldd);
    else
      for (; c < cols; c++)
        for (int i = 0; i < S; i++) d[c * ldd + i] = s[i * ld + c];
    r += S;
  }
#endif
  for (; r + 2 <= rows; r += 2) {
    const T *s = src + r * ld, *t = s + ld;
    T* d = dst + r;
    for (int64_t c = 0; c < cols; c++, d += ldd) {
      d[0] = s[c];
      d[1] = t[c];
    }
  }
  if (r < rows)
    for (int64_t c = 0; c < cols; c++) dst[c * ldd + r] = src[r * ld + c];
}

// M(0) ... M(13), for kernels whose accumulators must be named variables: compilers keep those in
// registers, arrays of vectors they often do not.
#define FLAMBEAU_ROWS(M) M(0) M(1) M(2) M(3) M(4) M(5) M(6) M(7) M(8) M(9) M(10) M(11) M(12) M(13)

} // namespace FLAMBEAU_ISA
} // namespace flambeau
