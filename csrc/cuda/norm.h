// Normalisation on a GPU. Rows and planes are contiguous; w and b may be undefined, and so may
// gradients that nobody wants.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

void row_norm(const Tensor& x, const Tensor& w, const Tensor& b, int64_t n, double eps, bool rms,
              const Tensor& y, const Tensor& mean, const Tensor& rstd);
void row_norm_backward(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                       const Tensor& w, int64_t n, bool rms, const Tensor& dx, const Tensor& dw,
                       const Tensor& db);

// groups == 0: statistics of channels (batch norm). mean and var are given, rstd comes out.
void channel_norm(const Tensor& x, const Tensor& w, const Tensor& b, int64_t groups, double eps,
                  const Tensor& y, const Tensor& mean, const Tensor& rstd, const Tensor& var);
void channel_norm_backward(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                           const Tensor& w, int64_t groups, const Tensor& dx, const Tensor& dw,
                           const Tensor& db);
// y = x * scale + shift, a coefficient of the compute type for each channel; shift may be
// undefined.
void channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& y);

} // namespace flambeau::cuda
