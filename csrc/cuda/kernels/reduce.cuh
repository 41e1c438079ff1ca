// Reductions of strided tensors: along rows, down columns, and of the states of their parts.
//
// Defined in front: FB_STORED, the elements' type; FB_COMPUTE, what they are read as; FB_FOLD, of
// folds.cuh; FB_OUT and perhaps FB_SECOND, the outputs' types; FB_PACK, elements in one load;
// FB_FLAT for one reduced dimension; FB_WIDE where an index may need more than 32 bits; FB_ROWS,
// FB_COLS or FB_JOIN.
//! needs: types.cuh group.cuh folds.cuh

using S = FB_STORED;
using T = FB_COMPUTE;
constexpr int V = FB_PACK;

struct Axes { // innermost first; strides in bytes
  int dims;
  unsigned size[24], magic[24], shift[24];
  i64 in[24], out[24];
};
struct Reduction {
  const char* x;
  char *out, *second; // second may be null
  char* parts;        // states, where a reduction is split
  i64 outputs, n;     // n: loads of a row, rows of a column
  i64 length, count;  // of a part; how many parts
  i64 tail;           // elements behind the last load of a row
  i64 width;          // loads side by side in columns
  double p;
};
using Fold = FB_FOLD<T>;
using State = Fold::State;

#ifdef FB_WIDE
using Index = i64;
#else
using Index = unsigned;
#endif
struct Place {
  i64 in, out;
};
__forceinline__ Place place(const Axes& a, Index i) {
  Place at = {0, 0};
  for (int d = 0; d < a.dims; ++d) {
#ifdef FB_WIDE
    const Index q = i / a.size[d];
#else
    const Index q = (unsigned)(((unsigned long long)__umulhi(i, a.magic[d]) + i) >> a.shift[d]);
#endif
    const i64 rest = (i64)(i - q * a.size[d]);
    at.in += rest * a.in[d];
    at.out += rest * a.out[d];
    i = q;
  }
  return at;
}
__forceinline__ i64 step_of(const Axes& red, i64 i) {
#ifdef FB_FLAT
  return i * red.in[0];
#else
  return place(red, (Index)i).in;
#endif
}
__forceinline__ void store(const Reduction& g, const Axes& kept, i64 o, State s) {
  if (g.parts) {
    ((State*)g.parts)[o * g.count + blockIdx.y] = s;
    return;
  }
  const i64 at = place(kept, (Index)o).out;
  if (g.out) ((FB_OUT*)g.out)[at] = convert<FB_OUT>(Fold::end(s, g.p));
#ifdef FB_SECOND
  ((FB_SECOND*)g.second)[at] = convert<FB_SECOND>(Fold::second(s));
#endif
}

#ifdef FB_ROWS
// blockDim.x threads go along a row; blockIdx.y is the part.
constexpr int kAhead = 4; // loads in flight
extern "C" __global__ void __launch_bounds__(256) reduce(Reduction g, Axes kept, Axes red) {
  const i64 o = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  State s = Fold::identity();
  if (o < g.outputs) {
    const char* x = g.x + place(kept, (Index)o).in;
    const i64 from = blockIdx.y * g.length, to = min(from + g.length, g.n);
    i64 i = from + threadIdx.x;
    for (; i + (kAhead - 1) * blockDim.x < to; i += kAhead * blockDim.x) {
      Pack<S, V> pack[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k)
        pack[k] = *(const Pack<S, V>*)(x + step_of(red, i + k * blockDim.x));
#pragma unroll
      for (int k = 0; k < kAhead; ++k) {
        T v[V];
#pragma unroll
        for (int j = 0; j < V; ++j) v[j] = convert<T>(pack[k].v[j]);
        Fold::take<V>(s, v, (i + k * blockDim.x) * V, 1);
      }
    }
    for (; i < to; i += blockDim.x) {
      const Pack<S, V> pack = *(const Pack<S, V>*)(x + step_of(red, i));
      T v[V];
#pragma unroll
      for (int j = 0; j < V; ++j) v[j] = convert<T>(pack.v[j]);
      Fold::take<V>(s, v, i * V, 1);
    }
    if (blockIdx.y == 0)
      for (i64 k = threadIdx.x; k < g.tail; k += blockDim.x) {
        const T v = convert<T>(((const S*)x)[g.n * V + k]);
        Fold::take<1>(s, &v, g.n * V + k, 1);
      }
  }
  s = fold_to_first<Fold>(s);
  if (o < g.outputs && threadIdx.x == 0) store(g, kept, o, s);
}
#endif

#ifdef FB_COLS
// A thread has V columns and every blockDim.y-th row; then the threads of a column are joined.
constexpr int kAhead = 4;
extern "C" __global__ void __launch_bounds__(256) reduce(Reduction g, Axes kept, Axes red) {
  const i64 tiles = (g.width + blockDim.x - 1) / blockDim.x;
  const i64 unit = (i64)blockIdx.x * blockDim.z + threadIdx.z;
  const i64 column = unit % tiles * blockDim.x + threadIdx.x;
  const i64 o = (unit / tiles * g.width + column) * V;
  const bool live = column < g.width && o < g.outputs;
  State s[V];
#pragma unroll
  for (int j = 0; j < V; ++j) s[j] = Fold::identity();
  if (live) {
    const char* x = g.x + place(kept, (Index)o).in;
    const i64 from = blockIdx.y * g.length, to = min(from + g.length, g.n);
    i64 i = from + threadIdx.y;
    for (; i + (kAhead - 1) * blockDim.y < to; i += kAhead * blockDim.y) {
      Pack<S, V> pack[kAhead];
#pragma unroll
      for (int k = 0; k < kAhead; ++k)
        pack[k] = *(const Pack<S, V>*)(x + step_of(red, i + k * blockDim.y));
#pragma unroll
      for (int j = 0; j < V; ++j) {
        T v[kAhead];
#pragma unroll
        for (int k = 0; k < kAhead; ++k) v[k] = convert<T>(pack[k].v[j]);
        Fold::take<kAhead>(s[j], v, i, blockDim.y);
      }
    }
    for (; i < to; i += blockDim.y) {
      const Pack<S, V> pack = *(const Pack<S, V>*)(x + step_of(red, i));
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const T v = convert<T>(pack.v[j]);
        Fold::take<1>(s[j], &v, i, 1);
      }
    }
  }
  __shared__ State room[256];
  const int t = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
#pragma unroll
  for (int j = 0; j < V; ++j) {
    if (blockDim.y > 1) {
      room[t] = s[j];
      __syncthreads();
      for (int d = blockDim.y / 2; d; d /= 2) {
        if (threadIdx.y < d) room[t] = Fold::join(room[t], room[t + d * blockDim.x]);
        __syncthreads();
      }
      s[j] = room[t];
    }
    if (live && threadIdx.y == 0) store(g, kept, o + j, s[j]);
    if (blockDim.y > 1) __syncthreads();
  }
}
#endif

#ifdef FB_JOIN
// A warp joins the states of one output's parts.
extern "C" __global__ void __launch_bounds__(256) reduce(Reduction g, Axes kept) {
  const i64 o = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  State s = Fold::identity();
  if (o < g.outputs) {
    const State* parts = (const State*)g.x + o * g.count;
    for (i64 i = threadIdx.x; i < g.count; i += blockDim.x) s = Fold::join(s, parts[i]);
  }
  s = fold_to_first<Fold>(s);
  if (o < g.outputs && threadIdx.x == 0) store(g, kept, o, s);
}
#endif
