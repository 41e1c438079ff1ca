// NumPy arrays by the parts of their C interface that never change, found at run time: no header.
#include <cstring>

#include "py.h"

namespace flambeau::py {
namespace {

// The public, stable heads of PyArrayObject and PyArray_Descr (numpy/ndarraytypes.h).
struct Descr {
  PyObject_HEAD PyTypeObject* typeobj;
  char kind, type, byteorder, former_flags;
  int type_num;
};
struct NdArray {
  PyObject_HEAD char* data;
  int nd;
  Py_ssize_t *dimensions, *strides;
  PyObject* base;
  Descr* descr;
  int flags;
};
constexpr int kAligned = 0x100, kWriteable = 0x400; // NPY_ARRAY_ALIGNED, NPY_ARRAY_WRITEABLE

// From numpy/__multiarray_api.h: the table of functions and the places of these two in it.
using NewFromDescr = PyObject* (*)(PyTypeObject*, Descr*, int, const Py_ssize_t*, const Py_ssize_t*,
                                   void*, int, PyObject*);
using SetBaseObject = int (*)(PyObject*, PyObject*);
constexpr int kNewFromDescr = 94, kSetBaseObject = 282;

struct NumPy {
  PyTypeObject* ndarray;
  PyObject* dtypes[kDTypes];
  NewFromDescr make;
  SetBaseObject set_base;
};
const NumPy& numpy() {
  static const NumPy loaded = [] {
    NumPy n{};
    Obj np(check(PyImport_ImportModule("numpy")));
    n.ndarray = reinterpret_cast<PyTypeObject*>(check(PyObject_GetAttrString(np.get(), "ndarray")));
    for (int i = 0; i < kDTypes; ++i)
      if (DType(i) != DType::BF16)
        n.dtypes[i] = check(PyObject_CallMethod(np.get(), "dtype", "s", name_of(DType(i))));
    Obj core(PyImport_ImportModule("numpy._core._multiarray_umath")); // NumPy 2
    if (!core) PyErr_Clear();
    if (!core) core = Obj(check(PyImport_ImportModule("numpy.core._multiarray_umath")));
    Obj capsule(check(PyObject_GetAttrString(core.get(), "_ARRAY_API")));
    auto** table = static_cast<void**>(PyCapsule_GetPointer(capsule.get(), nullptr));
    if (!table) fail_set();
    n.make = reinterpret_cast<NewFromDescr>(table[kNewFromDescr]);
    n.set_base = reinterpret_cast<SetBaseObject>(table[kSetBaseObject]);
    return n;
  }();
  return loaded;
}

bool dtype_of(const Descr* d, DType& out) {
  if (d->byteorder == '>') return false;
  switch (d->type_num) { // NPY_TYPES
  case 0: out = DType::Bool; return true;
  case 1: out = DType::I8; return true;
  case 2: out = DType::U8; return true;
  case 3: out = DType::I16; return true;
  case 4: out = DType::U16; return true;
  case 5: out = DType::I32; return true;
  case 6: out = DType::U32; return true;
  case 7: out = sizeof(long) == 8 ? DType::I64 : DType::I32; return true;
  case 8: out = sizeof(long) == 8 ? DType::U64 : DType::U32; return true;
  case 9: out = DType::I64; return true;
  case 10: out = DType::U64; return true;
  case 11: out = DType::F32; return true;
  case 12: out = DType::F64; return true;
  case 14: out = DType::C64; return true;
  case 15: out = DType::C128; return true;
  case 23: out = DType::F16; return true;
  default: return false;
  }
}

void release_array(void* array) {
  PyGILState_STATE s = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(array));
  PyGILState_Release(s);
}

} // namespace

bool is_array(PyObject* o) {
  static PyObject* name = PyUnicode_InternFromString("__array_interface__");
  if (PyList_CheckExact(o) || PyTuple_CheckExact(o) || PyFloat_CheckExact(o) ||
      PyLong_CheckExact(o) || PyUnicode_CheckExact(o))
    return false;
  // Asked of the type, the attribute need not be computed.
  Obj there(PyObject_GetAttr(reinterpret_cast<PyObject*>(Py_TYPE(o)), name));
  if (there) return true;
  PyErr_Clear();
  return PyObject_HasAttr(o, name);
}

Tensor from_ndarray(PyObject* o) {
  if (std::strcmp(Py_TYPE(o)->tp_name, "numpy.ndarray") || Py_TYPE(o) != numpy().ndarray) return {};
  auto* a = reinterpret_cast<NdArray*>(o);
  DType t;
  if (!dtype_of(a->descr, t) || !(a->flags & kAligned)) return {};
  int64_t size = size_of(t), span = size;
  Dims shape, strides;
  bool empty = false;
  for (int i = 0; i < a->nd; ++i) {
    int64_t n = a->dimensions[i], s = a->strides[i];
    if (s < 0 || s % size) return {};
    shape.push_back(n);
    strides.push_back(s / size);
    span += (n - 1) * s;
    empty = empty || n == 0;
  }
  Tensor r = Tensor::adopt(TensorImpl::create());
  TensorImpl* p = r.impl();
  Py_INCREF(o);
  p->storage = Storage::borrow(a->data, empty ? 0 : size_t(span), o, release_array);
  p->storage->readonly = !(a->flags & kWriteable);
  p->dtype = t;
  // NumPy gives an empty array strides of zero.
  set_layout(*p, shape, empty ? contiguous_strides(shape) : strides, 0);
  return r;
}

PyObject* to_ndarray(const Tensor& t) {
  const NumPy& np = numpy();
  Py_ssize_t strides[64];
  FB_CHECK(t.dim() <= 64, "NumPy arrays have at most 64 dimensions, the tensor has ", t.dim());
  for (int i = 0; i < t.dim(); ++i) strides[i] = t.strides()[i] * t.itemsize();
  PyObject* descr = Obj::borrow(np.dtypes[int(t.dtype())]).release(); // stolen by the call
  int flags = t.storage().readonly ? 0 : kWriteable;
  char* data = t.numel() ? t.bytes() : static_cast<char*>(t.storage().data);
  static_assert(sizeof(Py_ssize_t) == sizeof(int64_t));
  Obj a(check(np.make(np.ndarray, reinterpret_cast<Descr*>(descr), t.dim(),
                      reinterpret_cast<const Py_ssize_t*>(t.shape().data()), strides, data, flags,
                      nullptr)));
  check(np.set_base(a.get(), wrap_storage(Ref<Storage>(&t.storage())))); // steals it
  return a.release();
}

} // namespace flambeau::py
