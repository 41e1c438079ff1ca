// The Tensor type: one Python object per tensor, operators, attributes.
#include "../autograd/node.h"
#include "../core/elementwise.h"
#include "../cuda/launch.h"
#include "autocast.h"
#include "py.h"
#include "temporary.h"
#include <structmember.h>

namespace flambeau::py {

PyTypeObject* TensorType;

namespace {

constexpr int kSpareObjects = 256;
PyObject* spare_objects[kSpareObjects]; // of the exact type, as Python itself keeps tuples
int n_spare_objects = 0;

// Gives `t` its object, which takes over the reference: a tensor and its object share one count,
// Python's (see TensorImpl::retain), and other references that C++ has become Python ones.
PyObject* adopt(Tensor t, PyTypeObject* type) {
  PyObject* o;
  if (type == TensorType && n_spare_objects) {
    o = PyObject_Init(spare_objects[--n_spare_objects], type);
    PyObject_GC_Track(o);
  } else {
    o = check(type->tp_alloc(type, 0));
  }
  auto* p = reinterpret_cast<PyTensor*>(o);
  TensorImpl* impl = t.release();
  p->tensor = Borrowed(impl);
  p->dict = p->weakrefs = nullptr;
  for (uint32_t i = 1; i < impl->refs(); ++i) Py_INCREF(o);
  impl->pyobj = o;
  return o;
}

void dealloc(PyObject* self) {
  auto* p = reinterpret_cast<PyTensor*>(self);
  PyTypeObject* type = Py_TYPE(self);
  PyObject_GC_UnTrack(self);
  if (p->weakrefs) PyObject_ClearWeakRefs(self);
  Py_CLEAR(p->dict);
  if (TensorImpl* t = impl_of(self)) {
    p->tensor = Borrowed();
    t->pyobj = nullptr;
    TensorImpl::destroy(t);
  }
  if (type == TensorType && n_spare_objects < kSpareObjects)
    spare_objects[n_spare_objects++] = self;
  else
    type->tp_free(self);
  Py_DECREF(type);
}

int traverse(PyObject* self, visitproc visit, void* arg) {
  auto* p = reinterpret_cast<PyTensor*>(self);
  Py_VISIT(p->dict);
  Py_VISIT(Py_TYPE(self));
  TensorImpl* t = impl_of(self);
  return t ? traverse_autograd(t, visit, arg) : 0;
}

int clear(PyObject* self) {
  auto* p = reinterpret_cast<PyTensor*>(self);
  Py_CLEAR(p->dict);
  TensorImpl* t = impl_of(self);
  if (t && t->meta) {
    if (auto& extras = t->meta->extras) {
      extras->hooks.clear();
      extras->post_accumulate_hooks.clear();
    }
    t->meta->grad.reset();
  }
  return 0;
}

// Tensor(5, 3), Tensor([..]), Tensor(other)
PyObject* tensor_new(PyTypeObject* type, PyObject* args, PyObject* kwargs) {
  FB_TRY
  Device device = default_device();
  if (kwargs) {
    PyObject* d = PyDict_GetItemString(kwargs, "device");
    if (d && d != Py_None && !device_from(d, device)) fail(ErrorKind::Type, "Tensor(): bad device");
  }
  Py_ssize_t n = PyTuple_GET_SIZE(args);
  Tensor t;
  Dims shape;
  int64_t first;
  if (n == 0) {
    t = empty({0}, default_dtype(), device);
  } else if (n == 1 && is_tensor(PyTuple_GET_ITEM(args, 0))) {
    t = alias(tensor_of(PyTuple_GET_ITEM(args, 0)));
  } else if (n == 1 && Py_TYPE(PyTuple_GET_ITEM(args, 0)) == SizeType) {
    dims_from(PyTuple_GET_ITEM(args, 0), shape);
    t = empty(shape, default_dtype(), device);
  } else if (index_from(PyTuple_GET_ITEM(args, 0), first)) {
    FB_CHECK_TYPE(dims_from(args, shape), "Tensor(): the sizes must all be integers");
    t = empty(shape, default_dtype(), device);
  } else {
    FB_CHECK_TYPE(n == 1, "Tensor() takes sizes, or one list of values");
    t = tensor_from_data(PyTuple_GET_ITEM(args, 0), default_dtype(), device, true);
  }
  return wrap_as(t, type);
  FB_CATCH(nullptr)
}

// Operators -----------------------------------------------------------------------------------

bool plain_type(PyObject* o) {
  return Py_TYPE(o) == TensorType || (is_tensor(o) && !overrides_functions(Py_TYPE(o)));
}

// A registered function that a slot calls, looked up at its first call.
struct Named {
  const char* name;
  PyObject* function = nullptr;
  PyObject* get() { return function ? function : function = function_named(name); }
  PyObject* operator()(PyObject* a, PyObject* b) {
    PyObject* args[2] = {a, b};
    return call_overloads(get(), args, 2, nullptr);
  }
  PyObject* operator()(PyObject* a) { return call_overloads(get(), &a, 1, nullptr); }
};

bool exact_number(PyObject* o) { return PyFloat_CheckExact(o) || PyLong_CheckExact(o); }

// Results take over the memory of an operand that nobody else will read: in `a * 2 + b` the sum
// goes where the product is.

constexpr int64_t kReuseBytes = 1 << 18; // from here a second array is worth the look at the caller

// Whether a result like `t` may be written over it: no view, no history, memory of its own.
bool rewritable(PyObject* o) {
  if (Py_REFCNT(o) != 1 || Py_TYPE(o) != TensorType) return false;
  const auto* p = reinterpret_cast<PyTensor*>(o);
  const Tensor& t = tensor_of(o);
  if (t.numel() * t.itemsize() < kReuseBytes) return false;
  const TensorImpl& i = *t.impl();
  const Storage& s = t.storage();
  return is_float(i.dtype) && i.contiguous && !i.meta && !i.base && !i.untracked &&
         i.inference == inference_enabled() && s.refs() == 1 && !s.deleter && !s.readonly &&
         s.device.is_cpu() && !p->dict && !p->weakrefs;
}

// Whether an operator on `t` and `other` gives a result of t's shape and dtype that has no history.
bool shaped_by(const Tensor& t, PyObject* other) {
  if (exact_number(other)) return true;
  if (Py_TYPE(other) != TensorType) return false;
  const Tensor& o = tensor_of(other);
  const int lead = t.dim() - o.dim();
  if (lead < 0 || o.dtype() != t.dtype() || !o.device().is_cpu()) return false;
  if (grad_enabled() && o.requires_grad()) return false;
  for (int d = 0; d < o.dim(); ++d)
    if (o.shape()[d] != 1 && o.shape()[d] != t.shape()[lead + d]) return false;
  return true;
}

// The operand whose memory the result may take; null where none.
PyObject* to_reuse(PyObject* a, PyObject* b) {
  const bool first = rewritable(a) && shaped_by(tensor_of(a), b);
  if (!first && !(rewritable(b) && shaped_by(tensor_of(b), a))) return nullptr;
  PyObject* o = first ? a : b;
  return !autocast_on && is_temporary(o) ? o : nullptr;
}

// f(a, b, out=over).
PyObject* rewrite(Named& f, PyObject* a, PyObject* b, PyObject* over) {
  FB_TRY
  static PyObject* const names = check(Py_BuildValue("(s)", "out"));
  PyObject* args[3] = {a, b, over};
  return call_overloads(f.get(), args, 2, names);
  FB_CATCH(nullptr)
}

// Operators whose checks live in the registered function. The operand that is no tensor may be a
// number, or a NumPy array, which joins as a tensor.
PyObject* by_name(PyObject* a, PyObject* b, Named& f) {
  FB_TRY
  PyObject* other = is_tensor(a) ? b : a;
  Scalar s;
  if (!exact_number(other) && !is_tensor(other) && !scalar_from(other, s)) {
    if (!is_array(other)) Py_RETURN_NOTIMPLEMENTED;
    Obj o(wrap(tensor_from_data(other, {}, {}, false)));
    return other == b ? f(a, o.get()) : f(o.get(), b);
  }
  return f(a, b);
  FB_CATCH(nullptr)
}

using Binary = Tensor (*)(const Tensor&, const Tensor&);

// The short way of an operator for exact tensors and numbers; everything else goes by name.
template<Binary op>
PyObject* binary_slot(PyObject* a, PyObject* b, Named& f) {
  FB_TRY
  bool ta = plain_type(a), tb = plain_type(b);
  if (ta && tb) return wrap(op(tensor_of(a), tensor_of(b)));
  if (ta && exact_number(b)) return wrap(op(tensor_of(a), operand_from(b)));
  if (tb && exact_number(a)) return wrap(op(operand_from(a), tensor_of(b)));
  return by_name(a, b, f);
  FB_CATCH(nullptr)
}
Tensor op_add(const Tensor& a, const Tensor& b) { return add(a, b); }
Tensor op_mul(const Tensor& a, const Tensor& b) { return mul(a, b); }
Tensor op_div(const Tensor& a, const Tensor& b) { return true_divide(a, b); }

#define FB_SLOT(fn, name)                  \
  PyObject* fn(PyObject* a, PyObject* b) { \
    static Named f{name};                  \
    return by_name(a, b, f);               \
  }
#define FB_ARITHMETIC(fn, name, otherwise)                              \
  PyObject* fn(PyObject* a, PyObject* b) {                              \
    static Named f{name};                                               \
    if (PyObject* over = to_reuse(a, b)) return rewrite(f, a, b, over); \
    return otherwise(a, b, f);                                          \
  }
FB_ARITHMETIC(nb_add, "add", binary_slot<op_add>)
FB_ARITHMETIC(nb_mul, "mul", binary_slot<op_mul>)
FB_ARITHMETIC(divide, "div", binary_slot<op_div>)
FB_ARITHMETIC(nb_sub, "sub", by_name)
FB_ARITHMETIC(power, "pow", by_name)
PyObject* nb_div(PyObject* a, PyObject* b) {
  // number / tensor is reciprocal(tensor) * number, and that autocast runs in float32.
  if (autocast_on && !is_tensor(a)) {
    FB_TRY
    Obj wide(check(wrap(autocast_wide(tensor_of(b)))));
    return divide(a, wide.get());
    FB_CATCH(nullptr)
  }
  return divide(a, b);
}
FB_SLOT(nb_floordiv, "floor_divide")
FB_SLOT(nb_mod, "remainder")
FB_SLOT(nb_and, "bitwise_and")
FB_SLOT(nb_or, "bitwise_or")
FB_SLOT(nb_xor, "bitwise_xor")
FB_SLOT(nb_lshift, "bitwise_left_shift")
FB_SLOT(nb_rshift, "bitwise_right_shift")
FB_SLOT(matmul, "matmul")
PyObject* nb_matmul(PyObject* a, PyObject* b) {
  if (!is_tensor(a) || !is_tensor(b)) Py_RETURN_NOTIMPLEMENTED;
  return matmul(a, b);
}
PyObject* nb_pow(PyObject* a, PyObject* b, PyObject*) { return power(a, b); }
FB_SLOT(ib_add, "add_")
FB_SLOT(ib_sub, "sub_")
FB_SLOT(ib_mul, "mul_")
FB_SLOT(ib_div, "div_")
FB_SLOT(ib_floordiv, "floor_divide_")
FB_SLOT(ib_mod, "remainder_")
FB_SLOT(ib_and, "bitwise_and_")
FB_SLOT(ib_or, "bitwise_or_")
FB_SLOT(ib_xor, "bitwise_xor_")
FB_SLOT(ib_lshift, "bitwise_left_shift_")
FB_SLOT(ib_rshift, "bitwise_right_shift_")
FB_SLOT(power_, "pow_")
PyObject* ib_pow(PyObject* a, PyObject* b, PyObject*) { return power_(a, b); }
#undef FB_SLOT
#undef FB_ARITHMETIC
#define FB_UNARY_SLOT(fn, name) \
  PyObject* fn(PyObject* a) {   \
    FB_TRY                      \
    static Named f{name};       \
    return f(a);                \
    FB_CATCH(nullptr)           \
  }
FB_UNARY_SLOT(nb_neg, "neg")
FB_UNARY_SLOT(nb_abs, "abs")
FB_UNARY_SLOT(nb_invert, "bitwise_not")
FB_UNARY_SLOT(reversed_dims, "_reversed_dims")
FB_UNARY_SLOT(matrix_t, "_matrix_t")
FB_UNARY_SLOT(adjoint, "adjoint")
#undef FB_UNARY_SLOT
PyObject* nb_pos(PyObject* a) { return PyObject_CallMethod(a, "positive", nullptr); }

int nb_bool(PyObject* self) {
  FB_TRY
  const Tensor& t = tensor_of(self);
  FB_CHECK(t.numel() != 0, "Boolean value of Tensor with no values is ambiguous");
  FB_CHECK(t.numel() == 1,
           "Boolean value of Tensor with more than one value is ambiguous: the "
           "shape is ",
           t.shape(), "; use .any() or .all()");
  Scalar s = item(t);
  return s.kind == Scalar::Complex ? s.f != 0 || s.im != 0 : s.f != 0;
  FB_CATCH(-1)
}
PyObject* to_number(PyObject* self, PyTypeObject* type) {
  FB_TRY
  Obj v(check(wrap(item(tensor_of(self)))));
  if (Py_TYPE(v.get()) == type) return v.release();
  return PyObject_CallFunctionObjArgs(reinterpret_cast<PyObject*>(type), v.get(), nullptr);
  FB_CATCH(nullptr)
}
PyObject* nb_int(PyObject* self) { return to_number(self, &PyLong_Type); }
PyObject* nb_float(PyObject* self) { return to_number(self, &PyFloat_Type); }
PyObject* nb_index(PyObject* self) {
  FB_TRY
  Tensor t = tensor_of(self);
  FB_CHECK_TYPE(is_integral(t.dtype()) && t.numel() == 1,
                "only integer tensors of a single element can be converted to an index, not ", t);
  return wrap(Scalar(item(t).i));
  FB_CATCH(nullptr)
}

PyObject* rich_compare(PyObject* a, PyObject* b, int op) {
  static Named names[] = {{"lt"}, {"le"}, {"eq"}, {"ne"}, {"gt"}, {"ge"}};
  return by_name(a, b, names[op]);
}
Py_hash_t hash(PyObject* self) { return Py_hash_t(reinterpret_cast<uintptr_t>(self) >> 4); }

Py_ssize_t length(PyObject* self) {
  Dims& s = impl_of(self)->shape;
  if (s.empty()) {
    PyErr_SetString(PyExc_TypeError, "len() of a 0-d tensor");
    return -1;
  }
  return s[0];
}
PyObject* subscript(PyObject* self, PyObject* key) {
  FB_TRY
  return get_item(tensor_of(self), key);
  FB_CATCH(nullptr)
}
int assign_subscript(PyObject* self, PyObject* key, PyObject* value) {
  FB_TRY
  FB_CHECK_TYPE(value, "Tensor does not support deleting items");
  set_item(tensor_of(self), key, value);
  return 0;
  FB_CATCH(-1)
}
PyObject* sq_item(PyObject* self, Py_ssize_t i) {
  FB_TRY
  return wrap(select(tensor_of(self), 0, i));
  FB_CATCH(nullptr)
}
PyObject* iterate(PyObject* self) {
  FB_TRY
  Tensor t = tensor_of(self);
  FB_CHECK_TYPE(t.dim() > 0, "iteration over a 0-d tensor");
  Obj list(wrap_list(unbind(t, 0), true));
  return PyObject_GetIter(list.get());
  FB_CATCH(nullptr)
}
PyObject* call_display(PyObject* self, const char* what) {
  Obj m(PyImport_ImportModule("flambeau._display"));
  if (!m) return nullptr;
  return PyObject_CallMethod(m.get(), what, "O", self);
}
PyObject* repr(PyObject* self) { return call_display(self, "tensor_repr"); }

// Attributes ----------------------------------------------------------------------------------

#define FB_GET(fn, expr)                            \
  PyObject* fn(PyObject* self, void*) {             \
    FB_TRY                                          \
    [[maybe_unused]] TensorImpl* t = impl_of(self); \
    return expr;                                    \
    FB_CATCH(nullptr)                               \
  }
FB_GET(get_shape, wrap_size(t->shape))
FB_GET(get_dtype, wrap(t->dtype))
FB_GET(get_device, wrap(t->storage->device))
FB_GET(get_ndim, PyLong_FromLong(t->shape.size()))
FB_GET(get_requires_grad, PyBool_FromLong(tensor_of(self).requires_grad()))
FB_GET(get_is_leaf, PyBool_FromLong(tensor_of(self).is_leaf()))
FB_GET(get_grad, wrap(tensor_of(self).grad()))
FB_GET(get_grad_fn, wrap_node(tensor_of(self).grad_fn()))
FB_GET(get_version, PyLong_FromLong(t->storage->version))
FB_GET(get_base, wrap(Tensor(t->base.get())))
FB_GET(get_retains, PyBool_FromLong(t->meta && t->meta->extras && t->meta->extras->retain_hook))
FB_GET(get_output_nr, PyLong_FromLong(t->meta ? t->meta->output_nr : 0))
FB_GET(get_is_cuda, PyBool_FromLong(t->storage->device.type == DeviceType::Cuda))
FB_GET(get_is_cpu, PyBool_FromLong(t->storage->device.is_cpu()))
FB_GET(get_is_meta, PyBool_FromLong(t->storage->device.is_meta()))
FB_GET(get_T, reversed_dims(self))
FB_GET(get_mT, matrix_t(self))
FB_GET(get_mH, adjoint(self))
FB_GET(get_real, wrap(real(tensor_of(self))))
FB_GET(get_imag, wrap(imag(tensor_of(self))))
FB_GET(get_itemsize, PyLong_FromLong(size_of(t->dtype)))
FB_GET(get_nbytes, PyLong_FromLongLong(t->numel* size_of(t->dtype)))
FB_GET(get_false, PyBool_FromLong(0))
FB_GET(get_dict, [&] {
  auto* p = reinterpret_cast<PyTensor*>(self);
  if (!p->dict) p->dict = PyDict_New();
  return Obj::borrow(p->dict).release();
}())
FB_GET(get_data, [&] {
  Tensor d = alias(tensor_of(self));
  d.impl()->untracked = true;
  return wrap(std::move(d));
}())
PyObject* get_name(PyObject* self, void*) {
  TensorImpl* t = impl_of(self);
  if (!t->meta || !t->meta->extras || t->meta->extras->name.empty()) Py_RETURN_NONE;
  return PyUnicode_FromString(t->meta->extras->name.c_str());
}
int set_name(PyObject* self, PyObject* v, void*) {
  FB_TRY
  const char* s = v && PyUnicode_Check(v) ? PyUnicode_AsUTF8(v) : "";
  tensor_of(self).make_meta().make_extras().name = s;
  return 0;
  FB_CATCH(-1)
}

int set_requires_grad(PyObject* self, PyObject* v, void*) {
  FB_TRY
  Tensor t = tensor_of(self);
  bool on = PyObject_IsTrue(v);
  if (!on && !t.is_leaf())
    fail(ErrorKind::Runtime,
         "you can only change requires_grad flags of leaf variables. If you want "
         "to use a computed variable in a subgraph that doesn't require differentiation use "
         "var_no_grad = var.detach().");
  FB_CHECK(!on || is_inexact(t.dtype()),
           "only Tensors of floating point dtype can require gradients, "
           "not ",
           t.dtype(), ": convert with .float() first");
  if (t.is_leaf() && (on || t.meta())) t.make_meta().requires_grad = on;
  return 0;
  FB_CATCH(-1)
}
PyObject* m_requires_grad_(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  bool given = n + (kw ? PyTuple_GET_SIZE(kw) : 0) > 0;
  if (set_requires_grad(self, given ? args[0] : Py_True, nullptr) < 0) return nullptr;
  return Obj::borrow(self).release();
}
int set_grad(PyObject* self, PyObject* v, void*) {
  FB_TRY
  Tensor t = tensor_of(self);
  if (!v || v == Py_None) {
    if (t.meta()) t.meta()->grad.reset();
    return 0;
  }
  FB_CHECK_TYPE(is_tensor(v), "assigned grad expected to be a Tensor or None but got grad of type ",
                Py_TYPE(v)->tp_name);
  FB_CHECK(v != self, "can't assign Variable as its own grad");
  Tensor g = tensor_of(v);
  FB_CHECK(g.dtype() == t.dtype(), "assigned grad has data of a different type: ", g.dtype(),
           ", expected ", t.dtype());
  FB_CHECK(g.device() == t.device(),
           "assigned grad has data located on a different device: ", g.device(), ", expected ",
           t.device());
  FB_CHECK(g.shape() == t.shape(), "assigned grad has data of a different size: ", g.shape(),
           ", expected ", t.shape());
  t.make_meta().grad = g;
  return 0;
  FB_CATCH(-1)
}
int set_data(PyObject* self, PyObject* v, void*) {
  FB_TRY
  FB_CHECK_TYPE(is_tensor(v), "Variable data has to be a tensor, but got ", Py_TYPE(v)->tp_name);
  TensorImpl *t = impl_of(self), *s = impl_of(v);
  t->storage = s->storage;
  t->dtype = s->dtype;
  set_layout(*t, s->shape, s->strides, s->offset);
  if (t->meta && t->meta->accumulator)
    t->meta->accumulator->outputs[0] = {s->shape, s->dtype, s->storage->device};
  return 0;
  FB_CATCH(-1)
}
PyObject* get_layout(PyObject*, void*) {
  Obj m(PyImport_ImportModule("flambeau"));
  return m ? PyObject_GetAttrString(m.get(), "strided") : nullptr;
}

// Methods -------------------------------------------------------------------------------------

PyObject* m_size(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  TensorImpl* t = impl_of(self);
  Py_ssize_t total = n + (kw ? PyTuple_GET_SIZE(kw) : 0);
  if (total == 0 || args[0] == Py_None) return wrap_size(t->shape);
  int64_t d;
  FB_CHECK_TYPE(index_from(args[0], d), "size(): dim must be an int, not ",
                Py_TYPE(args[0])->tp_name);
  return PyLong_FromLongLong(tensor_of(self).size(d));
  FB_CATCH(nullptr)
}
PyObject* m_stride(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  TensorImpl* t = impl_of(self);
  Py_ssize_t total = n + (kw ? PyTuple_GET_SIZE(kw) : 0);
  if (total == 0 || args[0] == Py_None) {
    Obj r(PyTuple_New(t->strides.size()));
    for (int i = 0; i < t->strides.size(); ++i)
      PyTuple_SET_ITEM(r.get(), i, PyLong_FromLongLong(t->strides[i]));
    return r.release();
  }
  int64_t d;
  FB_CHECK_TYPE(index_from(args[0], d), "stride(): dim must be an int, not ",
                Py_TYPE(args[0])->tp_name);
  return PyLong_FromLongLong(tensor_of(self).stride(d));
  FB_CATCH(nullptr)
}
#define FB_METHOD(fn, expr)                         \
  PyObject* fn(PyObject* self, PyObject*) {         \
    FB_TRY                                          \
    [[maybe_unused]] TensorImpl* t = impl_of(self); \
    return expr;                                    \
    FB_CATCH(nullptr)                               \
  }
FB_METHOD(m_dim, PyLong_FromLong(t->shape.size()))
FB_METHOD(m_numel, PyLong_FromLongLong(t->numel))
FB_METHOD(m_offset, PyLong_FromLongLong(t->offset))
FB_METHOD(m_data_ptr,
          PyLong_FromVoidPtr(t->storage->data
                                 ? reinterpret_cast<void*>(cuda::address(tensor_of(self)))
                                 : nullptr))
FB_METHOD(m_element_size, PyLong_FromLong(size_of(t->dtype)))
FB_METHOD(m_is_view, PyBool_FromLong(bool(t->base)))
FB_METHOD(m_is_inference, PyBool_FromLong(t->inference))
FB_METHOD(m_is_floating, PyBool_FromLong(is_float(t->dtype)))
FB_METHOD(m_is_complex, PyBool_FromLong(is_complex(t->dtype)))
FB_METHOD(m_is_signed, PyBool_FromLong(is_signed(t->dtype)))
FB_METHOD(m_storage, wrap_storage(t->storage))
FB_METHOD(m_get_device,
          PyLong_FromLong(t->storage->device.is_cpu() ? -1
                                                      : std::max<int>(t->storage->device.index, 0)))
FB_METHOD(m_same, Obj::borrow(self).release())
PyObject* m_cpu(PyObject* self, PyObject* const*, Py_ssize_t, PyObject*) {
  FB_TRY
  const Tensor& t = tensor_of(self);
  return t.device().is_cpu() ? Obj::borrow(self).release() : wrap(move_to(t, {}, t.dtype()));
  FB_CATCH(nullptr)
}

PyObject* m_is_contiguous(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject* kw) {
  FB_TRY
  TensorImpl* t = impl_of(self);
  Py_ssize_t total = n + (kw ? PyTuple_GET_SIZE(kw) : 0);
  std::string f =
      total && PyUnicode_Check(args[0]) ? PyUnicode_AsUTF8(args[0]) : "contiguous_format";
  if (f == "contiguous_format") return PyBool_FromLong(t->contiguous);
  if ((f == "channels_last" && t->shape.size() != 4) ||
      (f == "channels_last_3d" && t->shape.size() != 5))
    Py_RETURN_FALSE;
  int nd = t->shape.size();
  Dims order{0};
  for (int i = 2; i < nd; ++i) order.push_back(i);
  order.push_back(1);
  Dims s, st;
  for (int64_t d : order) {
    s.push_back(t->shape[int(d)]);
    st.push_back(t->strides[int(d)]);
  }
  return PyBool_FromLong(is_contiguous(s, st));
  FB_CATCH(nullptr)
}

PyObject* list_of(const Tensor& t, int d, const char* p) {
  if (d == t.dim()) {
    Tensor one = alias_as(t, {}, {}, (p - static_cast<char*>(t.storage().data)) / t.itemsize());
    return wrap(item(one));
  }
  int64_t n = t.shape()[d], step = t.strides()[d] * t.itemsize();
  Obj list(check(PyList_New(n)));
  for (int64_t i = 0; i < n; ++i) {
    PyObject* x = nullptr;
    if (d + 1 == t.dim() && t.dtype() == DType::F32)
      x = PyFloat_FromDouble(*reinterpret_cast<const float*>(p + i * step));
    else if (d + 1 == t.dim() && t.dtype() == DType::F64)
      x = PyFloat_FromDouble(*reinterpret_cast<const double*>(p + i * step));
    else if (d + 1 == t.dim() && t.dtype() == DType::I64)
      x = PyLong_FromLongLong(*reinterpret_cast<const int64_t*>(p + i * step));
    else
      x = list_of(t, d + 1, p + i * step);
    PyList_SET_ITEM(list.get(), i, check(x));
  }
  return list.release();
}
PyObject* m_tolist(PyObject* self, PyObject*) {
  FB_TRY
  Tensor t = tensor_of(self);
  FB_CHECK_AS(NotImplemented, !t.is_meta(), "Cannot copy out of meta tensor; no data!");
  t = on_host(t);
  return list_of(t, 0, t.bytes());
  FB_CATCH(nullptr)
}
PyObject* m_uint64_item_fix(const Tensor& t) {
  return PyLong_FromUnsignedLongLong(*on_host(t).data<uint64_t>());
}
PyObject* m_item(PyObject* self, PyObject*) {
  FB_TRY
  const Tensor& t = tensor_of(self);
  Scalar s = item(t);
  return t.dtype() == DType::U64 ? m_uint64_item_fix(t) : wrap(s);
  FB_CATCH(nullptr)
}
// Layout changes of the tensor itself, for t_(), unsqueeze_() and their kin.
PyObject* m_take_layout(PyObject* self, PyObject* other) {
  FB_TRY
  FB_CHECK_TYPE(is_tensor(other), "_take_layout expects a tensor");
  Tensor t = tensor_of(self), v = tensor_of(other);
  FB_CHECK(&t.storage() == &v.storage(), "_take_layout expects a view of the same memory");
  set_layout(*t.impl(), v.shape(), v.strides(), v.offset());
  if (v.requires_grad() && grad_enabled()) {
    Ref<Node> fn = v.grad_fn();
    if (fn) {
      AutogradMeta& m = t.make_meta();
      m.requires_grad = false;
      m.grad_fn = fn;
      m.output_nr = v.meta()->output_nr;
    }
  }
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
PyObject* m_resize_(PyObject* self, PyObject* const* args, Py_ssize_t n, PyObject*) {
  FB_TRY
  Dims shape;
  if (n == 1 && !PyLong_Check(args[0])) {
    FB_CHECK_TYPE(dims_from(args[0], shape), "resize_(): sizes must be integers");
  } else {
    for (Py_ssize_t i = 0; i < n; ++i) {
      int64_t v;
      FB_CHECK_TYPE(index_from(args[i], v), "resize_(): sizes must be integers");
      shape.push_back(v);
    }
  }
  Tensor t = tensor_of(self);
  FB_CHECK(!t.requires_grad(), "cannot resize variables that require grad");
  resize_out(t, shape, "resize_");
  t.bump_version();
  return Obj::borrow(self).release();
  FB_CATCH(nullptr)
}
PyObject* m_set_(PyObject* self, PyObject* other) {
  if (set_data(self, other, nullptr) < 0) return nullptr;
  return Obj::borrow(self).release();
}
PyObject* m_is_set_to(PyObject* self, PyObject* other) {
  if (!is_tensor(other)) Py_RETURN_FALSE;
  TensorImpl *a = impl_of(self), *b = impl_of(other);
  return PyBool_FromLong(a->storage == b->storage && a->offset == b->offset &&
                         a->shape == b->shape && a->strides == b->strides);
}
PyObject* m_as_subclass(PyObject* self, PyObject* cls) {
  FB_TRY
  FB_CHECK_TYPE(PyType_Check(cls) &&
                    PyType_IsSubtype(reinterpret_cast<PyTypeObject*>(cls), TensorType),
                "as_subclass(): cls must be a subclass of Tensor");
  Tensor t = tensor_of(self), r = alias(t);
  Edge e = gradient_edge(t);
  if (e.node) set_history(r, e.node, e.nr);
  return wrap_as(r, reinterpret_cast<PyTypeObject*>(cls));
  FB_CATCH(nullptr)
}
PyObject* s_make_subclass(PyObject*, PyObject* const* args, Py_ssize_t n, PyObject*) {
  FB_TRY
  FB_CHECK_TYPE(n >= 2 && is_tensor(args[1]), "_make_subclass(cls, tensor, require_grad=False)");
  Tensor r = alias(tensor_of(args[1]));
  if (n > 2 && PyObject_IsTrue(args[2])) {
    FB_CHECK(is_inexact(r.dtype()),
             "Only Tensors of floating point and complex dtype can require "
             "gradients, not ",
             r.dtype());
    r.make_meta().requires_grad = true;
  }
  return wrap_as(r, reinterpret_cast<PyTypeObject*>(args[0]));
  FB_CATCH(nullptr)
}
PyObject* m_html(PyObject* self, PyObject*) { return call_display(self, "tensor_html"); }
PyObject* m_format(PyObject* self, PyObject* spec) {
  Obj m(PyImport_ImportModule("flambeau._display"));
  if (!m) return nullptr;
  return PyObject_CallMethod(m.get(), "tensor_format", "OO", self, spec);
}

} // namespace

PyObject* wrap(Tensor t) {
  if (!t.defined()) Py_RETURN_NONE;
  TensorImpl* p = t.impl();
  if (p->pyobj) return static_cast<PyObject*>(t.release()->pyobj); // the reference moves along
  p->weak = false;
  return adopt(std::move(t), TensorType);
}

PyObject* wrap_as(Tensor t, PyTypeObject* type) {
  return adopt(t.impl()->pyobj ? alias(t) : std::move(t), type);
}

PyObject* wrap_list(const Tensors& ts, bool as_list) {
  Py_ssize_t n = Py_ssize_t(ts.size());
  Obj r(check(as_list ? PyList_New(n) : PyTuple_New(n)));
  for (Py_ssize_t i = 0; i < n; ++i) {
    PyObject* o = wrap(ts[size_t(i)]);
    if (as_list)
      PyList_SET_ITEM(r.get(), i, o);
    else
      PyTuple_SET_ITEM(r.get(), i, o);
  }
  return r.release();
}

PyMethodDef tensor_methods[] = {
    {"size", reinterpret_cast<PyCFunction>(m_size), METH_FASTCALL | METH_KEYWORDS,
     "size(dim=None): all sizes, or that of one dimension."},
    {"stride", reinterpret_cast<PyCFunction>(m_stride), METH_FASTCALL | METH_KEYWORDS,
     "stride(dim=None): steps in elements."},
    {"dim", m_dim, METH_NOARGS, "The number of dimensions."},
    {"ndimension", m_dim, METH_NOARGS, "The number of dimensions."},
    {"numel", m_numel, METH_NOARGS, "The number of elements."},
    {"nelement", m_numel, METH_NOARGS, "The number of elements."},
    {"storage_offset", m_offset, METH_NOARGS,
     "Where the tensor begins in its storage, in elements."},
    {"data_ptr", m_data_ptr, METH_NOARGS, "The address of the first element."},
    {"element_size", m_element_size, METH_NOARGS, "Bytes of an element."},
    {"is_contiguous", reinterpret_cast<PyCFunction>(m_is_contiguous), METH_FASTCALL | METH_KEYWORDS,
     "Whether the elements lie in row-major order without gaps."},
    {"_is_view", m_is_view, METH_NOARGS, "Whether autograd sees it as a view of another tensor."},
    {"is_inference", m_is_inference, METH_NOARGS, "Whether it was made under inference_mode."},
    {"is_floating_point", m_is_floating, METH_NOARGS, "Whether the dtype is a float."},
    {"is_complex", m_is_complex, METH_NOARGS, "Whether the dtype is complex."},
    {"is_signed", m_is_signed, METH_NOARGS, "Whether the dtype has negative values."},
    {"untyped_storage", m_storage, METH_NOARGS, "The bytes the tensor is a view of."},
    {"get_device", m_get_device, METH_NOARGS, "The device's number; -1 for the CPU."},
    {"resolve_conj", m_same, METH_NOARGS, "The tensor itself: conjugation is never lazy."},
    {"resolve_neg", m_same, METH_NOARGS, "The tensor itself: negation is never lazy."},
    {"tolist", m_tolist, METH_NOARGS, "Nested lists of Python numbers."},
    {"cpu", reinterpret_cast<PyCFunction>(m_cpu), METH_FASTCALL | METH_KEYWORDS,
     "The tensor in the host's memory: itself when it is there already."},
    {"requires_grad_", reinterpret_cast<PyCFunction>(m_requires_grad_),
     METH_FASTCALL | METH_KEYWORDS,
     "requires_grad_(requires_grad=True): sets the flag and returns the tensor."},
    {"item", m_item, METH_NOARGS, "The value of a one-element tensor as a Python number."},
    {"_take_layout", m_take_layout, METH_O, nullptr},
    {"resize_", reinterpret_cast<PyCFunction>(m_resize_), METH_FASTCALL | METH_KEYWORDS,
     "Changes the sizes, with new uninitialised elements where it grows."},
    {"set_", m_set_, METH_O, "Makes the tensor share another's memory and sizes."},
    {"is_set_to", m_is_set_to, METH_O, "Whether both are the same window on the same memory."},
    {"as_subclass", m_as_subclass, METH_O, "The same data as an instance of a Tensor subclass."},
    {"_make_subclass", reinterpret_cast<PyCFunction>(s_make_subclass),
     METH_FASTCALL | METH_KEYWORDS | METH_STATIC, nullptr},
    {"_repr_html_", m_html, METH_NOARGS, nullptr},
    {"__format__", m_format, METH_O, nullptr},
    {nullptr, nullptr, 0, nullptr}};

PyGetSetDef tensor_getset[] = {
    {"shape", get_shape, nullptr, "The sizes.", nullptr},
    {"dtype", get_dtype, nullptr, "The type of the elements.", nullptr},
    {"device", get_device, nullptr, "Where the memory is.", nullptr},
    {"layout", get_layout, nullptr, "Always strided.", nullptr},
    {"ndim", get_ndim, nullptr, "The number of dimensions.", nullptr},
    {"requires_grad", get_requires_grad, set_requires_grad, "Whether gradients are wanted.",
     nullptr},
    {"is_leaf", get_is_leaf, nullptr, "Whether it was not computed from others with gradients.",
     nullptr},
    {"grad", get_grad, set_grad, "The accumulated gradient, or None.", nullptr},
    {"grad_fn", get_grad_fn, nullptr, "The node that computed it, or None.", nullptr},
    {"_version", get_version, nullptr, "How often its memory was written in place.", nullptr},
    {"_base", get_base, nullptr, "The tensor it is a view of, or None.", nullptr},
    {"retains_grad", get_retains, nullptr, "Whether retain_grad() was called.", nullptr},
    {"output_nr", get_output_nr, nullptr, "Which output of grad_fn it is.", nullptr},
    {"is_cuda", get_is_cuda, nullptr, nullptr, nullptr},
    {"is_cpu", get_is_cpu, nullptr, nullptr, nullptr},
    {"is_meta", get_is_meta, nullptr, nullptr, nullptr},
    {"is_sparse", get_false, nullptr, nullptr, nullptr},
    {"is_sparse_csr", get_false, nullptr, nullptr, nullptr},
    {"is_quantized", get_false, nullptr, nullptr, nullptr},
    {"is_nested", get_false, nullptr, nullptr, nullptr},
    {"is_mps", get_false, nullptr, nullptr, nullptr},
    {"is_xpu", get_false, nullptr, nullptr, nullptr},
    {"is_mkldnn", get_false, nullptr, nullptr, nullptr},
    {"T", get_T, nullptr, "All dimensions reversed.", nullptr},
    {"mT", get_mT, nullptr, "The last two dimensions exchanged.", nullptr},
    {"H", get_mH, nullptr, "The conjugate transpose.", nullptr},
    {"mH", get_mH, nullptr, "The conjugate transpose of the last two dimensions.", nullptr},
    {"real", get_real, nullptr, "The real part.", nullptr},
    {"imag", get_imag, nullptr, "The imaginary part.", nullptr},
    {"itemsize", get_itemsize, nullptr, "Bytes of an element.", nullptr},
    {"nbytes", get_nbytes, nullptr, "Bytes of all elements.", nullptr},
    {"data", get_data, set_data, "The same memory outside of autograd.", nullptr},
    {"name", get_name, set_name, "A name, or None.", nullptr},
    {"__dict__", get_dict, nullptr, nullptr, nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

static PyMemberDef members[] = {
    {"__dictoffset__", T_PYSSIZET, offsetof(PyTensor, dict), READONLY, nullptr},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(PyTensor, weakrefs), READONLY, nullptr},
    {nullptr, 0, 0, 0, nullptr}};

#define FB_S(slot, fn) {slot, reinterpret_cast<void*>(fn)}
static PyType_Slot slots[] = {
    FB_S(Py_tp_new, tensor_new),
    FB_S(Py_tp_dealloc, dealloc),
    FB_S(Py_tp_traverse, traverse),
    FB_S(Py_tp_clear, clear),
    FB_S(Py_tp_repr, repr),
    FB_S(Py_tp_hash, hash),
    FB_S(Py_tp_richcompare, rich_compare),
    FB_S(Py_tp_iter, iterate),
    FB_S(Py_tp_methods, tensor_methods),
    FB_S(Py_tp_getset, tensor_getset),
    FB_S(Py_tp_members, members),
    FB_S(Py_mp_length, length),
    FB_S(Py_mp_subscript, subscript),
    FB_S(Py_mp_ass_subscript, assign_subscript),
    FB_S(Py_sq_item, sq_item),
    FB_S(Py_nb_add, nb_add),
    FB_S(Py_nb_subtract, nb_sub),
    FB_S(Py_nb_multiply, nb_mul),
    FB_S(Py_nb_true_divide, nb_div),
    FB_S(Py_nb_floor_divide, nb_floordiv),
    FB_S(Py_nb_remainder, nb_mod),
    FB_S(Py_nb_power, nb_pow),
    FB_S(Py_nb_and, nb_and),
    FB_S(Py_nb_or, nb_or),
    FB_S(Py_nb_xor, nb_xor),
    FB_S(Py_nb_lshift, nb_lshift),
    FB_S(Py_nb_rshift, nb_rshift),
    FB_S(Py_nb_matrix_multiply, nb_matmul),
    FB_S(Py_nb_inplace_add, ib_add),
    FB_S(Py_nb_inplace_subtract, ib_sub),
    FB_S(Py_nb_inplace_multiply, ib_mul),
    FB_S(Py_nb_inplace_true_divide, ib_div),
    FB_S(Py_nb_inplace_floor_divide, ib_floordiv),
    FB_S(Py_nb_inplace_remainder, ib_mod),
    FB_S(Py_nb_inplace_and, ib_and),
    FB_S(Py_nb_inplace_or, ib_or),
    FB_S(Py_nb_inplace_xor, ib_xor),
    FB_S(Py_nb_inplace_lshift, ib_lshift),
    FB_S(Py_nb_inplace_rshift, ib_rshift),
    FB_S(Py_nb_inplace_power, ib_pow),
    FB_S(Py_nb_negative, nb_neg),
    FB_S(Py_nb_positive, nb_pos),
    FB_S(Py_nb_absolute, nb_abs),
    FB_S(Py_nb_invert, nb_invert),
    FB_S(Py_nb_bool, nb_bool),
    FB_S(Py_nb_int, nb_int),
    FB_S(Py_nb_float, nb_float),
    FB_S(Py_nb_index, nb_index),
    {Py_tp_doc, const_cast<char*>("A multi-dimensional array of one dtype that records how it was "
                                  "computed.")},
    {0, nullptr}};
static PyType_Spec spec = {"flambeau.Tensor", sizeof(PyTensor), 0,
                           Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, slots};

void add_tensor_type(PyObject* m) {
  TensorImpl::py_retain = [](void* o) { Py_INCREF(static_cast<PyObject*>(o)); };
  TensorImpl::py_release = [](void* o) { Py_DECREF(static_cast<PyObject*>(o)); };
  TensorType = reinterpret_cast<PyTypeObject*>(check(PyType_FromSpec(&spec)));
  PyObject* type = reinterpret_cast<PyObject*>(TensorType);
  for (PyMethodDef* list : {autograd_tensor_methods, bridge_tensor_methods, dlpack_tensor_methods})
    for (PyMethodDef* d = list; d->ml_name; ++d)
      check(PyObject_SetAttrString(type, d->ml_name, check(PyDescr_NewMethod(TensorType, d))));
  check(PyModule_AddObjectRef(m, "Tensor", type));
}

} // namespace flambeau::py
