// Fused optimizer steps on a GPU: a launch for some fifty tensors.
#pragma once
#include "../core/tensor.h"

namespace flambeau::cuda {

enum class OptimRule { Adam, Sgd, Rmsprop, Adagrad };

struct OptimNumbers { // as in kernels/optim.cuh, which says what they mean
  double lr = 0, keep1 = 0, keep2 = 0, eps = 0, penalty = 0, decay = 0;
  uint64_t lr_at = 0;
  int wide_lr = 0, wide_steps = 0, steps_here = 0;
  int maximize = 0, flag = 0;
};

// lists: parameters, gradients, then the rule's states; a list may be empty, the others have one
// tensor each for a parameter, alike in dtype and layout. Steps: `counters` on the same GPU,
// already counted up, or their values.
void optim_step(OptimRule rule, const SmallVec<const Tensors*, 6>& lists, const Tensors& counters,
                const std::vector<double>& steps, OptimNumbers numbers);
// Adds one to each counter of one element, all float32 or all float64.
void count_up(const Tensors& counters);

} // namespace flambeau::cuda
