// Plans a running fold: rows or columns, and in how many chunks.
#include "scan.h"

#include "../ops/ops.h"
#include "formula_files.h"
#include "rows.h"

namespace flambeau::cuda {

namespace {

struct Scan { // as in kernels/scan.cuh
  Pointer x = 0, y = 0, second = 0, totals = 0;
  int64_t rows = 1, n = 1, inner = 1, length = 1;
};

Kernel& scan_kernel(const char* fold, DType compute, const Tensor& x, const Tensor& y,
                    const Tensor& at, const std::string& more) {
  std::string t = define("FB_SCAN", fold) + define_type("FB_STORED", x.dtype()) +
                  define_type("FB_OUT", y.dtype()) + define_type("FB_COMPUTE", compute) + more;
  if (at.defined()) t += define_type("FB_SECOND", at.dtype());
  bool logs = is_complex(compute) && std::string_view(fold) == "ScanLogSumExp";
  std::vector<const char*> needs =
      files_for(logs ? "math::exp math::log" : "", is_complex(compute));
  needs.push_back("group.cuh");
  if (logs) t += define("FB_COMPLEX", "");
  return kernel_of_text(x.device().index, fold, "scan", t, needs, "scan.cuh");
}

constexpr int64_t kThreads = 256;

// Chunks of whole tiles, at least `least` tiles each, where there are too few blocks without.
int64_t chunks_of(Scan& g, int device, int64_t blocks, int64_t tile, int64_t least) {
  int64_t want = int64_t(gpu(device).multiprocessors) * 4;
  int64_t most = std::clamp<int64_t>(g.n / (tile * least), 1, 256);
  int64_t chunks = std::clamp<int64_t>(want / blocks, 1, most);
  g.length = ceil_div(ceil_div(g.n, chunks), tile) * tile;
  return ceil_div(g.n, g.length);
}

} // namespace

void scan(const char* fold, DType compute, const Tensor& x, int64_t dim, const Tensor& y,
          const Tensor& at) {
  if (x.numel() == 0) return;
  int device = x.device().index;
  Scan g;
  for (int d = 0; d < x.dim(); ++d) (d < dim ? g.rows : d == dim ? g.n : g.inner) *= x.shape()[d];
  std::string t;
  Grid block;
  int64_t blocks, chunks, outputs = g.rows * g.inner;
  if (g.inner > 1) {
    t = define("FB_COLUMNS", "") + define("FB_PACK", int64_t(1));
    block = {std::min(power_above(outputs), kThreads / 2)};
    blocks = ceil_div(outputs, block.x);
    chunks = chunks_of(g, device, blocks, 1, 64);
  } else {
    constexpr int kItems = 4;
    bool aligned = !at.defined() && pack_of(g.n, {&x}) >= kItems && pack_of(g.n, {&y}) >= kItems;
    t = define("FB_PACK", int64_t(kItems)) + (aligned ? define("FB_ALIGNED", "") : "");
    int64_t threads = std::min(power_above(ceil_div(g.n, kItems)), kThreads);
    block = {threads, kThreads / threads};
    blocks = ceil_div(g.rows, block.y);
    chunks = chunks_of(g, device, blocks, threads * kItems, 2);
  }
  Kernel& k = scan_kernel(fold, compute, x, y, at, t);
  g.x = address(x);
  Tensor totals;
  if (chunks > 1) {
    constexpr int64_t kState = 16; // bytes of the largest
    totals = empty({outputs * chunks * kState}, DType::U8, x.device());
    g.totals = address(totals);
    launch(k, device, {blocks, chunks}, block, 0, g);
  }
  g.y = address(y);
  if (at.defined()) g.second = address(at);
  launch(k, device, {blocks, chunks}, block, 0, g);
}

} // namespace flambeau::cuda
