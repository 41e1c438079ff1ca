// Losses of classes: the loss of each position, their sums, and the gradients.
//
// Defined in front: FB_STORED, the type of scores; FB_COMPUTE; FB_TARGET, the type of targets;
// FB_PACK, elements in one load; and the kernel, FB_ROWS, FB_SUMS, FB_ROWS_BACKWARD or FB_SCATTER.
// Scores are (n, c, l), targets (n, l); weights of classes may be null.
//! needs: types.cuh group.cuh running.cuh

using S = FB_STORED;
using T = FB_COMPUTE;
constexpr int V = FB_PACK;
using Run = Running<T>;

// The host does not know the targets and must not wait for them: a wrong one stops the GPU.
__forceinline__ T weight_of(const T* weight, i64 t, i64 classes, i64 ignore) {
  if (t == ignore) return T(0);
  if (t < 0 || t >= classes) __trap();
  return weight ? weight[t] : T(1);
}

#ifdef FB_ROWS
// Of each row the logsumexp, and the loss of its target, weighed; n loads a row.
extern "C" __global__ void __launch_bounds__(1024)
    classes(T* lse, T* loss, const S* x, const FB_TARGET* target, const T* weight, i64 rows, i64 n,
            i64 ignore) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  Run run = Run::none();
  const S* row = x + r * n * V;
  if (r < rows)
    for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
      const Pack<S, V> pack = ((const Pack<S, V>*)row)[i];
#pragma unroll
      for (int j = 0; j < V; ++j) run.take(convert<T>(pack.v[j]));
    }
  run = fold_to_all<Run>(run);
  if (r >= rows || threadIdx.x) return;
  const T whole = run.logarithm();
  lse[r] = whole;
  const i64 t = target[r];
  const T w = weight_of(weight, t, n * V, ignore);
  loss[r] = t == ignore ? T(0) : (whole - convert<T>(row[t])) * w;
}
#endif

#ifdef FB_SUMS
struct Two {
  T loss, weight;
  static Two join(Two a, Two b) { return {a.loss + b.loss, a.weight + b.weight}; }
};
__forceinline__ void finish(S* out, T* total, Two s, const T* given, bool mean) {
  if (given) s.weight = *given;
  *total = s.weight;
  if (out) *out = convert<S>(mean ? s.loss / s.weight : s.loss);
}
// The sums of the losses (given, or read from the scores, and then put in `each`) and of the
// weights of each block's part; of the whole where there is one block.
extern "C" __global__ void __launch_bounds__(1024)
    classes(Two* parts, S* out, S* each, T* total, const T* losses, const S* x,
            const FB_TARGET* target, const T* weight, const T* given, i64 n, i64 c, i64 l,
            i64 ignore, i64 length, bool mean) {
  const i64 from = blockIdx.x * length, to = min(from + length, n);
  Two s = {T(0), T(0)};
  for (i64 i = from + threadIdx.x; i < to; i += blockDim.x) {
    const i64 t = target[i];
    const T w = weight_of(weight, t, c, ignore);
    T v = T(0);
    if (losses)
      v = losses[i];
    else if (t != ignore)
      v = -convert<T>(x[(i / l * c + t) * l + i % l]) * w;
    if (each) each[i] = convert<S>(v);
    s = Two::join(s, {v, w});
  }
  s = fold_to_first<Two>(s);
  if (threadIdx.x) return;
  if (gridDim.x == 1)
    finish(out, total, s, given, mean);
  else
    parts[blockIdx.x] = s;
}
// Joins the parts.
extern "C" __global__ void __launch_bounds__(1024)
    join(const Two* parts, i64 n, S* out, T* total, const T* given, bool mean) {
  Two s = {T(0), T(0)};
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) s = Two::join(s, parts[i]);
  s = fold_to_first<Two>(s);
  if (threadIdx.x == 0) finish(out, total, s, given, mean);
}
#endif

// What one position's loss counts for: its gradient and weight, over the total where averaged.
__forceinline__ T scale_of(const S* g, i64 step, i64 i, T w, const T* total, bool mean) {
  return convert<T>(g[i * step]) * (mean ? w / *total : w);
}

#ifdef FB_ROWS_BACKWARD
// scale (softmax(x) - onehot(t)) of each row.
extern "C" __global__ void __launch_bounds__(1024)
    classes(S* out, const S* g, i64 step, const S* x, const T* lse, const FB_TARGET* target,
            const T* weight, const T* total, i64 rows, i64 n, i64 ignore, bool mean) {
  const i64 r = (i64)blockIdx.x * blockDim.y + threadIdx.y;
  if (r >= rows) return;
  const i64 t = target[r];
  const T w = weight_of(weight, t, n * V, ignore), whole = lse[r];
  const T scale = t == ignore ? T(0) : scale_of(g, step, r, w, total, mean);
  const Pack<S, V>* from = (const Pack<S, V>*)x + r * n;
  Pack<S, V>* to = (Pack<S, V>*)out + r * n;
  for (i64 i = threadIdx.x; i < n; i += blockDim.x) {
    const Pack<S, V> in = from[i];
    Pack<S, V> d;
#pragma unroll
    for (int j = 0; j < V; ++j) {
      const T p = t == ignore ? T(0) : exp(convert<T>(in.v[j]) - whole) * scale;
      d.v[j] = convert<S>(i * V + j == t ? p - scale : p);
    }
    to[i] = d;
  }
}
#endif

#ifdef FB_SCATTER
// Into zeros, at each position's class, minus its scale.
extern "C" __global__ void __launch_bounds__(256)
    classes(S* out, const S* g, i64 step, const FB_TARGET* target, const T* weight, const T* total,
            i64 n, i64 c, i64 l, i64 ignore, bool mean) {
  const i64 i = (i64)blockIdx.x * 256 + threadIdx.x;
  if (i >= n) return;
  const i64 t = target[i];
  const T w = weight_of(weight, t, c, ignore);
  if (t != ignore)
    out[(i / l * c + t) * l + i % l] = convert<S>(-scale_of(g, step, i, w, total, mean));
}
#endif
