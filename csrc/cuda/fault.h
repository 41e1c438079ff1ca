// Bad values that only a kernel can see: noted on the GPU, raised when the host next waits for it.
#pragma once
#include "driver.h"

namespace flambeau::cuda {

struct Watch { // as in kernels/fault.cuh
  Pointer word = 0;
  int64_t op = 0;
};
// Where kernels of the op note an index out of range.
Watch watch(int device, const char* op);

// Raises IndexError for what kernels have noted; after a wait for the device.
void raise_faults(int device);

} // namespace flambeau::cuda
