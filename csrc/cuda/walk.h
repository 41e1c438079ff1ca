// The kernels' view of strided operands: merged dimensions with fast division, in a launch
// argument.
#pragma once
#include "../cpu/loops.h"

namespace flambeau::cuda {

constexpr int kWalkDims = 32;
struct Walk { // as in kernels/walk.cuh
  int dims = 0;
  uint32_t size[kWalkDims], magic[kWalkDims], shift[kWalkDims];
  int64_t stride[4][kWalkDims]; // bytes
};
void fill_walk(Walk& w, const StridedLoop& l, const char* name);

} // namespace flambeau::cuda
