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

// One tile of MR pixels times NV vectors of output channels, in registers for the whole of k.
template<class T, int MR, int NV>
void gather(int64_t k, const int64_t* offset, const T* src, const int64_t* pixel, const T* b,
            int64_t bs, const T* init, int64_t init_step, T* c, int64_t ldc, int last) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
#define FLAMBEAU_INIT(i)                                             \
  V x##i{}, y##i{};                                                  \
  if constexpr (MR > i) {                                            \
    x##i = load<V>(init + i * init_step);                            \
    if constexpr (NV == 2) y##i = load<V>(init + i * init_step + L); \
  }
  FLAMBEAU_ROWS(FLAMBEAU_INIT)
  for (int64_t p = 0; p < k; p++) {
    const T* s = src + offset[p];
    const V b0 = kMasks && NV == 1 ? load_part<T>(b, last) : load<V>(b);
    V b1{};
    if constexpr (NV == 2) b1 = kMasks ? load_part<T>(b + L, last) : load<V>(b + L);
#define FLAMBEAU_FMA(i)                    \
  if constexpr (MR > i) {                  \
    const V a = broadcast<V>(s[pixel[i]]); \
    x##i += a * b0;                        \
    if constexpr (NV == 2) y##i += a * b1; \
  }
    FLAMBEAU_ROWS(FLAMBEAU_FMA)
    b += bs;
  }
