// Indices drawn by weight, a block for each row of weights: by inverting the cumulative sums, or,
// without replacement, as the first of an exponential race.
//! needs: philox.cuh

enum Problem { kBadWeight = 1, kNoWeight = 2, kTooFew = 4 };

__forceinline__ double uniform_of(Draw d, uint64_t first, i64 i) {
  const Words w = words_of(d, first + uint64_t(i / 2));
  return i % 2 ? philox::unit(w.w[2], w.w[3]) : philox::unit(w.w[0], w.w[1]);
}
__forceinline__ double exponential_of(Draw d, uint64_t first, i64 i) {
  const Words w = words_of(d, first + uint64_t(i / 2));
  return -math::log(i % 2 ? philox::open_unit(w.w[2], w.w[3]) : philox::open_unit(w.w[0], w.w[1]));
}

// Inclusive sums of the row in `sums`; returns the total. Counts positive weights, flags bad ones.
__forceinline__ double cumulate(const double* w, double* sums, i64 n, i64& positive, int& bad) {
  __shared__ double of_warp[8];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  double carry = 0;
  for (i64 from = 0; from < n; from += 256) {
    const i64 i = from + threadIdx.x;
    const double own = i < n ? w[i] : 0.;
    bad |= !(own >= 0) || own == INFINITY;
    positive += own > 0;
    double sum = own;
    for (int step = 1; step < 32; step *= 2) {
      const double other = __shfl_up_sync(~0u, sum, step);
      if (lane >= step) sum += other;
    }
    if (lane == 31) of_warp[warp] = sum;
    __syncthreads();
    double before = 0, all = 0;
    for (int k = 0; k < 8; ++k) {
      if (k < warp) before += of_warp[k];
      all += of_warp[k];
    }
    if (i < n) sums[i] = carry + (before + sum);
    carry += all;
    __syncthreads();
  }
  return carry;
}

__forceinline__ i64 first_above(const double* sums, i64 n, double at) {
  i64 low = 0, high = n;
  while (low < high) {
    const i64 mid = (low + high) / 2;
    if (sums[mid] > at)
      high = mid;
    else
      low = mid + 1;
  }
  return low < n ? low : n - 1;
}

// The index of the largest value, the first of equal ones.
__forceinline__ i64 argmax(const double* v, i64 n) {
  __shared__ double best_of[8];
  __shared__ i64 at_of[8];
  double best = -INFINITY;
  i64 at = n;
  for (i64 i = threadIdx.x; i < n; i += 256)
    if (v[i] > best) {
      best = v[i];
      at = i;
    }
  for (int step = 16; step; step /= 2) {
    const double other = __shfl_down_sync(~0u, best, step);
    const i64 from = __shfl_down_sync(~0u, at, step);
    if (other > best || (other == best && from < at)) {
      best = other;
      at = from;
    }
  }
  if (threadIdx.x % 32 == 0) {
    best_of[threadIdx.x / 32] = best;
    at_of[threadIdx.x / 32] = at;
  }
  __syncthreads();
  best = best_of[0];
  at = at_of[0];
  for (int k = 1; k < 8; ++k)
    if (best_of[k] > best || (best_of[k] == best && at_of[k] < at)) {
      best = best_of[k];
      at = at_of[k];
    }
  __syncthreads();
  return at;
}

// work: as large as weights. ticks: counter values that each row's numbers take.
extern "C" __global__ void __launch_bounds__(256)
    multinomial(const double* weights, double* work, i64* out, i64 n, i64 count, Draw draw,
                uint64_t ticks, int replace, int* problem) {
  const i64 row = blockIdx.x;
  const double* w = weights + row * n;
  double* own = work + row * n;
  draw = started(draw);
  i64 positive = 0;
  int bad = 0;
  const double total = cumulate(w, own, n, positive, bad);
  bad = __syncthreads_or(bad);
  int enough = replace;
  if (!replace) { // count <= n positive weights, summed over the threads
    __shared__ unsigned long long found;
    if (threadIdx.x == 0) found = 0;
    __syncthreads();
    atomicAdd(&found, (unsigned long long)positive);
    __syncthreads();
    enough = i64(found) >= count;
  }
  const int wrong = bad ? kBadWeight : !(total > 0) ? kNoWeight : !enough ? kTooFew : 0;
  if (wrong) {
    if (threadIdx.x == 0) atomicOr(problem, wrong);
    return;
  }
  const uint64_t first = uint64_t(row) * ticks;
  if (replace) {
    for (i64 i = threadIdx.x; i < count; i += 256)
      out[row * count + i] = first_above(own, n, uniform_of(draw, first, i) * total);
    return;
  }
  for (i64 i = threadIdx.x; i < n; i += 256)
    own[i] = w[i] == 0 ? -1. : w[i] / exponential_of(draw, first, i);
  __syncthreads();
  for (i64 c = 0; c < count; ++c) {
    const i64 at = argmax(own, n);
    if (threadIdx.x == 0) {
      out[row * count + c] = at;
      own[at] = -2;
    }
    __syncthreads();
  }
}
