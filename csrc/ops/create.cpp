// Making tensors: empty, full, ranges, identity, and values taken out of them.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "../autograd/node.h"
#include "../core/registry.h"
#include "../cpu/loops.h"
#include "../cuda/elementwise.h"
#include "../cuda/launch.h"
#include "ops.h"

namespace flambeau {

namespace {
// The bytes of a number as one element of dtype t.
struct Element {
  alignas(16) char bytes[16];
};
Element encode(const Scalar& v, DType t) {
  Element e;
  if (t == DType::F32 && v.kind != Scalar::Complex) {
    float x = v.is_integral() ? float(v.i) : float(v.f);
    std::memcpy(e.bytes, &x, sizeof x);
  } else if (v.kind == Scalar::Complex) {
    c128 z(v.f, v.im);
    FB_CHECK(is_complex(t) || v.im == 0, "value cannot be converted to type ", t,
             " without overflow: it has an imaginary part");
    cast_kernel(DType::C128, t)(reinterpret_cast<char*>(&z), 16, e.bytes, 16, 1);
  } else if (v.is_integral()) {
    cast_kernel(DType::I64, t)(reinterpret_cast<const char*>(&v.i), 8, e.bytes, 16, 1);
  } else {
    cast_kernel(DType::F64, t)(reinterpret_cast<const char*>(&v.f), 8, e.bytes, 16, 1);
  }
  return e;
}
} // namespace

Tensor& fill_(Tensor& t, Scalar v) {
  if (t.numel() == 0 || t.is_meta()) return t;
  Element e = encode(v, t.dtype());
  if (t.is_cuda()) {
    cuda::fill(t, e.bytes);
    return t;
  }
  dispatch_size(t.itemsize(), [&](auto tag) {
    using T = typename decltype(tag)::type;
    T x;
    std::memcpy(&x, e.bytes, sizeof x);
    if (t.is_contiguous() && t.numel() <= 4096) { // the short way for small tensors
      std::fill_n(t.data<T>(), t.numel(), x);
      return;
    }
    StridedLoop loop;
    loop.add(t.bytes(), expanded_bytes(t, t.shape()));
    loop.prepare(t.shape());
    int64_t step = loop.shape.empty() ? 0 : loop.strides[0][0];
    loop.run(65536, [&](char* const* p, int64_t n) {
      const T v = x; // what a reference leads to could change with every write
      if (step == int64_t(sizeof(T)))
        std::fill_n(reinterpret_cast<T*>(p[0]), n, v);
      else
        for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(p[0] + i * step) = v;
    });
  });
  return t;
}

Tensor full(const Dims& shape, Scalar value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  return fill_(t, value);
}
Tensor zeros(const Dims& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  if (t.device().is_cpu())
    parallel_for(t.numel() * t.itemsize(), 1 << 20,
                 [p = t.bytes()](int64_t b, int64_t e) { std::memset(p + b, 0, size_t(e - b)); });
  else
    fill_(t, Scalar(int64_t(0)));
  return t;
}
Tensor empty_like(const Tensor& t, OptDType dtype) {
  DType d = dtype ? *dtype : t.dtype();
  if (t.is_contiguous()) return empty(t.shape(), d, t.device());
  if (is_dense(t.shape(), t.strides())) return empty_strided(t.shape(), t.strides(), d, t.device());
  return empty_strided(t.shape(), result_strides_of(t), d, t.device());
}
Tensor full_like(const Tensor& t, Scalar value) {
  Tensor r = empty_like(t);
  return fill_(r, value);
}
Tensor zeros_like(const Tensor& t) { return full_like(t, Scalar(int64_t(0))); }
Tensor ones_like(const Tensor& t) { return full_like(t, Scalar(int64_t(1))); }
Tensor scalar_tensor(Scalar v, DType dtype) { return full({}, v, dtype); }

Tensor weak_scalar(Scalar v) {
  DType t = v.kind == Scalar::Bool    ? DType::Bool
            : v.kind == Scalar::Int   ? DType::I64
            : v.kind == Scalar::Float ? DType::F64
                                      : DType::C128;
  Tensor r = empty({}, t);
  if (v.kind == Scalar::Float)
    *r.data<double>() = v.f;
  else if (v.kind == Scalar::Int)
    *r.data<int64_t>() = v.i;
  else if (v.kind == Scalar::Bool)
    *r.data<bool>() = v.i != 0;
  else
    *r.data<c128>() = {v.f, v.im};
  r.impl()->weak = true;
  return r;
}

Scalar item(const Tensor& t) {
  FB_CHECK(t.numel() == 1, "a Tensor with ", t.numel(),
           " elements cannot be converted to Scalar: it has shape ", t.shape());
  FB_CHECK(!t.is_meta(), "Tensor.item() cannot be called on meta tensors: they hold no data");
  if (t.is_cuda()) {
    Tensor here = empty({}, t.dtype());
    cuda::copy_to_host(here.bytes(), t.device().index, cuda::address(t), size_t(t.itemsize()));
    return item(here);
  }
  if (t.dtype() == DType::F32) return Scalar(double(*t.data<float>()));
  if (t.dtype() == DType::I64) return Scalar(*t.data<int64_t>());
  if (t.dtype() == DType::Bool) return Scalar(*t.data<uint8_t>() != 0);
  if (is_complex(t.dtype())) {
    c128 z;
    cast_kernel(t.dtype(), DType::C128)(t.bytes(), 0, reinterpret_cast<char*>(&z), 16, 1);
    return Scalar(z.real(), z.imag());
  }
  if (is_integral(t.dtype())) {
    int64_t v;
    cast_kernel(t.dtype(), DType::I64)(t.bytes(), 0, reinterpret_cast<char*>(&v), 8, 1);
    return Scalar(v);
  }
  double v;
  cast_kernel(t.dtype(), DType::F64)(t.bytes(), 0, reinterpret_cast<char*>(&v), 8, 1);
  return Scalar(v);
}

bool has_nan(const Tensor& t) {
  NoGrad off;
  return t.numel() && item(any(isnan(t))).i != 0;
}

namespace {
template<class T>
bool all_between(const T* x, int64_t n, double low, double high) {
  bool all = true;
  for (int64_t i = 0; i < n; ++i) all = all && x[i] >= low && x[i] <= high;
  return all;
}
bool all_within(const Tensor& t, double low, double high) {
  if (t.device().is_cpu() && t.is_contiguous() && t.numel() < 65536) {
    if (t.dtype() == DType::F32) return all_between(t.data<float>(), t.numel(), low, high);
    if (t.dtype() == DType::F64) return all_between(t.data<double>(), t.numel(), low, high);
    if (t.dtype() == DType::I64) return all_between(t.data<int64_t>(), t.numel(), low, high);
  }
  NoGrad off;
  // In float64, so that a bound just above 0 stays above it.
  Tensor x = to_dtype(t, DType::F64);
  Tensor least = weak_scalar(Scalar(low)), most = weak_scalar(Scalar(high));
  return item(all(logical_and(ge(x, least), le(x, most)))).i != 0;
}
} // namespace

Tensor arange(Scalar start, Scalar end, Scalar step, DType dtype, Device device) {
  FB_CHECK(step.f != 0, "step must be nonzero");
  FB_CHECK(std::isfinite(start.f) && std::isfinite(end.f), "unsupported range: ", start, " -> ",
           end);
  FB_CHECK((step.f > 0) == (end.f >= start.f) || end.f == start.f,
           "upper bound and lower bound inconsistent with step sign: start=", start, ", end=", end,
           ", step=", step);
  if (is_integral(dtype)) { // of whole numbers, as the dtype would hold them
    start = Scalar(start.to_int());
    end = Scalar(end.to_int());
    step = Scalar(step.to_int());
    FB_CHECK(step.i != 0, "step must be nonzero");
  }
  bool ints = start.is_integral() && end.is_integral() && step.is_integral();
  double count = ints ? std::ceil(double(end.i - start.i) / double(step.i))
                      : std::ceil((end.f - start.f) / step.f);
  FB_CHECK(count < 9e18, "invalid size, possible overflow?");
  Tensor t = empty({int64_t(count)}, dtype, device);
  int64_t n = t.numel();
  if (t.is_cuda()) {
    static const cuda::Formula kInts{"arange", "i64(p[0]) + i * i64(p[1])"},
        kFloats{"arange", "p[0] + double(i) * p[1]"},
        kSingles{"arange", "double(float(p[0] + double(i) * p[1]))"};
    double p[2] = {start.f, step.f};
    bool whole = is_integral(dtype) && ints && std::abs(start.f) < 0x1p53;
    if (!whole && is_integral(dtype) && ints)
      return move_to(arange(start, end, step, dtype), t.device(), dtype);
    DType compute = whole ? DType::I64 : DType::F64;
    cuda::run_formula(whole                          ? kInts
                      : dtype == DType::F32 && !ints ? kSingles
                                                     : kFloats,
                      compute, compute, t, nullptr, 0, p, 2);
    return t;
  }
  if (t.is_meta()) return t;
  if (is_integral(dtype) && ints) {
    dispatch_all(dtype, [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_integral_v<T>) {
        T* o = t.data<T>();
        for (int64_t i = 0; i < n; ++i) o[i] = T(start.i + i * step.i);
      }
    });
    return t;
  }
  CastKernel cast = cast_kernel(DType::F64, dtype);
  for (int64_t i = 0; i < n; ++i) {
    double v = dtype == DType::F32 && !ints ? double(float(start.f + double(i) * step.f))
                                            : start.f + double(i) * step.f;
    cast(reinterpret_cast<char*>(&v), 8, t.bytes() + i * t.itemsize(), 0, 1);
  }
  return t;
}

