// Attention's chunks, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include <algorithm>
#include <type_traits>

#include "attention.h"
#include "gemm_kernels.h"
#include "gemm_vec.h"
#include "vecmath.h"

namespace flambeau {
namespace FLAMBEAU_ISA {

enum { kSlotAttention = 7 };

template<class T>
constexpr T kMinusInf = -std::numeric_limits<T>::infinity();

// ---- rows of whole vectors ----

// e^x of scores less their maximum: at most 0 but for rounding. Below the normal range it is 0.
FLAMBEAU_INLINE Vec<float> exp_lanes(Vec<float> x) {
  using V = Vec<float>;
  using I = Vec<int32_t>;
  const V low = broadcast<V>(-87.0f), round = broadcast<V>(0x1.8p23f);
  const V c = x < low ? low : x; // NaN stays
  const V t = c * 0x1.715476p0f + round, n = t - round;
  const V r = n * -0x1.7f7d1cp-20f + (n * -0x1.62e400p-1f + c);
  V p = r * 0x1.6afd3cp-10f + 0x1.12448ap-7f;
  p = p * r + 0x1.555826p-5f;
  p = p * r + 0x1.555482p-3f;
  p = p * r + 0x1.fffffcp-2f;
  const V y = (p * r) * r + r + 1.0f;
  const V e = (V)((I)y + ((I)t << 23)); // times 2^n: its low bits are those of t
  return x < low ? V{} : e;
}
FLAMBEAU_INLINE Vec<double> exp_lanes(Vec<double> v) {
  alignas(kVectorBytes) double a[kLanes<double>];
  __builtin_memcpy(a, &v, sizeof v);
  for (double& x : a) x = math::exp(x);
  __builtin_memcpy(&v, a, sizeof v);
  return v;
}

template<class T, class V>
FLAMBEAU_INLINE T max_lanes(V v) {
  if constexpr (sizeof(V) == 2 * sizeof(T)) {
    return v[0] > v[1] ? v[0] : v[1];
  } else {
    using H = typename VecOf<T, sizeof(V) / 2>::type;
    H lo, hi;
    __builtin_memcpy(&lo, &v, sizeof lo);
    __builtin_memcpy(&hi, reinterpret_cast<const char*>(&v) + sizeof lo, sizeof hi);
    return max_lanes<T, H>(lo > hi ? lo : hi);
  }
}

template<class T>
FLAMBEAU_INLINE T row_max(const T* s, int64_t n, T top) {
  using V = Vec<T>;
  V best = broadcast<V>(top);
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const V v = load<V>(s + j);
    best = v > best ? v : best;
  }
  return max_lanes<T, V>(best);
}

// s = exp(s - shift); returns the sum.
template<class T>
FLAMBEAU_INLINE T row_exp(T* s, int64_t n, T shift) {
  using V = Vec<T>;
  const V by = broadcast<V>(shift);
  V sum{};
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const V e = exp_lanes(load<V>(s + j) - by);
    store(s + j, e);
    sum += e;
  }
  return sum_lanes<T, V>(sum);
}

template<class T>
FLAMBEAU_INLINE T row_dot(const T* a, const T* b, int64_t n) {
  using V = Vec<T>;
  V sum{};
  int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) sum += load<V>(a + j) * load<V>(b + j);
  T rest = 0;
  for (; j < n; j++) rest += a[j] * b[j];
  return sum_lanes<T, V>(sum) + rest;
}

template<class T>
FLAMBEAU_INLINE void row_scale(T* x, int64_t n, T by) {
  using V = Vec<T>;
  int64_t j = 0;
  for (; j + kLanes<T> <= n; j += kLanes<T>) store(x + j, load<V>(x + j) * broadcast<V>(by));
  for (; j < n; j++) x[j] *= by;
}

// Room behind a row of scores, so that vectors may be written from any place in it.
template<class T>
constexpr int64_t kSlack = 2 * kLanes<T>;

