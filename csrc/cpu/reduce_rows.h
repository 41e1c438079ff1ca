// Kernels over whole rows (softmax, normalisation, losses, scans), as tables of functions.
#pragma once
#include <cstdint>

namespace flambeau {

// Losses of a pair; those before kBce are losses of the difference.
enum PairKind { kSquare, kAbs, kSmoothL1, kHuber, kBce, kBceLogits, kKl, kKlLog };

template<class T>
struct RowKernels {
  // y = softmax of each of the rows of n elements (its logarithm when `log`).
  void (*softmax)(const T* x, T* y, int64_t rows, int64_t n, bool log);
  // out = gradient of that, from the gradient g and the output y.
  void (*softmax_backward)(const T* g, const T* y, T* out, int64_t rows, int64_t n, bool log);
  // The same for `width` columns (at most kColumns) of n rows, `stride` elements apart.
  void (*softmax_cols)(const T* x, T* y, int64_t n, int64_t stride, int64_t width, bool log);
  void (*softmax_backward_cols)(const T* g, const T* y, T* out, int64_t n, int64_t stride,
                                int64_t width, bool log);
  void (*logsumexp)(const T* x, int64_t rows, int64_t n, T* lse);
  void (*logsumexp_cols)(const T* x, int64_t n, int64_t stride, int64_t width, T* lse);
  // out = scale * (softmax of x, given its logsumexp).
  void (*softmax_scaled)(const T* x, T lse, T scale, T* out, int64_t n);
  // y = (x - mean) / sqrt(var + eps) * w + b; w and b may be null. rms: no mean.
  void (*norm)(const T* x, const T* w, const T* b, T* y, int64_t n, double eps, bool rms, T* mean,
               T* rstd);
  // out = gradient by x; dw and db (both or neither) take in the row's share.
  void (*norm_backward)(const T* g, const T* x, const T* w, T mean, T rstd, bool rms, int64_t n,
                        T* out, T* dw, T* db);
  // sums[0] = sum of g, sums[1] = sum of g * (x - mean).
  void (*dot)(const T* g, const T* x, int64_t n, T mean, double* sums);
  // out = a * g + b * x + c.
  void (*affine)(const T* g, const T* x, T* out, int64_t n, T a, T b, T c);
  void (*scale_shift)(const T* x, T* out, int64_t n, T a, T c);
  // The same with a coefficient for each column.
  void (*dot_cols)(const T* g, const T* x, int64_t stride, int64_t rows, int64_t n, const T* mean,
                   double* s1, double* s2);
  void (*affine_cols)(const T* g, const T* x, T* out, int64_t n, const T* a, const T* b,
                      const T* c);
  void (*scale_shift_cols)(const T* x, T* out, int64_t n, const T* a, const T* c);
  // Losses of a pair, kind as PairKind: their sum, each of them, and k[i * step] times the
  // derivative by a. p: beta or delta.
  double (*pair_sum)(int kind, const T* a, const T* b, int64_t n, T p);
  void (*pair_map)(int kind, const T* a, const T* b, T* out, int64_t n, T p);
  void (*pair_slope)(int kind, const T* a, const T* b, const T* k, int64_t step, T scale, T* out,
                     int64_t n, T p);
  // y = the running sums (or products) of a row on top of `start`; returns the last.
  double (*scan)(const T* x, T* y, int64_t n, double start, bool product);
  double (*total)(const T* x, int64_t n); // the sum in double
  void (*scan_cols)(const T* x, T* y, int64_t n, int64_t stride, int64_t width, bool product);
  static constexpr int kColumns = 128;
};

} // namespace flambeau
