// Attention's chunks, compiled once per instruction set (FLAMBEAU_ISA).
#pragma once

#include <algorithm>

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

template<class T>
FLAMBEAU_INLINE Vec<T> exp_lanes(Vec<T> v) {
  alignas(kVectorBytes) T a[kLanes<T>];
  __builtin_memcpy(a, &v, sizeof v);
  for (T& x : a) x = math::exp(x);
  __builtin_memcpy(&v, a, sizeof v);
  return v;
}

template<class T>
FLAMBEAU_INLINE T row_max(const T* s, int64_t n, T top) {
  using V = Vec<T>;
  V best = broadcast<V>(top);
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const V v = load<V>(s + j);
    best = v > best ? v : best;
  }
  for (int l = 0; l < kLanes<T>; l++) top = best[l] > top ? best[l] : top;
  return top;
}

// s = exp(s - shift); returns the sum.
template<class T>
FLAMBEAU_INLINE T row_exp(T* s, int64_t n, T shift) {
  using V = Vec<T>;
  const V by = broadcast<V>(shift);
  V sum{};
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const V e = exp_lanes<T>(load<V>(s + j) - by);
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
  for (int64_t j = 0; j < n; j++) x[j] *= by;
}

// ---- products of blocks ----

constexpr int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

template<class T>
struct Blocks {
  const GemmKernels<T>& kernels = *gemm_table<T>();
  const int64_t nr = kernels.nr, mr = std::min(kernels.mr, 6);

  // Rows [0, n) of a matrix with `cols` columns, as panels of nr columns.
  void pack(int64_t n, int64_t cols, const T* src, int64_t row, T* to) const {
    for (int64_t c = 0; c < cols; c += nr)
      kernels.pack_rows(n, int(std::min(nr, cols - c)), int(nr), src + c, row, to + c * n);
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
    const bool* b = job.keep.data + job.keep.at[head] + query * job.keep.row + k0;
    for (int64_t j = 0; j < n; j++) s[j] = b[j] ? s[j] : kMinusInf<T>;
  }
  for (int64_t j = n; j < padded; j++) s[j] = kMinusInf<T>;
}

// How many of the keys [k0, k0 + n) a query sees.
template<class T>
FLAMBEAU_INLINE int64_t keys_seen(const AttentionJob<T>& job, int64_t query, int64_t k0,
                                  int64_t n) {
  return job.causal ? std::clamp<int64_t>(query + 1 - k0, 0, n) : n;
}

// ---- forward ----

constexpr int64_t kForwardKeys = 256, kBackwardKeys = 128;

// A row of the softmax so far: its largest score, and the sum of exponentials relative to that.
template<class T>
struct Softmax {
  T top = kMinusInf<T>, sum = 0;

  // Takes `padded` more scores and leaves their exponentials; returns what to multiply the
  // row's earlier terms by.
  T take(T* s, int64_t padded) {
    const T before = top;
    top = row_max(s, padded, before);
    if (top == kMinusInf<T>) { // a NaN is no maximum, but must not be lost
      T nan = 0;
      for (int64_t j = 0; j < padded; j++) {
        nan = s[j] != s[j] ? s[j] : nan;
        s[j] = nan;
      }
      sum += nan;
      return T(1);
    }
    const T factor = before == top ? T(1) : math::exp(before - top);
    sum = sum * factor + row_exp(s, padded, top);
    return factor;
  }
  T lse() const { return sum == T(0) ? -kMinusInf<T> : top + math::log(sum); }
  T scale() const { return sum == T(0) ? T(0) : T(1) / sum; }
};

