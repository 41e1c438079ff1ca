// Order along a dimension: sort, argsort, msort, topk.
#include <array>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/order.h"
#include "sort_select.h"

namespace flambeau {

Tensor rows_along(const Tensor& t, int64_t dim) {
  NoGrad off;
  if (t.dim() == 0) return view(contiguous(t), {1});
  return contiguous(dim == t.dim() - 1 ? t : movedim(t, {dim}, {int64_t(t.dim() - 1)}));
}

void store_rows(const Tensor& out, const Tensor& rows, int64_t dim) {
  NoGrad off;
  Tensor r = rows;
  if (out.dim() == rows.dim() && dim != out.dim() - 1)
    r = movedim(r, {int64_t(out.dim() - 1)}, {dim});
  copy_values(out, out.dim() == r.dim() ? r : view(contiguous(r), out.shape()));
}

// By the leading digit in parts, all at once; then its buckets, each of which fits a cache.
uint64_t* sort_long(uint64_t* a, uint64_t* b, int64_t n, int bits) {
  int rest = std::max(bits - 8, 0), shift = 32 + rest;
  int64_t parts = (n - 1) / kSortPart + 1;
  std::vector<std::array<int64_t, 257>> at(static_cast<size_t>(parts));
  parallel_for(n, kSortPart, [&](int64_t from, int64_t to) {
    auto& count = at[size_t(from / kSortPart)];
    count.fill(0);
    for (int64_t i = from; i < to; ++i) ++count[a[i] >> shift];
  });
  std::array<int64_t, 257> start;
  int64_t sum = 0;
  for (size_t d = 0; d < 257; ++d) {
    start[d] = sum;
    for (auto& part : at) sum += std::exchange(part[d], sum);
  }
  parallel_for(n, kSortPart, [&](int64_t from, int64_t to) {
    auto& place = at[size_t(from / kSortPart)];
    for (int64_t i = from; i < to; ++i) b[place[a[i] >> shift]++] = a[i];
  });
  parallel_for(256, 1, [&](int64_t d, int64_t end) {
    for (; d < end; ++d) {
      int64_t from = start[size_t(d)], m = start[size_t(d + 1)] - from;
      if (m < 2) continue;
      uint64_t* s = m <= 96 ? (std::sort(b + from, b + from + m), b + from)
                            : radix_sort(b + from, a + from, m, 32, rest);
      if (s != b + from) std::copy_n(s, m, b + from);
    }
  });
  return b;
}

Tensor put_back(const Tensor& g, const Dims& shape, int64_t dim, const Tensor& at) {
  if (shape.empty()) return reshape(g, {});
  return scatter_add(zeros(shape, g.dtype(), g.device()), dim, at, g);
}

namespace {

void check_rows(int64_t n, const char* op) {
  FB_CHECK(n < (int64_t(1) << 32), op, ": a row of ", n, " elements is too long: 2**32 at most");
}

// Where the results of a row op are made: in place when dim is last, else beside.
struct Target {
  Tensor out, rows;
  Target(const Tensor& out, int64_t dim) : out(out), rows(out), dim(dim) {
    if (out.dim() < 2 || dim == out.dim() - 1) return;
    Dims s = out.shape();
    int64_t n = s[int(dim)];
    s.erase(int(dim));
    s.push_back(n);
    rows = empty(s, out.dtype(), out.device());
  }
  void finish() const {
    if (!rows.is(out)) store_rows(out, rows, dim);
  }
  int64_t dim;
};

void sort_on_gpu(const Inputs& in, Outputs& out, int64_t dim, bool descending, const char* op) {
  if (out[0].numel() == 0) return;
  NoGrad off;
  Tensor x = rows_along(in[0], dim);
  Target values(out[0], dim), places(out[1], dim);
  int64_t n = x.size(-1), rows = x.numel() / n, keep = out[0].numel() / rows;
  check_rows(n, op);
  cuda::sort_rows(view(x, {rows, n}), descending, view(values.rows, {rows, keep}),
                  view(places.rows, {rows, keep}));
  values.finish();
  places.finish();
}

struct Sort final : OpOf<Sort> {
  int64_t dim = 0;
  bool descending = false;
  Dims shape;
  const char* name() const override { return "sort"; }
  Specs infer(const Inputs& in) override {
    return {{in[0].shape(), in[0].dtype()}, {in[0].shape(), DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    if (in[0].numel() == 0) return;
    Tensor x = rows_along(in[0], dim);
    Target values(out[0], dim), places(out[1], dim);
    int64_t n = x.size(-1), rows = x.numel() / n;
    check_rows(n, "sort");
    bool down = descending;
    dispatch_ordered(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = x.data<T>();
      T* v = values.rows.data<T>();
      int64_t* at = places.rows.data<int64_t>();
      parallel_for(rows, std::max<int64_t>(1, 8192 / n), [&](int64_t b, int64_t e) {
        Scratch<uint64_t> words(n <= 32 ? 1 : n * 2);
        for (int64_t r = b; r < e; ++r)
          row(src + r * n, n, down, v + r * n, at + r * n, words.get());
      });
    });
    values.finish();
    places.finish();
  }
  void cuda(const Inputs& in, Outputs& out) override {
    sort_on_gpu(in, out, dim, descending, "sort");
  }
  // Every element's rank is counted, without branches on the values.
  template<class T, int N>
  static void short_row(const T* x, int64_t n, bool down, T* v, int64_t* at) {
    using K = KeyOf<T>;
    K flip = down ? ~K(0) : 0, key[N], rank[N] = {};
    for (int64_t i = 0; i < n; ++i) key[i] = key_of(x[i]) ^ flip;
    for (int64_t i = n; i < N; ++i) key[i] = ~K(0);
    for (int64_t i = 0; i < n; ++i) {
      K k = key[i];
      for (int j = 0; j < N; ++j) rank[j] += (k < key[j]) | ((k == key[j]) & (int(i) < j));
    }
    for (int64_t i = 0; i < n; ++i) {
      v[rank[i]] = x[i];
      at[rank[i]] = i;
    }
  }
  template<class T>
  static void row(const T* x, int64_t n, bool down, T* v, int64_t* at, uint64_t* words) {
    using K = KeyOf<T>;
    if (n <= 32)
      return n <= 16 ? short_row<T, 16>(x, n, down, v, at) : short_row<T, 32>(x, n, down, v, at);
    KeyRange<K> range;
    uint64_t* s = order_row(x, n, down, words, words + n, range);
    parallel_for(n, kSortPart, [=](int64_t from, int64_t to) {
      for (int64_t i = from; i < to; ++i) at[i] = int64_t(uint32_t(s[i]));
      if (range.exact && range.bits() <= 32) {
        K flip = down ? ~K(0) : 0;
        for (int64_t i = from; i < to; ++i)
          v[i] = value_of_key<T>((K(s[i] >> 32) + range.low) ^ flip);
      } else {
        for (int64_t i = from; i < to; ++i) v[i] = x[uint32_t(s[i])];
      }
    });
  }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    return {put_back(g[0], shape, dim, s.output(1))};
  }
};

struct TopK final : OpOf<TopK> {
  int64_t k = 0, dim = 0;
  bool largest = true;
  Dims shape;
  const char* name() const override { return "topk"; }
  Specs infer(const Inputs& in) override {
    Dims s = in[0].shape();
    if (s.size()) s[int(dim)] = k;
    return {{s, in[0].dtype()}, {s, DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    if (out[0].numel() == 0) return;
    Tensor x = rows_along(in[0], dim);
    Target values(out[0], dim), places(out[1], dim);
    int64_t n = x.size(-1), rows = x.numel() / n, count = k;
    check_rows(n, "topk");
    bool up = largest;
    dispatch_ordered(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = x.data<T>();
      T* v = values.rows.data<T>();
      int64_t* at = places.rows.data<int64_t>();
      parallel_for(rows, std::max<int64_t>(1, 32768 / n), [&](int64_t b, int64_t e) {
        Scratch<Word<T>> words(count <= kFewBest ? kFewBest : n + count);
        for (int64_t r = b; r < e; ++r) {
          const T* from = src + r * n;
          if (up)
            best_of_row<T, true>(from, n, count, words.get());
          else
            best_of_row<T, false>(from, n, count, words.get());
          for (int64_t i = 0; i < count; ++i) {
            int64_t p = place_of(words.get()[i]);
            at[r * count + i] = p;
            v[r * count + i] = from[p];
          }
        }
      });
    });
    values.finish();
    places.finish();
  }
  void cuda(const Inputs& in, Outputs& out) override { sort_on_gpu(in, out, dim, largest, "topk"); }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    return {put_back(g[0], shape, dim, s.output(1))};
  }
};

Tensors sort(const Tensor& t, int64_t dim, bool descending) {
  FB_CHECK(!is_complex(t.dtype()), "sort: complex numbers have no order, and the input is ",
           describe(t), ": sort its .abs() or .real");
  Sort op;
  op.dim = wrap_dim(dim, t.dim(), "sort");
  op.descending = descending;
  op.shape = t.shape();
  Outputs r = apply_all(op, {t});
  return {r[0], r[1]};
}

Tensors topk(const Tensor& t, int64_t k, int64_t dim, bool largest) {
  FB_CHECK(!is_complex(t.dtype()), "topk: complex numbers have no order, and the input is ",
           describe(t), ": take it of .abs() or .real");
  FB_CHECK(t.dtype() != DType::Bool, "topk does not support bool: use input.to(flambeau.uint8)");
  TopK op;
  op.dim = wrap_dim(dim, t.dim(), "topk");
  int64_t n = t.dim() ? t.shape()[int(op.dim)] : 1;
  FB_CHECK(k >= 0 && k <= n, "topk: selected index k out of range: k is ", k, " but dimension ",
           op.dim, " of ", describe(t), " has ", n, " elements");
  op.k = k;
  op.largest = largest;
  op.shape = t.shape();
  Outputs r = apply_all(op, {t});
  return {r[0], r[1]};
}

Value call_sort(Args& a) { return sort(a.tensor(0), a.integer(1), a.flag(2)); }
Value call_argsort(Args& a) { return sort(detach(a.tensor(0)), a.integer(1), a.flag(2))[1]; }

#define FB_SORTED " -> (Tensor values, Tensor indices)"
Register rows({
    {"sort(Tensor input, int dim=-1, bool descending=False, bool stable=False)" FB_SORTED, kFMO,
     call_sort,
     "Elements in order along `dim` and where they were: equal ones keep their order, "
     "NaN counts as the largest."},
    {"sort(Tensor input, *, bool? stable, int dim=-1, bool descending=False)" FB_SORTED, kFMO,
     [](Args& a) -> Value { return sort(a.tensor(0), a.integer(2), a.flag(3)); },
     "The same with `stable` by keyword."},
    {"argsort(Tensor input, int dim=-1, bool descending=False, bool stable=False) -> Tensor", kFMO,
     call_argsort, "Indices that put the elements in order along `dim`; stable."},
    {"msort(Tensor input) -> Tensor", kFMO,
     [](Args& a) -> Value { return sort(a.tensor(0), 0, false)[0]; },
     "Elements in order along the first dimension."},
    {"topk(Tensor input, int k, int dim=-1, bool largest=True, bool sorted=True)" FB_SORTED, kFMO,
     [](Args& a) -> Value { return topk(a.tensor(0), a.integer(1), a.integer(2), a.flag(3)); },
     "The k largest (or smallest) elements along `dim`, best first, and where they are; of equal "
     "ones the first."},
});

} // namespace

Tensor sorted_values(const Tensor& t) {
  NoGrad off;
  if (t.is_cuda()) return sort(view(contiguous(t), {t.numel()}), 0, false)[0];
  Tensor x = contiguous(view(contiguous(t), {t.numel()})), out = empty({t.numel()}, t.dtype());
  int64_t n = x.numel();
  check_rows(n, "sort");
  if (n == 0) return out;
  dispatch_ordered(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    using K = KeyOf<T>;
    const T* src = x.data<T>();
    T* v = out.data<T>();
    KeyRange<K> r = key_range(src, n, K(0));
    if (r.sorted) {
      std::copy_n(src, n, v);
      return;
    }
    Scratch<K> keys(n * 2);
    K* k = keys.get();
    for (int64_t i = 0; i < n; ++i) k[i] = key_of(src[i]) - r.low;
    // Of wide keys the leading 32 bits are sorted, then the runs that agree in them.
    int bits = r.bits(), cut = std::max(bits - 32, 0);
    K* s = sort_words(k, k + n, n, cut, bits - cut);
    for (int64_t i = 0, j; cut && i < n; i = j) {
      for (j = i + 1; j < n && s[j] >> cut == s[i] >> cut;) ++j;
      if (j - i > 1) std::sort(s + i, s + j);
    }
    for (int64_t i = 0; i < n; ++i) {
      v[i] = value_of_key<T>(s[i] + r.low);
      if constexpr (kHalf<T>)
        v[i] = s[i] + r.low == 0xffffu ? T(NAN) : v[i];
      else if constexpr (kFloating<T>)
        v[i] = s[i] + r.low == ~K(0) ? T(NAN) : v[i];
    }
  });
  return out;
}

} // namespace flambeau
