// Row kernels of resizing, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include <algorithm>

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

template<class T>
const ResampleRows<T>* resample_rows() {
  static constexpr ResampleRows<T> table = {blend<T>, pick<T>, pick_add<T>};
  return &table;
}
template const ResampleRows<float>* resample_rows<float>();
template const ResampleRows<double>* resample_rows<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
