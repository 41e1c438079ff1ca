// Conversions between types: cvt, and between address spaces: cvta and isspacep.
#include <cfenv>
#include <limits>

#include "half.h"

namespace cudasim {

namespace {

enum Mode : uint32_t { kFlush = 1, kSaturate = 2, kRelu = 4, kModeShift = 4 };
enum Rounding : uint32_t { kNearest, kZero, kDown, kUp };

uint32_t mode_of(const Insn& in) { return in.flags >> kModeShift & 3; }

struct SetRounding {
  bool changed;
  explicit SetRounding(uint32_t mode) : changed(mode != kNearest) {
    static const int modes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    if (changed) std::fesetround(modes[mode]);
  }
  ~SetRounding() {
    asm volatile("" ::: "memory");
    if (changed) std::fesetround(FE_TONEAREST);
  }
};

template<class T>
T to_integral(T v, uint32_t mode) {
  switch (mode) {
  case kNearest: return std::nearbyint(v);
  case kZero: return std::trunc(v);
  case kDown: return std::floor(v);
  default: return std::ceil(v);
  }
}

// A NaN gives 0, but the sign bit alone where 64 bits are involved.
template<class D, class S>
D clamp_float(S v) {
  constexpr bool wide = sizeof(D) == 8 || sizeof(S) == 8;
  if (v != v) return wide ? D(std::make_unsigned_t<D>(1) << (sizeof(D) * 8 - 1)) : D(0);
  constexpr S top = S(std::numeric_limits<D>::max() / 2 + 1) * 2; // one past the largest, exact
  if (v >= top) return std::numeric_limits<D>::max();
  if (v <= S(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
  return D(v);
}

template<class D, class S>
void float_to_int(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const S* a = w.at<S>(in.o[1]);
  uint32_t mode = mode_of(in);
  bool ftz = in.flags & kFlush;
  lanes(m, [&](int l) {
    S v = a[l];
    if constexpr (sizeof(S) == 4)
      if (ftz) v = flush(v);
    d[l] = clamp_float<D>(to_integral(v, mode));
  });
}

template<class D, class S>
void int_to_float(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const S* a = w.at<S>(in.o[1]);
  SetRounding r(mode_of(in));
  if (in.flags & kSaturate) {
    lanes(m, [&](int l) { d[l] = a[l] > 0 ? D(1) : D(0); });
  } else
    lanes(m, [&](int l) { d[l] = D(a[l]); });
}

template<class D, class S>
void float_to_float(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const S* a = w.at<S>(in.o[1]);
  D r[kLanes];
  {
    SetRounding mode(mode_of(in));
    lanes(m, [&](int l) { r[l] = D(a[l]); });
  }
  bool ftz = in.flags & kFlush, sat = in.flags & kSaturate;
  lanes(m, [&](int l) {
    D v = r[l];
    if (ftz && std::fabs(v) < D(0x1p-126)) v = std::copysign(D(0), v);
    d[l] = sat ? (v > 0 ? (v < 1 ? v : D(1)) : D(0)) : v;
  });
}

template<class T>
void round_float(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  const T* a = w.at<T>(in.o[1]);
  uint32_t mode = mode_of(in);
  bool ftz = in.flags & kFlush, sat = in.flags & kSaturate;
  lanes(m, [&](int l) {
    T v = a[l];
    if (ftz && std::fabs(v) < T(0x1p-126)) v = std::copysign(T(0), v);
    v = to_integral(v, mode);
    d[l] = sat ? (v > 0 ? (v < 1 ? v : T(1)) : T(0)) : v;
  });
}

template<class D, class S>
D clamp_int(S v) {
  __int128 x = v;
  if (x > __int128(std::numeric_limits<D>::max())) return std::numeric_limits<D>::max();
  if (x < __int128(std::numeric_limits<D>::min())) return std::numeric_limits<D>::min();
  return D(v);
}

// Integers between registers of any width; `S` and `D` are the types, `RS` and `RD` the registers.
template<class RD, class D, class S, class RS, bool Sat>
void int_to_int(Warp& w, const Insn& in, Mask m) {
  RD* d = w.at<RD>(in.o[0]);
  const RS* a = w.at<RS>(in.o[1]);
  lanes(m, [&](int l) {
    S v = S(a[l]);
    D r = Sat ? clamp_int<D, S>(v) : D(v);
    d[l] = RD(r); // sign- or zero-extends
  });
}

template<class M>
Handler pick_small_int(Raw& raw, Type t, M make) {
  switch (t) {
  case Type::U8:
  case Type::B8: return make.template operator()<uint8_t>();
  case Type::S8: return make.template operator()<int8_t>();
  default: return pick_int(raw, t, make);
  }
}

Handler pick_int_to_int(Raw& raw, int rd, Type td, Type ts, int rs, bool sat) {
  return pick_small_int(raw, td, [&]<class D>() -> Handler {
    return pick_small_int(raw, ts, [&]<class S>() -> Handler {
      auto with = [&]<class RD>() -> Handler {
        auto source = [&]<class RS>() -> Handler {
          return sat ? int_to_int<RD, D, S, RS, true> : int_to_int<RD, D, S, RS, false>;
        };
        return rs == 2   ? source.template operator()<uint16_t>()
               : rs == 4 ? source.template operator()<uint32_t>()
                         : source.template operator()<uint64_t>();
      };
      return rd == 2   ? with.template operator()<uint16_t>()
             : rd == 4 ? with.template operator()<uint32_t>()
                       : with.template operator()<uint64_t>();
    });
  });
}

// ---- halves ---------------------------------------------------------------------------------

template<class H>
double limit_half(double v, uint32_t flags) {
  if (flags & kRelu) v = v > 0 || v != v ? v : 0.0;
  if (flags & kSaturate) v = v > 0 ? (v < 1 ? v : 1.0) : 0.0;
  return v;
}

template<class H, class S>
void to_half(Warp& w, const Insn& in, Mask m) {
  uint16_t* d = w.at<uint16_t>(in.o[0]);
  const S* a = w.at<S>(in.o[1]);
  bool nearest = mode_of(in) == kNearest;
  if constexpr (std::is_same_v<S, float>)
    if (!in.flags) return lanes(m, [&](int l) { d[l] = H::nearest(a[l]); });
  lanes(m, [&](int l) { d[l] = H::narrow(limit_half<H>(double(a[l]), in.flags), nearest); });
}

template<class H>
void pair_to_half(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const float *a = w.at<float>(in.o[1]), *b = w.at<float>(in.o[2]);
  bool nearest = mode_of(in) == kNearest;
  if (!in.flags)
    return lanes(m, [&](int l) { d[l] = uint32_t(H::nearest(a[l])) << 16 | H::nearest(b[l]); });
  lanes(m, [&](int l) {
    uint32_t hi = H::narrow(limit_half<H>(a[l], in.flags), nearest);
    d[l] = hi << 16 | H::narrow(limit_half<H>(b[l], in.flags), nearest);
  });
}

template<class H, class D>
void from_half(Warp& w, const Insn& in, Mask m) {
  D* d = w.at<D>(in.o[0]);
  const uint16_t* a = w.at<uint16_t>(in.o[1]);
  uint32_t mode = mode_of(in);
  if constexpr (std::is_same_v<D, float>)
    if (!in.flags) return lanes(m, [&](int l) { d[l] = H::to_float(a[l]); });
  lanes(m, [&](int l) {
    if constexpr (std::is_floating_point_v<D>) {
      D v = D(H::widen(a[l]));
      d[l] = in.flags & kSaturate ? (v > 0 ? (v < 1 ? v : D(1)) : D(0)) : v;
    } else
      d[l] = clamp_float<D>(float(to_integral(H::widen(a[l]), mode)));
  });
}

template<class H, class G>
void half_to_half(Warp& w, const Insn& in, Mask m) {
  uint16_t* d = w.at<uint16_t>(in.o[0]);
  const uint16_t* a = w.at<uint16_t>(in.o[1]);
  bool integral = in.flags & 8;
  lanes(m, [&](int l) {
    double v = G::widen(a[l]);
    if (integral) v = to_integral(v, mode_of(in));
    d[l] = H::narrow(limit_half<H>(v, in.flags), integral || mode_of(in) == kNearest);
  });
}

void to_tf32(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const uint32_t* a = w.at<uint32_t>(in.o[1]);
  bool even = in.flags & 8;
  lanes(m, [&](int l) {
    uint32_t v = a[l];
    bool finite = (v >> 23 & 255) != 255;
    uint32_t half = even ? 0xfff + (v >> 13 & 1) : 0x1000;
    d[l] = finite ? (v + half) & ~0x1fffu : v;
  });
}

bool is_half(Type t) { return t == Type::F16 || t == Type::BF16; }

template<class M>
Handler pick_half(Type t, M make) {
  return t == Type::F16 ? make.template operator()<F16>() : make.template operator()<BF16>();
}

Handler pick_half_convert(Raw& raw, Type d, Type s) {
  auto numbers = [&](Type t, auto make) {
    return t == Type::F32 || t == Type::F64 ? pick_float(raw, t, make) : pick_int(raw, t, make);
  };
  if (is_half(d) && is_half(s))
    return pick_half(d, [&]<class H>() -> Handler {
      return pick_half(s, []<class G>() -> Handler { return half_to_half<H, G>; });
    });
  if (is_half(d))
    return pick_half(d, [&]<class H>() -> Handler {
      return numbers(s, []<class S>() -> Handler { return to_half<H, S>; });
    });
  return pick_half(s, [&]<class H>() -> Handler {
    return numbers(d, []<class D>() -> Handler { return from_half<H, D>; });
  });
}

// ---- the selector ---------------------------------------------------------------------------

struct Modifiers {
  uint32_t flags = 0;
  bool integral = false;
  bool away = false;
};

Modifiers read_modifiers(Raw& raw) {
  Modifiers r;
  static const struct {
    const char* name;
    uint32_t mode;
    bool integral;
  } modes[] = {{"rn", kNearest, false}, {"rz", kZero, false},    {"rm", kDown, false},
               {"rp", kUp, false},      {"rni", kNearest, true}, {"rzi", kZero, true},
               {"rmi", kDown, true},    {"rpi", kUp, true}};
  for (auto& m : modes)
    if (raw.take(m.name)) {
      r.flags |= m.mode << kModeShift;
      r.integral = m.integral;
    }
  r.away = raw.take("rna");
  if (raw.take("ftz")) r.flags |= kFlush;
  if (raw.take("sat")) r.flags |= kSaturate;
  if (raw.take("relu")) r.flags |= kRelu;
  return r;
}

Handler pick_convert(Raw& raw, Type d, Type s, const Modifiers& mod) {
  if (is_half(d) || is_half(s)) return pick_half_convert(raw, d, s);
  if (is_float(d) && is_float(s)) {
    if (d == s && mod.integral)
      return pick_float(raw, d, []<class T>() -> Handler { return round_float<T>; });
    return pick_float(raw, d, [&]<class D>() -> Handler {
      return pick_float(raw, s, []<class S>() -> Handler { return float_to_float<D, S>; });
    });
  }
  if (is_float(d))
    return pick_float(raw, d, [&]<class D>() -> Handler {
      return pick_int(raw, s, []<class S>() -> Handler { return int_to_float<D, S>; });
    });
  return pick_int(raw, d, [&]<class D>() -> Handler {
    return pick_float(raw, s, []<class S>() -> Handler { return float_to_int<D, S>; });
  });
}

void convert_pair(Builder& b, Raw& raw, Type d, const Modifiers& mod) {
  if (raw.type() != Type::F32) raw.reject("packed conversions take f32");
  Handler h = d == Type::F16x2 ? pair_to_half<F16> : pair_to_half<BF16>;
  emit_typed(b, raw, h, {Type::B32, Type::F32, Type::F32}).flags = mod.flags;
}

// 8-bit numbers and numbers in wider registers pass through a register of 16 bits or more.
uint32_t fitted_source(Builder& b, Raw& raw, Type& s) {
  const Operand& op = raw.ops[1];
  if (op.kind != Operand::Register) return b.source(raw, op, s);
  int have = b.width(op.reg), bytes = size_of(s);
  if (have == bytes) return op.reg;
  if (have < bytes || have == 0) return b.source(raw, op, s);
  Type wide = bytes == 1 ? (is_signed(s) ? Type::S16 : Type::U16) : s;
  Type plain = is_float(s) ? (bytes == 2 ? Type::B16 : Type::B32) : s;
  uint32_t mid = b.scratch(uint8_t(size_of(wide)));
  b.emit(raw, pick_int_to_int(raw, size_of(wide), plain, plain, have, false), {mid, op.reg});
  s = wide;
  return mid;
}

void convert(Builder& b, Raw& raw) {
  Modifiers mod = read_modifiers(raw);
  Type d = raw.type();
  if (d == Type::F16x2 || d == Type::BF16x2) return convert_pair(b, raw, d, mod);
  Type s = raw.type();
  if (d == Type::TF32) {
    emit_typed(b, raw, to_tf32, {Type::B32, Type::F32}).flags = mod.away ? 0 : 8;
    return;
  }
  if (mod.away) raw.reject("`.rna` goes with tf32");
  expect_operands(raw, 2);
  uint32_t to = b.target(raw, raw.ops[0], d, false);
  int have = b.width(to);
  if (!is_float(d) && !is_float(s)) {
    uint32_t from = b.source(raw, raw.ops[1], s, false);
    b.emit(raw, pick_int_to_int(raw, have, d, s, std::max(2, b.width(from)), mod.flags & kSaturate),
           {to, from});
    return;
  }
  uint32_t from = fitted_source(b, raw, s);
  Type mid_type = size_of(d) == 1 ? (is_signed(d) ? Type::S32 : Type::U32) : d;
  bool direct = have == size_of(mid_type) && mid_type == d;
  uint32_t mid = direct ? to : b.scratch(uint8_t(size_of(mid_type)));
  b.emit(raw, pick_convert(raw, mid_type, s, mod), {mid, from}).flags =
      mod.flags | (mod.integral ? 8 : 0);
  if (direct) return;
  Type plain = is_float(d) ? (size_of(d) == 2 ? Type::B16 : Type::B32) : d;
  Type mid_plain = is_float(mid_type) ? plain : mid_type;
  b.emit(raw, pick_int_to_int(raw, have, plain, mid_plain, size_of(mid_type), size_of(d) == 1),
         {to, mid});
}

// ---- address spaces -------------------------------------------------------------------------

uint64_t window_of(Raw& raw) {
  if (raw.take("shared") || raw.take("shared::cta") || raw.take("shared::cluster"))
    return kSharedWindow;
  if (raw.take("local")) return kLocalWindow;
  if (raw.take("param") || raw.take("param::entry")) return kParamWindow;
  if (raw.take("global") || raw.take("const")) return 0;
  raw.reject("the address space is missing");
}

void add_window(Warp& w, const Insn& in, Mask m) {
  uint64_t* d = w.at<uint64_t>(in.o[0]);
  const uint64_t* a = w.at<uint64_t>(in.o[1]);
  lanes(m, [&](int l) { d[l] = a[l] + uint64_t(in.imm); });
}

void convert_address(Builder& b, Raw& raw) {
  bool to_space = raw.take("to");
  uint64_t window = window_of(raw);
  if (raw.type() != Type::U64) raw.reject("addresses have 64 bits");
  expect_operands(raw, 2);
  const Operand& op = raw.ops[1];
  int64_t offset = int64_t(to_space ? -window : window);
  uint32_t d = b.target(raw, raw.ops[0], Type::U64);
  if (op.kind == Operand::Symbol) {
    if (op.reg != kNone) {
      uint32_t mid = b.scratch(8);
      b.emit(raw, pick_int_to_int(raw, 8, Type::U64, Type::U32, 4, false), {mid, op.reg});
      b.emit(raw, add_window, {d, mid}).imm = op.integer + offset;
    } else
      b.emit(raw, add_window, {d, b.constant(uint64_t(op.integer), 8)}).imm = offset;
    return;
  }
  b.emit(raw, add_window, {d, b.source(raw, op, Type::U64)}).imm = offset;
}

void is_in_space(Warp& w, const Insn& in, Mask m) {
  uint32_t* d = w.at<uint32_t>(in.o[0]);
  const uint64_t* a = w.at<uint64_t>(in.o[1]);
  Mask r = 0;
  lanes(m, [&](int l) { r |= Mask((a[l] >> 56) == uint64_t(in.imm)) << l; });
  *d = (*d & ~m) | (r & m);
}

void test_space(Builder& b, Raw& raw) {
  uint64_t window = window_of(raw);
  expect_operands(raw, 2);
  uint32_t d = b.predicate(raw, raw.ops[0]);
  b.emit(raw, is_in_space, {d, b.source(raw, raw.ops[1], Type::U64)}).imm = int64_t(window >> 56);
}

} // namespace

void register_convert(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> table = {
      {"cvt", convert}, {"cvta", convert_address}, {"isspacep", test_space}};
  t.insert(table.begin(), table.end());
}

} // namespace cudasim
