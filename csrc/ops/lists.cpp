// Norms and scaling of lists of tensors on a GPU, for clipping and unscaling gradients.
#include "../cuda/lists.h"
#include "../autograd/node.h"
#include "../core/elementwise.h"
#include "../core/registry.h"
#include "ops.h"

namespace flambeau {
namespace {

// Whether one launch can take them: dense, real, of one dtype, on one GPU.
bool alike(const Tensors& list) {
  if (list.empty() || !list[0].is_cuda() || !is_float(list[0].dtype())) return false;
  for (const Tensor& t : list) {
    if (t.device() != list[0].device() || t.dtype() != list[0].dtype()) return false;
    if (!t.is_contiguous() && !is_dense(t.shape(), t.strides())) return false;
  }
  return true;
}

Value list_norm(Args& a) {
  const Tensors& list = a.tensors(0);
  if (!alike(list)) return Tensor();
  NoGrad off;
  return cuda::list_norm(list);
}

Value list_scale(Args& a) {
  const Tensors& list = a.tensors(0);
  Tensor factor = a.tensor(1), bad = a.tensor(2);
  if (!alike(list) || factor.device() != list[0].device() || factor.numel() != 1)
    return Scalar(false);
  if (bad.defined() && (bad.device() != factor.device() || bad.dtype() != DType::F32))
    return Scalar(false);
  NoGrad off;
  cuda::list_scale(list, to_dtype(factor, compute_type(list[0].dtype())), bad);
  for (const Tensor& t : list) t.bump_version();
  return Scalar(true);
}

// Each does nothing for tensors it cannot take, and says so by None or False.
Register rows({
    {"_list_norm(Tensor[] tensors) -> Tensor", kFunction, list_norm,
     "The 2-norm of all tensors as one vector."},
    {"_list_scale_(Tensor[] tensors, Tensor factor, Tensor? bad=None) -> Scalar", kFunction,
     list_scale, "Multiplies all in place; bad becomes 1 if one held an infinity or NaN."},
});

} // namespace
} // namespace flambeau
