// Advanced indexing: gathering and writing at positions given by tensors or along one dimension.
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

// The positions before, along and after a dimension, as counts.
struct Split {
  int64_t outer = 1, along = 1, inner = 1;
  Split(const Dims& shape, int dim) {
    for (int d = 0; d < shape.size(); ++d) (d < dim ? outer : d == dim ? along : inner) *= shape[d];
  }
};

} // namespace flambeau
