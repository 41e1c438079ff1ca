// Philox words for kernels: where a stream of numbers stands, and the four words of one counter.
//! needs: philox_math.cuh vecmath_core.h vecmath_f32.h vecmath_f64.h philox_formulas.h

// `cell`: while a CUDA graph is recorded, the device address of the seed and of the place that a
// replay begins at; offset counts from there. Else null.
struct Draw {
  uint64_t seed, offset;
  const uint64_t* cell;
};

struct Words {
  uint32_t w[4];
};

__forceinline__ Draw started(Draw d) {
  if (d.cell) {
    d.seed = d.cell[0];
    d.offset += d.cell[1];
  }
  return d;
}
__forceinline__ Words words_of(Draw d, uint64_t block) {
  const uint64_t counter = d.offset + block;
  Words r = {{uint32_t(counter), uint32_t(counter >> 32), 0, 0}};
  philox::ten_rounds(r.w[0], r.w[1], r.w[2], r.w[3], {uint32_t(d.seed), uint32_t(d.seed >> 32)});
  return r;
}

template<class S, int N>
struct alignas(sizeof(S) * N) Pack {
  S v[N];
};
