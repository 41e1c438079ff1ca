// Joining, repeating, reversing, padding and masking triangles.
#include <algorithm>
#include <bit>
#include <cstring>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/copy_bytes.h"
#include "../cpu/loops.h"
#include "../cpu/move_tables.h"
#include "../cuda/indexing.h"
#include "index.h"
#include "ops.h"

namespace flambeau {
namespace {

// One input's share of each index before the dimension along which it is joined: `rows` runs of
// `run` bytes, or none where the input has to be moved by itself.
struct Part {
  const char* base = nullptr;
  int64_t width = 0, outer_step = 0, rows = 1, row_step = 0, run = 0; // in bytes
};

// Dimensions [from, to) of t as one, where the strides allow that.
bool as_one(const Tensor& t, int from, int to, int64_t& size, int64_t& step) {
  size = 1;
  step = 0;
  for (int d = to - 1; d >= from; --d) {
    if (t.shape()[d] == 1) continue;
    if (size == 1)
      step = t.strides()[d] * t.itemsize();
    else if (t.strides()[d] * t.itemsize() != step * size)
      return false;
    size *= t.shape()[d];
  }
  return true;
}

Part part_of(const Tensor& t, int dim) {
  Part p;
  int first = t.dim();
  p.run = t.itemsize();
  for (; first > dim; --first) {
    int64_t n = t.shape()[first - 1];
    if (n != 1 && t.strides()[first - 1] * t.itemsize() != p.run) break;
    p.run *= n;
  }
  int64_t outer;
  if (!as_one(t, 0, dim, outer, p.outer_step) || !as_one(t, dim, first, p.rows, p.row_step) ||
      (p.rows > 1 && p.run < 32))
    return {};
  p.width = p.rows * p.run;
  p.base = t.bytes();
  return p;
}

// The bytes [b, e) of the joined tensor, an index of which before the dimension takes `row` of
// them.
void join_bytes(const std::vector<Part>& parts, int64_t row, char* out, int64_t b, int64_t e) {
  int64_t outer = b / row, at = b % row;
  size_t k = 0;
  while (at >= parts[k].width) at -= parts[k++].width;
  while (b < e) {
    const Part& p = parts[k];
    int64_t end = std::min(p.width, at + e - b);
    if (p.base && at < end) {
      const int64_t first = at == 0 ? 0 : at / p.run;
      const char* from = p.base + outer * p.outer_step + first * p.row_step;
      int64_t in_run = at - first * p.run;
      for (; at < end; from += p.row_step, in_run = 0) {
        const int64_t n = std::min(p.run - in_run, end - at);
        copy_bytes(out + b, from + in_run, n);
        at += n;
        b += n;
      }
    }
    b += end - at;
    at = 0;
    if (++k == parts.size()) k = 0, ++outer;
  }
}

// The same for parts of a few bytes, one after the other over blocks of rows [b, e).
void join_slim(const std::vector<Part>& parts, int64_t row, char* out, int64_t b, int64_t e) {
  int64_t block = std::max<int64_t>(1, 16384 / row);
  for (; b < e; b += block) {
    int64_t m = std::min(block, e - b);
    char* to = out + b * row;
    for (const Part& p : parts) {
      const char* from = p.base + b * p.outer_step;
      auto move = [&](auto tag) {
        using T = typename decltype(tag)::type;
        for (int64_t i = 0; i < m; ++i)
          std::memcpy(to + i * row, from + i * p.outer_step, sizeof(T));
      };
      if (!p.base)
        ;
      else if (p.width <= 16 && std::has_single_bit(uint64_t(p.width)))
        dispatch_size(int(p.width), move);
      else
        for (int64_t i = 0; i < m; ++i) copy_bytes(to + i * row, from + i * p.outer_step, p.width);
      to += p.width;
    }
  }
}

// Joins the parts, each of which takes `width` bytes even where it has no base.
void join(const std::vector<Part>& parts, int64_t outer, char* out) {
  int64_t row = 0;
  bool slim = outer > 1;
  for (const Part& p : parts) {
    row += p.width;
    slim = slim && p.rows == 1 && p.width <= 64;
  }
  if (slim)
    return parallel_for(outer, even_grain(outer, 65536 / row + 1),
                        [&](int64_t b, int64_t e) { join_slim(parts, row, out, b, e); });
  int64_t all = outer * row;
  parallel_for(all, even_grain(all, 131072),
               [&](int64_t b, int64_t e) { join_bytes(parts, row, out, b, e); });
}

struct Cat final : OpOf<Cat> {
  int dim;
  bool stacked = false; // dim is a new one: each input is one slice of it
  Dims sizes;           // of each input along dim
  Dims shape;
  DType dtype;
  const char* name() const override { return stacked ? "stack" : "cat"; }
  Specs infer(const Inputs&) override { return {{shape, dtype}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    Tensor o = out[0];
    if (o.numel() == 0) return;
    Split split(shape, dim);
    int64_t inner = split.inner * o.itemsize(), at = 0;
    std::vector<Part> parts;
    for (int k = 0; k < in.size(); at += sizes[k++]) {
      if (sizes[k] == 0) continue;
      Part p = in[k].dtype() == dtype ? part_of(in[k], dim) : Part();
      if (!p.base) copy_values(slot(o, at, sizes[k]), in[k]);
      p.width = sizes[k] * inner;
      parts.push_back(p);
    }
    join(parts, split.outer, o.bytes());
  }
  Tensor slot(const Tensor& o, int64_t at, int64_t size) const { // where an input goes
    Dims part = shape, strides = o.strides();
    at *= strides[dim];
    part[dim] = size;
    if (stacked) {
      part.erase(dim);
      strides.erase(dim);
    }
    return alias_as(o, part, strides, at);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    const Tensor& o = out[0];
    Tensors dense; // those that one kernel moves together
    Dims starts;
    int64_t at = 0;
    for (int k = 0; k < in.size(); at += sizes[k++]) {
      Tensor x = stacked ? unsqueeze(in[k], dim) : in[k];
      if (x.is_contiguous() && x.dtype() == dtype) {
        dense.push_back(x);
        starts.push_back(at);
        continue;
      }
      copy_values(slot(o, at, sizes[k]), in[k]);
    }
    cuda::cat(o, dense, starts, dim);
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r;
    int64_t at = 0;
    for (int k = 0; k < sizes.size(); ++k) {
      r.push_back(!s.needs(k) ? Tensor()
                  : stacked   ? select(g[0], dim, at)
                              : narrow(g[0], dim, at, sizes[k]));
      at += sizes[k];
    }
    return r;
  }
};

struct Flip final : OpOf<Flip> {
  Dims dims;
  const char* name() const override { return "flip"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    // Walk the source backwards along the flipped dimensions.
    const Tensor& x = in[0];
    if (x.numel() == 0) return;
    StridedLoop l;
    Dims st = expanded_bytes(x, x.shape());
    char* base = x.bytes();
    for (int64_t d : dims) {
      base += st[int(d)] * (x.shape()[int(d)] - 1);
      st[int(d)] = -st[int(d)];
    }
    l.add(out[0].bytes(), expanded_bytes(out[0], x.shape()));
    l.add(base, st);
    l.prepare(x.shape());
    int64_t ds = l.shape.empty() ? 0 : l.strides[0][0], ss = l.shape.empty() ? 0 : l.strides[1][0];
    int64_t size = x.itemsize();
    if (ds == size && ss == -size) {
      Reverse reverse = move_tables().reverse[std::countr_zero(unsigned(size))];
      l.run(65536, [&](char* const* p, int64_t n) { reverse(p[1] + (n - 1) * ss, p[0], n); });
    } else if (ds == size && ss == size) {
      l.run(65536, [&](char* const* p, int64_t n) { copy_bytes(p[0], p[1], n * size); });
    } else {
      CastKernel copy = cast_kernel(x.dtype(), x.dtype());
      l.run(65536, [&](char* const* p, int64_t n) { copy(p[1], ss, p[0], ds, n); });
    }
  }
  void cuda(const Inputs& in, Outputs& out) override { cuda::flip(out[0], in[0], dims); }
  Grads vjp(const Saved&, const Grads& g) override { return {flip(g[0], dims)}; }
};

struct Roll final : OpOf<Roll> {
  int dim;
  int64_t shift; // from 0 to below the size
  const char* name() const override { return "roll"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    if (in[0].numel() == 0) return;
    NoGrad off;
    Tensor x = contiguous(in[0]);
    Split split(x.shape(), dim);
    Part all = part_of(x, dim), last = all, first = all;
    last.width = last.run = split.inner * x.itemsize() * shift;
    last.base += all.width - last.width;
    first.width = first.run = all.width - last.width;
    join({last, first}, split.outer, out[0].bytes());
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    int64_t rest = in[0].size(dim) - shift;
    copy_values(narrow(out[0], dim, 0, shift), narrow(in[0], dim, rest, shift));
    copy_values(narrow(out[0], dim, shift, rest), narrow(in[0], dim, 0, rest));
  }
  Grads vjp(const Saved&, const Grads& g) override { return {roll(g[0], {-shift}, {dim})}; }
};

struct Triangle final : OpOf<Triangle> {
  int64_t k;
  bool upper;
  const char* name() const override { return upper ? "triu" : "tril"; }
  Specs infer(const Inputs& in) override { return {{in[0].shape(), in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    Tensor x = contiguous(in[0]);
    int64_t rows = x.size(-2), cols = x.size(-1), size = x.itemsize();
    if (x.numel() == 0) return;
    const char* s = x.bytes();
    char* d = out[0].bytes();
    parallel_for(x.numel() / cols, std::max<int64_t>(1, 65536 / cols), [&](int64_t b, int64_t e) {
      for (int64_t r = b; r < e; ++r) {
        int64_t edge = std::clamp<int64_t>(r % rows + k + (upper ? 0 : 1), 0, cols);
        int64_t from = upper ? edge : 0, to = upper ? cols : edge;
        char* row = d + r * cols * size;
        std::memset(row, 0, size_t(cols * size));
        std::memcpy(row + from * size, s + (r * cols + from) * size, size_t((to - from) * size));
      }
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    cuda::triangle(out[0], contiguous(in[0]), k, upper);
  }
  Grads vjp(const Saved&, const Grads& g) override {
    return {upper ? triu(g[0], k) : tril(g[0], k)};
  }
};

struct Pad final : OpOf<Pad> {
  Dims before, after; // may be negative: then elements are cut off
  Scalar value;
  Dims out_shape;
  const char* name() const override { return "constant_pad_nd"; }
  Specs infer(const Inputs& in) override { return {{out_shape, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    if (out[0].numel() == 0) return;
    if (out_shape.empty()) return copy_values(out[0], in[0]);
    NoGrad off;
    Dims shape = out_shape, lead = before, part = in[0].shape(), steps = in[0].strides();
    const char* from = in[0].bytes();
    for (int d = 0; d < shape.size(); ++d) {
      part[d] = shape[d] - std::max<int64_t>(before[d], 0) - std::max<int64_t>(after[d], 0);
      if (before[d] < 0) from -= before[d] * steps[d] * in[0].itemsize(), lead[d] = 0;
    }
    for (int n = shape.size();
         n > 1 && part[n - 1] == shape[n - 1] && steps[n - 2] == steps[n - 1] * shape[n - 1];
         --n) { // dimensions without padding join the one before
      steps[n - 2] = steps[n - 1];
      for (Dims* d : {&shape, &lead, &part}) (*d)[n - 2] *= shape[n - 1];
      for (Dims* d : {&shape, &lead, &part, &steps}) d->pop_back();
    }
    Tensor fill = full({}, value, in[0].dtype());
    dispatch_size(in[0].itemsize(), [&](auto tag) {
      using T = typename decltype(tag)::type;
      fill_around(shape, lead, part, steps, reinterpret_cast<const T*>(from), *fill.data<T>(),
                  out[0].data<T>());
    });
  }
  // Rows of the padded tensor: `part` elements of x, `lead` places after its start.
  template<class T>
  static void fill_around(const Dims& shape, const Dims& lead, const Dims& part, const Dims& steps,
                          const T* x, T v, T* out) {
    const int last = shape.size() - 1;
    const int64_t width = shape[last], left = lead[last], m = std::max<int64_t>(part[last], 0),
                  step = steps[last], rows = numel_of(shape) / width,
                  height = last ? shape[last - 1] : 1, top = last ? lead[last - 1] : 0,
                  full = m == 0 ? 0
                         : last ? part[last - 1]
                                : 1,
                  down = last ? steps[last - 1] : 0;
    auto put = [=](const T* from, T* to) {
      for (int64_t i = 0; i < left; ++i) to[i] = v;
      for (int64_t i = left + m; i < width; ++i) to[i] = v;
      if (step == 1)
        copy_bytes(reinterpret_cast<char*>(to + left), reinterpret_cast<const char*>(from),
                   m * int64_t(sizeof(T)));
      else
        for (int64_t i = 0; i < m; ++i) to[left + i] = from[i * step];
    };
    parallel_for(rows, even_grain(rows, 65536 / width + 1), [&](int64_t b, int64_t e) {
      while (b < e) { // the rows of one plane
        int64_t rest = b / height, y = b % height - top;
        const T* plane = x;
        bool inside = true;
        for (int d = last - 2; d >= 0; rest /= shape[d--]) {
          int64_t at = rest % shape[d] - lead[d];
          inside = inside && at >= 0 && at < part[d];
          plane += at * steps[d];
        }
        for (int64_t end = std::min(e, b + height - top - y); b < end; ++b, ++y) {
          if (inside && y >= 0 && y < full)
            put(plane + y * down, out + b * width);
          else
            std::fill_n(out + b * width, width, v);
        }
      }
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    fill_(out[0], value);
    const Tensor& x = in[0];
    Dims part = x.shape();
    int64_t to = 0, from = x.offset();
    for (int i = 0; i < x.dim(); ++i) {
      part[i] += std::min<int64_t>(before[i], 0) + std::min<int64_t>(after[i], 0);
      if (part[i] <= 0) return;
      to += std::max<int64_t>(before[i], 0) * out[0].strides()[i];
      from += std::max<int64_t>(-before[i], 0) * x.strides()[i];
    }
    copy_values(alias_as(out[0], part, out[0].strides(), to), alias_as(x, part, x.strides(), from));
  }
  Grads vjp(const Saved&, const Grads& g) override {
    Dims pad;
    for (int i = before.size() - 1; i >= 0; --i) {
      pad.push_back(-before[i]);
      pad.push_back(-after[i]);
    }
    return {pad_constant(g[0], pad, Scalar(0))};
  }
};

Triangle triangle(const Tensor& t, int64_t k, bool upper) {
  FB_CHECK(t.dim() >= 2, upper ? "triu" : "tril",
           ": input tensor must have at least 2 dimensions, "
           "but its shape is ",
           t.shape());
  Triangle op;
  op.k = k;
  op.upper = upper;
  return op;
}

} // namespace

Tensor cat(const Tensors& all, int64_t dim) {
  FB_CHECK_VALUE(!all.empty(), "cat: expected a non-empty list of Tensors");
  Inputs in;
  DType dtype = all[0].dtype();
  const Tensor* like = nullptr;
  std::vector<const Tensor*> ptr;
  for (const Tensor& t : all) {
    FB_CHECK(t.dim() > 0, "zero-dimensional tensor (at position ", int(&t - all.data()),
             ") cannot be concatenated");
    ptr.push_back(&t);
    if (t.dim() == 1 && t.numel() == 0) continue; // an empty list joins with anything
    if (!like) like = &t;
  }
  dtype = result_type(ptr.data(), int(ptr.size()));
  if (!like) like = &all[0];
  Cat op;
  op.dim = int(wrap_dim(dim, like->dim(), "cat"));
  op.shape = like->shape();
  op.shape[op.dim] = 0;
  op.dtype = dtype;
  for (const Tensor& t : all) {
    if (t.dim() == 1 && t.numel() == 0 && like->dim() != 1) continue; // joins with anything
    FB_CHECK(t.dim() == like->dim(), "Tensors must have same number of dimensions: got ",
             like->dim(), " and ", t.dim());
    for (int d = 0; d < t.dim(); ++d)
      FB_CHECK(d == op.dim || t.shape()[d] == like->shape()[d],
               "Sizes of tensors must match except in "
               "dimension ",
               op.dim, ". Expected size ", like->shape()[d], " but got size ", t.shape()[d],
               " for tensor number ", int(&t - all.data()), " in the list.");
    op.shape[op.dim] += t.shape()[op.dim];
    op.sizes.push_back(t.shape()[op.dim]);
    in.push_back(t);
  }
  return apply(std::move(op), in);
}

Tensor stack(const Tensors& ts, int64_t dim) {
  FB_CHECK(!ts.empty(), "stack expects a non-empty TensorList");
  Inputs in;
  std::vector<const Tensor*> ptr;
  for (const Tensor& t : ts) {
    FB_CHECK(t.shape() == ts[0].shape(), "stack expects each tensor to be equal size, but got ",
             ts[0].shape(), " at entry 0 and ", t.shape(), " at entry ", int(in.size()));
    in.push_back(t);
    ptr.push_back(&t);
  }
  Cat op;
  op.stacked = true;
  op.dim = int(wrap_dim(dim, ts[0].dim() + 1, "stack"));
  op.shape = ts[0].shape();
  op.shape.insert(op.dim, in.size());
  op.sizes = Dims(in.size(), 1);
  op.dtype = result_type(ptr.data(), int(ptr.size()));
  return apply(std::move(op), in);
}

Tensor repeat(const Tensor& t, const Dims& times) {
  FB_CHECK(times.size() >= t.dim(),
           "Number of dimensions of repeat dims can not be smaller than number "
           "of dimensions of tensor: repeat ",
           times, " of shape ", t.shape());
  int shift = times.size() - t.dim();
  Dims shape, wide, flat;
  for (int i = 0; i < times.size(); ++i) {
    int64_t s = i < shift ? 1 : t.shape()[i - shift];
    FB_CHECK(times[i] >= 0, "Trying to create tensor with negative dimension ", times[i], ": ",
             times);
    shape.push_back(1);
    shape.push_back(s);
    wide.push_back(times[i]);
    wide.push_back(s);
    flat.push_back(times[i] * s);
  }
  return view(restride_copy(expand(reshape(t, shape), wide), contiguous_strides(wide)), flat);
}

Tensor flip(const Tensor& t, const Dims& dims) {
  Flip op;
  op.dims = wrap_dims(dims, t.dim(), "flip");
  if (t.dim() == 0) op.dims = {};
  return apply(std::move(op), {t});
}

Tensor roll(const Tensor& t, const Dims& shifts, const Dims& dims) {
  if (dims.empty()) {
    FB_CHECK(shifts.size() == 1,
             "roll: `shifts` must have one element when dims is not given, got ", shifts.size());
    return view(roll(flatten(t), shifts, {0}), t.shape());
  }
  FB_CHECK(shifts.size() == dims.size(),
           "shifts and dimensions must align. shifts: ", shifts.size(), ", dims:", dims.size());
  Tensor r = t;
  for (int i = 0; i < dims.size(); ++i) {
    Roll op;
    op.dim = int(wrap_dim(dims[i], t.dim(), "roll"));
    int64_t n = r.size(op.dim);
    op.shift = n ? ((shifts[i] % n) + n) % n : 0;
    r = apply(std::move(op), {r});
  }
  return r;
}

Tensor tril(const Tensor& t, int64_t k) { return apply(triangle(t, k, false), {t}); }
Tensor triu(const Tensor& t, int64_t k) { return apply(triangle(t, k, true), {t}); }

Tensor pad_constant(const Tensor& t, const Dims& pad, Scalar value) {
  FB_CHECK(pad.size() % 2 == 0, "Length of pad must be even but instead it equals ", pad.size());
  FB_CHECK(pad.size() <= 2 * t.dim(),
           "Length of pad should be no more than twice the number of "
           "dimensions of the input. Pad length is ",
           pad.size(), " while the input has ", t.dim(), " dimensions.");
  Pad op;
  op.before = op.after = Dims(t.dim(), 0);
  op.value = value;
  op.out_shape = t.shape();
  for (int i = 0; i < pad.size() / 2; ++i) {
    int d = t.dim() - 1 - i;
    op.before[d] = pad[2 * i];
    op.after[d] = pad[2 * i + 1];
    op.out_shape[d] += pad[2 * i] + pad[2 * i + 1];
    FB_CHECK(op.out_shape[d] >= 0, "The input size ", t.shape()[d], ", plus negative padding ",
             pad[2 * i], " and ", pad[2 * i + 1],
             ", resulted in a negative output size, which is "
             "invalid. Check dimension ",
             d, " of your input.");
  }
  return apply(std::move(op), {t});
}

namespace {
Register joining({
    {"cat(Tensor[] tensors, int dim=0) -> Tensor", kFO,
     [](Args& a) -> Value { return cat(a.tensors(0), a.integer(1)); },
     "Tensors joined along an existing dimension."},
    {"concat(Tensor[] tensors, int dim=0) -> Tensor", kFO,
     [](Args& a) -> Value { return cat(a.tensors(0), a.integer(1)); },
     "Tensors joined along an existing dimension."},
    {"concatenate(Tensor[] tensors, int dim=0) -> Tensor", kFO,
     [](Args& a) -> Value { return cat(a.tensors(0), a.integer(1)); },
     "Tensors joined along an existing dimension."},
    {"stack(Tensor[] tensors, int dim=0) -> Tensor", kFO,
     [](Args& a) -> Value { return stack(a.tensors(0), a.integer(1)); },
     "Tensors joined along a new dimension."},
    {"repeat(Tensor self, int[*] repeats) -> Tensor", kMethod,
     [](Args& a) -> Value { return repeat(a.tensor(0), a.dims(1)); },
     "Copies of the tensor side by side, as many as given for each dimension."},
    {"flip(Tensor input, int[*] dims) -> Tensor", kFM,
     [](Args& a) -> Value { return flip(a.tensor(0), a.dims(1)); },
     "The order of elements reversed along dims."},
    {"roll(Tensor input, int[1] shifts, int[1] dims=[]) -> Tensor", kFM,
     [](Args& a) -> Value { return roll(a.tensor(0), a.dims(1), a.dims(2)); },
     "Elements moved by `shifts` along dims; those pushed out come back at the other end."},
    {"tril(Tensor input, int diagonal=0) -> Tensor", kFMIO,
     [](Args& a) -> Value { return tril(a.tensor(0), a.integer(1)); },
     "The lower triangle; zero above the diagonal."},
    {"triu(Tensor input, int diagonal=0) -> Tensor", kFMIO,
     [](Args& a) -> Value { return triu(a.tensor(0), a.integer(1)); },
     "The upper triangle; zero below the diagonal."},
    {"constant_pad_nd(Tensor input, int[] pad, Scalar value=0) -> Tensor", kFunction,
     [](Args& a) -> Value { return pad_constant(a.tensor(0), a.dims(1), a.scalar(2)); },
     "Padded with a constant: pad lists (before, after) from the last dimension backwards."},
});
} // namespace
} // namespace flambeau
