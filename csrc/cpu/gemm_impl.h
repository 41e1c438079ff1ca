// Inner kernels of the matrix product, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include <algorithm>

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
  } else if constexpr (kVectorBytes > 16) {
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
  // C is wanted when the sums are done; by then it has come from memory. (Unrolled, this loop makes
  // the compiler copy the whole kernel many times.)
#pragma GCC unroll 1
  for (int i = 0; i < MR; i++) {
    __builtin_prefetch(c + i * ldc, 1);
    __builtin_prefetch(c + i * ldc + cols - 1, 1);
  }
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

template<class T, int MR>
FLAMBEAU_INLINE void small_rows(int k, const T* a, int64_t rs, int64_t cs, const T* b, int64_t bs,
                                T* c, int64_t ldc, int cols, T alpha, T beta) {
  Vec<T> sums[MR] = {};
  for (int p = 0; p < k; p++) {
    const Vec<T> row = load_part<T>(b + p * bs, cols);
#pragma GCC unroll 4
    for (int i = 0; i < MR; i++) sums[i] += broadcast<Vec<T>>(a[i * rs + p * cs]) * row;
  }
#pragma GCC unroll 4
  for (int i = 0; i < MR; i++)
    finish<T>(c + i * ldc, sums[i], broadcast<Vec<T>>(alpha), beta, cols);
}

template<class T>
void small(int64_t batch, int m, int n, int k, T alpha, const T* a, int64_t rs, int64_t cs,
           int64_t sa, const T* b, int64_t bs, int64_t ks, int64_t sb, T beta, T* c, int64_t ldc,
           int64_t sc) {
  T rows[kSmall * kSmall]; // B with its rows contiguous
  for (; batch > 0; batch--, a += sa, b += sb, c += sc) {
    if (ks != 1) transpose(n, k, b, ks, rows, kSmall);
    const T* from = ks != 1 ? rows : b;
    const int64_t step = ks != 1 ? kSmall : bs;
    for (int j = 0; j < n; j += kLanes<T>) {
      const int cols = n - j < kLanes<T> ? n - j : kLanes<T>;
      int i = 0;
      for (; i + 4 <= m; i += 4)
        small_rows<T, 4>(k, a + i * rs, rs, cs, from + j, step, c + i * ldc + j, ldc, cols, alpha,
                         beta);
      for (; i < m; i++)
        small_rows<T, 1>(k, a + i * rs, rs, cs, from + j, step, c + i * ldc + j, ldc, cols, alpha,
                         beta);
    }
  }
}

// Some rows at a time: what is read is then whole lines, and so is what is written.
template<class T, int NV>
FLAMBEAU_INLINE void copy_rows(int64_t rows, int64_t panels, int width, const T* src, int64_t ld,
                               T* dst, int64_t stride) {
  constexpr int L = kLanes<T>;
  constexpr int64_t kRows = 8;
  for (int64_t p0 = 0; p0 < rows; p0 += kRows)
    for (int64_t i = 0; i < panels; i++) {
      const int64_t n = std::min(kRows, rows - p0);
      const T* from = src + p0 * ld + i * width;
      T* to = dst + i * stride + p0 * width;
      for (int64_t p = 0; p < n; p++, from += ld, to += width) {
        store(to, load<Vec<T>>(from));
        if constexpr (NV == 2) store(to + L, load<Vec<T>>(from + L));
      }
    }
}

template<class T>
void pack_rows(int64_t k, int64_t cols, int width, const T* src, int64_t ld, T* dst,
               int64_t stride) {
  constexpr int L = kLanes<T>;
  const int64_t panels = cols / width, rest = cols % width, reach = width <= L ? L : 2 * L;
  // Whole vectors, whose surplus the next row overwrites; so the last row goes by elements.
  const int64_t whole = reach == width ? k : reach <= std::min<int64_t>(2 * width, ld) ? k - 1 : 0;
  if (width <= L)
    copy_rows<T, 1>(whole, panels, width, src, ld, dst, stride);
  else
    copy_rows<T, 2>(whole, panels, width, src, ld, dst, stride);
  for (int64_t p = whole; p < k; p++)
    for (int64_t j = 0; j < panels * width; j++)
      dst[j / width * stride + p * width + j % width] = src[p * ld + j];
  if (rest == 0) return;
  src += panels * width;
  dst += panels * stride;
  for (int64_t p = 0; p < k; p++, src += ld, dst += width) {
    if (width == 2 * L) {
      store(dst, rest >= L ? load<Vec<T>>(src) : load_part<T>(src, int(rest)));
      store(dst + L, rest > L ? load_part<T>(src + L, int(rest) - L) : Vec<T>{});
      continue;
    }
    for (int64_t j = 0; j < width; j++) dst[j] = j < rest ? src[j] : T(0);
  }
}

template<class T>
void pack_transposed(int64_t k, int cols, int width, const T* src, int64_t ld, T* dst) {
  int64_t p = 0;
#if defined(__AVX2__)
  // Eight rows, the last repeated; what is too much the next columns overwrite.
  constexpr int S = 32 / static_cast<int>(sizeof(T));
  if (cols < S && 2 * cols >= S && width == cols)
    for (; p + S < k; p += S)
      transpose_square([&](int i) { return src + (i < cols ? i : cols - 1) * ld + p; },
                       dst + p * width, width);
#endif
  transpose(cols, k - p, src + p, ld, dst + p * width, width);
  for (int j = cols; j < width; j++)
    for (p = 0; p < k; p++) dst[p * width + j] = T(0);
}

// Dot products of R rows with F rows; several sums where there would be too few to keep busy.
template<class T, int R, int F>
FLAMBEAU_INLINE void dot_block(int64_t k, T alpha, const T* a, int64_t lda, const T* x, int64_t ldx,
                               T beta, T* y, int64_t step, int64_t step_few) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>, U = R * F == 1 ? 4 : R * F < 8 ? 2 : 1;
  constexpr int P = U == 4 ? 2 : 1, Q = U / P; // one pair is read in two places: memory brings more
  V s[R][F][U] = {};
  const int64_t part = k / (U * L) * (Q * L);
  int64_t p = 0;
  for (; p < part; p += Q * L)
#pragma GCC unroll 4
    for (int u = 0; u < U; u++) {
      const int64_t at = p + u / Q * part + u % Q * L;
      V v[F];
#pragma GCC unroll 4
      for (int f = 0; f < F; f++) v[f] = load<V>(x + f * ldx + at);
#pragma GCC unroll 4
      for (int r = 0; r < R; r++) {
        const V row = load<V>(a + r * lda + at);
#pragma GCC unroll 4
        for (int f = 0; f < F; f++) s[r][f][u] += row * v[f];
      }
    }
  for (p = P * part; p < k; p += L) {
    const int n = k - p < L ? static_cast<int>(k - p) : L;
    V v[F];
#pragma GCC unroll 4
    for (int f = 0; f < F; f++) v[f] = load_part<T>(x + f * ldx + p, n);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) {
      const V row = load_part<T>(a + r * lda + p, n);
#pragma GCC unroll 4
      for (int f = 0; f < F; f++) s[r][f][0] += row * v[f];
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; r++)
#pragma GCC unroll 4
    for (int f = 0; f < F; f++) {
#pragma GCC unroll 2
      for (int h = U / 2; h; h /= 2)
#pragma GCC unroll 2
        for (int u = 0; u < h; u++) s[r][f][u] += s[r][f][u + h];
      const T dot = alpha * sum_lanes<T, V>(s[r][f][0]);
      T& out = y[r * step + f * step_few];
      out = beta != T(0) ? dot + beta * out : dot;
    }
}

