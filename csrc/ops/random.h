// The state of random generators: a seed and how far its stream has been used.
#pragma once
#include <cstdint>

#include "../cpu/philox.h"

namespace flambeau {

struct PhiloxState {
  uint64_t seed = 0, offset = 0;
};

PhiloxState& default_generator();
// The state to draw from now; `generator` (a PhiloxState, or null for the default one) moves on
// by `ticks` counter values.
PhiloxState next_philox(uint64_t ticks, void* generator = nullptr);

} // namespace flambeau
