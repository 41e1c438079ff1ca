// Lays heads out for the attention kernel.
#include "attention.h"

#include "../core/op.h"
#include "../ops/ops.h"
#include "launch.h"

namespace flambeau::cuda {

namespace {

constexpr int64_t kRows = 128, kThreads = 256;

struct Layout { // strides
  int64_t batch, head, row;
};
struct Arguments { // as in kernels/attention.cuh
  Pointer q, k, v, mask, out;
  Layout by_q, by_k, by_v, by_mask;
  int64_t mask_key;
  int heads, group, rows, keys, e, ev, tiles;
  float scale;
};

int64_t heads_of(const Tensor& t) { return t.dim() > 2 ? t.size(-3) : 1; }
Layout layout_of(const Tensor& t) {
  return {t.dim() > 3 ? t.stride(-4) : 0, t.dim() > 2 ? t.stride(-3) : 0, t.stride(-2)};
}
// Rows that can be read 16 bytes at a time.
Tensor in_eights(const Tensor& t) {
  bool fits = t.stride(-1) == 1 && address(t) % 16 == 0;
  for (int d = 0; d + 1 < t.dim(); ++d) fits = fits && t.strides()[d] % 8 == 0;
  return fits ? t : restride_copy(t, contiguous_strides(t.shape()));
}

Kernel& kernel_for(const Tensor& q, const Tensor& v, const Tensor& mask, bool causal) {
  auto round = [](int64_t n) { return ceil_div(n, int64_t(16)) * 16; };
  const int64_t kind = causal ? 1 : !mask.defined() ? 0 : mask.dtype() == DType::Bool ? 2 : 3;
  return kernel(q.device().index, "attention", "attention",
                define_type("FB_T", q.dtype()) +
                    define("FB_MMA", q.dtype() == DType::F16 ? "\"f16\"" : "\"bf16\"") +
                    define("FB_E", round(q.size(-1))) + define("FB_EV", round(v.size(-1))) +
                    define("FB_MASK", kind));
}

} // namespace

bool attention_takes(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& mask,
                     bool shared_heads) {
  constexpr int64_t kWidest = 128;
  const int n = q.dim();
  if (!q.is_cuda() || !is_half(q.dtype()) || n > 4 || k.dim() != n || v.dim() != n) return false;
  for (int d = 0; d + 2 < n; ++d) {
    const bool shared = shared_heads && d == n - 3 && k.shape()[d] > 0;
    if (k.shape()[d] != v.shape()[d]) return false;
    if (shared ? q.shape()[d] % k.shape()[d] != 0 : q.shape()[d] != k.shape()[d]) return false;
  }
  for (const Tensor* t : {&q, &v})
    if (t->size(-1) % 8 || t->size(-1) > kWidest || t->size(-1) == 0) return false;
  if (mask.defined() && (mask.device() != q.device() || mask.dim() > n)) return false;
  return k.size(-2) == v.size(-2) && k.size(-2) > 0 && q.size(-2) < INT32_MAX &&
         k.size(-2) < INT32_MAX / 2 && k.device() == q.device() && v.device() == q.device() &&
         gpu(q.device().index).major >= 8;
}

void attention(const Tensor& q0, const Tensor& k0, const Tensor& v0, const Tensor& mask0,
               bool causal, double scale, const Tensor& out) {
  NoGrad off;
  if (out.numel() == 0) return;
  Tensor q = in_eights(q0), k = in_eights(k0), v = in_eights(v0), mask = mask0;
  Arguments g{};
  if (mask.defined()) {
    Dims shape = q.shape();
    shape.back() = k.size(-2);
    mask = expand(mask.dtype() == DType::Bool ? mask : to_dtype(mask, q.dtype()), shape);
    g.mask = address(mask);
    g.by_mask = layout_of(mask);
    g.mask_key = mask.stride(-1);
  }
  g.q = address(q);
  g.k = address(k);
  g.v = address(v);
  g.out = address(out);
  g.by_q = layout_of(q);
  g.by_k = layout_of(k);
  g.by_v = layout_of(v);
  g.heads = int(heads_of(q));
  g.group = int(heads_of(q) / heads_of(k));
  g.rows = int(q.size(-2));
  g.keys = int(k.size(-2));
  g.e = int(q.size(-1));
  g.ev = int(v.size(-1));
  g.tiles = int(ceil_div(g.rows, kRows));
  constexpr double kLog2E = 1.4426950408889634;
  g.scale = float(scale * kLog2E); // the kernel's exponentials are powers of 2
  const int64_t planes = out.numel() / (out.size(-2) * out.size(-1));
  launch(kernel_for(q, v, mask, causal), q.device().index, {planes * g.tiles}, {kThreads}, 0, g);
}

} // namespace flambeau::cuda
