// Distinct values: unique and unique_consecutive, of elements or of slices along a dimension.
#include <cstring>
#include <vector>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/indexing.h"
#include "../cuda/order.h"
#include "sort_keys.h"

namespace flambeau {
namespace {

struct Wanted {
  bool inverse, counts;
};
struct Distinct {
  Tensor values, inverse, counts;
};
Value answer(const Distinct& d, Wanted w) {
  if (!w.inverse && !w.counts) return d.values;
  Tensors r{d.values};
  if (w.inverse) r.push_back(d.inverse);
  if (w.counts) r.push_back(d.counts);
  return r;
}

// The runs of an order of n things. same(i): whether thing i equals thing i - 1; value(i): what
// stands for its run; place(i): where it stood before.
template<class T, class Same, class Get, class Place>
void take_runs(int64_t n, DType dtype, Wanted w, Distinct& d, Same&& same, Get&& value,
               Place&& place) {
  int64_t m = n > 0, at = 0;
  if (n && !w.inverse && !w.counts) { // in parts: how many runs start in each, then where
    constexpr int64_t kPart = 32768;
    int64_t parts = (n + kPart - 1) / kPart;
    std::vector<int64_t> starts(size_t(parts + 1));
    parallel_for(n, kPart, [&](int64_t b, int64_t e) {
      int64_t c = 0;
      for (int64_t i = std::max<int64_t>(b, 1); i < e; ++i) c += !same(i);
      starts[size_t(b / kPart + 1)] = c + (b == 0);
    });
    for (size_t p = 1; p < starts.size(); ++p) starts[p] += starts[p - 1];
    d.values = empty({starts.back()}, dtype);
    T* all = d.values.template data<T>();
    parallel_for(n, kPart, [&](int64_t b, int64_t e) {
      T* o = all + starts[size_t(b / kPart)];
      for (int64_t i = b; i < e; ++i)
        if (i == 0 || !same(i)) *o++ = value(i);
    });
    return;
  }
  for (int64_t i = 1; i < n; ++i) m += !same(i);
  d.values = empty({m}, dtype);
  T* o = d.values.template data<T>();
  int64_t *inverse = nullptr, *counts = nullptr;
  if (w.inverse) inverse = (d.inverse = empty({n}, DType::I64)).template data<int64_t>();
  if (w.counts) counts = (d.counts = empty({m}, DType::I64)).template data<int64_t>();
  for (int64_t i = 0; i < n; ++i) {
    at += i && !same(i);
    o[at] = value(i);
    if (inverse) inverse[place(i)] = at;
    if (counts) counts[at] = i + 1;
  }
  for (int64_t i = m - 1; counts && i > 0; --i) counts[i] -= counts[i - 1];
}

// Integers of a small range: a count for each possible value.
template<class T>
void unique_by_table(const T* x, int64_t n, KeyOf<T> low, int64_t size, Wanted w, Distinct& d) {
  Scratch<uint32_t> table(size);
  uint32_t* c = table.get();
  std::fill_n(c, size, 0u);
  for (int64_t i = 0; i < n; ++i) ++c[key_of(x[i]) - low];
  int64_t m = size - std::count(c, c + size, 0u), at = 0;
  d.values = empty({m}, dtype_of<T>);
  if (w.counts) d.counts = empty({m}, DType::I64);
  T* v = d.values.data<T>();
  int64_t* count = w.counts ? d.counts.data<int64_t>() : nullptr;
  for (int64_t k = 0; k < size; ++k) {
    if (!c[k]) continue;
    v[at] = value_of_key<T>(KeyOf<T>(k) + low);
    if (count) count[at] = c[k];
    c[k] = uint32_t(at++);
  }
  if (!w.inverse) return;
  d.inverse = empty({n}, DType::I64);
  int64_t* o = d.inverse.data<int64_t>();
  for (int64_t i = 0; i < n; ++i) o[i] = c[key_of(x[i]) - low];
}

template<class T>
void unique_elements(const Tensor& x, Wanted w, Distinct& d) {
  int64_t n = x.numel();
  const T* v = x.data<T>();
  if constexpr (!kFloating<T>) {
    auto r = key_range(v, n, KeyOf<T>(0));
    auto span = r.high - r.low;
    if (n && span < KeyOf<T>(std::max<int64_t>(1024, 2 * n)) && span < (1u << 31))
      return unique_by_table(v, n, r.low, int64_t(span) + 1, w, d);
  }
  auto stays = [](int64_t i) { return i; };
  if (!w.inverse) {
    Tensor s = sorted_values(x);
    const T* p = s.data<T>();
    return take_runs<T>(
        n, x.dtype(), w, d, [&](int64_t i) { return p[i] == p[i - 1]; },
        [&](int64_t i) { return p[i]; }, stays);
  }
  Scratch<uint64_t> words(std::max<int64_t>(2 * n, 1));
  KeyRange<KeyOf<T>> range;
  uint64_t* s = order_row(v, n, false, words.get(), words.get() + n, range);
  auto place = [&](int64_t i) { return int64_t(uint32_t(s[i])); };
  auto value = [&](int64_t i) { return v[place(i)]; };
  if (range.exact && range.bits() <= 32)
    take_runs<T>(
        n, x.dtype(), w, d, [&](int64_t i) { return s[i] >> 32 == s[i - 1] >> 32; }, value, place);
  else
    take_runs<T>(
        n, x.dtype(), w, d,
        [&](int64_t i) { return s[i] >> 32 == s[i - 1] >> 32 && value(i) == value(i - 1); }, value,
        place);
}

// On a GPU: runs start where a value differs from the one before.
Distinct unique_on_gpu(const Tensor& x, bool consecutive, Wanted w) {
  int64_t n = x.numel();
  Device device = x.device();
  Distinct d;
  Tensor sorted = x, places;
  if (!consecutive) {
    sorted = empty({n}, x.dtype(), device);
    places = empty({n}, DType::I64, device);
    cuda::sort_rows(view(x, {1, n}), false, view(sorted, {1, n}), view(places, {1, n}));
  }
  Tensor starts = full({n}, Scalar(true), DType::Bool, device);
  if (n > 1)
    copy_values(narrow(starts, 0, 1, n - 1),
                ne(narrow(sorted, 0, 1, n - 1), narrow(sorted, 0, 0, n - 1)));
  Tensor heads = cuda::positions(starts);
  int64_t m = heads.numel();
  d.values = index_select(sorted, 0, heads);
  if (w.counts) {
    Tensor ends = full({m}, Scalar(n), DType::I64, device);
    if (m > 1) copy_values(narrow(ends, 0, 0, m - 1), narrow(heads, 0, 1, m - 1));
    d.counts = sub(ends, heads);
  }
  if (!w.inverse) return d;
  Tensor at = arange(Scalar(0), Scalar(n), Scalar(1), DType::I64, device);
  Tensor run = empty({n}, DType::I64, device);
  if (n) cuda::search(heads, at, Tensor(), true, run);
  run = sub(run, weak_scalar(Scalar(1)));
  d.inverse = consecutive ? run : empty({n}, DType::I64, device);
  if (!consecutive)
    cuda::put(run, d.inverse, places, {"unique", {n}, {1}, {0}, {1}, 1, n}, cuda::Combine::Set);
  return d;
}

// The slices of t along dim as contiguous rows.
Tensor slices_along(const Tensor& t, int64_t dim, const char* op) {
  FB_CHECK_INDEX(t.dim(), op, "(): Dimension specified as ", dim, " but tensor has no dimensions");
  int empty_dims = 0;
  for (int64_t s : t.shape()) empty_dims += s == 0;
  FB_CHECK(!empty_dims || (empty_dims == 1 && t.shape()[int(dim)] == 0), op,
           ": There are 0 sized "
           "dimensions, and they aren't selected, so unique cannot be applied to ",
           describe(t));
  return contiguous(movedim(t, {dim}, {0}));
}

template<class T>
bool equal_rows(const T* a, const T* b, int64_t width) {
  for (int64_t i = 0; i < width; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

// Distinct rows of x: neighbours only, or all of them in lexicographic order.
template<class T>
Distinct unique_rows(const Tensor& t, int64_t dim, const Tensor& x, bool consecutive, Wanted w) {
  int64_t n = x.shape()[0], width = n ? x.numel() / n : 0;
  const T* v = x.data<T>();
  std::vector<uint32_t> order(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) order[size_t(i)] = uint32_t(i);
  if constexpr (!std::is_same_v<T, c64> && !std::is_same_v<T, c128>)
    if (!consecutive)
      std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
        const T *p = v + a * width, *q = v + b * width;
        for (int64_t i = 0; i < width; ++i) {
          auto k = key_of(p[i]), l = key_of(q[i]);
          if (k != l) return k < l;
        }
        return false;
      });
  auto place = [&](int64_t i) { return int64_t(order[size_t(i)]); };
  auto same = [&](int64_t i) {
    return equal_rows(v + place(i) * width, v + place(i - 1) * width, width);
  };
  Distinct d;
  take_runs<int64_t>(n, DType::I64, w, d, same, place, place);
  d.values = index_select(t, dim, d.values);
  return d;
}

Value unique_along(const Tensor& input, int64_t dim, bool consecutive, Wanted w) {
  Tensor t = on_host(input); // rows of a GPU's are compared here too
  const char* op = consecutive ? "unique_consecutive" : "unique";
  dim = wrap_dim(dim, t.dim(), op);
  Tensor x = slices_along(t, dim, op);
  return dispatch_all(x.dtype(), [&](auto tag) {
    Distinct d = unique_rows<typename decltype(tag)::type>(t, dim, x, consecutive, w);
    if (input.is_cuda())
      for (Tensor* r : {&d.values, &d.inverse, &d.counts})
        if (r->defined()) *r = move_to(*r, input.device(), r->dtype());
    return answer(d, w);
  });
}

void refuse_meta(const Tensor& t, const char* op) {
  FB_CHECK_AS(NotImplemented, !t.is_meta(), op,
              ": the result's size depends on values, which meta "
              "tensors lack");
}

Value unique(Args& a) {
  NoGrad off;
  Tensor t = a.tensor(0);
  refuse_meta(t, "unique");
  Wanted w{a.flag(2), a.flag(3)};
  FB_CHECK_AS(NotImplemented, !is_complex(t.dtype()), "\"unique\" not implemented for '", t.dtype(),
              "': complex numbers have no order");
  FB_CHECK(t.numel() < (int64_t(1) << 32), "unique: at most 2**32 elements, got ", t.numel());
  if (a.given(4)) return unique_along(t, a.integer(4), false, w);
  Distinct d;
  Tensor x = view(contiguous(t), {t.numel()});
  if (x.is_cuda())
    d = unique_on_gpu(x, false, w);
  else
    dispatch_ordered(x.dtype(),
                     [&](auto tag) { unique_elements<typename decltype(tag)::type>(x, w, d); });
  if (w.inverse) d.inverse = view(d.inverse, t.shape());
  return answer(d, w);
}

Value unique_consecutive(Args& a) {
  NoGrad off;
  Tensor t = a.tensor(0);
  refuse_meta(t, "unique_consecutive");
  Wanted w{a.flag(1), a.flag(2)};
  if (a.given(3)) return unique_along(t, a.integer(3), true, w);
  Distinct d;
  Tensor x = view(contiguous(t), {t.numel()});
  if (x.is_cuda()) {
    d = unique_on_gpu(x, true, w);
    if (w.inverse) d.inverse = view(d.inverse, t.shape());
    return answer(d, w);
  }
  dispatch_all(x.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* v = x.data<T>();
    take_runs<T>(
        x.numel(), x.dtype(), w, d, [&](int64_t i) { return v[i] == v[i - 1]; },
        [&](int64_t i) { return v[i]; }, [](int64_t i) { return i; });
    if (w.inverse) d.inverse = view(d.inverse, t.shape());
  });
  return answer(d, w);
}

#define FB_WANTED "bool return_inverse=False, bool return_counts=False, int? dim=None) -> Tensor"
Register rows({
    {"unique(Tensor input, bool sorted=True, " FB_WANTED, kFM, unique,
     "The distinct elements in order (slices along `dim`); with them, where each element's value "
     "stands among them, and how often it occurs."},
    {"unique_consecutive(Tensor input, " FB_WANTED, kFM, unique_consecutive,
     "The elements (slices along `dim`) without repeats that follow each other."},
});

} // namespace
} // namespace flambeau
