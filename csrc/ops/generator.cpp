// The generators that random ops draw from.
#include <array>

#include "../cuda/graph_random.h"
#include "random.h"

namespace flambeau {

PhiloxState& default_generator(Device device) {
  static const auto host = std::make_shared<PhiloxState>();
  static const auto gpus = [] {
    std::array<std::shared_ptr<PhiloxState>, kMostGpus> made;
    for (size_t i = 0; i < made.size(); ++i) {
      made[i] = std::make_shared<PhiloxState>();
      made[i]->device = {DeviceType::Cuda, int8_t(i)};
    }
    return made;
  }();
  return device.is_cuda() ? *gpus[size_t(device.index)] : *host;
}

PhiloxDraw next_philox(uint64_t ticks, Device device, void* generator) {
  PhiloxState& g = generator ? *static_cast<PhiloxState*>(generator) : default_generator(device);
  bool fits = g.device.type == device.type && (!device.is_cuda() || g.device == device);
  FB_CHECK(fits || device.is_meta(), "Expected a '", device,
           "' device type for generator but found '", g.device,
           "': make one with flambeau.Generator(device='", device, "')");
  PhiloxDraw draw{g.seed, g.offset};
  if (device.is_cuda() && cuda::draw_in_graph(g, ticks, draw)) return draw;
  g.offset += ticks;
  return draw;
}

PhiloxDraw host_draw(uint64_t ticks, Device device, void* gen, const char* op) {
  PhiloxDraw d = next_philox(0, device, gen);
  FB_CHECK_AS(NotImplemented, !d.cell, op,
              " cannot be recorded in a CUDA graph: the host makes its numbers");
  return next_philox(ticks, device, gen);
}

} // namespace flambeau
