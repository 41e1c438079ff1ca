// The contexts of the grad modes; flambeau/_modes.py makes the public classes of them.
#include <cstring>

#include "../autograd/node.h"
#include "py.h"

namespace flambeau::py {
namespace {

struct PyMode {
  PyObject_HEAD bool grad; // what holds inside
  bool inference;
  bool keeps_grad;      // inside, recording is what it was
  bool keeps_inference; // inside, inference mode is what it was
  Modes before;
};
PyMode* mode_of(PyObject* o) { return reinterpret_cast<PyMode*>(o); }

PyObject* enter(PyObject* self, PyObject*) {
  PyMode* m = mode_of(self);
  m->before = modes;
  if (!m->keeps_grad) modes.grad = m->grad;
  if (!m->keeps_inference) modes.inference = m->inference;
  Py_RETURN_NONE;
}
PyObject* leave(PyObject* self, PyObject* const*, Py_ssize_t) {
  modes = mode_of(self)->before;
  Py_RETURN_NONE;
}

// no_grad(), and @no_grad without parentheses, which gives the decorated function.
PyObject* new_plain(PyTypeObject* type, PyObject* args, bool grad) {
  PyObject* f = nullptr;
  if (!PyArg_ParseTuple(args, "|O", &f)) return nullptr;
  PyObject* o = type->tp_alloc(type, 0);
  if (!o) return nullptr;
  mode_of(o)->grad = grad;
  mode_of(o)->keeps_inference = true;
  if (!f || !PyCallable_Check(f)) return o;
  Obj mode(o);
  return PyObject_CallOneArg(o, f);
}
PyObject* new_no_grad(PyTypeObject* type, PyObject* args, PyObject*) {
  return new_plain(type, args, false);
}
PyObject* new_enable_grad(PyTypeObject* type, PyObject* args, PyObject*) {
  return new_plain(type, args, true);
}

// set_grad_enabled(mode) holds at once; as a context it ends with its block.
PyObject* new_set_grad(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"mode", nullptr};
  int on;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "p", const_cast<char**>(names), &on))
    return nullptr;
  PyObject* o = type->tp_alloc(type, 0);
  if (!o) return nullptr;
  mode_of(o)->grad = on;
  mode_of(o)->keeps_inference = true;
  mode_of(o)->before = modes;
  modes.grad = on;
  return o;
}
PyObject* enter_set_grad(PyObject* self, PyObject*) {
  modes.grad = mode_of(self)->grad;
  Py_RETURN_NONE;
}

PyObject* new_inference(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  static const char* names[] = {"mode", nullptr};
  PyObject* mode = Py_True;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|O", const_cast<char**>(names), &mode))
    return nullptr;
  bool decorates = PyCallable_Check(mode);
  int on = decorates ? 1 : PyObject_IsTrue(mode);
  if (on < 0) return nullptr;
  PyObject* o = type->tp_alloc(type, 0);
  if (!o) return nullptr;
  mode_of(o)->keeps_grad = !on;
  mode_of(o)->inference = on;
  if (!decorates) return o;
  Obj self(o);
  return PyObject_CallOneArg(o, mode);
}
PyObject* get_mode(PyObject* self, void*) {
  PyMode* m = mode_of(self);
  return PyBool_FromLong(m->keeps_inference ? m->grad : m->inference);
}
PyObject* get_before(PyObject* self, void*) { return PyBool_FromLong(mode_of(self)->before.grad); }

void dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}

void add_type(PyObject* module, const char* name, newfunc make, PyCFunction begin) {
  auto* methods =
      new PyMethodDef[3]{// the type keeps them
                         {"__enter__", begin, METH_NOARGS, nullptr},
                         {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void*>(leave)),
                          METH_FASTCALL, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
  static PyGetSetDef getset[] = {{"mode", get_mode, nullptr, nullptr, nullptr},
                                 {"_before", get_before, nullptr, nullptr, nullptr},
                                 {nullptr, nullptr, nullptr, nullptr, nullptr}};
  PyType_Slot slots[] = {{Py_tp_new, reinterpret_cast<void*>(make)},
                         {Py_tp_dealloc, reinterpret_cast<void*>(dealloc)},
                         {Py_tp_methods, methods},
                         {Py_tp_getset, getset},
                         {0, nullptr}};
  PyType_Spec spec = {name, sizeof(PyMode), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  Obj type(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(module, strrchr(name, '.') + 1, type.get()));
}

} // namespace

void add_modes(PyObject* m) {
  add_type(m, "flambeau._C._NoGrad", new_no_grad, enter);
  add_type(m, "flambeau._C._EnableGrad", new_enable_grad, enter);
  add_type(m, "flambeau._C._SetGrad", new_set_grad, enter_set_grad);
  add_type(m, "flambeau._C._Inference", new_inference, enter);
}

} // namespace flambeau::py
