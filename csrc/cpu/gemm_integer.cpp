// Matrix product of integers, which wrap around: sums are unsigned and of at least sixteen bits.
#include <algorithm>
#include <type_traits>

#include "gemm.h"
#include "gemm_call.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

enum Slot { kSlotA = 3, kSlotB = 4, kSlotVector = 5 };
constexpr int kRows = kIntegerRows;

template<class T>
using Sum = std::conditional_t<sizeof(T) == 8, uint64_t,
                               std::conditional_t<sizeof(T) == 4, uint32_t, uint16_t>>;

// What arithmetic on small unsigned types is done in, so that it never becomes signed.
template<class T>
using Wide = std::common_type_t<Sum<T>, unsigned>;

template<class T>
void finish(T& out, Sum<T> sum, T alpha, T beta) {
  using W = Wide<T>;
  const W product = static_cast<W>(sum) * static_cast<W>(alpha);
  out =
      static_cast<T>(beta == T(0) ? product : product + static_cast<W>(beta) * static_cast<W>(out));
}

template<class T>
Sum<T> dot(int64_t k, const T* a, const T* b) {
  Sum<T> sum = 0;
  for (int64_t p = 0; p < k; p++)
    sum = static_cast<Sum<T>>(sum + static_cast<Wide<T>>(a[p]) * static_cast<Wide<T>>(b[p]));
  return sum;
}

// Panels of `width` rows of op(X)', whose element (i, p) is x[i * rs + p * ps], filled up with
// zero.
template<class T>
void pack(int64_t rows, int64_t k, int64_t width, const T* x, int64_t rs, int64_t ps, Sum<T>* to) {
  parallel_for(ceil_div(rows, width), std::max<int64_t>(1, 32768 / (width * k)),
               [&](int64_t panel, int64_t end) {
                 for (; panel < end; panel++) {
                   Sum<T>* out = to + panel * width * k;
                   const T* from = x + panel * width * rs;
                   const int64_t n = std::min(width, rows - panel * width);
                   if (n < width) std::fill_n(out, width * k, Sum<T>(0));
                   if (rs == 1)
                     for (int64_t p = 0; p < k; p++)
                       for (int64_t i = 0; i < n; i++)
                         out[p * width + i] = static_cast<Sum<T>>(from[i + p * ps]);
                   else if (n == kRows && width == kRows)
                     for (int64_t p = 0; p < k; p++)
                       for (int i = 0; i < kRows; i++)
                         out[p * kRows + i] = static_cast<Sum<T>>(from[i * rs + p * ps]);
                   else
                     for (int64_t i = 0; i < n; i++)
                       for (int64_t p = 0; p < k; p++)
                         out[p * width + i] = static_cast<Sum<T>>(from[i * rs + p * ps]);
                 }
               });
}

template<class T>
void gemm_packed(int64_t m, int64_t n, int64_t k, T alpha, const T* a, int64_t rs, int64_t ps,
                 const T* b, int64_t cs, int64_t qs, T beta, T* c, int64_t ldc) {
  const auto& kernel = integer_kernel<Sum<T>>();
  const int64_t nr = kernel.columns, panels_m = ceil_div(m, kRows), panels_n = ceil_div(n, nr);
  auto* rows = workspace<Sum<T>>(kSlotA, panels_m * kRows * k);
  auto* columns = workspace<Sum<T>>(kSlotB, panels_n * nr * k);
  pack(m, k, kRows, a, rs, ps, rows);
  pack(n, k, nr, b, cs, qs, columns);
  const int64_t grain = std::max<int64_t>(1, (1 << 17) / (kRows * nr * k));
  parallel_for(panels_m * panels_n, grain, [&](int64_t tile, int64_t end) {
    Sum<T> sums[kRows * kIntegerColumns];
    for (; tile < end; tile++) {
      const int64_t i0 = tile % panels_m * kRows, j0 = tile / panels_m * nr;
      kernel.tile(k, rows + i0 * k, columns + j0 * k, sums);
      const int64_t columns_left = std::min(nr, n - j0);
      for (int64_t i = 0; i < std::min<int64_t>(kRows, m - i0); i++) {
        T* out = c + (i0 + i) * ldc + j0;
        const Sum<T>* from = sums + i * nr;
        if (alpha == T(1) && beta == T(0))
          std::transform(from, from + columns_left, out,
                         [](Sum<T> x) { return static_cast<T>(x); });
        else
          for (int64_t j = 0; j < columns_left; j++) finish(out[j], from[j], alpha, beta);
      }
    }
  });
}

