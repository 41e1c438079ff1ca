// Runs a launch: blocks one after the other, the warps of a block in turns, the lanes of a warp
// grouped by program counter so that structured code comes together again.
#include "machine.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace cudasim {

void fault(const Warp& w, const Insn& in, int lane, int code, const std::string& text) {
  const Launch& launch = *w.block->launch;
  uint32_t t = w.thread(lane);
  Dim d = launch.block, b = w.block->index;
  char where[300];
  std::snprintf(
      where, sizeof where, "kernel `%s`, block (%u,%u,%u), thread (%u,%u,%u), PTX line %u: ",
      launch.kernel->name.c_str(), b.x, b.y, b.z, t % d.x, t / d.x % d.y, t / d.x / d.y, in.line);
  throw Fault(code, where + text);
}

namespace {

uint64_t random_state = 1;
uint32_t random_below(uint32_t n) {
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  return uint32_t((random_state >> 33) % n);
}

// ---- one warp -------------------------------------------------------------------------------

struct Runner {
  Warp& w;
  const Kernel& kernel;
  uint64_t& budget; // instructions that the block may still take
  uint32_t fuel;    // instructions of this turn

  uint32_t pc = 0;
  Mask mask = 0;
  uint32_t limit = kNone; // lanes of another group wait there

  // Picks the lanes at the lowest program counter; now and then another group, so that lanes that
  // spin cannot starve the ones they wait for.
  void choose(bool other) {
    uint32_t best = kNone, past = kNone;
    for (Mask m = w.ready; m; m &= m - 1) {
      uint32_t p = w.pc[__builtin_ctz(m)];
      best = std::min(best, p);
      if (p > w.last) past = std::min(past, p);
    }
    pc = other && past != kNone ? past : best;
    mask = 0;
    limit = kNone;
    for (Mask m = w.ready; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      if (w.pc[l] == pc)
        mask |= 1u << l;
      else if (w.pc[l] > pc)
        limit = std::min(limit, w.pc[l]);
    }
  }

  void park() {
    for (Mask m = mask; m; m &= m - 1) w.pc[__builtin_ctz(m)] = pc;
    w.last = pc;
  }

  // Returns false when the group is no longer together and must be chosen anew.
  bool step(const Insn& in) {
    Mask m = mask;
    if (in.pred != kNone) {
      uint32_t p = *w.at<uint32_t>(in.pred);
      m &= in.negate ? ~p : p;
    }
    switch (in.flow) {
    case Flow::Step:
      if (m) in.run(w, in, m);
      ++pc;
      return pc != limit;
    case Flow::Branch: return branch(in, m);
    case Flow::Table: return table(in, m);
    case Flow::Exit:
      w.exited |= m;
      w.ready &= ~m;
      mask &= ~m;
      ++pc;
      if (mask) park();
      return mask && pc != limit;
    case Flow::Barrier: return wait(in, m, w.barrier);
    case Flow::Collective: return collective(in, m);
    }
    return false;
  }

  bool branch(const Insn& in, Mask taken) {
    if (taken == mask)
      pc = in.target;
    else if (!taken)
      ++pc;
    else {
      for (Mask m = mask; m; m &= m - 1) {
        int l = __builtin_ctz(m);
        w.pc[l] = taken >> l & 1 ? in.target : pc + 1;
      }
      return false;
    }
    return pc < limit;
  }

  bool table(const Insn& in, Mask m) {
    const auto& targets = kernel.tables[in.target];
    const uint32_t* index = w.at<uint32_t>(in.o[0]);
    for (; m; m &= m - 1) {
      int l = __builtin_ctz(m);
      if (index[l] >= targets.size())
        fault(w, in, l, kLaunchFailed, "an indexed branch past the end of its table");
      w.pc[l] = targets[index[l]];
    }
    return false;
  }

  bool wait(const Insn&, Mask m, Mask& queue) {
    if (!m) return ++pc, pc != limit;
    park();
    queue |= m;
    w.ready &= ~m;
    for (Mask rest = mask & ~m; rest; rest &= rest - 1) w.pc[__builtin_ctz(rest)] = pc + 1;
    return false;
  }

  // A warp-wide operation runs once all the lanes that its mask names stand at it.
  bool collective(const Insn& in, Mask m) {
    if (!m) return ++pc, pc != limit;
    const uint32_t* named = w.at<uint32_t>(in.o[in.count]);
    uint32_t want = named[__builtin_ctz(m)];
    bool same = true;
    for (Mask r = m; r; r &= r - 1) same &= named[__builtin_ctz(r)] == want;
    if (same && want == m) {
      in.run(w, in, m);
      ++pc;
      return pc != limit;
    }
    wait(in, m, w.collective);
    gather(in, pc);
    return false;
  }

