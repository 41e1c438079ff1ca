// Dropout: elements, channels, and the self-normalising alpha kinds.
#include <cmath>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/elementwise.h"
#include "../cuda/random.h"
#include "norm.h"

namespace flambeau {
namespace {

// mask ? x * scale : 0, the map of dropout once its mask is drawn; it is its own transpose.
struct MaskScale final : OpOf<MaskScale> {
  double scale;
  const char* name() const override { return "native_dropout_backward"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor xt = dense_as(in[0], c), mt = contiguous(in[1]);
    Tensor yt = c == in[0].dtype() ? out[0] : empty(xt.shape(), c);
    const uint8_t* m = mt.data<uint8_t>();
    double k = scale;
    dispatch_inexact(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* x = xt.data<T>();
      T* y = yt.data<T>();
      parallel_for(xt.numel(), 32768, [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; ++i) {
          T v = x[i] * T(k);
          y[i] = m[i] ? v : T(0);
        }
      });
    });
    if (!yt.is(out[0])) copy_values(out[0], yt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    static const cuda::Formula kScale{"native_dropout_backward", "b != T(0) ? a * T(P(0)) : T(0)"};
    DType c = compute_type(in[0].dtype());
    const Tensor operands[2] = {in[0], in[1]};
    cuda::run_formula(kScale, c, c, out[0], operands, 2, &scale, 1);
  }
  Saves saves(const Inputs&) const override { return {2, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    MaskScale op;
    op.scale = scale;
    return {apply(std::move(op), {g[0], s.input(1)}), Tensor()};
  }
};

struct Dropout final : OpOf<Dropout> { // x -> y, mask
  double p;
  double scale() const { return p < 1 ? 1 / (1 - p) : 0; }
  const char* name() const override { return "native_dropout"; }
  Specs infer(const Inputs& in) override {
    return {{in[0].shape(), in[0].dtype()}, {in[0].shape(), DType::Bool}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType t = in[0].dtype(), c = compute_type(t);
    int64_t n = in[0].numel();
    auto* mask = out[1].data<uint8_t>();
    if (is_complex(t)) return by_mask(in, out);
    PhiloxDraw s = next_philox(philox_ticks(n), {});
    Tensor x = dense_as(in[0], c), y = c == t ? out[0] : empty(x.shape(), c);
    if (c == DType::F64)
      random::dropout(x.data<double>(), y.data<double>(), mask, n, p, scale(), s.seed, s.offset);
    else
      random::dropout(x.data<float>(), y.data<float>(), mask, n, p, scale(), s.seed, s.offset);
    if (!y.is(out[0])) copy_values(out[0], y);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    if (is_complex(in[0].dtype())) return by_mask(in, out);
    PhiloxDraw s = next_philox(philox_ticks(in[0].numel()), in[0].device());
    cuda::dropout(contiguous(in[0]), out[0], out[1], p, scale(), s);
  }
  void by_mask(const Inputs& in, Outputs& out) {
    fill_bernoulli(out[1], 1 - p);
    MaskScale op;
    op.scale = scale();
    copy_values(out[0], apply(std::move(op), {in[0], out[1]}));
  }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    MaskScale op;
    op.scale = scale();
    return {apply(std::move(op), {g[0], s.output(1)})};
  }
};

void check(const Tensor& x, double p, const char* op) {
  FB_CHECK(p >= 0 && p <= 1, "dropout probability has to be between 0 and 1, but got ", p);
  FB_CHECK(is_inexact(x.dtype()), op, ": result type Float can't be cast to the desired output ",
           "type ", x.dtype(), ": dropout needs floating point values");
}

Outputs drop(const Tensor& x, double p) {
  Dropout op;
  op.p = p;
  return apply_all(op, {x});
}

// 0 with probability p, else 1: for each element, or for each (sample, channel).
Tensor noise(const Tensor& x, double p, bool feature) {
  Dims s = x.shape();
  if (feature) {
    FB_CHECK(x.dim() >= 2, "Feature dropout requires at least 2 dimensions in the input");
    for (int d = 2; d < s.size(); ++d) s[d] = 1;
  }
  Tensor m = empty(s, DType::Bool, x.device());
  fill_bernoulli(m, 1 - p);
  return m;
}

enum Kind { kPlain, kFeature, kAlpha, kFeatureAlpha };

// Alpha dropout (Klambauer et al. 2017): dropped values become SELU's lower limit, and an affine
// map restores mean and variance.
Tensor dropped(const Tensor& x, double p, bool train, Kind kind) {
  check(x, p, "dropout");
  if (p == 0 || !train || x.numel() == 0) return x;
  if (kind == kPlain) return drop(x, p)[0];
  if (p == 1) return x * zeros_like(x);
  Tensor keep = noise(x, p, kind == kFeature || kind == kFeatureAlpha);
  if (kind == kFeature) return x * (to_dtype(keep, x.dtype()) * (1 / (1 - p)));
  constexpr double kAlphaPrime = 1.7580993408473766;
  double a = 1 / std::sqrt((kAlphaPrime * kAlphaPrime * p + 1) * (1 - p));
  Tensor m = to_dtype(keep, x.dtype());
  return x * (m * a) + ((m - 1.) * (kAlphaPrime * a) + kAlphaPrime * a * p);
}

template<Kind kind>
Value call(Args& a) {
  return dropped(a.tensor(0), a.real(1), a.flag(2), kind);
}
Value call_native(Args& a) {
  Tensor x = a.tensor(0);
  check(x, a.real(1), "native_dropout");
  if (a.given(2) && !a.flag(2)) {
    Tensor ones = full(x.shape(), Scalar(true), DType::Bool, x.device());
    return Tensors{x, ones};
  }
  Outputs r = drop(x, a.real(1));
  return Tensors{r[0], r[1]};
}

constexpr unsigned kForms = kFunction | kInplace;
Register rows({
    {"dropout(Tensor input, float p, bool train) -> Tensor", kForms, call<kPlain>,
     "Zeroes each element with probability p and divides the rest by 1 - p (Hinton et al. 2012)."},
    {"feature_dropout(Tensor input, float p, bool train) -> Tensor", kForms, call<kFeature>,
     "Zeroes whole channels of (N, C, *) with probability p (Tompson et al. 2014)."},
    {"alpha_dropout(Tensor input, float p, bool train) -> Tensor", kForms, call<kAlpha>,
     "Dropout that keeps mean and variance for SELU networks (Klambauer et al. 2017)."},
    {"feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor", kForms,
     call<kFeatureAlpha>, "alpha_dropout of whole channels."},
    {"native_dropout(Tensor input, float p, bool? train) -> Tensor()", kFunction, call_native,
     "dropout and its mask."},
});

} // namespace
} // namespace flambeau
