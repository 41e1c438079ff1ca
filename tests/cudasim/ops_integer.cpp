// Integer arithmetic: add, mul, mad, div, the carry chain, bit counts and packed forms.
#include <algorithm>

#include "ops.h"

namespace cudasim {

void expect_operands(Raw& raw, size_t count) {
  if (raw.ops.size() != count)
    raw.reject(std::to_string(count) + " operands expected, not " + std::to_string(raw.ops.size()));
}

Insn& emit_typed(Builder& b, Raw& raw, Handler h, std::initializer_list<Type> types) {
  expect_operands(raw, types.size());
  uint32_t v[kOperands] = {kNone, kNone, kNone, kNone, kNone, kNone, kNone, kNone};
  size_t k = 0;
  for (Type t : types) {
    v[k] = t == Type::Pred ? b.predicate(raw, raw.ops[k])
           : k == 0        ? b.target(raw, raw.ops[k], t)
                           : b.source(raw, raw.ops[k], t);
    ++k;
  }
  return b.emit(raw, h, {v[0], v[1], v[2], v[3], v[4]});
}

namespace {

template<class T>
struct Twice;
template<>
struct Twice<uint16_t> {
  using type = uint32_t;
};
template<>
struct Twice<int16_t> {
  using type = int32_t;
};
template<>
struct Twice<uint32_t> {
  using type = uint64_t;
};
template<>
struct Twice<int32_t> {
  using type = int64_t;
};
template<>
struct Twice<uint64_t> {
  using type = unsigned __int128;
};
template<>
struct Twice<int64_t> {
  using type = __int128;
};
template<class T>
using twice = typename Twice<T>::type;
template<class T>
constexpr int bits_of = int(sizeof(T) * 8);

template<class T>
T high(T a, T b) {
  return T(twice<T>(a) * twice<T>(b) >> bits_of<T>);
}
template<class T>
T quotient(T a, T b) {
  if (b == 0) return T(-1);
  if (std::is_signed_v<T> && b == T(-1)) return T(0 - a);
  return T(a / b);
}
template<class T>
T remainder(T a, T b) {
  if (b == 0) return a;
  if (std::is_signed_v<T> && b == T(-1)) return 0;
  return T(a % b);
}

Type widened(Raw& raw, Type t) {
  switch (t) {
  case Type::U16: return Type::U32;
  case Type::S16: return Type::S32;
  case Type::U32: return Type::U64;
  case Type::S32: return Type::S64;
  default: raw.reject("`.wide` goes with 16 and 32 bits");
  }
}

// ---- the carry chain: add.cc, subc, mad.lo.cc and so on --------------------------------------

enum CarryFlags : uint32_t { kIn = 1, kOut = 2, kSub = 4, kMul = 8, kHigh = 16 };

template<class T>
void carry_op(Warp& w, const Insn& in, Mask m) {
  using W = twice<T>;
  T* d = w.at<T>(in.o[0]);
  const T *a = w.at<T>(in.o[1]), *b = w.at<T>(in.o[2]);
  const T* c = in.flags & kMul ? w.at<T>(in.o[3]) : nullptr;
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Mask bit = Mask(1) << l;
    W carry = in.flags & kIn ? W((w.carry & bit) != 0) : W(0);
    W x = a[l], y = b[l], r;
    if (in.flags & kMul) {
      x = in.flags & kHigh ? W(high<T>(a[l], b[l])) : W(T(a[l] * b[l]));
      y = c[l];
    }
    r = in.flags & kSub ? x - y - carry : x + y + carry;
    d[l] = T(r);
    if (in.flags & kOut) w.carry = (r >> bits_of<T>)&1 ? w.carry | bit : w.carry & ~bit;
  }
}

template<class T>
void carry_op_signed_high(Warp& w, const Insn& in, Mask m) {
  using U = std::make_unsigned_t<T>;
  U* d = w.at<U>(in.o[0]);
  const T *a = w.at<T>(in.o[1]), *b = w.at<T>(in.o[2]);
  const U* c = w.at<U>(in.o[3]);
  for (; m; m &= m - 1) {
    int l = __builtin_ctz(m);
    Mask bit = Mask(1) << l;
    twice<U> r = twice<U>(U(high<T>(a[l], b[l]))) + c[l] +
                 twice<U>(in.flags & kIn ? (w.carry & bit) != 0 : 0);
    d[l] = U(r);
    if (in.flags & kOut) w.carry = (r >> bits_of<T>)&1 ? w.carry | bit : w.carry & ~bit;
  }
}

void carry(Builder& b, Raw& raw, uint32_t flags) {
  if (raw.take("cc")) flags |= kOut;
  Type t = raw.type();
  bool signed_high = (flags & kHigh) && is_signed(t);
  bool wide = size_of(t) == 8;
  if (size_of(t) < 4) raw.reject("the carry goes with 32 and 64 bits");
  Handler h = signed_high ? (wide ? carry_op_signed_high<int64_t> : carry_op_signed_high<int32_t>)
                          : (wide ? carry_op<uint64_t> : carry_op<uint32_t>);
  Insn& in = flags & kMul ? emit_typed(b, raw, h, {t, t, t, t}) : emit_typed(b, raw, h, {t, t, t});
  in.flags = flags;
}

bool has_cc(const Raw& raw) {
  return std::find(raw.mods.begin(), raw.mods.end(), "cc") != raw.mods.end();
}

// ---- selectors --------------------------------------------------------------------------------

template<auto Make>
void same_type(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(b, raw, pick_int(raw, t, Make), {t, t, t});
}

constexpr auto make_add = []<class T>() -> Handler {
  return op2<T, T, T, [](T x, T y) { return T(x + y); }>;
};
constexpr auto make_sub = []<class T>() -> Handler {
  return op2<T, T, T, [](T x, T y) { return T(x - y); }>;
};
constexpr auto make_div = []<class T>() -> Handler { return op2<T, T, T, quotient<T>>; };
constexpr auto make_rem = []<class T>() -> Handler { return op2<T, T, T, remainder<T>>; };
constexpr auto make_min = []<class T>() -> Handler {
  return op2<T, T, T, [](T x, T y) { return x < y ? x : y; }>;
};
constexpr auto make_max = []<class T>() -> Handler {
  return op2<T, T, T, [](T x, T y) { return y < x ? x : y; }>;
};

template<class T, bool Max>
void pair_minmax(Warp& w, const Insn& in, Mask m) {
  T* d = w.at<T>(in.o[0]);
  const T *a = w.at<T>(in.o[1]), *b = w.at<T>(in.o[2]);
  for (; m; m &= m - 1)
    for (int k = 0; k < 2; ++k) {
      int l = __builtin_ctz(m) * 2 + k;
      d[l] = (a[l] < b[l]) != Max ? a[l] : b[l];
    }
}

template<bool Max>
void minmax(Builder& b, Raw& raw) {
  Type t = raw.type();
  if (t == Type::S16x2)
    emit_typed(b, raw, pair_minmax<int16_t, Max>, {Type::B32, Type::B32, Type::B32});
  else if (t == Type::U16x2)
    emit_typed(b, raw, pair_minmax<uint16_t, Max>, {Type::B32, Type::B32, Type::B32});
  else
    emit_typed(b, raw, Max ? pick_int(raw, t, make_max) : pick_int(raw, t, make_min), {t, t, t});
}

void multiply(Builder& b, Raw& raw) {
  if (raw.take("wide")) {
    Type t = raw.type();
    Handler h = pick_int(raw, t, []<class T>() -> Handler {
      return op2<twice<T>, T, T, [](T x, T y) { return twice<T>(x) * twice<T>(y); }>;
    });
    emit_typed(b, raw, h, {widened(raw, t), t, t});
    return;
  }
  bool hi = raw.take("hi");
  if (!hi && !raw.take("lo")) raw.reject("one of .lo .hi .wide is missing");
  Type t = raw.type();
  Handler h = hi ? pick_int(raw, t, []<class T>() -> Handler { return op2<T, T, T, high<T>>; })
                 : pick_int(raw, t, []<class T>() -> Handler {
                     return op2<T, T, T, [](T x, T y) { return T(x * y); }>;
                   });
  emit_typed(b, raw, h, {t, t, t});
}

void multiply_add(Builder& b, Raw& raw) {
  bool hi = raw.take("hi"), lo = !hi && raw.take("lo");
  if (has_cc(raw)) return carry(b, raw, kMul | (hi ? kHigh : CarryFlags(0)));
  if (raw.take("wide")) {
    Type t = raw.type();
    Handler h = pick_int(raw, t, []<class T>() -> Handler {
      using W = twice<T>;
      return op3<W, T, T, W, [](T x, T y, W z) { return W(W(x) * W(y) + z); }>;
    });
    Type d = widened(raw, t);
    emit_typed(b, raw, h, {d, t, t, d});
    return;
  }
  if (!hi && !lo) raw.reject("one of .lo .hi .wide is missing");
  Type t = raw.type();
  Handler h =
      hi ? pick_int(raw, t,
                    []<class T>() -> Handler {
                      return op3<T, T, T, T, [](T x, T y, T z) { return T(high<T>(x, y) + z); }>;
                    })
         : pick_int(raw, t, []<class T>() -> Handler {
             return op3<T, T, T, T, [](T x, T y, T z) { return T(x * y + z); }>;
           });
  emit_typed(b, raw, h, {t, t, t, t});
}

void multiply_24(Builder& b, Raw& raw, bool add) {
  bool hi = raw.take("hi");
  if (!hi) raw.take("lo");
  Type t = raw.type();
  Handler h;
  if (t == Type::S32)
    h = hi ? Handler(op3<int32_t, int32_t, int32_t, int32_t,
                         [](int32_t x, int32_t y, int32_t z) {
                           return int32_t((int64_t(x << 8 >> 8) * (y << 8 >> 8)) >> 16) + z;
                         }>)
           : Handler(op3<int32_t, int32_t, int32_t, int32_t, [](int32_t x, int32_t y, int32_t z) {
               return int32_t(int64_t(x << 8 >> 8) * (y << 8 >> 8)) + z;
             }>);
  else if (t == Type::U32)
    h = hi ? Handler(op3<uint32_t, uint32_t, uint32_t, uint32_t,
                         [](uint32_t x, uint32_t y, uint32_t z) {
                           return uint32_t((uint64_t(x & 0xffffff) * (y & 0xffffff)) >> 16) + z;
                         }>)
           : Handler(op3<uint32_t, uint32_t, uint32_t, uint32_t,
                         [](uint32_t x, uint32_t y, uint32_t z) {
                           return (x & 0xffffff) * (y & 0xffffff) + z;
                         }>);
  else
    raw.reject("this type does not go with it");
  if (!add) {
    raw.ops.emplace_back();
    raw.ops.back().kind = Operand::Integer;
  }
  emit_typed(b, raw, h, {t, t, t, t});
}

void negate(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(b, raw,
             pick_int(raw, t,
                      []<class T>() -> Handler { return op1<T, T, [](T x) { return T(0 - x); }>; }),
             {t, t});
}

void absolute(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(b, raw,
             pick_int(raw, t,
                      []<class T>() -> Handler {
                        return op1<T, T, [](T x) { return x < 0 ? T(0 - x) : x; }>;
                      }),
             {t, t});
}

void sum_of_differences(Builder& b, Raw& raw) {
  Type t = raw.type();
  emit_typed(
      b, raw,
      pick_int(
          raw, t,
          []<class T>() -> Handler {
            return op3<T, T, T, T, [](T x, T y, T z) { return T((x < y ? y - x : x - y) + z); }>;
          }),
      {t, t, t, t});
}

// Four (or two) products of bytes with a byte (or a half) summed up.
template<bool SignedA, bool SignedB>
uint32_t dot4(uint32_t a, uint32_t b, uint32_t c) {
  for (int k = 0; k < 32; k += 8) {
    int x = SignedA ? int(int8_t(a >> k)) : int(uint8_t(a >> k));
    int y = SignedB ? int(int8_t(b >> k)) : int(uint8_t(b >> k));
    c += uint32_t(x * y);
  }
  return c;
}

void dot_product(Builder& b, Raw& raw) {
  bool sa = is_signed(raw.type()), sb = is_signed(raw.type());
  Handler h = sa ? (sb ? Handler(op3<uint32_t, uint32_t, uint32_t, uint32_t, dot4<true, true>>)
                       : Handler(op3<uint32_t, uint32_t, uint32_t, uint32_t, dot4<true, false>>))
                 : (sb ? Handler(op3<uint32_t, uint32_t, uint32_t, uint32_t, dot4<false, true>>)
                       : Handler(op3<uint32_t, uint32_t, uint32_t, uint32_t, dot4<false, false>>));
  emit_typed(b, raw, h, {Type::B32, Type::B32, Type::B32, Type::B32});
}

uint32_t byte_differences(uint32_t a, uint32_t b, uint32_t) {
  uint32_t r = 0;
  for (int k = 0; k < 32; k += 8) {
    int d = int(uint8_t(a >> k)) - int(uint8_t(b >> k));
    r |= uint32_t(d < 0 ? -d : d) << k;
  }
  return r;
}

void packed_differences(Builder& b, Raw& raw) {
  for (int k = 0; k < 3; ++k)
    if (raw.type() != Type::U32) raw.reject("only the form of unsigned bytes is supported");
  emit_typed(b, raw, op3<uint32_t, uint32_t, uint32_t, uint32_t, byte_differences>,
             {Type::U32, Type::U32, Type::U32, Type::U32});
}

} // namespace

