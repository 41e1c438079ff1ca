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

template<class T>
struct ConvKernels {
  // dst[p * width + j] = pixel j of src + offset[p]; writes up to a vector beyond the end.
  void (*pack_pixels)(int64_t k, const int64_t* offset, const T* src, const PixelCopies& copies,
                      int width, T* dst);
  // dst[p * width + j] = src[offset[j] + p] for p < len, j < cols; zero for cols <= j < width.
  // Reads up to 8 elements and writes up to 8 rows beyond the end.
  void (*pack_taps)(int64_t len, int cols, int width, const T* src, const int64_t* offset, T* dst);
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
