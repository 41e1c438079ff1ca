// Discrete Fourier transforms: complex, from real numbers, and back to them.
#include "../cpu/fft.h"

#include "../core/op.h"
#include "../core/registry.h"
#include "ops.h"

namespace flambeau {
namespace {

FftShape along(const Tensor& t, int64_t d, int64_t n, bool inverse, double scale) {
  FftShape s{1, n, 1, inverse, scale};
  for (int64_t i = 0; i < t.dim(); ++i) (i < d ? s.outer : s.inner) *= i == d ? 1 : t.shape()[i];
  return s;
}

// Runs f on pointers to the real numbers that both tensors, contiguous, consist of.
template<class F>
void on_reals(const Tensor& x, const Tensor& y, F&& f) {
  if (y.numel() == 0) return;
  if (x.dtype() == DType::F32 || x.dtype() == DType::C64)
    f(x.data<const float>(), y.data<float>());
  else
    f(x.data<const double>(), y.data<double>());
}

// Complex to complex along some dimensions, the last of them first.
void transform(const Tensor& x, const Tensor& y, const Dims& dims, int count, bool inverse,
               double scale) {
  on_reals(x, y, [&](auto* from, auto* to) {
    using T = std::remove_pointer_t<decltype(to)>;
    for (int i = count - 1; i >= 0; --i) {
      fft<T>(FftKind::kComplex, along(x, dims[i], x.shape()[dims[i]], inverse, i ? 1 : scale), from,
             to);
      from = to;
    }
  });
}

// The arguments of a transform; the scale is explicit, for the adjoint of an FFT is an FFT of the
// same scale.
struct How {
  Dims dims;
  double scale;
  int64_t last() const { return dims[dims.size() - 1]; }
};

void check_points(int64_t n) {
  FB_CHECK(n >= 1, "Invalid number of data points (", n, ") specified");
}

struct ComplexFft final : OpOf<ComplexFft> {
  How how;
  bool inverse;
  ComplexFft(How h, bool i) : how(std::move(h)), inverse(i) {}
  const char* name() const override { return "fft_c2c"; }
  Specs infer(const Inputs& in) override {
    for (int64_t d : how.dims) check_points(in[0].shape()[d]);
    return {{in[0].shape(), in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    transform(contiguous(in[0]), out[0], how.dims, int(how.dims.size()), inverse, how.scale);
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
  Grads vjp(const Saved&, const Grads& g) override {
    return {apply(ComplexFft(how, !inverse), {g[0]})};
  }
};

Tensor resized(const Tensor& x, int64_t d, int64_t n) { // cut, or padded with zeros
  if (x.shape()[d] >= n) return narrow(x, d, 0, n);
  Dims pad(2 * (x.dim() - d), 0);
  pad[pad.size() - 1] = n - x.shape()[d];
  return pad_constant(x, pad, Scalar(0));
}

// Real numbers to the half spectrum along the last of the dimensions.
struct RealFft final : OpOf<RealFft> {
  How how;
  int64_t n = 0;
  explicit RealFft(How h) : how(std::move(h)) {}
  const char* name() const override { return "fft_r2c"; }
  Specs infer(const Inputs& in) override {
    Dims shape = in[0].shape();
    for (int64_t d : how.dims) check_points(shape[d]);
    n = shape[how.last()];
    shape[how.last()] = n / 2 + 1;
    return {{shape, in[0].dtype() == DType::F32 ? DType::C64 : DType::C128}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(in[0]);
    int rest = int(how.dims.size()) - 1;
    on_reals(x, out[0], [&](auto* from, auto* to) {
      using T = std::remove_pointer_t<decltype(to)>;
      fft<T>(FftKind::kFromReal, along(x, how.last(), n, false, rest ? 1 : how.scale), from, to);
    });
    transform(out[0], out[0], how.dims, rest, false, how.scale);
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
  Grads vjp(const Saved&, const Grads& g) override {
    return {real(apply(ComplexFft(how, true), {resized(g[0], how.last(), n)}))};
  }
};

// The half spectrum of n numbers back to them.
struct FftToReal final : OpOf<FftToReal> {
  How how;
  int64_t n;
  FftToReal(How h, int64_t count) : how(std::move(h)), n(count) {}
  const char* name() const override { return "fft_c2r"; }
  Specs infer(const Inputs& in) override {
    Dims shape = in[0].shape();
    for (int64_t d : how.dims) check_points(d == how.last() ? n : shape[d]);
    FB_CHECK(shape[how.last()] == n / 2 + 1, "fft_c2r: ", n, " numbers have a half spectrum of ",
             n / 2 + 1, " points, but got ", shape[how.last()]);
    shape[how.last()] = n;
    return {{shape, in[0].dtype() == DType::C64 ? DType::F32 : DType::F64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(in[0]);
    if (int rest = int(how.dims.size()) - 1) {
      Tensor y = empty(x.shape(), x.dtype());
      transform(x, y, how.dims, rest, true, 1);
      x = y;
    }
    on_reals(x, out[0], [&](auto* from, auto* to) {
      using T = std::remove_pointer_t<decltype(to)>;
      fft<T>(FftKind::kToReal, along(x, how.last(), n, true, how.scale), from, to);
    });
  }
  void cuda(const Inputs& in, Outputs& out) override { host_round_trip(*this, in, out); }
  // Every point but the first and (n even) the last stands for two of the full spectrum.
  Grads vjp(const Saved&, const Grads& g) override {
    Tensor y = apply(RealFft(how), {g[0]});
    int64_t d = how.last(), inner = n - n / 2 - 1;
    if (inner == 0) return {y};
    Tensor twice = narrow(y, d, 1, inner) * 2.;
    Tensors parts{narrow(y, d, 0, 1), twice};
    if (n % 2 == 0) parts.push_back(narrow(y, d, n / 2, 1));
    return {cat(parts, d)};
  }
};

How how_of(Args& a, int scale) { return {a.dims(1), a.real(scale)}; }

Register transforms({
    {"_fft_c2c(Tensor input, int[] dims, bool inverse, float scale) -> Tensor", kFunction,
     [](Args& a) -> Value { return apply(ComplexFft(how_of(a, 3), a.flag(2)), {a.tensor(0)}); },
     "Complex transform along distinct dimensions, times `scale`."},
    {"_fft_r2c(Tensor input, int[] dims, float scale) -> Tensor", kFunction,
     [](Args& a) -> Value { return apply(RealFft(how_of(a, 2)), {a.tensor(0)}); },
     "Real numbers to the half spectrum along the last of `dims`, times `scale`."},
    {"_fft_c2r(Tensor input, int[] dims, int n, float scale) -> Tensor", kFunction,
     [](Args& a) -> Value { return apply(FftToReal(how_of(a, 3), a.integer(2)), {a.tensor(0)}); },
     "The half spectrum of n real numbers along the last of `dims` to those, times `scale`."},
});

} // namespace
} // namespace flambeau
