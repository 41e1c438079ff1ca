// Device and pinned memory: allocation, lookup by address, and the modes that the environment sets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace cudasim {

struct Allocation {
  uint64_t base = 0, size = 0;
  int64_t delta = 0; // device address + delta = address that the simulator may touch
  int device = -1;   // -1: pinned host memory
  bool variable = false;
};

enum class Order { Forward, Reverse, Random };

struct Modes {
  Order order = Order::Forward;
  uint64_t seed = 1;
  bool lazy = false;
  bool strict = true;
  bool race = false;
  uint64_t memory = uint64_t(2) << 30;
  int devices = 1, driver = 13000, capability = 90;
  int64_t fail_alloc = 0, fail_launch = 0; // the n-th one since the mode was set
  int64_t seen_allocs = 0, seen_launches = 0;
  bool fail_alloc_on = false; // from the n-th on
  int init_error = 0;
  uint64_t limit = uint64_t(4) << 30; // instructions of a block before it counts as hung
};
extern Modes modes;
bool set_mode(const std::string& name, const std::string& value);
void read_environment();

// 0 when there is no room left.
uint64_t device_alloc(int device, size_t bytes, bool variable = false);
bool device_free(uint64_t address);
void host_register(void* pointer, size_t bytes);
bool host_unregister(void* pointer);
// The live allocation that holds the address, or null.
const Allocation* find_allocation(uint64_t address);
// An address for the simulator's own reads and writes; throws Fault when out of range.
uint8_t* view(uint64_t address, size_t bytes, const char* what);
uint64_t live_bytes(int device);
std::string describe_address(uint64_t address);

} // namespace cudasim
