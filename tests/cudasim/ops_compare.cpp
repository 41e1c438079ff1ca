// Comparisons: setp with its logical tail, and set.
#include "half.h"

namespace cudasim {

namespace {

// A bit per lane; a table of bits lets the compiler compare whole vectors.
alignas(64) constexpr uint32_t lane_bits[kLanes] = {
    1u << 0,  1u << 1,  1u << 2,  1u << 3,  1u << 4,  1u << 5,  1u << 6,  1u << 7,
    1u << 8,  1u << 9,  1u << 10, 1u << 11, 1u << 12, 1u << 13, 1u << 14, 1u << 15,
    1u << 16, 1u << 17, 1u << 18, 1u << 19, 1u << 20, 1u << 21, 1u << 22, 1u << 23,
    1u << 24, 1u << 25, 1u << 26, 1u << 27, 1u << 28, 1u << 29, 1u << 30, 1u << 31};

template<class T, auto F>
void compare(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const T *a = w.at<T>(in.o[1]), *b = w.at<T>(in.o[2]);
  uint32_t r = 0;
  if (m == kFull) {
    for (int l = 0; l < kLanes; ++l) r |= F(a[l], b[l]) ? lane_bits[l] : 0;
    *d = r;
    return;
  }
  for (Mask rest = m; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    r |= uint32_t(F(a[l], b[l])) << l;
  }
  *d = (*d & ~m) | r;
}

// Compares halves through a widened copy.
template<class H, auto F>
void compare_half(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const uint16_t *a = w.at<uint16_t>(in.o[1]), *b = w.at<uint16_t>(in.o[2]);
  uint32_t r = 0;
  for (Mask rest = m; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    r |= uint32_t(F(H::widen(a[l]), H::widen(b[l]))) << l;
  }
  *d = (*d & ~m) | r;
}

constexpr auto eq = [](auto x, auto y) { return x == y; };
constexpr auto ne = [](auto x, auto y) { return x < y || x > y; };
constexpr auto lt = [](auto x, auto y) { return x < y; };
constexpr auto le = [](auto x, auto y) { return x <= y; };
constexpr auto gt = [](auto x, auto y) { return x > y; };
constexpr auto ge = [](auto x, auto y) { return x >= y; };
constexpr auto equ = [](auto x, auto y) { return !(x < y || x > y); };
constexpr auto neu = [](auto x, auto y) { return !(x == y); };
constexpr auto ltu = [](auto x, auto y) { return !(x >= y); };
constexpr auto leu = [](auto x, auto y) { return !(x > y); };
constexpr auto gtu = [](auto x, auto y) { return !(x <= y); };
constexpr auto geu = [](auto x, auto y) { return !(x < y); };
constexpr auto num = [](auto x, auto y) { return x == x && y == y; };
constexpr auto nan_of = [](auto x, auto y) { return x != x || y != y; };

template<auto F>
Handler pick_compare(Raw& raw, Type t) {
  switch (t) {
  case Type::F16: return compare_half<F16, F>;
  case Type::BF16: return compare_half<BF16, F>;
  case Type::F32:
  case Type::F64: return pick_float(raw, t, []<class T>() -> Handler { return compare<T, F>; });
  default: return pick_int(raw, t, []<class T>() -> Handler { return compare<T, F>; });
  }
}

Handler pick_by_name(Raw& raw, std::string_view name, Type t) {
  static const std::map<std::string_view, Handler (*)(Raw&, Type)> table = {
      {"eq", pick_compare<eq>},   {"ne", pick_compare<ne>},   {"lt", pick_compare<lt>},
      {"le", pick_compare<le>},   {"gt", pick_compare<gt>},   {"ge", pick_compare<ge>},
      {"lo", pick_compare<lt>},   {"ls", pick_compare<le>},   {"hi", pick_compare<gt>},
      {"hs", pick_compare<ge>},   {"equ", pick_compare<equ>}, {"neu", pick_compare<neu>},
      {"ltu", pick_compare<ltu>}, {"leu", pick_compare<leu>}, {"gtu", pick_compare<gtu>},
      {"geu", pick_compare<geu>}, {"num", pick_compare<num>}, {"nan", pick_compare<nan_of>}};
  auto it = table.find(name);
  if (it == table.end()) raw.reject("the comparison is not understood");
  raw.take(name);
  return it->second(raw, t);
}

// d = (negate ? !a : a) op c; imm: 0 and, 1 or, 2 xor; flags: negate
void combine(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  uint32_t a = *w.at<uint32_t>(in.o[1]), c = *w.at<uint32_t>(in.o[2]);
  if (in.flags) a = ~a;
  uint32_t r = in.imm == 0 ? a & c : in.imm == 1 ? a | c : a ^ c;
  *d = (*d & ~m) | (r & m);
}

int64_t read_combination(Raw& raw) {
  return raw.take("and") ? 0 : raw.take("or") ? 1 : raw.take("xor") ? 2 : -1;
}

void set_predicate(Builder& b, Raw& raw) {
  int64_t tail = read_combination(raw);
  bool ftz = raw.take("ftz");
  Type t = raw.type();
  Handler h = pick_by_name(raw, raw.mods[0], t);
  expect_operands(raw, tail < 0 ? 3 : 4);
  bool two = raw.ops[0].kind == Operand::Vector;
  auto out = [&](const Operand& op) {
    return op.kind == Operand::Sink ? b.scratch(0) : b.predicate(raw, op);
  };
  uint32_t p = two ? out(raw.ops[0].parts[0]) : out(raw.ops[0]);
  uint32_t x = b.source(raw, raw.ops[1], t), y = b.source(raw, raw.ops[2], t);
  if (ftz && t == Type::F32)
    for (uint32_t* v : {&x, &y}) {
      uint32_t flushed = b.scratch(4);
      b.emit(raw, op1<float, float, flush>, {flushed, *v});
      *v = flushed;
    }
  if (!two && tail < 0) {
    b.emit(raw, h, {p, x, y});
    return;
  }
  uint32_t q = two ? out(raw.ops[0].parts[1]) : kNone;
  uint32_t c = tail < 0 ? b.constant(kFull, 0) : b.predicate(raw, raw.ops[3]);
  uint32_t raw_result = b.scratch(0);
  b.emit(raw, h, {raw_result, x, y});
  b.emit(raw, combine, {p, raw_result, c}).imm = std::max<int64_t>(tail, 0);
  if (!two) return;
  Insn& in = b.emit(raw, combine, {q, raw_result, c});
  in.imm = std::max<int64_t>(tail, 0);
  in.flags = 1;
}

void ones_or_zero(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  uint32_t p = *w.at<uint32_t>(in.o[1]);
  lanes(m, [&](int l) { d[l] = p >> l & 1 ? in.flags : 0; });
}

void set_value(Builder& b, Raw& raw) {
  int64_t tail = read_combination(raw);
  if (tail >= 0) raw.reject("the form with a third operand is not supported");
  Type d = raw.type(), t = raw.type();
  if (size_of(d) != 4) raw.reject("the destination has 32 bits");
  Handler h = pick_by_name(raw, raw.mods[0], t);
  expect_operands(raw, 3);
  uint32_t p = b.scratch(0);
  b.emit(raw, h, {p, b.source(raw, raw.ops[1], t), b.source(raw, raw.ops[2], t)});
  b.emit(raw, ones_or_zero, {b.target(raw, raw.ops[0], d), p}).flags =
      d == Type::F32 ? as_bits(1.0f) : kFull;
}

} // namespace

void register_compare(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {{"setp", set_predicate},
                                                             {"set", set_value}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
