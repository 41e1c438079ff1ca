// What the lanes of a warp and the threads of a block do together: barriers, shuffles, votes.
#include <algorithm>

#include "ops.h"

namespace cudasim {

namespace {

constexpr uint32_t kWarpMode = 3; // of a shuffle: 0 idx, 1 up, 2 down, 3 bfly

// o: d, p, a, b, c, mask
template<class T>
void shuffle(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  uint32_t* p = in.o[1] == kNone ? nullptr : w.at<uint32_t>(in.o[1]);
  const T* a = w.at<T>(in.o[2]);
  const uint32_t *b = w.at<uint32_t>(in.o[3]), *c = w.at<uint32_t>(in.o[4]);
  const uint32_t* named = w.at<uint32_t>(in.o[5]);
  T old[kLanes];
  std::copy(a, a + kLanes, old);
  for (Mask rest = m; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    int step = int(b[l] & 31), clamp = int(c[l] & 31), seg = int(c[l] >> 8 & 31);
    int top = (l & seg) | (clamp & ~seg), j = l;
    bool inside = true;
    switch (in.flags & kWarpMode) {
    case 0:
      j = (l & seg) | (step & ~seg);
      inside = j <= top;
      break;
    case 1:
      j = l - step;
      inside = j >= top;
      break;
    case 2:
      j = l + step;
      inside = j <= top;
      break;
    default: j = l ^ step; inside = j <= top;
    }
    if (!inside) j = l;
    if (!(named[l] >> j & 1))
      fault(w, in, l, kLaunchFailed,
            "a shuffle reads lane " + std::to_string(j) + ", which its mask does not name");
    d[l] = old[j];
    if (p) *p = inside ? *p | 1u << l : *p & ~(1u << l);
  }
}

void make_collective(Insn& in, uint32_t mask_at) {
  in.flow = Flow::Collective;
  in.count = uint8_t(mask_at);
}

void shuffle_lanes(Builder& b, Raw& raw) {
  if (!raw.take("sync")) raw.reject("only the .sync form is supported");
  uint32_t mode = raw.take("idx") ? 0 : raw.take("up") ? 1 : raw.take("down") ? 2 : 3;
  if (mode == 3 && !raw.take("bfly")) raw.reject("one of .idx .up .down .bfly is missing");
  raw.type();
  expect_operands(raw, 5);
  bool pair = raw.ops[0].kind == Operand::Vector;
  const Operand& d = pair ? raw.ops[0].parts[0] : raw.ops[0];
  uint32_t p = kNone;
  if (pair && raw.ops[0].parts[1].kind != Operand::Sink) p = b.predicate(raw, raw.ops[0].parts[1]);
  Type u = Type::B32;
  Insn& in =
      b.emit(raw, shuffle<uint32_t>,
             {b.target(raw, d, u), p, b.source(raw, raw.ops[1], u), b.source(raw, raw.ops[2], u),
              b.source(raw, raw.ops[3], u), b.source(raw, raw.ops[4], u)},
             2);
  in.flags = mode;
  make_collective(in, 5);
}

// o: d, p, mask; flags: 0 ballot, 1 all, 2 any, 3 uni
void vote(Warp& w, const Insn& in, Mask m) {
  uint32_t votes = *w.at<uint32_t>(in.o[1]) & m;
  if (in.flags == 0) {
    uint32_t* d = w.at<uint32_t>(in.o[0]);
    lanes(m, [&](int l) { d[l] = votes; });
    return;
  }
  bool r = in.flags == 1 ? votes == m : in.flags == 2 ? votes != 0 : votes == m || !votes;
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  *d = r ? *d | m : *d & ~m;
}

void vote_lanes(Builder& b, Raw& raw) {
  if (!raw.take("sync")) raw.reject("only the .sync form is supported");
  uint32_t mode = raw.take("ballot") ? 0 : raw.take("all") ? 1 : raw.take("any") ? 2 : 3;
  if (mode == 3 && !raw.take("uni")) raw.reject("one of .ballot .all .any .uni is missing");
  Type t = raw.type();
  expect_operands(raw, 3);
  uint32_t d = t == Type::Pred ? b.predicate(raw, raw.ops[0]) : b.target(raw, raw.ops[0], t);
  uint32_t p = b.predicate(raw, raw.ops[1]);
  Insn& in = b.emit(raw, vote, {d, p, b.source(raw, raw.ops[2], Type::B32)});
  in.flags = mode;
  make_collective(in, 2);
}

// o: d, p, a, mask; flags: 1 all
template<class T>
void match(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const T* a = w.at<T>(in.o[2]);
  uint32_t r[kLanes] = {};
  for (Mask x = m; x; x &= x - 1)
    for (Mask y = m; y; y &= y - 1)
      if (a[__builtin_ctz(x)] == a[__builtin_ctz(y)]) r[__builtin_ctz(x)] |= y & -y;
  bool all = r[__builtin_ctz(m)] == m;
  lanes(m, [&](int l) { d[l] = in.flags ? (all ? m : 0) : r[l]; });
  if (in.flags && in.o[1] != kNone) {
    uint32_t* p = w.at<uint32_t>(in.o[1]);
    *p = all ? *p | m : *p & ~m;
  }
}

void match_lanes(Builder& b, Raw& raw) {
  bool all = raw.take("all");
  if (!all && !raw.take("any")) raw.reject("one of .all .any is missing");
  raw.take("sync");
  Type t = raw.type();
  expect_operands(raw, 3);
  bool pair = raw.ops[0].kind == Operand::Vector;
  const Operand& d = pair ? raw.ops[0].parts[0] : raw.ops[0];
  uint32_t p = pair && raw.ops[0].parts[1].kind != Operand::Sink
                   ? b.predicate(raw, raw.ops[0].parts[1])
                   : kNone;
  Handler h = size_of(t) == 8 ? match<uint64_t> : match<uint32_t>;
  Insn& in = b.emit(raw, h,
                    {b.target(raw, d, Type::B32), p, b.source(raw, raw.ops[1], t),
                     b.source(raw, raw.ops[2], Type::B32)},
                    2);
  in.flags = all;
  make_collective(in, 3);
}

// o: d, a, mask; flags: 0 add, 1 min, 2 max, 3 and, 4 or, 5 xor
template<class T>
void reduce(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  const T* a = w.at<T>(in.o[1]);
  T r = a[__builtin_ctz(m)];
  for (Mask x = m & (m - 1); x; x &= x - 1) {
    T v = a[__builtin_ctz(x)];
    switch (in.flags) {
    case 0: r = T(r + v); break;
    case 1: r = std::min(r, v); break;
    case 2: r = std::max(r, v); break;
    case 3: r = T(r & v); break;
    case 4: r = T(r | v); break;
    default: r = T(r ^ v);
    }
  }
  lanes(m, [&](int l) { d[l] = r; });
}

void reduce_lanes(Builder& b, Raw& raw) {
  raw.take("sync");
  static const char* const names[] = {"add", "min", "max", "and", "or", "xor"};
  uint32_t op = 0;
  while (op < 6 && !raw.take(names[op])) ++op;
  if (op == 6) raw.reject("the operation is not supported");
  Type t = raw.type();
  expect_operands(raw, 3);
  Insn& in = b.emit(raw, t == Type::S32 ? reduce<int32_t> : reduce<uint32_t>,
                    {b.target(raw, raw.ops[0], t), b.source(raw, raw.ops[1], t),
                     b.source(raw, raw.ops[2], Type::B32)});
  in.flags = op;
  make_collective(in, 2);
}

void active(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  lanes(m, [&](int l) { d[l] = m; });
}

void active_mask(Builder& b, Raw& raw) {
  raw.type();
  expect_operands(raw, 1);
  b.emit(raw, active, {b.target(raw, raw.ops[0], Type::B32)});
}

// ---- barriers -------------------------------------------------------------------------------

void warp_barrier(Warp& w, const Insn&, Mask) { ++w.sync; }
void reduction_marker(Warp&, const Insn&, Mask) {}

// o: result of a reduction, id, count, predicate
void barrier(Builder& b, Raw& raw) {
  raw.take("cta");
  raw.take("aligned");
  if (raw.take("warp")) {
    raw.take("sync");
    expect_operands(raw, 1);
    make_collective(b.emit(raw, warp_barrier, {b.source(raw, raw.ops[0], Type::B32)}, 0), 0);
    return;
  }
  Type u = Type::U32;
  if (raw.take("red")) {
    uint32_t op = raw.take("popc") ? 1 : raw.take("and") ? 2 : raw.take("or") ? 3 : 0;
    if (!op) raw.reject("one of .popc .and .or is missing");
    raw.type();
    size_t n = raw.ops.size();
    if (n != 3 && n != 4) raw.reject("three or four operands expected");
    uint32_t d = op == 1 ? b.target(raw, raw.ops[0], u) : b.predicate(raw, raw.ops[0]);
    uint32_t p = b.predicate(raw, raw.ops[n - 1]);
    uint32_t id = b.source(raw, raw.ops[1], u);
    Insn& in =
        b.emit(raw, reduction_marker, {d, id, n == 4 ? b.source(raw, raw.ops[2], u) : kNone, p});
    in.flow = Flow::Barrier;
    in.flags = op;
    return;
  }
  if (!raw.take("sync")) raw.reject("only .sync and .red are supported");
  if (raw.ops.empty() || raw.ops.size() > 2) raw.reject("one or two operands expected");
  uint32_t id = b.source(raw, raw.ops[0], u);
  uint32_t count = raw.ops.size() == 2 ? b.source(raw, raw.ops[1], u) : kNone;
  b.emit(raw, nullptr, {kNone, id, count}).flow = Flow::Barrier;
}

// ---- ends -----------------------------------------------------------------------------------

void trap(Warp& w, const Insn& in, Mask m) {
  fault(w, in, __builtin_ctz(m), kLaunchFailed, "the kernel ran into `trap`");
}

void stop(Builder& b, Raw& raw) { b.emit(raw, trap, {}); }

void nothing(Builder&, Raw& raw) {
  for (auto mod : {"u32", "launch_dependents", "wait"}) raw.take(mod);
}

} // namespace

void register_warp(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {{"shfl", shuffle_lanes},
                                                             {"vote", vote_lanes},
                                                             {"match", match_lanes},
                                                             {"redux", reduce_lanes},
                                                             {"activemask", active_mask},
                                                             {"bar", barrier},
                                                             {"barrier", barrier},
                                                             {"trap", stop},
                                                             {"brkpt", stop},
                                                             {"nanosleep", nothing},
                                                             {"griddepcontrol", nothing},
                                                             {"pmevent", nothing}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
