// Random fills. Defined in front: FB_TYPE, the stored type, and FB_KIND, one of the functions here:
// four words become its numbers, which go side by side to memory.
//! needs: philox.cuh

typedef FB_TYPE O;

struct Numbers { // the distribution's parameters
  double a, b;
  i64 low;
  uint64_t range;
};

template<class V, int N>
struct Values {
  static constexpr int count = N;
  V v[N];
};

__forceinline__ Values<float, 4> uniform32(Words w, const Numbers& s) {
  const float lo = float(s.a), hi = float(s.b), width = float(s.b - s.a);
  Values<float, 4> r;
  for (int j = 0; j < 4; ++j) r.v[j] = philox::between(philox::unit(w.w[j]), lo, hi, width);
  return r;
}
__forceinline__ Values<double, 2> uniform64(Words w, const Numbers& s) {
  const double lo = s.a, hi = s.b, width = hi - lo;
  Values<double, 2> r;
  for (int j = 0; j < 2; ++j)
    r.v[j] = philox::between(philox::unit(w.w[2 * j], w.w[2 * j + 1]), lo, hi, width);
  return r;
}
__forceinline__ Values<float, 4> normal32(Words w, const Numbers& s) {
  const auto a = philox::normal_pair(w.w[0], w.w[1], float(s.a), float(s.b));
  const auto b = philox::normal_pair(w.w[2], w.w[3], float(s.a), float(s.b));
  return {{a.first, a.second, b.first, b.second}};
}
__forceinline__ Values<double, 2> normal64(Words w, const Numbers& s) {
  const auto p = philox::normal_pair(w.w[0], w.w[1], w.w[2], w.w[3], s.a, s.b);
  return {{p.first, p.second}};
}
__forceinline__ Values<float, 4> exponential32(Words w, const Numbers& s) {
  const float scale = float(-1.0 / s.a);
  Values<float, 4> r;
  for (int j = 0; j < 4; ++j) r.v[j] = philox::log_unit(w.w[j]) * scale;
  return r;
}
__forceinline__ Values<double, 2> exponential64(Words w, const Numbers& s) {
  const double scale = -1.0 / s.a;
  Values<double, 2> r;
  for (int j = 0; j < 2; ++j)
    r.v[j] = math::log(philox::open_unit(w.w[2 * j], w.w[2 * j + 1])) * scale;
  return r;
}
// range: the cut below which a word is a success; low: whether every one is.
__forceinline__ Values<uint8_t, 4> bernoulli(Words w, const Numbers& s) {
  Values<uint8_t, 4> r;
  for (int j = 0; j < 4; ++j) r.v[j] = uint8_t(w.w[j] < uint32_t(s.range) || s.low);
  return r;
}
__forceinline__ Values<i64, 4> randint32(Words w, const Numbers& s) {
  Values<i64, 4> r;
  for (int j = 0; j < 4; ++j)
    r.v[j] = i64((uint64_t(w.w[j]) * uint32_t(s.range) >> 32) + uint64_t(s.low));
  return r;
}
__forceinline__ Values<i64, 2> randint64(Words w, const Numbers& s) {
  Values<i64, 2> r;
  for (int j = 0; j < 2; ++j) {
    const uint64_t v = uint64_t(w.w[2 * j + 1]) << 32 | w.w[2 * j];
    r.v[j] = i64((s.range ? __umul64hi(v, s.range) : v) + uint64_t(s.low));
  }
  return r;
}

// packed: `out` is aligned for whole packs.
extern "C" __global__ void __launch_bounds__(256)
    fill_random(O* out, i64 n, Draw draw, Numbers numbers, int packed) {
  draw = started(draw);
  constexpr int per = decltype(FB_KIND(Words(), numbers))::count;
  const i64 blocks = (n + per - 1) / per;
  for (i64 b = (i64)blockIdx.x * 256 + threadIdx.x; b < blocks; b += (i64)gridDim.x * 256) {
    const auto values = FB_KIND(words_of(draw, uint64_t(b)), numbers);
    Pack<O, per> made;
#pragma unroll
    for (int j = 0; j < per; ++j) made.v[j] = convert<O>(values.v[j]);
    const i64 at = b * per;
    if (packed && at + per <= n)
      *(Pack<O, per>*)(out + at) = made;
    else
      for (int j = 0; j < per; ++j)
        if (at + j < n) out[at + j] = made.v[j];
  }
}