// s[n, padded) = value, and perhaps more up to the slack.
template<class T>
FLAMBEAU_INLINE void fill_rest(T* s, int64_t n, int64_t padded, T value) {
  for (int64_t j = n; j < padded; j += kLanes<T>) store(s + j, broadcast<Vec<T>>(value));
}

// ---- products of blocks ----

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template<class T>
struct Blocks {
  const GemmKernels<T>& kernels = *gemm_table<T>();
  const int64_t nr = kernels.nr, mr = std::min(kernels.mr, 6);

  // Rows [0, n) of a matrix with `cols` columns, as panels of nr columns.
  void pack(int64_t n, int64_t cols, const T* src, int64_t row, T* to) const {
    kernels.pack_rows(n, cols, int(nr), src, row, to, n * nr);
  }
  // Its transpose: panels of nr rows.
  void pack_turned(int64_t n, int64_t cols, const T* src, int64_t row, T* to) const {
    for (int64_t r = 0; r < n; r += nr)
      kernels.pack_transposed(cols, int(std::min(nr, n - r)), int(nr), src + r * row, row,
                              to + r * cols);
  }

  // Scores of rows [0, m) with n packed keys, c with row length ld (a multiple of nr), of which
  // row i needs `seen(i)`.
  template<class Seen>
  void scores(int64_t m, int64_t n, int64_t dim, const T* a, int64_t row, const T* panels, T scale,
              T* c, int64_t ld, Seen seen) const {
    for (int64_t j = 0; j < n; j += nr)
      for (int64_t i = 0; i < m; i += mr) {
        const int64_t rows = std::min(mr, m - i);
        if (seen(i + rows - 1) <= j) continue;
        kernels.tile[1][rows - 1](dim, a + i * row, row, 1, panels + j * dim, nr, c + i * ld + j,
                                  ld, int(nr), scale, T(0));
      }
  }

  // c (m x cols) = (or +=) p * packed; row i of p has seen(i) entries.
  template<class Seen>
  void gather(int64_t m, int64_t n, int64_t cols, const T* p, int64_t ld, const T* packed, T* c,
              int64_t row, bool add, Seen seen) const {
    for (int64_t j = 0; j < cols; j += nr) {
      const int width = int(std::min(nr, cols - j));
      const auto* tile = kernels.tile[width > kernels.lanes];
      for (int64_t i = 0; i < m; i += mr) {
        const int64_t rows = std::min(mr, m - i);
        tile[rows - 1](seen(i + rows - 1), p + i * ld, ld, 1, packed + j * n, nr, c + i * row + j,
                       row, width, T(1), T(add));
      }
    }
  }

  // c (n x cols) = (or +=) p^T * packed; column j of p begins at row first(j).
  template<class First>
  void scatter(int64_t m, int64_t n, int64_t cols, const T* p, int64_t ld, const T* packed, T* c,
               int64_t row, bool add, First first) const {
    for (int64_t j = 0; j < cols; j += nr) {
      const int width = int(std::min(nr, cols - j));
      const auto* tile = kernels.tile[width > kernels.lanes];
      for (int64_t i = 0; i < n; i += mr) {
        const int64_t rows = std::min(mr, n - i), from = std::min(m, first(i));
        tile[rows - 1](m - from, p + from * ld + i, 1, ld, packed + j * m + from * nr, nr,
                       c + i * row + j, row, width, T(1), T(add));
      }
    }
  }
};

// ---- masks ----

