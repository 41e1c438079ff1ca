// Losses of pairs (squared, absolute, cross entropy ...): one pass forward, one backward.
#include "loss.h"

#include <algorithm>
#include <memory>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/loss.h"
#include "norm.h"

namespace flambeau {

Reduction reduction_named(const std::string& name) {
  if (name == "mean") return Reduction::Mean;
  if (name == "sum") return Reduction::Sum;
  FB_CHECK_VALUE(name == "none", name,
                 " is not a valid value for reduction: use 'none', 'mean' or "
                 "'sum'");
  return Reduction::None;
}
Tensor reduced(const Tensor& loss, Reduction r) {
  return r == Reduction::None ? loss : r == Reduction::Mean ? mean(loss) : sum(loss);
}

namespace {

const char* const kNames[] = {"mse_loss",
                              "l1_loss",
                              "smooth_l1_loss",
                              "huber_loss",
                              "binary_cross_entropy",
                              "binary_cross_entropy_with_logits",
                              "kl_div",
                              "kl_div"};
constexpr int64_t kPart = 32768;

struct PairParams {
  PairKind kind;
  Reduction how;
  double p = 0;
};

// The derivatives as ops: by a; by a twice; by a and b; by b.
Tensor room(const Tensor& p) { return clamp_scalar(p * (1. - p), 1e-12, 1); }
Tensor slope_of(const PairParams& q, const Tensor& a, const Tensor& b) {
  switch (q.kind) {
  case kSquare: return (a - b) * 2.;
  case kAbs: return sgn(a - b);
  case kSmoothL1: return clamp_scalar((a - b) / q.p, -1, 1);
  case kHuber: return clamp_scalar(a - b, -q.p, q.p);
  case kBce: return (a - b) / room(a);
  case kBceLogits: return sigmoid(a) - b;
  case kKl: return -b;
  default: return -exp(b);
  }
}
Tensor curve_of(const PairParams& q, const Tensor& a, const Tensor& b) {
  switch (q.kind) {
  case kSquare: return full_like(a, Scalar(2.));
  case kSmoothL1: return to_dtype(lt(abs(a - b), weak_scalar(Scalar(q.p))), a.dtype()) / q.p;
  case kHuber: return to_dtype(le(abs(a - b), weak_scalar(Scalar(q.p))), a.dtype());
  case kBce: return (b - b * a * 2. + a * a) / square(room(a));
  case kBceLogits: return sigmoid(a) * sigmoid(-a);
  default: return zeros_like(a);
  }
}
Tensor mixed_of(const PairParams& q, const Tensor& a, const Tensor& b) {
  switch (q.kind) {
  case kBce: return -reciprocal(room(a));
  case kBceLogits:
  case kKl: return full_like(a, Scalar(-1.));
  case kKlLog: return -exp(b);
  default: return -curve_of(q, a, b);
  }
}
Tensor target_slope_of(const PairParams& q, const Tensor& a, const Tensor& b) {
  switch (q.kind) {
  case kBce: return clamp_scalar(log1p(-a), -100, 0) - clamp_scalar(log(a), -100, 0);
  case kBceLogits: return -a;
  case kKl: return log(b) + 1. - a;
  case kKlLog: return exp(b) * (b - a + 1.);
  default: return -slope_of(q, a, b);
  }
}

// The same over a, b and P(0) for a GPU, by kind: the losses, and the derivatives by a over c, what
// each counts for.
const cuda::Formula kLosses[] = {
    {"mse_loss", "(a - b) * (a - b)"},
    {"l1_loss", "std::fabs(a - b)"},
    {"smooth_l1_loss", "(std::fabs(a - b) < P(0) ? T(0.5) * (a - b) * (a - b) / P(0)"
                       "                         : std::fabs(a - b) - T(0.5) * P(0))"},
    {"huber_loss", "(std::fabs(a - b) <= P(0) ? T(0.5) * (a - b) * (a - b)"
                   "                          : P(0) * (std::fabs(a - b) - T(0.5) * P(0)))"},
    {"binary_cross_entropy", "(b - T(1)) * (math::log1p(-a) < T(-100) ? T(-100) : math::log1p(-a))"
                             " - b * (math::log(a) < T(-100) ? T(-100) : math::log(a))"},
    {"binary_cross_entropy_with_logits", "(T(1) - b) * a + math::softplus(-a)"},
    {"kl_div", "(b == T(0) ? T(0) : b * math::log(b)) - b * a"},
    {"kl_div", "math::exp(b) * (b - a)"}};
#define FB_SIGN "(a - b != a - b ? a - b : T(T(a - b > T(0)) - T(a - b < T(0))))"
const cuda::Formula kSlopes[] = {
    {"mse_loss_backward", "c * P(1) * ((a - b) + (a - b))"},
    {"l1_loss_backward", "c * P(1) * " FB_SIGN},
    {"smooth_l1_loss_backward",
     "c * P(1) * (std::fabs(a - b) < P(0) ? (a - b) / P(0) : " FB_SIGN ")"},
    {"huber_loss_backward",
     "c * P(1) * (std::fabs(a - b) <= P(0) ? a - b"
     "            : a - b != a - b ? a - b : P(0) * T(T(a - b > T(0)) - T(a - b < T(0))))"},
    {"binary_cross_entropy_backward",
     "c * P(1) * (a - b) / (a * (T(1) - a) < T(1e-12) ? T(1e-12) : a * (T(1) - a))"},
    {"binary_cross_entropy_with_logits_backward", "c * P(1) * (math::sigmoid(a) - b)"},
    {"kl_div_backward", "-c * P(1) * b"},
    {"kl_div_backward", "-c * P(1) * math::exp(b)"}};

struct PairBackward final : OpOf<PairBackward> { // inputs: g, a, b -> gradient by a
  PairParams q;
  std::string text;
  const char* name() const override { return text.c_str(); }
  Specs infer(const Inputs& in) override { return {{in[1].shape(), in[1].dtype()}}; }
  double scale(const Tensor& a) const {
    return q.how == Reduction::Mean ? 1 / double(a.numel()) : 1;
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[1].dtype());
    Tensor gt = dense_as(in[0], c), at = dense_as(in[1], c), bt = dense_as(in[2], c);
    Tensor rt = c == in[1].dtype() ? out[0] : empty(at.shape(), c);
    int64_t step = q.how == Reduction::None, n = at.numel();
    double k = scale(at);
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *g = gt.data<T>(), *a = at.data<T>(), *b = bt.data<T>();
      T* o = rt.data<T>();
      auto* fn = row_kernels<T>().pair_slope;
      PairParams p = q;
      parallel_for(n, kPart, [&](int64_t i, int64_t e) {
        fn(p.kind, a + i, b + i, g + i * step, step, T(k), o + i, e - i, T(p.p));
      });
    });
    if (!rt.is(out[0])) copy_values(out[0], rt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor operands[3] = {in[1], in[2], in[0]};
    double p[2] = {q.p, scale(in[1])};
    DType c = compute_type(in[1].dtype());
    cuda::run_formula(kSlopes[q.kind], c, c, out[0], operands, 3, p, 2);
  }
  Saves saves(const Inputs&) const override { return {7, 0}; }
  Grads vjp(const Saved& s, const Grads& v) override {
    Tensor g = s.input(0), a = s.input(1), b = s.input(2);
    Grads r(3, Tensor());
    double k = scale(a);
    if (s.needs(0)) {
      Tensor t = v[0] * slope_of(q, a, b) * k;
      r[0] = q.how == Reduction::None ? t : sum(t);
    }
    if (s.needs(1)) r[1] = v[0] * g * curve_of(q, a, b) * k;
    if (s.needs(2)) r[2] = v[0] * g * mixed_of(q, a, b) * k;
    return r;
  }
};

