// Registers, constants and the layout of the register file of a kernel under construction.
#include <algorithm>

#include "compiler.h"
#include "unit.h"

namespace cudasim {

void Raw::reject(const std::string& why) const {
  throw Fault(kInvalidPtx,
              "PTX line " + std::to_string(line) + ": `" + std::string(opcode) + "`: " + why);
}

bool Raw::take(std::string_view mod) {
  for (size_t i = 0; i < mods.size(); ++i)
    if (mods[i] == mod && !(used >> i & 1)) {
      used |= uint64_t(1) << i;
      return true;
    }
  return false;
}

bool Raw::has_type() const {
  for (size_t i = 0; i < mods.size(); ++i)
    if (!(used >> i & 1) && type_named(mods[i])) return true;
  return false;
}

Type Raw::type() {
  for (size_t i = 0; i < mods.size(); ++i)
    if (!(used >> i & 1))
      if (auto t = type_named(mods[i])) {
        used |= uint64_t(1) << i;
        return *t;
      }
  reject("a type is missing");
}

namespace {

uint64_t real_bits(const Operand& op, Type t) {
  double v = op.kind == Operand::Real ? op.real : double(op.integer);
  uint64_t bits = 0;
  if (size_of(t) == 8)
    std::memcpy(&bits, &v, 8);
  else {
    float f = float(v);
    std::memcpy(&bits, &f, 4);
    if (op.real_bits == 32) bits = uint32_t(op.integer); // keeps the payload of a NaN
  }
  return bits;
}

} // namespace

uint32_t Builder::constant(uint64_t low, uint8_t width, uint64_t high) {
  if (width && width < 8) low &= (uint64_t(1) << width * 8) - 1;
  auto [it, fresh] = constants.try_emplace({low, high, width}, uint32_t(virtuals.size()));
  if (fresh) virtuals.push_back({Virtual::Constant, width, {}, low, high});
  return it->second;
}

uint32_t Builder::scratch(uint8_t width) {
  virtuals.push_back({Virtual::Register, width});
  return uint32_t(virtuals.size() - 1);
}

uint32_t Builder::special(Special s) {
  auto [it, fresh] = specials.try_emplace(s, uint32_t(virtuals.size()));
  if (fresh) virtuals.push_back({Virtual::SpecialRegister, 4, s});
  return it->second;
}

uint32_t Builder::source(Raw& raw, const Operand& op, Type t, bool exact) {
  int bytes = size_of(t);
  switch (op.kind) {
  case Operand::Register: {
    if (op.negate) raw.reject("`!` belongs to predicates only");
    int have = width(op.reg);
    if (exact ? have != bytes : have < bytes || have == 0)
      raw.reject("a register of " + std::to_string(have) + " bytes where " + std::to_string(bytes) +
                 " are asked for");
    return op.reg;
  }
  case Operand::Integer:
    if (is_float(t) && (t == Type::F32 || t == Type::F64)) return constant(real_bits(op, t), bytes);
    return constant(uint64_t(op.integer), uint8_t(bytes), op.integer < 0 ? ~uint64_t(0) : 0);
  case Operand::Real:
    if (bytes != 4 && bytes != 8) raw.reject("a floating constant does not fit here");
    return constant(real_bits(op, t), uint8_t(bytes));
  default: raw.reject("an operand is not a register or a number");
  }
}

uint32_t Builder::target(Raw& raw, const Operand& op, Type t, bool exact) {
  int bytes = size_of(t);
  if (op.kind == Operand::Sink) return scratch(uint8_t(bytes));
  if (op.kind != Operand::Register) raw.reject("the destination is not a register");
  int have = width(op.reg);
  if (exact ? have != bytes : have < bytes || have == 0)
    raw.reject("a destination of " + std::to_string(have) + " bytes where " +
               std::to_string(bytes) + " are asked for");
  if (virtuals[op.reg].kind != Virtual::Register) raw.reject("a special register is read-only");
  return op.reg;
}

namespace {
void negate_predicate(Warp& w, const Insn& in, Mask m);
}

uint32_t Builder::predicate(Raw& raw, const Operand& op) {
  if (op.kind == Operand::Integer) return constant(op.integer ? kFull : 0, 0);
  if (op.kind != Operand::Register || width(op.reg) != 0) raw.reject("a predicate is asked for");
  if (!op.negate) return op.reg;
  uint32_t opposite = scratch(0);
  emit(raw, negate_predicate, {opposite, op.reg});
  return opposite;
}

Insn& Builder::emit(Raw& raw, Handler h, std::initializer_list<uint32_t> operands, int defs) {
  Insn& in = kernel.code.emplace_back();
  Slots& s = slots.emplace_back();
  in.run = h;
  in.line = raw.line;
  in.pred = pred;
  in.negate = pred_negate;
  int k = 0;
  for (uint32_t v : operands) {
    in.o[k] = v;
    if (v != kNone) (k < defs ? s.defs : s.uses) |= 1u << k;
    ++k;
  }
  return in;
}

} // namespace cudasim

