// Batch, group and instance normalisation of planes (n, c, l), and its derivatives.
//
// Defined in front: FB_STORED, the elements' type; FB_COMPUTE; FB_WEIGHT, the type of w and b,
// which may be null; FB_PACK, elements in one load; FB_EVEN where a plane is a whole number of
// loads; FB_WIDE for more than 2^32 elements; and the kernel, FB_SCALES, FB_AFFINE, FB_PLANES,
// FB_CHANNELS or FB_GROUPS. A statistic belongs to a channel (groups == 0), or to a group of
// channels of one sample.
//! needs: types.cuh group.cuh

using S = FB_STORED;
using T = FB_COMPUTE;
using W = FB_WEIGHT;
constexpr int V = FB_PACK;

struct Two {
  T a, b;
  static Two join(Two x, Two y) { return {x.a + y.a, x.b + y.b}; }
};
__forceinline__ i64 statistic_of(i64 plane, i64 c, i64 groups) {
  return groups ? plane / (c / groups) : plane % c;
}

#ifdef FB_SCALES
// Of each plane (channel, when groups == 0) a and s in y = a x + s; of each statistic rstd.
extern "C" __global__ void __launch_bounds__(256)
    channels(T* rstds, T* a, T* s, const T* means, const T* vars, const W* w, const W* b, i64 n,
             i64 c, i64 groups, double eps) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const i64 q = statistic_of(i, c, groups), j = i % c;
  const T rstd = T(1) / std::sqrt(vars[q] + T(eps)), scale = w ? rstd * convert<T>(w[j]) : rstd;
  if (!groups || i % (c / groups) == 0) rstds[q] = rstd;
  a[i] = scale;
  s[i] = (b ? convert<T>(b[j]) : T(0)) - means[q] * scale;
}
#endif

#ifdef FB_AFFINE
// y = a x + s, or, with g, y = a g + b x + s, with coefficients for each plane, or, where
// `per_channel`, for each channel. s may be null.
struct Division {
  unsigned size, magic, shift;
};
#ifdef FB_WIDE
using Index = i64;
__forceinline__ Index divide(Index n, Division d) { return n / d.size; }
#else
using Index = unsigned;
__forceinline__ Index divide(Index n, Division d) {
  return (unsigned)(((unsigned long long)__umulhi(n, d.magic) + n) >> d.shift);
}
#endif
__forceinline__ Index coefficient_of(Index element, Division l, Division c, bool per_channel) {
  const Index plane = divide(element, l);
  return per_channel ? plane - divide(plane, c) * c.size : plane;
}
extern "C" __global__ void __launch_bounds__(256)
    channels(S* y, const S* x, const S* g, const T* a, const T* b, const T* s, i64 n, Division l,
             Division c, bool per_channel) {
  const i64 at = ((i64)blockIdx.x * 256 + threadIdx.x) * V;
  if (at >= n) return;
  const Pack<S, V> px = *(const Pack<S, V>*)(x + at);
  Pack<S, V> pg, out;
  if (g) pg = *(const Pack<S, V>*)(g + at);
#ifdef FB_EVEN
  const Index k = coefficient_of((Index)at, l, c, per_channel);
#endif
#pragma unroll
  for (int j = 0; j < V; ++j) {
#ifndef FB_EVEN
    const Index k = coefficient_of((Index)(at + j), l, c, per_channel);
#endif
    const T shift = s ? s[k] : T(0), v = convert<T>(px.v[j]);
    out.v[j] = convert<S>(g ? a[k] * convert<T>(pg.v[j]) + (b[k] * v + shift) : a[k] * v + shift);
  }
  *(Pack<S, V>*)(y + at) = out;
}
#endif

#ifdef FB_PLANES
// Of each plane of n loads the sums of g * xh and of g; blockDim.x threads a plane.
extern "C" __global__ void __launch_bounds__(256)
    channels(T* dw, T* db, const S* gradient, const S* input, const T* means, const T* rstds,
             i64 planes, i64 n, i64 c, i64 groups) {
  const i64 p = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = p < planes;
  Two s = {T(0), T(0)};
  if (live) {
    const i64 q = statistic_of(p, c, groups);
    const T mean = means[q], rstd = rstds[q];
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
      const Pack<S, V> g = ((const Pack<S, V>*)gradient)[p * n + i],
                       x = ((const Pack<S, V>*)input)[p * n + i];
#pragma unroll
      for (int j = 0; j < V; ++j) {
        const T gj = convert<T>(g.v[j]);
        s.a += gj * ((convert<T>(x.v[j]) - mean) * rstd);
        s.b += gj;
      }
    }
  }
  s = fold_to_first<Two>(s);
  if (!live || threadIdx.x) return;
  dw[p] = s.a;
  db[p] = s.b;
}
#endif

// dx = rstd (g w - mean(g w) - xh mean(g w xh)) as a g + b x + s.
__forceinline__ void set_coefficients(T* a, T* b, T* s, i64 at, T w, T mean, T rstd, T mean_gw,
                                      T mean_gwx) {
  const T slope = -rstd * rstd * mean_gwx;
  a[at] = rstd * w;
  b[at] = slope;
  s[at] = -rstd * mean_gw - slope * mean;
}

#ifdef FB_CHANNELS
// Joins the sums of planes (or of parts of columns) to dw and db; a may be null, else the
// coefficients of each channel follow from them. A block has 32 channels.
extern "C" __global__ void __launch_bounds__(256)
    channels(W* dw, W* db, T* a, T* b, T* s, const T* plane_w, const T* plane_b, const W* w,
             const T* means, const T* rstds, i64 rows, i64 c, double count) {
  const i64 j = (i64)blockIdx.x * 32 + threadIdx.x;
  Two sum = {T(0), T(0)};
  for (i64 i = threadIdx.y; j < c && i < rows; i += 8)
    sum = Two::join(sum, {plane_w[i * c + j], plane_b[i * c + j]});
  __shared__ Two room[8][32];
  room[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y || j >= c) return;
  for (int k = 1; k < 8; ++k) sum = Two::join(sum, room[k][threadIdx.x]);
  if (dw) dw[j] = convert<W>(sum.a);
  if (db) db[j] = convert<W>(sum.b);
  if (!a) return;
  const T wj = w ? convert<T>(w[j]) : T(1);
  set_coefficients(a, b, s, j, wj, means[j], rstds[j], wj * sum.b / T(count),
                   wj * sum.a / T(count));
}
#endif

#ifdef FB_GROUPS
// The coefficients of the planes of a group; a warp has one group of `width` channels.
extern "C" __global__ void __launch_bounds__(256)
    channels(T* a, T* b, T* s, const T* plane_w, const T* plane_b, const W* w, const T* means,
             const T* rstds, i64 statistics, i64 width, i64 c, double count) {
  const i64 q = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  const bool live = q < statistics;
  const i64 first = q * width, channel = live ? first % c : 0;
  Two sum = {T(0), T(0)};
  for (i64 j = threadIdx.x; live && j < width; j += 32) {
    const T wj = w ? convert<T>(w[channel + j]) : T(1);
    sum = Two::join(sum, {wj * plane_w[first + j], wj * plane_b[first + j]});
  }
  sum = fold_to_all<Two>(sum);
  for (i64 j = threadIdx.x; live && j < width; j += 32) {
    const T wj = w ? convert<T>(w[channel + j]) : T(1);
    set_coefficients(a, b, s, first + j, wj, means[q], rstds[q], sum.b / T(count),
                     sum.a / T(count));
  }
}
#endif
