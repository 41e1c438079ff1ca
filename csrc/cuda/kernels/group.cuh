// Threads that work together on one row: packed loads, shuffles of any type, and folds over the
// threads of a row.
//! needs: types.cuh
#pragma once

template<class E, int N>
struct alignas(sizeof(E) * N) Pack {
  E v[N];
};

enum { kDown, kUp, kXor, kFrom }; // kFrom: from that lane
template<int how, class A>
__forceinline__ A shuffle(A value, int distance, int width) {
  constexpr int kWords = (sizeof(A) + 3) / 4;
  unsigned w[kWords] = {};
  memcpy(w, &value, sizeof(A));
#pragma unroll
  for (int k = 0; k < kWords; ++k)
    w[k] = how == kDown  ? __shfl_down_sync(~0u, w[k], distance, width)
           : how == kUp  ? __shfl_up_sync(~0u, w[k], distance, width)
           : how == kXor ? __shfl_xor_sync(~0u, w[k], distance, width)
                         : __shfl_sync(~0u, w[k], distance, width);
  memcpy(&value, w, sizeof(A));
  return value;
}

// The fold of what the blockDim.x threads of a row have, in the row's first thread. blockDim.x is a
// power of two, the block a whole number of warps; all its threads must call.
template<class F, class A>
__forceinline__ A fold_to_first(A s) {
  const int width = blockDim.x < 32 ? blockDim.x : 32;
  for (int d = width / 2; d; d /= 2) s = F::join(s, shuffle<kDown>(s, d, width));
  if (blockDim.x <= 32) return s;
  __shared__ A parts[32];
  const int warps = blockDim.x / 32, first = threadIdx.y * warps;
  if (threadIdx.x % 32 == 0) parts[first + threadIdx.x / 32] = s;
  __syncthreads();
  if (threadIdx.x == 0)
    for (int k = 1; k < warps; ++k) s = F::join(s, parts[first + k]);
  return s;
}

// The same in every thread of the row; may be called again and again.
template<class F, class A>
__forceinline__ A fold_to_all(A s) {
  const int width = blockDim.x < 32 ? blockDim.x : 32;
  for (int d = width / 2; d; d /= 2) s = F::join(s, shuffle<kXor>(s, d, width));
  if (blockDim.x <= 32) return s;
  __shared__ A parts[32];
  const int warps = blockDim.x / 32, first = threadIdx.y * warps;
  __syncthreads(); // the last call's parts have been read
  if (threadIdx.x % 32 == 0) parts[first + threadIdx.x / 32] = s;
  __syncthreads();
  s = parts[first];
  for (int k = 1; k < warps; ++k) s = F::join(s, parts[first + k]);
  return s;
}
