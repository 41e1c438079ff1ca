// The bridge to NumPy and other owners of the host's memory: buffers and nested lists.
#include <cstring>
#include <string_view>

#include "../autograd/node.h"
#include "../cpu/loops.h"
#include "py.h"

namespace flambeau::py {

PyTypeObject* StorageType;

namespace {

struct PyStorage {
  PyObject_HEAD Storage* storage;
};

// Buffer format characters of the dtypes; "" where NumPy has none.
const char* format_of(DType t) {
  static const char* f[] = {"?", "B", "b", "h", "i", "q",  "H", "I",
                            "Q", "e", "",  "f", "d", "Zf", "Zd"};
  return f[int(t)];
}

bool dtype_of_format(const char* f, Py_ssize_t size, DType& out) {
  if (!f) f = "B";
  if (*f == '@' || *f == '=' || *f == '<') ++f;
  if (*f == '>' || *f == '!') return false;
  std::string_view s = f;
  if (s == "?")
    out = DType::Bool;
  else if (s == "e")
    out = DType::F16;
  else if (s == "f")
    out = DType::F32;
  else if (s == "d")
    out = DType::F64;
  else if (s == "Zf")
    out = DType::C64;
  else if (s == "Zd")
    out = DType::C128;
  else if (s == "b" || s == "h" || s == "i" || s == "l" || s == "q" || s == "n")
    out = size == 1 ? DType::I8 : size == 2 ? DType::I16 : size == 4 ? DType::I32 : DType::I64;
  else if (s == "B" || s == "c" || s == "H" || s == "I" || s == "L" || s == "Q" || s == "N")
    out = size == 1 ? DType::U8 : size == 2 ? DType::U16 : size == 4 ? DType::U32 : DType::U64;
  else
    return false;
  return true;
}

void release_buffer(void* owner) {
  auto* b = static_cast<Py_buffer*>(owner);
  PyGILState_STATE s = PyGILState_Ensure();
  PyBuffer_Release(b);
  PyGILState_Release(s);
  delete b;
}

// A tensor on the memory of an object with the buffer protocol; undefined when it has none.
Tensor from_buffer(PyObject* o, const char* op, bool copy) {
  auto b = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(o, b.get(), PyBUF_FULL_RO) < 0) {
    PyErr_Clear();
    return {};
  }
  struct Guard {
    Py_buffer* b;
    ~Guard() {
      if (b) PyBuffer_Release(b);
    }
  } guard{b.get()};
  DType t;
  if (!dtype_of_format(b->format, b->itemsize, t))
    fail(ErrorKind::Type, op, ": can't convert an array with element format '",
         b->format ? b->format : "",
         "' to a tensor. The supported types are bool, (u)int8-64, "
         "float16-64 and complex64/128 in native byte order; use .astype(...) first");
  Dims shape, strides;
  int64_t low = 0;
  for (int i = 0; i < b->ndim; ++i) {
    int64_t s = b->strides[i];
    FB_CHECK_VALUE(s % b->itemsize == 0, op,
                   ": given numpy array strides not a multiple of the "
                   "element byte size. Copy the array to reallocate the memory.");
    if (s < 0 && b->shape[i] > 1) {
      FB_CHECK_VALUE(copy, op,
                     ": at least one stride in the given numpy array is negative, and "
                     "tensors with negative strides are not supported. Make a copy of your array "
                     "with array.copy().");
      low += s / b->itemsize * (b->shape[i] - 1);
    }
    shape.push_back(b->shape[i]);
    strides.push_back(s / b->itemsize);
  }
  int64_t n = numel_of(shape);
  Py_buffer* raw = b.release();
  guard.b = nullptr;
  int64_t span = 1;
  for (int i = 0; i < shape.size() && n; ++i) span += (shape[i] - 1) * std::abs(strides[i]);
  char* start = static_cast<char*>(raw->buf) + low * raw->itemsize;
  TensorImpl* p = TensorImpl::create();
  Tensor r = Tensor::adopt(p);
  p->storage = Storage::borrow(start, n ? size_t(span * raw->itemsize) : 0, raw, release_buffer);
  p->storage->readonly = raw->readonly;
  p->dtype = t;
  set_layout(*p, shape, strides, -low);
  if (!copy) return r;
  Tensor c = empty(shape, t);
  copy_values(c, r);
  return c;
}

// Nested sequences ----------------------------------------------------------------------------

struct Shape {
  Dims dims;
  DType dtype = DType::Bool;
  bool any = false;
};

bool is_sequence(PyObject* o) {
  return PyList_Check(o) || PyTuple_Check(o) || PyRange_Check(o) ||
         (PySequence_Check(o) && !PyUnicode_Check(o) && !PyBytes_Check(o) && !is_tensor(o) &&
          PyObject_HasAttrString(o, "__len__") && !is_array(o));
}

Tensor element_tensor(PyObject* o) { // tensors and arrays inside lists
  if (PyFloat_CheckExact(o) || PyLong_CheckExact(o) || PyList_CheckExact(o)) return {};
  if (is_tensor(o)) return tensor_of(o);
  if (PyObject_CheckBuffer(o) && is_array(o)) return from_buffer(o, "tensor()", false);
  return {};
}

void look(PyObject* o, int depth, Shape& s, bool first) {
  auto fix = [&](int64_t n, int at) {
    if (first)
      s.dims.push_back(n);
    else
      FB_CHECK_VALUE(at < s.dims.size() && s.dims[at] == n,
                     "tensor(): expected sequence of length ", at < s.dims.size() ? s.dims[at] : 0,
                     " at dim ", at, " (got ", n, ")");
  };
  Tensor t = element_tensor(o);
  if (t.defined()) {
    for (int i = 0; i < t.dim(); ++i) fix(t.shape()[i], depth + i);
    s.dtype = s.any ? promote(s.dtype, t.dtype()) : t.dtype();
    s.any = true;
    return;
  }
  Scalar v;
  if (scalar_from(o, v)) {
    FB_CHECK_VALUE(first || depth == s.dims.size(), "tensor(): expected sequence of length ",
                   depth < s.dims.size() ? s.dims[depth] : 0, " at dim ", depth, " (got a number)");
    DType d = v.dtype();
    s.dtype = s.any ? promote(s.dtype, d) : d;
    s.any = true;
    return;
  }
  if (PyUnicode_Check(o) || PyBytes_Check(o) || !is_sequence(o))
    fail(ErrorKind::Type, depth ? "new(): invalid data type '" : "Could not infer dtype of '",
         Py_TYPE(o)->tp_name, "': tensor() takes numbers, nested lists of them, and arrays");
  Obj seq(check(PySequence_Fast(o, "expected a sequence")));
  Py_ssize_t n = PySequence_Fast_GET_SIZE(seq.get());
  fix(n, depth);
  FB_CHECK_VALUE(depth < 64, "too many dimensions in the nested list");
  for (Py_ssize_t i = 0; i < n; ++i)
    look(PySequence_Fast_GET_ITEM(seq.get(), i), depth + 1, s, first && i == 0);
}

void store(const Scalar& v, DType t, char* to) {
  if (t == DType::F32 && v.kind == Scalar::Float) {
    *reinterpret_cast<float*>(to) = float(v.f);
  } else if (t == DType::I64 && v.kind == Scalar::Int) {
    *reinterpret_cast<int64_t*>(to) = v.i;
  } else if (v.kind == Scalar::Complex) {
    c128 z(v.f, v.im);
    FB_CHECK_TYPE(is_complex(t), "can't convert complex to ", t);
    cast_kernel(DType::C128, t)(reinterpret_cast<char*>(&z), 16, to, 16, 1);
  } else if (v.is_integral()) {
    cast_kernel(DType::I64, t)(reinterpret_cast<const char*>(&v.i), 8, to, 16, 1);
  } else {
    cast_kernel(DType::F64, t)(reinterpret_cast<const char*>(&v.f), 8, to, 16, 1);
  }
}

void fill(PyObject* o, int depth, const Tensor& t, int64_t& at) {
  if (depth == t.dim() || is_tensor(o) || is_array(o)) {
    Tensor e = element_tensor(o);
    if (e.defined()) {
      Tensor part = alias_as(t, e.shape(), contiguous_strides(e.shape()), at);
      copy_values(part, e);
      at += e.numel();
      return;
    }
    Scalar v;
    scalar_from(o, v);
    store(v, t.dtype(), t.bytes() + at * t.itemsize());
    ++at;
    return;
  }
  Obj seq(check(PySequence_Fast(o, "expected a sequence")));
  PyObject** items = PySequence_Fast_ITEMS(seq.get());
  Py_ssize_t n = PySequence_Fast_GET_SIZE(seq.get());
  if (depth + 1 == t.dim() && t.dtype() == DType::F32) { // the usual leaf row
    float* to = t.data<float>() + at;
    Py_ssize_t i = 0;
    for (; i < n && PyFloat_CheckExact(items[i]); ++i) to[i] = float(PyFloat_AS_DOUBLE(items[i]));
    at += i;
    for (; i < n; ++i) fill(items[i], depth + 1, t, at);
    return;
  }
  for (Py_ssize_t i = 0; i < n; ++i) fill(items[i], depth + 1, t, at);
}

} // namespace