  void gather(const Insn& in, uint32_t at) {
    Mask here = 0;
    for (Mask m = w.collective; m; m &= m - 1)
      if (w.pc[__builtin_ctz(m)] == at) here |= m & -m;
    const uint32_t* named = w.at<uint32_t>(in.o[in.count]);
    for (Mask rest = here; rest;) {
      int first = __builtin_ctz(rest);
      uint32_t want = named[first];
      if (!(want >> first & 1))
        fault(w, in, first, kLaunchFailed, "a warp operation whose mask does not name the caller");
      check_named(in, first, want);
      Mask group = 0;
      for (Mask m = rest; m; m &= m - 1)
        if (named[__builtin_ctz(m)] == want) group |= m & -m;
      rest &= ~group;
      if ((group & want) != want) continue;
      in.run(w, in, want);
      w.collective &= ~want;
      w.ready |= want;
      for (Mask m = want; m; m &= m - 1) w.pc[__builtin_ctz(m)] = at + 1;
    }
  }

  void check_named(const Insn& in, int lane, uint32_t want) {
    if (Mask gone = want & (w.exited | ~w.present))
      fault(w, in, lane, kLaunchFailed,
            "a warp operation waits for lane " + std::to_string(__builtin_ctz(gone)) +
                (gone & w.exited & -gone ? ", which has exited" : ", which does not exist"));
  }

  // Runs until no lane of the warp is ready or the turn is over.
  void run(bool shuffle) {
    const Insn* code = kernel.code.data();
    uint32_t turn = fuel;
    bool other = false;
    while (w.ready) {
      choose(other || (shuffle && random_below(4) == 0));
      other = false;
      bool together = true;
      while (together) {
        together = step(code[pc]);
        if (--fuel == 0) break;
      }
      if (together || pc >= limit) park();
      if (fuel == 0) {
        if (budget < turn) hang();
        budget -= turn;
        if (shuffle) return;
        fuel = turn;
        other = true;
      }
    }
    if (w.collective) stuck();
    budget -= std::min<uint64_t>(budget, turn - fuel);
    if (!budget) hang();
  }

  [[noreturn]] void hang() {
    fault(w, kernel.code[pc], mask ? __builtin_ctz(mask) : 0, kLaunchFailed,
          "the block runs without end");
  }

  [[noreturn]] void stuck() {
    int lane = __builtin_ctz(w.collective);
    const Insn& in = kernel.code[w.pc[lane]];
    check_named(in, lane, w.at<uint32_t>(in.o[in.count])[lane]);
    uint32_t want = w.at<uint32_t>(in.o[in.count])[lane];
    Mask missing = want & ~w.collective;
    if (!missing) missing = want & ~(1u << lane);
    int absent = missing ? __builtin_ctz(missing) : lane;
    fault(w, in, lane, kLaunchFailed,
          "deadlock: a warp operation waits for lane " + std::to_string(absent) +
              ", which waits at PTX line " + std::to_string(kernel.code[w.pc[absent]].line));
  }
};

// ---- one block ------------------------------------------------------------------------------

struct BlockRunner {
  Block& block;
  std::vector<Warp>& warps;
  const Kernel& kernel;

  void run() {
    uint64_t budget = modes.limit;
    std::vector<uint32_t> order(warps.size());
    for (uint32_t i = 0; i < order.size(); ++i)
      order[i] = modes.order == Order::Reverse ? uint32_t(order.size()) - 1 - i : i;
    bool shuffle = modes.order == Order::Random;
    for (;;) {
      if (shuffle)
        for (size_t i = order.size(); i > 1; --i)
          std::swap(order[i - 1], order[random_below(uint32_t(i))]);
      bool ran = false;
      for (uint32_t i : order) {
        if (!warps[i].ready) continue;
        ran = true;
        uint32_t fuel = shuffle ? 1 + random_below(200) : 20000;
        Runner{warps[i], kernel, budget, fuel}.run(shuffle);
      }
      if (ran) continue;
      if (!release()) return;
    }
  }

