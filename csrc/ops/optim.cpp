// Fused optimizer steps: all parameters of a group in one pass over their memory.
#include <algorithm>
#include <cmath>

#include "../core/elementwise.h"
#include "../core/registry.h"
#include "../cpu/optim_kernels.h"
#include "../cpu/parallel.h"

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

// Whether all tensors are plain: float32 or float64 on the CPU, dense, laid out like each other.
bool plain(const Lists& lists) {
  size_t n = lists[0]->size();
  for (size_t i = 0; i < n; ++i) {
    const Tensor& p = (*lists[0])[i];
    if ((p.dtype() != DType::F32 && p.dtype() != DType::F64) || !p.device().is_cpu()) return false;
    if (!p.is_contiguous() && !is_dense(p.shape(), p.strides())) return false;
    for (const Tensors* list : lists) {
      if (list->empty()) continue;
      if (list->size() != n) return false;
      const Tensor& t = (*list)[i];
      if (t.dtype() != p.dtype() || !t.device().is_cpu() || !same_layout(t, p)) return false;
    }
  }
  return true;
}

// Adds one to each step counter; returns the new values, or nothing if they can't be read.
std::vector<double> count(const Tensors& steps) {
  for (const Tensor& s : steps)
    if (s.numel() != 1 || !s.device().is_cpu() ||
        (s.dtype() != DType::F32 && s.dtype() != DType::F64))
      return {};
  std::vector<double> values;
  values.reserve(steps.size());
  for (const Tensor& s : steps) {
    values.push_back(s.dtype() == DType::F32 ? double(*s.data<float>() += 1)
                                             : (*s.data<double>() += 1));
    s.bump_version();
  }
  return values;
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
  for (int j = 0; j < lists.size(); ++j)
    if (j != 1) // the gradients stay as they are
      for (const Tensor& t : *lists[j]) t.bump_version();
}

template<class T>
T* ptr(char* at) {
  return reinterpret_cast<T*>(at);
}

Value fused_adam(Args& a) {
  Lists lists;
  for (int i = 0; i < 5; ++i) lists.push_back(&a.tensors(i));
  if (!plain(lists)) return Scalar(false);
  std::vector<double> steps = count(a.tensors(5));
  if (steps.size() != lists[0]->size()) return Scalar(false);
  double lr = a.real(6), beta1 = a.real(7), beta2 = a.real(8), decay = a.real(10);
  bool decoupled = a.flag(13);
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
  if (!plain(lists)) return Scalar(false);
  SgdNumbers c{a.real(3), a.real(4), a.real(5), a.real(6), a.flag(7), a.flag(8)};
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
  if (!plain(lists) || count(a.tensors(5)).size() != lists[0]->size()) return Scalar(false);
  RmspropNumbers c{a.real(6), a.real(7), a.real(8), a.real(9), a.real(10), a.flag(11)};
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
  if (!plain(lists)) return Scalar(false);
  std::vector<double> steps = count(a.tensors(3));
  if (steps.size() != lists[0]->size()) return Scalar(false);
  double lr = a.real(4), lr_decay = a.real(5);
  walk(lists, [&](size_t i, char* const* at, int64_t n) {
    AdagradNumbers c{lr / (1 + (steps[i] - 1) * lr_decay), a.real(7), a.real(6), a.flag(8)};
    if ((*lists[0])[i].dtype() == DType::F32)
      tables().f32.adagrad(ptr<float>(at[0]), ptr<float>(at[1]), ptr<float>(at[2]), n, c);
    else
      tables().f64.adagrad(ptr<double>(at[0]), ptr<double>(at[1]), ptr<double>(at[2]), n, c);
  });
  return Scalar(true);
}

// Each returns False, having touched nothing, for tensors it cannot take.
static Register optim_functions({
    {"_fused_adam_(Tensor[] params, Tensor[] grads, Tensor[] exp_avgs, Tensor[] exp_avg_sqs, "
     "Tensor[] max_exp_avg_sqs, Tensor[] state_steps, float lr, float beta1, float beta2, "
     "float eps, float weight_decay, bool amsgrad, bool maximize, bool decoupled) -> Scalar",
     kFunction, fused_adam, "One step of Adam or AdamW on all parameters, in place."},
    {"_fused_sgd_(Tensor[] params, Tensor[] grads, Tensor[] momentum_buffers, float lr, "
     "float momentum, float dampening, float weight_decay, bool nesterov, bool maximize) "
     "-> Scalar",
     kFunction, fused_sgd, "One step of SGD on all parameters, in place; no buffers: no momentum."},
    {"_fused_rmsprop_(Tensor[] params, Tensor[] grads, Tensor[] square_avgs, Tensor[] grad_avgs, "
     "Tensor[] momentum_buffers, Tensor[] state_steps, float lr, float alpha, float eps, "
     "float weight_decay, float momentum, bool maximize) -> Scalar",
     kFunction, fused_rmsprop, "One step of RMSprop on all parameters, in place."},
    {"_fused_adagrad_(Tensor[] params, Tensor[] grads, Tensor[] state_sums, "
     "Tensor[] state_steps, float lr, float lr_decay, float weight_decay, float eps, "
     "bool maximize) -> Scalar",
     kFunction, fused_adagrad, "One step of Adagrad on all parameters, in place."},
});

} // namespace
} // namespace flambeau
