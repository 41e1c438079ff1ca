// Nodes, leaf accumulators, grad mode, and how in-place writes rewrite history.
#include "node.h"

#include "../core/op.h"
#include "../ops/as_strided.h"
#include "../ops/ops.h"

namespace flambeau {
namespace {

uint64_t next_sequence = 1;
bool anomaly_on = false, anomaly_nan = true;

// A leaf's gradient arrives here.
struct AccumulateGrad final : Node {
  Tensor variable;
  explicit AccumulateGrad(const Tensor& v) : variable(v) {
    sequence = UINT64_MAX;
    outputs.push_back({v.shape(), v.dtype(), v.device()});
  }
  ~AccumulateGrad() override {
    if (variable.meta()) variable.meta()->accumulator = nullptr;
  }
  std::string name() const override { return "AccumulateGrad"; }
  TensorImpl* leaf() const override { return variable.impl(); }

  Grads vjp(const Grads& grads) override {
    accumulate_grad(variable, grads[0]);
    if (auto& extras = variable.meta()->extras) {
      auto after = extras->post_accumulate_hooks; // a hook may remove itself
      for (auto& h : after) h->call(variable);
    }
    return {};
  }
  void release_saved() override {}
};

struct RetainGrad final : Hook {
  TensorImpl* target; // cleared when the tensor dies
  explicit RetainGrad(TensorImpl* t) : target(t) {}
  Tensor call(const Tensor& g) override {
    if (target && target->meta) {
      Tensor& at = target->meta->grad;
      at = at.defined() ? add(at, g) : g;
    }
    return {};
  }
  Grads call_node(const Grads&, const Grads&) override { return {}; }
};

} // namespace

constinit thread_local Modes modes;
bool anomaly_enabled() { return anomaly_on; }
bool anomaly_checks_nan() { return anomaly_nan; }
void set_anomaly(bool on, bool check_nan) {
  anomaly_on = on;
  anomaly_nan = check_nan;
}
std::string (*where_in_user_code)() = nullptr;

Node::Node() : sequence(next_sequence++) {
  if (anomaly_on && where_in_user_code) make_extras().made_at = where_in_user_code();
}

// Destroying a node drops its children; a chain of a million must not recurse.
void Node::destroy(Node* n) {
  static thread_local std::vector<Node*>* pending = nullptr;
  if (pending) {
    pending->push_back(n);
    return;
  }
  std::vector<Node*> list{n};
  pending = &list;
  while (!list.empty()) {
    Node* x = list.back();
    list.pop_back();
    delete x;
  }
  pending = nullptr;
}

void Node::save(const Tensor& t, bool is_output, int output_nr) {
  if (!t.defined()) {
    saved.push_back({});
    return;
  }
  FB_CHECK(!t.impl()->inference,
           "Inference tensors cannot be saved for backward. To work around "
           "you can make a clone to get a normal tensor and use it in autograd.");
  saved.emplace_back(is_output ? alias(t) : t, t.version(), is_output, output_nr);
}

Tensor Node::unpack(int i) {
  SavedTensor& s = saved[i];
  FB_CHECK(!released,
           "Trying to backward through the graph a second time (or directly access "
           "saved tensors after they have already been freed). Saved intermediate values of the "
           "graph are freed when you call .backward() or autograd.grad(). Specify "
           "retain_graph=True if you need to backward through the graph a second time or if you "
           "need to access saved tensors after calling backward.");
  if (!s.value.defined()) return {};
  FB_CHECK(s.value.version() == s.version,
           "one of the variables needed for gradient computation has been modified by an inplace "
           "operation: [",
           describe(s.value), "], ", s.is_output ? "which is output " : "input of ",
           s.is_output ? std::to_string(s.output_nr) + " of " : std::string(), name(),
           ", is at version ", s.value.version(), "; expected version ", s.version,
           " instead. Hint: ",
           extras && !extras->made_at.empty()
               ? "the value was saved at:\n" + extras->made_at
               : std::string("enable anomaly detection, with autograd.set_detect_anomaly(True), to "
                             "find the operation whose value was overwritten; use the "
                             "out-of-place form (no trailing _) or .clone() before the write."));
  if (!s.is_output) return s.value;
  Tensor t = alias(s.value);
  set_history(t, Ref<Node>(this), s.output_nr);
  return t;
}

Node::Extras& Node::make_extras() {
  if (!extras) extras = std::make_unique<Extras>();
  return *extras;
}

void Node::release_saved() {
  saved.clear();
  released = true;
}

AutogradMeta::Extras::~Extras() {
  if (retain_hook) static_cast<RetainGrad*>(retain_hook)->target = nullptr;
}

AutogradMeta& Tensor::make_meta() const {
  if (!p_->meta) p_->meta = std::make_unique<AutogradMeta>();
  return *p_->meta;
}

bool Tensor::in_graph() const {
  auto holds = [](const TensorImpl* t) {
    return t->meta && (t->meta->requires_grad || t->meta->grad_fn);
  };
  return holds(p_.get()) || (p_->base && holds(p_->base.get())); // a base is no view itself
}

bool Tensor::is_leaf() const { return !requires_grad() || (meta() && meta()->requires_grad); }
Tensor Tensor::grad() const { return meta() ? meta()->grad : Tensor(); }

Ref<Node> Tensor::grad_fn() const {
  if (p_->base && p_->view_version != version()) {
    Tensor base(p_->base.get());
    Ref<Node> base_fn = base.grad_fn();
    if (base_fn) { // the base was written since: the view's history is now a slice of its
      GradMode on(true);
      Tensor again = as_strided(base, shape(), strides(), offset());
      make_meta();
      meta()->grad_fn = again.meta()->grad_fn;
      meta()->output_nr = again.meta()->output_nr;
      p_->view_version = version();
    }
  }
  return meta() ? meta()->grad_fn : Ref<Node>();
}

Edge gradient_edge(const Tensor& t) {
  if (!t.requires_grad()) return {};
  if (Ref<Node> fn = t.grad_fn()) return {std::move(fn), t.meta()->output_nr};
  if (t.meta() && t.meta()->requires_grad) return {make_accumulator(t), 0};
  return {};
}

Ref<Node> make_accumulator(const Tensor& leaf) {
  AutogradMeta& m = leaf.make_meta();
  if (m.accumulator) return Ref<Node>(m.accumulator);
  auto r = Ref<Node>::adopt(new AccumulateGrad(leaf));
  m.accumulator = r.get();
  return r;
}

void set_history(const Tensor& out, const Ref<Node>& node, int nr) {
  AutogradMeta& m = out.make_meta();
  while (node->outputs.size() <= nr)
    node->outputs.emplace_back(out.shape(), out.dtype(), out.device());
  m.grad_fn = node;
  m.output_nr = nr;
}

void retain_grad(const Tensor& t) {
  FB_CHECK(t.requires_grad(), "can't retain_grad on Tensor that has requires_grad=False");
  if (t.is_leaf() || (t.meta()->extras && t.meta()->extras->retain_hook)) return;
  Ref<Node> fn = t.grad_fn();
  auto* hook = new RetainGrad(t.impl());
  t.meta()->make_extras().retain_hook = hook;
  fn->make_extras().output_hooks.push_back({t.meta()->output_nr, Ref<Hook>::adopt(hook)});
}

Tensor detach(const Tensor& t) { return alias(t); }

void check_inplace(const Tensor& t, const char* op) {
  FB_CHECK(!t.storage().readonly, op,
           ": the tensor is read-only (it shares the memory of a "
           "read-only array): use .clone() to get one you can write to");
  if (t.impl()->inference && !inference_enabled())
    FB_CHECK(!grad_enabled(),
             "Inplace update to inference tensor outside InferenceMode is not "
             "allowed. You can make a clone to get a normal tensor before doing inplace update.");
  if (!grad_enabled() || !t.requires_grad()) return;
  FB_CHECK(!(t.meta() && t.meta()->requires_grad),
           "a leaf Variable that requires grad is being used in an in-place operation (", op,
           "). Wrap the update in no_grad(), or work on a clone.");
  if (t.impl()->base) {
    Tensor base(t.impl()->base.get());
    FB_CHECK(!(base.meta() && base.meta()->requires_grad),
             "a view of a leaf Variable that requires grad is being used in an in-place "
             "operation (",
             op, "). Wrap the update in no_grad(), or work on a clone.");
  }
  FB_CHECK(!(t.meta() && t.meta()->multi_view), "Output ", t.meta() ? t.meta()->output_nr : 0,
           " of ", t.meta() && t.meta()->grad_fn ? t.meta()->grad_fn->name() : std::string(op),
           " is a view and is being modified inplace. This view is the output of a function that "
           "returns multiple views. Such functions do not allow the output views to be modified "
           "inplace. You should replace the inplace operation by an out-of-place one.");
}

void record_inplace(const Tensor& t, const Tensor& result) {
  t.bump_version();
  record_written(t, result);
}

void record_written(const Tensor& t, const Tensor& result) {
  Ref<Node> fn = result.defined() ? result.grad_fn() : Ref<Node>();
  if (!grad_enabled()) return;
  if (t.impl()->base && (fn || t.requires_grad())) {
    Tensor base(t.impl()->base.get());
    AsStridedScatter op(base, t.shape(), t.strides(), t.offset());
    Tensor old = alias(base); // carries the base's history from before the write
    if (base.requires_grad()) {
      Edge e = gradient_edge(base);
      set_history(old, e.node, e.nr);
    }
    Tensor src = result.defined() ? result : detach(t);
    Tensor carrier = alias(base);
    record(op, {old, src}, {carrier});
    AutogradMeta& m = base.make_meta();
    m.grad_fn = carrier.meta()->grad_fn;
    m.output_nr = carrier.meta()->output_nr;
    base.impl()->view_version = base.version();
    t.grad_fn(); // takes its new place in the base's history now
    return;
  }
  if (!fn) {
    if (t.meta() && t.meta()->grad_fn) t.meta()->grad_fn.reset();
    return;
  }
  AutogradMeta& m = t.make_meta();
  m.grad_fn = fn;
  m.output_nr = result.meta()->output_nr;
}

} // namespace flambeau
