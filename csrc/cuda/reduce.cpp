// Plans a reduction: rows or columns, how many elements a load has, and in how many parts.
#include "reduce.h"

#include <algorithm>

#include "../cpu/axes.h"
#include "../ops/ops.h"
#include "rows.h"
#include "walk.h"

namespace flambeau::cuda {

namespace {

constexpr int kMostAxes = 24;
struct Axes { // as in kernels/reduce.cuh
  int dims = 0;
  uint32_t size[kMostAxes], magic[kMostAxes], shift[kMostAxes];
  int64_t in[kMostAxes], out[kMostAxes];
};
struct Reduction { // as in kernels/reduce.cuh
  Pointer x = 0, out = 0, second = 0, parts = 0;
  int64_t outputs = 1, n = 1, length = 1, count = 1, tail = 0, width = 1;
  double p = 0;
};

struct Plan {
  std::string fold;
  DType stored, in;
  int state; // bytes
  AxisList kept, red;
  bool columns = false, wide = false;
  int pack = 1;
  Reduction g;
};

void read_axes(Plan& plan, const Tensor& x, uint64_t mask) {
  int64_t step = 1;
  for (int d = x.dim() - 1; d >= 0; --d) {
    int64_t n = x.shape()[d], in = x.strides()[d] * x.itemsize();
    bool reduced = mask >> d & 1;
    if (n != 1) (reduced ? plan.red : plan.kept).push_back({n, in, reduced ? 0 : step});
    if (!reduced) step *= n;
  }
  tidy(plan.kept);
  tidy(plan.red);
  int64_t size = x.itemsize();
  if (product(plan.red) == 0) plan.red = {{0, size, 0}};
  if (plan.red.empty()) plan.red.push_back({1, size, 0});
  const Axis& r = plan.red[0];
  plan.columns = !plan.kept.empty() && plan.kept[0].in != 0 && r.size != 0 &&
                 (r.size == 1 || r.in == 0 || r.in > plan.kept[0].in);
}

// How many elements side by side can be read at once: along the innermost axis, where all other
// strides and the address are multiples of the load.
int choose_pack(const Plan& plan, const Tensor& x, bool tail) {
  int64_t size = x.itemsize();
  const Axis& inner = plan.columns ? plan.kept[0] : plan.red[0];
  if (inner.in != size) return 1;
  int pack = int(std::min<int64_t>(16 / size, 8));
  auto fits = [&](int64_t n) {
    uint64_t together = address(x);
    for (const AxisList* list : {&plan.kept, &plan.red})
      for (const Axis& a : *list)
        if (&a != &inner) together |= uint64_t(a.in);
    return together % uint64_t(n * size) == 0 && (tail || inner.size % n == 0);
  };
  while (pack > 1 && !fits(pack)) pack /= 2;
  return pack;
}

Axes launch_axes(const AxisList& list, const char* name) {
  FB_CHECK_AS(NotImplemented, list.size() <= kMostAxes, name, ": operands of more than ", kMostAxes,
              " separate dimensions are not supported on a GPU: call contiguous() first");
  Axes a;
  a.dims = list.size();
  for (int d = 0; d < a.dims; ++d) {
    FB_CHECK(list[d].size <= UINT32_MAX, name, ": a dimension of ", list[d].size, " is too long");
    a.size[d] = uint32_t(list[d].size);
    set_division(std::max(a.size[d], 1u), a.magic[d], a.shift[d]);
    a.in[d] = list[d].in;
    a.out[d] = list[d].out;
  }
  return a;
}

std::string definitions(const Plan& plan, const char* entry, const Tensor& out,
                        const Tensor& second) {
  std::string t = define("FB_FOLD", plan.fold) + define_type("FB_STORED", plan.stored) +
                  define_type("FB_COMPUTE", plan.in) + define("FB_PACK", int64_t(plan.pack)) +
                  define_type("FB_OUT", out.defined() ? out.dtype() : plan.in) + define(entry, "");
  if (second.defined()) t += define_type("FB_SECOND", second.dtype());
  if (plan.red.size() == 1) t += define("FB_FLAT", "");
  if (plan.wide) t += define("FB_WIDE", "");
  return t;
}

// A reduction is split when its outputs alone would leave the GPU idle: into parts of at least
// `least` loads, of the same lengths on every run.
void split(Reduction& g, int device, int64_t blocks, int64_t least) {
  int64_t want = int64_t(gpu(device).multiprocessors) * 4;
  int64_t parts = std::clamp<int64_t>(g.n / least, 1, std::max<int64_t>(1, want / blocks));
  g.length = std::max<int64_t>(1, ceil_div(g.n, parts));
  g.count = std::max<int64_t>(1, ceil_div(g.n, g.length));
}

constexpr int64_t kThreads = 256, kAhead = 4;

struct Shape {
  Grid grid, block;
};
Shape shape_rows(Plan& plan, int device) {
  Reduction& g = plan.g;
  int64_t inner = plan.red[0].size;
  g.tail = plan.red.size() == 1 ? inner % plan.pack : 0;
  plan.red[0].size = inner / plan.pack;
  plan.red[0].in *= plan.pack;
  g.n = product(plan.red);
  // Four loads a thread, unless there are too few rows to keep the GPU busy.
  int64_t x = std::min(power_above(ceil_div(g.n, kAhead)), kThreads);
  while (x < kThreads && x < g.n && g.outputs * x < int64_t(gpu(device).multiprocessors) * 512)
    x *= 2;
  int64_t blocks = ceil_div(g.outputs, kThreads / x);
  split(g, device, blocks, x * kAhead * 2);
  return {{blocks, g.count}, {x, kThreads / x}};
}
Shape shape_columns(Plan& plan, int device) {
  Reduction& g = plan.g;
  g.width = plan.kept[0].size / plan.pack;
  g.n = product(plan.red);
  int64_t x = std::min<int64_t>(power_above(g.width), 32);
  constexpr int64_t kMostZ = 64; // a limit of the driver
  int64_t y = std::min(power_above(ceil_div(g.n, kAhead)), kThreads / x);
  y = std::max(y, kThreads / x / kMostZ);
  int64_t z = kThreads / x / y;
  int64_t units = g.outputs / plan.kept[0].size * ceil_div(g.width, x);
  int64_t blocks = ceil_div(units, z);
  split(g, device, blocks, y * kAhead * 2);
  return {{blocks, g.count}, {x, y, z}};
}

void run(Plan& plan, const Tensor& x, uint64_t mask, const Tensor& out, const Tensor& second,
         const char* name) {
  const Tensor& any = out.defined() ? out : second;
  if (any.numel() == 0) return;
  int device = any.device().index;
  plan.stored = x.dtype();
  read_axes(plan, x, mask);
  plan.pack = choose_pack(plan, x, !plan.columns && plan.red.size() == 1);
  Reduction& g = plan.g;
  g.outputs = any.numel();
  g.x = address(x);
  if (out.defined()) g.out = address(out);
  if (second.defined()) g.second = address(second);
  Shape s = plan.columns ? shape_columns(plan, device) : shape_rows(plan, device);
  plan.wide = g.outputs > UINT32_MAX || g.n > UINT32_MAX;
  Tensor parts;
  if (g.count > 1) {
    parts = empty({g.outputs * g.count * plan.state}, DType::U8, any.device());
    g.parts = address(parts);
  }
  Axes kept = launch_axes(plan.kept, name);
  const char* entry = plan.columns ? "FB_COLS" : "FB_ROWS";
  Kernel& k = kernel(device, "reduce", "reduce", definitions(plan, entry, out, second));
  // The one reduced dimension of a flat reduction may be of any length.
  AxisList red = plan.red;
  if (red.size() == 1) red[0].size = 1;
  launch(k, device, s.grid, s.block, 0, g, kept, launch_axes(red, name));
  if (g.count == 1) return;
  g.x = g.parts;
  g.parts = 0;
  Kernel& join = kernel(device, "reduce", "reduce", definitions(plan, "FB_JOIN", out, second));
  launch(join, device, {ceil_div(g.outputs, 8)}, {32, 8}, 0, g, kept);
}

// Of the kinds in order.
const char* const kFolds[] = {"Sum",     "Mean",    "NanSum", "Prod",  "Max",   "Min",
                              "Any",     "All",     "Sum",    "Norm0", "Norm1", "Norm2",
                              "NormMax", "NormMin", "Var",    "Std"};

} // namespace

void reduce(Reduce kind, DType in, const Tensor& x, uint64_t mask, const Tensor& out, double p,
            const Tensor& second) {
  Plan plan;
  if (in == DType::Bool)
    kind = kind == Reduce::Max ? Reduce::Any : kind == Reduce::Min ? Reduce::All : kind;
  plan.fold = kFolds[int(kind)];
  plan.in = in;
  plan.state = kind == Reduce::Var || kind == Reduce::Std   ? 3 * size_of(in)
               : kind == Reduce::Any || kind == Reduce::All ? 4
               : in == DType::Bool                          ? 8
                                                            : size_of(in);
  plan.g.p = p;
  run(plan, x, mask, out, second, plan.fold.c_str());
}

void reduce_at(bool largest, const Tensor& x, int64_t dim, const Tensor& values, const Tensor& at) {
  Plan plan;
  plan.fold = largest ? "MaxAt" : "MinAt";
  plan.in = compute_type(x.dtype());
  plan.state = 16;
  uint64_t mask = x.dim() ? uint64_t(1) << dim : 0;
  run(plan, x, mask, values, at, largest ? "max" : "min");
}

} // namespace flambeau::cuda