 private:
  // Lets the threads go on that wait at a complete barrier; false when all have exited.
  bool release() {
    uint32_t waiting = 0, exited = 0;
    const Warp* first = nullptr;
    for (const Warp& w : warps) {
      waiting += uint32_t(__builtin_popcount(w.barrier));
      exited += uint32_t(__builtin_popcount(w.exited));
      if (w.barrier && !first) first = &w;
    }
    if (!waiting) return false;
    bool any = false;
    for (uint32_t id = 0; id < 16; ++id) any |= release_one(id);
    if (any) return true;
    int lane = __builtin_ctz(first->barrier);
    const Insn& in = kernel.code[first->pc[lane]];
    if (exited)
      fault(*first, in, lane, kLaunchFailed,
            "a barrier waits for " + std::to_string(exited) + " threads that have exited");
    fault(*first, in, lane, kLaunchFailed,
          "a barrier waits for more threads than the block can send");
  }

  bool release_one(uint32_t id) {
    uint32_t count = 0, want = 0, at = kNone;
    const Warp* who = nullptr;
    int who_lane = 0;
    for (const Warp& w : warps)
      for (Mask m = w.barrier; m; m &= m - 1) {
        int l = __builtin_ctz(m);
        const Insn& in = kernel.code[w.pc[l]];
        if (w.at<uint32_t>(in.o[1])[l] != id) continue;
        ++count;
        if (at == kNone) {
          at = w.pc[l];
          who = &w;
          who_lane = l;
          want = in.o[2] == kNone ? block.threads : w.at<uint32_t>(in.o[2])[l];
        } else if (at != w.pc[l])
          fault(w, in, l, kLaunchFailed,
                "divergent barriers: this thread waits here, thread " +
                    std::to_string(who->thread(who_lane)) + " at PTX line " +
                    std::to_string(kernel.code[at].line));
      }
    if (!count || count < want) return false;
    complete(id, at);
    return true;
  }

  void complete(uint32_t id, uint32_t at) {
    const Insn& in = kernel.code[at];
    uint32_t sum = 0, total = 0;
    auto members = [&](Warp& w) {
      Mask r = 0;
      for (Mask m = w.barrier; m; m &= m - 1) {
        int l = __builtin_ctz(m);
        if (w.pc[l] == at && w.at<uint32_t>(in.o[1])[l] == id) r |= m & -m;
      }
      return r;
    };
    for (Warp& w : warps) {
      Mask m = members(w);
      total += uint32_t(__builtin_popcount(m));
      if (in.o[3] != kNone) sum += uint32_t(__builtin_popcount(m & *w.at<uint32_t>(in.o[3])));
    }
    for (Warp& w : warps) {
      Mask m = members(w);
      if (m && in.run) finish_reduction(w, in, m, sum, total);
      for (Mask r = m; r; r &= r - 1) w.pc[__builtin_ctz(r)] = at + 1;
      w.barrier &= ~m;
      w.ready |= m;
    }
    ++block.epoch;
  }

  // flags: 1 popc, 2 and, 3 or
  static void finish_reduction(Warp& w, const Insn& in, Mask m, uint32_t sum, uint32_t total) {
    if (in.flags == 1) {
      uint32_t* d = w.at<uint32_t>(in.o[0]);
      lanes(m, [&](int l) { d[l] = sum; });
    } else {
      uint32_t* d = w.at<uint32_t>(in.o[0]);
      bool r = in.flags == 2 ? sum == total : sum > 0;
      *d = r ? *d | m : *d & ~m;
    }
  }
};

// ---- the launch -----------------------------------------------------------------------------

uint8_t* grown(std::vector<uint8_t>& buffer, size_t bytes) {
  if (buffer.size() < bytes + 64) buffer.resize(bytes + 64);
  return buffer.data() + (64 - reinterpret_cast<uintptr_t>(buffer.data()) % 64) % 64;
}

void set_special(Warp& w, Special s, uint32_t at, const Launch& launch) {
  uint32_t* d = w.at<uint32_t>(at);
  Dim b = launch.block, g = launch.grid;
  for (uint32_t l = 0; l < kLanes; ++l) {
    uint32_t t = w.index * kLanes + l, v = 0;
    switch (s) {
    case Special::TidX: v = t % b.x; break;
    case Special::TidY: v = t / b.x % b.y; break;
    case Special::TidZ: v = t / b.x / b.y; break;
    case Special::NtidX: v = b.x; break;
    case Special::NtidY: v = b.y; break;
    case Special::NtidZ: v = b.z; break;
    case Special::NctaidX: v = g.x; break;
    case Special::NctaidY: v = g.y; break;
    case Special::NctaidZ: v = g.z; break;
    case Special::LaneId: v = l; break;
    case Special::WarpId: v = w.index; break;
    case Special::NwarpId: v = uint32_t((b.count() + kLanes - 1) / kLanes); break;
    case Special::NsmId: v = 132; break;
    case Special::LanemaskEq: v = 1u << l; break;
    case Special::LanemaskLt: v = (1u << l) - 1; break;
    case Special::LanemaskLe: v = (2u << l) - 1; break;
    case Special::LanemaskGe: v = ~((1u << l) - 1); break;
    case Special::LanemaskGt: v = ~((2u << l) - 1); break;
    case Special::DynamicShared: v = launch.dynamic_shared; break;
    case Special::TotalShared: v = launch.kernel->shared_static + launch.dynamic_shared; break;
    default: break;
    }
    d[l] = v;
  }
}

void set_block(std::vector<Warp>& warps, const Launch& launch, Dim index, uint64_t number) {
  for (auto& [s, at] : launch.kernel->specials) {
    uint32_t v = s == Special::CtaidX   ? index.x
                 : s == Special::CtaidY ? index.y
                 : s == Special::CtaidZ ? index.z
                                        : uint32_t(number % 132);
    if (s > Special::CtaidZ && s != Special::SmId) continue;
    for (Warp& w : warps) std::fill_n(w.at<uint32_t>(at), kLanes, v);
  }
  for (Warp& w : warps) {
    w.ready = w.present;
    w.barrier = w.collective = w.exited = 0;
    w.pending.clear();
    w.sync = 1;
    w.last = 0;
    std::fill_n(w.pc, kLanes, 0);
  }
}

} // namespace