#include "machine.h"

namespace cudasim {
namespace {

void negate_predicate(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  *d = (*d & ~m) | (~*w.at<uint32_t>(in.o[1]) & m);
}

// Blocks of straight code and which registers live across them.
struct Liveness {
  const Builder& b;
  std::vector<uint32_t> start;             // first instruction of each block
  std::vector<std::vector<uint32_t>> next; // successors
  std::vector<std::vector<uint64_t>> in, out, uses, defs;
  size_t words;

  explicit Liveness(const Builder& builder) : b(builder), words((b.virtuals.size() + 63) / 64) {
    split();
    for (auto* sets : {&in, &out, &uses, &defs})
      sets->assign(start.size(), std::vector<uint64_t>(words));
    for (size_t k = 0; k < start.size(); ++k) summarize(k);
    for (bool again = true; again;) {
      again = false;
      for (size_t k = start.size(); k-- > 0;) again |= flow(k);
    }
  }

  uint32_t end_of(size_t k) const {
    return k + 1 < start.size() ? start[k + 1] : uint32_t(b.kernel.code.size());
  }

  template<class F>
  static void each(const Builder& b, uint32_t i, bool defs, F f) {
    const auto& s = b.slots[i];
    const Insn& insn = b.kernel.code[i];
    for (uint32_t m = defs ? s.defs : s.uses; m; m &= m - 1) f(insn.o[__builtin_ctz(m)]);
    for (uint64_t m = defs ? s.more_defs : s.more_uses; m; m &= m - 1)
      f(b.kernel.more[insn.more][__builtin_ctzll(m)]);
    if (!defs && insn.pred != kNone) f(insn.pred);
  }

 private:
  void split() {
    const auto& code = b.kernel.code;
    std::vector<char> leader(code.size() + 1);
    leader[0] = 1;
    for (size_t i = 0; i < code.size(); ++i) {
      if (code[i].flow == Flow::Branch) leader[code[i].target] = leader[i + 1] = 1;
      if (code[i].flow == Flow::Exit) leader[i + 1] = 1;
      if (code[i].flow == Flow::Table) {
        leader[i + 1] = 1;
        for (uint32_t t : b.kernel.tables[code[i].target]) leader[t] = 1;
      }
    }
    std::vector<uint32_t> block_of(code.size() + 1);
    for (uint32_t i = 0; i < code.size(); ++i) {
      if (leader[i]) start.push_back(i);
      block_of[i] = uint32_t(start.size() - 1);
    }
    next.resize(start.size());
    for (size_t k = 0; k < start.size(); ++k) {
      uint32_t last = end_of(k) - 1;
      const Insn& i = code[last];
      bool falls = !(i.pred == kNone && (i.flow == Flow::Branch || i.flow == Flow::Exit)) &&
                   i.flow != Flow::Table;
      if (falls && last + 1 < code.size()) next[k].push_back(block_of[last + 1]);
      if (i.flow == Flow::Branch) next[k].push_back(block_of[i.target]);
      if (i.flow == Flow::Table)
        for (uint32_t t : b.kernel.tables[i.target]) next[k].push_back(block_of[t]);
    }
  }

  void summarize(size_t k) {
    for (uint32_t i = start[k]; i < end_of(k); ++i) {
      each(b, i, false, [&](uint32_t v) {
        if (!(defs[k][v / 64] >> v % 64 & 1)) uses[k][v / 64] |= uint64_t(1) << v % 64;
      });
      // a guarded write keeps the old value of some lanes, so it does not end a life
      bool guarded = b.kernel.code[i].pred != kNone;
      each(b, i, true, [&](uint32_t v) {
        uint64_t bit = uint64_t(1) << v % 64;
        if (guarded && !(defs[k][v / 64] & bit)) uses[k][v / 64] |= bit;
        if (!guarded) defs[k][v / 64] |= bit;
      });
    }
  }

