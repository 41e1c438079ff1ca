// Row kernels of pooling, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include "pool_kernels.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template<class T>
inline __attribute__((always_inline)) void take_greater(T v, int64_t at, T& best, int64_t& index) {
  const bool take = (v > best) | (v != v);
  best = take ? v : best;
  index = take ? at : index;
}

template<class T>
void max_tap(int64_t n, const T* __restrict x, int64_t step, int64_t first, T* __restrict best,
             int64_t* __restrict index) {
  if (step == 1) {
    for (int64_t i = 0; i < n; i++) take_greater(x[i], first + i, best[i], index[i]);
  } else if (step == 2) {
    for (int64_t i = 0; i < n; i++) take_greater(x[2 * i], first + 2 * i, best[i], index[i]);
  } else {
    for (int64_t i = 0; i < n; i++) take_greater(x[step * i], first + step * i, best[i], index[i]);
  }
}

template<class T>
void max_2x2(int64_t n, const T* __restrict x, int64_t width, int64_t first, T* __restrict best,
             int64_t* __restrict index) {
  const T* __restrict next = x + width;
  const int from = static_cast<int>(width);
  for (int64_t i = 0; i < n; i++) {
    const T a = x[2 * i], b = x[2 * i + 1], c = next[2 * i], d = next[2 * i + 1];
    const bool take_b = (b > a) | (b != b);
    T m = take_b ? b : a;
    int at = take_b ? 1 : 0;
    const bool take_c = (c > m) | (c != c);
    m = take_c ? c : m;
    at = take_c ? from : at;
    const bool take_d = (d > m) | (d != d);
    best[i] = take_d ? d : m;
    at = take_d ? from + 1 : at;
    index[i] = first + 2 * i + at;
  }
}

template<class T>
void add_tap(int64_t n, const T* __restrict x, int64_t step, T* __restrict sum) {
  if (step == 1) {
    for (int64_t i = 0; i < n; i++) sum[i] += x[i];
  } else if (step == 2) {
    for (int64_t i = 0; i < n; i++) sum[i] += x[2 * i];
  } else {
    for (int64_t i = 0; i < n; i++) sum[i] += x[step * i];
  }
}

template<class T>
void add_back(int64_t n, const T* __restrict dy, int64_t step, T* __restrict dx) {
  if (step == 1) {
    for (int64_t i = 0; i < n; i++) dx[i] += dy[i];
  } else {
    for (int64_t i = 0; i < n; i++) dx[step * i] += dy[i];
  }
}

template<class T>
T sum(int64_t n, const T* x) {
  constexpr int kLanes = 16;
  T part[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int l = 0; l < kLanes; l++) part[l] += x[i + l];
  for (int l = 0; i + l < n; l++) part[l] += x[i + l];
  for (int half = kLanes / 2; half > 0; half /= 2)
    for (int l = 0; l < half; l++) part[l] += part[l + half];
  return part[0];
}

template<class T>
const PoolRows<T>* pool_rows() {
  static constexpr PoolRows<T> rows = {max_tap<T>, max_2x2<T>, add_tap<T>, add_back<T>, sum<T>};
  return &rows;
}

template const PoolRows<float>* pool_rows<float>();
template const PoolRows<double>* pool_rows<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
