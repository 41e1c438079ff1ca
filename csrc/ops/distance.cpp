// Distances between the rows of two matrices, or of one: the ops under cdist and pdist.
#include <cmath>

#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/distance_kernels.h"
#include "../cpu/parallel.h"
#include "norm.h"

namespace flambeau {
namespace {

const DistanceTable& kernels() {
  static const DistanceTable& t = cpu_has_avx512() ? distance_avx512::table
                                  : cpu_has_avx2() ? distance_avx2::table
                                                   : distance_base::table;
  return t;
}

// The places (i, j) of all pairs i < j of n, i in order.
std::pair<Tensor, Tensor> pairs_of(int64_t n, Device device) {
  Tensor i = empty({n * (n - 1) / 2}, DType::I64), j = empty(i.shape(), DType::I64);
  int64_t *p = i.data<int64_t>(), *q = j.data<int64_t>();
  for (int64_t a = 0; a < n; ++a)
    for (int64_t b = a + 1; b < n; ++b) {
      *p++ = a;
      *q++ = b;
    }
  return {move_to(i, device, DType::I64), move_to(j, device, DType::I64)};
}

// inputs: (..., P, M) and (..., R, M) with the same batch dimensions; or one (N, M), whose pairs of
// rows i < j are meant.
struct Distance final : OpOf<Distance> {
  double p;
  bool pairs;
  const char* name() const override { return pairs ? "pdist" : "cdist"; }
  Specs infer(const Inputs& in) override {
    Dims s = in[0].shape();
    if (pairs) return {{{s[0] * (s[0] - 1) / 2}, in[0].dtype()}};
    s[s.size() - 1] = in[1].size(-2);
    return {{s, in[0].dtype()}};
  }
  template<class T, class F>
  void run(F* f, const Tensor& a, const Tensor& b, const Tensor& out) const {
    const T *x = a.data<T>(), *y = b.data<T>();
    T* o = out.data<T>();
    int64_t m = a.size(-1), rows = a.size(-2), others = b.size(-2);
    int64_t batch = rows ? out.numel() / std::max<int64_t>(1, others) / rows : 0;
    double power = p;
    bool half = pairs;
    if (out.numel() == 0) return;
    int64_t grain = std::max<int64_t>(1, 32768 / (std::max<int64_t>(1, m) * others));
    parallel_for(half ? rows : batch * rows, grain, [&](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i)
        if (half)
          f(x + i * m, y + (i + 1) * m, rows - 1 - i, m, power, o + i * (2 * rows - i - 1) / 2);
        else
          f(x + i * m, y + i / rows * others * m, others, m, power, o + i * others);
    });
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor a = dense_as(in[0], c), b = pairs ? a : dense_as(in[1], c);
    Tensor r = c == in[0].dtype() ? out[0] : empty(out[0].shape(), c);
    if (c == DType::F64)
      run<double>(kernels().f64, a, b, r);
    else
      run<float>(kernels().f32, a, b, r);
    if (!r.is(out[0])) copy_values(out[0], r);
  }
  Tensor differences(const Tensor& a, const Tensor& b) const {
    if (!pairs) return unsqueeze(a, -2) - unsqueeze(b, -3);
    auto [i, j] = pairs_of(a.shape()[0], a.device());
    return index_select(a, 0, i) - index_select(a, 0, j);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    if (out[0].numel() == 0) return;
    copy_values(out[0], vector_norm(differences(in[0], pairs ? in[0] : in[1]), p, {-1}));
  }
  Saves saves(const Inputs&) const override { return {pairs ? 1u : 3u, 1}; }
  // The gradient by the differences d, whose norms are y.
  Tensor slope(const Tensor& d, const Tensor& y, const Tensor& g) const {
    if (p == 0) return zeros_like(d);
    if (p == 1) return g * sgn(d);
    Tensor t, hit;
    if (p == 2) {
      t = g * d / y;
    } else if (std::isinf(p)) {
      hit = to_dtype(eq(abs(d), y), d.dtype());
      t = g * sgn(d) * hit / sum(hit, {-1}, true);
    } else {
      t = g * sgn(d) * pow(abs(d) / y, p - 1);
    }
    return masked_fill(t, eq(y, weak_scalar(Scalar(0))), Scalar(0));
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor a = s.input(0), b = pairs ? a : s.input(1);
    Tensor t = slope(differences(a, b), unsqueeze(s.output(0), -1), unsqueeze(g[0], -1));
    if (!pairs) return {sum(t, {-2}), -sum(t, {-3})};
    auto [i, j] = pairs_of(a.shape()[0], a.device());
    return {index_add(index_add(zeros_like(a), 0, i, t), 0, j, -t)};
  }
};

Value call_cdist(Args& a) {
  Tensor x = a.tensor(0), y = a.tensor(1);
  const Tensor* both[2] = {&x, &y};
  DType t = result_type(both, 2);
  Distance op;
  op.p = a.real(2);
  op.pairs = false;
  return apply(std::move(op), {to_dtype(x, t), to_dtype(y, t)});
}
Value call_pdist(Args& a) {
  Distance op;
  op.p = a.real(1);
  op.pairs = true;
  return apply(std::move(op), {a.tensor(0)});
}

Register rows({
    {"_cdist(Tensor x1, Tensor x2, float p) -> Tensor", kFunction, call_cdist,
     "p-norms of the differences of rows, for equal batch dimensions."},
    {"_pdist(Tensor input, float p) -> Tensor", kFunction, call_pdist,
     "p-norms of the differences of the rows i < j."},
});

} // namespace
} // namespace flambeau
