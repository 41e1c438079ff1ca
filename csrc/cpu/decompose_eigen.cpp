// Eigenvalues of symmetric matrices: Householder's tridiagonal form, then implicit QL steps
// (Wilkinson & Reinsch 1971, II/3 and II/4), whose rotations act on rows.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "decompose.h"
#include "gemm_kernels.h"

namespace flambeau {

namespace {

constexpr int kMostSteps = 60; // for one eigenvalue

template<class T>
struct Symmetric {
  const GemmKernels<T>& kernels = gemm_kernels<T>();
  const int64_t n;
  T* const a;
  std::vector<double> diagonal, beside; // of the tridiagonal form
  std::vector<T> tau, v, w, minus;

  Symmetric(int64_t size, T* matrix)
      : n(size), a(matrix), diagonal(size_t(size)), beside(size_t(size)), tau(size_t(size)),
        v(size_t(size)), w(size_t(size)), minus(size_t(size)) {}

  // Fills the upper triangle, and scales all so that squares neither overflow nor vanish. Returns
  // by what power of two.
  int complete() {
    T most = 0;
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j <= i; j++) {
        most = std::max(most, std::abs(a[i * n + j]));
        a[j * n + i] = a[i * n + j];
      }
    int by = 0;
    if (most > T(0) && std::isfinite(most)) std::frexp(most, &by);
    by = std::max(by, -1000);
    const double factor = std::ldexp(1.0, -by);
    for (int64_t i = 0; by != 0 && i < n * n; i++) a[i] = T(double(a[i]) * factor);
    return by;
  }

  // Row k beyond the diagonal becomes the reflection v that leaves one number there.
  void reduce() {
    for (int64_t k = 0; k + 1 < n; k++) {
      const int64_t m = n - k - 1;
      T *row = a + k * n + k + 1, *rest = row + n;
      diagonal[size_t(k)] = a[k * n + k];
      double below = 0;
      for (int64_t i = 1; i < m; i++) below += double(row[i]) * double(row[i]);
      const double alpha = row[0];
      beside[size_t(k)] = alpha, tau[size_t(k)] = 0;
      if (below == 0) continue;
      const double beta = -std::copysign(std::sqrt(alpha * alpha + below), alpha);
      const double by = 1 / (alpha - beta);
      beside[size_t(k)] = beta, tau[size_t(k)] = T((beta - alpha) / beta);
      row[0] = T(1);
      for (int64_t i = 1; i < m; i++) row[i] = T(row[i] * by);
      kernels.combine(m, m, tau[size_t(k)], rest, n, row, 1, T(0), w.data());
      T dot = 0;
      kernels.dots(1, 1, m, T(-0.5) * tau[size_t(k)], w.data(), m, row, m, T(0), &dot, 1, 1);
      for (int64_t i = 0; i < m; i++) {
        w[size_t(i)] += dot * row[i];
        minus[size_t(i)] = -row[i], v[size_t(i)] = -w[size_t(i)];
      }
      kernels.rank_one(m, m, minus.data(), w.data(), rest, n);
      kernels.rank_one(m, m, v.data(), row, rest, n);
    }
    if (n > 0) diagonal[size_t(n - 1)] = a[n * n - 1];
  }

  // The reflections' product, transposed: rows that QL turns into eigenvectors.
  void basis(T* q) {
    std::fill_n(q, n * n, T(0));
    for (int64_t i = 0; i < n; i++) q[i * n + i] = T(1);
    for (int64_t k = n - 2; k >= 0; k--) {
      const int64_t m = n - k - 1;
      const T* row = a + k * n + k + 1;
      T* part = q + (k + 1) * (n + 1);
      if (tau[size_t(k)] == T(0)) continue;
      kernels.combine(m, m, T(1), part, n, row, 1, T(0), w.data());
      for (int64_t i = 0; i < m; i++) minus[size_t(i)] = -tau[size_t(k)] * row[i];
      kernels.rank_one(m, m, minus.data(), w.data(), part, n);
    }
    for (int64_t i = 0; i < n; i++)
      for (int64_t j = 0; j < i; j++) std::swap(q[i * n + j], q[j * n + i]);
  }

