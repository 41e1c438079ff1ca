// Max, average and adaptive pooling over 1 to 3 dimensions.
#include <algorithm>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cpu/pool_kernels.h"
#include "../cuda/pooling.h"
#include "ops.h"

namespace flambeau {
namespace {

struct Windows {
  int nd;
  Dims x, y; // shapes with leading dimensions (batch, channels)
  Dims kernel, stride, pad, dil;
};

PoolShape shape_of(const Windows& w) {
  PoolShape s{1, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}};
  int lead = w.x.size() - w.nd;
  for (int i = 0; i < lead; ++i) s.planes *= w.x[i];
  for (int i = 0; i < w.nd; ++i) {
    int at = 3 - w.nd + i;
    s.in[at] = w.x[lead + i];
    s.out[at] = w.y[lead + i];
    if (w.kernel.empty()) continue;
    s.kernel[at] = w.kernel[i];
    s.stride[at] = w.stride[i];
    s.pad[at] = w.pad[i];
    s.dil[at] = w.dil[i];
  }
  return s;
}

Tensor prepared(const Tensor& t) {
  NoGrad off;
  DType d = is_half(t.dtype()) ? DType::F32 : is_integral(t.dtype()) ? DType::F64 : t.dtype();
  return contiguous(to_dtype(t, d));
}
template<class F>
void run(const Tensor& in, const Tensor& out, F&& f) {
  if (out.numel() == 0) return;
  Tensor x = prepared(in), o = out.dtype() == x.dtype() ? out : empty(out.shape(), x.dtype());
  dispatch_float(x.dtype(), "pool", [&](auto tag) {
    using T = typename decltype(tag)::type;
    f(x.data<T>(), o.data<T>());
  });
  if (!o.is(out)) copy_values(out, o);
}

// The same on a GPU, where halves stay what they are: f(input, output).
template<class F>
void run_cuda(const Tensor& in, const Tensor& out, F&& f) {
  NoGrad off;
  if (out.numel() == 0) return;
  if (in.numel() == 0) {
    Tensor o = out;
    fill_(o, Scalar(0));
    return;
  }
  Tensor x = contiguous(is_integral(in.dtype()) ? to_dtype(in, DType::F64) : in);
  Tensor o = out.dtype() == x.dtype() ? out : empty(out.shape(), x.dtype(), out.device());
  f(x, o);
  if (!o.is(out)) copy_values(out, o);
}

int64_t product(const Dims& d, int from) {
  int64_t n = 1;
  for (int i = from; i < d.size(); ++i) n *= d[i];
  return n;
}

// The gradient put back at the positions of the maxima.
struct MaxPoolBackward final : OpOf<MaxPoolBackward> {
  Windows w;
  bool adaptive;
  const char* name() const override { return "max_pool_backward"; }
  Specs infer(const Inputs& in) override { return {{w.x, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    int lead = w.x.size() - w.nd;
    int64_t in_size = product(w.x, lead), out_size = product(in[0].shape(), lead);
    Tensor idx = contiguous(in[1]);
    if (in[0].numel() == 0) {
      fill_(out[0], Scalar(0));
      return;
    }
    run(in[0], out[0], [&](auto* dy, auto* dx) {
      max_pool_backward(out[0].numel() / in_size, in_size, out_size, dy, idx.data<int64_t>(), dx);
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    run_cuda(in[0], out[0], [&](const Tensor& dy, const Tensor& dx) {
      cuda::max_pool_backward(shape_of(w), adaptive, dy, contiguous(in[1]), dx);
    });
  }
  Saves saves(const Inputs&) const override { return {2, 0}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    Tensor idx = s.input(1);
    int lead = w.x.size() - w.nd;
    Dims plane(w.x.begin(), w.x.begin() + lead), picks = plane;
    plane.push_back(product(w.x, lead));
    picks.push_back(product(idx.shape(), lead));
    return {reshape(gather(reshape(g[0], plane), -1, reshape(idx, picks)), idx.shape()), Tensor()};
  }
};

struct MaxPool final : OpOf<MaxPool> {
  Windows w;
  bool adaptive = false, want_indices = true;
  const char* name() const override { return adaptive ? "adaptive_max_pool" : "max_pool"; }
  Specs infer(const Inputs& in) override {
    if (!want_indices) return {{w.y, in[0].dtype()}};
    return {{w.y, in[0].dtype()}, {w.y, DType::I64}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    int64_t* idx = want_indices ? out[1].data<int64_t>() : nullptr;
    run(in[0], out[0], [&](auto* x, auto* y) {
      if (adaptive)
        adaptive_max_pool_forward(shape_of(w), x, y, idx);
      else
        max_pool_forward(shape_of(w), x, y, idx);
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    run_cuda(in[0], out[0], [&](const Tensor& x, const Tensor& y) {
      cuda::max_pool(shape_of(w), adaptive, x, y, want_indices ? out[1] : Tensor());
    });
  }
  uint32_t not_differentiable() const override { return 2; }
  Saves saves(const Inputs&) const override { return {0, 2}; }
  Grads vjp(const Saved& s, const Grads& g) override {
    MaxPoolBackward op;
    op.w = w;
    op.adaptive = adaptive;
    return {apply(std::move(op), {g[0], s.output(1)})};
  }
};

struct AvgPool final : OpOf<AvgPool> {
  Windows w;
  bool adaptive = false, count_pad = true, backward = false;
  int64_t divisor = 0;
  const char* name() const override { return adaptive ? "adaptive_avg_pool" : "avg_pool"; }
  Specs infer(const Inputs& in) override { return {{backward ? w.x : w.y, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    if (in[0].numel() == 0) {
      fill_(out[0], Scalar(0));
      return;
    }
    run(in[0], out[0], [&](auto* a, auto* b) {
      PoolShape s = shape_of(w);
      if (adaptive)
        backward ? adaptive_avg_pool_backward(s, a, b) : adaptive_avg_pool_forward(s, a, b);
      else
        backward ? avg_pool_backward(s, count_pad, divisor, a, b)
                 : avg_pool_forward(s, count_pad, divisor, a, b);
    });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    PoolShape s = shape_of(w);
    run_cuda(in[0], out[0], [&](const Tensor& a, const Tensor& b) {
      cuda::avg_pool(s, adaptive, count_pad, divisor, backward, a, b);
    });
  }
  Grads vjp(const Saved&, const Grads& g) override { // the two directions are adjoint
    AvgPool op(*this);
    op.backward = !backward;
    return {apply(std::move(op), {g[0]})};
  }
};

Windows windows(const char* op, const Tensor& x, int nd, const Dims& kernel, const Dims& stride,
                const Dims& pad, const Dims& dil, bool ceil) {
  FB_CHECK(x.dim() == nd + 1 || x.dim() == nd + 2, op, "(): Expected ", nd + 1, "D or ", nd + 2,
           "D (batch mode) tensor, but got input of size: ", x.shape());
  Windows w{nd, x.shape(), x.shape(), kernel, stride.empty() ? kernel : stride, pad, dil};
  int lead = x.dim() - nd;
  for (int i = x.dim() == nd + 2 ? 1 : 0; i < x.dim(); ++i)
    FB_CHECK(x.shape()[i] > 0, op,
             "(): Expected input to have non-zero size for non-batch dimensions, "
             "but got input of size ",
             x.shape());
  for (int i = 0; i < nd; ++i) {
    FB_CHECK(w.kernel[i] > 0, op, ": kernel_size should be greater than zero, but got ", w.kernel);
    FB_CHECK(w.stride[i] > 0, op, ": stride should be greater than zero, but got ", w.stride);
    FB_CHECK(w.dil[i] > 0, op, ": dilation should be greater than zero, but got ", w.dil);
    FB_CHECK(w.pad[i] >= 0 && 2 * w.pad[i] <= w.kernel[i], op,
             ": pad should be at most half of "
             "effective kernel size, but got pad=",
             w.pad[i], ", kernel_size=", w.kernel[i]);
    int64_t span = w.dil[i] * (w.kernel[i] - 1) + 1,
            size = x.shape()[lead + i] + 2 * w.pad[i] - span;
    int64_t n = (size + (ceil ? w.stride[i] - 1 : 0)) / w.stride[i] + 1;
    if (ceil && (n - 1) * w.stride[i] >= x.shape()[lead + i] + w.pad[i]) --n;
    FB_CHECK(size >= 0 && n > 0, "Given input size: ", x.shape(),
             ". Calculated output size is too small "
             "at dimension ",
             i, " for ", op, " with kernel_size ", w.kernel, ", stride ", w.stride, ", padding ",
             w.pad);
    w.y[lead + i] = n;
  }
  return w;
}
Windows adaptive(const char* op, const Tensor& x, int nd, const Dims& out) {
  FB_CHECK(x.dim() == nd + 1 || x.dim() == nd + 2, op, "(): Expected ", nd + 1, "D or ", nd + 2,
           "D tensor, but got ", x.shape());
  Windows w{nd, x.shape(), x.shape(), {}, {}, {}, {}};
  for (int i = 0; i < nd; ++i) {
    int at = x.dim() - nd + i;
    FB_CHECK(x.shape()[at] > 0, op,
             "(): Expected input to have non-zero size for non-batch dimensions, "
             "but input has sizes ",
             x.shape());
    FB_CHECK(out[i] >= 0, op,
             ": elements of output_size must be greater than or equal to 0 but received ", out);
    w.y[at] = out[i];
  }
  return w;
}
void check_real(const char* op, const Tensor& x) {
  FB_CHECK(!is_complex(x.dtype()) && x.dtype() != DType::Bool, "\"", op, "\" not implemented for '",
           x.dtype(), "'");
}

Outputs max_pool(const char* name, Args& a, int nd, bool indices) {
  Tensor x = a.tensor(0);
  check_real(name, x);
  MaxPool op;
  op.w = windows(name, x, nd, a.dims(1), a.dims(2), a.dims(3), a.dims(4), a.flag(5));
  op.want_indices = indices || wants_grad({x});
  return apply_all(op, {x});
}
template<int nd>
Value call_max(Args& a) {
  return max_pool("max_pool", a, nd, false)[0];
}
template<int nd>
Value call_max_indices(Args& a) {
  Outputs r = max_pool("max_pool", a, nd, true);
  return Tensors{r[0], r[1]};
}
template<int nd>
Value call_avg(Args& a) {
  Tensor x = a.tensor(0);
  check_real("avg_pool", x);
  AvgPool op;
  op.w = windows("avg_pool", x, nd, a.dims(1), a.dims(2), a.dims(3), Dims(nd, 1), a.flag(4));
  op.count_pad = a.flag(5);
  if (nd > 1 && a.given(6)) {
    op.divisor = a.integer(6);
    FB_CHECK(op.divisor != 0, "divisor must be not zero");
  }
  return apply(std::move(op), {x});
}
template<int nd>
Value call_adaptive_avg(Args& a) {
  Tensor x = a.tensor(0);
  check_real("adaptive_avg_pool", x);
  AvgPool op;
  op.adaptive = true;
  op.w = adaptive("adaptive_avg_pool", x, nd, a.dims(1));
  Dims all; // one window over everything is a mean, whose kernels suit few, large windows
  for (int d = x.dim() - nd; d < x.dim() && op.w.y[d] == 1; ++d) all.push_back(d);
  if (all.size() == nd && x.numel() > 0 && !is_integral(x.dtype())) return mean(x, all, true);
  return apply(std::move(op), {x});
}
template<int nd>
Value call_adaptive_max(Args& a) {
  Tensor x = a.tensor(0);
  check_real("adaptive_max_pool", x);
  MaxPool op;
  op.adaptive = true;
  op.w = adaptive("adaptive_max_pool", x, nd, a.dims(1));
  Outputs r = apply_all(op, {x});
  return Tensors{r[0], r[1]};
}

#define FB_POOL(N, DIV)                                                                           \
  {"max_pool" #N "d(Tensor input, int[" #N "] kernel_size, int[" #N "]? stride=None, int[" #N     \
   "] padding=0, int[" #N "] dilation=1, bool ceil_mode=False) -> Tensor",                        \
   kFunction, call_max<N>, "The maximum of each window of input (N, C, ...)."},                   \
      {"max_pool" #N "d_with_indices(Tensor input, int[" #N "] kernel_size, int[" #N              \
       "]? stride=None, "                                                                         \
       "int[" #N "] padding=0, int[" #N "] dilation=1, bool ceil_mode=False) -> Tensor()",        \
       kFunction, call_max_indices<N>, "Maxima and their positions in each input plane."},        \
      {"avg_pool" #N "d(Tensor input, int[" #N "] kernel_size, int[" #N "]? stride=None, int[" #N \
       "] padding=0, bool ceil_mode=False, bool count_include_pad=True" DIV ") -> Tensor",        \
       kFO, call_avg<N>, "The mean of each window of input (N, C, ...)."},                        \
      {"adaptive_avg_pool" #N "d(Tensor input, int[" #N "] output_size) -> Tensor", kFunction,    \
       call_adaptive_avg<N>, "Means over windows chosen so that the output has the given size."}, \
      {"adaptive_max_pool" #N "d(Tensor input, int[" #N "] output_size) -> Tensor()", kFunction,  \
       call_adaptive_max<N>, "Maxima, with positions, of windows for the given output size."}

Register pools({FB_POOL(1, ""), FB_POOL(2, ", int? divisor_override=None"),
                FB_POOL(3, ", int? divisor_override=None")});

} // namespace
} // namespace flambeau
