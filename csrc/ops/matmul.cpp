// Matrix products: mm, bmm, mv, dot, matmul, linear, addmm and their kin.
#include <algorithm>

#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/gemm.h"
#include "../cpu/gemm_bf16.h"
#include "../cuda/gemm.h"
#include "matrix.h"
#include "ops.h"

namespace flambeau {
namespace {

Tensor widened(const Tensor& t) { // halves compute in float32, bool in uint8
  DType d = is_half(t.dtype()) ? DType::F32 : t.dtype() == DType::Bool ? DType::U8 : t.dtype();
  return d == t.dtype() ? t : to_dtype(t, d);
}

// out (contiguous) = a @ b (+ bias broadcast over rows), over equal batches or stride-0 ones.
void multiply(const Tensor& a0, const Tensor& b0, const Tensor& out, int64_t batch, int64_t sa,
              int64_t sb, const Tensor& bias = {}) {
  NoGrad off;
  const bool in_bf16 = a0.dtype() == DType::BF16 && b0.dtype() == DType::BF16 &&
                       bf16_product_pays(a0.size(-2), b0.size(-1), a0.size(-1));
  Tensor a = in_bf16 ? a0 : widened(a0), b = in_bf16 ? b0 : widened(b0);
  Matrix ma, mb;
  if (!as_matrix(a, ma)) {
    a = contiguous(a);
    as_matrix(a, ma);
    sa = a.dim() > 2 ? a.size(-1) * a.size(-2) : 0;
  } else if (!a.is(a0)) {
    sa = a.dim() > 2 && sa ? a.strides()[0] : sa;
  }
  if (!as_matrix(b, mb)) {
    b = contiguous(b);
    as_matrix(b, mb);
    sb = b.dim() > 2 ? b.size(-1) * b.size(-2) : 0;
  } else if (!b.is(b0)) {
    sb = b.dim() > 2 && sb ? b.strides()[0] : sb;
  }
  int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  bool direct = out.dtype() == a.dtype();
  Tensor to = direct ? out : empty(out.shape(), a.dtype());
  Tensor row = bias;
  if (row.defined() &&
      (row.dtype() != a.dtype() || row.dim() != 1 || row.size(0) != n || row.strides()[0] != 1))
    row = contiguous(to_dtype(expand(row, {n}), a.dtype()));
  auto run = [&](auto tag) {
    using T = typename decltype(tag)::type;
    if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, uint16_t> ||
                  std::is_same_v<T, uint32_t> || std::is_same_v<T, uint64_t>) {
      fail(ErrorKind::Runtime, "\"addmm_impl_cpu_\" not implemented for '", a.dtype(), "'");
    } else {
      const T* added = row.defined() ? row.data<T>() : nullptr;
      if (batch == 1)
        gemm<T>(ma.trans, mb.trans, m, n, k, T(1), a.data<T>(), ma.ld, b.data<T>(), mb.ld,
                T(added != nullptr), to.data<T>(), std::max<int64_t>(n, 1), added, 0);
      else
        gemm_batched<T>(batch, ma.trans, mb.trans, m, n, k, T(1), a.data<T>(), ma.ld, sa,
                        b.data<T>(), mb.ld, sb, T(0), to.data<T>(), std::max<int64_t>(n, 1), m * n);
    }
  };
  if (in_bf16)
    run(Tag<bf16>{});
  else
    dispatch_compute(a.dtype(), "matmul", run);
  if (!direct) copy_values(out, to);
}

DType common(const Tensor& a, const Tensor& b, const char* op) {
  FB_CHECK(a.dtype() == b.dtype(), op,
           ": expected m1 and m2 to have the same dtype, but got: ", a.dtype(), " != ", b.dtype(),
           ". Convert one: the second with .to(", a.dtype(), ")");
  return a.dtype();
}

// The adjoint of a transposed operand, conjugated when complex.
Tensor h(const Tensor& t) { return conj(transpose(t, -2, -1)); }

struct MM final : OpOf<MM> {
  const char* name() const override { return "mm"; }
  Specs infer(const Inputs& in) override {
    return {{{in[0].shape()[0], in[1].shape()[1]}, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override { multiply(in[0], in[1], out[0], 1, 0, 0); }
  void cuda(const Inputs& in, Outputs& out) override { cuda::multiply(in[0], in[1], out[0]); }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(2, Tensor());
    if (s.needs(0)) r[0] = mm(g[0], h(s.input(1)));
    if (s.needs(1)) r[1] = mm(h(s.input(0)), g[0]);
    return r;
  }
};

struct BMM final : OpOf<BMM> {
  const char* name() const override { return "bmm"; }
  Specs infer(const Inputs& in) override {
    return {{{in[0].shape()[0], in[0].shape()[1], in[1].shape()[2]}, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    multiply(in[0], in[1], out[0], in[0].shape()[0], in[0].strides()[0], in[1].strides()[0]);
  }
  void cuda(const Inputs& in, Outputs& out) override { cuda::multiply(in[0], in[1], out[0]); }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(2, Tensor());
    if (s.needs(0)) r[0] = bmm(g[0], h(s.input(1)));
    if (s.needs(1)) r[1] = bmm(h(s.input(0)), g[0]);
    return r;
  }
};

struct Dot final : OpOf<Dot> {
  const char* name() const override { return "dot"; }
  Specs infer(const Inputs& in) override { return {{{}, in[0].dtype()}}; }
  void cpu(const Inputs& in, Outputs& out) override {
    multiply(as_row(in[0]), as_column(in[1]), as_column(out[0]), 1, 0, 0);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    cuda::multiply(as_row(in[0]), as_column(in[1]), as_column(out[0]));
  }
  static int64_t step(const Tensor& t) { return t.dim() ? t.strides()[0] : 1; }
  static Tensor as_row(const Tensor& t) {
    return alias_as(t, {1, t.numel()}, {1, step(t)}, t.offset());
  }
  static Tensor as_column(const Tensor& t) {
    return alias_as(t, {t.numel(), 1}, {step(t), 1}, t.offset());
  }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(2, Tensor());
    if (s.needs(0)) r[0] = mul(g[0], conj(s.input(1)));
    if (s.needs(1)) r[1] = mul(g[0], conj(s.input(0)));
    return r;
  }
};

// x @ w.T + bias with x of any leading dimensions.
struct Linear final : OpOf<Linear> {
  const char* name() const override { return "addmm"; }
  Specs infer(const Inputs& in) override {
    Dims shape = in[0].shape();
    shape[shape.size() - 1] = in[1].shape()[0];
    return {{shape, in[0].dtype()}};
  }
  void cpu(const Inputs& in, Outputs& out) override {
    NoGrad off;
    multiply(rows(in), t(in[1]), as_rows(in, out[0]), 1, 0, 0, in[2]);
  }
  void cuda(const Inputs& in, Outputs& out) override {
    NoGrad off;
    cuda::multiply(rows(in), t(in[1]), as_rows(in, out[0]), in[2]);
  }
  // The input and the output as matrices.
  static Tensor rows(const Inputs& in) {
    int64_t features = in[1].shape()[1];
    return reshape(in[0], {features ? -1 : in[0].shape()[0], features});
  }
  static Tensor as_rows(const Inputs& in, const Tensor& out) {
    int64_t features = in[1].shape()[0];
    int64_t count = in[1].shape()[1] ? in[0].numel() / in[1].shape()[1] : in[0].shape()[0];
    return alias_as(out, {count, features}, {features, 1}, out.offset());
  }
  Saves saves(const Inputs& in) const override {
    return {(in[1].requires_grad() ? 1u : 0u) | (in[0].requires_grad() ? 2u : 0u), 0};
  }
  Grads vjp(const Saved& s, const Grads& g) override {
    Grads r(3, Tensor());
    if (s.needs(0)) r[0] = matmul(g[0], conj(s.input(1)));
    int64_t count = 1;
    for (int i = 0; i + 1 < g[0].dim(); ++i) count *= g[0].shape()[i];
    Tensor flat = s.needs(1) || s.needs(2) ? reshape(g[0], {count, g[0].size(-1)}) : Tensor();
    if (s.needs(1)) {
      Tensor x = s.input(0);
      r[1] = mm(t(flat), conj(reshape(x, {count, x.size(-1)})));
    }
    if (s.needs(2)) r[2] = sum(flat, {0});
    return r;
  }
};

} // namespace

Tensor mm(const Tensor& a, const Tensor& b) {
  FB_CHECK(a.dim() == 2 && b.dim() == 2, "mm: both arguments must be matrices (2-D), but they are ",
           a.dim(), "D and ", b.dim(), "D: ", describe(a), " and ", describe(b));
  FB_CHECK(a.shape()[1] == b.shape()[0], "mat1 and mat2 shapes cannot be multiplied (",
           a.shape()[0], "x", a.shape()[1], " and ", b.shape()[0], "x", b.shape()[1],
           "): the columns of ", a.shape(), " must be as many as the rows of ", b.shape());
  common(a, b, "mm");
  return apply(MM{}, {a, b});
}

Tensor bmm(const Tensor& a, const Tensor& b) {
  FB_CHECK(a.dim() == 3 && b.dim() == 3, "batch1 must be a 3D tensor: bmm got ", describe(a),
           " and ", describe(b));
  FB_CHECK(a.shape()[0] == b.shape()[0] && a.shape()[2] == b.shape()[1],
           "Expected size for first two dimensions of batch2 tensor to be: [", a.shape()[0], ", ",
           a.shape()[2], "] but got: [", b.shape()[0], ", ", b.shape()[1], "].");
  common(a, b, "bmm");
  return apply(BMM{}, {a, b});
}

static Tensor dot(const Tensor& a, const Tensor& b) {
  FB_CHECK(a.dim() == 1 && b.dim() == 1, "1D tensors expected, but got ", a.dim(), "D and ",
           b.dim(), "D tensors");
  FB_CHECK(a.shape() == b.shape(), "inconsistent tensor size, expected tensor [", a.shape()[0],
           "] and src [", b.shape()[0], "] to have the same number of elements, but got ",
           a.numel(), " and ", b.numel(), " elements respectively");
  FB_CHECK(a.dtype() == b.dtype(), "dot : expected both vectors to have same dtype, but found ",
           a.dtype(), " and ", b.dtype());
  return apply(Dot{}, {a, b});
}
static Tensor mv(const Tensor& a, const Tensor& v) {
  FB_CHECK(a.dim() == 2 && v.dim() == 1, "vector + matrix @ vector expected, got ", a.dim(), "D @ ",
           v.dim(), "D: mv takes a matrix and a vector");
  FB_CHECK(a.shape()[1] == v.shape()[0], "size mismatch, got input (", a.shape()[0], "), mat (",
           a.shape()[0], "x", a.shape()[1], "), vec (", v.shape()[0], ")");
  return squeeze(mm(a, unsqueeze(v, 1)), {1});
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  FB_CHECK(a.dim() > 0 && b.dim() > 0,
           "both arguments to matmul need to be at least 1D, but they are ", a.dim(), "D and ",
           b.dim(), "D");
  if (a.dim() == 1 && b.dim() == 1) return dot(a, b);
  if (a.dim() == 2 && b.dim() == 1) return mv(a, b);
  if (a.dim() == 2 && b.dim() == 2) return mm(a, b);
  if (a.dim() == 1) return squeeze(matmul(unsqueeze(a, 0), b), {-2});
  if (b.dim() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), {-1});
  FB_CHECK(a.size(-1) == b.size(-2),
           "mat1 and mat2 shapes cannot be multiplied: the last dimension of ", describe(a), " (",
           a.size(-1), ") must equal the second last of ", describe(b), " (", b.size(-2), ")");
  if (b.dim() == 2) { // fold the leading dimensions into rows
    Dims shape = a.shape();
    shape[shape.size() - 1] = b.shape()[1];
    int64_t rows = a.shape()[a.size(-1) ? 0 : 0];
    rows = 1;
    for (int i = 0; i + 1 < a.dim(); ++i) rows *= a.shape()[i];
    return view(mm(reshape(a, {rows, a.size(-1)}), b), shape);
  }
  Dims ab(a.shape().begin(), a.shape().end() - 2), bb(b.shape().begin(), b.shape().end() - 2);
  Dims batch = broadcast_shapes(ab, bb, "matmul");
  int64_t n = numel_of(batch);
  Dims as = batch, bs = batch, shape = batch;
  as.push_back(a.size(-2));
  as.push_back(a.size(-1));
  bs.push_back(b.size(-2));
  bs.push_back(b.size(-1));
  shape.push_back(a.size(-2));
  shape.push_back(b.size(-1));
  Tensor x = reshape(expand(a, as), {n, a.size(-2), a.size(-1)});
  Tensor y = reshape(expand(b, bs), {n, b.size(-2), b.size(-1)});
  return view(bmm(x, y), shape);
}

Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias) {
  FB_CHECK(w.dim() == 2 || w.dim() == 1, "linear: weight must be 1-d or 2-d, but it is ",
           describe(w));
  if (w.dim() == 1 || x.dim() == 0) {
    Tensor y = matmul(x, w.dim() == 1 ? w : t(w));
    return bias.defined() ? add(y, bias) : y;
  }
  FB_CHECK(x.size(-1) == w.shape()[1], "mat1 and mat2 shapes cannot be multiplied (",
           x.size(-1) ? x.numel() / x.size(-1) : 0, "x", x.size(-1), " and ", w.shape()[1], "x",
           w.shape()[0], "): linear got an input of shape ", x.shape(),
           " whose last size is not the "
           "weight's in_features ",
           w.shape()[1]);
  FB_CHECK(x.dtype() == w.dtype() && (!bias.defined() || bias.dtype() == w.dtype()),
           "mat1 and mat2 must have the same dtype, but got ", x.dtype(), " and ", w.dtype(),
           bias.defined() && bias.dtype() != w.dtype() ? " (bias: " + to_str(bias.dtype()) + ")"
                                                       : "",
           ": convert the input with .to(", w.dtype(), ")");
  FB_CHECK(!bias.defined() ||
               (bias.dim() <= 1 && (bias.numel() == w.shape()[0] || bias.numel() == 1)),
           "linear: bias of shape ", bias.defined() ? bias.shape() : Dims{}, " does not fit ",
           w.shape()[0], " output features");
  return apply(Linear{}, {x, w, bias});
}