void run_launch(const Launch& launch) {
  static std::vector<uint8_t> register_room, local_room, shared_room;
  static std::vector<Shadow> shadow;
  static uint64_t epoch = 1; // the last one that the shadow may hold, also after a fault
  const Kernel& k = *launch.kernel;
  uint32_t threads = uint32_t(launch.block.count());
  uint32_t count = (threads + kLanes - 1) / kLanes;
  uint64_t local_stride = (k.local_bytes + 15) / 16 * 16;
  uint8_t* regs = grown(register_room, size_t(count) * k.register_bytes);
  uint8_t* local = grown(local_room, size_t(count) * kLanes * local_stride);

  struct Keep {
    Block block;
    ~Keep() { epoch = std::max(epoch, block.epoch); }
  } keep;
  Block& block = keep.block;
  block.launch = &launch;
  block.threads = threads;
  block.shared_bytes = (k.shared_static + 15) / 16 * 16 + launch.dynamic_shared;
  block.shared = grown(shared_room, block.shared_bytes);
  block.shadow_shift = k.grain >= 4 ? 2 : k.grain >= 2 ? 1 : 0;
  if (shadow.size() < (block.shared_bytes >> block.shadow_shift) + 1)
    shadow.resize((block.shared_bytes >> block.shadow_shift) + 1);
  block.shadow = shadow.data();

  std::vector<Warp> warps(count);
  forget_writes();
  for (uint32_t i = 0; i < count; ++i) {
    Warp& w = warps[i];
    w.index = i;
    w.block = &block;
    w.regs = regs + size_t(i) * k.register_bytes;
    w.local = local + size_t(i) * kLanes * local_stride;
    w.present = threads - i * kLanes >= kLanes ? kFull : (1u << (threads - i * kLanes)) - 1;
    std::copy(k.constants.begin(), k.constants.end(), w.regs);
    for (auto& [s, at] : k.specials) set_special(w, s, at, launch);
  }
  if (modes.order == Order::Random) random_state += modes.seed * 0x9e3779b97f4a7c15ull;
  uint64_t blocks = launch.grid.count();
  uint64_t stride = 1, start = 0;
  if (modes.order == Order::Random && blocks > 1) {
    start = random_below(uint32_t(std::min<uint64_t>(blocks, 1u << 30)));
    for (stride = 7919; blocks % stride == 0; ++stride) {
    }
    while (std::__gcd(stride, blocks) != 1) ++stride;
  }
  for (uint64_t i = 0; i < blocks; ++i) {
    uint64_t n = modes.order == Order::Reverse ? blocks - 1 - i : (start + i * stride) % blocks;
    Dim index{uint32_t(n % launch.grid.x), uint32_t(n / launch.grid.x % launch.grid.y),
              uint32_t(n / launch.grid.x / launch.grid.y)};
    block.index = index;
    block.number = n;
    block.first_epoch = block.epoch = ++epoch;
    set_block(warps, launch, index, n);
    BlockRunner{block, warps, k}.run();
    epoch = block.epoch;
  }
}

} // namespace cudasim
