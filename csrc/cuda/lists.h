// Work over lists of tensors of one dtype on a GPU: a launch for up to 180 of them.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

// The root of the sum of all squares, in the tensors' dtype.
Tensor list_norm(const Tensors& list);
// Multiplies all by *factor, of the type they are computed in; *bad, a float, becomes 1 if a value
// was infinite or NaN before. bad may be undefined.
void list_scale(const Tensors& list, const Tensor& factor, const Tensor& bad);

} // namespace flambeau::cuda