namespace {
// What holds values and is no tensor, as one: arrays share their memory unless `copy`.
Tensor tensor_of_values(PyObject* o, OptDType dtype, bool copy) {
  if (!PyList_CheckExact(o) && !PyTuple_CheckExact(o) && !PyFloat_CheckExact(o) &&
      !PyLong_CheckExact(o)) {
    Tensor t = from_ndarray(o);
    if (t.defined() && copy) {
      Tensor c = empty(t.shape(), t.dtype());
      copy_values(c, t);
      return c;
    }
    if (t.defined()) return t;
    t = from_cuda_array(o, copy);
    if (!t.defined() && PyObject_CheckBuffer(o) && !PyBytes_Check(o) && !PyByteArray_Check(o))
      t = from_buffer(o, "tensor()", copy);
    if (!t.defined() && PyObject_HasAttrString(o, "__array__") &&
        !PyObject_HasAttrString(o, "item")) {
      Obj a(check(PyObject_CallMethod(o, "__array__", nullptr)));
      t = from_buffer(a.get(), "tensor()", true);
    }
    if (t.defined()) return t;
  }
  Shape s;
  look(o, 0, s, true);
  DType d = dtype ? *dtype : s.any ? s.dtype : default_dtype();
  Tensor t = empty(s.dims, d);
  int64_t at = 0;
  fill(o, 0, t, at);
  return t;
}
} // namespace