// Rows of A times one vector.
template<class T>
void by_rows(int64_t m, int64_t k, T alpha, const T* a, int64_t lda, const T* x, int64_t inc,
             T beta, T* y, int64_t step) {
  T* dense = workspace<T>(kSlotVector, k);
  for (int64_t p = 0; p < k; p++) dense[p] = x[p * inc];
  parallel_for(m, std::max<int64_t>(1, 65536 / k), [&](int64_t i, int64_t end) {
    for (; i < end; i++) finish(y[i * step], dot(k, a + i * lda, dense), alpha, beta);
  });
}

// One vector times the columns of B.
template<class T>
void by_columns(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x, int64_t inc,
                T beta, T* y, int64_t step) {
  constexpr int64_t kBlock = 512;
  parallel_for(n, kBlock, [&](int64_t j0, int64_t end) {
    Sum<T> sums[kBlock] = {};
    for (int64_t p = 0; p < k; p++) {
      const auto s = static_cast<Sum<T>>(x[p * inc]);
      const T* row = b + p * ldb + j0;
      for (int64_t j = 0; j < end - j0; j++)
        sums[j] = static_cast<Sum<T>>(sums[j] + Wide<T>(s) * static_cast<Wide<T>>(row[j]));
    }
    for (int64_t j = j0; j < end; j++) finish(y[j * step], sums[j - j0], alpha, beta);
  });
}

template<class T>
void gemm_integer(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a,
                  int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc) {
  if (m <= 0 || n <= 0) return;
  if (k <= 0) {
    for (int64_t i = 0; i < m * n; i++) finish(c[i / n * ldc + i % n], Sum<T>(0), alpha, beta);
  } else if (n == 1 && !ta) {
    by_rows(m, k, alpha, a, lda, b, tb ? 1 : ldb, beta, c, ldc);
  } else if (m == 1 && tb) {
    by_rows(n, k, alpha, b, ldb, a, ta ? lda : 1, beta, c, 1);
  } else if (m == 1) {
    by_columns(n, k, alpha, b, ldb, a, ta ? lda : 1, beta, c, 1);
  } else if (n == 1) {
    by_columns(m, k, alpha, a, lda, b, tb ? 1 : ldb, beta, c, ldc);
  } else {
    gemm_packed(m, n, k, alpha, a, ta ? 1 : lda, ta ? lda : 1, b, tb ? ldb : 1, tb ? 1 : ldb, beta,
                c, ldc);
  }
}

} // namespace

#define FLAMBEAU_INTEGER(T)                                                                 \
  template<>                                                                                \
  void gemm<T>(bool ta, bool tb, int64_t m, int64_t n, int64_t k, T alpha, const T* a,      \
               int64_t lda, const T* b, int64_t ldb, T beta, T* c, int64_t ldc, const T* d, \
               int64_t ldd) {                                                               \
    if (d != nullptr && beta != T(0)) {                                                     \
      for (int64_t i = 0; i < m * n; i++) {                                                 \
        T& out = c[i / n * ldc + i % n] = d[i / n * ldd + i % n];                           \
        finish(out, Sum<T>(0), alpha, beta);                                                \
      }                                                                                     \
      beta = T(1);                                                                          \
    }                                                                                       \
    gemm_integer(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);                     \
  }
FLAMBEAU_INTEGER(int8_t)
FLAMBEAU_INTEGER(uint8_t)
FLAMBEAU_INTEGER(int16_t)
FLAMBEAU_INTEGER(int32_t)
FLAMBEAU_INTEGER(int64_t)

} // namespace flambeau
