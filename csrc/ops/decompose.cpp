// Forward passes of decompositions of real matrices, in batches: Cholesky, QR, least squares.
#include "../cpu/decompose.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "ops.h"

namespace flambeau {
namespace {

constexpr int64_t kChunkWork = 1 << 15; // multiply-adds that are worth a chunk

Dims with_sizes(const Tensor& t, std::initializer_list<int64_t> sizes, int64_t instead) {
  Dims d = t.shape();
  for (int64_t i = 0; i < instead; ++i) d.pop_back();
  for (int64_t s : sizes) d.push_back(s);
  return d;
}

// f(matrix) for a batch; one matrix may use all threads itself.
template<class F>
void each(int64_t batch, int64_t work, F&& f) {
  if (batch == 1) return f(0);
  parallel_for(batch, kChunkWork / std::max<int64_t>(1, work) + 1, [&](int64_t i, int64_t end) {
    for (; i < end; ++i) f(i);
  });
}

// inputs: (..., n, n); outputs: L and, int32, the order of the first minor that is not positive.
struct CholeskyFactor final : OpOf<CholeskyFactor> {
  const char* name() const override { return "cholesky"; }
  Specs infer(const Inputs& in) override {
    return {{in[0].shape(), in[0].dtype()}, {with_sizes(in[0], {}, 2), DType::I32}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    copy_values(out[0], in[0]);
    int64_t n = in[0].size(-1);
    int32_t* info = out[1].data<int32_t>();
    dispatch_float(in[0].dtype(), name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* a = out[0].data<T>();
      each(out[1].numel(), n * n * n / 3,
           [&](int64_t i) { info[i] = int32_t(cholesky<T>(n, a + i * n * n)); });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
};

// inputs: (..., m, n), m >= n; outputs: Q, all of it or its first n columns, and R.
struct QrFactors final : OpOf<QrFactors> {
  bool complete;
  const char* name() const override { return "qr"; }
  Specs infer(const Inputs& in) override {
    int64_t m = in[0].size(-2), n = in[0].size(-1), k = complete ? m : n;
    return {{with_sizes(in[0], {m, k}, 2), in[0].dtype()},
            {with_sizes(in[0], {k, n}, 2), in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    int64_t m = in[0].size(-2), n = in[0].size(-1), k = out[0].size(-1);
    Tensor work = empty(in[0].shape(), in[0].dtype());
    copy_values(work, in[0]);
    if (out[0].numel() == 0) return;
    dispatch_float(in[0].dtype(), name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T *all = work.data<T>(), *qs = out[0].data<T>(), *rs = out[1].data<T>();
      each(out[0].numel() / (m * k), 2 * m * n * n, [&](int64_t i) {
        T *a = all + i * m * n, *r = rs + i * k * n;
        std::vector<T> tau(static_cast<size_t>(n));
        householder<T>(m, n, n, a, tau.data());
        householder_product<T>(m, n, k, a, n, tau.data(), qs + i * m * k);
        for (int64_t row = 0; row < k; ++row)
          for (int64_t j = 0; j < n; ++j) r[row * n + j] = j >= row ? a[row * n + j] : T(0);
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
};

// inputs: A (..., m, n) and B (..., m, k), m >= n; outputs: X that minimises |A X - B|, and whether
// all singular values are certainly greater than `rtol` times the largest.
struct LeastSquares final : OpOf<LeastSquares> {
  double rtol;
  const char* name() const override { return "lstsq"; }
  Specs infer(const Inputs& in) override {
    return {{with_sizes(in[0], {in[0].size(-1), in[1].size(-1)}, 2), in[0].dtype()},
            {with_sizes(in[0], {}, 2), DType::Bool}};
  }
  // A, B and the identity side by side: R X = Q'B and R R^-1 = I are solved in one go.
  template<class T>
  static bool solve(int64_t m, int64_t n, int64_t k, const T* a, const T* b, double rtol, T* x) {
    const int64_t cols = n + k, wide = k + n;
    std::vector<T> work(static_cast<size_t>(m * cols + n * wide)), tau(static_cast<size_t>(n));
    T *w = work.data(), *y = w + m * cols;
    for (int64_t i = 0; i < m; ++i) {
      std::copy_n(a + i * n, n, w + i * cols);
      std::copy_n(b + i * k, k, w + i * cols + n);
    }
    householder<T>(m, n, cols, w, tau.data());
    for (int64_t i = 0; i < n; ++i) {
      std::copy_n(w + i * cols + n, k, y + i * wide);
      y[i * wide + k + i] = T(1);
    }
    solve_upper<T>(n, wide, w, cols, y, wide);
    double of_r = 0, of_inverse = 0; // Frobenius norms bound the singular values
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = i; j < n; ++j) {
        of_r += double(w[i * cols + j]) * double(w[i * cols + j]);
        of_inverse += double(y[i * wide + k + j]) * double(y[i * wide + k + j]);
      }
      std::copy_n(y + i * wide, k, x + i * k);
    }
    return std::sqrt(of_r) * std::sqrt(of_inverse) * rtol < 1;
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor a = contiguous(in[0]), b = contiguous(in[1]);
    int64_t m = a.size(-2), n = a.size(-1), k = b.size(-1);
    bool* sure = out[1].data<bool>();
    dispatch_float(a.dtype(), name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *p = a.data<T>(), *q = b.data<T>();
      T* x = out[0].data<T>();
      each(out[1].numel(), 2 * m * n * (n + k), [&](int64_t i) {
        sure[i] = solve<T>(m, n, k, p + i * m * n, q + i * m * k, rtol, x + i * n * k);
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
};

// inputs: (..., n, n), whose lower triangle is read; outputs: ascending eigenvalues, eigenvectors
// (none unless wanted), and whether the iteration converged.
struct SymmetricEigen final : OpOf<SymmetricEigen> {
  bool wanted;
  const char* name() const override { return "eigh"; }
  Specs infer(const Inputs& in) override {
    Dims none{0}, values = with_sizes(in[0], {}, 1);
    return {{values, in[0].dtype()},
            {wanted ? in[0].shape() : none, in[0].dtype()},
            {with_sizes(in[0], {}, 2), DType::Bool}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor work = empty(in[0].shape(), in[0].dtype());
    copy_values(work, in[0]);
    int64_t n = in[0].size(-1);
    bool* fine = out[2].data<bool>();
    dispatch_float(in[0].dtype(), name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T *a = work.data<T>(), *w = out[0].data<T>(), *v = wanted ? out[1].data<T>() : nullptr;
      each(out[2].numel(), 3 * n * n * n, [&](int64_t i) {
        fine[i] = symmetric_eigen<T>(n, a + i * n * n, w + i * n, v ? v + i * n * n : nullptr);
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
};

Value pair(Outputs out) { return Tensors{out[0], out[1]}; }

Register decompositions({
    {"_cholesky(Tensor input) -> Tensor[]", kFunction,
     [](Args& a) -> Value {
       CholeskyFactor op;
       return pair(apply_all(op, {a.tensor(0)}));
     },
     "L of real matrices, and the order of the first minor that is not positive."},
    {"_qr(Tensor input, bool complete) -> Tensor[]", kFunction,
     [](Args& a) -> Value {
       QrFactors op;
       op.complete = a.flag(1);
       return pair(apply_all(op, {a.tensor(0)}));
     },
     "Q and R of real matrices with no fewer rows than columns."},
    {"_eigh(Tensor input, bool vectors) -> Tensor[]", kFunction,
     [](Args& a) -> Value {
       SymmetricEigen op;
       op.wanted = a.flag(1);
       Outputs out = apply_all(op, {a.tensor(0)});
       return Tensors{out[0], out[1], out[2]};
     },
     "Eigenvalues and vectors of real symmetric matrices, and whether the iteration converged."},
    {"_lstsq(Tensor input, Tensor other, float rtol) -> Tensor[]", kFunction,
     [](Args& a) -> Value {
       LeastSquares op;
       op.rtol = a.real(2);
       return pair(apply_all(op, {a.tensor(0), a.tensor(1)}));
     },
     "Least squares by QR, and where the rank is certainly full."},
});

} // namespace
} // namespace flambeau
