// backward(): one walk over the graph in reverse order of creation; leaves accumulate.
#include <algorithm>
#include <unordered_map>

#include "../ops/ops.h"
#include "node.h"

namespace flambeau {
namespace {

struct Slot { // a node's state during one run
  Node* node;
  uint32_t waiting = 0; // gradients still to come
  bool needed = true;
  bool visited_children = false;
  Grads grads;
  SmallVec<int, 1> captures; // positions among the requested inputs, (input << 8 | nr)
};

uint64_t run_counter = 0;

// Shape and dtype of a gradient are made those of the value it belongs to.
Tensor fit(Tensor g, const Node& to, int nr, const Node& from) {
  const OutputMeta& m = to.outputs[nr];
  if (!(g.shape() == m.shape)) {
    FB_CHECK(can_sum_to(g.shape(), m.shape), "Function ", from.name(),
             " returned an invalid gradient at index ", nr, " - got ", g.shape(),
             " but expected shape compatible with ", m.shape);
    g = sum_to(g, m.shape);
  }
  if (g.dtype() != m.dtype) {
    if (is_complex(g.dtype()) && !is_complex(m.dtype)) g = real(g);
    if (g.dtype() != m.dtype) g = to_dtype(g, m.dtype);
  }
  return g;
}

class Run {
 public:
  Run(const BackwardOptions& options) : options_(options), id_(++run_counter) {}

  Tensors go(const SmallVec<Edge, 2>& roots, const Tensors& grads, const SmallVec<Edge, 2>& wanted,
             int n_inputs) {
    discover(roots);
    captured_.resize(size_t(n_inputs));
    if (n_inputs) mark_needed(wanted);
    for (int i = 0; i < roots.size(); ++i)
      if (roots[i].node) add(slot_of(roots[i].node.get()), roots[i].nr, grads[size_t(i)]);
    for (const Edge& r : roots)
      if (r.node) push_if_ready(slot_of(r.node.get()));
    while (!ready_.empty()) {
      std::pop_heap(ready_.begin(), ready_.end());
      uint32_t s = ready_.back().second;
      ready_.pop_back();
      execute(s);
    }
    return std::move(captured_);
  }

 private:
  using Ready = std::pair<uint64_t, uint32_t>;

  uint32_t slot_of(Node* n) {
    if (n->run == id_) return n->slot;
    if (run_counter == id_) return UINT32_MAX;
    // Another run, nested in a hook or in another thread, may have taken the node's scratch.
    if (moved_.empty())
      for (int s = 0; s < slots_.size(); ++s) moved_.emplace(slots_[s].node, uint32_t(s));
    auto it = moved_.find(n);
    return it == moved_.end() ? UINT32_MAX : it->second;
  }
  uint32_t make_slot(Node* n) {
    uint32_t s = uint32_t(slots_.size());
    Slot& slot = slots_.emplace_back();
    slot.node = n;
    slot.grads.resize(n->outputs.size());
    n->run = id_;
    n->slot = s;
    if (!moved_.empty()) moved_.emplace(n, s);
    return s;
  }

  // All reachable nodes, children before parents in `order_`, and how many gradients each awaits.
  void discover(const SmallVec<Edge, 2>& roots) {
    struct Frame {
      uint32_t slot;
      int child;
    };
    SmallVec<Frame, 16> stack;
    auto visit = [&](Node* n) {
      if (slot_of(n) != UINT32_MAX) return;
      stack.push_back({make_slot(n), 0});
    };
    for (const Edge& r : roots) {
      if (!r.node) continue;
      visit(r.node.get());
      while (!stack.empty()) {
        Frame& f = stack.back();
        Node* n = slots_[f.slot].node;
        if (f.child == n->next.size()) {
          order_.push_back(f.slot);
          stack.pop_back();
          continue;
        }
        Node* c = n->next[f.child++].node.get();
        if (!c) continue;
        visit(c);
        ++slots_[slot_of(c)].waiting;
      }
    }
  }

  void mark_needed(const SmallVec<Edge, 2>& wanted) {
    for (Slot& s : slots_) s.needed = false;
    for (int i = 0; i < wanted.size(); ++i) {
      if (!wanted[i].node) continue;
      uint32_t s = slot_of(wanted[i].node.get());
      if (s == UINT32_MAX) continue;
      slots_[s].captures.push_back(i << 8 | wanted[i].nr);
      slots_[s].needed = true;
    }
    for (uint32_t s : order_) // children come first
      for (const Edge& e : slots_[s].node->next)
        if (e.node && slots_[slot_of(e.node.get())].needed) slots_[s].needed = true;
  }

  void add(uint32_t slot, int nr, Tensor g) {
    Tensor& at = slots_[slot].grads[nr];
    at = at.defined() ? flambeau::add(at, g) : std::move(g);
  }

  void push_if_ready(uint32_t s) {
    Slot& slot = slots_[s];
    if (slot.waiting || slot.visited_children) return;
    slot.visited_children = true;
    ready_.emplace_back(slot.node->sequence, s);
    std::push_heap(ready_.begin(), ready_.end());
  }

