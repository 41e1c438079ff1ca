// Indexing on a GPU: elements picked and put by an index, masks to positions, joining.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

enum class Combine : uint8_t { Set, Add, Mul, Max, Min };

// Positions of `shape`; at each stands an element of the dense side `near`, and an index, which
// leads to one of `far`. Strides are in elements.
struct Reach {
  const char* op; // for errors
  Dims shape, near, far, index;
  int64_t step = 1;  // of far, for one of the index
  int64_t size = 0;  // indices are in [0, size), or
  bool wrap = false; // in [-size, size)
};
// near = far[index]. An index out of range is noted for the next wait (fault.h) and reads 0's.
void pick(const Tensor& near, const Tensor& far, const Tensor& index, const Reach& r);
// far[index] = near, or combined with it; where several write one place, in no certain order.
// Without an index (undefined) far's strides alone say where.
void put(const Tensor& near, const Tensor& far, const Tensor& index, const Reach& r, Combine how);
// Whether combining works for the type: there is no swap of 16 bytes.
bool can_combine(DType t, Combine how);

// sum (contiguous) = or += index * step, index expanded to sum's shape, negative ones from the end.
void add_offsets(const char* op, const Tensor& sum, const Tensor& index, int64_t size, int64_t step,
                 bool first);

// Linear positions of the true elements of a contiguous mask; waits for their number.
Tensor positions(const Tensor& mask);
// [dims, n]: the coordinates of linear positions, a row for each dimension of the shape.
Tensor unravel(const Tensor& positions, const Dims& shape);
// out = source's elements, in order, where mask is true, else x; all contiguous.
void masked_scatter(const Tensor& out, const Tensor& x, const Tensor& mask, const Tensor& source);

// out[.., at[k] .., ..] = in[k] for contiguous tensors of out's type: at, where each starts in
// dimension dim.
void cat(const Tensor& out, const Tensors& in, const Dims& at, int dim);
void flip(const Tensor& out, const Tensor& x, const Dims& dims);
void triangle(const Tensor& out, const Tensor& x, int64_t diagonal, bool upper);

// t's bits as numbers of the same size, for what only moves them.
Tensor as_bits(const Tensor& t);

} // namespace flambeau::cuda
