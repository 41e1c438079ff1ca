// Moves, selections, bitwise logic, shifts and bit fields.
#include "ops.h"

namespace cudasim {

namespace {

template<class T>
constexpr uint32_t bits_of = uint32_t(sizeof(T) * 8);

// ---- mov ------------------------------------------------------------------------------------

constexpr auto make_copy = []<class T>() -> Handler { return op1<T, T, [](T x) { return x; }>; };

void copy_predicate(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  *d = (*d & ~m) | (*w.at<uint32_t>(in.o[1]) & m);
}

void add_constant_64(Warp& w, const Insn& in, Mask m) {
  uint64_t* d = w.at<uint64_t>(in.o[0]);
  const uint32_t* a = w.at<uint32_t>(in.o[1]);
  lanes(m, [&](int l) { d[l] = a[l] + uint64_t(in.imm); });
}
void add_constant_32(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const uint32_t* a = w.at<uint32_t>(in.o[1]);
  lanes(m, [&](int l) { d[l] = a[l] + uint32_t(in.imm); });
}

template<class Part, class Whole>
void split(Warp& w, const Insn& in, Mask m) {
  const Whole* a = w.at<Whole>(in.o[in.count]);
  for (uint32_t k = 0; k < in.count; ++k) {
    Part* d = w.at<Part>(in.o[k]);
    uint32_t shift = k * bits_of<Part>;
    lanes(m, [&](int l) { d[l] = Part(a[l] >> shift); });
  }
}

template<class Part, class Whole>
void join(Warp& w, const Insn& in, Mask m) {
  Whole* d = w.at<Whole>(in.o[0]);
  for (Mask rest = m; rest; rest &= rest - 1) {
    int l = __builtin_ctz(rest);
    Whole v = 0;
    for (uint32_t k = 0; k < in.count; ++k)
      v |= Whole(w.at<Part>(in.o[k + 1])[l]) << (k * bits_of<Part>);
    d[l] = v;
  }
}

Handler pick_pack(Raw& raw, Type t, size_t count, bool splitting) {
  using W = unsigned __int128;
  int part = count ? int(size_of(t) / count) : 0;
  if (size_of(t) == 4 && part == 2)
    return splitting ? split<uint16_t, uint32_t> : join<uint16_t, uint32_t>;
  if (size_of(t) == 8 && part == 4)
    return splitting ? split<uint32_t, uint64_t> : join<uint32_t, uint64_t>;
  if (size_of(t) == 8 && part == 2)
    return splitting ? split<uint16_t, uint64_t> : join<uint16_t, uint64_t>;
  if (size_of(t) == 16 && part == 8) return splitting ? split<uint64_t, W> : join<uint64_t, W>;
  raw.reject("this vector does not fit the register");
}

Type part_type(int bytes) { return bytes == 2 ? Type::B16 : bytes == 4 ? Type::B32 : Type::B64; }

void move_vector(Builder& b, Raw& raw, Type t) {
  bool splitting = raw.ops[0].kind == Operand::Vector;
  const Operand& vec = raw.ops[splitting ? 0 : 1];
  const Operand& whole = raw.ops[splitting ? 1 : 0];
  size_t n = vec.parts.size();
  Handler h = pick_pack(raw, t, n, splitting);
  Type part = part_type(int(size_of(t) / n));
  uint32_t v[5] = {kNone, kNone, kNone, kNone, kNone};
  for (size_t k = 0; k < n; ++k)
    v[splitting ? k : k + 1] =
        splitting ? b.target(raw, vec.parts[k], part) : b.source(raw, vec.parts[k], part);
  v[splitting ? n : 0] = splitting ? b.source(raw, whole, t) : b.target(raw, whole, t);
  b.emit(raw, h, {v[0], v[1], v[2], v[3], v[4]}, splitting ? int(n) : 1).count = uint8_t(n);
}

void move_symbol(Builder& b, Raw& raw, Type t) {
  const Operand& op = raw.ops[1];
  uint32_t d = b.target(raw, raw.ops[0], t);
  if (op.space == Space::Generic) raw.reject("`" + std::string(op.name) + "` is not known");
  if (op.reg == kNone) {
    Handler h = pick_bits(raw, t, make_copy);
    b.emit(raw, h, {d, b.constant(uint64_t(op.integer), uint8_t(size_of(t)))});
  } else
    b.emit(raw, size_of(t) == 8 ? add_constant_64 : add_constant_32, {d, op.reg}).imm = op.integer;
}

void read_clock(Warp& w, const Insn& in, Mask m) {
  static uint64_t now = 1000;
  now += 16;
  if (in.flags == 8) {
    uint64_t* d = w.at<uint64_t>(in.o[0]);
    lanes(m, [&](int l) { d[l] = now; });
  } else {
    uint32_t* d = w.at<uint32_t>(in.o[0]);
    lanes(m, [&](int l) { d[l] = uint32_t(now); });
  }
}

void move(Builder& b, Raw& raw) {
  expect_operands(raw, 2);
  Type t = raw.type();
  const Operand& from = raw.ops[1];
  if (t == Type::Pred) {
    b.emit(raw, copy_predicate, {b.predicate(raw, raw.ops[0]), b.predicate(raw, from)});
  } else if (raw.ops[0].kind == Operand::Vector || from.kind == Operand::Vector) {
    move_vector(b, raw, t);
  } else if (from.kind == Operand::Symbol) {
    if (from.name == "%clock" || from.name == "%clock64" || from.name == "%globaltimer" ||
        from.name == "%clock_hi" || from.name == "%globaltimer_lo")
      b.emit(raw, read_clock, {b.target(raw, raw.ops[0], t)}).flags = uint32_t(size_of(t));
    else
      move_symbol(b, raw, t);
  } else if (from.kind == Operand::Register && size_of(t) == 8 && b.width(from.reg) == 4 &&
             b.virtuals[from.reg].kind == Virtual::SpecialRegister) {
    b.emit(raw, add_constant_64, {b.target(raw, raw.ops[0], t), from.reg});
  } else
    emit_typed(b, raw, pick_bits(raw, t, make_copy), {t, t});
}

// ---- selections -----------------------------------------------------------------------------

template<class T>
void select(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  const T *a = w.at<T>(in.o[1]), *b = w.at<T>(in.o[2]);
  uint32_t p = *w.at<uint32_t>(in.o[3]);
  lanes(m, [&](int l) { d[l] = p >> l & 1 ? a[l] : b[l]; });
}

void select_by_predicate(Builder& b, Raw& raw) {
  Type t = raw.type();
  Handler h = pick_bits(raw, t, []<class T>() -> Handler { return select<T>; });
  emit_typed(b, raw, h, {t, t, t, Type::Pred});
}

void select_by_sign(Builder& b, Raw& raw) {
  raw.take("ftz");
  Type t = raw.type(), by = raw.type();
  Handler h = pick_bits(raw, t, [&]<class T>() -> Handler {
    if (by == Type::F32)
      return op3<T, T, T, float, [](T x, T y, float c) { return c >= 0 ? x : y; }>;
    return op3<T, T, T, int32_t, [](T x, T y, int32_t c) { return c >= 0 ? x : y; }>;
  });
  emit_typed(b, raw, h, {t, t, t, by});
}

// ---- logic ----------------------------------------------------------------------------------

template<class F>
void predicate_logic(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  *d = (*d & ~m) | (F()(*w.at<uint32_t>(in.o[1]), *w.at<uint32_t>(in.o[2])) & m);
}
template<class F>
void predicate_not(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  *d = (*d & ~m) | (F()(*w.at<uint32_t>(in.o[1])) & m);
}

template<auto Op>
void logic(Builder& b, Raw& raw) {
  Type t = raw.type();
  if (t == Type::Pred) {
    expect_operands(raw, 3);
    uint32_t d = b.predicate(raw, raw.ops[0]);
    b.emit(raw, predicate_logic<decltype(Op)>,
           {d, b.predicate(raw, raw.ops[1]), b.predicate(raw, raw.ops[2])});
    return;
  }
  Handler h = pick_bits(raw, t, []<class T>() -> Handler {
    return op2<T, T, T, [](T x, T y) { return T(Op(x, y)); }>;
  });
  emit_typed(b, raw, h, {t, t, t});
}

constexpr auto bit_and = [](auto x, auto y) { return x & y; };
constexpr auto bit_or = [](auto x, auto y) { return x | y; };
constexpr auto bit_xor = [](auto x, auto y) { return x ^ y; };
constexpr auto bit_not = [](auto x) { return ~x; };

void invert(Builder& b, Raw& raw) {
  Type t = raw.type();
  if (t == Type::Pred) {
    uint32_t d = b.predicate(raw, raw.ops[0]);
    b.emit(raw, predicate_not<decltype(bit_not)>, {d, b.predicate(raw, raw.ops[1])});
    return;
  }
  Handler h =
      pick_bits(raw, t, []<class T>() -> Handler { return op1<T, T, [](T x) { return T(~x); }>; });
  emit_typed(b, raw, h, {t, t});
}

void logical_not(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(
      b, raw,
      pick_bits(raw, t,
                []<class T>() -> Handler { return op1<T, T, [](T x) { return T(x == 0); }>; }),
      {t, t});
}

void lop3(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const uint32_t *a = w.at<uint32_t>(in.o[1]), *b = w.at<uint32_t>(in.o[2]),
                 *c = w.at<uint32_t>(in.o[3]);
  uint32_t table = uint32_t(in.imm);
  lanes(m, [&](int l) {
    uint32_t r = 0;
    for (uint32_t k = 0; k < 8; ++k)
      if (table >> k & 1)
        r |= (k & 4 ? a[l] : ~a[l]) & (k & 2 ? b[l] : ~b[l]) & (k & 1 ? c[l] : ~c[l]);
    d[l] = r;
  });
}

void three_way_logic(Builder& b, Raw& raw) {
  raw.type();
  expect_operands(raw, 5);
  if (raw.ops[4].kind != Operand::Integer) raw.reject("the table is not a number");
  int64_t table = raw.ops[4].integer;
  raw.ops.pop_back();
  emit_typed(b, raw, lop3, {Type::B32, Type::B32, Type::B32, Type::B32}).imm = table;
}

// ---- shifts ---------------------------------------------------------------------------------

template<bool Left>
void shift(Builder& b, Raw& raw) {
  Type t = raw.type();
  Handler h = pick_int(raw, t, []<class T>() -> Handler {
    constexpr uint32_t n = bits_of<T>;
    if (Left) return op2<T, T, uint32_t, [](T x, uint32_t s) { return s < n ? T(x << s) : T(0); }>;
    return op2<T, T, uint32_t, [](T x, uint32_t s) {
      return s < n ? T(x >> s) : x < 0 ? T(-1) : T(0);
    }>;
  });
  emit_typed(b, raw, h, {t, t, Type::U32});
}

uint32_t count(uint32_t c, bool clamp) { return clamp ? (c < 32 ? c : 32) : c & 31; }

void funnel_shift(Builder& b, Raw& raw) {
  bool left = raw.take("l");
  if (!left && !raw.take("r")) raw.reject("one of .l .r is missing");
  bool clamp = raw.take("clamp");
  if (!clamp && !raw.take("wrap")) raw.reject("one of .clamp .wrap is missing");
  raw.type();
  using U = uint32_t;
  Handler h =
      left ? (clamp ? Handler(op3<U, U, U, U,
                                  [](U lo, U hi, U c) {
                                    return U(((uint64_t(hi) << 32 | lo) << count(c, true)) >> 32);
                                  }>)
                    : Handler(op3<U, U, U, U,
                                  [](U lo, U hi, U c) {
                                    return U(((uint64_t(hi) << 32 | lo) << count(c, false)) >> 32);
                                  }>))
           : (clamp ? Handler(op3<U, U, U, U,
                                  [](U lo, U hi, U c) {
                                    return U((uint64_t(hi) << 32 | lo) >> count(c, true));
                                  }>)
                    : Handler(op3<U, U, U, U, [](U lo, U hi, U c) {
                        return U((uint64_t(hi) << 32 | lo) >> count(c, false));
                      }>));
  emit_typed(b, raw, h, {Type::B32, Type::B32, Type::B32, Type::U32});
}

// ---- bit counts and fields ------------------------------------------------------------------

void population(Builder& b, Raw& raw) {
  Type t = raw.type();
  Handler h = size_of(t) == 8
                  ? Handler(op1<uint32_t, uint64_t,
                                [](uint64_t x) { return uint32_t(__builtin_popcountll(x)); }>)
                  : Handler(op1<uint32_t, uint32_t,
                                [](uint32_t x) { return uint32_t(__builtin_popcount(x)); }>);
  emit_typed(b, raw, h, {Type::U32, t});
}

uint32_t zeros(uint64_t x, uint32_t bits) {
  return x ? uint32_t(__builtin_clzll(x)) - (64 - bits) : bits;
}

void leading_zeros(Builder& b, Raw& raw) {
  Type t = raw.type();
  Handler h = size_of(t) == 8
                  ? Handler(op1<uint32_t, uint64_t, [](uint64_t x) { return zeros(x, 64); }>)
                  : Handler(op1<uint32_t, uint32_t, [](uint32_t x) { return zeros(x, 32); }>);
  emit_typed(b, raw, h, {Type::U32, t});
}

template<class T>
uint32_t find_top(T x, bool amount) {
  using U = std::make_unsigned_t<T>;
  U v = U(x < 0 ? ~x : x);
  if (!v) return 0xffffffffu;
  uint32_t z = zeros(v, bits_of<T>);
  return amount ? z : bits_of<T> - 1 - z;
}

void find_leading(Builder& b, Raw& raw) {
  bool amount = raw.take("shiftamt");
  Type t = raw.type();
  Handler h = pick_int(raw, t, [&]<class T>() -> Handler {
    if (amount) return op1<uint32_t, T, [](T x) { return find_top<T>(x, true); }>;
    return op1<uint32_t, T, [](T x) { return find_top<T>(x, false); }>;
  });
  emit_typed(b, raw, h, {Type::U32, t});
}

template<class T>
T reversed(T x) {
  T r = 0;
  for (uint32_t k = 0; k < bits_of<T>; ++k) r = T(r << 1 | (x >> k & 1));
  return r;
}

void reverse_bits(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(b, raw, pick_bits(raw, t, []<class T>() -> Handler { return op1<T, T, reversed<T>>; }),
             {t, t});
}

template<class T>
T extract(T x, uint32_t pos, uint32_t len) {
  constexpr uint32_t n = bits_of<T>;
  using U = std::make_unsigned_t<T>;
  pos &= 255;
  len &= 255;
  U sign = 0;
  if (std::is_signed_v<T> && len) {
    uint32_t top = pos + len - 1 < n - 1 ? pos + len - 1 : n - 1;
    sign = U(U(x) >> top & 1);
  }
  U field = pos < n ? U(U(x) >> pos) : U(0);
  if (pos + len >= n && pos < n)
    len = n - pos;
  else if (pos >= n)
    len = len ? 1 : 0, field = sign;
  if (len >= n) return T(field);
  U mask = U((U(1) << len) - 1);
  return T((field & mask) | (sign && len ? U(~mask) : U(0)));
}

void bit_field_extract(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(
      b, raw,
      pick_int(raw, t,
               []<class T>() -> Handler { return op3<T, T, uint32_t, uint32_t, extract<T>>; }),
      {t, t, Type::U32, Type::U32});
}

template<class T>
T insert(T a, T b, uint32_t pos, uint32_t len) {
  constexpr uint32_t n = bits_of<T>;
  pos &= 255;
  len &= 255;
  if (pos >= n || !len) return b;
  T mask = len >= n ? T(-1) : T((T(1) << len) - 1);
  mask = T(mask << pos);
  return T((b & ~mask) | (T(a << pos) & mask));
}

void bit_field_insert(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(
      b, raw,
      pick_bits(raw, t,
                []<class T>() -> Handler { return op4<T, T, T, uint32_t, uint32_t, insert<T>>; }),
      {t, t, t, Type::U32, Type::U32});
}

uint32_t permute(uint32_t a, uint32_t b, uint32_t selector) {
  uint64_t bytes = uint64_t(b) << 32 | a;
  uint32_t r = 0;
  for (int k = 0; k < 4; ++k) {
    uint32_t s = selector >> (4 * k) & 15;
    uint32_t byte = uint32_t(bytes >> (8 * (s & 7))) & 255;
    if (s & 8) byte = byte & 128 ? 255 : 0;
    r |= byte << (8 * k);
  }
  return r;
}

void permute_bytes(Builder& b, Raw& raw) {
  for (auto mode : {"f4e", "b4e", "rc8", "ecl", "ecr", "rc16"})
    if (raw.take(mode)) raw.reject("only the default mode is supported");
  Type t = raw.type();
  emit_typed(b, raw, op3<uint32_t, uint32_t, uint32_t, uint32_t, permute>, {t, t, t, t});
}

} // namespace

void register_logic(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {
      {"mov", move},           {"selp", select_by_predicate}, {"slct", select_by_sign},
      {"and", logic<bit_and>}, {"or", logic<bit_or>},         {"xor", logic<bit_xor>},
      {"not", invert},         {"cnot", logical_not},         {"lop3", three_way_logic},
      {"shl", shift<true>},    {"shr", shift<false>},         {"shf", funnel_shift},
      {"popc", population},    {"clz", leading_zeros},        {"bfind", find_leading},
      {"brev", reverse_bits},  {"bfe", bit_field_extract},    {"bfi", bit_field_insert},
      {"prmt", permute_bytes}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