  bool flow(size_t k) {
    bool changed = false;
    for (size_t w = 0; w < words; ++w) {
      uint64_t o = 0;
      for (uint32_t s : next[k]) o |= in[s][w];
      uint64_t i = uses[k][w] | (o & ~defs[k][w]);
      changed |= i != in[k][w];
      out[k][w] = o;
      in[k][w] = i;
    }
    return changed;
  }
};

struct Interval {
  uint32_t reg, from, to;
};

std::vector<Interval> intervals(const Builder& b) {
  Liveness life(b);
  std::vector<Interval> all(b.virtuals.size(), {0, kNone, 0});
  auto cover = [&](uint32_t v, uint32_t from, uint32_t to) {
    all[v].from = std::min(all[v].from, from);
    all[v].to = std::max(all[v].to, to);
  };
  for (size_t k = 0; k < life.start.size(); ++k) {
    uint32_t first = life.start[k], last = life.end_of(k);
    for (size_t w = 0; w < life.words; ++w) {
      for (uint64_t m = life.in[k][w]; m; m &= m - 1) {
        uint32_t v = uint32_t(w * 64 + __builtin_ctzll(m));
        cover(v, first, first);
        if (life.out[k][w] >> v % 64 & 1) cover(v, first, last);
      }
      for (uint64_t m = life.out[k][w]; m; m &= m - 1)
        cover(uint32_t(w * 64 + __builtin_ctzll(m)), last, last);
    }
    for (uint32_t i = first; i < last; ++i) {
      // an instruction may write one destination before it has read all sources: no sharing there
      Liveness::each(b, i, false, [&](uint32_t v) { cover(v, i, i + 1); });
      Liveness::each(b, i, true, [&](uint32_t v) { cover(v, i, i + 1); });
    }
  }
  std::vector<Interval> used;
  for (uint32_t v = 0; v < all.size(); ++v)
    if (all[v].from != kNone && b.virtuals[v].kind == Virtual::Register)
      used.push_back({v, all[v].from, all[v].to});
  std::sort(used.begin(), used.end(), [](auto& x, auto& y) { return x.from < y.from; });
  return used;
}

uint32_t bytes_of(const Virtual& v) { return v.width ? v.width * kLanes : 4; }

uint32_t place(uint32_t& end, uint32_t bytes) {
  uint32_t align = bytes < 64 ? 4 : 64;
  end = (end + align - 1) / align * align;
  uint32_t at = end;
  end += bytes;
  return at;
}

// Constants come first, then the special registers, then the others share places by their lives.
std::vector<uint32_t> lay_out(Builder& b) {
  Kernel& k = b.kernel;
  std::vector<uint32_t> where(b.virtuals.size(), kNone);
  uint32_t end = 0;
  for (uint32_t v = 0; v < b.virtuals.size(); ++v) {
    const Virtual& c = b.virtuals[v];
    if (c.kind != Virtual::Constant) continue;
    where[v] = place(end, bytes_of(c));
    k.constants.resize(end);
    uint8_t* at = k.constants.data() + where[v];
    uint64_t bits[2] = {c.low, c.high};
    if (!c.width) std::memcpy(at, bits, 4);
    for (int l = 0; c.width && l < kLanes; ++l) std::memcpy(at + l * c.width, bits, c.width);
  }
  for (auto& [s, v] : b.specials) {
    where[v] = place(end, bytes_of(b.virtuals[v]));
    k.specials.push_back({s, where[v]});
  }
  std::map<uint32_t, std::vector<uint32_t>> idle;  // free places by size
  std::vector<std::pair<uint32_t, uint32_t>> heap; // (end of life, register)
  auto later = std::greater<>();
  for (const Interval& i : intervals(b)) {
    while (!heap.empty() && heap.front().first < i.from) {
      std::pop_heap(heap.begin(), heap.end(), later);
      uint32_t gone = heap.back().second;
      idle[bytes_of(b.virtuals[gone])].push_back(where[gone]);
      heap.pop_back();
    }
    auto& free_places = idle[bytes_of(b.virtuals[i.reg])];
    if (free_places.empty())
      where[i.reg] = place(end, bytes_of(b.virtuals[i.reg]));
    else {
      where[i.reg] = free_places.back();
      free_places.pop_back();
    }
    heap.push_back({i.to, i.reg});
    std::push_heap(heap.begin(), heap.end(), later);
  }
  k.register_bytes = (end + 63) / 64 * 64;
  return where;
}

} // namespace

void finish(Builder& b) {
  std::vector<uint32_t> where = lay_out(b);
  for (size_t i = 0; i < b.kernel.code.size(); ++i) {
    Insn& in = b.kernel.code[i];
    const auto& s = b.slots[i];
    for (uint32_t m = s.defs | s.uses; m; m &= m - 1) {
      uint32_t& o = in.o[__builtin_ctz(m)];
      o = where[o];
    }
    if (in.pred != kNone) in.pred = where[in.pred];
    for (uint64_t m = s.more_defs | s.more_uses; m; m &= m - 1) {
      uint32_t& o = b.kernel.more[in.more][__builtin_ctzll(m)];
      o = where[o];
    }
  }
  b.kernel.registers = uint32_t(std::min<size_t>(255, b.kernel.register_bytes / 128 + 8));
}

} // namespace cudasim
