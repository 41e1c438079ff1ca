// Max and average pooling on raw pointers: contiguous (planes, d, h, w) of float or double.
#pragma once

#include <cstdint>

namespace flambeau {

// Index 0 is depth, 1 height, 2 width; a missing dimension has size, kernel and stride 1, no
// padding. `out` decides how many windows there are (so ceil_mode is the caller's business).
struct PoolShape {
  int64_t planes; // batch times channels
  int64_t in[3], out[3], kernel[3], stride[3], pad[3], dil[3];
};

// y and, unless null, the position of each maximum within its input plane. The first of equal
// values wins, and a NaN wins over everything.
template<class T>
void max_pool_forward(const PoolShape& shape, const T* x, T* y, int64_t* indices);

// dx[plane, indices[i]] += dy[plane, i], from zero; serves adaptive max pooling as well.
template<class T>
void max_pool_backward(int64_t planes, int64_t in_size, int64_t out_size, const T* dy,
                       const int64_t* indices, T* dx);

// The divisor is divisor_override unless that is 0, else the window's size, with the padding that
// it covers or (count_include_pad false) without. shape.dil is not used.
template<class T>
void avg_pool_forward(const PoolShape& shape, bool count_include_pad, int64_t divisor_override,
                      const T* x, T* y);
template<class T>
void avg_pool_backward(const PoolShape& shape, bool count_include_pad, int64_t divisor_override,
                       const T* dy, T* dx);

// Window i of o over a dimension of n is [floor(i * n / o), ceil((i + 1) * n / o)). Of the shape
// only planes, in and out are used.
template<class T>
void adaptive_avg_pool_forward(const PoolShape& shape, const T* x, T* y);
template<class T>
void adaptive_avg_pool_backward(const PoolShape& shape, const T* dy, T* dx);
template<class T>
void adaptive_max_pool_forward(const PoolShape& shape, const T* x, T* y, int64_t* indices);

// Row kernels of one instruction set.
template<class T>
struct PoolRows {
  // Where x[i * step] > best[i] or is NaN: best[i] takes it, index[i] takes first + i * step.
  void (*max_tap)(int64_t n, const T* x, int64_t step, int64_t first, T* best, int64_t* index);
  // Maxima of 2 x 2 windows side by side in the rows x and x + width; x lies at `first`.
  void (*max_2x2)(int64_t n, const T* x, int64_t width, int64_t first, T* best, int64_t* index);
  void (*add_tap)(int64_t n, const T* x, int64_t step, T* sum);
  void (*add_back)(int64_t n, const T* dy, int64_t step, T* dx); // dx[i * step] += dy[i]
  T (*sum)(int64_t n, const T* x);
};

namespace base {
template<class T>
const PoolRows<T>* pool_rows();
}
namespace avx2 {
template<class T>
const PoolRows<T>* pool_rows(); // null when the file was not compiled for it
}
namespace avx512 {
template<class T>
const PoolRows<T>* pool_rows();
}

} // namespace flambeau
