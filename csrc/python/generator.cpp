// The Generator type: a seed and an offset into its stream.
#include <sys/random.h>

#include <cstring>

#include "../ops/random.h"
#include "py.h"

namespace flambeau::py {

PyTypeObject* GeneratorType;

namespace {

struct PyGenerator {
  PyObject_HEAD PhiloxState* state; // own, or the process's default
  PhiloxState own;
};
PhiloxState& state_of(PyObject* o) { return *reinterpret_cast<PyGenerator*>(o)->state; }

PyObject* generator_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  FB_TRY
  PyObject* d = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : nullptr;
  if (!d && kwargs) d = PyDict_GetItemString(kwargs, "device");
  Device device;
  if (d && d != Py_None) FB_CHECK_TYPE(device_from(d, device), "Generator(): bad device");
  device = usable(device);
  auto* g = reinterpret_cast<PyGenerator*>(check(type->tp_alloc(type, 0)));
  g->own = {67280421310721ull, 0};
  g->state = &g->own;
  return reinterpret_cast<PyObject*>(g);
  FB_CATCH(nullptr)
}
void generator_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  type->tp_free(self);
  Py_DECREF(type);
}
PyObject* manual_seed(PyObject* self, PyObject* seed) {
  FB_TRY
  Obj n(PyNumber_Index(seed));
  if (!n) return nullptr;
  int overflow;
  long long v = PyLong_AsLongLongAndOverflow(n.get(), &overflow);
  uint64_t u = uint64_t(v);
  if (overflow) {
    u = PyLong_AsUnsignedLongLong(n.get());
    if (PyErr_Occurred()) {
      PyErr_Clear();
      fail(ErrorKind::Runtime, "Overflow when unpacking long: a seed must fit in 64 bits");
    }
  }
  state_of(self) = {u, 0};
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
PyObject* fresh_seed(PyObject* self, PyObject*) {
  uint64_t v = 0;
  if (getrandom(&v, sizeof v, 0) != ssize_t(sizeof v)) return PyErr_SetFromErrno(PyExc_OSError);
  v >>= 1;
  state_of(self) = {v, 0};
  return PyLong_FromUnsignedLongLong(v);
}
PyObject* initial_seed(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(state_of(self).seed);
}
PyObject* get_state(PyObject* self, PyObject*) {
  FB_TRY
  Tensor t = empty({16}, DType::U8);
  PhiloxState& s = state_of(self);
  std::memcpy(t.bytes(), &s, 16);
  return wrap(t);
  FB_CATCH(nullptr)
}
PyObject* set_state(PyObject* self, PyObject* o) {
  FB_TRY
  FB_CHECK_TYPE(is_tensor(o), "expected a ByteTensor as the generator's state, but got ",
                Py_TYPE(o)->tp_name);
  Tensor t = contiguous(tensor_of(o));
  FB_CHECK(t.dtype() == DType::U8 && t.numel() == 16,
           "RNG state must be a uint8 tensor of 16 elements, "
           "as get_state() gives, not ",
           t);
  std::memcpy(&state_of(self), t.bytes(), 16);
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
PyObject* get_offset(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(state_of(self).offset);
}
PyObject* set_offset(PyObject* self, PyObject* v) {
  uint64_t n = PyLong_AsUnsignedLongLong(v);
  if (PyErr_Occurred()) return nullptr;
  state_of(self).offset = n;
  return Obj::borrow(self).release();
}
PyObject* clone_state(PyObject* self, PyObject*) {
  auto* g = reinterpret_cast<PyGenerator*>(GeneratorType->tp_alloc(GeneratorType, 0));
  if (!g) return nullptr;
  g->own = state_of(self);
  g->state = &g->own;
  return reinterpret_cast<PyObject*>(g);
}
PyObject* reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("(O()N)", Py_TYPE(self), get_state(self, nullptr));
}
PyObject* setstate(PyObject* self, PyObject* s) {
  Obj r(set_state(self, s));
  if (!r) return nullptr;
  Py_RETURN_NONE;
}
PyObject* get_device(PyObject*, void*) {
  FB_TRY
  return wrap(Device{});
  FB_CATCH(nullptr)
}
PyMethodDef methods[] = {
    {"manual_seed", manual_seed, METH_O, "Starts the stream of a seed from its beginning."},
    {"seed", fresh_seed, METH_NOARGS, "Takes a seed from the system's entropy and returns it."},
    {"initial_seed", initial_seed, METH_NOARGS, "The seed in use."},
    {"get_state", get_state, METH_NOARGS, "Seed and offset as a uint8 tensor."},
    {"set_state", set_state, METH_O, "Restores what get_state() gave."},
    {"get_offset", get_offset, METH_NOARGS, "How many counter values have been used."},
    {"set_offset", set_offset, METH_O, "Moves to a place in the stream."},
    {"clone_state", clone_state, METH_NOARGS, "A new generator at the same place."},
    {"__reduce__", reduce, METH_NOARGS, nullptr},
    {"__setstate__", setstate, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};
PyGetSetDef getset[] = {{"device", get_device, nullptr, "Always the CPU.", nullptr},
                        {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(generator_new)},
    {Py_tp_dealloc, reinterpret_cast<void*>(generator_dealloc)},
    {Py_tp_methods, methods},
    {Py_tp_getset, getset},
    {Py_tp_doc, const_cast<char*>("Generator(device='cpu'): a stream of random numbers, by Philox "
                                  "4x32-10 (Salmon et al. 2011).")},
    {0, nullptr}};
PyType_Spec spec = {"flambeau.Generator", sizeof(PyGenerator), 0, Py_TPFLAGS_DEFAULT, slots};

} // namespace

void* generator_state(PyObject* o) { return Py_TYPE(o) == GeneratorType ? &state_of(o) : nullptr; }

void add_generator(PyObject* m) {
  GeneratorType = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  check(PyModule_AddObjectRef(m, "Generator", reinterpret_cast<PyObject*>(GeneratorType)));
  auto* g = reinterpret_cast<PyGenerator*>(check(GeneratorType->tp_alloc(GeneratorType, 0)));
  g->state = &default_generator();
  check(PyModule_AddObjectRef(m, "default_generator", reinterpret_cast<PyObject*>(g)));
}

} // namespace flambeau::py
