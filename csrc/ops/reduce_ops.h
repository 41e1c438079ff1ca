// Shared by the reduction files: the reduction op itself, and ops that ops.h does not list.
#pragma once
#include "../core/op.h"
#include "../cpu/reduce_tables.h"
#include "ops.h"

namespace flambeau {

struct ReduceOp;
struct ReduceRow {
  const char* name;
  Reduce kind;
  Saves keep;
  Tensor (*vjp)(const ReduceOp& op, const Saved& s, const Tensor& g); // null: none
};

// A reduction over the dimensions of `mask` (bit d: dimension d).
struct ReduceOp final : OpOf<ReduceOp> {
  const ReduceRow* row = nullptr;
  uint64_t mask = 0;
  bool keepdim = false;
  DType in = DType::F32, out = DType::F32; // what the kernel reads, what comes out
  double p = 0;
  Dims shape;   // of the input
  DType from{}; // dtype of the input
  const char* name() const override { return row->name; }
  Specs infer(const Inputs& in) override;
  void cpu(const Inputs& in, Outputs& out) override;
  void cuda(const Inputs& in, Outputs& out) override;
  Saves saves(const Inputs&) const override { return row->keep; }
  Grads vjp(const Saved& s, const Grads& g) override;
  // The gradient (or the result) with reduced dimensions back as 1.
  Tensor restore(const Tensor& g) const;
  Tensor spread(const Tensor& g) const { return expand(restore(g), shape); }
  Dims dims() const;     // the reduced dimensions
  int64_t count() const; // elements reduced to one
};

uint64_t dim_mask(const Dims& dims, int ndim, const char* op); // none: all
Dims reduced_shape(const Dims& shape, uint64_t mask, bool keepdim);
Tensor unsqueeze_mask(const Tensor& t, uint64_t mask, int ndim);
// Runs a row whose kernel reads `in` and gives `out`.
Tensor run_row(const ReduceRow& row, const Tensor& t, uint64_t mask, bool keepdim, DType in,
               DType out, double p = 0);

using Pair = std::pair<Tensor, Tensor>;
Tensor nansum(const Tensor& t, const Dims& dims = {}, bool keepdim = false, OptDType dtype = {});
Tensor count_nonzero(const Tensor& t, const Dims& dims = {});
Tensor var(const Tensor& t, const Dims& dims = {}, double correction = 1, bool keepdim = false);
Tensor std_dev(const Tensor& t, const Dims& dims = {}, double correction = 1, bool keepdim = false);
Tensor vector_norm(const Tensor& t, double ord, const Dims& dims = {}, bool keepdim = false,
                   OptDType dtype = {});
Tensor logsumexp(const Tensor& t, const Dims& dims, bool keepdim = false);
Tensor logsumexp_along(const Tensor& t, int64_t dim, bool keepdim);
Tensor argmax(const Tensor& t, OptInt dim = {}, bool keepdim = false);
Tensor argmin(const Tensor& t, OptInt dim = {}, bool keepdim = false);
Tensor max_all(const Tensor& t);
Tensor min_all(const Tensor& t);
Pair max_dim(const Tensor& t, int64_t dim, bool keepdim = false);
Pair min_dim(const Tensor& t, int64_t dim, bool keepdim = false);
Tensor cumsum(const Tensor& t, int64_t dim, OptDType dtype = {});
Tensor cumprod(const Tensor& t, int64_t dim, OptDType dtype = {});
Tensor reverse_cumsum(const Tensor& t, int64_t dim);
Tensor softmax(const Tensor& t, int64_t dim, OptDType dtype = {});
Tensor log_softmax(const Tensor& t, int64_t dim, OptDType dtype = {});

} // namespace flambeau
