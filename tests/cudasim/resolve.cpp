// Checks the addresses of a warp: bounds, alignment, and the order of accesses to shared memory.
#include <algorithm>
#include <unordered_map>

#include "machine.h"

namespace cudasim {

namespace {

constexpr uint16_t kMany = 0xffff;       // readers of several warps
constexpr uint16_t kManyInWarp = 0x8000; // several readers of one warp

std::string hex(uint64_t v) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%llx", (unsigned long long)v);
  return text;
}

const char* verb(Access a) {
  return a == Access::Read ? "load" : a == Access::Write ? "store" : "atomic operation";
}

void check_aligned(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                   Access access) {
  if (address & (bytes - 1))
    fault(w, in, lane, kMisaligned,
          "misaligned " + std::string(verb(access)) + " of " + std::to_string(bytes) +
              " bytes at address " + hex(address));
}

[[noreturn]] void out_of_range(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                               Access access) {
  fault(w, in, lane, kIllegalAddress,
        std::string(verb(access)) + " of " + std::to_string(bytes) +
            " bytes out of bounds: " + describe_address(address));
}

uint8_t* global_lane(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                     Access access) {
  check_aligned(w, in, lane, address, bytes, access);
  const Allocation* a = find_allocation(address);
  if (!a || address + bytes > a->base + a->size) out_of_range(w, in, lane, address, bytes, access);
  if (a->device >= 0 && a->device != w.block->launch->device)
    fault(w, in, lane, kIllegalAddress, "the address belongs to another device");
  return reinterpret_cast<uint8_t*>(address + a->delta);
}

struct Range {
  uint64_t low = ~uint64_t(0), high = 0, bits = 0;

  Range(Mask m, const uint64_t* address) {
    if (m == kFull) {
      for (int l = 0; l < kLanes; ++l) add(address[l]);
    } else {
      for (; m; m &= m - 1) add(address[__builtin_ctz(m)]);
    }
  }

 private:
  void add(uint64_t a) {
    low = std::min(low, a);
    high = std::max(high, a);
    bits |= a;
  }
};

void global_span(Warp& w, const Insn& in, Mask m, const uint64_t* address, uint32_t bytes,
                 Access access, uint8_t** out) {
  Range r(m, address);
  const Allocation* a = find_allocation(r.low);
  bool inside = a && r.high + bytes <= a->base + a->size && !(r.bits & (bytes - 1)) &&
                (a->device < 0 || a->device == w.block->launch->device);
  if (inside) {
    int64_t delta = a->delta;
    lanes(m, [&](int l) { out[l] = reinterpret_cast<uint8_t*>(address[l] + delta); });
    return;
  }
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    out[l] = global_lane(w, in, l, address[l], bytes, access);
  }
}

// ---- shared memory --------------------------------------------------------------------------

struct Touch {
  Warp& w;
  const Insn& in;
  int lane;
  uint32_t offset; // of the access, for the message
  uint16_t thread;
  Access access;

  bool same_warp(uint16_t other) const {
    if (other == kMany) return false;
    if (other & kManyInWarp) return (other & ~kManyInWarp) == w.index;
    return other / kLanes == w.index;
  }

  static std::string who(uint16_t other) {
    if (other == kMany) return "threads of several warps";
    if (other & kManyInWarp)
      return "several threads of warp " + std::to_string(other & ~kManyInWarp);
    return "thread " + std::to_string(other);
  }

  [[noreturn]] void race(const char* what, uint16_t other) const {
    fault(w, in, lane, kLaunchFailed,
          "race on shared memory at byte " + std::to_string(offset) + ": this " + verb(access) +
              " and a " + what + " by " + who(other) + " are not separated by a barrier");
  }

  void after_write(const Shadow& c) const {
    if (c.write_epoch != w.block->epoch || c.writer == thread) return;
    if (access == Access::Atomic && c.atomic) return;
    if (same_warp(c.writer) && c.write_sync < w.sync) return;
    race("store", c.writer);
  }