namespace {

// Options that every factory takes: dtype, device, requires_grad.
struct Options {
  DType dtype;
  Device device;
  bool grad;
};
Options options(Args& a, int at, DType otherwise) {
  return {a.given(at) ? a.list[at].dtype : otherwise, a.device(at + 1), a.flag(at + 2)};
}
Tensor finish(Tensor t, const Options& o) {
  if (o.grad) {
    FB_CHECK(is_inexact(t.dtype()), "Only Tensors of floating point and complex dtype can require "
                                    "gradients");
    t.make_meta().requires_grad = true;
  }
  if (inference_enabled()) t.impl()->inference = true;
  return t;
}
DType dtype_of_value(const Scalar& s) { return s.dtype(); }

Tensor make_linspace(double a, double b, int64_t steps, DType dtype, Device device,
                     double base = 0) {
  FB_CHECK(steps >= 0, "number of steps must be non-negative, but got ", steps);
  Tensor t = empty({steps}, dtype, device);
  if (t.is_meta()) return t;
  double step = steps > 1 ? (b - a) / double(steps - 1) : 0;
  if (t.is_cuda()) {
    static const cuda::Formula kLinear{"linspace", "i < i64(p[3]) ? p[0] + p[2] * double(i)"
                                                   " : p[1] - p[2] * (p[4] - double(i))"},
        kPower{"logspace", "math::pow(p[5], i < i64(p[3]) ? p[0] + p[2] * double(i)"
                           " : p[1] - p[2] * (p[4] - double(i)))"};
    double half = steps == 1 ? 1 : double(steps / 2);
    double p[6] = {a, b, step, half, double(steps - 1), base};
    cuda::run_formula(base ? kPower : kLinear, DType::F64, DType::F64, t, nullptr, 0, p, 6);
    return t;
  }
  CastKernel cast = cast_kernel(DType::F64, dtype);
  for (int64_t i = 0; i < steps; ++i) {
    // From both ends, so that the last value is exactly b.
    double v =
        i < steps / 2 || steps == 1 ? a + step * double(i) : b - step * double(steps - 1 - i);
    if (base) v = std::pow(base, v);
    cast(reinterpret_cast<char*>(&v), 8, t.bytes() + i * t.itemsize(), 0, 1);
  }
  return t;
}

Value eye(Args& a, int64_t n, int64_t m, int at) {
  FB_CHECK(n >= 0 && m >= 0, "n must be greater or equal to 0, got ", n < 0 ? n : m);
  Options o = options(a, at, default_dtype());
  Tensor t = zeros({n, m}, o.dtype, o.device);
  Tensor d = alias_as(t, {std::min(n, m)}, {m + 1}, 0);
  fill_(d, Scalar(int64_t(1)));
  return finish(t, o);
}

Value like(Args& a, int at, int fill) {
  Tensor x = a.tensor(0);
  Options o{a.given(at) ? a.list[at].dtype : x.dtype(),
            a.given(at + 1) ? a.device(at + 1) : x.device(), a.flag(at + 2)};
  bool preserve = !a.given(at + 3) || a.text(at + 3) == "preserve_format";
  Tensor t = o.device == x.device() && preserve ? empty_like(x, o.dtype)
                                                : empty(x.shape(), o.dtype, o.device);
  if (fill == 0 || fill == 1) fill_(t, Scalar(int64_t(fill)));
  if (fill == 2) fill_(t, a.scalar(1));
  return finish(t, o);
}

Value made_new(Args& a, int at, int fill) { // new_zeros and its kin
  Tensor x = a.tensor(0);
  Options o{a.given(at) ? a.list[at].dtype : x.dtype(),
            a.given(at + 1) ? a.device(at + 1) : x.device(), a.flag(at + 2)};
  Tensor t = empty(a.dims(1), o.dtype, o.device);
  if (fill == 0 || fill == 1) fill_(t, Scalar(int64_t(fill)));
  if (fill == 2) fill_(t, a.scalar(2));
  return finish(t, o);
}

#define FB_OPTS                                                                                  \
  "dtype? dtype=None, device? device=None, bool requires_grad=False, object? layout=None, bool " \
  "pin_memory=False"
#define FB_LIKE                                                                                 \
  "dtype? dtype=None, device? device=None, bool requires_grad=False, str? memory_format=None, " \
  "object? layout=None, bool pin_memory=False"

Register create({
    {"empty(int[*] size, *, " FB_OPTS ", str? memory_format=None) -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 1, default_dtype());
       return finish(empty(a.dims(0), o.dtype, o.device), o);
     },
     "An uninitialised tensor of the given size: its values are whatever was in memory."},
    {"empty_strided(int[] size, int[] stride, *, " FB_OPTS ") -> Tensor", kFunction,
     [](Args& a) -> Value {
       Options o = options(a, 2, default_dtype());
       return finish(empty_strided(a.dims(0), a.dims(1), o.dtype, o.device), o);
     },
     "An uninitialised tensor with the given size and strides (in elements)."},
    {"zeros(int[*] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 1, default_dtype());
       return finish(zeros(a.dims(0), o.dtype, o.device), o);
     },
     "A tensor of zeros."},
    {"ones(int[*] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 1, default_dtype());
       return finish(full(a.dims(0), Scalar(int64_t(1)), o.dtype, o.device), o);
     },
     "A tensor of ones."},
    {"full(int[] size, Scalar fill_value, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 2, dtype_of_value(a.scalar(1)));
       return finish(full(a.dims(0), a.scalar(1), o.dtype, o.device), o);
     },
     "A tensor filled with fill_value; its type decides the dtype."},
    {"scalar_tensor(Scalar s, *, " FB_OPTS ") -> Tensor", kFunction,
     [](Args& a) -> Value {
       Options o = options(a, 1, default_dtype());
       return finish(full({}, a.scalar(0), o.dtype, o.device), o);
     },
     "A 0-d tensor holding s."},
    {"arange(Scalar end, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       const Scalar& e = a.scalar(0);
       Options o = options(a, 1, e.is_integral() ? DType::I64 : default_dtype());
       return finish(arange(Scalar(int64_t(0)), e, Scalar(int64_t(1)), o.dtype, o.device), o);
     },
     "0, 1, ... up to, but not with, end."},
    {"arange(Scalar start, Scalar end, Scalar step=1, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       bool ints =
           a.scalar(0).is_integral() && a.scalar(1).is_integral() && a.scalar(2).is_integral();
       Options o = options(a, 3, ints ? DType::I64 : default_dtype());
       return finish(arange(a.scalar(0), a.scalar(1), a.scalar(2), o.dtype, o.device), o);
     },
     "start, start + step, ... up to, but not with, end."},
    {"linspace(Scalar start, Scalar end, int steps, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 3, default_dtype());
       return finish(make_linspace(a.real(0), a.real(1), a.integer(2), o.dtype, o.device), o);
     },
     "`steps` evenly spaced values from start to end, both included."},
    {"logspace(Scalar start, Scalar end, int steps, float base=10.0, *, " FB_OPTS ") -> Tensor",
     kFO,
     [](Args& a) -> Value {
       Options o = options(a, 4, default_dtype());
       return finish(
           make_linspace(a.real(0), a.real(1), a.integer(2), o.dtype, o.device, a.real(3)), o);
     },
     "base to the power of `steps` evenly spaced exponents from start to end."},
    {"eye(int n, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) { return eye(a, a.integer(0), a.integer(0), 1); }, "The n x n identity."},
    {"eye(int n, int m, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) { return eye(a, a.integer(0), a.integer(1), 2); },
     "n x m, with ones on the diagonal."},
    {"empty_like(Tensor input, *, " FB_LIKE ") -> Tensor", kFunction,
     [](Args& a) { return like(a, 1, -1); }, "Uninitialised, with the shape and dtype of input."},
    {"zeros_like(Tensor input, *, " FB_LIKE ") -> Tensor", kFunction,
     [](Args& a) { return like(a, 1, 0); }, "Zeros with the shape and dtype of input."},
    {"ones_like(Tensor input, *, " FB_LIKE ") -> Tensor", kFunction,
     [](Args& a) { return like(a, 1, 1); }, "Ones with the shape and dtype of input."},
    {"full_like(Tensor input, Scalar fill_value, *, " FB_LIKE ") -> Tensor", kFunction,
     [](Args& a) { return like(a, 2, 2); }, "fill_value in the shape and dtype of input."},
    {"new_empty(Tensor self, int[*] size, *, " FB_OPTS ") -> Tensor", kMethod,
     [](Args& a) { return made_new(a, 2, -1); }, "empty() with self's dtype and device."},
    {"new_zeros(Tensor self, int[*] size, *, " FB_OPTS ") -> Tensor", kMethod,
     [](Args& a) { return made_new(a, 2, 0); }, "zeros() with self's dtype and device."},
    {"new_ones(Tensor self, int[*] size, *, " FB_OPTS ") -> Tensor", kMethod,
     [](Args& a) { return made_new(a, 2, 1); }, "ones() with self's dtype and device."},
    {"new_full(Tensor self, int[] size, Scalar fill_value, *, " FB_OPTS ") -> Tensor", kMethod,
     [](Args& a) { return made_new(a, 3, 2); }, "full() with self's dtype and device."},
    {"fill_(Tensor self, Operand value) -> Tensor", kFM,
     [](Args& a) -> Value {
       const Tensor &t = a.tensor(0), &v = a.tensor(1);
       if (v.impl()->weak && !(grad_enabled() && t.requires_grad())) {
         check_inplace(t, "fill_");
         Tensor to = t;
         fill_(to, item(v));
         t.bump_version();
         return t;
       }
       FB_CHECK(v.dim() == 0, "fill_ only supports 0-dimension value tensor but got tensor with ",
                v.dim(), " dimensions.");
       copy_(t, v);
       return t;
     },
     "Sets every element to value."},
    {"zero_(Tensor self) -> Tensor", kFM,
     [](Args& a) -> Value {
       Tensor t = a.tensor(0);
       check_inplace(t, "zero_");
       fill_(t, Scalar(int64_t(0)));
       record_inplace(t, Tensor());
       return t;
     },
     "Sets every element to zero."},
    {"_all_within(Tensor input, float low, float high) -> Scalar", kFunction,
     [](Args& a) -> Value { return Scalar(all_within(a.tensor(0), a.real(1), a.real(2))); },
     "Whether all elements lie in [low, high]; NaN does not."},
});

} // namespace
} // namespace flambeau