Tensor tensor_from_data(PyObject* o, OptDType dtype, OptDevice device, bool copy) {
  NoGrad off;
  bool given = bool(device), fresh = !is_tensor(o) || copy;
  Tensor t = is_tensor(o) ? tensor_of(o) : tensor_of_values(o, dtype, copy);
  DType d = dtype ? *dtype : t.dtype();
  // A tensor stays where it is, and so does what lies on a GPU.
  Device to = given                                           ? usable(*device)
              : fresh && !is_tensor(o) && t.device().is_cpu() ? usable(default_device())
                                                              : t.device();
  if (t.is_meta() && !to.is_meta()) to = t.device();
  if (to.is_meta()) return empty(t.shape(), d, to);
  if (!(t.device() == to)) return move_to(t, to, d);
  if (d != t.dtype()) return to_dtype(t, d);
  return is_tensor(o) && copy ? clone(t) : t;
}

namespace {

PyObject* storage_object(Storage* s) {
  PyObject* o = check(StorageType->tp_alloc(StorageType, 0));
  s->retain();
  reinterpret_cast<PyStorage*>(o)->storage = s;
  return o;
}
Storage* storage_of(PyObject* o) { return reinterpret_cast<PyStorage*>(o)->storage; }
void storage_dealloc(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  storage_of(self)->release();
  type->tp_free(self);
  Py_DECREF(type);
}
int storage_getbuffer(PyObject* self, Py_buffer* view, int flags) {
  Storage* s = storage_of(self);
  if (!s->device.is_cpu()) {
    PyErr_Format(PyExc_BufferError, "the storage is on %s: copy the tensor with .cpu() first",
                 to_str(s->device).c_str());
    return -1;
  }
  return PyBuffer_FillInfo(view, self, s->data, Py_ssize_t(s->nbytes), s->readonly, flags);
}
PyObject* storage_nbytes(PyObject* self, PyObject*) {
  return PyLong_FromSize_t(storage_of(self)->nbytes);
}
PyObject* storage_ptr(PyObject* self, PyObject*) {
  return PyLong_FromVoidPtr(storage_of(self)->data);
}
Py_ssize_t storage_len(PyObject* self) { return Py_ssize_t(storage_of(self)->nbytes); }
PyObject* storage_device(PyObject* self, void*) {
  FB_TRY
  return wrap(storage_of(self)->device);
  FB_CATCH(nullptr)
}
PyObject* storage_tensor(PyObject* self, PyObject*) {
  FB_TRY
  Storage* s = storage_of(self);
  Tensor t = Tensor::adopt(TensorImpl::create());
  t.impl()->storage = Ref<Storage>(s);
  t.impl()->dtype = DType::U8;
  set_layout(*t.impl(), {int64_t(s->nbytes)}, {1}, 0);
  return wrap(t);
  FB_CATCH(nullptr)
}
PyObject* storage_resize(PyObject* self, PyObject* n) {
  FB_TRY
  int64_t v;
  FB_CHECK_TYPE(index_from(n, v) && v >= 0, "resize_(): a number of bytes is expected");
  storage_of(self)->resize(size_t(v));
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
Py_hash_t storage_hash(PyObject* self) {
  return Py_hash_t(reinterpret_cast<uintptr_t>(storage_of(self)) >> 4);
}
PyObject* storage_compare(PyObject* a, PyObject* b, int op) {
  if (Py_TYPE(b) != StorageType || (op != Py_EQ && op != Py_NE)) Py_RETURN_NOTIMPLEMENTED;
  return PyBool_FromLong((storage_of(a) == storage_of(b)) == (op == Py_EQ));
}
PyMethodDef storage_methods[] = {
    {"nbytes", storage_nbytes, METH_NOARGS, "The number of bytes."},
    {"size", storage_nbytes, METH_NOARGS, "The number of bytes."},
    {"data_ptr", storage_ptr, METH_NOARGS, "The address of the first byte."},
    {"resize_", storage_resize, METH_O, "Changes the number of bytes."},
    {"_tensor", storage_tensor, METH_NOARGS, "The bytes as a 1-d uint8 tensor."},
    {nullptr, nullptr, 0, nullptr}};
PyGetSetDef storage_getset[] = {
    {"device", storage_device, nullptr, "Where the bytes are.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};
PyType_Slot storage_slots[] = {
    {Py_tp_dealloc, reinterpret_cast<void*>(storage_dealloc)},
    {Py_bf_getbuffer, reinterpret_cast<void*>(storage_getbuffer)},
    {Py_tp_methods, storage_methods},
    {Py_tp_getset, storage_getset},
    {Py_tp_hash, reinterpret_cast<void*>(storage_hash)},
    {Py_tp_richcompare, reinterpret_cast<void*>(storage_compare)},
    {Py_sq_length, reinterpret_cast<void*>(storage_len)},
    {Py_tp_doc, const_cast<char*>("The bytes that one or more tensors are views of.")},
    {0, nullptr}};
PyType_Spec storage_spec = {"flambeau.UntypedStorage", sizeof(PyStorage), 0,
                            Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, storage_slots};

PyObject* m_numpy(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  Tensor t = tensor_of(self);
  bool force = n + (kw ? PyTuple_GET_SIZE(kw) : 0) > 0 && PyObject_IsTrue(args[0]);
  if (force && t.is_cuda()) t = on_host(t);
  FB_CHECK_TYPE(t.device().is_cpu(), "can't convert ", t.device(),
                " device type tensor to numpy. Use "
                "Tensor.cpu() to copy the tensor to host memory first.");
  FB_CHECK(force || !t.requires_grad(), "Can't call numpy() on Tensor that requires grad. Use "
                                        "tensor.detach().numpy() instead.");
  if (t.dtype() == DType::BF16)
    fail(ErrorKind::Type, "Got unsupported ScalarType BFloat16: NumPy has no bfloat16; use "
                          ".float().numpy()");
  return to_ndarray(t);
  FB_CATCH(nullptr)
}

// The buffer protocol of tensors themselves.
struct BufferInfo {
  std::vector<Py_ssize_t> shape, strides;
};
int tensor_getbuffer(PyObject* self, Py_buffer* view, int flags) {
  FB_TRY
  Tensor t = tensor_of(self);
  const char* f = format_of(t.dtype());
  FB_CHECK_AS(Buffer, *f && t.device().is_cpu(), "a ", t.dtype(), " tensor on ", t.device(),
              " has no buffer");
  FB_CHECK_AS(Buffer, !t.requires_grad(),
              "a tensor that requires grad has no buffer: use .detach()");
  FB_CHECK_AS(Buffer, !(flags & PyBUF_WRITABLE) || !t.storage().readonly,
              "the tensor is read-only");
  FB_CHECK_AS(Buffer, t.is_contiguous() || (flags & PyBUF_STRIDES) == PyBUF_STRIDES,
              "the tensor is not contiguous");
  auto* info = new BufferInfo;
  for (int i = 0; i < t.dim(); ++i) {
    info->shape.push_back(t.shape()[i]);
    info->strides.push_back(t.strides()[i] * t.itemsize());
  }
  view->buf = t.bytes();
  view->obj = Obj::borrow(self).release();
  view->len = t.numel() * t.itemsize();
  view->itemsize = t.itemsize();
  view->readonly = t.storage().readonly;
  view->ndim = t.dim();
  view->format = flags & PyBUF_FORMAT ? const_cast<char*>(f) : nullptr;
  view->shape = flags & PyBUF_ND ? info->shape.data() : nullptr;
  view->strides = (flags & PyBUF_STRIDES) == PyBUF_STRIDES ? info->strides.data() : nullptr;
  view->suboffsets = nullptr;
  view->internal = info;
  return 0;
  FB_CATCH(-1)
}
void tensor_releasebuffer(PyObject*, Py_buffer* view) {
  delete static_cast<BufferInfo*>(view->internal);
}

PyObject* f_from_numpy(PyObject*, PyObject* o) {
  FB_TRY
  FB_CHECK_TYPE(is_array(o), "expected np.ndarray (got ", Py_TYPE(o)->tp_name, ")");
  Tensor t = from_ndarray(o);
  if (!t.defined()) t = from_buffer(o, "from_numpy()", false);
  if (!t.defined()) {
    Obj dt(PyObject_GetAttrString(o, "dtype"));
    Obj text(dt ? PyObject_Str(dt.get()) : nullptr);
    PyErr_Clear();
    fail(ErrorKind::Type, "can't convert np.ndarray of type ",
         text ? PyUnicode_AsUTF8(text.get()) : "?",
         ". The only supported types are: float64, "
         "float32, float16, complex64, complex128, int64, int32, int16, int8, uint64, uint32, "
         "uint16, "
         "uint8, and bool.");
  }
  return wrap(t);
  FB_CATCH(nullptr)
}

struct DataArgs {
  PyObject* data = nullptr;
  OptDType dtype;
  OptDevice device;
  bool grad = false, copy = false, has_copy = false;
};
DataArgs data_args(const char* fn, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  DataArgs r;
  if (n > 0) r.data = args[0];
  auto take = [&](const char* k, PyObject* v) {
    std::string_view key = k;
    DType d;
    if (key == "data" || key == "obj" || key == "object")
      r.data = v;
    else if (key == "dtype") {
      if (v == Py_None) return;
      FB_CHECK_TYPE(dtype_from(v, d), fn, "(): argument 'dtype' must be flambeau.dtype, not ",
                    Py_TYPE(v)->tp_name);
      r.dtype = d;
    } else if (key == "device") {
      if (v == Py_None) return;
      Device where;
      FB_CHECK_TYPE(device_from(v, where), fn,
                    "(): argument 'device' must be flambeau.device, not ", Py_TYPE(v)->tp_name);
      r.device = where;
    } else if (key == "requires_grad")
      r.grad = PyObject_IsTrue(v);
    else if (key == "copy") {
      r.copy = v != Py_None && PyObject_IsTrue(v);
      r.has_copy = v != Py_None;
    } else if (key != "pin_memory")
      fail(ErrorKind::Type, fn, "() got an unexpected keyword argument '", k, "'");
  };
  if (n > 1) take("dtype", args[1]);
  if (n > 2) take("device", args[2]);
  Py_ssize_t nk = kw ? PyTuple_GET_SIZE(kw) : 0;
  for (Py_ssize_t k = 0; k < nk; ++k) take(PyUnicode_AsUTF8(PyTuple_GET_ITEM(kw, k)), args[n + k]);
  FB_CHECK_TYPE(r.data, fn, "() missing 1 required positional argument: 'data'");
  return r;
}
PyObject* finish_data(Tensor t, bool grad) {
  if (grad) {
    FB_CHECK(is_inexact(t.dtype()),
             "Only Tensors of floating point and complex dtype can require "
             "gradients, not ",
             t.dtype());
    t.make_meta().requires_grad = true;
  }
  if (inference_enabled()) t.impl()->inference = true;
  return wrap(t);
}
PyObject* f_tensor(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  DataArgs a = data_args("tensor", args, n, kw);
  return finish_data(tensor_from_data(a.data, a.dtype, a.device, true), a.grad);
  FB_CATCH(nullptr)
}
PyObject* shared_data(const DataArgs& a) {
  bool same = is_tensor(a.data) && !a.copy && (!a.dtype || *a.dtype == impl_of(a.data)->dtype) &&
              (!a.device || usable(*a.device) == impl_of(a.data)->storage->device);
  if (same) return Obj::borrow(a.data).release();
  if (is_tensor(a.data) && !a.copy && !a.device) return wrap(to_dtype(tensor_of(a.data), *a.dtype));
  // Arrays that a tensor cannot share (negative strides) are copied.
  if (!a.copy && PyObject_CheckBuffer(a.data)) {
    try {
      return finish_data(tensor_from_data(a.data, a.dtype, a.device, false), a.grad);
    } catch (const Error& e) {
      if (e.kind != ErrorKind::Value) throw;
    }
  }
  return finish_data(
      tensor_from_data(a.data, a.dtype, a.device, a.copy || PyObject_CheckBuffer(a.data)), a.grad);
}
bool holds_array(PyObject* o) {
  return is_tensor(o) || is_array(o) || PyObject_HasAttrString(o, "__cuda_array_interface__");
}
PyObject* f_as_tensor(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  return shared_data(data_args("as_tensor", args, n, kw));
  FB_CATCH(nullptr)
}
PyObject* f_asarray(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  DataArgs a = data_args("asarray", args, n, kw);
  if (holds_array(a.data)) return shared_data(a);
  return finish_data(tensor_from_data(a.data, a.dtype, a.device, true), a.grad);
  FB_CATCH(nullptr)
}
PyObject* m_new_tensor(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  DataArgs a = data_args("new_tensor", args, n, kw);
  TensorImpl* t = impl_of(self);
  return finish_data(tensor_from_data(a.data, a.dtype ? a.dtype : OptDType(t->dtype),
                                      a.device ? a.device : OptDevice(t->storage->device), true),
                     a.grad);
  FB_CATCH(nullptr)
}
PyObject* f_frombuffer(PyObject*, PyObject* args, PyObject* kwargs) {
  FB_TRY
  static const char* names[] = {"buffer", "dtype", "count", "offset", "requires_grad", nullptr};
  PyObject *o, *dt;
  long long count = -1, offset = 0;
  int grad = 0;
  if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|$OLLp", const_cast<char**>(names), &o, &dt,
                                   &count, &offset, &grad))
    return nullptr;
  DType d;
  FB_CHECK_TYPE(dtype_from(dt, d), "frombuffer(): dtype is required");
  auto b = std::make_unique<Py_buffer>();
  if (PyObject_GetBuffer(o, b.get(), PyBUF_SIMPLE) < 0) return nullptr;
  struct Guard {
    Py_buffer* b;
    ~Guard() {
      if (b) PyBuffer_Release(b);
    }
  } guard{b.get()};
  int64_t size = size_of(d), len = b->len;
  FB_CHECK_VALUE(offset >= 0 && offset <= len, "offset (", int64_t(offset),
                 " bytes) must be non-negative and no greater than buffer length (", len,
                 " bytes)");
  if (count < 0) {
    FB_CHECK_VALUE((len - offset) % size == 0, "buffer size (", len - offset,
                   " bytes) must be a multiple of element size (", size, ")");
    count = (len - offset) / size;
  }
  FB_CHECK_VALUE(count * size <= len - offset, "requested buffer length (", int64_t(count * size),
                 " bytes) after offset (", int64_t(offset),
                 " bytes) must not be greater than actual "
                 "buffer length (",
                 len, " bytes)");
  Py_buffer* raw = b.release();
  guard.b = nullptr;
  TensorImpl* p = TensorImpl::create();
  Tensor r = Tensor::adopt(p);
  p->storage = Storage::borrow(static_cast<char*>(raw->buf) + offset, size_t(count * size), raw,
                               release_buffer);
  p->storage->readonly = raw->readonly;
  p->dtype = d;
  set_layout(*p, {count}, {1}, 0);
  return finish_data(r, grad);
  FB_CATCH(nullptr)
}

PyMethodDef functions[] = {
    {"tensor", reinterpret_cast<PyCFunction>(f_tensor), METH_FASTCALL | METH_KEYWORDS,
     "tensor(data, *, dtype=None, device=None, requires_grad=False): a new tensor with a copy of "
     "data."},
    {"as_tensor", reinterpret_cast<PyCFunction>(f_as_tensor), METH_FASTCALL | METH_KEYWORDS,
     "as_tensor(data, dtype=None, device=None): a tensor that shares data's memory where it can."},
    {"asarray", reinterpret_cast<PyCFunction>(f_asarray), METH_FASTCALL | METH_KEYWORDS,
     "asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False)"},
    {"from_numpy", f_from_numpy, METH_O, "from_numpy(array): a tensor on the array's memory."},
    {"frombuffer", reinterpret_cast<PyCFunction>(f_frombuffer), METH_VARARGS | METH_KEYWORDS,
     "frombuffer(buffer, *, dtype, count=-1, offset=0): a 1-d tensor on a buffer's memory."},
    {nullptr, nullptr, 0, nullptr}};

} // namespace

PyMethodDef bridge_tensor_methods[] = {
    {"numpy", reinterpret_cast<PyCFunction>(m_numpy), METH_FASTCALL | METH_KEYWORDS,
     "numpy(*, force=False): a NumPy array on the same memory."},
    {"new_tensor", reinterpret_cast<PyCFunction>(m_new_tensor), METH_FASTCALL | METH_KEYWORDS,
     "new_tensor(data): tensor() with self's dtype."},
    {nullptr, nullptr, 0, nullptr}};

PyObject* wrap_storage(const Ref<Storage>& s) { return storage_object(s.get()); }

void add_numpy(PyObject* m) {
  StorageType = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&storage_spec)));
  check(PyModule_AddObjectRef(m, "UntypedStorage", reinterpret_cast<PyObject*>(StorageType)));
  check(PyModule_AddFunctions(m, functions));
  TensorType->tp_as_buffer->bf_getbuffer = tensor_getbuffer;
  TensorType->tp_as_buffer->bf_releasebuffer = tensor_releasebuffer;
}

} // namespace flambeau::py
