// The state of a running launch: warps, blocks, shared memory, and helpers for lane-wise loops.
#pragma once

#include "isa.h"
#include "memory.h"

namespace cudasim {

struct Dim {
  uint32_t x = 1, y = 1, z = 1;
  uint64_t count() const { return uint64_t(x) * y * z; }
};

// Who touched a cell of shared memory last; epochs only grow, so nothing is cleared between blocks.
struct Shadow {
  uint64_t write_epoch = 0, read_epoch = 0; // block epochs
  uint32_t write_sync = 0, read_sync = 0;   // warp epochs of the warp that touched it
  uint16_t writer = 0, reader = 0;          // thread, or kMany / kManyInWarp + warp
  bool atomic = false;
};

struct Launch {
  const Kernel* kernel;
  Dim grid, block;
  uint32_t dynamic_shared = 0;
  const uint8_t* params = nullptr;
  int device = 0;
};

struct Block {
  const Launch* launch = nullptr;
  Dim index;
  uint64_t number = 0;
  uint32_t threads = 0;
  uint8_t* shared = nullptr;
  uint32_t shared_bytes = 0;
  Shadow* shadow = nullptr;
  uint32_t shadow_shift = 2;
  uint64_t epoch = 1;       // grows at each block barrier
  uint64_t first_epoch = 1; // epoch at which this block began
};

// A cp.async on its way: it has read its source and not yet written its target.
struct Pending {
  const Insn* insn;
  int lane, age; // age: groups committed since
  uint64_t to;
  uint32_t bytes;
  uint8_t data[16];
};

struct Warp {
  uint8_t* regs = nullptr;
  uint8_t* local = nullptr;
  Block* block = nullptr;
  uint32_t index = 0;
  uint32_t sync = 1; // grows at each warp barrier
  Mask present = 0, ready = 0, barrier = 0, collective = 0, exited = 0;
  Mask carry = 0; // condition code of add.cc and its kin
  uint32_t pc[kLanes] = {};
  std::vector<Pending> pending;
  uint32_t last = 0; // where the group that ran last stopped

  template<class T>
  T* at(uint32_t offset) const {
    return reinterpret_cast<T*>(regs + offset);
  }
  uint32_t thread(int lane) const { return index * kLanes + lane; }
};

// Runs `f(lane)` for the lanes of the mask; the full mask is a plain loop that the compiler
// turns into vector code.
template<class F>
[[gnu::always_inline]] inline void lanes(Mask m, F f) {
  if (m == kFull) {
#pragma GCC ivdep
    for (int l = 0; l < kLanes; ++l) f(l);
  } else {
    for (; m; m &= m - 1) f(int(__builtin_ctz(m)));
  }
}

// Raises an error that names the kernel, the block, the thread and the line of PTX.
[[noreturn]] void fault(const Warp& w, const Insn& in, int lane, int code, const std::string& text);

// Turns the addresses of the active lanes into host pointers after all checks.
// Flag of instructions with an address: its register has 32 bits.
constexpr uint32_t kNarrowAddress = 1;
enum class Access : uint8_t { Read, Write, Atomic };
void resolve(Warp& w, const Insn& in, Mask m, uint32_t base, uint32_t bytes, Access access,
             uint8_t** out);
// One lane's address: a load from global memory, a store to shared memory.
uint8_t* resolve_lane(Warp& w, const Insn& in, Space space, int lane, uint64_t address,
                      uint32_t bytes);

// With CUDASIM_RACE=1: stores of different values by unordered threads to one place of global
// memory.
void note_writes(Warp& w, const Insn& in, Mask m, uint8_t* const* at, uint32_t bytes);
void forget_writes();

void run_launch(const Launch& launch);

} // namespace cudasim