// Row `query`'s scores with the keys from k0, masked; beyond n they are -inf up to `padded`.
template<class T>
FLAMBEAU_INLINE void mask_row(const AttentionJob<T>& job, int64_t head, int64_t query, int64_t k0,
                              int64_t n, int64_t padded, T* s) {
  if (job.bias.data) {
    const T* b = job.bias.data + job.bias.at[head] + query * job.bias.row + k0;
    for (int64_t j = 0; j < n; j++) s[j] += b[j];
  }
  if (job.keep.data) {
    using Bytes = typename VecOf<uint8_t, kLanes<T>>::unaligned;
    using Wide = Vec<std::conditional_t<sizeof(T) == 4, int32_t, int64_t>>;
    const bool* b = job.keep.data + job.keep.at[head] + query * job.keep.row + k0;
    int64_t j = 0;
    for (; j + kLanes<T> <= n; j += kLanes<T>) {
      const Bytes bytes = *reinterpret_cast<const Bytes*>(b + j);
      const Wide keep = __builtin_convertvector(bytes, Wide);
      store(s + j, keep != 0 ? load<Vec<T>>(s + j) : broadcast<Vec<T>>(kMinusInf<T>));
    }
    for (; j < n; j++) s[j] = b[j] ? s[j] : kMinusInf<T>;
  }
  fill_rest(s, n, padded, kMinusInf<T>);
}

// How many of the keys [k0, k0 + n) a query sees.
template<class T>
FLAMBEAU_INLINE int64_t keys_seen(const AttentionJob<T>& job, int64_t query, int64_t k0,
                                  int64_t n) {
  return job.causal ? std::clamp<int64_t>(query + 1 - k0, 0, n) : n;
}

// ---- forward ----

constexpr int64_t kForwardKeys = 256, kBackwardKeys = 128;

// Rows of the softmax so far: the largest scores, and the sums of exponentials relative to those.
template<class T, int N>
struct Softmax {
  T top[N], sum[N];

  // Takes `padded` more scores of row i and leaves their exponentials; returns what to multiply the
  // row's earlier terms by.
  T take(int i, T* s, int64_t padded, bool first) {
    const T before = first ? kMinusInf<T> : top[i], now = row_max(s, padded, before);
    top[i] = now;
    if (first) sum[i] = 0;
    if (now == kMinusInf<T>) [[unlikely]] { // a NaN is no maximum, but must not be lost
      T nan = 0;
      for (int64_t j = 0; j < padded; j++) {
        nan = s[j] != s[j] ? s[j] : nan;
        s[j] = nan;
      }
      sum[i] += nan;
      return T(1);
    }
    const T factor = before == now || first ? T(1) : math::exp(before - now);
    sum[i] = sum[i] * factor + row_exp(s, padded, now);
    return factor;
  }
  // Sums become their reciprocals.
  void finish(int n, T* lse) {
    for (int i = 0; i < n; i++) {
      lse[i] = sum[i] == T(0) ? -kMinusInf<T> : top[i] + math::log(sum[i]);
      sum[i] = sum[i] == T(0) ? T(0) : T(1) / sum[i];
    }
  }
};

// One query by vector products: packing would cost more than it saves.
template<class T>
void forward_one(const AttentionJob<T>& job, int64_t head, int64_t query, T* out, T* lse) {
  const Blocks<T> blocks;
  const int64_t n = keys_seen(job, query, 0, job.keys), padded = round_up(n, kLanes<T>);
  T* s = workspace<T>(kSlotAttention, padded + kSlack<T>);
  blocks.kernels.dots(n, 1, job.dim, job.scale, job.k.data + job.k.at[head], job.k.row,
                      job.q.data + job.q.at[head] + query * job.q.row, 0, T(0), s, 1, 0);
  mask_row(job, head, query, 0, n, padded, s);
  Softmax<T, 1> row;
  row.take(0, s, padded, true);
  row.finish(1, lse);
  blocks.kernels.combine(job.value_dim, n, row.sum[0], job.v.data + job.v.at[head], job.v.row, s, 1,
                         T(0), out);
}

