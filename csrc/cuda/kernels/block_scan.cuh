// Sums over the threads of a block.
//! needs: types.cuh

// The sum of v over the threads before this one; total: over all. Ends with a barrier. kWarps: of
// the block.
template<int kWarps = 8>
__forceinline__ unsigned block_exclusive(unsigned v, unsigned& total) {
  __shared__ unsigned sums[kWarps];
  const unsigned lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  unsigned s = v;
#pragma unroll
  for (unsigned d = 1; d < 32; d *= 2) {
    const unsigned u = __shfl_up_sync(~0u, s, d);
    if (lane >= d) s += u;
  }
  if (lane == 31) sums[warp] = s;
  __syncthreads();
  unsigned before = 0;
  total = 0;
#pragma unroll
  for (unsigned k = 0; k < kWarps; ++k) {
    if (k < warp) before += sums[k];
    total += sums[k];
  }
  __syncthreads();
  return before + s - v;
}
