// Launches the kernels of order: short rows in shared memory, long ones by their digits.
#include "order.h"

#include <bit>

#include "../autograd/node.h"
#include "../ops/ops.h"
#include "fault.h"
#include "launch.h"

namespace flambeau::cuda {

namespace {

constexpr int64_t kShort = 2048, kFewest = 512;

void sort_short(const Tensor& x, bool descending, const Tensor& from, const Tensor& values,
                const Tensor& places) {
  int device = x.device().index;
  int64_t rows = x.shape()[0], n = x.shape()[1];
  int width = std::max(2, int(std::bit_ceil(uint64_t(n)))), span = std::max(width, int(kFewest));
  size_t key = x.itemsize() == 8 ? 8 : 4;
  Kernel& k = kernel(device, "sort", "sort_short", define_type("FB_T", x.dtype()));
  launch(k, device, {ceil_div(rows, span / width)}, {256}, size_t(span) * (key + 2), address(x),
         rows, int(n), width, span, int(values.shape()[1]), int(descending),
         from.defined() ? address(from) : Pointer(0), address(values), address(places));
}

// A pass for each byte of the elements, between the result and temporaries.
void sort_long(const Tensor& x, bool descending, const Tensor& values, const Tensor& places) {
  int device = x.device().index, passes = x.itemsize();
  int64_t rows = x.shape()[0], n = x.shape()[1], keep = values.shape()[1];
  int64_t tile = 256 * (x.itemsize() == 8 ? 8 : 16), tiles = ceil_div(n, tile); // as in radix.cuh
  FB_CHECK(rows * tiles <= INT32_MAX, "sort: ", describe(x), " is too large for a GPU");
  Device d = x.device();
  Tensor counts = empty({rows * 256 * tiles}, DType::U32, d);
  Tensor totals = empty({rows * 256}, DType::U32, d);
  Tensor value[2], place[2];
  for (int i = 0; i < std::min(passes - 1, 2); ++i) {
    value[i] = empty({rows, n}, x.dtype(), d);
    place[i] = empty({rows, n}, DType::U32, d);
  }
  std::string type = define_type("FB_T", x.dtype());
  Kernel& count = kernel(device, "radix", "radix_count", type);
  Kernel& scan = kernel(device, "radix", "radix_scan", define_type("FB_T", DType::U8));
  Kernel& move = kernel(device, "radix", "radix_move", type);
  unsigned flip = descending ? 255 : 0;
  Tensor from = x, from_place;
  for (int p = 0; p < passes; ++p) {
    bool last = p == passes - 1;
    Tensor to = last ? values : value[p % 2];
    Pointer none = 0;
    launch(count, device, {rows * tiles}, {256}, 0, address(from), n, int(tiles), 8 * p, flip,
           address(counts));
    launch(scan, device, {rows * 32}, {256}, 0, address(counts), tiles, address(totals));
    launch(move, device, {rows * tiles}, {256}, 0, address(from),
           from_place.defined() ? address(from_place) : none, n, int(tiles), 8 * p, flip,
           address(counts), address(totals), address(to), last ? none : address(place[p % 2]),
           last ? address(places) : none, last ? keep : n);
    from = to;
    from_place = place[p % 2];
  }
}

// The best are collected, and only they are sorted.
void select_best(const Tensor& x, bool descending, const Tensor& values, const Tensor& places) {
  int device = x.device().index;
  int64_t rows = x.shape()[0], keep = values.shape()[1];
  Tensor best = empty({rows, keep}, x.dtype(), x.device());
  Tensor at = empty({rows, keep}, DType::U32, x.device());
  launch(kernel(device, "topk", "topk", define_type("FB_T", x.dtype())), device, {rows}, {1024}, 0,
         address(x), x.shape()[1], unsigned(keep), int(descending), address(best), address(at));
  sort_short(best, descending, at, values, places);
}

} // namespace

void sort_rows(const Tensor& x, bool descending, const Tensor& values, const Tensor& places) {
  if (values.numel() == 0) return;
  int64_t rows = x.shape()[0], n = x.shape()[1], keep = values.shape()[1];
  if (n <= kShort) return sort_short(x, descending, Tensor(), values, places);
  // A block for each row is worth its while when there are many, or the row is not long.
  constexpr int64_t kManyRows = 32, kNotLong = 16384;
  if (keep <= kShort / 2 && (rows >= kManyRows || n <= kNotLong))
    return select_best(x, descending, values, places);
  sort_long(x, descending, values, places);
}

void pick_rank(const Tensor& x, Rank rank, int64_t k, const Tensor& value, const Tensor& place) {
  if (value.numel() == 0) return;
  int device = x.device().index;
  int64_t rows = x.shape()[0], n = x.shape()[1];
  Tensor sorted = empty(x.shape(), x.dtype(), x.device());
  Tensor at = empty(x.shape(), DType::I64, x.device());
  sort_rows(x, false, sorted, at);
  bool real = is_float(x.dtype());
  int64_t median = rank == Rank::Median ? (real ? 1 : 2) : rank == Rank::NanMedian ? 2 : 0;
  std::string d = define_type("FB_T", x.dtype()) + define("FB_MEDIAN", median);
  if (rank == Rank::Mode)
    launch(kernel(device, "rank", "pick_mode", d), device, {rows}, {256}, 0, address(sorted),
           address(at), n, address(value), address(place));
  else
    launch(kernel(device, "rank", "pick_rank", d), device, blocks_for(device, rows), {256}, 0,
           address(sorted), address(at), rows, n, k, address(value), address(place));
}

void search(const Tensor& bounds, const Tensor& values, const Tensor& order, bool right,
            const Tensor& out) {
  if (out.numel() == 0) return;
  int device = out.device().index;
  int64_t n = bounds.size(-1), width = values.dim() ? values.size(-1) : 1;
  std::string d = define_type("FB_T", bounds.dtype()) + define_type("FB_PLACE", out.dtype()) +
                  define("FB_RIGHT", int64_t(right)) +
                  define("FB_SORTER", int64_t(order.defined()));
  launch(kernel(device, "search", "search", d), device, blocks_for(device, values.numel()), {256},
         0, address(bounds), n, bounds.dim() == 1 ? int64_t(0) : n,
         order.defined() ? address(order) : Pointer(0), address(values), width, values.numel(),
         address(out), watch(device, "searchsorted"));
}

namespace {

void count(const Tensor& x, bool equal, double low, double high, const Tensor& counts) {
  if (x.numel() == 0) return;
  int device = x.device().index;
  int64_t bins = counts.numel();
  constexpr int64_t kMostShared = 8192;
  bool shared = bins <= kMostShared;
  std::string d = define_type("FB_T", x.dtype()) + define("FB_EQUAL", int64_t(equal)) +
                  define("FB_SHARED", int64_t(shared));
  launch(kernel(device, "count", "count", d), device, blocks_for(device, x.numel()), {256},
         shared ? size_t(bins) * 4 : 0, address(x), x.numel(), bins, low, high, address(counts));
}

} // namespace

void count_integers(const Tensor& x, const Tensor& counts) { count(x, false, 0, 0, counts); }
void count_bins(const Tensor& x, double low, double high, const Tensor& counts) {
  count(x, true, low, high, counts);
}

} // namespace flambeau::cuda
