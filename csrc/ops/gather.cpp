// Elements and slices picked or written by an index along one dimension; masks; where.
#include <algorithm>
#include <bit>
#include <cstring>

#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/copy_bytes.h"
#include "../cpu/loops.h"
#include "../cpu/move_tables.h"
#include "../cuda/elementwise.h"
#include "../cuda/indexing.h"
#include "index.h"
#include "ops.h"
#include "targets.h"

namespace flambeau {
namespace {

// where ---------------------------------------------------------------------------------------

struct Where final : OpOf<Where> {
  const char* name() const override { return "where"; }
  Specs infer(const Inputs& in) override {
    Dims s = broadcast_shapes(in[0].shape(), in[1].shape(), "where");
    s = broadcast_shapes(s, in[2].shape(), "where");
    return {{s, in[1].dtype(), result_strides(s, in.data(), 3)}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    StridedLoop l;
    l.add(out[0].bytes(), expanded_bytes(out[0], out[0].shape()));
    for (const Tensor& t : in) l.add(t.bytes(), expanded_bytes(t, out[0].shape()));
    l.prepare(out[0].shape());
    int64_t st[4] = {}, size = out[0].itemsize();
    for (int i = 0; i < 4; ++i) st[i] = l.shape.empty() ? 0 : l.strides[i][0];
    unsigned scalars = (st[2] == 0 ? 1u : 0u) | (st[3] == 0 ? 2u : 0u);
    if (st[0] == size && st[1] == 1 && (st[2] == size || st[2] == 0) &&
        (st[3] == size || st[3] == 0)) {
      Choose choose = move_tables().choose[std::countr_zero(unsigned(size))];
      return l.run(32768, [&](char* const* p, int64_t n) {
        choose(reinterpret_cast<const uint8_t*>(p[1]), p[2], p[3], p[0], n, scalars);
      });
    }
    dispatch_size(int(size), [&](auto tag) {
      using T = typename decltype(tag)::type;
      l.run(32768, [&](char* const* p, int64_t n) {
        for (int64_t i = 0; i < n; ++i)
          *reinterpret_cast<T*>(p[0] + i * st[0]) =
              *reinterpret_cast<const T*>(p[1][i * st[1]] ? p[2] + i * st[2] : p[3] + i * st[3]);
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    static const cuda::Formula kWhere{"where", "a != T(0) ? b : c"};
    Tensor to = cuda::as_bits(out[0]),
           from[3] = {in[0], cuda::as_bits(in[1]), cuda::as_bits(in[2])};
    cuda::run_formula(kWhere, to.dtype(), to.dtype(), to, from, 3);
  }
  Saves saves(const Inputs&) const override { return {1, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    Tensor c = s.input(0), zero = zeros({}, g[0].dtype());
    if (s.needs(1)) r[1] = where(c, g[0], zero);
    if (s.needs(2)) r[2] = where(c, zero, g[0]);
    return r;
  }
};

// Along one dimension --------------------------------------------------------------------------

// The GPU's view of gather and scatter: t is reached along dim through an index, the positions of
// which `near` shares.
cuda::Reach reach(const char* op, const Tensor& near, const Tensor& t, const Tensor& index,
                  int dim) {
  int nd = std::max(index.dim(), near.dim());
  cuda::Reach r{op, index.dim() ? index.shape() : Dims(nd, 1), {}, {}, {}};
  r.near = near.dim() ? near.strides() : Dims(nd, 0);
  r.index = index.dim() ? index.strides() : Dims(nd, 0);
  r.far = t.dim() ? t.strides() : Dims(nd, 0);
  r.step = t.dim() ? t.strides()[dim] : 0;
  r.size = t.dim() ? t.shape()[dim] : 1;
  if (nd) r.far[dim] = 0;
  return r;
}
// The same where the index is a vector of whole slices.
cuda::Reach reach_slices(const char* op, const Tensor& near, const Tensor& t, const Tensor& index,
                         int dim) {
  cuda::Reach r{op, near.shape(), near.strides(), t.strides(), Dims(near.dim(), 0)};
  r.step = t.dim() ? t.strides()[dim] : 0;
  r.size = t.dim() ? t.shape()[dim] : 1;
  if (!near.dim()) return r;
  r.far = t.dim() ? t.strides() : Dims(1, 0);
  r.far[dim] = 0;
  r.index[dim] = index.dim() ? index.strides()[0] : 0;
  return r;
}

// Calls f(first position, count, offset in t excluding dim, its step) for runs of positions of the
// index that lie in one row, for positions [b, e).
template<class F>
void each_run(const Dims& shape, const Dims& t_strides, int dim, int64_t b, int64_t e, F&& f) {
  int last = shape.size() - 1;
  int64_t width = last < 0 ? 1 : shape[last], step = last < 0 || dim == last ? 0 : t_strides[last];
  while (b < e) {
    int64_t j = b % width, m = std::min(e - b, width - j), rest = b / width, base = j * step;
    for (int d = last - 1; d >= 0; --d) {
      if (d != dim) base += rest % shape[d] * t_strides[d];
      rest /= shape[d];
    }
    f(b, m, base, step);
    b += m;
  }
}

[[gnu::cold, gnu::noinline]] void out_of_bounds(int64_t v, int64_t size, const char* op, int dim) {
  fail(ErrorKind::Runtime, "index ", v, " is out of bounds for dimension ", dim, " with size ",
       size, " (", op, ")");
}

// How an index names places of t: v[k] the one at k * step + v[k] * stride.
struct Along {
  const char* op;
  int dim;
  int64_t size, stride;
  Along(const char* op, const Tensor& t, int dim)
      : op(op), dim(dim), size(t.dim() ? t.shape()[dim] : 1),
        stride(t.dim() ? t.strides()[dim] : 0) {}
  // Asks for a dense row of t most of whose lines n positions will touch.
  template<class T>
  void fetch(const T* row, int64_t n, int64_t step) const {
    constexpr int64_t line = 64 / sizeof(T);
    if (step != 0 || stride != 1 || n < size / line || size > 512 * line) return;
    for (int64_t i = 0; i < size; i += line) __builtin_prefetch(row + i);
  }
  template<class F>
  void each(const int64_t* v, int64_t n, int64_t step, F&& f) const {
    const int64_t many = size, far = stride;
    for (int64_t k = 0; k < n; ++k) {
      if (uint64_t(v[k]) >= uint64_t(many)) [[unlikely]]
        out_of_bounds(v[k], many, op, dim);
      f(k, k * step + v[k] * far);
    }
  }
};

Tensor long_index(const Tensor& index, const char* op) {
  FB_CHECK(index.dtype() == DType::I64 || index.dtype() == DType::I32, op,
           "(): Expected dtype int64 for index, but it is ", index.dtype());
  return to_dtype(index, DType::I64);
}

void check_along(const Tensor& t, int dim, const Tensor& index, const char* op, bool check_dim) {
  FB_CHECK(
      std::max(t.dim(), 1) == std::max(index.dim(), 1), op,
      "(): Index tensor must have the same number of dimensions as input tensor, but they are ",
      index.shape(), " and ", t.shape());
  for (int d = 0; d < t.dim() && index.numel(); ++d)
    FB_CHECK((d == dim && !check_dim) || index.shape()[d] <= t.shape()[d], op,
             "(): Size does not match "
             "at dimension ",
             d, " expected index ", index.shape(), " to be smaller than self ", t.shape(),
             " apart from dimension ", dim);
}

struct Gather final : OpOf<Gather> {
  int dim;
  Dims shape;
  const char* name() const override { return "gather"; }
  Specs infer(const Inputs& in) override { return {{in[1].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    Tensor t = in[0], idx = contiguous(in[1]);
    const int64_t* v = idx.data<int64_t>();
    Along along(name(), t, dim);
    Dims steps = t.dim() ? t.strides() : Dims(idx.dim(), 0);
    dispatch_size(t.itemsize(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      const T* s = t.data<T>();
      T* o = out[0].data<T>();
      parallel_for(idx.numel(), even_grain(idx.numel(), 32768), [&](int64_t b, int64_t e) {
        each_run(idx.shape(), steps, dim, b, e,
                 [&](int64_t i, int64_t n, int64_t base, int64_t step) {
                   T* to = o + i;
                   const T* from = s + base;
                   along.fetch(from, n, step);
                   along.each(v + i, n, step, [=](int64_t k, int64_t at) { to[k] = from[at]; });
                 });
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::pick(out[0], in[0], in[1], reach("gather", out[0], in[0], in[1], dim));
  }
  Saves saves(const Inputs&) const override { return {2, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor zero = expand(zeros({}, g[0].dtype(), g[0].device()), shape);
    return {scatter_add(zero, dim, s.input(1), g[0]), Tensor()};
  }
};

enum class Put : uint8_t { Set, Add, Mul, Max, Min }; // as cuda::Combine

// t with src combined in at the index.
struct Scatter final : OpOf<Scatter> {
  int dim;
  Put how;
  const char* name() const override { return how == Put::Add ? "scatter_add" : "scatter"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    if (!out[0].is(in[0])) copy_values(out[0], in[0]);
    Tensor t = out[0], idx = contiguous(in[1]), src = in[2];
    if (src.dim()) src = contiguous(window(src, idx.shape()));
    const int64_t* v = idx.data<int64_t>();
    Along along(name(), t, dim);
    bool one = src.dim() == 0 && idx.dim() > 0;
    dispatch_all(t.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* o = t.data<T>();
      const T* s = src.data<T>();
      Dims steps = t.dim() ? t.strides() : Dims(idx.dim(), 0);
      auto run_by = [&](int64_t b, int64_t e, auto put) {
        each_run(idx.shape(), steps, dim, b, e,
                 [&](int64_t i, int64_t n, int64_t base, int64_t step) {
                   T* to = o + base;
                   const T* from = one ? s : s + i;
                   const int64_t each = one ? 0 : 1;
                   along.fetch(to, n, step);
                   along.each(v + i, n, step,
                              [=](int64_t k, int64_t at) { put(to[at], from[k * each]); });
                 });
      };
      auto run = [&](int64_t b, int64_t e) {
        if (how == Put::Set) return run_by(b, e, [](T& to, const T& from) { to = from; });
        if (how == Put::Add) return run_by(b, e, [](T& to, const T& from) { to = T(to + from); });
        if (how == Put::Mul) return run_by(b, e, [](T& to, const T& from) { to = T(to * from); });
        if constexpr (!std::is_same_v<T, c64> && !std::is_same_v<T, c128>) {
          bool most = how == Put::Max;
          run_by(b, e, [most](T& to, const T& from) {
            to = from != from || (most ? from > to : from < to) ? from : to;
          });
        }
      };
      // Only places that differ before or after `dim` are sure to be different places.
      Split split(idx.shape(), dim);
      int64_t block = split.along * split.inner;
      if (split.outer > 1 || split.inner < 64)
        return parallel_for(split.outer, even_grain(split.outer, 32768 / block),
                            [&](int64_t b, int64_t e) { run(b * block, e * block); });
      // Strips of columns, of which t's part stays in a core's cache; borders on its lines.
      int64_t column = std::max<int64_t>(along.size, 1) * int64_t(sizeof(T));
      int64_t fits = std::min(split.inner / 8, 262144 / column);
      int64_t strip = std::max<int64_t>({64, 32768 / split.along, fits});
      strip = (even_grain(split.inner, strip) + 15) / 16 * 16;
      parallel_for(split.inner, strip, [&](int64_t b, int64_t e) {
        for (int64_t k = 0; k < split.along; ++k) {
          int64_t next = (k + 2) * split.inner; // too far for the processor to foresee
          for (int64_t i = next + b; k + 2 < split.along && i < next + e; i += 16) {
            __builtin_prefetch(v + i);
            __builtin_prefetch(v + i + 8);
            if (!one) __builtin_prefetch(s + i);
          }
          run(k * split.inner + b, k * split.inner + e);
        }
      });
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::Combine combine = cuda::Combine(how);
    if (!cuda::can_combine(out[0].dtype(), combine)) return host_round_trip(*this, in, out);
    copy_values(out[0], in[0]);
    cuda::put(in[2], out[0], in[1], reach(name(), in[2], out[0], in[1], dim), combine);
  }
  static Tensor window(const Tensor& t, const Dims& shape) {
    return alias_as(t, shape, t.strides(), t.offset());
  }
  Saves saves(const Inputs&) const override { return {how == Put::Mul ? 7u : 2u, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    Tensor idx = s.input(1);
    FB_CHECK_AS(NotImplemented, how == Put::Set || how == Put::Add,
                "derivative for scatter with this reduction is not implemented");
    if (s.needs(0)) {
      r[0] = how == Put::Add ? g[0] : apply(Scatter(*this), {g[0], idx, zeros({}, g[0].dtype())});
    }
    if (s.needs(2)) r[2] = gather(g[0], dim, idx);
    return r;
  }
};

struct IndexSelect final : OpOf<IndexSelect> {
  int dim;
  Dims shape;
  const char* name() const override { return "index_select"; }
  Specs infer(const Inputs& in) override {
    Dims s = in[0].shape();
    if (s.size()) s[dim] = in[1].numel();
    return {{s, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    Tensor t = contiguous(in[0]), idx = contiguous(in[1]);
    const int64_t* v = idx.data<int64_t>();
    int64_t size = t.dim() ? t.shape()[dim] : 1, n = idx.numel(), inner = t.itemsize(), outer = 1;
    for (int d = 0; d < dim; ++d) outer *= t.shape()[d];
    for (int d = dim + 1; d < t.dim(); ++d) inner *= t.shape()[d];
    for (int64_t i = 0; i < n; ++i)
      FB_CHECK_INDEX(v[i] >= 0 && v[i] < size,
                     "index out of range in self: index_select got index ", v[i], " for dimension ",
                     dim, " with size ", size);
    if (out[0].numel() == 0) return;
    const char* s = t.bytes();
    char* o = out[0].bytes();
    if (inner == t.itemsize())
      return dispatch_size(int(inner), [&](auto tag) {
        using T = typename decltype(tag)::type;
        pick_each(reinterpret_cast<const T*>(s), v, reinterpret_cast<T*>(o), outer, size, n);
      });
    constexpr int64_t ahead = 4; // rows that are asked for before their turn, for they lie anywhere
    parallel_for(outer * n, even_grain(outer * n, 131072 / inner), [&](int64_t b, int64_t e) {
      for (int64_t r = b, q = b / n, i = b % n; r < e; ++r) {
        if (i + ahead < n && r + ahead < e)
          for (int64_t k = 0; k < inner && k < 1024; k += 64)
            __builtin_prefetch(s + (q * size + v[i + ahead]) * inner + k);
        copy_bytes(o + r * inner, s + (q * size + v[i]) * inner, inner);
        if (++i == n) ++q, i = 0;
      }
    });
  }
  // Single elements: to[q][i] = from[q][v[i]].
  template<class T>
  static void pick_each(const T* from, const int64_t* v, T* to, int64_t outer, int64_t size,
                        int64_t n) {
    if (outer == 1)
      return parallel_for(n, even_grain(n, 16384), [&](int64_t b, int64_t e) {
        for (int64_t i = b; i < e; ++i) to[i] = from[v[i]];
      });
    parallel_for(outer, even_grain(outer, 16384 / n), [&](int64_t b, int64_t e) {
      int64_t q = b;
      for (; q + 4 <= e; q += 4) { // rows miss the cache independently of each other
        const T* row = from + q * size;
        T* o = to + q * n;
        for (int64_t i = 0; i < n; ++i) {
          const T* at = row + v[i];
          o[i] = at[0];
          o[n + i] = at[size];
          o[2 * n + i] = at[2 * size];
          o[3 * n + i] = at[3 * size];
        }
      }
      for (; q < e; ++q)
        for (int64_t i = 0; i < n; ++i) to[q * n + i] = from[q * size + v[i]];
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::pick(out[0], in[0], in[1], reach_slices("index_select", out[0], in[0], in[1], dim));
  }
  Saves saves(const Inputs&) const override { return {2, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor zero = expand(zeros({}, g[0].dtype(), g[0].device()), shape);
    return {index_add(zero, dim, s.input(1), g[0]), Tensor()};
  }
};

// t with the slices of src added (or written) at the indices along dim.
struct IndexPutSlices final : OpOf<IndexPutSlices> {
  int dim;
  bool add;
  const char* name() const override { return add ? "index_add" : "index_copy"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    Tensor t = out[0], idx = contiguous(in[1]), src = contiguous(in[2]), old = in[0];
    const int64_t* v = idx.data<int64_t>();
    int64_t size = t.dim() ? t.shape()[dim] : 1, n = idx.numel();
    Split split(t.shape(), t.dim() ? dim : 0);
    int64_t inner = split.inner;
    for (int64_t i = 0; i < n; ++i)
      FB_CHECK_INDEX(v[i] >= 0 && v[i] < size, name(), "(): index ", v[i],
                     " is out of bounds for "
                     "dimension ",
                     dim, " with size ", size);
    bool one = !old.is_contiguous() && old.strides() == Dims(old.dim(), 0); // a number expanded
    if (!one) old = contiguous(old);
    dispatch_all(t.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* o = t.data<T>();
      const T *s = src.data<T>(), *x = old.data<T>();
      auto begin = [=](int64_t q, int64_t low, int64_t high) {
        int64_t at = (q * size + low) * inner, m = (high - low) * inner;
        if (one)
          std::fill_n(o + at, m, *x);
        else if (o != x)
          copy_bytes(reinterpret_cast<char*>(o + at), reinterpret_cast<const char*>(x + at),
                     m * int64_t(sizeof(T)));
      };
      auto put = [=, adds = add](int64_t q, int64_t i) {
        T* to = o + (q * size + v[i]) * inner;
        const T* from = s + (q * n + i) * inner;
        if (adds)
#pragma GCC ivdep
          for (int64_t k = 0; k < inner; ++k) to[k] = T(to[k] + from[k]);
        else
          copy_bytes(reinterpret_cast<char*>(to), reinterpret_cast<const char*>(from),
                     inner * int64_t(sizeof(T)));
      };
      auto fetch = [=](int64_t q, int64_t i) {
        const T* from = s + (q * n + i) * inner;
        for (int64_t k = 0; k < inner && k < 512; k += 64 / sizeof(T)) __builtin_prefetch(from + k);
      };
      put_by_target(split.outer, v, n, size, inner, one || o != x, begin, fetch, put);
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    copy_values(out[0], in[0]);
    cuda::put(in[2], out[0], in[1], reach_slices(name(), in[2], out[0], in[1], dim),
              add ? cuda::Combine::Add : cuda::Combine::Set);
  }
  Saves saves(const Inputs&) const override { return {2, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    Tensor idx = s.input(1);
    if (s.needs(0)) {
      if (add) {
        r[0] = g[0];
      } else {
        Dims shape = g[0].shape();
        if (shape.size()) shape[dim] = idx.numel();
        r[0] = apply(IndexPutSlices(*this), {g[0], idx, zeros(shape, g[0].dtype(), g[0].device())});
      }
    }
    if (s.needs(2)) r[2] = index_select(g[0], dim, idx);
    return r;
  }
};

// The op's result, or the first input overwritten with it where the caller allows that and nothing
// else needs the old values.
Tensor apply_over(Op&& op, const Inputs& in, bool over) {
  bool alone = over && in[0].device().is_cpu() && in[0].is_contiguous() && !wants_grad(in);
  for (int i = 1; i < in.size(); ++i) alone = alone && &in[i].storage() != &in[0].storage();
  if (!alone) return apply(std::move(op), in);
  Outputs out{in[0]};
  op.cpu(in, out);
  return in[0];
}

Scatter scatter_op(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src, Put how,
                   const char* op) {
  Scatter s;
  s.dim = int(wrap_dim(dim, t.dim(), op));
  s.how = how;
  FB_CHECK(src.dtype() == t.dtype(), op,
           "(): Expected self.dtype to be equal to src.dtype, but they are ", t.dtype(), " and ",
           src.dtype());
  check_along(t, s.dim, index, op, false);
  for (int d = 0; d < src.dim() && index.numel(); ++d)
    FB_CHECK(src.dim() == index.dim() && index.shape()[d] <= src.shape()[d], op,
             "(): Expected index ", index.shape(), " to be no larger than src ", src.shape(),
             " in every dimension");
  return s;
}

Tensor scatter(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src, Put how,
               const char* op, bool over = false) {
  Tensor idx = long_index(index, op);
  if (idx.numel() == 0) return clone(t);
  return apply_over(scatter_op(t, dim, idx, src, how, op), {t, idx, src}, over);
}

} // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  FB_CHECK(condition.dtype() == DType::Bool || condition.dtype() == DType::U8,
           "where expected condition to be a boolean tensor, but got a tensor with dtype ",
           condition.dtype(), ": compare it first, e.g. condition != 0");
  const Tensor* in[2] = {&a, &b};
  DType t = result_type(in, 2);
  return apply(Where{}, {condition, to_dtype(a, t), to_dtype(b, t)});
}

Tensor gather(const Tensor& t, int64_t dim, const Tensor& index) {
  Gather op;
  op.dim = int(wrap_dim(dim, t.dim(), "gather"));
  op.shape = t.shape();
  Tensor idx = long_index(index, "gather");
  check_along(t, op.dim, idx, "gather", false);
  return apply(std::move(op), {t, idx});
}
Tensor scatter_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src) {
  return scatter(t, dim, index, src, Put::Add, "scatter_add");
}
Tensor index_select(const Tensor& t, int64_t dim, const Tensor& index) {
  FB_CHECK_INDEX(index.dim() <= 1,
                 "index_select(): Index is supposed to be a vector, but its shape is ",
                 index.shape());
  IndexSelect op;
  op.dim = int(wrap_dim(dim, t.dim(), "index_select"));
  op.shape = t.shape();
  return apply(std::move(op), {t, long_index(index, "index_select")});
}

static Tensor put_slices(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src,
                         bool add, bool over = false) {
  const char* op = add ? "index_add" : "index_copy";
  FB_CHECK_INDEX(index.dim() <= 1, op,
                 "(): Index is supposed to be a vector, but got dim: ", index.dim());
  FB_CHECK(src.dtype() == t.dtype(), op, "(): self (", t.dtype(), ") and source (", src.dtype(),
           ") must have the same dtype");
  IndexPutSlices o;
  o.dim = int(wrap_dim(dim, t.dim(), op));
  o.add = add;
  FB_CHECK_INDEX(src.dim() == t.dim() || t.dim() <= 1, op,
                 "(): When source and destination are not "
                 "scalars, their dimensionality must match. Source dimensionality (",
                 src.dim(), "), destination dimensionality (", t.dim(), ")");
  for (int d = 0; d < t.dim() && src.dim(); ++d)
    FB_CHECK(src.shape()[d] == (d == o.dim ? index.numel() : t.shape()[d]), op,
             "(): source of shape ", src.shape(), " does not fit ", index.numel(), " slices of ",
             t.shape(), " along dimension ", o.dim);
  return apply_over(std::move(o), {t, long_index(index, op), src}, over);
}
Tensor index_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src,
                 Scalar alpha) {
  return put_slices(t, dim, index, alpha.f == 1 ? src : mul(src, weak_scalar(alpha)), true);
}
Tensor masked_fill(const Tensor& t, const Tensor& mask, Scalar value) {
  Tensor v = full({}, value, t.dtype());
  return where(mask, v, t);
}

namespace {

Put reduction(const std::string& r) {
  FB_CHECK(r == "add" || r == "multiply", "reduce argument must be either add or multiply, got ",
           r);
  return r == "add" ? Put::Add : Put::Mul;
}
Tensor value_of(const Tensor& t, const Scalar& v) { return full({}, v, t.dtype()); }

Tensor masked_fill_checked(const Tensor& t, const Tensor& mask, const Tensor& v, bool over) {
  FB_CHECK(mask.dtype() == DType::Bool,
           "masked_fill only supports boolean masks, but got mask with dtype ", mask.dtype());
  FB_CHECK(v.dim() == 0,
           "masked_fill only supports a 0-dimensional value tensor, but got tensor with ", v.dim(),
           " dimension(s).");
  FB_CHECK(can_cast(v.dtype(), t.dtype()) || v.impl()->weak, "value cannot be converted to type ",
           t.dtype(), " without overflow");
  Tensor number = to_dtype(v, t.dtype());
  if (over && t.device().is_cpu() && mask.device().is_cpu() && mask.shape() == t.shape() &&
      &mask.storage() != &t.storage() && !wants_grad({t, number})) {
    NoGrad off;
    Outputs out{t};
    Where().cpu({mask, number, t}, out);
    return t;
  }
  return where(mask, number, t);
}
Tensor masked_select(const Tensor& t, const Tensor& mask) {
  FB_CHECK(mask.dtype() == DType::Bool, "masked_select: expected BoolTensor for mask, got ",
           mask.dtype());
  Dims s = broadcast_shapes(t.shape(), mask.shape(), "masked_select");
  Tensor x = expand(t, s), m = expand(mask, s);
  if (s.empty()) return index(unsqueeze(x, 0), {unsqueeze(m, 0)});
  return index(x, {m});
}
Tensor take(const Tensor& t, const Tensor& idx) {
  FB_CHECK(idx.dtype() == DType::I64, "take(): Expected a long tensor for index, but got ",
           idx.dtype());
  return index(reshape(t, {-1}), {idx}, "take");
}
Tensor index_fill(const Tensor& t, int64_t dim, const Tensor& idx, const Tensor& v) {
  FB_CHECK(v.dim() == 0,
           "index_fill only supports a 0-dimensional value tensor, but got tensor with ", v.dim(),
           " dimension(s).");
  Dims s = t.shape();
  int d = int(wrap_dim(dim, t.dim(), "index_fill"));
  if (s.size()) s[d] = idx.numel();
  int64_t size = t.dim() ? t.shape()[d] : 1;
  Tensor i = long_index(idx, "index_fill");
  i = where(lt(i, weak_scalar(0)), add(i, weak_scalar(Scalar(size))), i);
  Tensor one = v.device() == t.device() || t.is_meta() ? to_dtype(v, t.dtype())
                                                       : move_to(v, t.device(), t.dtype());
  Tensor src = t.is_meta() ? empty(s, t.dtype(), t.device()) : contiguous(expand(one, s));
  return put_slices(t, dim, reshape(i, {-1}), src, false);
}
Tensor embedding(const Tensor& w, const Tensor& idx) {
  FB_CHECK(w.dim() == 2, "'weight' must be 2-D, but it is ", describe(w));
  FB_CHECK(idx.dtype() == DType::I64 || idx.dtype() == DType::I32,
           "Expected tensor for argument "
           "'indices' to have one of the following scalar types: Long, Int; but got ",
           idx.dtype(), " instead");
  Dims s = idx.shape();
  s.push_back(w.shape()[1]);
  return reshape(index_select(w, 0, reshape(idx, {-1})), s);
}
Value index_put(Args& a, bool inplace) {
  Tensor t = a.tensor(0);
  if (!inplace) t = clone(t);
  index_put_(t, a.tensors(1), a.tensor(2), a.flag(3));
  return t;
}

Register rows({
    {"where(Tensor condition) -> Tensor()", kFM,
     [](Args& a) -> Value {
       Tensor x = a.tensor(0);
       Tensors r;
       for (const Tensor& c : unbind(nonzero(x.dim() ? x : unsqueeze(x, 0)), 1))
         r.push_back(contiguous(c));
       return r;
     },
     "Positions of the nonzero elements, a vector for each dimension."},
    {"where(Tensor condition, Operand input, Operand other) -> Tensor", kFO,
     [](Args& a) -> Value { return where(a.tensor(0), a.tensor(1), a.tensor(2)); },
     "input where condition holds, else other."},
    {"where(Tensor self, Tensor condition, Operand other) -> Tensor", kMethod,
     [](Args& a) -> Value { return where(a.tensor(1), a.tensor(0), a.tensor(2)); },
     "self where condition holds, else other."},
    {"gather(Tensor input, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor", kFMO,
     [](Args& a) -> Value { return gather(a.tensor(0), a.integer(1), a.tensor(2)); },
     "out[i][j] = input[index[i][j]][j] for dim 0, and so on."},
    {"scatter(Tensor input, int dim, Tensor index, Tensor src, *, str? reduce=None) -> Tensor",
     kFMIO,
     [](Args& a) -> Value {
       return scatter(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3),
                      a.given(4) ? reduction(a.text(4)) : Put::Set, "scatter", a.inplace);
     },
     "input with src written at the places that index names along dim."},
    {"scatter(Tensor input, int dim, Tensor index, Scalar value, *, str? reduce=None) -> Tensor",
     kFMIO,
     [](Args& a) -> Value {
       return scatter(a.tensor(0), a.integer(1), a.tensor(2), value_of(a.tensor(0), a.scalar(3)),
                      a.given(4) ? reduction(a.text(4)) : Put::Set, "scatter", a.inplace);
     },
     "input with value written at the places that index names along dim."},
    {"scatter_add(Tensor input, int dim, Tensor index, Tensor src) -> Tensor", kFMIO,
     [](Args& a) -> Value {
       return scatter(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), Put::Add, "scatter_add",
                      a.inplace);
     },
     "input with src added at the places that index names along dim."},
    {"index_select(Tensor input, int dim, Tensor index) -> Tensor", kFMO,
     [](Args& a) -> Value { return index_select(a.tensor(0), a.integer(1), a.tensor(2)); },
     "The slices that index names along dim."},
    {"index_add(Tensor input, int dim, Tensor index, Tensor source, *, Scalar alpha=1) -> Tensor",
     kFMIO,
     [](Args& a) -> Value {
       const Scalar& alpha = a.scalar(4);
       return put_slices(a.tensor(0), a.integer(1), a.tensor(2),
                         alpha.f == 1 ? a.tensor(3) : mul(a.tensor(3), weak_scalar(alpha)), true,
                         a.inplace);
     },
     "input with alpha * source added to the slices that index names."},
    {"index_copy(Tensor input, int dim, Tensor index, Tensor source) -> Tensor", kFMIO,
     [](Args& a) -> Value {
       return put_slices(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3), false, a.inplace);
     },
     "input with the slices that index names replaced by source."},
    {"index_fill(Tensor input, int dim, Tensor index, Operand value) -> Tensor", kFMI,
     [](Args& a) -> Value {
       return index_fill(a.tensor(0), a.integer(1), a.tensor(2), a.tensor(3));
     },
     "input with the slices that index names filled with value."},
    {"masked_fill(Tensor input, Tensor mask, Operand value) -> Tensor", kFMI,
     [](Args& a) -> Value {
       return masked_fill_checked(a.tensor(0), a.tensor(1), a.tensor(2), a.inplace);
     },
     "input with value where mask is True."},
    {"masked_select(Tensor input, Tensor mask) -> Tensor", kFMO,
     [](Args& a) -> Value { return masked_select(a.tensor(0), a.tensor(1)); },
     "The elements where mask is True, as a vector."},
    {"take(Tensor input, Tensor index) -> Tensor", kFMO,
     [](Args& a) -> Value { return take(a.tensor(0), a.tensor(1)); },
     "Elements of the flattened input."},
    {"index_put(Tensor input, Tensor[] indices, Tensor values, bool accumulate=False) -> Tensor",
     kFM, [](Args& a) { return index_put(a, false); }, "input with input[indices] = values."},
    {"index_put_(Tensor input, Tensor[] indices, Tensor values, bool accumulate=False) -> Tensor",
     kFM, [](Args& a) { return index_put(a, true); }, "self[indices] = values."},
    {"embedding(Tensor weight, Tensor indices, int padding_idx=-1, bool scale_grad_by_freq=False, "
     "bool sparse=False) -> Tensor",
     kFunction, [](Args& a) -> Value { return embedding(a.tensor(0), a.tensor(1)); },
     "Rows of weight, one for each index."},
});

} // namespace
} // namespace flambeau
