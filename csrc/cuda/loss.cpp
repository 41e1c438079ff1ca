// Losses of pairs and of classes: launches and how sums are cut into parts.
#include "loss.h"

#include "../ops/ops.h"
#include "reduce.h"
#include "rows.h"

namespace flambeau::cuda {

namespace {

Pointer address_or_null(const Tensor& t) { return t.defined() ? address(t) : 0; }

std::string types(const Tensor& x, int pack) {
  return define_type("FB_STORED", x.dtype()) + define_type("FB_COMPUTE", compute_type(x.dtype())) +
         define("FB_PACK", int64_t(pack));
}
std::string types(const Tensor& x, const Tensor& target, int pack, const char* entry) {
  return types(x, pack) + define_type("FB_TARGET", target.dtype()) + define(entry, "");
}

// The sums over positions of losses (of `losses`, or read from x) and weights.
void class_sums(const Classes& q, const Tensor& losses, const Tensor& x, const Tensor& target,
                const Tensor& weight, const Tensor& given, const Tensor& each, const Tensor& out,
                const Tensor& total) {
  int device = x.device().index;
  int64_t n = q.n * q.l, most = int64_t(gpu(device).multiprocessors) * 2;
  int64_t length = ceil_div(std::max<int64_t>(n, 1), std::clamp<int64_t>(n / 8192, 1, most));
  int64_t parts = std::max<int64_t>(1, ceil_div(n, length));
  DType c = total.dtype();
  Tensor room = parts > 1 ? empty({2 * parts}, c, x.device()) : Tensor();
  std::string t = types(x, target, 1, "FB_SUMS");
  Kernel& k = kernel(device, "classes", "classes", t);
  int64_t threads = std::clamp<int64_t>(power_above(length), 32, 1024);
  launch(k, device, {parts}, {threads}, 0, address_or_null(room), address_or_null(out),
         address_or_null(each), address(total), address_or_null(losses), address(x),
         address(target), address_or_null(weight), address_or_null(given), n, q.c, q.l, q.ignore,
         length, q.mean);
  if (parts == 1) return;
  Kernel& join = kernel(device, "classes", "join", t);
  launch(join, device, {1}, {std::clamp<int64_t>(power_above(parts), 32, 1024)}, 0, address(room),
         parts, address_or_null(out), address(total), address_or_null(given), q.mean);
}

int64_t step_of(const Tensor& g) { return g.dim() ? 1 : 0; }

} // namespace

void pair_sum(const Formula& f, double p, const Tensor& a, const Tensor& b, bool mean,
              const Tensor& out) {
  int device = a.device().index;
  int64_t n = a.numel();
  DType c = compute_type(a.dtype());
  int pack = pack_of(n, {&a, &b});
  int64_t most = int64_t(gpu(device).multiprocessors) * 4;
  int64_t blocks = std::clamp<int64_t>(ceil_div(n / pack, 256 * 4), 1, most);
  Tensor parts = empty({blocks}, c, a.device());
  Kernel& k = kernel(device, "pair_sum", "pair_sum", types(a, pack) + define("FB_VALUE", f.text));
  launch(k, device, {blocks}, {256}, 0, address(parts), address(a), address(b), n / pack, p);
  reduce(mean ? Reduce::Mean : Reduce::Sum, c, parts, 1, out, double(n));
}

void nll_loss(const Classes& q, const Tensor& x, const Tensor& target, const Tensor& weight,
              const Tensor& given, const Tensor& each, const Tensor& out, const Tensor& total) {
  class_sums(q, Tensor(), x, target, weight, given, each, out, total);
}
void nll_backward(const Classes& q, const Tensor& g, const Tensor& target, const Tensor& weight,
                  const Tensor& total, Tensor dx) {
  fill_(dx, Scalar(0));
  int device = dx.device().index;
  int64_t n = q.n * q.l;
  if (n == 0) return;
  Kernel& k = kernel(device, "classes", "classes", types(dx, target, 1, "FB_SCATTER"));
  launch(k, device, {ceil_div(n, 256)}, {256}, 0, address(dx), address(g), step_of(g),
         address(target), address_or_null(weight), address(total), n, q.c, q.l, q.ignore, q.mean);
}

void cross_entropy(const Classes& q, const Tensor& x, const Tensor& target, const Tensor& weight,
                   const Tensor& each, const Tensor& out, const Tensor& lse, const Tensor& total) {
  int device = x.device().index;
  Tensor losses = empty({q.n}, lse.dtype(), x.device());
  if (q.n) {
    int pack = pack_of(q.c, {&x});
    RowShape s(q.c / pack, pack, 16);
    Kernel& k = kernel(device, "classes", "classes", types(x, target, pack, "FB_ROWS"));
    launch(k, device, s.grid(q.n), s.block(), 0, address(lse), address(losses), address(x),
           address(target), address_or_null(weight), q.n, q.c / pack, q.ignore);
  }
  class_sums(q, losses, x, target, weight, Tensor(), each, out, total);
}
void cross_entropy_backward(const Classes& q, const Tensor& g, const Tensor& x, const Tensor& lse,
                            const Tensor& target, const Tensor& weight, const Tensor& total,
                            const Tensor& dx) {
  if (x.numel() == 0) return;
  int device = x.device().index;
  int pack = pack_of(q.c, {&x, &dx});
  RowShape s(q.c / pack, pack, 16);
  Kernel& k = kernel(device, "classes", "classes", types(x, target, pack, "FB_ROWS_BACKWARD"));
  launch(k, device, s.grid(q.n), s.block(), 0, address(dx), address(g), step_of(g), address(x),
         address(lse), address(target), address_or_null(weight), address(total), q.n, q.c / pack,
         q.ignore, q.mean);
}

} // namespace flambeau::cuda
