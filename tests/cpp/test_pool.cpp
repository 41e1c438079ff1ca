// Pooling kernels against plain loops over every window.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "check.h"
#include "parallel.h"
#include "pool_kernels.h"

using namespace flambeau;

namespace {

std::mt19937 rng(11);

int64_t pick(int64_t low, int64_t high) {
  return std::uniform_int_distribution<int64_t>(low, high)(rng);
}

int64_t volume(const int64_t (&v)[3]) { return v[0] * v[1] * v[2]; }

template<class T>
std::vector<T> random_vector(int64_t n, bool special) {
  std::vector<T> v(n);
  for (T& x : v) {
    x = T(pick(-50, 50)) / 8; // coarse, so that maxima tie
    if (special && pick(0, 9) == 0) x = pick(0, 1) ? std::nan("") : -INFINITY;
  }
  return v;
}

template<class T>
bool same(const std::vector<T>& a, const std::vector<T>& b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](T x, T y) {
           return x == y || (std::isnan(x) && std::isnan(y)) ||
                  std::abs(x - y) <= 64 * std::numeric_limits<T>::epsilon() * (1 + std::abs(x));
         });
}

struct Range {
  int64_t begin, end, step, padded;
};

// Calls f(plane, output index, windows of the three axes).
template<class W, class F>
void for_each_output(const PoolShape& s, W window, F f) {
  for (int64_t p = 0; p < s.planes; p++)
    for (int64_t o = 0; o < volume(s.out); o++) {
      const int64_t at[3] = {o / (s.out[1] * s.out[2]), o / s.out[2] % s.out[1], o % s.out[2]};
      Range r[3];
      for (int d = 0; d < 3; d++) r[d] = window(d, at[d]);
      f(p, p * volume(s.out) + o, r);
    }
}

template<class F>
void for_each_inside(const PoolShape& s, const Range (&r)[3], F f) {
  for (int64_t i = r[0].begin; i < r[0].end; i += r[0].step)
    for (int64_t j = r[1].begin; j < r[1].end; j += r[1].step)
      for (int64_t k = r[2].begin; k < r[2].end; k += r[2].step)
        if (i >= 0 && j >= 0 && k >= 0 && i < s.in[0] && j < s.in[1] && k < s.in[2])
          f((i * s.in[1] + j) * s.in[2] + k);
}

Range sliding(const PoolShape& s, int d, int64_t o) {
  const int64_t start = o * s.stride[d] - s.pad[d];
  const int64_t stop = start + (s.kernel[d] - 1) * s.dil[d] + 1;
  return {start, stop, s.dil[d], std::min(start + s.kernel[d], s.in[d] + s.pad[d]) - start};
}

Range adaptive(const PoolShape& s, int d, int64_t o) {
  const auto begin = static_cast<int64_t>(std::floor(double(o) * s.in[d] / s.out[d]));
  const auto end = static_cast<int64_t>(std::ceil(double(o + 1) * s.in[d] / s.out[d]));
  return {begin, end, 1, end - begin};
}

template<class T, class W, class F>
void check_max(const PoolShape& s, W window, F run, const char* what) {
  const auto x = random_vector<T>(s.planes * volume(s.in), pick(0, 1));
  const auto dy = random_vector<T>(s.planes * volume(s.out), false);
  std::vector<T> y(dy.size()), want_y(dy.size()), dx(x.size(), T(9)), want_dx(x.size());
  std::vector<int64_t> index(dy.size()), want_index(dy.size());
  for_each_output(s, window, [&](int64_t plane, int64_t o, const Range(&r)[3]) {
    T best = -INFINITY;
    int64_t at = -1;
    for_each_inside(s, r, [&](int64_t i) {
      const T v = x[plane * volume(s.in) + i];
      if (at < 0 || v > best || std::isnan(v)) best = v, at = i;
    });
    want_y[o] = best, want_index[o] = at;
    want_dx[plane * volume(s.in) + at] += dy[o];
  });
  run(s, x.data(), y.data(), index.data());
  CHECK(same(y, want_y), "%s", what);
  CHECK(index == want_index, "%s", what);
  std::fill(y.begin(), y.end(), T(9));
  run(s, x.data(), y.data(), nullptr);
  CHECK(same(y, want_y), "max without indices");
  max_pool_backward<T>(s.planes, volume(s.in), volume(s.out), dy.data(), index.data(), dx.data());
  CHECK(same(dx, want_dx), "max backward");
}

