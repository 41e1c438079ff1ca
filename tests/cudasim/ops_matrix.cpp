// Matrix instructions of a warp (mma, ldmatrix) and asynchronous copies to shared memory.
#include <algorithm>

#include "half.h"

namespace cudasim {

Space read_space(Raw& raw);
void ignore_hints(Raw& raw);

namespace {

// ---- mma: D = A B + C with f32 accumulators ---------------------------------------------------

// The PTX manual lays the fragments out so that lane = 4 g + q holds row g, columns from q on.
double element(Type t, uint32_t bits, int part) {
  if (t == Type::TF32) return as_float(bits & ~0x1fffu);
  uint16_t h = uint16_t(bits >> 16 * part);
  return t == Type::F16 ? F16::widen(h) : BF16::widen(h);
}

// flags: type in the low byte, then k
void multiply_matrices(Warp& w, const Insn& in, Mask m) {
  Type t = Type(in.flags & 255);
  int k = int(in.flags >> 8), packed = t == Type::TF32 ? 1 : 2;
  int step = 4 * packed; // columns that one register spans over the lanes
  const auto& r = w.block->launch->kernel->more[in.more];
  int na = 2 * k / step, nb = k / step;
  double a[16][16] = {}, b[16][8] = {};
  for (int l = 0; l < kLanes; ++l) {
    int g = l / 4, q = l % 4;
    for (int i = 0; i < na; ++i)
      for (int p = 0; p < packed; ++p)
        a[g + 8 * (i & 1)][q * packed + p + step * (i / 2)] =
            element(t, w.at<uint32_t>(r[size_t(4 + i)])[l], p);
    for (int i = 0; i < nb; ++i)
      for (int p = 0; p < packed; ++p)
        b[q * packed + p + step * i][g] = element(t, w.at<uint32_t>(r[size_t(4 + na + i)])[l], p);
  }
  float d[4][kLanes];
  for (int l = 0; l < kLanes; ++l)
    for (int i = 0; i < 4; ++i) {
      int row = l / 4 + 8 * (i / 2), column = 2 * (l % 4) + (i & 1);
      double sum = w.at<float>(r[size_t(4 + na + nb + i)])[l];
      for (int j = 0; j < k; ++j) sum += a[row][j] * b[j][column];
      d[i][l] = float(sum);
    }
  for (int i = 0; i < 4; ++i) {
    float* out = w.at<float>(r[size_t(i)]);
    lanes(m, [&](int l) { out[l] = d[i][l]; });
  }
}

// Every lane must take part: the operation waits for all of them.
void make_whole_warp(Insn& in, uint32_t mask_at) {
  in.flow = Flow::Collective;
  in.count = uint8_t(mask_at);
}

void append(Builder& b, Raw& raw, std::vector<uint32_t>& to, const Operand& op, size_t count,
            bool target) {
  std::vector<Operand> parts = op.kind == Operand::Vector ? op.parts : std::vector<Operand>{op};
  if (parts.size() != count)
    raw.reject("a fragment of " + std::to_string(count) + " registers expected");
  for (auto& p : parts)
    to.push_back(target ? b.target(raw, p, Type::B32) : b.source(raw, p, Type::B32));
}

void matrix_multiply_add(Builder& b, Raw& raw) {
  raw.take("sync");
  raw.take("aligned");
  int k = raw.take("m16n8k16") ? 16 : raw.take("m16n8k8") ? 8 : raw.take("m16n8k4") ? 4 : 0;
  if (!k || !raw.take("row") || !raw.take("col")) raw.reject("this shape is not supported");
  Type d = raw.type(), ta = raw.type(), tb = raw.type(), c = raw.type();
  bool half = ta == Type::F16 || ta == Type::BF16;
  bool known = half ? k >= 8 : ta == Type::TF32 && k <= 8;
  if (d != Type::F32 || c != Type::F32 || ta != tb || !known)
    raw.reject("these types are not supported");
  expect_operands(raw, 4);
  size_t step = half ? 8 : 4, na = 2 * size_t(k) / step, nb = size_t(k) / step;
  std::vector<uint32_t> regs;
  append(b, raw, regs, raw.ops[0], 4, true);
  append(b, raw, regs, raw.ops[1], na, false);
  append(b, raw, regs, raw.ops[2], nb, false);
  append(b, raw, regs, raw.ops[3], 4, false);
  Insn& in = b.emit(raw, multiply_matrices, {b.constant(kFull, 4)}, 0);
  in.flags = uint32_t(ta) | uint32_t(k) << 8;
  in.more = uint32_t(b.kernel.more.size());
  b.slots.back().more_defs = 15;
  b.slots.back().more_uses = ((uint64_t(1) << regs.size()) - 1) & ~uint64_t(15);
  b.kernel.more.push_back(std::move(regs));
  make_whole_warp(in, 0);
}

// ---- ldmatrix ---------------------------------------------------------------------------------

// o: up to four targets, address, mask; flags bit 1: transposed
void load_matrices(Warp& w, const Insn& in, Mask m) {
  uint32_t n = uint32_t(in.target);
  uint8_t* p[kLanes];
  Mask rows = n == 4 ? kFull : (1u << 8 * n) - 1;
  resolve(w, in, rows, in.o[4], 16, Access::Read, p);
  uint32_t r[4][kLanes] = {};
  for (uint32_t i = 0; i < n; ++i)
    for (uint32_t l = 0; l < kLanes; ++l)
      for (uint32_t e = 0; e < 2; ++e) {
        uint32_t row = in.flags & 2 ? l % 4 * 2 + e : l / 4;
        uint32_t column = in.flags & 2 ? l / 4 : l % 4 * 2 + e;
        uint16_t v;
        std::memcpy(&v, p[8 * i + row] + 2 * column, 2);
        r[i][l] |= uint32_t(v) << 16 * e;
      }
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t* d = w.at<uint32_t>(in.o[i]);
    lanes(m, [&](int l) { d[l] = r[i][l]; });
  }
}

void load_matrix(Builder& b, Raw& raw) {
  raw.take("sync");
  raw.take("aligned");
  if (!raw.take("m8n8")) raw.reject("this shape is not supported");
  uint32_t n = raw.take("x4") ? 4 : raw.take("x2") ? 2 : raw.take("x1") ? 1 : 0;
  bool transposed = raw.take("trans");
  if (!n || read_space(raw) != Space::Shared || raw.type() != Type::B16)
    raw.reject("this form is not supported");
  expect_operands(raw, 2);
  std::vector<uint32_t> d;
  append(b, raw, d, raw.ops[0], n, true);
  d.resize(4, kNone);
  Builder::Place place = b.address(raw, raw.ops[1], Space::Shared);
  b.notice_size(Space::Shared, 4);
  Insn& in =
      b.emit(raw, load_matrices, {d[0], d[1], d[2], d[3], place.base, b.constant(kFull, 4)}, 4);
  in.imm = place.offset;
  in.space = Space::Shared;
  in.flags = (place.narrow ? kNarrowAddress : 0) | (transposed ? 2 : 0);
  in.target = n;
  make_whole_warp(in, 5);
}

// ---- cp.async: the bytes arrive no sooner than the thread waits for them ----------------------

uint64_t address_at(Warp& w, uint32_t reg, bool narrow, int lane) {
  return narrow ? w.at<uint32_t>(reg)[lane] : w.at<uint64_t>(reg)[lane];
}

// o: shared address, global address, bytes to read (or none); count: bytes to write
// flags: 1 and 2: narrow addresses; target: offset of the global one
void copy_later(Warp& w, const Insn& in, Mask m) {
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Pending p{&in, l, 0, address_at(w, in.o[0], in.flags & 1, l) + uint64_t(in.imm), in.count, {}};
    uint32_t bytes = in.o[2] == kNone ? in.count : w.at<uint32_t>(in.o[2])[l];
    uint64_t from = address_at(w, in.o[1], in.flags & 2, l) + uint64_t(int64_t(int32_t(in.target)));
    if (bytes > in.count) fault(w, in, l, kLaunchFailed, "cp.async reads more than it writes");
    if (bytes) std::memcpy(p.data, resolve_lane(w, in, Space::Global, l, from, in.count), bytes);
    w.pending.push_back(p);
  }
}

