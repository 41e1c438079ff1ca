// Losses on a GPU. Tensors are contiguous; targets are int64 or uint8, weights of the compute type.
#pragma once
#include "elementwise.h"

namespace flambeau::cuda {

// out = the sum of f(a, b), or its mean.
void pair_sum(const Formula& f, double p, const Tensor& a, const Tensor& b, bool mean,
              const Tensor& out);

struct Classes { // scores (n, c, l), targets (n, l)
  int64_t n, c, l, ignore;
  bool mean;
};
// Each position's loss (`each`), or their sum or mean (`out`), and the sum of the weights; one of
// `each` and `out` is undefined. `given`, if defined, takes the place of the sum of the weights.
void nll_loss(const Classes& q, const Tensor& x, const Tensor& target, const Tensor& weight,
              const Tensor& given, const Tensor& each, const Tensor& out, const Tensor& total);
void nll_backward(const Classes& q, const Tensor& g, const Tensor& target, const Tensor& weight,
                  const Tensor& total, Tensor dx);
// Of logits, in rows (l == 1).
void cross_entropy(const Classes& q, const Tensor& x, const Tensor& target, const Tensor& weight,
                   const Tensor& each, const Tensor& out, const Tensor& lse, const Tensor& total);
void cross_entropy_backward(const Classes& q, const Tensor& g, const Tensor& x, const Tensor& lse,
                            const Tensor& target, const Tensor& weight, const Tensor& total,
                            const Tensor& dx);

} // namespace flambeau::cuda
