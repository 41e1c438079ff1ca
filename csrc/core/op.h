// Op: a primitive that answers for itself, and apply(), the one path by which all of them run.
#pragma once
#include "../autograd/node.h"
#include "tensor.h"

namespace flambeau {

using Inputs = SmallVec<Tensor, 3>;
using Outputs = SmallVec<Tensor, 2>;

struct Spec { // what an output will be
  Dims shape;
  DType dtype;
  Dims strides = {}; // empty: contiguous
};
using Specs = SmallVec<Spec, 2>;

struct Saves { // bit i: input (output) i is kept for vjp
  uint32_t inputs = 0, outputs = 0;
};

struct OpNode;

// The context of a vjp: saved values, and which inputs want a gradient.
struct Saved {
  OpNode& node;
  Tensor input(int i) const;
  Tensor output(int i = 0) const;
  bool needs(int i) const;
};

// An op is a small value: its parameters. Derive from OpOf<Yourself>.
struct Op {
  virtual ~Op() = default;
  virtual const char* name() const = 0;
  virtual Specs infer(const Inputs& in) = 0;
  virtual void cpu(const Inputs& in, Outputs& out) = 0;
  // All inputs with dimensions, and all outputs, are on one GPU.
  virtual void cuda(const Inputs& in, Outputs& out) = 0;
  virtual Saves saves(const Inputs&) const { return {}; }
  // Gradients of the inputs from those of the outputs, written with ops.
  virtual Grads vjp(const Saved&, const Grads&);
  virtual uint32_t not_differentiable() const { return 0; } // bit i: output i
  // For the graph, which keeps the op in the block of its node.
  virtual size_t bytes() const = 0;
  virtual Op* moved_to(void* place) = 0;
};
template<class D>
struct OpOf : Op {
  size_t bytes() const override { return sizeof(D); }
  Op* moved_to(void* place) override { return new (place) D(std::move(static_cast<D&>(*this))); }
};

struct alignas(16) OpNode final : Node {
  Op* op; // behind the node, in its block
  uint32_t saved_inputs = 0, saved_outputs = 0;
  static OpNode* create(Op& op); // moves it
  ~OpNode() override { op->~Op(); }
  static void operator delete(void* p) { ::operator delete(p); }
  std::string name() const override; // "AddBackward0"
  Grads vjp(const Grads& grads) override;
};

// An op's GPU half by way of the host, where no kernel is worth its while: waits for the GPU.
void host_round_trip(Op& op, const Inputs& in, Outputs& out);

// Runs the op: infer, allocate, kernel, record.
Outputs apply_all(Op& op, const Inputs& in);
Tensor apply(Op&& op, const Inputs& in);
// The record step alone, for ops that make their outputs themselves (views, elementwise).
bool wants_grad(const Inputs& in);
void record(Op& op, const Inputs& in, const Outputs& out);

// View ops: `out` is an alias of `in` made by the caller; keeps track of the base.
Tensor finish_view(Op& op, const Tensor& in, Tensor out);
// Its halves: the op is needed only where begin_view says that the view is to be recorded.
bool begin_view(const Tensor& in, const Tensor& out);
void record_view(Op& op, const Tensor& in, const Tensor& out, bool multi);

std::string backward_name(const char* op);

} // namespace flambeau
