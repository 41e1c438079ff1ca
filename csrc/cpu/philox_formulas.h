// Philox rounds, and the steps from random words to numbers; CUDA kernels read it too, so that
// both devices draw the same bits. Mul and add must stay apart: compile without contraction.
#pragma once
#include "vecmath.h"

namespace flambeau::philox {

struct Key {
  uint32_t k0, k1;
};

FB_MATH void round_once(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d, Key k) {
  const uint64_t p = uint64_t(0xD2511F53u) * a, q = uint64_t(0xCD9E8D57u) * c;
  a = uint32_t(q >> 32) ^ b ^ k.k0;
  b = uint32_t(q);
  c = uint32_t(p >> 32) ^ d ^ k.k1;
  d = uint32_t(p);
}
FB_MATH void ten_rounds(uint32_t& a, uint32_t& b, uint32_t& c, uint32_t& d, Key k) {
#ifndef __CUDACC_RTC__ // whose compiler unrolls it by itself
#pragma GCC unroll 10
#endif
  for (int r = 0; r < 10; ++r) {
    round_once(a, b, c, d, k);
    k.k0 += 0x9E3779B9u;
    k.k1 += 0xBB67AE85u;
  }
}

FB_MATH float unit(uint32_t w) { return float(int32_t(w >> 8)) * 0x1p-24f; }
FB_MATH double unit(uint32_t lo, uint32_t hi) {
  return (double(int32_t(hi >> 5)) * 0x1p26 + double(int32_t(lo >> 6))) * 0x1p-53;
}
// In (0, 1), for logarithms: small values keep 31 or 53 bits.
FB_MATH float open_unit(uint32_t w) {
  const float u = float(int32_t(w >> 1)) * 0x1p-31f + 0x1p-32f;
  return u < 0x1.fffffep-1f ? u : 0x1.fffffep-1f;
}
FB_MATH double open_unit(uint32_t lo, uint32_t hi) { return unit(lo, hi) + 0x1p-54; }

// A unit value on [lo, hi): rounding may reach hi, which is excluded.
template<class T>
FB_MATH T between(T u, T lo, T hi, T width) {
  const T v = u * width + lo;
  return v < hi ? v : lo;
}

// The logarithm of an open unit: math::log without the cases of other arguments.
FB_MATH float log_of(math::LogParts p) {
  const float z = p.f * p.f, tail = z * p.f * math::log_tail(p.f) + p.e * -0x1.05c610p-29f;
  return p.e * 0x1.62e430p-1f + (p.f + (-0.5f * z + tail));
}
FB_MATH float log_unit(uint32_t w) { return log_of(math::log_parts(open_unit(w))); }

// cos and sin of 2 pi w / 2^32: the top bits give the quadrant, the rest the angle in it.
struct Turn {
  float cos, sin;
};
FB_MATH Turn turn(uint32_t w) {
  const uint32_t q = (w + 0x20000000u) >> 30;
  const float r = float(int32_t(w - (q << 30))) * 0x1.921fb6p-30f, z = r * r;
  const float s =
      r +
      r * z * math::horner(z, 0x1.6cd0a8p-19f, -0x1.a00f7ap-13f, 0x1.111108p-7f, -0x1.555556p-3f);
  const float c = 1.0f + z * math::horner(z, 0x1.9914ccp-16f, -0x1.6c07eap-10f, 0x1.55553cp-5f,
                                          -0x1.fffffep-2f);
  const float x = (q & 1) != 0 ? s : c, y = (q & 1) != 0 ? c : s;
  const uint32_t flip_x = ((q + 1) & 2) << 30, flip_y = (q & 2) << 30;
  return {math::from_bits(int32_t(uint32_t(math::bits(x)) ^ flip_x)),
          math::from_bits(int32_t(uint32_t(math::bits(y)) ^ flip_y))};
}
// Two normal values from two units (Box and Muller 1958).
template<class T>
struct Two {
  T first, second;
};
FB_MATH Two<float> normal_pair(float log, Turn t, float mean, float std) {
  const float r = math::sqrt(-2.0f * log) * std;
  return {r * t.cos + mean, r * t.sin + mean};
}
FB_MATH Two<float> normal_pair(uint32_t a, uint32_t b, float mean, float std) {
  return normal_pair(log_unit(a), turn(b), mean, std);
}
FB_MATH Two<double> normal_pair(uint32_t a, uint32_t b, uint32_t c, uint32_t d, double mean,
                                double std) {
  const double r = math::sqrt(-2.0 * math::log(open_unit(a, b))) * std;
  const double angle = unit(c, d) * 0x1.921fb54442d18p+2;
  return {r * math::detail::cos_near(angle) + mean, r * math::detail::sin_near(angle) + mean};
}

// A word is below `cut` with probability p; `all` for p = 1, which no 32-bit cut expresses.
struct Cut {
  uint32_t cut, all;
};
FB_MATH Cut cut_of(double p) {
  const bool all = p * 0x1p32 >= 0x1p32;
  return {all ? 0u : uint32_t(uint64_t(p * 0x1p32)), all};
}

} // namespace flambeau::philox