template<class T, class W, class D, class F, class B>
void check_average(const PoolShape& s, W window, D divisor, F forward, B backward,
                   const char* what) {
  const auto x = random_vector<T>(s.planes * volume(s.in), false);
  const auto dy = random_vector<T>(s.planes * volume(s.out), false);
  std::vector<T> y(dy.size(), T(9)), want_y(dy.size()), dx(x.size(), T(9)), want_dx(x.size());
  for_each_output(s, window, [&](int64_t plane, int64_t o, const Range(&r)[3]) {
    int64_t count = 0;
    double sum = 0;
    for_each_inside(s, r, [&](int64_t i) { sum += x[plane * volume(s.in) + i], count++; });
    if (count == 0) return;
    want_y[o] = T(sum / divisor(r, count));
    for_each_inside(s, r, [&](int64_t i) {
      want_dx[plane * volume(s.in) + i] += dy[o] / T(divisor(r, count));
    });
  });
  forward(s, x.data(), y.data());
  CHECK(same(y, want_y), "%s", what);
  backward(s, dy.data(), dx.data());
  CHECK(same(dx, want_dx), "%s", what);
}

template<class T>
void test_sliding(int round) {
  PoolShape s{};
  s.planes = pick(0, 5);
  for (int d = 0; d < 3; d++) {
    const bool missing = d < round % 3;
    s.kernel[d] = missing ? 1 : pick(1, 4), s.in[d] = missing ? 1 : pick(5, 40 >> (d == 0));
    s.stride[d] = missing ? 1 : pick(1, 3), s.pad[d] = missing ? 0 : pick(0, s.kernel[d] / 2);
    s.dil[d] = round % 5 == 0 && !missing && s.in[d] > 7 ? 2 : 1;
    if (round % 4 == 0 && !missing) s.kernel[d] = s.stride[d] = 2, s.pad[d] = 0, s.dil[d] = 1;
    s.out[d] = (s.in[d] + 2 * s.pad[d] - s.dil[d] * (s.kernel[d] - 1) - 1) / s.stride[d] + 1;
    const int64_t start = s.out[d] * s.stride[d] - s.pad[d]; // ceil_mode: one window more
    if (round % 7 == 0 && start < s.in[d]) s.out[d]++;
  }
  auto window = [&](int d, int64_t o) { return sliding(s, d, o); };
  check_max<T>(s, window, max_pool_forward<T>, "max forward");
  std::fill_n(s.dil, 3, 1);
  for (int d = 0; d < 3; d++)
    s.out[d] =
        (s.in[d] + 2 * s.pad[d] - s.kernel[d] + round % 2 * (s.stride[d] - 1)) / s.stride[d] + 1;
  for (int d = 0; d < 3; d++)
    if ((s.out[d] - 1) * s.stride[d] >= s.in[d] + s.pad[d]) s.out[d]--;
  const bool count_pad = pick(0, 1);
  const int64_t fixed = pick(0, 3) == 0 ? 5 : 0;
  check_average<T>(
      s, window,
      [&](const Range(&r)[3], int64_t count) {
        return fixed       ? double(fixed)
               : count_pad ? double(r[0].padded * r[1].padded * r[2].padded)
                           : double(count);
      },
      [&](const PoolShape& p, const T* x, T* y) { avg_pool_forward<T>(p, count_pad, fixed, x, y); },
      [&](const PoolShape& p, const T* dy, T* dx) {
        avg_pool_backward<T>(p, count_pad, fixed, dy, dx);
      },
      "average");
}

template<class T>
void test_adaptive(int round) {
  PoolShape s{};
  s.planes = pick(1, 5);
  for (int d = 0; d < 3; d++) {
    const bool missing = d < round % 3;
    s.in[d] = missing ? 1 : pick(1, 20), s.out[d] = missing ? 1 : pick(1, 9);
    if (round % 4 == 0) s.out[d] = 1;
  }
  auto window = [&](int d, int64_t o) { return adaptive(s, d, o); };
  check_max<T>(s, window, adaptive_max_pool_forward<T>, "adaptive max");
  check_average<T>(
      s, window, [](const Range(&)[3], int64_t count) { return double(count); },
      adaptive_avg_pool_forward<T>, adaptive_avg_pool_backward<T>, "adaptive average");
}

} // namespace

int main() {
  for (int round = 0; round < 200; round++) {
    set_num_threads(1 + round % 2);
    test_sliding<float>(round);
    test_sliding<double>(round);
    test_adaptive<float>(round);
    test_adaptive<double>(round);
  }
  return outcome();
}
