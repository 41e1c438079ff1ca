// Inner kernels of the matrix product, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include "gemm_kernels.h"
#include "gemm_vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template<class T>
__attribute__((noinline)) void finish_part(T* c, const T* all, T beta, int n) {
  for (int i = 0; i < n; i++) c[i] = beta != T(0) ? all[i] + beta * c[i] : all[i];
}

template<class T>
FLAMBEAU_INLINE void finish(T* c, Vec<T> acc, Vec<T> alpha, T beta, int n) {
  acc *= alpha;
  if (n == kLanes<T>) {
    if (beta != T(0)) acc += load<Vec<T>>(c) * broadcast<Vec<T>>(beta);
    store(c, acc);
  } else if constexpr (kMasks) {
    if (beta != T(0)) acc += load_part<T>(c, n) * broadcast<Vec<T>>(beta);
    store_part<T>(c, acc, n);
  } else {
    T all[kLanes<T>];
    store(all, acc);
    finish_part<T>(c, all, beta, n);
  }
}

template<class T, int NV>
FLAMBEAU_INLINE void finish_row(T* c, Vec<T> v0, Vec<T> v1, Vec<T> alpha, T beta, int last) {
  finish<T>(c, v0, alpha, beta, NV == 1 ? last : kLanes<T>);
  if constexpr (NV == 2) finish<T>(c + kLanes<T>, v1, alpha, beta, last);
}

// One tile of C, kept in MR x NV registers for the whole of k.
template<class T, int MR, int NV>
void tile(int64_t k, const T* a, int64_t rs, int64_t cs, const T* b, int64_t bs, T* c, int64_t ldc,
          int cols, T alpha, T beta) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  const int last = cols - (NV - 1) * L;
#define FLAMBEAU_ZERO(i) V x##i{}, y##i{};
  FLAMBEAU_ROWS(FLAMBEAU_ZERO)
  for (int64_t p = 0; p < k; p++) {
    const V b0 = kMasks && NV == 1 ? load_part<T>(b, last) : load<V>(b);
    V b1{};
    if constexpr (NV == 2) b1 = kMasks ? load_part<T>(b + L, last) : load<V>(b + L);
#define FLAMBEAU_FMA(i)                    \
  if constexpr (MR > i) {                  \
    const V s = broadcast<V>(a[i * rs]);   \
    x##i += s * b0;                        \
    if constexpr (NV == 2) y##i += s * b1; \
  }
    FLAMBEAU_ROWS(FLAMBEAU_FMA)
    a += cs;
    b += bs;
  }
  const V scale = broadcast<V>(alpha);
#define FLAMBEAU_OUT(i) \
  if constexpr (MR > i) finish_row<T, NV>(c + i * ldc, x##i, y##i, scale, beta, last);
  FLAMBEAU_ROWS(FLAMBEAU_OUT)
#undef FLAMBEAU_ZERO
#undef FLAMBEAU_FMA
#undef FLAMBEAU_OUT
}

template<class T>
void pack_rows(int64_t k, int cols, int width, const T* src, int64_t ld, T* dst) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  for (int64_t p = 0; p < k; p++, src += ld, dst += width) {
    if (cols == 2 * L && width == 2 * L) {
      store(dst, load<V>(src));
      store(dst + L, load<V>(src + L));
    } else {
      for (int j = 0; j < cols; j++) dst[j] = src[j];
      for (int j = cols; j < width; j++) dst[j] = T(0);
    }
  }
}

template<class T>
void pack_transposed(int64_t k, int cols, int width, const T* src, int64_t ld, T* dst) {
  transpose(cols, k, src, ld, dst, width);
  for (int j = cols; j < width; j++)
    for (int64_t p = 0; p < k; p++) dst[p * width + j] = T(0);
}

template<class T, int R>
FLAMBEAU_INLINE void dot_rows(int64_t k, T alpha, const T* a, int64_t lda, const T* x, T beta, T* y,
                              int64_t inc) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  V s[R][2] = {};
  int64_t p = 0;
  for (; p + 2 * L <= k; p += 2 * L) {
    const V x0 = load<V>(x + p), x1 = load<V>(x + p + L);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      s[r][0] += load<V>(a + r * lda + p) * x0;
      s[r][1] += load<V>(a + r * lda + p + L) * x1;
    }
  }
  for (; p < k; p += L) {
    const int n = k - p < L ? static_cast<int>(k - p) : L;
    const V x0 = n == L ? load<V>(x + p) : load_part<T>(x + p, n);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++)
      s[r][0] += (n == L ? load<V>(a + r * lda + p) : load_part<T>(a + r * lda + p, n)) * x0;
  }
  for (int r = 0; r < R; r++) {
    const T dot = alpha * sum_lanes<T, V>(s[r][0] + s[r][1]);
    y[r * inc] = beta != T(0) ? dot + beta * y[r * inc] : dot;
  }
}

template<class T>
void gemv_rows(int64_t m, int64_t k, T alpha, const T* a, int64_t lda, const T* x, T beta, T* y,
               int64_t inc) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) dot_rows<T, 4>(k, alpha, a + i * lda, lda, x, beta, y + i * inc, inc);
  for (; i < m; i++) dot_rows<T, 1>(k, alpha, a + i * lda, lda, x, beta, y + i * inc, inc);
}

template<class T, int NV>
FLAMBEAU_INLINE void gemv_block(int64_t k, T alpha, const T* b, int64_t ldb, const T* x,
                                int64_t inc, T beta, T* y, int last) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  V s[NV] = {};
  for (int64_t p = 0; p < k; p++, b += ldb) {
    const V xp = broadcast<V>(x[p * inc]);
#pragma GCC unroll 8
    for (int v = 0; v < NV; v++)
      s[v] += xp * (NV > 1 || last == L ? load<V>(b + v * L) : load_part<T>(b, last));
  }
  for (int v = 0; v < NV; v++)
    finish<T>(y + v * L, s[v], broadcast<V>(alpha), beta, NV > 1 ? L : last);
}

template<class T>
void gemv_cols(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x, int64_t inc,
               T beta, T* y) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  for (; j + 8 * L <= n; j += 8 * L) gemv_block<T, 8>(k, alpha, b + j, ldb, x, inc, beta, y + j, L);
  for (; j + 2 * L <= n; j += 2 * L) gemv_block<T, 2>(k, alpha, b + j, ldb, x, inc, beta, y + j, L);
  for (; j < n; j += L)
    gemv_block<T, 1>(k, alpha, b + j, ldb, x, inc, beta, y + j, n - j < L ? int(n - j) : L);
}

template<class T, int... I>
const GemmKernels<T>* make_table() {
  static constexpr typename GemmKernels<T>::Tile one[] = {tile<T, I, 1>...};
  static constexpr typename GemmKernels<T>::Tile two[] = {tile<T, I, 2>...};
  static constexpr GemmKernels<T> table = {kLanes<T>,    2 * kLanes<T>, kMaxRows,
                                           kMasks,       {one, two},    pack_transposed<T>,
                                           pack_rows<T>, gemv_rows<T>,  gemv_cols<T>};
  return &table;
}

template<class T>
const GemmKernels<T>* gemm_table() {
#if defined(__AVX512F__)
  return make_table<T, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>();
#elif defined(__AVX2__)
  return make_table<T, 1, 2, 3, 4, 5, 6>();
#else
  return make_table<T, 1, 2, 3, 4>();
#endif
}

template const GemmKernels<float>* gemm_table<float>();
template const GemmKernels<double>* gemm_table<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
