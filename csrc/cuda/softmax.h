// Softmax on a GPU. All tensors are contiguous; outputs have their inputs' shapes.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

void softmax(const Tensor& x, const Tensor& y, int64_t dim, bool log);
void softmax_backward(const Tensor& g, const Tensor& y, const Tensor& out, int64_t dim, bool log);

} // namespace flambeau::cuda
