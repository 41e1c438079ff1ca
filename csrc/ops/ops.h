// The vocabulary: every op as a C++ function over tensors, for bindings and derivatives.
#pragma once
#include <optional>

#include "../core/tensor.h"

namespace flambeau {

using OptDType = std::optional<DType>;
using OptInt = std::optional<int64_t>;

struct Scalar { // a Python number
  enum Kind : uint8_t { Bool, Int, Float, Complex } kind = Int;
  int64_t i = 0;
  double f = 0, im = 0;
  Scalar() = default;
  Scalar(bool v) : kind(Bool), i(v), f(v) {}
  Scalar(int v) : Scalar(int64_t(v)) {}
  Scalar(int64_t v) : kind(Int), i(v), f(double(v)) {}
  Scalar(double v) : kind(Float), i(0), f(v) {}
  Scalar(double re, double im) : kind(Complex), f(re), im(im) {}
  bool is_integral() const { return kind <= Int; }
  double to_double() const { return f; }
  int64_t to_int() const { return is_integral() ? i : int64_t(f); }
  DType dtype() const {
    return kind == Bool    ? DType::Bool
           : kind == Int   ? DType::I64
           : kind == Float ? default_dtype()
                           : default_complex();
  }
};
std::string to_str(const Scalar& s);

// create.cpp
Tensor full(const Dims& shape, Scalar value, DType dtype, Device device = {});
Tensor zeros(const Dims& shape, DType dtype, Device device = {});
Tensor full_like(const Tensor& t, Scalar value);
Tensor zeros_like(const Tensor& t);
Tensor ones_like(const Tensor& t);
Tensor empty_like(const Tensor& t, OptDType dtype = {}); // keeps dense strides
Dims result_strides_of(const Tensor& t);                 // dense, in the order of t's strides
Tensor scalar_tensor(Scalar v, DType dtype);
Tensor weak_scalar(Scalar v); // a Python number as an operand
Tensor arange(Scalar start, Scalar end, Scalar step, DType dtype, Device device = {});
Tensor& fill_(Tensor& t, Scalar v); // without autograd
Scalar item(const Tensor& t);       // of a one-element tensor
bool has_nan(const Tensor& t);

// copy.cpp
// Casts, broadcasts, between devices too; no autograd. non_blocking: see cuda::copy.
void copy_values(const Tensor& dst, const Tensor& src, bool non_blocking = false);
Tensor copy_(const Tensor& dst, const Tensor& src, bool non_blocking = false); // with autograd
Tensor move_to(const Tensor& t, Device device, DType dtype, bool non_blocking = false);
Tensor on_host(const Tensor& t); // itself, or a copy in the host's memory; no autograd
Tensor clone(const Tensor& t);   // keeps dense strides
Tensor contiguous(const Tensor& t);
Tensor restride(const Tensor& t, const Dims& strides); // the same values at given strides
Tensor to_dtype(const Tensor& t, DType dtype);
void accumulate_grad(const Tensor& leaf, const Tensor& grad);
Tensor restride_copy(const Tensor& t, const Dims& strides); // always a copy
void add_inplace(const Tensor& t, const Tensor& other);     // t += other, without autograd

// views.cpp
Tensor as_strided(const Tensor& t, const Dims& shape, const Dims& strides, int64_t offset);
Tensor as_strided_scatter(const Tensor& base, const Tensor& src, const Dims& shape,
                          const Dims& strides, int64_t offset);
Tensor view(const Tensor& t, const Dims& shape); // -1 allowed; raises when not a view
Tensor reshape(const Tensor& t, const Dims& shape);
Tensor view_dtype(const Tensor& t, DType dtype);
Tensor permute(const Tensor& t, const Dims& dims);
Tensor transpose(const Tensor& t, int64_t a, int64_t b);
Tensor t(const Tensor& x);
Tensor expand(const Tensor& t, const Dims& shape);
Tensor unsqueeze(const Tensor& t, int64_t dim);
Tensor squeeze(const Tensor& t);
Tensor squeeze(const Tensor& t, const Dims& dims);
Tensor select(const Tensor& t, int64_t dim, int64_t index);
Tensor slice(const Tensor& t, int64_t dim, OptInt start, OptInt end, int64_t step = 1);
Tensor narrow(const Tensor& t, int64_t dim, int64_t start, int64_t length);
Tensor flatten(const Tensor& t, int64_t start = 0, int64_t end = -1);
Tensor diagonal(const Tensor& t, int64_t offset, int64_t dim1, int64_t dim2);
Tensor unfold(const Tensor& t, int64_t dim, int64_t size, int64_t step);
Tensor movedim(const Tensor& t, const Dims& from, const Dims& to);
Tensors split(const Tensor& t, const Dims& sizes, int64_t dim);
Tensors split(const Tensor& t, int64_t size, int64_t dim);
Tensors chunk(const Tensor& t, int64_t chunks, int64_t dim);
Tensors unbind(const Tensor& t, int64_t dim);
Tensor real(const Tensor& t);
Tensor imag(const Tensor& t);
Tensor view_as_real(const Tensor& t);
Tensor view_as_complex(const Tensor& t);
Tensor sum_to(const Tensor& t, const Dims& shape); // inverse of broadcasting
bool can_sum_to(const Dims& from, const Dims& to);

// joining.cpp
Tensor cat(const Tensors& ts, int64_t dim);
Tensor stack(const Tensors& ts, int64_t dim);
Tensor repeat(const Tensor& t, const Dims& times);
Tensor flip(const Tensor& t, const Dims& dims);
Tensor roll(const Tensor& t, const Dims& shifts, const Dims& dims);
Tensor tril(const Tensor& t, int64_t diagonal);
Tensor triu(const Tensor& t, int64_t diagonal);
Tensor pad_constant(const Tensor& t, const Dims& pad, Scalar value);

// Elementwise families: declared from their rows.
#include "elementwise_names.inc"
Tensor add(const Tensor& a, const Tensor& b, Scalar alpha);
Tensor sub(const Tensor& a, const Tensor& b, Scalar alpha);
Tensor div(const Tensor& a, const Tensor& b, const char* rounding_mode);
Tensor operator+(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a, const Tensor& b);
Tensor operator*(const Tensor& a, const Tensor& b);
Tensor operator/(const Tensor& a, const Tensor& b);
Tensor operator-(const Tensor& a);
Tensor operator+(const Tensor& a, double b);
Tensor operator-(const Tensor& a, double b);
Tensor operator*(const Tensor& a, double b);
Tensor operator/(const Tensor& a, double b);
Tensor operator+(double a, const Tensor& b);
Tensor operator-(double a, const Tensor& b);
Tensor operator*(double a, const Tensor& b);
Tensor operator/(double a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor clamp(const Tensor& x, const Tensor& min, const Tensor& max); // either may be undefined
Tensor conj(const Tensor& t);                                        // the tensor itself when real
DType result_type(const Tensor* const* in, int n);

// reduce.cpp; empty dims: all of them
Tensor sum(const Tensor& t, const Dims& dims = {}, bool keepdim = false, OptDType dtype = {});
Tensor mean(const Tensor& t, const Dims& dims = {}, bool keepdim = false, OptDType dtype = {});
Tensor prod(const Tensor& t, const Dims& dims = {}, bool keepdim = false, OptDType dtype = {});
Tensor amax(const Tensor& t, const Dims& dims = {}, bool keepdim = false);
Tensor amin(const Tensor& t, const Dims& dims = {}, bool keepdim = false);
Tensor any(const Tensor& t, const Dims& dims = {}, bool keepdim = false);
Tensor all(const Tensor& t, const Dims& dims = {}, bool keepdim = false);

// matmul.cpp
Tensor mm(const Tensor& a, const Tensor& b);
Tensor bmm(const Tensor& a, const Tensor& b);
Tensor matmul(const Tensor& a, const Tensor& b);
Tensor linear(const Tensor& x, const Tensor& w, const Tensor& bias);

// index.cpp
Tensor gather(const Tensor& t, int64_t dim, const Tensor& index);
Tensor scatter_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src);
Tensor index_select(const Tensor& t, int64_t dim, const Tensor& index);
Tensor index_add(const Tensor& t, int64_t dim, const Tensor& index, const Tensor& src,
                 Scalar alpha = 1);
Tensor masked_fill(const Tensor& t, const Tensor& mask, Scalar value);

} // namespace flambeau
