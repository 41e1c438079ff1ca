// Fused optimizer steps: all parameters of a group in one pass over their memory.
#include <algorithm>
#include <array>
#include <cmath>

#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/optim_kernels.h"
#include "../cpu/parallel.h"
#include "../cuda/launch.h"
#include "../cuda/optim.h"

namespace flambeau {
namespace {

constexpr int64_t kChunk = 1 << 14; // elements: a few arrays of them fit the second-level cache

const OptimTables& tables() {
  static const OptimTables& t = cpu_has_avx512() ? optim_avx512::tables
                                : cpu_has_avx2() ? optim_avx2::tables
                                                 : optim_base::tables;
  return t;
}

// The lists of one call: parameters first, gradients next, then the states. Lists may be empty.
using Lists = SmallVec<const Tensors*, 6>;

bool same_layout(const Tensor& a, const Tensor& b) {
  if (a.shape() != b.shape()) return false;
  return (a.is_contiguous() && b.is_contiguous()) || a.strides() == b.strides();
}

bool takes(DType t, Device device) {
  if (device.is_cuda()) return is_float(t);
  return device.is_cpu() && (t == DType::F32 || t == DType::F64);
}

// Whether all tensors are plain: of one device, dense, laid out like each other, float32 or
// float64, and on a GPU all of one dtype, which may be a half one.
bool plain(const Lists& lists) {
  size_t n = lists[0]->size();
  for (size_t i = 0; i < n; ++i) {
    const Tensor& p = (*lists[0])[i];
    const Tensor& first = (*lists[0])[0];
    if (!takes(p.dtype(), p.device()) || p.device() != first.device()) return false;
    if (p.is_cuda() && p.dtype() != first.dtype()) return false;
    if (!p.is_contiguous() && !is_dense(p.shape(), p.strides())) return false;
    for (const Tensors* list : lists) {
      if (list->empty()) continue;
      if (list->size() != n) return false;
      const Tensor& t = (*list)[i];
      if (t.dtype() != p.dtype() || t.device() != p.device() || !same_layout(t, p)) return false;
    }
  }
  return true;
}

// The counters of steps, each counted up by one: their values, or on a GPU themselves.
struct Steps {
  std::vector<double> values;
  Tensors counters;
  bool ok = false; // false: nothing was touched, they can't be read
};
Steps count(const Tensors& steps, const Tensor& param) {
  Steps r;
  bool here = !steps.empty() && steps[0].is_cuda();
  for (const Tensor& s : steps) {
    if (s.numel() != 1 || (s.dtype() != DType::F32 && s.dtype() != DType::F64)) return r;
    if (here ? s.device() != param.device() || s.dtype() != steps[0].dtype() : !s.device().is_cpu())
      return r;
  }
  r.ok = true;
  if (here) {
    cuda::count_up(steps);
    r.counters = steps;
  } else {
    for (const Tensor& s : steps)
      r.values.push_back(s.dtype() == DType::F32 ? double(*s.data<float>() += 1)
                                                 : (*s.data<double>() += 1));
  }
  for (const Tensor& s : steps) s.bump_version();
  return r;
}

// A learning rate: a number, or for parameters on a GPU a number there.
struct Rate {
  double value = 0;
  uint64_t at = 0;
  int wide = 0;
};
bool read_rate(const Args& a, int value, int here, const Lists& lists, Rate& rate) {
  rate.value = a.real(value);
  Tensor lr = a.tensor(here);
  if (!lr.defined()) return true;
  const Tensor& p = (*lists[0])[0];
  if (!lr.is_cuda() || lr.device() != p.device() || lr.numel() != 1) return false;
  if (lr.dtype() != DType::F32 && lr.dtype() != DType::F64) return false;
  rate.at = cuda::address(lr);
  rate.wide = lr.dtype() == DType::F64;
  return true;
}

void touched(const Lists& lists) {
  for (int j = 0; j < lists.size(); ++j)
    if (j != 1) // the gradients stay as they are
      for (const Tensor& t : *lists[j]) t.bump_version();
}
bool on_gpu(const Lists& lists) { return !lists[0]->empty() && (*lists[0])[0].is_cuda(); }
Value step_on_gpu(cuda::OptimRule rule, const Lists& lists, const Steps& steps, const Rate& rate,
                  cuda::OptimNumbers numbers) {
  numbers.lr = rate.value;
  numbers.lr_at = rate.at;
  numbers.wide_lr = rate.wide;
  cuda::optim_step(rule, lists, steps.counters, steps.values, numbers);
  touched(lists);
  return Scalar(true);
}

// Calls run(i, list of the addresses of parameter i at `begin`, length) over all elements.
template<class F>
void walk(const Lists& lists, F run) {
  const Tensors& params = *lists[0];
  auto part = [&](size_t i, int64_t begin, int64_t n) {
    char* at[6] = {};
    for (int j = 0; j < lists.size(); ++j)
      if (!lists[j]->empty()) {
        const Tensor& t = (*lists[j])[i];
        at[j] = t.bytes() + begin * t.itemsize();
      }
    run(i, at, n);
  };
  int64_t total = 0;
  for (const Tensor& p : params) total += p.numel();
  if (total <= 2 * kChunk) {
    for (size_t i = 0; i < params.size(); ++i) part(i, 0, params[i].numel());
  } else {
    std::vector<std::pair<size_t, int64_t>> chunks;
    for (size_t i = 0; i < params.size(); ++i)
      for (int64_t b = 0; b < params[i].numel(); b += kChunk) chunks.push_back({i, b});
    parallel_for(int64_t(chunks.size()), 4, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end; ++c) {
        auto [i, b] = chunks[size_t(c)];
        part(i, b, std::min(kChunk, params[i].numel() - b));
      }
    });
  }
  touched(lists);
}

