// Matrix product of integers and complex numbers, and batches of products of any type.
#include <algorithm>
#include <complex>
#include <type_traits>

#include "gemm.h"
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

// Integers wrap around: products are taken unsigned and at least as wide as int.
template<class T>
T wrapping_multiply_add(T sum, T x, T y) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::common_type_t<std::make_unsigned_t<T>, unsigned>;
    return static_cast<T>(static_cast<U>(sum) + static_cast<U>(x) * static_cast<U>(y));
  } else {
    return sum + x * y;
  }
}

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
          for (int64_t j = 0; j < cols; j++) sums[j] = wrapping_multiply_add(sums[j], s, row[j]);
        else
          for (int64_t j = 0; j < cols; j++)
            sums[j] = wrapping_multiply_add(sums[j], s, row[j * step]);
      }
      T* out = c + i * ldc + j0;
      for (int64_t j = 0; j < cols; j++) {
        const T value = wrapping_multiply_add(T{}, alpha, sums[j]);
        out[j] = beta == T{} ? value : wrapping_multiply_add(value, beta, out[j]);
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

template<class T>
void split(int64_t rows, int64_t cols, const Pair<T>* x, int64_t ld, T* re, T* im) {
  for (int64_t i = 0; i < rows; i++)
    for (int64_t j = 0; j < cols; j++) {
      re[i * cols + j] = x[i * ld + j].re;
      im[i * cols + j] = x[i * ld + j].im;
    }
}

// Large complex products are four real ones on the separated parts.
template<class T>
void gemm_complex(bool ta, bool tb, int64_t m, int64_t n, int64_t k, Pair<T> alpha,
                  const Pair<T>* a, int64_t lda, const Pair<T>* b, int64_t ldb, Pair<T> beta,
                  Pair<T>* c, int64_t ldc) {
  if (m * n * k < 32768 || m < 4 || n < 4)
    return gemm_simple(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
  T* are = workspace<T>(3, 2 * m * k);
  T* aim = are + m * k;
  T* bre = workspace<T>(4, 2 * k * n);
  T* bim = bre + k * n;
  T* re = workspace<T>(5, 2 * m * n);
  T* im = re + m * n;
  split(ta ? k : m, ta ? m : k, a, lda, are, aim);
  split(tb ? n : k, tb ? k : n, b, ldb, bre, bim);
  const int64_t la = ta ? m : k, lb = tb ? k : n;
  gemm<T>(ta, tb, m, n, k, 1, are, la, bre, lb, 0, re, n);
  gemm<T>(ta, tb, m, n, k, -1, aim, la, bim, lb, 1, re, n);
  gemm<T>(ta, tb, m, n, k, 1, are, la, bim, lb, 0, im, n);
  gemm<T>(ta, tb, m, n, k, 1, aim, la, bre, lb, 1, im, n);
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      const Pair<T> value = alpha * Pair<T>{re[i * n + j], im[i * n + j]};
      Pair<T>& out = c[i * ldc + j];
      out = beta == Pair<T>{} ? value : value + beta * out;
    }
}

template<class T>
Pair<T> pair(std::complex<T> z) {
  return {z.real(), z.imag()};
}

} // namespace

#define FLAMBEAU_INTEGER(T)                                                            \
  template<>                                                                           \
  void gemm<T>(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a, \
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {      \
    gemm_simple(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                 \
  }
FLAMBEAU_INTEGER(int8_t)
FLAMBEAU_INTEGER(uint8_t)
FLAMBEAU_INTEGER(int16_t)
FLAMBEAU_INTEGER(int32_t)
FLAMBEAU_INTEGER(int64_t)

#define FLAMBEAU_COMPLEX(T)                                                                 \
  template<>                                                                                \
  void gemm<std::complex<T>>(bool ta, bool tb, int64_t m, int64_t n, int64_t k,             \
                             std::complex<T> alpha, const std::complex<T>* a, int64_t lda,  \
                             const std::complex<T>* b, int64_t ldb, std::complex<T> beta,   \
                             std::complex<T>* c, int64_t ldc) {                             \
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
FLAMBEAU_BATCHED(int8_t)
FLAMBEAU_BATCHED(uint8_t)
FLAMBEAU_BATCHED(int16_t)
FLAMBEAU_BATCHED(int32_t)
FLAMBEAU_BATCHED(int64_t)

} // namespace flambeau
