// Max and average pooling on a GPU.
#pragma once
#include "../core/tensor.h"
#include "../cpu/pool_kernels.h"

namespace flambeau::cuda {

// Contiguous tensors of one floating-point type; indices (int64) may be undefined.
void max_pool(const PoolShape& s, bool adaptive, const Tensor& x, const Tensor& y,
              const Tensor& indices);
void max_pool_backward(const PoolShape& s, bool adaptive, const Tensor& dy, const Tensor& indices,
                       const Tensor& dx);
// From x to y, or back from dy to dx; divisor 0: the windows' sizes.
void avg_pool(const PoolShape& s, bool adaptive, bool count_pad, int64_t divisor, bool backward,
              const Tensor& from, const Tensor& to);

} // namespace flambeau::cuda
