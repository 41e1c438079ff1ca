// One element of each row by its rank or frequency: kthvalue, median, nanmedian, mode.
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/order.h"
#include "sort_select.h"

namespace flambeau {
namespace {

enum class Pick : uint8_t { Kth, Median, NanMedian, Mode }; // as cuda::Rank
const char* const kNames[] = {"kthvalue", "median", "nanmedian", "mode"};

template<class T>
int64_t median_place(const T* x, int64_t n, bool skip_nan, Word<T>* words) {
  int64_t good = n;
  if constexpr (kFloating<T>) {
    int64_t nans = 0;
    for (int64_t i = 0; i < n; ++i) nans += is_nan(x[i]);
    if (nans && !skip_nan) return std::find_if(x, x + n, is_nan<T>) - x;
    good -= nans;
  }
  return place_of(select_word(x, n, good ? (good - 1) / 2 : 0, KeyOf<T>(0), words));
}

// The last place of the longest run of equal values; of runs as long, the smallest value's.
template<class T>
int64_t mode_place(const T* x, int64_t n, uint64_t* words) {
  KeyRange<KeyOf<T>> range;
  uint64_t* s = order_row(x, n, false, words, words + n, range);
  int64_t best = 0, place = 0, run = 0;
  for (int64_t i = 0; i < n; ++i) {
    T v = x[uint32_t(s[i])];
    ++run;
    if (i + 1 < n && !is_nan(v) && key_of(v) == key_of(x[uint32_t(s[i + 1])])) continue;
    if (run > best) {
      best = run;
      place = int64_t(uint32_t(s[i]));
    }
    run = 0;
  }
  return place;
}

struct PickOp final : OpOf<PickOp> {
  Pick kind = Pick::Kth;
  int64_t k = 0, dim = 0;
  bool keepdim = false;
  Dims shape;
  const char* name() const override { return kNames[int(kind)]; }
  Specs infer(const Inputs& in) override {
    Dims s = in[0].shape();
    if (s.size()) {
      if (keepdim)
        s[int(dim)] = 1;
      else
        s.erase(int(dim));
    }
    return {{s, in[0].dtype()}, {s, DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    if (out[0].numel() == 0) return;
    Tensor x = rows_along(in[0], dim);
    int64_t n = x.size(-1), rows = x.numel() / n, rank = k;
    FB_CHECK(n < (int64_t(1) << 32), name(), ": a row of ", n, " elements is too long");
    Pick what = kind;
    dispatch_ordered(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* src = x.data<T>();
      T* v = out[0].data<T>();
      int64_t* at = out[1].data<int64_t>();
      parallel_for(rows, std::max<int64_t>(1, 16384 / n), [&](int64_t b, int64_t e) {
        Scratch<Word<T>> words(what == Pick::Mode ? 0 : n);
        Scratch<uint64_t> pairs(what == Pick::Mode ? 2 * n : 0);
        for (int64_t r = b; r < e; ++r) {
          const T* row = src + r * n;
          if (what == Pick::Mode)
            at[r] = mode_place(row, n, pairs.get());
          else if (what == Pick::Kth)
            at[r] = place_of(select_word(row, n, rank, KeyOf<T>(0), words.get()));
          else
            at[r] = median_place(row, n, what == Pick::NanMedian, words.get());
          v[r] = row[at[r]];
        }
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    if (out[0].numel() == 0) return;
    NoGrad off;
    Tensor x = rows_along(in[0], dim);
    int64_t n = x.size(-1), rows = x.numel() / n;
    FB_CHECK(n < (int64_t(1) << 32), name(), ": a row of ", n, " elements is too long");
    cuda::pick_rank(view(x, {rows, n}), cuda::Rank(kind), k, out[0], out[1]);
  }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  uint32_t not_differentiable() const override { return 2; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor at = s.output(1);
    if (shape.empty()) return {reshape(g[0], {})};
    if (keepdim) return {put_back(g[0], shape, dim, at)};
    return {put_back(unsqueeze(g[0], dim), shape, dim, unsqueeze(at, dim))};
  }
};

Tensors pick(Pick kind, const Tensor& t, int64_t k, int64_t dim, bool keepdim) {
  PickOp op;
  op.kind = kind;
  op.dim = wrap_dim(dim, t.dim(), op.name());
  FB_CHECK_AS(NotImplemented, !is_complex(t.dtype()), "\"", op.name(),
              "_cpu\" not implemented "
              "for '",
              t.dtype(), "': complex numbers have no order");
  FB_CHECK_AS(NotImplemented, t.dtype() != DType::Bool || kind == Pick::Mode, "\"", op.name(),
              "_cpu\" not implemented for 'bool': use input.to(flambeau.uint8)");
  int64_t n = t.dim() ? t.shape()[int(op.dim)] : 1;
  FB_CHECK_INDEX(n || kind == Pick::Kth || t.numel(), op.name(), "(): Expected reduction dim ",
                 op.dim, " to have non-zero size.");
  if (kind == Pick::Kth) {
    FB_CHECK_INDEX(n, "kthvalue(): Expected reduction dim ", op.dim, " to have non-zero size.");
    FB_CHECK(k >= 1 && k <= n, "kthvalue(): selected number k out of range for dimension ", op.dim,
             ": k is ", k, " of ", n, " elements (the smallest is k=1)");
  }
  op.k = k - 1;
  op.keepdim = keepdim;
  op.shape = t.shape();
  Outputs r = apply_all(op, {t});
  return {r[0], r[1]};
}

// The median of all elements; its gradient is shared by those equal to it.
struct MedianAll final : OpOf<MedianAll> {
  bool skip_nan = false;
  const char* name() const override { return skip_nan ? "nanmedian" : "median"; }
  Specs infer(const Inputs& in) override { return {{Dims{}, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(in[0]);
    int64_t n = x.numel();
    FB_CHECK(n < (int64_t(1) << 32), name(), ": ", n, " elements are too many: 2**32 at most");
    dispatch_ordered(x.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      if (n == 0) {
        if constexpr (kFloating<T>)
          *out[0].data<T>() = T(NAN);
        else if constexpr (std::is_signed_v<T>)
          *out[0].data<T>() = std::numeric_limits<T>::min();
        else
          *out[0].data<T>() = T(0);
        return;
      }
      Scratch<Word<T>> words(n);
      const T* v = x.data<T>();
      *out[0].data<T>() = v[median_place(v, n, skip_nan, words.get())];
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    int64_t n = in[0].numel();
    FB_CHECK(n < (int64_t(1) << 32), name(), ": ", n, " elements are too many: 2**32 at most");
    if (n == 0) return host_round_trip(*this, in, out); // there is nothing to copy
    cuda::pick_rank(view(contiguous(in[0]), {1, n}),
                    skip_nan ? cuda::Rank::NanMedian : cuda::Rank::Median, 0, out[0],
                    empty({}, DType::I64, in[0].device()));
  }
  Saves saves(const Inputs&) const override { return {1, 1}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor mask;
    {
      NoGrad off;
      Tensor x = s.input(0), m = s.output(0);
      mask = to_dtype(logical_or(eq(x, m), logical_and(ne(x, x), ne(m, m))), g[0].dtype());
      mask = mask / sum(mask);
    }
    return {g[0] * mask};
  }
};

Tensor median_all(const Tensor& t, bool skip_nan) {
  FB_CHECK_AS(NotImplemented, !is_complex(t.dtype()) && t.dtype() != DType::Bool,
              "\"median_cpu\" not implemented for '", t.dtype(), "'");
  MedianAll op;
  op.skip_nan = skip_nan;
  return apply(std::move(op), {t});
}

#define FB_PICKED "bool keepdim=False) -> (Tensor values, Tensor indices)"
#define FB_MEDIAN(name, kind, skip, doc)                                                          \
  {name "(Tensor input) -> Tensor", kFMO,                                                         \
   [](Args& a) -> Value { return median_all(a.tensor(0), skip); }, doc},                          \
  {                                                                                               \
    name "(Tensor input, int dim, " FB_PICKED, kFMO,                                              \
        [](Args& a) -> Value { return pick(kind, a.tensor(0), 1, a.integer(1), a.flag(2)); }, doc \
  }

Register rows({
    {"kthvalue(Tensor input, int k, int dim=-1, " FB_PICKED, kFMO,
     [](Args& a) -> Value {
       return pick(Pick::Kth, a.tensor(0), a.integer(1), a.integer(2), a.flag(3));
     },
     "The k-th smallest element along `dim` (from 1), and where it is."},
    {"mode(Tensor input, int dim=-1, " FB_PICKED, kFMO,
     [](Args& a) -> Value { return pick(Pick::Mode, a.tensor(0), 1, a.integer(1), a.flag(2)); },
     "The most frequent value along `dim` (of several the smallest), and where it is last."},
    FB_MEDIAN("median", Pick::Median, false,
              "The median, the lower of two; NaN if any is. With `dim` also where it is."),
    FB_MEDIAN("nanmedian", Pick::NanMedian, true,
              "The median of what is not NaN, the lower of two. With `dim` also where it is."),
});

} // namespace
} // namespace flambeau
