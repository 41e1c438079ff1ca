// The counters that graphs count from, in memory that a replay sets before it begins.
#include "graph_random.h"

#include <array>

#include "launch.h"

namespace flambeau::cuda {

namespace {
std::array<GraphRandom*, 64> recording{}; // by device
}

GraphRandom::~GraphRandom() { end(); }

void GraphRandom::begin(int device) {
  device_ = device;
  recording[size_t(device)] = this;
}

void GraphRandom::end() {
  if (recording[size_t(device_)] == this) recording[size_t(device_)] = nullptr;
}

void GraphRandom::before_replay() {
  for (Source& s : sources_) {
    launch(kernel(device_, "counter", "set_counter", ""), device_, {1}, {1}, 0, address(s.cell),
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
    r->sources_.push_back({g.shared_from_this(), empty({2}, DType::I64, g.device)});
    source = &r->sources_.back();
  }
  draw = {0, source->used, address(source->cell)};
  source->used += ticks;
  return true;
}

} // namespace flambeau::cuda
