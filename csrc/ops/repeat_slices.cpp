// Slices repeated in place along a dimension, each as often as its count says.
#include <algorithm>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/indexing.h"
#include "../cuda/order.h"
#include "ops.h"

namespace flambeau {
namespace {

// in[1]: where each slice's repeats end; or in[0] alone, with `times` for all.
struct RepeatSlices final : OpOf<RepeatSlices> {
  int dim = 0;
  int64_t times = 0, total = 0;
  Dims shape;
  const char* name() const override { return "repeat_interleave"; }
  Specs infer(const Inputs& in) override {
    Dims s = in[0].shape();
    s[dim] = total;
    return {{s, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    if (out[0].numel() == 0) return;
    NoGrad off;
    Tensor x = contiguous(in[0]);
    const int64_t* ends = in.size() > 1 ? in[1].data<int64_t>() : nullptr;
    int64_t n = shape[dim], inner = 1, k = times, all = total;
    for (int d = dim + 1; d < shape.size(); ++d) inner *= shape[d];
    int64_t outer = x.numel() / (n * inner), bytes = inner * x.itemsize();
    auto run = [&](auto tag, int64_t width) {
      using T = typename decltype(tag)::type;
      const T* s = x.data<T>();
      T* o = out[0].data<T>();
      auto start = [=](int64_t q, int64_t i) {
        return o + (q * all + (ends ? (i ? ends[i - 1] : 0) : i * k)) * width;
      };
      parallel_for(outer * n, std::max<int64_t>(1, 16384 / (width * std::max<int64_t>(k, 1))),
                   [&](int64_t b, int64_t e) {
                     T *to = start(b / n, b % n), *stop = start(e / n, e % n);
                     for (int64_t r = b, i = b % n; r < e; ++r, i = i + 1 == n ? 0 : i + 1) {
                       int64_t count = ends ? ends[i] - (i ? ends[i - 1] : 0) : k;
                       if (width == 1) {
                         T v = s[r];
                         bool room =
                             stop - to >= 4; // short runs: four writes cost less than a wrong guess
                         for (int c = 0; room && c < 4; ++c) to[c] = v;
                         for (int64_t c = room ? 4 : 0; c < count; ++c) to[c] = v;
                       } else {
                         for (int64_t c = 0; c < count; ++c)
                           std::copy_n(s + r * width, width, to + c * width);
                       }
                       to += count * width;
                     }
                   });
    };
    if (inner == 1)
      dispatch_size(x.itemsize(), [&](auto tag) { run(tag, 1); });
    else
      run(Tag<char>{}, bytes);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    if (out[0].numel() == 0) return;
    NoGrad off;
    if (in.size() == 1) {
      Dims wide = shape;
      wide.insert(dim + 1, times);
      return copy_values(view(out[0], wide), expand(unsqueeze(in[0], dim + 1), wide));
    }
    Device device = in[0].device();
    Tensor of = empty({total}, DType::I64, device); // the slice that each place repeats
    cuda::search(in[1], arange(Scalar(0), Scalar(total), Scalar(1), DType::I64, device), Tensor(),
                 true, of);
    cuda::Reach r{name(), out[0].shape(), out[0].strides(), in[0].strides(), Dims(out[0].dim(), 0)};
    r.step = r.far[dim];
    r.size = shape[dim];
    r.far[dim] = 0;
    r.index[dim] = 1;
    cuda::pick(out[0], in[0], of, r);
  }
  Saves saves(const Inputs& in) const override { return {in.size() > 1 ? 2u : 0u, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    if (s.node.next.size() == 1) {
      Dims parts = shape;
      parts.insert(dim + 1, times);
      return {sum(reshape(g[0], parts), {dim + 1})};
    }
    Tensor ends = s.input(1), of;
    {
      NoGrad off; // the slice that each place repeats
      RepeatSlices op;
      op.shape = {shape[dim]};
      op.total = total;
      Tensor all = arange(Scalar(0), Scalar(shape[dim]), Scalar(1), DType::I64, ends.device());
      of = apply(std::move(op), {all, ends});
    }
    return {index_add(zeros(shape, g[0].dtype(), g[0].device()), dim, of, g[0]), Tensor()};
  }
};

Register rows({
    {"_repeat_slices(Tensor input, int dim, int times) -> Tensor", kFunction,
     [](Args& a) -> Value {
       RepeatSlices op;
       op.shape = a.tensor(0).shape();
       op.dim = int(wrap_dim(a.integer(1), a.tensor(0).dim(), "repeat_interleave"));
       op.times = a.integer(2);
       op.total = op.times * op.shape[op.dim];
       return apply(std::move(op), {a.tensor(0)});
     },
     "Every slice along `dim` repeated `times` times in place."},
    {"_repeat_slices(Tensor input, int dim, Tensor ends, int total) -> Tensor", kFunction,
     [](Args& a) -> Value {
       RepeatSlices op;
       op.shape = a.tensor(0).shape();
       op.dim = int(wrap_dim(a.integer(1), a.tensor(0).dim(), "repeat_interleave"));
       op.total = a.integer(3);
       return apply(std::move(op), {a.tensor(0), contiguous(to_dtype(a.tensor(2), DType::I64))});
     },
     "Slice i along `dim` repeated ends[i] - ends[i - 1] times in place."},
});

} // namespace
} // namespace flambeau