#define FLAMBEAU_OUT(i)                                  \
  if constexpr (MR > i) {                                \
    store(c + i * ldc, x##i);                            \
    if constexpr (NV == 2) store(c + i * ldc + L, y##i); \
  }
  FLAMBEAU_ROWS(FLAMBEAU_OUT)
#undef FLAMBEAU_INIT
#undef FLAMBEAU_FMA
#undef FLAMBEAU_OUT
}

// Two vectors of pixels at a time by MR output channels, in registers for the whole of k.
template<class T, int MR>
void direct(int64_t k, const int64_t* offset, const T* src, const T* w, const T* init,
            const Slots& slots, T* out, int64_t ldc) {
  using V = Vec<T>;
  for (int64_t s = 0; s < slots.count; s += 2) {
    const int64_t t = s + 1 < slots.count ? s + 1 : s;
    const T *from0 = src + slots.from[s], *from1 = src + slots.from[t], *a = w;
#define FLAMBEAU_INIT(i) \
  V x##i{}, y##i{};      \
  if constexpr (MR > i) x##i = y##i = broadcast<V>(init[i]);
    FLAMBEAU_ROWS(FLAMBEAU_INIT)
    for (int64_t p = 0; p < k; p++, a += MR) {
      const V b0 = load<V>(from0 + offset[p]), b1 = load<V>(from1 + offset[p]);
#define FLAMBEAU_FMA(i)                     \
  if constexpr (MR > i) {                   \
    const V scale = broadcast<V>(a[i]);     \
    x##i += scale * b0, y##i += scale * b1; \
  }
      FLAMBEAU_ROWS(FLAMBEAU_FMA)
    }
    T *to0 = out + slots.to[s], *to1 = out + slots.to[t];
#define FLAMBEAU_OUT(i) \
  if constexpr (MR > i) store(to0 + i * ldc, x##i), store(to1 + i * ldc, y##i);
    FLAMBEAU_ROWS(FLAMBEAU_OUT)
#undef FLAMBEAU_INIT
#undef FLAMBEAU_FMA
#undef FLAMBEAU_OUT
  }
}

constexpr int kFoldTaps = 16; // taps of a row whose lane masks are held at a time

// One vector of the image at row y, column x0: what the taps [j0, j1) of all kernel rows add.
template<class T>
FLAMBEAU_INLINE Vec<T> fold_vector(const FoldShape& s, int64_t y, int64_t x0, int64_t j0,
                                   int64_t j1, const LaneRange<T>* lanes, const T* columns,
                                   Vec<T> sum) {
  for (int64_t i = 0; i < s.kh; i++) {
    const int64_t row = y - s.top - i * s.dil_h;
    if (row < 0 || row >= s.rows) continue;
    const T* from = columns + (i * s.kw * s.rows + row) * s.columns + x0 - s.left;
    for (int64_t j = j0; j < j1; j++)
      sum += lanes[j - j0].load(from + j * (s.rows * s.columns) - j * s.dil_w);
  }
  return sum;
}

template<class T>
void fold(const FoldShape& s, const T* columns, T* image) {
  constexpr int L = kLanes<T>;
  const int64_t y0 = s.top > 0 ? s.top : 0, reach = s.rows + (s.kh - 1) * s.dil_h + s.top;
  const int64_t y1 = reach < s.h ? reach : s.h;
  for (int64_t x0 = 0; x0 < s.w; x0 += L)
    for (int64_t j0 = 0; j0 < s.kw; j0 += kFoldTaps) {
      const int64_t j1 = j0 + kFoldTaps < s.kw ? j0 + kFoldTaps : s.kw;
      const int n = s.w - x0 < L ? static_cast<int>(s.w - x0) : L;
      LaneRange<T> lanes[kFoldTaps];
      for (int64_t j = j0; j < j1; j++) {
        const int64_t shift = j * s.dil_w + s.left - x0; // the lane of the first output
        const int64_t lo = shift < 0 ? 0 : shift > n ? n : shift, end = shift + s.columns;
        lanes[j - j0].set(static_cast<int>(lo), static_cast<int>(end < lo  ? lo
                                                                 : end > n ? n
                                                                           : end));
      }
      for (int64_t c = 0; c < s.channels; c++)
        for (int64_t y = y0; y < y1; y++) {
          T* to = image + (c * s.h + y) * s.w + x0;
          const T* from = columns + c * s.kh * s.kw * s.rows * s.columns;
          const Vec<T> old = n == L ? load<Vec<T>>(to) : load_part<T>(to, n);
          const Vec<T> sum = fold_vector<T>(s, y, x0, j0, j1, lanes, from, old);
          if (n == L)
            store(to, sum);
          else
            store_part<T>(to, sum, n);
        }
    }
}

template<class T, int N>
FLAMBEAU_INLINE void correlate_slots(int64_t k, const int64_t* offset, const T* src, const T* w,
                                     T init, const Slots& slots, int64_t s0, T* y) {
  using V = Vec<T>;
  V sum[N];
  const T* from[N];
#pragma GCC unroll 8
  for (int i = 0; i < N; i++) sum[i] = broadcast<V>(init), from[i] = src + slots.from[s0 + i];
  for (int64_t p = 0; p < k; p++) {
    const V scale = broadcast<V>(w[p]);
#pragma GCC unroll 8
    for (int i = 0; i < N; i++) sum[i] += scale * load<V>(from[i] + offset[p]);
  }
#pragma GCC unroll 8
  for (int i = 0; i < N; i++) {
    const int n = slots.lanes[s0 + i];
    if (n == kLanes<T>)
      store(y + slots.to[s0 + i], sum[i]);
    else
      store_part<T>(y + slots.to[s0 + i], sum[i], n);
  }
}

template<class T>
void correlate(int64_t k, const int64_t* offset, const T* src, const T* w, T init,
               const Slots& slots, T* y) {
  int64_t s = 0;
  for (; s + 8 <= slots.count; s += 8) correlate_slots<T, 8>(k, offset, src, w, init, slots, s, y);
  for (; s + 4 <= slots.count; s += 4) correlate_slots<T, 4>(k, offset, src, w, init, slots, s, y);
  for (; s < slots.count; s++) correlate_slots<T, 1>(k, offset, src, w, init, slots, s, y);
}

template<class T, int N>
FLAMBEAU_INLINE void weight_taps(const int64_t* offset, const T* src, const T* dy,
                                 const Slots& slots, T* sums) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  V sum[N];
#pragma GCC unroll 9
  for (int i = 0; i < N; i++) sum[i] = load<V>(sums + i * L);
  for (int64_t s = 0; s < slots.count; s++) {
    const T *from = src + slots.from[s], *d = dy + slots.to[s];
    const int n = slots.lanes[s];
    if (n == L) {
      const V v = load<V>(d);
#pragma GCC unroll 9
      for (int i = 0; i < N; i++) sum[i] += v * load<V>(from + offset[i]);
    } else {
      const V v = load_part<T>(d, n);
#pragma GCC unroll 9
      for (int i = 0; i < N; i++) sum[i] += v * load_part<T>(from + offset[i], n);
    }
  }
#pragma GCC unroll 9
  for (int i = 0; i < N; i++) store(sums + i * L, sum[i]);
}

template<class T>
void correlate_weight(int64_t k, const int64_t* offset, const T* src, const T* dy,
                      const Slots& slots, T* sums) {
  constexpr int L = kLanes<T>;
  int64_t p = 0;
  for (; p + 9 <= k; p += 9) weight_taps<T, 9>(offset + p, src, dy, slots, sums + p * L);
  for (; p + 5 <= k; p += 5) weight_taps<T, 5>(offset + p, src, dy, slots, sums + p * L);
  for (; p + 2 <= k; p += 2) weight_taps<T, 2>(offset + p, src, dy, slots, sums + p * L);
  for (; p < k; p++) weight_taps<T, 1>(offset + p, src, dy, slots, sums + p * L);
}

template<class T>
void copy_rows(int64_t rows, int64_t len, const T* src, int64_t src_step, T* dst,
               int64_t dst_step) {
  using V = Vec<T>;
  constexpr int L = kLanes<T>;
  for (int64_t r = 0; r < rows; r++, src += src_step, dst += dst_step) {
    int64_t i = 0;
    for (; i + L <= len; i += L) store(dst + i, load<V>(src + i));
    if (i == len) continue;
    if (i > 0) // the last vector overlaps the one before it
      store(dst + len - L, load<V>(src + len - L));
    else
      store_part<T>(dst, load_part<T>(src, static_cast<int>(len)), static_cast<int>(len));
  }
}

template<class T, int... I>
const ConvKernels<T>* make_conv_table() {
  static constexpr typename ConvKernels<T>::Gather one[] = {gather<T, I, 1>...};
  static constexpr typename ConvKernels<T>::Gather two[] = {gather<T, I, 2>...};
  static constexpr typename ConvKernels<T>::Direct rows[] = {direct<T, I>...};
  static constexpr ConvKernels<T> table = {
      pack_pixels<T>, pack_taps<T>,        {one, two},   rows,        fold<T>,
      correlate<T>,   correlate_weight<T>, copy_rows<T>, transpose<T>};
  return &table;
}

template<class T>
const ConvKernels<T>* conv_table() {
#if defined(__AVX512F__)
  return make_conv_table<T, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14>();
#elif defined(__AVX2__)
  return make_conv_table<T, 1, 2, 3, 4, 5, 6>();
#else
  return make_conv_table<T, 1, 2, 3, 4>();
#endif
}

template const ConvKernels<float>* conv_table<float>();
template const ConvKernels<double>* conv_table<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
