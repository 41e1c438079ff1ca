// The tables and launches of the fused optimizer steps.
#include "optim.h"

#include "launch.h"

namespace flambeau::cuda {

namespace {

constexpr int kRoom = 56, kLists = 5, kCounters = 480; // tables fit the 4 KiB of a launch
constexpr int64_t kChunk = 8192;                       // elements of a block

struct Table { // as in kernels/optim.cuh
  Pointer at[kLists][kRoom] = {};
  int64_t size[kRoom];
  int first[kRoom];
  union {
    double value;
    Pointer at;
  } step[kRoom];
  int tensors = 0;
};
static_assert(sizeof(Table) + sizeof(OptimNumbers) <= 4096);

struct Counters { // as in kernels/count_up.cuh
  Pointer at[kCounters];
};

const char* rule_name(OptimRule rule) {
  static const char* const names[] = {"Adam", "Sgd", "Rmsprop", "Adagrad"};
  return names[int(rule)];
}

} // namespace

void optim_step(OptimRule rule, const SmallVec<const Tensors*, 6>& lists, const Tensors& counters,
                const std::vector<double>& steps, OptimNumbers numbers) {
  const Tensors& params = *lists[0];
  int device = params[0].device().index;
  numbers.steps_here = !counters.empty();
  numbers.wide_steps = numbers.steps_here && counters[0].dtype() == DType::F64;
  Kernel& k =
      kernel(device, "optim", "optim_step",
             define_type("FB_TYPE", params[0].dtype()) + define("FB_RULE", rule_name(rule)));
  Table t;
  int64_t chunks = 0;
  auto flush = [&] {
    if (t.tensors) launch(k, device, {chunks}, {256}, 0, t, numbers);
    t.tensors = 0;
    chunks = 0;
  };
  for (size_t i = 0; i < params.size(); ++i) {
    int64_t n = params[i].numel(), more = ceil_div(n, kChunk);
    if (n == 0) continue;
    if (t.tensors == kRoom || chunks + more > INT32_MAX) flush();
    int at = t.tensors++;
    for (int j = 0; j < lists.size(); ++j)
      t.at[j][at] = lists[j]->empty() ? 0 : address((*lists[j])[i]);
    t.size[at] = n;
    t.first[at] = int(chunks);
    if (numbers.steps_here)
      t.step[at].at = address(counters[i]);
    else
      t.step[at].value = steps.empty() ? 0 : steps[i];
    chunks += more;
  }
  flush();
}

void count_up(const Tensors& counters) {
  if (counters.empty()) return;
  int device = counters[0].device().index;
  Kernel& k = kernel(device, "count_up", "count_up", define_type("FB_TYPE", counters[0].dtype()));
  for (size_t from = 0; from < counters.size(); from += kCounters) {
    Counters c;
    int n = int(std::min(counters.size() - from, size_t(kCounters)));
    for (int i = 0; i < n; ++i) c.at[i] = address(counters[from + size_t(i)]);
    launch(k, device, {ceil_div(n, 128)}, {128}, 0, c, n);
  }
}

} // namespace flambeau::cuda
