// Dropout in one pass: the mask is drawn where it is used. Defined in front: FB_TYPE, the stored
// type.
//! needs: philox.cuh

typedef FB_TYPE T;

// A word below `cut` drops its element; `all`: every one is dropped. packed: x, y and mask are
// aligned for four elements.
extern "C" __global__ void __launch_bounds__(256)
    dropout(const T* x, T* y, bool* mask, i64 n, Draw draw, unsigned cut, int all, double scale,
            int packed) {
  using C = compute_t<T>;
  draw = started(draw);
  const C factor = C(scale);
  const i64 blocks = (n + 3) / 4;
  for (i64 b = (i64)blockIdx.x * 256 + threadIdx.x; b < blocks; b += (i64)gridDim.x * 256) {
    const Words words = words_of(draw, uint64_t(b));
    const i64 at = b * 4;
    const bool whole = packed && at + 4 <= n;
    Pack<T, 4> values;
    Pack<bool, 4> keep;
    if (whole)
      values = *(const Pack<T, 4>*)(x + at);
    else
      for (int j = 0; j < 4; ++j) values.v[j] = at + j < n ? x[at + j] : T(0.f);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      keep.v[j] = words.w[j] >= cut && !all;
      values.v[j] = convert<T>(keep.v[j] ? C(values.v[j]) * factor : C(0));
    }
    if (whole) {
      *(Pack<T, 4>*)(y + at) = values;
      *(Pack<bool, 4>*)(mask + at) = keep;
    } else {
      for (int j = 0; j < 4; ++j)
        if (at + j < n) {
          y[at + j] = values.v[j];
          mask[at + j] = keep.v[j];
        }
    }
  }
}
