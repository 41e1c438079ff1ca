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

template<class T>
void pick(int64_t n, int64_t taps, const T* x, const int32_t* index, const T* w, T* __restrict y) {
  if (taps == 2) {
    const int32_t* next = index + n;
    const T* wn = w + n;
    for (int64_t j = 0; j < n; j++) y[j] = w[j] * x[index[j]] + wn[j] * x[next[j]];
    return;
  }
  for (int64_t j = 0; j < n; j++) y[j] = w[j] * x[index[j]];
  for (int64_t k = 1; k < taps; k++) {
    index += n, w += n;
    for (int64_t j = 0; j < n; j++) y[j] += w[j] * x[index[j]];
  }
}

template<class T>
const ResampleRows<T>* resample_rows() {
  static constexpr ResampleRows<T> table = {blend<T>, pick<T>};
  return &table;
}
template const ResampleRows<float>* resample_rows<float>();
template const ResampleRows<double>* resample_rows<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
