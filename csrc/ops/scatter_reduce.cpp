// Scattered writes that combine (scatter_reduce), by mask (masked_scatter) or by flat place (put).
#include <cmath>
#include <limits>

#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cuda/elementwise.h"
#include "../cuda/indexing.h"
#include "index.h"
#include "ops.h"

namespace flambeau {
namespace {

// scatter_reduce ------------------------------------------------------------------------------

enum class Fold : uint8_t { Sum, Prod, Mean, Max, Min, Set };

template<class T>
constexpr bool kComplex = std::is_same_v<T, c64> || std::is_same_v<T, c128>;

template<Fold fold, class T>
T combine(T a, T b) {
  if constexpr (fold == Fold::Sum || fold == Fold::Mean)
    return T(a + b);
  else if constexpr (fold == Fold::Prod)
    return T(a * b);
  else if constexpr (fold == Fold::Set)
    return b;
  else if constexpr (kComplex<T>)
    return a;
  else if constexpr (fold == Fold::Max)
    return b != b || b > a ? b : a;
  else
    return b != b || b < a ? b : a;
}
template<Fold fold, class T>
T identity() {
  if constexpr (fold == Fold::Prod)
    return T(1);
  else if constexpr (fold == Fold::Sum || fold == Fold::Mean || kComplex<T>)
    return T(0);
  else if constexpr (std::is_floating_point_v<T>)
    return fold == Fold::Max ? -INFINITY : INFINITY;
  else
    return fold == Fold::Max ? std::numeric_limits<T>::lowest() : std::numeric_limits<T>::max();
}

// Calls f(place in the index, place in t) in order; both contiguous.
template<class F>
void each_place(const Tensor& index, const Tensor& t, int dim, F&& f) {
  const Dims& shape = index.shape();
  const int64_t* v = index.data<int64_t>();
  int nd = shape.size();
  int64_t width = nd ? shape[nd - 1] : 1, rows = width ? index.numel() / width : 0;
  int64_t size = nd ? t.shape()[dim] : 1, step = nd ? t.strides()[dim] : 0;
  int64_t along = nd && dim != nd - 1 ? 1 : 0; // of t, for a step in the last dimension
  for (int64_t r = 0; r < rows; ++r) {
    int64_t base = 0, rest = r;
    for (int d = nd - 2; d >= 0; --d) {
      if (d != dim) base += rest % shape[d] * t.strides()[d];
      rest /= shape[d];
    }
    for (int64_t j = 0; j < width; ++j) {
      int64_t i = v[r * width + j];
      FB_CHECK(i >= 0 && i < size, "index ", i, " is out of bounds for dimension ", dim,
               " with size ", size, " (scatter_reduce)");
      f(r * width + j, base + i * step + j * along);
    }
  }
}

template<class T>
T mean_of(T sum, int64_t n) {
  if constexpr (std::is_integral_v<T>) {
    T k = T(n), q = T(sum / k);
    return q * k != sum && (sum < 0) != (k < 0) ? T(q - 1) : q;
  } else if constexpr (kComplex<T>) {
    return sum / typename T::value_type(n);
  } else {
    return sum / T(n);
  }
}

template<Fold fold, class T>
void fold_into(const Tensor& out, const Tensor& index, const Tensor& src, int dim, bool self_too) {
  T* o = out.data<T>();
  const T* s = src.data<T>();
  if (!self_too)
    each_place(index, out, dim, [&](int64_t, int64_t to) { o[to] = identity<fold, T>(); });
  each_place(index, out, dim,
             [&](int64_t from, int64_t to) { o[to] = combine<fold>(o[to], s[from]); });
  if constexpr (fold == Fold::Mean) {
    std::vector<int64_t> count(size_t(out.numel()), self_too);
    each_place(index, out, dim, [&](int64_t, int64_t to) { ++count[size_t(to)]; });
    for (int64_t i = 0; i < out.numel(); ++i)
      if (count[size_t(i)] > 1) o[i] = mean_of(o[i], count[size_t(i)]);
  }
}

Tensor scatter_reduce(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src,
                      Fold fold, bool self_too);
// Whether a place of t is named by the index.
Tensor touched(const Dims& shape, int64_t dim, const Tensor& index) {
  NoGrad off;
  Tensor n = zeros(shape, DType::I64, index.device());
  return ne(scatter_add(n, dim, index, full(index.shape(), Scalar(1), DType::I64, index.device())),
            weak_scalar(Scalar(0)));
}

struct ScatterReduce final : OpOf<ScatterReduce> {
  Fold fold = Fold::Sum;
  int dim = 0;
  bool self_too = true;
  const char* name() const override { return "scatter_reduce"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    Tensor to = c == in[0].dtype() ? out[0] : empty(in[0].shape(), c);
    copy_values(to, in[0]);
    Tensor idx = contiguous(in[1]), src = contiguous(to_dtype(in[2], c));
    dispatch_compute(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      switch (fold) {
      case Fold::Sum: fold_into<Fold::Sum, T>(to, idx, src, dim, self_too); break;
      case Fold::Prod: fold_into<Fold::Prod, T>(to, idx, src, dim, self_too); break;
      case Fold::Mean: fold_into<Fold::Mean, T>(to, idx, src, dim, self_too); break;
      case Fold::Max: fold_into<Fold::Max, T>(to, idx, src, dim, self_too); break;
      case Fold::Min: fold_into<Fold::Min, T>(to, idx, src, dim, self_too); break;
      case Fold::Set: fold_into<Fold::Set, T>(to, idx, src, dim, true); break;
      }
    });
    if (!to.is(out[0])) copy_values(out[0], to);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    DType c = compute_type(in[0].dtype());
    static const cuda::Combine kCombine[] = {cuda::Combine::Add, cuda::Combine::Mul,
                                             cuda::Combine::Add, cuda::Combine::Max,
                                             cuda::Combine::Min, cuda::Combine::Set};
    cuda::Combine how = kCombine[int(fold)];
    if (!cuda::can_combine(c, how)) return host_round_trip(*this, in, out);
    Tensor to = c == in[0].dtype() ? out[0] : empty(in[0].shape(), c, in[0].device());
    copy_values(to, in[0]);
    Tensor src = to_dtype(in[2], c);
    cuda::Reach r{name(), in[1].shape(), src.strides(), to.strides(), in[1].strides()};
    if (in[1].dim()) {
      r.step = to.strides()[dim];
      r.size = to.shape()[dim];
      r.far[dim] = 0;
    } else {
      r.size = 1;
    }
    auto put_number = [&](const Tensor& into, const Tensor& v, cuda::Combine combine) {
      cuda::Reach each = r;
      each.near = Dims(in[1].dim(), 0);
      cuda::put(v, into, in[1], each, combine);
    };
    Device device = in[0].device();
    if (!self_too && fold != Fold::Set) put_number(to, neutral(c, device), cuda::Combine::Set);
    cuda::put(src, to, in[1], r, how);
    if (fold == Fold::Mean) {
      Tensor n = full(to.shape(), Scalar(int64_t(self_too)), DType::I64, device);
      put_number(n, full({}, Scalar(1), DType::I64, device), cuda::Combine::Add);
      divide_means(to, n);
    }
    if (!to.is(out[0])) copy_values(out[0], to);
  }
  // The fold's neutral element, on the device.
  Tensor neutral(DType c, Device device) const {
    Tensor one = empty({}, c);
    dispatch_compute(c, name(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T& v = *one.data<T>();
      switch (fold) {
      case Fold::Prod: v = identity<Fold::Prod, T>(); break;
      case Fold::Max: v = identity<Fold::Max, T>(); break;
      case Fold::Min: v = identity<Fold::Min, T>(); break;
      default: v = identity<Fold::Sum, T>();
      }
    });
    Tensor there = empty({}, c, device);
    copy_values(there, one);
    return there;
  }
  // sums / n where more than one was added; integers round down.
  static void divide_means(const Tensor& sums, const Tensor& n) {
    static const cuda::Formula kReal{"mean_of", "b > T(1) ? a / b : a"};
    static const cuda::Formula kComplexMean{"mean_of_complex", "b.re > 1 ? a / b.re : a"};
    static const cuda::Formula kWhole{"mean_of_whole",
                                      "b > T(1) ? T(a / b - T(a % b != T(0) && (a < T(0)))) : a"};
    DType c = sums.dtype();
    Tensor in[2] = {sums, n};
    cuda::run_formula(is_complex(c) ? kComplexMean
                      : is_float(c) ? kReal
                                    : kWhole,
                      c, c, sums, in, 2);
  }
  Saves saves(const Inputs&) const override {
    if (fold == Fold::Sum || fold == Fold::Set) return {2, 0};
    return {7u, fold == Fold::Mean ? 0u : 1u};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    Tensor idx = s.input(1);
    switch (fold) {
    case Fold::Sum:
    case Fold::Set:
      r[0] = g[0];
      if (s.needs(2)) r[2] = gather(g[0], dim, idx);
      break;
    case Fold::Mean: {
      Tensor share = g[0] / counts(g[0], idx);
      r[0] = share;
      if (s.needs(2)) r[2] = gather(share, dim, idx);
      break;
    }
    case Fold::Prod: of_product(s, g[0], idx, r); break;
    default: of_extreme(s, g[0], idx, r);
    }
    if (!self_too && s.needs(0))
      r[0] = where(touched(g[0].shape(), dim, idx), zeros({}, g[0].dtype(), g[0].device()), r[0]);
    return r;
  }
  Tensor counts(const Tensor& g, const Tensor& idx) const {
    NoGrad off;
    Tensor n = self_too ? ones_like(g) : zeros_like(g);
    n = scatter_add(n, dim, idx, full(idx.shape(), Scalar(1), g.dtype(), g.device()));
    return where(eq(n, weak_scalar(Scalar(0))), ones_like(n), n);
  }
  // A factor's gradient is the product of the others: the result over it, or, where it is the
  // only zero, the product with a one in its stead.
  void of_product(const Saved& s, const Tensor& g, const Tensor& idx, Grads& r) const {
    Tensor x = s.input(0), src = s.input(2), one = full({}, Scalar(1), x.dtype(), x.device()), zero;
    {
      NoGrad off;
      zero = eq(x, weak_scalar(Scalar(0)));
    }
    if (s.needs(0)) {
      Tensor safe = where(zero, one, x);
      r[0] = g * scatter_reduce(safe, dim, idx, src, fold, self_too) / safe;
    }
    if (!s.needs(2)) return;
    Tensor src_zero, only;
    {
      NoGrad off;
      src_zero = eq(src, weak_scalar(Scalar(0)));
      Tensor n = scatter_add(zeros(x.shape(), DType::I64, x.device()), dim, idx,
                             to_dtype(src_zero, DType::I64));
      only = logical_and(src_zero, eq(gather(n, dim, idx), weak_scalar(Scalar(1))));
    }
    Tensor others = scatter_reduce(x, dim, idx, where(only, one, src), fold, self_too);
    Tensor safe = where(src_zero, one, src);
    r[2] = where(only, gather(g * others, dim, idx), gather(g * s.output(0), dim, idx) / safe);
  }
  // Those that equal the extreme share its gradient.
  void of_extreme(const Saved& s, const Tensor& g, const Tensor& idx, Grads& r) const {
    Tensor x_hit, src_hit, n;
    {
      NoGrad off;
      Tensor x = s.input(0), y = s.output(0);
      x_hit = to_dtype(eq(x, y), g.dtype());
      src_hit = to_dtype(eq(s.input(2), gather(y, dim, idx)), g.dtype());
      n = scatter_add(self_too ? x_hit : zeros_like(g), dim, idx, src_hit);
      if (!self_too) n = where(touched(g.shape(), dim, idx), n, ones_like(n));
    }
    Tensor share = g / n;
    r[0] = x_hit * share;
    if (s.needs(2)) r[2] = src_hit * gather(share, dim, idx);
  }
};

Tensor scatter_reduce(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src,
                      Fold fold, bool self_too) {
  FB_CHECK(t.dtype() == src.dtype(),
           "scatter_reduce(): Expected self.dtype to be equal to "
           "src.dtype, but they are ",
           t.dtype(), " and ", src.dtype());
  FB_CHECK(index.dtype() == DType::I64 || index.dtype() == DType::I32,
           "scatter_reduce(): Expected "
           "dtype int64 for index, but it is ",
           index.dtype());
  FB_CHECK_AS(NotImplemented, !is_complex(t.dtype()) || fold < Fold::Max,
              "scatter_reduce: amax "
              "and amin of ",
              t.dtype(), " do not exist: complex numbers have no order");
  FB_CHECK_AS(NotImplemented, t.dtype() != DType::Bool || fold != Fold::Mean,
              "scatter_reduce: the mean of bool is not implemented");
  ScatterReduce op;
  op.dim = int(wrap_dim(dim, t.dim(), "scatter_reduce"));
  op.fold = fold;
  op.self_too = self_too;
  if (index.numel() == 0) return clone(t);
  int nd = std::max(t.dim(), 1);
  FB_CHECK(std::max(index.dim(), 1) == nd && std::max(src.dim(), 1) == nd,
           "scatter_reduce(): "
           "Index tensor must have the same number of dimensions as self and src tensors, but "
           "their shapes are ",
           index.shape(), ", ", t.shape(), " and ", src.shape());
  Tensor part = src, idx = to_dtype(index, DType::I64), to = t;
  if (index.dim() == 1 || src.dim() == 1 || t.dim() == 1) { // 0-d tensors count as 1-d
    if (!to.dim()) to = view(to, {1});
    if (!idx.dim()) idx = view(idx, {1});
    if (!part.dim()) part = view(part, {1});
  }
  for (int d = 0; d < idx.dim(); ++d) {
    int64_t n = idx.shape()[d];
    FB_CHECK((d == op.dim || n <= to.shape()[d]) && n <= part.shape()[d],
             "scatter_reduce(): "
             "Expected index ",
             index.shape(), " to be no larger than self ", t.shape(),
             " apart "
             "from dimension ",
             op.dim, " and to be no larger than src ", src.shape());
    if (n < part.shape()[d]) part = narrow(part, d, 0, n);
  }
  Tensor r = apply(std::move(op), {to, idx, part});
  return r.dim() == t.dim() ? r : view(r, t.shape());
}

Fold fold_named(const std::string& how) {
  static const char* const names[] = {"sum", "prod", "mean", "amax", "amin"};
  int at = 0;
  while (at < 5 && how != names[at]) ++at;
  FB_CHECK(at < 5, "reduce argument must be either sum, prod, mean, amax or amin, got ", how);
  return Fold(at);
}
Value call_scatter_reduce(Args& a) {
  return scatter_reduce(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), fold_named(a.text(4)),
                        a.flag(5));
}
Value scatter_reduce_(Args& a) {
  Tensor t = a.tensor(0);
  check_inplace(t, "scatter_reduce_");
  Fold fold = fold_named(a.text(4));
  // The derivative of some reads the values that are about to be overwritten.
  bool keep = fold != Fold::Sum && wants_grad({t, a.tensor(3)});
  copy_(t, scatter_reduce(keep ? clone(t) : t, a.integer(1), a.tensor(2), a.tensor(3), fold,
                          a.flag(5)));
  return t;
}

