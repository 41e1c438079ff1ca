// Softmax and its logarithm, and their gradients.
//
// Defined in front: FB_STORED and FB_OUT, the elements' types; FB_COMPUTE; FB_LOG, 0 or 1; FB_PACK,
// elements in one load. Rows in registers: FB_LOADS, loads of a thread; without it, rows of any
// length. FB_BACKWARD for the gradient; FB_COLUMNS for other dimensions than the last.
//! needs: types.cuh group.cuh running.cuh

using S = FB_STORED;
using O = FB_OUT;
using T = FB_COMPUTE;
constexpr int V = FB_PACK;

struct Add {
  static T join(T a, T b) { return a + b; }
};
using Top = Largest<T>;
using Run = Running<T>;
__forceinline__ T result(T x, T top, T sum) {
  return FB_LOG ? (x - top) - sum : exp(x - top) * sum;
}
__forceinline__ T closing(T sum) { return FB_LOG ? log(sum) : T(1) / sum; }

#if !defined FB_BACKWARD && !defined FB_COLUMNS && defined FB_LOADS
// blockDim.x threads hold a row of n packs.
extern "C" __global__ void __launch_bounds__(1024) softmax(O* y, const S* x, i64 rows, i64 n) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = r < rows;
  const Pack<S, V>* from = (const Pack<S, V>*)x + r * n;
  T v[FB_LOADS][V];
  T top = -T(INFINITY);
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    const bool in = live && i < n;
    Pack<S, V> pack;
    if (in) pack = from[i];
#pragma unroll
    for (int j = 0; j < V; ++j) {
      v[k][j] = in ? convert<T>(pack.v[j]) : -T(INFINITY);
      top = Top::join(top, v[k][j]);
    }
  }
  top = fold_to_all<Top>(top);
  T sum = T(0);
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k)
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const bool in = threadIdx.x + k * blockDim.x < n;
      const T e = exp(v[k][j] - top);
      sum += in ? e : T(0);
      if (!FB_LOG) v[k][j] = e;
    }
  sum = closing(fold_to_all<Add>(sum));
  Pack<O, V>* to = (Pack<O, V>*)y + r * n;
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    if (!live || i >= n) continue;
    Pack<O, V> pack;
#pragma unroll
    for (int j = 0; j < V; ++j)
      pack.v[j] = convert<O>(FB_LOG ? (v[k][j] - top) - sum : v[k][j] * sum);
    to[i] = pack;
  }
}
#endif

#if !defined FB_BACKWARD && !defined FB_COLUMNS && !defined FB_LOADS
extern "C" __global__ void __launch_bounds__(1024) softmax(O* y, const S* x, i64 rows, i64 n) {
  const i64 r = blockIdx.x;
  const Pack<S, V>* from = (const Pack<S, V>*)x + r * n;
  Run run = Run::none();
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
    const Pack<S, V> pack = from[i];
#pragma unroll
    for (int j = 0; j < V; ++j) run.take(convert<T>(pack.v[j]));
  }
  run = fold_to_all<Run>(run);
  const T sum = closing(run.sum);
  Pack<O, V>* to = (Pack<O, V>*)y + r * n;
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
    const Pack<S, V> in = from[i];
    Pack<O, V> out;
#pragma unroll
    for (int j = 0; j < V; ++j) out.v[j] = convert<O>(result(convert<T>(in.v[j]), run.top, sum));
    to[i] = out;
  }
}
#endif

#if defined FB_BACKWARD && !defined FB_COLUMNS
// g - exp(y) sum(g), or y (g - sum(g y)); rows in registers where there are FB_LOADS.
__forceinline__ T part(T g, T y) { return FB_LOG ? g : g * y; }
__forceinline__ T slope(T g, T y, T sum) { return FB_LOG ? g - exp(y) * sum : (g - sum) * y; }
extern "C" __global__ void __launch_bounds__(1024)
    softmax(O* out, const S* gradient, const S* output, i64 rows, i64 n) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = r < rows;
  const Pack<S, V>*g = (const Pack<S, V>*)gradient + r * n, *y = (const Pack<S, V>*)output + r * n;
  Pack<O, V>* to = (Pack<O, V>*)out + r * n;
  T sum = T(0);
#ifdef FB_LOADS
  Pack<S, V> a[FB_LOADS], b[FB_LOADS];
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    if (!live || i >= n) continue;
    a[k] = g[i];
    b[k] = y[i];
  }
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    if (!live || threadIdx.x + k * blockDim.x >= n) continue;
#pragma unroll
    for (int j = 0; j < V; ++j) sum += part(convert<T>(a[k].v[j]), convert<T>(b[k].v[j]));
  }
#else
  for (i64 i = threadIdx.x; live && i < n; i += blockDim.x) {
    const Pack<S, V> a = g[i], b = y[i];
#pragma unroll
    for (int j = 0; j < V; ++j) sum += part(convert<T>(a.v[j]), convert<T>(b.v[j]));
  }
#endif
  sum = fold_to_all<Add>(sum);
#ifdef FB_LOADS
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    if (!live || i >= n) continue;
    const Pack<S, V> p = a[k], q = b[k];
#else
  for (i64 i = threadIdx.x; live && i < n; i += blockDim.x) {
    const Pack<S, V> p = g[i], q = y[i];
#endif
    Pack<O, V> pack;
#pragma unroll
    for (int j = 0; j < V; ++j)
      pack.v[j] = convert<O>(slope(convert<T>(p.v[j]), convert<T>(q.v[j]), sum));
    to[i] = pack;
  }
}
#endif

#ifdef FB_COLUMNS
// (outer, n, inner): blockDim.x columns, each shared by blockDim.y threads.
template<class F, class A>
__forceinline__ A fold_column(A s) {
  __shared__ A room[256];
  const int t = threadIdx.y * blockDim.x + threadIdx.x;
  room[t] = s;
  __syncthreads();
  for (int d = blockDim.y / 2; d; d /= 2) {
    if (threadIdx.y < d) room[t] = F::join(room[t], room[t + d * blockDim.x]);
    __syncthreads();
  }
  return room[threadIdx.x];
}
extern "C" __global__ void __launch_bounds__(256)
    softmax(O* y, const S* x, const S* output, i64 columns, i64 n, i64 inner) {
  const i64 c = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  const bool live = c < columns;
  const i64 first = live ? c / inner * n * inner + c % inner : 0;
#ifdef FB_BACKWARD
  T sum = T(0);
  for (i64 i = threadIdx.y; live && i < n; i += blockDim.y) {
    const T g = convert<T>(x[first + i * inner]);
    sum += FB_LOG ? g : g * convert<T>(output[first + i * inner]);
  }
  sum = fold_column<Add>(sum);
  for (i64 i = threadIdx.y; live && i < n; i += blockDim.y) {
    const i64 at = first + i * inner;
    const T g = convert<T>(x[at]), v = convert<T>(output[at]);
    y[at] = convert<O>(FB_LOG ? g - exp(v) * sum : (g - sum) * v);
  }
#else
  Run run = Run::none();
  for (i64 i = threadIdx.y; live && i < n; i += blockDim.y)
    run.take(convert<T>(x[first + i * inner]));
  run = fold_column<Run>(run);
  const T sum = closing(run.sum);
  for (i64 i = threadIdx.y; live && i < n; i += blockDim.y) {
    const i64 at = first + i * inner;
    y[at] = convert<O>(result(convert<T>(x[at]), run.top, sum));
  }
#endif
}
#endif
