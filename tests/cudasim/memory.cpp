// Device memory: addresses that the host cannot touch, beside a view that only the simulator uses.
#include "memory.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

#include "isa.h"

namespace cudasim {

Modes modes;

namespace {

// Addresses are given out in rising order and wrap round late, so a freed one stays dead for long.
struct Arena {
  uint64_t base = 0, span = 0, cursor = 0, live = 0;
  int64_t delta = 0;
};

std::map<uint64_t, Allocation> table; // by base address
std::vector<Arena> arenas;
const Allocation* recent[4] = {};
unsigned recent_next = 0;

constexpr uint64_t kStep = 256; // alignment of addresses and the gap behind each allocation

void* reserve(uint64_t bytes, int protection) {
  void* p = mmap(nullptr, bytes, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return p == MAP_FAILED ? nullptr : p;
}

Arena& arena_of(int device) {
  if (int(arenas.size()) <= device) arenas.resize(device + 1);
  Arena& a = arenas[device];
  if (a.base) return a;
  a.span = 4 * modes.memory + (uint64_t(1) << 28);
  void* view = reserve(a.span, PROT_READ | PROT_WRITE);
  void* shown = modes.strict ? reserve(a.span, PROT_NONE) : view;
  if (!view || !shown) throw Fault(kOutOfMemory, "cudasim: cannot reserve address space");
  a.base = reinterpret_cast<uint64_t>(shown);
  a.delta = int64_t(reinterpret_cast<uint64_t>(view) - a.base);
  a.cursor = a.base + kStep;
  return a;
}

// The first gap of the arena that takes `room` bytes at or after `from`; 0 when there is none.
uint64_t find_gap(const Arena& a, uint64_t from, uint64_t room) {
  uint64_t at = from;
  for (auto it = table.lower_bound(from); at + room <= a.base + a.span; ++it) {
    bool last = it == table.end() || it->first >= a.base + a.span;
    if (last || at + room <= it->first) return at;
    at = (it->first + it->second.size + 2 * kStep - 1) / kStep * kStep;
  }
  return 0;
}

void forget_recent() {
  for (auto& r : recent) r = nullptr;
}

} // namespace

uint64_t device_alloc(int device, size_t bytes, bool variable) {
  Arena& a = arena_of(device);
  if (!bytes || a.live + bytes > modes.memory) return 0;
  uint64_t room = (bytes + kStep - 1) / kStep * kStep + kStep;
  uint64_t at = find_gap(a, a.cursor, room);
  if (!at) at = find_gap(a, a.base + kStep, room);
  if (!at) return 0;
  a.cursor = at + room;
  a.live += bytes;
  table[at] = {at, bytes, a.delta, device, variable};
  std::memset(reinterpret_cast<void*>(at + a.delta), 0xff, bytes);
  return at;
}

bool device_free(uint64_t address) {
  auto it = table.find(address);
  if (it == table.end() || it->second.device < 0) return false;
  Allocation gone = it->second;
  arenas[gone.device].live -= gone.size;
  table.erase(it);
  forget_recent();
  const uint64_t page = uint64_t(sysconf(_SC_PAGESIZE));
  uint64_t first = (gone.base + gone.delta + page - 1) / page * page;
  uint64_t last = (gone.base + gone.delta + gone.size) / page * page;
  if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  return true;
}

void host_register(void* pointer, size_t bytes) {
  uint64_t at = reinterpret_cast<uint64_t>(pointer);
  table[at] = {at, bytes, 0, -1, false};
  forget_recent();
}

bool host_unregister(void* pointer) {
  auto it = table.find(reinterpret_cast<uint64_t>(pointer));
  if (it == table.end() || it->second.device >= 0) return false;
  table.erase(it);
  forget_recent();
  return true;
}

const Allocation* find_allocation(uint64_t address) {
  for (const Allocation* r : recent)
    if (r && address - r->base < r->size) return r;
  auto it = table.upper_bound(address);
  if (it == table.begin()) return nullptr;
  --it;
  if (address - it->first >= it->second.size) return nullptr;
  recent[recent_next++ & 3] = &it->second;
  return &it->second;
}

std::string describe_address(uint64_t address) {
  char text[200];
  auto it = table.upper_bound(address);
  if (it == table.begin()) {
    std::snprintf(text, sizeof text, "address 0x%llx, below every allocation",
                  (unsigned long long)address);
    return text;
  }
  --it;
  uint64_t past = address - it->first;
  std::snprintf(text, sizeof text, "address 0x%llx, %llu bytes into an allocation of %llu bytes",
                (unsigned long long)address, (unsigned long long)past,
                (unsigned long long)it->second.size);
  return text;
}

uint8_t* view(uint64_t address, size_t bytes, const char* what) {
  const Allocation* a = find_allocation(address);
  if (!a || address + bytes > a->base + a->size) {
    uint64_t bad = a ? a->base + a->size : address;
    throw Fault(kInvalidValue, std::string(what) + ": " + std::to_string(bytes) +
                                   " bytes do not fit: " + describe_address(bad));
  }
  return reinterpret_cast<uint8_t*>(address + a->delta);
}

uint64_t live_bytes(int device) { return device < int(arenas.size()) ? arenas[device].live : 0; }

bool set_mode(const std::string& name, const std::string& value) {
  auto number = [&] { return std::strtoll(value.c_str(), nullptr, 0); };
  if (name == "ORDER") {
    modes.order = value == "rev"      ? Order::Reverse
                  : value == "random" ? Order::Random
                                      : Order::Forward;
    return value == "fwd" || value == "rev" || value == "random";
  }
  if (name == "ASYNC") {
    modes.lazy = value == "lazy";
    return value == "lazy" || value == "eager";
  }
  if (name == "SEED")
    modes.seed = uint64_t(number());
  else if (name == "STRICT")
    modes.strict = number() != 0;
  else if (name == "RACE")
    modes.race = number() != 0;
  else if (name == "MEMORY")
    modes.memory = uint64_t(number());
  else if (name == "DEVICES")
    modes.devices = int(number());
  else if (name == "DRIVER")
    modes.driver = int(number());
  else if (name == "CAPABILITY")
    modes.capability = int(number());
  else if (name == "INIT_ERROR")
    modes.init_error = int(number());
  else if (name == "LIMIT")
    modes.limit = uint64_t(number());
  else if (name == "FAIL_LAUNCH") {
    modes.fail_launch = number();
    modes.seen_launches = 0;
  } else if (name == "FAIL_ALLOC") {
    modes.fail_alloc = number();
    modes.seen_allocs = 0;
    modes.fail_alloc_on = !value.empty() && value.back() == '+';
  } else
    return false;
  return true;
}

void read_environment() {
  for (const char* name :
       {"ORDER", "ASYNC", "SEED", "STRICT", "RACE", "MEMORY", "DEVICES", "DRIVER", "CAPABILITY",
        "INIT_ERROR", "LIMIT", "FAIL_LAUNCH", "FAIL_ALLOC"}) {
    const char* value = std::getenv((std::string("CUDASIM_") + name).c_str());
    if (value && !set_mode(name, value))
      std::fprintf(stderr, "cudasim: CUDASIM_%s=%s is not understood\n", name, value);
  }
}

} // namespace cudasim
