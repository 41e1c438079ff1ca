// Work over a list of tensors with one launch: the sum of all squares, and scaling in place.
// Defined in front: FB_TYPE, the stored type.
//! needs: types.cuh

typedef FB_TYPE T;
typedef compute_t<T> C;
constexpr int kRoom = 180, kChunk = 8192; // as in csrc/cuda/lists.cpp

struct Table {
  T* at[kRoom];
  i64 size[kRoom];
  int first[kRoom]; // chunk of each tensor, in order
  int tensors;
};

constexpr int kPack = 16 / sizeof(T);
struct alignas(16) Pack {
  T v[kPack];
};

// Calls each(element) for the elements of this block's chunk; what it returns is stored if asked.
template<bool store, class F>
__forceinline__ void over_chunk(const Table& t, F each) {
  int low = 0, high = t.tensors - 1; // the last tensor that begins at or before this chunk
  while (low < high) {
    const int mid = (low + high + 1) / 2;
    if (t.first[mid] <= (int)blockIdx.x)
      low = mid;
    else
      high = mid - 1;
  }
  T* p = t.at[low];
  const i64 begin = (i64)((int)blockIdx.x - t.first[low]) * kChunk, size = t.size[low];
  const i64 end = begin + kChunk < size ? begin + kChunk : size;
  i64 rest = begin;
  if ((unsigned long long)p % 16 == 0) {
    for (i64 i = begin + (i64)threadIdx.x * kPack; i + kPack <= end; i += 256 * kPack) {
      Pack pack = *(const Pack*)(p + i);
#pragma unroll
      for (int j = 0; j < kPack; ++j) {
        const C v = each(convert<C>(pack.v[j]));
        if (store) pack.v[j] = convert<T>(v);
      }
      if (store) *(Pack*)(p + i) = pack;
    }
    rest = end - (end - begin) % kPack;
  }
  for (i64 i = rest + threadIdx.x; i < end; i += 256) {
    const C v = each(convert<C>(p[i]));
    if (store) p[i] = convert<T>(v);
  }
}

// partial[block]: the sum of the squares of its chunk.
extern "C" __global__ void __launch_bounds__(256) square_sums(Table t, C* partial) {
  __shared__ C of_warp[8];
  C sum = 0;
  over_chunk<false>(t, [&](C v) {
    sum += v * v;
    return v;
  });
  for (int step = 16; step; step /= 2) sum += __shfl_down_sync(~0u, sum, step);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int k = 1; k < 8; ++k) sum += of_warp[k];
    partial[blockIdx.x] = sum;
  }
}

// Multiplies all by *factor; *bad becomes 1 if a value was infinite or NaN before.
extern "C" __global__ void __launch_bounds__(256) scale_all(Table t, const C* factor,
                                                            float* bad) {
  const C f = *factor;
  bool seen = false;
  over_chunk<true>(t, [&](C v) {
    seen = seen || !(v - v == C(0));
    return v * f;
  });
  if (bad && seen) *bad = 1;
}
