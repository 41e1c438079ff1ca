// Convolutions on raw pointers: contiguous (n, channels, spatial...) tensors of float or double.
#pragma once

#include <cstdint>

namespace flambeau {

// x is (n, c_in, h, w), the weight (c_out, c_in / groups, kh, kw) and y (n, c_out, oh, ow), with
// oh = (h + 2 * pad_h - dil_h * (kh - 1) - 1) / stride_h + 1 (or less), ow alike. For one spatial
// dimension h = kh = oh = stride_h = dil_h = 1 and pad_h = 0. Outputs are overwritten.
struct ConvShape {
  int64_t n, c_in, h, w, c_out, kh, kw, oh, ow;
  int64_t stride_h, stride_w, pad_h, pad_w, dil_h, dil_w, groups;
};

template<class T> // y = conv(x, w) + bias, where bias (c_out) may be null
void conv2d_forward(const ConvShape& shape, const T* x, const T* w, const T* bias, T* y);
template<class T>
void conv2d_backward_input(const ConvShape& shape, const T* dy, const T* w, T* dx);
template<class T>
void conv2d_backward_weight(const ConvShape& shape, const T* x, const T* dy, T* dw);

// The same with a depth before height: index 0 is depth, 1 height, 2 width.
struct Conv3dShape {
  int64_t n, c_in, in[3], c_out, kernel[3], out[3];
  int64_t stride[3], pad[3], dil[3], groups;
};

template<class T>
void conv3d_forward(const Conv3dShape& shape, const T* x, const T* w, const T* bias, T* y);
template<class T>
void conv3d_backward_input(const Conv3dShape& shape, const T* dy, const T* w, T* dx);
template<class T>
void conv3d_backward_weight(const Conv3dShape& shape, const T* x, const T* dy, T* dw);

} // namespace flambeau
