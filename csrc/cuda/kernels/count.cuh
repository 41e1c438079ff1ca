// How many elements fall into each of `bins`; few bins are counted in shared memory first.
// Defined in front: FB_T; FB_EQUAL 1: bins of one width from low to high, else integers count
// themselves; FB_SHARED.
//! needs: types.cuh

typedef FB_T T;

extern "C" __global__ void __launch_bounds__(256)
    count(const T* x, i64 n, i64 bins, double low, double high, unsigned long long* counts) {
#if FB_SHARED
  extern __shared__ unsigned part[];
  for (int b = threadIdx.x; b < bins; b += 256) part[b] = 0;
  __syncthreads();
#endif
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256ll) {
#if FB_EQUAL
    const T a = T(low), b = T(high), v = x[i];
    if (!(v >= a && v <= b)) continue;
    i64 at = (i64)((v - a) * T(bins) / (b - a));
    at = at < bins ? at : bins - 1;
#else
    const i64 at = (i64)x[i];
    if ((uint64_t)at >= (uint64_t)bins) continue;
#endif
#if FB_SHARED
    atomicAdd(&part[at], 1u);
#else
    atomicAdd(&counts[at], 1ull);
#endif
  }
#if FB_SHARED
  __syncthreads();
  for (int b = threadIdx.x; b < bins; b += 256)
    if (part[b]) atomicAdd(&counts[b], (unsigned long long)part[b]);
#endif
}