  void read(Shadow& c) const {
    if (c.write_epoch < w.block->first_epoch)
      fault(w, in, lane, kLaunchFailed,
            "load of shared memory at byte " + std::to_string(offset) +
                " that no thread of this block has written");
    after_write(c);
    if (access == Access::Atomic) return;
    if (c.read_epoch != w.block->epoch) {
      c.read_epoch = w.block->epoch;
      c.reader = thread;
    } else if (c.reader != thread) {
      if (!same_warp(c.reader))
        c.reader = kMany;
      else
        c.reader = c.read_sync < w.sync ? thread : uint16_t(kManyInWarp | w.index);
    }
    c.read_sync = w.sync;
  }

  void write(Shadow& c) const {
    after_write(c);
    if (c.read_epoch == w.block->epoch && c.reader != thread &&
        !(same_warp(c.reader) && c.read_sync < w.sync))
      race("load", c.reader);
    c.write_epoch = w.block->epoch;
    c.write_sync = w.sync;
    c.writer = thread;
    c.atomic = access == Access::Atomic;
  }
};

uint8_t* shared_lane(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                     Access access) {
  check_aligned(w, in, lane, address, bytes, access);
  Block& b = *w.block;
  uint64_t offset = address - kSharedStart;
  if (address < kSharedStart || offset + bytes > b.shared_bytes)
    fault(w, in, lane, kIllegalAddress,
          std::string(verb(access)) + " of " + std::to_string(bytes) +
              " bytes out of shared memory: offset " + std::to_string(int64_t(offset)) + " of " +
              std::to_string(b.shared_bytes) + " bytes");
  Touch t{w, in, lane, uint32_t(offset), uint16_t(w.thread(lane)), access};
  Shadow* first = b.shadow + (offset >> b.shadow_shift);
  Shadow* last = b.shadow + ((offset + bytes - 1) >> b.shadow_shift);
  for (Shadow* c = first; c <= last; ++c) {
    if (access != Access::Write) t.read(*c);
    if (access != Access::Read) t.write(*c);
  }
  return b.shared + offset;
}

// The same for a warp, with the usual cases decided in place: a cell that was written before the
// last barrier is read, or a cell that nobody has touched since is written.
void shared_span(Warp& w, const Insn& in, Mask m, const uint64_t* address, uint32_t bytes,
                 Access access, uint8_t** out) {
  Block& b = *w.block;
  Range r(m, address);
  bool plain = r.low >= kSharedStart && r.high + bytes <= kSharedStart + uint64_t(b.shared_bytes) &&
               !(r.bits & (bytes - 1)) && access != Access::Atomic;
  uint64_t epoch = b.epoch, first = b.first_epoch;
  uint16_t group = uint16_t(kManyInWarp | w.index);
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    if (!plain) {
      out[l] = shared_lane(w, in, l, address[l], bytes, access);
      continue;
    }
    uint32_t offset = uint32_t(address[l] - kSharedStart);
    uint16_t thread = uint16_t(w.thread(l));
    out[l] = b.shared + offset;
    Shadow* last = b.shadow + ((offset + bytes - 1) >> b.shadow_shift);
    for (Shadow* c = b.shadow + (offset >> b.shadow_shift); c <= last; ++c) {
      bool fresh = c->read_epoch != epoch;
      if (access == Access::Read) {
        bool settled = c->write_epoch != epoch && c->write_epoch >= first;
        if (settled && !fresh &&
            (c->reader == kMany || (c->reader == group && c->read_sync == w.sync)))
          continue;
        if (settled && fresh) {
          c->read_epoch = epoch;
          c->reader = thread;
          c->read_sync = w.sync;
        } else
          Touch{w, in, l, offset, thread, access}.read(*c);
      } else if (fresh && c->write_epoch != epoch) {
        c->write_epoch = epoch;
        c->write_sync = w.sync;
        c->writer = thread;
        c->atomic = false;
      } else
        Touch{w, in, l, offset, thread, access}.write(*c);
    }
  }
}

