// Advanced indexing: gathering and writing at positions given by tensors.
#pragma once
#include "../core/tensor.h"

namespace flambeau {

// One entry per dimension of t from the first; undefined entries are full slices. Bool and uint8
// entries are masks over as many dimensions as they have. op: who asks, for errors.
Tensor index(const Tensor& t, const Tensors& indices, const char* op = "index");
// t[indices] = values (or +=), in place with autograd.
void index_put_(const Tensor& t, const Tensors& indices, const Tensor& values, bool accumulate);
Tensor nonzero(const Tensor& t);    // [count, dim] of int64
Tensor alias_view(const Tensor& t); // a new view of all of t

} // namespace flambeau
