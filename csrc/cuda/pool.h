// The caching allocators of device memory and of pinned host memory.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "device.h"

namespace flambeau::cuda {

struct PoolStats {
  int64_t allocated = 0, allocated_peak = 0; // bytes that tensors hold, rounded up to blocks
  int64_t reserved = 0, reserved_peak = 0;   // bytes taken from the driver
  int64_t active = 0, active_peak = 0;       // live blocks
  int64_t allocations = 0, frees = 0, retries = 0, out_of_memory = 0, segments = 0;
};

// n bytes on the device for work of its current stream; null for n = 0. When the driver has no
// more, cached memory is given back and the call tried again before it raises a MemoryError.
void* allocate(int device, size_t n);
void deallocate(int device, void* p);
// A block of `bytes` with the content of the old one of `before` bytes, which is freed.
void* reallocate(int device, void* p, size_t before, size_t bytes);
// The block is also in use by work queued so far on `stream`: it is not reused before that.
void record_stream(int device, void* p, Handle stream);
void empty_cache();
PoolStats pool_stats(int device);
void reset_peak_stats(int device);
std::string pool_summary(int device);

// A region whose allocations a CUDA graph owns: blocks come from memory that no other work
// uses, and go back there.
struct PrivatePool;
std::shared_ptr<PrivatePool> make_private_pool(int device);
// While set, allocations of this device on this thread come from it. Null: the common pool.
void use_private_pool(int device, std::shared_ptr<PrivatePool> pool);

// Host memory that the GPU reads and writes directly. Freed blocks wait for the copies that
// were recorded on them.
void* allocate_pinned(size_t n);
void deallocate_pinned(void* p);
bool is_pinned(const void* p); // also inside a block
void record_pinned_use(const void* p, int device, Handle stream);

} // namespace flambeau::cuda
