// Max and average pooling: a thread for each element of the result, which gathers in a fixed order.
//
// Defined in front: FB_T, the tensors' type; FB_ADAPTIVE (0, 1): window i of o over n elements is
// [floor(i n / o), ceil((i + 1) n / o)).
//! needs: types.cuh windows.cuh

typedef FB_T T;
typedef compute_t<T> C;
constexpr int kThreads = 256;

struct Pool {
  const T* from;
  T* to;
  i64* indices; // of maxima in their planes; may be null
  i64 divisor;  // 0: the window's size
  unsigned count; // elements of the result
  int count_pad;
};

// Positions begin, begin + step, ... < end of a window; `size` counts padding, `own` does not.
struct Range {
  int begin, end, step, size, own;
};
__device__ __forceinline__ Range window(const Windows& w, int d, int o) {
  Range r;
#if FB_ADAPTIVE
  r.begin = int((i64)o * w.in[d] / w.out[d]);
  r.end = int(((i64)(o + 1) * w.in[d] - 1) / w.out[d]) + 1;
  r.step = 1;
  r.size = r.own = r.end - r.begin;
#else
  const int start = o * w.stride[d] - w.pad[d];
  r.step = w.dil[d];
  r.begin = start >= 0 ? start : start + (r.step - 1 - start) / r.step * r.step;
  r.end = min(start + r.step * (w.kernel[d] - 1) + 1, w.in[d]);
  // As average pooling, which has no dilation, counts.
  r.size = min(start + w.kernel[d], w.in[d] + w.pad[d]) - start;
  r.own = max(r.end - r.begin, 0);
#endif
  return r;
}
// The windows [begin, end) that may hold position i.
__device__ __forceinline__ Range windows_over(const Windows& w, int d, int i) {
  Range r;
#if FB_ADAPTIVE
  r.begin = int((i64)i * w.out[d] / w.in[d]);
  r.end = int(((i64)(i + 1) * w.out[d] - 1) / w.in[d]) + 1;
#else
  const int last = i + w.pad[d], first = last - w.dil[d] * (w.kernel[d] - 1);
  r.begin = first > 0 ? int(unsigned(first + w.stride[d] - 1) / w.by_stride[d]) : 0;
  r.end = min(int(unsigned(last) / w.by_stride[d]) + 1, w.out[d]);
#endif
  return r;
}

__device__ __forceinline__ C divisor(const Pool& g, Range d, Range h, Range w) {
  const i64 own = (i64)d.own * h.own * w.own;
  if (g.divisor) return C(g.divisor);
  return C(own == 0 ? 1 : FB_ADAPTIVE || !g.count_pad ? own : (i64)d.size * h.size * w.size);
}

// An element's plane, depth, row and column.
struct Place {
  i64 plane;
  int d, h, w;
};
__device__ __forceinline__ Place place(unsigned i, const Divider (&by)[3]) {
  Place p;
  p.w = split(i, by[2]);
  p.h = split(i, by[1]);
  p.d = split(i, by[0]);
  p.plane = i;
  return p;
}

#define FB_RESULT(by)                                        \
  const unsigned i = blockIdx.x * kThreads + threadIdx.x;    \
  if (i >= g.count) return;                                  \
  const Place p = place(i, by);

// The first of equal values wins, a NaN over everything.
extern "C" __global__ void __launch_bounds__(kThreads) max_pool(Windows w, Pool g) {
  FB_RESULT(w.by_out)
  const Range rd = window(w, 0, p.d), rh = window(w, 1, p.h), rw = window(w, 2, p.w);
  const T* x = g.from + p.plane * w.in_size;
  int at = (rd.begin * w.in[1] + rh.begin) * w.in[2] + rw.begin;
  C best = C(-INFINITY);
  for (int d = rd.begin; d < rd.end; d += rd.step)
    for (int h = rh.begin; h < rh.end; h += rh.step)
      for (int v = rw.begin; v < rw.end; v += rw.step) {
        const int here = (d * w.in[1] + h) * w.in[2] + v;
        const C value = C(x[here]);
        if (value > best || value != value) best = value, at = here;
      }
  g.to[i] = T(best);
  if (g.indices) g.indices[i] = at;
}

extern "C" __global__ void __launch_bounds__(kThreads) max_pool_backward(Windows w, Pool g) {
  FB_RESULT(w.by_in)
  const Range rd = windows_over(w, 0, p.d), rh = windows_over(w, 1, p.h);
  const Range rw = windows_over(w, 2, p.w);
  const int here = (p.d * w.in[1] + p.h) * w.in[2] + p.w;
  C sum = C(0);
  for (int d = rd.begin; d < rd.end; ++d)
    for (int h = rh.begin; h < rh.end; ++h)
      for (int v = rw.begin; v < rw.end; ++v) {
        const i64 o = p.plane * w.out_size + ((i64)d * w.out[1] + h) * w.out[2] + v;
        if (g.indices[o] == here) sum += C(g.from[o]);
      }
  g.to[i] = T(sum);
}

extern "C" __global__ void __launch_bounds__(kThreads) avg_pool(Windows w, Pool g) {
  FB_RESULT(w.by_out)
  const Range rd = window(w, 0, p.d), rh = window(w, 1, p.h), rw = window(w, 2, p.w);
  const T* x = g.from + p.plane * w.in_size;
  C sum = C(0);
  for (int d = rd.begin; d < rd.end; ++d)
    for (int h = rh.begin; h < rh.end; ++h)
      for (int v = rw.begin; v < rw.end; ++v) sum += C(x[(d * w.in[1] + h) * w.in[2] + v]);
  g.to[i] = T(sum / divisor(g, rd, rh, rw));
}

extern "C" __global__ void __launch_bounds__(kThreads) avg_pool_backward(Windows w, Pool g) {
  FB_RESULT(w.by_in)
  const Range rd = windows_over(w, 0, p.d), rh = windows_over(w, 1, p.h);
  const Range rw = windows_over(w, 2, p.w);
  const T* dy = g.from + p.plane * w.out_size;
  C sum = C(0);
  for (int d = rd.begin; d < rd.end; ++d)
    for (int h = rh.begin; h < rh.end; ++h)
      for (int v = rw.begin; v < rw.end; ++v)
        sum += C(dy[((i64)d * w.out[1] + h) * w.out[2] + v]) /
               divisor(g, window(w, 0, d), window(w, 1, h), window(w, 2, v));
  g.to[i] = T(sum);
}
