// Layer and RMS normalisation of rows, and its derivatives.
//
// Defined in front: FB_STORED, the type of rows; FB_COMPUTE; FB_WEIGHT, the type of w and b, which
// may be null; FB_RMS, 0 or 1; FB_PACK, elements in one load; FB_LOADS, loads of a thread where
// rows stay in registers; FB_FORWARD, FB_BACKWARD or FB_SUMS.
//! needs: types.cuh group.cuh folds.cuh

using S = FB_STORED;
using T = FB_COMPUTE;
using W = FB_WEIGHT;
constexpr int V = FB_PACK;
using Row = Pack<S, V>;
using Weights = Pack<W, V>;

__forceinline__ T weight_at(const W* w, i64 at, T otherwise) {
  return w ? convert<T>(w[at]) : otherwise;
}
struct Two {
  T a, b;
  static Two join(Two x, Two y) { return {x.a + y.a, x.b + y.b}; }
};

#ifdef FB_FORWARD
__forceinline__ T mean_of(Moments<T> s) { return s.mean; }
__forceinline__ T mean_of(T) { return T(0); }
__forceinline__ T squares_of(Moments<T> s) { return s.m2; }
__forceinline__ T squares_of(T s) { return s; }
__forceinline__ Row normalised(const T* v, T mean, T rstd, const W* w, const W* b, i64 i) {
  Row y;
#pragma unroll
  for (int j = 0; j < V; ++j)
    y.v[j] = convert<S>((v[j] - mean) * rstd * weight_at(w, i * V + j, T(1)) +
                        weight_at(b, i * V + j, T(0)));
  return y;
}
extern "C" __global__ void __launch_bounds__(1024)
    row_norm(S* y, T* means, T* rstds, const S* x, const W* w, const W* b, i64 rows, i64 n,
             double eps) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = r < rows;
  const Row* from = (const Row*)x + r * n;
  Row* to = (Row*)y + r * n;
  const T count = T(n * V);
#ifdef FB_LOADS
  T v[FB_LOADS][V], sum = T(0), mean = T(0);
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    const bool in = live && i < n;
    Row pack;
    if (in) pack = from[i];
#pragma unroll
    for (int j = 0; j < V; ++j) {
      v[k][j] = in ? convert<T>(pack.v[j]) : T(0);
      sum += v[k][j];
    }
  }
  if (!FB_RMS) mean = fold_to_all<Sum<T>>(sum) / count;
  T m2 = T(0);
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const bool in = threadIdx.x + k * blockDim.x < n;
#pragma unroll
    for (int j = 0; j < V; ++j) m2 += in ? (v[k][j] - mean) * (v[k][j] - mean) : T(0);
  }
  m2 = fold_to_all<Sum<T>>(m2);
#else
  using Fold = std::conditional_t<FB_RMS, Norm2<T>, Var<T>>;
  Fold::State s = Fold::identity();
  for (i64 i = threadIdx.x; live && i < n; i += blockDim.x) {
    const Row pack = from[i];
    T v[V];
#pragma unroll
    for (int j = 0; j < V; ++j) v[j] = convert<T>(pack.v[j]);
    Fold::take<V>(s, v, 0, 1);
  }
  s = fold_to_all<Fold>(s);
  const T mean = mean_of(s), m2 = squares_of(s);
#endif
  const T rstd = T(1) / std::sqrt(m2 / count + T(eps));
  if (live && threadIdx.x == 0) {
    means[r] = mean;
    rstds[r] = rstd;
  }
#ifdef FB_LOADS
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    if (live && i < n) to[i] = normalised(v[k], mean, rstd, w, b, i);
  }
#else
  for (i64 i = threadIdx.x; live && i < n; i += blockDim.x) {
    const Row pack = from[i];
    T v[V];
#pragma unroll
    for (int j = 0; j < V; ++j) v[j] = convert<T>(pack.v[j]);
    to[i] = normalised(v, mean, rstd, w, b, i);
  }
#endif
}
#endif

