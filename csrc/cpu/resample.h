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
namespace base {
template<class T>
const ResampleRows<T>* resample_rows();
}
namespace avx2 {
template<class T>
const ResampleRows<T>* resample_rows(); // null when the file was not compiled for it
}
namespace avx512 {
template<class T>
const ResampleRows<T>* resample_rows();
}

} // namespace flambeau
