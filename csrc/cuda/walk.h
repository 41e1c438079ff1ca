// The kernels' view of strided operands: merged dimensions with fast division, in a launch
// argument.
#pragma once
#include <bit>

#include "../cpu/loops.h"

namespace flambeau::cuda {

// Granlund and Montgomery (1994): n / size = (mulhi(n, magic) + n) >> shift for n < 2^32.
inline void set_division(uint32_t size, uint32_t& magic, uint32_t& shift) {
  shift = size > 1 ? uint32_t(32 - std::countl_zero(size - 1)) : 0;
  magic = uint32_t(((uint64_t(1) << 32) * ((uint64_t(1) << shift) - size)) / size + 1);
}

constexpr int kWalkDims = 32;
struct Walk { // as in kernels/walk.cuh
  int dims = 0;
  uint32_t size[kWalkDims], magic[kWalkDims], shift[kWalkDims];
  int64_t stride[4][kWalkDims]; // bytes
};
void fill_walk(Walk& w, const StridedLoop& l, const char* name);

} // namespace flambeau::cuda
