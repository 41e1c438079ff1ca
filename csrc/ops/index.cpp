// Advanced indexing as one gather (and its adjoint, one scatter) of slices.
#include "index.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/copy_bytes.h"
#include "../cpu/loops.h"
#include "../cpu/move_tables.h"
#include "../cpu/parallel.h"
#include "../cuda/indexing.h"
#include "ops.h"
#include "targets.h"

namespace flambeau {
namespace {

constexpr int64_t kMaskGrain = 32768;

// For each chunk of a mask the number of true elements before it; at the end their total.
std::vector<int64_t> true_counts(const bool* mask, int64_t n) {
  int64_t chunks = (n + kMaskGrain - 1) / kMaskGrain;
  std::vector<int64_t> starts(size_t(chunks) + 1, 0);
  parallel_for(n, kMaskGrain, [&](int64_t b, int64_t e) {
    auto* v = reinterpret_cast<const uint8_t*>(mask);
    int64_t sum = 0;
    for (int64_t i = b; i < e;) { // bytes add up without overflow over 255 of them
      uint8_t part = 0;
      for (int64_t stop = std::min<int64_t>(e, i + 240); i < stop; ++i) part = uint8_t(part + v[i]);
      sum += part;
    }
    starts[size_t(b / kMaskGrain) + 1] = sum;
  });
  for (size_t i = 1; i < starts.size(); ++i) starts[i] += starts[i - 1];
  return starts;
}

} // namespace

Tensor nonzero(const Tensor& t) {
  FB_CHECK(!t.is_meta(), "nonzero: the result's size depends on values, which meta tensors lack");
  NoGrad off;
  Tensor m = contiguous(t.dtype() == DType::Bool ? t : ne(t, weak_scalar(Scalar(0))));
  if (m.is_cuda()) return transpose(cuda::unravel(cuda::positions(m), m.shape()), 0, 1);
  const bool* v = m.data<bool>();
  std::vector<int64_t> starts = true_counts(v, m.numel());
  int nd = m.dim();
  Tensor r = empty({starts.back(), nd}, DType::I64);
  int64_t* o = r.data<int64_t>();
  const Dims& shape = m.shape();
  int64_t width = nd ? shape[nd - 1] : 1;
  parallel_for(m.numel(), kMaskGrain, [&](int64_t b, int64_t) {
    int64_t *to = o + starts[size_t(b / kMaskGrain)] * nd,
            *end = o + starts[size_t(b / kMaskGrain) + 1] * nd;
    if (nd == 1) { // written before it is known to be true, for want of a branch
      for (int64_t i = b; to < end; ++i) {
        *to = i;
        to += v[i];
      }
      return;
    }
    for (int64_t i = b; to < end;) { // a row of the last dimension at a time
      Dims at(nd, 0);
      int64_t row = i / width, stop = (row + 1) * width;
      for (int d = nd - 2; d >= 0; row /= shape[d--]) at[d] = row % shape[d];
      int64_t j = i % width, first = at[0];
      if (nd == 2)
        for (; i < stop && to < end; ++i, ++j) {
          to[0] = first;
          to[1] = j;
          to += 2 * int64_t(v[i]);
        }
      for (; i < stop && to < end; ++i, ++j) {
        for (int d = 0; d < nd - 1; ++d) to[d] = at[d];
        to[nd - 1] = j;
        to += nd * int64_t(v[i]);
      }
    }
  });
  return r;
}

Tensor alias_view(const Tensor& t) {
  return t.dim() ? slice(t, 0, 0, t.shape()[0], 1) : as_strided(t, {}, {}, t.offset());
}

namespace {

// Index tensors of one shape, and which dimensions of the source they replace.
struct Plan {
  Dims dims;        // indexed dimensions of the source
  Dims rest;        // the others, in order
  Dims index_shape; // common shape of the index tensors
  int at = 0;       // where the index dimensions stand in the result
  Tensor offsets;   // element offset in the source for each index position; or instead
  Tensor only;      // the one index that there is
  int64_t count() const { return (only.defined() ? only : offsets).numel(); }
};

// The tensor's and the index's devices: the host's indices follow a tensor to its GPU.
Tensor beside(const Tensor& t, const Tensor& index) {
  if (index.device() == t.device() || t.is_meta() || index.is_meta()) return index;
  FB_CHECK(index.device().is_cpu(),
           "indices should be either on cpu or on the same device as the "
           "indexed tensor (",
           t.device(), "), but one is on ", index.device());
  return move_to(index, t.device(), index.dtype());
}

// Masks become the positions of their true elements.
Tensors without_masks(const Tensor& t, const Tensors& in) {
  Tensors out;
  for (const Tensor& given : in) {
    if (!given.defined()) {
      out.push_back(given);
      continue;
    }
    Tensor i = beside(t, given);
    if (i.dtype() != DType::Bool && i.dtype() != DType::U8) {
      out.push_back(to_dtype(i, DType::I64));
      continue;
    }
    int from = int(out.size());
    for (int d = 0; d < i.dim(); ++d)
      FB_CHECK_INDEX(from + d < t.dim() && i.shape()[d] == t.shape()[from + d],
                     "The shape of the mask ", i.shape(), " at index ", d,
                     " does not match the shape of the indexed tensor ", t.shape(), " at index ",
                     from + d);
    Tensor at = nonzero(i);
    for (int d = 0; d < i.dim(); ++d) out.push_back(contiguous(select(at, 1, d)));
  }
  return out;
}

// The caller's vector has one entry per dimension; a mask's further dimensions have none of it.
Tensors spread(const Tensor& t, const Tensors& in) {
  Tensors flat;
  size_t i = 0;
  while (i < in.size()) {
    flat.push_back(in[i]);
    bool mask = in[i].defined() && (in[i].dtype() == DType::Bool || in[i].dtype() == DType::U8);
    i += mask && in[i].dim() > 1 ? size_t(in[i].dim()) : 1;
  }
  return without_masks(t, flat);
}

void find_offsets(const Tensor& t, const Tensors& idx, Plan& p, const char* op) {
  for (int64_t d : p.dims)
    FB_CHECK_INDEX(t.shape()[int(d)] || !numel_of(p.index_shape), op, "(): dimension ", d, " of ",
                   describe(t), " has no elements for an index to name");
  if (p.dims.size() == 1) {
    p.only = idx[size_t(p.dims[0])];
    return;
  }
  p.offsets = p.dims.empty() ? zeros(p.index_shape, DType::I64, t.device())
                             : empty(p.index_shape, DType::I64, t.device());
  for (int64_t d : p.dims)
    cuda::add_offsets(op, p.offsets, idx[size_t(d)], t.shape()[int(d)], t.strides()[int(d)],
                      d == p.dims[0]);
}

// The element offsets that index i along dimension d of t stands for: f(position, offset).
template<class F>
void each_offset(const Tensor& t, int d, const Tensor& i, int64_t b, int64_t e, F&& f) {
  const int64_t *v = i.data<int64_t>(), size = t.shape()[d], stride = t.strides()[d];
  for (int64_t k = b; k < e; ++k) {
    int64_t at = v[k];
    FB_CHECK_INDEX(at >= -size && at < size, "index ", at, " is out of bounds for dimension ", d,
                   " with size ", size);
    f(k, (at < 0 ? at + size : at) * stride);
  }
}

// direct: one index alone may stay as it is.
Plan make_plan(const Tensor& t, const Tensors& raw, const char* op = "index", bool direct = false) {
  NoGrad off;
  Tensors idx = spread(t, raw);
  FB_CHECK_INDEX(int(idx.size()) <= t.dim(), "too many indices for tensor of dimension ", t.dim(),
                 " (got ", int(idx.size()), ")");
  Plan p;
  bool first = true, gap = false;
  int last = -2;
  for (size_t d = 0; d < idx.size(); ++d) {
    if (!idx[d].defined()) continue;
    FB_CHECK_INDEX(is_integral(idx[d].dtype()),
                   "tensors used as indices must be long, int, byte or "
                   "bool tensors");
    if (first)
      p.index_shape = idx[d].shape();
    else {
      try {
        p.index_shape = broadcast_shapes(p.index_shape, idx[d].shape(), "index");
      } catch (const Error&) {
        fail(ErrorKind::Index,
             "shape mismatch: indexing tensors could not be broadcast together "
             "with shapes ",
             p.index_shape, ", ", idx[d].shape());
      }
    }
    if (!first && int(d) != last + 1) gap = true;
    last = int(d);
    if (first) p.at = int(d);
    first = false;
    p.dims.push_back(int64_t(d));
  }
  if (gap) p.at = 0;
  for (int d = 0; d < t.dim(); ++d)
    if (std::find(p.dims.begin(), p.dims.end(), d) == p.dims.end()) p.rest.push_back(d);
  bool known = !t.is_meta();
  for (const Tensor& i : idx) known = known && !(i.defined() && i.is_meta());
  if (!known) return p; // shapes only
  if (t.is_cuda()) {
    find_offsets(t, idx, p, op);
    return p;
  }
  if (direct && p.dims.size() == 1) {
    p.only = contiguous(idx[size_t(p.dims[0])]);
    return p;
  }
  p.offsets = p.dims.empty() ? zeros(p.index_shape, DType::I64) : empty(p.index_shape, DType::I64);
  int64_t *o = p.offsets.data<int64_t>(), n = p.offsets.numel();
  for (int64_t d : p.dims) {
    Tensor i = contiguous(expand(idx[size_t(d)], p.index_shape));
    bool first = d == p.dims[0];
    parallel_for(n, even_grain(n, 32768), [&](int64_t b, int64_t e) {
      each_offset(t, int(d), i, b, e,
                  [=](int64_t k, int64_t at) { o[k] = first ? at : o[k] + at; });
    });
  }
  return p;
}

Dims result_shape(const Tensor& t, const Plan& p) {
  Dims r;
  int seen = 0;
  for (int64_t d : p.rest) {
    if (seen++ == p.at)
      for (int64_t s : p.index_shape) r.push_back(s);
    r.push_back(t.shape()[int(d)]);
  }
  if (seen <= p.at)
    for (int64_t s : p.index_shape) r.push_back(s);
  return r;
}

// Calls f(offset in t of the rest dimensions before, first index position, count, result offset)
// for stretches of index positions: rest dimensions before the index ones, the index positions,
// then the rest dimensions after, `after` elements.
template<class F>
void walk(const Tensor& t, const Plan& p, F&& f) {
  int64_t before = 1, after = 1, n = p.count();
  for (int i = 0; i < p.rest.size(); ++i) (i < p.at ? before : after) *= t.shape()[int(p.rest[i])];
  int64_t rows = before * n, grain = 16384 / std::max<int64_t>(after, 1);
  parallel_for(rows, even_grain(rows, grain), [&](int64_t b, int64_t e) {
    while (b < e) {
      int64_t src = 0, rest = b / n, first = b % n, m = std::min(e - b, n - first);
      for (int i = p.at - 1; i >= 0; --i) {
        int d = int(p.rest[i]);
        src += rest % t.shape()[d] * t.strides()[d];
        rest /= t.shape()[d];
      }
      f(src, first, m, b * after);
      b += m;
    }
  });
}

// Offsets of the trailing slice's elements relative to its start.
std::vector<int64_t> trailing(const Tensor& t, const Plan& p) {
  std::vector<int64_t> v{0};
  for (int i = p.at; i < p.rest.size(); ++i) {
    int d = int(p.rest[i]);
    std::vector<int64_t> w;
    for (int64_t base : v)
      for (int64_t k = 0; k < t.shape()[d]; ++k) w.push_back(base + k * t.strides()[d]);
    v = std::move(w);
  }
  return v;
}
bool is_run(const std::vector<int64_t>& v) {
  for (size_t i = 0; i < v.size(); ++i)
    if (v[i] != int64_t(i)) return false;
  return true;
}

// The elements of a dense t where a mask of its shape is true.
void pick_by_mask(const Tensor& t, const Tensor& mask, const std::vector<int64_t>& starts,
                  const Tensor& out) {
  const bool* v = mask.data<bool>();
  dispatch_size(t.itemsize(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* s = t.data<T>();
    T* o = out.data<T>();
    parallel_for(mask.numel(), kMaskGrain, [&](int64_t b, int64_t) {
      T *to = o + starts[size_t(b / kMaskGrain)], *end = o + starts[size_t(b / kMaskGrain) + 1];
      for (int64_t i = b; to < end; ++i) {
        *to = s[i];
        to += v[i];
      }
    });
  });
}

void gather_slices(const Tensor& t, const Plan& p, const Tensor& out) {
  std::vector<int64_t> tail = trailing(t, p);
  bool run = is_run(tail);
  dispatch_size(t.itemsize(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    const T* s = t.data<T>();
    T* o = out.data<T>();
    const int64_t n = int64_t(tail.size());
    walk(t, p, [&](int64_t src, int64_t first, int64_t count, int64_t dst) {
      const T* from = s + src;
      T* to = o + dst - first * n;
      auto each = [&](auto&& put) { // put(index position, offset)
        if (p.only.defined())
          return each_offset(t, int(p.dims[0]), p.only, first, first + count, put);
        const int64_t* at = p.offsets.data<int64_t>();
        for (int64_t k = first; k < first + count; ++k) put(k, at[k]);
      };
      if (run && n == 1)
        each([=](int64_t k, int64_t at) { to[k] = from[at]; });
      else if (run)
        each([=](int64_t k, int64_t at) {
          copy_bytes(reinterpret_cast<char*>(to + k * n), reinterpret_cast<const char*>(from + at),
                     n * int64_t(sizeof(T)));
        });
      else
        each([&](int64_t k, int64_t at) {
          for (int64_t i = 0; i < n; ++i) to[k * n + i] = from[at + tail[size_t(i)]];
        });
    });
  });
}

// How the rows of a broadcast tensor lie: `n` elements side by side (or one for all of them, where
// `same`), `step` elements after each other.
struct Rows {
  int64_t step = 0;
  bool same = false;
};
// values: of the result's shape, n elements a row.
Tensor as_rows(const Tensor& values, int64_t n, Rows& r) {
  if (values.strides() == Dims(values.dim(), 0)) {
    r.same = true;
    return values;
  }
  r.step = n;
  return contiguous(values);
}

// t[plan] = or += values of the result's shape. Equal places in order, so that the last wins.
void scatter_slices(const Tensor& t, const Plan& p, const Tensor& values, bool accumulate) {
  std::vector<int64_t> tail = trailing(t, p);
  int64_t n = int64_t(tail.size()), count = p.offsets.numel(), before = 1, size = 1;
  for (int i = 0; i < p.at; ++i) before *= t.shape()[int(p.rest[i])];
  for (int64_t d : p.dims) size += (t.shape()[int(d)] - 1) * t.strides()[int(d)];
  if (count == 0 || n == 0) return;
  const int64_t* o = p.offsets.data<int64_t>();
  bool run = is_run(tail);
  Rows rows;
  Tensor v = as_rows(values, n, rows);
  auto each = [&](auto&& put) { // put(place of a slice, its row of values)
    put_by_target(
        before, o, count, size, n, false, [](int64_t, int64_t, int64_t) {}, [](int64_t, int64_t) {},
        [&](int64_t q, int64_t k) {
          int64_t base = o[k], rest = q;
          for (int i = p.at - 1; i >= 0; --i) {
            int d = int(p.rest[i]);
            base += rest % t.shape()[d] * t.strides()[d];
            rest /= t.shape()[d];
          }
          put(base, (q * count + k) * rows.step);
        });
  };
  if (!accumulate) {
    dispatch_size(t.itemsize(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T* to = t.data<T>();
      const T* from = v.data<T>();
      if (run && !rows.same)
        each([=](int64_t a, int64_t b) {
          copy_bytes(reinterpret_cast<char*>(to + a), reinterpret_cast<const char*>(from + b),
                     n * int64_t(sizeof(T)));
        });
      else if (run)
        each([=, one = *from](int64_t a, int64_t) { std::fill_n(to + a, n, one); });
      else
        each([&](int64_t a, int64_t b) {
          for (int64_t i = 0; i < n; ++i) to[a + tail[size_t(i)]] = from[rows.same ? 0 : b + i];
        });
    });
    return;
  }
  dispatch_all(t.dtype(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T* to = t.data<T>();
    const T* from = v.data<T>();
    each([&](int64_t a, int64_t b) {
      for (int64_t i = 0; i < n; ++i) {
        T& x = to[a + (run ? i : tail[size_t(i)])];
        x = T(x + from[rows.same ? 0 : b + i]);
      }
    });
  });
}

// The GPU's view of t[plan], beside a tensor of the result's shape with the given strides.
cuda::Reach reach(const char* op, const Tensor& t, const Plan& p, const Dims& near) {
  const Tensor& index = p.only.defined() ? p.only : p.offsets;
  Dims rest;
  for (int64_t d : p.rest) rest.push_back(t.strides()[int(d)]);
  cuda::Reach r{op, result_shape(t, p), near, {}, {}};
  for (int i = 0; i <= p.rest.size(); ++i) {
    if (i == p.at)
      for (int64_t s : index.strides()) {
        r.far.push_back(0);
        r.index.push_back(s);
      }
    if (i == p.rest.size()) break;
    r.far.push_back(rest[i]);
    r.index.push_back(0);
  }
  r.size = INT64_MAX >> 8; // offsets have been checked
  if (p.only.defined()) {
    r.step = t.strides()[int(p.dims[0])];
    r.size = t.shape()[int(p.dims[0])];
    r.wrap = true;
  }
  return r;
}
void gather_on_gpu(const char* op, const Tensor& t, const Plan& p, const Tensor& out) {
  cuda::pick(out, t, p.only.defined() ? p.only : p.offsets, reach(op, t, p, out.strides()));
}
void scatter_on_gpu(const char* op, const Tensor& t, const Plan& p, const Tensor& values,
                    bool accumulate) {
  cuda::put(values, t, p.only.defined() ? p.only : p.offsets, reach(op, t, p, values.strides()),
            accumulate ? cuda::Combine::Add : cuda::Combine::Set);
}

struct Index final : OpOf<Index> {
  Tensors indices;
  Dims shape; // of the source
  const char* caller = "index";
  const char* name() const override { return "index"; }
  Specs infer(const Inputs& in) override {
    if (by_mask(in[0])) {
      starts = true_counts(indices[0].data<bool>(), in[0].numel());
      return {{{starts.back()}, in[0].dtype()}};
    }
    plan = make_plan(in[0], indices, caller, true);
    return {{result_shape(in[0], plan), in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    if (by_mask(in[0])) return pick_by_mask(in[0], indices[0], starts, out[0]);
    gather_slices(in[0], plan, out[0]);
  }
  void cuda(const Inputs& in, Outputs& out) override { gather_on_gpu(caller, in[0], plan, out[0]); }
  Grads vjp(const Saved&, const Grads& g) override;
  Plan plan;
  std::vector<int64_t> starts; // of the chunks of a mask

 private:
  bool by_mask(const Tensor& t) const {
    if (indices.empty() || !indices[0].defined() || int(indices.size()) > t.dim()) return false;
    const Tensor& m = indices[0];
    return m.dtype() == DType::Bool && m.shape() == t.shape() && m.is_contiguous() &&
           t.is_contiguous() && m.device().is_cpu() && t.device().is_cpu();
  }
};

// zeros(shape) with in[0] added at the indices.
struct IndexBackward final : OpOf<IndexBackward> {
  Tensors indices;
  Dims shape;
  const char* name() const override { return "index_backward"; }
  Specs infer(const Inputs& in) override { return {{shape, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    std::memset(out[0].bytes(), 0, size_t(out[0].numel()) * out[0].itemsize());
    scatter_slices(out[0], make_plan(out[0], indices), in[0], true);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    fill_(out[0], Scalar(0));
    scatter_on_gpu(name(), out[0], make_plan(out[0], indices, name()), in[0], true);
  }
  Grads vjp(const Saved&, const Grads& g) override { return {index(g[0], indices)}; }
};
Grads Index::vjp(const Saved&, const Grads& g) {
  IndexBackward op;
  op.indices = indices;
  op.shape = shape;
  return {apply(std::move(op), {g[0]})};
}

// The history of t[indices] = values.
struct IndexPut final : OpOf<IndexPut> {
  Tensors indices;
  bool accumulate;
  const char* name() const override { return "index_put"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    copy_values(out[0], in[0]);
    Plan p = make_plan(out[0], indices);
    scatter_slices(out[0], p, expand(in[1], result_shape(out[0], p)), accumulate);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    copy_values(out[0], in[0]);
    Plan p = make_plan(out[0], indices, name());
    scatter_on_gpu(name(), out[0], p, expand(in[1], result_shape(out[0], p)), accumulate);
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(2, Tensor());
    if (s.needs(0)) {
      if (accumulate) {
        r[0] = g[0];
      } else {
        IndexPut op;
        op.indices = indices;
        op.accumulate = false;
        r[0] = apply(std::move(op), {g[0], zeros({}, g[0].dtype())});
      }
    }
    if (s.needs(1)) r[1] = index(g[0], indices);
    return r;
  }
};

} // namespace

// On a GPU masks are turned into positions once, since each time waits for their number.
static Tensors kept(const Tensor& t, const Tensors& indices) {
  NoGrad off;
  return t.is_cuda() ? spread(t, indices) : indices;
}

Tensor index(const Tensor& t, const Tensors& indices, const char* caller) {
  Index op;
  op.caller = caller;
  op.indices = kept(t, indices);
  op.shape = t.shape();
  return apply(std::move(op), {t});
}

// A mask over all of t and one value: nothing has to be counted.
static bool fill_by_mask(const Tensor& t, const Tensors& indices, const Tensor& v) {
  if (indices.size() != 1 || !indices[0].defined() || v.numel() != 1) return false;
  Tensor m = indices[0];
  if (m.dtype() != DType::Bool || m.shape() != t.shape() || m.device() != t.device()) return false;
  if (t.is_cuda()) {
    copy_values(t, where(m, view(v, {}), t));
    return true;
  }
  if (!t.device().is_cpu() || !t.is_contiguous() || !m.is_contiguous() ||
      &m.storage() == &t.storage() || v.dtype() != t.dtype())
    return false;
  Choose choose = move_tables().choose[std::countr_zero(unsigned(t.itemsize()))];
  auto* mask = m.data<uint8_t>();
  char *data = t.bytes(), *value = v.bytes();
  parallel_for(t.numel(), kMaskGrain, [&](int64_t b, int64_t e) {
    char* at = data + b * t.itemsize();
    choose(mask + b, value, at, at, e - b, 1);
  });
  return true;
}

void index_put_(const Tensor& t, const Tensors& given, const Tensor& values, bool accumulate) {
  check_inplace(t, "index_put_");
  Tensor v = to_dtype(values, t.dtype());
  if (v.device() != t.device() && v.dim() == 0 && t.is_cuda())
    v = move_to(v, t.device(), t.dtype());
  FB_CHECK(v.device() == t.device() || v.is_meta() || t.is_meta(),
           "index_put_: Expected all tensors to be on the same device, but found at least two "
           "devices, ",
           t.device(), " and ", v.device(), "!");
  if (!accumulate && !wants_grad({t, v})) {
    NoGrad off;
    if (fill_by_mask(t, given, v)) return record_inplace(t, Tensor());
  }
  Tensors indices = kept(t, given);
  Plan p = make_plan(t, indices, "index_put_");
  Dims shape = result_shape(t, p);
  while (v.dim() > shape.size() && v.shape()[0] == 1) v = select(v, 0, 0);
  bool fits = false;
  try {
    fits = broadcast_shapes(v.shape(), shape, "index_put_") == shape;
  } catch (const Error&) {
  }
  FB_CHECK(fits, "shape mismatch: value tensor of shape ", values.shape(),
           " cannot be broadcast to indexing result of shape ", shape);
  Tensor carrier;
  if (wants_grad({t, v})) {
    IndexPut op;
    op.indices = indices;
    op.accumulate = accumulate;
    Tensor old = alias(t);
    Edge e = gradient_edge(t);
    if (e.node) set_history(old, e.node, e.nr);
    carrier = alias(t);
    record(op, {old, v}, {carrier});
  }
  {
    NoGrad off;
    Tensor whole = expand(v, shape);
    if (&whole.storage() == &t.storage()) whole = clone(whole);
    if (t.is_cuda())
      scatter_on_gpu("index_put_", t, p, whole, accumulate);
    else
      scatter_slices(t, p, whole, accumulate);
  }
  record_inplace(t, carrier);
}

namespace {
Register nonzeros({
    {"_nonzero(Tensor input) -> Tensor", kFM, [](Args& a) -> Value { return nonzero(a.tensor(0)); },
     "Positions of the nonzero elements, a row each."},
    {"_index(Tensor input, Tensor[] indices) -> Tensor", kFM,
     [](Args& a) -> Value { return index(a.tensor(0), a.tensors(1)); }, "input[indices]."},
});
} // namespace
} // namespace flambeau