template<class T, int F>
void dots_of(int64_t rows, int64_t k, T alpha, const T* a, int64_t lda, const T* x, int64_t ldx,
             T beta, T* y, int64_t step, int64_t step_few) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
    dot_block<T, 4, F>(k, alpha, a + i * lda, lda, x, ldx, beta, y + i * step, step, step_few);
  for (; i < rows; i++)
    dot_block<T, 1, F>(k, alpha, a + i * lda, lda, x, ldx, beta, y + i * step, step, step_few);
}

template<class T>
void dots(int64_t rows, int64_t few, int64_t k, T alpha, const T* a, int64_t lda, const T* x,
          int64_t ldx, T beta, T* y, int64_t step, int64_t step_few) {
  constexpr int64_t kBlock = 4; // rows that stay in cache while all of x goes over them
  for (int64_t i = 0; i < rows; i += few > 2 ? kBlock : rows) {
    const int64_t n = few > 2 ? std::min(kBlock, rows - i) : rows;
    for (int64_t f = 0; f < few; f += 2) {
      const T* xf = x + f * ldx;
      T* out = y + i * step + f * step_few;
      if (f + 1 < few)
        dots_of<T, 2>(n, k, alpha, a + i * lda, lda, xf, ldx, beta, out, step, step_few);
      else
        dots_of<T, 1>(n, k, alpha, a + i * lda, lda, xf, ldx, beta, out, step, step_few);
    }
  }
}