void register_integer(std::map<std::string_view, Selector>& t) {
  static const std::map<std::string_view, Selector> integer = {
      {"add", [](Builder& b, Raw& r) { has_cc(r) ? carry(b, r, 0) : same_type<make_add>(b, r); }},
      {"sub",
       [](Builder& b, Raw& r) { has_cc(r) ? carry(b, r, kSub) : same_type<make_sub>(b, r); }},
      {"addc", [](Builder& b, Raw& r) { carry(b, r, kIn); }},
      {"subc", [](Builder& b, Raw& r) { carry(b, r, kIn | kSub); }},
      {"madc",
       [](Builder& b, Raw& r) {
         bool hi = r.take("hi");
         if (!hi) r.take("lo");
         carry(b, r, kIn | kMul | (hi ? kHigh : CarryFlags(0)));
       }},
      {"mul", multiply},
      {"mad", multiply_add},
      {"div", same_type<make_div>},
      {"rem", same_type<make_rem>},
      {"min", minmax<false>},
      {"max", minmax<true>},
      {"neg", negate},
      {"abs", absolute},
      {"sad", sum_of_differences},
      {"dp4a", dot_product},
      {"vabsdiff4", packed_differences},
      {"mul24", [](Builder& b, Raw& r) { multiply_24(b, r, false); }},
      {"mad24", [](Builder& b, Raw& r) { multiply_24(b, r, true); }}};
  t.insert(integer.begin(), integer.end());
}

} // namespace cudasim
