// Size classes with free lists; blocks of 4 MiB and more come from mmap with huge pages advised.
#include "allocator.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <vector>

#include "error.h"

namespace flambeau {
namespace {

constexpr size_t kHuge = size_t(4) << 20;
constexpr int64_t kCacheCap = int64_t(1) << 30; // at most an eighth of the machine's memory
constexpr int kClasses = 200;

// Four classes a power of two, from 64 bytes: at most a quarter of a block is wasted.
int class_of(size_t n) {
  if (n <= 64) return 0;
  int top = std::bit_width(n - 1) - 1; // n is in (2^top, 2^(top+1)]
  size_t quarter = size_t(1) << (top - 2);
  return (top - 6) * 4 + int((n - (size_t(1) << top) + quarter - 1) / quarter);
}
size_t class_size(int c) {
  if (c == 0) return 64;
  int top = (c - 1) / 4 + 6, step = (c - 1) % 4 + 1;
  return (size_t(1) << top) + step * (size_t(1) << (top - 2));
}

struct State {
  std::mutex mutex;
  std::vector<void*> free_blocks[kClasses];
  uint64_t used[kClasses] = {}; // when a block of the class last came or went, in calls
  uint64_t calls = 0;
  int64_t cap = std::min(kCacheCap, sysconf(_SC_PHYS_PAGES) / 8 * sysconf(_SC_PAGESIZE));
  MemoryStats stats;
};
State& state() {
  static State* s = new State; // outlives every static that still frees memory at exit
  return *s;
}

void* system_alloc(size_t size) {
  if (size < kHuge) return std::aligned_alloc(64, size);
  void* p = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  madvise(p, size, MADV_HUGEPAGE);
  return p;
}
void system_free(void* p, size_t size) {
  if (size < kHuge)
    std::free(p);
  else
    munmap(p, size);
}

void drop_all(State& s) {
  for (int c = 0; c < kClasses; ++c) {
    for (void* p : s.free_blocks[c]) system_free(p, class_size(c));
    s.free_blocks[c].clear();
  }
  s.stats.cached = 0;
}

// Gives back kept blocks, of the classes that were idle longest first, until `size` more fit in.
void make_room(State& s, int64_t size) {
  while (s.stats.cached + size > s.cap) {
    int oldest = -1;
    for (int c = 0; c < kClasses; ++c)
      if (!s.free_blocks[c].empty() && (oldest < 0 || s.used[c] < s.used[oldest])) oldest = c;
    system_free(s.free_blocks[oldest].back(), class_size(oldest));
    s.free_blocks[oldest].pop_back();
    s.stats.cached -= int64_t(class_size(oldest));
  }
}

} // namespace

void* allocate(size_t n) {
  FB_CHECK(n < (size_t(1) << 46), "[enforce fail] not enough memory: you tried to allocate ",
           int64_t(n), " bytes");
  int c = class_of(n);
  size_t size = class_size(c);
  State& s = state();
  std::lock_guard lock(s.mutex);
  s.used[c] = ++s.calls;
  void* p;
  if (!s.free_blocks[c].empty()) {
    p = s.free_blocks[c].back();
    s.free_blocks[c].pop_back();
    s.stats.cached -= int64_t(size);
  } else {
    p = system_alloc(size);
    if (!p) {
      drop_all(s);
      p = system_alloc(size);
    }
    FB_CHECK(p, "[enforce fail] not enough memory: you tried to allocate ", int64_t(n),
             " bytes, and the system has no more");
  }
  s.stats.allocated += int64_t(size);
  if (s.stats.allocated > s.stats.peak) s.stats.peak = s.stats.allocated;
  return p;
}

void deallocate(void* p, size_t n) {
  int c = class_of(n);
  size_t size = class_size(c);
  State& s = state();
  std::lock_guard lock(s.mutex);
  s.stats.allocated -= int64_t(size);
  s.used[c] = ++s.calls;
  if (int64_t(size) > s.cap) return system_free(p, size);
  make_room(s, int64_t(size));
  s.free_blocks[c].push_back(p);
  s.stats.cached += int64_t(size);
}

void empty_cache() {
  State& s = state();
  std::lock_guard lock(s.mutex);
  drop_all(s);
}

MemoryStats memory_stats() {
  State& s = state();
  std::lock_guard lock(s.mutex);
  return s.stats;
}

void reset_peak_memory() {
  State& s = state();
  std::lock_guard lock(s.mutex);
  s.stats.peak = s.stats.allocated;
}

} // namespace flambeau