// masked_scatter ------------------------------------------------------------------------------

struct MaskedScatter final : OpOf<MaskedScatter> {
  Dims source; // its shape
  const char* name() const override { return "masked_scatter"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor x = contiguous(in[0]), m = contiguous(in[1]), src = contiguous(in[2]);
    int64_t n = x.numel(), left = src.numel(), used = 0;
    const bool* mask = m.data<bool>();
    for (int64_t i = 0; i < n; ++i) used += mask[i];
    FB_CHECK(used <= left,
             "masked_scatter: Number of elements of source < number of ones in mask: "
             "source ",
             describe(in[2]), " has ", left, " but the mask takes ", used);
    dispatch_size(x.itemsize(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T *a = x.data<T>(), *s = src.data<T>();
      T* o = out[0].data<T>();
      if (!left) s = a;
      int64_t last = std::max<int64_t>(left - 1, 0), at = 0;
      for (int64_t i = 0; i < n; ++i) {
        o[i] = *(mask[i] ? s + std::min(at, last) : a + i);
        at += mask[i];
      }
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    cuda::masked_scatter(out[0], contiguous(in[0]), contiguous(in[1]), contiguous(in[2]));
  }
  Saves saves(const Inputs&) const override { return {2, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    Tensor m = s.input(1);
    if (s.needs(0)) r[0] = where(m, zeros({}, g[0].dtype(), g[0].device()), g[0]);
    if (s.needs(2)) {
      Tensor taken = index(reshape(g[0], {-1}), {reshape(m, {-1})});
      r[2] = view(pad_constant(taken, {0, numel_of(source) - taken.numel()}, Scalar(0)), source);
    }
    return r;
  }
};

Tensor masked_scatter(const Tensor& t, const Tensor& mask, const Tensor& src) {
  FB_CHECK(mask.dtype() == DType::Bool,
           "masked_scatter only supports boolean masks, but got "
           "mask with dtype ",
           mask.dtype());
  FB_CHECK(t.dtype() == src.dtype(),
           "masked_scatter: expected self and source to have same "
           "dtypes but got ",
           t.dtype(), " and ", src.dtype());
  Dims shape = broadcast_shapes(t.shape(), mask.shape(), "masked_scatter");
  MaskedScatter op;
  op.source = src.shape();
  return apply(std::move(op), {expand(t, shape), expand(mask, shape), src});
}

// put, take_along_dim, fill --------------------------------------------------------------------

// Negative indices count from the end.
Tensor from_start(const Tensor& idx, int64_t size) {
  NoGrad off;
  if (idx.is_meta() || !idx.numel() || item(amin(idx)).i >= 0) return idx;
  return where(lt(idx, weak_scalar(Scalar(0))), add(idx, weak_scalar(Scalar(size))), idx);
}

Tensor put(const Tensor& t, const Tensor& idx, const Tensor& src, bool accumulate) {
  FB_CHECK(idx.dtype() == DType::I64, "put(): Expected a long tensor for index, but got ",
           idx.dtype());
  FB_CHECK(t.dtype() == src.dtype(),
           "put(): self and source expected to have the same dtype, "
           "but got self.dtype = ",
           t.dtype(), " and source.dtype = ", src.dtype());
  FB_CHECK_INDEX(idx.numel() == src.numel(),
                 "put(): Expected source and index to have the same "
                 "number of elements, but got source.numel() = ",
                 src.numel(), ", index.numel() = ", idx.numel());
  FB_CHECK_INDEX(t.numel() || !idx.numel(), "put(): Tried to put elements into an empty tensor");
  Tensor at = reshape(idx, {-1});
  if (!at.is_meta()) {
    NoGrad off;
    at = from_start(at, t.numel());
    int64_t most = at.numel() ? std::max(item(amax(at)).i, -item(amin(at)).i) : 0;
    FB_CHECK_INDEX(most < std::max<int64_t>(t.numel(), 1),
                   "put(): out of range: tried to access "
                   "index ",
                   most, " on a tensor of ", t.numel(), " elements");
  }
  ScatterReduce op;
  op.fold = accumulate ? Fold::Sum : Fold::Set;
  op.self_too = accumulate;
  return view(apply(std::move(op), {reshape(t, {-1}), at, reshape(src, {-1})}), t.shape());
}

Tensor take_along_dim(const Tensor& t, const Tensor& places, OptInt dim) {
  Tensor idx = places;
  FB_CHECK(idx.dtype() == DType::I64, "take_along_dim(): dtype of indices should be Long but got ",
           idx.dtype());
  if (!dim) return gather(reshape(t, {-1}), 0, from_start(reshape(idx, {-1}), t.numel()));
  FB_CHECK(t.dim() == idx.dim(),
           "take_along_dim(): input and indices should have the same "
           "number of dimensions, but got ",
           t.dim(), " dimensions for input, and ", idx.dim(), " dimensions for indices");
  int d = int(wrap_dim(*dim, t.dim(), "take_along_dim"));
  idx = from_start(idx, t.dim() ? t.shape()[d] : 1);
  Dims a = t.shape(), b = idx.shape();
  if (a.size()) a[d] = b[d] = 1;
  Dims common = broadcast_shapes(a, b, "take_along_dim"), to = common, of = common;
  if (a.size()) {
    of[d] = idx.shape()[d];
    to[d] = t.shape()[d];
  }
  return gather(expand(t, to), d, expand(idx, of));
}

Tensor fill(const Tensor& t, const Tensor& v) {
  FB_CHECK(v.dim() == 0, "fill only supports 0-dimension value tensor but got tensor with ",
           v.dim(), " dimensions.");
  return where(full({}, Scalar(true), DType::Bool), to_dtype(v, t.dtype()), t);
}

Register rows({
    {"scatter_reduce(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool "
     "include_self=True) -> Tensor",
     kFMO, call_scatter_reduce,
     "input with src reduced (sum, prod, mean, amax, amin) into the places that index names along "
     "dim, together with what stood there or not."},
    {"scatter_reduce_(Tensor input, int dim, Tensor index, Tensor src, str reduce, *, bool "
     "include_self=True) -> Tensor",
     kFM, scatter_reduce_, "scatter_reduce() in place."},
    {"masked_scatter(Tensor input, Tensor mask, Tensor source) -> Tensor", kFMI,
     [](Args& a) -> Value { return masked_scatter(a.tensor(0), a.tensor(1), a.tensor(2)); },
     "input with the elements of source, in order, where mask is True."},
    {"put(Tensor input, Tensor index, Tensor source, bool accumulate=False) -> Tensor", kFMI,
     [](Args& a) -> Value { return put(a.tensor(0), a.tensor(1), a.tensor(2), a.flag(3)); },
     "input with source written (or added) at places of the flattened tensor."},
    {"take_along_dim(Tensor input, Tensor indices, int? dim=None) -> Tensor", kFMO,
     [](Args& a) -> Value { return take_along_dim(a.tensor(0), a.tensor(1), a.opt_int(2)); },
     "Elements along `dim` at indices that broadcast against input, as argsort gives them."},
    {"fill(Tensor input, Operand value) -> Tensor", kFunction,
     [](Args& a) -> Value { return fill(a.tensor(0), a.tensor(1)); },
     "value in the shape of "
     "input."},
    {"resize_as_(Tensor self, Tensor the_template, *, str? memory_format=None) -> Tensor", kFM,
     [](Args& a) -> Value {
       Tensor t = a.tensor(0);
       FB_CHECK(!t.requires_grad(), "cannot resize variables that require grad");
       resize_out(t, a.tensor(1).shape(), "resize_as_");
       t.bump_version();
       return t;
     },
     "self resized to the shape of the other; new elements are not initialised."},
    {"new_empty_strided(Tensor self, int[] size, int[] stride, *, dtype? dtype=None, device? "
     "device=None, bool requires_grad=False, object? layout=None, bool pin_memory=False) -> Tensor",
     kMethod,
     [](Args& a) -> Value {
       Tensor x = a.tensor(0);
       Tensor t = empty_strided(a.dims(1), a.dims(2), a.given(3) ? a.list[3].dtype : x.dtype(),
                                a.given(4) ? a.device(4) : x.device());
       if (!a.flag(5)) return t;
       FB_CHECK(is_inexact(t.dtype()), "Only Tensors of floating point and complex dtype can "
                                       "require gradients");
       t.make_meta().requires_grad = true;
       return t;
     },
     "empty_strided() with self's dtype and device."},
});

} // namespace
} // namespace flambeau
