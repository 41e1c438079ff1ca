// The graph: nodes with edges to the nodes of their inputs, saved tensors, hooks, leaf metadata.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "../core/tensor.h"

namespace flambeau {

using Grads = SmallVec<Tensor, 3>;

struct Edge {
  Ref<Node> node;
  int nr = 0; // which output of that node
};

// A user's function called with a gradient; an undefined result keeps the gradient.
struct Hook : Counted<Hook> {
  virtual ~Hook() = default;
  virtual Tensor call(const Tensor& grad) = 0;
  // Node hooks: (grads of inputs, grads of outputs) -> replacement, or empty.
  virtual Grads call_node(const Grads& grad_inputs, const Grads& grad_outputs) = 0;
  virtual void* object() const { return nullptr; } // the Python callable, for the collector
  static void destroy(Hook* h) { delete h; }
  int64_t id = 0;
};

// What a node promises of each of its outputs: gradients that arrive are fitted to it.
struct OutputMeta {
  Dims shape;
  DType dtype;
  Device device;
  bool operator==(const OutputMeta&) const = default;
};

struct SavedTensor {
  Tensor value;
  uint32_t version = 0;
  bool is_output = false;
  int output_nr = 0;
};

struct Node : Counted<Node> {
  uint64_t sequence; // later ops run first in backward
  SmallVec<Edge, 2> next;
  SmallVec<OutputMeta, 1> outputs;
  SmallVec<SavedTensor, 2> saved;
  bool released = false;
  struct OutputHook {
    int nr;
    Ref<Hook> hook;
  };
  struct Extras {                         // rarely there
    std::vector<OutputHook> output_hooks; // on the gradient of one output
    std::vector<Ref<Hook>> pre_hooks, post_hooks;
    std::string made_at; // the user's line, in anomaly mode
  };
  std::unique_ptr<Extras> extras;
  void* pyobj = nullptr; // the Python wrapper while one lives (borrowed)
  // Scratch of the running engine.
  uint64_t run = 0;
  uint32_t slot = 0;

  Node();
  virtual ~Node() = default;
  virtual std::string name() const = 0;
  // Gradients of the inputs, in the order of `next`; undefined where there is none.
  virtual Grads vjp(const Grads& grads) = 0;
  virtual void release_saved();
  virtual TensorImpl* leaf() const { return nullptr; }
  bool needs(int i) const { return i < next.size() && next[i].node; }
  void save(const Tensor& t, bool is_output = false, int output_nr = 0);
  Tensor unpack(int i);
  Extras& make_extras();
  static void destroy(Node* n); // iterative: a graph may be a million nodes deep
};

struct AutogradMeta {
  bool requires_grad = false; // of a leaf
  bool multi_view = false;    // one of several views made by one call (split, unbind)
  Tensor grad;
  Ref<Node> grad_fn;
  int output_nr = 0;
  Node* accumulator = nullptr;    // not owned; cleared by the node
  struct Extras {                 // rarely there
    std::vector<Ref<Hook>> hooks; // of a leaf
    std::vector<Ref<Hook>> post_accumulate_hooks;
    Hook* retain_hook = nullptr; // not owned; lives in grad_fn
    std::string name;
    ~Extras();
  };
  std::unique_ptr<Extras> extras;
  Extras& make_extras() {
    if (!extras) extras = std::make_unique<Extras>();
    return *extras;
  }
};

// Grad mode, per thread.
struct Modes {
  bool grad = true, inference = false;
};
extern constinit thread_local Modes modes;
inline bool grad_enabled() { return modes.grad; }
inline void set_grad_enabled(bool on) { modes.grad = on; }
inline bool inference_enabled() { return modes.inference; }
inline void set_inference_enabled(bool on) { modes.inference = on; }
struct GradMode {
  explicit GradMode(bool on) : before(grad_enabled()) { set_grad_enabled(on); }
  ~GradMode() { set_grad_enabled(before); }
  bool before;
};
struct NoGrad : GradMode {
  NoGrad() : GradMode(false) {}
};

Edge gradient_edge(const Tensor& t); // grad_fn, or the leaf's accumulator, or none
void set_history(const Tensor& out, const Ref<Node>& node, int nr = 0);
Ref<Node> make_accumulator(const Tensor& leaf);
void retain_grad(const Tensor& t);
Tensor detach(const Tensor& t);

// In-place writes: call check first, then write the values, then record.
void check_inplace(const Tensor& t, const char* op);
// `result` carries the history that t takes over (undefined: only counts the write).
void record_inplace(const Tensor& t, const Tensor& result);
// The same when the write has been counted already.
void record_written(const Tensor& t, const Tensor& result);

struct BackwardOptions {
  bool keep_graph = false;
  bool create_graph = false;
  bool accumulate = true; // into .grad of leaves (or of `inputs`)
  bool allow_unused = true;
};
// The reverse walk. With `inputs`, only what they need runs and their gradients come back.
Tensors run_backward(const Tensors& roots, const Tensors& grads, const Tensors& inputs,
                     const BackwardOptions& options);

bool anomaly_enabled();
bool anomaly_checks_nan();
void set_anomaly(bool on, bool check_nan);
extern std::string (*where_in_user_code)(); // filled by the Python binding

} // namespace flambeau
