// Row kernels of resizing, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include <algorithm>
#include <cstring>

#include "resample.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template<class T>
void blend(int64_t n, int64_t taps, const T* const* rows, const T* w, T* __restrict y) {
  const T *a = rows[0], wa = w[0];
  int64_t k = 2;
  if (taps == 1) {
    for (int64_t j = 0; j < n; j++) y[j] = wa * a[j];
  } else if (taps < 4) {
    const T *b = rows[1], wb = w[1];
    for (int64_t j = 0; j < n; j++) y[j] = wa * a[j] + wb * b[j];
  } else {
    const T *b = rows[1], *c = rows[2], *d = rows[3], wb = w[1], wc = w[2], wd = w[3];
    for (int64_t j = 0; j < n; j++) y[j] = wa * a[j] + wb * b[j] + (wc * c[j] + wd * d[j]);
    k = 4;
  }
  for (; k < taps; k++) {
    const T *b = rows[k], wb = w[k];
    for (int64_t j = 0; j < n; j++) y[j] += wb * b[j];
  }
}

// Tap k of output j.
template<class T>
inline __attribute__((always_inline)) T tap(int64_t n, int64_t k, int64_t j, const T* x,
                                            const int32_t* index, const T* w) {
  return w[k * n + j] * x[index[k * n + j]];
}

template<class T>
void pick(int64_t n, int64_t taps, const T* x, const int32_t* index, const T* w, T* __restrict y) {
  int64_t k = taps < 2 ? 1 : taps < 4 ? 2 : 4;
  if (k == 1)
    for (int64_t j = 0; j < n; j++) y[j] = tap(n, 0, j, x, index, w);
  else if (k == 2)
    for (int64_t j = 0; j < n; j++) y[j] = tap(n, 0, j, x, index, w) + tap(n, 1, j, x, index, w);
  else
    for (int64_t j = 0; j < n; j++)
      y[j] = tap(n, 0, j, x, index, w) + tap(n, 1, j, x, index, w) +
             (tap(n, 2, j, x, index, w) + tap(n, 3, j, x, index, w));
  for (; k < taps; k++)
    for (int64_t j = 0; j < n; j++) y[j] += tap(n, k, j, x, index, w);
}

template<class T>
void pick_add(int64_t n, int64_t taps, const T* x, const int32_t* index, const T* w, const T* up,
              T* __restrict y) {
  int64_t k = 0;
  for (; k + 4 <= taps; k += 4)
    for (int64_t j = 0; j < n; j++)
      y[j] += up[j] * (tap(n, k, j, x, index, w) + tap(n, k + 1, j, x, index, w) +
                       (tap(n, k + 2, j, x, index, w) + tap(n, k + 3, j, x, index, w)));
  for (; k < taps; k++)
    for (int64_t j = 0; j < n; j++) y[j] += up[j] * tap(n, k, j, x, index, w);
}

// A pair is moved inwards where one of its pixels lies outside: it then holds the other one.
inline void fill_pairs(int n, const float* __restrict x, const float* __restrict y, int32_t w,
                       int32_t h, PixelPairs& __restrict pairs) {
  const float right = float(w) + 1, bottom = float(h) + 1;
  for (int i = 0; i < n; ++i) {
    float px = x[i] > -2 ? x[i] : -2.f, py = y[i] > -2 ? y[i] : -2.f; // NaN is outside
    px = px < right ? px : right, py = py < bottom ? py : bottom;
    const int32_t wx = int32_t(px), wy = int32_t(py); // whole parts, cut off
    const int32_t column = wx - (float(wx) > px ? 1 : 0), row = wy - (float(wy) > py ? 1 : 0);
    const float fx = px - float(column), fy = py - float(row);
    const int32_t low = column > 0 ? column : 0, pair = low < w - 2 ? low : w - 2;
    const int32_t first = pair - column; // 0 and 1 are the point's own columns
    const float left = first == 0 ? 1 - fx : fx, next = first == 0 ? fx : 1 - fx;
    const int32_t in_left = first == 0 || first == 1 ? -1 : 0;
    const int32_t in_next = first == -1 || first == 0 ? -1 : 0;
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
      const int32_t line = row + r, top = line > 0 ? line : 0, to = top < h - 1 ? top : h - 1;
      const int32_t in = line == to ? -1 : 0;
      const float by = r ? fy : 1 - fy;
      pairs.index[r][i] = to * w + pair;
      pairs.inside[r][2 * i] = in & in_left;
      pairs.inside[r][2 * i + 1] = in & in_next;
      pairs.weight[r][2 * i] = by * left;
      pairs.weight[r][2 * i + 1] = by * next;
    }
  }
}

inline void sum_pairs(int n, const float* plane, const PixelPairs& pairs, float* y) {
  typedef float V __attribute__((vector_size(32)));
  typedef float Half __attribute__((vector_size(16)));
  typedef int32_t I __attribute__((vector_size(32)));
  typedef double D __attribute__((vector_size(32)));
  for (int i = 0; i < n; i += 4) { // arrays of pairs are filled up to a multiple of four
    V sum{};
#pragma GCC unroll 2
    for (int r = 0; r < 2; ++r) {
      D pixels;
#pragma GCC unroll 4
      for (int q = 0; q < 4; ++q) {
        double pair;
        std::memcpy(&pair, plane + pairs.index[r][i + q], sizeof pair);
        pixels[q] = pair;
      }
      V weight;
      I inside;
      std::memcpy(&weight, pairs.weight[r] + 2 * i, sizeof weight);
      std::memcpy(&inside, pairs.inside[r] + 2 * i, sizeof inside);
      sum += (V)((I)pixels & inside) * weight;
    }
    const Half both = __builtin_shufflevector(sum, sum, 0, 2, 4, 6) +
                      __builtin_shufflevector(sum, sum, 1, 3, 5, 7);
    if (n - i < 4) return void(std::memcpy(y + i, &both, size_t(n - i) * sizeof(float)));
    std::memcpy(y + i, &both, sizeof both);
  }
}

const PairKernels* pair_kernels() {
  static constexpr PairKernels table = {fill_pairs, sum_pairs};
  return &table;
}

template<class T>
const ResampleRows<T>* resample_rows() {
  static constexpr ResampleRows<T> table = {blend<T>, pick<T>, pick_add<T>};
  return &table;
}
template const ResampleRows<float>* resample_rows<float>();
template const ResampleRows<double>* resample_rows<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
