// Joins and diagonals made of other ops: hstack and its kin, diag, diag_embed.
#include <algorithm>

#include "../core/registry.h"
#include "ops.h"

namespace flambeau {
namespace {

using Raise = Tensor (*)(const Tensor&);

Tensor as_vector(const Tensor& t) { return t.dim() ? t : view(t, {1}); }
Tensor as_row(const Tensor& t) { return t.dim() < 2 ? unsqueeze(as_vector(t), 0) : t; }
Tensor as_column(const Tensor& t) { return t.dim() < 2 ? unsqueeze(as_vector(t), 1) : t; }
Tensor as_plane(const Tensor& t) { return t.dim() < 3 ? unsqueeze(as_row(t), 2) : t; }

// The tensors joined along dim, each with at least the dimensions that `raise` gives it.
Tensor joined(const char* name, const Tensors& ts, Raise raise, int64_t dim) {
  FB_CHECK(!ts.empty(), name, " expects a non-empty TensorList");
  Tensors raised;
  for (const Tensor& t : ts) raised.push_back(raise(t));
  return cat(raised, dim);
}
Value hstack(Args& a) {
  const Tensors& ts = a.tensors(0);
  return joined("hstack", ts, as_vector, !ts.empty() && ts[0].dim() > 1 ? 1 : 0);
}
Value vstack(Args& a) { return joined("vstack", a.tensors(0), as_row, 0); }
Value dstack(Args& a) { return joined("dstack", a.tensors(0), as_plane, 2); }
Value column_stack(Args& a) { return joined("column_stack", a.tensors(0), as_column, 1); }

Tensor diag_embed(const Tensor& t, int64_t offset, int64_t dim1, int64_t dim2) {
  int n = t.dim() + 1, a = int(wrap_dim(dim1, n)), b = int(wrap_dim(dim2, n));
  FB_CHECK(a != b, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  Dims shape = t.shape();
  shape.back() += std::abs(offset);
  shape.push_back(shape.back());
  Tensor out = zeros(shape, t.dtype(), t.device());
  copy_(diagonal(out, offset, -2, -1), t);
  if (a == n - 2 && b == n - 1) return out;
  Dims order(n, 0); // of the result's dimensions in `out`
  for (int d = 0, from = 0; d < n; ++d) order[d] = d == a ? n - 2 : d == b ? n - 1 : from++;
  return permute(out, order);
}
Value call_diag_embed(Args& a) {
  return diag_embed(a.tensor(0), a.integer(1), a.integer(2), a.integer(3));
}
Value call_diag(Args& a) {
  const Tensor& t = a.tensor(0);
  if (t.dim() == 1) return diag_embed(t, a.integer(1), -2, -1);
  FB_CHECK(t.dim() == 2, "diag(): Supports 1D or 2D tensors. Got ", t.dim(), "D");
  return clone(diagonal(t, a.integer(1), 0, 1));
}

Register rows({
    {"hstack(Tensor[] tensors) -> Tensor", kFO, hstack,
     "Tensors joined side by side: along dim 1 (dim 0 for 1-d)."},
    {"vstack(Tensor[] tensors) -> Tensor", kFO, vstack,
     "Tensors joined on top of each other: along dim 0, 1-d tensors as rows."},
    {"row_stack(Tensor[] tensors) -> Tensor", kFO, vstack, "vstack."},
    {"dstack(Tensor[] tensors) -> Tensor", kFO, dstack,
     "Tensors joined along the third dimension."},
    {"column_stack(Tensor[] tensors) -> Tensor", kFO, column_stack,
     "Tensors joined as columns: 0-d and 1-d tensors become (n, 1) first."},
    {"diag(Tensor input, int diagonal=0) -> Tensor", kFMO, call_diag,
     "A vector as the diagonal of a matrix, or the diagonal of a matrix as a vector."},
    {"diag_embed(Tensor input, int offset=0, int dim1=-2, int dim2=-1) -> Tensor", kFM,
     call_diag_embed,
     "Zeros with the last dimension of input on the diagonal of the dims dim1, dim2."},
});

} // namespace
} // namespace flambeau
