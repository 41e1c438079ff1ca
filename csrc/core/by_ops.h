// Derivatives of an op through the ops it is made of, for those that are differentiated again.
#pragma once
#include <functional>

#include "../ops/ops.h"
#include "op.h"

namespace flambeau {

// The gradients of `f`, which computes the op's outputs from its inputs with ops: f runs anew and
// is walked backwards.
Grads vjp_by_ops(const Saved& s, const Inputs& in, const Grads& grads,
                 const std::function<Tensors(const Inputs&)>& f);

} // namespace flambeau
