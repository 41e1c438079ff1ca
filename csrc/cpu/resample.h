// Resizing on raw pointers: a sparse matrix for each dimension, applied to planes of rows.
#pragma once

#include <cstdint>
#include <vector>

namespace flambeau {

// Output position i is the sum of weight[k] * input[index[k]] for k in [begin[i], begin[i + 1]).
struct Taps {
  int64_t in = 1, out = 1;
  std::vector<int32_t> begin, index;
  std::vector<double> weight;

  void add(int64_t position, double by) {
    index.push_back(int32_t(position));
    weight.push_back(by);
  }
  void close() { begin.push_back(int32_t(index.size())); } // once before the first output
  bool identity() const;
  Taps transposed() const;
};

// y (planes, out...) from x (planes, in...) by three matrices; a missing dimension has size 1.
template<class T>
void resample(int64_t planes, const Taps* taps, const T* x, T* y);

// Row kernels of one instruction set.
template<class T>
struct ResampleRows {
  // y[j] = sum of w[k] * rows[k][j]
  void (*blend)(int64_t n, int64_t taps, const T* const* rows, const T* w, T* y);
  // y[j] = sum of w[k * n + j] * x[index[k * n + j]]
  void (*pick)(int64_t n, int64_t taps, const T* x, const int32_t* index, const T* w, T* y);
  // y[j] += up[j] * sum of w[k * n + j] * x[index[k * n + j]]
  void (*pick_add)(int64_t n, int64_t taps, const T* x, const int32_t* index, const T* w,
                   const T* up, T* y);
};

// The four pixels around each of some points: pairs of neighbours in an upper and a lower row.
struct PixelPairs {
  static constexpr int kPoints = 256;
  int32_t index[2][kPoints];
  float weight[2][2 * kPoints];
  int32_t inside[2][2 * kPoints]; // -1, or 0: what lies there does not count
};
struct PairKernels {
  // The pairs around (x[i], y[i]) in a plane of w >= 2 columns and h rows, i < n.
  void (*fill)(int n, const float* x, const float* y, int32_t w, int32_t h, PixelPairs& pairs);
  // y[i] = the weighted sum of the plane's pixels around point i.
  void (*sum)(int n, const float* plane, const PixelPairs& pairs, float* y);
};

namespace base {
template<class T>
const ResampleRows<T>* resample_rows();
const PairKernels* pair_kernels();
} // namespace base
namespace avx2 {
template<class T>
const ResampleRows<T>* resample_rows(); // null when the file was not compiled for it
const PairKernels* pair_kernels();
} // namespace avx2
namespace avx512 {
template<class T>
const ResampleRows<T>* resample_rows();
const PairKernels* pair_kernels();
} // namespace avx512

} // namespace flambeau