void commit(Warp& w, const Insn&, Mask m) {
  for (Pending& p : w.pending)
    if (m >> p.lane & 1) ++p.age;
}

// Completes the groups of the lanes but for the newest `imm`; -1: also what is not committed.
void wait_copies(Warp& w, const Insn& in, Mask m) {
  auto done = [&](Pending& p) {
    if (!(m >> p.lane & 1) || p.age <= in.imm) return false;
    std::memcpy(resolve_lane(w, *p.insn, Space::Shared, p.lane, p.to, p.bytes), p.data, p.bytes);
    return true;
  };
  w.pending.erase(std::remove_if(w.pending.begin(), w.pending.end(), done), w.pending.end());
}

void asynchronous_copy(Builder& b, Raw& raw) {
  if (!raw.take("async")) raw.reject("only cp.async is supported");
  if (raw.take("commit_group")) return void(b.emit(raw, commit, {}));
  bool all = raw.take("wait_all");
  if (all || raw.take("wait_group")) {
    if (!all) expect_operands(raw, 1);
    int64_t keep = all ? -1 : raw.ops[0].integer;
    b.emit(raw, wait_copies, {}).imm = keep;
    return;
  }
  if (!raw.take("ca") && !raw.take("cg")) raw.reject("one of .ca .cg is missing");
  if (!raw.take("shared") && !raw.take("shared::cta")) raw.reject("the target is not shared");
  if (!raw.take("global")) raw.reject("the source is not global");
  ignore_hints(raw);
  if (raw.ops.size() != 3 && raw.ops.size() != 4) raw.reject("three or four operands expected");
  int64_t bytes = raw.ops[2].integer;
  if (bytes != 4 && bytes != 8 && bytes != 16) raw.reject("4, 8 or 16 bytes expected");
  Builder::Place to = b.address(raw, raw.ops[0], Space::Shared);
  Builder::Place from = b.address(raw, raw.ops[1], Space::Global);
  uint32_t read = raw.ops.size() == 4 ? b.source(raw, raw.ops[3], Type::U32) : kNone;
  Insn& in = b.emit(raw, copy_later, {to.base, from.base, read}, 0);
  in.imm = to.offset;
  in.target = uint32_t(from.offset);
  in.count = uint8_t(bytes);
  in.flags = (to.narrow ? 1 : 0) | (from.narrow ? 2 : 0);
}

} // namespace

void register_matrix(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {
      {"mma", matrix_multiply_add}, {"ldmatrix", load_matrix}, {"cp", asynchronous_copy}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
