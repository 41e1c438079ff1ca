// Matrix product, convolution and pooling kernels against plain loops in double precision.
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "check.h"
#include "conv.h"
#include "conv_winograd.h"
#include "gemm.h"
#include "gemm_bf16.h"
#include "parallel.h"

using namespace flambeau;

namespace {

std::mt19937 rng(7);

int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

template<class T>
constexpr bool is_bf16 = std::is_same_v<T, bf16>;

template<class T>
T random_value() {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(pick(-3, 3));
  else if constexpr (is_bf16<T>)
    return random_value<float>();
  else if constexpr (std::is_floating_point_v<T>)
    return std::uniform_real_distribution<T>(-1, 1)(rng);
  else
    return {random_value<typename T::value_type>(), random_value<typename T::value_type>()};
}

template<class T>
std::vector<T> random_vector(int64_t n) {
  std::vector<T> v(n);
  for (T& x : v) x = random_value<T>();
  return v;
}

// The largest difference, as a share of the sum of magnitudes that rounding acts on.
template<class T, class W>
double worst_error(const std::vector<T>& got, const std::vector<W>& want, double scale) {
  double worst = got.size() == want.size() ? 0 : 1e30;
  for (size_t i = 0; i < got.size() && i < want.size(); i++) {
    const double e = std::abs(W(got[i]) - want[i]) / scale;
    if (!(e <= worst)) worst = e;
  }
  return worst;
}

template<class T>
constexpr double tolerance() {
  if constexpr (std::is_integral_v<T>) return 0;
  if constexpr (is_bf16<T>) return 0x1p-6; // half a unit in the last place of four times the scale
  if (sizeof(T) == 4 || std::is_same_v<T, std::complex<float>>) return 4e-6;
  return 2e-14;
}

template<class T>
bool same_bits(const std::vector<T>& a, const std::vector<T>& b) {
  return a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

template<class T>
struct Wide {
  using type = std::conditional_t<
      std::is_integral_v<T>, int64_t,
      std::conditional_t<std::is_floating_point_v<T> || is_bf16<T>, double, std::complex<double>>>;
};

template<class T>
void test_gemm(int64_t m, int64_t n, int64_t k, bool ta, bool tb, T alpha, T beta) {
  using W = typename Wide<T>::type;
  const int64_t lda = (ta ? m : k) + pick(0, 3), ldb = (tb ? k : n) + pick(0, 3);
  const int64_t ldc = n + pick(0, 3);
  const auto a = random_vector<T>((ta ? k : m) * lda), b = random_vector<T>((tb ? n : k) * ldb);
  auto c = random_vector<T>(m * ldc);
  std::vector<W> want(c.begin(), c.end());
  // What is added: C itself, another matrix or one row.
  const int addend = static_cast<int>(pick(0, 2));
  const int64_t ldd = addend == 2 ? 0 : n + pick(0, 3);
  const auto other = random_vector<T>(m * (n + 3));
  const T* d = addend == 0 ? nullptr : other.data();
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      W sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum += W(ta ? a[p * lda + i] : a[i * lda + p]) * W(tb ? b[j * ldb + p] : b[p * ldb + j]);
      W& out = want[i * ldc + j];
      const W added = addend == 0 ? out : W(other[i * ldd + j]);
      out = W(alpha) * sum + (beta == T(0) ? W(0) : W(beta) * added);
      if constexpr (std::is_integral_v<T>) out = static_cast<T>(out);
      if constexpr (std::is_floating_point_v<T> || is_bf16<T>)
        if (beta == T(0) || addend != 0) c[i * ldc + j] = T(std::nan("")); // must not be read
    }
  auto serial = c;
  set_num_threads(1);
  gemm<T>(ta, tb, m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, serial.data(), ldc, d, ldd);
  set_num_threads(2);
  gemm<T>(ta, tb, m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, c.data(), ldc, d, ldd);
  CHECK(same_bits(c, serial), "gemm %ld %ld %ld: threads differ", m, n, k);
  const double e = worst_error(c, want, 1 + std::sqrt(double(k)));
  CHECK(e <= tolerance<T>(), "gemm %ld %ld %ld ta=%d tb=%d size=%zu error %g", m, n, k, ta, tb,
        sizeof(T), e);
}

template<class T>
void test_gemms(int rounds) {
  for (int r = 0; r < rounds; r++) {
    const int64_t most = r % 8 == 0 ? 300 : r % 2 == 0 ? 70 : 20;
    const int64_t m = r % 5 == 0 ? pick(0, 2) : pick(1, most);
    const int64_t n = r % 7 == 0 ? pick(0, 2) : pick(1, most);
    const int64_t k = r % 11 == 0 ? pick(0, 2) : pick(1, r % 3 ? most : 2 * most);
    const T alpha = r % 3 == 0 ? T(2) : T(1), beta = r % 2 ? T(0) : r % 4 ? T(1) : T(3);
    test_gemm<T>(m, n, k, pick(0, 1), pick(0, 1), alpha, beta);
  }
}

// Shapes for every way to cut: blocks of rows and of k, parts of k, few rows, vectors.
template<class T>
void test_cuts() {
  const int64_t shapes[][3] = {{700, 45, 300}, {330, 530, 70}, {40, 700, 600},  {20, 10, 20000},
                               {9, 13, 20000}, {1, 1, 100000}, {1, 900, 700},   {1, 9000, 40},
                               {1, 33, 50000}, {2, 700, 150},  {700, 1, 900},   {5, 300, 100},
                               {300, 7, 131},  {8, 64, 1024},  {1024, 16, 512}, {5000, 3, 3},
                               {4500, 30, 40}};
  for (const auto& [m, n, k] : shapes)
    for (int t = 0; t < 4; t++)
      for (T beta : {T(0), T(1), T(3)}) test_gemm<T>(m, n, k, t & 1, t >> 1, T(1), beta);
}

template<class T>
void test_batched() {
  for (int r = 0; r < 40; r++) {
    const int64_t most = r % 2 ? 40 : 16, batch = pick(0, r % 4 ? 12 : 900);
    const int64_t m = pick(1, most), n = pick(1, most), k = pick(0, most);
    const bool ta = pick(0, 1), tb = pick(0, 1), shared_b = r % 3 == 0;
    const auto a = random_vector<T>(batch * m * k), b = random_vector<T>((batch + 1) * k * n);
    std::vector<T> got(batch * m * n), want(batch * m * n);
    const int64_t sb = shared_b ? 0 : k * n, lda = ta ? m : k, ldb = tb ? k : n;
    gemm_batched<T>(batch, ta, tb, m, n, k, T(1), a.data(), lda, m * k, b.data(), ldb, sb, T(0),
                    got.data(), n, m * n);
    for (int64_t i = 0; i < batch; i++)
      gemm<T>(ta, tb, m, n, k, T(1), a.data() + i * m * k, lda, b.data() + i * sb, ldb, T(0),
              want.data() + i * m * n, n);
    CHECK(worst_error(got, want, 1 + std::sqrt(double(k))) <= tolerance<T>(), "batched");
  }
}

int64_t out_size(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dil) {
  const int64_t reach = in + 2 * pad - dil * (kernel - 1) - 1;
  return reach < 0 ? 0 : reach / stride + 1;
}

// Calls f(x index, weight index, y index) for every product of the convolution.
template<class F>
void for_each_product(const Conv3dShape& s, F f) {
  const int64_t ci = s.c_in / s.groups, co = s.c_out / s.groups;
  int64_t y = 0;
  for (int64_t n = 0; n < s.n; n++)
    for (int64_t o = 0; o < s.c_out; o++)
      for (int64_t d = 0; d < s.out[0]; d++)
        for (int64_t h = 0; h < s.out[1]; h++)
          for (int64_t w = 0; w < s.out[2]; w++, y++) {
            int64_t wi = o * ci * s.kernel[0] * s.kernel[1] * s.kernel[2];
            for (int64_t c = o / co * ci; c < o / co * ci + ci; c++)
              for (int64_t i = 0; i < s.kernel[0]; i++)
                for (int64_t j = 0; j < s.kernel[1]; j++)
                  for (int64_t k = 0; k < s.kernel[2]; k++, wi++) {
                    const int64_t id = d * s.stride[0] - s.pad[0] + i * s.dil[0];
                    const int64_t ih = h * s.stride[1] - s.pad[1] + j * s.dil[1];
                    const int64_t iw = w * s.stride[2] - s.pad[2] + k * s.dil[2];
                    if (id < 0 || id >= s.in[0] || ih < 0 || ih >= s.in[1] || iw < 0 ||
                        iw >= s.in[2])
                      continue;
                    f((((n * s.c_in + c) * s.in[0] + id) * s.in[1] + ih) * s.in[2] + iw, wi, y);
                  }
          }
}

template<class T>
struct ConvCase {
  Conv3dShape s;
  std::vector<T> x, w, bias, dy;
  std::vector<double> y, dx, dw;
  bool with_bias;

