// Derivatives of an op through the ops it is made of.
#include "by_ops.h"

namespace flambeau {

Grads vjp_by_ops(const Saved& s, const Inputs& in, const Grads& grads,
                 const std::function<Tensors(const Inputs&)>& f) {
  GradMode on(true);
  Inputs own; // nodes of their own, so that a gradient stops at the input it belongs to
  Tensors wanted, outputs, seeds;
  for (int i = 0; i < in.size(); ++i) {
    const bool needed = in[i].defined() && s.needs(i);
    own.push_back(needed ? view(in[i], in[i].shape()) : in[i]);
    if (needed) wanted.push_back(own.back());
  }
  Tensors results = f(own);
  for (size_t i = 0; i < results.size(); ++i) {
    if (!grads[int(i)].defined() || !results[i].requires_grad()) continue;
    outputs.push_back(results[i]);
    seeds.push_back(grads[int(i)]);
  }
  BackwardOptions options;
  options.keep_graph = options.create_graph = true;
  options.accumulate = false;
  Tensors found = run_backward(outputs, seeds, wanted, options);
  Grads r(in.size(), Tensor());
  size_t next = 0;
  for (int i = 0; i < in.size(); ++i)
    if (in[i].defined() && s.needs(i)) r[i] = found[next++];
  return r;
}

} // namespace flambeau
