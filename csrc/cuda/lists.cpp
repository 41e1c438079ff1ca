// The tables and launches of work over lists of tensors.
#include "lists.h"

#include "../ops/ops.h"
#include "launch.h"

namespace flambeau::cuda {

namespace {

constexpr int kRoom = 180;       // the table fits the 4 KiB of a launch
constexpr int64_t kChunk = 8192; // elements of a block

struct Table { // as in kernels/lists.cuh
  Pointer at[kRoom];
  int64_t size[kRoom];
  int first[kRoom];
  int tensors = 0;
};
static_assert(sizeof(Table) <= 4000);

// Calls run(table, its chunks) for the tensors in tables.
template<class F>
void in_tables(const Tensors& list, F&& run) {
  Table t;
  int64_t chunks = 0;
  auto flush = [&] {
    if (t.tensors) run(t, chunks);
    t.tensors = 0;
    chunks = 0;
  };
  for (const Tensor& x : list) {
    int64_t more = ceil_div(x.numel(), kChunk);
    if (!more) continue;
    if (t.tensors == kRoom || chunks + more > INT32_MAX) flush();
    t.at[t.tensors] = address(x);
    t.size[t.tensors] = x.numel();
    t.first[t.tensors++] = int(chunks);
    chunks += more;
  }
  flush();
}

Kernel& list_kernel(const Tensors& list, const char* entry) {
  return kernel(list[0].device().index, "lists", entry, define_type("FB_TYPE", list[0].dtype()));
}

} // namespace

Tensor list_norm(const Tensors& list) {
  DType type = list[0].dtype();
  Device on = list[0].device();
  int64_t chunks = 0, done = 0;
  for (const Tensor& x : list) chunks += ceil_div(x.numel(), kChunk);
  Tensor partial = empty({chunks}, compute_type(type), on);
  Kernel& k = list_kernel(list, "square_sums");
  in_tables(list, [&](const Table& t, int64_t n) {
    Pointer at = address(partial) + Pointer(done * partial.itemsize());
    launch(k, on.index, {n}, {256}, 0, t, at);
    done += n;
  });
  return to_dtype(sqrt(sum(partial)), type);
}

void list_scale(const Tensors& list, const Tensor& factor, const Tensor& bad) {
  Kernel& k = list_kernel(list, "scale_all");
  Pointer flag = bad.defined() ? address(bad) : 0;
  in_tables(list, [&](const Table& t, int64_t n) {
    launch(k, list[0].device().index, {n}, {256}, 0, t, address(factor), flag);
  });
}

} // namespace flambeau::cuda
