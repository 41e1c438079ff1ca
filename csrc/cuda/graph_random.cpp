// The counters that graphs count from, in memory that a replay sets before it begins.
#include "graph_random.h"

#include <array>

#include "launch.h"
#include "pool.h"

namespace flambeau::cuda {

namespace {
constexpr size_t kGenerators = 16;               // that one graph may draw from
std::array<GraphRandom*, kMostGpus> recording{}; // by device
} // namespace

GraphRandom::~GraphRandom() { end(); }

// Not in the graph's own memory: what a replay overwrites there is only known to its order of work.
void GraphRandom::begin(int device) {
  device_ = device;
  cells_ = empty({int64_t(kGenerators), 2}, DType::I64, {DeviceType::Cuda, int8_t(device)});
  recording[size_t(device)] = this;
}

void GraphRandom::end() {
  if (recording[size_t(device_)] == this) recording[size_t(device_)] = nullptr;
}

void GraphRandom::before_replay() {
  if (sources_.empty()) return;
  record_stream(device_, cells_.storage().data, current_stream(device_));
  for (Source& s : sources_) {
    launch(kernel(device_, "counter", "set_counter", ""), device_, {1}, {1}, 0, s.cell,
           s.state->seed, s.state->offset);
    s.state->offset += s.used;
  }
}

bool draw_in_graph(PhiloxState& g, uint64_t ticks, PhiloxDraw& draw) {
  int device = g.device.index;
  GraphRandom* r = recording[size_t(device)];
  if (!r || !is_capturing(device)) return false;
  GraphRandom::Source* source = nullptr;
  for (GraphRandom::Source& s : r->sources_)
    if (s.state.get() == &g) source = &s;
  if (!source) {
    size_t i = r->sources_.size();
    FB_CHECK(i < kGenerators, "a CUDA graph can draw from ", kGenerators,
             " generators at most: make fewer, or record several graphs");
    r->sources_.push_back({g.shared_from_this(), address(r->cells_) + 16 * i});
    source = &r->sources_.back();
  }
  draw = {0, source->used, source->cell};
  source->used += ticks;
  return true;
}

} // namespace flambeau::cuda
