// Places of values among sorted boundaries, and counts of values: searchsorted, histc and kin.
#include <cmath>

#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/indexing.h"
#include "../cuda/order.h"
#include "sort_keys.h"

namespace flambeau {
namespace {

// Boundaries before v: those less than it, or (right) not greater. All are before a NaN.
template<bool right, class T>
int64_t count_before(const T* b, int64_t n, T v, const int64_t* order) {
  auto before = [&](int64_t i) {
    T x = b[order ? order[i] : i];
    return right ? !(x > v) : !(x >= v);
  };
  int64_t at = 0;
  while (n > 1) {
    int64_t half = n / 2;
    at += before(at + half - 1) ? half : 0;
    n -= half;
  }
  return at + (n == 1 && before(at));
}

template<bool right, class T, class I>
void search(const T* b, int64_t n, bool one, const T* v, int64_t width, int64_t total,
            const int64_t* order, I* out) {
  parallel_for(total, 4096, [&](int64_t from, int64_t to) {
    for (int64_t i = from; i < to; ++i) {
      int64_t row = one ? 0 : i / width * n;
      out[i] = I(count_before<right>(b + row, n, v[i], order ? order + row : nullptr));
    }
  });
}

void check_sorter(const Tensor& bounds, const Tensor& sorter) {
  FB_CHECK(sorter.shape() == bounds.shape(),
           "searchsorted(): boundary and sorter must have the "
           "same size, but got boundary tensor ",
           bounds.shape(), " and sorter tensor ", sorter.shape());
  FB_CHECK(sorter.dtype() == DType::I64,
           "searchsorted(): sorter must be a tensor of long dtype "
           "but got dtype ",
           sorter.dtype());
  if (sorter.is_cuda()) return; // the kernel checks the places
  const int64_t* s = sorter.data<int64_t>();
  int64_t n = sorter.size(-1);
  for (int64_t i = 0; i < sorter.numel(); ++i)
    FB_CHECK(s[i] >= 0 && s[i] < n, "searchsorted(): sorter index out of range: ", s[i], " of ", n,
             " boundaries");
}

struct SearchOptions {
  bool out_int32 = false, right = false;
  Tensor sorter;
};

Tensor searchsorted(const Tensor& bounds, const Tensor& given, const SearchOptions& o) {
  NoGrad off;
  Tensor values = given;
  if (!given.dim() && given.device().is_cpu() && bounds.is_cuda()) {
    values = move_to(given, bounds.device(), given.dtype());
    values.impl()->weak = given.impl()->weak;
  }
  FB_CHECK(values.device() == bounds.device() &&
               (!o.sorter.defined() || o.sorter.device() == bounds.device()),
           "searchsorted(): boundaries, values and sorter should be on one device, but the "
           "boundaries are on ",
           bounds.device(), " and others on ",
           values.device() == bounds.device() ? o.sorter.device() : values.device());
  FB_CHECK(bounds.dim() && (values.dim() || bounds.dim() == 1),
           "searchsorted(): input value can "
           "be a scalar only when boundaries tensor dimension is 1, but we got boundaries tensor "
           "dim(",
           bounds.dim(), ") and input value's dim(", values.dim(), ") numel(", values.numel(), ")");
  bool fits = bounds.dim() == 1 || bounds.dim() == values.dim();
  for (int d = 0; fits && bounds.dim() > 1 && d + 1 < bounds.dim(); ++d)
    fits = bounds.shape()[d] == values.shape()[d];
  FB_CHECK(fits,
           "searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
           "dimensions of boundaries tensor and input value tensor must match, but we got "
           "boundaries tensor ",
           bounds.shape(), " and input value tensor ", values.shape());
  const Tensor* both[2] = {&bounds, &values};
  DType type = result_type(both, 2), compute = compute_type(type);
  FB_CHECK_AS(NotImplemented, !is_complex(type) && type != DType::Bool,
              "\"searchsorted\" not implemented for '", type, "'");
  DType place = o.out_int32 ? DType::I32 : DType::I64;
  if (bounds.is_meta() || values.is_meta()) return empty(values.shape(), place, bounds.device());
  Tensor b = contiguous(to_dtype(bounds, compute)), v = contiguous(to_dtype(values, compute));
  Tensor order = o.sorter.defined() ? contiguous(o.sorter) : Tensor();
  if (order.defined()) check_sorter(bounds, order);
  Tensor out = empty(values.shape(), place, bounds.device());
  bool one = bounds.dim() == 1;
  int64_t n = bounds.size(-1), width = values.dim() ? values.size(-1) : 1;
  FB_CHECK(!o.out_int32 || n < INT32_MAX, "searchsorted(): ", n, " boundaries need int64 places");
  if (out.is_cuda()) {
    cuda::search(b, v, order, o.right, out);
    return out;
  }
  const int64_t* places = order.defined() ? order.data<int64_t>() : nullptr;
  dispatch_ordered(compute, [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (!kHalf<T>) {
      auto run = [&](auto* p) {
        auto* f = o.right ? search<true, T, std::remove_pointer_t<decltype(p)>>
                          : search<false, T, std::remove_pointer_t<decltype(p)>>;
        f(b.data<T>(), n, one, v.data<T>(), std::max<int64_t>(width, 1), v.numel(), places, p);
      };
      if (o.out_int32)
        run(out.data<int32_t>());
      else
        run(out.data<int64_t>());
    }
  });
  return out;
}

void check_out(Args& a, bool out_int32, const char* op) {
  if (!a.out.defined()) return;
  FB_CHECK(a.out.dtype() == (out_int32 ? DType::I32 : DType::I64), op,
           "(): output tensor's "
           "dtype is wrong, it can only be int32 or int64 depending on whether out_int32 is True, "
           "but it is ",
           a.out.dtype(), " and out_int32 is ", out_int32);
}

Value call_searchsorted(Args& a) {
  SearchOptions o{a.flag(2), a.flag(3), a.tensor(5)};
  if (a.given(4)) {
    const std::string& side = a.text(4);
    FB_CHECK(side == "left" || side == "right",
             "searchsorted(): side can only be 'left' or "
             "'right' but got ",
             side);
    FB_CHECK(side == "right" || !o.right, "searchsorted(): side and right can't be set to "
                                          "opposites, got side of left while right was True");
    o.right = side == "right";
  }
  check_out(a, o.out_int32, "searchsorted");
  return searchsorted(a.tensor(0), a.tensor(1), o);
}
Value call_bucketize(Args& a) {
  Tensor bounds = a.tensor(1);
  FB_CHECK(bounds.dim() == 1, "boundaries tensor must be 1 dimension, but got dim(", bounds.dim(),
           ") in bucketize");
  check_out(a, a.flag(2), "bucketize");
  return searchsorted(bounds, a.tensor(0), {a.flag(2), a.flag(3), Tensor()});
}

template<class W, class T>
void count_weights(const T* x, const W* w, int64_t n, W* out) {
  for (int64_t i = 0; i < n; ++i) out[x[i]] += w[i];
}

// Few bins are counted in parts; each part has two tables, so that equal neighbours do not wait.
template<class T>
void count_values(const T* x, int64_t n, int64_t bins, int64_t* out) {
  constexpr int64_t kPart = 65536;
  if (n < kPart / 2 || bins > 8192) {
    for (int64_t i = 0; i < n; ++i) ++out[x[i]];
    return;
  }
  int64_t parts = (n + kPart - 1) / kPart, room = 2 * bins;
  Scratch<uint32_t> tables(parts * room);
  parallel_for(parts, 1, [&](int64_t b, int64_t e) {
    for (int64_t p = b; p < e; ++p) {
      uint32_t *c = tables.get() + p * room, *d = c + bins;
      std::fill_n(c, room, 0u);
      int64_t i = p * kPart, end = std::min(n, i + kPart);
      for (; i + 2 <= end; i += 2) {
        ++c[x[i]];
        ++d[x[i + 1]];
      }
      if (i < end) ++c[x[i]];
    }
  });
  const uint32_t* t = tables.get();
  for (int64_t p = 0; p < 2 * parts; ++p, t += bins)
    for (int64_t j = 0; j < bins; ++j) out[j] += t[j];
}

Tensor bincount_on_gpu(const Tensor& x, const Tensor& w, int64_t least) {
  Tensor at = to_dtype(x, DType::I64);
  FB_CHECK(item(amin(at)).i >= 0, "bincount only supports 1-d non-negative integral inputs, but "
                                  "the input has negative numbers");
  int64_t size = std::max(least, item(amax(at)).i + 1);
  Tensor out = zeros({size}, w.defined() ? w.dtype() : DType::I64, x.device());
  if (w.defined())
    cuda::put(w, out, at, {"bincount", {x.numel()}, {1}, {0}, {1}, 1, size}, cuda::Combine::Add);
  else
    cuda::count_integers(at, out);
  return out;
}

Value bincount(Args& a) {
  NoGrad off;
  Tensor t = a.tensor(0), w = a.tensor(1);
  int64_t least = a.integer(2), n = t.numel();
  FB_CHECK_AS(NotImplemented, is_integer(t.dtype()), "\"bincount_cpu\" not implemented for '",
              t.dtype(), "': the input must hold integers");
  FB_CHECK(least >= 0, "minlength should be >= 0, but it is ", least);
  FB_CHECK(t.dim() == 1,
           "bincount only supports 1-d non-negative integral inputs, but the input "
           "is ",
           describe(t));
  FB_CHECK(!w.defined() || w.shape() == t.shape(),
           "weights should be 1-d and have the same "
           "length as input (",
           n, "), but its shape is ", w.defined() ? w.shape() : Dims{});
  FB_CHECK_AS(NotImplemented, !t.is_meta(),
              "bincount: the result's size depends on values, which "
              "meta tensors lack");
  if (n == 0) return zeros({least}, DType::I64, t.device());
  bool single = w.defined() && w.dtype() == DType::F32;
  Tensor x = contiguous(t), out;
  if (w.defined()) w = contiguous(to_dtype(w, single ? DType::F32 : DType::F64));
  if (x.is_cuda()) return bincount_on_gpu(x, w, least);
  int64_t low = 0, high = 0;
  {
    Tensor ends = to_dtype(cat({view(amin(x), {1}), view(amax(x), {1})}, 0), DType::I64);
    low = ends.data<int64_t>()[0];
    high = ends.data<int64_t>()[1];
  }
  FB_CHECK(low >= 0, "bincount only supports 1-d non-negative "
                     "integral inputs, but the input has negative numbers");
  int64_t bins = high + 1;
  out = zeros({std::max(least, bins)}, !w.defined() ? DType::I64 : w.dtype());
  dispatch_int(x.dtype(), "bincount", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* v = x.data<T>();
    if (single)
      count_weights(v, w.data<float>(), n, out.data<float>());
    else if (w.defined())
      count_weights(v, w.data<double>(), n, out.data<double>());
    else
      count_values(v, n, bins, out.data<int64_t>());
  });
  return out;
}

Tensor histc(const Tensor& t, int64_t bins, double low, double high) {
  NoGrad off;
  FB_CHECK_AS(NotImplemented, is_float(t.dtype()), "\"histogram_cpu\" not implemented for '",
              t.dtype(), "': histc takes floating point tensors");
  FB_CHECK(bins > 0, "histc: bins must be > 0, but got ", bins);
  if (t.is_meta()) return empty({bins}, t.dtype(), t.device());
  Tensor x = contiguous(to_dtype(t, compute_type(t.dtype())));
  if (low == high && x.numel()) {
    low = item(amin(x)).f;
    high = item(amax(x)).f;
  }
  FB_CHECK(std::isfinite(low) && std::isfinite(high), "histc: range of [", low, ", ", high,
           "] is not finite");
  if (low == high) {
    low -= 1;
    high += 1;
  }
  FB_CHECK(low < high, "histc: max must be larger than min, but min is ", low, " and max ", high);
  if (x.is_cuda()) {
    Tensor count = zeros({bins}, DType::I64, x.device());
    cuda::count_bins(x, low, high, count);
    return to_dtype(count, t.dtype());
  }
  std::vector<int64_t> count(static_cast<size_t>(bins));
  dispatch_float(x.dtype(), "histc", [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* v = x.data<T>();
    T a = T(low), b = T(high), width = b - a;
    for (int64_t i = 0, n = x.numel(); i < n; ++i) {
      if (!(v[i] >= a && v[i] <= b)) continue;
      int64_t at = int64_t((v[i] - a) * T(bins) / width);
      ++count[size_t(std::min(at, bins - 1))];
    }
  });
  Tensor out = empty({bins}, t.dtype());
  dispatch_ordered(t.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    for (int64_t i = 0; i < bins; ++i) out.data<T>()[i] = T(float(count[size_t(i)]));
    if constexpr (std::is_same_v<T, double>)
      for (int64_t i = 0; i < bins; ++i) out.data<T>()[i] = T(count[size_t(i)]);
  });
  return out;
}

Register rows({
    {"searchsorted(Tensor sorted_sequence, Operand input, *, bool out_int32=False, bool "
     "right=False, str? side=None, Tensor? sorter=None) -> Tensor",
     kFO, call_searchsorted,
     "Where each value would be put into the sorted last dimension of sorted_sequence: before "
     "equal ones, or after them (right)."},
    {"bucketize(Operand input, Tensor boundaries, *, bool out_int32=False, bool right=False) -> "
     "Tensor",
     kFO, call_bucketize,
     "The number of the bucket between sorted boundaries that each value is "
     "in."},
    {"bincount(Tensor input, Tensor? weights=None, int minlength=0) -> Tensor", kFM, bincount,
     "How often each of 0, 1, 2 ... occurs, or the sum of its weights."},
    {"histc(Tensor input, int bins=100, Scalar min=0, Scalar max=0) -> Tensor", kFMO,
     [](Args& a) -> Value { return histc(a.tensor(0), a.integer(1), a.real(2), a.real(3)); },
     "Counts in equal bins from min to max (those of the data when both are equal)."},
});

} // namespace
} // namespace flambeau
