// Chooses who computes a matrix product, and lays out tensors for it.
#include "gemm.h"

#include <algorithm>

#include "../core/op.h"
#include "../ops/matrix.h"
#include "../ops/ops.h"
#include "blas.h"
#include "launch.h"
#include "settings.h"

namespace flambeau::cuda {

namespace {

struct KernelFactor { // as in kernels/gemm.cuh
  Pointer data;
  int64_t ld, stride;
};
struct Product {
  KernelFactor a, b;
  Pointer c, partial;
  int64_t ldc, stride_c, batch, m, n, k, depth, tiles_n;
  int splits, add;
};

// Integers are summed without signs: the lowest bits are the same, and overflow is defined.
const char* sum_type(DType t) {
  if (is_integral(t)) return size_of(t) == 8 ? "uint64_t" : "uint32_t";
  return type_name(compute_type(t));
}
int sum_size(DType t) { return is_integral(t) && size_of(t) < 8 ? 4 : size_of(compute_type(t)); }

// Elements in one load: as many as all rows of all matrices are aligned to.
int pack_of(const Factor& f, int size, int most) {
  int pack = std::min(16 / size, most);
  while (pack > 1 && (f.data % uint64_t(pack * size) || f.ld % pack || f.stride % pack)) pack /= 2;
  return pack;
}

struct Plan {
  int tile = 64, step = 16, splits = 1;
  int64_t depth = 0;
};
// Large tiles for products that fill the GPU with them; k in several splits for those that do not.
Plan plan_for(const Gemm& g) {
  Plan p;
  p.step = sum_size(g.in) == 16 ? 8 : 16;
  p.depth = ceil_div(g.k, int64_t(p.step)) * p.step;
  auto tiles = [&](int64_t size) { return ceil_div(g.m, size) * ceil_div(g.n, size) * g.batch; };
  const int64_t fill = gpu(g.device).multiprocessors;
  if (sum_size(g.in) == 4 && tiles(128) >= fill) {
    p.tile = 128;
    p.step = 8;
  }
  constexpr int64_t kShortest = 512, kMost = 64;
  if (tiles(p.tile) < fill && g.k >= 2 * kShortest) {
    p.splits = int(std::min({g.k / kShortest, ceil_div(2 * fill, tiles(p.tile)), kMost}));
    p.depth = ceil_div(ceil_div(g.k, int64_t(p.splits)), int64_t(p.step)) * p.step;
    p.splits = int(ceil_div(g.k, p.depth));
  }
  return p;
}

void own_gemm(const Gemm& g) {
  Plan plan = plan_for(g);
  const int size = size_of(g.in), each = plan.tile * plan.step / 256;
  int pack_a = pack_of(g.a, size, each), pack_b = pack_of(g.b, size, each);
  std::string text = define_type("FB_IN", g.in) + define_type("FB_OUT", g.out);
  text += define("FB_SUM", sum_type(g.in)) + define("FB_TRANS_A", int64_t(g.a.trans)) +
          define("FB_TRANS_B", int64_t(g.b.trans));
  text += define("FB_TILE", int64_t(plan.tile)) + define("FB_STEP", int64_t(plan.step)) +
          define("FB_PACK_A", int64_t(pack_a)) + define("FB_PACK_B", int64_t(pack_b));
  Product p{{g.a.data, g.a.ld, g.a.stride},
            {g.b.data, g.b.ld, g.b.stride},
            g.c,
            0,
            g.ldc,
            g.stride_c,
            g.batch,
            g.m,
            g.n,
            g.k,
            plan.depth,
            ceil_div(g.n, plan.tile),
            plan.splits,
            g.add};
  Tensor partial;
  if (plan.splits > 1) {
    partial = empty({plan.splits * g.batch * g.m * g.n * sum_size(g.in)}, DType::U8,
                    Device{DeviceType::Cuda, int8_t(g.device)});
    p.partial = address(partial);
  }
  launch(kernel(g.device, "gemm", "gemm", text), g.device,
         {ceil_div(g.m, plan.tile) * p.tiles_n, std::min<int64_t>(g.batch, 65535), plan.splits},
         {256}, 0, p);
  if (plan.splits > 1)
    launch(kernel(g.device, "gemm", "add_splits", text), g.device,
           blocks_for(g.device, g.batch * g.m * g.n), {256}, 0, p);
}

// The tensor itself, or a copy of its values, as one factor of a product.
Factor factor(Tensor& t, int64_t batch) {
  Matrix m;
  if (!as_matrix(t, m)) {
    t = contiguous(t);
    as_matrix(t, m);
  }
  return {address(t), m.trans, m.ld, batch > 1 ? t.strides()[0] : 0};
}

} // namespace

void gemm(const Gemm& g) {
  if (g.m == 0 || g.n == 0 || g.batch == 0 || (g.k == 0 && g.add)) return;
  if (!settings().own_matmul && g.k > 0 && blas_takes(g)) return blas_gemm(g);
  own_gemm(g);
}

void multiply(const Tensor& a0, const Tensor& b0, const Tensor& out, const Tensor& bias) {
  NoGrad off;
  DType type = a0.dtype();
  if (type == DType::U16 || type == DType::U32 || type == DType::U64)
    fail(ErrorKind::Runtime, "\"addmm_cuda\" not implemented for '", type, "'");
  if (type == DType::Bool) { // counted in uint8, as on the CPU
    Tensor sums = empty(out.shape(), DType::U8, out.device());
    multiply(to_dtype(a0, DType::U8), to_dtype(b0, DType::U8), sums);
    return copy_values(out, sums);
  }
  Tensor a = a0, b = b0;
  Gemm g;
  g.device = out.device().index;
  g.in = g.out = type;
  g.batch = a.dim() > 2 ? a.shape()[0] : 1;
  g.m = a.size(-2);
  g.k = a.size(-1);
  g.n = b.size(-1);
  g.a = factor(a, g.batch);
  g.b = factor(b, g.batch);
  g.c = address(out);
  g.ldc = std::max<int64_t>(g.n, 1);
  g.stride_c = g.m * g.n;
  g.tf32 = settings().matmul_tf32 && type == DType::F32;
  g.add = bias.defined();
  if (g.add) copy_values(out, bias);
  gemm(g);
}

} // namespace flambeau::cuda
