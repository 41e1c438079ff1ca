// Autograd for Python: nodes, hooks, modes, backward, and functions written in Python.
#include "../autograd/node.h"

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <frameobject.h>
#include <structmember.h>

#include <cstring>
#include <map>

#include "../core/elementwise.h"
#include "../cpu/parallel.h"
#include "py.h"

namespace flambeau::py {

PyTypeObject* NodeType;

namespace {

struct PyNode {
  PyObject_HEAD Node* node;
  PyObject* dict;
};

// A Python callable as a hook.
struct PyHook final : Hook {
  PyObject* fn;
  bool on_tensor_result; // false: the result is ignored (post-accumulate hooks)
  PyHook(PyObject* f, int64_t n, bool r = true)
      : fn(Obj::borrow(f).release()), on_tensor_result(r) {
    id = n;
  }
  ~PyHook() override { Py_DECREF(fn); }
  void* object() const override { return fn; }
  Tensor call(const Tensor& g) override {
    Obj arg(wrap(g));
    Obj r(check(PyObject_CallFunctionObjArgs(fn, arg.get(), nullptr)));
    if (r.get() == Py_None || !on_tensor_result) return {};
    FB_CHECK_TYPE(is_tensor(r.get()), "expected a Tensor, but hook returned '",
                  Py_TYPE(r.get())->tp_name, "'");
    Tensor t = tensor_of(r.get());
    FB_CHECK(t.shape() == g.shape(), "hook '", Py_TYPE(fn)->tp_name,
             "' has changed the size of value: ", g.shape(), " to ", t.shape());
    return t;
  }
  Grads call_node(const Grads& in, const Grads& out) override {
    Obj b(tuple(out)), r;
    if (pre) {
      r = Obj(check(PyObject_CallFunctionObjArgs(fn, b.get(), nullptr)));
    } else {
      Obj a(tuple(in));
      r = Obj(check(PyObject_CallFunctionObjArgs(fn, a.get(), b.get(), nullptr)));
    }
    if (r.get() == Py_None) return {};
    Obj seq(PyTuple_Check(r.get()) ? Obj::borrow(r.get()) : Obj(PyTuple_Pack(1, r.get())));
    Grads g;
    for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(seq.get()); ++i) {
      PyObject* o = PyTuple_GET_ITEM(seq.get(), i);
      g.push_back(is_tensor(o) ? tensor_of(o) : Tensor());
    }
    return g;
  }
  static PyObject* tuple(const Grads& g) {
    PyObject* t = check(PyTuple_New(g.size()));
    for (int i = 0; i < g.size(); ++i) PyTuple_SET_ITEM(t, i, wrap(g[i]));
    return t;
  }
  bool pre = false;
};
int64_t next_hook_id = 1;

// A user's autograd.Function: backward is Python.
struct FunctionNode final : Node {
  PyObject *ctx, *run;
  std::string label;
  bool materialize = true;
  FunctionNode(PyObject* c, PyObject* r)
      : ctx(Obj::borrow(c).release()), run(Obj::borrow(r).release()) {}
  ~FunctionNode() override {
    Py_XDECREF(ctx);
    Py_XDECREF(run);
  }
  std::string name() const override { return label; }
  Grads vjp(const Grads& grads) override {
    Obj args(check(PyTuple_New(grads.size() + 1)));
    PyTuple_SET_ITEM(args.get(), 0, Obj::borrow(ctx).release());
    for (int i = 0; i < grads.size(); ++i) {
      Tensor g = grads[i];
      if (!g.defined() && materialize)
        g = full(outputs[i].shape, Scalar(0), outputs[i].dtype, outputs[i].device);
      PyTuple_SET_ITEM(args.get(), i + 1, wrap(g));
    }
    Obj values(check(PyTuple_New(saved.size())));
    for (int i = 0; i < saved.size(); ++i) PyTuple_SET_ITEM(values.get(), i, wrap(unpack(i)));
    check(PyObject_SetAttrString(ctx, "_saved", values.get()));
    Obj r(PyObject_Call(run, args.get(), nullptr));
    PyObject *et, *ev, *tb;
    PyErr_Fetch(&et, &ev, &tb);
    PyObject_SetAttrString(ctx, "_saved", Py_None);
    PyErr_Restore(et, ev, tb);
    if (!r) fail_set();
    Obj seq(PyTuple_Check(r.get()) ? Obj::borrow(r.get()) : Obj(PyTuple_Pack(1, r.get())));
    Py_ssize_t n = PyTuple_GET_SIZE(seq.get());
    for (Py_ssize_t i = next.size(); i < n; ++i)
      FB_CHECK(PyTuple_GET_ITEM(seq.get(), i) == Py_None, "function ", label,
               " returned an incorrect number of gradients (expected ", next.size(), ", got ", n,
               ")");
    FB_CHECK(n >= next.size(), "function ", label,
             " returned an incorrect number of gradients (expected ", next.size(), ", got ", n,
             ")");
    Grads out;
    for (int i = 0; i < next.size(); ++i) {
      PyObject* o = PyTuple_GET_ITEM(seq.get(), i);
      FB_CHECK_TYPE(o == Py_None || is_tensor(o), "function ", label,
                    " returned a gradient of type ", Py_TYPE(o)->tp_name, " at position ", i,
                    ": a Tensor or None is expected");
      out.push_back(is_tensor(o) ? tensor_of(o) : Tensor());
    }
    return out;
  }
};

// Node objects --------------------------------------------------------------------------------

void node_dealloc(PyObject* self) {
  auto* p = reinterpret_cast<PyNode*>(self);
  PyTypeObject* type = Py_TYPE(self);
  p->node->pyobj = nullptr;
  Py_CLEAR(p->dict);
  p->node->release();
  type->tp_free(self);
  Py_DECREF(type);
}
Node* node_of(PyObject* o) { return reinterpret_cast<PyNode*>(o)->node; }
PyObject* node_repr(PyObject* self) {
  return PyUnicode_FromFormat("<%s object at %p>", node_of(self)->name().c_str(), node_of(self));
}
PyObject* node_name(PyObject* self, PyObject*) {
  return PyUnicode_FromString(node_of(self)->name().c_str());
}
PyObject* node_next(PyObject* self, void*) {
  Node* n = node_of(self);
  PyObject* t = PyTuple_New(n->next.size());
  for (int i = 0; i < n->next.size(); ++i)
    PyTuple_SET_ITEM(t, i, Py_BuildValue("(Ni)", wrap_node(n->next[i].node), n->next[i].nr));
  return t;
}
PyObject* node_variable(PyObject* self, void*) {
  TensorImpl* leaf = node_of(self)->leaf();
  if (!leaf) {
    PyErr_Format(PyExc_AttributeError, "'%s' object has no attribute 'variable'",
                 node_of(self)->name().c_str());
    return nullptr;
  }
  return wrap(Tensor(leaf));
}
PyObject* node_sequence(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(node_of(self)->sequence);
}
PyObject* add_node_hook(PyObject* self, PyObject* fn, bool pre) {
  FB_TRY
  auto* h = new PyHook(fn, next_hook_id++);
  h->pre = pre;
  auto& x = node_of(self)->make_extras();
  (pre ? x.pre_hooks : x.post_hooks).push_back(Ref<Hook>::adopt(h));
  return PyLong_FromLongLong(h->id);
  FB_CATCH(nullptr)
}
PyObject* node_add_hook(PyObject* self, PyObject* fn) { return add_node_hook(self, fn, false); }
PyObject* node_add_prehook(PyObject* self, PyObject* fn) { return add_node_hook(self, fn, true); }
template<class L>
void drop(L& list, int64_t id) {
  for (size_t i = 0; i < list.size(); ++i)
    if (list[i]->id == id) {
      list.erase(list.begin() + long(i));
      return;
    }
}
PyObject* node_remove_hook(PyObject* self, PyObject* id) {
  long long v = PyLong_AsLongLong(id);
  auto& x = node_of(self)->make_extras();
  drop(x.pre_hooks, v);
  drop(x.post_hooks, v);
  Py_RETURN_NONE;
}
PyMethodDef node_methods[] = {
    {"name", node_name, METH_NOARGS, "The node's name, such as 'AddBackward0'."},
    {"_sequence_nr", node_sequence, METH_NOARGS,
     "When it was made: later nodes have larger numbers."},
    {"_add_hook", node_add_hook, METH_O, nullptr},
    {"_add_prehook", node_add_prehook, METH_O, nullptr},
    {"_remove_hook", node_remove_hook, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyGetSetDef node_getset[] = {
    {"next_functions", node_next, nullptr, "The nodes of the inputs, with their output numbers.",
     nullptr},
    {"variable", node_variable, nullptr, "The leaf of an AccumulateGrad node.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyMemberDef node_members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(PyNode, dict), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};
PyType_Slot node_slots[] = {{Py_tp_dealloc, reinterpret_cast<void*>(node_dealloc)},
                            {Py_tp_repr, reinterpret_cast<void*>(node_repr)},
                            {Py_tp_methods, node_methods},
                            {Py_tp_getset, node_getset},
                            {Py_tp_members, node_members},
                            {Py_tp_doc, const_cast<char*>("A node of the recorded graph.")},
                            {0, nullptr}};
PyType_Spec node_spec = {
    "flambeau.autograd.Node", sizeof(PyNode), 0,
    Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_DISALLOW_INSTANTIATION, node_slots};

// Module functions ----------------------------------------------------------------------------

PyObject* f_grad_enabled(PyObject*, PyObject*) { return PyBool_FromLong(grad_enabled()); }
PyObject* f_set_grad(PyObject*, PyObject* on) {
  set_grad_enabled(PyObject_IsTrue(on));
  Py_RETURN_NONE;
}
PyObject* f_inference_enabled(PyObject*, PyObject*) { return PyBool_FromLong(inference_enabled()); }
PyObject* f_set_inference(PyObject*, PyObject* on) {
  set_inference_enabled(PyObject_IsTrue(on));
  Py_RETURN_NONE;
}
PyObject* f_set_anomaly(PyObject*, PyObject* args) {
  int on, nan;
  if (!PyArg_ParseTuple(args, "pp", &on, &nan)) return nullptr;
  set_anomaly(on, nan);
  Py_RETURN_NONE;
}
PyObject* f_anomaly(PyObject*, PyObject*) {
  return Py_BuildValue("(NN)", PyBool_FromLong(anomaly_enabled()),
                       PyBool_FromLong(anomaly_checks_nan()));
}

Tensors list_of_tensors(PyObject* o, const char* what, bool none_allowed) {
  Obj seq(check(PySequence_Fast(o, "expected a sequence of tensors")));
  Tensors r;
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(seq.get()); ++i) {
    PyObject* x = PySequence_Fast_GET_ITEM(seq.get(), i);
    FB_CHECK_TYPE(is_tensor(x) || (none_allowed && x == Py_None), what, " must be tensors, got ",
                  Py_TYPE(x)->tp_name);
    r.push_back(is_tensor(x) ? tensor_of(x) : Tensor());
  }
  return r;
}

// _run_backward(roots, grads, inputs, keep_graph, create_graph, accumulate, allow_unused)
PyObject* f_run_backward(PyObject*, PyObject* args) {
  FB_TRY
  PyObject *roots, *grads, *inputs;
  int keep, create, accumulate, unused;
  if (!PyArg_ParseTuple(args, "OOOpppp", &roots, &grads, &inputs, &keep, &create, &accumulate,
                        &unused))
    return nullptr;
  BackwardOptions o{bool(keep), bool(create), bool(accumulate), bool(unused)};
  Tensors r = list_of_tensors(roots, "outputs", false), g = list_of_tensors(grads, "grads", true),
          in = list_of_tensors(inputs, "inputs", false);
  Tensors got = run_backward(r, g, in, o);
  if (accumulate && !in.empty()) {
    GradMode mode(create);
    for (size_t i = 0; i < in.size(); ++i)
      if (got[i].defined()) accumulate_grad(in[i], got[i]);
    Py_RETURN_NONE;
  }
  return wrap_list(got, false);
  FB_CATCH(nullptr)
}

// _attach_function(ctx, run, name, args, outputs, saved, dirty, non_differentiable, materialize)
PyObject* f_attach_function(PyObject*, PyObject* a) {
  FB_TRY
  PyObject *ctx, *run, *args, *outs, *saved, *dirty, *frozen;
  const char* name;
  int materialize;
  if (!PyArg_ParseTuple(a, "OOsO!O!OOOp", &ctx, &run, &name, &PyTuple_Type, &args, &PyTuple_Type,
                        &outs, &saved, &dirty, &frozen, &materialize))
    return nullptr;
  auto* node = new FunctionNode(ctx, run);
  Ref<Node> ref = Ref<Node>::adopt(node);
  node->label = name;
  node->materialize = materialize;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(args); ++i) {
    PyObject* o = PyTuple_GET_ITEM(args, i);
    node->next.push_back(is_tensor(o) ? gradient_edge(tensor_of(o)) : Edge{});
  }
  auto among = [](PyObject* seq, PyObject* o) {
    Obj f(PySequence_Fast(seq, "a sequence"));
    for (Py_ssize_t i = 0; f && i < PySequence_Fast_GET_SIZE(f.get()); ++i)
      if (PySequence_Fast_GET_ITEM(f.get(), i) == o) return i;
    return Py_ssize_t(-1);
  };
  Py_ssize_t n = PyTuple_GET_SIZE(outs);
  Obj result(check(PyTuple_New(n)));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = PyTuple_GET_ITEM(outs, i);
    if (!is_tensor(o)) {
      node->outputs.push_back({{}, DType::F32, {}});
      PyTuple_SET_ITEM(result.get(), i, Obj::borrow(o).release());
      continue;
    }
    Tensor t = tensor_of(o);
    bool is_dirty = among(dirty, o) >= 0, is_input = among(args, o) >= 0;
    bool skip = among(frozen, o) >= 0 || !is_inexact(t.dtype());
    if (is_dirty) {
      Tensor carrier = alias(t);
      if (!skip) set_history(carrier, ref, int(i));
      record_inplace(t, carrier);
    } else if (is_input || t.requires_grad()) {
      t = alias(t); // an input handed back is a view of it
      if (!skip)
        set_history(t, ref, int(i));
      else
        node->outputs.push_back({t.shape(), t.dtype(), t.device()});
    } else if (skip) {
      node->outputs.push_back({t.shape(), t.dtype(), t.device()});
    } else {
      set_history(t, ref, int(i));
    }
    PyTuple_SET_ITEM(result.get(), i, wrap(t));
  }
  Obj keep(check(PySequence_Fast(saved, "save_for_backward takes tensors")));
  for (Py_ssize_t i = 0; i < PySequence_Fast_GET_SIZE(keep.get()); ++i) {
    PyObject* o = PySequence_Fast_GET_ITEM(keep.get(), i);
    if (o == Py_None) {
      node->saved.push_back({});
      continue;
    }
    FB_CHECK_TYPE(is_tensor(o), "save_for_backward can only save variables, but argument ",
                  int64_t(i), " is of type ", Py_TYPE(o)->tp_name);
    Py_ssize_t at = among(outs, o);
    node->save(tensor_of(o), at >= 0 && among(args, o) < 0, int(at < 0 ? 0 : at));
  }
  return result.release();
  FB_CATCH(nullptr)
}

std::string user_line() {
  PyFrameObject* f = PyEval_GetFrame();
  std::string text;
  Py_XINCREF(f);
  for (int depth = 0; f && depth < 6; ++depth) {
    PyCodeObject* code = PyFrame_GetCode(f);
    text = "  File \"" + std::string(PyUnicode_AsUTF8(code->co_filename)) + "\", line " +
           std::to_string(PyFrame_GetLineNumber(f)) + ", in " + PyUnicode_AsUTF8(code->co_name) +
           "\n" + text;
    Py_DECREF(code);
    PyFrameObject* back = PyFrame_GetBack(f);
    Py_DECREF(f);
    f = back;
  }
  Py_XDECREF(f);
  return text;
}

PyMethodDef functions[] = {
    {"is_grad_enabled", f_grad_enabled, METH_NOARGS, "Whether operations are recorded."},
    {"_set_grad_enabled", f_set_grad, METH_O, nullptr},
    {"is_inference_mode_enabled", f_inference_enabled, METH_NOARGS,
     "Whether inference_mode is on."},
    {"_set_inference_enabled", f_set_inference, METH_O, nullptr},
    {"_set_anomaly", f_set_anomaly, METH_VARARGS, nullptr},
    {"_anomaly", f_anomaly, METH_NOARGS, nullptr},
    {"_run_backward", f_run_backward, METH_VARARGS, nullptr},
    {"_attach_function", f_attach_function, METH_VARARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

// Tensor methods ------------------------------------------------------------------------------

PyObject* m_backward(PyObject* self, PyObject* args, PyObject* kwargs) {
  FB_TRY
  static const char* names[] = {"gradient", "retain_graph", "create_graph", "inputs", nullptr};
  PyObject *grad = Py_None, *retain = Py_None, *inputs = Py_None;
  int create = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|OOpO", const_cast<char**>(names), &grad, &retain,
                                   &create, &inputs))
    return nullptr;
  FB_CHECK_TYPE(grad == Py_None || is_tensor(grad),
                "gradients can be either Tensors or None, but got ", Py_TYPE(grad)->tp_name);
  BackwardOptions o;
  o.create_graph = create;
  o.keep_graph = retain == Py_None ? bool(create) : bool(PyObject_IsTrue(retain));
  Tensors in;
  if (inputs != Py_None) {
    Obj one(is_tensor(inputs) ? PyTuple_Pack(1, inputs) : Obj::borrow(inputs).release());
    in = list_of_tensors(one.get(), "inputs", false);
    FB_CHECK(!in.empty(), "'inputs' argument to backward cannot be empty");
  }
  Tensors g;
  if (grad != Py_None) g.push_back(tensor_of(grad));
  Tensors got = run_backward({tensor_of(self)}, g, in, o);
  GradMode mode(create);
  for (size_t i = 0; i < in.size(); ++i)
    if (got[i].defined()) accumulate_grad(in[i], got[i]);
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}
PyObject* m_detach(PyObject* self, PyObject*) {
  FB_TRY
  return wrap(detach(tensor_of(self)));
  FB_CATCH(nullptr)
}
PyObject* m_detach_(PyObject* self, PyObject*) {
  FB_TRY
  Tensor t = tensor_of(self);
  FB_CHECK(!t.impl()->base, "Can't detach views in-place. Use detach() instead.");
  if (t.meta()) {
    t.meta()->grad_fn.reset();
    t.meta()->requires_grad = false;
  }
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
PyObject* m_retain_grad(PyObject* self, PyObject*) {
  FB_TRY
  retain_grad(tensor_of(self));
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}
// _add_hook(fn, post_accumulate) -> id, _remove_hook(id)
PyObject* m_add_hook(PyObject* self, PyObject* const* args, Py_ssize_t, PyObject*) {
  FB_TRY
  Tensor t = tensor_of(self);
  bool post = PyObject_IsTrue(args[1]);
  FB_CHECK(t.requires_grad(), "cannot register a hook on a tensor that doesn't require gradient");
  auto h = Ref<Hook>::adopt(new PyHook(args[0], next_hook_id++, !post));
  if (post) {
    FB_CHECK(t.is_leaf(), "post accumulate grad hooks cannot be registered on non-leaf tensors");
    t.make_meta().make_extras().post_accumulate_hooks.push_back(h);
  } else if (Ref<Node> fn = t.grad_fn()) {
    fn->make_extras().output_hooks.push_back({t.meta()->output_nr, h});
  } else {
    t.make_meta().make_extras().hooks.push_back(h);
  }
  return PyLong_FromLongLong(h->id);
  FB_CATCH(nullptr)
}
PyObject* m_remove_hook(PyObject* self, PyObject* id) {
  FB_TRY
  Tensor t = tensor_of(self);
  long long v = PyLong_AsLongLong(id);
  if (!t.meta()) Py_RETURN_NONE;
  if (auto& extras = t.meta()->extras) {
    drop(extras->hooks, v);
    drop(extras->post_accumulate_hooks, v);
  }
  if (Ref<Node> fn = t.meta()->grad_fn; fn && fn->extras) {
    auto& list = fn->extras->output_hooks;
    for (size_t i = 0; i < list.size(); ++i)
      if (list[i].hook->id == v) {
        list.erase(list.begin() + long(i));
        break;
      }
  }
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}

} // namespace

PyMethodDef autograd_tensor_methods[] = {
    {"backward", reinterpret_cast<PyCFunction>(m_backward), METH_VARARGS | METH_KEYWORDS,
     "backward(gradient=None, retain_graph=None, create_graph=False, inputs=None): gradients of "
     "this "
     "tensor, times `gradient`, are added to .grad of the leaves."},
    {"detach", m_detach, METH_NOARGS, "The same memory, outside of the graph."},
    {"detach_", m_detach_, METH_NOARGS, "Takes the tensor out of the graph."},
    {"retain_grad", m_retain_grad, METH_NOARGS, "Makes backward keep .grad of a non-leaf."},
    {"_add_hook", reinterpret_cast<PyCFunction>(m_add_hook), METH_FASTCALL | METH_KEYWORDS,
     nullptr},
    {"_remove_hook", m_remove_hook, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

// A subtype of Node for each name, so that type(y.grad_fn).__name__ tells the operation.
static PyTypeObject* node_type(const std::string& name) {
  static std::map<std::string, PyTypeObject*> types;
  PyTypeObject*& t = types[name];
  if (!t) {
    static PyType_Slot none[] = {{0, nullptr}};
    const char* full = strdup(("flambeau.autograd." + name).c_str()); // the type keeps it
    PyType_Spec s = {full, sizeof(PyNode), 0,
                     Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, none};
    Obj bases(Py_BuildValue("(O)", NodeType));
    t = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpecWithBases(&s, bases.get())));
  }
  return t;
}

PyObject* wrap_node(const Ref<Node>& n) {
  if (!n) Py_RETURN_NONE;
  if (n->pyobj) return Obj::borrow(static_cast<PyObject*>(n->pyobj)).release();
  PyTypeObject* type = node_type(n->name());
  PyObject* o = check(type->tp_alloc(type, 0));
  n->retain();
  reinterpret_cast<PyNode*>(o)->node = n.get();
  n->pyobj = o;
  return o;
}

int traverse_autograd(TensorImpl* t, visitproc visit, void* arg) {
  if (!t->meta) return 0;
  if (auto& extras = t->meta->extras) {
    for (auto& h : extras->hooks) Py_VISIT(static_cast<PyObject*>(h->object()));
    for (auto& h : extras->post_accumulate_hooks) Py_VISIT(static_cast<PyObject*>(h->object()));
  }
  if (t->meta->grad.defined()) Py_VISIT(static_cast<PyObject*>(t->meta->grad.impl()->pyobj));
  if (t->meta->grad_fn && t->meta->grad_fn->refs() == 1)
    if (auto* f = dynamic_cast<FunctionNode*>(t->meta->grad_fn.get())) Py_VISIT(f->ctx);
  return 0;
}

void add_autograd(PyObject* m) {
  NodeType = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&node_spec)));
  check(PyModule_AddObjectRef(m, "Node", reinterpret_cast<PyObject*>(NodeType)));
  check(PyModule_AddFunctions(m, functions));
  where_in_user_code = user_line;
  host_hooks.release = []() -> void* {
    return PyGILState_Check() ? static_cast<void*>(PyEval_SaveThread()) : nullptr;
  };
  host_hooks.reacquire = [](void* token) {
    if (token) PyEval_RestoreThread(static_cast<PyThreadState*>(token));
  };
}

} // namespace flambeau::py
