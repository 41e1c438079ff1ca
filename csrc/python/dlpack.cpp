// Memory shared with other libraries, on the host and on GPUs: DLPack and __cuda_array_interface__.
#include <cstring>

#include "../autograd/node.h"
#include "../cuda/launch.h"
#include "py.h"

namespace flambeau::py {

namespace {

// DLPack (the layout of its structures is its published ABI, version 0.8) ----------------------

enum DLDevice { kDLCpu = 1, kDLCuda = 2, kDLCudaHost = 3, kDLCudaManaged = 13 };
struct DLTensor {
  void* data;
  struct {
    int32_t type, id;
  } device;
  int32_t ndim;
  struct {
    uint8_t code, bits;
    uint16_t lanes;
  } dtype;
  int64_t *shape, *strides;
  uint64_t byte_offset;
};
struct DLManaged {
  DLTensor t;
  void* context;
  void (*deleter)(DLManaged*);
};
struct Exported {
  DLManaged m;
  Tensor keep;
  Dims shape, strides;
};

uint8_t dl_code(DType t) {
  if (t == DType::Bool) return 6;
  if (t == DType::BF16) return 4;
  if (is_complex(t)) return 5;
  if (is_float(t)) return 2;
  return is_signed(t) ? 0 : 1;
}
bool dl_dtype(uint8_t code, uint8_t bits, DType& out) {
  for (int i = 0; i < kDTypes; ++i)
    if (dl_code(DType(i)) == code && size_of(DType(i)) * 8 == bits) {
      out = DType(i);
      return true;
    }
  return false;
}
void drop_capsule(PyObject* c) {
  if (!PyCapsule_IsValid(c, "dltensor")) return;
  auto* m = static_cast<DLManaged*>(PyCapsule_GetPointer(c, "dltensor"));
  if (m && m->deleter) m->deleter(m);
}

// Makes work queued on `later` from now on wait for what is on `earlier`.
void order_streams(int device, cuda::Handle earlier, cuda::Handle later) {
  if (earlier == later) return;
  cuda::gpu(device);
  cuda::Handle event = nullptr;
  constexpr unsigned kNoTiming = 2;
  FB_CU(EventCreate, &event, kNoTiming);
  FB_CU(EventRecord, event, earlier);
  FB_CU(StreamWaitEvent, later, event, 0);
  FB_CU(EventDestroy, event);
}
// A stream as both protocols number it: 1 is the legacy default stream, 2 the thread's.
cuda::Handle stream_numbered(long long number) {
  FB_CHECK_VALUE(number != 0, "stream 0 is ambiguous between the default streams: pass 1 for the "
                              "legacy one, 2 for the one of the thread");
  return number == 1 ? nullptr : reinterpret_cast<cuda::Handle>(number);
}

struct ExportArgs {
  PyObject *stream = Py_None, *device = Py_None, *copy = Py_None;
};
ExportArgs export_args(const char* fn, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  ExportArgs r;
  FB_CHECK_TYPE(n == 0, fn, "() takes keyword arguments only");
  for (Py_ssize_t k = 0; kw && k < PyTuple_GET_SIZE(kw); ++k) {
    std::string key = PyUnicode_AsUTF8(PyTuple_GET_ITEM(kw, k));
    if (key == "stream")
      r.stream = args[n + k];
    else if (key == "dl_device" || key == "device")
      r.device = args[n + k];
    else if (key == "copy")
      r.copy = args[n + k];
    else
      FB_CHECK_TYPE(key == "max_version", fn, "() got an unexpected keyword argument '", key, "'");
  }
  return r;
}

// The tensor to hand over when a consumer asks for another device or for a copy.
Tensor placed(Tensor t, const ExportArgs& a) {
  NoGrad off;
  int type = 0, index = 0;
  bool never = a.copy == Py_False, must = a.copy == Py_True;
  if (a.device != Py_None) {
    if (!PyArg_ParseTuple(a.device, "ii", &type, &index)) fail_set();
    Device want = type == kDLCuda ? Device{DeviceType::Cuda, int8_t(index)} : Device{};
    FB_CHECK_AS(Buffer, type == kDLCpu || type == kDLCuda,
                "__dlpack__(): there is no DLPack device type ", type, " here");
    if (!(want == t.device())) {
      FB_CHECK_AS(Buffer, !never, "__dlpack__(copy=False): the tensor is on ", t.device(),
                  ", and only a copy can be on ", want);
      return move_to(t, want, t.dtype());
    }
  }
  return must ? clone(t) : t;
}

PyObject* m_dlpack(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  ExportArgs a = export_args("__dlpack__", args, n, kw);
  Tensor t = tensor_of(self);
  FB_CHECK_AS(Buffer, !t.requires_grad(),
              "Can't export tensors that require gradient, use "
              "tensor.detach()");
  FB_CHECK_AS(Buffer, !t.is_meta(), "Can't export a tensor on meta: it has no memory");
  t = placed(t, a);
  FB_CHECK_AS(Buffer, !t.storage().readonly, "Can't export a read-only tensor: use .clone()");
  if (t.is_cuda()) {
    long long number = a.stream == Py_None ? 1 : PyLong_AsLongLong(a.stream);
    if (PyErr_Occurred()) return nullptr;
    int i = t.device().index;
    if (number != -1) order_streams(i, cuda::current_stream(i), stream_numbered(number));
  }
  auto* e = new Exported{{}, alias(t), t.shape(), t.strides()};
  e->m.t = {t.storage().data,
            {t.is_cuda() ? kDLCuda : kDLCpu, t.is_cuda() ? t.device().index : 0},
            t.dim(),
            {dl_code(t.dtype()), uint8_t(t.itemsize() * 8), 1},
            e->shape.data(),
            e->strides.data(),
            uint64_t(t.offset() * t.itemsize())};
  e->m.context = e;
  e->m.deleter = [](DLManaged* m) {
    PyGILState_STATE s = PyGILState_Ensure();
    delete static_cast<Exported*>(m->context);
    PyGILState_Release(s);
  };
  return PyCapsule_New(&e->m, "dltensor", drop_capsule);
  FB_CATCH(nullptr)
}
PyObject* m_dlpack_device(PyObject* self, PyObject*) {
  FB_TRY
  Device d = impl_of(self)->storage->device;
  FB_CHECK_AS(Buffer, !d.is_meta(), "a tensor on meta has no memory to share");
  return Py_BuildValue("(ii)", d.is_cuda() ? kDLCuda : kDLCpu, d.is_cuda() ? d.index : 0);
  FB_CATCH(nullptr)
}

// The capsule of an object; one on a GPU is told which stream is going to read the memory.
Obj capsule_of(PyObject* o) {
  if (PyCapsule_CheckExact(o)) return Obj::borrow(o);
  int type = kDLCpu, index = 0;
  if (PyObject_HasAttrString(o, "__dlpack_device__")) {
    Obj where(check(PyObject_CallMethod(o, "__dlpack_device__", nullptr)));
    Obj kind(check(PySequence_GetItem(where.get(), 0)));
    Obj at(check(PySequence_GetItem(where.get(), 1)));
    type = int(PyLong_AsLong(kind.get())); // may be an enum
    index = int(PyLong_AsLong(at.get()));
    if (PyErr_Occurred()) fail_set();
  }
  if (type != kDLCuda) return Obj(check(PyObject_CallMethod(o, "__dlpack__", nullptr)));
  usable({DeviceType::Cuda, int8_t(index)});
  Obj method(check(PyObject_GetAttrString(o, "__dlpack__"))), none(PyTuple_New(0));
  Obj kw(check(Py_BuildValue("{s:N}", "stream", PyLong_FromVoidPtr(cuda::current_stream(index)))));
  return Obj(check(PyObject_Call(method.get(), none.get(), kw.get())));
}

Tensor from_capsule(PyObject* capsule) {
  auto* m = static_cast<DLManaged*>(PyCapsule_GetPointer(capsule, "dltensor"));
  if (!m) fail_set();
  int type = m->t.device.type;
  bool gpu = type == kDLCuda || type == kDLCudaManaged;
  FB_CHECK(gpu || type == kDLCpu || type == kDLCudaHost,
           "from_dlpack(): only memory of the CPU and of CUDA devices is supported, the object is "
           "on DLPack device type ",
           type);
  DType d;
  FB_CHECK(m->t.dtype.lanes == 1 && dl_dtype(m->t.dtype.code, m->t.dtype.bits, d),
           "from_dlpack(): element type not supported");
  Dims shape(m->t.shape, m->t.shape + m->t.ndim);
  Dims strides =
      m->t.strides ? Dims(m->t.strides, m->t.strides + m->t.ndim) : contiguous_strides(shape);
  int64_t span = 1;
  for (int i = 0; i < shape.size(); ++i) {
    FB_CHECK_VALUE(strides[i] >= 0, "from_dlpack(): negative strides are not supported");
    span += (shape[i] - 1) * strides[i];
  }
  Device device;
  if (gpu) device = usable({DeviceType::Cuda, int8_t(m->t.device.id)});
  TensorImpl* p = TensorImpl::create();
  Tensor r = Tensor::adopt(p);
  p->storage = Storage::borrow(static_cast<char*>(m->t.data) + m->t.byte_offset,
                               numel_of(shape) ? size_t(span * size_of(d)) : 0, m, [](void* o) {
                                 auto* x = static_cast<DLManaged*>(o);
                                 if (x->deleter) x->deleter(x);
                               });
  p->storage->device = device;
  p->dtype = d;
  set_layout(*p, shape, strides, 0);
  PyCapsule_SetName(capsule, "used_dltensor");
  return r;
}

PyObject* f_from_dlpack(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  FB_CHECK_TYPE(n >= 1, "from_dlpack() takes an object with __dlpack__, or a capsule");
  ExportArgs a = export_args("from_dlpack", args + n, 0, kw);
  NoGrad off;
  Tensor t = from_capsule(capsule_of(args[0]).get());
  Device want = t.device();
  FB_CHECK_TYPE(a.device == Py_None || device_from(a.device, want),
                "from_dlpack(): device must be a device, not ", Py_TYPE(a.device)->tp_name);
  want = usable(want);
  if (want == t.device()) return wrap(a.copy == Py_True ? clone(t) : t);
  FB_CHECK_VALUE(a.copy != Py_False, "from_dlpack(copy=False): the memory is on ", t.device(),
                 ", and only a copy can be on ", want);
  return wrap(move_to(t, want, t.dtype()));
  FB_CATCH(nullptr)
}

// __cuda_array_interface__ (version 3) ---------------------------------------------------------

std::string typestr_of(DType t) {
  FB_CHECK_TYPE(t != DType::BF16, "__cuda_array_interface__ has no bfloat16: share the bits with "
                                  ".view(flambeau.int16), or use DLPack");
  if (t == DType::Bool) return "|b1";
  char kind = is_complex(t) ? 'c' : is_float(t) ? 'f' : is_signed(t) ? 'i' : 'u';
  return std::string(size_of(t) == 1 ? "|" : "<") + kind + std::to_string(size_of(t));
}
DType dtype_of_typestr(const std::string& s) {
  for (int i = 0; i < kDTypes; ++i)
    if (DType(i) != DType::BF16 && s.size() > 1 && s[0] != '>' &&
        s.substr(1) == typestr_of(DType(i)).substr(1))
      return DType(i);
  fail(ErrorKind::Type, "can't make a tensor of an array with element type '", s,
       "': the supported types are bool, (u)int8-64, float16-64 and complex64/128");
}

PyObject* get_cuda_array(PyObject* self, void*) {
  FB_TRY
  Tensor t = tensor_of(self);
  if (!t.is_cuda()) {
    PyErr_Format(PyExc_AttributeError,
                 "Can't get __cuda_array_interface__ on non-CUDA tensor type: it is on %s; use "
                 ".cuda() first",
                 to_str(t.device()).c_str());
    return nullptr;
  }
  FB_CHECK(!t.requires_grad(), "Can't get __cuda_array_interface__ on Variable that requires "
                               "grad. If gradients aren't required, use var.detach() to get "
                               "Variable that doesn't require grad.");
  Obj shape(check(PyTuple_New(t.dim()))), strides(check(PyTuple_New(t.dim())));
  for (int i = 0; i < t.dim(); ++i) {
    PyTuple_SET_ITEM(shape.get(), i, PyLong_FromLongLong(t.shape()[i]));
    PyTuple_SET_ITEM(strides.get(), i, PyLong_FromLongLong(t.strides()[i] * t.itemsize()));
  }
  Obj step = t.is_contiguous() ? Obj::borrow(Py_None) : std::move(strides);
  return Py_BuildValue("{s:s,s:O,s:O,s:(KO),s:K,s:i}", "typestr", typestr_of(t.dtype()).c_str(),
                       "shape", shape.get(), "strides", step.get(), "data",
                       (unsigned long long)(t.numel() ? cuda::address(t) : 0),
                       t.storage().readonly ? Py_True : Py_False, "stream",
                       (unsigned long long)(cuda::current_stream(t.device().index)), "version", 3);
  FB_CATCH(nullptr)
}

void drop_owner(void* o) {
  PyGILState_STATE gil = PyGILState_Ensure();
  Py_DECREF(static_cast<PyObject*>(o));
  PyGILState_Release(gil);
}

int64_t int_item(PyObject* dims, Py_ssize_t i) {
  Obj x(check(PySequence_GetItem(dims, i)));
  int64_t v;
  FB_CHECK_TYPE(index_from(x.get(), v), "__cuda_array_interface__ holds a size that is no integer");
  return v;
}

// What an object says of its array.
struct CudaArray {
  DType dtype;
  Dims shape, strides;
  cuda::Pointer pointer = 0;
  bool readonly = false;
  long long stream = 0; // 0: nothing to wait for
};
CudaArray read_cuda_array(PyObject* info) {
  auto get = [&](const char* key) {
    PyObject* v = PyMapping_GetItemString(info, key);
    if (!v) PyErr_Clear();
    return Obj(v && v != Py_None ? v : (Py_XDECREF(v), nullptr));
  };
  CudaArray a;
  Obj typestr = get("typestr"), shape = get("shape"), data = get("data"), strides = get("strides"),
      stream = get("stream");
  FB_CHECK_TYPE(typestr && shape && data, "__cuda_array_interface__ lacks typestr, shape or data");
  FB_CHECK_TYPE(!get("mask"), "arrays with a mask cannot become tensors");
  const char* text = PyUnicode_AsUTF8(typestr.get());
  if (!text) fail_set();
  a.dtype = dtype_of_typestr(text);
  for (Py_ssize_t i = 0; i < PySequence_Size(shape.get()); ++i)
    a.shape.push_back(int_item(shape.get(), i));
  a.strides = contiguous_strides(a.shape);
  for (int i = 0; strides && i < a.shape.size(); ++i) {
    int64_t step = int_item(strides.get(), i);
    FB_CHECK_VALUE(step >= 0 && step % size_of(a.dtype) == 0,
                   "strides must be multiples of the element size, and not negative: got ", step);
    a.strides[i] = step / size_of(a.dtype);
  }
  Obj pointer(check(PySequence_GetItem(data.get(), 0)));
  Obj readonly(check(PySequence_GetItem(data.get(), 1)));
  a.pointer = PyLong_AsUnsignedLongLong(pointer.get());
  a.readonly = PyObject_IsTrue(readonly.get());
  if (stream) a.stream = PyLong_AsLongLong(stream.get());
  if (PyErr_Occurred()) fail_set();
  return a;
}

PyGetSetDef cuda_array_getset = {"__cuda_array_interface__", get_cuda_array, nullptr,
                                 "How other libraries see a tensor on a GPU.", nullptr};
PyMethodDef functions[] = {
    {"from_dlpack", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(f_from_dlpack)),
     METH_FASTCALL | METH_KEYWORDS,
     "from_dlpack(x, *, device=None, copy=None): a tensor on the memory of an object with "
     "__dlpack__."},
    {nullptr, nullptr, 0, nullptr}};

} // namespace