template<class T>
T* ptr(char* at) {
  return reinterpret_cast<T*>(at);
}

Value fused_adam(Args& a) {
  Lists lists;
  for (int i = 0; i < 5; ++i) lists.push_back(&a.tensors(i));
  if (lists[0]->empty()) return Scalar(true);
  Rate rate;
  if (!plain(lists) || !read_rate(a, 6, 14, lists, rate)) return Scalar(false);
  const Tensors& counters = a.tensors(5);
  if (counters.size() != lists[0]->size()) return Scalar(false);
  Steps counted = count(counters, (*lists[0])[0]);
  if (!counted.ok) return Scalar(false);
  const std::vector<double>& steps = counted.values;
  double lr = rate.value, beta1 = a.real(7), beta2 = a.real(8), decay = a.real(10);
  bool decoupled = a.flag(13);
  if (on_gpu(lists))
    return step_on_gpu(cuda::OptimRule::Adam, lists, counted, rate,
                       {.keep1 = beta1,
                        .keep2 = beta2,
                        .eps = a.real(9),
                        .penalty = decay,
                        .maximize = a.flag(12),
                        .flag = decoupled});
  AdamNumbers same{
      0,         0, beta1, beta2, a.real(9), decoupled ? 0 : decay, decoupled ? 1 - lr * decay : 1,
      a.flag(12)};
  walk(lists, [&](size_t i, char* const* at, int64_t n) {
    AdamNumbers c = same;
    c.step_size = lr / (1 - std::pow(beta1, steps[i]));
    c.root_scale = 1 / std::sqrt(1 - std::pow(beta2, steps[i]));
    if ((*lists[0])[i].dtype() == DType::F32)
      tables().f32.adam(ptr<float>(at[0]), ptr<float>(at[1]), ptr<float>(at[2]), ptr<float>(at[3]),
                        ptr<float>(at[4]), n, c);
    else
      tables().f64.adam(ptr<double>(at[0]), ptr<double>(at[1]), ptr<double>(at[2]),
                        ptr<double>(at[3]), ptr<double>(at[4]), n, c);
  });
  return Scalar(true);
}

Value fused_sgd(Args& a) {
  Lists lists;
  for (int i = 0; i < 3; ++i) lists.push_back(&a.tensors(i));
  if (lists[0]->empty()) return Scalar(true);
  Rate rate;
  if (!plain(lists) || !read_rate(a, 3, 9, lists, rate)) return Scalar(false);
  if (on_gpu(lists))
    return step_on_gpu(cuda::OptimRule::Sgd, lists, {}, rate,
                       {.keep1 = a.real(4),
                        .keep2 = a.real(5),
                        .penalty = a.real(6),
                        .maximize = a.flag(8),
                        .flag = a.flag(7)});
  SgdNumbers c{rate.value, a.real(4), a.real(5), a.real(6), a.flag(7), a.flag(8)};
  walk(lists, [&](size_t i, char* const* at, int64_t n) {
    if ((*lists[0])[i].dtype() == DType::F32)
      tables().f32.sgd(ptr<float>(at[0]), ptr<float>(at[1]), ptr<float>(at[2]), n, c);
    else
      tables().f64.sgd(ptr<double>(at[0]), ptr<double>(at[1]), ptr<double>(at[2]), n, c);
  });
  return Scalar(true);
}

