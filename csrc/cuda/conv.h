// Convolutions on a GPU: images to columns and a matrix product, or a kernel of their own where
// each channel is by itself.
#pragma once
#include "../core/tensor.h"
#include "../cpu/conv.h"

namespace flambeau::cuda {

// Contiguous tensors of one floating-point type; outputs are overwritten, bias may be undefined.
void conv_forward(const Conv3dShape& s, const Tensor& x, const Tensor& w, const Tensor& bias,
                  const Tensor& y);
void conv_backward_input(const Conv3dShape& s, const Tensor& dy, const Tensor& w, const Tensor& dx);
void conv_backward_weight(const Conv3dShape& s, const Tensor& x, const Tensor& dy,
                          const Tensor& dw);

} // namespace flambeau::cuda