Tensor from_cuda_array(PyObject* o, bool copy) {
  if (PyList_Check(o) || PyTuple_Check(o) || PyObject_CheckBuffer(o) || PyLong_Check(o) ||
      PyFloat_Check(o) || !PyObject_HasAttrString(o, "__cuda_array_interface__"))
    return {};
  Obj info(check(PyObject_GetAttrString(o, "__cuda_array_interface__")));
  CudaArray a = read_cuda_array(info.get());
  Device device = usable({DeviceType::Cuda, -1});
  if (a.pointer) {
    int ordinal = 0;
    constexpr int kDeviceOrdinal = 9;
    cuda::gpu(device.index);
    FB_CU(PointerGetAttribute, &ordinal, kDeviceOrdinal, a.pointer);
    device.index = int8_t(ordinal);
  }
  if (a.stream)
    order_streams(device.index, stream_numbered(a.stream), cuda::current_stream(device.index));
  int64_t span = 1;
  for (int i = 0; i < a.shape.size(); ++i) span += (a.shape[i] - 1) * a.strides[i];
  TensorImpl* p = TensorImpl::create();
  Tensor r = Tensor::adopt(p);
  p->storage = Storage::borrow(reinterpret_cast<void*>(a.pointer),
                               numel_of(a.shape) ? size_t(span * size_of(a.dtype)) : 0,
                               Obj::borrow(o).release(), drop_owner);
  p->storage->device = device;
  p->storage->readonly = a.readonly;
  p->dtype = a.dtype;
  set_layout(*p, a.shape, a.strides, 0);
  return copy ? clone(r) : r;
}

PyMethodDef dlpack_tensor_methods[] = {
    {"__dlpack__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(m_dlpack)),
     METH_FASTCALL | METH_KEYWORDS, nullptr},
    {"__dlpack_device__", m_dlpack_device, METH_NOARGS, nullptr},
    {nullptr, nullptr, 0, nullptr}};

void add_dlpack(PyObject* m) {
  check(PyModule_AddFunctions(m, functions));
  PyObject* type = reinterpret_cast<PyObject*>(TensorType);
  check(PyObject_SetAttrString(type, cuda_array_getset.name,
                               check(PyDescr_NewGetSet(TensorType, &cuda_array_getset))));
}

} // namespace flambeau::py
