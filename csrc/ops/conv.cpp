// Convolutions of 1 to 3 dimensions and their transposes: three ops, each the adjoint of the
// others.
#include "../cpu/conv.h"

#include <algorithm>

#include "../core/op.h"
#include "../core/registry.h"
#include "../cuda/conv.h"
#include "ops.h"

namespace flambeau {
namespace {

// Everything but the data: x (n, c_in, in...), w (c_out, c_in / groups, kernel...), y (n, c_out,
// out...).
struct Geometry {
  int nd; // spatial dimensions
  Dims x, w, y, stride, pad, dil;
  int64_t groups;
};

ConvShape shape2d(const Geometry& g) {
  bool one = g.nd == 1;
  auto at = [&](const Dims& d, int i, int64_t missing) {
    return one ? (i == 0 ? missing : d[d.size() - 1]) : d[d.size() - 2 + i];
  };
  return {g.x[0],
          g.x[1],
          at(g.x, 0, 1),
          at(g.x, 1, 1),
          g.y[1],
          at(g.w, 0, 1),
          at(g.w, 1, 1),
          at(g.y, 0, 1),
          at(g.y, 1, 1),
          at(g.stride, 0, 1),
          at(g.stride, 1, 1),
          at(g.pad, 0, 0),
          at(g.pad, 1, 0),
          at(g.dil, 0, 1),
          at(g.dil, 1, 1),
          g.groups};
}
// Of any number of dimensions: missing ones, in front, have size 1.
Conv3dShape shape3d(const Geometry& g) {
  Conv3dShape s{g.x[0],    g.x[1],    {1, 1, 1}, g.y[1],    {1, 1, 1},
                {1, 1, 1}, {1, 1, 1}, {0, 0, 0}, {1, 1, 1}, g.groups};
  for (int i = 0; i < g.nd; ++i) {
    int at = 3 - g.nd + i;
    s.in[at] = g.x[2 + i];
    s.kernel[at] = g.w[2 + i];
    s.out[at] = g.y[2 + i];
    s.stride[at] = g.stride[i];
    s.pad[at] = g.pad[i];
    s.dil[at] = g.dil[i];
  }
  return s;
}

// A depth that the kernel does not mix, nor the height, is more height.
bool folds(const Geometry& g) {
  for (int i = 0; i < 2; ++i)
    if (g.w[2 + i] != 1 || g.stride[i] != 1 || g.pad[i] != 0) return false;
  return true;
}
ConvShape folded(const Geometry& g) {
  Geometry two = g;
  for (Dims* d : {&two.x, &two.y}) (*d)[3] *= (*d)[2];
  return shape2d(two);
}

// Where a 1x1 kernel meets every pixel once, an image is one long row.
ConvShape flat(ConvShape s) {
  if (s.kh * s.kw != 1 || s.stride_h * s.stride_w != 1 || s.pad_h + s.pad_w != 0) return s;
  s.w *= s.h, s.ow *= s.oh;
  s.h = s.oh = 1;
  return s;
}

// Contiguous, and float32 in place of the halves, float64 in place of integers.
Tensor prepared(const Tensor& t) {
  NoGrad off;
  DType d = is_half(t.dtype()) ? DType::F32 : is_integral(t.dtype()) ? DType::F64 : t.dtype();
  return contiguous(to_dtype(t, d));
}

// Runs kernel(2d or 3d shape, a, b, out) on prepared data.
template<class F2, class F3>
void run(const Geometry& g, const Tensor& a, const Tensor& b, const Tensor& out, F2&& two,
         F3&& three) {
  if (out.numel() == 0) return;
  Tensor x = prepared(a), y = prepared(b);
  if (x.numel() == 0 || y.numel() == 0) {
    Tensor o = out;
    fill_(o, Scalar(0));
    return;
  }
  Tensor o = out.dtype() == x.dtype() ? out : empty(out.shape(), x.dtype());
  dispatch_float(x.dtype(), "convolution", [&](auto tag) {
    using T = typename decltype(tag)::type;
    if (g.nd == 3 && folds(g))
      two(flat(folded(g)), x.data<T>(), y.data<T>(), o.data<T>());
    else if (g.nd == 3)
      three(shape3d(g), x.data<T>(), y.data<T>(), o.data<T>());
    else
      two(flat(shape2d(g)), x.data<T>(), y.data<T>(), o.data<T>());
  });
  if (!o.is(out)) copy_values(out, o);
}

// The same on a GPU, where halves stay what they are: kernel(shape, a, b, out).
template<class F>
void run_cuda(const Geometry& g, const Tensor& a, const Tensor& b, const Tensor& out, F&& kernel) {
  NoGrad off;
  if (out.numel() == 0) return;
  if (a.numel() == 0 || b.numel() == 0) {
    Tensor o = out;
    fill_(o, Scalar(0));
    return;
  }
  auto dense = [](const Tensor& t) {
    return contiguous(is_integral(t.dtype()) ? to_dtype(t, DType::F64) : t);
  };
  Tensor x = dense(a), y = dense(b);
  Tensor o = out.dtype() == x.dtype() ? out : empty(out.shape(), x.dtype(), out.device());
  kernel(shape3d(g), x, y, o);
  if (!o.is(out)) copy_values(out, o);
}

Tensor bias_grad(const Tensor& g) {
  Dims d{0};
  for (int i = 2; i < g.dim(); ++i) d.push_back(i);
  return sum(g, d);
}

struct ConvInput;
struct ConvWeight;

// y = conv(x, w) + bias
struct Conv final : OpOf<Conv> {
  Geometry g;
  const char* name() const override { return "convolution"; }
  Specs infer(const Inputs& in) override { return {{g.y, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    Tensor bias = in.size() > 2 && in[2].defined() ? prepared(in[2]) : Tensor();
    bool empty_in = in[0].numel() == 0 || in[1].numel() == 0;
    run(
        g, in[0], in[1], out[0],
        [&](const ConvShape& s, auto* x, auto* w, auto* y) {
          using T = std::remove_cv_t<std::remove_pointer_t<decltype(y)>>;
          conv2d_forward<T>(s, x, w, bias.defined() ? bias.data<T>() : nullptr, y);
        },
        [&](const Conv3dShape& s, auto* x, auto* w, auto* y) {
          using T = std::remove_cv_t<std::remove_pointer_t<decltype(y)>>;
          conv3d_forward<T>(s, x, w, bias.defined() ? bias.data<T>() : nullptr, y);
        });
    if (empty_in && bias.defined() && out[0].numel())
      copy_values(out[0], per_channel(bias, out[0]));
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    Tensor bias = in.size() > 2 ? in[2] : Tensor();
    if (bias.defined())
      bias = contiguous(is_integral(bias.dtype()) ? to_dtype(bias, DType::F64) : bias);
    run_cuda(g, in[0], in[1], out[0], [&](const Conv3dShape& s, auto& x, auto& w, auto& y) {
      cuda::conv_forward(s, x, w, bias, y);
    });
    if ((in[0].numel() == 0 || in[1].numel() == 0) && bias.defined())
      copy_values(out[0], per_channel(bias, out[0]));
  }
  static Tensor per_channel(const Tensor& bias, const Tensor& like) {
    Dims s(like.dim(), 1);
    s[1] = bias.numel();
    return view(bias, s);
  }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& grads) override;
};

// dx from dy and w
struct ConvInput final : OpOf<ConvInput> {
  Geometry g;
  const char* name() const override { return "convolution_backward_input"; }
  Specs infer(const Inputs& in) override { return {{g.x, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    run(
        g, in[0], in[1], out[0],
        [](const ConvShape& s, auto* dy, auto* w, auto* dx) {
          conv2d_backward_input(s, dy, w, dx);
        },
        [](const Conv3dShape& s, auto* dy, auto* w, auto* dx) {
          conv3d_backward_input(s, dy, w, dx);
        });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    run_cuda(g, in[0], in[1], out[0], cuda::conv_backward_input);
  }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& grads) override;
};

// dw from x and dy
struct ConvWeight final : OpOf<ConvWeight> {
  Geometry g;
  const char* name() const override { return "convolution_backward_weight"; }
  Specs infer(const Inputs& in) override { return {{g.w, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    run(
        g, in[0], in[1], out[0],
        [](const ConvShape& s, auto* x, auto* dy, auto* dw) {
          conv2d_backward_weight(s, x, dy, dw);
        },
        [](const Conv3dShape& s, auto* x, auto* dy, auto* dw) {
          conv3d_backward_weight(s, x, dy, dw);
        });
  }
  void cuda(const Inputs& in, Outputs& out) override {
    run_cuda(g, in[0], in[1], out[0], cuda::conv_backward_weight);
  }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& grads) override;
};

template<class O>
Tensor made(const Geometry& g, const Tensor& a, const Tensor& b) {
  O op;
  op.g = g;
  return apply(std::move(op), {a, b});
}

Grads Conv::vjp(const Saved& s, const Grads& grads) {
  Grads r(3, Tensor());
  if (s.needs(0)) r[0] = made<ConvInput>(g, grads[0], s.input(1));
  if (s.needs(1)) r[1] = made<ConvWeight>(g, s.input(0), grads[0]);
  if (s.needs(2)) r[2] = bias_grad(grads[0]);
  return r;
}
Grads ConvInput::vjp(const Saved& s, const Grads& grads) {
  Grads r(2, Tensor());
  if (s.needs(0)) r[0] = made<Conv>(g, grads[0], s.input(1));
  if (s.needs(1)) r[1] = made<ConvWeight>(g, grads[0], s.input(0));
  return r;
}
Grads ConvWeight::vjp(const Saved& s, const Grads& grads) {
  Grads r(2, Tensor());
  if (s.needs(0)) r[0] = made<ConvInput>(g, s.input(1), grads[0]);
  if (s.needs(1)) r[1] = made<Conv>(g, s.input(0), grads[0]);
  return r;
}

// Complex convolution by real ones: (a + ib) * (c + id).
template<class F>
Tensor by_parts(const Tensor& x, const Tensor& w, F&& f) {
  Tensor a = real(x), b = imag(x), c = real(w), d = imag(w);
  return view_as_complex(stack({f(a, c) - f(b, d), f(a, d) + f(b, c)}, -1));
}

void check_conv(const char* op, int nd, const Tensor& x, const Tensor& w, const Tensor& bias,
                const Dims& stride, const Dims& pad, const Dims& dil, int64_t groups,
                bool transposed) {
  FB_CHECK(w.dim() == nd + 2, op, ": expected a ", nd + 2, "-dimensional weight, but got ",
           describe(w));
  FB_CHECK(x.dim() == nd + 2, "Expected ", nd + 1, "D (unbatched) or ", nd + 2,
           "D (batched) input to ", op, ", but got input of size: ", x.shape());
  FB_CHECK(groups > 0, "non-positive groups is not supported");
  for (int i = 0; i < nd; ++i) {
    FB_CHECK(stride[i] > 0, "non-positive stride is not supported");
    FB_CHECK(pad[i] >= 0, "negative padding is not supported");
    FB_CHECK(dil[i] > 0, "dilation should be greater than zero");
  }
  FB_CHECK(x.dtype() == w.dtype(), "Input type (", x.dtype(), ") and weight type (", w.dtype(),
           ") should be the same: convert the input with .to(", w.dtype(), ")");
  FB_CHECK(!bias.defined() || bias.dtype() == x.dtype(), "Input type (", x.dtype(),
           ") and bias type (", bias.defined() ? bias.dtype() : x.dtype(), ") should be the same");
  if (transposed) {
    FB_CHECK(x.shape()[1] == w.shape()[0], "Given transposed=1, weight of size ", w.shape(),
             ", expected input", x.shape(), " to have ", w.shape()[0], " channels, but got ",
             x.shape()[1], " channels instead");
    FB_CHECK(w.shape()[0] % groups == 0, op, ": ", w.shape()[0], " channels do not divide into ",
             groups, " groups");
  } else {
    FB_CHECK(w.shape()[0] % groups == 0 && w.shape()[0] >= groups, "Given groups=", groups,
             ", expected weight to be at least ", groups,
             " at dimension 0 and divisible, but got weight "
             "of size ",
             w.shape());
    FB_CHECK(x.shape()[1] == w.shape()[1] * groups, "Given groups=", groups, ", weight of size ",
             w.shape(), ", expected input", x.shape(), " to have ", w.shape()[1] * groups,
             " channels, but got ", x.shape()[1], " channels instead");
  }
  int64_t out_channels = transposed ? w.shape()[1] * groups : w.shape()[0];
  FB_CHECK(!bias.defined() || (bias.dim() == 1 && bias.shape()[0] == out_channels),
           "Given weight of size ", w.shape(), ", expected bias to be 1-dimensional with ",
           out_channels,
           " elements, but got "
           "bias of size ",
           bias.defined() ? bias.shape() : Dims{}, " instead");
}

Tensor unbatched(const Tensor& x, int nd, Tensor (*f)(const Tensor&, Args&, int), Args& a) {
  if (x.dim() != nd + 1) return f(x, a, nd);
  return squeeze(f(unsqueeze(x, 0), a, nd), {0});
}

Tensor convolve(const Tensor& x, const Tensor& w, const Tensor& bias, int nd, const Dims& stride,
                const Dims& pad, const Dims& dil, int64_t groups) {
  const char* names[] = {"", "conv1d", "conv2d", "conv3d"};
  check_conv(names[nd], nd, x, w, bias, stride, pad, dil, groups, false);
  if (is_complex(x.dtype())) {
    Tensor y = by_parts(x, w, [&](const Tensor& a, const Tensor& b) {
      return convolve(a, b, {}, nd, stride, pad, dil, groups);
    });
    Dims s(nd + 2, 1);
    s[1] = -1;
    return bias.defined() ? add(y, view(bias, s)) : y;
  }
  Conv op;
  op.g = {nd, x.shape(), w.shape(), {x.shape()[0], w.shape()[0]}, stride, pad, dil, groups};
  for (int i = 0; i < nd; ++i) {
    int64_t span = dil[i] * (w.shape()[2 + i] - 1) + 1, size = x.shape()[2 + i] + 2 * pad[i];
    FB_CHECK(size >= span, "Calculated padded input size per channel: (", size, ") at dimension ",
             i, ". Kernel size: (", span,
             "). Kernel size can't be greater than actual input size: the input "
             "is ",
             x.shape(), ", the weight ", w.shape());
    op.g.y.push_back((size - span) / stride[i] + 1);
  }
  return apply(std::move(op), {x, w, bias});
}

Tensor conv_args(const Tensor& x, Args& a, int nd) {
  return convolve(x, a.tensor(1), a.tensor(2), nd, a.dims(3), a.dims(4), a.dims(5), a.integer(6));
}
// padding='same' or 'valid'
Tensor conv_named(const Tensor& x0, Args& a, int nd) {
  const std::string& how = a.text(4);
  FB_CHECK(how == "same" || how == "valid", "Invalid padding string: '", how,
           "'; use 'same', 'valid' or numbers");
  Tensor x = x0, w = a.tensor(1);
  const Dims &stride = a.dims(3), &dil = a.dims(5);
  Dims pad(nd, 0);
  if (how == "same") {
    Dims extra(2 * nd, 0);
    bool uneven = false;
    for (int i = 0; i < nd; ++i) {
      FB_CHECK(stride[i] == 1, "padding='same' is not supported for strided convolutions");
      int64_t total = dil[i] * (w.size(2 + i) - 1);
      pad[i] = total / 2;
      if (total % 2) {
        uneven = true;
        extra[2 * (nd - 1 - i) + 1] = 1;
      }
    }
    if (uneven) x = pad_constant(x, extra, Scalar(0));
  }
  return convolve(x, w, a.tensor(2), nd, stride, pad, dil, a.integer(6));
}

// (input, weight, bias, stride, padding, output_padding, groups, dilation)
Tensor transposed(const Tensor& x, Args& a, int nd) {
  const char* names[] = {"", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d"};
  Tensor w = a.tensor(1), bias = a.tensor(2);
  const Dims &stride = a.dims(3), &pad = a.dims(4), &extra = a.dims(5), &dil = a.dims(7);
  int64_t groups = a.integer(6);
  check_conv(names[nd], nd, x, w, bias, stride, pad, dil, groups, true);
  Dims out{x.shape()[0], w.shape()[1] * groups};
  for (int i = 0; i < nd; ++i) {
    FB_CHECK(extra[i] >= 0 && (extra[i] < stride[i] || extra[i] < dil[i]),
             "output padding must be "
             "smaller than either stride or dilation, but got output_padding: ",
             extra, " stride: ", stride, " dilation: ", dil);
    int64_t n = (x.shape()[2 + i] - 1) * stride[i] - 2 * pad[i] + dil[i] * (w.shape()[2 + i] - 1) +
                extra[i] + 1;
    FB_CHECK(n > 0, "Given input size per channel: ", x.shape(),
             ". Calculated output size per channel is "
             "too small: ",
             n, " at dimension ", i);
    out.push_back(n);
  }
  Geometry g{nd, out, w.shape(), x.shape(), stride, pad, dil, groups};
  Tensor y;
  if (is_complex(x.dtype()))
    y = by_parts(x, w, [&](const Tensor& p, const Tensor& q) { return made<ConvInput>(g, p, q); });
  else
    y = made<ConvInput>(g, x, w);
  if (!bias.defined()) return y;
  Dims s(nd + 2, 1);
  s[1] = -1;
  return add(y, view(bias, s));
}

template<int nd>
Value call_conv(Args& a) {
  return unbatched(a.tensor(0), nd, conv_args, a);
}
template<int nd>
Value call_named(Args& a) {
  return unbatched(a.tensor(0), nd, conv_named, a);
}
template<int nd>
Value call_transposed(Args& a) {
  return unbatched(a.tensor(0), nd, transposed, a);
}

#define FB_CONV(N)                                                                              \
  {"conv" #N "d(Tensor input, Tensor weight, Tensor? bias=None, int[" #N "] stride=1, int[" #N  \
   "] padding=0, int[" #N "] dilation=1, int groups=1) -> Tensor",                              \
   kFunction, call_conv<N>,                                                                     \
   "Cross-correlation of input (N, C, ...) with weight (O, C / groups, ...)."},                 \
      {"conv" #N "d(Tensor input, Tensor weight, Tensor? bias, int[" #N                         \
       "] stride, str padding, int[" #N "] dilation=1, int groups=1) -> Tensor",                \
       kFunction, call_named<N>,                                                                \
       "The same with padding 'valid' (none) or 'same' (output as large as the input)."},       \
      {"conv" #N "d(Tensor input, Tensor weight, Tensor? bias=None, int[" #N                    \
       "] stride=1, *, str padding"                                                             \
       ", int[" #N "] dilation=1, int groups=1) -> Tensor",                                     \
       kFunction, call_named<N>,                                                                \
       "The same with padding 'valid' (none) or 'same' (output as large as the input)."},       \
      {"conv_transpose" #N "d(Tensor input, Tensor weight, Tensor? bias=None, int[" #N          \
       "] stride=1, int[" #N "] padding=0, int[" #N "] output_padding=0, int groups=1, int[" #N \
       "] dilation=1) -> Tensor",                                                               \
       kFunction, call_transposed<N>, "The adjoint of the convolution with the same arguments."}

Register convolutions({FB_CONV(1), FB_CONV(2), FB_CONV(3)});

} // namespace
} // namespace flambeau
