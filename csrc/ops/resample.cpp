// interpolate: every mode is a sparse matrix a dimension, and its derivative the transposed ones.
#include "../cpu/resample.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "../core/op.h"
#include "../core/registry.h"
#include "ops.h"

namespace flambeau {
namespace {

enum class Mode { Nearest, NearestExact, Linear, Cubic, SmoothLinear, SmoothCubic };
constexpr const char* kModes[] = {"nearest", "nearest-exact", "linear",
                                  "cubic",   "smooth-linear", "smooth-cubic"};

// One dimension's resize: `scale` is input / output as the coordinates use it; coordinates are
// computed in R, the data's type.
struct Axis {
  int64_t in, out;
  double scale;
  bool corners;
};

void nearest(const Axis& a, bool exact, Taps& t) {
  const float step = float(a.scale);
  for (int64_t i = 0; i < a.out; ++i) {
    const float at = exact ? (float(i) + 0.5f) * step : float(i) * step;
    t.add(std::min(int64_t(std::floor(at)), a.in - 1), 1);
    t.close();
  }
}

template<class R>
R source(const Axis& a, int64_t i) {
  if (a.corners) return a.out > 1 ? R(i) * R(double(a.in - 1) / double(a.out - 1)) : R(0);
  return (R(i) + R(0.5)) * R(a.scale) - R(0.5);
}

template<class R>
void linear_taps(const Axis& a, Taps& t) {
  for (int64_t i = 0; i < a.out; ++i) {
    const R at = std::max(source<R>(a, i), R(0));
    const int64_t low = std::min(int64_t(at), a.in - 1), high = std::min(low + 1, a.in - 1);
    const R part = std::clamp(at - R(low), R(0), R(1));
    t.add(low, double(R(1) - part));
    t.add(high, double(part));
    t.close();
  }
}

// Keys' cubic convolution kernel at distance x >= 0.
template<class R>
R keys(R x, R a) {
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((x - 5) * x + 8) * x * a - 4 * a : R(0);
}

template<class R>
void cubic_taps(const Axis& a, Taps& t) {
  for (int64_t i = 0; i < a.out; ++i) {
    const R at = source<R>(a, i), base = std::floor(at), part = at - base;
    for (int64_t tap = -1; tap <= 2; ++tap)
      t.add(std::clamp<int64_t>(int64_t(base) + tap, 0, a.in - 1),
            double(keys(std::abs(part - R(tap)), R(-0.75))));
    t.close();
  }
}

// The filter grows with the ratio, so that no input is skipped.
template<class R>
void smooth_taps(const Axis& a, bool cubic, Taps& t) {
  double ratio = a.scale;
  if (a.corners) ratio = a.out > 1 ? double(a.in - 1) / double(a.out - 1) : 0;
  const R scale = R(ratio), stretch = R(std::max(ratio, 1.0));
  const R reach = R((cubic ? 2 : 1) * std::max(ratio, 1.0));
  for (int64_t i = 0; i < a.out; ++i) {
    const R center = scale * (R(i) + R(0.5));
    const int64_t first = std::max<int64_t>(int64_t(center - reach + R(0.5)), 0);
    const int64_t last = std::min<int64_t>(int64_t(center + reach + R(0.5)), a.in);
    std::vector<R> w;
    R sum = 0;
    for (int64_t j = first; j < last; ++j) {
      const R x = std::abs((R(j) - center + R(0.5)) / stretch);
      w.push_back(cubic ? keys(x, R(-0.5)) : std::max(R(1) - x, R(0)));
      sum += w.back();
    }
    for (int64_t j = first; j < last; ++j) t.add(j, double(w[size_t(j - first)] / sum));
    t.close();
  }
}

template<class R>
Taps taps_of(Mode mode, const Axis& a) {
  Taps t;
  t.in = a.in, t.out = a.out;
  t.close();
  const bool smooth = mode >= Mode::Linear;
  if (smooth && mode < Mode::SmoothLinear && a.in == a.out && (a.corners || a.scale == 1)) {
    for (int64_t i = 0; i < a.out; ++i) t.add(i, 1), t.close();
    return t;
  }
  switch (mode) {
  case Mode::Nearest: nearest(a, false, t); break;
  case Mode::NearestExact: nearest(a, true, t); break;
  case Mode::Linear: linear_taps<R>(a, t); break;
  case Mode::Cubic: cubic_taps<R>(a, t); break;
  default: smooth_taps<R>(a, mode == Mode::SmoothCubic, t);
  }
  return t;
}

struct Interpolate final : OpOf<Interpolate> {
  std::shared_ptr<const Taps[3]> taps;
  const char* name() const override { return "interpolate"; }
  Specs infer(const Inputs& in) override {
    Dims shape = in[0].shape();
    const int n = shape.size() - 2;
    for (int i = 0; i < n; ++i) shape[2 + i] = taps[3 - n + i].out;
    return {{shape, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    const DType type = in[0].dtype();
    const DType c = is_float(type) ? compute_type(type) : DType::F32;
    Tensor x = contiguous(to_dtype(in[0], c)), y = c == type ? out[0] : empty(out[0].shape(), c);
    if (y.numel() == 0) return;
    dispatch_float(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      resample<T>(x.size(0) * x.size(1), taps.get(), x.data<T>(), y.data<T>());
      if (is_float(type)) return;
      const T* v = y.data<T>(); // bytes: to the nearest, halves up
      uint8_t* to = out[0].data<uint8_t>();
      for (int64_t i = 0; i < y.numel(); ++i)
        to[i] = uint8_t(int32_t(std::min(std::max(v[i], T(0)), T(255)) + T(0.5)));
    });
    if (is_float(type) && !y.is(out[0])) copy_values(out[0], y);
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
  Grads vjp(const Saved&, const Grads& g) override {
    auto turned = std::make_shared<Taps[3]>();
    for (int i = 0; i < 3; ++i) turned[i] = taps[i].transposed();
    Interpolate op;
    op.taps = turned;
    return {apply(std::move(op), {g[0]})};
  }
};

// _interpolate(input, size, mode, align_corners, a scale for each dimension)
Value call(Args& a) {
  Tensor x = a.tensor(0);
  const Dims& size = a.dims(1);
  const int n = size.size();
  int mode = 0;
  while (mode < 6 && a.text(2) != kModes[mode]) ++mode;
  FB_CHECK(mode < 6 && x.dim() == n + 2 && n <= 3, "_interpolate: no mode '", a.text(2),
           "' for an input ", describe(x), " and ", n, " sizes");
  auto taps = std::make_shared<Taps[3]>();
  for (int i = 0; i < 3; ++i) {
    const int d = i - (3 - n);
    const Axis axis =
        d < 0 ? Axis{1, 1, 1, false} : Axis{x.shape()[2 + d], size[d], a.real(4 + d), a.flag(3)};
    taps[i] = x.dtype() == DType::F64 ? taps_of<double>(Mode(mode), axis)
                                      : taps_of<float>(Mode(mode), axis);
  }
  Interpolate op;
  op.taps = taps;
  return apply(std::move(op), {x});
}

Register rows({
    {"_interpolate(Tensor input, int[] size, str mode, bool align_corners, float d=1, float h=1, "
     "float w=1) -> Tensor",
     kFunction, call, "The last dimensions of (N, C, ...) resized, by PyTorch's coordinates."},
});

} // namespace
} // namespace flambeau
