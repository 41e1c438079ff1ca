// Pinned host memory: cached blocks of powers of two, each with the copies that still use it.
#include <map>
#include <mutex>
#include <vector>

#include "../core/error.h"
#include "pool.h"

namespace flambeau::cuda {

namespace {

struct PinnedBlock {
  size_t size = 0;
  bool live = false;
  std::vector<Handle> events;
};
std::mutex& mutex = *new std::mutex;              // never destroyed: tensors may outlive statics
auto& blocks = *new std::map<char*, PinnedBlock>; // by address

std::map<char*, PinnedBlock>::iterator block_of(const void* p) {
  auto it = blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (it == blocks.begin()) return blocks.end();
  --it;
  return static_cast<const char*>(p) < it->first + it->second.size ? it : blocks.end();
}

bool idle(PinnedBlock& b) {
  while (!b.events.empty()) {
    if (driver().EventQuery(b.events.back()) != kSuccess) return false;
    driver().EventDestroy(b.events.back());
    b.events.pop_back();
  }
  return true;
}

} // namespace

void* allocate_pinned(size_t n) {
  gpu();
  size_t size = 4096;
  while (size < n) size *= 2;
  std::lock_guard lock(mutex);
  for (auto& [p, b] : blocks)
    if (!b.live && b.size == size && idle(b)) {
      b.live = true;
      return p;
    }
  void* p = nullptr;
  constexpr unsigned kPortable = 1;
  FB_CU(MemHostAlloc, &p, size, kPortable);
  blocks[static_cast<char*>(p)] = {size, true, {}};
  return p;
}

void deallocate_pinned(void* p) {
  std::lock_guard lock(mutex);
  auto it = blocks.find(static_cast<char*>(p));
  if (it != blocks.end()) it->second.live = false;
}

bool is_pinned(const void* p) {
  std::lock_guard lock(mutex);
  return block_of(p) != blocks.end();
}

void record_pinned_use(const void* p, int device, Handle stream) {
  std::lock_guard lock(mutex);
  auto it = block_of(p);
  if (it == blocks.end()) return;
  gpu(device);
  Handle e = nullptr;
  constexpr unsigned kNoTiming = 2;
  FB_CU(EventCreate, &e, kNoTiming);
  FB_CU(EventRecord, e, stream);
  it->second.events.push_back(e);
}

} // namespace flambeau::cuda
