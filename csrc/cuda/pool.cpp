// Device memory comes from the driver in segments; blocks are cut from them, best fit, and merged
// with their neighbours when freed. Reuse is safe by stream order: a block goes back to the
// stream that asked for it.
#include "pool.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <mutex>
#include <set>
#include <unordered_map>
#include <vector>

#include "../core/error.h"

namespace flambeau::cuda {

struct PrivatePool {
  int device = 0;
  ~PrivatePool();
};

namespace {

constexpr size_t kRound = 512, kSmall = 1 << 20, kSmallSegment = 2 << 20, kLarge = 10 << 20,
                 kLargeSegment = 20 << 20, kHugeRound = 2 << 20;

struct Block {
  Pointer address = 0;
  size_t size = 0;
  Handle stream = nullptr;
  const PrivatePool* pool = nullptr;
  bool free = false, small = false;
  Block *before = nullptr, *after = nullptr; // in the same segment
  std::vector<Handle> users;                 // other streams with work on it
  bool whole = false;                        // no part of a segment: goes back to the driver
};

struct BySize {
  bool operator()(const Block* a, const Block* b) const {
    auto key = [](const Block* x) {
      return std::tuple(x->pool, x->stream, x->small, x->size, x->address);
    };
    return key(a) < key(b);
  }
};

struct Pending { // freed, but another stream still works on it, or a graph is being recorded
  Block* block;
  std::vector<Handle> events;
};

struct DevicePool {
  std::mutex mutex;
  std::set<Block*, BySize> free;
  std::unordered_map<void*, Block*> live;
  std::vector<Pending> pending;
  PoolStats stats;
};
// Never destroyed: tensors may outlive the statics of this file.
auto& pools = *new std::array<DevicePool, 64>;
thread_local std::array<std::shared_ptr<PrivatePool>, 64> private_pool;

bool pooling() {
  static const bool on = [] {
    const char* v = std::getenv("FLAMBEAU_CUDA_POOL");
    return !(v && *v == '0');
  }();
  return on;
}

size_t rounded(size_t n) { return (n + kRound - 1) / kRound * kRound; }
size_t segment_size(size_t n) {
  if (n <= kSmall) return kSmallSegment;
  if (n < kLarge) return kLargeSegment;
  return (n + kHugeRound - 1) / kHugeRound * kHugeRound;
}

void raise_peak(int64_t& peak, int64_t now) { peak = std::max(peak, now); }

// Returns a block to the free ones, merged with free neighbours.
void put_back(DevicePool& p, Block* b) {
  b->free = true;
  auto merge = [&](Block* left, Block* right) { // right disappears
    left->size += right->size;
    left->after = right->after;
    if (left->after) left->after->before = left;
    delete right;
  };
  if (b->after && b->after->free) {
    p.free.erase(b->after);
    merge(b, b->after);
  }
  if (b->before && b->before->free) {
    Block* left = b->before;
    p.free.erase(left);
    merge(left, b);
    b = left;
  }
  p.free.insert(b);
}

bool records(Handle stream) {
  int status = 0;
  FB_CU(StreamIsCapturing, stream, &status);
  return status != 0;
}

// An event for each stream that uses the block; none while one of them records a graph, whose
// events nobody can ask about.
void mark_uses(Pending& w) {
  auto& users = w.block->users;
  if (std::any_of(users.begin(), users.end(), records)) return;
  for (Handle s : users) {
    Handle e = nullptr;
    constexpr unsigned kNoTiming = 2;
    if (driver().EventCreate(&e, kNoTiming) != kSuccess) continue;
    driver().EventRecord(e, s);
    w.events.push_back(e);
  }
  users.clear();
}

// The block ends: to the free ones, or to the driver if it was got for one tensor.
void recycle(DevicePool& p, Block* b) {
  if (!b->whole) return put_back(p, b);
  p.stats.reserved -= int64_t(b->size);
  --p.stats.segments;
  CaptureRelaxed relaxed; // another thread may be recording
  driver().MemFree(b->address);
  delete b;
}

void settle_pending(DevicePool& p, bool wait) {
  for (size_t i = 0; i < p.pending.size();) {
    Pending& w = p.pending[i];
    if (!w.block->users.empty()) mark_uses(w);
    while (!w.events.empty()) {
      Handle e = w.events.back();
      int code = wait ? driver().EventSynchronize(e) : driver().EventQuery(e);
      if (code == kNotReady) break;
      check(code, "cuEventQuery");
      FB_CU(EventDestroy, e);
      w.events.pop_back();
    }
    if (!w.events.empty() || !w.block->users.empty()) {
      ++i;
      continue;
    }
    recycle(p, w.block);
    p.pending[i] = std::move(p.pending.back());
    p.pending.pop_back();
  }
}

// Whole segments that nothing uses go back to the driver. Returns the bytes.
size_t release_free(DevicePool& p, const PrivatePool* only = nullptr) {
  size_t total = 0;
  for (auto it = p.free.begin(); it != p.free.end();) {
    Block* b = *it;
    bool mine = only ? b->pool == only : b->pool == nullptr;
    if (!mine || b->before || b->after) {
      ++it;
      continue;
    }
    FB_CU(MemFree, b->address);
    p.stats.reserved -= int64_t(b->size);
    --p.stats.segments;
    total += b->size;
    delete b;
    it = p.free.erase(it);
  }
  return total;
}

std::string mib(double bytes) {
  char s[48];
  if (bytes < 1024 * 1024)
    std::snprintf(s, sizeof s, "%.1f KiB", bytes / 1024);
  else if (bytes < 1024. * 1024 * 1024)
    std::snprintf(s, sizeof s, "%.1f MiB", bytes / (1 << 20));
  else
    std::snprintf(s, sizeof s, "%.2f GiB", bytes / (1 << 30));
  return s;
}

[[noreturn]] void out_of_memory(DevicePool& p, int device, size_t n) {
  ++p.stats.out_of_memory;
  size_t free = 0, total = 0;
  driver().MemGetInfo(&free, &total);
  std::vector<size_t> sizes;
  for (auto& [_, b] : p.live) sizes.push_back(b->size);
  std::sort(sizes.rbegin(), sizes.rend());
  std::string largest;
  for (size_t i = 0; i < sizes.size() && i < 5; ++i)
    largest += (i ? ", " : "") + mib(double(sizes[i]));
  double held = double(p.stats.allocated), kept = double(p.stats.reserved - p.stats.allocated);
  double others = double(total - free) - double(p.stats.reserved);
  fail(ErrorKind::Memory, "CUDA out of memory. Tried to allocate ", mib(double(n)),
       " on cuda:", device, ", which has ", mib(double(total)), " in all and ", mib(double(free)),
       " free. This process's tensors hold ", mib(held), " in ", int64_t(sizes.size()),
       " blocks (the largest: ", largest.empty() ? "none" : largest, "), the cache keeps ",
       mib(kept), " more, everything else on the GPU ", mib(others > 0 ? others : 0),
       ". Cached memory was given back before this error. Use smaller batches, no_grad() for "
       "inference, or del tensors that are no longer needed");
}

// From the driver; on failure cached memory is returned first, then all pending work awaited.
Pointer take(DevicePool& p, int device, size_t n) {
  Pointer a = 0;
  CaptureRelaxed relaxed; // the memory is the graph's own, so that recording may go on
  int code = driver().MemAlloc(&a, n);
  if (code == kOutOfMemory && !is_capturing(device)) {
    ++p.stats.retries;
    settle_pending(p, true);
    check(driver().CtxSynchronize(), "cuCtxSynchronize");
    release_free(p);
    code = driver().MemAlloc(&a, n);
  }
  if (code == kOutOfMemory) out_of_memory(p, device, n);
  check(code, "cuMemAlloc");
  p.stats.reserved += int64_t(n);
  ++p.stats.segments;
  raise_peak(p.stats.reserved_peak, p.stats.reserved);
  return a;
}

void split(DevicePool& p, Block* b, size_t n) {
  size_t rest = b->size - n;
  if (b->small ? rest < kRound : rest <= kSmall) return;
  auto* r =
      new Block{b->address + n, rest, b->stream, b->pool, true, b->small, b, b->after, {}, false};
  if (b->after) b->after->before = r;
  b->after = r;
  b->size = n;
  p.free.insert(r);
}

Block* find_block(DevicePool& p, int device, size_t n, Handle stream, const PrivatePool* pool) {
  bool small = n <= kSmall;
  Block key;
  key.size = n;
  key.stream = stream;
  key.pool = pool;
  key.small = small;
  auto it = p.free.lower_bound(&key);
  bool fits =
      it != p.free.end() && (*it)->stream == stream && (*it)->pool == pool && (*it)->small == small;
  // A huge block is not spent on a much smaller tensor.
  if (fits && n >= kLarge && (*it)->size > 2 * n) fits = false;
  Block* b;
  if (fits) {
    b = *it;
    p.free.erase(it);
  } else {
    size_t s = segment_size(n);
    b = new Block{0, s, stream, pool, false, small, nullptr, nullptr, {}, false};
    try {
      b->address = take(p, device, s);
    } catch (...) {
      delete b;
      throw;
    }
  }
  b->free = false;
  split(p, b, n);
  return b;
}

} // namespace

PrivatePool::~PrivatePool() {
  DevicePool& p = pools[size_t(device)];
  std::lock_guard lock(p.mutex);
  // Blocks still held by tensors join the common pool when they are freed.
  for (auto& [_, b] : p.live)
    if (b->pool == this) b->pool = nullptr;
  std::vector<Block*> mine;
  for (Pending& w : p.pending)
    if (w.block->pool == this) w.block->pool = nullptr;
  for (Block* b : p.free)
    if (b->pool == this) mine.push_back(b);
  for (Block* b : mine) p.free.erase(b);
  for (Block* b : mine) {
    b->pool = nullptr;
    p.free.insert(b);
  }
}

std::shared_ptr<PrivatePool> make_private_pool(int device) {
  auto p = std::make_shared<PrivatePool>();
  p->device = device;
  return p;
}
void use_private_pool(int device, std::shared_ptr<PrivatePool> pool) {
  private_pool[size_t(device)] = std::move(pool);
}

void* allocate(int device, size_t n) {
  if (n == 0) return nullptr;
  Handle stream = current_stream(device);
  DevicePool& p = pools[size_t(device)];
  std::lock_guard lock(p.mutex);
  if (!p.pending.empty() && !is_capturing(device)) settle_pending(p, false);
  Block* b;
  const PrivatePool* own = private_pool[size_t(device)].get();
  if (pooling() || own) { // a graph needs memory that outlives its tensors
    b = find_block(p, device, rounded(n), stream, own);
  } else {
    n = (n + 3) / 4 * 4; // atomics on small elements swap the word that holds them
    b = new Block{0, n, stream, nullptr, false, false, nullptr, nullptr, {}, true};
    try {
      b->address = take(p, device, n);
    } catch (...) {
      delete b;
      throw;
    }
  }
  void* address = reinterpret_cast<void*>(b->address);
  p.live[address] = b;
  ++p.stats.allocations;
  p.stats.allocated += int64_t(b->size);
  ++p.stats.active;
  raise_peak(p.stats.allocated_peak, p.stats.allocated);
  raise_peak(p.stats.active_peak, p.stats.active);
  return address;
}

void deallocate(int device, void* address) {
  if (!address) return;
  DevicePool& p = pools[size_t(device)];
  std::lock_guard lock(p.mutex);
  auto it = p.live.find(address);
  if (it == p.live.end()) return;
  Block* b = it->second;
  p.live.erase(it);
  ++p.stats.frees;
  p.stats.allocated -= int64_t(b->size);
  --p.stats.active;
  // Errors are left to the next call that can report them: this may run in a destructor.
  if (!driver_problem().empty()) return;
  try {
    gpu(device);
    bool later = b->whole && is_capturing(device); // the driver frees nothing in a capture
    if (b->users.empty() && !later) return recycle(p, b);
    Pending w{b, {}};
    mark_uses(w);
    p.pending.push_back(std::move(w));
  } catch (const Error&) {
    // A forked child may not touch the driver; its parent's memory is not its to free.
  }
}

void* reallocate(int device, void* p, size_t before, size_t bytes) {
  void* fresh = allocate(device, bytes);
  size_t kept = std::min(before, bytes);
  if (kept)
    FB_CU(MemcpyDtoDAsync, reinterpret_cast<Pointer>(fresh), reinterpret_cast<Pointer>(p), kept,
          current_stream(device));
  deallocate(device, p);
  return fresh;
}

void record_stream(int device, void* address, Handle stream) {
  DevicePool& p = pools[size_t(device)];
  std::lock_guard lock(p.mutex);
  auto it = p.live.find(address);
  if (it == p.live.end() || it->second->stream == stream) return;
  auto& users = it->second->users;
  if (std::find(users.begin(), users.end(), stream) == users.end()) users.push_back(stream);
}

void empty_cache() {
  for (int d = 0; d < device_count(); ++d) {
    DevicePool& p = pools[size_t(d)];
    std::lock_guard lock(p.mutex);
    if (!p.stats.segments) continue;
    gpu(d);
    settle_pending(p, true);
    FB_CU(CtxSynchronize);
    release_free(p);
  }
}

PoolStats pool_stats(int device) {
  FB_CHECK(device >= 0 && device < int(pools.size()), "invalid device ordinal ", device);
  DevicePool& p = pools[size_t(device)];
  std::lock_guard lock(p.mutex);
  return p.stats;
}
void reset_peak_stats(int device) {
  DevicePool& p = pools[size_t(device)];
  std::lock_guard lock(p.mutex);
  p.stats.allocated_peak = p.stats.allocated;
  p.stats.reserved_peak = p.stats.reserved;
  p.stats.active_peak = p.stats.active;
}

std::string pool_summary(int device) {
  PoolStats s = pool_stats(device);
  auto line = [](const char* what, const std::string& now, const std::string& peak) {
    char t[128];
    std::snprintf(t, sizeof t, "| %-22s | %14s | %14s |\n", what, now.c_str(), peak.c_str());
    return std::string(t);
  };
  std::string rule = "|------------------------+----------------+----------------|\n";
  std::string r = cat_str("Memory of cuda:", device, "\n");
  r += line("", "now", "peak") + rule;
  r += line("held by tensors", mib(double(s.allocated)), mib(double(s.allocated_peak)));
  r += line("taken from the driver", mib(double(s.reserved)), mib(double(s.reserved_peak)));
  r += line("live blocks", to_str(s.active), to_str(s.active_peak));
  r += line("segments", to_str(s.segments), "");
  r += line("allocations", to_str(s.allocations), "");
  r += line("retries after no memory", to_str(s.retries), "");
  r += line("out of memory errors", to_str(s.out_of_memory), "");
  return r;
}

} // namespace flambeau::cuda
