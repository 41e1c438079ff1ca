// Matrix product of complex numbers, and batches of products of any type.
#include <algorithm>
#include <complex>
#include <type_traits>

#include "../core/dtype.h"
#include "gemm.h"
#include "gemm_call.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

template<class T>
struct Pair { // a complex number multiplied without the standard's check for infinities
  T re, im;
  Pair operator*(Pair o) const { return {re * o.re - im * o.im, re * o.im + im * o.re}; }
  Pair operator+(Pair o) const { return {re + o.re, im + o.im}; }
  bool operator==(const Pair&) const = default;
};

template<class T>
struct Rows {
  bool trans_a, trans_b;
  int64_t n, k;
  T alpha;
  const T* a;
  int64_t lda;
  const T* b;
  int64_t ldb;
  T beta;
  T* c;
  int64_t ldc;

  // One row of C. The columns of a block stay in cache while k runs.
  void operator()(int64_t i) const {
    constexpr int64_t kBlock = 128;
    T sums[kBlock];
    for (int64_t j0 = 0; j0 < n; j0 += kBlock) {
      const int64_t cols = std::min(kBlock, n - j0);
      std::fill(sums, sums + cols, T{});
      for (int64_t p = 0; p < k; p++) {
        const T s = trans_a ? a[p * lda + i] : a[i * lda + p];
        const T* row = trans_b ? b + j0 * ldb + p : b + p * ldb + j0;
        const int64_t step = trans_b ? ldb : 1;
        if (step == 1)
          for (int64_t j = 0; j < cols; j++) sums[j] = sums[j] + s * row[j];
        else
          for (int64_t j = 0; j < cols; j++) sums[j] = sums[j] + s * row[j * step];
      }
      T* out = c + i * ldc + j0;
      for (int64_t j = 0; j < cols; j++) {
        const T value = alpha * sums[j];
        out[j] = beta == T{} ? value : value + beta * out[j];
      }
    }
  }
};

template<class T>
void gemm_simple(bool trans_a, bool trans_b, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
                 int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  const Rows<T> rows{trans_a, trans_b, n, k, alpha, a, lda, b, ldb, beta, c, ldc};
  const int64_t grain = std::max<int64_t>(1, (1 << 16) / (n * std::max<int64_t>(k, 1)));
  parallel_for(m, grain, [&](int64_t i, int64_t end) {
    for (; i < end; i++) rows(i);
  });
}

constexpr int kSlotA = 3, kSlotB = 4, kSlotC = 5;

// A row-major copy of op(X), element by element through f(from, to, column).
template<class T, class F>
void copy_rows(bool trans, int64_t rows, int64_t cols, const Pair<T>* x, int64_t ld, F f) {
  parallel_for(rows, std::max<int64_t>(1, 16384 / cols), [&](int64_t i, int64_t end) {
    for (; i < end; i++)
      for (int64_t j = 0; j < cols; j++) f(x[trans ? j * ld + i : i * ld + j], i, j);
  });
}

template<class T>
const Pair<T>* row_major(bool trans, int64_t rows, int64_t cols, const Pair<T>* x, int64_t& ld,
                         int slot) {
  if (!trans) return x;
  auto* dense = workspace<Pair<T>>(slot, rows * cols);
  copy_rows<T>(true, rows, cols, x, ld,
               [=](Pair<T> z, int64_t i, int64_t j) { dense[i * cols + j] = z; });
  ld = cols;
  return dense;
}

// One real product with columns (re, im): rows (re, im) of A meet rows (re, im) and (-im, re) of B,
// or, where B is stored by columns, columns (re, -im) and (im, re).
template<class T>
void multiply_wide(bool ta, bool tb, int64_t m, int64_t n, int64_t k, Pair<T> alpha,
                   const Pair<T>* a, int64_t lda, const Pair<T>* b, int64_t ldb, bool add,
                   Pair<T>* c, int64_t ldc) {
  a = row_major(ta, m, k, a, lda, kSlotA);
  auto* wide = workspace<Pair<T>>(kSlotB, 2 * k * n);
  const int64_t rows = tb ? n : k, cols = tb ? k : n;
  copy_rows<T>(false, rows, cols, b, ldb, [=](Pair<T> z, int64_t i, int64_t j) {
    z = alpha * z;
    wide[2 * i * cols + j] = tb ? Pair<T>{z.re, -z.im} : z;
    wide[(2 * i + 1) * cols + j] = tb ? Pair<T>{z.im, z.re} : Pair<T>{-z.im, z.re};
  });
  gemm<T>(false, tb, m, 2 * n, 2 * k, T(1), &a->re, 2 * lda, &wide->re, 2 * cols, T(add), &c->re,
          2 * ldc);
}

// For few rows: the real and the imaginary rows of A, one above the other, times B as it is.
template<class T>
void multiply_tall(bool ta, bool tb, int64_t m, int64_t n, int64_t k, Pair<T> alpha,
                   const Pair<T>* a, int64_t lda, const Pair<T>* b, int64_t ldb, bool add,
                   Pair<T>* c, int64_t ldc) {
  T* tall = workspace<T>(kSlotA, 2 * m * k);
  copy_rows<T>(ta, m, k, a, lda, [=](Pair<T> z, int64_t i, int64_t p) {
    z = alpha * z;
    tall[i * k + p] = z.re;
    tall[(m + i) * k + p] = z.im;
  });
  b = row_major(tb, k, n, b, ldb, kSlotB);
  auto* x = workspace<Pair<T>>(kSlotC, 2 * m * n);
  gemm<T>(false, false, 2 * m, 2 * n, k, T(1), tall, k, &b->re, 2 * ldb, T(0), &x->re, 2 * n);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      const Pair<T> re = x[i * n + j], im = x[(m + i) * n + j];
      const Pair<T> z{re.re - im.im, re.im + im.re};
      c[i * ldc + j] = add ? c[i * ldc + j] + z : z;
    }
}

