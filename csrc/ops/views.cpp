// Views: new shapes and strides on the same memory; their derivatives put gradients back in place.
#include <algorithm>
#include <cstring>

#include "../core/registry.h"
#include "../cpu/loops.h"
#include "../cuda/indexing.h"
#include "as_strided.h"
#include "ops.h"

namespace flambeau {

namespace {

// Most views share this form: a layout, and a derivative that is a function of the gradient.
using ViewVjp = Tensor (*)(const Tensor& g, const Dims& shape, const Dims& a);
struct View final : OpOf<View> {
  const char* label;
  ViewVjp back;
  Dims shape, a; // of the input; parameters of `back`
  View(const char* label, const Tensor& in, ViewVjp back, Dims a)
      : label(label), back(back), shape(in.shape()), a(std::move(a)) {}
  const char* name() const override { return label; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Grads vjp(const Saved&, const Grads& g) override { return {back(g[0], shape, a)}; }
};

[[gnu::noinline]] void record_layout(const char* label, const Tensor& t, const Tensor& out,
                                     ViewVjp back, Dims a, bool multi) {
  View op(label, t, back, std::move(a));
  record_view(op, t, out, multi);
}
template<class List = std::initializer_list<int64_t>>
Tensor make_view(const char* label, const Tensor& t, const Dims& shape, const Dims& strides,
                 int64_t offset, ViewVjp back, const List& a = {}, bool multi = false) {
  Tensor out = alias_as(t, shape, strides, offset);
  if (begin_view(t, out)) record_layout(label, t, out, back, Dims(a.begin(), a.end()), multi);
  return out;
}

// Gradient of a window: zeros with g written into it.
struct SliceScatter final : OpOf<SliceScatter> { // zeros(shape) with the slice set to in[0]
  Dims shape;
  int64_t dim, start, step;
  const char* name() const override { return "slice_backward"; }
  Specs infer(const Inputs& in) override { return {{shape, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override { write(in, out); }
  void cuda(const Inputs& in, Outputs& out) override { write(in, out); }
  void write(const Inputs& in, Outputs& out) const {
    fill_(out[0], Scalar(0));
    Dims s = out[0].strides();
    int64_t offset = start * s[int(dim)];
    s[int(dim)] *= step;
    copy_values(alias_as(out[0], in[0].shape(), s, offset), in[0]);
  }
  Grads vjp(const Saved&, const Grads& g) override {
    int64_t n = 0, size = shape[int(dim)];
    n = size; // the end of the slice, clipped by slice() itself
    return {slice(g[0], dim, start, std::min(n, end), step)};
  }
  int64_t end = 0;
};

} // namespace

// as_strided and its adjoints ----------------------------------------------------------------

namespace {

int64_t span_of(const Dims& shape, const Dims& strides) { // elements from first to last
  int64_t last = 0;
  for (int i = 0; i < shape.size(); ++i) {
    if (shape[i] == 0) return 0;
    last += (shape[i] - 1) * strides[i];
  }
  return last + 1;
}

// Whether no two elements can lie in one place: each stride passes all that is inside it.
bool without_overlap(const Dims& shape, const Dims& strides) {
  Dims order;
  for (int i = 0; i < shape.size(); ++i)
    if (shape[i] > 1) order.push_back(i);
  std::sort(order.begin(), order.end(),
            [&](int64_t a, int64_t b) { return strides[int(a)] < strides[int(b)]; });
  int64_t span = 1;
  for (int64_t d : order) {
    if (strides[int(d)] < span) return false;
    span += (shape[int(d)] - 1) * strides[int(d)];
  }
  return true;
}

// Adds the window's elements, which may overlap, into the flat memory they came from.
struct AsStridedBackward final : OpOf<AsStridedBackward> {
  Dims base_shape, base_strides, shape, strides;
  int64_t base_offset, offset;
  const char* name() const override { return "as_strided_backward"; }
  Specs infer(const Inputs& in) override { return {{base_shape, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override { add_up(in, out); }
  void cuda(const Inputs& in, Outputs& out) override { add_up(in, out); }
  void add_up(const Inputs& in, Outputs& out) const {
    int64_t low = std::min(base_offset, offset);
    int64_t n = std::max(base_offset + span_of(base_shape, base_strides),
                         offset + span_of(shape, strides)) -
                low;
    Tensor flat = zeros({n}, in[0].dtype(), in[0].device());
    accumulate(alias_as(flat, shape, strides, offset - low), in[0]);
    copy_values(out[0], alias_as(flat, base_shape, base_strides, base_offset - low));
  }
  static void accumulate(const Tensor& to, const Tensor& from) {
    if (without_overlap(to.shape(), to.strides())) return copy_values(to, from);
    if (to.is_cuda()) {
      cuda::Reach r{"as_strided_backward", to.shape(), from.strides(), to.strides(),
                    Dims(to.dim(), 0)};
      return cuda::put(from, to, Tensor(), r, cuda::Combine::Add);
    }
    Tensor src = contiguous(from);
    dispatch_all(to.dtype(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      T *o = to.data<T>(), *s = src.data<T>();
      Dims at(to.dim(), 0);
      int64_t pos = 0;
      for (int64_t i = 0; i < src.numel(); ++i) {
        o[pos] = T(o[pos] + s[i]);
        for (int d = to.dim() - 1; d >= 0; --d) {
          pos += to.strides()[d];
          if (++at[d] < to.shape()[d]) break;
          pos -= to.strides()[d] * to.shape()[d];
          at[d] = 0;
        }
      }
    });
  }
  Grads vjp(const Saved&, const Grads& g) override {
    Tensor whole = restride(g[0], base_strides);
    return {as_strided(whole, shape, strides, offset - base_offset + whole.offset())};
  }
};

struct AsStrided final : OpOf<AsStrided> {
  Dims base_shape, base_strides, shape, strides;
  int64_t base_offset, offset;
  const char* name() const override { return "as_strided"; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Grads vjp(const Saved&, const Grads& g) override {
    AsStridedBackward back;
    back.base_shape = base_shape;
    back.base_strides = base_strides;
    back.base_offset = base_offset;
    back.shape = shape;
    back.strides = strides;
    back.offset = offset;
    return {apply(std::move(back), {g[0]})};
  }
};

} // namespace

Tensor as_strided(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset) {
  FB_CHECK(shape.size() == strides.size(), "mismatch in length of strides and shape: ", strides,
           " and ", shape);
  for (int64_t s : strides)
    FB_CHECK(s >= 0, "as_strided: Negative strides are not supported at the moment, got strides: ",
             strides);
  FB_CHECK(offset >= 0, "Tensor: invalid storage offset ", offset);
  int64_t n = numel_of(shape);
  FB_CHECK(n == 0 ||
               size_t((offset + span_of(shape, strides)) * t.itemsize()) <= t.storage().nbytes,
           "setStorage: sizes ", shape, ", strides ", strides, ", storage offset ", offset,
           ", and itemsize ", t.itemsize(), " requiring a storage size of ",
           (offset + span_of(shape, strides)) * t.itemsize(),
           " are out of bounds for storage of "
           "size ",
           int64_t(t.storage().nbytes));
  AsStrided op;
  op.base_shape = t.shape();
  op.base_strides = t.strides();
  op.base_offset = t.offset();
  op.shape = shape;
  op.strides = strides;
  op.offset = offset;
  return finish_view(op, t, alias_as(t, shape, strides, offset));
}

Specs AsStridedScatter::infer(const Inputs& in) {
  return {{in[0].shape(), in[0].dtype(),
           is_dense(in[0].shape(), base_strides) ? base_strides : Dims{}}};
}
void AsStridedScatter::cpu(const Inputs& in, Outputs& out) { write(in, out); }
void AsStridedScatter::cuda(const Inputs& in, Outputs& out) { write(in, out); }
void AsStridedScatter::write(const Inputs& in, Outputs& out) const {
  // Through a flat copy of the memory the base spans, whatever its strides.
  int64_t low = std::min(base_offset, offset);
  int64_t n = std::max(base_offset + span_of(in[0].shape(), base_strides),
                       offset + span_of(shape, strides)) -
              low;
  Tensor flat = zeros({n}, in[0].dtype(), in[0].device());
  Tensor base = alias_as(flat, in[0].shape(), base_strides, base_offset - low);
  copy_values(base, in[0]);
  copy_values(alias_as(flat, shape, strides, offset - low), in[1]);
  copy_values(out[0], base);
}
Grads AsStridedScatter::vjp(const Saved& s, const Grads& g) {
  Grads r(2, Tensor());
  Tensor whole = restride(g[0], base_strides);
  int64_t at = offset - base_offset + whole.offset();
  if (s.needs(1)) r[1] = as_strided(whole, shape, strides, at);
  if (s.needs(0))
    r[0] = as_strided_scatter(whole, zeros(shape, g[0].dtype(), g[0].device()), shape, strides, at);
  return r;
}
Tensor as_strided_scatter(const Tensor& base, const Tensor& src, const Dims& shape,
                          const Dims& strides, int64_t offset) {
  return apply(AsStridedScatter(base, shape, strides, offset), {base, src});
}

// Shapes --------------------------------------------------------------------------------------

namespace {

Dims resolve_shape(const Tensor& t, const Dims& shape, const char* op) {
  Dims r = shape;
  int64_t known = 1;
  int unknown = -1;
  for (int i = 0; i < r.size(); ++i) {
    if (r[i] == -1) {
      FB_CHECK(unknown < 0, "only one dimension can be inferred");
      unknown = i;
      continue;
    }
    FB_CHECK(r[i] >= 0, "invalid shape dimension ", r[i]);
    known *= r[i];
  }
  if (unknown >= 0) {
    FB_CHECK(known != 0, "cannot reshape tensor of ", t.numel(), " elements into shape ", shape,
             " because the unspecified dimension size -1 can be any value and is ambiguous");
    FB_CHECK(t.numel() % known == 0, op, ": shape '", shape, "' is invalid for input of size ",
             t.numel());
    r[unknown] = t.numel() / known;
  } else {
    FB_CHECK(known == t.numel(), op, ": shape '", shape, "' is invalid for input of size ",
             t.numel());
  }
  return r;
}

// Strides that give `shape` on t's memory; false when a copy is needed.
bool view_strides(const Tensor& t, const Dims& shape, Dims& out) {
  out = Dims(shape.size(), 1);
  if (t.numel() == 0) {
    out = contiguous_strides(shape);
    return true;
  }
  int v = shape.size() - 1;
  int64_t chunk = 1, base = t.dim() ? t.strides()[t.dim() - 1] : 1, done = 1;
  for (int i = t.dim() - 1; i >= 0; --i) {
    chunk *= t.shape()[i];
    bool last = i == 0 || (t.shape()[i - 1] != 1 && t.strides()[i - 1] != chunk * base);
    if (!last) continue;
    while (v >= 0 && (done < chunk || shape[v] == 1)) {
      out[v] = done * base;
      done *= shape[v];
      --v;
    }
    if (done != chunk) return false;
    if (i > 0) {
      base = t.strides()[i - 1];
      chunk = done = 1;
    }
  }
  for (; v >= 0; --v) out[v] = 1;
  return true;
}

Tensor back_reshape(const Tensor& g, const Dims& shape, const Dims&) { return reshape(g, shape); }
Tensor back_permute(const Tensor& g, const Dims&, const Dims& dims) {
  Dims inverse(dims.size(), 0);
  for (int i = 0; i < dims.size(); ++i) inverse[int(dims[i])] = i;
  return permute(g, inverse);
}
Tensor back_transpose(const Tensor& g, const Dims&, const Dims& dims) {
  return transpose(g, dims[0], dims[1]);
}
Tensor back_expand(const Tensor& g, const Dims& shape, const Dims&) { return sum_to(g, shape); }
Tensor back_select(const Tensor& g, const Dims& shape, const Dims& a) {
  SliceScatter op;
  op.shape = shape;
  op.dim = a[0];
  op.start = a[1];
  op.end = a[1] + 1;
  op.step = 1;
  return apply(std::move(op), {unsqueeze(g, a[0])});
}
Tensor back_slice(const Tensor& g, const Dims& shape, const Dims& a) {
  SliceScatter op;
  op.shape = shape;
  op.dim = a[0];
  op.start = a[1];
  op.end = a[2];
  op.step = a[3];
  return apply(std::move(op), {g});
}

} // namespace

Tensor view(const Tensor& t, const Dims& shape) {
  Dims r = resolve_shape(t, shape, "view"), s;
  FB_CHECK(view_strides(t, r, s),
           "view size is not compatible with input tensor's size and stride "
           "(at least one dimension spans across two contiguous subspaces): the tensor has shape ",
           t.shape(), " and strides ", t.strides(), ", the view would be ", r,
           ". Use .reshape(...) instead.");
  return make_view("view", t, r, s, t.offset(), back_reshape);
}

Tensor reshape(const Tensor& t, const Dims& shape) {
  Dims r = resolve_shape(t, shape, "reshape"), s;
  if (view_strides(t, r, s)) return make_view("view", t, r, s, t.offset(), back_reshape);
  return view(contiguous(t), r);
}

Tensor permute(const Tensor& t, const Dims& dims) {
  FB_CHECK(dims.size() == t.dim(),
           "permute(sparse_coo): number of dimensions in the tensor input "
           "does not match the length of the desired ordering of dimensions i.e. input.dim() = ",
           t.dim(), " is not equal to len(dims) = ", dims.size());
  Dims d = wrap_dims(dims, t.dim(), "permute"), shape, strides;
  for (int64_t i : d) {
    shape.push_back(t.shape()[int(i)]);
    strides.push_back(t.strides()[int(i)]);
  }
  return make_view("permute", t, shape, strides, t.offset(), back_permute, d);
}

Tensor transpose(const Tensor& x, int64_t a, int64_t b) {
  a = wrap_dim(a, x.dim(), "transpose");
  b = wrap_dim(b, x.dim(), "transpose");
  if (x.dim() == 0) return make_view("transpose", x, {}, {}, x.offset(), back_reshape);
  Dims shape = x.shape(), strides = x.strides();
  std::swap(shape[int(a)], shape[int(b)]);
  std::swap(strides[int(a)], strides[int(b)]);
  return make_view("transpose", x, shape, strides, x.offset(), back_transpose, {a, b});
}

Tensor t(const Tensor& x) {
  FB_CHECK(x.dim() <= 2, "t() expects a tensor with <= 2 dimensions, but self is ", x.dim(), "D");
  if (x.dim() < 2) return make_view("t", x, x.shape(), x.strides(), x.offset(), back_reshape);
  return make_view("t", x, {x.shape()[1], x.shape()[0]}, {x.strides()[1], x.strides()[0]},
                   x.offset(), back_transpose, {0, 1});
}

Tensor expand(const Tensor& t, const Dims& shape) {
  int shift = shape.size() - t.dim();
  FB_CHECK(shift >= 0, "expand(", describe(t), ", size=", shape,
           "): the number of sizes provided (", shape.size(),
           ") must be greater or equal to the number of dimensions in the tensor (", t.dim(), ")");
  Dims r = shape, s(shape.size(), 0);
  for (int i = 0; i < r.size(); ++i) {
    int64_t size = i < shift ? 1 : t.shape()[i - shift];
    if (r[i] == -1) {
      FB_CHECK(i >= shift, "expand(", describe(t), ", size=", shape,
               "): The expanded size of the "
               "tensor (-1) isn't allowed in a leading, non-existing dimension ",
               i);
      r[i] = size;
    }
    FB_CHECK(r[i] == size || size == 1, "The expanded size of the tensor (", r[i],
             ") must match the existing size (", size, ") at non-singleton dimension ", i,
             ".  Target sizes: ", shape, ".  Tensor sizes: ", t.shape());
    FB_CHECK(r[i] >= 0, "expand: invalid size ", r[i]);
    if (i >= shift && size == r[i]) s[i] = t.strides()[i - shift];
  }
  return make_view("expand", t, r, s, t.offset(), back_expand);
}

Tensor unsqueeze(const Tensor& t, int64_t dim) {
  int d = int(wrap_dim(dim, t.dim() + 1, "unsqueeze"));
  Dims shape = t.shape(), strides = t.strides();
  strides.insert(d, d < t.dim() ? shape[d] * strides[d] : 1);
  shape.insert(d, 1);
  return make_view("unsqueeze", t, shape, strides, t.offset(), back_reshape);
}

Tensor squeeze(const Tensor& t) {
  Dims all;
  for (int i = 0; i < t.dim(); ++i) all.push_back(i);
  return squeeze(t, all);
}
Tensor squeeze(const Tensor& t, const Dims& dims) {
  Dims d = wrap_dims(dims, t.dim(), "squeeze"), shape, strides;
  for (int i = 0; i < t.dim(); ++i) {
    bool listed = std::find(d.begin(), d.end(), i) != d.end();
    if (listed && t.shape()[i] == 1) continue;
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i]);
  }
  return make_view("squeeze", t, shape, strides, t.offset(), back_reshape);
}

Tensor select(const Tensor& t, int64_t dim, int64_t index) {
  FB_CHECK_INDEX(t.dim() > 0, "select() cannot be applied to a 0-dim tensor.");
  int d = int(wrap_dim(dim, t.dim(), "select"));
  int64_t n = t.shape()[d];
  FB_CHECK_INDEX(index >= -n && index < n, "select(): index ", index,
                 " out of range for tensor of "
                 "size ",
                 t.shape(), " at dimension ", d);
  if (index < 0) index += n;
  Dims shape = t.shape(), strides = t.strides();
  int64_t offset = t.offset() + index * strides[d];
  shape.erase(d);
  strides.erase(d);
  return make_view("select", t, shape, strides, offset, back_select, {d, index});
}

Tensor slice(const Tensor& t, int64_t dim, OptInt start, OptInt end, int64_t step) {
  FB_CHECK(t.dim() > 0, "slice() cannot be applied to a 0-dim tensor.");
  FB_CHECK_VALUE(step > 0, "slice step must be positive");
  int d = int(wrap_dim(dim, t.dim(), "slice"));
  int64_t n = t.shape()[d], b = start.value_or(0), e = end.value_or(n);
  if (b < 0) b += n;
  if (e < 0) e += n;
  b = std::clamp<int64_t>(b, 0, n);
  e = std::clamp<int64_t>(e, b, n);
  Dims shape = t.shape(), strides = t.strides();
  shape[d] = (e - b + step - 1) / step;
  int64_t offset = t.offset() + b * strides[d];
  strides[d] *= step;
  return make_view("slice", t, shape, strides, offset, back_slice, {d, b, e, step});
}

Tensor narrow(const Tensor& t, int64_t dim, int64_t start, int64_t length) {
  FB_CHECK(t.dim() > 0, "narrow() cannot be applied to a 0-dim tensor.");
  FB_CHECK(length >= 0, "narrow(): length must be non-negative.");
  int64_t n = t.size(dim);
  FB_CHECK_INDEX(start >= -n && start <= n, "start out of range (expected to be in range of [", -n,
                 ", ", n, "], but got ", start, ")");
  if (start < 0) start += n;
  FB_CHECK(start + length <= n, "start (", start, ") + length (", length,
           ") exceeds dimension size (", n, ").");
  return slice(t, dim, start, start + length, 1);
}

Tensor flatten(const Tensor& t, int64_t start, int64_t end) {
  int64_t b = wrap_dim(start, t.dim(), "flatten"), e = wrap_dim(end, t.dim(), "flatten");
  FB_CHECK(b <= e, "flatten() has invalid args: start_dim cannot come after end_dim");
  if (t.dim() == 0) return reshape(t, {1});
  if (b == e) return t;
  Dims shape;
  int64_t merged = 1;
  for (int i = 0; i < t.dim(); ++i) {
    if (i >= b && i <= e) {
      merged *= t.shape()[i];
      if (i == e) shape.push_back(merged);
    } else {
      shape.push_back(t.shape()[i]);
    }
  }
  return reshape(t, shape);
}

namespace {
// Views without a simpler adjoint go back through as_strided's.
Tensor strided_view(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset) {
  return as_strided(t, shape, strides, offset);
}
} // namespace

Tensor diagonal(const Tensor& t, int64_t offset, int64_t dim1, int64_t dim2) {
  int a = int(wrap_dim(dim1, t.dim(), "diagonal")), b = int(wrap_dim(dim2, t.dim(), "diagonal"));
  FB_CHECK(a != b, "diagonal dimensions cannot be identical ", dim1, ", ", dim2);
  int64_t n = offset >= 0 ? std::min(t.shape()[a], t.shape()[b] - offset)
                          : std::min(t.shape()[a] + offset, t.shape()[b]);
  n = std::max<int64_t>(n, 0);
  int64_t at = t.offset();
  if (n) at += offset >= 0 ? offset * t.strides()[b] : -offset * t.strides()[a];
  Dims shape, strides;
  for (int i = 0; i < t.dim(); ++i) {
    if (i == a || i == b) continue;
    shape.push_back(t.shape()[i]);
    strides.push_back(t.strides()[i]);
  }
  shape.push_back(n);
  strides.push_back(t.strides()[a] + t.strides()[b]);
  return strided_view(t, shape, strides, at);
}

Tensor unfold(const Tensor& t, int64_t dim, int64_t size, int64_t step) {
  int d = int(wrap_dim(dim, t.dim(), "unfold"));
  int64_t n = t.dim() ? t.shape()[d] : 1;
  FB_CHECK(size <= n && size >= 0, "maximum size for tensor at dimension ", d, " is ", n,
           " but size is ", size);
  FB_CHECK(step > 0, "step is ", step, " but must be > 0");
  Dims shape = t.shape(), strides = t.strides();
  int64_t inner = t.dim() ? strides[d] : 1;
  shape.push_back(size);
  strides.push_back(inner);
  if (t.dim()) {
    shape[d] = (n - size) / step + 1;
    strides[d] *= step;
  }
  return strided_view(t, shape, strides, t.offset());
}

Tensor movedim(const Tensor& t, const Dims& from, const Dims& to) {
  FB_CHECK(from.size() == to.size(), "movedim: Invalid source or destination dims: source (", from,
           " dims) should contain the same number of dims as destination (", to, " dims)");
  Dims f = wrap_dims(from, t.dim(), "movedim"), g = wrap_dims(to, t.dim(), "movedim");
  Dims order(t.dim(), -1), rest;
  for (int i = 0; i < f.size(); ++i) order[int(g[i])] = f[i];
  for (int i = 0; i < t.dim(); ++i)
    if (std::find(f.begin(), f.end(), i) == f.end()) rest.push_back(i);
  int at = 0;
  for (int i = 0; i < t.dim(); ++i)
    if (order[i] < 0) order[i] = rest[at++];
  return permute(t, order);
}

Tensors split(const Tensor& t, const Dims& sizes, int64_t dim) {
  FB_CHECK(t.dim() > 0, "split expects at least a 1-dimensional tensor");
  int d = int(wrap_dim(dim, t.dim(), "split"));
  int64_t total = 0, at = 0, n = t.shape()[d];
  for (int64_t s : sizes) {
    FB_CHECK(s >= 0,
             "split_with_sizes expects split_sizes have only non-negative entries, but got "
             "split_sizes=",
             sizes);
    total += s;
  }
  FB_CHECK(total == n, "split_with_sizes expects split_sizes to sum exactly to ", n,
           " (input tensor's size at dimension ", d, "), but got split_sizes=", sizes);
  Tensors r;
  for (int64_t s : sizes) {
    Dims shape = t.shape();
    shape[d] = s;
    r.push_back(make_view("split", t, shape, t.strides(), t.offset() + at * t.strides()[d],
                          back_slice, {d, at, at + s, 1}, true));
    at += s;
  }
  return r;
}
Tensors split(const Tensor& t, int64_t size, int64_t dim) {
  FB_CHECK(t.dim() > 0, "split expects at least a 1-dimensional tensor");
  int64_t n = t.size(dim);
  FB_CHECK(size >= 0, "split expects split_size be non-negative, but got split_size=", size);
  FB_CHECK(size > 0 || n == 0,
           "split_size can only be 0 if dimension size is 0, but got dimension "
           "size of ",
           n);
  Dims sizes;
  if (n == 0) sizes.push_back(0);
  for (int64_t at = 0; at < n; at += size) sizes.push_back(std::min(size, n - at));
  return split(t, sizes, dim);
}
Tensors chunk(const Tensor& t, int64_t chunks, int64_t dim) {
  FB_CHECK(t.dim() > 0, "chunk expects at least a 1-dimensional tensor");
  FB_CHECK(chunks > 0, "chunk expects `chunks` to be greater than 0, got: ", chunks);
  int64_t n = t.size(dim), size = (n + chunks - 1) / chunks;
  if (n == 0) return split(t, Dims(int(chunks), 0), dim);
  return split(t, size, dim);
}
Tensors unbind(const Tensor& t, int64_t dim) {
  FB_CHECK(t.dim() > 0, "Dimension specified as ", dim, " but tensor has no dimensions");
  int d = int(wrap_dim(dim, t.dim(), "unbind"));
  Dims shape = t.shape(), strides = t.strides();
  shape.erase(d);
  strides.erase(d);
  Tensors r;
  for (int64_t i = 0; i < t.shape()[d]; ++i)
    r.push_back(make_view("unbind", t, shape, strides, t.offset() + i * t.strides()[d], back_select,
                          {d, i}, true));
  return r;
}

// Complex and bit views -----------------------------------------------------------------------

namespace {
struct ViewAsReal final : OpOf<ViewAsReal> {
  const char* name() const override { return "view_as_real"; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Grads vjp(const Saved&, const Grads& g) override { return {view_as_complex(contiguous(g[0]))}; }
};
struct ViewAsComplex final : OpOf<ViewAsComplex> {
  const char* name() const override { return "view_as_complex"; }
  Specs infer(const Inputs&) override { return {}; }
  void cpu(const Inputs&, Outputs&) override {}
  void cuda(const Inputs&, Outputs&) override {}
  Grads vjp(const Saved&, const Grads& g) override { return {view_as_real(g[0])}; }
};
} // namespace

Tensor view_as_real(const Tensor& t) {
  FB_CHECK(is_complex(t.dtype()), "view_as_real is only supported for complex tensors");
  Dims shape = t.shape(), strides;
  for (int64_t s : t.strides()) strides.push_back(s * 2);
  shape.push_back(2);
  strides.push_back(1);
  ViewAsReal op;
  return finish_view(op, t, alias_bytes(t, real_of(t.dtype()), shape, strides, t.offset() * 2));
}
Tensor view_as_complex(const Tensor& t) {
  FB_CHECK(t.dtype() == DType::F32 || t.dtype() == DType::F64,
           "view_as_complex is only supported for floating point tensors, but got a tensor of "
           "scalar type: ",
           t.dtype());
  FB_CHECK(t.dim() > 0 && t.shape()[t.dim() - 1] == 2,
           "Tensor must have a last dimension of size 2");
  FB_CHECK(t.strides()[t.dim() - 1] == 1, "Tensor must have a last dimension with stride 1");
  Dims shape = t.shape(), strides;
  shape.pop_back();
  for (int i = 0; i < shape.size(); ++i) {
    FB_CHECK(t.strides()[i] % 2 == 0, "Tensor must have a stride divisible by 2 for all but last "
                                      "dimension");
    strides.push_back(t.strides()[i] / 2);
  }
  FB_CHECK(t.offset() % 2 == 0, "Tensor must have a storage_offset divisible by 2");
  ViewAsComplex op;
  return finish_view(op, t, alias_bytes(t, complex_of(t.dtype()), shape, strides, t.offset() / 2));
}
Tensor real(const Tensor& t) { return is_complex(t.dtype()) ? select(view_as_real(t), -1, 0) : t; }
Tensor imag(const Tensor& t) {
  FB_CHECK(is_complex(t.dtype()), "imag is not implemented for tensors with non-complex dtypes.");
  return select(view_as_real(t), -1, 1);
}

Tensor view_dtype(const Tensor& t, DType dtype) {
  int from = t.itemsize(), to = size_of(dtype);
  if (dtype == t.dtype()) return view(t, t.shape());
  Dims shape = t.shape(), strides = t.strides();
  int64_t offset = t.offset();
  if (from != to) {
    FB_CHECK(t.dim() > 0, "self.dim() cannot be 0 to view ", t.dtype(), " as ", dtype,
             " (different element sizes)");
    FB_CHECK(strides[t.dim() - 1] == 1, "self.stride(-1) must be 1 to view ", t.dtype(), " as ",
             dtype, " (different element sizes), but got ", strides[t.dim() - 1]);
    int last = t.dim() - 1;
    auto scale = [&](int64_t& v, const char* what) {
      FB_CHECK(v * from % to == 0, what, " must be divisible by ", to / std::max(from, 1),
               " to view ", t.dtype(), " as ", dtype, " (different element sizes), but got ", v);
      v = v * from / to;
    };
    scale(shape[last], "self.size(-1)");
    for (int i = 0; i < last; ++i) scale(strides[i], "self.stride()");
    scale(offset, "self.storage_offset()");
  }
  return alias_bytes(t, dtype, shape, strides, offset);
}

bool can_sum_to(const Dims& from, const Dims& to) {
  int shift = from.size() - to.size();
  if (shift < 0) return false;
  for (int i = 0; i < to.size(); ++i)
    if (to[i] != from[i + shift] && to[i] != 1) return false;
  return true;
}
Tensor sum_to(const Tensor& t, const Dims& shape) {
  if (t.shape() == shape) return t;
  int shift = t.dim() - shape.size();
  Dims dims;
  for (int i = 0; i < t.dim(); ++i)
    if (i < shift || (shape[i - shift] == 1 && t.shape()[i] != 1)) dims.push_back(i);
  Tensor s = dims.empty() ? t : sum(t, dims, true);
  return shift ? view(contiguous(s), shape) : s;
}

} // namespace flambeau
