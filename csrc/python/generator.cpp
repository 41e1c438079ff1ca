// The Generator type: a seed and an offset into its stream.
#include <sys/random.h>

#include <cstring>

#include "../ops/random.h"
#include "py.h"

namespace flambeau::py {

PyTypeObject* GeneratorType;

namespace {

struct PyGenerator {
  PyObject_HEAD std::shared_ptr<PhiloxState> state; // own, or a device's default
};
PhiloxState& state_of(PyObject* o) { return *reinterpret_cast<PyGenerator*>(o)->state; }

Obj made(PyTypeObject* type, std::shared_ptr<PhiloxState> state) {
  Obj g(check(type->tp_alloc(type, 0)));
  new (&reinterpret_cast<PyGenerator*>(g.get())->state)
      std::shared_ptr<PhiloxState>(std::move(state));
  return g;
}
PyObject* generator_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  FB_TRY
  PyObject* d = PyTuple_GET_SIZE(args) ? PyTuple_GET_ITEM(args, 0) : nullptr;
  if (!d && kwargs) d = PyDict_GetItemString(kwargs, "device");
  Device device;
  if (d && d != Py_None) FB_CHECK_TYPE(device_from(d, device), "Generator(): bad device");
  auto state = std::make_shared<PhiloxState>();
  state->device = usable(device);
  return made(type, std::move(state)).release();
  FB_CATCH(nullptr)
}
void generator_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<PyGenerator*>(self)->state.~shared_ptr();
  type->tp_free(self);
  Py_DECREF(type);
}
void start(PyObject* self, uint64_t seed, uint64_t offset = 0) {
  state_of(self).seed = seed;
  state_of(self).offset = offset;
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
  start(self, u);
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
PyObject* fresh_seed(PyObject* self, PyObject*) {
  uint64_t v = 0;
  if (getrandom(&v, sizeof v, 0) != ssize_t(sizeof v)) return PyErr_SetFromErrno(PyExc_OSError);
  v >>= 1;
  start(self, v);
  return PyLong_FromUnsignedLongLong(v);
}
PyObject* initial_seed(PyObject* self, PyObject*) {
  return PyLong_FromUnsignedLongLong(state_of(self).seed);
}
PyObject* get_state(PyObject* self, PyObject*) {
  FB_TRY
  Tensor t = empty({16}, DType::U8);
  const uint64_t words[2] = {state_of(self).seed, state_of(self).offset};
  std::memcpy(t.bytes(), words, 16);
  return wrap(t);
  FB_CATCH(nullptr)
}
PyObject* set_state(PyObject* self, PyObject* o) {
  FB_TRY
  FB_CHECK_TYPE(is_tensor(o), "expected a ByteTensor as the generator's state, but got ",
                Py_TYPE(o)->tp_name);
  Tensor t = contiguous(on_host(tensor_of(o)));
  FB_CHECK(t.dtype() == DType::U8 && t.numel() == 16,
           "RNG state must be a uint8 tensor of 16 elements, "
           "as get_state() gives, not ",
           t);
  uint64_t words[2];
  std::memcpy(words, t.bytes(), 16);
  start(self, words[0], words[1]);
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
  FB_TRY
  const PhiloxState& from = state_of(self);
  auto state = std::make_shared<PhiloxState>();
  state->seed = from.seed;
  state->offset = from.offset;
  state->device = from.device;
  return made(GeneratorType, std::move(state)).release();
  FB_CATCH(nullptr)
}
PyObject* reduce(PyObject* self, PyObject*) {
  FB_TRY
  std::string device = to_str(state_of(self).device);
  return Py_BuildValue("(O(s)N)", Py_TYPE(self), device.c_str(), get_state(self, nullptr));
  FB_CATCH(nullptr)
}
PyObject* setstate(PyObject* self, PyObject* s) {
  Obj r(set_state(self, s));
  if (!r) return nullptr;
  Py_RETURN_NONE;
}
PyObject* get_device(PyObject* self, void*) {
  FB_TRY
  return wrap(state_of(self).device);
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
PyGetSetDef getset[] = {
    {"device", get_device, nullptr, "Where the tensors are that it makes numbers for.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyObject* default_of_gpu(PyObject*, PyObject* index) {
  FB_TRY
  long i = PyLong_AsLong(index);
  if (i == -1 && PyErr_Occurred()) return nullptr;
  FB_CHECK(i >= 0 && i < kMostGpus, "there is no GPU ", i);
  PhiloxState& g = default_generator({DeviceType::Cuda, int8_t(i)});
  return made(GeneratorType, g.shared_from_this()).release();
  FB_CATCH(nullptr)
}
PyMethodDef functions[] = {{"_cuda_generator", default_of_gpu, METH_O,
                            "The default generator of the GPU of an index, which need not exist."},
                           {nullptr, nullptr, 0, nullptr}};

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
  Obj host = made(GeneratorType, default_generator().shared_from_this());
  check(PyModule_AddObjectRef(m, "default_generator", host.get()));
  check(PyModule_AddFunctions(m, functions));
}

} // namespace flambeau::py
