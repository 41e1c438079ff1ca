// Matrix product, convolution and pooling kernels against plain loops in double precision.
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

#include "gemm.h"
#include "parallel.h"

using namespace flambeau;

namespace {

std::mt19937 rng(7);
int failures = 0;

int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

template <class T>
T random_value() {
  if constexpr (std::is_integral_v<T>)
    return static_cast<T>(pick(-3, 3));
  else if constexpr (std::is_floating_point_v<T>)
    return std::uniform_real_distribution<T>(-1, 1)(rng);
  else
    return {random_value<typename T::value_type>(), random_value<typename T::value_type>()};
}

template <class T>
std::vector<T> random_vector(int64_t n) {
  std::vector<T> v(n);
  for (T& x : v) x = random_value<T>();
  return v;
}

#define CHECK(condition, ...)                             \
  do {                                                    \
    if (!(condition)) {                                   \
      failures++;                                         \
      std::printf("FAIL line %d: ", __LINE__);            \
      std::printf(__VA_ARGS__);                           \
      std::printf("\n");                                  \
    }                                                     \
  } while (0)

// The largest difference, as a share of the sum of magnitudes that rounding acts on.
template <class T, class W>
double worst_error(const std::vector<T>& got, const std::vector<W>& want, double scale) {
  double worst = got.size() == want.size() ? 0 : 1e30;
  for (size_t i = 0; i < got.size() && i < want.size(); i++) {
    const double e = std::abs(W(got[i]) - want[i]) / scale;
    if (!(e <= worst)) worst = e;
  }
  return worst;
}

template <class T>
constexpr double tolerance() {
  if constexpr (std::is_integral_v<T>) return 0;
  if (sizeof(T) == 4 || std::is_same_v<T, std::complex<float>>) return 2e-6;
  return 2e-14;
}

template <class T>
struct Wide {
  using type = std::conditional_t<std::is_integral_v<T>, int64_t,
                                  std::conditional_t<std::is_floating_point_v<T>, double,
                                                     std::complex<double>>>;
};

template <class T>
void test_gemm(int64_t m, int64_t n, int64_t k, bool ta, bool tb, T alpha, T beta) {
  using W = typename Wide<T>::type;
  const int64_t lda = (ta ? m : k) + pick(0, 3), ldb = (tb ? k : n) + pick(0, 3);
  const int64_t ldc = n + pick(0, 3);
  const auto a = random_vector<T>((ta ? k : m) * lda), b = random_vector<T>((tb ? n : k) * ldb);
  auto c = random_vector<T>(m * ldc);
  std::vector<W> want(c.begin(), c.end());
  for (int64_t i = 0; i < m; i++)
    for (int64_t j = 0; j < n; j++) {
      W sum = 0;
      for (int64_t p = 0; p < k; p++)
        sum += W(ta ? a[p * lda + i] : a[i * lda + p]) * W(tb ? b[j * ldb + p] : b[p * ldb + j]);
      W& out = want[i * ldc + j];
      out = W(alpha) * sum + (beta == T(0) ? W(0) : W(beta) * out);
      if constexpr (std::is_integral_v<T>) out = static_cast<T>(out);
      if constexpr (std::is_floating_point_v<T>)
        if (beta == T(0)) c[i * ldc + j] = std::nan("");  // must not be read
    }
  auto serial = c;
  set_num_threads(1);
  gemm<T>(ta, tb, m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, serial.data(), ldc);
  set_num_threads(2);
  gemm<T>(ta, tb, m, n, k, alpha, a.data(), lda, b.data(), ldb, beta, c.data(), ldc);
  CHECK(std::memcmp(c.data(), serial.data(), c.size() * sizeof(T)) == 0,
        "gemm %ld %ld %ld: threads differ", m, n, k);
  const double e = worst_error(c, want, 1 + std::sqrt(double(k)));
  CHECK(e <= tolerance<T>(), "gemm %ld %ld %ld ta=%d tb=%d size=%zu error %g", m, n, k, ta, tb,
        sizeof(T), e);
}

template <class T>
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

template <class T>
void test_batched() {
  for (int r = 0; r < 40; r++) {
    const int64_t batch = pick(0, 12), m = pick(1, 40), n = pick(1, 40), k = pick(0, 40);
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

}  // namespace

int main(int argc, char** argv) {
  const int rounds = argc > 1 ? std::atoi(argv[1]) : 300;
  test_gemms<float>(rounds);
  test_gemms<double>(rounds);
  test_gemms<std::complex<float>>(rounds / 3);
  test_gemms<std::complex<double>>(rounds / 3);
  test_gemms<int64_t>(rounds / 6);
  test_gemms<int8_t>(rounds / 6);
  test_gemms<uint8_t>(rounds / 6);
  test_gemms<int16_t>(rounds / 6);
  test_gemms<int32_t>(rounds / 6);
  test_batched<float>();
  test_batched<std::complex<double>>();
  std::printf(failures == 0 ? "all passed\n" : "%d failures\n", failures);
  return failures != 0;
}
