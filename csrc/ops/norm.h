// Normalisation shared by norm.cpp and norm_channels.cpp: the second derivative, and checks.
#pragma once
#include "reduce_ops.h"

namespace flambeau {

// Gradients of (dx, dw, db) = backward(g, x, w) by g, x and w.
struct NormGrads {
  Tensor g, x, w;
};
// x and g are reduced over `dims`; w (may be undefined) broadcasts to x. v, vw, vb: what arrives
// for dx, dw and db, shaped like x, w and w, or undefined. rms: no mean is taken off.
NormGrads norm_double_backward(const Tensor& g, const Tensor& x, const Tensor& w, const Tensor& v,
                               const Tensor& vw, const Tensor& vb, const Dims& dims,
                               const Dims& w_shape, double eps, bool rms);

// t, contiguous and of type c; undefined stays undefined.
Tensor dense_as(const Tensor& t, DType c);
template<class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

} // namespace flambeau
