// Shared parts of the Python binding: owned references, exceptions, the wrapped types.
#pragma once
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <optional>

#include "../core/registry.h"
#include "../core/tensor.h"

namespace flambeau::py {

// An owned reference.
class Obj {
 public:
  Obj() = default;
  explicit Obj(PyObject* p) : p_(p) {}
  static Obj borrow(PyObject* p) {
    Py_XINCREF(p);
    return Obj(p);
  }
  Obj(Obj&& o) noexcept : p_(o.p_) { o.p_ = nullptr; }
  Obj& operator=(Obj&& o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Obj() { Py_XDECREF(p_); }
  PyObject* get() const { return p_; }
  PyObject* release() { return std::exchange(p_, nullptr); }
  explicit operator bool() const { return p_ != nullptr; }

 private:
  PyObject* p_ = nullptr;
};

// A Python exception is already set: unwind to the binding.
[[noreturn]] void fail_set();
inline PyObject* check(PyObject* p) {
  if (!p) fail_set();
  return p;
}
inline void check(int rc) {
  if (rc < 0) fail_set();
}
void set_exception(); // from the C++ exception being handled

#define FB_TRY try {
#define FB_CATCH(value)              \
  }                                  \
  catch (...) {                      \
    ::flambeau::py::set_exception(); \
    return value;                    \
  }

struct PyTensor {
  PyObject_HEAD Borrowed tensor; // the object is the reference
  PyObject* dict;
  PyObject* weakrefs;
};
struct PyDType {
  PyObject_HEAD DType value;
};
struct PyDevice {
  PyObject_HEAD Device value;
};

extern PyTypeObject *TensorType, *DTypeType, *DeviceType_, *SizeType, *StorageType, *NodeType;
inline bool is_tensor(PyObject* o) {
  PyTypeObject* t = Py_TYPE(o);
  return t == TensorType || t->tp_base == TensorType || PyType_IsSubtype(t, TensorType);
}
inline TensorImpl* impl_of(PyObject* o) { return reinterpret_cast<PyTensor*>(o)->tensor.impl(); }
inline const Tensor& tensor_of(PyObject* o) { return reinterpret_cast<PyTensor*>(o)->tensor.get(); }

PyObject* wrap(Tensor t); // the tensor's one Python object; None if undefined
PyObject* wrap_as(Tensor t, PyTypeObject* type); // a new object of a subclass
PyObject* wrap(DType t);
PyObject* wrap(const Device& d);
PyObject* wrap_size(const Dims& d);
PyObject* wrap(const Scalar& s);
PyObject* wrap_list(const Tensors& ts, bool as_list);
PyObject* wrap_node(const Ref<Node>& n);
PyObject* wrap_storage(const Ref<Storage>& s);

bool scalar_from(PyObject* o, Scalar& out); // numbers; false when it is none
bool index_from(PyObject* o, int64_t& out); // integers and objects with __index__
bool dtype_from(PyObject* o, DType& out);
bool device_from(PyObject* o, Device& out); // may throw on a bad name
bool dims_from(PyObject* o, Dims& out);     // tuples and lists of integers
using OptDevice = std::optional<Device>;
// Without a device a tensor stays where it is, and values go to the default device.
Tensor tensor_from_data(PyObject* data, OptDType dtype, OptDevice device, bool copy);
// A tensor on the GPU memory of an object with __cuda_array_interface__; undefined for others.
Tensor from_cuda_array(PyObject* o, bool copy);
// A tensor on the memory of a plain NumPy array; undefined for others.
Tensor from_ndarray(PyObject* o);
PyObject* to_ndarray(const Tensor& t); // on the tensor's memory, whose dtype NumPy must have
bool is_array(PyObject* o);            // whether it has __array_interface__
Device default_device(); // of this thread: where tensors are made when nothing says otherwise
Tensor operand_from(PyObject* o); // a tensor, or a number as a weak one; else undefined

PyObject* get_item(const Tensor& self, PyObject* index);
void set_item(const Tensor& self, PyObject* index, PyObject* value);
PyObject* call_overloads(PyObject* function, PyObject* const* args, Py_ssize_t n,
                         PyObject* kwnames);
// `name` of the functions, as a callable: for slots.
PyObject* function_named(const char* name);

bool overrides_functions(PyTypeObject* t); // by a __torch_function__ of its own
void* generator_state(PyObject* o);        // null when o is no Generator

void add_types(PyObject* module);
void add_tensor_type(PyObject* module);
void add_generator(PyObject* module);
void add_functions(PyObject* module);
void add_autograd(PyObject* module);
void add_numpy(PyObject* module);
void add_dlpack(PyObject* module);
void add_autocast(PyObject* module);
void add_cuda(PyObject* module);
void add_modes(PyObject* module);
extern PyMethodDef tensor_methods[];
extern PyMethodDef autograd_tensor_methods[];
extern PyMethodDef bridge_tensor_methods[];
extern PyMethodDef dlpack_tensor_methods[];
extern PyGetSetDef tensor_getset[];
int traverse_autograd(TensorImpl* t, visitproc visit, void* arg);

} // namespace flambeau::py