#ifdef FB_BACKWARD
// dx = rstd (g w - mean(g w) - xh mean(g w xh)), xh = (x - mean) rstd.
struct Terms {
  T gw[V], xh[V];
  Terms() = default;
  Terms(const Row& g, const Row& x, const W* w, i64 i, T mean, T rstd) {
#pragma unroll
    for (int j = 0; j < V; ++j) {
      gw[j] = convert<T>(g.v[j]) * weight_at(w, i * V + j, T(1));
      xh[j] = (convert<T>(x.v[j]) - mean) * rstd;
    }
  }
  void add_to(Two& s) const {
#pragma unroll
    for (int j = 0; j < V; ++j) s = {FB_RMS ? T(0) : s.a + gw[j], s.b + gw[j] * xh[j]};
  }
  Row slope(T rstd, T a, T b) const {
    Row d;
#pragma unroll
    for (int j = 0; j < V; ++j) d.v[j] = convert<S>(rstd * (gw[j] - a - xh[j] * b));
    return d;
  }
};
extern "C" __global__ void __launch_bounds__(1024)
    row_norm(S* dx, const S* gradient, const S* input, const T* means, const T* rstds, const W* w,
             i64 rows, i64 n) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = r < rows;
  const Row *g = (const Row*)gradient + r * n, *x = (const Row*)input + r * n;
  Row* to = (Row*)dx + r * n;
  const T mean = live ? means[r] : T(0), rstd = live ? rstds[r] : T(0);
  Two s = {T(0), T(0)};
#ifdef FB_LOADS
  Terms t[FB_LOADS];
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    if (!live || i >= n) continue;
    t[k] = Terms(g[i], x[i], w, i, mean, rstd);
    t[k].add_to(s);
  }
#else
  for (i64 i = threadIdx.x; live && i < n; i += blockDim.x)
    Terms(g[i], x[i], w, i, mean, rstd).add_to(s);
#endif
  s = fold_to_all<Two>(s);
  const T a = s.a / T(n * V), b = s.b / T(n * V);
#ifdef FB_LOADS
#pragma unroll
  for (int k = 0; k < FB_LOADS; ++k) {
    const i64 i = threadIdx.x + k * blockDim.x;
    if (live && i < n) to[i] = t[k].slope(rstd, a, b);
  }
#else
  for (i64 i = threadIdx.x; live && i < n; i += blockDim.x)
    to[i] = Terms(g[i], x[i], w, i, mean, rstd).slope(rstd, a, b);
#endif
}
#endif

#ifdef FB_SUMS
// Down each column of the rows of part blockIdx.y, the sums of g * xh and of g. FB_BY_COLUMN: mean
// and rstd belong to columns, not rows. n: packs in a row.
extern "C" __global__ void __launch_bounds__(256)
    row_norm(T* dw, T* db, const S* gradient, const S* input, const T* means, const T* rstds,
             i64 rows, i64 n, i64 length) {
  const i64 c = (i64)blockIdx.x * blockDim.x + threadIdx.x;
  const i64 from = blockIdx.y * length, to = min(from + length, rows);
  Two s[V];
  T mean[V], rstd[V];
#pragma unroll
  for (int j = 0; j < V; ++j) {
    s[j] = {T(0), T(0)};
#ifdef FB_BY_COLUMN
    mean[j] = c < n ? means[c * V + j] : T(0);
    rstd[j] = c < n ? rstds[c * V + j] : T(0);
#endif
  }
  for (i64 r = from + threadIdx.y; c < n && r < to; r += blockDim.y) {
    const Row g = ((const Row*)gradient)[r * n + c], x = ((const Row*)input)[r * n + c];
#pragma unroll
    for (int j = 0; j < V; ++j) {
#ifndef FB_BY_COLUMN
      mean[j] = means[r];
      rstd[j] = rstds[r];
#endif
      const T gj = convert<T>(g.v[j]);
      s[j].a += gj * ((convert<T>(x.v[j]) - mean[j]) * rstd[j]);
      s[j].b += gj;
    }
  }
  __shared__ Two room[256];
  const int t = threadIdx.y * blockDim.x + threadIdx.x;
#pragma unroll
  for (int j = 0; j < V; ++j) {
    room[t] = s[j];
    __syncthreads();
    for (int d = blockDim.y / 2; d; d /= 2) {
      if (threadIdx.y < d) room[t] = Two::join(room[t], room[t + d * blockDim.x]);
      __syncthreads();
    }
    if (threadIdx.y == 0 && c < n) {
      const i64 at = (blockIdx.y * n + c) * V + j;
      dw[at] = room[t].a;
      db[at] = room[t].b;
    }
    __syncthreads();
  }
}
#endif
