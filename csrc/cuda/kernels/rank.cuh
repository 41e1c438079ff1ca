// One element of each sorted row: by rank (kthvalue, median) or by frequency (mode). Defined in
// front: FB_T and, for pick_rank, FB_MEDIAN: 0 the k-th, 1 the median or the first NaN, 2 the
// median of what is not NaN.
//! needs: types.cuh sort_keys.cuh

typedef FB_T T;

// sorted, at: rows of n sorted values and where they were.
extern "C" __global__ void __launch_bounds__(256)
    pick_rank(const T* sorted, const i64* at, i64 rows, i64 n, i64 k, T* value, i64* place) {
  for (i64 r = (i64)blockIdx.x * 256 + threadIdx.x; r < rows; r += gridDim.x * 256ll) {
    i64 rank = k;
#if FB_MEDIAN
    i64 good = 0, end = n; // NaNs are last
    while (good < end) {
      const i64 middle = (good + end) / 2;
      if (is_nan(sorted[r * n + middle]))
        end = middle;
      else
        good = middle + 1;
    }
    rank = FB_MEDIAN == 1 && good < n ? good : good ? (good - 1) / 2 : 0;
#endif
    value[r] = sorted[r * n + rank];
    place[r] = at[r * n + rank];
  }
}

// The last place of the longest run; of runs as long, that of the smallest value. NaNs make no
// runs. A block for each row.
extern "C" __global__ void __launch_bounds__(256)
    pick_mode(const T* sorted, const i64* at, i64 n, T* value, i64* place) {
  __shared__ unsigned long long best; // the run's length, then the place's complement
  if (threadIdx.x == 0) best = 0;
  __syncthreads();
  const T* x = sorted + blockIdx.x * n;
  unsigned long long mine = 0;
  for (i64 i = threadIdx.x; i < n; i += 256) {
    const bool odd = is_nan(x[i]);
    const KeyOf<T> key = key_of(x[i]);
    if (i + 1 < n && !odd && key_of(x[i + 1]) == key) continue;
    i64 first = 0, end = i;
    if (odd) first = i;
    while (first < end) {
      const i64 middle = (first + end) / 2;
      if (key_of(x[middle]) < key)
        first = middle + 1;
      else
        end = middle;
    }
    const unsigned long long run = (unsigned long long)(i - first + 1) << 32 | ~(unsigned)i;
    mine = run > mine ? run : mine;
  }
  atomicMax(&best, mine);
  __syncthreads();
  if (threadIdx.x == 0) {
    const i64 i = (i64)~(unsigned)best;
    value[blockIdx.x] = x[i];
    place[blockIdx.x] = at[blockIdx.x * n + i];
  }
}