template<class T>
void forward(const AttentionJob<T>& job, int64_t head, int64_t begin, int64_t end, T* out,
             int64_t out_row, T* lse) {
  const int64_t m = end - begin, dim = job.dim, vd = job.value_dim;
  if (m < 3) {
    for (int64_t i = begin; i < end; i++) forward_one(job, head, i, out + i * out_row, lse + i);
    return;
  }
  const Blocks<T> blocks;
  const int64_t nr = blocks.nr, mr = blocks.mr;
  const int64_t all = job.causal ? std::min(job.keys, end) : job.keys;
  const int64_t step = std::min(round_up(all, nr), kForwardKeys);
  const int64_t ld = step + kSlack<T>;
  T* keys = workspace<T>(kSlotAttention, step * (dim + round_up(vd, nr)) + m * ld);
  T *values = keys + step * dim, *s = values + round_up(vd, nr) * step;
  Softmax<T, kQueryBlock> rows;
  out += begin * out_row;
  for (int64_t k0 = 0; k0 < all; k0 += step) {
    const int64_t n = std::min(step, all - k0);
    auto seen = [&](int64_t i) { return keys_seen(job, begin + i, k0, n); };
    blocks.pack_turned(n, dim, job.k.data + job.k.at[head] + k0 * job.k.row, job.k.row, keys);
    blocks.pack(n, vd, job.v.data + job.v.at[head] + k0 * job.v.row, job.v.row, values);
    blocks.scores(m, n, dim, job.q.data + job.q.at[head] + begin * job.q.row, job.q.row, keys,
                  job.scale, s, ld, seen);
    for (int64_t i = 0; i < m; i++) {
      const int64_t last = std::min(m, i / mr * mr + mr) - 1; // of its tile
      const int64_t padded = round_up(seen(last), kLanes<T>);
      mask_row(job, head, begin + i, k0, seen(i), padded, s + i * ld);
      const T factor = rows.take(int(i), s + i * ld, padded, k0 == 0);
      if (k0 && factor != T(1)) row_scale(out + i * out_row, vd, factor);
    }
    blocks.gather(m, n, vd, s, ld, values, out, out_row, k0 > 0, seen);
  }
  rows.finish(int(m), lse + begin);
  for (int64_t i = 0; i < m; i++) row_scale(out + i * out_row, vd, rows.sum[i]);
}

// ---- backward ----

// Probabilities to p, gradients of the scores to ds, from the products with keys and values there.
template<class T>
FLAMBEAU_INLINE void row_backward(T* p, T* ds, int64_t n, T lse, T delta, T scale) {
  using V = Vec<T>;
  const V shift = broadcast<V>(lse), mean = broadcast<V>(delta), by = broadcast<V>(scale);
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const V e = exp_lanes(load<V>(p + j) - shift);
    store(p + j, e);
    store(ds + j, e * (load<V>(ds + j) - mean) * by);
  }
}

template<class T>
struct Backward {
  const AttentionJob<T>& job;
  const int64_t head, begin, end;
  const AttentionGrads<T>& to;
  const Blocks<T> blocks{};
  const int64_t nr = blocks.nr, dim = job.dim, vd = job.value_dim;
  const int64_t wide = round_up(dim, nr), wide_v = round_up(vd, nr);
  const int64_t step = std::min(round_up(job.keys, nr), kBackwardKeys);
  const int64_t ld = step + kSlack<T>, most = std::min(end - begin, kQueryBlock);
  T *keys = nullptr, *turned_keys = nullptr, *turned_values = nullptr, *queries = nullptr;
  T *grads = nullptr, *p = nullptr, *ds = nullptr, *delta = nullptr;

  void run() {
    const int64_t of_keys = step * (wide + dim + vd), of_queries = most * (wide + wide_v);
    keys = workspace<T>(kSlotAttention, of_keys + of_queries + 2 * most * ld + end - begin);
    turned_keys = keys + step * wide, turned_values = turned_keys + step * dim;
    queries = turned_values + step * vd, grads = queries + most * wide;
    p = grads + most * wide_v, ds = p + most * ld, delta = ds + most * ld;
    for (int64_t i = begin; i < end; i++)
      delta[i - begin] = row_dot(to.out + i * to.out_row, to.grad + i * to.grad_row, vd);
    for (int64_t k0 = 0; k0 < job.keys; k0 += step) key_block(k0, std::min(step, job.keys - k0));
  }

