// Reductions: the kernel tables of each instruction set, and the driver that walks the tensor.
#pragma once
#include "../core/tensor.h"
#include "reduce_rows.h"

namespace flambeau {

enum class Reduce : uint8_t {
  Sum,
  Mean,
  NanSum,
  Prod,
  Max,
  Min,
  Any,
  All,
  Count,
  Norm0,
  Norm1,
  Norm2,
  NormMax,
  NormMin,
  Var,
  Std,
  VarMean,
  Last
};

// A reduction keeps one state for each output. Kernels see elements of type `in`, side by side.
struct ReduceKernel {
  DType in, out;
  int state = 0; // bytes; 0: there is no kernel for this type
  void (*fill)(void* acc, int64_t n);
  // acc[i] takes in the n elements of row i; rows lie `stride` bytes apart.
  void (*rows)(const char* x, int64_t stride, int64_t rows, int64_t n, void* acc);
  // acc[j] takes in column j of `rows` rows; n <= kReduceColumns.
  void (*cols)(const char* x, int64_t stride, int64_t rows, int64_t n, void* acc);
  void (*merge)(void* acc, const void* other, int64_t n);
  void (*finish)(const void* acc, void* out, int64_t n, double p); // p: a count or correction
  // The same as rows, of bfloat16; null where they are widened first.
  void (*rows_bf16)(const char* x, int64_t stride, int64_t rows, int64_t n, void* acc) = nullptr;
};
constexpr int kReduceColumns = 512;
constexpr int kReduceState = 24; // the largest state

// Extremes with their positions: of rows, and of at most kReduceColumns columns of n rows.
struct ArgKernel {
  void (*rows)(const char* x, int64_t stride, int64_t rows, int64_t n, void* best, int64_t* at);
  void (*cols)(const char* x, int64_t stride, int64_t n, int64_t width, void* best, int64_t* at);
};

struct ReduceTable {
  ReduceKernel k[int(Reduce::Last)][kDTypes];
  ArgKernel arg[2][kDTypes]; // minimum, maximum
  RowKernels<float> f32;
  RowKernels<double> f64;
};
namespace reduce_base {
void fill_table(ReduceTable& t);
}
namespace reduce_avx2 {
void fill_table(ReduceTable& t);
}
namespace reduce_avx512 {
void fill_table(ReduceTable& t);
}

const ReduceTable& reduce_table(); // that of this processor
template<class T>
const RowKernels<T>& row_kernels() {
  if constexpr (sizeof(T) == 4)
    return reduce_table().f32;
  else
    return reduce_table().f64;
}

// The kernel for elements of a compute type; state is 0 where there is none.
const ReduceKernel& reduce_kernel(Reduce kind, DType in);

// out = reduction of x over the dimensions in `mask`; out is contiguous, with the kept dimensions
// of x in order. Its dtype may be any that the kernel's result converts to.
void run_reduce(const ReduceKernel& k, const Tensor& x, uint64_t mask, const Tensor& out, double p);

} // namespace flambeau