  void execute(uint32_t s) {
    Node* n = slots_[s].node;
    Ref<Node> keep(n);
    Grads grads = std::move(slots_[s].grads);
    bool any = false;
    for (const Tensor& g : grads) any = any || g.defined();
    bool run = any && slots_[s].needed;
    if (run) run_hooks(n, grads);
    for (int c : slots_[s].captures) captured_[size_t(c >> 8)] = grads[c & 255];
    Grads results;
    bool only_captured = !slots_[s].captures.empty() && n->leaf() && !options_.accumulate;
    if (run && !only_captured && wants_children(s)) {
      FB_CHECK(!n->released,
               "Trying to backward through the graph a second time (or directly access saved "
               "tensors after they have already been freed). Saved intermediate values of the "
               "graph are freed when you call .backward() or autograd.grad(). Specify "
               "retain_graph=True if you need to backward through the graph a second time or if "
               "you need to access saved tensors after calling backward.");
      results = n->vjp(grads);
      if (n->extras)
        for (auto& h : n->extras->post_hooks) {
          Grads replaced = h->call_node(results, grads);
          if (!replaced.empty()) results = replaced;
        }
      if (anomaly_enabled() && anomaly_checks_nan()) check_nan(n, results);
      if (!options_.keep_graph) n->release_saved();
    }
    for (int i = 0; i < n->next.size(); ++i) {
      const Edge& e = n->next[i];
      if (!e.node) continue;
      uint32_t child = slot_of(e.node.get());
      if (i < results.size() && results[i].defined() && slots_[child].needed)
        add(child, e.nr, fit(std::move(results[i]), *e.node, e.nr, *n));
      --slots_[child].waiting;
      push_if_ready(child);
    }
  }

  bool wants_children(uint32_t s) {
    Node* n = slots_[s].node;
    if (n->leaf() || captured_.empty()) return true;
    for (const Edge& e : n->next)
      if (e.node && slots_[slot_of(e.node.get())].needed) return true;
    return false;
  }

  void run_hooks(Node* n, Grads& grads) {
    if (TensorImpl* leaf = n->leaf(); leaf && leaf->meta->extras) {
      auto hooks = leaf->meta->extras->hooks; // a hook may remove itself
      for (auto& h : hooks) {
        Tensor r = h->call(grads[0]);
        if (r.defined()) grads[0] = r;
      }
    }
    if (!n->extras) return;
    auto output_hooks = n->extras->output_hooks;
    for (auto& h : output_hooks) {
      if (!grads[h.nr].defined()) continue;
      Tensor r = h.hook->call(grads[h.nr]);
      if (r.defined()) grads[h.nr] = r;
    }
    auto pre = n->extras->pre_hooks;
    for (auto& h : pre) {
      Grads replaced = h->call_node({}, grads);
      if (!replaced.empty()) grads = replaced;
    }
  }

  void check_nan(Node* n, const Grads& results) {
    for (int i = 0; i < results.size(); ++i)
      if (results[i].defined() && is_inexact(results[i].dtype()) && has_nan(results[i]))
        fail(ErrorKind::Runtime, "Function '", n->name(), "' returned nan values in its ", i,
             "th output.",
             n->extras ? " The forward call was made at:\n" + n->extras->made_at : std::string());
  }

  const BackwardOptions& options_;
  uint64_t id_;
  SmallVec<Slot, 16> slots_; // as much as a small graph needs lies on the stack
  SmallVec<uint32_t, 16> order_;
  std::unordered_map<Node*, uint32_t> moved_;
  SmallVec<Ready, 16> ready_; // a heap
  Tensors captured_;
};

Tensor root_grad(const Tensor& root, const Tensor& grad) {
  FB_CHECK(root.requires_grad(),
           "element 0 of tensors does not require grad and does not have a "
           "grad_fn: nothing in its computation had requires_grad=True, or it was made under "
           "no_grad()");
  if (!grad.defined()) {
    FB_CHECK(root.numel() == 1,
             "grad can be implicitly created only for scalar outputs, but the "
             "output has shape ",
             root.shape(),
             ": pass gradient=, or reduce it with .sum() or "
             ".mean()");
    FB_CHECK(!is_complex(root.dtype()),
             "grad can be implicitly created only for real scalar "
             "outputs but got ",
             root.dtype());
    return full(root.shape(), 1.0, root.dtype(), root.device());
  }
  if (!(grad.shape() == root.shape())) {
    Dims turned(grad.shape().end() - grad.shape().size(), grad.shape().end());
    std::reverse(turned.begin(), turned.end());
    fail(ErrorKind::Runtime, "Mismatch in shape: grad_output[0] has a shape of ", grad.shape(),
         " and output[0] has a shape of ", root.shape(), ".",
         turned == root.shape() ? " Did you mean to pass its transpose, .t()?" : "");
  }
  FB_CHECK(is_complex(grad.dtype()) == is_complex(root.dtype()),
           "For complex Tensors, both grad_output and output are required to have the same dtype. "
           "Mismatch in dtype: grad_output[0] has a dtype of ",
           grad.dtype(), " and output[0] has a dtype of ", root.dtype(), ".");
  return grad.dtype() == root.dtype() ? grad : to_dtype(grad, root.dtype());
}

} // namespace

Tensors run_backward(const Tensors& roots, const Tensors& grads, const Tensors& inputs,
                     const BackwardOptions& options) {
  GradMode mode(options.create_graph);
  SmallVec<Edge, 2> edges, wanted;
  Tensors seeds;
  for (size_t i = 0; i < roots.size(); ++i) {
    seeds.push_back(root_grad(roots[i], i < grads.size() ? grads[i] : Tensor()));
    edges.push_back(gradient_edge(roots[i]));
  }
  for (const Tensor& t : inputs) {
    FB_CHECK(t.requires_grad(), "One of the differentiated Tensors does not require grad");
    wanted.push_back(gradient_edge(t));
  }
  BackwardOptions o = options;
  if (!inputs.empty()) o.accumulate = false;
  Run run(o);
  Tensors got = run.go(edges, seeds, wanted, int(inputs.size()));
  for (size_t i = 0; i < got.size(); ++i)
    FB_CHECK(got[i].defined() || options.allow_unused,
             "One of the differentiated Tensors appears to not have been used in the graph. Set "
             "allow_unused=True if this is the desired behavior.");
  return got;
}

} // namespace flambeau
