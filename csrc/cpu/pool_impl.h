// Row kernels of pooling, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include <type_traits>

#include "gemm_vec.h"
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

template<int Bytes>
using IntOf = std::conditional_t<Bytes == 4, int32_t, int64_t>;

// N neighbouring 2 x 2 windows.
template<class T, int N>
FLAMBEAU_INLINE void max_2x2_block(const T* x, const T* next, int64_t width, int64_t first, T* best,
                                   int64_t* index) {
  using V = Vec<T, N * sizeof(T)>;
  using I = Vec<IntOf<sizeof(T)>, N * sizeof(T)>;
  using Long = Vec<int64_t, N * 8>;
  V a, b, c, d;
  const V r0 = load<V>(x), r1 = load<V>(x + N), s0 = load<V>(next), s1 = load<V>(next + N);
  if constexpr (N == 8) {
    a = __builtin_shufflevector(r0, r1, 0, 2, 4, 6, 8, 10, 12, 14);
    b = __builtin_shufflevector(r0, r1, 1, 3, 5, 7, 9, 11, 13, 15);
    c = __builtin_shufflevector(s0, s1, 0, 2, 4, 6, 8, 10, 12, 14);
    d = __builtin_shufflevector(s0, s1, 1, 3, 5, 7, 9, 11, 13, 15);
  } else {
    a = __builtin_shufflevector(r0, r1, 0, 2, 4, 6);
    b = __builtin_shufflevector(r0, r1, 1, 3, 5, 7);
    c = __builtin_shufflevector(s0, s1, 0, 2, 4, 6);
    d = __builtin_shufflevector(s0, s1, 1, 3, 5, 7);
  }
  using Int = IntOf<sizeof(T)>;
  I at = {};
  for (int i = 0; i < N; i++) at[i] = 2 * i;
  const I start = at, below = at + static_cast<Int>(width);
  const I take_b = (b > a) | (b != b);
  V m = take_b ? b : a;
  at = take_b ? start + 1 : at;
  const I take_c = (c > m) | (c != c);
  m = take_c ? c : m;
  at = take_c ? below : at;
  const I take_d = (d > m) | (d != d);
  store(best, V(take_d ? d : m));
  at = take_d ? below + 1 : at;
  store(index, Long(__builtin_convertvector(at, Long) + first));
}

template<class T>
void max_2x2(int64_t n, const T* x, int64_t width, int64_t first, T* best, int64_t* index) {
  const auto block = [&]<int N>(int64_t i) __attribute__((always_inline)) {
    max_2x2_block<T, N>(x + 2 * i, x + width + 2 * i, width, first + 2 * i, best + i, index + i);
  };
  // The last block overlaps the one before it.
  if (n >= 8) {
    for (int64_t i = 0; i + 8 <= n; i += 8) block.template operator()<8>(i);
    if (n % 8 > 4)
      block.template operator()<8>(n - 8);
    else if (n % 8 > 0)
      block.template operator()<4>(n - 4);
  } else if (n >= 4) {
    block.template operator()<4>(0);
    if (n > 4) block.template operator()<4>(n - 4);
  } else {
    for (int64_t i = 0; i < n; i++) {
      best[i] = x[2 * i], index[i] = first + 2 * i;
      take_greater(x[2 * i + 1], first + 2 * i + 1, best[i], index[i]);
      take_greater(x[width + 2 * i], first + width + 2 * i, best[i], index[i]);
      take_greater(x[width + 2 * i + 1], first + width + 2 * i + 1, best[i], index[i]);
    }
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
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  V s0 = {}, s1 = {};
  int64_t i = 0;
  for (; i + 2 * L <= n; i += 2 * L) s0 += load<V>(x + i), s1 += load<V>(x + i + L);
  if (i + L <= n) s0 += load<V>(x + i), i += L;
  if (i < n) s1 += load_part<T>(x + i, static_cast<int>(n - i));
  return sum_lanes<T, V>(s0 + s1);
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
