// The inner loops of the fused optimizer steps, one table for each instruction set.
#pragma once
#include <cstdint>

namespace flambeau {

struct AdamNumbers {
  double step_size;    // lr / (1 - beta1^t)
  double root_scale;   // 1 / sqrt(1 - beta2^t)
  double keep1, keep2; // beta1, beta2
  double eps;
  double penalty; // of the squared parameters, in the gradient
  double shrink;  // the parameter's factor before the step: decoupled weight decay
  bool maximize;
};

struct SgdNumbers {
  double lr, momentum, dampening, penalty;
  bool nesterov, maximize;
};

struct RmspropNumbers {
  double lr, alpha, eps, penalty, momentum;
  bool maximize;
};

struct AdagradNumbers {
  double step_size, eps, penalty;
  bool maximize;
};

// The rules that share one form: two lists of states and a few numbers, whose meaning is the
// rule's.
struct RuleNumbers {
  double c[7];
  double penalty, shrink; // as for Adam
  bool maximize;
};
enum class OptimRule { Adadelta, Adamax, NAdam, RAdam, Asgd, Rprop, Count };

// All take n elements of: the parameter, its gradient, then the state (null: not kept).
template<class T>
struct OptimKernels {
  void (*adam)(T* p, const T* g, T* mean, T* square, T* largest, int64_t n, const AdamNumbers& c);
  void (*sgd)(T* p, const T* g, T* buffer, int64_t n, const SgdNumbers& c);
  void (*rmsprop)(T* p, const T* g, T* square, T* mean, T* buffer, int64_t n,
                  const RmspropNumbers& c);
  void (*adagrad)(T* p, const T* g, T* sum, int64_t n, const AdagradNumbers& c);
  void (*rules[int(OptimRule::Count)])(T* p, const T* g, T* first, T* second, int64_t n,
                                       const RuleNumbers& c);
};

struct OptimTables {
  OptimKernels<float> f32;
  OptimKernels<double> f64;
};
namespace optim_base {
extern const OptimTables tables;
}
namespace optim_avx2 {
extern const OptimTables tables;
}
namespace optim_avx512 {
extern const OptimTables tables;
}

} // namespace flambeau