  // One step on the rows [l, m] that `beside` couples; rows: null, or turned along.
  void step(int64_t l, int64_t m, T* rows) {
    double *d = diagonal.data(), *e = beside.data();
    double g = (d[l + 1] - d[l]) / (2 * e[l]), s = 1, c = 1, p = 0;
    g = d[m] - d[l] + e[l] / (g + std::copysign(std::sqrt(g * g + 1), g));
    for (int64_t i = m - 1; i >= l; i--) {
      const double f = s * e[i], b = c * e[i], r = std::sqrt(f * f + g * g);
      e[i + 1] = r;
      if (r == 0) { // they come apart here
        d[i + 1] -= p, e[m] = 0;
        return;
      }
      const double by = 1 / r;
      s = f * by, c = g * by, g = d[i + 1] - p;
      const double t = (d[i] - g) * s + 2 * c * b;
      p = s * t, d[i + 1] = g + p, g = c * t - b;
      if (rows != nullptr) kernels.rotate(n, T(c), T(s), rows + i * n, rows + (i + 1) * n);
    }
    d[l] -= p, e[l] = g, e[m] = 0;
  }

  // The same for eigenvalues alone, without roots (Pal, Walker and Kahan); `beside` is squared.
  void plain_step(int64_t l, int64_t m) {
    double *d = diagonal.data(), *e = beside.data();
    const double root = std::sqrt(e[l]), g = (d[l + 1] - d[l]) / (2 * root);
    const double sigma = d[l] - root / (g + std::copysign(std::sqrt(g * g + 1), g));
    double c = 1, s = 0, gamma = d[m] - sigma, p = gamma * gamma;
    for (int64_t i = m - 1; i >= l; i--) {
      const double r = p + e[i], before = c, last = gamma, by = 1 / r;
      if (i != m - 1) e[i + 1] = s * r;
      c = p * by, s = e[i] * by;
      gamma = c * (d[i] - sigma) - s * last;
      d[i + 1] = last + (d[i] - gamma);
      p = c != 0 ? gamma * gamma / c : before * e[i];
    }
    e[l] = s * p, d[l] = sigma + gamma;
  }

  bool iterate(T* rows) {
    double *d = diagonal.data(), *e = beside.data();
    double least = 0; // what is no more than rounding of the whole
    for (int64_t i = 0; i < n; i++) least = std::max(least, std::abs(d[i]) + std::abs(e[i]));
    least *= std::numeric_limits<T>::epsilon() / 2;
    if (rows == nullptr) {
      for (int64_t i = 0; i < n; i++) e[i] *= e[i];
      least *= least;
    }
    for (int64_t l = 0; l < n; l++)
      for (int steps = 0;; steps++) {
        int64_t m = l;
        while (m + 1 < n && !(std::abs(e[m]) <= least)) m++;
        if (m == l) break;
        if (steps == kMostSteps) return false;
        if (rows == nullptr)
          plain_step(l, m);
        else
          step(l, m, rows);
      }
    return true;
  }
};

} // namespace

template<class T>
bool symmetric_eigen(int64_t n, T* a, T* values, T* vectors) {
  Symmetric<T> s(n, a);
  const int by = s.complete();
  s.reduce();
  std::vector<T> rows(vectors != nullptr ? size_t(n * n) : 0);
  if (vectors != nullptr) s.basis(rows.data());
  if (!s.iterate(vectors != nullptr ? rows.data() : nullptr)) return false;
  std::vector<int64_t> order(static_cast<size_t>(n));
  std::iota(order.begin(), order.end(), int64_t(0));
  std::sort(order.begin(), order.end(),
            [&](int64_t i, int64_t j) { return s.diagonal[size_t(i)] < s.diagonal[size_t(j)]; });
  for (int64_t k = 0; k < n; k++) {
    const int64_t from = order[size_t(k)];
    values[k] = T(std::ldexp(s.diagonal[size_t(from)], by));
    for (int64_t j = 0; vectors != nullptr && j < n; j++)
      vectors[j * n + k] = rows[size_t(from * n + j)];
  }
  return true;
}

template bool symmetric_eigen<float>(int64_t, float*, float*, float*);
template bool symmetric_eigen<double>(int64_t, double*, double*, double*);

} // namespace flambeau
