// apply(): infer, allocate, run the kernel of the inputs' device, record.
#include "op.h"

#include "../cuda/elementwise.h"
#include "../ops/ops.h"

namespace flambeau {

Tensor Saved::input(int i) const {
  int at = __builtin_popcount(node.saved_inputs & ((1u << i) - 1));
  FB_CHECK(node.saved_inputs >> i & 1, node.op->name(), ": input ", i, " was not saved");
  return node.unpack(at);
}
Tensor Saved::output(int i) const {
  int at = __builtin_popcount(node.saved_inputs) +
           __builtin_popcount(node.saved_outputs & ((1u << i) - 1));
  FB_CHECK(node.saved_outputs >> i & 1, node.op->name(), ": output ", i, " was not saved");
  return node.unpack(at);
}
bool Saved::needs(int i) const { return node.needs(i); }

Grads Op::vjp(const Saved&, const Grads&) {
  FB_NOT_IMPLEMENTED("derivative for ", name(), " is not implemented");
}

std::string backward_name(const char* op) {
  std::string s;
  bool up = true;
  for (const char* c = op; *c; ++c) {
    if (*c == '_') {
      up = true;
      continue;
    }
    s += up ? char(std::toupper(*c)) : *c;
    up = false;
  }
  return s + "Backward0";
}

std::string OpNode::name() const { return backward_name(op->name()); }

OpNode* OpNode::create(Op& op) {
  auto* block = static_cast<char*>(::operator new(sizeof(OpNode) + op.bytes()));
  auto* node = new (block) OpNode;
  node->op = op.moved_to(block + sizeof(OpNode));
  return node;
}

Grads OpNode::vjp(const Grads& grads) { return op->vjp(Saved{*this}, grads); }

bool wants_grad(const Inputs& in) {
  if (!grad_enabled()) return false;
  for (const Tensor& t : in)
    if (t.defined() && t.requires_grad()) return true;
  return false;
}

void record(Op& op, const Inputs& in, const Outputs& out) {
  Saves saves = op.saves(in);
  uint32_t skip = op.not_differentiable();
  auto* node = OpNode::create(op);
  Ref<Node> ref = Ref<Node>::adopt(node);
  node->saved_inputs = saves.inputs;
  node->saved_outputs = saves.outputs;
  for (const Tensor& t : in) node->next.emplace_back(t.defined() ? gradient_edge(t) : Edge{});
  for (int i = 0; i < in.size(); ++i)
    if (saves.inputs >> i & 1) node->save(in[i]);
  for (int i = 0; i < out.size(); ++i) {
    if ((skip >> i & 1) || !is_inexact(out[i].dtype())) {
      node->outputs.emplace_back(out[i].shape(), out[i].dtype(), out[i].device());
      continue;
    }
    set_history(out[i], ref, i);
  }
  for (int i = 0; i < out.size(); ++i)
    if (saves.outputs >> i & 1) node->save(out[i], true, i);
}

void host_round_trip(Op& op, const Inputs& in, Outputs& out) {
  NoGrad off;
  Inputs here;
  for (const Tensor& t : in) here.push_back(t.defined() ? on_host(t) : t);
  Outputs results;
  for (const Tensor& t : out) results.push_back(empty_strided(t.shape(), t.strides(), t.dtype()));
  op.cpu(here, results);
  for (int i = 0; i < out.size(); ++i) copy_values(out[i], results[i]);
}

// Numbers of the host join the others on the GPU.
static Inputs on_device(const Inputs& in, Device device) {
  Inputs r = in;
  for (Tensor& t : r)
    if (t.defined() && t.device().is_cpu()) {
      Tensor moved = empty(t.shape(), t.dtype(), device);
      cuda::copy(moved, t);
      t = moved;
    }
  return r;
}

Outputs apply_all(Op& op, const Inputs& in) {
  Specs specs = op.infer(in);
  Device device;
  for (const Tensor& t : in)
    if (t.defined()) {
      device = t.device();
      if (t.dim() || !device.is_cpu()) break; // a 0-d tensor of the host joins any device
    }
  for (const Tensor& t : in)
    FB_CHECK(!t.defined() || t.device() == device || (t.dim() == 0 && t.device().is_cpu()),
             op.name(),
             ": Expected all tensors to be on the same device, but found at least two "
             "devices, ",
             device, " and ", t.device(), "!");
  Outputs out;
  for (const Spec& s : specs)
    out.push_back(s.strides.empty() ? empty(s.shape, s.dtype, device)
                                    : empty_strided(s.shape, s.strides, s.dtype, device));
  if (device.is_cpu())
    op.cpu(in, out);
  else if (device.is_cuda())
    op.cuda(on_device(in, device), out);
  if (inference_enabled())
    for (Tensor& t : out) t.impl()->inference = true;
  if (wants_grad(in)) record(op, in, out);
  return out;
}

Tensor apply(Op&& op, const Inputs& in) { return apply_all(op, in)[0]; }

bool begin_view(const Tensor& in, const Tensor& out) {
  TensorImpl& v = *out.impl();
  if (inference_enabled()) v.inference = true;
  if (!grad_enabled() || v.inference) return false;
  v.base = in.impl()->base ? in.impl()->base : Ref<TensorImpl>(in.impl());
  v.view_version = out.version();
  return in.requires_grad();
}
void record_view(Op& op, const Tensor& in, const Tensor& out, bool multi) {
  record(op, {in}, {out});
  if (AutogradMeta* m = out.meta()) m->multi_view = multi;
}
Tensor finish_view(Op& op, const Tensor& in, Tensor out) {
  if (begin_view(in, out)) record_view(op, in, out, false);
  return out;
}

} // namespace flambeau
