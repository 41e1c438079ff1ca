// Loops over strided operands: coalescing, one-dimensional runs, and buffered casts.
#pragma once
#include <algorithm>

#include "../core/tensor.h"
#include "parallel.h"

namespace flambeau {

constexpr int kMaxOperands = 4;

// One elementwise kernel: n elements of the compute type, inputs contiguous, or one element
// for every input whose bit is set in `scalars`. p: parameters.
using ElemKernel = void (*)(const void* const* in, void* out, int64_t n, unsigned scalars,
                            const double* p);

// Converts n elements between dtypes; strides in bytes.
using CastKernel = void (*)(const char* src, int64_t src_stride, char* dst, int64_t dst_stride,
                            int64_t n);
CastKernel cast_kernel(DType from, DType to);

// Operands over one common shape, with dimensions sorted and merged; dims_[0] is the innermost.
struct StridedLoop {
  int ops = 0;
  Dims shape;                 // innermost first
  Dims strides[kMaxOperands]; // bytes
  char* base[kMaxOperands] = {};
  int64_t numel = 1;

  // Operand i with its (broadcast) byte strides for `shape`.
  void add(char* data, const Dims& byte_strides);
  void prepare(const Dims& logical_shape);
  int64_t inner() const { return shape.empty() ? 1 : shape[0]; }
  // f(pointers, inner_n) for each run, in parallel over `grain` elements.
  template<class F>
  void run(int64_t grain, F&& f) const;
  // f(pointers, rows) for strips of up to `height` indices of dimension d (not the innermost)
  // beside the whole innermost dimension.
  template<class F>
  void run_strips(int d, int64_t height, int64_t grain, F&& f) const;
};

// A grain of at most `grain`, rounded up to `unit`, that cuts n into equal chunks, an even number
// of them: three chunks keep two threads as long as four. It depends on n alone, not on threads.
inline int64_t even_grain(int64_t n, int64_t grain, int64_t unit = 1) {
  int64_t chunks = (n + grain - 1) / std::max<int64_t>(grain, 1);
  if (chunks <= 1) return std::max<int64_t>(n, 1);
  chunks += chunks % 2;
  return ((n + chunks - 1) / chunks + unit - 1) / unit * unit;
}

// Strides of `t`, in bytes, as if expanded to `shape`.
Dims expanded_bytes(const Tensor& t, const Dims& shape);

// out[i] = kernel(in...[i]) with in and out of any layout and dtype; the kernel computes in
// `compute` and yields `result`.
void run_elementwise(ElemKernel kernel, DType compute, DType result, const Tensor& out,
                     const Tensor* in, int n_in, const double* p);

template<class F>
void StridedLoop::run(int64_t grain, F&& f) const {
  if (numel == 0) return;
  int64_t n0 = inner(), outer = numel / n0;
  if (outer == 1) { // split the run itself, in parts of equal size
    parallel_for(n0, even_grain(n0, grain, 64), [&](int64_t b, int64_t e) {
      char* p[kMaxOperands] = {};
      for (int i = 0; i < ops; ++i) p[i] = base[i] + (shape.empty() ? 0 : b * strides[i][0]);
      f(p, e - b);
    });
    return;
  }
  int64_t rows = grain / n0 > 0 ? grain / n0 : 1;
  parallel_for(outer, even_grain(outer, rows), [&](int64_t b, int64_t e) {
    char* p[kMaxOperands] = {};
    Dims at(shape.size(), 0);
    int64_t rest = b;
    for (int d = 1; d < shape.size(); ++d) {
      at[d] = rest % shape[d];
      rest /= shape[d];
    }
    for (int i = 0; i < ops; ++i) {
      p[i] = base[i];
      for (int d = 1; d < shape.size(); ++d) p[i] += at[d] * strides[i][d];
    }
    for (int64_t r = b;;) {
      f(p, n0);
      if (++r == e) break;
      for (int d = 1; d < shape.size(); ++d) {
        for (int i = 0; i < ops; ++i) p[i] += strides[i][d];
        if (++at[d] < shape[d]) break;
        for (int i = 0; i < ops; ++i) p[i] -= strides[i][d] * shape[d];
        at[d] = 0;
      }
    }
  });
}

template<class F>
void StridedLoop::run_strips(int d, int64_t height, int64_t grain, F&& f) const {
  if (numel == 0) return;
  int64_t strips = (shape[d] + height - 1) / height, total = numel / inner() / shape[d] * strips;
  int64_t each = std::max<int64_t>(1, grain / (inner() * std::min(height, shape[d])));
  parallel_for(total, each, [&](int64_t b, int64_t e) {
    for (int64_t s = b; s < e; ++s) {
      int64_t first = s % strips * height, rest = s / strips;
      char* p[kMaxOperands] = {};
      for (int i = 0; i < ops; ++i) p[i] = base[i] + first * strides[i][d];
      for (int k = 1; k < shape.size(); ++k) {
        if (k == d) continue;
        for (int i = 0; i < ops; ++i) p[i] += rest % shape[k] * strides[i][k];
        rest /= shape[k];
      }
      f(p, std::min(height, shape[d] - first));
    }
  });
}

} // namespace flambeau
