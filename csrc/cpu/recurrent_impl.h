// Recurrent cells, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include "recurrent.h"
#include "vecmath.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

// Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000.
template<class T>
void lstm_forward(const CellRow<T>& row) {
  T* __restrict g0 = row.gates;
  T* __restrict g1 = g0 + row.hidden, * __restrict g2 = g1 + row.hidden;
  T* __restrict g3 = g2 + row.hidden, * __restrict h = row.h, * __restrict c = row.c;
  const T* __restrict before = row.c_before;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) {
    const T i = math::sigmoid(g0[j]), f = math::sigmoid(g1[j]), o = math::sigmoid(g3[j]);
    const T g = math::tanh(g2[j]), now = f * before[j] + i * g;
    g0[j] = i, g1[j] = f, g2[j] = g, g3[j] = o;
    c[j] = now;
    h[j] = o * math::tanh(now);
  }
}

template<class T>
void lstm_backward(const CellRow<T>& row) {
  const int64_t n = row.hidden;
  const T* __restrict g = row.gates, * __restrict before = row.c_before, * __restrict c = row.c;
  const T* __restrict dout = row.dout;
  T* __restrict dh = row.dh, * __restrict dc = row.dc, * __restrict d = row.dgates;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) {
    const T i = g[j], f = g[n + j], a = g[2 * n + j], o = g[3 * n + j], t = math::tanh(c[j]);
    const T up = dh[j] + dout[j], down = dc[j] + up * o * (1 - t * t);
    d[j] = down * a * i * (1 - i);
    d[n + j] = down * before[j] * f * (1 - f);
    d[2 * n + j] = down * i * (1 - a * a);
    d[3 * n + j] = up * t * o * (1 - o);
    dc[j] = down * f;
  }
}

// Cho et al. 2014, with the reset gate behind the product.
template<class T>
void gru_forward(const CellRow<T>& row) {
  const int64_t n = row.hidden;
  T* __restrict g = row.gates, * __restrict h = row.h;
  const T* __restrict before = row.h_before;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) {
    const T r = math::sigmoid(g[j]), z = math::sigmoid(g[n + j]);
    const T a = math::tanh(g[2 * n + j] + r * g[3 * n + j]);
    g[j] = r, g[n + j] = z, g[2 * n + j] = a;
    h[j] = a + z * (before[j] - a);
  }
}

template<class T>
void gru_backward(const CellRow<T>& row) {
  const int64_t n = row.hidden;
  const T* __restrict g = row.gates, * __restrict before = row.h_before;
  const T* __restrict dout = row.dout;
  T* __restrict dh = row.dh, * __restrict d = row.dgates;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) {
    const T r = g[j], z = g[n + j], a = g[2 * n + j], up = dh[j] + dout[j];
    const T da = up * (1 - z) * (1 - a * a);
    d[j] = da * g[3 * n + j] * r * (1 - r);
    d[n + j] = up * (before[j] - a) * z * (1 - z);
    d[2 * n + j] = da;
    d[3 * n + j] = da * r;
    dh[j] = up * z;
  }
}

template<class T>
void tanh_forward(const CellRow<T>& row) {
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) row.h[j] = math::tanh(row.h[j]);
}
template<class T>
void tanh_backward(const CellRow<T>& row) {
  const T* __restrict h = row.h, * __restrict dh = row.dh, * __restrict dout = row.dout;
  T* __restrict d = row.dgates;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) d[j] = (dh[j] + dout[j]) * (1 - h[j] * h[j]);
}

template<class T>
void relu_forward(const CellRow<T>& row) {
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) row.h[j] = row.h[j] < T(0) ? T(0) : row.h[j];
}
template<class T>
void relu_backward(const CellRow<T>& row) {
  const T* __restrict h = row.h, * __restrict dh = row.dh, * __restrict dout = row.dout;
  T* __restrict d = row.dgates;
#pragma GCC ivdep
  for (int64_t j = 0; j < row.units; j++) d[j] = h[j] <= T(0) ? T(0) : dh[j] + dout[j];
}

template<class T>
const CellKernels<T>* cell_kernels() {
  static constexpr CellKernels<T> table = {
      {lstm_forward<T>, gru_forward<T>, tanh_forward<T>, relu_forward<T>},
      {lstm_backward<T>, gru_backward<T>, tanh_backward<T>, relu_backward<T>}};
  return &table;
}
template const CellKernels<float>* cell_kernels<float>();
template const CellKernels<double>* cell_kernels<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
