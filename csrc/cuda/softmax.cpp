// Softmax: the last dimension by rows in registers, others by columns.
#include "softmax.h"

#include "rows.h"

namespace flambeau::cuda {

namespace {

std::string types(const Tensor& x, const Tensor& out, bool log) {
  return define_type("FB_STORED", x.dtype()) + define_type("FB_OUT", out.dtype()) +
         define_type("FB_COMPUTE", compute_type(out.dtype())) + define("FB_LOG", int64_t(log));
}

// Forward, or, where `y` is defined, backward from the gradient x and the output y.
void run(const Tensor& x, const Tensor* y, const Tensor& out, int64_t dim, bool log) {
  if (out.numel() == 0) return;
  int device = out.device().index;
  int64_t outer = 1, n = 1, inner = 1;
  for (int d = 0; d < x.dim(); ++d) (d < dim ? outer : d == dim ? n : inner) *= x.shape()[d];
  std::string t = types(x, out, log) + (y ? define("FB_BACKWARD", "") : "");
  Pointer second = y ? address(*y) : 0;
  if (inner > 1) {
    Kernel& k = kernel(device, "softmax", "softmax",
                       t + define("FB_COLUMNS", "") + define("FB_PACK", int64_t(1)));
    Grid block = column_block(outer * inner, n);
    launch(k, device, {ceil_div(outer * inner, block.x)}, block, 0, address(out), address(x),
           second, outer * inner, n, inner);
    return;
  }
  int pack = y ? pack_of(n, {&x, y, &out}) : pack_of(n, {&x, &out});
  RowShape s(n / pack, pack, 16);
  Kernel& k = kernel(device, "softmax", "softmax", t + s.definitions(pack));
  if (y)
    launch(k, device, s.grid(outer), s.block(), 0, address(out), address(x), second, outer,
           n / pack);
  else
    launch(k, device, s.grid(outer), s.block(), 0, address(out), address(x), outer, n / pack);
}

} // namespace

void softmax(const Tensor& x, const Tensor& y, int64_t dim, bool log) {
  run(x, nullptr, y, dim, log);
}
void softmax_backward(const Tensor& g, const Tensor& y, const Tensor& out, int64_t dim, bool log) {
  run(g, &y, out, dim, log);
}

} // namespace flambeau::cuda