template<class T>
void gemm_complex(bool ta, bool tb, int64_t m, int64_t n, int64_t k, Pair<T> alpha,
                  const Pair<T>* a, int64_t lda, const Pair<T>* b, int64_t ldb, Pair<T> beta,
                  Pair<T>* c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (m * n * k < 64 || k <= 0)
    return gemm_simple(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  const bool add = !(beta == Pair<T>{});
  if (add && !(beta == Pair<T>{1, 0}))
    for (int64_t i = 0; i < m; i++)
      for (int64_t j = 0; j < n; j++) c[i * ldc + j] = beta * c[i * ldc + j];
  // A vector goes to the side that need not copy the matrix: C' = op(B)' op(A)'.
  if ((m == 1 && tb) || (n == 1 && ta && ldc == 1)) {
    std::swap(m, n), std::swap(a, b), std::swap(lda, ldb);
    std::swap(ta, tb), ta = !ta, tb = !tb;
    ldc = n;
  }
  if (n == 1 && ldb == 1) tb = true, ldb = k;
  const bool few = m * (k + 4 * n) < 2 * k * n;
  (few ? multiply_tall<T> : multiply_wide<T>)(ta, tb, m, n, k, alpha, a, lda, b, ldb, add, c, ldc);
}

// C = beta * D where D is given; beta is then one.
template<class T>
void start(int64_t m, int64_t n, T& beta, T* c, int64_t ldc, const T* d, int64_t ldd) {
  if (d == nullptr || beta == T(0)) return;
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) c[i * ldc + j] = static_cast<T>(beta * d[i * ldd + j]);
  beta = T(1);
}

template<class T>
Pair<T> pair(std::complex<T> z) {
  return {z.real(), z.imag()};
}

} // namespace

#define FLAMBEAU_COMPLEX(T)                                                                 \
  template<>                                                                                \
  void gemm<std::complex<T>>(bool ta, bool tb, int64_t m, int64_t n, int64_t k,             \
                             std::complex<T> alpha, const std::complex<T>* a, int64_t lda,  \
                             const std::complex<T>* b, int64_t ldb, std::complex<T> beta,   \
                             std::complex<T>* c, int64_t ldc, const std::complex<T>* d,     \
                             int64_t ldd) {                                                 \
    start(m, n, beta, c, ldc, d, ldd);                                                      \
    gemm_complex<T>(ta, tb, m, n, k, pair(alpha), reinterpret_cast<const Pair<T>*>(a), lda, \
                    reinterpret_cast<const Pair<T>*>(b), ldb, pair(beta),                   \
                    reinterpret_cast<Pair<T>*>(c), ldc);                                    \
  }
FLAMBEAU_COMPLEX(float)
FLAMBEAU_COMPLEX(double)

template<class T>
void gemm_batched(int64_t batch, bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha,
                  const T* a, int64_t lda, int64_t stride_a, const T* b, int64_t ldb,
                  int64_t stride_b, T beta, T* c, int64_t ldc, int64_t stride_c) {
  if (batch <= 0 || m <= 0 || n <= 0) return;
  // One shared right operand under stacked left ones is a single, taller product.
  if (stride_b == 0 && !ta && stride_a == m * lda && stride_c == m * ldc)
    return gemm<T>(ta, tb, batch * m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  auto product = [&](int64_t i) {
    gemm<T>(ta, tb, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
            c + i * stride_c, ldc);
  };
  const double work = static_cast<double>(m) * n * std::max<int64_t>(k, 1);
  if (batch < 8 && work >= double(1 << 21)) {
    for (int64_t i = 0; i < batch; i++) product(i);
    return;
  }
  const auto grain = static_cast<int64_t>(std::clamp((1 << 17) / work, 1.0, 1048576.0));
  if constexpr (std::is_floating_point_v<T>)
    if (std::max({m, n, k}) <= kSmall && k > 0 && alpha != T(0))
      return parallel_for(batch, (1 << 15) / (m * n * k + 64), [&](int64_t i, int64_t end) {
        gemm_small<T>(end - i,
                      {ta, tb, m, n, k, alpha, a + i * stride_a, lda, b + i * stride_b, ldb, beta,
                       nullptr, 0, c + i * stride_c, ldc},
                      stride_a, stride_b, stride_c);
      });
  parallel_for(batch, grain, [&](int64_t i, int64_t end) {
    for (; i < end; i++) product(i);
  });
}

#define FLAMBEAU_BATCHED(...)                                                                   \
  template void gemm_batched<__VA_ARGS__>(                                                      \
      int64_t, bool, bool, int64_t, int64_t, int64_t, __VA_ARGS__, const __VA_ARGS__*, int64_t, \
      int64_t, const __VA_ARGS__*, int64_t, int64_t, __VA_ARGS__, __VA_ARGS__*, int64_t, int64_t);
FLAMBEAU_BATCHED(float)
FLAMBEAU_BATCHED(double)
FLAMBEAU_BATCHED(std::complex<float>)
FLAMBEAU_BATCHED(std::complex<double>)
FLAMBEAU_BATCHED(bf16)
FLAMBEAU_BATCHED(int8_t)
FLAMBEAU_BATCHED(uint8_t)
FLAMBEAU_BATCHED(int16_t)
FLAMBEAU_BATCHED(int32_t)
FLAMBEAU_BATCHED(int64_t)

} // namespace flambeau
