// Inner kernels of the convolutions, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include "conv_kernels.h"
#include "gemm_vec.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

template<class T, int N>
FLAMBEAU_INLINE void pack_few(int64_t k, const int64_t* offset, const T* src,
                              const PixelCopies& copies, int width, T* dst) {
  using V = Vec<T>;
  int64_t from[N];
  int64_t to[N];
  for (int c = 0; c < N; c++) from[c] = copies.from[c], to[c] = copies.to[c];
  for (int64_t p = 0; p < k; p++, dst += width) {
    const T* s = src + offset[p];
#pragma GCC unroll 8
    for (int c = 0; c < N; c++) store(dst + to[c], load<V>(s + from[c]));
  }
}

template<class T>
void pack_pixels(int64_t k, const int64_t* offset, const T* src, const PixelCopies& copies,
                 int width, T* dst) {
  switch (copies.count) {
  case 1: return pack_few<T, 1>(k, offset, src, copies, width, dst);
  case 2: return pack_few<T, 2>(k, offset, src, copies, width, dst);
  case 3: return pack_few<T, 3>(k, offset, src, copies, width, dst);
  case 4: return pack_few<T, 4>(k, offset, src, copies, width, dst);
  case 5: return pack_few<T, 5>(k, offset, src, copies, width, dst);
  }
  for (int64_t p = 0; p < k; p++, dst += width) {
    const T* s = src + offset[p];
    for (int c = 0; c < copies.count; c++)
      store(dst + copies.to[c], load<Vec<T>>(s + copies.from[c]));
  }
}

template<class T>
void pack_taps(int64_t len, int cols, int width, const T* src, const int64_t* offset, T* dst) {
  int j = 0;
#if defined(__AVX2__)
  constexpr int S = 32 / static_cast<int>(sizeof(T));
  for (; j + S <= cols; j += S)
    for (int64_t p = 0; p < len; p += S)
      transpose_square([&](int i) { return src + offset[j + i] + p; }, dst + p * width + j, width);
#endif
  for (; j < cols; j++) {
    const T* s = src + offset[j];
    for (int64_t p = 0; p < len; p++) dst[p * width + j] = s[p];
  }
  for (; j < width; j++)
    for (int64_t p = 0; p < len; p++) dst[p * width + j] = T(0);
}

template<class T>
const ConvKernels<T>* conv_table() {
  static constexpr ConvKernels<T> table = {pack_pixels<T>, pack_taps<T>};
  return &table;
}

template const ConvKernels<float>* conv_table<float>();
template const ConvKernels<double>* conv_table<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