template<class T, int NV>
FLAMBEAU_INLINE void combine_block(int64_t k, T alpha, const T* b, int64_t ldb, const T* x,
                                   int64_t inc, T beta, T* y, int last) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>, U = NV < 4 ? 4 / NV : 1; // several sums where there are few
  V s[U][NV] = {};
  auto add = [&](V* sums, const T* row, T by) __attribute__((always_inline)) {
    const V x0 = broadcast<V>(by);
#pragma GCC unroll 8
    for (int v = 0; v < NV; v++)
      sums[v] += x0 * (NV > 1 || last == L ? load<V>(row + v * L) : load_part<T>(row, last));
  };
  int64_t p = 0;
  for (; p + U <= k; p += U)
#pragma GCC unroll 4
    for (int u = 0; u < U; u++, b += ldb) add(s[u], b, x[(p + u) * inc]);
  for (; p < k; p++, b += ldb) add(s[0], b, x[p * inc]);
#pragma GCC unroll 8
  for (int v = 0; v < NV; v++) {
#pragma GCC unroll 4
    for (int u = 1; u < U; u++) s[0][v] += s[u][v];
    finish<T>(y + v * L, s[0][v], broadcast<V>(alpha), beta, NV > 1 ? L : last);
  }
}

template<class T>
void combine_columns(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x,
                     int64_t inc, T beta, T* y) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  for (; j + 8 * L <= n; j += 8 * L)
    combine_block<T, 8>(k, alpha, b + j, ldb, x, inc, beta, y + j, L);
  for (; j + 2 * L <= n; j += 2 * L)
    combine_block<T, 2>(k, alpha, b + j, ldb, x, inc, beta, y + j, L);
  for (; j < n; j += L)
    combine_block<T, 1>(k, alpha, b + j, ldb, x, inc, beta, y + j, n - j < L ? int(n - j) : L);
}

// A matrix beyond the nearest cache is read along its rows, eight at a time; y is what stays.
template<class T>
void combine(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x, int64_t inc,
             T beta, T* y) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>, R = 8;
  int64_t p = 0;
  if (n * k * int64_t(sizeof(T)) > (128 << 10) && n >= 8 * L)
    for (; p + R <= k; p += R, b += R * ldb) {
      V s[R];
#pragma GCC unroll 8
      for (int r = 0; r < R; r++) s[r] = broadcast<V>(alpha * x[(p + r) * inc]);
      int64_t j = 0;
      for (; j + L <= n; j += L) {
        V sum = beta == T(0) ? V{} : load<V>(y + j) * broadcast<V>(beta);
#pragma GCC unroll 8
        for (int r = 0; r < R; r++) sum += s[r] * load<V>(b + r * ldb + j);
        store(y + j, sum);
      }
      if (j < n)
        combine_columns(n - j, int64_t(R), alpha, b + j, ldb, x + p * inc, inc, beta, y + j);
      beta = T(1);
    }
  if (p < k) combine_columns(n, k - p, alpha, b, ldb, x + p * inc, inc, beta, y);
}

