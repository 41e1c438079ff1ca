// Elements read or written where an index says, over a walk whose operands are the dense side,
// the far side (reached through the index) and the index. Defined in front: FB_T, the element type,
// or, where bits only move, a word of several elements; FB_COMBINE (Add ..) when writes combine;
// FB_WIDE for more than 2^32 positions; FB_WRAP when negative indices count from the end;
// FB_INDEXED 0 when there is no index.
//! needs: types.cuh walk.cuh fault.cuh atomic.cuh

typedef FB_T T;

#ifdef FB_WIDE
typedef i64 Linear;
#else
typedef unsigned Linear;
#endif

// Byte offsets of the first N operands at a position.
template<int N>
__forceinline__ void places(const Walk& w, Linear i, i64 (&at)[N]) {
#pragma unroll
  for (int k = 0; k < N; ++k) at[k] = 0;
  for (int d = 0; d < w.dims; ++d) {
#ifdef FB_WIDE
    const Linear q = i / w.size[d];
#else
    const Linear q = quotient(i, w.magic[d], w.shift[d]);
#endif
    const i64 rest = (i64)(i - q * w.size[d]);
    i = q;
#pragma unroll
    for (int k = 0; k < N; ++k) at[k] += rest * w.stride[k][d];
  }
}

__forceinline__ i64 wrapped(i64 v, i64 size) {
#ifdef FB_WRAP
  return v < 0 ? v + size : v;
#else
  return v;
#endif
}

#define FB_POSITIONS \
  for (i64 i = (i64)blockIdx.x * 256 + threadIdx.x; i < n; i += gridDim.x * 256ll)

// near = far[index]; size: what an index may reach; step: bytes of far for one of it.
extern "C" __global__ void __launch_bounds__(256)
    pick(T* near, const T* far, const i64* index, i64 n, i64 step, i64 size, Watch watch, Walk w) {
  FB_POSITIONS {
    i64 at[3];
    places(w, (Linear)i, at);
    i64 v = wrapped(*(const i64*)((const char*)index + at[2]), size);
    if (out_of_range(watch, v, size)) v = 0;
    *(T*)((char*)near + at[0]) = *(const T*)((const char*)far + at[1] + v * step);
  }
}

// far[index] = near, or combined with it.
extern "C" __global__ void __launch_bounds__(256)
    put(const T* near, T* far, const i64* index, i64 n, i64 step, i64 size, Watch watch, Walk w) {
  FB_POSITIONS {
    i64 at[3];
    places(w, (Linear)i, at);
    i64 v = 0;
#if FB_INDEXED
    v = wrapped(*(const i64*)((const char*)index + at[2]), size);
    if (out_of_range(watch, v, size)) continue;
#endif
    const T value = *(const T*)((const char*)near + at[0]);
    T* to = (T*)((char*)far + at[1] + v * step);
#ifdef FB_COMBINE
    combine_into<FB_COMBINE>(to, value);
#else
    *to = value;
#endif
  }
}

// sum (+)= index * step: where an element lies that several index tensors name together.
extern "C" __global__ void __launch_bounds__(256)
    add_offsets(i64* sum, const i64* index, i64 n, i64 step, i64 size, int first, Watch watch,
                Walk w) {
  FB_POSITIONS {
    i64 at[2];
    places(w, (Linear)i, at);
    i64 v = wrapped(*(const i64*)((const char*)index + at[1]), size);
    if (out_of_range(watch, v, size)) v = 0;
    i64* to = (i64*)((char*)sum + at[0]);
    *to = (first ? 0 : *to) + v * step;
  }
}
