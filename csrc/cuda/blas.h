// cuBLAS: its handles, one for each thread and GPU, and the products that it computes for us.
#pragma once
#include "gemm.h"

namespace flambeau::cuda {

// Whether cuBLAS is installed and takes these types and sizes.
bool blas_takes(const Gemm& g);
void blas_gemm(const Gemm& g);

} // namespace flambeau::cuda