Value fused_rmsprop(Args& a) {
  Lists lists;
  for (int i = 0; i < 5; ++i) lists.push_back(&a.tensors(i));
  if (lists[0]->empty()) return Scalar(true);
  Rate rate;
  if (!plain(lists) || !read_rate(a, 6, 12, lists, rate)) return Scalar(false);
  const Tensors& counters = a.tensors(5);
  if (counters.size() != lists[0]->size() || !count(counters, (*lists[0])[0]).ok)
    return Scalar(false);
  if (on_gpu(lists)) // this rule does not read the steps
    return step_on_gpu(cuda::OptimRule::Rmsprop, lists, {}, rate,
                       {.keep1 = a.real(7),
                        .keep2 = a.real(10),
                        .eps = a.real(8),
                        .penalty = a.real(9),
                        .maximize = a.flag(11)});
  RmspropNumbers c{rate.value, a.real(7), a.real(8), a.real(9), a.real(10), a.flag(11)};
  walk(lists, [&](size_t i, char* const* at, int64_t n) {
    if ((*lists[0])[i].dtype() == DType::F32)
      tables().f32.rmsprop(ptr<float>(at[0]), ptr<float>(at[1]), ptr<float>(at[2]),
                           ptr<float>(at[3]), ptr<float>(at[4]), n, c);
    else
      tables().f64.rmsprop(ptr<double>(at[0]), ptr<double>(at[1]), ptr<double>(at[2]),
                           ptr<double>(at[3]), ptr<double>(at[4]), n, c);
  });
  return Scalar(true);
}

Value fused_adagrad(Args& a) {
  Lists lists;
  for (int i = 0; i < 3; ++i) lists.push_back(&a.tensors(i));
  if (lists[0]->empty()) return Scalar(true);
  Rate rate;
  if (!plain(lists) || !read_rate(a, 4, 9, lists, rate)) return Scalar(false);
  const Tensors& counters = a.tensors(3);
  if (counters.size() != lists[0]->size()) return Scalar(false);
  Steps counted = count(counters, (*lists[0])[0]);
  if (!counted.ok) return Scalar(false);
  const std::vector<double>& steps = counted.values;
  double lr = rate.value, lr_decay = a.real(5);
  if (on_gpu(lists))
    return step_on_gpu(
        cuda::OptimRule::Adagrad, lists, counted, rate,
        {.eps = a.real(7), .penalty = a.real(6), .decay = lr_decay, .maximize = a.flag(8)});
  walk(lists, [&](size_t i, char* const* at, int64_t n) {
    AdagradNumbers c{lr / (1 + (steps[i] - 1) * lr_decay), a.real(7), a.real(6), a.flag(8)};
    if ((*lists[0])[i].dtype() == DType::F32)
      tables().f32.adagrad(ptr<float>(at[0]), ptr<float>(at[1]), ptr<float>(at[2]), n, c);
    else
      tables().f64.adagrad(ptr<double>(at[0]), ptr<double>(at[1]), ptr<double>(at[2]), n, c);
  });
  return Scalar(true);
}

// The numbers of a rule at step `t`; `own` points to the two scalars that the parameter keeps.
using Scalars = std::array<double, 2>;
RuleNumbers numbers_of(OptimRule rule, double lr, const double* k, double t, Scalars& own) {
  RuleNumbers n{};
  auto powers = [&] { return std::pair(1 - std::pow(k[0], t), 1 - std::pow(k[1], t)); };
  switch (rule) {
  case OptimRule::Adadelta: return {{k[0], 1 - k[0], k[1], -lr}, 0, 1, false};
  case OptimRule::Adamax: return {{1 - k[0], k[1], k[2], -lr / powers().first}, 0, 1, false};
  case OptimRule::NAdam: {
    double mu = k[0] * (1 - 0.5 * std::pow(0.96, t * k[3]));
    double next = k[0] * (1 - 0.5 * std::pow(0.96, (t + 1) * k[3]));
    own[0] *= mu;
    return {{1 - k[0], k[1], 1 - k[1], k[2], powers().second, -lr * (1 - mu) / (1 - own[0]),
             -lr * next / (1 - own[0] * next)},
            0,
            1,
            false};
  }
  case OptimRule::RAdam: {
    double longest = 2 / (1 - k[1]) - 1, size = lr / powers().first, spread = powers().second;
    double length = longest - 2 * t * std::pow(k[1], t) / spread;
    double rectifier = (length - 4) * (length - 2) * longest;
    rectifier /= (longest - 4) * (longest - 2) * length;
    bool far = length > 5;
    return {{1 - k[0], k[1], 1 - k[1], k[2], -size * (far ? std::sqrt(rectifier * spread) : 1),
             double(far)},
            0,
            1,
            false};
  }
  case OptimRule::Asgd: {
    n = {{1 - k[0] * own[1], -own[1], own[0]}, 0, 1, false};
    own[1] = lr / std::pow(1 + k[0] * lr * t, k[2]);
    own[0] = 1 / std::max(1., t - k[1]);
    return n;
  }
  default: return {{k[0], k[1], k[2], k[3]}, 0, 1, false};
  }
}