  explicit ConvCase(const Conv3dShape& shape) : s(shape), with_bias(pick(0, 1)) {
    const int64_t kernel = s.kernel[0] * s.kernel[1] * s.kernel[2];
    x = random_vector<T>(s.n * s.c_in * s.in[0] * s.in[1] * s.in[2]);
    w = random_vector<T>(s.c_out * (s.c_in / s.groups) * kernel);
    bias = random_vector<T>(s.c_out);
    const int64_t pixels = s.out[0] * s.out[1] * s.out[2];
    dy = random_vector<T>(s.n * s.c_out * pixels);
    y.resize(dy.size());
    dx.resize(x.size());
    dw.resize(w.size());
    for (size_t i = 0; i < y.size(); i++) y[i] = with_bias ? bias[i / pixels % s.c_out] : T(0);
    for_each_product(s, [&](int64_t xi, int64_t wi, int64_t yi) {
      y[yi] += double(x[xi]) * w[wi];
      dx[xi] += double(dy[yi]) * w[wi];
      dw[wi] += double(dy[yi]) * x[xi];
    });
  }

  const T* bias_data() const { return with_bias ? bias.data() : nullptr; }

  template<class F>
  void check(const char* what, const std::vector<double>& want, double terms, F f) const {
    std::vector<T> one(want.size(), T(std::nan(""))), two(want.size(), T(std::nan("")));
    set_num_threads(1);
    f(one.data());
    set_num_threads(2);
    f(two.data());
    CHECK(same_bits(one, two), "conv %s: threads differ", what);
    const double e = worst_error(one, want, 1 + std::sqrt(terms));
    CHECK(e <= tolerance<T>(),
          "conv %s %zu: n %ld c %ld->%ld/%ld in %ld %ld %ld kernel %ld %ld %ld out %ld %ld %ld "
          "stride %ld %ld pad %ld %ld dil %ld %ld bias %d error %g",
          what, sizeof(T), s.n, s.c_in, s.c_out, s.groups, s.in[0], s.in[1], s.in[2], s.kernel[0],
          s.kernel[1], s.kernel[2], s.out[0], s.out[1], s.out[2], s.stride[1], s.stride[2],
          s.pad[1], s.pad[2], s.dil[1], s.dil[2], with_bias, e);
  }
};

Conv3dShape with_depth(const ConvShape& s) {
  return {s.n,
          s.c_in,
          {1, s.h, s.w},
          s.c_out,
          {1, s.kh, s.kw},
          {1, s.oh, s.ow},
          {1, s.stride_h, s.stride_w},
          {0, s.pad_h, s.pad_w},
          {1, s.dil_h, s.dil_w},
          s.groups};
}

template<class T>
void test_conv2d(const ConvShape& s) {
  const ConvCase<T> t(with_depth(s));
  const double taps = double(s.kh * s.kw) / double(s.groups);
  t.check("forward", t.y, s.c_in * taps,
          [&](T* y) { conv2d_forward<T>(s, t.x.data(), t.w.data(), t.bias_data(), y); });
  t.check("backward input", t.dx, s.c_out * taps,
          [&](T* dx) { conv2d_backward_input<T>(s, t.dy.data(), t.w.data(), dx); });
  t.check("backward weight", t.dw, double(s.n * s.oh * s.ow),
          [&](T* dw) { conv2d_backward_weight<T>(s, t.x.data(), t.dy.data(), dw); });
}

template<class T>
void test_conv3d(const Conv3dShape& s) {
  const ConvCase<T> t(s);
  const double taps = double(s.kernel[0] * s.kernel[1] * s.kernel[2]) / double(s.groups);
  t.check("3d forward", t.y, s.c_in * taps,
          [&](T* y) { conv3d_forward<T>(s, t.x.data(), t.w.data(), t.bias_data(), y); });
  t.check("3d backward input", t.dx, s.c_out * taps,
          [&](T* dx) { conv3d_backward_input<T>(s, t.dy.data(), t.w.data(), dx); });
  t.check("3d backward weight", t.dw, double(s.n * s.out[0] * s.out[1] * s.out[2]),
          [&](T* dw) { conv3d_backward_weight<T>(s, t.x.data(), t.dy.data(), dw); });
}

template<class T>
void test_convs(int rounds) {
  for (int r = 0; r < rounds; r++) {
    ConvShape s{};
    s.groups = r % 4 == 0 ? pick(1, 4) : 1;
    const int64_t most = r % 5 == 0 ? 40 : 9;
    const bool depthwise = r % 12 == 0;
    s.n = r % 29 == 0 ? 0 : pick(1, 5);
    s.c_in = s.groups * (depthwise ? 1 : pick(1, most));
    s.c_out = s.groups * (depthwise ? pick(1, 2) : pick(1, most));
    s.kh = pick(1, 5), s.kw = pick(1, r % 7 == 0 ? 9 : 5);
    s.stride_h = r % 3 == 0 ? pick(1, 3) : 1, s.stride_w = r % 3 == 0 ? pick(1, 4) : 1;
    s.dil_h = r % 6 == 1 ? pick(1, 3) : 1, s.dil_w = r % 6 == 1 ? pick(1, 3) : 1;
    s.pad_h = r % 2 ? pick(0, 5) : 0, s.pad_w = r % 2 ? pick(0, 5) : 0;
    s.h = pick(1, 30), s.w = pick(1, 40);
    if (r % 10 == 3) s.h = s.kh = s.stride_h = s.dil_h = 1, s.pad_h = 0, s.w = pick(1, 1500);
    if (r % 10 == 7) s.kh = s.kw = 1;
    s.oh = out_size(s.h, s.kh, s.stride_h, s.pad_h, s.dil_h);
    s.ow = out_size(s.w, s.kw, s.stride_w, s.pad_w, s.dil_w);
    test_conv2d<T>(s);
  }
  for (int64_t big = 0; big < 6; big++) {
    const int64_t c = 48 + 40 * big, hw = big % 2 ? 7 : 14, k = big % 3 ? 3 : 1, st = 1 + big / 4;
    const int64_t out = out_size(hw, k, st, k / 2, 1);
    test_conv2d<T>({2, c, hw, hw, c + 8, k, k, out, out, st, st, k / 2, k / 2, 1, 1, 1});
  }
  for (int r = 0; r < rounds / 6; r++) {
    Conv3dShape s{};
    s.groups = r % 3 ? 1 : 2;
    s.n = pick(1, 3), s.c_in = s.groups * pick(1, 4), s.c_out = s.groups * pick(1, 5);
    for (int d = 0; d < 3; d++) {
      s.kernel[d] = pick(1, 3), s.in[d] = pick(1, 9), s.stride[d] = pick(1, 2);
      s.dil[d] = pick(1, 2), s.pad[d] = pick(0, 2);
      s.out[d] = out_size(s.in[d], s.kernel[d], s.stride[d], s.pad[d], s.dil[d]);
    }
    test_conv3d<T>(s);
  }
}

// Winograd's way, also where the direct one is faster.
void test_winograd(const ConvShape& s) {
  const ConvCase<float> t(with_depth(s));
  const double taps = 9.0 / double(s.groups);
  bool finite = true;
  t.check("Winograd forward", t.y, s.c_in * taps, [&](float* y) {
    finite &= winograd_forward(s, t.x.data(), t.w.data(), t.bias_data(), y);
  });
  t.check("Winograd backward input", t.dx, s.c_out * taps,
          [&](float* dx) { finite &= winograd_backward_input(s, t.dy.data(), t.w.data(), dx); });
  t.check("Winograd backward weight", t.dw, double(s.n * s.oh * s.ow),
          [&](float* dw) { finite &= winograd_backward_weight(s, t.x.data(), t.dy.data(), dw); });
  CHECK(finite, "Winograd: finite results are called infinite");
}

// An infinity, or a number that overflows on the way, spoils no more than in a plain sum.
void test_winograd_infinity(float bad) {
  const ConvShape s{2, 32, 12, 12, 32, 3, 3, 12, 12, 1, 1, 1, 1, 1, 1, 1};
  ConvCase<float> t(with_depth(s));
  std::vector<float> y(t.dy.size()), dx(t.x.size()), dw(t.w.size());
  t.x[70] = t.dy[70] = bad; // row 5, column 10 of the first image and channel
  CHECK(!winograd_forward(s, t.x.data(), t.w.data(), nullptr, y.data()), "lost in y");
  CHECK(!winograd_backward_input(s, t.dy.data(), t.w.data(), dx.data()), "lost in dx");
  CHECK(!winograd_backward_weight(s, t.x.data(), t.dy.data(), dw.data()), "lost in dw");
  conv2d_forward(s, t.x.data(), t.w.data(), (const float*)nullptr, y.data());
  conv2d_backward_input(s, t.dy.data(), t.w.data(), dx.data());
  for (int64_t i = 0; i < 144 * 32; i++) {
    const bool meets = std::abs(i % 144 / 12 - 5) <= 1 && std::abs(i % 12 - 10) <= 1;
    const bool finite = std::isfinite(bad) || !meets;
    CHECK(std::isfinite(y[i]) == finite, "y %ld is %g", i, y[i]);
    CHECK(std::isfinite(dx[i]) == finite, "dx %ld is %g", i, dx[i]);
  }
}

void test_winograds(int rounds) {
  for (int r = 0; r < rounds; r++) {
    ConvShape s{};
    s.groups = r % 5 == 0 ? pick(1, 3) : 1;
    s.n = pick(1, 4), s.c_in = s.groups * pick(1, 40), s.c_out = s.groups * pick(1, 40);
    s.kh = s.kw = 3, s.stride_h = s.stride_w = s.dil_h = s.dil_w = 1;
    s.pad_h = pick(0, 2), s.pad_w = pick(0, 2);
    s.h = pick(r % 3 ? 1 : 6, 18), s.w = pick(r % 3 ? 1 : 6, 18);
    s.oh = s.h + 2 * s.pad_h - 2, s.ow = s.w + 2 * s.pad_w - 2;
    if (s.oh > 0 && s.ow > 0) test_winograd(s);
  }
  test_winograd({1, 300, 5, 9, 130, 3, 3, 5, 9, 1, 1, 1, 1, 1, 1, 1}); // channels in parts
  test_winograd({40, 9, 4, 4, 100, 3, 3, 4, 4, 1, 1, 1, 1, 1, 1, 1});  // images in parts
  for (float bad : {float(INFINITY), -float(INFINITY), float(NAN), 3e38f})
    test_winograd_infinity(bad);
}

} // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 300;
  test_gemms<float>(rounds);
  test_gemms<double>(rounds);
  test_gemms<std::complex<float>>(rounds / 3);
  test_gemms<std::complex<double>>(rounds / 3);
  test_cuts<int8_t>();
  test_cuts<int64_t>();
  test_gemms<int64_t>(rounds / 6);
  test_gemms<int8_t>(rounds / 6);
  test_gemms<uint8_t>(rounds / 6);
  test_gemms<int16_t>(rounds / 6);
  test_gemms<int32_t>(rounds / 6);
  test_cuts<float>();
  test_cuts<double>();
  test_batched<float>();
  test_batched<std::complex<double>>();
  if (bf16_product_pays(16, 16, 16)) {
    test_gemms<bf16>(rounds);
    test_cuts<bf16>();
    test_batched<bf16>();
  }
  test_convs<float>(rounds);
  test_convs<double>(rounds);
  test_winograds(rounds / 3);
  return outcome();
}
