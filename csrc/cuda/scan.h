// Running folds on a GPU.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

// fold: "ScanSum", "ScanProd", "ScanLogSumExp", "ScanMax" or "ScanMin" of kernels/scan.cuh, along
// dim. x and the outputs are contiguous; `compute` is the type to read elements as. Of extremes,
// `at` takes the positions.
void scan(const char* fold, DType compute, const Tensor& x, int64_t dim, const Tensor& y,
          const Tensor& at = {});

} // namespace flambeau::cuda