template<class T, int R>
FLAMBEAU_INLINE void rank_one_rows(int64_t n, const T* x, const T* y, T* a, int64_t lda) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  V by[R];
#pragma GCC unroll 4
  for (int r = 0; r < R; r++) by[r] = broadcast<V>(x[r]);
  int64_t j = 0;
  for (; j + L <= n; j += L) {
    const V v = load<V>(y + j);
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) store(a + r * lda + j, load<V>(a + r * lda + j) + by[r] * v);
  }
  for (; j < n; j++) // masked stores are slow
#pragma GCC unroll 4
    for (int r = 0; r < R; r++) a[r * lda + j] += x[r] * y[j];
}

template<class T>
void rank_one(int64_t m, int64_t n, const T* x, const T* y, T* a, int64_t lda) {
  int64_t i = 0;
  for (; i + 4 <= m; i += 4) rank_one_rows<T, 4>(n, x + i, y, a + i * lda, lda);
  for (; i < m; i++) rank_one_rows<T, 1>(n, x + i, y, a + i * lda, lda);
}

template<class T>
void rotate(int64_t n, T c, T s, T* x, T* y) {
  using V = Vec<T>;
  const V cs = broadcast<V>(c), sn = broadcast<V>(s);
  int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) {
    const V a = load<V>(x + j), b = load<V>(y + j);
    store(x + j, cs * a - sn * b);
    store(y + j, sn * a + cs * b);
  }
  for (; j < n; j++) {
    const T a = x[j], b = y[j];
    x[j] = c * a - s * b;
    y[j] = s * a + c * b;
  }
}

template<class T, int... I>
const GemmKernels<T>* make_table() {
  static constexpr typename GemmKernels<T>::Tile one[] = {tile<T, I, 1>...};
  static constexpr typename GemmKernels<T>::Tile two[] = {tile<T, I, 2>...};
  static constexpr GemmKernels<T> table = {
      kLanes<T>, 2 * kLanes<T>, kMaxRows, kMasks,     {one, two},  pack_transposed<T>,
      small<T>,  pack_rows<T>,  dots<T>,  combine<T>, rank_one<T>, rotate<T>};
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

template<class U>
void integer_tile(int64_t k, const U* a, const U* b, U* sums) {
  using V = Vec<U>;
  constexpr int R = kIntegerRows, L = kLanes<U>;
  V x[R] = {}, y[R] = {};
  for (int64_t p = 0; p < k; p++, a += R, b += 2 * L) {
    const V b0 = load<V>(b), b1 = load<V>(b + L);
#pragma GCC unroll 4
    for (int i = 0; i < R; i++) {
      const V s = broadcast<V>(a[i]);
      x[i] += s * b0;
      y[i] += s * b1;
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < R; i++) {
    store(sums + i * 2 * L, x[i]);
    store(sums + i * 2 * L + L, y[i]);
  }
}

template<class U>
const IntegerKernel<U>* integer_table() {
  static constexpr IntegerKernel<U> table = {2 * kLanes<U>, integer_tile<U>};
  return &table;
}

template const IntegerKernel<uint16_t>* integer_table<uint16_t>();
template const IntegerKernel<uint32_t>* integer_table<uint32_t>();
template const IntegerKernel<uint64_t>* integer_table<uint64_t>();
template const GemmKernels<float>* gemm_table<float>();
template const GemmKernels<double>* gemm_table<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
