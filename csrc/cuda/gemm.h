// Matrix products on a GPU: by cuBLAS where it is there and has the types, else by our own kernel.
#pragma once
#include "../core/tensor.h"
#include "driver.h"

namespace flambeau::cuda {

struct Factor { // row-major with rows at ld, or stored transposed
  Pointer data = 0;
  bool trans = false;
  int64_t ld = 0;
  int64_t stride = 0; // between the matrices of a batch; 0 repeats one
};

// C (m x n, rows at ldc) = A (m x k) @ B (k x n), or C += that; `batch` times.
struct Gemm {
  int device = 0;
  DType in, out; // out: as in, or float32 for factors of halves
  int64_t batch = 1, m = 0, n = 0, k = 0;
  Factor a, b;
  Pointer c = 0;
  int64_t ldc = 0, stride_c = 0;
  bool add = false;
  bool tf32 = false; // whether float32 may be multiplied in TF32
};
void gemm(const Gemm& g);

// out (contiguous) = a @ b, or bias, broadcast, + a @ b; matrices or batches of them.
void multiply(const Tensor& a, const Tensor& b, const Tensor& out, const Tensor& bias = {});

} // namespace flambeau::cuda
