// dtype, device, Size and the conversions between Python values and C++ ones.
#include <cmath>
#include <vector>

#include "../cuda/device.h"
#include "py.h"

namespace flambeau::py {

PyTypeObject *DTypeType, *DeviceType_, *SizeType;
static PyObject* dtype_objects[kDTypes];
static PyObject* out_of_memory; // flambeau.OutOfMemoryError

void fail_set() { throw Error(ErrorKind::Python, ""); }

void set_exception() {
  try {
    throw;
  } catch (const Error& e) {
    PyObject* type = PyExc_RuntimeError;
    switch (e.kind) {
    case ErrorKind::Python: return;
    case ErrorKind::Runtime: type = PyExc_RuntimeError; break;
    case ErrorKind::Type: type = PyExc_TypeError; break;
    case ErrorKind::Value: type = PyExc_ValueError; break;
    case ErrorKind::Index: type = PyExc_IndexError; break;
    case ErrorKind::NotImplemented: type = PyExc_NotImplementedError; break;
    case ErrorKind::Memory: type = out_of_memory; break;
    case ErrorKind::Overflow: type = PyExc_OverflowError; break;
    case ErrorKind::Buffer: type = PyExc_BufferError; break;
    case ErrorKind::ZeroDivision: type = PyExc_ZeroDivisionError; break;
    }
    PyErr_SetString(type, e.what());
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& e) {
    PyErr_SetString(PyExc_RuntimeError, e.what());
  }
}

// dtype ---------------------------------------------------------------------------------------

static PyObject* dtype_repr(PyObject* self) {
  return PyUnicode_FromFormat("flambeau.%s", name_of(reinterpret_cast<PyDType*>(self)->value));
}
#define FB_DTYPE_GET(fn, expr)                         \
  static PyObject* fn(PyObject* self, void*) {         \
    DType t = reinterpret_cast<PyDType*>(self)->value; \
    return expr;                                       \
  }
FB_DTYPE_GET(dtype_floating, PyBool_FromLong(is_float(t)))
FB_DTYPE_GET(dtype_complex, PyBool_FromLong(is_complex(t)))
FB_DTYPE_GET(dtype_signed, PyBool_FromLong(is_signed(t)))
FB_DTYPE_GET(dtype_itemsize, PyLong_FromLong(size_of(t)))
FB_DTYPE_GET(dtype_name, PyUnicode_FromString(name_of(t)))
static PyObject* dtype_to_real(PyObject* self, PyObject*) {
  return wrap(real_of(reinterpret_cast<PyDType*>(self)->value));
}
static PyObject* dtype_to_complex(PyObject* self, PyObject*) {
  return wrap(complex_of(reinterpret_cast<PyDType*>(self)->value));
}
static PyObject* dtype_reduce(PyObject* self, PyObject*) {
  return PyUnicode_FromString(name_of(reinterpret_cast<PyDType*>(self)->value));
}
static PyGetSetDef dtype_getset[] = {
    {"is_floating_point", dtype_floating, nullptr, "True for floats", nullptr},
    {"is_complex", dtype_complex, nullptr, "True for complex types", nullptr},
    {"is_signed", dtype_signed, nullptr, "True when negative values exist", nullptr},
    {"itemsize", dtype_itemsize, nullptr, "bytes of an element", nullptr},
    {"name", dtype_name, nullptr, "the name, as NumPy writes it", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
static PyMethodDef dtype_methods[] = {
    {"to_real", dtype_to_real, METH_NOARGS, "The dtype of the real part."},
    {"to_complex", dtype_to_complex, METH_NOARGS, "The complex dtype of the same precision."},
    {"__reduce__", dtype_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};
static PyType_Slot dtype_slots[] = {
    {Py_tp_repr, reinterpret_cast<void*>(dtype_repr)},
    {Py_tp_getset, dtype_getset},
    {Py_tp_methods, dtype_methods},
    {Py_tp_doc, const_cast<char*>("The type of a tensor's elements.")},
    {0, nullptr}};
static PyType_Spec dtype_spec = {"flambeau.dtype", sizeof(PyDType), 0,
                                 Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION,
                                 dtype_slots};

PyObject* wrap(DType t) { return Obj::borrow(dtype_objects[int(t)]).release(); }

bool dtype_from(PyObject* o, DType& out) {
  if (Py_TYPE(o) == DTypeType) {
    out = reinterpret_cast<PyDType*>(o)->value;
    return true;
  }
  if (o == reinterpret_cast<PyObject*>(&PyFloat_Type))
    out = default_dtype();
  else if (o == reinterpret_cast<PyObject*>(&PyLong_Type))
    out = DType::I64;
  else if (o == reinterpret_cast<PyObject*>(&PyBool_Type))
    out = DType::Bool;
  else if (o == reinterpret_cast<PyObject*>(&PyComplex_Type))
    out = default_complex();
  else
    return false;
  return true;
}

// device --------------------------------------------------------------------------------------

static PyObject* device_new(PyTypeObject*, PyObject* args, PyObject* kwargs) {
  FB_TRY
  static const char* names[] = {"type", "index", nullptr};
  PyObject *type, *index = Py_None;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O", const_cast<char**>(names), &type, &index))
    return nullptr;
  Device d;
  if (Py_TYPE(type) == DeviceType_)
    d = reinterpret_cast<PyDevice*>(type)->value;
  else if (PyUnicode_Check(type))
    d = parse_device(PyUnicode_AsUTF8(type));
  else if (PyLong_Check(type))
    d = {DeviceType::Cuda, int8_t(PyLong_AsLong(type))};
  else
    fail(ErrorKind::Type, "device(): argument 'type' must be str or int, not ",
         Py_TYPE(type)->tp_name);
  if (index != Py_None) {
    FB_CHECK(d.index < 0,
             "type (string) must not include an index because index was passed "
             "explicitly: ",
             d);
    long i = PyLong_AsLong(index);
    if (PyErr_Occurred()) return nullptr;
    FB_CHECK(i >= 0 && i < 128, "Device index must not be negative, got ", int64_t(i));
    d.index = int8_t(i);
  }
  return wrap(d);
  FB_CATCH(nullptr)
}
static PyObject* device_repr(PyObject* self) {
  const Device& d = reinterpret_cast<PyDevice*>(self)->value;
  Device plain{d.type, -1};
  if (d.index < 0) return PyUnicode_FromFormat("device(type='%s')", to_str(plain).c_str());
  return PyUnicode_FromFormat("device(type='%s', index=%d)", to_str(plain).c_str(), d.index);
}
static PyObject* device_str(PyObject* self) {
  return PyUnicode_FromString(to_str(reinterpret_cast<PyDevice*>(self)->value).c_str());
}
static Py_hash_t device_hash(PyObject* self) {
  const Device& d = reinterpret_cast<PyDevice*>(self)->value;
  return Py_hash_t(d.type) * 1000 + d.index + 7;
}
static PyObject* device_compare(PyObject* a, PyObject* b, int op) {
  if (Py_TYPE(b) != DeviceType_ || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  bool same = reinterpret_cast<PyDevice*>(a)->value == reinterpret_cast<PyDevice*>(b)->value;
  return PyBool_FromLong(same == (op == Py_EQ));
}
static PyObject* device_type(PyObject* self, void*) {
  Device plain{reinterpret_cast<PyDevice*>(self)->value.type, -1};
  return PyUnicode_FromString(to_str(plain).c_str());
}
static PyObject* device_index(PyObject* self, void*) {
  int i = reinterpret_cast<PyDevice*>(self)->value.index;
  if (i < 0) Py_RETURN_NONE;
  return PyLong_FromLong(i);
}
static PyObject* device_reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("O(N)", DeviceType_, device_str(self));
}
// `with device:` makes it the default one inside.
static thread_local std::vector<Device> default_devices{Device{}};
Device default_device() { return default_devices.back(); }
static PyObject* device_enter(PyObject* self, PyObject*) {
  FB_TRY
  default_devices.push_back(reinterpret_cast<PyDevice*>(self)->value);
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
static PyObject* device_exit(PyObject*, PyObject*) {
  if (default_devices.size() > 1) default_devices.pop_back();
  Py_RETURN_NONE;
}
static PyObject* f_get_default_device(PyObject*, PyObject*) {
  FB_TRY
  Device d = default_device();
  if (d.is_cuda() && d.index < 0) d.index = int8_t(cuda::current_device());
  return wrap(d);
  FB_CATCH(nullptr)
}
static PyObject* f_set_default_device(PyObject*, PyObject* o) {
  FB_TRY
  Device d;
  FB_CHECK_TYPE(o == Py_None || device_from(o, d),
                "set_default_device() takes a device, its name or None, not ", Py_TYPE(o)->tp_name);
  default_devices.front() = d;
  Py_RETURN_NONE;
  FB_CATCH(nullptr)
}
static PyMethodDef device_functions[] = {
    {"get_default_device", f_get_default_device, METH_NOARGS,
     "The device on which tensors are made when none is given."},
    {"set_default_device", f_set_default_device, METH_O,
     "Sets, for this thread, the device on which tensors are made when none is given."},
    {nullptr, nullptr, 0, nullptr}};
static PyGetSetDef device_getset[] = {
    {"type", device_type, nullptr, "'cpu', 'cuda' or 'meta'", nullptr},
    {"index", device_index, nullptr, "its number, or None", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
static PyMethodDef device_methods[] = {{"__reduce__", device_reduce, METH_NOARGS, nullptr},
                                       {"__enter__", device_enter, METH_NOARGS, nullptr},
                                       {"__exit__", device_exit, METH_VARARGS, nullptr},
                                       {nullptr, nullptr, 0, nullptr}};
static PyType_Slot device_slots[] = {
    {Py_tp_new, reinterpret_cast<void*>(device_new)},
    {Py_tp_repr, reinterpret_cast<void*>(device_repr)},
    {Py_tp_str, reinterpret_cast<void*>(device_str)},
    {Py_tp_hash, reinterpret_cast<void*>(device_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(device_compare)},
    {Py_tp_getset, device_getset},
    {Py_tp_methods, device_methods},
    {Py_tp_doc, const_cast<char*>("Where a tensor's memory is: device('cpu'), device('cuda', 0).")},
    {0, nullptr}};
static PyType_Spec device_spec = {"flambeau.device", sizeof(PyDevice), 0, Py_TPFLAGS_DEFAULT,
                                  device_slots};

PyObject* wrap(const Device& d) {
  PyObject* o = check(DeviceType_->tp_alloc(DeviceType_, 0));
  reinterpret_cast<PyDevice*>(o)->value = d;
  return o;
}

bool device_from(PyObject* o, Device& out) {
  if (Py_TYPE(o) == DeviceType_)
    out = reinterpret_cast<PyDevice*>(o)->value;
  else if (PyUnicode_Check(o))
    out = parse_device(PyUnicode_AsUTF8(o));
  else if (PyLong_Check(o) && !PyBool_Check(o))
    out = {DeviceType::Cuda, int8_t(PyLong_AsLong(o))};
  else
    return false;
  return true;
}

// Size ----------------------------------------------------------------------------------------

static PyObject* size_repr(PyObject* self) {
  Obj list(PySequence_List(self));
  if (!list) return nullptr;
  return PyUnicode_FromFormat("flambeau.Size(%R)", list.get());
}
static PyObject* size_numel(PyObject* self, PyObject*) {
  int64_t n = 1;
  for (Py_ssize_t i = 0; i < PyTuple_GET_SIZE(self); ++i)
    n *= PyLong_AsLongLong(PyTuple_GET_ITEM(self, i));
  return PyLong_FromLongLong(n);
}
static PyObject* as_size(PyObject* tuple) { // steals
  if (!tuple || !PyTuple_CheckExact(tuple)) return tuple;
  Obj t(tuple);
  Py_ssize_t n = PyTuple_GET_SIZE(tuple);
  PyObject* s = SizeType->tp_alloc(SizeType, n);
  for (Py_ssize_t i = 0; s && i < n; ++i)
    PyTuple_SET_ITEM(s, i, Obj::borrow(PyTuple_GET_ITEM(tuple, i)).release());
  return s;
}
static PyObject* size_concat(PyObject* a, PyObject* b) {
  Obj pair(PySequence_Tuple(b));
  if (!pair) return nullptr;
  return as_size(PyTuple_Type.tp_as_sequence->sq_concat(a, pair.get()));
}
static PyObject* size_subscript(PyObject* a, PyObject* key) {
  return as_size(PyTuple_Type.tp_as_mapping->mp_subscript(a, key));
}
static PyObject* size_reduce(PyObject* self, PyObject*) {
  return Py_BuildValue("O(N)", SizeType, PySequence_Tuple(self));
}
static PyMethodDef size_methods[] = {
    {"numel", size_numel, METH_NOARGS, "The number of elements: the product of the sizes."},
    {"__reduce__", size_reduce, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};
static void size_dealloc(PyObject* self);
static PyType_Slot size_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(size_dealloc)},
    {Py_tp_repr, reinterpret_cast<void*>(size_repr)},
    {Py_tp_methods, size_methods},
    {Py_sq_concat, reinterpret_cast<void*>(size_concat)},
    {Py_mp_subscript, reinterpret_cast<void*>(size_subscript)},
    {Py_tp_doc, const_cast<char*>("The sizes of a tensor's dimensions: a tuple.")},
    {0, nullptr}};
static PyType_Spec size_spec = {"flambeau.Size", 0, 0, Py_TPFLAGS_DEFAULT, size_slots};

// Sizes come and go with every look at .shape: a few of each length are kept.
constexpr int kSpareLength = 6, kSpareSizes = 16;
static PyObject* spare_sizes[kSpareLength][kSpareSizes];
static int n_spare_sizes[kSpareLength];

static void size_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  Py_ssize_t n = Py_SIZE(self);
  PyObject_GC_UnTrack(self);
  for (Py_ssize_t i = 0; i < n; ++i) Py_XDECREF(PyTuple_GET_ITEM(self, i));
  if (type == SizeType && n < kSpareLength && n_spare_sizes[n] < kSpareSizes)
    spare_sizes[n][n_spare_sizes[n]++] = self;
  else
    type->tp_free(self);
  Py_DECREF(type);
}

PyObject* wrap_size(const Dims& d) {
  int n = d.size();
  PyObject* s;
  if (n < kSpareLength && n_spare_sizes[n]) // untracked: integers make no cycles
    s = reinterpret_cast<PyObject*>(PyObject_InitVar(
        reinterpret_cast<PyVarObject*>(spare_sizes[n][--n_spare_sizes[n]]), SizeType, n));
  else
    s = check(SizeType->tp_alloc(SizeType, n));
#if PY_VERSION_HEX >= 0x030E0000
  reinterpret_cast<PyTupleObject*>(s)->ob_hash = -1; // not computed yet
#endif
  for (int i = 0; i < n; ++i) PyTuple_SET_ITEM(s, i, PyLong_FromLongLong(d[i]));
  return s;
}

// Numbers and lists ---------------------------------------------------------------------------

PyObject* wrap(const Scalar& s) {
  switch (s.kind) {
  case Scalar::Bool: return PyBool_FromLong(s.i != 0);
  case Scalar::Int: return PyLong_FromLongLong(s.i);
  case Scalar::Float: return PyFloat_FromDouble(s.f);
  default: return PyComplex_FromDoubles(s.f, s.im);
  }
}

bool scalar_from(PyObject* o, Scalar& out) {
  if (PyFloat_CheckExact(o)) {
    out = Scalar(PyFloat_AS_DOUBLE(o));
  } else if (PyBool_Check(o)) {
    out = Scalar(o == Py_True);
  } else if (PyLong_Check(o)) {
    int overflow;
    long long v = PyLong_AsLongLongAndOverflow(o, &overflow);
    if (overflow) {
      unsigned long long u = PyLong_AsUnsignedLongLong(o);
      if (PyErr_Occurred()) {
        PyErr_Clear();
        fail(ErrorKind::Overflow, "Overflow when unpacking long long: the number does not fit in "
                                  "64 bits");
      }
      v = (long long)(u);
    }
    out = Scalar(int64_t(v));
  } else if (PyFloat_Check(o)) {
    out = Scalar(PyFloat_AS_DOUBLE(o));
  } else if (PyComplex_Check(o)) {
    out = Scalar(PyComplex_RealAsDouble(o), PyComplex_ImagAsDouble(o));
  } else if (is_tensor(o)) {
    const TensorImpl* t = impl_of(o);
    if (t->numel != 1 || t->shape.size() > 0) return false;
    out = item(tensor_of(o));
  } else if (PyIndex_Check(o)) {
    Obj i(PyNumber_Index(o));
    if (!i) { // arrays have the slot, but only those of one integer answer
      PyErr_Clear();
      return false;
    }
    return scalar_from(i.get(), out);
  } else if (Py_TYPE(o)->tp_as_number && Py_TYPE(o)->tp_as_number->nb_float &&
             !PyUnicode_Check(o) && PyObject_HasAttrString(o, "dtype") &&
             !PyObject_HasAttrString(o, "__len__")) { // NumPy scalars
    if (PyObject_HasAttrString(o, "imag")) {
      Obj z(PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(&PyComplex_Type), o, nullptr));
      if (z && PyComplex_ImagAsDouble(z.get()) != 0) {
        out = Scalar(PyComplex_RealAsDouble(z.get()), PyComplex_ImagAsDouble(z.get()));
        return true;
      }
      PyErr_Clear();
    }
    Obj name(PyObject_Str(Obj(check(PyObject_GetAttrString(o, "dtype"))).get()));
    double v = PyFloat_AsDouble(o);
    if (PyErr_Occurred()) {
      PyErr_Clear();
      return false;
    }
    const char* text = name ? PyUnicode_AsUTF8(name.get()) : "";
    out = std::string(text) == "bool" ? Scalar(v != 0) : Scalar(v);
  } else {
    return false;
  }
  return true;
}

bool index_from(PyObject* o, int64_t& out) {
  if (!PyLong_Check(o)) {
    if (PyFloat_Check(o)) return false;
    if (is_tensor(o)) {
      const TensorImpl* t = impl_of(o);
      if (t->numel != 1 || !is_integral(t->dtype)) return false;
      out = item(tensor_of(o)).i;
      return true;
    }
    if (!PyIndex_Check(o)) return false;
    Obj i(PyNumber_Index(o));
    if (!i) {
      PyErr_Clear();
      return false;
    }
    return index_from(i.get(), out);
  }
  out = PyLong_AsLongLong(o);
  if (out == -1 && PyErr_Occurred()) {
    PyErr_Clear();
    fail(ErrorKind::Overflow, "Overflow when unpacking long: the integer does not fit in 64 bits");
  }
  return true;
}

bool dims_from(PyObject* o, Dims& out) {
  if (!PyTuple_Check(o) && !PyList_Check(o)) return false;
  Py_ssize_t n = PySequence_Fast_GET_SIZE(o);
  PyObject** items = PySequence_Fast_ITEMS(o);
  for (Py_ssize_t i = 0; i < n; ++i) {
    int64_t v;
    if (PyBool_Check(items[i]) || !index_from(items[i], v)) return false;
    out.push_back(v);
  }
  return true;
}

Tensor operand_from(PyObject* o) {
  if (is_tensor(o)) return tensor_of(o);
  Scalar s;
  if (scalar_from(o, s)) return weak_scalar(s);
  return {};
}

void add_types(PyObject* m) {
  // PyTorch's scripts catch a RuntimeError, Python's own a MemoryError.
  Obj kinds(Py_BuildValue("(OO)", PyExc_RuntimeError, PyExc_MemoryError));
  out_of_memory = check(PyErr_NewExceptionWithDoc(
      "flambeau.OutOfMemoryError", "Raised when a device has no memory left for a tensor.",
      kinds.get(), nullptr));
  check(PyModule_AddObjectRef(m, "OutOfMemoryError", out_of_memory));
  check(PyModule_AddFunctions(m, device_functions));
  DTypeType = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&dtype_spec)));
  DeviceType_ = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&device_spec)));
  Obj bases(Py_BuildValue("(O)", &PyTuple_Type));
  SizeType =
      reinterpret_cast<PyTypeObject*>(check(PyType_FromSpecWithBases(&size_spec, bases.get())));
  check(PyModule_AddObjectRef(m, "dtype", reinterpret_cast<PyObject*>(DTypeType)));
  check(PyModule_AddObjectRef(m, "device", reinterpret_cast<PyObject*>(DeviceType_)));
  check(PyModule_AddObjectRef(m, "Size", reinterpret_cast<PyObject*>(SizeType)));
  for (int i = 0; i < kDTypes; ++i) {
    PyObject* o = check(DTypeType->tp_alloc(DTypeType, 0));
    reinterpret_cast<PyDType*>(o)->value = DType(i);
    dtype_objects[i] = o;
    check(PyModule_AddObjectRef(m, name_of(DType(i)), o));
  }
}

} // namespace flambeau::py