namespace {

// beta * input + alpha * product, sparing the multiplications by one.
Tensor plus(const Tensor& input, const Tensor& product, const Scalar& beta, const Scalar& alpha) {
  Tensor p = alpha.f == 1 && alpha.im == 0 ? product : mul(product, weak_scalar(alpha));
  if (beta.f == 0 && beta.im == 0)
    return expand(p, broadcast_shapes(p.shape(), input.shape(), "add"));
  Tensor b = beta.f == 1 && beta.im == 0 ? input : mul(input, weak_scalar(beta));
  FB_CHECK(can_sum_to(p.shape(), b.shape()),
           "The expanded size of the tensor must match: input of "
           "shape ",
           b.shape(), " does not broadcast to the product's shape ", p.shape());
  return to_dtype(add(p, b), input.dtype()); // float factors do not change an integer result
}
Tensor addmm(Args& a) {
  const Tensor &left = a.tensor(1), &right = a.tensor(2);
  auto is_one = [](const Scalar& s) { return s.f == 1 && s.im == 0; };
  Tensor x = a.tensor(0);
  if (x.dim() == 1 && left.dim() == 2 && right.dim() == 2 && left.shape()[1] == right.shape()[0] &&
      x.shape()[0] == right.shape()[1] && x.dtype() == left.dtype() && x.dtype() == right.dtype() &&
      is_one(a.scalar(3)) && is_one(a.scalar(4)))
    return apply(Linear{}, {left, t(right), x}); // the row is added as the product is stored
  Tensor p = mm(left, right);
  common(x, p, "addmm");
  return plus(x, p, a.scalar(3), a.scalar(4));
}
Tensor outer(const Tensor& a, const Tensor& b) {
  FB_CHECK(a.dim() == 1 && b.dim() == 1, "outer: Expected 1-D argument self and vec2, but got ",
           a.dim(), "-D and ", b.dim(), "-D");
  return mul(unsqueeze(a, 1), b);
}
#define FB_SCALES "*, Scalar beta=1, Scalar alpha=1"

Register products({
    {"mm(Tensor input, Tensor mat2) -> Tensor", kFMO,
     [](Args& a) -> Value { return mm(a.tensor(0), a.tensor(1)); }, "Product of two matrices."},
    {"bmm(Tensor input, Tensor mat2) -> Tensor", kFMO,
     [](Args& a) -> Value { return bmm(a.tensor(0), a.tensor(1)); },
     "Products of two batches of matrices."},
    {"mv(Tensor input, Tensor vec) -> Tensor", kFMO,
     [](Args& a) -> Value { return mv(a.tensor(0), a.tensor(1)); }, "Matrix times vector."},
    {"dot(Tensor input, Tensor tensor) -> Tensor", kFMO,
     [](Args& a) -> Value { return dot(a.tensor(0), a.tensor(1)); },
     "Sum of products of two vectors."},
    {"matmul(Tensor input, Tensor other) -> Tensor", kFMO,
     [](Args& a) -> Value { return matmul(a.tensor(0), a.tensor(1)); },
     "Matrix product, broadcast over leading dimensions."},
    {"linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor", kFO,
     [](Args& a) -> Value { return linear(a.tensor(0), a.tensor(1), a.tensor(2)); },
     "input @ weight.T + bias; input (*, in_features), weight (out_features, in_features)."},
    {"outer(Tensor input, Tensor vec2) -> Tensor", kFMO,
     [](Args& a) -> Value { return outer(a.tensor(0), a.tensor(1)); },
     "All products of the elements of two vectors."},
    {"ger(Tensor input, Tensor vec2) -> Tensor", kFMO,
     [](Args& a) -> Value { return outer(a.tensor(0), a.tensor(1)); },
     "All products of the elements of two vectors."},
    {"addmm(Tensor input, Tensor mat1, Tensor mat2, " FB_SCALES ") -> Tensor", kFMIO,
     [](Args& a) -> Value { return addmm(a); }, "beta * input + alpha * mat1 @ mat2."},
    {"addmv(Tensor input, Tensor mat, Tensor vec, " FB_SCALES ") -> Tensor", kFMIO,
     [](Args& a) -> Value {
       return plus(a.tensor(0), mv(a.tensor(1), a.tensor(2)), a.scalar(3), a.scalar(4));
     },
     "beta * input + alpha * mat @ vec."},
    {"addr(Tensor input, Tensor vec1, Tensor vec2, " FB_SCALES ") -> Tensor", kFMIO,
     [](Args& a) -> Value {
       return plus(a.tensor(0), outer(a.tensor(1), a.tensor(2)), a.scalar(3), a.scalar(4));
     },
     "beta * input + alpha * outer(vec1, vec2)."},
    {"baddbmm(Tensor input, Tensor batch1, Tensor batch2, " FB_SCALES ") -> Tensor", kFMIO,
     [](Args& a) -> Value {
       return plus(a.tensor(0), bmm(a.tensor(1), a.tensor(2)), a.scalar(3), a.scalar(4));
     },
     "beta * input + alpha * bmm(batch1, batch2)."},
});

} // namespace
} // namespace flambeau