  void key_block(int64_t k0, int64_t n) {
    const T* k = job.k.data + job.k.at[head] + k0 * job.k.row;
    const T* v = job.v.data + job.v.at[head] + k0 * job.v.row;
    blocks.pack(n, dim, k, job.k.row, keys);
    blocks.pack_turned(n, dim, k, job.k.row, turned_keys);
    blocks.pack_turned(n, vd, v, job.v.row, turned_values);
    bool add = false;
    for (int64_t q0 = begin; q0 < end; q0 += most) {
      const int64_t m = std::min(most, end - q0);
      if (job.causal && q0 + m <= k0) continue;
      tile(k0, n, q0, m, add);
      add = true;
    }
    if (add) return;
    for (int64_t j = k0; j < k0 + n; j++) { // keys that no query sees
      if (to.dk) std::fill_n(to.dk + j * to.dk_row, dim, T(0));
      if (to.dv) std::fill_n(to.dv + j * to.dv_row, vd, T(0));
    }
  }

  void tile(int64_t k0, int64_t n, int64_t q0, int64_t m, bool add) {
    const int64_t mr = blocks.mr;
    const T *q = job.q.data + job.q.at[head] + q0 * job.q.row, *g = to.grad + q0 * to.grad_row;
    auto seen = [&](int64_t i) { return keys_seen(job, q0 + i, k0, n); };
    auto first = [&](int64_t j) { // the first query that sees key j, or the begin of its tile
      const int64_t i = k0 + j - q0;
      return !job.causal || i < 0 ? 0 : i < m ? i / mr * mr : m;
    };
    blocks.scores(m, n, dim, q, job.q.row, turned_keys, job.scale, p, ld, seen);
    blocks.scores(m, n, vd, g, to.grad_row, turned_values, T(1), ds, ld, seen);
    for (int64_t i = 0; i < m; i++) {
      // A tile of columns reads up to `mr` beyond what the row sees.
      const int64_t last = std::min(m, i / mr * mr + mr) - 1;
      const int64_t padded = round_up(std::min(n, seen(last) + mr), kLanes<T>);
      T *pi = p + i * ld, *di = ds + i * ld;
      fill_rest(di, seen(i), padded, T(0));
      mask_row(job, head, q0 + i, k0, seen(i), padded, pi);
      row_backward(pi, di, padded, to.lse[q0 + i], delta[q0 + i - begin], job.scale);
    }
    if (to.dq)
      blocks.gather(m, n, dim, ds, ld, keys, to.dq + q0 * to.dq_row, to.dq_row, k0 > 0, seen);
    if (to.dk) {
      blocks.pack(m, dim, q, job.q.row, queries);
      blocks.scatter(m, n, dim, ds, ld, queries, to.dk + k0 * to.dk_row, to.dk_row, add, first);
    }
    if (to.dv) {
      blocks.pack(m, vd, g, to.grad_row, grads);
      blocks.scatter(m, n, vd, p, ld, grads, to.dv + k0 * to.dv_row, to.dv_row, add, first);
    }
  }
};

template<class T>
void backward(const AttentionJob<T>& job, int64_t head, int64_t begin, int64_t end,
              const AttentionGrads<T>& to) {
  Backward<T>{job, head, begin, end, to}.run();
}

template<class T>
const AttentionKernels<T>* attention_kernels() {
  static constexpr AttentionKernels<T> table = {forward<T>, backward<T>};
  return &table;
}
template const AttentionKernels<float>* attention_kernels<float>();
template const AttentionKernels<double>* attention_kernels<double>();

} // namespace FLAMBEAU_ISA
} // namespace flambeau
