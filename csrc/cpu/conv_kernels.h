// The table of inner kernels that only convolutions call, one per instruction set.
#pragma once

#include <cstdint>

namespace flambeau {

constexpr int kMaxPixels = 32; // the widest tile of any instruction set

// How to gather the pixels of one tile from a source image whose rows are apart: whole vectors,
// in an order in which a later one may overwrite what an earlier one wrote too far.
struct PixelCopies {
  int count;
  int64_t from[kMaxPixels];
  int to[kMaxPixels];
};

// Vectors of pixels in one image: where each begins in the source and in the result, and how many
// of its lanes are pixels. Vectors may overlap where each is computed alone.
struct Slots {
  int64_t count;
  const int64_t *from, *to;
  const int* lanes;
};

// Columns [channel][kh][kw][rows][columns]; tap (i, j) of output (y, x) lies at the image's row
// y + i * dil_h + top, column x + j * dil_w + left.
struct FoldShape {
  int64_t channels, h, w, kh, kw, dil_h, dil_w, rows, columns, top, left;
};

template<class T>
struct ConvKernels {
  // dst[p * width + j] = pixel j of src + offset[p]; writes up to a vector beyond the end.
  void (*pack_pixels)(int64_t k, const int64_t* offset, const T* src, const PixelCopies& copies,
                      int width, T* dst);
  // dst[p * width + j] = src[offset[j] + p] for p < len, j < cols; zero for cols <= j < width.
  // Reads up to 8 elements and writes up to 8 rows beyond the end.
  void (*pack_taps)(int64_t len, int cols, int width, const T* src, const int64_t* offset, T* dst);

  // c[i * ldc + j] = init[i * init_step + j] + sum_p src[offset[p] + pixel[i]] * b[p * bs + j], for
  // a number of pixels i and one or two vectors j. Of the last vector of b only `last` lanes are
  // read where GemmKernels::direct_edge is set; c and init have whole vectors.
  using Gather = void (*)(int64_t k, const int64_t* offset, const T* src, const int64_t* pixel,
                          const T* b, int64_t bs, const T* init, int64_t init_step, T* c,
                          int64_t ldc, int last);
  const Gather* gather[2]; // [vectors - 1][pixels - 1], as many pixels as GemmKernels::mr

  // y[i * ldc + slot] = init[i] + sum_p w[p * rows + i] * src[offset[p] + slot] at each slot,
  // which are whole vectors.
  using Direct = void (*)(int64_t k, const int64_t* offset, const T* src, const T* w, const T* init,
                          const Slots& slots, T* y, int64_t ldc);
  const Direct* direct; // [rows - 1], as many rows as GemmKernels::mr

  // Adds the columns of some output rows, for a stride of 1, to the image they came from.
  void (*fold)(const FoldShape& shape, const T* columns, T* image);

  // For one channel: y at each slot = init + sum_p w[p] * src[offset[p] + slot].
  void (*correlate)(int64_t k, const int64_t* offset, const T* src, const T* w, T init,
                    const Slots& slots, T* y);
  // sums (k vectors) += by lane, over the slots, dy at the slot * src[offset[p] + slot].
  void (*correlate_weight)(int64_t k, const int64_t* offset, const T* src, const T* dy,
                           const Slots& slots, T* sums);

  void (*copy_rows)(int64_t rows, int64_t len, const T* src, int64_t src_step, T* dst,
                    int64_t dst_step);

  // dst[c * ldd + r] = src[r * ld + c].
  void (*transpose)(int64_t rows, int64_t cols, const T* src, int64_t ld, T* dst, int64_t ldd);
};

template<class T>
const ConvKernels<T>& conv_kernels();

namespace base {
template<class T>
const ConvKernels<T>* conv_table();
}
namespace avx2 {
template<class T>
const ConvKernels<T>* conv_table();
}
namespace avx512 {
template<class T>
const ConvKernels<T>* conv_table();
}

} // namespace flambeau
