// Random tensors and in-place random fills, all from the counter-based generator.
#include "random.h"

#include <cmath>
#include <numeric>

#include "../autograd/node.h"
#include "../core/registry.h"
#include "../cpu/parallel.h"
#include "../cuda/elementwise.h"
#include "../cuda/random.h"
#include "ops.h"

namespace flambeau {

void fill_bernoulli(const Tensor& t, double p, void* gen) {
  if (t.is_meta() || t.numel() == 0) return;
  PhiloxDraw d = next_philox(philox_ticks(t.numel()), t.device(), gen);
  if (t.is_cuda() && t.is_contiguous())
    return cuda::fill_random(t, cuda::Fill::Bernoulli, false, {p}, d);
  Tensor buf = empty(t.shape(), DType::U8, t.device());
  if (t.is_cuda())
    cuda::fill_random(buf, cuda::Fill::Bernoulli, false, {p}, d);
  else
    random::fill_bernoulli(buf.data<uint8_t>(), t.numel(), p, d.seed, d.offset);
  copy_values(t, buf);
}

namespace {

using cuda::Fill;

DType work_type(DType t) { return t == DType::F64 || t == DType::C128 ? DType::F64 : DType::F32; }

// What fill(buf, draw) puts into a contiguous tensor of t's values; on a GPU it takes every dtype,
// on the host `host_dtype`.
template<class F>
void fill_dense(const Tensor& t, DType host_dtype, uint64_t ticks, void* gen, F&& fill) {
  if (t.is_meta() || t.numel() == 0) return;
  PhiloxDraw draw = next_philox(ticks, t.device(), gen);
  DType type = t.is_cuda() ? t.dtype() : host_dtype;
  bool direct = t.is_contiguous() && t.dtype() == type;
  Tensor buf = direct ? t : empty(t.shape(), type, t.device());
  fill(buf, draw);
  if (!direct) copy_values(t, buf);
}

// Fills with Fill::Uniform, Normal or Exponential of parameters a and b.
void fill_real(const Tensor& t, Fill kind, double a, double b, void* gen) {
  if (is_complex(t.dtype())) {
    NoGrad off;
    return fill_real(view_as_real(t), kind, a, b, gen);
  }
  FB_CHECK(is_float(t.dtype()), "random fill not implemented for '", t.dtype(),
           "': a floating point tensor is expected");
  bool wide = t.dtype() == DType::F64;
  auto on_host = [&](auto* p, int64_t n, const PhiloxDraw& d) {
    if (kind == Fill::Uniform) return random::fill_uniform(p, n, a, b, d.seed, d.offset);
    if (kind == Fill::Normal) return random::fill_normal(p, n, a, b, d.seed, d.offset);
    random::fill_exponential(p, n, a, d.seed, d.offset);
  };
  fill_dense(t, work_type(t.dtype()), philox_ticks(t.numel(), wide ? 2 : 1), gen,
             [&](const Tensor& buf, const PhiloxDraw& d) {
               if (buf.is_cuda()) return cuda::fill_random(buf, kind, wide, {a, b}, d);
               if (wide) return on_host(buf.data<double>(), buf.numel(), d);
               on_host(buf.data<float>(), buf.numel(), d);
             });
}

void uniform(const Tensor& t, double lo, double hi, void* gen) {
  FB_CHECK(lo <= hi, "uniform_ expects to return a [from, to) range, but found from=", lo,
           " > to=", hi);
  fill_real(t, Fill::Uniform, lo, hi, gen);
}
void normal(const Tensor& t, double mean, double std, void* gen) {
  FB_CHECK(std >= 0, "normal expects std >= 0.0, but found std ", std);
  fill_real(t, Fill::Normal, mean, is_complex(t.dtype()) ? std / std::sqrt(2.) : std, gen);
}
// Each uniform u in (0, 1] becomes g(u); on a GPU by the formula over x = 1 - u.
template<class G>
void transformed(const Tensor& t, void* gen, G&& g, const cuda::Formula& formula,
                 std::initializer_list<double> p) {
  if (is_complex(t.dtype())) {
    NoGrad off;
    return transformed(view_as_real(t), gen, g, formula, p);
  }
  bool direct = t.is_contiguous() && !is_half(t.dtype());
  Tensor buf = direct ? t : empty(t.shape(), work_type(t.dtype()), t.device());
  uniform(buf, 0, 1, gen);
  if (t.is_meta()) return;
  if (t.is_cuda()) {
    cuda::run_formula(formula, DType::F64, DType::F64, buf, &buf, 1, p.begin(), int(p.size()));
  } else {
    dispatch_inexact(buf.dtype(), "random fill", [&](auto tag) {
      using T = typename decltype(tag)::type;
      if constexpr (std::is_floating_point_v<T>) {
        T* v = buf.data<T>();
        parallel_for(buf.numel(), 2048, [&](int64_t b, int64_t e) {
          for (int64_t i = b; i < e; ++i) v[i] = T(g(1 - double(v[i])));
        });
      }
    });
  }
  if (!direct) copy_values(t, buf);
}
void integers(const Tensor& t, int64_t lo, uint64_t range, void* gen) {
  int words = random::randint_words(range);
  fill_dense(t, DType::I64, philox_ticks(t.numel(), words), gen,
             [&](const Tensor& buf, const PhiloxDraw& d) {
               if (buf.is_cuda())
                 return cuda::fill_random(buf, Fill::Integers, words == 2, {0, 0, lo, range}, d);
               random::fill_randint(buf.data<int64_t>(), buf.numel(), lo, range, d.seed, d.offset);
             });
}
int64_t mantissa_limit(DType t) {
  return t == DType::F64    ? int64_t(1) << 53
         : t == DType::F32  ? 1 << 24
         : t == DType::F16  ? 1 << 11
         : t == DType::BF16 ? 1 << 8
         : t == DType::Bool ? 2
         : t == DType::U8   ? 256
         : t == DType::I8   ? 128
         : t == DType::I16  ? 32768
         : t == DType::I32  ? int64_t(1) << 31
                            : 0;
}

void bernoulli(const Tensor& t, double p, void* gen) {
  FB_CHECK(p >= 0 && p <= 1, "bernoulli_ expects p to be in [0, 1], but got p=", p);
  fill_bernoulli(t, p, gen);
}
void bernoulli(const Tensor& t, const Tensor& p, void* gen) {
  NoGrad off;
  FB_CHECK(p.device() == t.device() || (p.dim() == 0 && !p.is_meta()),
           "bernoulli_: probabilities on ", p.device(), " for a tensor on ", t.device(),
           ": move them with .to()");
  DType type = p.dtype() == DType::F64 ? DType::F64 : DType::F32;
  if (t.is_cuda()) { // the GPU stops at a bad probability: nothing here waits to look at it
    static const cuda::Formula kLess{"bernoulli",
                                     "b >= T(0) && b <= T(1) ? a < b : (__trap(), false)"};
    Tensor u = empty(t.shape(), type, t.device());
    uniform(u, 0, 1, gen);
    const Tensor in[2] = {u, p};
    return cuda::run_formula(kLess, type, DType::Bool, t, in, 2);
  }
  Tensor all = expand(p, t.shape());
  if (t.is_meta() || t.numel() == 0) return;
  Tensor q = contiguous(to_dtype(on_host(all), type));
  bool direct = t.is_contiguous() && t.dtype() == type && &q.storage() != &t.storage();
  Tensor made = direct ? t : empty(t.shape(), type);
  int64_t n = t.numel();
  bool wide = type == DType::F64;
  PhiloxDraw d = next_philox(philox_ticks(n, wide ? 2 : 1), {}, gen);
  auto fill = [&](auto* to, const auto* from) {
    return random::fill_bernoulli(to, from, n, d.seed, d.offset);
  };
  bool valid = wide ? fill(made.data<double>(), q.data<double>())
                    : fill(made.data<float>(), q.data<float>());
  FB_CHECK(valid, "Expected p_in >= 0 && p_in <= 1 to be true, but got false: bernoulli "
                  "probabilities must lie in [0, 1]");
  if (!direct) copy_values(t, made);
}

uint64_t high_product(uint64_t a, uint64_t b) { return (unsigned __int128)(a)*b >> 64; }

// The host shuffles for every device: each step depends on the one before.
Tensor randperm(int64_t n, DType dtype, Device device, void* gen) {
  FB_CHECK(n >= 0, "n must be non-negative, got ", n);
  NoGrad off;
  if (device.is_meta()) return empty({n}, dtype, device);
  constexpr int64_t kKeys = 512; // made at a time, from the last on; two fill a counter value
  uint64_t key[kKeys];
  Tensor t = empty({n}, DType::I64);
  int64_t* p = t.data<int64_t>();
  std::iota(p, p + n, 0);
  PhiloxDraw s = host_draw(philox_ticks(n, 2), device, gen, "randperm");
  for (int64_t end = n, begin; end > 0; end = begin) {
    begin = (end - 1) / kKeys * kKeys;
    random::fill_random_bits(key, end - begin, s.seed, s.offset + uint64_t(begin) / 2);
    for (int64_t i = end - 1; i >= begin; --i) // Fisher and Yates (1938), by multiply and shift
      std::swap(p[i], p[high_product(key[i - begin], uint64_t(i + 1))]);
  }
  return device.is_cpu() ? to_dtype(t, dtype) : move_to(t, device, dtype);
}

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
  return t;
}
Value made_int(Args& a, int at, int64_t lo, int64_t hi, const Dims& shape) {
  FB_CHECK(lo < hi, "random_ expects 'from' to be less than 'to', but got from=", lo,
           " >= to=", hi);
  Options o = options(a, at, DType::I64);
  Tensor t = empty(shape, o.dtype, o.device);
  integers(t, lo, uint64_t(hi) - uint64_t(lo), a.object(at + 3));
  return finish(t, o);
}
template<class F>
Value inplace(Args& a, const char* name, F&& f) {
  Tensor t = a.tensor(0);
  check_inplace(t, name);
  {
    NoGrad off;
    f(t);
  }
  record_inplace(t, grad_enabled() && t.requires_grad() ? detach(t) : Tensor());
  return t;
}
Value like(Args& a, bool is_normal) {
  Tensor x = a.tensor(0);
  Options o{a.given(1) ? a.list[1].dtype : x.dtype(), a.given(2) ? a.device(2) : x.device(),
            a.flag(3)};
  Tensor t = o.device == x.device() ? empty_like(x, o.dtype) : empty(x.shape(), o.dtype, o.device);
  if (is_normal)
    normal(t, 0, 1, a.object(4));
  else
    uniform(t, 0, 1, a.object(4));
  return finish(t, o);
}

#define FB_OPTS                                                                                   \
  "dtype? dtype=None, device? device=None, bool requires_grad=False, generator? generator=None, " \
  "object? layout=None, bool pin_memory=False"
#define FB_LIKE                                                                                   \
  "dtype? dtype=None, device? device=None, bool requires_grad=False, generator? generator=None, " \
  "str? memory_format=None, object? layout=None, bool pin_memory=False"
#define FB_GEN "*, generator? generator=None"

Register rows({
    {"rand(int[*] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 1, default_dtype());
       Tensor t = empty(a.dims(0), o.dtype, o.device);
       uniform(t, 0, 1, a.object(4));
       return finish(t, o);
     },
     "Uniform on [0, 1)."},
    {"randn(int[*] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 1, default_dtype());
       Tensor t = empty(a.dims(0), o.dtype, o.device);
       normal(t, 0, 1, a.object(4));
       return finish(t, o);
     },
     "Normal with mean 0 and variance 1."},
    {"randint(int high, int[] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) { return made_int(a, 2, 0, a.integer(0), a.dims(1)); },
     "Integers from 0 up to, but not with, high."},
    {"randint(int low, int high, int[] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) { return made_int(a, 3, a.integer(0), a.integer(1), a.dims(2)); },
     "Integers from low up to, but not with, high."},
    {"randint_like(Tensor input, int high, *, " FB_OPTS ") -> Tensor", kFunction,
     [](Args& a) {
       Tensor x = a.tensor(0);
       if (!a.given(2)) {
         a.list[2].given = true;
         a.list[2].dtype = x.dtype();
       }
       if (!a.given(3)) a.list[3].device = x.device();
       return made_int(a, 2, 0, a.integer(1), x.shape());
     },
     "Integers below high in the shape of input."},
    {"randint_like(Tensor input, int low, int high, *, " FB_OPTS ") -> Tensor", kFunction,
     [](Args& a) {
       Tensor x = a.tensor(0);
       if (!a.given(3)) {
         a.list[3].given = true;
         a.list[3].dtype = x.dtype();
       }
       if (!a.given(4)) a.list[4].device = x.device();
       return made_int(a, 3, a.integer(1), a.integer(2), x.shape());
     },
     "Integers from low below high in the shape of input."},
    {"randperm(int n, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 1, DType::I64);
       return finish(randperm(a.integer(0), o.dtype, usable(o.device), a.object(4)), o);
     },
     "A random order of 0 .. n-1."},
    {"rand_like(Tensor input, *, " FB_LIKE ") -> Tensor", kFunction,
     [](Args& a) { return like(a, false); }, "Uniform on [0, 1) in the shape of input."},
    {"randn_like(Tensor input, *, " FB_LIKE ") -> Tensor", kFunction,
     [](Args& a) { return like(a, true); }, "Normal values in the shape of input."},
    {"normal(float mean, float std, int[] size, *, " FB_OPTS ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Options o = options(a, 3, default_dtype());
       Tensor t = empty(a.dims(2), o.dtype, o.device);
       normal(t, a.real(0), a.real(1), a.object(6));
       return finish(t, o);
     },
     "Normal values with the given mean and standard deviation."},
    {"normal(Operand mean, Operand std=1, " FB_GEN ") -> Tensor", kFO,
     [](Args& a) -> Value {
       Tensor m = a.tensor(0), s = a.tensor(1);
       // A GPU is not waited for: there a negative std only mirrors the values.
       FB_CHECK(!s.device().is_cpu() || !s.numel() || item(all(ge(s, weak_scalar(0)))).i,
                "normal expects all elements of std >= 0.0");
       Tensor t = empty(broadcast_shapes(m.shape(), s.shape(), "normal"),
                        m.impl()->weak ? s.dtype() : m.dtype(),
                        m.device().is_cpu() ? s.device() : m.device());
       normal(t, 0, 1, a.object(2));
       return add(mul(t, s), m);
     },
     "Normal values, each with its own mean and standard deviation."},
    {"bernoulli(Tensor input, " FB_GEN ") -> Tensor", kFMO,
     [](Args& a) -> Value {
       Tensor p = a.tensor(0), t = empty_like(p);
       bernoulli(t, p, a.object(1));
       return t;
     },
     "1 with the probability given by input, else 0."},
    {"bernoulli(Tensor input, float p, " FB_GEN ") -> Tensor", kFM,
     [](Args& a) -> Value {
       Tensor t = empty_like(a.tensor(0));
       bernoulli(t, a.real(1), a.object(2));
       return t;
     },
     "1 with probability p, else 0."},
    {"uniform_(Tensor self, float from=0, float to=1, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "uniform_",
                      [&](Tensor& t) { uniform(t, a.real(1), a.real(2), a.object(3)); });
     },
     "Fills with uniform values on [from, to)."},
    {"normal_(Tensor self, float mean=0, float std=1, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "normal_",
                      [&](Tensor& t) { normal(t, a.real(1), a.real(2), a.object(3)); });
     },
     "Fills with normal values."},
    {"log_normal_(Tensor self, float mean=1, float std=2, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "log_normal_", [&](Tensor& t) {
         FB_CHECK(a.real(2) > 0, "log_normal_ expects std > 0.0, but found std=", a.real(2));
         normal(t, a.real(1), a.real(2), a.object(3));
         copy_values(t, exp(t));
       });
     },
     "Fills with exp of normal values."},
    {"exponential_(Tensor self, float lambd=1, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "exponential_", [&](Tensor& t) {
         double rate = a.real(1);
         FB_CHECK(rate > 0, "exponential_ expects lambda > 0.0, but found lambda=", rate);
         fill_real(t, Fill::Exponential, rate, 0, a.object(2));
       });
     },
     "Fills with exponential values of rate lambd."},
    {"geometric_(Tensor self, float p, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "geometric_", [&](Tensor& t) {
         double p = a.real(1);
         FB_CHECK(p > 0 && p < 1, "geometric_ expects p to be in (0, 1), but got p=", p);
         Tensor f = is_float(t.dtype()) ? t : empty(t.shape(), DType::F64, t.device());
         static const cuda::Formula kTrials{"geometric", "std::ceil(math::log(T(1) - x) / P(0))"};
         double log_fail = std::log1p(-p);
         transformed(f, a.object(2), [&](double u) { return std::ceil(std::log(u) / log_fail); },
                     kTrials, {log_fail});
         if (!f.is(t)) copy_values(t, f);
       });
     },
     "Fills with numbers of trials up to the first success of probability p."},
    {"cauchy_(Tensor self, float median=0, float sigma=1, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "cauchy_", [&](Tensor& t) {
         FB_CHECK(a.real(2) > 0, "cauchy_ expects sigma > 0.0, but found sigma=", a.real(2));
         static const cuda::Formula kCauchy{"cauchy",
                                            "P(0) + P(1) * math::tan(P(2) * (T(1) - x - T(0.5)))"};
         double median = a.real(1), sigma = a.real(2);
         transformed(t, a.object(3),
                     [&](double u) { return median + sigma * std::tan(M_PI * (u - 0.5)); }, kCauchy,
                     {median, sigma, M_PI});
       });
     },
     "Fills with Cauchy values."},
    {"bernoulli_(Tensor self, Tensor p, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "bernoulli_", [&](Tensor& t) { bernoulli(t, a.tensor(1), a.object(2)); });
     },
     "Fills with 1 with the given probabilities, else 0."},
    {"bernoulli_(Tensor self, float p=0.5, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "bernoulli_", [&](Tensor& t) { bernoulli(t, a.real(1), a.object(2)); });
     },
     "Fills with 1 with probability p, else 0."},
    {"random_(Tensor self, int from, int? to, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "random_", [&](Tensor& t) {
         int64_t lo = a.integer(1);
         FB_CHECK(!a.given(2) || a.integer(2) > lo,
                  "random_ expects 'from' to be less than 'to', but "
                  "got from=",
                  lo, " >= to=", a.integer(2));
         uint64_t range = a.given(2) ? uint64_t(a.integer(2)) - uint64_t(lo)
                                     : uint64_t(mantissa_limit(t.dtype())) - uint64_t(lo);
         integers(t, lo, range, a.object(3));
       });
     },
     "Fills with integers from `from` below `to`."},
    {"random_(Tensor self, int to, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "random_", [&](Tensor& t) {
         FB_CHECK(
             a.integer(1) > 0,
             "random_ expects 'from' to be less than 'to', but got from=0 >= to=", a.integer(1));
         integers(t, 0, uint64_t(a.integer(1)), a.object(2));
       });
     },
     "Fills with integers below `to`."},
    {"random_(Tensor self, " FB_GEN ") -> Tensor", kMethod,
     [](Args& a) {
       return inplace(a, "random_", [&](Tensor& t) {
         int64_t limit = mantissa_limit(t.dtype());
         integers(t, 0, limit ? uint64_t(limit) : uint64_t(1) << 63, a.object(1));
       });
     },
     "Fills with integers of the dtype's range, from 0."},
});

} // namespace
} // namespace flambeau
