// Reductions on a GPU.
#pragma once
#include "../cpu/reduce_tables.h"

namespace flambeau::cuda {

// out = reduction of x over the dimensions in `mask`, elements read as `in`. Of Var and Std,
// `second` takes the mean. Outputs are contiguous, with the kept dimensions of x in order.
void reduce(Reduce kind, DType in, const Tensor& x, uint64_t mask, const Tensor& out, double p,
            const Tensor& second = {});
// The extreme along dim (values may be undefined) and its position.
void reduce_at(bool largest, const Tensor& x, int64_t dim, const Tensor& values, const Tensor& at);

} // namespace flambeau::cuda