// One query by vector products: packing would cost more than it saves.
template<class T>
void forward_one(const AttentionJob<T>& job, int64_t head, int64_t query, T* out, T* lse) {
  const Blocks<T> blocks;
  const int64_t n = keys_seen(job, query, 0, job.keys), padded = round_up(n, kLanes<T>);
  T* s = workspace<T>(kSlotAttention, padded);
  blocks.kernels.gemv_rows(n, job.dim, job.scale, job.k.data + job.k.at[head], job.k.row,
                           job.q.data + job.q.at[head] + query * job.q.row, T(0), s, 1);
  mask_row(job, head, query, 0, n, padded, s);
  Softmax<T> row;
  row.take(s, padded);
  blocks.kernels.gemv_cols(job.value_dim, n, row.scale(), job.v.data + job.v.at[head], job.v.row, s,
                           1, T(0), out);
  *lse = row.lse();
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
  T* keys = workspace<T>(kSlotAttention, step * (dim + m) + round_up(vd, nr) * step);
  T *values = keys + step * dim, *s = values + round_up(vd, nr) * step;
  Softmax<T> rows[kQueryBlock];
  out += begin * out_row;
  for (int64_t k0 = 0; k0 < all; k0 += step) {
    const int64_t n = std::min(step, all - k0);
    auto seen = [&](int64_t i) { return keys_seen(job, begin + i, k0, n); };
    blocks.pack_turned(n, dim, job.k.data + job.k.at[head] + k0 * job.k.row, job.k.row, keys);
    blocks.pack(n, vd, job.v.data + job.v.at[head] + k0 * job.v.row, job.v.row, values);
    blocks.scores(m, n, dim, job.q.data + job.q.at[head] + begin * job.q.row, job.q.row, keys,
                  job.scale, s, step, seen);
    for (int64_t i = 0; i < m; i++) {
      const int64_t last = std::min(m, i / mr * mr + mr) - 1; // of its tile
      const int64_t padded = round_up(seen(last), kLanes<T>);
      mask_row(job, head, begin + i, k0, seen(i), padded, s + i * step);
      const T factor = rows[i].take(s + i * step, padded);
      if (k0 && factor != T(1)) row_scale(out + i * out_row, vd, factor);
    }
    blocks.gather(m, n, vd, s, step, values, out, out_row, k0 > 0, seen);
  }
  for (int64_t i = 0; i < m; i++) {
    row_scale(out + i * out_row, vd, rows[i].scale());
    lse[begin + i] = rows[i].lse();
  }
}

// ---- backward ----

// Probabilities to p, gradients of the scores to ds, from the products with keys and values there.
template<class T>
FLAMBEAU_INLINE void row_backward(T* p, T* ds, int64_t n, T lse, T delta, T scale) {
  using V = Vec<T>;
  const V shift = broadcast<V>(lse), mean = broadcast<V>(delta), by = broadcast<V>(scale);
  for (int64_t j = 0; j < n; j += kLanes<T>) {
    const V e = exp_lanes<T>(load<V>(p + j) - shift);
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
  const int64_t most = std::min(end - begin, kQueryBlock);
  T *keys = nullptr, *turned_keys = nullptr, *turned_values = nullptr, *queries = nullptr;
  T *grads = nullptr, *p = nullptr, *ds = nullptr, *delta = nullptr;

  void run() {
    const int64_t of_keys = step * (wide + dim + vd), of_queries = most * (wide + wide_v);
    keys = workspace<T>(kSlotAttention, of_keys + of_queries + 2 * most * step + end - begin);
    turned_keys = keys + step * wide, turned_values = turned_keys + step * dim;
    queries = turned_values + step * vd, grads = queries + most * wide;
    p = grads + most * wide_v, ds = p + most * step, delta = ds + most * step;
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
    blocks.scores(m, n, dim, q, job.q.row, turned_keys, job.scale, p, step, seen);
    blocks.scores(m, n, vd, g, to.grad_row, turned_values, T(1), ds, step, seen);
    for (int64_t i = 0; i < m; i++) {
      // A tile of columns reads up to `mr` beyond what the row sees.
      const int64_t last = std::min(m, i / mr * mr + mr) - 1;
      const int64_t padded = round_up(std::min(n, seen(last) + mr), kLanes<T>);
      T *pi = p + i * step, *di = ds + i * step;
      for (int64_t j = seen(i); j < padded; j++) di[j] = 0;
      mask_row(job, head, q0 + i, k0, seen(i), padded, pi);
      row_backward(pi, di, padded, to.lse[q0 + i], delta[q0 + i - begin], job.scale);
    }
    if (to.dq)
      blocks.gather(m, n, dim, ds, step, keys, to.dq + q0 * to.dq_row, to.dq_row, k0 > 0, seen);
    if (to.dk) {
      blocks.pack(m, dim, q, job.q.row, queries);
      blocks.scatter(m, n, dim, ds, step, queries, to.dk + k0 * to.dk_row, to.dk_row, add, first);
    }
    if (to.dv) {
      blocks.pack(m, vd, g, to.grad_row, grads);
      blocks.scatter(m, n, vd, p, step, grads, to.dv + k0 * to.dv_row, to.dv_row, add, first);
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