uint8_t* local_lane(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                    Access access) {
  check_aligned(w, in, lane, address, bytes, access);
  uint64_t size = w.block->launch->kernel->local_bytes;
  if (address < kLocalStart || address - kLocalStart + bytes > size)
    fault(w, in, lane, kIllegalAddress,
          std::string(verb(access)) + " out of the thread's local memory of " +
              std::to_string(size) + " bytes, at offset " +
              std::to_string(int64_t(address - kLocalStart)));
  uint64_t stride = (size + 15) / 16 * 16;
  return w.local + lane * stride + (address - kLocalStart);
}

uint8_t* param_lane(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                    Access access) {
  check_aligned(w, in, lane, address, bytes, access);
  const Launch& launch = *w.block->launch;
  if (access != Access::Read || address + bytes > launch.kernel->param_bytes)
    fault(w, in, lane, kIllegalAddress, "an access outside the kernel's parameters");
  return const_cast<uint8_t*>(launch.params) + address;
}

uint8_t* generic_lane(Warp& w, const Insn& in, int lane, uint64_t address, uint32_t bytes,
                      Access access) {
  uint64_t inner = address & ((uint64_t(1) << 56) - 1);
  switch (address >> 56) {
  case kSharedWindow >> 56: return shared_lane(w, in, lane, inner, bytes, access);
  case kLocalWindow >> 56: return local_lane(w, in, lane, inner, bytes, access);
  case kParamWindow >> 56: return param_lane(w, in, lane, inner, bytes, access);
  default: return global_lane(w, in, lane, address, bytes, access);
  }
}

} // namespace

void resolve(Warp& w, const Insn& in, Mask m, uint32_t base, uint32_t bytes, Access access,
             uint8_t** out) {
  alignas(64) uint64_t address[kLanes];
  if (in.flags & kNarrowAddress) {
    const uint32_t* b = w.at<uint32_t>(base);
    lanes(m, [&](int l) { address[l] = b[l] + uint32_t(in.imm); });
  } else {
    const uint64_t* b = w.at<uint64_t>(base);
    lanes(m, [&](int l) { address[l] = b[l] + uint64_t(in.imm); });
  }
  Space space = in.space;
  if (space == Space::Generic) {
    uint64_t bits = 0;
    lanes(m, [&](int l) { bits |= address[l]; });
    if (!(bits >> 56)) space = Space::Global;
  }
  if (space == Space::Global || space == Space::Const)
    return global_span(w, in, m, address, bytes, access, out);
  if (space == Space::Shared) return shared_span(w, in, m, address, bytes, access, out);
  auto lane = space == Space::Local   ? local_lane
              : space == Space::Param ? param_lane
                                      : generic_lane;
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    out[l] = lane(w, in, l, address[l], bytes, access);
  }
}

uint8_t* resolve_lane(Warp& w, const Insn& in, Space space, int lane, uint64_t address,
                      uint32_t bytes) {
  if (space == Space::Shared) return shared_lane(w, in, lane, address, bytes, Access::Write);
  return global_lane(w, in, lane, address, bytes, Access::Read);
}

// ---- global memory: CUDASIM_RACE=1 ----------------------------------------------------------

namespace {

struct LastWrite {
  uint64_t block, epoch;
  uint32_t thread;
  uint8_t value;
};
std::unordered_map<const uint8_t*, LastWrite> last_writes; // of this launch

} // namespace

void forget_writes() { last_writes.clear(); }

void note_writes(Warp& w, const Insn& in, Mask m, uint8_t* const* at, uint32_t bytes) {
  if (in.space != Space::Global) return;
  const Block& b = *w.block;
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    for (uint32_t k = 0; k < bytes; ++k) {
      LastWrite now{b.number, b.epoch, w.thread(l), at[l][k]};
      auto [it, first] = last_writes.try_emplace(at[l] + k, now);
      const LastWrite& old = it->second;
      bool ordered = old.block == now.block && (old.thread == now.thread || old.epoch != now.epoch);
      if (!first && !ordered && old.value != now.value)
        fault(w, in, l, kLaunchFailed,
              "race on global memory: thread " + std::to_string(old.thread) + " of block number " +
                  std::to_string(old.block) + " has stored another value here");
      it->second = now;
    }
  }
}

} // namespace cudasim