// An element outside [0, 1] has made a NaN, so that only those need a second look.
void check_probabilities(const Tensor& p) {
  if (p.numel() == 0) return;
  double low = item(amin(p)).f, high = item(amax(p)).f;
  FB_CHECK(!(low < 0 || high > 1),
           "binary_cross_entropy: all elements of input should be between 0 and 1, but they range "
           "from ",
           low, " to ", high, ": apply a sigmoid first, or use binary_cross_entropy_with_logits");
}

struct PairLoss final : OpOf<PairLoss> {
  PairParams q;
  const char* name() const override { return kNames[q.kind]; }
  Specs infer(const Inputs& in) override {
    return {{q.how == Reduction::None ? in[0].shape() : Dims{}, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor at = dense_as(in[0], c), bt = dense_as(in[1], c);
    Tensor rt = c == in[0].dtype() ? out[0] : empty(out[0].shape(), c);
    int64_t n = at.numel();
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *a = at.data<T>(), *b = bt.data<T>();
      T* o = rt.data<T>();
      const RowKernels<T>& k = row_kernels<T>();
      PairParams p = q;
      if (p.how == Reduction::None) {
        parallel_for(n, kPart, [&](int64_t i, int64_t e) {
          k.pair_map(p.kind, a + i, b + i, o + i, e - i, T(p.p));
        });
        if (p.kind == kBce) check_probabilities(at);
        return;
      }
      int64_t parts = (n + kPart - 1) / kPart;
      std::unique_ptr<double[]> sums(new double[size_t(parts + 1)]());
      parallel_for(n, kPart, [&](int64_t i, int64_t e) {
        sums[size_t(i / kPart)] = k.pair_sum(p.kind, a + i, b + i, e - i, T(p.p));
      });
      double total = 0;
      for (int64_t i = 0; i < parts; ++i) total += sums[size_t(i)];
      if (p.kind == kBce && total != total) check_probabilities(at);
      o[0] = T(p.how == Reduction::Mean ? total / double(n) : total);
    });
    if (!rt.is(out[0])) copy_values(out[0], rt);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor both[2] = {in[0], in[1]};
    if (q.how == Reduction::None)
      return cuda::run_formula(kLosses[q.kind], c, c, out[0], both, 2, &q.p, 1);
    if (q.kind >= kBce) {
      Tensor each = empty(in[0].shape(), c, in[0].device());
      cuda::run_formula(kLosses[q.kind], c, c, each, both, 2, &q.p, 1);
      return copy_values(out[0], reduced(each, q.how));
    }
    cuda::pair_sum(kLosses[q.kind], q.p, contiguous(in[0]), contiguous(in[1]),
                   q.how == Reduction::Mean, out[0]);
  }
  Saves saves(const Inputs&) const override { return {3, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    PairBackward op;
    op.q = q;
    op.text = std::string(name()) + "_backward";
    Tensor a = s.input(0), b = s.input(1), d;
    Grads r(2, Tensor());
    if (s.needs(0) || q.kind < kBce) d = apply(PairBackward(op), {g[0], a, b});
    if (s.needs(0)) r[0] = d;
    if (s.needs(1)) r[1] = q.kind < kBce ? -d : g[0] * target_slope_of(q, a, b) * op.scale(a);
    return r;
  }
};

Tensor pair_loss(const Tensor& a, const Tensor& b, PairParams q) {
  const Tensor* both[2] = {&a, &b};
  DType t = result_type(both, 2);
  FB_CHECK_AS(NotImplemented, is_inexact(t), "\"", kNames[q.kind], "\" not implemented for '", t,
              "'");
  Dims shape =
      a.shape() == b.shape() ? a.shape() : broadcast_shapes(a.shape(), b.shape(), kNames[q.kind]);
  auto fit = [&](const Tensor& x) {
    Tensor y = x.dtype() == t ? x : to_dtype(x, t);
    return y.shape() == shape ? y : expand(y, shape);
  };
  if (is_complex(t)) {
    FB_CHECK_AS(NotImplemented, q.kind == kAbs, "\"", kNames[q.kind], "\" not implemented for '", t,
                "'");
    return reduced(abs(fit(a) - fit(b)), q.how);
  }
  PairLoss op;
  op.q = q;
  return apply(std::move(op), {fit(a), fit(b)});
}

Value call_mse(Args& a) {
  return pair_loss(a.tensor(0), a.tensor(1), {kSquare, reduction_named(a.text(2))});
}
Value call_l1(Args& a) {
  return pair_loss(a.tensor(0), a.tensor(1), {kAbs, reduction_named(a.text(2))});
}
Value call_smooth(Args& a) {
  double beta = a.real(3);
  FB_CHECK(beta >= 0, "smooth_l1_loss does not support negative values for beta.");
  return pair_loss(a.tensor(0), a.tensor(1),
                   {beta == 0 ? kAbs : kSmoothL1, reduction_named(a.text(2)), beta});
}
Value call_huber(Args& a) {
  FB_CHECK(a.real(3) > 0, "huber_loss does not support non-positive values for delta.");
  return pair_loss(a.tensor(0), a.tensor(1), {kHuber, reduction_named(a.text(2)), a.real(3)});
}

Value call_pair(Args& a) {
  const std::string& kind = a.text(2);
  PairKind k = kind == "bce" ? kBce : kind == "logits" ? kBceLogits : kind == "kl" ? kKl : kKlLog;
  return pair_loss(a.tensor(0), a.tensor(1), {k, reduction_named(a.text(3))});
}

Register rows({
    {"_pair_loss(Tensor input, Tensor target, str kind, str reduction) -> Tensor", kFunction,
     call_pair,
     "Losses of probabilities in one pass: 'bce', 'logits' (bce of their sigmoid), 'kl', 'kl_log' "
     "(of logarithms)."},
    {"mse_loss(Tensor input, Tensor target, str reduction='mean') -> Tensor", kFunction, call_mse,
     "(input - target)^2, reduced."},
    {"l1_loss(Tensor input, Tensor target, str reduction='mean') -> Tensor", kFunction, call_l1,
     "|input - target|, reduced."},
    {"smooth_l1_loss(Tensor input, Tensor target, str reduction='mean', float beta=1.0) -> Tensor",
     kFunction, call_smooth, "Squares of small differences, sizes of large ones (Girshick 2015)."},
    {"huber_loss(Tensor input, Tensor target, str reduction='mean', float delta=1.0) -> Tensor",
     kFunction, call_huber, "Squares of small differences, sizes of large ones (Huber 1964)."},
});

} // namespace
} // namespace flambeau
