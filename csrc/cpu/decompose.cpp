// Cholesky's and Householder's factorisations by rank-one steps along rows; large trailing parts of
// the former go to the matrix product.
#include "decompose.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "gemm.h"
#include "gemm_kernels.h"

namespace flambeau {

namespace {

constexpr int kSlotVector = 3, kSlotRow = 4;
constexpr int64_t kPanel = 64, kRows = 16, kTrailing = 128;

// Columns [j0, j1) of the rows from j0 on. Returns as cholesky.
template<class T>
int64_t panel(int64_t n, int64_t j0, int64_t j1, T* a) {
  const auto& kernels = gemm_kernels<T>();
  T *column = workspace<T>(kSlotVector, n), *minus = workspace<T>(kSlotRow, n);
  for (int64_t p = j0; p < j1; p++) {
    const T d = a[p * n + p];
    if (!(d > T(0))) return p + 1;
    const T root = std::sqrt(d);
    a[p * n + p] = root;
    const T by = T(1) / root;
    for (int64_t i = p + 1; i < n; i++) {
      column[i] = a[i * n + p] *= by;
      minus[i] = -column[i];
    }
    for (int64_t i = p + 1; i < n; i += kRows) { // not far beyond the diagonal
      const int64_t end = std::min(n, i + kRows);
      kernels.rank_one(end - i, std::min(j1, end) - p - 1, minus + i, column + p + 1,
                       a + i * n + p + 1, n);
    }
  }
  return 0;
}

// The same by halves: what the left ones take from the right ones is a matrix product.
template<class T>
int64_t columns(int64_t n, int64_t j0, int64_t j1, T* a) {
  if (j1 - j0 <= kPanel) return panel(n, j0, j1, a);
  const int64_t mid = j0 + (j1 - j0 + 1) / 2;
  if (const int64_t bad = columns(n, j0, mid, a)) return bad;
  for (int64_t r = mid; r < n; r += kTrailing) {
    const int64_t end = std::min(n, r + kTrailing);
    gemm<T>(false, true, end - r, std::min(j1, end) - mid, mid - j0, T(-1), a + r * n + j0, n,
            a + mid * n + j0, n, T(1), a + r * n + mid, n);
  }
  return columns(n, mid, j1, a);
}

} // namespace

template<class T>
int64_t cholesky(int64_t n, T* a) {
  const int64_t bad = columns(n, 0, n, a);
  for (int64_t i = 0; i < n; i++) {
    if (bad != 0) std::fill_n(a + i * n, i + 1, std::numeric_limits<T>::quiet_NaN());
    std::fill(a + i * n + i + 1, a + (i + 1) * n, T(0));
  }
  return bad;
}

namespace {

// A -= tau v (v' A) for `cols` columns; scaled: room for as many numbers as v has.
template<class T>
void reflect(int64_t m, int64_t cols, T tau, const T* v, T* scaled, T* a, int64_t lda) {
  if (cols <= 0 || tau == T(0)) return;
  const auto& kernels = gemm_kernels<T>();
  T* row = workspace<T>(kSlotRow, cols);
  kernels.combine(cols, m, T(1), a, lda, v, 1, T(0), row);
  for (int64_t i = 0; i < m; i++) scaled[i] = -tau * v[i];
  kernels.rank_one(m, cols, scaled, row, a, lda);
}

} // namespace

template<class T>
void householder(int64_t m, int64_t n, int64_t cols, T* a, T* tau) {
  using Wide = std::conditional_t<sizeof(T) == 4, double, long double>;
  T *v = workspace<T>(kSlotVector, 2 * m), *scaled = v + m;
  for (int64_t k = 0; k < n; k++) {
    const int64_t rows = m - k;
    T* first = a + k * cols + k;
    Wide below = 0; // squares do not overflow
    for (int64_t i = 1; i < rows; i++) below += Wide(first[i * cols]) * Wide(first[i * cols]);
    tau[k] = 0;
    if (below == Wide(0)) continue;
    const Wide alpha = *first, beta = -std::copysign(std::sqrt(alpha * alpha + below), alpha);
    tau[k] = T((beta - alpha) / beta);
    const Wide by = 1 / (alpha - beta);
    v[0] = T(1);
    for (int64_t i = 1; i < rows; i++) v[i] = first[i * cols] = T(first[i * cols] * by);
    *first = T(beta);
    reflect(rows, cols - k - 1, tau[k], v, scaled, first + 1, cols);
  }
}

template<class T>
void householder_product(int64_t m, int64_t n, int64_t cols, const T* a, int64_t lda, const T* tau,
                         T* q) {
  T *v = workspace<T>(kSlotVector, 2 * m), *scaled = v + m;
  std::fill_n(q, m * cols, T(0));
  for (int64_t i = 0; i < cols; i++) q[i * cols + i] = T(1);
  for (int64_t k = n - 1; k >= 0; k--) {
    v[0] = T(1);
    for (int64_t i = 1; i < m - k; i++) v[i] = a[(k + i) * lda + k];
    reflect(m - k, cols - k, tau[k], v, scaled, q + k * cols + k, cols);
  }
}

template<class T>
void solve_upper(int64_t n, int64_t cols, const T* r, int64_t ldr, T* x, int64_t ldx) {
  const auto& kernels = gemm_kernels<T>();
  for (int64_t i = n - 1; i >= 0; i--) {
    if (i + 1 < n)
      kernels.combine(cols, n - 1 - i, T(-1), x + (i + 1) * ldx, ldx, r + i * ldr + i + 1, 1, T(1),
                      x + i * ldx);
    for (int64_t j = 0; j < cols; j++) x[i * ldx + j] /= r[i * ldr + i];
  }
}

#define FLAMBEAU_DECOMPOSE(T)                                                                  \
  template int64_t cholesky<T>(int64_t, T*);                                                   \
  template void householder<T>(int64_t, int64_t, int64_t, T*, T*);                             \
  template void householder_product<T>(int64_t, int64_t, int64_t, const T*, int64_t, const T*, \
                                       T*);                                                    \
  template void solve_upper<T>(int64_t, int64_t, const T*, int64_t, T*, int64_t);
FLAMBEAU_DECOMPOSE(float)
FLAMBEAU_DECOMPOSE(double)

} // namespace flambeau
