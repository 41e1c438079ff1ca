// The state of random generators, one of each device: a seed and how far its stream has been used.
#pragma once
#include <cstdint>
#include <memory>

#include "../core/tensor.h"
#include "../cpu/philox.h"

namespace flambeau {

struct PhiloxState : std::enable_shared_from_this<PhiloxState> {
  uint64_t seed = 67280421310721ull, offset = 0;
  Device device;
};

// Where one op's numbers begin. `cell`: while a CUDA graph is recorded, the address on the GPU of
// the seed and of the place a replay begins at, from which `offset` counts; else 0.
struct PhiloxDraw {
  uint64_t seed = 0, offset = 0, cell = 0;
};

constexpr int kMostGpus = 64;
// Those of the GPUs exist before their driver is loaded: seeding does not load it.
PhiloxState& default_generator(Device device = {});
// The state to draw from now for a tensor of `device`; `generator` (a PhiloxState, or null for the
// device's default one) moves on by `ticks` counter values.
PhiloxDraw next_philox(uint64_t ticks, Device device, void* generator = nullptr);
// The same for numbers that the host makes, which the replay of a graph could not renew: raises
// while one is recorded.
PhiloxDraw host_draw(uint64_t ticks, Device device, void* generator, const char* op);

// Fills t, of any dtype and device, with 1 with probability p, else 0.
void fill_bernoulli(const Tensor& t, double p, void* generator = nullptr);

} // namespace flambeau
