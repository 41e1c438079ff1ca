// Products with one or few rows or columns: streams of a matrix against vectors that stay in cache.
#include <algorithm>

#include "gemm_call.h"
#include "gemm_kernels.h"
#include "parallel.h"

namespace flambeau {

namespace {

constexpr int kSlotOther = 1, kSlotVector = 2, kSlotSums = 8;
constexpr int64_t kChunk = 1 << 15; // elements of the matrix that are worth a chunk
constexpr int64_t kMostParts = 8;

// A vector as the kernels want it: with a step of one.
template<class T>
const T* dense(const T* x, int64_t inc, int64_t n, int slot = kSlotVector) {
  if (inc == 1 || n == 1) return x;
  T* copy = workspace<T>(slot, n);
  for (int64_t i = 0; i < n; i++) copy[i] = x[i * inc];
  return copy;
}

// One long dot product: parts side by side, then their sum in order.
template<class T>
void dot(int64_t k, T alpha, const T* a, const T* x, T beta, T* y) {
  const auto& kernels = gemm_kernels<T>();
  const int64_t parts = std::clamp<int64_t>(k / kChunk, 1, 64), depth = ceil_div(k, parts);
  if (parts == 1) return kernels.dots(1, 1, k, alpha, a, k, x, k, beta, y, 1, 1);
  T sums[64];
  parallel_for(parts, 1, [&](int64_t i, int64_t end) {
    for (; i < end; i++)
      kernels.dots(1, 1, std::min(depth, k - i * depth), alpha, a + i * depth, k, x + i * depth, k,
                   T(0), sums + i, 1, 1);
  });
  T sum = 0;
  for (int64_t i = 0; i < parts; i++) sum += sums[i];
  *y = beta == T(0) ? sum : sum + beta * *y;
}

// y[i * step + f * step_few] = alpha * dot(row i of A, row f of X) + beta * y[...]: rows of both
// are contiguous, X has few.
template<class T>
void dots(int64_t rows, int64_t few, int64_t k, T alpha, const T* a, int64_t lda, const T* x,
          int64_t ldx, T beta, T* y, int64_t step, int64_t step_few) {
  const auto& kernels = gemm_kernels<T>();
  const int64_t grain = ceil_div(std::max<int64_t>(4, kChunk / k / few), 4) * 4;
  parallel_for(rows, grain, [&](int64_t i, int64_t end) {
    kernels.dots(end - i, few, k, alpha, a + i * lda, lda, x, ldx, beta, y + i * step, step,
                 step_few);
  });
}

// y (n, contiguous) = alpha * x B + beta * y with B's rows contiguous.
template<class T>
void combine(int64_t n, int64_t k, T alpha, const T* b, int64_t ldb, const T* x, int64_t inc,
             T beta, T* y) {
  const auto& kernels = gemm_kernels<T>();
  const int64_t parts = std::clamp<int64_t>(n * k / (2 * kChunk), 1, kMostParts);
  if (parts == 1 || n >= 8192 || k < 64 * parts) {
    const int64_t unit = 8 * kernels.lanes;
    const int64_t grain = std::max<int64_t>(1, kChunk / k / unit) * unit;
    parallel_for(n, grain, [&](int64_t j, int64_t end) {
      kernels.combine(end - j, k, alpha, b + j, ldb, x, inc, beta, y + j);
    });
    return;
  }
  // Whole rows a chunk, for memory is read best in long runs; the parts are then added in order.
  const int64_t depth = ceil_div(k, parts);
  T* sums = workspace<T>(kSlotSums, parts * n);
  parallel_for(parts, 1, [&](int64_t i, int64_t end) {
    for (; i < end; i++)
      kernels.combine(n, std::min(depth, k - i * depth), alpha, b + i * depth * ldb, ldb,
                      x + i * depth * inc, inc, T(0), sums + i * n);
  });
  const T ones[kMostParts] = {1, 1, 1, 1, 1, 1, 1, 1};
  kernels.combine(n, parts, T(1), sums, n, ones, 1, beta, y);
}

} // namespace

template<class T>
bool gemm_as_vectors(const GemmCall<T>& call) {
  constexpr int64_t kFew = 8, kLong = 32;
  const auto& [ta, tb, m, n, k, alpha, a, lda, b, ldb, given_beta, d, ldd, c, ldc] = call;
  const bool rows_meet = !ta && tb && k >= kLong;             // both operands are stored along k
  const bool two_rows = m == 2 && !tb && k * n >= 2 * kChunk; // a large B is best read by rows
  if (m > 1 && n > 1 && !two_rows && !(rows_meet && std::min(m, n) <= kFew)) return false;
  if (n == 1 && ta && ldc != 1) return false;
  T beta = given_beta;
  if (d != c && beta != T(0)) call.prefill(0, m, 0, n), beta = 1;
  if (m == 1 && n == 1) {
    const T* x = dense(a, ta ? lda : 1, k, kSlotOther);
    dot(k, alpha, x, dense(b, tb ? 1 : ldb, k), beta, c);
  } else if (n == 1 && !ta) {
    dots(m, 1, k, alpha, a, lda, dense(b, tb ? 1 : ldb, k), k, beta, c, ldc, 1);
  } else if (n == 1) {
    combine(m, k, alpha, a, lda, b, tb ? 1 : ldb, beta, c);
  } else if (two_rows || (m == 1 && !tb)) {
    for (int64_t i = 0; i < m; i++)
      combine(n, k, alpha, b, ldb, a + i * (ta ? 1 : lda), ta ? lda : 1, beta, c + i * ldc);
  } else if (m == 1) {
    dots(n, 1, k, alpha, b, ldb, dense(a, ta ? lda : 1, k), k, beta, c, 1, 1);
  } else if (m <= n) {
    dots(n, m, k, alpha, b, ldb, a, lda, beta, c, 1, ldc);
  } else {
    dots(m, n, k, alpha, a, lda, b, ldb, beta, c, ldc, 1);
  }
  return true;
}

template bool gemm_as_vectors<float>(const GemmCall<float>&);
template bool gemm_as_vectors<double>(const GemmCall<double>&);

} // namespace flambeau
