// Places among sorted boundaries. Defined in front: FB_T, FB_PLACE (the result's type), FB_RIGHT,
// whether equal boundaries come before, and FB_SORTER, whether they are read through an order.
//! needs: types.cuh fault.cuh

typedef FB_T T;

// bounds: rows of n, or one for all (step 0); values: rows of `width`.
extern "C" __global__ void __launch_bounds__(256)
    search(const T* bounds, i64 n, i64 step, const i64* order, const T* values, i64 width,
           i64 total, FB_PLACE* out, Watch watch) {
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < total; i += gridDim.x * 256ll) {
    const T v = values[i];
    const i64 row = step ? i / width * step : 0;
    i64 at = 0, end = n; // all are before a NaN
    while (at < end) {
      const i64 middle = (at + end) / 2;
      i64 k = middle;
#if FB_SORTER
      k = order[row + middle];
      if (out_of_range(watch, k, n)) k = 0;
#endif
      const T b = bounds[row + k];
      if (FB_RIGHT ? !(b > v) : !(b >= v))
        at = middle + 1;
      else
        end = middle;
    }
    out[i] = (FB_PLACE)at;
  }
}
