// Layer, RMS, batch and group normalisation: which kernels, over rows, columns or planes.
#include "norm.h"

#include "../ops/ops.h"
#include "reduce.h"
#include "rows.h"
#include "walk.h"

namespace flambeau::cuda {

namespace {

Pointer address_or_null(const Tensor& t) { return t.defined() ? address(t) : 0; }

// w and b have one type, that of w, or the compute type where there is no w.
DType weight_type(const Tensor& w, DType compute) { return w.defined() ? w.dtype() : compute; }
Tensor as_type(const Tensor& t, DType type) {
  return t.defined() ? contiguous(to_dtype(t, type)) : t;
}

std::string types(const Tensor& x, DType weight) {
  return define_type("FB_STORED", x.dtype()) + define_type("FB_COMPUTE", compute_type(x.dtype())) +
         define_type("FB_WEIGHT", weight);
}

// Sums down columns of g * xh and of g, in parts: (2, parts, n).
Tensor column_sums(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                   int64_t rows, int64_t n, bool by_column) {
  int device = x.device().index;
  int pack = pack_of(n, {&g, &x});
  int64_t packs = n / pack, blocks = ceil_div(packs, 32);
  int64_t want = int64_t(gpu(device).multiprocessors) * 4;
  int64_t parts = std::clamp<int64_t>(want / blocks, 1, ceil_div(rows, 64));
  int64_t length = ceil_div(rows, parts);
  parts = ceil_div(rows, length);
  Tensor sums = empty({2, parts, n}, mean.dtype(), x.device());
  std::string t = types(x, mean.dtype()) + define("FB_PACK", int64_t(pack)) +
                  define("FB_SUMS", "") + define("FB_RMS", int64_t(0));
  if (by_column) t += define("FB_BY_COLUMN", "");
  Kernel& k = kernel(device, "norm_rows", "row_norm", t);
  Pointer second = address(sums) + Pointer(parts * n * sums.itemsize());
  launch(k, device, {blocks, parts}, {32, 8}, 0, address(sums), second, address(g), address(x),
         address(mean), address(rstd), rows, packs, length);
  return sums;
}

} // namespace

void row_norm(const Tensor& x, const Tensor& w, const Tensor& b, int64_t n, double eps, bool rms,
              const Tensor& y, const Tensor& mean, const Tensor& rstd) {
  int64_t rows = mean.numel();
  if (rows == 0) return;
  int device = x.device().index;
  DType weight = weight_type(w, mean.dtype());
  Tensor wt = as_type(w, weight), bt = as_type(b, weight);
  int pack = pack_of(n, {&x, &y});
  RowShape s(n / pack, pack, 16);
  Kernel& k = kernel(device, "norm_rows", "row_norm",
                     types(x, weight) + define("FB_FORWARD", "") + define("FB_RMS", int64_t(rms)) +
                         s.definitions(pack));
  launch(k, device, s.grid(rows), s.block(), 0, address(y), address(mean), address(rstd),
         address(x), address_or_null(wt), address_or_null(bt), rows, n / pack, eps);
}

void row_norm_backward(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                       const Tensor& w, int64_t n, bool rms, const Tensor& dx, const Tensor& dw,
                       const Tensor& db) {
  int64_t rows = mean.numel();
  int device = x.device().index;
  if (rows * n == 0) {
    for (Tensor t : {dw, db})
      if (t.defined()) fill_(t, Scalar(0));
    return;
  }
  if (dx.defined()) {
    DType weight = weight_type(w, mean.dtype());
    Tensor wt = as_type(w, weight);
    int pack = pack_of(n, {&g, &x, &dx});
    RowShape s(n / pack, pack, 16);
    Kernel& k = kernel(device, "norm_rows", "row_norm",
                       types(x, weight) + define("FB_BACKWARD", "") +
                           define("FB_RMS", int64_t(rms)) + s.definitions(pack));
    launch(k, device, s.grid(rows), s.block(), 0, address(dx), address(g), address(x),
           address(mean), address(rstd), address_or_null(wt), rows, n / pack);
  }
  if (!dw.defined() && !db.defined()) return;
  Tensor sums = column_sums(g, x, mean, rstd, rows, n, false);
  const Tensor* out[2] = {&dw, &db};
  for (int i = 0; i < 2; ++i)
    if (out[i]->defined()) reduce(Reduce::Sum, sums.dtype(), select(sums, 0, i), 1, *out[i], 0);
}

namespace {

struct Planes {
  int64_t n, c, l = 1;
  explicit Planes(const Tensor& x) : n(x.shape()[0]), c(x.shape()[1]) {
    for (int d = 2; d < x.dim(); ++d) l *= x.shape()[d];
  }
};
struct Division { // as in kernels/norm_channels.cuh
  uint32_t size, magic, shift;
  explicit Division(int64_t n) : size(uint32_t(n)) { set_division(size, magic, shift); }
};

Kernel& channel_kernel(const Tensor& x, DType weight, const char* entry, const std::string& more) {
  return kernel(x.device().index, "norm_channels", "channels",
                types(x, weight) + define(entry, "") + more);
}
const std::string kNoPack = "#define FB_PACK 1\n";

// y = a x + s or a g + b x + s.
void affine(const Tensor& x, const Tensor* g, const Tensor& y, Pointer a, Pointer b, Pointer s,
            bool per_channel) {
  Planes p(x);
  int64_t numel = x.numel();
  FB_CHECK(p.l <= UINT32_MAX && p.c <= UINT32_MAX, "normalisation: a plane of ", p.l,
           " elements is too long");
  int pack = g ? pack_of(numel, {&x, g, &y}) : pack_of(numel, {&x, &y});
  std::string t = define("FB_PACK", int64_t(pack));
  if (p.l % pack == 0) t += define("FB_EVEN", "");
  if (numel > UINT32_MAX) t += define("FB_WIDE", "");
  Kernel& k = channel_kernel(x, compute_type(x.dtype()), "FB_AFFINE", t);
  launch(k, x.device().index, {ceil_div(numel, int64_t(256) * pack)}, {256}, 0, address(y),
         address(x), g ? address(*g) : Pointer(0), a, b, s, numel, Division(p.l), Division(p.c),
         per_channel);
}

// Sums of planes of g * xh and of g: (2, n, c), or (2, parts, c) where planes have one element.
Tensor plane_sums(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                  int64_t groups) {
  Planes p(x);
  if (p.l == 1 && !groups) return column_sums(g, x, mean, rstd, p.n, p.c, true);
  Tensor sums = empty({2, p.n, p.c}, mean.dtype(), x.device());
  int pack = pack_of(p.l, {&g, &x});
  int64_t loads = p.l / pack, threads = std::min<int64_t>(power_above(ceil_div(loads, 2)), 256);
  Kernel& k = channel_kernel(x, mean.dtype(), "FB_PLANES", define("FB_PACK", int64_t(pack)));
  Pointer second = address(sums) + Pointer(p.n * p.c * sums.itemsize());
  launch(k, x.device().index, {ceil_div(p.n * p.c, 256 / threads)}, {threads, 256 / threads}, 0,
         address(sums), second, address(g), address(x), address(mean), address(rstd), p.n * p.c,
         loads, p.c, groups);
  return sums;
}

} // namespace

void channel_norm(const Tensor& x, const Tensor& w, const Tensor& b, int64_t groups, double eps,
                  const Tensor& y, const Tensor& mean, const Tensor& rstd, const Tensor& var) {
  Planes p(x);
  int64_t coefficients = groups ? p.n * p.c : p.c;
  if (coefficients == 0) return;
  DType weight = weight_type(w, mean.dtype());
  Tensor wt = as_type(w, weight), bt = as_type(b, weight);
  Tensor as = empty({2, coefficients}, mean.dtype(), x.device());
  Pointer a = address(as), s = a + Pointer(coefficients * as.itemsize());
  Kernel& k = channel_kernel(x, weight, "FB_SCALES", kNoPack);
  launch(k, x.device().index, {ceil_div(coefficients, 256)}, {256}, 0, address(rstd), a, s,
         address(mean), address(var), address_or_null(wt), address_or_null(bt), coefficients, p.c,
         groups, eps);
  if (x.numel()) affine(x, nullptr, y, a, 0, s, !groups);
}

void channel_norm_backward(const Tensor& g, const Tensor& x, const Tensor& mean, const Tensor& rstd,
                           const Tensor& w, int64_t groups, const Tensor& dx, const Tensor& dw,
                           const Tensor& db) {
  Planes p(x);
  if (p.c == 0) return;
  if (x.numel() == 0) {
    for (Tensor t : {dw, db})
      if (t.defined()) fill_(t, Scalar(0));
    return;
  }
  int device = x.device().index;
  DType c = mean.dtype(), weight = dw.defined()   ? dw.dtype()
                                   : db.defined() ? db.dtype()
                                                  : weight_type(w, c);
  Tensor wt = as_type(w, weight), sums = plane_sums(g, x, mean, rstd, groups);
  int64_t coefficients = groups ? p.n * p.c : p.c, rows = sums.shape()[1];
  Tensor table = empty({3, coefficients}, c, x.device());
  Pointer a = address(table), step = Pointer(coefficients * table.itemsize());
  Pointer sum_w = address(sums), sum_b = sum_w + Pointer(rows * p.c * sums.itemsize());
  Pointer from_channels = groups || !dx.defined() ? 0 : a;
  if (from_channels || dw.defined() || db.defined()) {
    Kernel& k = channel_kernel(x, weight, "FB_CHANNELS", kNoPack);
    launch(k, device, {ceil_div(p.c, 32)}, {32, 8}, 0, address_or_null(dw), address_or_null(db),
           from_channels, a + step, a + 2 * step, sum_w, sum_b, address_or_null(wt), address(mean),
           address(rstd), rows, p.c, double(p.n * p.l));
  }
  if (!dx.defined()) return;
  if (groups) {
    int64_t width = p.c / groups;
    Kernel& k = channel_kernel(x, weight, "FB_GROUPS", kNoPack);
    launch(k, device, {ceil_div(p.n * groups, 8)}, {32, 8}, 0, a, a + step, a + 2 * step, sum_w,
           sum_b, address_or_null(wt), address(mean), address(rstd), p.n * groups, width, p.c,
           double(width * p.l));
  }
  affine(x, &g, dx, a, a + step, a + 2 * step, !groups);
}

void channel_affine(const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& y) {
  if (x.numel()) affine(x, nullptr, y, address(scale), 0, address_or_null(shift), true);
}

} // namespace flambeau::cuda
