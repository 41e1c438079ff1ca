// Caching allocator of CPU memory: size classes, a cap on what is kept, huge pages when large.
#pragma once
#include <cstddef>
#include <cstdint>

namespace flambeau {

struct MemoryStats {
  int64_t allocated = 0; // bytes in live blocks
  int64_t peak = 0;
  int64_t cached = 0; // bytes kept for re-use
};

// 64-byte aligned; raises Error(Memory) when the system has no more. n may be 0.
void* allocate(size_t n);
void deallocate(void* p, size_t n);
void empty_cache();
MemoryStats memory_stats();
void reset_peak_memory();

} // namespace flambeau