double read(const Tensor& t) {
  return t.dtype() == DType::F32 ? double(*t.data<float>()) : *t.data<double>();
}
void write(const Tensor& t, double v) {
  t.dtype() == DType::F32 ? void(*t.data<float>() = float(v)) : void(*t.data<double>() = v);
  t.bump_version();
}
bool are_scalars(const Tensors& list, size_t n) {
  return (list.empty() || list.size() == n) && std::all_of(list.begin(), list.end(), [](auto& t) {
           return t.numel() == 1 && t.device().is_cpu() && takes(t.dtype(), {});
         });
}

// The rules that share one form; on a GPU they are compositions.
Value fused_rule(Args& a) {
  auto rule = OptimRule(a.integer(0));
  Lists lists;
  for (int i = 1; i < 5; ++i) lists.push_back(&a.tensors(i));
  size_t n = lists[0]->size();
  const Tensors &counters = a.tensors(5), *kept[2] = {&a.tensors(6), &a.tensors(7)};
  if (n == 0) return Scalar(true);
  if (on_gpu(lists) || !plain(lists) || counters.size() != n || counters[0].is_cuda() ||
      !are_scalars(*kept[0], n) || !are_scalars(*kept[1], n))
    return Scalar(false);
  Steps steps = count(counters, (*lists[0])[0]);
  if (!steps.ok) return Scalar(false);
  double lr = a.real(8), k[4] = {a.real(9), a.real(10), a.real(11), a.real(12)};
  double decay = a.real(13);
  bool decoupled = a.flag(14);
  std::vector<RuleNumbers> numbers(n);
  for (size_t i = 0; i < n; ++i) {
    Scalars own{};
    for (int j = 0; j < 2; ++j)
      if (!kept[j]->empty()) own[size_t(j)] = read((*kept[j])[i]);
    numbers[i] = numbers_of(rule, lr, k, steps.values[i], own);
    numbers[i].penalty = decoupled ? 0 : decay;
    numbers[i].shrink = decoupled ? 1 - lr * decay : 1;
    numbers[i].maximize = a.flag(15);
    for (int j = 0; j < 2; ++j)
      if (!kept[j]->empty()) write((*kept[j])[i], own[size_t(j)]);
  }
  walk(lists, [&](size_t i, char* const* at, int64_t count) {
    if ((*lists[0])[i].dtype() == DType::F32)
      tables().f32.rules[int(rule)](ptr<float>(at[0]), ptr<float>(at[1]), ptr<float>(at[2]),
                                    ptr<float>(at[3]), count, numbers[i]);
    else
      tables().f64.rules[int(rule)](ptr<double>(at[0]), ptr<double>(at[1]), ptr<double>(at[2]),
                                    ptr<double>(at[3]), count, numbers[i]);
  });
  return Scalar(true);
}

// lr_here: a number on the GPU of the parameters that counts instead of lr.
// Each returns False, having touched nothing, for tensors it cannot take.
static Register optim_functions({
    {"_fused_adam_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, "
     "Tensor[] max_exp_avg_sqs, Tensor[] state_steps, float lr, float beta1, float beta2, "
     "float eps, float weight_decay, bool amsgrad, bool maximize, bool decoupled, Tensor? "
     "lr_here=None) -> Scalar",
     kFunction, fused_adam, "One step of Adam or AdamW on all parameters, in place."},
    {"_fused_sgd_(Tensor[] params, Tensor[] grads, Tensor[] momentum_buffers, float lr, "
     "float momentum, float dampening, float weight_decay, bool nesterov, bool maximize, "
     "Tensor? lr_here=None) -> Scalar",
     kFunction, fused_sgd, "One step of SGD on all parameters, in place; no buffers: no momentum."},
    {"_fused_rmsprop_(Tensor[] params, Tensor[] grads, Tensor[] square_avgs, Tensor[] grad_avgs, "
     "Tensor[] momentum_buffers, Tensor[] state_steps, float lr, float alpha, float eps, "
     "float weight_decay, float momentum, bool maximize, Tensor? lr_here=None) -> Scalar",
     kFunction, fused_rmsprop, "One step of RMSprop on all parameters, in place."},
    {"_fused_adagrad_(Tensor[] params, Tensor[] grads, Tensor[] state_sums, "
     "Tensor[] state_steps, float lr, float lr_decay, float weight_decay, float eps, "
     "bool maximize, Tensor? lr_here=None) -> Scalar",
     kFunction, fused_adagrad, "One step of Adagrad on all parameters, in place."},
    {"_fused_rule_(int rule, Tensor[] params, Tensor[] grads, Tensor[] first, Tensor[] second, "
     "Tensor[] state_steps, Tensor[] scalars, Tensor[] rates, float lr, float c0, float c1, "
     "float c2, float c3, float weight_decay, bool decoupled, bool maximize) -> Scalar",
     kFunction, fused_rule, "One step of a rule, numbered as in optim/_common.py, in place."},
});

} // namespace
} // namespace flambeau
