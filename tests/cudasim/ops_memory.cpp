// Loads and stores of every space, and fences.
#include <algorithm>

#include "ops.h"

namespace cudasim {

Builder::Place Builder::address(Raw& raw, const Operand& op, Space space) {
  if (op.kind != Operand::Address) raw.reject("an address in brackets is asked for");
  if (op.space == Space::Local && space == Space::Param) space = Space::Local; // a call's .param
  if (op.space != Space::Generic && op.space != space && space != Space::Generic &&
      !(op.space == Space::Const && space == Space::Global))
    raw.reject("the variable lies in another address space");
  if (op.space != Space::Generic && space == Space::Generic) space = op.space;
  if (op.reg == kNone) return {constant(uint64_t(op.integer), 8), 0, false, space};
  int bytes = width(op.reg);
  if (bytes != 4 && bytes != 8) raw.reject("an address has 32 or 64 bits");
  return {op.reg, op.integer, bytes == 4, space};
}

void Builder::notice_size(Space space, int bytes) {
  if (space == Space::Shared || space == Space::Generic)
    kernel.grain = std::min<uint32_t>(kernel.grain, uint32_t(bytes));
}

Space read_space(Raw& raw) {
  if (raw.take("global")) return Space::Global;
  if (raw.take("shared") || raw.take("shared::cta")) return Space::Shared;
  if (raw.take("local")) return Space::Local;
  if (raw.take("const")) return Space::Const;
  if (raw.take("param") || raw.take("param::entry") || raw.take("param::func")) return Space::Param;
  return Space::Generic;
}

// Orders and cache hints change nothing here: the simulated memory is sequentially consistent.
void ignore_hints(Raw& raw) {
  for (auto hint : {"volatile",
                    "weak",
                    "relaxed",
                    "acquire",
                    "release",
                    "acq_rel",
                    "cta",
                    "gpu",
                    "sys",
                    "cluster",
                    "ca",
                    "cg",
                    "cs",
                    "lu",
                    "cv",
                    "wb",
                    "wt",
                    "nc",
                    "L1::evict_last",
                    "L1::evict_first",
                    "L1::evict_normal",
                    "L1::no_allocate",
                    "L1::evict_unchanged",
                    "L2::64B",
                    "L2::128B",
                    "L2::256B"})
    raw.take(hint);
}

namespace {

struct Wide {
  uint64_t lo, hi;
};

// S is the type in memory, R the integer of the register's width.
template<class S, class R>
void load(Warp& w, const Insn& in, Mask m) {
  alignas(64) uint8_t* p[kLanes];
  resolve(w, in, m, in.o[in.count], uint32_t(sizeof(S)) * in.count, Access::Read, p);
  for (uint32_t k = 0; k < in.count; ++k) {
    R* d = w.at<R>(in.o[k]);
    lanes(m, [&](int l) {
      S v;
      std::memcpy(&v, p[l] + k * sizeof(S), sizeof(S));
      if constexpr (std::is_same_v<S, R>)
        d[l] = v;
      else
        d[l] = R(v);
    });
  }
}

template<class S, class R>
void store(Warp& w, const Insn& in, Mask m) {
  alignas(64) uint8_t* p[kLanes];
  resolve(w, in, m, in.o[in.count], uint32_t(sizeof(S)) * in.count, Access::Write, p);
  for (uint32_t k = 0; k < in.count; ++k) {
    const R* d = w.at<R>(in.o[k]);
    lanes(m, [&](int l) {
      S v;
      if constexpr (std::is_same_v<S, R>)
        v = d[l];
      else
        v = S(d[l]);
      std::memcpy(p[l] + k * sizeof(S), &v, sizeof(S));
    });
  }
  if (modes.race) note_writes(w, in, m, p, uint32_t(sizeof(S)) * in.count);
}

// A parameter of the kernel at a fixed place is the same for all lanes.
template<class S, class R>
void load_param(Warp& w, const Insn& in, Mask m) {
  const uint8_t* p = w.block->launch->params + in.imm;
  for (uint32_t k = 0; k < in.count; ++k) {
    S v;
    std::memcpy(&v, p + k * sizeof(S), sizeof(S));
    R* d = w.at<R>(in.o[k]);
    R wide;
    if constexpr (std::is_same_v<S, R>)
      wide = v;
    else
      wide = R(v);
    lanes(m, [&](int l) { d[l] = wide; });
  }
}

enum class Kind { Load, Store, Param };

template<class S, class R>
Handler of_kind(Kind kind) {
  return kind == Kind::Load ? load<S, R> : kind == Kind::Store ? store<S, R> : load_param<S, R>;
}

template<class S>
Handler with_register(Raw& raw, int bytes, Kind kind) {
  if (bytes == 2 && sizeof(S) <= 2) return of_kind<S, uint16_t>(kind);
  if (bytes == 4 && sizeof(S) <= 4) return of_kind<S, uint32_t>(kind);
  if (bytes == 8) return of_kind<S, uint64_t>(kind);
  raw.reject("the register does not fit the type");
}

Handler pick(Raw& raw, Type t, int bytes, Kind kind) {
  switch (t) {
  case Type::S8: return with_register<int8_t>(raw, bytes, kind);
  case Type::S16: return with_register<int16_t>(raw, bytes, kind);
  case Type::S32: return with_register<int32_t>(raw, bytes, kind);
  case Type::B128: return of_kind<Wide, Wide>(kind);
  default: break;
  }
  switch (size_of(t)) {
  case 1: return with_register<uint8_t>(raw, bytes, kind);
  case 2: return with_register<uint16_t>(raw, bytes, kind);
  case 4: return with_register<uint32_t>(raw, bytes, kind);
  case 8: return with_register<uint64_t>(raw, bytes, kind);
  default: raw.reject("this type cannot be loaded or stored");
  }
}

uint32_t vector_count(Raw& raw, const Operand& op) {
  uint32_t n = raw.take("v2") ? 2 : raw.take("v4") ? 4 : raw.take("v8") ? 8 : 1;
  if (n > 4) raw.reject("vectors of more than four are not supported");
  if (n > 1 && (op.kind != Operand::Vector || op.parts.size() != n))
    raw.reject("the vector has another length than the instruction says");
  return n;
}

void access(Builder& b, Raw& raw, bool is_load) {
  Space space = read_space(raw);
  ignore_hints(raw);
  expect_operands(raw, 2);
  const Operand& data = raw.ops[is_load ? 0 : 1];
  uint32_t n = vector_count(raw, data);
  Type t = raw.type();
  Builder::Place place = b.address(raw, raw.ops[is_load ? 1 : 0], space);
  b.notice_size(place.space, size_of(t));
  uint32_t v[5] = {kNone, kNone, kNone, kNone, kNone};
  int width = 0;
  for (uint32_t k = 0; k < n; ++k) {
    const Operand& op = n > 1 ? data.parts[k] : data;
    Type wide = size_of(t) == 1 ? Type::B16 : t;
    if (op.kind == Operand::Register)
      v[k] = is_load ? b.target(raw, op, t, false) : op.reg;
    else
      v[k] = is_load ? b.target(raw, op, wide) : b.source(raw, op, wide);
    if (k && b.width(v[k]) != width) raw.reject("the parts of the vector have different widths");
    width = b.width(v[k]);
  }
  const Operand& where = raw.ops[is_load ? 1 : 0];
  bool fixed_param = is_load && place.space == Space::Param && where.reg == kNone;
  Kind kind = fixed_param ? Kind::Param : is_load ? Kind::Load : Kind::Store;
  v[n] = fixed_param ? kNone : place.base;
  Insn& in =
      b.emit(raw, pick(raw, t, width, kind), {v[0], v[1], v[2], v[3], v[4]}, is_load ? int(n) : 0);
  in.imm = fixed_param ? where.integer : place.offset;
  in.space = place.space;
  in.count = uint8_t(n);
  in.flags = place.narrow ? kNarrowAddress : 0;
  if (fixed_param && uint64_t(in.imm) + n * size_of(t) > b.kernel.param_bytes)
    raw.reject("the load lies outside the kernel's parameters");
}

void fence(Builder&, Raw& raw) {
  for (auto mod : {"cta", "gl", "gpu", "sys", "sc", "acq_rel", "cluster", "proxy", "async",
                   "mbarrier_init", "release", "acquire"})
    raw.take(mod);
}

void prefetch(Builder&, Raw& raw) {
  for (auto mod : {"global", "L1", "L2", "local"}) raw.take(mod);
}

} // namespace

void register_memory(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {
      {"ld", [](Builder& b, Raw& r) { access(b, r, true); }},
      {"ldu", [](Builder& b, Raw& r) { access(b, r, true); }},
      {"st", [](Builder& b, Raw& r) { access(b, r, false); }},
      {"membar", fence},
      {"fence", fence},
      {"prefetch", prefetch}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
